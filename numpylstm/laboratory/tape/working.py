"""The numbers of the tape, worked out one by one as on paper, in decimals of 50 digits.

Nothing of the rest of the package is used, nor NumPy: a witness must not have talked to the others.
"""

import json
from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

T, D, H, V, L = 3, 3, 2, 4, 2

INPUTS: dict[str, Any] = {
    "ids": [2, 0, 3],  # the token 1 is never read: its row of the embedding has no gradient
    "targets": [0, 3, 0],  # the text is 2 0 3 0
    "h0": [["0.1", "-0.2"], ["0.25", "0.15"]],  # (L, H)
    "c0": [["0.3", "-0.4"], ["-0.5", "0.2"]],
}
PARAMETERS: dict[str, Any] = {
    "embedding.W": [  # (V, D)
        ["0.5", "-0.3", "0.8"],
        ["-0.6", "0.2", "0.1"],
        ["0.4", "0.7", "-0.5"],
        ["-0.2", "0.9", "0.3"],
    ],
    "lstm.0.Wx": [  # (D, 4H), columns i0 i1 f0 f1 g0 g1 o0 o1
        ["0.3", "-0.5", "0.2", "0.6", "-0.4", "0.7", "0.1", "-0.2"],
        ["-0.6", "0.4", "0.5", "-0.1", "0.8", "0.3", "-0.7", "0.2"],
        ["0.2", "0.1", "-0.3", "0.4", "0.6", "-0.5", "0.9", "0.5"],
    ],
    "lstm.0.Wh": [  # (H, 4H)
        ["0.4", "-0.2", "0.7", "0.3", "-0.5", "0.6", "0.2", "-0.3"],
        ["-0.1", "0.5", "0.3", "-0.6", "0.2", "0.4", "-0.8", "0.1"],
    ],
    "lstm.0.b": ["0.1", "-0.1", "1.05", "0.95", "0.05", "-0.15", "0.2", "-0.25"],
    "lstm.1.Wx": [  # (H, 4H)
        ["0.6", "-0.4", "0.3", "0.2", "0.9", "-0.7", "-0.3", "0.5"],
        ["-0.2", "0.8", "-0.5", "0.1", "0.4", "0.6", "0.7", "-0.6"],
    ],
    "lstm.1.Wh": [  # (H, 4H)
        ["-0.3", "0.2", "0.5", "-0.4", "0.7", "0.1", "0.4", "-0.5"],
        ["0.6", "-0.7", "0.1", "0.3", "-0.2", "0.8", "-0.1", "0.3"],
    ],
    "lstm.1.b": ["-0.05", "0.15", "0.9", "1.1", "-0.2", "0.1", "0.3", "-0.1"],
    "decoder.W": [  # (H, V)
        ["1.2", "-0.8", "0.5", "-1.1"],
        ["-0.7", "0.9", "1.3", "-0.4"],
    ],
    "decoder.b": ["0.1", "-0.2", "0.05", "0.3"],
}
GATES = "ifgo"  # the order of the four blocks of columns

Vector = list[Decimal]
Matrix = list[Vector]


def sigmoid(a: Decimal) -> Decimal:
    """1 / (1 + exp(-a))."""
    return 1 / (1 + (-a).exp())


def tanh(a: Decimal) -> Decimal:
    """(exp(2a) - 1) / (exp(2a) + 1)."""
    e = (2 * a).exp()
    return (e - 1) / (e + 1)


def times(row: Vector, W: Matrix) -> Vector:
    """``row @ W``: one sum for each column."""
    return [sum((r * w for r, w in zip(row, column, strict=True)), Decimal(0))
            for column in zip(*W, strict=True)]  # fmt: skip


def times_transposed(row: Vector, W: Matrix) -> Vector:
    """``row @ W.T``: one sum for each row of W."""
    return [sum((r * w for r, w in zip(row, line, strict=True)), Decimal(0)) for line in W]


def add(*rows: Vector) -> Vector:
    """The sum of rows, entry by entry."""
    return [sum(column, Decimal(0)) for column in zip(*rows, strict=True)]


def add_outer(total: Matrix, left: Vector, right: Vector) -> None:
    """``total += outer(left, right)``."""
    for line, value in zip(total, left, strict=True):
        for k, other in enumerate(right):
            line[k] += value * other


def step_forward(x: Vector, h_prev: Vector, c_prev: Vector, weights: Any) -> dict[str, Vector]:
    """One step of one layer: every number on the way, in the order of computation."""
    Wx, Wh, b = weights
    a = add(times(x, Wx), times(h_prev, Wh), b)  # 4H
    n = {f"a_{gate}": a[H * k : H * (k + 1)] for k, gate in enumerate(GATES)}
    for gate in GATES:
        f = tanh if gate == "g" else sigmoid
        n[gate] = [f(value) for value in n[f"a_{gate}"]]
    units = range(H)
    n["c"] = [n["f"][k] * c_prev[k] + n["i"][k] * n["g"][k] for k in units]
    n["tanh_c"] = [tanh(value) for value in n["c"]]
    n["h"] = [n["o"][k] * n["tanh_c"][k] for k in units]
    return n


