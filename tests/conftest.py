import os
import signal

import numpy as np
import pytest
from hypothesis import settings

from numpylstm.kernels.threads import set_num_threads

# No deadline: a kernel compiles at its first call. --hypothesis-profile long tries more examples,
# and others in each run.
settings.register_profile("numpylstm", deadline=None, derandomize=True)
settings.register_profile("long", deadline=None, max_examples=2000)
settings.load_profile("numpylstm")

# Every size is different, so a swapped axis or a forgotten transpose cannot go unseen.
T, B, D, H, V, L = 5, 3, 4, 6, 11, 2


@pytest.fixture(scope="session", autouse=True)
def nobody_waits_for_the_disk():
    """In this process: no test can see whether bytes have reached it, and some save a lot."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(autouse=True)
def no_number_of_threads_is_set():
    """A command that runs in this process leaves the one that it was given."""
    yield
    set_num_threads(None)


@pytest.fixture
def rng():
    return np.random.default_rng(20141)


@pytest.fixture
def signals_reach_a_child():
    """In the background, a shell or nohup lets a process ignore some; a child would too."""
    usual = {signal.SIGINT: signal.default_int_handler}
    if hasattr(signal, "SIGHUP"):
        usual[signal.SIGHUP] = signal.SIG_DFL
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
