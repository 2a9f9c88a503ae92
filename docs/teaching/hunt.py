"""Programs for a hunt: the LSTM of ``one_file.py`` in another writing, with three mistakes.

A `Choice` draws the names, the order of independent lines and of factors, the order of the gates,
which of two spellings stands for an operation, and the mistakes. It does not depend on the choices
before it, so the right program and the wrong ones are written alike, and differ in the lines of the
mistakes only.
"""

import ast
import builtins
import contextlib
import io
import keyword
import re
from itertools import permutations, product
from pathlib import Path
from typing import NamedTuple

from drawn import Choice

PROGRAM = Path(__file__).parents[1] / "examples" / "one_file.py"
HOW_MANY = 3
"""Number of mistakes in a program."""


class Mistake(NamedTuple):
    """A piece of the program, what stands in its place, and the reason why that is wrong."""

    right: str
    wrong: str
    why: str


class Found(NamedTuple):
    """A mistake in a program as it is handed out."""

    line: int
    wrong: str
    right: str
    why: str


class Hunt(NamedTuple):
    """A program with its mistakes, and what it would be without them."""

    program: str
    mistakes: list[Found]
    right: str
    names: dict[str, str]  # name in `PROGRAM` -> name in the program
    gates: str  # the order of the gates


# --- the program in one notation, and its mistakes ------------------------------------------------

LINES = """        da_i, da_f = dc * g * i * (1 - i), dc * c_prev * f * (1 - f)
        da_g, da_o = dc * i * (1 - g**2), dh * np.tanh(c) * o * (1 - o)
"""
FINER = """        di, df, dg, do = dc * g, dc * c_prev, dc * i, dh * np.tanh(c)
        da_i, da_f = di * i * (1 - i), df * f * (1 - f)
        da_g, da_o = dg * (1 - g**2), do * o * (1 - o)
"""
CHECK = '''

def check():
    """Print the relative error of each gradient, against the slope in a random direction."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, (2, 4, 6))
    h, c = rng.standard_normal((2, 6, 7))
    p, errors = parameters(5, 7, rng), {}
    d = backward(p, x, y, forward(p, x, y, h, c)[-1])
    for name in p:
        direction = rng.standard_normal(p[name].shape)
        up = forward({**p, name: p[name] + 1e-5 * direction}, x, y, h, c)[0]
        down = forward({**p, name: p[name] - 1e-5 * direction}, x, y, h, c)[0]
        slope, parts = (up - down) / 2e-5, d[name] * direction
        errors[name] = abs(slope - parts.sum()) / np.abs(parts).sum()
        print(f"{name:>8}: relative error {errors[name]:.0e}")
    return errors
'''
FUNCTIONS = ("sigmoid", "parameters", "forward", "backward", "check")
SLOPE = "the slope of a sigmoid is s * (1 - s), that of tanh is 1 - g**2"
USED = "every use of a value sends a gradient; they are added"
MISTAKES = (
    Mistake("+ dh_next", "+ 0", f"h was used by the next step too: {USED}"),
    Mistake("+ dc_next", "+ 0", f"c was used by the next step too: {USED}"),
    Mistake("1 - np.tanh(c) ** 2", "1 - c**2", "the slope of tanh is 1 minus its output squared"),
    Mistake("dh * o *", "dh * i *", "h = o * tanh(c): on the way to c stands the output gate"),
    Mistake("dc * g,", "dc * i,", "c = f * c_prev + i * g: the factor of i is g"),
    Mistake("dc * c_prev", "dc * c", "the forget gate was multiplied by the cell before the step"),
    Mistake("dc * i,", "dc * g,", "c = f * c_prev + i * g: the factor of g is i"),
    Mistake("dh * np.tanh(c)", "dh * c", "h = o * tanh(c): the factor of o is tanh(c)"),
    Mistake("di * i * (1 - i)", "di * (1 - i**2)", SLOPE),
    Mistake("df * f * (1 - f)", "df * (1 - f**2)", SLOPE),
    Mistake("do * o * (1 - o)", "do * (1 - o**2)", SLOPE),
    Mistake("dg * (1 - g**2)", "dg * g * (1 - g)", SLOPE),
    Mistake("e.T @ da", "h_prev.T @ da", "Wx was multiplied by the row of the table"),
    Mistake("h_prev.T @ da", "h.T @ da", "Wh was multiplied by the state before the step"),
    Mistake("h.T @ dz", "h_prev.T @ dz", "Wy was multiplied by the state after the step"),
    Mistake("da.sum(axis=0)", "da[0]", "the bias was added to every row of the batch"),
    Mistake('da @ p["Wh"].T', 'da @ p["Wx"].T', "h_prev was multiplied by Wh"),
    Mistake("dc * f\n", "dc * i\n", "c_prev was multiplied by the forget gate"),
    Mistake("dz /= len(h)", "dz /= len(x)", "the loss is a mean over the batch, a sum over time"),
    Mistake('d["by"] += dz', 'd["by"] = dz', f"by was used at every step: {USED}"),
    Mistake(
        'np.add.at(d["E"], x[t], da @ p["Wx"].T)',
        'd["E"][x[t]] += da @ p["Wx"].T',
        "where an id occurs twice, += keeps one of its rows only",
    ),
)


