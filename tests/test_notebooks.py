"""The notebooks keep their form, and the solutions of their exercises are right.

The form is described in notebooks/README.md. The quick tests read the files; the slow one runs
every notebook as it stands, and tries each check with the solution and with wrong answers.
"""

import json
import re
from pathlib import Path

import pytest
from support.notebook_cells import (
    code_cells,
    exchanged,
    execute,
    in_jupyter,
    outputs,
    printed,
    read,
    solution_code,
    source,
    tagged,
    tags,
    text_of,
)

SERIES = (
    "01_recurrent_networks",
    "02_inside_the_lstm_cell",
    "03_backpropagation_through_time",
    "03b_is_the_gradient_right",
    "04_vanishing_gradients",
    "05_learning_to_remember",
    "06_layers_and_shapes",
    "07_language_model",
    "08_what_the_cells_learned",
    "09_from_numpy_to_numba",
    "10_after_the_lstm",
    "11_a_state_that_is_a_matrix",
)
FOLDER = Path(__file__).parent.parent / "notebooks"
PATHS = [p for p in FOLDER.glob("*.ipynb") if "workbook" not in p.stem]  # test_workbook.py
PATHS.sort(reverse=True)  # the long ones first, so that two processes end at about the same time
MOST_BYTES = 500_000
UNANSWERED = "Not answered yet."
# No form of an answer ends in a traceback: each of these is refused with a sentence.
SILLY = (
    "answer = object()",
    "answer = 'a text'",
    "answer = ()",
    "answer = (1,)",
    "answer = (1, 2, 3, 4, 5, 6, 7)",
    "answer = [[1, 2], [3]]",
    "answer = 1j",
    "answer = lambda *_: None",
)
# A number is a number, whatever its type.
KINDS_OF_NUMBER = (
    "answer = np.float32(answer)",
    "import fractions\nanswer = fractions.Fraction(answer)",
)
TRIAL = """
import contextlib, io, json
outcomes = []
for code in {answers!r}:
    space = dict(globals())  # a copy: what an answer defines, no later cell sees
    with contextlib.redirect_stdout(io.StringIO()):
        exec(code, space)
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            exec({check!r}, space)
    except Exception as refusal:
        outcomes.append([code, type(refusal).__name__, str(refusal)])
    else:
        outcomes.append([code, "accepted", said.getvalue()])
print(json.dumps(outcomes), end="")
"""
FOLDED = "hide-input"  # the tag that folds a cell on the site; JupyterLab has a field of its own
ASSERTING = re.compile(r"^\s*(?:assert |np\.testing\.assert_)", re.MULTILINE)


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def notebook(path):
    return read(path)


def folded(cell):
    return FOLDED in tags(cell)


def test_every_notebook_is_of_the_series():
    assert {path.stem for path in PATHS} == set(SERIES)


def test_the_sections_of_the_shortest_way_are_there():
    way = (FOLDER.parent / "docs/tutorials/shortest-way.md").read_text(encoding="utf-8")
    text = "".join(source(cell) + "\n" for path in PATHS for cell in read(path)["cells"])
    for name in re.findall(r'"(.+?)"', way):
        assert re.search(rf'^##+ "?{re.escape(name)}', text, re.M), name


def test_is_small_and_names_its_cells(path, notebook):
    identities = [cell["id"] for cell in notebook["cells"]]
    assert len(set(identities)) == len(identities)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert path.stat().st_size <= MOST_BYTES


def test_opens_with_what_the_reader_sees_needs_gets_and_spends(notebook):
    opening = source(notebook["cells"][0])
    for promise in ("What you will see", "What you need", "What it gives", "How long"):
        assert promise in opening


def test_ends_with_a_link_to_what_comes_next(path, notebook):
    place = SERIES.index(path.stem)
    following = f"{SERIES[place + 1]}.ipynb" if place + 1 < len(SERIES) else "../README.md"
    last_text = [cell for cell in notebook["cells"] if cell["cell_type"] == "markdown"][-1]
    assert f"]({following})" in source(last_text)


