"""Answers that a reader of a notebook may well give, and that its checks have to refuse.

By the name of the notebook without its number, then by the id of the cell of the exercise: code
that stands in place of ``answer = None``. Each is to be refused by an assertion with a sentence
that helps.
"""

WRONG_ANSWERS: dict[str, dict[str, tuple[str, ...]]] = {
    "recurrent_networks": {
        "exercise-bound": (
            "answer = 9.97  # the logarithm, not rounded up",
            "answer = 10.5",
            "answer = 9",
            "answer = 20  # certain, but earlier too",
            "answer = 0.25**10",
        ),
        "exercise-batch": (
            "answer = lambda x, h0, Wx, Wh, b: rnn_forward(x.swapaxes(0, 1), h0, Wx, Wh, b)[0]",
            "answer = lambda x, h0, Wx, Wh, b: rnn_forward(x.swapaxes(0, 1), h0, Wx, Wh, b)",
            """
def answer(x, h0, Wx, Wh, b):
    B, T, D = x.shape
    return rnn_forward(x.reshape(T, B, D), h0, Wx, Wh, b)[0].reshape(B, T, -1)
""",
        ),
        "exercise-alone": (
            "answer = 1 / 8  # eight places, not four symbols",
            "answer = 0",
            "answer = 1.0",
            "answer = 0.3",
        ),
        "exercise-parity": (
            "answer = np.ones((1, 2)), np.array([[1, 1], [-2, -2]]), np.zeros(2)",
            "answer = np.ones((1, 2)), np.array([[1, -2], [1, -2]]), np.array([0, -1])",
            "answer = np.ones((1, 2)), np.eye(2), np.array([0, -1])",
            "answer = np.ones(2), np.array([[1, 1], [-2, -2]]), np.array([0, -1])",
        ),
    },
    "inside_the_lstm_cell": {
        "exercise-write": (
            "answer = -0.5  # what it should hold",
            "answer = 0.8  # the second mark writes nothing",
            "answer = 1.3",
            "answer = 0.15  # the mean of both",
        ),
        "exercise-overwrite": (
            "answer = Wx_hand, Wh_hand, b_hand  # the cell that adds",
            """
answer = np.array([[0, 0, 1, 0], [80, 0, 0, 0]]), np.zeros((1, 4)), np.array([-40, -40, 0, 40])
""",
            """
answer = np.array([[0, 0, 1, 0], [80, 80, 0, 0]]), np.zeros((1, 4)), np.array([-40, -40, 0, 40])
""",
            """
answer = np.array([[0, 1, 0, 0], [80, 0, -80, 0]]), np.zeros((1, 4)), np.array([-40, 0, 40, 40])
""",
        ),
        "exercise-clamp": (
            "answer = 'i'",
            "answer = 'o'",
            "answer = 'g'",
        ),
        "exercise-parity": (
            """
answer = np.array([[80, -80, 0, 0]]), np.zeros((1, 4)), np.array([-40, 40, 40, 40])
""",
            """
answer = np.array([[80, -80, 0, 0]]), np.array([[0, 0, 120, 0]]), np.array([-40, 40, 40, 40])
""",
            """
answer = np.array([[80, -80, 0, 0]]), np.array([[0, 0, -40, 0]]), np.array([-40, 40, 40, 40])
""",
            """
answer = np.array([[80, 0, 0, 0]]), np.array([[0, 0, -120, 0]]), np.array([-40, 40, 40, 40])
""",
        ),
    },
    "backpropagation_through_time": {
        "exercise-pencil": (
            "answer = 4  # the last use alone",
            "answer = 3  # the first use alone",
            "answer = 5  # both uses, but not times w on the way",
            "answer = 13  # the loss",
            "answer = 7.0001",
        ),
        "exercise-leaky": (
            """
def answer(dh, x, h_prev, h, Wx, Wh):  # h is taken for the output of tanh
    da = 0.1 * dh * (1 - h * h)
    return da @ Wx.T, 0.9 * dh + da @ Wh.T, x.T @ da, h_prev.T @ da, da.sum(axis=0)
""",
            """
def answer(dh, x, h_prev, h, Wx, Wh):  # the way past the tanh is forgotten
    squashed = (h - 0.9 * h_prev) / 0.1
    da = 0.1 * dh * (1 - squashed * squashed)
    return da @ Wx.T, da @ Wh.T, x.T @ da, h_prev.T @ da, da.sum(axis=0)
""",
            """
def answer(dh, x, h_prev, h, Wx, Wh):  # Wh for its transpose
    squashed = (h - 0.9 * h_prev) / 0.1
    da = 0.1 * dh * (1 - squashed * squashed)
    return da @ Wx.T, 0.9 * dh + da @ Wh, x.T @ da, h_prev.T @ da, da.sum(axis=0)
""",
            """
def answer(dh, x, h_prev, h, Wx, Wh):  # the bias is not summed
    squashed = (h - 0.9 * h_prev) / 0.1
    da = 0.1 * dh * (1 - squashed * squashed)
    return da @ Wx.T, 0.9 * dh + da @ Wh.T, x.T @ da, h_prev.T @ da, da
""",
        ),
        "exercise-halved": (
            "answer = 2",
            "answer = 1 / 4",
            "answer = 8",
            "answer = 3.9",
        ),
        "exercise-forwards": (
            """
def answer(x, h0, Wx, Wh, b, dhs):  # the transpose
    H = len(h0)
    h, P, dWh = h0, np.zeros((H, H, H)), np.zeros((H, H))
    for t in range(len(x)):
        da = h[:, None, None] * np.eye(H) + P @ Wh
        h = rnn_step_forward(x[t][None], h[None], Wx, Wh, b)[0][0]
        P = da * (1 - h * h)
        dWh += P @ dhs[t]
    return dWh.T
""",
            """
def answer(x, h0, Wx, Wh, b, dhs):  # the last loss alone
    H = len(h0)
    h, P = h0, np.zeros((H, H, H))
    for t in range(len(x)):
        da = h[:, None, None] * np.eye(H) + P @ Wh
        h = rnn_step_forward(x[t][None], h[None], Wx, Wh, b)[0][0]
        P = da * (1 - h * h)
    return P @ dhs[-1]
""",
            """
def answer(x, h0, Wx, Wh, b, dhs):  # nothing is carried along
    h, dWh = h0, np.zeros_like(Wh)
    for t in range(len(x)):
        h_prev, h = h, rnn_step_forward(x[t][None], h[None], Wx, Wh, b)[0][0]
        dWh += np.outer(h_prev, dhs[t] * (1 - h * h))
    return dWh
""",
            """
def answer(x, h0, Wx, Wh, b, dhs):  # Wh for its transpose
    H = len(h0)
    h, P, dWh = h0, np.zeros((H, H, H)), np.zeros((H, H))
    for t in range(len(x)):
        da = h[:, None, None] * np.eye(H) + P @ Wh.T
        h = rnn_step_forward(x[t][None], h[None], Wx, Wh, b)[0][0]
        P = da * (1 - h * h)
        dWh += P @ dhs[t]
    return dWh
""",
        ),
    },
    "vanishing_gradients": {
        "exercise-radius": (
            "answer = (4, 4)",
            "answer = (4, 1)",
            "answer = (0, 4)  # the diagonal",
            "answer = (1, 2)",
            "answer = 4",
        ),
        "exercise-bias": (
            "answer = 0.5 ** (1 / 100)  # the gate, not its bias",
            "answer = np.log(100)  # the rule of thumb",
            "answer = 5",
            "answer = 4.97",
            "answer = -4.97",
        ),
        "exercise-clip": (
            "answer = (0.5, 0), (0, 0.5)  # each by its own norm",
            "answer = (0.6, 0), (0, 0.8)  # without the rate",
            "answer = (1.5, 0), (0, 2)  # without the clip",
            "answer = (3 / 14, 0), (0, 4 / 14)  # the norms added",
            "answer = (0.3, 0.4)",
        ),
        "exercise-identity": (
            "answer = np.ones((3, 4)), 0.99 * np.eye(4), np.zeros(4)",
            "answer = np.ones((3, 4)), np.ones((4, 4)), np.zeros(4)",
            "answer = np.zeros((3, 4)), np.eye(4), np.ones(4)  # deaf to its inputs",
            "answer = -np.ones((3, 4)), np.eye(4), np.zeros(4)  # all units off",
            "answer = np.ones((4, 3)), np.eye(4), np.zeros(4)",
        ),
    },
    "learning_to_remember": {
        "exercise-direct": (
            "answer = lambda cache: cache.f[-1, 0]",
            "answer = lambda cache: cache.f[:, 0].mean(axis=0) ** len(cache.f)",
            "answer = lambda cache: cache.f[:, 0].sum(axis=0)",
            "answer = lambda cache: cache.f.prod(axis=0)",
        ),
        "exercise-window": (
            "answer = lambda table, path, share: T_lag - 1  # all of it",
            """
def answer(table, path, share):  # what is kept is measured, not what is lost
    limit = share * np.linalg.norm(table.total(path))
    for tau in range(len(table.parts[path])):
        if np.linalg.norm(table.within(tau)[path]) >= np.linalg.norm(table.total(path)) - limit:
            return tau
""",
            """
def answer(table, path, share):  # one too many
    limit = share * np.linalg.norm(table.total(path))
    for tau in range(len(table.parts[path])):
        if np.linalg.norm(table.beyond(tau)[path]) <= limit:
            return tau + 1
""",
            "answer = lambda table, path, share: None",
        ),
        "exercise-fair": (
            "answer = 128",
            "answer = 64",
            "answer = 76.2",
            "answer = 76",
            "answer = 78",
        ),
    },
    "layers_and_shapes": {
        "exercise-tape": (
            """
i, f, g, o = (np.array(golden["forward"]["t0"]["lstm.0"][name]) for name in "ifgo")
answer = {"c": i * g, "h": o * np.tanh(i * g)}  # nothing is kept
""",
            """
a_i, a_f, a_g, a_o = np.split(a_tape, 4)
c = sigmoid(a_f) * c0_tape[0] + sigmoid(a_i) * a_g  # the tanh of the candidate is missing
answer = {"c": c, "h": sigmoid(a_o) * np.tanh(c)}
""",
            """
a_i, a_f, a_g, a_o = np.split(a_tape, 4)
c = sigmoid(a_f) * c0_tape[0] + sigmoid(a_i) * np.tanh(a_g)
answer = {"c": c, "h": sigmoid(a_o) * c}  # the tanh of the cell is missing
""",
            """
a_i, a_f, a_g, a_o = np.split(a_tape, 4)
c = sigmoid(a_i) * c0_tape[0] + sigmoid(a_f) * np.tanh(a_g)  # i and f swapped
answer = {"c": c, "h": sigmoid(a_o) * np.tanh(c)}
""",
        ),
        "exercise-axes": (
            "answer = 35",
            "answer = 5 * 20",
            "answer = 6",
            "answer = 1",
        ),
        "exercise-large": (
            "answer = 66_022_000 - 2 * 6_000  # without the biases of the layers",
            "answer = 66_022_000 - 10_000  # without that of the decoder",
            "answer = 66_022_000 + 2 * 6_000  # two biases in each layer",
            "answer = 66_022_000 - 18_006_000  # one layer for two",
            "answer = 66_000_000",
        ),
    },
    "language_model": {},
    "what_the_cells_learned": {},
    "from_numpy_to_numba": {},
}