def program(order: str) -> str:
    """Return the right program, with the gates in another order and without training."""
    text = re.sub(r"  # .*", "", PROGRAM.read_text(encoding="utf-8"))
    k = order.index("f")
    pieces = {
        LINES: FINER,
        "a_i, a_f, a_g, a_o = np": f"{', '.join(f'a_{gate}' for gate in order)} = np",
        "[da_i, da_f, da_g, da_o]": f"[{', '.join(f'da_{gate}' for gate in order)}]",
        "[H : 2 * H]": f"[{k} * H : {k + 1} * H]" if k else "[:H]",
    }
    return exchanged(text, pieces).partition("\ndef step(")[0] + CHECK


def exchanged(text: str, pieces: dict[str, str]) -> str:
    """Return the text with pieces exchanged; it must have each of them once."""
    for piece in pieces:
        if text.count(piece) != 1:
            raise RuntimeError(f"{PROGRAM.name} must have {piece!r} once, got {text.count(piece)}")
    return re.sub("|".join(map(re.escape, pieces)), lambda found: pieces[found[0]], text)


# --- names ----------------------------------------------------------------------------------------

WORDS = {
    "i f g o": "inp forget cand out|write keep new show|gi gf gg go|add hold fresh expose|u v w s",
    "h": "out|hidden|y_t|state",
    "c": "cell|mem|s|belt",
    "e": "e|emb|row|x_t",
    "z": "z|logits|scores|u_t",
    "a": "net|pre|total|act",
    "d{}": "grad_{}|g_{}|{}_bar|d_{}|{}_grad",
    "{}_prev": "old_{}|{}_before|last_{}|{}_0",
    "{}_next": "later_{}|{}_after|{}_from_later|next_{}",
    "a_{}": "a_{}|net_{}|pre_{}|sum_{}|in_{}",
    "probability": "probability|q|probs|predicted",
    "record": "cache|tape|kept|trace|memo",
    "d": "grads|slopes|G|gradients",
    "p": "w|params|weights|theta",
    "x y": "ids targets|inputs labels|read wanted|now then",
    "t": "t|k|step|n",
    "loss": "loss|cost|nll|total_loss",
    "sigmoid": "sigmoid|squash|logistic|sig",
    "parameters": "parameters|new_weights|initial|start",
    "forward": "forward|run|predict|fprop",
    "backward": "backward|bprop|back|derive",
    "check": "check|test_gradients|verify|compare",
    "name array": "key value|path table|which numbers|name array",
    "rng": "rng|random|draw",
    "shapes": "shapes|sizes|dims",
    "V H": "V H|K N|words units|num_ids num_units",
    "direction": "direction|toward|ray",
    "errors": "errors|found|report",
    "slope": "slope|measured|numeric",
    "parts": "parts|claimed|products",
    "up": "up|above|plus",
    "down": "down|below|minus",
}
"""Groups of names in the program, and how else they are written."""
KEYS = "E Wx Wh b Wy by"
OTHER_KEYS = "emb W_in W_rec bias W_out b_out|table Wi Wr bg V bv|embed U R b0 D d0"
GRADIENTS = "dh dc dz di df dg do da da_i da_f da_g da_o dh_next dc_next"


def new_names(choice: Choice) -> dict[str, str]:
    """Draw a name for each name of the program, and for each key of its dicts."""
    for attempt in range(1000):
        new = dict[str, str]()
        for group, others in WORDS.items():
            drawn = choice.of(f"{attempt} {group}", others.split("|"))
            new |= zip(group.split(), drawn.split(), strict=True)
        gradient, before, after, sums = (
            new.pop(form).format for form in ("d{}", "{}_prev", "{}_next", "a_{}")
        )
        new |= {f"{n}_prev": before(new[n]) for n in "hc"}
        new |= {f"a_{n}": sums(new[n]) for n in "ifgo"}
        new |= {f"d{n}": gradient(new[n]) for n in "hczifgoa"}
        new |= {f"da_{n}": gradient(new[f"a_{n}"]) for n in "ifgo"}
        new |= {f"d{n}_next": after(new[f"d{n}"]) for n in "hc"}
        taken = {*keyword.kwlist, *dir(builtins), "np"}
        if len({*new.values()} - taken) == len(new):
            drawn = choice.of("keys", OTHER_KEYS.split("|"))
            return new | {f"'{k}'": v for k, v in zip(KEYS.split(), drawn.split(), strict=True)}
    raise RuntimeError("no names without a clash were found")


