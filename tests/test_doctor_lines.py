"""The doctor and mistakes in one line: it names the right line or none.

Thirty mistakes are made in recurrent networks of another author, which share no line and no name
with `numpylstm.reference`: the LSTM keeps weights for each gate and a list of steps, the RNN is
written around one array of states. The list was made before the doctor could work out what a
mistake gives.
"""

import functools
import re
from dataclasses import dataclass

import numpy as np
import pytest
from conftest import B, D, H, T
from support.textbook_layers import of_textbook

from numpylstm import doctor, gradcheck, museum
from numpylstm.cells import CELLS
from numpylstm.laboratory.doctor import lines
from numpylstm.laboratory.mistakes import rules
from numpylstm.laboratory.mistakes.source import exchanged
from numpylstm.laboratory.mistakes.words import Kind

pytestmark = pytest.mark.usefixtures("silent_doctor")
BY_LINE = {"line", "lost gradient"}


# --- networks of another author ----------------------------------------------------------------

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
    for cell, rows in ROWS.items()
    for name, right, wrong, names in rows
}


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


# --- what the doctor says ----------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["lstm", "rnn"])
def test_the_networks_of_somebody_else_are_healthy(cell):
    assert doctor.examine(*patient(cell)).healthy


@functools.cache
def slopes_of(cell):
    """Measure the slopes once: a mistake is in the backward pass alone."""
    f, _, arrays, fixed = patient(cell)
    return gradcheck.central_difference(lambda a: f(fixed | a), arrays)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_by_its_line(name):
    mistake = MISTAKES[name]
    found = doctor.examine(*patient(mistake.cell, mistake), slopes=slopes_of(mistake.cell))
    finding, *others = found.findings
    first, *_ = str(finding).splitlines()
    assert finding.kind.value in BY_LINE
    assert any(re.search(rf"\b{symbol}\b", first) for symbol in mistake.names), first
    assert others == []


def test_each_mistake_is_made_in_the_text_of_its_function():
    for layer in (layer for layer in lines.layers() if not layer.step):
        sources = {text.name: text.source for text in lines.texts(layer)}
        for mistake in lines.mistakes(layer):
            source = sources[mistake.function]
            assert exchanged(source, mistake.changes) != source, mistake.description()


def test_one_row_of_patterns_adds_a_kind_of_mistake(monkeypatch):
    row = rules.Pattern("X * Y", "X / Y", Kind.DIVIDED_BY, ("Y",))
    monkeypatch.setattr(rules, "PATTERNS", [row])
    found = rules.generated(lines.text(lines.Layer("lstm", step=True)))
    assert "dc_prev: it is divided by f" in [mistake.description() for mistake in found]


ADDED_IN_PLACE = "e_mem_later += e_out * show * (1 - squashed**2); e_mem = e_mem_later"


@pytest.mark.parametrize(
    ("cell", "right", "in_place", "changed"),
    [
        ("rnn", "blame = wanted[n] + message", "wanted[n] += message; blame = wanted[n]", "dhs"),
        ("lstm", "e_out = e_outputs[k] + e_out_later",
         "e_out = e_outputs[k]; e_out += e_out_later", "dhs"),
        ("lstm", "e_mem = e_mem_later + e_out * show * (1 - squashed**2)", ADDED_IN_PLACE, "dcT"),
    ],
)  # fmt: skip
def test_a_right_gradient_that_changes_its_argument_is_not_called_random(
    cell, right, in_place, changed
):
    f, backward, arrays, fixed = patient(cell, Mistake(cell, right, in_place, ()))
    before = {name: array.copy() for name, array in fixed.items()}
    found = doctor.examine(f, backward, arrays, fixed)
    assert found.healthy
    assert [w.split(",")[0] for w in found.warnings] == [f"backward changes its argument {changed}"]
    np.testing.assert_equal(fixed, before)


@pytest.mark.parametrize(
    ("cell", "right", "wrong", "changed", "words"),
    [
        ("rnn", "message = inner @ R.T", "message += inner @ R.T", "dhT",
         "^.*the new dh is added to the old one"),
        ("lstm", "e_mem_later = e_mem * keep", "e_mem_later += e_mem * keep", "dcT",
         "^the step: the new dc is added to the old one"),
    ],
)  # fmt: skip
def test_plus_for_equals_is_found_though_it_changes_the_argument(
    cell, right, wrong, changed, words
):
    found = doctor.examine(*patient(cell, Mistake(cell, right, wrong, ())))
    assert re.search(words, found.findings[0].sentence)
    assert f"Warning: backward changes its argument {changed}" in str(found)


