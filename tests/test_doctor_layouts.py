"""The doctor reads the layouts of other authors, and names mistakes in their words.

Thirty mistakes in an LSTM with the blocks i, f, o, g, as CS231n and Karpathy have them, and thirty
in one with a single matrix for h and x, as Olah has it, and its blocks in the order f, i, g, o.
"""

import functools

import numpy as np
import pytest
from conftest import B, D, H, T

from numpylstm import doctor, gradcheck

pytestmark = pytest.mark.usefixtures("silent_doctor")

CS231N = """
def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def run(x, prev_h, prev_c, Wx, Wh, b):
    N = len(prev_h[0])
    outs, caches = [], []
    for word in x:
        score = word @ Wx + prev_h @ Wh + b
        ifo = sigmoid(score[:, : 3 * N])
        i, f, o, g = ifo[:, :N], ifo[:, N : 2 * N], ifo[:, 2 * N :], np.tanh(score[:, 3 * N :])
        next_c = f * prev_c + i * g
        next_h = o * np.tanh(next_c)
        caches.append((word, prev_h, prev_c, i, f, o, g, next_c, next_h, Wx, Wh))
        outs.append(next_h)
        prev_h, prev_c = next_h, next_c
    return np.stack(outs), (prev_h, prev_c), caches


def back(dout, dlast_h, dlast_c, caches):
    dx = np.zeros((len(caches), *caches[0][0].shape))
    dWx, dWh, db = np.zeros_like(caches[0][-2]), np.zeros_like(caches[0][-1]), 0
    dnext_h, dnext_c = dlast_h, dlast_c
    for t in range(len(caches) - 1, -1, -1):
        word, prev_h, prev_c, i, f, o, g, next_c, next_h, Wx, Wh = caches[t]
        dnext_h = dnext_h + dout[t]
        tanh_c = np.tanh(next_c)
        dc = dnext_c + dnext_h * o * (1 - tanh_c**2)
        di = dc * g * i * (1 - i)
        df = dc * prev_c * f * (1 - f)
        do = dnext_h * tanh_c * o * (1 - o)
        dg = dc * i * (1 - g**2)
        dscore = np.concatenate([di, df, do, dg], axis=1)
        dx[t] = dscore @ Wx.T
        dnext_h = dscore @ Wh.T
        dnext_c = dc * f
        dWx += word.T @ dscore
        dWh += prev_h.T @ dscore
        db = db + dscore.sum(axis=0)
    return dx, dnext_h, dnext_c, dWx, dWh, db
"""

OLAH = """
def sigma(z):
    return 1 / (1 + np.exp(-z))


def run(x, h, C, W, b):
    outs, kept = [], []
    for x_t in x:
        z = np.concatenate([h, x_t], axis=1)
        f, i, C_new, o = np.split(z @ W + b, 4, axis=1)
        f, i, C_new, o = sigma(f), sigma(i), np.tanh(C_new), sigma(o)
        before = C
        C = f * C + i * C_new
        h = o * np.tanh(C)
        kept.append((z, before, f, i, C_new, o, C, h, W))
        outs.append(h)
    return np.stack(outs), (h, C), kept


def back(dout, dh_last, dC_last, kept):
    W, H = kept[0][-1], dh_last.shape[1]
    dx = np.zeros((len(kept), len(dh_last), len(W) - H))
    dW, db = np.zeros_like(W), np.zeros(W.shape[1])
    dh, dC = dh_last, dC_last
    for t in reversed(range(len(kept))):
        z, before, f, i, C_new, o, C, h, W = kept[t]
        dh = dh + dout[t]
        dC = dC + dh * o * (1 - np.tanh(C) ** 2)
        a_f = dC * before * f * (1 - f)
        a_i = dC * C_new * i * (1 - i)
        a_C = dC * i * (1 - C_new**2)
        a_o = dh * np.tanh(C) * o * (1 - o)
        a = np.concatenate([a_f, a_i, a_C, a_o], axis=1)
        dz = a @ W.T
        dh, dx[t] = dz[:, :H], dz[:, H:]
        dW += z.T @ a
        db += a.sum(axis=0)
        dC = dC * f
    return dx, dh, dC, dW, db
"""

