"""Plausible wrong answers to the blanks of the workbook.

Each is a solution with one piece exchanged: (right, wrong, what the verdict must say).
"""

WRONG = {
    "sigmoid": [
        ("np.where(a >= 0, 1, e) / (1 + e)", "1 / (1 + np.exp(a))", "sign in the exponent"),
        ("np.where(a >= 0, 1, e) / (1 + e)", "np.exp(a) / (1 + np.exp(a))", "s is not finite"),
        ("np.where(a >= 0, 1, e) / (1 + e)", "np.tanh(a)", "tanh instead of the sigmoid"),
    ],
    "sigmoid_slope": [
        ("s * (1 - s)", "1 - s * s", "slope of tanh"),
        ("s * (1 - s)", "sigmoid(s) * (1 - sigmoid(s))", "sigmoid of s instead of s"),
        ("s * (1 - s)", "(s * (1 - s)).astype(np.float32)",
         r"must be (\S+), got (?!\1).*digits are lost \(float32, a central difference\)"),
    ],
    "rnn_step_forward": [
        ("np.tanh(x @ Wx + h_prev @ Wh + b)", "x @ Wx + h_prev @ Wh + b", "tanh is missing"),
        ("h_prev @ Wh", "h_prev @ Wh.T", "Wh is transposed"),
        ("np.tanh(x", "sigmoid(x", "sigmoid instead of tanh"),
    ],
    "rnn_step_backward": [
        ("dh * (1 - h * h)", "np.clip(dh * (1 - h * h), -5, 5)", "da: it is clipped here"),
        ("return da @ Wx.T, da @ Wh.T, x.T @ da, h_prev.T @ da, da.sum(axis=0)",
         "return da @ Wx.T, da @ Wh.T, None, None, None", "dWx is None: it is not answered yet"),
        ("return da", "da", "It returns None: is a return missing"),
        ("(1 - h * h)", "(1 - h)", r"da: the factor h is missing\. It must be da = "),
        ("da @ Wh.T", "da @ Wh", "dh_prev: Wh is not transposed"),
        ("h_prev.T @ da", "h.T @ da", "dWh: h is used instead of h_prev"),
        ("da.sum(axis=0)", "da.mean(axis=0)", "db: a mean"),
        ("da = dh * (1 - h * h)", "da = dh * h * (1 - h)", "slope of the sigmoid"),
        ("x.T @ da, h_prev.T", "x.T @ da / 7, 2 * h_prev.T",
         "Each result is the right one times a number: dx: 1, (?!.*norm)"),
    ],
    "rnn_backward": [
        ("range(len(x))", "range(5)", "not with T=9"),
        ("dx[t], dh,", "dx[-1 - t], dh,", "dx: it is written in the reverse order"),
        ("dhs[t] + dh,", "(dhs[t + 1] if t + 1 < len(x) else 0) + dh,",
         "dhs is taken one step late"),
        ("h_prev[t], h[t],", "h[t], h_prev[t],", "h_prev and h are exchanged|h is used instead"),
        ("dWh += dWh_t", "dWh = dWh_t", "dWh: it is overwritten"),
        ("dhs[t] + dh,", "dhs[t],", "term dh is missing"),
        ("dh = dhT", "dh = 0 * dhT", "dhT is ignored"),
        ("reversed(range(len(x)))", "range(len(x))", "forwards"),
    ],
    "lstm_step_forward": [
        ("c, tanh_c, o * tanh_c", "None, None, None", "c is None"),
        ("np.tanh(a_g)", "sigmoid(a_g)", "g: sigmoid instead of tanh"),
        ("a_i, a_f, a_g, a_o =", "a_i, a_f, a_o, a_g =", "g and o are exchanged in the columns"),
        ("o * tanh_c\n", "o * c\n", "h: c is used instead of tanh_c"),
    ],
    "lstm_step_backward": [
        ("return do, dc, di, df, dg,", "return do, dc, di, None, None,", "df is None"),
        ("da_i, da_f, da_g, da_o, dx, dh_prev, dc_prev, dWx, dWh, db",
         "da_i, da_f, da_o, da_g, dx, dh_prev, dc_prev, dWx, dWh, db", r"da_g: it is da_o"),
        ("dc = dc + dh * o", "dc = dh * o", "dc: the term dc is missing"),
        ("df, dg = dc * g, dc * c_prev", "df, dg = dc * g, dc * f",
         "df: f is used instead of c_prev"),
        ("dg * (1 - g * g)", "dg * sigmoid_slope(g)", "da_g: the slope of the sigmoid"),
        ("dc_prev = dc * f", "dc_prev = dc", "dc_prev: the factor f is missing"),
        ("h_prev.T @ da", "da.T @ h_prev", "dWh must have the shape"),
        ("[da_i, da_f, da_g, da_o]", "[da_i, da_f, da_o, da_g]",
         "da_[go] is used instead|exchanged"),
        ("dh * tanh_c\n", "dh * np.tanh(tanh_c)\n", "do: the tanh of tanh_c"),
        ("dc = dc + dh * o", "dc += dh * o", "changes its argument dc"),
        ("dc = dc + dh * o", "dc = dc * f + dh * o",
         r"\ndc: the grader cannot tell what is wrong there; all lines before are right\."),
    ],
    "lstm_forward": [
        ("*_, c, _, h = step", "*_, h = step", "c is not replaced by the result of the step"),
        ("*_, c, _, h = step", "*_, c, h = step", r"hands on \(h or c\)"),
        ("steps, h, c", "steps, c, h", "hT: it is cT|hT"),
        ("_forward(x_t, h, c,", "_forward(x_t, h0, c,", "h0 is used instead of h"),
        ("        *_, c, _, h = step\n        steps.append(step)",
         "        steps.append((*step[:4], c, *step[5:]))\n        *_, c, _, h = step",
         "c: it is c_prev"),
        ("steps.append(step)", "steps.append((*step[:5], c, h))", "tanh_c: it is c\\."),
        ("steps.append(step)", "steps.append(h)", "Each of the steps must hold i, f, g"),
        ("return steps, h, c", "return steps, h", "It must return steps, hT, cT"),
    ],
    "lstm_backward": [
        ("steps[t - 1][4]", "steps[t][4]", "c_prev: steps is taken one step late"),
        ("if t else (c0, h0)", "if t else (h0, c0)", "h0 is used instead of c0"),
        ("dx[t], dh, dc, dWx_t", "dx[t], _, dc, dWx_t", "dh is not replaced"),
        ("dx[t], dh, dc, dWx_t", "dx[t], dh, _, dWx_t", "dc is not replaced by|dcT is used"),
        ("dx[t], dh, dc, dWx_t", "dx[t], _, _, dWx_t", "dh and dc are not replaced"),
        ("i, f, g, o, _,", "i, f, o, g, _,", "g and o are exchanged"),
        ("dhs[t] + dh, dc,", "dhs[t] + dh, 0 * dc,", "dc is ignored"),
        ("if t else (c0, h0)", "", "dWh|df|h_prev|c_prev"),
        ("dh, dc = dhT, dcT", "dh, dc = dhT, 0 * dcT", "dcT is ignored"),
    ],
    "cross_entropy": [
        ("nll.mean()", "nll.sum() / 3", "not with T=9"),
        ("nll.mean()", "nll.sum()",
         r"a sum instead of the mean\. .* It must be loss = nll\.mean\(\)"),
        ("nll.mean()", "np.exp(nll.mean())", "z, nll or loss: the grader cannot tell"),
        ("nll.mean()", "2 * nll.mean()", "twice"),
        ("np.log(np.exp", "np.log2(np.exp", "base 2"),
        ("z = logits - logits.max(axis=1, keepdims=True)", "z = logits", "not finite"),
        ("logits.max(axis=1, keepdims=True)", "logits.max()", "subtract the maximum of each row"),
    ],
    "cross_entropy_backward": [
        ("targets] -= 1", "targets] += 1",
         r"sign of onehot .* \(onehot is 1 at the target .* must be dlogits = \(p - onehot\) / B"),
        ("dlogits / len(logits)", "dlogits", "the division by B is missing"),
    ],
    "embedding_backward": [
        ("np.add.at(dW, ids, dx)", "dW[ids] += dx", r"\+= on rows keeps only the last"),
        ("np.add.at(dW, ids, dx)", "dW[ids] = dx", "both gradients must be added"),
        ("np.add.at(dW, ids, dx)", "np.add.at(dW, ids, dx / len(dx))", "dW: 1/5 = 1/T"),
        ("np.add.at(dW, ids, dx)", "np.add.at(dW, ids[-1], dx[-1])", "the last step alone"),
        ("    np.add.at(dW, ids, dx)",
         "    for t in range(len(ids)):\n        dW[ids[t]] += dx[t]",
         r"rows of a step .*\. It must be np\.add\.at\(dW, ids, dx\)"),
        ("np.add.at(dW, ids, dx)", "dW[ids] = dx.sum(axis=(0, 1))",
         r"cannot tell .* It must be np\.add\.at\(dW, ids, dx\)"),
    ],
    "clip": [
        ("min(1, max_norm / norm)", "(1 / norm if norm > max_norm else 1)", "clipped_dWx"),
        ("min(1, max_norm / norm) * g for", "max_norm / np.sqrt((g * g).sum()) * g for",
         r"clipped_dWx at max_norm [\d.]+: .* one factor in common"),
        ("np.sqrt(sum((g * g).sum() for g in gradients))", "sum((g * g).sum() for g in gradients)",
         "sqrt is missing"),
        ("min(1, max_norm / norm) * g", "np.clip(g, -max_norm, max_norm)", "entry by entry"),
        ("min(1, max_norm / norm)", "min(1, norm / max_norm)", "upside down"),
        ("min(1, max_norm / norm)", "max_norm / norm", "minimum with 1 is missing"),
        ("max_norm / norm", "max_norm / (norm + 1e-6)", "a small constant is added"),
        ("np.sqrt(sum((g * g).sum() for g in gradients))",
         "sum(np.sqrt((g * g).sum()) for g in gradients)",
         "one factor in common: the norm is the norm of all together"),
        ("return [min(1, max_norm / norm) * g for g in gradients]",
         "for g in gradients:\n        g *= min(1, max_norm / norm)\n    return gradients",
         "changes its argument gradients"),
    ],
    "sgd": [
        ("lr * dW", "lr * np.clip(dW, -5, 5)", "new_W|clipped"),
        ("W - lr * dW", "W + lr * dW", "sign of lr"),
        ("W - lr * dW", "W * np.nan",
         "new_W is not finite: look for a division by zero, or an array never filled"),
        ("W - lr * dW", "np.append(9, (W - lr * dW).flat[1:]).reshape(W.shape)",
         "got 9; wrong: 1 of the 24 numbers of new_W"),
        ("return W - lr * dW", "W -= lr * dW\n    return W", "changes its argument W"),
    ],
    "gru_step_backward": [
        ("s.T @ da_n", "h_prev.T @ da_n", "dWh"),
        ("dh * z + ds * r", "ds * r", r"dh_prev: the term dh \* z is missing\."),
        ("s, ds = r * h_prev, da_n @ Wh_n.T\n    dr = ds * h_prev",
         "s, ds = r * h_prev, da_n * r\n    dr = da_n * (h_prev @ Wh_n)",
         "dr: it is that of a GRU that resets after the product, as PyTorch's"),
        ("dr = ds * h_prev", "dr = ds * r", "dr: r is used instead of h_prev"),
    ],
}  # fmt: skip

