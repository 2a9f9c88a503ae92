"""Rules that generate mistakes: likely wrong forms of a line, hundreds for each function.

A rule is a function that takes a line and its text, and yields edits: a wrong form, and the kind of
mistake that it is. The rules in `OF_EXPRESSIONS` yield wrong expressions, those in
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

from numpylstm.laboratory.mistakes.record import Mistake
from numpylstm.laboratory.mistakes.source import SIZES, Line, Shapes, Text, mentions, substituted
from numpylstm.laboratory.mistakes.words import Kind


class Edit(NamedTuple):
    """A wrong expression or statement, and the fields of its `Mistake`."""

    wrong: str
    kind: Kind
    about: tuple[str, ...] = ()
    array: str = ""
    gate: str = ""


def generated(text: Text) -> Iterator[Mistake]:
    """Yield a text with each line wrong in all ways that the rules know, each once."""
    for line in text.lines:
        seen = {line.put(line.expression)}
        edits = [edit for rule in OF_STATEMENTS.get(line.kind, ()) for edit in rule(line, text)]
        if line.kind in COMPUTES:
            for rule in OF_EXPRESSIONS:
                edits += [edit._replace(wrong=line.put(edit.wrong)) for edit in rule(line, text)]
        for edit in edits:
            if edit.wrong not in seen:
                seen.add(edit.wrong)
                yield Mistake(
                    text.name,
                    (line.change(edit.wrong),),
                    line=line,
                    kind=edit.kind,
                    about=edit.about,
                    array=edit.array,
                    gate=edit.gate,
                )


LIMITS = (0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
"""Usual limits of clipping."""


def clippings(text: Text) -> Iterator[Mistake]:
    """Yield a text with a line clipped, entry by entry, at a usual limit."""
    for line, limit in product(text.lines, LIMITS):
        if line.kind in COMPUTES:
            wrong = line.put(f"np.clip({line.expression}, -{limit!r}, {limit!r})")
            yield Mistake(text.name, (line.change(wrong),), line=line, kind=Kind.CLIPPED)


# --- a part of an expression ---------------------------------------------------------------------


class Pattern(NamedTuple):
    """A part of a line: the right text, the wrong text, the kind, and what it is about."""

    right: str
    wrong: str
    kind: Kind
    about: tuple[str, ...] = ()


PATTERNS = [
    Pattern("1 - a * a", "a * (1 - a)", Kind.SLOPE_OF_SIGMOID),
    Pattern("1 - a * a", "(1 - a) * (1 - a)", Kind.PART_SQUARED, ("a",)),
    Pattern("X * a * (1 - a)", "X * (1 - a * a)", Kind.SLOPE_OF_TANH),
    Pattern("a * (1 - a)", "1 - a * a", Kind.SLOPE_OF_TANH),
    Pattern("1 / (1 + np.exp(-X))", "np.tanh(X)", Kind.FUNCTION_INSTEAD, ("tanh", "the sigmoid")),
    Pattern("ds * h_prev", "da_n * (h_prev @ Wh_n)", Kind.RESET_AFTER),
    Pattern("np.sqrt(sum((g * g).sum() for g in X))", "sum(np.sqrt((g * g).sum()) for g in X)",
            Kind.NORMS_ADDED),
    Pattern("np.sqrt(sum((g * g).sum() for g in X))", "max(np.sqrt((g * g).sum()) for g in X)",
            Kind.LARGEST_NORM),
    Pattern("np.sqrt(sum((g * g).sum() for g in X))", "np.sqrt((X[0] * X[0]).sum())",
            Kind.FIRST_NORM),
    Pattern("1 - X", "X", Kind.NOT_ONE_MINUS, ("X",)),
    Pattern("X * Y", "X", Kind.FACTOR_MISSING, ("Y",)),
    Pattern("X * Y", "Y", Kind.FACTOR_MISSING, ("X",)),
    Pattern("X * Y", "X + Y", Kind.ADDED_NOT_MULTIPLIED, ("X", "Y")),
    Pattern("(X - Y) / Z", "X / Z - Y", Kind.NOT_DIVIDED, ("Y", "Z")),
    Pattern("X / Y", "X", Kind.DIVISION_MISSING, ("Y",)),
    Pattern("X / Y", "Y / X", Kind.UPSIDE_DOWN),
    Pattern("X + Y", "X", Kind.TERM_MISSING, ("Y",)),
    Pattern("X + Y", "Y", Kind.TERM_MISSING, ("X",)),
    Pattern("X + Y", "X - Y", Kind.SIGN_OF_TERM, ("Y",)),
    Pattern("X + Y", "Y - X", Kind.SIGN_OF_TERM, ("X",)),
    Pattern("X + Y * Z", "(X + Y) * Z", Kind.IN_BRACKETS, ("Y", "X")),
    Pattern("X - Y", "X", Kind.TERM_MISSING, ("Y",)),
    Pattern("X - Y", "Y", Kind.TERM_MISSING, ("X",)),
    Pattern("X - Y", "X + Y", Kind.SIGN_OF_TERM, ("Y",)),
    Pattern("X - Y", "Y - X", Kind.SIGN_OF_BOTH_TERMS, ("X", "Y")),
    Pattern("X @ Y", "(X @ Y).T", Kind.PRODUCT_TRANSPOSED),
    Pattern("X.T", "parts.untransposed(X, N)", Kind.NOT_TRANSPOSED, ("X",)),
    Pattern("X.sum()", "X.mean()", Kind.MEAN_FOR_SUM),
    Pattern("X.sum(axis=Y)", "X.mean(axis=Y)", Kind.MEAN_FOR_SUM),
    Pattern("X.mean()", "X.sum()", Kind.SUM_FOR_MEAN),
    Pattern("np.log(X)", "np.log2(X)", Kind.BASE_2),
    Pattern("np.exp(X)", "np.exp(-X)", Kind.SIGN_OF_EXPONENT),
    Pattern("np.minimum(X, Y)", "Y", Kind.MINIMUM_MISSING, ("X",)),
    Pattern("sigmoid(X)", "np.tanh(X)", Kind.FUNCTION_INSTEAD, ("tanh", "sigmoid")),
    Pattern("np.tanh(X)", "sigmoid(X)", Kind.FUNCTION_INSTEAD, ("sigmoid", "tanh")),
    *(
        Pattern(f"{f}(X)", "X", Kind.FUNCTION_MISSING, (f.removeprefix("np."),))
        for f in ("np.sqrt", "np.log", "np.exp", "np.tanh", "sigmoid")
    ),
    *(
        Pattern("cache.coefficients[..., None]", f"1 / {size}", Kind.WEIGHTS_IGNORED)
        for size in ("1", "len(cache.targets)", "len(cache.targets[0])", "cache.targets.size")
    ),
    Pattern("X[t]", "X[t - 1]", Kind.ONE_STEP_EARLY, ("X",)),
    Pattern("X[t]", "X[t + 1 - len(X)]", Kind.ONE_STEP_LATE, ("X",)),
    Pattern("X[t]", "X[-1]", Kind.OF_THE_LAST_STEP, ("X",)),
    Pattern("X[t]", "X[0]", Kind.OF_THE_FIRST_STEP, ("X",)),
    Pattern("X[t]", "X[t + 1] if t + 1 < len(X) else 0 * X[t]", Kind.ONE_STEP_LATE, ("X",)),
    Pattern("X[t]", "X[t] * (t == len(X) - 1)", Kind.AT_THE_LAST_STEP_ALONE, ("X",)),
    Pattern("X[t - 1]", "X[t]", Kind.ONE_STEP_LATE, ("X",)),
    Pattern("h_prev[t]", "h[t - 1]", Kind.STATE_AFTER_THE_LAST_STEP),
    Pattern("h_prev[t]", "h_prev[t] * (t > 0)", Kind.ZERO_AT_THE_FIRST_STEP, ("h_prev",)),
    Pattern("X if t else Y", "X", Kind.NOT_AT_THE_FIRST_STEP, ("Y",)),
    Pattern("X[t - 1][Y] if t else Z", "X[t][Y]", Kind.FROM_THIS_STEP),
    Pattern("X[t - 1][4]", "X[t - 1][6]", Kind.OF_THE_STEP_BEFORE, ("h", "c")),
    Pattern("X[t - 1][6]", "X[t - 1][4]", Kind.OF_THE_STEP_BEFORE, ("c", "h")),
    Pattern("X[t - 1][4]", "X[t - 1][5]", Kind.OF_THE_STEP_BEFORE, ("tanh_c", "c")),
    Pattern("X[t - 1][6]", "X[t - 1][5]", Kind.OF_THE_STEP_BEFORE, ("tanh_c", "h")),
    Pattern("a", "2 * a", Kind.COUNTED_TWICE, ("a",)),
    Pattern("a", "-a", Kind.SIGN_OF_ARRAY, ("a",)),
    Pattern("a", "0 * a", Kind.IGNORED, ("a",)),
    Pattern("a", "a * a", Kind.SQUARED, ("a",)),
    Pattern("a", "1 - a", Kind.ONE_MINUS, ("a",)),
    Pattern("a", "sigmoid(a)", Kind.CURVE_OF, ("sigmoid", "a")),
    Pattern("a", "np.tanh(a)", Kind.CURVE_OF, ("tanh", "a")),
]  # fmt: skip
"""Mistakes in a part of a line: the right text, the wrong text, the kind, and what it is about.

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
    name = ast.unparse(node)
    shapes = text.shapes
    shape = shapes.get(name, ())
    for other in shapes:
        if other != name and shapes[other] == shapes.get(name):
            yield Edit(other, Kind.USED_INSTEAD, (other, name))
    for pattern in PATTERNS:
        found = {"N": str(max(len(text.gates), 1))}
        if _matches(_expression(pattern.right), node, shapes, found):
            about = tuple(found.get(word, word) for word in pattern.about)
            yield Edit(substituted(pattern.wrong, found), pattern.kind, about)
    if len(shape) == 2 and shape[0] == shape[1]:
        yield Edit(f"{name}.T", Kind.TRANSPOSED, (name,))
    if len(shape) == 2 and shape[0] == SIZES["T"] * SIZES["B"]:  # time and batch in one axis
        long = next(other for other in shapes if len(shapes[other]) == 3)
        yield Edit(f"parts.last_step({name}, {long})", Kind.LAST_STEP_COUNTED)


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
                    wrong = substituted(right, {name: other})
                    yield Edit(wrong, Kind.USED_INSTEAD, (other, name))
            for f in ("sigmoid", "np.tanh"):
                wrong = substituted(right, {name: f"{f}({name})"})
                yield Edit(wrong, Kind.CURVE_OF_EVERYWHERE, (f.removeprefix("np."), name))


