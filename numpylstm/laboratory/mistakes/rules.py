"""Rules that generate mistakes: likely wrong forms of a line, hundreds for each function.

A rule is a function that takes a line and its text, and yields edits: a wrong form, and words for
what is wrong with it. The rules in `OF_EXPRESSIONS` yield wrong expressions, those in
`OF_STATEMENTS` whole statements. Most mistakes need no rule of their own: they are rows of
`PATTERNS`.
"""

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import combinations, permutations, product
from typing import Any, NamedTuple

from numpylstm.laboratory.mistakes.record import Mistake, enumeration
from numpylstm.laboratory.mistakes.source import SIZES, Line, Shapes, Text, mentions, substituted


class Edit(NamedTuple):
    """A wrong expression or statement, what is wrong with it, and the kind of `Mistake`."""

    wrong: str
    words: str
    kind: str = ""
    about: str = ""


def generated(text: Text) -> Iterator[Mistake]:
    """Yield a text with each line wrong in all ways that the rules know, each once."""
    for line in text.lines:
        seen = {line.put(line.expression)}
        edits = [edit for rule in OF_STATEMENTS.get(line.kind, ()) for edit in rule(line, text)]
        if line.kind in COMPUTES:
            for rule in OF_EXPRESSIONS:
                edits += [edit._replace(wrong=line.put(edit.wrong)) for edit in rule(line, text)]
        for wrong, words, kind, about in edits:
            if wrong not in seen:
                seen.add(wrong)
                yield Mistake(text.name, (line.change(wrong),), words, line, kind, about)


