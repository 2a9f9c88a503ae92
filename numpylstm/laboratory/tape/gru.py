"""The GRU of the tape, reset after the product: its weights, and a step both ways."""

from typing import Any

from numpylstm.laboratory.tape.paper import Vector, add, sigmoid, tanh, times, times_transposed

GATES = "rzn"  # the order of the three blocks of columns
STATES = {"h0": [["0.1", "-0.2"], ["0.25", "0.15"]]}
PARAMETERS: dict[str, Any] = {
    "gru.0.Wx": [  # (D, 3H), columns r0 r1 z0 z1 n0 n1
        ["0.3", "-0.5", "0.2", "0.6", "-0.4", "0.7"],
        ["-0.6", "0.4", "0.5", "-0.1", "0.8", "0.3"],
        ["0.2", "0.1", "-0.3", "0.4", "0.6", "-0.5"],
    ],
    "gru.0.Wh": [  # (H, 3H)
        ["0.4", "-0.2", "0.7", "0.3", "-0.5", "0.6"],
        ["-0.1", "0.5", "0.3", "-0.6", "0.2", "0.4"],
    ],
    "gru.0.b": ["0.1", "-0.1", "0.25", "0.35", "0.05", "-0.15"],
    "gru.0.bn": ["0.45", "-0.3"],  # (H,)
    "gru.1.Wx": [  # (H, 3H)
        ["0.6", "-0.4", "0.3", "0.2", "0.9", "-0.7"],
        ["-0.2", "0.8", "-0.5", "0.1", "0.4", "0.6"],
    ],
    "gru.1.Wh": [  # (H, 3H)
        ["-0.3", "0.2", "0.5", "-0.4", "0.7", "0.1"],
        ["0.6", "-0.7", "0.1", "0.3", "-0.2", "0.8"],
    ],
    "gru.1.b": ["-0.05", "0.15", "0.4", "-0.2", "-0.25", "0.1"],
    "gru.1.bn": ["-0.35", "0.2"],
}
MADE_OF = {
    **{
        f"a_{gate}": f"x @ Wx + h_prev @ Wh + b, columns {2 * k} and {2 * k + 1} (block {gate} of "
        "the order r, z, n); x is the embedded id for gru.0 and h of gru.0 for gru.1, h_prev is h "
        "of step t-1, or h0"
        for k, gate in enumerate("rz")
    },
    "r": "sigmoid(a_r)",
    "z": "sigmoid(a_z)",
    "s": "h_prev @ Wh + bn, columns 4 and 5 of Wh (block n of the order r, z, n)",
    "a_n": "x @ Wx + b, columns 4 and 5 (block n), plus r * s",
    "n": "tanh(a_n)",
    "h": "(1 - z) * n + z * h_prev",
    "dz": "dh * (h_prev - n)",
    "dn": "dh * (1 - z)",
    "da_n": "dn * (1 - n**2)",
    "dr": "da_n * s",
    "ds": "da_n * r",
    "da_r": "dr * r * (1 - r)",
    "da_z": "dz * z * (1 - z)",
    "dx": "da @ Wx.T, with da = [da_r, da_z, da_n]",
    "dh_prev": "dh * z plus du @ Wh.T, with du = [da_r, da_z, ds]",
    "Wx": "the sum over the steps of the outer product of x and da = [da_r, da_z, da_n]",
    "Wh": "the sum over the steps of the outer product of h_prev and du = [da_r, da_z, ds]",
    "b": "the sum over the steps of da = [da_r, da_z, da_n]",
    "bn": "the sum over the steps of ds",
}


def step_forward(x: Vector, before: dict[str, Vector], weights: Any) -> dict[str, Vector]:
    """One step of one layer: every number on the way, in the order of computation."""
    h_prev, units = before["h"], range(len(before["h"]))
    H = len(h_prev)
    of_x, of_h = add(times(x, weights["Wx"]), weights["b"]), times(h_prev, weights["Wh"])  # 3H
    n: dict[str, Vector] = {}
    for k, gate in enumerate("rz"):
        block = slice(H * k, H * (k + 1))
        n[f"a_{gate}"] = add(of_x[block], of_h[block])
        n[gate] = [sigmoid(value) for value in n[f"a_{gate}"]]
    n["s"] = add(of_h[2 * H :], weights["bn"])
    n["a_n"] = [of_x[2 * H + k] + n["r"][k] * n["s"][k] for k in units]
    n["n"] = [tanh(value) for value in n["a_n"]]
    n["h"] = [(1 - n["z"][k]) * n["n"][k] + n["z"][k] * h_prev[k] for k in units]
    return n


def step_backward(
    dh: Vector, after: dict[str, Vector], before: dict[str, Vector], n: dict[str, Vector],
    weights: Any,
) -> dict[str, Vector]:  # fmt: skip
    """One step of one layer back: every number on the way, in the order of computation."""
    h_prev, units = before["h"], range(len(dh))
    d: dict[str, Vector] = {"dh": dh}
    d["dz"] = [dh[k] * (h_prev[k] - n["n"][k]) for k in units]
    d["dn"] = [dh[k] * (1 - n["z"][k]) for k in units]
    d["da_n"] = [d["dn"][k] * (1 - n["n"][k] ** 2) for k in units]
    d["dr"] = [d["da_n"][k] * n["s"][k] for k in units]
    d["ds"] = [d["da_n"][k] * n["r"][k] for k in units]
    for gate in "rz":
        d[f"da_{gate}"] = [d[f"d{gate}"][k] * n[gate][k] * (1 - n[gate][k]) for k in units]
    da, du = of_sums(d)
    d["dx"] = times_transposed(da, weights["Wx"])
    straight = [dh[k] * n["z"][k] for k in units]
    d["dh_prev"] = add(straight, times_transposed(du, weights["Wh"]))
    return d


def of_sums(d: dict[str, Vector]) -> tuple[Vector, Vector]:
    """The gradients of ``x @ Wx + b`` and of ``h_prev @ Wh + bn``."""
    return d["da_r"] + d["da_z"] + d["da_n"], d["da_r"] + d["da_z"] + d["ds"]
