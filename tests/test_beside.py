"""The second process that compiles: it spares time, and nothing depends on it."""

import atexit
import os
import subprocess
import sys
import threading
import time
from importlib import import_module

import numba
import numba.core.event as event
import numpy as np
import pytest

import numpylstm as nl
from numpylstm import functional
from numpylstm.cells import CELLS
from numpylstm.kernels import beside, compiling
from numpylstm.layers import RecurrentStack

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")


def double(x):
    for k in range(x.size):
        x[k] *= 2


def another():
    """What is missing first."""


# ---------------------------------------------------------------------------------------------
# One that is not what it should be
# ---------------------------------------------------------------------------------------------


@pytest.fixture
def begin(monkeypatch, tmp_path):
    """Start a program in the place of the second process, which should compile `double`."""
    if os.name != "posix":
        pytest.skip("the program is a script of a POSIX shell")
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(beside, "_process", None)
    monkeypatch.setattr(beside, "_left", [])
    monkeypatch.setattr(beside, "_done", set())
    monkeypatch.setattr(beside.threads, "get_num_threads", lambda: 2)
    beside.expect("test_beside.double", np.dtype(float))

    def begin(script, name="python"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))
        assert not beside.has_compiled(another)

    return begin


def compilations():
    """How many functions are compiled here for a call of `double`."""
    x = np.array([1.5, 2.0])
    with event.install_recorder("numba:compile") as recorder:
        compiling.kernel(double)(x)
    assert x.tolist() == [3, 4]
    return len(recorder.buffer) // 2  # a beginning and an end


def test_one_that_fails(begin):
    begin("exit 1")
    assert compilations() == 1
    for thread in threading.enumerate():
        if thread.name == "numpylstm beside":
            thread.join(10)
    assert beside._process.returncode == 1  # not left as a zombie


def test_one_that_says_what_it_has_not_done(begin):
    begin("echo test_beside.double; exec sleep 60")
    assert compilations() == 1
    assert not beside._done


def test_what_is_being_compiled_is_waited_for(begin):
    begin("sleep 0.5; echo test_beside.double")
    assert beside.has_compiled(double)


def test_a_child_of_this_process_does_not_end_it(begin):
    """It waits for nobody at its end, though it has inherited what is done then."""
    begin("exec sleep 60")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            atexit._run_exitfuncs()
            code = 0
        finally:
            os._exit(code)
    for _ in range(100):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.1)
    else:
        os.kill(child, 9)
    assert (done, status) == (child, 0)
    assert beside._process.poll() is None


def test_what_it_has_not_begun_is_compiled_here(begin, monkeypatch):
    monkeypatch.setattr(beside, "_others", lambda dtype: ("test_beside.double",))
    beside.expect("something.else", np.dtype(float))
    begin("exec sleep 60")
    assert compilations() == 1


def test_none_is_begun_where_it_cannot_help(begin, monkeypatch):
    begin("exec sleep 60", name="a_program_with_python_in_it")
    assert beside._process is None
    begin("exec sleep 60", name="python3")
    assert beside._process is not None
    monkeypatch.setattr(beside, "_process", None)
    beside.forget()
    assert not beside.has_compiled(double)  # it alone is missing
    assert beside._process is None
    monkeypatch.setattr(beside.threads, "get_num_threads", lambda: 1)
    assert not beside.has_compiled(another)
    assert beside._process is None


def test_one_that_is_not_there(begin, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: (_ for _ in ()).throw(OSError()))
    begin("")
    assert beside._process is None
    assert compilations() == 1


# ---------------------------------------------------------------------------------------------
# The real one
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("own_cache", [0, 10**9])
@pytest.mark.parametrize("cell", CELLS)
def test_it_is_told_of_kernels_that_it_knows(cell, own_cache, monkeypatch):
    told = []
    monkeypatch.setattr(beside, "expect", lambda *what: told.append(what))
    monkeypatch.setattr(functional, "OWN_CACHE", own_cache)
    layer = RecurrentStack(cell, 64, 64, rng=0)
    layer.forward(np.zeros((10, 4, 64), np.float32))
    ((name, dtype),) = told
    module, function = name.split(".")
    assert module == cell
    assert dtype == np.float32
    assert hasattr(getattr(import_module(f"numpylstm.kernels.{module}"), function), "name_it")


def step():
    """A training step and three tokens of a model; its loss after the step."""
    model = nl.LanguageModel(1000, 200, rng=0)
    x = np.random.default_rng(1).integers(0, 1000, (6, 20))
    model.forward(x[:-1], x[1:])
    model.backward()
    nl.clip_by_global_norm(model.parameters(), 1.0)
    nl.SGD(model.parameters(), 1.0).step()
    nl.generate(model, [1], 3, rng=0)
    return model.forward(x[:-1], x[1:], training=False)[0]


SECOND = """
import sys
sys.argv[1:] = ["lstm.forward_rows", "float32"]
from numpylstm.kernels.beside import work
work()
"""
FIRST = """
import numba.core.event as event
from test_beside import step
from numpylstm.kernels import beside

class Compiled(event.Listener):
    def on_start(self, event):
        function = event.data["dispatcher"].py_func
        print(f"{function.__module__.rpartition('.')[2]}.{function.__name__}")

    def on_end(self, event):
        pass

event.register("numba:compile", Compiled())
loss = step()
print(beside._process is not None, loss.hex())
"""


@pytest.mark.big
def test_what_it_compiles_is_what_a_step_needs(tmp_path):
    """To the type of each argument: else it would be compiled once more, and nothing would tell."""
    environment = os.environ | {
        "NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_NUM_THREADS": "2",
        "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path]),
    }  # fmt: skip

    def lines(code):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    its_work = lines(SECOND)
    assert its_work == ["lstm.forward_rows", *beside._others(np.dtype(np.float32))]
    *compiled, last = lines(FIRST)
    assert "lstm.backward_rows" in compiled
    assert not set(its_work) & set(compiled)
    assert last == f"True {step().hex()}"
