"""Thirty one-line mistakes in recurrent networks of another author.

The two networks share no line and no name with `numpylstm.reference`: the LSTM keeps weights for
each gate and a list of steps, the RNN is written around one array of states. The list was made
before the doctor could work out what a mistake gives.
"""

from dataclasses import dataclass

import numpy as np

T, B, D, H = 5, 3, 4, 6

LSTM = """
def logistic(z):
    return 1 / (1 + np.exp(-z))


def run(inputs, out, mem, U, V, bias):
    (Ui, Uf, Ug, Uo), (Vi, Vf, Vg, Vo) = np.split(U, 4, axis=1), np.split(V, 4, axis=1)
    bi, bf, bg, bo = np.split(bias, 4)
    outputs, kept = [], []
    for u in inputs:
        write = logistic(u @ Ui + out @ Vi + bi)
        keep = logistic(u @ Uf + out @ Vf + bf)
        cand = np.tanh(u @ Ug + out @ Vg + bg)
        show = logistic(u @ Uo + out @ Vo + bo)
        out_before, mem_before = out, mem
        mem = keep * mem + write * cand
        squashed = np.tanh(mem)
        out = show * squashed
        kept.append((u, out_before, mem_before, write, keep, cand, show, mem, squashed, out))
        outputs.append(out)
    return np.stack(outputs), (out, mem), kept


def back(e_outputs, e_final, U, V, kept):
    (Ui, Uf, Ug, Uo), (Vi, Vf, Vg, Vo) = np.split(U, 4, axis=1), np.split(V, 4, axis=1)
    e_inputs = np.zeros((len(kept), *kept[0][0].shape))
    gU, gV, gbias = np.zeros_like(U), np.zeros_like(V), np.zeros(U.shape[1])
    (gUi, gUf, gUg, gUo), (gVi, gVf, gVg, gVo) = np.split(gU, 4, axis=1), np.split(gV, 4, axis=1)
    gbi, gbf, gbg, gbo = np.split(gbias, 4)
    e_out_later, e_mem_later = e_final
    for k in range(len(kept) - 1, -1, -1):
        u, out_before, mem_before, write, keep, cand, show, mem, squashed, out = kept[k]
        e_out = e_outputs[k] + e_out_later
        e_mem = e_mem_later + e_out * show * (1 - squashed**2)
        z_write = e_mem * cand * write * (1 - write)
        z_keep = e_mem * mem_before * keep * (1 - keep)
        z_cand = e_mem * write * (1 - cand**2)
        z_show = e_out * squashed * show * (1 - show)
        e_inputs[k] = z_write @ Ui.T + z_keep @ Uf.T + z_cand @ Ug.T + z_show @ Uo.T
        e_out_later = z_write @ Vi.T + z_keep @ Vf.T + z_cand @ Vg.T + z_show @ Vo.T
        e_mem_later = e_mem * keep
        gUi += u.T @ z_write
        gUf += u.T @ z_keep
        gUg += u.T @ z_cand
        gUo += u.T @ z_show
        gVi += out_before.T @ z_write
        gVf += out_before.T @ z_keep
        gVg += out_before.T @ z_cand
        gVo += out_before.T @ z_show
        gbi += z_write.sum(0)
        gbf += z_keep.sum(0)
        gbg += z_cand.sum(0)
        gbo += z_show.sum(0)
    return e_inputs, e_out_later, e_mem_later, gU, gV, gbias
"""

RNN = """
def run(seq, start, A, R, offset):
    states = np.zeros((len(seq) + 1, *start.shape))
    states[0] = start
    for n in range(len(seq)):
        states[n + 1] = np.tanh(seq[n] @ A + states[n] @ R + offset)
    return states[1:], (states[-1],), (seq, states)


def back(wanted, final, A, R, kept):
    seq, states = kept
    to_seq = np.zeros_like(seq)
    gA, gR, goffset = np.zeros_like(A), np.zeros_like(R), np.zeros(len(R))
    (message,) = final
    n = len(seq)
    while n > 0:
        n -= 1
        blame = wanted[n] + message
        inner = blame * (1 - states[n + 1] ** 2)
        to_seq[n] = inner @ A.T
        message = inner @ R.T
        gA += seq[n].T @ inner
        gR += states[n].T @ inner
        goffset += inner.sum(axis=0)
    return to_seq, message, gA, gR, goffset
"""

SOURCES = {"lstm": LSTM, "rnn": RNN}


@dataclass(frozen=True)
class Mistake:
    """One line exchanged; `names`: the gradients, in our symbols, of the line it belongs to."""

    cell: str
    right: str
    wrong: str
    names: tuple[str, ...]