def times_a_size(line: Line, text: Text) -> Iterator[Edit]:
    """``x.T @ da`` to ``(x.T @ da) / len(x)``."""
    for letter, axes in (("B", 2), ("T", 3)):
        sized = [n for n, s in text.shapes.items() if s[:1] == (SIZES[letter],) and len(s) == axes]
        for name in sized[:1]:
            for operator, kind in (("/", Kind.DIVIDED_BY), ("*", Kind.MULTIPLIED_BY)):
                wrong = f"({line.expression}) {operator} len({name})"
                yield Edit(wrong, kind, (letter,))


def blocks_in_another_order(line: Line, text: Text) -> Iterator[Edit]:
    """``[da_i, da_f, da_g, da_o]`` to ``[da_i, da_o, da_f, da_g]``, the order of ONNX."""
    for blocks in re.findall(r"\[(\w+, .*?)\]", line.expression):
        for order in _orders(blocks.split(", ")):
            kind = Kind.BLOCKS_EXCHANGED if order.exchanged else Kind.BLOCKS_IN_ANOTHER_ORDER
            yield Edit(line.expression.replace(blocks, order.text), kind, order.about)


def ignored_but_at_the_last_step(line: Line, text: Text) -> Iterator[Edit]:
    """``dhs[t] + dh`` to ``dhs[t] + dh * (t == len(dhs) - 1)``, in a loop."""
    long = next((name for name, shape in text.shapes.items() if len(shape) == 3), "")
    in_loop = line.row.startswith(" " * 8)
    for name, shape in text.shapes.items() if in_loop and long else ():
        if len(shape) == 2 and mentions(line.expression, name):
            wrong = substituted(line.expression, {name: f"({name} * (t == len({long}) - 1))"})
            yield Edit(wrong, Kind.IGNORED_BUT_AT_THE_LAST_STEP, (name,))


