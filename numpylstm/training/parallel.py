"""One run on several processes: MPI ranks that share the columns of each batch.

A batch is cut into shards, blocks of columns. The gradient of each shard is computed by itself, and
the gradients are added in a fixed binary tree. So the number of ranks cannot change a bit of the
result. MPI only moves arrays and never adds them, since it guarantees no order of summation.

Every rank holds the whole run and makes the same updates. Rank 0 alone reads the text and writes
the run folder and the terminal, so it can save the run at any moment.

`RANKS` are the ranks of this process; by default it is alone.
"""

import atexit
import os
import pickle
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import reduce
from operator import iadd
from typing import Any

import numpy as np

from numpylstm.cells import State
from numpylstm.checks import Array
from numpylstm.config import ConfigError
from numpylstm.errors import NumpylstmError
from numpylstm.kernels.threads import PROCESSORS, get_num_threads, set_num_threads
from numpylstm.models import LanguageModel
from numpylstm.parameters import Rows
from numpylstm.training.signals import Stopped, StopRequests, stop_requests

Pass = tuple[float, float, int, State]

# Seconds that rank 0 waits for the others once it should stop. Open MPI sends SIGTERM to all if a
# rank has died, and kills them 0.25 s later.
GRACE = 0.1 if "OMPI_COMM_WORLD_RANK" in os.environ else 10.0


class RankFailed(NumpylstmError, RuntimeError):
    """Another rank has failed, has ended, or does not answer."""

    exit_status = 1


