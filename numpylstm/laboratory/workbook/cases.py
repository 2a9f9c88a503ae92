"""Cases in a student's code that no place enters: the numbers tell nothing about them.

While the places run, each function of an answer has the same code with one addition: it notes which
way every condition went. One that was always true, a block that never ran, and a limit that nothing
reached had no part in the numbers. What ends in ``raise``, an ``assert``, a check for None or for a
type, and an option that is left at its default are no matter: they are for arguments that a blank
never gets. Where the source is not known, nothing is noted.
"""

import __future__

import ast
import contextlib
import linecache
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FunctionType
from typing import Any

import numpy as np

NAME = "__noted_by_the_grader__"
"""The global name under which the code finds its `Notes`."""
CHOOSING = ("min", "max", "minimum", "maximum", "fmin", "fmax", "clip")
CHECKS = ("isinstance", "issubclass", "hasattr", "callable")
NOT_FINITE = ("nan", "inf", "finite")
"""Words of code that looks for numbers that are not finite; any other limit is below infinity."""
LONGEST = 70
"""Number of letters of the longest piece of code that is shown."""
FUTURE = sum(getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)

Key = tuple[bool, str, int, int, int, int]
"""True if a piece of code must run at all, its file, and where it begins and ends there."""


class Notes:
    """Notes on each piece of code: truth values, chosen operands, or that it ran."""

    def __init__(self) -> None:
        self.expected: dict[Key, tuple[str, list[str]]] = {}  # the code, and what must be seen
        self.seen: dict[Key, set[str]] = {}
        self.words: tuple[str, ...] = ("",)  # only code with one of these is noted

    def _note(self, key: Key, seen: str) -> None:
        code, _ = self.expected[key]
        if any(word in code for word in self.words):
            self.seen.setdefault(key, set()).add(seen)

    def ran(self, key: Key, value: Any = None) -> Any:
        """Note that a piece of code ran."""
        self._note(key, "run")
        return value

    def condition(self, key: Key, value: Any) -> Any:
        """Note the truth value of a condition; None is none, as in ``steps.append(h) or h``."""
        if value is not None:
            self._note(key, "true" if value else "false")
        return value

    def truth(self, key: Key, value: Any) -> Any:
        """Note the truth values in a value, if it holds any."""
        if isinstance(value, bool | np.bool_ | np.ndarray) and np.asarray(value).dtype == bool:
            if np.any(value):
                self._note(key, "true")
            if not np.all(value):
                self._note(key, "false")
        return value

    def choice(self, key: Key, function: Callable[..., Any], *given: Any) -> Any:
        """Note which operands a minimum, a maximum or a clipping takes."""
        value = function(*given)
        own = getattr(function, "__self__", None)
        operands = [own, *given] if isinstance(own, np.ndarray) else [*given]
        if all(isinstance(n, int) for n in operands) and len({*operands}) == 1:
            for k in range(len(operands)):  # counts of the same things
                self._note(key, str(k))
        elif all(isinstance(n, int | float | np.number | np.ndarray) for n in operands):
            for k, operand in enumerate(operands):
                others = [value != other for j, other in enumerate(operands) if j != k]
                alone = np.logical_and.reduce(np.broadcast_arrays(value == operand, *others))
                if np.any(alone) or np.any(np.isinf(operand)):
                    self._note(key, str(k))
        return value

    def part(self, key: Key, value: Any, *bounds: Any) -> Any:
        """Note whether a slice leaves something out, keeps something, and of how many entries."""
        kept = value[slice(*bounds)]
        if hasattr(value, "__len__") and not isinstance(value, tuple):
            self._note(key, f"of {len(value)}")
            if len(kept) < len(value):
                self._note(key, "less")
            if len(kept) > 0:
                self._note(key, "some")
        return kept

    def unproved(self, functions: Iterable[FunctionType]) -> list[dict[str, Any]]:
        """Return the pieces of code of functions of which something was never seen."""
        keys = {key for function in functions for key in self._keys(function.__code__)}
        found = []
        for key in sorted(keys, key=lambda key: (*key[1:4], -key[4], -key[5])):
            code, expected = self.expected[key]
            seen = self.seen.get(key, set())
            missing = [one for one in expected if one not in seen]
            if "some" in expected and sum(one.startswith("of ") for one in seen) < 2:
                continue  # always as many
            if missing and (seen or expected == ["run"]):
                found.append({"line": key[2], "code": code, "never": missing[0]})
        return found

    def _keys(self, code: CodeType) -> list[Key]:
        """Return the keys in a function that ran, and in those that it defines."""
        keys = [const for const in code.co_consts if isinstance(const, tuple)]
        keys = [key for key in keys if key in self.expected]
        if any(not self.expected[key][1] and key not in self.seen for key in keys):
            return []  # a function that was never called
        inside = [const for const in code.co_consts if isinstance(const, CodeType)]
        return keys + [key for nested in inside for key in self._keys(nested)]


