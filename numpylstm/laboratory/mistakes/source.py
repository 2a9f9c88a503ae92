"""A function of the textbook as lines: its results, each with its expression and its place.

The text is what `ast.unparse` gives, so that every statement is one row. A line can be exchanged
for another one; statements that are not understood (a `with`, another loop) are never exchanged.
"""

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Any

import numpy as np

from numpylstm.laboratory.mistakes import parts

Shapes = Mapping[str, tuple[int, ...]]
Change = tuple[str, str]
"""A piece of a text that occurs in it once, and what stands in its place."""

SIZES = {"T": 2, "B": 3, "D": 4, "H": 5, "V": 7}
"""Sizes of the arguments with which a function is traced: all different, so shapes tell roles."""


@dataclass(frozen=True)
class Line:
    """``da_f = df * f * (1 - f)``, or an argument of a step: ``dh = dhs[t] + dh``.

    `kind` is "value", "part" (one of several values, or an argument), "sum" (``+=``), "scatter"
    (``np.add.at``), "loop", "call" (of another function of the textbook), or "store" (a call again,
    for ``dx[t]`` among its results). The rules for each kind are in `rules`.
    """

    kind: str
    target: str
    expression: str
    names: tuple[str, ...]  # of the results, without the suffix of a step: dWx for dWx_t
    row: str  # of the text, with its indentation
    columns: slice  # of the row: the part that is exchanged

    def stated(self, expression: str) -> str:
        """Return the text of the line with another expression."""
        if self.kind in ("loop", "scatter", "store"):
            return expression
        return f"{self.target} {'+=' if self.kind == 'sum' else '='} {expression}"

    def put(self, expression: str) -> str:
        """Return what stands in the place of the line with another expression."""
        return expression if self.kind == "part" else self.stated(expression)

    def change(self, new: str) -> Change:
        """Return the change of the text that puts something in the place of the line."""
        row = self.row[: self.columns.start] + new + self.row[self.columns.stop :]
        return f"\n{self.row}\n", f"\n{row}\n"

    def __str__(self) -> str:
        if self.kind == "store":
            return f"{self.target} = {self.names[0]}_t"
        return self.stated(self.expression)


@dataclass(frozen=True, eq=False)
class Text:
    """A function as lines, with the shapes of its arrays."""

    name: str
    source: str
    scope: dict[str, Any]
    shapes: Shapes
    gates: tuple[str, ...]
    lines: list[Line]

    def changed(self, *changes: Change) -> Callable[..., Any]:
        """Return the function with changes."""
        return _changed(self, changes)


@lru_cache(maxsize=20_000)
def _changed(text: Text, changes: tuple[Change, ...]) -> Callable[..., Any]:
    return _compiled(exchanged(text.source, changes), text.scope)


def exchanged(source: str, changes: Sequence[Change]) -> str:
    """Return a text with changes; a ValueError names a piece that is not there once."""
    for right, wrong in changes:
        if source.count(right) != 1:
            raise ValueError(
                f"{right.strip()!r} must occur once, got {source.count(right)} times; the function "
                "has changed, so the mistake must too"
            )
        source = source.replace(right, wrong)
    return source


def combined(one: Change, other: Change) -> tuple[Change, ...]:
    """Return two changes; if they change one row, as one change of it."""
    if one[0] != other[0]:
        return one, other
    row = one[0]
    edits = [
        (start, stop, wrong[first:last])
        for wrong in (one[1], other[1])
        for _, start, stop, first, last in SequenceMatcher(None, row, wrong).get_opcodes()
        if row[start:stop] != wrong[first:last]
    ]
    for start, stop, new in sorted(edits, reverse=True):
        row = row[:start] + new + row[stop:]
    return ((one[0], row),)


def mentions(text: str, name: str) -> bool:
    """Return True if a name stands in a text by itself and not as a field."""
    return re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", text) is not None


def substituted(text: str, new: Mapping[str, str]) -> str:
    """Return an expression with names, such as ``h`` or ``cache.h``, replaced by expressions."""
    names = "|".join(map(re.escape, new))
    replaced = re.sub(rf"(?<![\w.])({names})(?!\w)", lambda found: f"({new[found[0]]})", text)
    return ast.unparse(ast.parse(replaced, mode="eval"))


def _compiled(source: str, scope: dict[str, Any]) -> Callable[..., Any]:
    found: dict[str, Any] = {}
    exec(compile(source, "<mistake>", "exec"), scope, found)
    (function,) = found.values()
    return function


# --- reading a function --------------------------------------------------------------------------