@pytest.mark.rare
@pytest.mark.parametrize(
    ("right", "wrong", "kind", "words"),
    [
        ("e_mem_later + e_out * show * (1 - squashed**2)",
         "(e_mem_later + e_out * show) * (1 - squashed**2)", "line",
         "dh * o is in brackets with dc; it must be dc = dc + dh * o * (1 - tanh_c * tanh_c)"),
        ("e_mem_later = e_mem * keep", "e_mem_later = e_mem * kept[k-1][4]",
         "lost time step", "cannot tell what: within one step all is right"),
        ("e_inputs[k] = z_write", "e_inputs[0] = z_write", "lost time step", "cannot tell what"),
        ("e_mem_later, gU, gV, gbias", "e_mem_later, *(np.clip(g, -1, 1) for g in (gU, gV, gbias))",
         "clipped", "inside the backward pass or at its end entry by entry"),
    ],
)  # fmt: skip
def test_what_is_said_is_true_of_all_that_looks_the_same(right, wrong, kind, words):
    (finding,) = doctor.examine(*patient("lstm", Mistake("lstm", right, wrong, ()))).findings
    assert finding.kind.value == kind
    assert words in finding.sentence


def renamed(f, backward, arrays, fixed):
    """Return the same arguments of `examine`, with meaningless names."""
    letters = dict(zip([*arrays, *fixed], "PQRSTUVWXYZ", strict=False))

    def old(a):
        return {name: a[letter] for name, letter in letters.items()}

    def new(a):
        return {letters[name]: array for name, array in a.items()}

    return lambda a: f(old(a)), lambda a: new(backward(old(a))), new(arrays), new(fixed)


@pytest.mark.rare
@pytest.mark.parametrize(
    ("name", "words"),
    [("dcT ignored", "dc: X is ignored"), ("dWh transposed", "dS: ")],
)
def test_arrays_of_other_names_are_known_by_their_shapes(name, words):
    """The finding has those names: X for dcT, S for Wh."""
    mistake = MISTAKES[name]
    (finding,) = doctor.examine(*renamed(*patient(mistake.cell, mistake))).findings
    assert finding.sentence.startswith(words)


def test_finished_gradients_are_enough():
    mistake = MISTAKES["the output gate forgotten in dc"]
    f, backward, arrays, fixed = patient("lstm", mistake)
    (finding,) = doctor.examine(f, backward(arrays | fixed), arrays, fixed).findings
    assert finding.sentence == (
        "dc: the factor o is missing; it must be dc = dc + dh * o * (1 - tanh_c * tanh_c)."
    )


def with_mistake(layer, *change):
    """Return the arguments of `examine` for a layer; of a cell, a line of the step is changed."""
    part = "step_backward" if layer.kind in CELLS else "backward"
    changes = (change,) if change else ()
    textbook = museum.Mistake(f"{layer.kind}_{part}", changes, "").functions()
    return of_textbook(layer, np.random.default_rng(3), textbook=textbook)


def layer_of(cell, **options):
    return lines.Layer(cell, False, tuple(options.items()))


AFTER, BEFORE = (layer_of("gru", reset=reset) for reset in ("after", "before"))
RELU, SIGMOID = (layer_of("rnn", activation=curve) for curve in ("relu", "sigmoid"))


@pytest.mark.parametrize("layer", [AFTER, BEFORE])
def test_a_gru_is_healthy(layer):
    assert doctor.examine(*with_mistake(layer)).healthy