def added_at_every_step(line: Line, text: Text) -> Iterator[Edit]:
    """``dhs[t] + dh`` to ``dhs[t] + dh + dhT``, where dhT belongs to the last step alone."""
    right, shapes = line.expression, text.shapes
    for name in shapes:
        into = name.removesuffix("T")
        if name.endswith("T") and line.target == into and mentions(right, into):
            long = next(other for other in shapes if len(shapes[other]) == 3)
            for wrong in (f"{right} + {name}", f"{right} + {name} * (t < len({long}) - 1)"):
                yield Edit(wrong, Kind.ADDED_AT_EVERY_STEP, (name,))


def last_of_a_sequence(line: Line, text: Text) -> Iterator[Edit]:
    """``dh = dhT`` to ``dh = dhs[-1]``, before a loop."""
    name = line.expression
    of_steps = f"{name.removesuffix('T')}s"
    if name.endswith("T") and of_steps in text.shapes:
        yield Edit(f"{of_steps}[-1]", Kind.USED_INSTEAD, (f"{of_steps}[-1]", name))


def added_here_too(line: Line, text: Text) -> Iterator[Edit]:
    """``dc``, an argument of a step, to ``dc + dhs[t]``, which is added to dh."""
    name = line.expression
    in_loop = line.row.startswith(" " * 8)
    if in_loop and line.kind == "part" and name == line.target and name.startswith("d"):
        for other, shape in text.shapes.items():
            if other.startswith("d") and len(shape) == 3 and shape[1:] == text.shapes.get(name):
                about = f"{other}[t]", other.removesuffix("s")
                yield Edit(f"{name} + {other}[t]", Kind.ADDED_HERE_TOO, about)


