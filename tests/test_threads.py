"""Threads and child processes: any number may call, and no bit depends on it."""

import copy
import multiprocessing
import os
import pickle
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from support.processes import run_python

import numpylstm as nl
from numpylstm.kernels import recurrence, threads
from numpylstm.kernels.threads import PROCESSORS, run_parallel
from numpylstm.training import thread_trials
from numpylstm.training.thread_trials import PRICE, ROUNDS, ThreadTrials

STREAMS, STEPS, V = 8, 6, 300


def model_and_text():
    """Return a model and ids, large enough for the products to be shared."""
    ids = np.random.default_rng(1).integers(0, V, (STEPS + 1, STREAMS))
    return nl.LanguageModel(V, 90, 2, rng=0), ids[:-1], ids[1:]


def gradients(model, x, y):
    """Return loss and gradients of one window as bytes."""
    model = copy.deepcopy(model)
    loss, _ = model.forward(x, y, model.zero_state(STREAMS))
    model.backward()
    return np.float64(loss).tobytes() + b"".join(
        p.grad.tobytes() for p in model.parameters().values()
    )


# --- in parallel --------------------------------------------------------------------------------


def note(done, share, shares):
    done.append((share, shares))


def test_every_part_is_done_once():
    done = []
    for shares in range(1, 9):
        done.clear()
        run_parallel(note, (done,), shares)
        assert sorted(done) == [(share, shares) for share in range(shares)]


def test_an_error_in_a_part_arrives_when_all_parts_have_ended():
    done = []

    def part(share, shares):
        if share == 1:
            raise KeyError("part 1")
        done.append(share)

    with pytest.raises(KeyError, match="part 1"):
        run_parallel(part, (), 4)
    assert sorted(done) == [0, 2, 3]


def test_a_kernel_that_waited_too_long_goes_on_where_it_was():
    entered = []

    def kernel(counts, step, steps, share, shares):
        entered.append(step)
        return min(step + 2, steps)

    recurrence.run_steps(kernel, (), 5, 1)
    assert entered == [0, 2, 4]


def test_without_threads_the_caller_does_everything(monkeypatch):
    def refused(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads, "_helpers", [])
    monkeypatch.setattr(threads.Thread, "start", refused)
    done = []
    run_parallel(note, (done,), 5)
    assert len(done) == 5


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.usefixtures("signals_reach_a_child")
def test_an_interruption_waits_until_nobody_writes():
    begun, done = threading.Event(), []

    def part(share, shares):
        if threading.current_thread() is threading.main_thread():
            begun.wait(10)
            return
        begun.set()
        time.sleep(0.1)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        time.sleep(0.2)
        done.append(share)

    with pytest.raises(KeyboardInterrupt):
        run_parallel(part, (), 2)
    assert len(done) == 1


def test_the_limit_of_one_thread_is_not_that_of_another():
    """Two runs overlap in time."""
    if PROCESSORS == 1:
        pytest.skip("one processor has one limit")
    entered, left, limits = threading.Event(), threading.Event(), []

    def other():
        with threads.at_most(2):
            entered.set()
            left.wait(10)
            limits.append(threads.get_num_threads())
        limits.append(threads.get_num_threads())

    thread = threading.Thread(target=other)
    with threads.at_most(1):
        thread.start()
        entered.wait(10)
        limits.append(threads.get_num_threads())
    left.set()
    thread.join()
    assert limits == [1, 2, PROCESSORS]
    assert threads.get_num_threads() == PROCESSORS


def test_the_number_of_threads_is_checked():
    nl.set_num_threads(np.int8(1))  # whose products would wrap
    assert type(nl.get_num_threads()) is int
    for number in (0, PROCESSORS + 1, 1.0, "1"):
        with pytest.raises(ValueError, match="set_num_threads: number must be from 1 to"):
            nl.set_num_threads(number)
    assert nl.get_num_threads() == 1


def test_a_number_that_was_set_is_not_changed():
    nl.set_num_threads(1)
    with threads.at_most(PROCESSORS):
        assert nl.get_num_threads() == 1


# --- callers ------------------------------------------------------------------------------------


@pytest.mark.big
def test_many_threads_may_call_at_once():
    model, x, y = model_and_text()
    alone = gradients(model, x, y)
    with ThreadPoolExecutor(5) as pool:
        together = list(pool.map(lambda _: gradients(model, x, y), range(40)))
    assert set(together) == {alone}


METHODS = [  # the children of a fork server start as those of spawn do
    method for method in multiprocessing.get_all_start_methods() if method != "forkserver"
]


