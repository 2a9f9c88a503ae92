"""Formulas of the numbers on the tapes, in the order of computation.

`working` evaluates them and `comparison` shows them beside a wrong number. Names are as in
`numpylstm.reference`; the text after a semicolon is a note for the reader.
"""

from typing import NamedTuple


class Cell(NamedTuple):
    """Formulas of one step of a cell.

    `backward` includes two gradients that are not on the tape: da of ``x @ Wx + b`` and, where the
    cell has a Wh, du of ``h_prev @ Wh``.
    """

    blocks: str
    states: str
    forward: dict[str, str]
    backward: dict[str, str]


_X = "x is the embedded id for layer 0 and h of layer 0 for layer 1"


def _sums(blocks: str, gates: str) -> dict[str, str]:
    return {
        f"a_{gate}": f"x @ Wx_{gate} + h_prev @ Wh_{gate} + b_{gate}; {_columns(blocks, gate)}; "
        f"{_X}; h_prev is h of step t-1, or h0"
        for gate in gates
    }


def _columns(blocks: str, gate: str) -> str:
    k = 2 * blocks.index(gate)
    return f"_{gate} means columns {k} and {k + 1} (block {gate} of the order {', '.join(blocks)})"


def _slopes(sigmoids: str) -> dict[str, str]:
    return {f"da_{gate}": f"d{gate} * {gate} * (1 - {gate})" for gate in sigmoids}


LSTM = Cell(
    blocks="ifgo",
    states="hc",
    forward=_sums("ifgo", "ifgo")
    | {
        "i": "sigmoid(a_i)",
        "f": "sigmoid(a_f)",
        "g": "tanh(a_g)",
        "o": "sigmoid(a_o)",
        "c": "f * c_prev + i * g; c_prev is c of step t-1, or c0",
        "tanh_c": "tanh(c)",
        "h": "o * tanh_c",
    },
    backward={
        "do": "dh * tanh_c",
        "dc": "dh * o * (1 - tanh_c**2) + dc_next; dc_next is dc_prev of step t+1",
        "di": "dc * g",
        "df": "dc * c_prev",
        "dg": "dc * i",
        **_slopes("ifo"),
        "da_g": "dg * (1 - g**2)",
        "da": "join(da_i, da_f, da_g, da_o)",
        "du": "da",
        "dx": "da @ Wx.T; da is da_i, da_f, da_g and da_o side by side",
        "dh_prev": "da @ Wh.T; da is da_i, da_f, da_g and da_o side by side",
        "dc_prev": "dc * f",
    },
)

GRU = Cell(  # with its reset after the product
    blocks="rzn",
    states="h",
    forward={
        **_sums("rzn", "r"),
        "r": "sigmoid(a_r)",
        **_sums("rzn", "z"),
        "z": "sigmoid(a_z)",
        "s": f"h_prev @ Wh_n + bn; {_columns('rzn', 'n')}",
        "a_n": f"x @ Wx_n + b_n + r * s; {_columns('rzn', 'n')}",
        "n": "tanh(a_n)",
        "h": "(1 - z) * n + z * h_prev",
    },
    backward={
        "dz": "dh * (h_prev - n)",
        "dn": "dh * (1 - z)",
        "da_n": "dn * (1 - n**2)",
        "dr": "da_n * s",
        "ds": "da_n * r",
        **_slopes("rz"),
        "da": "join(da_r, da_z, da_n)",
        "du": "join(da_r, da_z, ds)",
        "dx": "da @ Wx.T; da is da_r, da_z and da_n side by side",
        "dh_prev": "dh * z + du @ Wh.T; du is da_r, da_z and ds side by side",
    },
)

