"""Answers that a reader of a notebook may well give, and that its checks have to refuse.

By the name of the notebook without its number, then by the id of the cell of the exercise: code
that stands in place of ``answer = None``. Each is to be refused by an assertion with a sentence
that helps.
"""

CORRELATIONS_IN_WORDS = """
def r(model, name):
    cells = cells_of(model, corpus.vocabulary, texts[name])
    return np.abs(correlations(cells, places_in_words(texts[name])))

"""

WRONG_ANSWERS: dict[str, dict[str, tuple[str, ...]]] = {
    "recurrent_networks": {
        "exercise-1": (
            "answer = 9.97  # the logarithm, not rounded up",
            "answer = 10.5",
            "answer = 9",
            "answer = 20  # certain, but earlier too",
            "answer = 0.25**10",
        ),
        "exercise-2": (
            "answer = lambda x, h0, Wx, Wh, b: rnn_forward(x.swapaxes(0, 1), h0, Wx, Wh, b)[0]",
            """
def answer(x, h0, Wx, Wh, b):
    T, B = x.shape[1], x.shape[0]
    return rnn_forward(x.reshape(T, B, -1), h0, Wx, Wh, b)[0].reshape(B, T, -1)
""",
            "answer = lambda x, h0, Wx, Wh, b: rnn_forward(x.swapaxes(0, 1), h0, Wx, Wh, b)",
        ),
        "exercise-3": (
            "answer = np.ones((1, 2)), np.array([[1, 1], [-2, -2]]), np.zeros(2)",
            "answer = np.ones((1, 2)), np.array([[1, -2], [1, -2]]), np.array([0, -1])",
            "answer = np.ones((1, 2)), np.eye(2), np.array([0, -1])",
        ),
    },
    "backpropagation_through_time": {},
    "vanishing_gradients": {},
    "inside_the_lstm_cell": {},
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
            "answer = 512",
            "answer = 2.25 * np.log(2)  # the loss, not its exponential",
            "answer = np.exp(2.25)  # bits taken for nats",
            "answer = 4.8",
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
}
