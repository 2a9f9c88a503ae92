"""A function with one line exchanged, hundreds of times: the mistakes that its lines invite.

They are derived from the lines of the function (`numpylstm.laboratory.doctor.source`): there is no
list of mistakes, every line is exchanged in every way that is known here.
"""

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, permutations
from typing import Any

import numpy as np

from numpylstm.laboratory.doctor.source import (
    SIZES,
    Array,
    Line,
    Shapes,
    Text,
    mentions,
    step_call,
    substituted,
)

Edit = tuple[str, str]  # a new text, and what is wrong with it


@dataclass(frozen=True)
class Variant:
    """A function with one line exchanged; `words` say what is wrong with it."""

    line: Line
    words: str
    function: Callable[..., Any]


@cache
def variants(text: Text, line: Line) -> tuple[Variant, ...]:
    """The function with a line exchanged, in all the ways that are known here."""
    seen, found = {f"{line.target} {line.sign} {line.expression}".strip()}, []
    for wrong, words in _line_edits(line, text.shapes, text.gates):
        if wrong not in seen:
            seen.add(wrong)
            found.append(Variant(line, words, text.exchanged((line, wrong))))
    return tuple(found)


@cache
def clipped(text: Text, line: Line) -> tuple[Variant, ...]:
    """The function with a line clipped at its global ``limit``: by entry, and by norm."""
    ways = {"_clipped": "each entry by itself", "_shortened": "by its own norm"}
    return tuple(
        Variant(line, f"it is clipped here, {words}", text.exchanged(
            (line, f"{line.target} {line.sign} {way}({line.expression}, limit)")))
        for way, words in ways.items() if line.sign
    )  # fmt: skip


@cache
def without_tanh(text: Text) -> tuple[Variant, ...]:
    """The function with the cell for its tanh, and a slope of 1, in every line."""
    found = []
    for name in text.shapes:
        inner, slope = f"cache.{name.removeprefix('tanh_')}", f" * (1 - {name} * {name})"
        readers = [line for line in text.lines if mentions(line.expression, name)]
        if name.startswith("tanh_") and inner in text.shapes and readers:
            new = [(line, f"{line.target} {line.sign} "
                    + substituted(line.expression.replace(slope, ""), {name: inner}))
                   for line in readers]  # fmt: skip
            words = f"the tanh of {name.removeprefix('tanh_')} is forgotten, and its derivative"
            found.append(Variant(readers[0], words, text.exchanged(*new)))
    return tuple(found)


@cache
def of_own_step(text: Text) -> tuple[Variant, ...]:
    """A loop that computes a result again, without what comes back from later steps."""
    loops = [line for line in text.lines if line.carried]
    call = next(filter(None, map(step_call, ast.walk(ast.parse(text.source)))), None)
    if not loops or call is None:
        return ()
    targets, name, arguments = call
    alone = {carried: f"0 * {carried}" for carried in loops[0].carried}
    own = {line.target: substituted(line.expression, alone) for line in text.lines}
    given = ", ".join(own.get(argument, argument) for argument in arguments)
    found = []
    for line in text.lines:
        if line.target.endswith("[t]") and line.expression in targets:
            again = f"{name}({given})[{targets.index(line.expression)}]"
            last = f"t < len({line.target.removesuffix('[t]')}) - 1"
            for new in (again, f"{again} if {last} else {line.expression}"):
                wrong = text.exchanged((line, f"{line.target} = {new}"))
                words = "it leaves out what comes back from later steps"
                found.append(Variant(line, words, wrong))
    return tuple(found)


# --- edits of a line -----------------------------------------------------------------------------