def read(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    gates: Sequence[str] = (),
    result: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    returns: Sequence[str] = (),
) -> Text:
    """Read a function of plain NumPy as lines.

    It is run once with `arguments` of the sizes `SIZES`: the shapes tell which arrays are alike.
    `gates` names the blocks of columns, and `result` the results, if the return statement is
    more than names. `options` are arguments that choose between formulas, like an activation: the
    chosen formula replaces the choice. `returns` names intermediate values to return instead.
    """
    scope = {"sigmoid": parts.sigmoid} | vars(inspect.getmodule(function)) | {"parts": parts}
    definition = _definition(function)
    _Inlined(scope, options or {}).visit(definition)
    stored = {
        node.id
        for node in ast.walk(definition)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    definition.body[:0] = [
        ast.parse(f"{a.arg}_next = {a.arg}").body[0]  # dc_next is the incoming dc
        for a in definition.args.args
        if a.arg in stored
    ]
    source = ast.unparse(ast.fix_missing_locations(definition)) + "\n"
    if returns:
        source = _returning(source, f"({', '.join(returns)},)")
    values = _compiled(_returning(source, "locals()"), scope)(*arguments)
    values |= {
        f"{name}.{field}": part
        for name, cache in values.items()
        if hasattr(cache, "_asdict")
        for field, part in cache._asdict().items()
        if field not in values
    }
    shapes = {n: v.shape for n, v in values.items() if isinstance(v, np.ndarray) and n != "_"}
    listed = {a.arg for a in definition.args.args if isinstance(values.get(a.arg), list)}
    numbers = {*shapes, *listed, *(n for n, v in values.items() if isinstance(v, np.floating))}
    body: Any = ast.parse(source).body[0]
    lines = [
        line
        for line in _lines(body.body, source.splitlines(), scope, result)
        if line.kind == "store" or any(mentions(line.expression, name) for name in numbers)
    ]
    return Text(definition.name, source, scope, shapes, tuple(gates), lines)


def _definition(function: Callable[..., Any]) -> Any:
    """Return the syntax tree of a function of a module, without docstring."""
    definition: Any = ast.parse(inspect.getsource(function)).body[0]
    if ast.get_docstring(definition) is not None:
        del definition.body[0]
    return definition


def _returning(source: str, expression: str) -> str:
    """Return the function with another expression in its return statements."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Return):
            node.value = ast.parse(expression, mode="eval").body
    return ast.unparse(tree) + "\n"


class _Inlined(ast.NodeTransformer):
    """Inliner: ``activation_derivative(h, activation)`` becomes ``1 - h * h`` for "tanh"."""

    def __init__(self, scope: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        self.scope, self.options = scope, options

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Replace the call of a function of one return statement that an option chooses."""
        function = self.scope.get(ast.unparse(node.func))
        given = [ast.unparse(argument) for argument in node.args]
        if not inspect.isfunction(function) or self.options.keys().isdisjoint(given):
            return node
        called = _definition(function)
        self.visit(called)
        match called.body:
            case [ast.Return(value), *_] if value is not None:
                new = dict(zip((a.arg for a in called.args.args), given, strict=True))
                return ast.parse(substituted(ast.unparse(value), new), mode="eval").body
        return node

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        """Keep the branch that an option chooses."""
        self.generic_visit(node)
        match node.test:
            case ast.Compare(ast.Name(name), [ast.Eq()], [ast.Constant(value)]) if (
                name in self.options
            ):
                return node.body if value == self.options[name] else node.orelse
        return node


def _lines(
    body: Sequence[ast.stmt], rows: Sequence[str], scope: Mapping[str, Any], result: Sequence[str]
) -> Iterator[Line]:
    for statement in body:
        row = rows[statement.lineno - 1]

        def line(
            kind: str, target: str, value: ast.AST, place: Any, names: Any = (), row: str = row
        ) -> Line:
            columns = slice(place.col_offset, place.end_col_offset)
            named = tuple(names) or _names(target)
            return Line(kind, target, ast.unparse(value), named, row, columns)

        match statement:
            case ast.For(_, steps, inner):
                inside = list(_lines(inner, rows, scope, result))
                carried = [
                    name
                    for call in inside
                    if call.kind == "call"
                    for name in call.names
                    if mentions(call.expression, name)
                ]
                yield line("loop", "", steps, steps, carried)
                yield from inside
            case ast.If(_, inner, other):
                yield from _lines([*inner, *other], rows, scope, result)
            case ast.Expr(ast.Call(function, [first, *_]) as call) if (
                ast.unparse(function) == "np.add.at"
            ):
                yield line("scatter", ast.unparse(first), call, statement)
            case ast.AugAssign(target, ast.Add(), value):
                yield line("sum", ast.unparse(target), value, statement)
            case ast.Return(value) if value is not None:
                values = value.elts if isinstance(value, ast.Tuple) else [value]
                for name, part in zip(result, values, strict=False):
                    if not isinstance(part, ast.Name):
                        yield line("part", name, part, part)
            case ast.Assign([ast.Tuple(targets)], ast.Tuple(values)):
                for part, value in zip(targets, values, strict=True):
                    yield line("part", ast.unparse(part), value, value)
            case ast.Assign([ast.Tuple(targets)], ast.Call(ast.Name(name), arguments) as call) if (
                inspect.isfunction(scope.get(name))
            ):
                parameters = inspect.signature(scope[name]).parameters
                for parameter, argument in zip(parameters, arguments, strict=False):
                    if not ast.unparse(argument).partition("(")[0].endswith("Cache"):
                        yield line("part", parameter, argument, argument)
                for part in targets:
                    if isinstance(part, ast.Subscript):
                        yield line("store", ast.unparse(part), statement, statement)
                yield line("call", ", ".join(map(ast.unparse, targets)), call, statement)
            case ast.Assign([target], value) if _computes(target, value):
                yield line("value", ast.unparse(target), value, statement)


def _names(target: str) -> tuple[str, ...]:
    """Return the names of the results of a line."""
    nodes = ast.walk(ast.parse(target))
    names = [node.id for node in nodes if isinstance(node, ast.Name) and node.id != "t"]
    return tuple(dict.fromkeys(re.sub(r"_t?$", "", name) for name in names))


def _computes(target: ast.expr, value: ast.expr) -> bool:
    """Return False for an assignment that makes room, keeps or renames, and computes nothing."""
    made = ast.unparse(value.func) if isinstance(value, ast.Call) else ""
    if isinstance(target, ast.Tuple):
        return made == "np.split" or isinstance(value, ast.Subscript)
    room = made.endswith("Cache") or re.fullmatch(r"np\.(zeros|\w+_like)", made)
    return not room and not ast.unparse(target).endswith("_next")