def step_backward(
    dh: Vector, dc_next: Vector, c_prev: Vector, n: dict[str, Vector], weights: Any
) -> dict[str, Vector]:
    """One step of one layer back: every number on the way, in the order of computation."""
    Wx, Wh, _ = weights
    units = range(H)
    d: dict[str, Vector] = {"dh": dh}
    d["do"] = [dh[k] * n["tanh_c"][k] for k in units]
    d["dc"] = [dc_next[k] + dh[k] * n["o"][k] * (1 - n["tanh_c"][k] ** 2) for k in units]
    d["di"] = [d["dc"][k] * n["g"][k] for k in units]
    d["df"] = [d["dc"][k] * c_prev[k] for k in units]
    d["dg"] = [d["dc"][k] * n["i"][k] for k in units]
    for gate in "ifo":
        d[f"da_{gate}"] = [d[f"d{gate}"][k] * n[gate][k] * (1 - n[gate][k]) for k in units]
    d["da_g"] = [d["dg"][k] * (1 - n["g"][k] ** 2) for k in units]
    da = [value for gate in GATES for value in d[f"da_{gate}"]]
    d["dx"] = times_transposed(da, Wx)
    d["dh_prev"] = times_transposed(da, Wh)
    d["dc_prev"] = [d["dc"][k] * n["f"][k] for k in units]
    return d


def compute() -> dict[str, Any]:
    """The whole tape, as nested dicts in the order of computation."""
    with localcontext(prec=50):
        return _floats(_compute())


def _compute() -> dict[str, Any]:
    inputs, p = _decimals(INPUTS), _decimals(PARAMETERS)
    ids, targets = INPUTS["ids"], INPUTS["targets"]
    weights = [[p[f"lstm.{layer}.{key}"] for key in ("Wx", "Wh", "b")] for layer in range(L)]
    zeros = [Decimal(0)] * H

    forward: dict[str, Any] = {}
    h, c = list(inputs["h0"]), list(inputs["c0"])  # of each layer, as they are before the step
    before = []
    for t in range(T):
        before.append((list(h), list(c)))
        step: dict[str, Any] = {"x": p["embedding.W"][ids[t]]}
        x = step["x"]
        for layer in range(L):
            n = step[f"lstm.{layer}"] = step_forward(x, h[layer], c[layer], weights[layer])
            x = h[layer] = n["h"]
            c[layer] = n["c"]
        step["logits"] = add(times(x, p["decoder.W"]), p["decoder.b"])
        e = [score.exp() for score in step["logits"]]
        step["probabilities"] = [value / sum(e) for value in e]
        step["nll"] = -step["probabilities"][targets[t]].ln()
        forward[f"t{t}"] = step
    loss = sum((step["nll"] for step in forward.values()), Decimal(0))

    gradients = {path: _zeros_like(array) for path, array in p.items()}
    backward: dict[str, Any] = {}
    dh_prev, dc_prev = [zeros] * L, [zeros] * L  # from step t+1; after the last step there is none
    for t in reversed(range(T)):
        forward_step = forward[f"t{t}"]
        dlogits = list(forward_step["probabilities"])
        dlogits[targets[t]] -= 1
        back: dict[str, Any] = {"dlogits": dlogits}
        top = forward_step[f"lstm.{L - 1}"]["h"]
        add_outer(gradients["decoder.W"], top, dlogits)
        gradients["decoder.b"] = add(gradients["decoder.b"], dlogits)
        from_above = times_transposed(dlogits, p["decoder.W"])
        h_before, c_before = before[t]
        for layer in reversed(range(L)):
            n = forward_step[f"lstm.{layer}"]
            dh = add(from_above, dh_prev[layer])
            d = step_backward(dh, dc_prev[layer], c_before[layer], n, weights[layer])
            back[f"lstm.{layer}"] = d
            from_above, dh_prev[layer], dc_prev[layer] = d["dx"], d["dh_prev"], d["dc_prev"]
            da = [value for gate in GATES for value in d[f"da_{gate}"]]
            x = forward_step["x"] if layer == 0 else forward_step[f"lstm.{layer - 1}"]["h"]
            add_outer(gradients[f"lstm.{layer}.Wx"], x, da)
            add_outer(gradients[f"lstm.{layer}.Wh"], h_before[layer], da)
            gradients[f"lstm.{layer}.b"] = add(gradients[f"lstm.{layer}.b"], da)
        row = gradients["embedding.W"][ids[t]]
        gradients["embedding.W"][ids[t]] = add(row, from_above)
        backward[f"t{t}"] = back
    gradients |= {"h0": dh_prev, "c0": dc_prev}
    return {
        "inputs": inputs | {"ids": ids, "targets": targets},
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


def _decimals(tree: Any) -> Any:
    return _map(tree, Decimal)


def _zeros_like(tree: Any) -> Any:
    return _map(tree, lambda _: Decimal(0))


def _floats(tree: Any) -> Any:
    return _map(tree, lambda value: value if isinstance(value, int) else float(value))


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
