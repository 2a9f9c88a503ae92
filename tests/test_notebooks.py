"""The notebooks keep their form, and the solutions of their exercises are right.

The form is described in notebooks/README.md. The quick tests read the files; the slow one runs
every notebook with the solutions in place of the placeholders.
"""

import json
import re
from pathlib import Path

import pytest

SERIES = (
    "01_recurrent_networks",
    "02_backpropagation_through_time",
    "03_vanishing_gradients",
    "04_inside_the_lstm_cell",
    "05_language_model",
    "06_what_the_cells_learned",
    "07_from_numpy_to_numba",
)
FOLDER = Path(__file__).parent.parent / "notebooks"
PATHS = sorted(p for p in FOLDER.glob("*.ipynb") if "workbook" not in p.stem)  # test_workbook.py
MOST_BYTES = 500_000
SECONDS_FOR_A_CELL = 300
UNANSWERED = "Not answered yet."
NONSENSE = """
answer = object()
try:
    exec({check!r})
except Exception:
    print("rejected", end="")
"""

each_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def source(cell):
    return "".join(cell["source"])  # a list of lines in the file, a string from nbformat


def tagged(notebook, tag):
    return [cell for cell in notebook["cells"] if tag in cell["metadata"].get("tags", [])]


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def outputs(notebook):
    return [output for cell in code_cells(notebook) for output in cell["outputs"]]


def text_of(output):
    """What an output shows as text: printed, or the plain form of a result."""
    return "".join(output.get("text", [])) + "".join(output.get("data", {}).get("text/plain", []))


def printed(cell):
    return "".join(text_of(output) for output in cell["outputs"])


def solution_code(cell):
    """The one python block of a solution."""
    (block,) = re.findall(r"^```python\n(.*?)^```", source(cell), re.DOTALL | re.MULTILINE)
    return block


def test_every_notebook_is_of_the_series():
    assert {path.stem for path in PATHS} == set(SERIES)


@each_notebook
def test_is_a_valid_notebook(path):
    nbformat = pytest.importorskip("nbformat", reason="nbformat is in the extra 'notebooks'")
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    identities = [cell["id"] for cell in notebook["cells"]]
    assert len(set(identities)) == len(identities)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


@each_notebook
def test_is_small(path):
    assert path.stat().st_size <= MOST_BYTES


@each_notebook
def test_opens_with_what_the_reader_gets_needs_and_spends(path):
    opening = source(read(path)["cells"][0])
    for promise in ("What you will see", "What you need", "How long"):
        assert promise in opening


@each_notebook
def test_ends_with_a_link_to_what_comes_next(path):
    place = SERIES.index(path.stem)
    following = f"{SERIES[place + 1]}.ipynb" if place + 1 < len(SERIES) else "../README.md"
    assert f"]({following})" in source(read(path)["cells"][-1])


@each_notebook
def test_was_run_from_top_to_bottom(path):
    counts = [cell["execution_count"] for cell in code_cells(read(path)) if source(cell).strip()]
    assert counts == list(range(1, len(counts) + 1))
    assert outputs(read(path))


@each_notebook
def test_outputs_hold_no_error_no_warning_and_no_path(path):
    for output in outputs(read(path)):
        assert output["output_type"] != "error"
        assert output.get("name") != "stderr"
    # Paths in sources too: a notebook reads nothing that only one machine has.
    text = "\n".join(text_of(output) for output in outputs(read(path)))
    text += "\n".join(source(cell) for cell in read(path)["cells"])
    assert not re.findall(
        r"(?<![\w.])/(?:home|root|Users|tmp|work|mnt|opt|usr)/\S*|\b[A-Z]:\\", text
    )


@each_notebook
def test_pictures_are_embedded_as_png(path):
    pictures = [
        output["data"] for output in outputs(read(path)) if "image/png" in output.get("data", {})
    ]
    assert pictures
    assert not any("image/svg+xml" in output.get("data", {}) for output in outputs(read(path)))


@each_notebook
def test_claims_are_asserted(path):
    asserting = re.compile(r"^\s*(?:assert |np\.testing\.assert_)", re.MULTILINE)
    teaching = [
        cell
        for cell in code_cells(read(path))
        if not {"exercise", "check"} & set(cell["metadata"].get("tags", []))
    ]
    assert sum(len(asserting.findall(source(cell))) for cell in teaching) >= 10


@each_notebook
def test_has_three_exercises_each_with_a_check_and_a_folded_solution(path):
    notebook = read(path)
    kinds = [
        tag
        for cell in notebook["cells"]
        for tag in cell["metadata"].get("tags", [])
        if tag in ("exercise", "check", "solution")
    ]
    assert kinds == ["exercise", "check", "solution"] * 3
    for exercise in tagged(notebook, "exercise"):
        assert source(exercise).startswith("answer = None")
    for check in tagged(notebook, "check"):
        assert printed(check).strip() == UNANSWERED
        assert "assert" in source(check)
    for solution in tagged(notebook, "solution"):
        assert solution["cell_type"] == "markdown"
        assert source(solution).startswith("<details><summary>Solution</summary>\n\n")
        assert source(solution).rstrip().endswith("</details>")
        compile(solution_code(solution), "solution", "exec")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # what Jupyter warns of is not ours; the kernel is apart
@each_notebook
def test_solutions_pass_their_checks_and_nonsense_does_not(path, tmp_path, monkeypatch):
    pytest.importorskip("ipykernel", reason="ipykernel is in the extra 'notebooks'")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is in the extra 'notebooks'")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is in the extra 'notebooks'")
    monkeypatch.setenv("PYTHONWARNINGS", "default")
    notebook = nbformat.read(path, as_version=4)
    checks = tagged(notebook, "check")
    for exercise, solution in zip(
        tagged(notebook, "exercise"), tagged(notebook, "solution"), strict=True
    ):
        exercise["source"] = solution_code(solution)
    for check in checks:  # after each check: the same check, of nonsense
        place = notebook["cells"].index(check) + 1
        nonsense = nbformat.v4.new_code_cell(NONSENSE.format(check=source(check)), id=f"no-{place}")
        notebook["cells"].insert(place, nonsense)
    nbclient.NotebookClient(
        notebook,
        timeout=SECONDS_FOR_A_CELL,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    for check in checks:
        assert "Right" in printed(check)
        assert printed(notebook["cells"][notebook["cells"].index(check) + 1]) == "rejected"
