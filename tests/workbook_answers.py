"""Plausible wrong answers to the blanks of the workbook.

Each is a solution with one piece exchanged: (right, wrong, what the verdict must say).
"""

WRONG = {
    "sigmoid": [
        ("np.where(a >= 0, 1, e) / (1 + e)", "1 / (1 + np.exp(a))", "sign in the exponent"),
        ("np.where(a >= 0, 1, e) / (1 + e)", "np.exp(a) / (1 + np.exp(a))", "s is not finite"),
        ("np.where(a >= 0, 1, e) / (1 + e)", "1 / (1 - np.exp(-a))", "sign of np.exp"),
        ("np.where(a >= 0, 1, e) / (1 + e)", "np.tanh(a)", "tanh stands for the sigmoid"),
    ],
    "sigmoid_slope": [
        ("s * (1 - s)", "1 - s * s", "slope of tanh"),
        ("s * (1 - s)", "s * (1 + s)", "sign of s"),
        ("s * (1 - s)", "1 - s", "factor s is missing"),
        ("s * (1 - s)", "sigmoid(s) * (1 - sigmoid(s))", "sigmoid of s stands for s"),
    ],
    "embedding_backward": [
        ("np.add.at(dW, ids, dx)", "dW[ids] += dx", r"\+= on rows keeps only the last"),
        ("np.add.at(dW, ids, dx)", "dW[ids] = dx", "both gradients must be added"),
        ("np.add.at(dW, ids, dx)", "np.add.at(dW, ids, dx / len(dx))", "dW 1/5 = 1/T"),
        ("np.add.at(dW, ids, dx)", "np.add.at(dW, ids[-1], dx[-1])", "the last step alone"),
    ],
    "rnn_step_forward": [
        ("np.tanh(x @ Wx + h_prev @ Wh + b)", "x @ Wx + h_prev @ Wh + b", "tanh is missing"),
        ("h_prev @ Wh", "h_prev @ Wh.T", "Wh is transposed"),
        ("+ b)", ")", "term b is missing"),
        ("np.tanh(x", "sigmoid(x", "sigmoid stands for tanh"),
    ],
    "rnn_step_backward": [
        ("(1 - h * h)", "(1 - h)", "da: the factor h is missing"),
        ("da @ Wh.T", "da @ Wh", "dh_prev: Wh is not transposed"),
        ("h_prev.T @ da", "h.T @ da", "dWh: it takes h for h_prev"),
        ("da.sum(axis=0)", "da.mean(axis=0)", "db: a mean"),
        ("da = dh * (1 - h * h)", "da = dh * h * (1 - h)", "slope of the sigmoid"),
    ],
    "rnn_backward": [
        ("dWh += dWh_t", "dWh = dWh_t", "dWh: it is overwritten"),
        ("dhs[t] + dh,", "dhs[t],", "dh_next"),
        ("dh = dhT", "dh = 0 * dhT", "dhT is ignored"),
        ("reversed(range(len(x)))", "range(len(x))", "forwards"),
    ],
    "lstm_step_forward": [
        ("np.tanh(a_g)", "sigmoid(a_g)", "g: sigmoid stands for tanh"),
        ("a_i, a_f, a_g, a_o =", "a_i, a_f, a_o, a_g =", "columns of g and o"),
        ("f * c_prev + i * g", "f * c_prev + g", "c: the factor i is missing"),
        ("o * tanh_c\n", "o * c\n", "h: it takes c for tanh_c"),
        ("f * c_prev", "i * c_prev", "c: it takes i for f"),
    ],
    "lstm_step_backward": [
        ("dc = dc + dh * o", "dc = dh * o", "dc: the term dc is missing"),
        ("df, dg = dc * g, dc * c_prev", "df, dg = dc * g, dc * f", "df: it takes f for c_prev"),
        ("dg * (1 - g * g)", "dg * (1 - g)", "da_g: the factor g is missing"),
        ("dg * (1 - g * g)", "dg * sigmoid_slope(g)", "da_g: the slope of the sigmoid"),
        ("dc_prev = dc * f", "dc_prev = dc", "dc_prev: the factor f is missing"),
        ("h_prev.T @ da", "da.T @ h_prev", "dWh must have the shape"),
        ("[da_i, da_f, da_g, da_o]", "[da_i, da_f, da_o, da_g]", "da_[go] for da_[og]|exchanged"),
        ("dh * tanh_c\n", "dh * np.tanh(tanh_c)\n", "do: the tanh of tanh_c"),
    ],
    "lstm_forward": [
        ("lstm_step_forward(x_t, h, c,", "lstm_step_forward(x_t, h0, c,", "h0 for h"),
        ("lstm_step_forward(x_t, h, c,", "lstm_step_forward(x_t, h, c0,", "c0 for c"),
        ("lstm_step_forward(x_t, h, c,", "lstm_step_forward(x_t, c, h,", "c for h|exchanged"),
    ],
    "lstm_backward": [
        ("dhs[t] + dh, dc,", "dhs[t] + dh, 0 * dc,", "dc_next"),
        ("dWx += dWx_t", "dWx = dWx_t", "dWx: it is overwritten"),
        ("if t else (c0, h0)", "", "dWh|df|h_prev|c_prev"),
        ("dh, dc = dhT, dcT", "dh, dc = dhT, 0 * dcT", "dcT is ignored"),
        ("dhs[t] + dh, dc,", "dhs[t] + dh, dc + dhs[t],", "dc"),
    ],
    "cross_entropy": [
        ("nll.mean()", "nll.sum()", "factor coefficients is missing"),
        ("np.log(np.exp", "np.log2(np.exp", "base 2"),
        ("return nll.mean()", "return -nll.mean()", "sign"),
        ("z = logits - logits.max(axis=1, keepdims=True)", "z = logits", "not finite"),
    ],
    "cross_entropy_backward": [
        ("targets] -= 1", "targets] += 1", "sign of onehot"),
        ("dlogits / len(logits)", "dlogits", "coefficients"),
        ("targets] -= 1", "targets] -= 0", "term onehot is missing"),
        ("return dlogits /", "return -dlogits /", "sign"),
    ],
    "clip": [
        ("min(1, max_norm / norm) * g for", "max_norm / np.sqrt((g * g).sum()) * g for",
         "one factor in common"),
        ("np.sqrt(sum((g * g).sum() for g in gradients))", "sum((g * g).sum() for g in gradients)",
         "sqrt is missing"),
        ("min(1, max_norm / norm) * g", "np.clip(g, -max_norm, max_norm)", "entry by entry"),
        ("min(1, max_norm / norm)", "min(1, norm / max_norm)", "upside down"),
        ("min(1, max_norm / norm)", "max_norm / norm", "minimum with 1 is missing"),
    ],
    "sgd": [
        ("W - lr * dW", "W + lr * dW", "sign of lr"),
        ("W - lr * dW", "W - dW", "factor lr is missing"),
        ("W - lr * dW", "-lr * dW", "term W is missing|W"),
    ],
}  # fmt: skip