ROWS = {  # the name of a mistake, the right piece, the wrong one, and the gradients of its line
    "lstm": [
        ("dhT ignored", "e_out_later, e_mem_later = e_final",
         "e_out_later, e_mem_later = 0 * e_final[0], e_final[1]", "dhT"),
        ("dcT ignored", "e_out_later, e_mem_later = e_final",
         "e_out_later, e_mem_later = e_final[0], 0 * e_final[1]", "dcT"),
        ("dh added twice", "e_out = e_outputs[k] + e_out_later",
         "e_out = e_outputs[k] + 2 * e_out_later", "dh"),
        ("half of the sigmoid's slope", "mem_before * keep * (1 - keep)",
         "mem_before * keep", "da_f"),
        ("slope of another gate", "cand * write * (1 - write)", "cand * keep * (1 - keep)", "da_i"),
        ("no square in tanh's slope", "write * (1 - cand**2)", "write * (1 - cand)", "da_g"),
        ("a plus in the sigmoid's slope", "squashed * show * (1 - show)",
         "squashed * show * (1 + show)", "da_o"),
        ("the cell for its tanh", "z_show = e_out * squashed", "z_show = e_out * mem", "do"),
        ("the gate for the candidate", "e_mem * cand * write", "e_mem * write * write", "di"),
        ("forget for input gate", "z_cand = e_mem * write", "z_cand = e_mem * keep", "dg"),
        ("the state for the cell", "z_keep = e_mem * mem_before",
         "z_keep = e_mem * out_before", "df"),
        ("a minus in dc", "e_mem = e_mem_later + e_out * show",
         "e_mem = e_mem_later - e_out * show", "dc"),
        ("the output gate forgotten in dc", "e_out * show * (1 - squashed**2)",
         "e_out * (1 - squashed**2)", "dc"),
        ("the slope of tanh at the cell", "show * (1 - squashed**2)", "show * (1 - mem**2)", "dc"),
        ("input gate along the carousel", "e_mem_later = e_mem * keep",
         "e_mem_later = e_mem * write", "dc_prev"),
        ("no gate along the carousel", "e_mem_later = e_mem * keep",
         "e_mem_later = e_mem", "dc_prev"),
        ("one gate left out of dh", "z_cand @ Vg.T + z_show @ Vo.T", "z_cand @ Vg.T", "dh_prev"),
        ("the new state in one gate", "gVi += out_before.T @ z_write",
         "gVi += out.T @ z_write", "dWh"),
        ("one gate overwritten in time", "gUg += u.T @ z_cand", "gUg[:] = u.T @ z_cand", "dWx"),
        ("a minus in dx", "z_write @ Ui.T + z_keep @ Uf.T", "z_write @ Ui.T - z_keep @ Uf.T", "dx"),
        ("dh clipped in the loop", "z_cand @ Vg.T + z_show @ Vo.T",
         "z_cand @ Vg.T + z_show @ Vo.T; e_out_later = np.clip(e_out_later, -0.5, 0.5)",
         "dh_prev dh"),
        ("one gate without its transpose", "z_cand @ Vg.T", "z_cand @ Vg", "dh_prev"),
    ],
    "rnn": [
        ("no square in the vanilla slope", "(1 - states[n + 1] ** 2)", "(1 - states[n + 1])", "da"),
        ("the slope at the old state", "(1 - states[n + 1] ** 2)", "(1 - states[n] ** 2)", "da"),
        ("dx one step early", "to_seq[n] = inner @ A.T", "to_seq[n - 1] = inner @ A.T", "dx"),
        ("dWh transposed", "gR += states[n].T @ inner", "gR += inner.T @ states[n]", "dWh"),
        ("no slope on the way back", "message = inner @ R.T", "message = blame @ R.T", "dh_prev"),
        ("a mean for the bias", "goffset += inner.sum(axis=0)",
         "goffset += inner.mean(axis=0)", "db"),
        ("the last state before the first", "gR += states[n].T @ inner",
         "gR += states[n or -1].T @ inner", "dWh"),
        ("what the layer above asks forgotten", "blame = wanted[n] + message",
         "blame = message", "dh dhs"),
    ],
}  # fmt: skip
MISTAKES = {
    name: Mistake(cell, right, wrong, tuple(names.split()))
    for cell, rows in ROWS.items() for name, right, wrong, names in rows
}  # fmt: skip


def patient(cell, mistake=None):
    """Return arguments of `nl.doctor.examine`: the network with a linear loss."""
    source = SOURCES[cell]
    if mistake is not None:
        if source.count(mistake.right) != 1:
            raise ValueError(f"{mistake.right!r} must occur once in {cell}")
        source = source.replace(mistake.right, mistake.wrong)
    code = {"np": np}
    exec(source, code)
    columns, states = (4 * H, ("h0", "c0")) if cell == "lstm" else (H, ("h0",))
    rng = np.random.default_rng(2014)
    shapes = {"x": (T, B, D)} | dict.fromkeys(states, (B, H))
    shapes |= {"Wx": (D, columns), "Wh": (H, columns), "b": (columns,)}
    arrays = {name: 0.6 * rng.standard_normal(shape) for name, shape in shapes.items()}
    fixed = {"dhs": rng.standard_normal((T, B, H))}
    fixed |= {f"d{state[0]}T": rng.standard_normal((B, H)) for state in states}

    def f(a):
        outputs, final, _ = code["run"](*(a[name] for name in shapes))
        upstream = [a[f"d{state[0]}T"] for state in states]
        return (a["dhs"] * outputs).sum() + sum(
            (d * y).sum() for d, y in zip(upstream, final, strict=True)
        )

    def backward(a):
        *_, kept = code["run"](*(a[name] for name in shapes))
        final = tuple(a[f"d{state[0]}T"] for state in states)
        gradients = code["back"](a["dhs"], final, a["Wx"], a["Wh"], kept)
        return dict(zip(shapes, gradients, strict=True))

    return f, backward, arrays, fixed