def of_the_other_sign(line: Line, text: Text) -> Iterator[Edit]:
    """``dh * (h_prev - n)`` to ``-(dh * (h_prev - n))``; the sign may be that of any factor."""
    expression: Any = ast.parse(line.expression, mode="eval").body
    if isinstance(expression, ast.BinOp) and isinstance(expression.op, ast.Mult):
        yield Edit(f"-({line.expression})", Kind.SIGN)


# --- the columns of gates ------------------------------------------------------------------------


def gates(line: Line, text: Text) -> Iterator[Edit]:
    """``da @ Wx.T`` without the columns of gate f, or with those of gate i in their place."""
    right = line.expression
    n = len(text.gates)
    if not n:
        return
    yield Edit(f"parts.each_transposed({right}, {n})", Kind.EACH_BLOCK_TRANSPOSED)
    packed = [
        name
        for name, shape in text.shapes.items()
        if shape[-1:] == (n * SIZES["H"],) and mentions(right, name)
    ]
    for name in packed:
        for edit in _other_columns(name, text.gates):
            yield edit._replace(wrong=substituted(right, {name: edit.wrong}))
        if len(text.shapes[name]) == 2 and text.shapes[name][0] == SIZES["B"]:
            inside = [e for e in parts_of_expression(line, text) if mentions(e.wrong, name)]
            for edit, (k, gate) in product(inside, enumerate(text.gates)):
                bad = substituted(edit.wrong, {name: f"parts.only({name}, {n}, {k})"})
                good = substituted(right, {name: f"parts.without({name}, {n}, {k})"})
                yield edit._replace(wrong=f"{bad} + {good}", gate=gate)


def _other_columns(name: str, gates: Sequence[str]) -> Iterator[Edit]:
    """Yield an array with the columns of one gate left out, or taken from another gate."""
    n = len(gates)
    for j, k in permutations(range(n), 2):
        columns = [j if block == k else block for block in range(n)]
        wrong = f"parts.reordered({name}, {columns})"
        yield Edit(wrong, Kind.COLUMNS_OF_ANOTHER_GATE, (gates[j], gates[k]), name)
    for order in _orders([str(block) for block in range(n)], gates):
        wrong = f"parts.reordered({name}, [{order.text}])"
        kind = Kind.COLUMNS_EXCHANGED if order.exchanged else Kind.COLUMNS_IN_ANOTHER_ORDER
        yield Edit(wrong, kind, order.about, name)
    for k, gate in enumerate(gates):
        without = f"parts.without({name}, {n}, {k})"
        only = f"parts.only({name}, {n}, {k})"
        yield Edit(without, Kind.PART_OF_GATE_MISSING, (gate,))
        yield Edit(f"({without} - {only})", Kind.SIGN_OF_GATE, (gate,))


