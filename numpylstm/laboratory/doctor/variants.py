"""Variants of a function: likely mistakes, hundreds of them, nearly all of one line.

They are derived from the lines of the function (`numpylstm.laboratory.doctor.source`): every line
is replaced in every known way.
"""

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, permutations, product
from types import FunctionType
from typing import Any

from numpylstm.laboratory.doctor.source import (
    SIZES,
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
    """A function with one line replaced; `words` say what is wrong with it."""

    line: Line
    words: str
    function: Callable[..., Any]
    text: str = ""  # the text in place of the line
    within: Text | None = None  # the function whose line it is


@cache
def variants(text: Text) -> tuple[Variant, ...]:
    """Return the function with each line replaced in all known ways, and with longer mistakes."""
    return (*_of_one_line(text), *_without_tanh(text), *_of_own_step(text))


def _of_one_line(text: Text) -> Iterator[Variant]:
    for line in text.lines:
        seen = {line.row(line.expression)}
        for wrong, words in _line_edits(line, text.shapes, text.gates):
            if wrong not in seen:
                seen.add(wrong)
                yield Variant(line, words, text.exchanged((line, wrong)), wrong, text)


def clippings(text: Text, limits: Sequence[float]) -> Iterator[Variant]:
    """Yield the function with a line clipped at one of these limits: by entry, and by norm."""
    ways = {"np.clip({0}, -limit, limit)": "each entry by itself",
            "parts.shortened({0}, limit)": "by its own norm"}  # fmt: skip
    for line, (way, words) in product(text.lines, ways.items()):
        if line.sign:
            f = text.exchanged((line, line.row(way.format(line.expression))))
            for limit in limits:
                function = FunctionType(f.__code__, f.__globals__ | {"limit": limit})
                yield Variant(line, f"it is clipped here, {words}", function)


def _without_tanh(text: Text) -> Iterator[Variant]:
    """Yield the function with the cell in place of its tanh, and a slope of 1, in every line."""
    for name in text.shapes:
        inner, slope = f"cache.{name.removeprefix('tanh_')}", f" * (1 - {name} * {name})"
        readers = [line for line in text.lines if mentions(line.expression, name)]
        if name.startswith("tanh_") and inner in text.shapes and readers:
            new = [(x, x.row(substituted(x.expression.replace(slope, ""), {name: inner})))
                   for x in readers]  # fmt: skip
            words = f"the tanh of {name.removeprefix('tanh_')} is forgotten, and its derivative"
            yield Variant(readers[0], words, text.exchanged(*new))


def _of_own_step(text: Text) -> Iterator[Variant]:
    """Yield loops that compute a result again, without what comes back from later steps."""
    loops = [line for line in text.lines if line.carried]
    call = next(filter(None, map(step_call, ast.walk(ast.parse(text.source)))), None)
    if not loops or call is None:
        return
    targets, name, arguments = call
    alone = {carried: f"0 * {carried}" for carried in loops[0].carried}
    own = {line.target: substituted(line.expression, alone) for line in text.lines}
    given = ", ".join(own.get(argument, argument) for argument in arguments)
    for line in text.lines:
        if line.target.endswith("[t]") and line.expression in targets:
            again = f"{name}({given})[{targets.index(line.expression)}]"
            last = f"t < len({line.target.removesuffix('[t]')}) - 1"
            for new in (again, f"{again} if {last} else {line.expression}"):
                words = "it leaves out the gradient from later steps"
                yield Variant(line, words, text.exchanged((line, line.row(new))))


# --- edits of a line -----------------------------------------------------------------------------


TWICE = "where an index occurs twice, both gradients must be added"
ADDITIONS = (
    ("np.add.at({0}, {1}[-1], {2}[-1])", "the last step alone is added"),
    ("{0}[{1}] += {2}", f"{TWICE}: += on rows keeps only the last of them"),
    ("for t in range(len({1})): {0}[{1}[t]] += {2}[t]",
     f"{TWICE}: += on the rows of a step keeps only the last of them"),
    ("{0}[{1}] = {2}", f"{TWICE}: = keeps only the last of them"),
)  # fmt: skip
"""Mistakes in ``np.add.at(array, index, value)``: the wrong text, and the words."""


def _line_edits(line: Line, shapes: Shapes, gates: Sequence[str]) -> Iterator[Edit]:
    right, n = line.expression, max(len(gates), 1)
    if line.target.startswith("for "):
        back = right.startswith("reversed(")
        order = "forwards, not from the last to the first" if back else "from the last to the first"
        first, last = ("[:-1]", "[1:]") if back else ("[1:]", "[:-1]")
        for part, words in (
            ("[::-1]", f"the steps are taken {order}"),
            (first, "the first step is left out"),
            (last, "the last step is left out"),
        ):
            yield f"{line.target} list({right}){part}:", words
        return
    if right.startswith("np.add.at("):
        given = right.removeprefix("np.add.at(").removesuffix(")").split(", ")
        yield from ((wrong.format(*given), words) for wrong, words in ADDITIONS)
        return
    if call := step_call(ast.parse(f"{line.target} = {right}").body[0]):
        yield from _of_call(line.target, *call[1:], shapes)
        return
    if line.target.startswith("(") and right.endswith("[t]"):
        names = line.target.strip("()").split(", ")
        for order, one, other in _exchanges(names):
            yield f"{order} = {right}", f"{one} and {other} are exchanged"
        for blocks in [*permutations(names[: len(gates)])][1:]:
            order = ", ".join([*blocks, *names[len(gates) :]])
            yield f"{order} = {right}", f"the gates are in the order {', '.join(blocks)}"
    for expression, words in _expression_edits(right, shapes, gates):
        yield line.row(expression), words
    if line.sign == "=" and line.target in shapes:
        for name, shape in shapes.items():
            row = f"{name}[t]" if shape[1:] == shapes[line.target] else name
            if shape == shapes[line.target] or (row != name and line.indent > " " * 4):
                yield f"{line.target} = {right} + {row}", f"{row} is added, and should not be"
            if shape == shapes[line.target]:
                words = f"it is multiplied by {name}, and should not be"
                yield f"{line.target} = ({right}) * {name}", words
    if line.sign == "+=":
        yield f"{line.target} = {right}", "it is overwritten where it must be added to"
        for k, gate in enumerate(gates):
            kept = f"parts.without({line.target}, {n}, {k})"
            words = f"it is overwritten where it must be added to, in gate {gate}"
            yield f"{line.target} = {kept} + {right}", words
    if line.target.endswith("_") and line.indent > " " * 4:  # an argument of a step
        long = next((name for name, shape in shapes.items() if len(shape) == 3), "")
        for name, shape in shapes.items():
            if long and len(shape) == 2 and mentions(right, name):
                wrong = substituted(right, {name: f"({name} * (t == len({long}) - 1))"})
                words = f"{name} is ignored at every step but the last"
                yield f"{line.target} = {wrong}", words
    for place, words in (("[t - 1]", "one step early"), ("[-1 - t]", "in the reverse order")):
        if "[t]" in line.target:
            target = line.target.replace("[t]", place)
            yield f"{target} {line.sign} {right}", f"it is written {words}"


def _exchanges(names: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Yield the names with two of them exchanged, and these two."""
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
            holder[key] = ast.parse(text, mode="eval").body
            inside.append((ast.unparse(root), words))
        holder[key] = node
    yield from inside
    for name, shape in shapes.items():
        if right.count(name) > 1 and mentions(right, name):
            for other in shapes:
                if other != name and shapes[other] == shape:
                    yield substituted(right, {name: other}), f"{other} is used instead of {name}"
            for f in ("sigmoid", "np.tanh"):
                words = f"the {f.removeprefix('np.')} of {name} instead of {name}"
                yield substituted(right, {name: f"{f}({name})"}), words
    for letter, axes in (("B", 2), ("T", 3)):
        sized = [name for name, s in shapes.items() if s[:1] == (SIZES[letter],) and len(s) == axes]
        if sized:
            yield f"({right}) / len({sized[0]})", f"it is divided by {letter}"
            yield f"({right}) * len({sized[0]})", f"it is multiplied by {letter}"
    if n == 1:
        return
    yield f"parts.each_transposed({right}, {n})", "each gate's block is transposed"
    packed = [name for name, shape in shapes.items()
              if shape[-1:] == (n * SIZES["H"],) and mentions(right, name)]  # fmt: skip
    for name in packed:
        yield from _gate_edits(name, right, gates)
        if len(shapes[name]) == 2 and shapes[name][0] == SIZES["B"]:
            for wrong, words in inside:
                if mentions(wrong, name):  # the mistake is in one gate's columns only
                    for k, gate in enumerate(gates):
                        bad = substituted(wrong, {name: f"parts.only({name}, {n}, {k})"})
                        good = substituted(right, {name: f"parts.without({name}, {n}, {k})"})
                        yield f"{bad} + {good}", f"{words}, in gate {gate}"


def _gate_edits(name: str, right: str, gates: Sequence[str]) -> Iterator[Edit]:
    """Yield edits in which the columns of one gate are left out, or taken from another gate."""
    n = len(gates)
    new = {}
    for j, k in permutations(range(n), 2):
        order = [j if block == k else block for block in range(n)]
        words = f"the columns of {gates[j]} in {name} instead of those of {gates[k]}"
        new[words] = f"parts.reordered({name}, {order})"
    for order_text, one, other in _exchanges([str(block) for block in range(n)]):
        words = f"the columns of {gates[int(one)]} and {gates[int(other)]} in {name} are exchanged"
        new[words] = f"parts.reordered({name}, [{order_text}])"
    for k, gate in enumerate(gates):
        without, only = f"parts.without({name}, {n}, {k})", f"parts.only({name}, {n}, {k})"
        new[f"the part from gate {gate} is missing"] = without
        new[f"the sign of gate {gate} is wrong"] = f"({without} - {only})"
    yield from ((substituted(right, {name: text}), words) for words, text in new.items())


def _of_call(target: str, name: str, given: list[str], shapes: Shapes) -> Iterator[Edit]:
    for order, one, other in _exchanges(target.strip("()").split(", ")):
        if one in shapes and shapes[one] == shapes.get(other):
            yield f"{order} = {name}({', '.join(given)})", f"{one} and {other} are exchanged"
    for order, one, other in _exchanges(given):
        if shapes.get(one) == shapes.get(other):
            yield f"{target} = {name}({order})", f"{one[:-1]} and {other[:-1]} are exchanged"
    for argument in given:
        if mentions(target, argument[:-1]):  # dh, and the argument dh_
            kept, call = argument[:-1], f"{target} = {name}({', '.join(given)})"
            words = f"{kept} is not replaced by the result of the step"
            yield f"later = {kept}; {call}; {kept} = later", words
            yield f"{call}; {kept} = {argument}", words
            words = f"the new {kept} is added to the old one"
            yield f"later = {kept}; {call}; {kept} = {kept} + later", words


EDITS = [
    (ast.parse(right, mode="eval").body, wrong, words)
    for right, wrong, words in (
        ("1 - a * a", "a * (1 - a)", "the slope of the sigmoid instead of tanh's"),
        ("1 - a * a", "(1 - a) * (1 - a)", "1 - a is squared where a must be"),
        ("X * a * (1 - a)", "X * (1 - a * a)", "the slope of tanh instead of the sigmoid's"),
        ("a * (1 - a)", "1 - a * a", "the slope of tanh instead of the sigmoid's"),
        ("1 / (1 + np.exp(-X))", "np.tanh(X)", "tanh instead of the sigmoid"),
        ("X * Y", "X", "the factor Y is missing"),
        ("X * Y", "Y", "the factor X is missing"),
        ("X * Y", "X + Y", "X and Y are added, not multiplied"),
        ("X / Y", "X", "the division by Y is missing"),
        ("X / Y", "Y / X", "the quotient is upside down"),
        ("X + Y", "X", "the term Y is missing"),
        ("X + Y", "Y", "the term X is missing"),
        ("X + Y", "X - Y", "the sign of Y is wrong"),
        ("X + Y", "Y - X", "the sign of X is wrong"),
        ("X + Y * Z", "(X + Y) * Z", "Y is in brackets with X"),
        ("X - Y", "X", "the term Y is missing"),
        ("X - Y", "Y", "the term X is missing"),
        ("X - Y", "X + Y", "the sign of Y is wrong"),
        ("X - Y", "Y - X", "the sign of both terms is wrong"),
        ("X - Y * Z", "(X - Y) * Z", "Y is in brackets with X"),
        ("X @ Y", "(X @ Y).T", "the product is transposed"),
        ("X.T", "parts.untransposed(X, N)", "X is not transposed"),
        ("X.sum()", "X.mean()", "a mean instead of the sum"),
        ("X.sum(axis=Y)", "X.mean(axis=Y)", "a mean instead of the sum"),
        ("X.mean()", "X.sum()", "a sum instead of the mean"),
        ("np.log(X)", "np.log2(X)", "the logarithm has the base 2"),
        ("np.exp(X)", "np.exp(-X)", "the sign in the exponent is wrong"),
        ("np.minimum(X, Y)", "Y", "the minimum with X is missing, so short arrays are stretched"),
        ("sigmoid(X)", "np.tanh(X)", "tanh instead of sigmoid"),
        ("np.tanh(X)", "sigmoid(X)", "sigmoid instead of tanh"),
        *(
            (f"{f}(X)", "X", f"{f.removeprefix('np.')} is missing")
            for f in ("np.sqrt", "np.log", "np.exp", "np.tanh", "sigmoid")
        ),
        ("X[t]", "X[t - 1]", "X is taken one step early"),
        ("X[t]", "X[t + 1 - len(X)]", "X is taken one step late"),
        ("X[t]", "X[-1]", "X of the last step is used at every step"),
        ("X[t]", "X[0]", "X of the first step is used at every step"),
        ("X[t]", "X[t + 1] if t + 1 < len(X) else 0 * X[t]", "X is taken one step late"),
        ("X[t - 1]", "X[t]", "X is taken one step late"),
        ("X if t else Y", "X", "Y is not used at the first step"),
        ("X[t - 1][Y] if t else Z", "X[t][Y]", "it is taken from this step, not the one before"),
        ("X[t - 1][4]", "X[t - 1][6]", "it is h of the step before, not c"),
        ("X[t - 1][6]", "X[t - 1][4]", "it is c of the step before, not h"),
        ("X[t - 1][4]", "X[t - 1][5]", "it is tanh_c of the step before, not c"),
        ("a", "2 * a", "a is counted twice"),
        ("a", "-a", "the sign of a is wrong"),
        ("a", "0 * a", "a is ignored"),
        ("a", "a * a", "a is squared"),
        ("a", "1 - a", "1 - a instead of a"),
        ("a", "sigmoid(a)", "the sigmoid of a instead of a"),
        ("a", "np.tanh(a)", "the tanh of a instead of a"),
    )
]
"""Mistakes in a part of a line: the right text, the wrong text, and the words.

``X Y Z`` are any expressions, ``a`` is the name of an array, and ``N`` the number of gates.
"""


def _edits(node: ast.expr, shapes: Shapes, n: int) -> Iterator[Edit]:
    if isinstance(node, ast.List):
        for order, one, other in _exchanges([ast.unparse(part) for part in node.elts]):
            yield f"[{order}]", f"{one} and {other} are exchanged"
    name = ast.unparse(node)
    for other in shapes:
        if other != name and shapes[other] == shapes.get(name):
            yield other, f"{other} is used instead of {name}"
    for right, wrong, words in EDITS:
        found = {"N": str(n)}
        if _matches(right, node, shapes, found):
            yield substituted(wrong, found), " ".join(found.get(w, w) for w in words.split(" "))
    shape = shapes.get(name, ())
    for other in shapes:
        if len(shapes[other]) == 3 and shapes[other][1:] == shape:
            yield f"{other}[-1]", f"{other} of the last step is used instead of {name}"
    if len(shape) == 2 and shape[0] == shape[1]:
        yield f"{name}.T", f"{name} is transposed"
    if len(shape) == 2 and shape[0] == SIZES["T"] * SIZES["B"]:  # time and batch in one axis
        long = next(other for other in shapes if len(shapes[other]) == 3)
        yield f"parts.last_step({name}, {long})", "the last step alone is counted"
        yield f"parts.first_sequence({name}, {long})", "the first sequence alone is counted"


def _matches(pattern: Any, node: Any, shapes: Shapes, found: dict[str, str]) -> bool:
    """Compare syntax trees; record in `found` which text each letter of the pattern stands for."""
    if isinstance(pattern, list):
        return isinstance(node, list) and len(pattern) == len(node) and all(
            _matches(p, q, shapes, found) for p, q in zip(pattern, node, strict=True)
        )  # fmt: skip
    if isinstance(pattern, ast.Name) and pattern.id in ("X", "Y", "Z", "a"):
        text = ast.unparse(node)
        return found.setdefault(pattern.id, text) == text and (pattern.id != "a" or text in shapes)
    if type(pattern) is not type(node) or not isinstance(pattern, ast.AST):
        return bool(pattern == node)
    return all(
        _matches(value, getattr(node, key), shapes, found)
        for key, value in ast.iter_fields(pattern)
    )


def _slots(root: ast.AST) -> list[tuple[Any, Any, ast.expr]]:
    """Return the places of the parts of an expression: ``holder[key]`` is the part."""
    found: list[tuple[Any, Any, ast.expr]] = []
    for node in ast.walk(root):
        for key, value in ast.iter_fields(node):
            if isinstance(value, list):
                found += [(value, j, v) for j, v in enumerate(value) if isinstance(v, ast.expr)]
            elif isinstance(value, ast.expr) and key != "func":
                found.append((vars(node), key, value))
    return found
