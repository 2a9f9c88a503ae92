import os
import signal
import sys

# The threads of OpenBLAS spin while they wait: with two processes that costs minutes. Before NumPy.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings

pytest.register_assert_rewrite("support")  # its asserts print their values too; before its imports

from support.compiling import compile_a_part
from support.runs import SHORT, PictureAsText, write_words
from support.silence import in_silence

import numpylstm as nl
from numpylstm import doctor
from numpylstm.cli import train as train_command

# No deadline: a kernel compiles at its first call. --hypothesis-profile ci tries more examples, and
# long many more, others in each run.
settings.register_profile("numpylstm", deadline=None, derandomize=True, max_examples=40)
settings.register_profile("ci", deadline=None, derandomize=True, max_examples=100)
settings.register_profile("long", deadline=None, max_examples=2000, database=None, print_blob=True)
settings.load_profile("numpylstm")

# All sizes differ, so that a test sees a swapped axis or a forgotten transpose.
T, B, D, H, V, L = 5, 3, 4, 6, 11, 2


def pytest_collection_finish(session):
    compile_a_part(len(session.items))


@pytest.fixture(scope="session", autouse=True)
def no_fsync():
    """Skip fsync in this process: no test sees its effect, and some tests save often."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_line_about_compiling():
    """Print no line that depends on which test compiles a kernel first."""
    if (compiling := sys.modules.get("numpylstm.kernels.machine.compiling")) is not None:
        compiling.displayed = True


@pytest.fixture(autouse=True)
def default_threads():
    """Undo ``--threads`` of a command that ran in this process."""
    yield
    nl.set_num_threads(None)


@pytest.fixture
def silent_doctor(monkeypatch):
    """Replace every sentence of the doctor by ``xxx`` while it decides."""
    monkeypatch.setattr(doctor, "examine", in_silence(doctor.examine))


@pytest.fixture
def pictures_as_text(monkeypatch):
    """Write the data of the pictures of runs in this process; processes of their own draw them."""
    for place in (
        "summary.training_curves",
        "summary.training_lag_heatmap",
        "page.training_curves",
    ):
        monkeypatch.setattr(f"numpylstm.report.{place}", PictureAsText)


@pytest.fixture
def rng():
    return np.random.default_rng(20141)


def random_state(rng, model):
    """Return a state of B sequences."""
    zero = model.zero_state(B)
    return type(zero)(*(rng.standard_normal(part.shape).astype(part.dtype) for part in zero))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with text.txt, for the runs of a module."""
    return write_words(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def train(folder, monkeypatch):
    """Return a function that runs numpylstm-train in this process and in the folder."""
    monkeypatch.chdir(folder)
    return lambda *arguments: train_command.main(["--threads", "1", *map(str, arguments)])


@pytest.fixture
def whole(folder, train):
    """Return the folder of an uninterrupted run, trained once for each module."""
    if not (folder / "whole").exists():
        assert train(*SHORT, "--out", "whole") == 0
    return folder / "whole"


@pytest.fixture
def signals_reach_a_child():
    """Restore the usual handlers: a shell or nohup may ignore some for its children."""
    usual = {signal.SIGINT: signal.default_int_handler}
    if hasattr(signal, "SIGHUP"):
        usual[signal.SIGHUP] = signal.SIG_DFL
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
