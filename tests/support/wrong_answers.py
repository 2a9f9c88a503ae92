"""Plausible wrong answers to the exercises of the notebooks, and some unusual right ones.

By the name of the notebook without its number, then by the id of the cell of the exercise: code
that stands in place of ``answer = None``. Each wrong one is to be refused by an assertion with a
sentence that helps.
"""

CORRELATIONS_IN_WORDS = """
def r(model, name):
    cells = cells_of(model, corpus.vocabulary, texts[name])
    return np.abs(correlations(cells, places_in_words(texts[name])))

"""

WRONG_ANSWERS: dict[str, dict[str, tuple[str, ...]]] = {
    "recurrent_networks": {
        "exercise-bound": (
            "answer = 9.97  # the logarithm, not rounded up",
            "answer = 20  # certain, but earlier too",
            "answer = 0.25**10",
        ),
        "exercise-batch": (
            "answer = lambda x, h0, Wx, Wh, b: rnn_forward(x.swapaxes(0, 1), h0, Wx, Wh, b)[0]",
            "answer = lambda x, h0, Wx, Wh, b: rnn_forward(x.swapaxes(0, 1), h0, Wx, Wh, b)",
            "answer = lambda x, h0, Wx, Wh, b: rnn_forward(x, h0, Wx, Wh, b)[0]",
            "answer = lambda x, h0, Wx, Wh, b: rnn_forward(x, h0, Wx, Wh, b).swapaxes(0, 1)",
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
            "answer = 0.15  # the mean of both",
        ),
        "exercise-overwrite": (
            "answer = Wx_hand, Wh_hand, b_hand  # the cell that adds",
            """
answer = np.array([[0, 0, 1, 0], [80, -80, 0, 0]]), np.zeros((1, 4)), np.array([-40, 40, 0, -40])
""",
            """
answer = np.array([[0, 0, 1, 0], [20, -20, 0, 0]]), np.zeros((1, 4)), np.array([-10, 10, 0, 40])
""",
            """
answer = np.array([[0, 0, 0, 0], [80, -80, 1, 0]]), np.zeros((1, 4)), np.array([-40, 40, 0, 40])
""",
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
            "answer = 'i open'",
            "answer = 'o open'",
            "answer = 'f open'",
            "answer = 'all gates free'",
            "answer = 'f'",
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
answer = np.array([[0, -80, 0, 0]]), np.array([[0, 0, -120, 0]]), np.array([40, 40, 40, 40])
""",
        ),
    },
    "backpropagation_through_time": {
        "exercise-pencil": (
            "answer = 4  # the last use alone",
            "answer = 3  # the first use alone",
            "answer = 5  # both uses, but not times w on the way",
            "answer = 13  # the loss",
        ),
        "exercise-leaky": (
            """
def answer(dh, x, h_prev, h, Wx, Wh):  # h is taken for the output of tanh
    da = 0.1 * dh * (1 - h * h)
    return da @ Wx.T, 0.9 * dh + da @ Wh.T, x.T @ da, h_prev.T @ da, da.sum(axis=0)
""",
            """
def answer(dh, x, h_prev, h, Wx, Wh):  # the factor 0.1 is forgotten
    squashed = (h - 0.9 * h_prev) / 0.1
    da = dh * (1 - squashed * squashed)
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
    "is_the_gradient_right": {
        "exercise-step": (
            """
def answer(f, w):  # the central difference
    slopes = np.zeros(w.shape)
    for place in np.ndindex(w.shape):
        high, low = w.copy(), w.copy()
        high[place] += 1e-5
        low[place] -= 1e-5
        slopes[place] = (f(high) - f(low)) / 2e-5
    return slopes
""",
            """
def answer(f, w):  # all entries at once
    return np.full(w.shape, f(w + 1e-30j).imag / 1e-30)
""",
            """
def answer(f, w):  # the loss, not its imaginary part
    slopes = np.zeros(w.shape, complex)
    for place in np.ndindex(w.shape):
        nearby = w.astype(complex)
        nearby[place] += 1e-30j
        slopes[place] = f(nearby) / 1e-30
    return slopes
""",
            """
def answer(f, w):  # moves stay
    slopes, nearby = np.zeros(w.shape), w.astype(complex)
    for place in np.ndindex(w.shape):
        nearby[place] += 1e-30j
        slopes[place] = f(nearby).imag / 1e-30
    return slopes
""",
            """
def answer(f, w):  # w itself is moved
    slopes = np.zeros(w.shape)
    for place in np.ndindex(w.shape):
        before = f(w)
        w[place] += 1e-7
        slopes[place] = (f(w) - before) / 1e-7
    return slopes
""",
        ),
        "exercise-halved": (
            "answer = 2",
            "answer = 1 / 4",
            "answer = 8",
        ),
        "exercise-blind": (
            "answer = 5, 1, 4, 6  # one sequence",
            "answer = 5, 3, 4, 1  # one unit",
            "answer = 5, 3, 1, 6",
            "answer = 2, 2, 2, 2",
            "answer = 0, 3, 4, 6",
        ),
    },
    "vanishing_gradients": {
        "exercise-radius": (
            "answer = (4, 4)",
            "answer = (4, 1)",
            "answer = (0, 4)  # the diagonal",
            "answer = (1, 2)",
        ),
        "exercise-bias": (
            "answer = 0.5 ** (1 / 100)  # the gate, not its bias",
            "answer = np.log(100)  # the rule of thumb",
            "answer = 5",
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
def answer(table, path, share):  # the search begins at one step
    limit = share * np.linalg.norm(table.total(path))
    for tau in range(1, len(table.parts[path])):
        if np.linalg.norm(table.beyond(tau)[path]) <= limit:
            return tau
""",
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
        ),
        "exercise-large": (
            "answer = 66_022_000 - 2 * 6_000  # without the biases of the layers",
            "answer = 66_022_000 - 10_000  # without that of the decoder",
            "answer = 66_022_000 + 2 * 6_000  # two biases in each layer",
            "answer = 66_022_000 - 18_006_000  # one layer for two",
        ),
    },
    "language_model": {
        "05-42": (
            """
stream, place = divmod(50_000, len(corpus.train) // 20)
answer = (place // 20, place % 20, stream)  # where it is an input
""",
            """
stream, place = divmod(50_000, len(corpus.train) // 20)
answer = ((place - 1) // 20, stream, (place - 1) % 20)  # the axes exchanged
""",
            "answer = (50_000 // 400, 50_000 % 400 // 20, 50_000 % 20)  # as if rows were read",
            """
stream, place = divmod(50_000, len(corpus.train) // 20)
answer = ((place - 1) // 20 - len(corpus.train) // 400, (place - 1) % 20, stream)
""",
            "answer = (0, 0, 0)",
        ),
        "05-39": (
            "answer = 4  # the arithmetic mean of the probabilities",
            "answer = 5.5  # the mean of 1/p",
            "answer = 2.25 * np.log(2)  # the loss, not its exponential",
            "answer = np.exp(2.25)  # bits taken for nats",
        ),
        "05-46": (
            """
answer = np.empty(len(nll))
for n in range(len(nll)):
    recent = corpus.test[max(0, n + 2 - 200) : n + 2]  # holds the target
    answer[n] = 0.9 * np.exp(-nll[n]) + 0.1 * np.sum(recent == corpus.test[n + 1]) / 200
""",
            "answer = 0.9 * np.exp(-nll) + 0.05",
            """
answer = np.empty(len(nll))
for n in range(len(nll)):
    recent = corpus.test[max(0, n - 200) : n]  # ends one token too early
    answer[n] = 0.9 * np.exp(-nll[n]) + 0.1 * np.sum(recent == corpus.test[n + 1]) / 200
""",
            """
answer = np.empty(len(nll))
for n in range(len(nll)):
    recent = corpus.test[max(0, n + 1 - 200) : n + 1]
    answer[n] = 0.1 * np.exp(-nll[n]) + 0.9 * np.sum(recent == corpus.test[n + 1]) / 200
""",
            """
answer = np.empty(len(nll))
for n in range(len(nll)):
    recent = corpus.test[max(0, n + 1 - 200) : n + 1]  # and divides by what there is
    answer[n] = 0.9 * np.exp(-nll[n]) + 0.1 * np.mean(recent == corpus.test[n + 1])
""",
            "answer = np.exp(-nll)",
            "answer = np.full(len(nll), 0.5)",
        ),
    },
    "what_the_cells_learned": {
        "06-39": (
            """
answer = np.zeros(10)
for k in range(10):
    arrays = counter.state_dict()
    arrays["decoder.W"][k] = 0  # the gates still read it
    other = nl.LanguageModel(len(letters), 10)
    other.load_state_dict(arrays)
    answer[k] = nl.evaluate(other, test_ids).loss - nl.evaluate(counter, test_ids).loss
""",
            """
answer = np.zeros(10)
for k in range(10):
    arrays = counter.state_dict()
    arrays["lstm.0.Wh"][:, k] = 0  # a column, not a row
    arrays["decoder.W"][k] = 0
    other = nl.LanguageModel(len(letters), 10)
    other.load_state_dict(arrays)
    answer[k] = nl.evaluate(other, test_ids).loss - nl.evaluate(counter, test_ids).loss
""",
            """
answer = np.zeros(10)
arrays = counter.state_dict()
for k in range(10):  # each cut on top of the ones before
    arrays["lstm.0.Wh"][k] = 0
    arrays["decoder.W"][k] = 0
    other = nl.LanguageModel(len(letters), 10)
    other.load_state_dict(arrays)
    answer[k] = nl.evaluate(other, test_ids).loss - nl.evaluate(counter, test_ids).loss
""",
            """
answer = np.zeros(10)
for k in range(10):
    arrays = counter.state_dict()
    arrays["lstm.0.Wh"][k] = 0
    arrays["decoder.W"][k] = 0
    other = nl.LanguageModel(len(letters), 10)
    other.load_state_dict(arrays)
    answer[k] = nl.evaluate(other, test_ids).loss  # the loss, not its rise
""",
            "answer = np.full(10, 0.1)",
        ),
        "06-35": tuple(
            CORRELATIONS_IN_WORDS + answer
            for answer in (
                "answer = (int(r(untrained, 'valid').argmax()), 0.5, 0.5)  # the untrained one's",
                """
k = int(r(reader, "valid").argmax())  # the same cell number in the untrained network
answer = (k, r(reader, "test")[k], r(untrained, "test")[k])
""",
                """
k = int(r(reader, "valid").argmax())  # measured where it was chosen
answer = (k, r(reader, "valid")[k], r(untrained, "valid").max())
""",
                "answer = (int(r(reader, 'valid').argmin()), 0.5, 0.5)",
                "answer = (int(r(reader, 'valid').argmax()), 0.9, 0.1)",
            )
        ),
        "06-31": (
            "answer = (int((test_layer.i > 0.9).mean(axis=(0, 1)).argmax()), 0.5)  # input gate",
            "answer = (int((test_layer.f < 0.1).mean(axis=(0, 1)).argmax()), 0.5)  # shut",
            """
opened = (test_layer.f > 0.9).mean(axis=(0, 1))
answer = (int(opened.argmax()), forget[opened.argmax()])  # the mean of the gate
""",
            """
opened = (test_layer.f > 0.5).mean(axis=(0, 1))
answer = (int((test_layer.f > 0.9).mean(axis=(0, 1)).argmax()), opened.max())  # over a half
""",
        ),
    },
    "from_numpy_to_numba": {
        "exercise-1": (
            "answer = 32 * (4 * 300) * (100 + 300)  # a multiply-add counted once",
            "answer = 2 * 32 * 300 * (100 + 300)  # one gate",
            "answer = 2 * (4 * 300) * (100 + 300)  # one row",
            "answer = 2 * 32 * (4 * 300) * 100  # x @ Wx only",
            "answer = flop(T, 32, 100, 300)  # all steps",
            "answer = 2 * 32 * (4 * 300) * (100 + 4 * 300)",
        ),
        "exercise-2": (
            """
def answer(x, h0, Wx, Wh, b):
    h, hs = h0, []
    for x_t in x:
        h = np.tanh(x_t @ Wx + h @ Wh + b)  # right, but not hoisted
        hs.append(h)
    return np.stack(hs)
""",
            """
def answer(x, h0, Wx, Wh, b):
    return np.tanh(x.reshape(-1, x.shape[2]) @ Wx + b).reshape(*x.shape[:2], -1)  # no state
""",
            """
def answer(x, h0, Wx, Wh, b):
    a = (x.reshape(-1, x.shape[2]) @ Wx).reshape(*x.shape[:2], -1)
    h, hs = h0, []
    for a_t in a:
        h = np.tanh(a_t + h @ Wh)  # no bias
        hs.append(h)
    return np.stack(hs)
""",
            """
def answer(x, h0, Wx, Wh, b):
    a = (x.reshape(-1, x.shape[2]) @ Wx + b).reshape(*x.shape[:2], -1)
    h = h0
    for a_t in a:
        h = np.tanh(a_t + h @ Wh)
    return h  # the last one only
""",
        ),
        "exercise-3": (
            "answer = add_product",
            """
@njit(error_model="numpy")
def answer(h, Wh, a):
    for row in range(0, h.shape[0], 4):
        for k in range(h.shape[1]):
            for j in range(Wh.shape[1]):
                a[row, j] += h[row, k] * Wh[k, j]  # four fetches
                a[row + 1, j] += h[row + 1, k] * Wh[k, j]
                a[row + 2, j] += h[row + 2, k] * Wh[k, j]
                a[row + 3, j] += h[row + 3, k] * Wh[k, j]
""",
            """
@njit(error_model="numpy")
def answer(h, Wh, a):
    for row in range(0, h.shape[0], 4):
        for k in range(h.shape[1]):
            for j in range(Wh.shape[1]):
                w = Wh[k, j]
                a[row, j] += h[row, k] * w
                a[row + 1, j] += h[row + 1, k] * w
                a[row + 2, j] += h[row + 2, k] * w  # three rows of four
""",
            """
@njit(error_model="numpy")
def answer(h, Wh, a):
    a[:] = 0
    for row in range(0, h.shape[0], 4):
        for k in range(h.shape[1]):
            for j in range(Wh.shape[1]):
                w = Wh[k, j]
                for n in range(4):
                    a[row + n, j] += h[row + n, k] * w
""",
        ),
    },
    "after_the_lstm": {
        "exercise-backward": (
            "answer = lambda dhs, dhT, a, h_prev: reference.scan_backward(dhs, dhT, (a, h_prev))",
            """
def answer(dhs, dhT, a, h_prev):
    db = scan_forward(a[::-1], dhs[::-1], dhT)[0][::-1]  # a_t, not a_(t+1)
    return db * h_prev, db, a[0] * db[0]
""",
            """
def answer(dhs, dhT, a, h_prev):
    factors = np.concatenate([a[1:], np.ones_like(a[:1])])
    db = scan_forward(factors[::-1], dhs[::-1], dhT)[0]  # still in reverse
    return db * h_prev, db, a[0] * db[0]
""",
            """
def answer(dhs, dhT, a, h_prev):
    factors = np.concatenate([a[1:], np.zeros_like(a[:1])])  # dhT is lost
    db = scan_forward(factors[::-1], dhs[::-1], dhT)[0][::-1]
    return db * h_prev, db, a[0] * db[0]
""",
            """
def answer(dhs, dhT, a, h_prev):
    factors = np.concatenate([a[1:], np.ones_like(a[:1])])
    db = scan_forward(factors[::-1], dhs[::-1], dhT)[0][::-1]
    return db * a, db, a[0] * db[0]
""",
            """
def answer(dhs, dhT, a, h_prev):
    factors = np.concatenate([a[1:], np.ones_like(a[:1])])
    db = scan_forward(factors[::-1], dhs[::-1], dhT)[0][::-1]
    return db * h_prev, db, db[0]  # not through a_1
""",
            """
def answer(dhs, dhT, a, h_prev):
    factors = np.concatenate([a[1:], np.ones_like(a[:1])])
    return scan_forward(factors[::-1], dhs[::-1], dhT)[0][::-1]  # db only
""",
        ),
        "exercise-count": (
            "answer = 9, sum(1000 - 2**k for k in range(9))",
            "answer = 10, 10 * 1000",
            "answer = 10, 1000",
            "answer = np.log2(1000), 1000 * np.log2(1000)",
            "answer = 10, 2 * (10 * 1000 - 1023)",
        ),
        "exercise-sign": (
            "v = np.arctanh(0.5 ** (1 / 256)); answer = -v, v  # a one gives 0",
            "v = np.arctanh(0.5 ** (1 / 256)); answer = 2 * v, v  # no flip",
            "v = np.arctanh(0.5 ** (1 / 256)); answer = 2 * v, -v  # flips at zeros",
            "r = 0.5 ** (1 / 256); v = np.log(r / (1 - r)); answer = -2 * v, v  # of a sigmoid",
            "v = np.arctanh(0.5); answer = -2 * v, v  # after one step",
            "v = np.arctanh(0.5 ** (1 / 128)); answer = -2 * v, v",
            "v = np.arctanh(0.5 ** (1 / 256)); answer = -3 * v, v",
        ),
        "exercise-stabilise": (
            """
def answer(a_i, a_f, g, c, n, m):
    i, f = np.exp(a_i), np.exp(a_f)  # no stabiliser
    return f * c + i * g, f * n + i, m
""",
            """
def answer(a_i, a_f, g, c, n, m):
    m_new = np.maximum(a_f + m, a_i)
    i, f = np.exp(a_i - m_new), np.exp(a_f - m_new)  # without the old scale
    return f * c + i * g, f * n + i, m_new
""",
            """
def answer(a_i, a_f, g, c, n, m):
    i, f = np.ones_like(a_i), np.exp(a_f + m - a_i)  # m follows a_i only
    return f * c + i * g, f * n + i, a_i
""",
            """
def answer(a_i, a_f, g, c, n, m):
    m_new = np.maximum(m, a_i)  # f is left out
    i, f = np.exp(a_i - m_new), np.exp(a_f + m - m_new)
    return f * c + i * g, f * n + i, m_new
""",
            """
def answer(a_i, a_f, g, c, n, m):
    i, f = np.exp(np.minimum(a_i, 80)), np.exp(np.minimum(a_f, 80))  # clipped
    return f * c + i * g, f * n + i, m
""",
            """
def answer(a_i, a_f, g, c, n, m):
    m_new = np.maximum(a_f + m, a_i)
    i, f = np.exp(a_i - m_new), np.exp(a_f + m - m_new)
    return f * c + i * g, f * n + i  # and m?
""",
        ),
        "exercise-newton": (
            """
def answer(hs, x, h0, w):  # a loop over the steps
    h, states = h0, []
    for x_t in x:
        h = np.tanh(x_t + w * h)
        states.append(h)
    return np.stack(states)
""",
            """
def answer(hs, x, h0, w):
    h_prev = np.concatenate([h0[None], hs[:-1]])
    new = np.tanh(x + w * h_prev)
    return scan_forward((1 - new**2) * w, new, h0)[0]  # a * h_prev is not subtracted
""",
            """
def answer(hs, x, h0, w):
    new = np.tanh(x + w * hs)  # the state itself, not the one before
    a = (1 - new**2) * w
    return scan_forward(a, new - a * hs, h0)[0]
""",
            """
def answer(hs, x, h0, w):
    h_prev = np.concatenate([h0[None], hs[:-1]])
    new = np.tanh(x + w * h_prev)
    a = 1 - new**2  # without w
    return scan_forward(a, new - a * h_prev, h0)[0]
""",
            """
def answer(hs, x, h0, w):
    h_prev = np.concatenate([h0[None], hs[:-1]])
    return np.tanh(x + w * h_prev)  # no tangent at all
""",
            """
def answer(hs, x, h0, w):
    h_prev = np.concatenate([h0[None], hs[:-1]])
    new = np.tanh(x + w * h_prev)
    a = np.broadcast_to(w, x.shape).copy()  # without the slope
    return scan_forward(a, new - a * h_prev, h0)[0]
""",
            "answer = lambda hs, x, h0, w: scan_forward(w + 0 * x, x, h0)[0][-1]  # one state",
        ),
    },
    "a_state_that_is_a_matrix": {
        "exercise-writes": (
            "answer = lambda keys, values: values.T @ keys",
            "answer = lambda keys, values: keys @ keys.T @ values",
            "answer = lambda keys, values: keys.T @ values / len(keys)",
            "answer = lambda keys, values: np.outer(keys[-1], values[-1])  # the last write only",
        ),
        "exercise-cache": (
            "answer = 32  # as many",
            "answer = 64",
            "answer = [33]",
        ),
        "exercise-step": (
            "answer = lambda k, v, beta, S: S + beta * np.outer(k, v)",
            "answer = lambda k, v, beta, S: S + np.outer(k, v - k @ S)",
            "answer = lambda k, v, beta, S: S - beta * np.outer(k, v - k @ S)",
            "answer = lambda k, v, beta, S: (1 - beta) * S + beta * np.outer(k, v)",
            "answer = lambda k, v, beta, S: (S + beta * np.outer(k, v - k @ S)).T",
            "answer = lambda k, v, beta, S: S + beta * np.outer(k, v - beta * k @ S)",
            """
def answer(k, v, beta, S):
    S += beta * np.outer(k, v - k @ S)  # in place
    return S
""",
        ),
        "exercise-key": (
            "answer = lambda dS, k, beta, error, S_prev: beta * (dS @ error)",
            "answer = lambda dS, k, beta, error, S_prev: -S_prev @ (beta * k @ dS)",
            "answer = lambda dS, k, beta, error, S_prev: "
            "beta * (dS @ error) + S_prev @ (beta * k @ dS)",
            "answer = lambda dS, k, beta, error, S_prev: dS @ error - S_prev @ (beta * k @ dS)",
            "answer = lambda dS, k, beta, error, S_prev: beta * (dS @ error) - S_prev @ (k @ dS)",
            "answer = lambda dS, k, beta, error, S_prev: beta * error @ dS.T @ S_prev",
        ),
        "exercise-parity": (
            "answer = 0, 1  # a one erases",
            "answer = 1, 2",
            "answer = 2, 0",
            "answer = 0, -1",
            "answer = 0, 0.5",
        ),
    },
}

RIGHT_ANSWERS: dict[str, dict[str, tuple[str, ...]]] = {
    "recurrent_networks": {
        "exercise-parity": (
            # 1.1 - 1.1 and 2.2 - 2.2 are not exactly zero after a sum
            "answer = [[1, 1.1]], [[1, 1.1], [-2, -2.2]], [0, -1.2]",
        ),
    },
    "from_numpy_to_numba": {
        "exercise-3": (
            """
@njit(error_model="numpy")
def answer(h, Wh, a):  # rows of rows
    for row in range(0, len(h), 4):
        for k in range(len(h[0])):
            for j in range(len(Wh[0])):
                w = Wh[k][j]
                for n in range(4):
                    a[row + n][j] += h[row + n][k] * w
""",
        ),
    },
}
"""Right answers in another form than the solution, for checks that read the code or its steps."""