class _Noting(ast.NodeTransformer):
    """Make the code of a file note what it does."""

    def __init__(self, notes: Notes, file: str, source: str) -> None:
        self.notes = notes
        self.file = file
        self.source = source
        self.options: set[str] = set()  # of the function that is visited

    def _key(self, node: Any, *expected: str) -> ast.Constant:
        start = self.file, node.lineno, node.col_offset
        key: Any = expected == ("run",), *start, node.end_lineno or 0, node.end_col_offset or 0
        code = " ".join((ast.get_source_segment(self.source, node) or "").split())
        short = code if len(code) <= LONGEST else f"{code[:LONGEST]} ..."
        self.notes.expected.setdefault(key, (short, [*expected]))
        return ast.Constant(key)

    def _noted(self, method: str, node: Any, expected: Iterable[str], *given: Any) -> ast.Call:
        own = ast.Attribute(ast.Name(NAME, ast.Load()), method, ast.Load())
        call = ast.Call(own, [self._key(node, *expected), *given], [])
        return ast.fix_missing_locations(ast.copy_location(call, node))

    def _condition(self, node: Any, *branches: Any) -> Any:
        """Note a condition, unless it is a check or one of its branches ends in ``raise``."""
        raises = any(branch and isinstance(branch[-1], ast.Raise) for branch in branches)
        if raises or isinstance(node, ast.Constant) or self._is_a_check(node):
            return node
        return self._noted("condition", node, ("true", "false"), self.visit(node))

    def _block(self, block: list[Any], shown: Any, *expected: str) -> None:
        """Note at the beginning of a block that it ran."""
        docstring = isinstance(block[0], ast.Expr) and isinstance(block[0].value, ast.Constant)
        note = ast.Expr(self._noted("ran", shown, expected))
        block.insert(int(docstring), ast.copy_location(note, shown))

    def _is_a_check(self, node: ast.expr) -> bool:
        """Return True for a question whether an argument is None, of which type, or an option."""
        if isinstance(node, ast.UnaryOp):
            return self._is_a_check(node.operand)
        if isinstance(node, ast.Name):
            return node.id in self.options
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if any(isinstance(side, ast.Constant) and side.value is None for side in sides):
                return True
            return all(isinstance(s, ast.Constant) or self._is_a_check(s) for s in sides)
        if isinstance(node, ast.Call):
            return isinstance(node.func, ast.Name) and node.func.id in CHECKS
        return False

    # --- statements ---

    def visit_Module(self, node: Any) -> Any:
        self.options = _settings(node)
        return self.generic_visit(node)

    def visit_If(self, node: Any) -> Any:
        test = self._condition(node.test, node.body, node.orelse)
        node.test = ast.Constant(True)  # it is visited already
        self.generic_visit(node)
        node.test = test
        return node

    visit_While = visit_If

    def visit_For(self, node: Any) -> Any:
        self.generic_visit(node)
        self._block(node.body, node.body[0], "run")
        return node

    def visit_ExceptHandler(self, node: Any) -> Any:
        raises = isinstance(node.body[-1], ast.Raise)
        self.generic_visit(node)
        if not raises:
            self._block(node.body, node.body[0], "run")
        return node

    visit_match_case = visit_ExceptHandler

    def visit_FunctionDef(self, node: Any) -> Any:
        outside = self.options
        self.options = outside | _options(node)
        self.generic_visit(node)
        self.options = outside
        self._block(node.body, node)
        return node

    def visit_Assert(self, node: Any) -> Any:
        return node

    visit_Raise = visit_JoinedStr = visit_Assert

    # --- expressions ---

    def visit_Lambda(self, node: Any) -> Any:
        self.generic_visit(node)
        node.body = self._noted("ran", node, (), node.body)
        return node

    def visit_IfExp(self, node: Any) -> Any:
        node.test = self._condition(node.test)
        node.body, node.orelse = self.visit(node.body), self.visit(node.orelse)
        return node

    def visit_BoolOp(self, node: Any) -> Any:
        conditions = [self._condition(value) for value in node.values[:-1]]
        node.values = [*conditions, self.visit(node.values[-1])]
        return node

    def visit_comprehension(self, node: Any) -> Any:
        tests = node.ifs
        node.ifs = []  # they are visited below
        self.generic_visit(node)
        node.ifs = [*map(self._condition, tests)]
        return node

    def visit_ListComp(self, node: Any) -> Any:
        self.generic_visit(node)
        node.elt = self._noted("ran", node, ("run",), node.elt)
        return node

    visit_GeneratorExp = visit_SetComp = visit_ListComp

    def visit_BinOp(self, node: Any) -> Any:
        self.generic_visit(node)
        if not isinstance(node.op, ast.BitAnd | ast.BitOr):
            return node
        return self._noted("truth", node, ("true", "false"), node)

    def visit_Compare(self, node: Any) -> Any:
        if self._is_a_check(node):
            return node
        return self._noted("truth", node, ("true", "false"), self.generic_visit(node))

    def visit_Call(self, node: Any) -> Any:
        if self._is_a_check(node):
            return node
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        name = node.func.id if isinstance(node.func, ast.Name) else name
        plain = not node.keywords and not any(isinstance(a, ast.Starred) for a in node.args)
        several = len(node.args) > 1 and plain
        self.generic_visit(node)
        if name in CHOOSING and several:
            operands = [str(k) for k in range(len(node.args))]
            return self._noted("choice", node, operands, node.func, *node.args)
        return self._noted("truth", node, ("true", "false"), node)

    def visit_Subscript(self, node: Any) -> Any:
        bounds = node.slice
        self.generic_visit(node)
        if not isinstance(node.ctx, ast.Load) or not isinstance(bounds, ast.Slice):
            return node
        given = [bounds.lower, bounds.upper, bounds.step]
        if not any(_is_a_number(bound) for bound in given[:2]):
            return node
        return self._noted(
            "part", node, ("less", "some"), node.value, *(b or ast.Constant(None) for b in given)
        )


