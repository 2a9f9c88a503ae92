"""Every kernel that a run will need, called once before the run begins.

Else each would be compiled when it is first needed, some of them after hours: in the first
validation, in the final test, in the sample.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from numpylstm.checks import NotFinite
from numpylstm.data import Corpus, batches
from numpylstm.evaluation import evaluate
from numpylstm.optim import OPTIMIZERS, clip_by_global_norm
from numpylstm.parameters import Parameter, Rows
from numpylstm.sampling import generate
from numpylstm.training.loop import Run, validation_streams
from numpylstm.training.signals import Stopped, stop_requests
from numpylstm.waiting import Waiting, waiting

try:
    from numpylstm.kernels.machine.compiling import watched
except Exception:  # plain NumPy takes over, and nothing is compiled

    def watched(look: Any) -> Any:
        """What watches where nothing happens."""
        return nullcontext()


@contextmanager
def compiling(*, stream: Any = None, then: str = "", quiet: bool = False) -> Iterator[Waiting]:
    """Show how many functions are compiled in this context; it can be interrupted.

    Parameters
    ----------
    stream, then, quiet
        As for `waiting`.

    Raises
    ------
    Stopped
        After a signal that is not that of Ctrl-C.
    """
    with (
        stop_requests() as requests,
        waiting("compiling kernels", stream=stream, then=then, quiet=quiet) as shown,
    ):

        def look(count: int) -> None:
            if requests.status():
                raise KeyboardInterrupt
            if count:
                shown.count(count, "function")

        try:
            with watched(look):
                yield shown
            look(0)
        except KeyboardInterrupt:
            if requests.signals[:1] not in ([], [signal.SIGINT]):
                raise Stopped(128 + requests.signals[0]) from None
            raise


@np.errstate(over="ignore", invalid="ignore")
def warm_up(run: Run, corpus: Corpus) -> None:
    """Do once what the run will do; it stays as it is, to the bit.

    Which kernels are used depends on the sizes, so the sizes are those of the run. Only the step of
    the optimizer, whose kernels do not care, is made on an array of its own.
    """
    config, model = run.config, run.model
    if config.impl != "fast":
        return
    drawn = model.rng.bit_generator.state
    x, y = next(batches(corpus.train, config.batch_size, config.num_steps))
    try:
        model.forward(x, y, run.state)
        model.backward()
        clip_by_global_norm(run.optimizer.parameters, config.clip)
        move_something(run)
        for streams, T, text in (
            (validation_streams(len(corpus.valid), config), config.num_steps, corpus.valid),
            (min(config.test_streams, len(corpus.test) // 2), 35, corpus.test),
        ):
            evaluate(model, text[: streams * (T + 1)], streams, T)
        generate(model, corpus.test[:2], 2, banned=[run.vocabulary.unk_id], rng=0)
    except NotFinite:
        pass  # the run itself will say it
    finally:
        model.rng.bit_generator.state = drawn
        run.optimizer.zero_grad()


def move_something(run: Run) -> None:
    """A step of the run's optimizer, with both kinds of gradient."""
    dtype = np.dtype(run.config.dtype)
    parameter = Parameter(np.zeros((3, 2), dtype), "warm_up")
    optimizer = OPTIMIZERS[run.config.optimizer].from_config({"warm_up": parameter}, run.config)
    for gradient in (np.ones((3, 2), dtype), Rows(np.array([1]), np.ones((1, 2), dtype))):
        parameter.accumulate(gradient)
        optimizer.step()
        optimizer.zero_grad()