LIMITS = (0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
"""Usual limits of clipping."""


def clippings(text: Text) -> Iterator[Mistake]:
    """Yield a text with a line clipped, entry by entry, at a usual limit."""
    for line, limit in product(text.lines, LIMITS):
        if line.kind in COMPUTES:
            wrong = line.put(f"np.clip({line.expression}, -{limit!r}, {limit!r})")
            yield Mistake(text.name, (line.change(wrong),), "it is clipped here", line)


# --- a part of an expression ---------------------------------------------------------------------


class Pattern(NamedTuple):
    """A part of a line: the right text, the wrong text, the words, and the kind of `Mistake`."""

    right: str
    wrong: str
    words: str
    kind: str = ""
    about: str = ""


PATTERNS = [
    Pattern("1 - a * a", "a * (1 - a)", "the slope of the sigmoid instead of tanh's", "curve"),
    Pattern("1 - a * a", "(1 - a) * (1 - a)", "1 - a is squared where a must be", "curve"),
    Pattern("X * a * (1 - a)", "X * (1 - a * a)", "the slope of tanh instead of the sigmoid's",
            "curve"),
    Pattern("a * (1 - a)", "1 - a * a", "the slope of tanh instead of the sigmoid's", "curve"),
    Pattern("1 / (1 + np.exp(-X))", "np.tanh(X)", "tanh instead of the sigmoid", "curve"),
    Pattern("ds * h_prev", "da_n * (h_prev @ Wh_n)",
            "it is that of a GRU that resets after the product, as PyTorch's"),
    Pattern("np.sqrt(sum((g * g).sum() for g in X))", "sum(np.sqrt((g * g).sum()) for g in X)",
            "the norms of the arrays are added, where their squares must be"),
    Pattern("np.sqrt(sum((g * g).sum() for g in X))", "max(np.sqrt((g * g).sum()) for g in X)",
            "it is the largest norm of an array, not the norm of all of them together"),
    Pattern("1 - X", "X", "X instead of 1 - X"),
    Pattern("X * Y", "X", "the factor Y is missing"),
    Pattern("X * Y", "Y", "the factor X is missing"),
    Pattern("X * Y", "X + Y", "X and Y are added, not multiplied", "form"),
    Pattern("X / Y", "X", "the division by Y is missing"),
    Pattern("X / Y", "Y / X", "the quotient is upside down"),
    Pattern("X + Y", "X", "the term Y is missing", "lost", "Y"),
    Pattern("X + Y", "Y", "the term X is missing", "lost", "X"),
    Pattern("X + Y", "X - Y", "the sign of Y is wrong"),
    Pattern("X + Y", "Y - X", "the sign of X is wrong"),
    Pattern("X + Y * Z", "(X + Y) * Z", "Y is in brackets with X"),
    Pattern("X - Y", "X", "the term Y is missing"),
    Pattern("X - Y", "Y", "the term X is missing"),
    Pattern("X - Y", "X + Y", "the sign of Y is wrong"),
    Pattern("X - Y", "Y - X", "the sign of both terms is wrong"),
    Pattern("X @ Y", "(X @ Y).T", "the product is transposed"),
    Pattern("X.T", "parts.untransposed(X, N)", "X is not transposed"),
    Pattern("X.sum()", "X.mean()", "a mean instead of the sum"),
    Pattern("X.sum(axis=Y)", "X.mean(axis=Y)", "a mean instead of the sum"),
    Pattern("X.mean()", "X.sum()", "a sum instead of the mean"),
    Pattern("np.log(X)", "np.log2(X)", "the logarithm has the base 2"),
    Pattern("np.exp(X)", "np.exp(-X)", "the sign in the exponent is wrong"),
    Pattern("np.minimum(X, Y)", "Y",
            "the minimum with X is missing, so short arrays are stretched"),
    Pattern("sigmoid(X)", "np.tanh(X)", "tanh instead of sigmoid", "curve"),
    Pattern("np.tanh(X)", "sigmoid(X)", "sigmoid instead of tanh", "curve"),
    *(
        Pattern(f"{f}(X)", "X", f"{f.removeprefix('np.')} is missing")
        for f in ("np.sqrt", "np.log", "np.exp", "np.tanh", "sigmoid")
    ),
    *(
        Pattern("cache.coefficients[..., None]", f"1 / {size}", "the weights are ignored")
        for size in ("1", "len(cache.targets)", "len(cache.targets[0])", "cache.targets.size")
    ),
    Pattern("X[t]", "X[t - 1]", "X is taken one step early"),
    Pattern("X[t]", "X[t + 1 - len(X)]", "X is taken one step late"),
    Pattern("X[t]", "X[-1]", "X of the last step is used at every step"),
    Pattern("X[t]", "X[0]", "X of the first step is used at every step"),
    Pattern("X[t]", "X[t + 1] if t + 1 < len(X) else 0 * X[t]", "X is taken one step late"),
    Pattern("X[t]", "X[t] * (t == len(X) - 1)", "X is used at the last step alone"),
    Pattern("X[t - 1]", "X[t]", "X is taken one step late"),
    Pattern("h_prev[t]", "h[t - 1]", "at the first step it is h[-1], the state after the last one"),
    Pattern("X if t else Y", "X", "Y is not used at the first step"),
    Pattern("X[t - 1][Y] if t else Z", "X[t][Y]", "it is taken from this step, not the one before"),
    Pattern("X[t - 1][4]", "X[t - 1][6]", "it is h of the step before, not c"),
    Pattern("X[t - 1][6]", "X[t - 1][4]", "it is c of the step before, not h"),
    Pattern("a", "2 * a", "a is counted twice"),
    Pattern("a", "-a", "the sign of a is wrong", "sign"),
    Pattern("a", "0 * a", "a is ignored", "lost", "a"),
    Pattern("a", "a * a", "a is squared", "form"),
    Pattern("a", "1 - a", "1 - a instead of a", "form"),
    Pattern("a", "sigmoid(a)", "the sigmoid of a instead of a", "form"),
    Pattern("a", "np.tanh(a)", "the tanh of a instead of a", "form"),
]  # fmt: skip
"""Mistakes in a part of a line: the right text, the wrong text, and the words.

``X Y Z`` are any expressions, ``a`` is the name of an array, and ``N`` the number of gates.
"""


def parts_of_expression(line: Line, text: Text) -> Iterator[Edit]:
    """``dc * g`` to ``dc``: one part of the expression is wrong."""
    right = line.expression
    for node in ast.walk(ast.parse(right, mode="eval")):
        if isinstance(node, ast.expr):
            before, after = right[: node.col_offset], right[node.end_col_offset :]
            for edit in _of_part(node, text):
                text_of_line = f"{before}({edit.wrong}){after}"
                yield edit._replace(wrong=ast.unparse(ast.parse(text_of_line, mode="eval")))


def _of_part(node: ast.expr, text: Text) -> Iterator[Edit]:
    name, shapes = ast.unparse(node), text.shapes
    shape = shapes.get(name, ())
    for other in shapes:
        if other != name and shapes[other] == shapes.get(name):
            yield Edit(other, f"{other} is used instead of {name}", "name", other)
    for pattern in PATTERNS:
        found = {"N": str(max(len(text.gates), 1))}
        if _matches(_expression(pattern.right), node, shapes, found):
            said = "".join(found.get(word, word) for word in re.split(r"\b", pattern.words))
            wrong, about = substituted(pattern.wrong, found), found.get(pattern.about, "")
            yield Edit(wrong, said, pattern.kind, about)
    if len(shape) == 2 and shape[0] == shape[1]:
        yield Edit(f"{name}.T", f"{name} is transposed")
    if len(shape) == 2 and shape[0] == SIZES["T"] * SIZES["B"]:  # time and batch in one axis
        long = next(other for other in shapes if len(shapes[other]) == 3)
        yield Edit(f"parts.last_step({name}, {long})", "the last step alone is counted")


@cache
def _expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _matches(pattern: Any, node: Any, shapes: Shapes, found: dict[str, str]) -> bool:
    """Compare syntax trees; record in `found` which text each letter of the pattern stands for."""
    if isinstance(pattern, ast.Name) and pattern.id in ("X", "Y", "Z", "a"):
        text = ast.unparse(node)
        return found.setdefault(pattern.id, text) == text and (pattern.id != "a" or text in shapes)
    if type(pattern) is not type(node):
        return False
    if isinstance(pattern, list):
        pairs = zip(pattern, node, strict=False)
        return len(pattern) == len(node) and all(_matches(p, q, shapes, found) for p, q in pairs)
    if isinstance(pattern, ast.AST):
        fields = ast.iter_fields(pattern)
        return all(_matches(part, getattr(node, key), shapes, found) for key, part in fields)
    return bool(pattern == node)


# --- a whole expression --------------------------------------------------------------------------


def another_name_everywhere(line: Line, text: Text) -> Iterator[Edit]:
    """``f * (1 - f)`` to ``i * (1 - i)``."""
    right, shapes = line.expression, text.shapes
    for name in shapes:
        if right.count(name) > 1 and mentions(right, name):
            for other in shapes:
                if other != name and shapes[other] == shapes[name]:
                    words = f"{other} is used instead of {name}"
                    yield Edit(substituted(right, {name: other}), words, "name", other)
            for f in ("sigmoid", "np.tanh"):
                words = f"the {f.removeprefix('np.')} of {name} instead of {name}"
                yield Edit(substituted(right, {name: f"{f}({name})"}), words, "curve")


def times_a_size(line: Line, text: Text) -> Iterator[Edit]:
    """``x.T @ da`` to ``(x.T @ da) / len(x)``."""
    for letter, axes in (("B", 2), ("T", 3)):
        sized = [n for n, s in text.shapes.items() if s[:1] == (SIZES[letter],) and len(s) == axes]
        for name in sized[:1]:
            for operator, words in (("/", "divided"), ("*", "multiplied")):
                wrong = f"({line.expression}) {operator} len({name})"
                yield Edit(wrong, f"it is {words} by {letter}", "size")


def blocks_in_another_order(line: Line, text: Text) -> Iterator[Edit]:
    """``[da_i, da_f, da_g, da_o]`` to ``[da_i, da_o, da_f, da_g]``, the order of ONNX."""
    for blocks in re.findall(r"\[(\w+, .*?)\]", line.expression):
        for order, words in _orders(blocks.split(", ")):
            yield Edit(line.expression.replace(blocks, order), words, "gate")


def ignored_but_at_the_last_step(line: Line, text: Text) -> Iterator[Edit]:
    """``dhs[t] + dh`` to ``dhs[t] + dh * (t == len(dhs) - 1)``, in a loop."""
    long = next((name for name, shape in text.shapes.items() if len(shape) == 3), "")
    in_loop = line.row.startswith(" " * 8)
    for name, shape in text.shapes.items() if in_loop and long else ():
        if len(shape) == 2 and mentions(line.expression, name):
            wrong = substituted(line.expression, {name: f"({name} * (t == len({long}) - 1))"})
            yield Edit(wrong, f"{name} is ignored at every step but the last", "lost", name)


def added_at_every_step(line: Line, text: Text) -> Iterator[Edit]:
    """``dhs[t] + dh`` to ``dhs[t] + dh + dhT``, where dhT belongs to the last step alone."""
    right, shapes = line.expression, text.shapes
    for name in shapes:
        into = name.removesuffix("T")
        if name.endswith("T") and line.target == into and mentions(right, into):
            long = next(other for other in shapes if len(shapes[other]) == 3)
            wrong = f"{right} + {name} * (t < len({long}) - 1)"
            yield Edit(wrong, f"{name} is added at every step, not at the last alone")


# --- the columns of gates ------------------------------------------------------------------------


def gates(line: Line, text: Text) -> Iterator[Edit]:
    """``da @ Wx.T`` without the columns of gate f, or with those of gate i in their place."""
    right, n = line.expression, len(text.gates)
    if not n:
        return
    yield Edit(f"parts.each_transposed({right}, {n})", "each gate's block is transposed", "gate")
    packed = [
        name
        for name, shape in text.shapes.items()
        if shape[-1:] == (n * SIZES["H"],) and mentions(right, name)
    ]
    for name in packed:
        for wrong, words in _other_columns(name, text.gates):
            yield Edit(substituted(right, {name: wrong}), words, "gate")
        if len(text.shapes[name]) == 2 and text.shapes[name][0] == SIZES["B"]:
            inside = [e for e in parts_of_expression(line, text) if mentions(e.wrong, name)]
            for edit, (k, gate) in product(inside, enumerate(text.gates)):
                bad = substituted(edit.wrong, {name: f"parts.only({name}, {n}, {k})"})
                good = substituted(right, {name: f"parts.without({name}, {n}, {k})"})
                yield Edit(f"{bad} + {good}", f"{edit.words}, in gate {gate}", "gate")


def _other_columns(name: str, gates: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield an array with the columns of one gate left out, or taken from another gate."""
    n = len(gates)
    for j, k in permutations(range(n), 2):
        order = [j if block == k else block for block in range(n)]
        words = f"the columns of {gates[j]} in {name} instead of those of {gates[k]}"
        yield f"parts.reordered({name}, {order})", words
    for order_text, words in _orders([str(block) for block in range(n)], gates):
        yield f"parts.reordered({name}, [{order_text}])", f"{words} in the columns of {name}"
    for k, gate in enumerate(gates):
        without, only = f"parts.without({name}, {n}, {k})", f"parts.only({name}, {n}, {k})"
        yield without, f"the part from gate {gate} is missing"
        yield f"({without} - {only})", f"the sign of gate {gate} is wrong"


# --- statements ----------------------------------------------------------------------------------


def overwritten(line: Line, text: Text) -> Iterator[Edit]:
    """``dWx += dWx_t`` to ``dWx = dWx_t``."""
    words = "it is overwritten where it must be added to"
    yield Edit(f"{line.target} = {line.expression}", words)
    for k, gate in enumerate(text.gates):
        kept = f"parts.without({line.target}, {len(text.gates)}, {k})"
        wrong = f"{line.target} = {kept} + {line.expression}"
        yield Edit(wrong, f"{words}, in gate {gate}", "gate")


def left_out_of_the_sum(line: Line, text: Text) -> Iterator[Edit]:
    """``dWx += dWx_t`` to ``dWx += dWx_t * (t > 0)``, in a loop."""
    long = next((name for name, shape in text.shapes.items() if len(shape) == 3), "")
    if long:
        for when, which in (("t > 0", "first"), (f"t < len({long}) - 1", "last")):
            yield Edit(
                line.stated(f"{line.expression} * ({when})"), f"the {which} step is left out"
            )


def stored_elsewhere(line: Line, text: Text) -> Iterator[Edit]:
    """``dx[t], dh = step(...)`` to ``dx[t - 1], dh = step(...)``."""
    for place, words in (("[t - 1]", "one step early"), ("[-1 - t]", "in the reverse order")):
        elsewhere = line.target.replace("[t]", place)
        wrong = line.expression.replace(line.target, elsewhere, 1)
        yield Edit(wrong, f"it is written {words}")


def of_its_own_step(line: Line, text: Text) -> Iterator[Edit]:
    """``dx[t], dh = step(dhs[t] + dh, c)`` with ``dx[t] = step(dhs[t] + 0 * dh, c)[0]`` below."""
    targets, call = line.expression.split(" = ", 1)
    results = targets.strip("()").split(", ")
    alone = {name: f"0 * {name}" for name in results if mentions(call, name)}
    again = f"{substituted(call, alone)}[{results.index(line.target)}]"
    later = f"t < len({line.target.removesuffix('[t]')}) - 1"
    wrong = f"{line.expression}; {line.target} = {again} if {later} else {line.target}"
    yield Edit(wrong, "it leaves out the gradient from later steps")


def other_steps(line: Line, text: Text) -> Iterator[Edit]:
    """``reversed(range(len(x)))`` to ``range(len(x))``."""
    back = line.expression.startswith("reversed(")
    order = "forwards, not from the last to the first" if back else "from the last to the first"
    first, last = ("[:-1]", "[1:]") if back else ("[1:]", "[:-1]")
    yield Edit(f"list({line.expression})[::-1]", f"the steps are taken {order}")
    yield Edit(f"list({line.expression}){first}", "the first step is left out")
    yield Edit(f"list({line.expression}){last}", "the last step is left out")


TWICE = "where an index occurs twice, both gradients must be added"
ADDITIONS = (
    ("np.add.at({0}, {1}[-1], {2}[-1])", "the last step alone is added"),
    ("{0}[{1}] += {2}", f"{TWICE}: += on rows keeps only the last of them"),
    (
        "for t in range(len({1})): {0}[{1}[t]] += {2}[t]",
        f"{TWICE}: += on the rows of a step keeps only the last of them",
    ),
    ("{0}[{1}] = {2}", f"{TWICE}: = keeps only the last of them"),
)
"""Mistakes in ``np.add.at(array, index, value)``: the wrong text, and the words."""


def not_added_at(line: Line, text: Text) -> Iterator[Edit]:
    """``np.add.at(dW, ids, dx)`` to ``dW[ids] += dx``."""
    given = line.expression.removeprefix("np.add.at(").removesuffix(")").split(", ")
    yield from (Edit(wrong.format(*given), words) for wrong, words in ADDITIONS)


def unpacked_in_another_order(line: Line, text: Text) -> Iterator[Edit]:
    """``i, f, g, o, c, tanh_c, h = steps[t]`` to ``i, g, f, o, c, tanh_c, h = steps[t]``."""
    if line.target.startswith("(") and line.expression.endswith("[t]"):
        for order, words in _orders(line.target.strip("()").split(", ")):
            yield Edit(f"{order} = {line.expression}", words)


def of_call(line: Line, text: Text) -> Iterator[Edit]:
    """``dx[t], dh = step(dhs[t] + dh, c)`` to ``dx[t], _ = ...``, or with arguments exchanged."""
    call: Any = ast.parse(line.expression, mode="eval").body
    name, given = ast.unparse(call.func), [ast.unparse(argument) for argument in call.args]
    targets, stated = line.target.split(", "), line.stated(line.expression)
    parameters = [*inspect.signature(text.scope[name]).parameters]
    for order, words in _orders(targets):
        yield Edit(f"{order} = {line.expression}", words)
    for order, words in _orders(given, parameters):
        yield Edit(f"{line.target} = {name}({order})", words)
    carried = [target for target in targets if mentions(line.expression, target)]
    for kept in carried:
        others = ", ".join("_" if target == kept else target for target in targets)
        words = f"{kept} is not replaced by the result of the step"
        yield Edit(f"{others} = {line.expression}", words)
        own = given[parameters.index(kept)] if kept in parameters else kept
        yield Edit(f"later = {own}; {stated}; {kept} = later", words)
        words = f"the new {kept} is added to the old one"
        yield Edit(f"later = {kept}; {stated}; {kept} = {kept} + later", words)
        if own != kept:
            words = f"the new {kept} is added to what the step got"
            yield Edit(f"later = {own}; {stated}; {kept} = {kept} + later", words)
    others = ", ".join("_" if target in carried else target for target in targets)
    words = f"{enumeration(carried)} are not replaced by the results of the step"
    yield Edit(f"{others} = {line.expression}", words)


def _orders(texts: Sequence[str], names: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """Yield texts in other orders: two of them exchanged, or any order of at most four."""
    places = range(len(texts))
    exchanges = [{j: k, k: j} for j, k in combinations(places, 2)]
    orders = [tuple(pair.get(n, n) for n in places) for pair in exchanges]
    for order in dict.fromkeys([*orders, *(permutations(places) if len(texts) <= 4 else ())]):
        moved = [(names or texts)[n] for n in places if order[n] != n]
        said = f"the order is {', '.join((names or texts)[n] for n in order)}"
        if len(moved) == 2:
            said = f"{' and '.join(moved)} are exchanged"
        if moved:
            yield ", ".join(texts[n] for n in order), said


Rule = Callable[[Line, Text], Iterator[Edit]]
COMPUTES = ("value", "part", "sum")
"""The kinds of lines whose expression can be wrong in all the ways of `OF_EXPRESSIONS`."""
OF_EXPRESSIONS: tuple[Rule, ...] = (
    parts_of_expression,
    another_name_everywhere,
    times_a_size,
    gates,
    blocks_in_another_order,
    ignored_but_at_the_last_step,
    added_at_every_step,
)
OF_STATEMENTS: dict[str, tuple[Rule, ...]] = {
    "value": (unpacked_in_another_order,),
    "sum": (overwritten, left_out_of_the_sum),
    "loop": (other_steps,),
    "scatter": (not_added_at,),
    "call": (of_call,),
    "store": (stored_elsewhere, of_its_own_step),
}
"""The rules for each kind of line."""