@pytest.mark.big
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_child_processes_work_whatever_the_parent_did_before(method):
    model, x, y = model_and_text()
    alone = gradients(model, x, y)
    context = multiprocessing.get_context(method)
    with context.Pool(2, nl.set_num_threads, [PROCESSORS]) as pool:  # by default they use one
        children = [pool.apply_async(gradients, (model, x, y)) for _ in range(4)]
        assert {child.get(timeout=300) for child in children} == {alone}


@pytest.mark.parametrize("given", [None, PROCESSORS])
def test_a_worker_process_uses_one_thread_unless_it_is_told_otherwise(given, monkeypatch):
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("NUMBA_NUM_THREADS", str(given))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(nl.get_num_threads) == (given or 1)
        limit = "NUMBA_NUM_THREADS; got" if given else "the processors that this process may use"
        with pytest.raises(ValueError, match=f"from 1 to {PROCESSORS}, {limit}"):
            pool.apply(nl.set_num_threads, [PROCESSORS + 1])
        pool.apply(nl.set_num_threads, [PROCESSORS])
        assert pool.apply(nl.get_num_threads) == PROCESSORS


@pytest.mark.parametrize("cell", ["lstm", "rnn", "gru"])
@pytest.mark.parametrize("impl", ["fast", "reference"])
def test_a_model_is_copied_and_pickled(cell, impl):
    model = nl.LanguageModel(11, 6, 2, cell=cell, impl=impl, dropout=0.5, rng=0)
    x, y = np.random.default_rng(0).integers(0, 11, (2, 5, 3))
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]  # noqa: S301
    losses = [m.forward(x, y, m.zero_state(3))[0] for m in (model, *copies)]
    assert losses[0] == losses[1] == losses[2]
    assert all(c.config.impl == model.config.impl for c in copies)


def test_nothing_changes_for_other_libraries():
    code = (
        "import os, numba, numpy as np\n"
        "before = dict(os.environ), numba.config.THREADING_LAYER\n"
        "import numpylstm as nl\n"
        "from numpylstm import functional\n"
        "a = np.ones((120, 120))\n"
        "functional.linear_forward(a, a, a[0])\n"
        "assert before == (dict(os.environ), numba.config.THREADING_LAYER)\n"
        "try: print(numba.threading_layer())\n"
        "except ValueError as error: assert 'not initialized' in str(error), error\n"
    )
    assert run_python(code)[0] == ""


# --- a run picks the number ---------------------------------------------------------------------


class Machine:
    """A machine with a given time of a step for each number of threads."""

    def __init__(self, monkeypatch, processors, seconds):
        self.now, self.seconds, self.used = 0.0, seconds, []
        monkeypatch.setattr(thread_trials, "get_num_threads", lambda: processors)
        monkeypatch.setattr("time.perf_counter", lambda: self.now)
        self.trials = ThreadTrials()

    def run(self, steps):
        """Make steps; return their seconds."""
        began = self.now
        for _ in range(steps):
            with self.trials.step():
                self.used.append(nl.get_num_threads())
                self.now += self.seconds[self.used[-1]]
        return self.now - began


def test_a_run_finds_the_fastest_number_and_follows_the_machine(monkeypatch):
    machine = Machine(monkeypatch, 2, {1: 1.0, 2: 0.5})
    machine.run(1 + 2 * ROUNDS)
    assert machine.used.count(1) == ROUNDS
    assert machine.trials.number == 2
    machine.seconds = {1: 1.0, 2: 1.5}  # another program begins
    machine.run(round(ROUNDS / PRICE))
    assert machine.trials.number == 1
    machine.seconds = {1: 1.0, 2: 0.5}
    machine.run(round(ROUNDS / PRICE))
    assert machine.trials.number == 2


def test_many_processors_are_reached_by_halves(monkeypatch):
    machine = Machine(monkeypatch, 12, {12: 9.0, 6: 5.0, 3: 2.0, 1: 4.0, 2: 3.0})
    machine.run(5_000)
    assert machine.trials.number == 3


@pytest.mark.parametrize("slow", [1, 2])
def test_trials_cost_two_per_cent(monkeypatch, slow):
    machine = Machine(monkeypatch, 2, {slow: 1.0, 3 - slow: 0.6})
    machine.run(1 + 2 * ROUNDS)
    assert 1.016 < machine.run(3_000) / (3_000 * 0.6) < 1.022


def test_one_long_step_decides_nothing(monkeypatch):
    machine = Machine(monkeypatch, 2, {1: 1.0, 2: 0.9})
    machine.run(2)
    with machine.trials.step():
        machine.now += 100  # the machine slept
    machine.run(2 * ROUNDS)
    assert machine.trials.number == 2


def test_one_processor_leaves_no_choice(monkeypatch):
    machine = Machine(monkeypatch, 1, {1: 1.0})
    machine.run(500)
    assert set(machine.used) == {1}