def _line_edits(line: Line, shapes: Shapes, gates: Sequence[str]) -> Iterator[Edit]:
    """New texts of a line, with what is wrong with them."""
    right, n = line.expression, max(len(gates), 1)
    if line.target.startswith("for "):
        yield from ((f"{line.target} {e}:", words) for e, words in _of_steps(right))
        return
    if right.startswith("np.add.at("):
        array, index, value = right.removeprefix("np.add.at(").removesuffix(")").split(", ")
        for step, which in ((-1, "last"), (0, "first")):
            one = f"np.add.at({array}, {index}[{step}], {value}[{step}])"
            yield one, f"the {which} step alone is added"
        by_step = f"for t in range(len({index})): {array}[{index}[t]] += {value}[t]"
        for new, sign in (
            (f"{array}[{index}] += {value}", "+= on rows"),
            (by_step, "+= on the rows of a step"),
            (f"{array}[{index}] = {value}", "="),
        ):
            words = "where an index occurs twice, both gradients must be added"
            yield new, f"{words}: {sign} keeps only the last of them"
        return
    if call := step_call(ast.parse(f"{line.target} = {right}").body[0]):
        yield from _of_call(line.target, *call[1:], shapes)
        return
    for expression, words in _expression_edits(right, shapes, gates):
        yield f"{line.target} {line.sign} {expression}", words
    if line.sign == "=" and line.target in shapes:
        for name, shape in shapes.items():
            row = f"{name}[t]" if shape[1:] == shapes[line.target] else name
            if shape == shapes[line.target] or (row != name and line.indent > " " * 4):
                yield f"{line.target} = {right} + {row}", f"{row} is added, and should not be"
            if shape == shapes[line.target]:
                words = f"it is multiplied with {name}, and should not be"
                yield f"{line.target} = ({right}) * {name}", words
    if line.sign == "+=":
        yield f"{line.target} = {right}", "it is overwritten where it must be added to"
        yield f"{line.target} -= {right}", "the sign is wrong"
        for k, gate in enumerate(gates):
            kept = f"_without({line.target}, {n}, {k})"
            words = f"it is overwritten where it must be added to, in gate {gate}"
            yield f"{line.target} = {kept} + {right}", words
    if line.target.endswith("_") and line.indent > " " * 4:  # an argument of a step
        long = next((name for name, shape in shapes.items() if len(shape) == 3), "")
        for name, shape in shapes.items():
            if long and len(shape) == 2 and mentions(right, name):
                wrong = substituted(right, {name: f"({name} * (t == len({long}) - 1))"})
                words = f"{name} is ignored at every step but the last"
                yield f"{line.target} = {wrong}", words
    if "[t]" in line.target:
        earlier = line.target.replace("[t]", "[t - 1]")
        yield f"{earlier} {line.sign} {right}", "it is written one step early"
    if right.startswith("np.split("):
        for order, one, other in _exchanges(line.target.strip("()").split(", ")):
            yield f"{order} = {right}", f"the blocks of {one} and {other} are exchanged"


