"""A function as simple lines, one assignment each, read from its syntax tree.

A line holds the names and the shapes of its results and can be exchanged for another one, a
mistake of `numpylstm.laboratory.doctor.variants`. Statements that are not understood (another
loop, a `with`) stay as they are and are never exchanged.
"""

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import FunctionType
from typing import Any

import numpy as np

from numpylstm.laboratory.doctor import parts

Shapes = Mapping[str, tuple[int, ...]]

SIZES = {"T": 2, "B": 3, "D": 4, "H": 5, "V": 7}
"""Sizes of the arguments with which a function is traced: all different, so shapes tell roles."""


@dataclass(frozen=True)
class Line:
    """``da_f = df * f * (1 - f)``, at its place in a function."""

    number: int
    indent: str
    target: str
    sign: str  # "=", "+=", or "" for a loop and for numpy.add.at
    expression: str
    carried: tuple[str, ...] = ()  # by a loop, from step to step

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its results, without the suffix of a step: dWx for dWx_t."""
        if self.carried:
            return self.carried
        nodes = ast.walk(ast.parse(self.target.removeprefix("for ").removesuffix(" in")))
        parts = [node.id for node in nodes if isinstance(node, ast.Name)]
        return tuple(dict.fromkeys(re.sub(r"_t?$", "", part) for part in parts if part != "t"))

    def row(self, expression: str) -> str:
        """Return the text of the line with another expression."""
        return f"{self.target} {self.sign} {expression}" if self.sign else expression

    def __str__(self) -> str:
        return re.sub(r"(?<=\w)_(?!\w)", "", self.row(self.expression))


def mentions(text: str, name: str) -> bool:
    """Return True if a name stands in a text by itself and not as a field."""
    return re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", text) is not None


def substituted(text: str, new: Mapping[str, str]) -> str:
    """Return an expression with names, such as ``h`` or ``cache.h``, replaced by expressions."""

    class Substitution(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            if isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) in new:
                return ast.parse(new[ast.unparse(node)], mode="eval").body
            return self.generic_visit(node)

    return ast.unparse(Substitution().visit(ast.parse(text, mode="eval")))


# --- to simple lines -----------------------------------------------------------------------------


def _simple(
    body: list[ast.stmt], known: Mapping[str, Any], result: Sequence[str]
) -> list[ast.stmt]:
    """Return statements of one assignment each, one for each argument of a step and each result."""
    simple: list[ast.stmt] = []
    for statement in body:
        match statement:
            case ast.For() | ast.If():
                statement.body = _simple(statement.body, known, result)
                statement.orelse = _simple(statement.orelse, known, result)
            case ast.Assign([ast.Tuple(targets)], ast.Tuple(values)):
                simple += [ast.Assign([t], v) for t, v in zip(targets, values, strict=True)]
                continue
            case ast.Assign([ast.Tuple(targets)], ast.Call(ast.Name(name), arguments)) if (
                inspect.isfunction(known.get(name))
            ):
                parameters = inspect.signature(known[name]).parameters
                for j, parameter in enumerate(list(parameters)[: len(arguments)]):
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
                if not any(isinstance(part, ast.Starred) for part in values):
                    for j, name in enumerate(result[: len(values)]):
                        if not isinstance(values[j], ast.Name):
                            simple.append(_assigned(name, values[j]))
                            values[j] = ast.Name(name, ast.Load())
                    statement.value = value if isinstance(value, ast.Tuple) else values[0]
        simple.append(statement)
    return simple


def _assigned(name: str, value: ast.expr) -> ast.Assign:
    return ast.Assign([ast.Name(name, ast.Store())], value)


class _Inlined(ast.NodeTransformer):
    """Inliner: ``activation_derivative(h, activation)`` becomes ``1 - h * h`` for "tanh"."""

    def __init__(self, known: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        self.known, self.options = known, options

    def visit_Call(self, node: ast.Call) -> ast.AST:
        function, given = self.known.get(ast.unparse(node.func)), [*map(ast.unparse, node.args)]
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
    return ast.unparse(tree)


# --- lines ---------------------------------------------------------------------------------------


def step_call(statement: ast.AST) -> tuple[list[str], str, list[str]] | None:
    """Return targets, name and arguments of a call whose arguments are all names ending in "_"."""
    match statement:
        case ast.Assign([ast.Tuple(targets)], ast.Call(ast.Name(name), arguments)):
            given = [ast.unparse(argument) for argument in arguments]
            if all(text.endswith("_") for text in given):
                return [ast.unparse(target) for target in targets], name, given
    return None


def _lines(body: Sequence[ast.stmt]) -> Iterator[Line]:
    for statement in body:
        number, indent = statement.lineno - 1, " " * statement.col_offset
        match statement:
            case ast.For(target, steps, inner):
                targets, _, given = next(filter(None, map(step_call, inner)), ([], "", []))
                read = " ".join(ast.unparse(s.value) for s in inner if isinstance(s, ast.Assign)
                                and ast.unparse(s.targets[0]) in given)  # fmt: skip
                carried = tuple(name for name in targets if mentions(read, name))
                head = f"for {ast.unparse(target)} in"
                yield Line(number, indent, head, "", ast.unparse(steps), carried)
                yield from _lines(inner)
            case ast.If(_, inner, other):
                yield from _lines([*inner, *other])
            case ast.Expr(ast.Call(function, arguments)) if ast.unparse(function) == "np.add.at":
                yield Line(number, indent, ast.unparse(arguments[0]), "", ast.unparse(statement))
            case ast.AugAssign(target, ast.Add(), value):
                yield Line(number, indent, ast.unparse(target), "+=", ast.unparse(value))
            case ast.Assign([target], value) if _computes(statement, target, value):
                yield Line(number, indent, ast.unparse(target), "=", ast.unparse(value))


def _computes(statement: ast.stmt, target: ast.expr, value: ast.expr) -> bool:
    """Return False for an assignment that makes room, keeps or renames, and computes nothing."""
    made = ast.unparse(value.func) if isinstance(value, ast.Call) else ""
    if isinstance(target, ast.Tuple):
        unpacked = made == "np.split" or isinstance(value, ast.Subscript)
        return unpacked or step_call(statement) is not None
    room = made.endswith("Cache") or (made.startswith("np.") and made.endswith("_like"))
    return not room and not ast.unparse(target).endswith("_next")


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
    gates: tuple[str, ...]

    @cached_property
    def lines(self) -> list[Line]:
        """The lines that compute with arrays."""
        definition: Any = ast.parse(self.source).body[0]
        lines = _lines(definition.body)
        return [x for x in lines if any(mentions(x.expression, name) for name in self.shapes)]

    def exchanged(self, *new: tuple[Line, str]) -> Callable[..., Any]:
        """Return the function with other texts in place of lines."""
        rows = self.source.splitlines()
        for line, text in new:
            rows[line.number] = line.indent + text
        return _compiled("\n".join(rows), self.known)


def read(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    gates: Sequence[str] = (),
    result: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    returns: Sequence[str] = (),
) -> Text:
    """Read a function of plain NumPy as simple lines.

    It is run once with `arguments` of the sizes `SIZES`: the shapes tell which arrays are alike.
    `gates` names the blocks of columns, and `result` the results, if the return statement is
    more than names. `options` are arguments that choose between formulas, like an activation: the
    chosen formula replaces the choice. `returns` names intermediate values to return instead.
    """
    known = {**vars(inspect.getmodule(function)), "parts": parts}
    definition = _definition(function)
    _Inlined(known, options or {}).visit(definition)
    definition.body = _simple(definition.body, known, result)
    stored = {node.id for node in ast.walk(definition)
              if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}  # fmt: skip
    for parameter in definition.args.args:
        if parameter.arg in stored:  # dc_next is the incoming dc
            kept = _assigned(f"{parameter.arg}_next", ast.Name(parameter.arg, ast.Load()))
            definition.body.insert(0, kept)
    source = ast.unparse(ast.fix_missing_locations(definition))
    if returns:
        source = _returning(source, f"({', '.join(returns)},)")
    values = _compiled(_returning(source, "locals()"), known)(*arguments)
    values |= {
        f"{name}.{field}": part for name, cache in values.items() if hasattr(cache, "_asdict")
        for field, part in cache._asdict().items() if field not in values
    }  # fmt: skip
    shapes = {n: v.shape for n, v in values.items() if isinstance(v, np.ndarray) and n != "_"}
    return Text(source, known, shapes, tuple(gates))
