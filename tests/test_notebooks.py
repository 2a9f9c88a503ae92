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
from support.wrong_answers import RIGHT_ANSWERS, WRONG_ANSWERS

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
PATHS = sorted(p for p in FOLDER.glob("*.ipynb") if "workbook" not in p.stem)  # test_workbook.py
MOST_BYTES = 500_000
UNANSWERED = "Not answered yet."
NONSENSE = "answer = object()"
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


def wrong_answers(path):
    """Return likely wrong answers to each exercise of a notebook, by the id of its cell."""
    return WRONG_ANSWERS[path.stem.partition("_")[2]]


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
        right = RIGHT_ANSWERS.get(path.stem.partition("_")[2], {}).get(exercise["id"], ())
        right = [solution_code(solution), *right]
        answers = [*right, NONSENSE, *wrong_answers(path)[exercise["id"]]]
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
        assert outcomes[count][1] != "accepted"  # nonsense
        for answer, kind, message in outcomes[count + 1 :]:
            assert kind == "AssertionError", f"{answer}\n{kind}: {message}"
            assert message  # the hint
