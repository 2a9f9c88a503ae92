"""Computation of the tapes, number by number as on paper, in decimals of 50 digits.

It uses the standard library only, so the tape is independent of everything compared with it.
"""

import json
import operator
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, localcontext
from functools import reduce
from importlib.resources import files
from typing import Any

from numpylstm.laboratory.tape import paper
from numpylstm.laboratory.tape.formulas import CELLS
from numpylstm.laboratory.tape.paper import Matrix, Row, outer

T, D, H, V, L = 3, 3, 2, 4, 2
GRADIENTS = {"Wx": "outer(x, da)", "Wh": "outer(h_prev, du)", "b": "da", "bn": "ds"}  # of a step


class TapeError(Exception):
    """Answers that cannot be graded; the message is one sentence that names the place."""


def load(cell: str = "lstm", number: Callable[[str], Any] = float) -> dict[str, Any]:
    """Load the golden tape: nested dicts and lists, in the order of computation.

    Parameters
    ----------
    cell : str
        One of "lstm", "gru", "mingru", "minlstm" and "slstm".
    number : callable
        Converts the digits of a number.
    """
    if cell not in CELLS:
        raise TapeError(f"cell must be {' or '.join(map(repr, CELLS))}, got {cell!r}")
    name = "golden_tape.json" if cell == "lstm" else f"golden_tape_{cell}.json"
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    tape: dict[str, Any] = json.loads(text, parse_float=number)
    return tape


def compute(cell: str = "lstm") -> dict[str, Any]:
    """Compute the whole tape of a cell, as `load` gives it, from its inputs and parameters."""
    given = load(cell, Decimal)
    with localcontext(prec=50):
        exact = _compute(cell, given["inputs"], given["parameters"])
        doubles: dict[str, Any] = json.loads(json.dumps(exact, default=float))
        return doubles


def _compute(name: str, inputs: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    cell, ids, targets = CELLS[name], inputs["ids"], inputs["targets"]
    p: dict[str, Any] = {
        path: Matrix(map(Row, values)) if isinstance(values[0], list) else Row(values)
        for path, values in parameters.items()
    }
    prefixes = [f"{name}.{layer}" for layer in range(L)]
    weights = [_weights(p, prefix, cell.blocks) for prefix in prefixes]
    state = [{f"{s}_prev": Row(inputs[f"{s}0"][k]) for s in cell.states} for k in range(L)]

    forward: dict[str, Any] = {}
    known = []  # for each step, all that its layers have computed
    for t in range(T):
        x = p["embedding.W"][ids[t]]
        step: dict[str, Any] = {"x": x}
        known.append([weights[k] | state[k] for k in range(L)])
        for k, prefix in enumerate(prefixes):
            step[prefix] = _evaluate(cell.forward, known[t][k] | {"x": x})
            known[t][k] |= {"x": x} | step[prefix]
            state[k] = {f"{s}_prev": step[prefix][s] for s in cell.states}
            x = step[prefix]["h"]
        step["logits"] = x @ p["decoder.W"] + p["decoder.b"]
        e = Row(score.exp() for score in step["logits"])
        step["probabilities"] = e / sum(e)
        step["nll"] = -step["probabilities"][targets[t]].ln()
        forward[f"t{t}"] = step
    loss = sum((step["nll"] for step in forward.values()), Decimal(0))

    backward: dict[str, Any] = {}
    after = [{f"d{s}_next": Row([Decimal(0)] * H) for s in cell.states} for _ in range(L)]
    parts: dict[str, list[Any]] = {path: [] for path in p}  # of the gradients, one for each step
    for t in reversed(range(T)):
        step = forward[f"t{t}"]
        dlogits = step["probabilities"] - Row(Decimal(v == targets[t]) for v in range(V))
        back: dict[str, Any] = {"dlogits": dlogits}
        parts["decoder.W"].append(outer(step[prefixes[-1]]["h"], dlogits))
        parts["decoder.b"].append(dlogits)
        from_above = dlogits @ p["decoder.W"].T
        for k, prefix in reversed(list(enumerate(prefixes))):
            now, dh = known[t][k], from_above + after[k]["dh_next"]
            d = {"dh": dh} | _evaluate(cell.backward, now | after[k] | {"dh": dh})
            after[k] = {f"d{s}_next": d[f"d{s}_prev"] for s in cell.states}
            from_above = d["dx"]
            for name in weights[k].keys() & GRADIENTS:
                part = _evaluate({name: GRADIENTS[name]}, now | d)[name]
                parts[f"{prefix}.{name}"].append(part)
            back[prefix] = {name: value for name, value in d.items() if name not in ("da", "du")}
        parts["embedding.W"].append(
            Matrix(from_above if v == ids[t] else Row([Decimal(0)] * D) for v in range(V))
        )
        backward[f"t{t}"] = back
    gradients: dict[str, Any] = {path: reduce(operator.add, parts[path]) for path in p}
    gradients |= {f"{s}0": [of_layer[f"d{s}_next"] for of_layer in after] for s in cell.states}
    return {
        "inputs": inputs,
        "parameters": p,
        "forward": forward,
        "loss": loss,
        "backward": backward,
        "gradients": gradients,
    }


def _evaluate(formulas: Mapping[str, str], known: dict[str, Any]) -> dict[str, Any]:
    """Compute each number by its formula, from the numbers before it."""
    names = vars(paper) | known
    for name, formula in formulas.items():
        names[name] = eval(formula.split(";")[0], names)
    return {name: names[name] for name in formulas}


def _weights(p: Mapping[str, Any], prefix: str, blocks: str) -> dict[str, Any]:
    """Return the parameters of a layer by name, whole and by block: Wx and Wx_i."""
    own = {
        path.removeprefix(f"{prefix}."): array
        for path, array in p.items() if path.startswith(prefix)
    }  # fmt: skip
    for k, name in enumerate(blocks):
        block = slice(H * k, H * (k + 1))
        for key in own.keys() & {"Wx", "Wh"}:
            own[f"{key}_{name}"] = Matrix(Row(row[block]) for row in own[key])
        own[f"b_{name}"] = Row(own["b"][block])
    return own


def as_json(tree: Any) -> str:
    """Write JSON with one list of numbers a line and all the digits of a double."""
    text = json.dumps(tree, indent=2, allow_nan=False)
    rows = re.compile(r"\[\s+([^][]+?)\s+\]")
    return rows.sub(lambda row: f"[{' '.join(row[1].split())}]", text) + "\n"
