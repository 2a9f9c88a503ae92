"""Run the examples of the documentation; the names and the targets of links in it exist."""

import doctest
import functools
import inspect
import os
import pkgutil
import re
import runpy
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest
from support.bad_calls import assert_refused
from support.runs import BIN, TINY
from support.small import HS, VECTORS, X, Y, small_lstm, small_model

import numpylstm as nl

ROOT = Path(__file__).parent.parent
TEXTS = {
    path.relative_to(ROOT): path.read_text(encoding="utf-8")
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("docs/**/*.py")]
    if not {"_build", "generated"} & {*path.parts}
}
PAGES = sorted(path for path in TEXTS if path.suffix == ".md")
EXAMPLES = [path for path in PAGES if ">>>" in TEXTS[path]]
MEASURE = (
    *sorted(path.relative_to(ROOT) for path in ROOT.glob("docs/experiments/*.py")),
    Path("docs/tools/page_models.py"),
)
MODULE_OF_A_PAGE = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```", re.M | re.S)


@pytest.mark.rare
@pytest.mark.parametrize("page", EXAMPLES, ids=str)
def test_examples_of_a_page(page, tmp_path, monkeypatch):
    if ">>> import torch" in TEXTS[page]:
        pytest.importorskip("torch", reason="PyTorch is not installed (extra: exchange)")
    if "from sklearn" in TEXTS[page]:
        reason = "scikit-learn is not installed (extra: scikit-learn)"
        pytest.importorskip("sklearn", reason=reason)
    monkeypatch.chdir(tmp_path)  # for the files of the examples
    for name, module in MODULE_OF_A_PAGE.findall(TEXTS[page]):
        (tmp_path / name).write_text(module, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path)
    assert doctest.testfile(str(ROOT / page), module_relative=False).failed == 0


ARCHITECTURE = TEXTS[Path("docs/explanation/architecture.md")]
BAD_CALLS = re.findall(r"^\| `(?!numpylstm-)(.+?)` \| `(.+)` \|$", ARCHITECTURE, re.M)


@pytest.mark.parametrize(("call", "says"), BAD_CALLS)
def test_bad_calls_of_the_architecture(call, says):
    names = {
        "nl": nl, "model": small_model(), "lstm": small_lstm(), "x": X, "y": Y, "v": VECTORS,
        "hs": HS, "nan": float("nan"),
    }  # fmt: skip
    errors = (ValueError, TypeError, RuntimeError)
    assert_refused(lambda: eval(call, names), says, errors)


@pytest.mark.rare
def test_the_script_of_parallel_experiments(tmp_path):
    page = (ROOT / "docs/how-to/parallel.md").read_text(encoding="utf-8")
    script = tmp_path / "experiments.py"
    section = page.split("## With multiprocessing")[1]
    script.write_text(section.split("```python\n")[1].split("```")[0])
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_NUM_THREADS"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, check=True
    )
    seeds, sizes, perplexities, threads = zip(
        *map(str.split, done.stdout.splitlines()), strict=True
    )
    assert (seeds, sizes) == (("0", "1", "0", "1"), ("8", "8", "16", "16"))
    assert set(threads) == {"1"}
    assert len(set(perplexities)) == 4


@pytest.mark.rare
@pytest.mark.skipif(os.name != "posix", reason="a shell as on clusters")
def test_a_job_of_the_slurm_array(folder):
    page = (ROOT / "docs/how-to/parallel.md").read_text(encoding="utf-8")
    script = folder / "array.sh"
    script.write_text(page.split("## With SLURM")[1].split("```sh\n")[1].split("```")[0])
    path = os.pathsep.join([str(BIN), os.environ["PATH"]])
    environment = os.environ | {"SLURM_ARRAY_TASK_ID": "3", "PATH": path}
    command = ["sh", script, *TINY[:-2], "--steps", "2"]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    saved = nl.load(folder / "runs/seed-3/last.npz")
    assert (saved.config.seed, saved.meta["step"]) == (3, 2)


@pytest.mark.parametrize("script", MEASURE, ids=str)
def test_a_script_that_measures_can_start(script, monkeypatch):
    """Each takes minutes or hours; the others in docs/tools are run when the site is built."""
    monkeypatch.syspath_prepend(ROOT)
    runpy.run_path(str(ROOT / script))


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_cell_in_six_lines(page):
    lines = re.search(r"^i = .*?^h = .*?$", TEXTS[Path(page)], re.M | re.S)[0].split("\n")
    textbook = inspect.getsource(nl.reference.lstm_step_forward)
    assert all(line.replace("np.tanh(c)", "tanh_c") in textbook for line in lines)


# --- names -------------------------------------------------------------------------------------


CURRENT = "".join(text for path, text in TEXTS.items() if path.name != "CHANGELOG.md")
NAMES = sorted(set(re.findall(r"\bnl((?:\.[A-Za-z_]\w*)+)", CURRENT)))
COMING_FROM = TEXTS[Path("docs/how-to/coming-from.md")]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_the_package(name):
    functools.reduce(getattr, name.split(".")[1:], nl)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\btorch\.[A-Za-z_.]+", COMING_FROM))))
def test_names_of_pytorch(name):
    pytest.importorskip("torch")
    assert pkgutil.resolve_name(name) is not None


# --- links -------------------------------------------------------------------------------------


CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]+`", re.M | re.S)
LINK = re.compile(r"\[([^\]]*)\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)")


def anchors(text):
    """Return the anchors of a page: its headings in GitHub's form, and targets of MyST."""
    headings = re.findall(r"^#+ +(.+)$", CODE.sub(lambda m: m[0].strip("`"), text), re.M)
    slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
    return slugs | set(re.findall(r"^\(([\w-]+)\)=$", text, re.M))


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_relative_links_lead_somewhere(page):
    for text, target in LINK.findall(CODE.sub("", TEXTS[page])):
        if re.match(r"[a-z]+:", target):
            continue  # another site, for sphinx -b linkcheck
        path, _, anchor = unquote(target).partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), f"[{text}]({target})"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file.read_text(encoding="utf-8")), f"[{text}]({target})"