@pytest.mark.rare
@pytest.mark.parametrize(
    ("layer", "right", "wrong", "words"),
    [
        (AFTER, "dz = dh * (h_prev - n)", "dz = dh * (n - h_prev)",
         "dz: the sign is wrong; it must be dz = dh"),
        (AFTER, "dh_prev = dh * z", "dh_prev = dh * (1 - z)", "dh_prev: 1 - z instead of z"),
        (AFTER, "ds = da_n * r", "ds = da_n", "ds: the factor r is missing"),
        (BEFORE, "dh_prev_n = ds * r", "dh_prev_n = ds", "dh_prev_n: the factor r is missing"),
        (BEFORE, "dWh_n = s.T @ da_n", "dWh_n = h_prev.T @ da_n",
         "dWh_n: h_prev is used instead of s"),
        (BEFORE, "da_z @ Wh_z.T", "da_z @ Wh_z", "dh_prev: Wh_z is not transposed"),
        (AFTER, "dn = dh * (1 - z)", "dn = dh * z", "dn: z instead of 1 - z"),
        (RELU, "(h, activation)", "(h, 'tanh')", "da: |.* cannot tell"),
        (SIGMOID, "(h, activation)", "(h, 'tanh')", "da: |.* cannot tell"),
        (lines.Layer("lstm", step=True), "dc = dc + dh * o", "dc = dh * o",
         "dc: the term dc is missing"),
        (layer_of("mingru", factors="positive"), "dn = dh * z", "dn = dh",
         "dn: the factor z is missing"),
        (layer_of("mingru", factors="signed"), "n - 2 * h_prev", "n - h_prev", "dz: "),
        (layer_of("minlstm"), "dg = dh * w", "dg = dh", "dg: the factor w is missing"),
        (layer_of("slstm", forget_gate="sigmoid"), "dn - dh * o * (c / n) / n", "dn",
         r"dn: the term dh \* o \* \(c / n\) / n is missing"),
        (layer_of("slstm", forget_gate="exp"), "dc_prev = dc * f", "dc_prev = dc",
         "dc_prev: the factor f is missing"),
        (lines.LINEAR, "rows.T @ drows", "x[-1].T @ dy[-1]",
         "dW: the last step alone is counted"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_layer_alone_is_named_by_its_line(layer, right, wrong, words):
    (finding,) = doctor.examine(*with_mistake(layer, right, wrong)).findings
    assert re.match(words, finding.sentence), finding.sentence


def test_two_mistakes_are_not_taken_for_one():
    one, two = MISTAKES["forget for input gate"], MISTAKES["a minus in dx"]
    f, first, arrays, fixed = patient("lstm", one)
    _, second, *_ = patient("lstm", two)
    (finding,) = doctor.examine(
        f, lambda a: first(a) | {"x": second(a)["x"]}, arrays, fixed
    ).findings
    assert finding.kind.value not in BY_LINE


@functools.cache
def slopes_of_a_model(cell):
    """Measure the slopes once: a mistake is in the backward pass alone."""
    patient = museum.case(cell=cell)
    return gradcheck.central_difference(lambda a: patient.f(patient.fixed | a), patient.arrays)


@pytest.mark.rare
@pytest.mark.parametrize(
    ("cell", "function", "right", "wrong", "words"),
    [
        ("lstm", "lstm_step_backward", "dc_prev = dc * f", "dc_prev = dc", "dc_prev: the factor f"),
        ("lstm", "lstm_backward", "dWh += dWh_t", "dWh = dWh_t", "dWh: it is overwritten"),
        ("rnn", "rnn_backward", "dhs[t] + dh", "dh", "dh: the term dhs[t] is missing"),
        ("lstm", "lstm_step_backward", "da_f, da_g, da_o]", "da_o, da_f, da_g]",
         "da: the order is da_i, da_o, da_f, da_g;"),
        ("gru", "gru_step_backward", "ds = da_n * r", "ds = da_n", "ds: the factor r is missing"),
        ("lstm", "cross_entropy_step_backward", "(p - onehot)", "p", "dlogits: the term onehot"),
        ("lstm", "linear_backward", "drows.sum(axis=0)", "dy[-1].sum(axis=0)",
         "db: the last step alone is counted"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_whole_model_is_named_by_its_line(cell, function, right, wrong, words):
    mutant = museum.Mistake(function, ((right, wrong),), "", cell=cell)
    patient, slopes = museum.case(mutant), slopes_of_a_model(cell)
    finding, *_ = doctor.examine(**vars(patient), slopes=slopes).findings
    assert words in finding.sentence


def test_arrays_that_fit_no_cell_are_examined_by_the_general_rule(rng):
    """Without Wh and x, the names of arrays mean nothing."""
    arrays = {"P": rng.standard_normal((3, 6)), "Q": rng.standard_normal((6, 18))}
    fixed = {"scale": rng.standard_normal((3, 18))}

    def f(a):
        return (a["scale"] * np.tanh(a["P"] @ a["Q"])).sum()

    def wrong(a):
        da = 1 - np.tanh(a["P"] @ a["Q"]) ** 2  # without scale
        return {"P": da @ a["Q"].T, "Q": a["P"].T @ da}

    (finding,) = doctor.examine(f, wrong, arrays, fixed).findings
    assert (finding.kind.value, finding.facts["changed"]) == ("array not used", ("scale",))
    assert "does not use scale as f does" in finding.sentence