def test_was_run_from_top_to_bottom(notebook):
    counts = [cell["execution_count"] for cell in code_cells(notebook) if source(cell).strip()]
    assert counts == list(range(1, len(counts) + 1))
    assert outputs(notebook)


def test_outputs_hold_no_error_no_warning_and_no_path(notebook):
    for output in outputs(notebook):
        assert output["output_type"] != "error"
        assert output.get("name") != "stderr"
        assert "image/svg+xml" not in output.get("data", {})  # pictures are PNG
    # Nor in sources: a notebook reads no file of one machine.
    text = "\n".join(text_of(output) for output in outputs(notebook))
    text += "\n".join(source(cell) for cell in notebook["cells"])
    assert not re.findall(
        r"(?<![\w.])/(?:home|root|Users|tmp|work|mnt|opt|usr)/\S*|\b[A-Z]:\\", text
    )


def test_every_picture_has_a_text_of_its_own(notebook):
    texts = [
        cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
        for cell in code_cells(notebook)
        if any("image/png" in output.get("data", {}) for output in cell["outputs"])
    ]
    assert all(len(text) > 30 for text in texts)
    assert len(set(texts)) == len(texts)


def test_claims_are_asserted_in_the_last_cell(notebook):
    """No guard of the text stands between the text and the code that teaches."""
    assert tags(notebook["cells"][-1]) == ["claims", FOLDED]
    *others, claims = code_cells(notebook)
    assert len(ASSERTING.findall(source(claims))) >= 10
    for cell in others:
        if not {"exercise", "check"} & {*tags(cell)}:
            assert "\nassert " not in source(cell)


def test_what_is_folded_is_folded_on_the_site_and_in_jupyterlab(notebook):
    for cell in code_cells(notebook):
        assert cell["metadata"].get("jupyter", {}).get("source_hidden", False) == folded(cell)
    assert all(folded(check) for check in tagged(notebook, "check"))