MINGRU = Cell(
    blocks="zn",
    states="h",
    forward={
        "a_z": f"x @ Wx_z + b_z; {_columns('zn', 'z')}; {_X}",
        "z": "sigmoid(a_z)",
        "n": f"x @ Wx_n + b_n; {_columns('zn', 'n')}; no nonlinearity",
        "h": "(1 - z) * h_prev + z * n; h_prev is h of step t-1, or h0",
    },
    backward={
        "dz": "dh * (n - h_prev)",
        "dn": "dh * z",
        **_slopes("z"),
        "da": "join(da_z, dn)",
        "dx": "da @ Wx.T; da is da_z and dn side by side",
        "dh_prev": "dh * (1 - z)",
    },
)

MINLSTM = Cell(
    blocks="ifg",
    states="h",
    forward={
        **{f"a_{k}": f"x @ Wx_{k} + b_{k}; {_columns('ifg', k)}; {_X}" for k in "if"},
        "i": "sigmoid(a_i)",
        "f": "sigmoid(a_f)",
        "g": f"x @ Wx_g + b_g; {_columns('ifg', 'g')}; no nonlinearity",
        "h": "f / (f + i) * h_prev + i / (f + i) * g; h_prev is h of step t-1, or h0",
    },
    backward={
        "di": "dh * (g - h_prev) * f / (f + i)**2",
        "df": "dh * (h_prev - g) * i / (f + i)**2",
        "dg": "dh * i / (f + i)",
        **_slopes("if"),
        "da": "join(da_i, da_f, dg)",
        "dx": "da @ Wx.T; da is da_i, da_f and dg side by side",
        "dh_prev": "dh * f / (f + i)",
    },
)

SLSTM = Cell(  # with a sigmoid as its forget gate
    blocks="ifzo",
    states="hcnm",
    forward=_sums("ifzo", "ifzo")
    | {
        "log_f": "log(sigmoid(a_f))",
        "m": "maximum(log_f + m_prev, a_i); m_prev is m of step t-1, or m0",
        "i": "exp(a_i - m)",
        "f": "exp(log_f + m_prev - m)",
        "z": "tanh(a_z)",
        "o": "sigmoid(a_o)",
        "c": "f * c_prev + i * z; c_prev is c of step t-1, or c0",
        "n": "f * n_prev + i; n_prev is n of step t-1, or n0",
        "h": "o * c / n",
    },
    backward={
        "do": "dh * c / n",
        "dc": "dh * o / n + dc_next; dc_next is dc_prev of step t+1",
        "dn": "dn_next - dh * o * c / n**2; dn_next is dn_prev of step t+1",
        "di": "dc * z + dn",
        "df": "dc * c_prev + dn * n_prev",
        "dz": "dc * i",
        "da_i": "di * i; m is a constant here",
        "da_f": "df * f * (1 - exp(log_f)); m is a constant here",
        "da_z": "dz * (1 - z**2)",
        **_slopes("o"),
        "da": "join(da_i, da_f, da_z, da_o)",
        "du": "da",
        "dx": "da @ Wx.T; da is da_i, da_f, da_z and da_o side by side",
        "dh_prev": "da @ Wh.T; da is da_i, da_f, da_z and da_o side by side",
        "dc_prev": "dc * f",
        "dn_prev": "dn * f",
        "dm_prev": "df * f; m is a constant here",
    },
)

CELLS = {"lstm": LSTM, "gru": GRU, "mingru": MINGRU, "minlstm": MINLSTM, "slstm": SLSTM}

SUMS = "da and du are the gradients of x @ Wx + b and of h_prev @ Wh"
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
    "Wx": f"the sum over the steps of the outer product of x and da; {SUMS}",
    "Wh": f"the sum over the steps of the outer product of h_prev and du; {SUMS}",
    "b": f"the sum over the steps of da; {SUMS}",
    "bn": "the sum over the steps of ds",
    "h0": "dh_prev of each layer at t0",
    "c0": "dc_prev of each layer at t0",
    "n0": "dn_prev of each layer at t0",
    "m0": "dm_prev of each layer at t0",
}
"""Descriptions of the numbers outside the cell."""
