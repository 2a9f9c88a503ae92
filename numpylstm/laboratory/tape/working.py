"""The numbers of the tape, worked out one by one as on paper, in decimals of 50 digits.

Nothing of the rest of the package is used, nor NumPy: a witness must not have talked to the others.
"""

import json
from collections.abc import Callable
from decimal import Decimal, localcontext
from types import ModuleType
from typing import Any

from numpylstm.laboratory.tape import gru, lstm
from numpylstm.laboratory.tape.paper import add, add_outer, times, times_transposed

T, D, H, V, L = 3, 3, 2, 4, 2

CELLS: dict[str, ModuleType] = {"lstm": lstm, "gru": gru}
INPUTS: dict[str, Any] = {
    "ids": [2, 0, 3],  # the token 1 is never read: its row of the embedding has no gradient
    "targets": [0, 3, 0],  # the text is 2 0 3 0
}
EMBEDDING: dict[str, Any] = {
    "embedding.W": [  # (V, D)
        ["0.5", "-0.3", "0.8"],
        ["-0.6", "0.2", "0.1"],
        ["0.4", "0.7", "-0.5"],
        ["-0.2", "0.9", "0.3"],
    ],
}
DECODER: dict[str, Any] = {
    "decoder.W": [  # (H, V)
        ["1.2", "-0.8", "0.5", "-1.1"],
        ["-0.7", "0.9", "1.3", "-0.4"],
    ],
    "decoder.b": ["0.1", "-0.2", "0.05", "0.3"],
}


def compute(cell: str = "lstm") -> dict[str, Any]:
    """The whole tape of a cell, "lstm" or "gru", as nested dicts in the order of computation."""
    if cell not in CELLS:
        raise ValueError(f"compute: cell must be {' or '.join(map(repr, CELLS))}, got {cell!r}")
    with localcontext(prec=50):
        tape = _compute(cell, CELLS[cell])
        return _map(tape, lambda value: value if isinstance(value, int) else float(value))


def _compute(name: str, cell: ModuleType) -> dict[str, Any]:
    ids, targets = INPUTS["ids"], INPUTS["targets"]
    initial = _map(cell.STATES, Decimal)
    p = _map(EMBEDDING | cell.PARAMETERS | DECODER, Decimal)
    prefixes = [f"{name}.{layer}" for layer in range(L)]
    keys = [path.removeprefix(f"{name}.0.") for path in p if path.startswith(f"{name}.0.")]
    weights = [{key: p[f"{prefix}.{key}"] for key in keys} for prefix in prefixes]
    fields = [state.removesuffix("0") for state in initial]

    forward: dict[str, Any] = {}
    states = [{s: initial[f"{s}0"][layer] for s in fields} for layer in range(L)]
    before = []  # of each step, what `states` was
    for t in range(T):
        before.append(list(states))
        step: dict[str, Any] = {"x": p["embedding.W"][ids[t]]}
        x = step["x"]
        for layer, prefix in enumerate(prefixes):
            n = step[prefix] = cell.step_forward(x, states[layer], weights[layer])
            states[layer] = {s: n[s] for s in fields}
            x = n["h"]
        step["logits"] = add(times(x, p["decoder.W"]), p["decoder.b"])
        e = [score.exp() for score in step["logits"]]
        step["probabilities"] = [value / sum(e) for value in e]
        step["nll"] = -step["probabilities"][targets[t]].ln()
        forward[f"t{t}"] = step
    loss = sum((step["nll"] for step in forward.values()), Decimal(0))

    gradients = {path: _zeros_like(array) for path, array in p.items()}
    backward: dict[str, Any] = {}
    after = [_zeros_like(state) for state in states]  # step t+1; after the last there is none
    for t in reversed(range(T)):
        forward_step = forward[f"t{t}"]
        dlogits = list(forward_step["probabilities"])
        dlogits[targets[t]] -= 1
        back: dict[str, Any] = {"dlogits": dlogits}
        add_outer(gradients["decoder.W"], forward_step[prefixes[-1]]["h"], dlogits)
        gradients["decoder.b"] = add(gradients["decoder.b"], dlogits)
        from_above = times_transposed(dlogits, p["decoder.W"])
        for layer, prefix in reversed(list(enumerate(prefixes))):
            now, dh = before[t][layer], add(from_above, after[layer]["h"])
            d = back[prefix] = cell.step_backward(
                dh, after[layer], now, forward_step[prefix], weights[layer]
            )
            from_above = d["dx"]
            after[layer] = {s: d[f"d{s}_prev"] for s in fields}
            x = forward_step["x"] if layer == 0 else forward_step[prefixes[layer - 1]]["h"]
            da, du = cell.of_sums(d)
            add_outer(gradients[f"{prefix}.Wx"], x, da)
            add_outer(gradients[f"{prefix}.Wh"], now["h"], du)
            gradients[f"{prefix}.b"] = add(gradients[f"{prefix}.b"], da)
            if "bn" in keys:
                gradients[f"{prefix}.bn"] = add(gradients[f"{prefix}.bn"], du[-H:])
        row = gradients["embedding.W"][ids[t]]
        gradients["embedding.W"][ids[t]] = add(row, from_above)
        backward[f"t{t}"] = back
    gradients |= {f"{s}0": [of_layer[s] for of_layer in after] for s in fields}
    return {
        "inputs": INPUTS | initial,
        "parameters": p,
        "forward": forward,
        "loss": loss,
        "backward": backward,
        "gradients": gradients,
    }


def _map(tree: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(tree, dict):
        return {name: _map(value, change) for name, value in tree.items()}
    if isinstance(tree, list):
        return [_map(value, change) for value in tree]
    return change(tree)


def _zeros_like(tree: Any) -> Any:
    return _map(tree, lambda _: Decimal(0))


def as_json(tree: Any) -> str:
    """JSON with one list of numbers a line, and all the digits of a double."""
    return _json(tree, "") + "\n"


def _json(tree: Any, indent: str) -> str:
    inner = indent + "  "
    if isinstance(tree, dict):
        lines = [f"{inner}{json.dumps(name)}: {_json(tree[name], inner)}" for name in tree]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(tree, list) and isinstance(tree[0], list):
        return "[\n" + ",\n".join(inner + _json(row, inner) for row in tree) + f"\n{indent}]"
    return json.dumps(tree, allow_nan=False)