TWO_MISTAKES = [
    ("rnn_step_backward", ("(1 - h * h)", "(1 - h)"), ("da @ Wh.T", "da @ Wh"), "^da: "),
    (
        "rnn_step_backward",
        ("da @ Wh.T", "(da @ Wh.T)[::-1]"),
        ("da.sum(axis=0)", "da.mean(axis=0)"),
        "^dh_prev: ",
    ),
    (
        "lstm_backward",
        ("dWx += dWx_t", "dWx = dWx_t"),
        ("dh, dc = dhT", "dh, dc = 0 * dhT"),
        "^Two mistakes. dh: dhT is ignored. dWx: it is overwritten",
    ),
    (
        "rnn_backward",  # all three: the step's results under the names of the sums
        ("dWx_t, dWh_t, db_t = rnn", "dWx, dWh, db = rnn"),
        ("        dWx += dWx_t\n        dWh += dWh_t\n        db += db_t\n", ""),
        "^At least two mistakes. dWx: it is overwritten",
    ),
    (
        "lstm_backward",
        ("steps[t - 1][4]", "steps[t][4]"),
        ("dx[t], dh,", "dx[t], _,"),
        "^Two mistakes. .*(c_prev|dh)",
    ),
]
"""Two mistakes at once: a verdict names one of them, or both."""

