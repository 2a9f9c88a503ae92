"""The LSTM of the tape: its weights, and a step forwards and backwards, number by number."""

from typing import Any

from numpylstm.laboratory.tape.paper import Vector, add, sigmoid, tanh, times, times_transposed

GATES = "ifgo"  # the order of the four blocks of columns
STATES = {"h0": [["0.1", "-0.2"], ["0.25", "0.15"]], "c0": [["0.3", "-0.4"], ["-0.5", "0.2"]]}
PARAMETERS: dict[str, Any] = {
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
}
MADE_OF = {
    **{
        f"a_{gate}": f"x @ Wx + h_prev @ Wh + b, columns {2 * k} and {2 * k + 1} (block {gate} of "
        "the order i, f, g, o); x is the embedded id for lstm.0 and h of lstm.0 for lstm.1, h_prev "
        "is h of step t-1, or h0"
        for k, gate in enumerate(GATES)
    },
    "i": "sigmoid(a_i)",
    "f": "sigmoid(a_f)",
    "g": "tanh(a_g)",
    "o": "sigmoid(a_o)",
    "c": "f * c_prev + i * g; c_prev is c of step t-1, or c0",
    "tanh_c": "tanh(c)",
    "h": "o * tanh_c",
    "do": "dh * tanh_c",
    "dc": "dh * o * (1 - tanh_c**2) plus dc_prev of step t+1",
    "di": "dc * g",
    "df": "dc * c_prev",
    "dg": "dc * i",
    "da_i": "di * i * (1 - i)",
    "da_f": "df * f * (1 - f)",
    "da_g": "dg * (1 - g**2)",
    "da_o": "do * o * (1 - o)",
    "dx": "da @ Wx.T, with da = [da_i, da_f, da_g, da_o]",
    "dh_prev": "da @ Wh.T",
    "dc_prev": "dc * f",
    "Wx": "the sum over the steps of the outer product of x and da",
    "Wh": "the sum over the steps of the outer product of h_prev and da",
    "b": "the sum over the steps of da",
    "c0": "dc_prev of each layer at t0",
}


def step_forward(x: Vector, before: dict[str, Vector], weights: Any) -> dict[str, Vector]:
    """One step of one layer: every number on the way, in the order of computation."""
    h_prev, c_prev, units = before["h"], before["c"], range(len(before["h"]))
    H = len(h_prev)
    a = add(times(x, weights["Wx"]), times(h_prev, weights["Wh"]), weights["b"])  # 4H
    n = {f"a_{gate}": a[H * k : H * (k + 1)] for k, gate in enumerate(GATES)}
    for gate in GATES:
        f = tanh if gate == "g" else sigmoid
        n[gate] = [f(value) for value in n[f"a_{gate}"]]
    n["c"] = [n["f"][k] * c_prev[k] + n["i"][k] * n["g"][k] for k in units]
    n["tanh_c"] = [tanh(value) for value in n["c"]]
    n["h"] = [n["o"][k] * n["tanh_c"][k] for k in units]
    return n


def step_backward(
    dh: Vector, after: dict[str, Vector], before: dict[str, Vector], n: dict[str, Vector],
    weights: Any,
) -> dict[str, Vector]:  # fmt: skip
    """One step of one layer back: every number on the way, in the order of computation."""
    dc_next, c_prev, units = after["c"], before["c"], range(len(dh))
    d: dict[str, Vector] = {"dh": dh}
    d["do"] = [dh[k] * n["tanh_c"][k] for k in units]
    d["dc"] = [dc_next[k] + dh[k] * n["o"][k] * (1 - n["tanh_c"][k] ** 2) for k in units]
    d["di"] = [d["dc"][k] * n["g"][k] for k in units]
    d["df"] = [d["dc"][k] * c_prev[k] for k in units]
    d["dg"] = [d["dc"][k] * n["i"][k] for k in units]
    for gate in "ifo":
        d[f"da_{gate}"] = [d[f"d{gate}"][k] * n[gate][k] * (1 - n[gate][k]) for k in units]
    d["da_g"] = [d["dg"][k] * (1 - n["g"][k] ** 2) for k in units]
    da, _ = of_sums(d)
    d["dx"] = times_transposed(da, weights["Wx"])
    d["dh_prev"] = times_transposed(da, weights["Wh"])
    d["dc_prev"] = [d["dc"][k] * n["f"][k] for k in units]
    return d


def of_sums(d: dict[str, Vector]) -> tuple[Vector, Vector]:
    """The gradients of ``x @ Wx + b`` and of ``h_prev @ Wh``, which are one here."""
    da = [value for gate in GATES for value in d[f"da_{gate}"]]
    return da, da