def _exchanges(names: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """The names with two of them exchanged, and which two."""
    for j, k in combinations(range(len(names)), 2):
        order = list(names)
        order[j], order[k] = names[k], names[j]
        yield ", ".join(order), names[j], names[k]


def _expression_edits(right: str, shapes: Shapes, gates: Sequence[str]) -> Iterator[Edit]:
    n = max(len(gates), 1)
    root = ast.parse(right, mode="eval")
    inside = []
    for holder, key, node in _slots(root):
        for text, words in _edits(node, shapes, n):
            _set(holder, key, ast.parse(text, mode="eval").body)
            inside.append((ast.unparse(root), words))
        _set(holder, key, node)
    yield from inside
    for name, shape in shapes.items():
        if right.count(name) > 1 and mentions(right, name):
            for other in shapes:
                if other != name and shapes[other] == shape:
                    yield substituted(right, {name: other}), f"it takes {other} for {name}"
            for f in ("sigmoid", "np.tanh"):
                words = f"the {f.removeprefix('np.')} of {name} stands for {name}"
                yield substituted(right, {name: f"{f}({name})"}), words
    for letter, axes in (("B", 2), ("T", 3)):
        sized = [name for name, s in shapes.items() if s[:1] == (SIZES[letter],) and len(s) == axes]
        if sized:
            yield f"({right}) / len({sized[0]})", f"it is divided by {letter}"
            yield f"({right}) * len({sized[0]})", f"it is multiplied by {letter}"
    if n == 1:
        return
    yield f"_each_transposed({right}, {n})", "each gate's block is transposed"
    packed = [name for name, shape in shapes.items()
              if shape[-1:] == (n * SIZES["H"],) and mentions(right, name)]  # fmt: skip
    for name in packed:
        yield from _gate_edits(name, right, gates)
        if len(shapes[name]) == 2 and shapes[name][0] == SIZES["B"]:
            for wrong, words in inside:
                if mentions(wrong, name):  # the mistake is in one gate's columns only
                    for k, gate in enumerate(gates):
                        bad = substituted(wrong, {name: f"_only({name}, {n}, {k})"})
                        good = substituted(right, {name: f"_without({name}, {n}, {k})"})
                        yield f"{bad} + {good}", f"{words}, in gate {gate}"


def _gate_edits(name: str, right: str, gates: Sequence[str]) -> Iterator[Edit]:
    """Columns of one gate left out, or taken for those of another."""
    n = len(gates)
    new = {}
    for j, k in permutations(range(n), 2):
        order = [j if block == k else block for block in range(n)]
        words = f"the columns of {gates[j]} in {name} stand for those of {gates[k]}"
        new[words] = f"_reordered({name}, {order})"
    for order_text, one, other in _exchanges([str(block) for block in range(n)]):
        words = f"the columns of {gates[int(one)]} and {gates[int(other)]} in {name} are exchanged"
        new[words] = f"_reordered({name}, [{order_text}])"
    for k, gate in enumerate(gates):
        without, only = f"_without({name}, {n}, {k})", f"_only({name}, {n}, {k})"
        new[f"what comes from gate {gate} is missing"] = without
        new[f"the sign of gate {gate} is wrong"] = f"({without} - {only})"
    yield from ((substituted(right, {name: text}), words) for words, text in new.items())


def _of_call(target: str, name: str, given: list[str], shapes: Shapes) -> Iterator[Edit]:
    for order, one, other in _exchanges(given):
        if shapes.get(one) == shapes.get(other):
            yield f"{target} = {name}({order})", f"{one[:-1]} and {other[:-1]} are exchanged"
    for argument in given:
        if mentions(target, argument[:-1]):  # dh, and the argument dh_
            kept, call = argument[:-1], f"{target} = {name}({', '.join(given)})"
            yield (
                f"{call}; {kept} = {argument}",
                f"{kept} is not replaced by that of the step before",
            )
            yield f"later = {kept}; {call}; {kept} = {kept} + later", f"{kept} is added to itself"


def _of_steps(right: str) -> Iterator[Edit]:
    if right.startswith("reversed(range("):
        count = right.removeprefix("reversed(range(").removesuffix("))")
        yield f"range({count})", "the steps are taken forwards, not from the last to the first"
        yield f"reversed(range(1, {count}))", "the first step is left out"
        yield f"reversed(range({count} - 1))", "the last step is left out"
    else:
        yield f"{right}[1:]", "the first step is left out"
        yield f"{right}[::-1]", "the steps are taken from the last to the first"


def _edits(node: ast.expr, shapes: Shapes, n: int) -> Iterator[Edit]:
    """What may stand for a part of an expression by mistake."""
    text = ast.unparse(node)
    match node:
        case ast.BinOp(left, op, right):
            yield from _of_slope(node)
            yield from _of_operation(ast.unparse(left), op, ast.unparse(right))
        case ast.List(parts):
            for order, one, other in _exchanges([ast.unparse(part) for part in parts]):
                yield f"[{order}]", f"{one} and {other} are exchanged"
        case ast.Attribute(value, "T"):
            name = ast.unparse(value)
            yield f"_untransposed({name}, {n})", f"{name} is not transposed"
        case ast.Call(ast.Attribute(value, "sum"), _, keywords):
            options = ", ".join(ast.unparse(keyword) for keyword in keywords)
            yield f"{ast.unparse(value)}.mean({options})", "a mean stands for the sum"
        case ast.Call(ast.Attribute(value, "mean"), [], []):
            yield f"{ast.unparse(value)}.sum()", "a sum stands for the mean"
        case ast.Call(ast.Attribute(ast.Name("np"), "sqrt" | "log" | "exp"), [argument]):
            name = ast.unparse(node.func).removeprefix("np.")
            yield ast.unparse(argument), f"{name} is missing"
            if name == "log":
                yield f"np.log2({ast.unparse(argument)})", "the logarithm has the base 2"
                yield f"np.log10({ast.unparse(argument)})", "the logarithm has the base 10"
            if name == "exp":
                yield f"np.exp(-({ast.unparse(argument)}))", "the sign in the exponent is wrong"
        case ast.Call(ast.Attribute(ast.Name("np"), "minimum"), [bound, argument]):
            words = f"the minimum with {ast.unparse(bound)} is missing, so what is short grows"
            yield ast.unparse(argument), words
        case ast.Call(ast.Name("sigmoid") | ast.Attribute(ast.Name("np"), "tanh"), [argument]):
            name = ast.unparse(node.func).removeprefix("np.")
            other = "np.tanh" if name == "sigmoid" else "sigmoid"
            yield ast.unparse(argument), f"{name} is missing"
            yield f"{other}({ast.unparse(argument)})", f"{other} stands for {name}"
        case ast.Subscript(value, ast.Name(t)):
            name = ast.unparse(value)
            yield f"{name}[{t} - 1]", f"{name} is taken one step early"
            yield f"{name}[{t} + 1 - len({name})]", f"{name} is taken one step late"
            yield f"{name}[-1]", f"{name} is that of the last step, at every step"
            yield f"{name} * 0", f"{name} is ignored"
    if text in shapes:
        yield from _of_name(text, shapes)


def _of_operation(left: str, op: ast.operator, right: str) -> Iterator[Edit]:
    match op:
        case ast.Mult():
            yield left, f"the factor {right} is missing"
            yield right, f"the factor {left} is missing"
            yield f"{left} + {right}", f"{left} and {right} are added, not multiplied"
        case ast.Div():
            yield left, f"the division by {right} is missing"
            yield f"{right} / {left}", "the quotient is upside down"
        case ast.Add() | ast.Sub():
            plus = isinstance(op, ast.Add)
            yield left, f"the term {right} is missing"
            yield right, f"the term {left} is missing"
            yield f"{left} {'-' if plus else '+'} ({right})", f"the sign of {right} is wrong"
            yield f"{right} - ({left})", f"the sign of {left if plus else 'both terms'} is wrong"
            yield f"({left}) * ({right})", f"{left} and {right} are multiplied, not added"
            if factors := _first_factor(right):
                one, rest = factors
                words = f"{one} is in brackets with {left}"
                yield f"({left} {'+' if plus else '-'} {one}) * {rest}", words
        case ast.MatMult():
            yield f"({left} @ {right}).T", "the product is transposed"


def _first_factor(product: str) -> tuple[str, str] | None:
    """``dh * o`` and ``(1 - y * y)`` for their product; None for what is none."""
    match ast.parse(product, mode="eval").body:
        case ast.BinOp(left, ast.Mult(), right):
            return ast.unparse(left), f"({ast.unparse(right)})"
    return None


def _of_slope(node: ast.BinOp) -> Iterator[Edit]:
    """The sigmoid's slope ``y * (1 - y)`` for that of tanh, ``1 - y * y``, and the other way."""
    match node:
        case ast.BinOp(ast.Constant(1), ast.Sub(), ast.BinOp(ast.Name(y), ast.Mult(), ast.Name(z))):
            if y == z:
                yield f"{y} * (1 - {y})", "the slope of the sigmoid stands for that of tanh"
                yield f"(1 - {y}) * (1 - {y})", f"1 - {y} is squared where {y} must be"
        case ast.BinOp(
            ast.BinOp(rest, ast.Mult(), ast.Name(y)),
            ast.Mult(),
            ast.BinOp(ast.Constant(1), ast.Sub(), ast.Name(z)),
        ):
            if y == z:
                words = "the slope of tanh stands for that of the sigmoid"
                yield f"{ast.unparse(rest)} * (1 - {y} * {y})", words
        case ast.BinOp(ast.Name(y), ast.Mult(), ast.BinOp(ast.Constant(1), ast.Sub(), ast.Name(z))):
            if y == z:
                yield f"1 - {y} * {y}", "the slope of tanh stands for that of the sigmoid"
        case ast.BinOp(ast.Constant(1), ast.Div(), ast.BinOp(right=ast.Call(args=[exponent]))):
            inner = ast.unparse(exponent).removeprefix("-")
            yield f"np.tanh({inner})", "tanh stands for the sigmoid"


def _of_name(name: str, shapes: Shapes) -> Iterator[Edit]:
    shape = shapes[name]
    for other in shapes:
        if other != name and shapes[other] == shape:
            yield other, f"it takes {other} for {name}"
    yield f"(2 * {name})", f"{name} is counted twice"
    yield f"(-{name})", f"the sign of {name} is wrong"
    yield f"(0 * {name})", f"{name} is ignored"
    yield f"({name} * {name})", f"{name} is squared"
    yield f"(1 - {name})", f"1 - {name} stands for {name}"
    yield f"sigmoid({name})", f"the sigmoid of {name} stands for {name}"
    yield f"np.tanh({name})", f"the tanh of {name} stands for {name}"
    yield f"np.arctanh({name})", f"{name} is taken before its tanh"
    yield f"np.log({name} / (1 - {name}))", f"{name} is taken before its sigmoid"
    if len(shape) == 2 and shape[0] == shape[1]:
        yield f"{name}.T", f"{name} is transposed"
    if len(shape) == 2 and shape[0] == SIZES["T"] * SIZES["B"]:  # time and batch in one axis
        long = next(other for other in shapes if len(shapes[other]) == 3)
        yield f"_last_step({name}, {long})", "the last step alone is counted"
        yield f"_first_sequence({name}, {long})", "the first sequence alone is counted"


# --- places in an expression ---------------------------------------------------------------------


def _slots(root: ast.AST) -> list[tuple[Any, Any, ast.expr]]:
    """Where the parts of an expression stand: (holder, key, part)."""
    found: list[tuple[Any, Any, ast.expr]] = []
    for node in ast.walk(root):
        for key, value in ast.iter_fields(node):
            if isinstance(value, list):
                found += [(value, j, v) for j, v in enumerate(value) if isinstance(v, ast.expr)]
            elif isinstance(value, ast.expr) and key != "func":
                found.append((node, key, value))
    return found


def _set(holder: Any, key: Any, node: ast.AST) -> None:
    if isinstance(holder, list):
        holder[key] = node
    else:
        setattr(holder, key, node)


# --- what the new lines call: the columns of gates, block by block, and clips --------------------


def _without(W: Array, n: int, *left_out: int) -> Array:
    blocks = [0 * W if k in left_out else W for k, W in enumerate(np.split(W, n, axis=-1))]
    return np.concatenate(blocks, axis=-1)


def _only(W: Array, n: int, kept: int) -> Array:
    return _without(W, n, *(k for k in range(n) if k != kept))


def _reordered(W: Array, order: Sequence[int]) -> Array:
    blocks = np.split(W, len(order), axis=-1)
    return np.concatenate([blocks[k] for k in order], axis=-1)


def _untransposed(W: Array, n: int) -> Array:
    """What stands for ``W.T`` where no gate's own matrix is transposed."""
    if W.shape[0] == W.shape[1]:  # that of one gate
        return W
    return np.concatenate(np.split(W, n, axis=1), axis=0)


def _each_transposed(W: Array, n: int) -> Array:
    return np.concatenate([block.T for block in np.split(W, n, axis=1)], axis=1)


def _last_step(rows: Array, long: Array) -> Array:
    return rows * (np.arange(len(rows)) // len(long[0]) == len(long) - 1)[:, None]


def _first_sequence(rows: Array, long: Array) -> Array:
    return rows * (np.arange(len(rows)) % len(long[0]) == 0)[:, None]


def _clipped(a: Array, limit: float) -> Array:
    return np.clip(a, -limit, limit)


def _shortened(a: Array, limit: float) -> Array:
    return a * min(1, limit / np.sqrt(np.sum(a * a)))


HELPERS = {
    f.__name__: f
    for f in (
        _without,
        _only,
        _reordered,
        _untransposed,
        _each_transposed,
        _last_step,
        _first_sequence,
        _clipped,
        _shortened,
    )
}