LOG_OF_P = """
def cross_entropy(logits, targets):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = (e / e.sum(axis=1, keepdims=True))[np.arange(len(e)), targets]
    return -np.log({}).mean()
"""

BUFFER = """
buffers = {}

def in_place(a):
    s = buffers.setdefault(a.shape, np.empty(a.shape))
    s[...] = 1 / (1 + np.exp(-a))
    return s

def lstm_step_forward(x, h_prev, c_prev, Wx, Wh, b):
    a_i, a_f, a_g, a_o = np.split(x @ Wx + h_prev @ Wh + b, 4, axis=1)
    i, f, g, o = in_place(a_i), in_place(a_f), np.tanh(a_g), in_place(a_o)
    c = f * c_prev + i * g
    return i, f, g, o, c, np.tanh(c), o * np.tanh(c)
"""

ACCUMULATOR = """
sums = {}

def rnn_step_backward(dh, x, h_prev, h, Wx, Wh):
    da = dh * (1 - h * h)
    sums[Wx.shape] = sums.get(Wx.shape, 0) + x.T @ da
    return da @ Wx.T, da @ Wh.T, sums[Wx.shape], h_prev.T @ da, da.sum(axis=0)
"""

STEP_OF_LSTM = """
def lstm_step_forward(x, h_prev, c_prev, Wx, Wh, b):
    a_i, a_f, a_g, a_o = np.split(x @ Wx + h_prev @ Wh + b, 4, axis=1)
    i, f, g, o = {}
    c = f * c_prev + i * g
    return {}
"""