def test_exercises_have_a_check_and_a_folded_solution(notebook):
    kinds = [
        tag
        for cell in notebook["cells"]
        for tag in tags(cell)
        if tag in ("exercise", "check", "solution")
    ]
    assert kinds == ["exercise", "check", "solution"] * (len(kinds) // 3)
    assert len(kinds) >= 9
    for exercise in tagged(notebook, "exercise"):
        place = notebook["cells"].index(exercise)
        following = notebook["cells"][place + 1 : place + 3]
        assert [tags(cell)[0] for cell in following] == ["check", "solution"]
        assert source(exercise).startswith("answer = None")
    for check in tagged(notebook, "check"):
        assert printed(check).strip() == UNANSWERED
        assert "assert" in source(check)
    for solution in tagged(notebook, "solution"):
        assert solution["cell_type"] == "markdown"
        assert source(solution).startswith("<details><summary>Solution</summary>\n\n")
        assert source(solution).rstrip().endswith("</details>")
        compile(solution_code(solution), "solution", "exec")


# --- answers -----------------------------------------------------------------------------------

# By the name of the notebook without its number, then by the id of the cell of the exercise: code
# that stands in place of `answer = None`, or pieces of the solution and what replaces them. Each is
# to be refused by an assertion with a sentence that helps.
WRONG_ANSWERS = {
    "recurrent_networks": {
        "exercise-bound": (
            "answer = 9.97  # the logarithm, not rounded up",
            "answer = 20  # certain, but earlier too",
            "answer = 0.25**10",
        ),
        "exercise-batch": (
            ("hs.swapaxes(0, 1)", "hs"),
            "answer = lambda x, h0, Wx, Wh, b: rnn_forward(x.swapaxes(0, 1), h0, Wx, Wh, b)",
            ("x.swapaxes(0, 1)", "x", "hs.swapaxes(0, 1)", "hs"),
            "answer = lambda x, h0, Wx, Wh, b: rnn_forward(x, h0, Wx, Wh, b).swapaxes(0, 1)",
            (
                "x.swapaxes(0, 1)", "x.reshape(x.shape[1], x.shape[0], -1)",
                "hs.swapaxes(0, 1)", "hs.reshape(*x.shape[:2], -1)",
            ),
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
            ("[-40, 40, 0, 40]", "[-40, 40, 0, -40]"),
            ("[80, -80, 0, 0]", "[20, -20, 0, 0]", "[-40, 40, 0, 40]", "[-10, 10, 0, 40]"),
            ("[0, 0, 1, 0], [80, -80, 0, 0]", "[0, 0, 0, 0], [80, -80, 1, 0]"),
            ("[80, -80, 0, 0]", "[80, 0, 0, 0]", "[-40, 40, 0, 40]", "[-40, -40, 0, 40]"),
            ("[80, -80, 0, 0]", "[80, 80, 0, 0]", "[-40, 40, 0, 40]", "[-40, -40, 0, 40]"),
            (
                "[0, 0, 1, 0], [80, -80, 0, 0]", "[0, 1, 0, 0], [80, 0, -80, 0]",
                "[-40, 40, 0, 40]", "[-40, 0, 40, 40]",
            ),
        ),
        "exercise-clamp": (
            "answer = 'i open'",
            "answer = 'o open'",
            "answer = 'f open'",
            "answer = 'all gates free'",
            "answer = 'f'",
        ),
        "exercise-parity": (
            ("[0, 0, -120, 0]", "[0, 0, 0, 0]"),
            ("[0, 0, -120, 0]", "[0, 0, 120, 0]"),
            ("[0, 0, -120, 0]", "[0, 0, -40, 0]"),
            ("[80, -80, 0, 0]", "[0, -80, 0, 0]", "[-40, 40, 40, 40]", "[40, 40, 40, 40]"),
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
            ("(h - 0.9 * h_prev) / 0.1", "h"),  # h is taken for the output of tanh
            ("da = 0.1 * dh", "da = dh"),
            ("0.9 * dh + da @ Wh.T", "da @ Wh.T"),  # the way past the tanh is forgotten
            ("da @ Wh.T", "da @ Wh"),
            ("da.sum(axis=0)", "da"),
        ),
        "exercise-forwards": (
            ("return dWh", "return dWh.T"),
            ("dWh += P @ dhs[t]", "dWh = P @ dhs[t]"),  # the last loss alone
            ("da = direct + P @ Wh", "da = direct"),  # nothing is carried along
            ("P @ Wh", "P @ Wh.T"),
        ),
    },
    "is_the_gradient_right": {
        "exercise-step": (
            (  # the central difference
                "w.astype(complex)", "0 * w", "1e-30j", "1e-5",
                "f(nearby).imag / 1e-30", "(f(w + nearby) - f(w - nearby)) / 2e-5",
            ),
            "answer = lambda f, w: np.full(w.shape, f(w + 1e-30j).imag / 1e-30)  # all at once",
            ("np.zeros(w.shape)", "np.zeros(w.shape, complex)", ".imag", ""),
            (  # moves stay
                "    for", "    nearby = w.astype(complex)\n    for",
                "        nearby = w.astype(complex)\n", "",
            ),
            (  # w itself is moved
                "nearby = w.astype(complex)", "before = f(w)",
                "nearby[place] += 1e-30j", "w[place] += 1e-7",
                "f(nearby).imag / 1e-30", "(f(w) - before) / 1e-7",
            ),
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
            ("tau = 0", "tau = 1"),
            (  # what is kept is measured, not what is lost
                "table.beyond(tau)[path]) > limit",
                "table.within(tau)[path]) < np.linalg.norm(table.total(path)) - limit",
            ),
            ("return tau", "return tau + 1"),
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
            ("sigmoid(a_f) * c0_tape[0] + ", ""),  # nothing is kept
            ("np.tanh(a_g)", "a_g"),
            ("np.tanh(c)", "c"),
            ("a_i, a_f", "a_f, a_i"),
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
            ("place - 1", "place"),  # where it is an input
            ("(window, step, stream)", "(window, stream, step)"),
            "answer = (50_000 // 400, 50_000 % 400 // 20, 50_000 % 20)  # as if rows were read",
            ("(window, step", "(window - len(corpus.train) // 400, step"),
            "answer = (0, 0, 0)",
        ),
        "05-39": (
            "answer = 4  # the arithmetic mean of the probabilities",
            "answer = 5.5  # the mean of 1/p",
            "answer = 2.25 * np.log(2)  # the loss, not its exponential",
            "answer = np.exp(2.25)  # bits taken for nats",
        ),
        "05-46": (
            ("n + 1 - 200) : n + 1]", "n + 2 - 200) : n + 2]"),  # holds the target
            "answer = 0.9 * np.exp(-nll) + 0.05",
            ("n + 1 - 200) : n + 1]", "n - 200) : n]"),  # ends one token too early
            ("0.9 *", "0.1 *", "+ 0.1 *", "+ 0.9 *"),
            ("np.sum(", "np.mean(", " / 200", ""),  # divides by what there is
            "answer = np.exp(-nll)",
            "answer = np.full(len(nll), 0.5)",
        ),
    },
    "what_the_cells_learned": {
        "06-39": (
            ('    arrays["lstm.0.Wh"][k] = 0\n', ""),  # the gates still read it
            ('arrays["lstm.0.Wh"][k]', 'arrays["lstm.0.Wh"][:, k]'),
            ("array.copy()", "array"),  # each cut on top of the ones before
            (" - nl.evaluate(counter, test_ids).loss", ""),
            "answer = np.full(10, 0.1)",
        ),
        "06-35": (
            ('*best_r["trained"]', '*best_r["never trained"]'),
            ("    k = ", "    k = k if best_r else "),  # the same cell of the untrained network
            (  # measured where it was chosen
                'texts["test"]), place_in_word(texts["test"])',
                'texts["valid"]), place_in_word(texts["valid"])',
            ),
            ("argmax()", "argmin()"),
            ('*best_r["trained"], best_r["never trained"][1]', 'best_r["trained"][0], 0.9, 0.1'),
        ),
        "06-31": (
            ("test_layer.f", "test_layer.i"),
            (".open", ".shut"),
            ("float(opened.max())", "forget[opened.argmax()]"),  # the mean of the gate
            ("float(opened.max())", "(test_layer.f > 0.5).mean(axis=(0, 1)).max()"),
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
            (  # right, but not hoisted
                "    a = (x.reshape(T * B, D) @ Wx + b).reshape(T, B, -1)\n", "",
                "a_t in a", "x_t in x", "a_t + h @ Wh", "x_t @ Wx + h @ Wh + b",
            ),
            ("a_t + h @ Wh", "a_t"),
            ("@ Wx + b", "@ Wx"),
            ("return np.stack(hs)", "return h"),
        ),
        "exercise-3": (
            "answer = add_product",
            (  # four fetches
                "                w = Wh[k, j]\n", "",
                "h_0 * w", "h_0 * Wh[k, j]", "h_1 * w", "h_1 * Wh[k, j]",
                "h_2 * w", "h_2 * Wh[k, j]", "h_3 * w", "h_3 * Wh[k, j]",
            ),
            ("                a[row + 3, j] += h_3 * w\n", ""),
            ("    for row", "    a[:] = 0\n    for row"),
        ),
    },
    "after_the_lstm": {
        "exercise-backward": (
            "answer = lambda dhs, dhT, *_: reference.scan_backward(dhs, dhT, scan_cache)",
            ("factors[::-1]", "a[::-1]"),  # a_t, not a_(t+1)
            ("dhT)[0][::-1]", "dhT)[0]"),  # still in reverse
            ("np.ones_like", "np.zeros_like"),  # dhT is lost
            ("db * h_prev", "db * a"),
            ("a[0] * db[0]", "db[0]"),  # not through a_1
            ("return db * h_prev, db, a[0] * db[0]", "return db"),
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
            (  # no stabiliser
                "np.exp(a_i - m_new), np.exp(a_f + m - m_new)", "np.exp(a_i), np.exp(a_f)",
                "f * n + i, m_new", "f * n + i, m",
            ),
            ("a_f + m - m_new", "a_f - m_new"),  # without the old scale
            ("np.maximum(a_f + m, a_i)", "a_i"),
            ("np.maximum(a_f + m, a_i)", "np.maximum(m, a_i)"),
            (  # clipped
                "np.exp(a_i - m_new), np.exp(a_f + m - m_new)",
                "np.exp(np.minimum(a_i, 80)), np.exp(np.minimum(a_f, 80))",
                "f * n + i, m_new", "f * n + i, m",
            ),
            ("f * n + i, m_new", "f * n + i"),  # and m?
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
            ("new - a * h_prev", "new"),
            ("np.concatenate([h0[None], hs[:-1]])", "hs"),  # the state itself, not the one before
            ("(1 - new**2) * w", "1 - new**2"),
            ("(1 - new**2) * w", "(1 - h_prev**2) * w"),  # ends in NaN
            ("return scan_forward(a, new - a * h_prev, h0)[0]", "return new"),  # no tangent at all
            ("(1 - new**2) * w", "w + 0 * x"),  # without the slope
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
            ("return S + beta", "S += beta", "k @ S)", "k @ S)\n    return S"),  # in place
        ),
        "exercise-key": (
            (" - S_prev @ derror", ""),
            ("beta * (dS @ error) - S_prev", "-S_prev"),
            ("- S_prev", "+ S_prev"),
            ("beta * (dS @ error)", "dS @ error"),
            ("(beta * k) @ dS", "k @ dS"),
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
}  # fmt: skip
RIGHT_ANSWERS = {  # in another form than the solution, for checks that read the code or its steps
    "recurrent_networks": {
        # 1.1 - 1.1 and 2.2 - 2.2 are not exactly zero after a sum
        "exercise-parity": "answer = [[1, 1.1]], [[1, 1.1], [-2, -2.2]], [0, -1.2]",
    },
    "from_numpy_to_numba": {
        "exercise-3": """
@njit(error_model="numpy")
def answer(h, Wh, a):  # rows of rows
    for row in range(0, len(h), 4):
        for k in range(len(h[0])):
            for j in range(len(Wh[0])):
                w = Wh[k][j]
                for n in range(4):
                    a[row + n][j] += h[row + n][k] * w
""",
    },
}


def wrong_answers(path):
    """Return likely wrong answers to each exercise of a notebook, by the id of its cell."""
    return WRONG_ANSWERS[path.stem.partition("_")[2]]


def test_wrong_answers_are_known_for_every_exercise(path, notebook):
    exercises = [cell["id"] for cell in tagged(notebook, "exercise")]
    assert sorted(wrong_answers(path)) == sorted(exercises)
    for answers in wrong_answers(path).values():
        assert len(set(answers)) >= 2


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Jupyter warns, in its own process
def test_checks_accept_the_solution_and_refuse_wrong_answers(path, monkeypatch):
    monkeypatch.setenv("PYTHONWARNINGS", "default")
    notebook = in_jupyter(path)
    from nbformat.v4 import new_code_cell

    tried = []
    for exercise, check, solution in zip(
        *(tagged(notebook, tag) for tag in ("exercise", "check", "solution")), strict=True
    ):
        solution = solution_code(solution)
        right = [solution]
        if other := RIGHT_ANSWERS.get(path.stem.partition("_")[2], {}).get(exercise["id"]):
            right.append(other)
        if "expect.number(answer)" in source(check):
            right += [f"{solution}\n{kind}" for kind in KINDS_OF_NUMBER]
        wrong = [
            answer if isinstance(answer, str) else exchanged(solution, *answer)
            for answer in wrong_answers(path)[exercise["id"]]
        ]
        answers = [*right, *SILLY, *wrong]
        trial = new_code_cell(TRIAL.format(answers=answers, check=source(check)))
        notebook["cells"].insert(notebook["cells"].index(check) + 1, trial)
        tried.append((check, len(right), trial))
    execute(notebook, path)
    for check, count, trial in tried:
        assert printed(check).strip() == UNANSWERED
        outcomes = json.loads(printed(trial))
        for answer, kind, message in outcomes[:count]:
            assert kind == "accepted", f"{answer}\n{kind}: {message}"
            assert "Right" in message
        for answer, kind, message in outcomes[count:]:
            assert kind == "AssertionError", f"{answer}\n{kind}: {message}"
            assert message  # the hint
