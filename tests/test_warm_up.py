"""All kernels of a run are compiled before it begins, which does not change the run."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_training import everything, make_corpus, new_run

import numpylstm as nl
from numpylstm.kernels.machine import compiling
from numpylstm.training.warm_up import warm_up

KINDS = [
    {},
    {"cell": "rnn", "dtype": "float32"},
    {"tied": True, "momentum": 0.5, "dtype": "float32", "hidden_size": 13},
    {"impl": "reference"},
]


@pytest.fixture(scope="module")
def corpus():
    return make_corpus()


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_run_is_not_changed_by_a_bit(corpus, kind):
    warm, cold = new_run(corpus, **kind), new_run(corpus, **kind)
    warm_up(warm, corpus)
    assert everything(warm) == everything(cold)
    for run in (warm, cold):
        for _ in nl.train(run, corpus):
            pass
    assert everything(warm) == everything(cold)


def test_a_model_that_explodes_is_left_to_the_run(corpus):
    run = new_run(corpus)
    run.model.parameters()["lstm.0.b"].data[...] = np.nan
    warm_up(run, corpus)
    with pytest.raises(nl.training.loop.TrainingFailed):
        next(nl.train(run, corpus))


FIRST_CALLS = """
import sys
import numpylstm as nl
from numpylstm.kernels.machine import caching
from numpylstm.training.loop import validate
from numpylstm.training.warm_up import warm_up
from test_training import make_corpus, new_run
from test_warm_up import KINDS

load, loaded = caching.DiskCache.load_overload, []

def load_overload(cache, *signature):
    loaded.append(signature)
    return load(cache, *signature)

caching.DiskCache.load_overload = load_overload
corpus = make_corpus()
for kind in KINDS[:3]:
    run = new_run(corpus, **kind)
    warm_up(run, corpus)
    needed = len(loaded)
    for _ in nl.train(run, corpus):
        pass
    validate(run, corpus, None)
    nl.evaluate(run.model, corpus.test)
    nl.true_and_predicted(run.model, corpus.test)
    nl.generate(run.model, corpus.test[:1], 9, temperature=0.8, banned=[0], rng=0)
    print(needed, len(loaded) - needed)
"""


@pytest.mark.big
@pytest.mark.skipif(compiling.config.DISABLE_JIT, reason="nothing is compiled")
def test_nothing_is_left_to_compile():
    """No kernel of the run, its validation, test and sample is new to the process."""
    done = subprocess.run(
        [sys.executable, "-c", FIRST_CALLS],
        cwd=Path(__file__).parent, capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    for line in done.stdout.splitlines():
        needed, left = map(int, line.split())
        assert needed > 8
        assert left == 0