IN_CS231N = [  # the right piece, the wrong one, and how the finding begins or goes on
    ("dnext_h = dnext_h + dout[t]", "dnext_h = dout[t]", "dh: the term dh is missing"),
    ("dnext_h = dnext_h + dout[t]", "dnext_h = dnext_h", "dh: the term dhs[t] is missing"),
    ("dnext_h + dout[t]", "dnext_h + dout[t - 1]", "dh: dhs is taken one step early"),
    ("dnext_h + dout[t]", "dnext_h + dout[-1]", "dh: dhs of the last step is used at every"),
    ("dlast_h, dlast_c\n    for", "0 * dlast_h, dlast_c\n    for", "dh: dhT is ignored"),
    ("dlast_h, dlast_c\n    for", "dlast_h, 0 * dlast_c\n    for", "dc: dcT is ignored"),
    ("dc = dnext_c + dnext_h", "dc = dnext_h", "dc: the term dc is missing"),
    ("dc = dnext_c + dnext_h", "dc = dnext_c - dnext_h", "dc: the sign of "),
    ("dnext_h * o * (1 - tanh_c**2)", "dnext_h * (1 - tanh_c**2)", "dc: the factor o is missing"),
    ("dnext_h * o * (1 - tanh_c**2)", "dnext_h * o * (1 - next_c**2)", "dc: c is used instead of"),
    ("dnext_h * o * (1 - tanh_c**2)", "dnext_h * o", "dc: the factor 1 - tanh_c * tanh_c is"),
    ("di = dc * g * i", "di = dc * i * i", "di: i is used instead of g"),
    ("df = dc * prev_c", "df = dc * next_c", "df: c is used instead of c_prev"),
    ("df = dc * prev_c", "df = dc * prev_h", "df: h_prev is used instead of c_prev"),
    ("do = dnext_h * tanh_c", "do = dnext_h * next_c", "do: c is used instead of tanh_c"),
    ("dg = dc * i", "dg = dc * f", "dg: f is used instead of i"),
    ("* i * (1 - i)", "* (1 - i)", "da_i: the factor i is missing"),
    ("* f * (1 - f)", "* f", "da_f: the factor 1 - f is missing"),
    ("* o * (1 - o)", "* i * (1 - i)", "da_o: i is used instead of o"),
    ("* (1 - g**2)", "* g * (1 - g)", "da_g: the slope of the sigmoid instead of tanh's"),
    ("[di, df, do, dg]", "[di, df, dg, do]",
     "da_g and da_o are exchanged; it must be da = np.concatenate([da_i, da_f, da_o, da_g]"),
    ("[di, df, do, dg]", "[df, di, do, dg]", "da: da_i and da_f are exchanged"),
    ("dnext_h = dscore @ Wh.T", "dnext_h += dscore @ Wh.T",
     "the new dh is added to what the step got"),
    ("dnext_c = dc * f", "dnext_c = dc", "dc_prev: the factor f is missing"),
    ("dnext_c = dc * f", "dnext_c = dc * i", "dc_prev: i is used instead of f"),
    ("dWx += word.T", "dWx[:] = word.T", "dWx: it is overwritten"),
    ("prev_h.T @ dscore", "next_h.T @ dscore", "dWh: h is used instead of h_prev"),
    ("db = db + dscore", "db = dscore", "db: it is overwritten"),
    ("dscore.sum(axis=0)", "dscore.mean(axis=0)", "db: a mean instead of the sum"),
    ("dx[t] = dscore", "dx[-1 - t] = dscore", "dx: it is written in the reverse order"),
]  # fmt: skip