# --- statements ----------------------------------------------------------------------------------


def overwritten(line: Line, text: Text) -> Iterator[Edit]:
    """``dWx += dWx_t`` to ``dWx = dWx_t``."""
    yield Edit(f"{line.target} = {line.expression}", Kind.OVERWRITTEN)
    for k, gate in enumerate(text.gates):
        kept = f"parts.without({line.target}, {len(text.gates)}, {k})"
        wrong = f"{line.target} = {kept} + {line.expression}"
        yield Edit(wrong, Kind.OVERWRITTEN, gate=gate)


def left_out_of_the_sum(line: Line, text: Text) -> Iterator[Edit]:
    """``dWx += dWx_t`` to ``dWx += dWx_t * (t > 0)``, in a loop."""
    long = next((name for name, shape in text.shapes.items() if len(shape) == 3), "")
    if long:
        but_the_first = line.stated(f"{line.expression} * (t > 0)")
        yield Edit(but_the_first, Kind.FIRST_STEP_LEFT_OUT)
        but_the_last = line.stated(f"{line.expression} * (t < len({long}) - 1)")
        yield Edit(but_the_last, Kind.LAST_STEP_LEFT_OUT)


def stored_elsewhere(line: Line, text: Text) -> Iterator[Edit]:
    """``dx[t], dh = step(...)`` to ``dx[t - 1], dh = step(...)``."""
    places = {"[t - 1]": Kind.STORED_ONE_STEP_EARLY, "[-1 - t]": Kind.STORED_IN_REVERSE}
    for place, kind in places.items():
        elsewhere = line.target.replace("[t]", place)
        yield Edit(line.expression.replace(line.target, elsewhere, 1), kind)


def of_its_own_step(line: Line, text: Text) -> Iterator[Edit]:
    """``dx[t], dh = step(dhs[t] + dh, c)`` with ``dx[t] = step(dhs[t] + 0 * dh, c)[0]`` below."""
    targets, call = line.expression.split(" = ", 1)
    results = targets.strip("()").split(", ")
    alone = {name: f"0 * {name}" for name in results if mentions(call, name)}
    again = f"{substituted(call, alone)}[{results.index(line.target)}]"
    later = f"t < len({line.target.removesuffix('[t]')}) - 1"
    wrong = f"{line.expression}; {line.target} = {again} if {later} else {line.target}"
    yield Edit(wrong, Kind.LATER_STEPS_LEFT_OUT)


def other_steps(line: Line, text: Text) -> Iterator[Edit]:
    """``reversed(range(len(x)))`` to ``range(len(x))``."""
    back = line.expression.startswith("reversed(")
    first, last = ("[:-1]", "[1:]") if back else ("[1:]", "[:-1]")
    turned = Kind.STEPS_FORWARDS if back else Kind.STEPS_BACKWARDS
    yield Edit(f"list({line.expression})[::-1]", turned)
    yield Edit(f"list({line.expression}){first}", Kind.FIRST_STEP_LEFT_OUT)
    yield Edit(f"list({line.expression}){last}", Kind.LAST_STEP_LEFT_OUT)


ADDITIONS = {
    "np.add.at({0}, {1}[-1], {2}[-1])": Kind.LAST_STEP_ADDED,
    "{0}[{1}] += {2}": Kind.ROWS_ADDED_ONCE,
    "for t in range(len({1})): {0}[{1}[t]] += {2}[t]": Kind.ROWS_OF_A_STEP_ADDED_ONCE,
    "{0}[{1}] = {2}": Kind.ROWS_SET,
}
"""Mistakes in ``np.add.at(array, index, value)``: the wrong text, and the kind."""


