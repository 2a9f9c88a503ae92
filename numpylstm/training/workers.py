"""Rank 0, which runs the command, and the other MPI ranks: workers that make the same updates.

Rank 0 alone reads the text and writes the run folder and the terminal, so it can save the run at
any moment. The workers get the run and its text from it. All ranks stop together at the same
update; an error at one of them ends all.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from numpylstm.data import Corpus
from numpylstm.kernels.threads import get_num_threads, set_num_threads
from numpylstm.training import parallel
from numpylstm.training.loop import Run, train
from numpylstm.training.signals import Stopped, stop_requests

GRACE = 5.0  # seconds for rank 0 to save and report an error, before another rank ends all


def on_all_ranks(command: Callable[[], int]) -> int:
    """Call a command at rank 0, with the other ranks as workers; return the exit status."""
    ranks = parallel.join_ranks()
    if ranks.rank > 0:
        return work()
    try:
        return command()
    finally:
        if ranks.training:  # an error has ended it
            ranks.end_all()
        ranks.allgather(None)


@contextmanager
def with_workers(run: Run, corpus: Corpus) -> Iterator[None]:
    """Broadcast a run, its text and the number of threads to the workers, for this context."""
    ranks = parallel.RANKS
    ranks.training = ranks.size > 1
    ranks.allgather((run, corpus, get_num_threads()))
    try:
        yield
    except Stopped:  # at all ranks
        ranks.training = False
        raise
    ranks.training = False


def stop_if_asked(run: Run, asked: Callable[[], int]) -> None:
    """Raise Stopped at all ranks if one is asked to stop, unless the run has ended.

    `asked` is the function of `stop_requests`.
    """
    status = max(parallel.RANKS.allgather(asked()))
    if status and not run.complete:
        raise Stopped(status)


def work() -> int:
    """Work on the run of rank 0, which reports its end; return the exit status 0."""
    ranks = parallel.RANKS
    with stop_requests() as asked:
        try:
            sent = ranks.allgather(None)[0]
            if sent is None:  # the command ended without a run
                return 0
            run, corpus, threads = sent
            set_num_threads(threads)

            def in_validation(done: int, total: int) -> None:
                stop_if_asked(run, asked)

            for _ in train(run, corpus, watch=in_validation):
                stop_if_asked(run, asked)
        except Stopped:
            pass
        except BaseException as error:
            time.sleep(GRACE)
            problem = f"rank {ranks.rank}: {type(error).__name__}: {error}"
            print(f"numpylstm-train: error: {problem}", file=sys.stderr, flush=True)
            ranks.end_all()
        ranks.allgather(None)  # rank 0 still scores the test text
    return 0