LOOP_OF_RNN = """
def rnn_backward(dhs, dhT, x, h_prev, h, Wx, Wh):
    dx, dWx, dWh, db = np.zeros_like(x), np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(len(Wh))
    dh = {}
    for t in {}:
        dx[t], dh, *parts = rnn_step_backward(dhs[t] + dh, x[t], h_prev[t], h[t], Wx, Wh)
        dWx, dWh, db = dWx + parts[0], dWh + parts[1], db + parts[2]
    return dx, dh, dWx, dWh, db
"""

GATES = "sigmoid(a_i), sigmoid(a_f), np.tanh(a_g), sigmoid(a_o)"
BACK = "reversed(range(len(x)))"

EVERYWHERE: dict[str, tuple[str, str, str]] = {
    "the last id is forgotten": (
        "embedding_backward",
        "def embedding_backward(dx, ids, V):\n"
        "    rows = [dx[ids == v].sum(axis=0) for v in range(V - 1)]\n"
        "    return np.stack([*rows, np.zeros(dx.shape[-1])])",
        "not with .* and the ids 0 and V - 1",
    ),
    "a constant in the logarithm": (
        "cross_entropy", LOG_OF_P.format("p + 1e-12"), "and a target whose logit is 600 below",
    ),
    "32 steps back": (
        "rnn_backward", LOOP_OF_RNN.format("dhT", f"list({BACK})[:32]"), "not with T=40",
    ),
    "another window for one step": (
        "rnn_backward", LOOP_OF_RNN.format("dhT * (len(x) > 1)", BACK), "not with T=1, ",
    ),
    "squeezed": (
        "rnn_step_forward",
        "def rnn_step_forward(x, h_prev, Wx, Wh, b):\n"
        "    return np.squeeze(np.tanh(x @ Wx + h_prev @ Wh + b))",
        r"not with T=40, B=1.*\nh must have the shape \(1, 6\), got \(6,\)",
    ),
    "0 at 0": (
        "sigmoid",
        "def sigmoid(a):\n    return np.where(a == 0, 0, 1 / (1 + np.exp(-a)))",
        "not with .* and an a of 0",
    ),
    "a tanh that ends at 8": (
        "lstm_step_forward",
        STEP_OF_LSTM.format(
            "sigmoid(a_i), sigmoid(a_f), np.tanh(np.clip(a_g, -8, 8)), sigmoid(a_o)",
            "i, f, g, o, c, np.tanh(c), o * np.tanh(c)",
        ),
        "and weighted sums above 10",
    ),
    "a largest rate": (
        "sgd", "def sgd(W, dW, lr):\n    return W - min(lr, 1.0) * dW", "and a rate above 2",
    ),
    "an accumulator that lives on": (
        "rnn_step_backward", ACCUMULATOR, "returns other numbers: something lives between",
    ),
    "a buffer of two sigmoids": (
        "lstm_step_forward", BUFFER, "changes later: the next call overwrites it",
    ),
}  # fmt: skip
"""Answers that are right in most places: the blank, the code and words of the verdict."""

UNUSUAL: dict[str, tuple[str, str]] = {
    "np.vectorize": (
        "sigmoid",
        "@np.vectorize\ndef sigmoid(a):\n"
        "    return 1 / (1 + np.exp(-a)) if a > 0 else np.exp(a) / (1 + np.exp(a))",
    ),
    "njit": ("sigmoid_slope", "@njit\ndef sigmoid_slope(s):\n    return s * (1 - s)"),
    "the logarithm of a probability": ("cross_entropy", LOG_OF_P.format("p")),
    "gates stacked": (
        "lstm_step_forward",
        STEP_OF_LSTM.format(GATES, "np.stack([i, f, g, o, c, np.tanh(c), o * np.tanh(c)])"),
    ),
    "steps stacked": (
        "lstm_forward",
        "def lstm_forward(x, h0, c0, Wx, Wh, b):\n"
        "    steps, h, c = [], h0, c0\n"
        "    for x_t in x:\n"
        "        steps.append(np.stack(lstm_step_forward(x_t, h, c, Wx, Wh, b)))\n"
        "        c, h = steps[-1][4], steps[-1][6]\n"
        "    return np.stack(steps), h, c",
    ),
    "sums not in place": ("rnn_backward", LOOP_OF_RNN.format("dhT", BACK)),
}
"""Right answers in unusual style: the blank and the code."""
