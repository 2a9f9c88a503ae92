"""Formulas of the numbers of the tape, in the lines of the textbook.

`numpylstm.reference` is read as text, with the standard library only.
"""

import ast
import re
from functools import cache

from numpylstm.cells import CELLS
from numpylstm.tape.golden import load
from numpylstm.textbook import source_of

AROUND = {
    "x": "row ids[t] of embedding.W",
    "logits": "h of the top layer @ decoder.W + decoder.b",
    "probabilities": "exp(logits) / sum(exp(logits))",
    "nll": "-log(probabilities[target]), the natural logarithm",
    "loss": "the sum of nll over the steps; no mean over time",
    "dlogits": "probabilities, minus 1 at the target",
    "dh": "from above (dlogits @ decoder.W.T, or dx of the layer above) plus dh_prev of step t+1",
    "embedding.W": "dx of the bottom layer at every step, added to row ids[t]",
    "decoder.W": "the sum over the steps of the outer product of h of the top layer and dlogits",
    "decoder.b": "the sum over the steps of dlogits",
}
"""Descriptions of the numbers outside the cell."""


def made_of(name: str, cell: str = "lstm") -> str:
    """Return how a number of the tape is computed, as a sentence."""
    part, _, path = name.split("[")[0].partition(".")
    last = path.rsplit(".", 1)[-1]
    states = CELLS[cell].states
    if part in ("inputs", "parameters"):
        which = "" if cell == "lstm" else f" --cell {cell}"
        return f"it is given: python -m numpylstm.tape show --inputs{which}"
    known = AROUND.get(path if part == "gradients" else last or part)
    if known is not None:
        return f"it is {known}"
    if part == "gradients" and last[:-1] in states:
        return f"it is d{last[:-1]}_prev of each layer at t0"
    if part == "gradients":
        return f"it is the sum over the steps of d{last}: {_lines(cell, 'backward', f'd{last}')}"
    return f"its line: {_lines(cell, part, last)}"


def _lines(cell: str, way: str, name: str) -> str:
    """Return the line of a step that computes a name, and the lines for what is not on the tape."""
    assignments = _assignments(f"{cell}_step_{way}")
    on_tape = load(cell)[way]["t0"][f"{cell}.0"].keys()
    lines: list[str] = []
    read: set[str] = set()
    needed = [name]
    while needed:
        line, used = assignments[needed.pop(0)]
        if line not in lines:
            lines.append(line)
            needed += sorted(used & assignments.keys() - on_tape - {name})
            read |= used
    notes = {f"{s}_prev": f"{s}_prev is {s} of step t-1, or {s}0" for s in CELLS[cell].states}
    notes["x"] = "x is the embedded id for layer 0 and h of layer 0 for layer 1"
    if way == "backward":
        notes[name] = f"{name} on the right is {name}_prev of step t+1, or 0"
    return "; ".join([", where ".join(lines), *(notes[n] for n in sorted(read & notes.keys()))])


@cache
def _assignments(function: str) -> dict[str, tuple[str, set[str]]]:
    """Return by its name the line for each result in a function of the textbook, and what it uses.

    Of several choices the first is taken. What is only taken from the cache is left out.
    """
    text = source_of(function).text
    found: dict[str, tuple[str, set[str]]] = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Assign) and not _from_cache(node.value):
            line = " ".join((ast.get_source_segment(text, node) or "").split())
            for target in _names(node.targets[0]):
                found.setdefault(target, (line, _names(node.value)))
    return found


def _names(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _from_cache(value: ast.expr) -> bool:
    """Return True for ``cache`` and for ``cache.i, cache.f``."""
    parts = value.elts if isinstance(value, ast.Tuple) else [value]
    return all(re.fullmatch(r"cache(\.\w+)?", ast.unparse(part)) for part in parts)
