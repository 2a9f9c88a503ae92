"""Answers that a reader of a notebook may well give, and that its checks have to refuse.

By the name of the notebook without its number, then by the id of the cell of the exercise: code
that stands in place of ``answer = None``. Each is to be refused by an assertion with a sentence
that helps.
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
    "language_model": {},
    "what_the_cells_learned": {},
    "from_numpy_to_numba": {},
}