def _options(function: ast.FunctionDef) -> set[str]:
    """Return the arguments that have a plain value by default and are never changed."""
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(positional) - len(given.defaults)) + given.defaults
    pairs = [*zip(positional, defaults, strict=True)]
    pairs += [*zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    options = {argument.arg for argument, value in pairs if isinstance(value, ast.Constant)}
    names = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
    return options - {name.id for name in names if not isinstance(name.ctx, ast.Load)}


def _settings(module: ast.Module) -> set[str]:
    """Return the names that hold True or False, and are assigned once."""
    assigned = [node for node in ast.walk(module) if isinstance(node, ast.Assign)]
    names = [target.id for a in assigned for target in a.targets if isinstance(target, ast.Name)]
    return {
        target.id
        for a in module.body
        if isinstance(a, ast.Assign) and isinstance(a.value, ast.Constant)
        for target in a.targets
        if isinstance(target, ast.Name)
        and isinstance(a.value.value, bool)
        and names.count(target.id) == 1
    }


def _is_a_number(bound: ast.expr | None) -> bool:
    """Return True for a bound of a slice that is written as a number other than 0."""
    number = bound.operand if isinstance(bound, ast.UnaryOp) else bound
    return isinstance(number, ast.Constant) and bool(number.value)


# --- functions ------------------------------------------------------------------------------------


@contextlib.contextmanager
def noted(functions: Iterable[FunctionType]) -> Iterator[Notes]:
    """Note what functions do while this lasts."""
    notes = Notes()
    own = []
    try:
        for function in functions:
            code = _noting(notes, function.__code__)
            if code is not None:
                own.append((function, function.__code__))
                function.__code__ = code
                function.__globals__[NAME] = notes
        yield notes
    finally:
        for function, code in own:
            function.__code__ = code
            function.__globals__.pop(NAME, None)


def _noting(notes: Notes, code: CodeType) -> CodeType | None:
    """Return the code of a function that notes what it does, or None if its source is not known."""
    source = "".join(linecache.getlines(code.co_filename))
    options = {"flags": code.co_flags & FUTURE, "dont_inherit": True}
    try:
        tree = ast.parse(source)
        plain = compile(tree, code.co_filename, "exec", **options)
        noting = _Noting(notes, code.co_filename, source).visit(tree)
        added = compile(ast.fix_missing_locations(noting), code.co_filename, "exec", **options)
    except (SyntaxError, ValueError):  # such as a file that was changed meanwhile
        return None
    pairs = zip(_codes_in(plain), _codes_in(added), strict=True)
    return next((new for old, new in pairs if old == code), None)


def _codes_in(code: CodeType) -> Iterator[CodeType]:
    """Yield a piece of code, and all that it holds."""
    yield code
    for part in code.co_consts:
        if isinstance(part, CodeType):
            yield from _codes_in(part)