class Ranks:
    """The processes that train a run together; by default only this one.

    All ranks call `share` in the same order, each with its own value.
    """

    def __init__(self, comm: Any = None, missing: str = "") -> None:
        self.comm, self.missing = comm, missing
        self.rank: int = 0 if comm is None else comm.rank
        self.size: int = 1 if comm is None else comm.size
        self.requests: StopRequests | None = None  # of this process while it trains
        self.in_step = True  # False if the others may wait for another message
        self.ended = False
        self.pending: Any = None  # a request, which holds its arrays

    def own(self, shards: int) -> range:
        """Return the shards of this rank; a single one belongs to every rank."""
        each = max(shards // self.size, 1)
        first = self.rank * each % shards
        return range(first, first + each)

    def share(self, value: Any, gradient: Array | None = None) -> list[Any]:
        """Return the values of all ranks, or raise RankFailed if one has left.

        A gradient, whose size is a multiple of the number of ranks, becomes the sum over them.
        """
        if self.size == 1:
            return [value]
        self.in_step = False
        sent, lengths = np.frombuffer(pickle.dumps(value), np.uint8), np.empty(self.size, np.int64)
        self._wait(self.comm.Iallgather(np.array([sent.size]), lengths), pause=1e-4)
        received = np.empty(lengths.sum(), np.uint8)
        self._wait(self.comm.Iallgatherv(sent, [received, lengths]))
        values = [
            pickle.loads(part.data)  # noqa: S301 - from a process of this run
            for part in np.split(received, np.cumsum(lengths)[:-1])
        ]
        left = [f"rank {rank}: {v}" for rank, v in enumerate(values) if isinstance(v, RankFailed)]
        self.ended = bool(left)
        if gradient is not None and not left:
            parts = np.empty((self.size, gradient.size // self.size), gradient.dtype)
            self._wait(self.comm.Ialltoall(gradient, parts))
            self._wait(self.comm.Iallgather(add_in_tree(parts), gradient))
        self.in_step = True
        if left and not isinstance(value, RankFailed):
            raise RankFailed(left[0])
        return values

    def _wait(self, request: Any, pause: float = 0.0) -> None:
        """Wait with pauses, so that signals arrive and others can use the processor."""
        self.pending, end = request, np.inf
        try:
            while not request.Test():
                if self.requests is not None and self.requests.signals:
                    end = min(end, time.monotonic() + GRACE)
                if time.monotonic() > end:
                    raise RankFailed("another rank was killed, or is too slow to stop")
                time.sleep(pause)
        except RuntimeError as error:  # MPI's too
            raise RankFailed(str(error)) from error

    def leave(self, reason: str = "it has ended") -> None:
        """Tell the other ranks that this one takes part no more, or let MPI end them."""
        if self.size == 1 or self.ended:
            return
        self.requests = None
        if self.in_step:
            with suppress(RankFailed):
                self.share(RankFailed(reason))
        if not self.in_step:
            atexit.register(self.comm.Abort, 1)  # before MPI's own end, which would wait
            time.sleep(5 if self.rank else 0)  # rank 0 saves the run first


RANKS = Ranks()


def on_all_ranks(command: Callable[[], int]) -> int:
    """Call a command at rank 0 while the other ranks assist its run; return the exit status."""
    global RANKS
    RANKS = connect()
    try:
        return command() if RANKS.rank == 0 else assist()
    finally:
        RANKS.leave()


def connect() -> Ranks:
    """Return the ranks that mpiexec or srun started; this imports MPI."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # RuntimeError: there is no library of MPI
        return Ranks(missing=str(error))
    comm = MPI.COMM_WORLD
    started = os.environ.get("OMPI_COMM_WORLD_SIZE") or os.environ.get("PMI_SIZE") or "1"
    if comm.size < int(started):
        return Ranks(missing="mpi4py has loaded the library of another MPI than mpiexec's")
    neighbours = comm.Split_type(MPI.COMM_TYPE_SHARED).size  # on this machine
    if neighbours > 1 and "NUMBA_NUM_THREADS" not in os.environ:
        set_num_threads(max(PROCESSORS // neighbours, 1))
    return Ranks(comm)


def check_shards(shards: int) -> None:
    """Raise a ConfigError unless the ranks can share this number of shards."""
    each, rest = divmod(shards, RANKS.size)
    if RANKS.missing and shards > 1:
        raise ConfigError("shards", f"cannot be shared by MPI ranks: {RANKS.missing}")
    if RANKS.size > 1 and (rest or each & (each - 1)):
        raise ConfigError(
            "shards",
            f"must be the number of MPI ranks, {RANKS.size}, or this times a power of two; got "
            f"{shards}; for separate runs, start the processes without MPI",
        )


def in_words() -> str:
    """Return the number of ranks, after the number of threads; nothing if there is one."""
    return f" on each of {RANKS.size} ranks" if RANKS.size > 1 else ""


def begin(run: Any, corpus: Any, requests: StopRequests) -> None:
    """Send a run and its text to the ranks that `assist`; all have its number of threads."""
    RANKS.requests = requests
    RANKS.share((run, corpus, get_num_threads()))


def asked_to_stop(requests: StopRequests) -> int:
    """Return the exit status if any rank is asked to stop at this step, else 0."""
    return max(RANKS.share(requests.status() or 0))


def assist() -> int:
    """Take part in the run of rank 0, which reports its end; return the exit status 0."""
    from numpylstm.training.loop import train  # which imports this module

    try:
        with stop_requests() as requests:
            RANKS.requests = requests
            run, corpus, threads = RANKS.share(None)[0]
            set_num_threads(threads)

            def follow(done: int = 0, total: int = 0) -> None:
                if asked_to_stop(requests) and not run.ended:
                    raise Stopped(0)

            for _ in train(run, corpus, watch=follow):
                follow()
    except (RankFailed, Stopped):
        pass
    except BaseException as error:
        RANKS.leave(str(error) or type(error).__name__)
    return 0


def add_in_tree(parts: Iterable[Any]) -> Any:
    """Return ((0 + 1) + (2 + 3)) + ... of any number of parts, which are overwritten.

    A block of 2**k parts that begins at a multiple of 2**k may be added by another rank first.
    """
    sums: list[Any] = []
    for number, part in enumerate(parts, 1):
        sums.append(part)
        while number % 2 == 0:
            sums[-2:] = [add(*sums[-2:])]
            number //= 2
    return reduce(lambda later, earlier: add(earlier, later), reversed(sums))


def add(a: Any, b: Any) -> Any:
    """Return the sum of two gradients (arrays or `Rows`) or of two lists; `a` may change."""
    if isinstance(a, list):
        return list(map(add, a, b))
    if not isinstance(a, Rows):
        return iadd(a, b)
    rows = np.union1d(a.rows, b.rows)
    values = np.zeros((len(rows), a.values.shape[1]), a.values.dtype)
    for part in (a, b):
        values[np.searchsorted(rows, part.rows)] += part.values
    return Rows(rows, values)


def one_pass(model: LanguageModel, x: Array, y: Array, state: State) -> Pass:
    """Run forward and backward; return cost, summed nll, number of right predictions and state."""
    for parameter in model.parameters().values():
        parameter.zero_grad()
    cost, state = model.forward(x, y, state, training=True)
    nll, predicted = model.training_scores()
    model.backward()
    return cost, float(nll.sum(dtype=np.float64)), int((predicted == y).sum()), state


def backpropagate(model: LanguageModel, x: Array, y: Array, state: State, shards: int) -> Pass:
    """Run `one_pass` on each shard of a batch, on its rank; return the results for the whole batch.

    The dropout masks of a shard come from a generator of its own, seeded with a number from the
    model's generator and the number of the shard. So no rank draws the masks of others.
    """
    if shards == 1:
        return one_pass(model, x, y, state)
    parameters, generator = list(model.parameters().values()), model.rng.bit_generator
    width, seed, passes = x.shape[1] // shards, int(model.rng.integers(2**63)), []
    after = generator.state

    def gradients() -> Iterator[list[Any]]:
        for shard in RANKS.own(shards):
            columns = slice(shard * width, (shard + 1) * width)
            generator.state = type(generator)([seed, shard]).state
            own = type(state)(*(np.ascontiguousarray(part[:, columns]) for part in state))
            passes.append(one_pass(model, x[:, columns], y[:, columns], own))
            yield [parameter.gradient for parameter in parameters]

    total = add_in_tree(gradients())
    generator.state = after
    if RANKS.size > 1:
        passes, total = sum_over_ranks(passes, total)
    divisor = shards if model.config.average_across_batch else 1
    for parameter, gradient in zip(parameters, total, strict=True):
        parameter.zero_grad()
        parameter.accumulate(gradient)
        parameter.scale_grad(1 / divisor)
    costs, nll, correct, states = zip(*passes, strict=True)
    whole = (np.concatenate(parts, axis=1) for parts in zip(*states, strict=True))
    return sum(costs) / divisor, sum(nll), sum(correct), type(state)(*whole)


def sum_over_ranks(passes: list[Pass], total: list[Any]) -> tuple[list[Pass], list[Any]]:
    """Return the passes of all ranks, and the sums of their gradients.

    Dense gradients travel as one array, those of an embedding as rows.
    """
    rows = [g for g in total if isinstance(g, Rows)]
    dense = [g for g in total if not isinstance(g, Rows)]
    ends = np.cumsum([0, *(g.size for g in dense)]).tolist()
    flat = None
    if dense:
        flat = np.zeros(-(-ends[-1] // RANKS.size) * RANKS.size, dense[0].dtype)
        np.concatenate([g.ravel() for g in dense], out=flat[: ends[-1]])
    shared = RANKS.share((passes, rows), flat)
    passes = [one for theirs, _ in shared for one in theirs]
    sums = iter(add_in_tree(theirs for _, theirs in shared))
    parts = iter([] if flat is None else np.split(flat, ends[1:]))
    total = [next(sums) if isinstance(g, Rows) else next(parts).reshape(g.shape) for g in total]
    return passes, total