IN_OLAH = [
    ("dh = dh + dout[t]", "dh = dout[t]", "dh: the term dh is missing"),
    ("dh = dh + dout[t]", "dh = 2 * dh + dout[t]", "dh: dh is counted twice"),
    ("dh + dout[t]", "dh + dout[0]", "dh: dhs of the first step is used at every"),
    ("dh_last, dC_last\n    for", "0 * dh_last, dC_last\n    for", "dh: dhT is ignored"),
    ("dh_last, dC_last\n    for", "dh_last, 0 * dC_last\n    for", "dc: dcT is ignored"),
    ("dC = dC + dh * o", "dC = dh * o", "dc: the term dc is missing"),
    ("dC = dC + dh * o * (1", "dC = dC + dh * (1", "dc: the factor o is missing"),
    ("dC = dC + dh * o * (1", "dC = (dC + dh * o) * (1", "dc: dh * o is in brackets with dc"),
    ("(1 - np.tanh(C) ** 2)", "(1 - C**2)", "dc: c is used instead of tanh_c"),
    ("a_f = dC * before", "a_f = dC * C", "df: c is used instead of c_prev"),
    ("a_f = dC * before", "a_f = dC * C_new", "df: g is used instead of c_prev"),
    ("a_i = dC * C_new", "a_i = dC * before", "di: c_prev is used instead of g"),
    ("a_C = dC * i", "a_C = dC * f", "dg: f is used instead of i"),
    ("a_o = dh * np.tanh(C)", "a_o = dh * C", "do: c is used instead of tanh_c"),
    ("* f * (1 - f)", "* f * (1 + f)", "da_f: the sign of f is wrong"),
    ("* i * (1 - i)", "* (1 - i)", "da_i: the factor i is missing"),
    ("* (1 - C_new**2)", "* (1 - C_new)", "da_g: the factor g is missing"),
    ("* (1 - C_new**2)", "* C_new * (1 - C_new)", "da_g: the slope of the sigmoid"),
    ("* o * (1 - o)", "* (1 - o**2)", "da_o: the slope of tanh instead of the sigmoid's"),
    ("[a_f, a_i, a_C, a_o]", "[a_i, a_f, a_C, a_o]", "[da_f, da_i, da_g, da_o]"),
    ("[a_f, a_i, a_C, a_o]", "[a_f, a_i, a_o, a_C]", "da: da_g and da_o are exchanged"),
    ("dW += z.T @ a", "dW = z.T @ a",
     "dW[H:]: it is overwritten where it must be added to, and so in all rows of that array"),
    ("dW += z.T @ a", "dW += z.T @ a / len(z)", "dW[H:]: it is divided by B"),
    ("dW += z.T @ a", "dW[:H] += z[:, :H].T @ a; dW[H:] = z[:, H:].T @ a",
     "dW[H:]: it is overwritten where it must be added to; it must be dW[H:] += dW_t[H:]"),
    ("dW += z.T @ a", "dW += np.hstack([h, z[:, H:]]).T @ a",
     "dW[:H]: h is used instead of h_prev; it must be dW[:H] = h_prev.T @ da"),
    ("dW += z.T @ a", "dW += kept[t - 1][0].T @ a", "x and h_prev are taken from the step before"),
    ("db += a.sum(axis=0)", "db = a.sum(axis=0)", "db: it is overwritten"),
    ("db += a.sum(axis=0)", "db += a.mean(axis=0)", "db: a mean instead of the sum"),
    ("dC = dC * f", "dC = dC", "dc_prev: the factor f is missing"),
    ("dh, dx[t] = dz[:, :H], dz[:, H:]", "dx[t] = dz[:, H:]; dh = np.clip(dz[:, :H], -0.5, 0.5)",
     "dh_prev: it is clipped here; it must be dh_prev = da @ W[:H].T"),
]  # fmt: skip

AUTHORS = {
    "cs231n": (CS231N, IN_CS231N, {"Wx": (D, 4 * H), "Wh": (H, 4 * H)}),
    "olah": (OLAH, IN_OLAH, {"W": (H + D, 4 * H)}),
}


def patient(author, *change):
    """Return arguments of `nl.doctor.examine`: the network of an author with a linear loss."""
    source, _, matrices = AUTHORS[author]
    if change:
        right, wrong = change
        assert source.count(right) == 1, right
        source = source.replace(right, wrong)
    code = {"np": np}
    exec(source, code)
    rng = np.random.default_rng(2015)
    shapes = {"x": (T, B, D), "h0": (B, H), "c0": (B, H), **matrices, "b": (4 * H,)}
    arrays = {name: 0.6 * rng.standard_normal(shape) for name, shape in shapes.items()}
    of_outputs = {"dhs": (T, B, H), "dhT": (B, H), "dcT": (B, H)}
    fixed = {name: rng.standard_normal(shape) for name, shape in of_outputs.items()}

    def f(a):
        outputs, (h, c), _ = code["run"](*(a[name] for name in shapes))
        return (a["dhs"] * outputs).sum() + (a["dhT"] * h).sum() + (a["dcT"] * c).sum()

    def backward(a):
        *_, kept = code["run"](*(a[name] for name in shapes))
        gradients = code["back"](a["dhs"], a["dhT"], a["dcT"], kept)
        return dict(zip(shapes, gradients, strict=True))

    return f, backward, arrays, fixed


@pytest.mark.parametrize("author", AUTHORS)
def test_the_network_of_each_author_is_healthy(author):
    assert doctor.examine(*patient(author)).healthy
    assert len(AUTHORS[author][1]) == 30


@functools.cache
def slopes_of(author):
    """Measure the slopes once: a mistake is in the backward pass alone."""
    f, _, arrays, fixed = patient(author)
    return gradcheck.central_difference(lambda a: f(fixed | a), arrays)


@pytest.mark.rare
@pytest.mark.parametrize(
    ("author", "right", "wrong", "words"),
    [(author, *row) for author, (_, rows, _) in AUTHORS.items() for row in rows],
)
def test_a_mistake_is_named_in_the_names_of_its_author(author, right, wrong, words):
    found = doctor.examine(*patient(author, right, wrong), slopes=slopes_of(author))
    finding, *others = found.findings
    assert words in finding.sentence, finding
    assert others == []
    assert any("blocks of columns are in the order" in line for line in finding.evidence)