# --- another way to write the same ----------------------------------------------------------------

SPELLINGS = (
    (r"1 / \(1 \+ np\.exp\(-a\)\)", r"(1 + np.tanh(a / 2)) / 2"),
    (r"reversed\(range\(len\(x\)\)\)", r"range(len(x) - 1, -1, -1)"),
    (r"np\.tanh\(c\) \*\* 2", r"np.square(np.tanh(c))"),
    (r"\b(\w)\*\*2", r"\1 * \1"),
    (r"\b(\w+)\.sum\(axis=0\)", r"np.sum(\1, axis=0)"),
    (r"\b(\w+)\.T @ (\w+)", r"np.dot(\1.T, \2)"),
    (r'(d\["\w+"\]) \+= (.*)', r"\1 = \1 + \2"),
    (r"probability\.copy\(\)", r"np.array(probability)"),
    (r"np\.concatenate\((\[.*\]), axis=1\)", r"np.hstack(\1)"),
    (r"np\.split\((.*), 4, axis=1\)", r"np.hsplit(\1, 4)"),
    (r"np\.zeros_like\(array\)", r"np.zeros(array.shape)"),
)
"""Pieces of the program, and another spelling of each."""


class Rewriter(ast.NodeTransformer):
    """Give a program other names, and another order of its factors, terms, lines and functions."""

    def __init__(self, choice: Choice, names: dict[str, str]) -> None:
        self.choice, self.names = choice, names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self.names.get(node.id, node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self.names.get(node.arg, node.arg)
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        node.value = self.names.get(repr(node.value), node.value)
        return node

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        self.generic_visit(node)
        pairs = zip(node.keys, node.values, strict=True)
        if node.keys and all(isinstance(key, ast.Constant) for key in node.keys):
            by_key = {ast.unparse(key): (key, value) for key, value in pairs}
            keys = self.choice.order("dict", by_key)
            node.keys, node.values = map(list, zip(*(by_key[key] for key in keys), strict=True))
        return node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """Reorder a product of several factors, or a sum of several terms."""
        operands = _operands(node, type(node.op))
        by_text = {ast.unparse(operand): operand for operand in operands}
        if not isinstance(node.op, ast.Mult | ast.Add) or len(by_text) < len(operands):
            return self.generic_visit(node)
        first, *others = [
            self.visit(by_text[text]) for text in self.choice.order("operand", by_text)
        ]
        for other in others:
            first = ast.BinOp(first, node.op, other)
        return first

    def visit_For(self, node: ast.For) -> ast.AST:
        self.generic_visit(node)
        node.body = self.in_another_order(node.body)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.name = self.names.get(node.name, node.name)
        if ast.get_docstring(node):
            node.body = node.body[1:]
        node.body = self.in_another_order(node.body)
        return node

    def in_another_order(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """Return the lines in an order in which each still gets what it reads."""
        lines = [line for statement in body for line in _one_by_one(statement)]
        uses = [(_read(line), _written(line)) for line in lines]
        waits = {
            k: {j for j in range(k) if isinstance(lines[k], ast.Return) or _meet(uses[j], uses[k])}
            for k in range(len(lines))
        }
        ordered = list[int]()
        while len(ordered) < len(lines):
            ready = {
                f"{sorted(uses[k][1])} {k}": k
                for k in waits
                if k not in ordered and waits[k] <= {*ordered}
            }
            ordered.append(ready[self.choice.of("line", ready)])
        return [lines[k] for k in ordered]


def _operands(node: ast.expr, kind: type) -> list[ast.expr]:
    """Return the factors of a product, or the terms of a sum."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, kind):
        return [*_operands(node.left, kind), *_operands(node.right, kind)]
    return [node]


def _one_by_one(line: ast.stmt) -> list[ast.stmt]:
    """Return ``a, b = x, y`` as two lines, if no order of them changes a value."""
    match line:
        case ast.Assign([ast.Tuple(targets)], ast.Tuple(values)) if len(targets) == len(values):
            single = [ast.Assign([t], v, lineno=0) for t, v in zip(targets, values, strict=True)]
            if not any(_written(a) & _read(b) for a in single for b in single):
                return single
    return [line]


def _meet(before: tuple[set[str], set[str]], line: tuple[set[str], set[str]]) -> bool:
    """Return True if two lines must keep their order; each gives what it reads and writes."""
    (a_reads, a_writes), (b_reads, b_writes) = before, line
    pairs = [*product(a_writes, b_reads | b_writes), *product(a_reads, b_writes)]
    return any(_overlap(one, two) for one, two in pairs)


def _overlap(one: str, two: str) -> bool:
    return one == two or one.startswith(f"{two}.") or two.startswith(f"{one}.")


def _entry(node: ast.AST) -> str:
    """Return d.Wh for ``d["Wh"]``, else an empty string."""
    match node:
        case ast.Subscript(ast.Name(name), ast.Constant(str(key))):
            return f"{name}.{key}"
    return ""


def _names(node: ast.AST) -> set[str]:
    """Return the names in a piece of code; an entry of a dict has a name of its own."""
    if _entry(node):
        return {_entry(node)}
    own = {node.id} if isinstance(node, ast.Name) else set()
    return own.union(*map(_names, ast.iter_child_nodes(node))) - {"np"}


def _base(target: ast.expr) -> set[str]:
    """Return the names of which a target of an assignment changes a value or a part."""
    match target:
        case ast.Subscript(value) if not _entry(target):
            return _base(value)
        case ast.Tuple(parts):
            return set().union(*map(_base, parts))
    return _names(target)


def _read(line: ast.stmt) -> set[str]:
    match line:
        case ast.Assign(targets, value):
            places = [target for target in targets if isinstance(target, ast.Subscript)]
            return _names(value).union(*map(_names, places))
    return _names(line)


def _written(line: ast.stmt) -> set[str]:
    match line:
        case ast.Assign(targets):
            return set().union(*map(_base, targets))
        case ast.AugAssign(target):
            return _base(target)
        case ast.Expr(ast.Call(ast.Attribute(ast.Name(name)))) if name != "np":
            return {name}  # record.append(...)
        case ast.Expr(ast.Call(_, [changed, *_])):
            return _base(changed)  # np.add.at(d["E"], ...)
    return _names(line)


def written(text: str, choice: Choice, names: dict[str, str]) -> str:
    """Return a program, or one with a mistake, in the writing that a choice draws."""
    for piece, other in SPELLINGS:
        if choice.of(piece, "01") == "1":
            text = re.sub(piece, other, text)
    rewriter = Rewriter(choice, names)
    functions = [f for f in ast.parse(text).body if isinstance(f, ast.FunctionDef)]
    by_name = {f.name: ast.unparse(ast.fix_missing_locations(rewriter.visit(f))) for f in functions}
    parts = ["import numpy as np", *(by_name[name] for name in choice.order("function", by_name))]
    start = f'if __name__ == "__main__":\n    {names["check"]}()'
    return "\n\n\n".join([*parts, start]) + "\n"


# --- the hunt -------------------------------------------------------------------------------------

RIGHT, WRONG = 1e-6, 1e-4
"""Relative errors: of the gradients of a right program at most, and of a wrong one at least."""


def errors(text: str, check: str) -> dict[str, float]:
    """Run a program and return the relative error of each gradient, by its own check."""
    names: dict = {"__name__": "hunt"}
    exec(text, names)
    with contextlib.redirect_stdout(io.StringIO()):
        return names[check]()


def differing(wrong: str, right: str) -> list[tuple[int, str, str]]:
    """Return the number and both texts of each line that differs."""
    pairs = zip(wrong.splitlines(), right.splitlines(), strict=True)
    return [(n, a.strip(), b.strip()) for n, (a, b) in enumerate(pairs, 1) if a != b]


def hunt(choice: Choice) -> Hunt:
    """Return a program with three mistakes, each in a line of its own and each measured."""
    orders = {"".join(gates) for gates in permutations("ifgo")} - {"ifgo"}
    gates, names = choice.of("gates", orders), new_names(choice)
    text = program(gates)
    right = written(text, choice, names)
    if max(errors(right, names["check"]).values()) > RIGHT:
        raise RuntimeError("a gradient of the right program is wrong")
    mistakes, pieces = dict[int, Found](), dict[str, str]()
    by_piece = {mistake.right: mistake for mistake in MISTAKES}
    for piece in choice.order("mistakes", by_piece):
        _, instead, why = by_piece[piece]
        alone = written(exchanged(text, {piece: instead}), choice, names)
        ((line, wrong_line, right_line),) = differing(alone, right)
        if line in mistakes or why in {found.why for found in mistakes.values()}:
            continue
        if max(errors(alone, names["check"]).values()) < WRONG:
            raise RuntimeError(f"the check does not find {instead!r}")
        mistakes[line] = Found(line, wrong_line, right_line, why)
        pieces[piece] = instead
        if len(mistakes) == HOW_MANY:
            break
    found = [mistakes[line] for line in sorted(mistakes)]
    mistaken = written(exchanged(text, pieces), choice, names)
    if [found[:3] for found in found] != differing(mistaken, right):
        raise RuntimeError("the mistakes together change other lines than each alone")
    return Hunt(mistaken, found, right, names, gates)
