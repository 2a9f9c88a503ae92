"""A function as simple lines, one assignment each, by its syntax tree.

A line knows the names and the shapes of what it computes, and can be exchanged for another: by a
mistake in `numpylstm.laboratory.doctor.variants`.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Shapes = Mapping[str, tuple[int, ...]]

SIZES = {"T": 2, "B": 3, "D": 4, "H": 5, "V": 7}
"""Of the arguments with which a function is followed: all different, so that shapes tell roles."""


@dataclass(frozen=True)
class Line:
    """``da_f = df * f * (1 - f)``, at its place in a function."""

    number: int
    indent: str
    target: str
    sign: str  # "=", "+=", or "" for a line that is an expression
    expression: str
    carried: tuple[str, ...] = ()  # by a loop, from step to step

    @property
    def names(self) -> tuple[str, ...]:
        """What the line computes, without the marks of a step: dWx_t is a dWx."""
        if self.carried:
            return self.carried
        parts = re.findall(r"[A-Za-z]\w*(?=,|\)|\[|$|\s)", self.target)
        return tuple(dict.fromkeys(re.sub(r"_t?$", "", part) for part in parts if part != "t"))

    def __str__(self) -> str:
        text = self.expression
        if self.sign:
            text = f"{self.target} {self.sign} {text}"
        return re.sub(r"(?<=\w)_(?!\w)", "", text)


def _simple(
    body: list[ast.stmt], known: Mapping[str, Any], result: Sequence[str]
) -> list[ast.stmt]:
    """Statements of one assignment each: an argument of a step, or a result, gets its own."""
    simple: list[ast.stmt] = []
    for statement in body:
        match statement:
            case ast.For() | ast.If():
                statement.body = _simple(statement.body, known, result)
            case ast.Assign([ast.Tuple(targets)], ast.Tuple(values)):
                simple += [ast.Assign([t], v) for t, v in zip(targets, values, strict=True)]
                continue
            case ast.Assign([ast.Tuple(targets)], ast.Call(ast.Name(name), arguments)) if (
                inspect.isfunction(known.get(name))
            ):
                for j, parameter in enumerate(list(inspect.signature(known[name]).parameters)):
                    if j < len(arguments):
                        simple.append(_assigned(f"{parameter}_", arguments[j]))
                        arguments[j] = ast.Name(f"{parameter}_", ast.Load())
                simple.append(statement)
                for j, target in enumerate(targets):
                    if isinstance(target, ast.Subscript):
                        part = f"{ast.unparse(target.value)}_t"
                        simple.append(ast.Assign([target], ast.Name(part, ast.Load())))
                        targets[j] = ast.Name(part, ast.Store())
                continue
            case ast.Return(value) if value is not None and result:
                values = value.elts if isinstance(value, ast.Tuple) else [value]
                if any(isinstance(part, ast.Starred) for part in values):
                    values = []
                for j, name in enumerate(result[: len(values)]):
                    if not isinstance(values[j], ast.Name):
                        simple.append(_assigned(name, values[j]))
                        values[j] = ast.Name(name, ast.Load())
                if values and not isinstance(value, ast.Tuple):
                    statement.value = values[0]
        simple.append(statement)
    return simple


def _assigned(name: str, value: ast.expr) -> ast.Assign:
    return ast.Assign([ast.Name(name, ast.Store())], value)


class _Inlined(ast.NodeTransformer):
    """``activation_derivative(h, activation)`` becomes ``1 - h * h`` where activation is "tanh"."""

    def __init__(self, known: Mapping[str, Any], options: Mapping[str, str]) -> None:
        self.known, self.options = known, options

    def visit_Call(self, node: ast.Call) -> ast.AST:
        chosen = [a for a in node.args if isinstance(a, ast.Name) and a.id in self.options]
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if not chosen or not inspect.isfunction(self.known.get(name)):
            return node
        called = _definition(self.known[name])
        given = dict(zip((a.arg for a in called.args.args), node.args, strict=True))
        for branch in called.body:
            match branch:
                case ast.If(ast.Compare(comparators=[ast.Constant(value)]), [ast.Return(result)]):
                    if value == self.options[chosen[0].id] and result is not None:
                        text = ast.unparse(result)
                        for parameter, argument in given.items():
                            text = pattern_of(parameter).sub(ast.unparse(argument), text)
                        return ast.parse(text, mode="eval").body
        return node

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        """Of the branches between which an option chooses, the chosen one stays."""
        self.generic_visit(node)
        match node.test:
            case ast.Compare(ast.Name(name), [ast.Eq()], [ast.Constant(value)]) if (
                name in self.options
            ):
                return node.body if value == self.options[name] else node.orelse
        return node


def _definition(function: Callable[..., Any]) -> ast.FunctionDef:
    """The tree of a function, without docstring."""
    definition = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    if not isinstance(definition, ast.FunctionDef):
        raise TypeError(f"variants: {function} must be a plain function")
    if ast.get_docstring(definition) is not None:
        del definition.body[0]
    return definition


def _source(
    function: Callable[..., Any],
    known: Mapping[str, Any],
    result: Sequence[str],
    options: Mapping[str, str],
) -> str:
    """The function as simple lines, without docstring; ``dc_next`` is dc as it came in."""
    definition = _definition(function)
    _Inlined(known, options).visit(definition)
    definition.body = _simple(definition.body, known, result)
    stored = {node.id for node in ast.walk(definition)
              if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}  # fmt: skip
    for parameter in definition.args.args:
        if parameter.arg in stored:
            kept = _assigned(f"{parameter.arg}_next", ast.Name(parameter.arg, ast.Load()))
            definition.body.insert(0, kept)
    return ast.unparse(ast.fix_missing_locations(definition))


CALL = re.compile(r"(.*, .*) = (\w+)\((\w+_(?:, \w+_)*)\)")  # of a step, with its own arguments


def _lines(source: str) -> Iterator[Line]:
    for number, text in enumerate(source.splitlines()[1:], start=1):
        indent, text = re.match(r"(\s*)(.*)", text).groups()  # type: ignore[union-attr]
        if text.startswith("for "):
            target, _, steps = text[4:-1].partition(" in ")
            rows = [row.strip() for row in source.splitlines()[number:]]
            call = next((row for row in rows if CALL.fullmatch(row)), "")
            given = " ".join(row.partition(" = ")[2] for row in rows[: rows.index(call)] if call)
            carried = re.findall(r"\w+", call.partition(" = ")[0])
            carried = [name for name in carried if mentions(given, name)]
            yield Line(number, indent, f"for {target} in", "", steps, tuple(carried))
        elif text.startswith("np.add.at("):
            yield Line(number, indent, text[len("np.add.at(") :].split(",")[0], "", text)
        elif match := re.match(r"([^=]*?) (=|\+=) (.*)", text):
            target, _, right = match.groups()
            unpacked = "," in target and not right.startswith("np.split")
            unpacked = (unpacked and not CALL.fullmatch(text)) or right == "cache"
            made = re.match(r"\w*Cache\(|np\.\w+_like\(", right)
            if not (unpacked or made or target.endswith("_next")):
                yield Line(number, indent, target, match[2], right)


def _shapes(source: str, known: Mapping[str, Any], arguments: Sequence[Any]) -> Shapes:
    """The shapes of all arrays in the function, also of the fields of a cache."""
    followed = re.sub(r"^(\s*)return .*$", r"\1return locals()", source, flags=re.M)
    values = _compiled(followed, known)(*arguments)
    fields = {f"{name}.{field}": value for name, cache in values.items()
              if hasattr(cache, "_asdict") for field, value in cache._asdict().items()
              if field not in values}  # fmt: skip
    return {name: value.shape for name, value in {**values, **fields}.items()
            if isinstance(value, np.ndarray) and name != "_"}  # fmt: skip


def _compiled(source: str, known: Mapping[str, Any]) -> FunctionType:
    scope: dict[str, Any] = {}
    exec(compile(source, "<variant>", "exec"), known, scope)  # type: ignore[arg-type]
    (function,) = scope.values()
    return function


@dataclass(frozen=True, eq=False)
class Text:
    """A function as simple lines, with the shapes of its arrays."""

    source: str
    known: dict[str, Any]
    shapes: Shapes
    fields: Shapes  # of the cache, the last argument, where there is one
    gates: tuple[str, ...]

    @property
    def lines(self) -> list[Line]:
        """The lines that compute with arrays."""
        lines = _lines(self.source)
        return [x for x in lines if any(mentions(x.expression, name) for name in self.shapes)]

    def run(self, *arguments: Any) -> Any:
        """What the function gives as it stands."""
        return _compiled(self.source, self.known)(*arguments)

    def exchanged(self, line: Line, text: str) -> Callable[..., Any]:
        """The function with another text in place of a line."""
        rows = self.source.splitlines()
        rows[line.number] = line.indent + text
        return _compiled("\n".join(rows), self.known)


def read(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    gates: Sequence[str] = (),
    result: Sequence[str] = (),
    options: Mapping[str, str] | None = None,
    returns: Sequence[str] = (),
    helpers: Mapping[str, Callable[..., Any]] | None = None,
) -> Text:
    """A function as simple lines.

    Parameters
    ----------
    function : function
        Plain NumPy.
    arguments : sequence
        Of the sizes `SIZES`: the function is run once, and the shapes tell what can stand for what.
    gates : sequence of str
        Names of the blocks of columns.
    result : sequence of str
        Names of what it returns, where the return statement is more than names.
    options : dict of name -> str
        Arguments that choose between formulas, like an activation: the chosen formula is written
        where the choice is made.
    returns : sequence of str
        Names of what is to be returned instead: values on the way.
    helpers : dict of name -> function, optional
        What a line that is put in place of another may call.
    """
    known = dict(vars(inspect.getmodule(function))) | dict(helpers or {})
    source = _source(function, known, result, options or {})
    if returns:
        source = re.sub(
            r"^(\s*)return .*$", rf"\1return ({', '.join(returns)},)", source, flags=re.M
        )
    kept = arguments[-1]._asdict() if hasattr(arguments[-1], "_asdict") else {}
    fields = {field: value.shape for field, value in kept.items() if hasattr(value, "shape")}
    return Text(source, known, _shapes(source, known, arguments), fields, tuple(gates))


def mentions(text: str, name: str) -> bool:
    """Whether a name stands in a text, by itself and not as a field."""
    return pattern_of(name).search(text) is not None


def pattern_of(name: str) -> re.Pattern[str]:
    """What matches a name where it stands by itself."""
    return re.compile(rf"(?<![\w.]){re.escape(name)}(?!\w)")