def not_added_at(line: Line, text: Text) -> Iterator[Edit]:
    """``np.add.at(dW, ids, dx)`` to ``dW[ids] += dx``."""
    given = line.expression.removeprefix("np.add.at(").removesuffix(")").split(", ")
    for wrong, kind in ADDITIONS.items():
        yield Edit(wrong.format(*given), kind)


def unpacked_in_another_order(line: Line, text: Text) -> Iterator[Edit]:
    """``i, f, g, o, c, tanh_c, h = steps[t]`` to ``i, g, f, o, c, tanh_c, h = steps[t]``."""
    if line.target.startswith("(") and line.expression.endswith("[t]"):
        for order in _orders(line.target.strip("()").split(", ")):
            yield Edit(f"{order.text} = {line.expression}", order.kind, order.about)


def of_call(line: Line, text: Text) -> Iterator[Edit]:
    """``dx[t], dh = step(dhs[t] + dh, c)`` to ``dx[t], _ = ...``, or with arguments exchanged."""
    call: Any = ast.parse(line.expression, mode="eval").body
    name = ast.unparse(call.func)
    given = [ast.unparse(argument) for argument in call.args]
    targets = line.target.split(", ")
    stated = line.stated(line.expression)
    parameters = [*inspect.signature(text.scope[name]).parameters]
    for order in _orders(targets):
        yield Edit(f"{order.text} = {line.expression}", order.kind, order.about)
    for order in _orders(given, parameters):
        yield Edit(f"{line.target} = {name}({order.text})", order.kind, order.about)
    carried = [target for target in targets if mentions(line.expression, target)]
    for kept in carried:
        others = ", ".join("_" if target == kept else target for target in targets)
        yield Edit(f"{others} = {line.expression}", Kind.NOT_REPLACED, (kept,))
        own = given[parameters.index(kept)] if kept in parameters else kept
        yield Edit(f"later = {own}; {stated}; {kept} = later", Kind.NOT_REPLACED, (kept,))
        added = f"later = {kept}; {stated}; {kept} = {kept} + later"
        yield Edit(added, Kind.ADDED_TO_THE_OLD, (kept,))
        if own != kept:
            added = f"later = {own}; {stated}; {kept} = {kept} + later"
            yield Edit(added, Kind.ADDED_TO_THE_ARGUMENT, (kept,))
    others = ", ".join("_" if target in carried else target for target in targets)
    yield Edit(f"{others} = {line.expression}", Kind.NONE_REPLACED, tuple(carried))


class Order(NamedTuple):
    """Texts in another order, and the names of two that are exchanged, or of all in that order."""

    text: str
    about: tuple[str, ...]
    exchanged: bool

    @property
    def kind(self) -> Kind:
        """The kind of mistake, where the texts are no blocks of gates."""
        return Kind.EXCHANGED if self.exchanged else Kind.ANOTHER_ORDER


def _orders(texts: Sequence[str], names: Sequence[str] = ()) -> Iterator[Order]:
    """Yield texts in other orders: two of them exchanged, or any order of at most four."""
    names = names or texts
    places = range(len(texts))
    exchanges = [{j: k, k: j} for j, k in combinations(places, 2)]
    orders = [tuple(pair.get(n, n) for n in places) for pair in exchanges]
    if len(texts) <= 4:
        orders += permutations(places)
    for order in dict.fromkeys(orders):
        moved = tuple(names[n] for n in places if order[n] != n)
        exchanged = len(moved) == 2
        about = moved if exchanged else tuple(names[n] for n in order)
        if moved:
            yield Order(", ".join(texts[n] for n in order), about, exchanged)


Rule = Callable[[Line, Text], Iterator[Edit]]
COMPUTES = ("value", "part", "sum")
"""The kinds of lines whose expression can be wrong in all the ways of `OF_EXPRESSIONS`."""
OF_EXPRESSIONS: tuple[Rule, ...] = (
    of_the_other_sign,
    parts_of_expression,
    another_name_everywhere,
    times_a_size,
    gates,
    blocks_in_another_order,
    ignored_but_at_the_last_step,
    added_at_every_step,
    last_of_a_sequence,
    added_here_too,
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
