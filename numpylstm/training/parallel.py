"""One run on several processes: MPI ranks that share the columns of each batch.

A batch is cut into shards, blocks of columns. The gradient of each shard is computed by itself, and
the gradients are added in a fixed binary tree. So the number of ranks cannot change a bit of the
result. MPI moves arrays and adds none, since it promises no order.

Every rank holds the whole run and makes the same updates. Rank 0 alone reads the text and writes
the run folder and the terminal, so it can save the run at any moment.
"""

import os
import pickle
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from numpylstm.cells import State
from numpylstm.config import ConfigError
from numpylstm.host import cores
from numpylstm.kernels.memory import empty
from numpylstm.models import LanguageModel
from numpylstm.parameters import Rows
from numpylstm.training.signals import StopRequests, stop_requests

Array = NDArray[Any]
T = TypeVar("T")


class RankFailed(RuntimeError):
    """Another rank has failed, or does not answer."""


class Failure(NamedTuple):
    """The last message of a rank that leaves the run."""

    text: str


class Ranks:
    """The processes that train a run together, and the place of this one; by default it is alone.

    All ranks make the same calls of `share` in the same order, each with its own value.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm, optional
    threads : int, optional
        Of each rank, unless the user names another number.
    grace : float
        Seconds that rank 0 waits for an answer if it should stop; then it ends the run.
    missing : Exception, optional
        The reason why MPI cannot be used, though this process was started by it.
    """

    def __init__(
        self,
        comm: Any = None,
        *,
        threads: int | None = None,
        grace: float = 10.0,
        missing: Exception | None = None,
    ) -> None:
        self.comm, self.threads, self.grace, self.missing = comm, threads, grace, missing
        self.rank, self.size = (0, 1) if comm is None else (comm.rank, comm.size)
        self.requests: StopRequests | None = None  # of rank 0 while it trains
        self.in_step = True  # False if the other ranks may wait for another message
        self.pending: Any = None  # a request holds its arrays

    def check(self, shards: int) -> None:
        """Raise unless this number of shards can be computed here."""
        each, rest = divmod(shards, self.size)
        if self.size > 1 and (rest or each & (each - 1)):
            raise ConfigError(
                "shards",
                f"must be the number of MPI ranks, {self.size}, or this times a power of two; got "
                f"{shards}; for separate runs, start the processes without MPI",
            )
        if self.missing is not None and shards > 1:
            raise ImportError(
                f"shards on several ranks need mpi4py and an MPI library ({self.missing}); "
                "pip install 'numpylstm[mpi]' has the first, and mpich or openmpi the second"
            )

    def own(self, shards: int) -> range:
        """Return the shards of this rank; a single one belongs to every rank."""
        each = max(shards // self.size, 1)
        first = self.rank * each % shards
        return range(first, first + each)

    def share(self, value: Any, gradient: Array | None = None) -> list[Any]:
        """Return the values of all ranks, and replace a gradient by the sum over the ranks.

        The gradient is an array (n,), where n is a multiple of the number of ranks. RankFailed is
        raised if a rank has left.
        """
        if self.size == 1:
            return [value]
        self.in_step = False
        sent = pickle.dumps(value)
        lengths = np.empty(self.size, np.int64)
        self._wait(self.comm.Iallgather(np.array([len(sent)]), lengths), pause=1e-4)
        received = np.empty(lengths.sum(), np.uint8)
        self._wait(self.comm.Iallgatherv(np.frombuffer(sent, np.uint8), [received, lengths]))
        parts = np.split(received, np.cumsum(lengths)[:-1])
        values = [
            value if rank == self.rank else pickle.loads(part)  # noqa: S301 - our own process
            for rank, part in enumerate(parts)
        ]
        left = [f"rank {n}: {v.text}" for n, v in enumerate(values) if isinstance(v, Failure)]
        if gradient is not None and not left:
            self._add_up(gradient)
        self.in_step = True
        if left and not isinstance(value, Failure):
            raise RankFailed(left[0])
        return values

    def agree(self, status: int | None) -> int | None:
        """Return the first status of a rank that is not None."""
        return next(filter(None, self.share(status)), None)

    def _add_up(self, gradient: Array) -> None:
        parts = empty((self.size, gradient.size // self.size), gradient.dtype)
        self._wait(self.comm.Ialltoall(gradient, parts))
        self._wait(self.comm.Iallgather(add_in_tree(parts, add), gradient))

    def _wait(self, request: Any, pause: float = 0.0) -> None:
        """Wait; asleep between two looks, so that signals arrive and others can use the core."""
        self.pending, end = request, np.inf
        try:
            while not request.Test():
                if self.requests is not None and self.requests.signals:
                    end = min(end, time.monotonic() + self.grace)
                    if time.monotonic() > end:
                        break
                time.sleep(pause)
            else:
                return
        except RuntimeError as error:  # of MPI
            raise RankFailed(f"MPI cannot reach another rank: {error}") from error
        raise RankFailed("another rank does not answer; it was killed, or is too slow to stop")

    @contextmanager
    def joined(self) -> Iterator[StopRequests | None]:
        """Take part until all ranks have ended; if one fails, all others raise RankFailed.

        The value is None at rank 0, whose signals are handled where it trains.
        """
        with nullcontext() if self.rank == 0 else stop_requests() as requests:
            try:
                yield requests
            except RankFailed:
                raise
            except BaseException as error:
                self.requests = None
                if self.in_step:
                    with suppress(RankFailed):  # report the first error
                        self.share(Failure(str(error) or type(error).__name__))
                raise
            self.requests = None
            self.share(None)

    def end(self, status: int) -> int:
        """Return the exit status of this process: that of the run at rank 0.

        If the other ranks cannot be told that this one has left, MPI ends them. Rank 0 saves the
        run first, so others wait for it.
        """
        if not self.in_step:
            time.sleep(5 if self.rank else 0)
            self.comm.Abort(status)
        return 0 if self.rank else status


ALONE = Ranks()


def connect() -> Ranks:
    """Return the ranks of a process that mpiexec or srun started; this imports MPI."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # RuntimeError: there is no library of MPI
        return Ranks(missing=error)
    comm, node, threads = MPI.COMM_WORLD, platform.node(), None
    usable = getattr(os, "sched_getaffinity", lambda pid: set(range(cores())))(0)
    rivals = [
        place for place in comm.allgather((node, usable)) if place[0] == node and place[1] & usable
    ]
    if "NUMBA_NUM_THREADS" not in os.environ:
        threads = max(1, len(usable) // len(rivals))
    # Open MPI kills all ranks 0.25 s after SIGTERM, which it sends if one has died.
    grace = 0.1 if "OMPI_COMM_WORLD_RANK" in os.environ else 10.0
    return Ranks(comm, threads=threads, grace=grace)


def add_in_tree(parts: Iterable[T], add: Callable[[T, T], T]) -> T:
    """Return ((0 + 1) + (2 + 3)) + ... of any number of parts; the last one may stay alone.

    So a block of 2**k parts that begins at a multiple of 2**k can be added first, by another rank.
    """
    sums: list[T] = []
    for number, part in enumerate(parts, 1):
        while number % 2 == 0:
            part, number = add(sums.pop(), part), number // 2
        sums.append(part)
    while len(sums) > 1:
        last = sums.pop()
        sums.append(add(sums.pop(), last))
    return sums[0]


def add(a: Any, b: Any) -> Any:
    """Return the sum of two gradients, arrays or `Rows`, or of two lists of them; `a` is lost."""
    if isinstance(a, list):
        return [add(*pair) for pair in zip(a, b, strict=True)]
    if isinstance(a, Rows):
        total = Rows(np.union1d(a.rows, b.rows), np.empty((0, 0)))
        values = np.zeros((len(total.rows), a.values.shape[1]), a.values.dtype)
        for part in (a, b):
            values[np.searchsorted(total.rows, part.rows)] += part.values
        return total._replace(values=values)
    a += b
    return a


class Pass(NamedTuple):
    """Result of a forward and a backward pass; the gradients are in the parameters."""

    cost: float
    nll: float  # the sum over the tokens
    correct: int
    state: State


def backpropagate(model: LanguageModel, x: Array, y: Array, state: State) -> Pass:
    """Make one forward and one backward pass over columns of a batch, (T, B)."""
    for parameter in model.parameters().values():
        parameter.zero_grad()
    cost, state = model.forward(x, y, state, training=True)
    nll, predicted = model.training_scores()
    model.backward()
    return Pass(cost, float(nll.sum(dtype=np.float64)), int((predicted == y).sum()), state)


def backpropagate_shards(
    model: LanguageModel, x: Array, y: Array, state: State, shards: int, ranks: Ranks
) -> Pass:
    """Make the passes of all shards of a batch, those of other ranks over there.

    The dropout masks of a shard come from a generator of its own, seeded with a number from the
    model's generator and the number of the shard. So no rank draws the masks of others.
    """
    parameters, generator = list(model.parameters().values()), model.rng.bit_generator
    width, passes = x.shape[1] // shards, []
    seed = int(model.rng.integers(2**63))
    after = generator.state

    def gradients() -> Iterator[list[Any]]:
        for shard in ranks.own(shards):
            columns = slice(shard * width, (shard + 1) * width)
            generator.state = type(generator)([seed, shard]).state
            own = type(state)(*(np.ascontiguousarray(part[:, columns]) for part in state))
            passes.append(backpropagate(model, x[:, columns], y[:, columns], own))
            yield [parameter.parts_of_grad()[0] for parameter in parameters]

    total = add_in_tree(gradients(), add)
    generator.state = after
    if ranks.size > 1:
        passes, total = exchange(passes, total, np.dtype(model.config.dtype), ranks)
    for parameter, gradient in zip(parameters, total, strict=True):
        parameter.zero_grad()
        parameter.accumulate(gradient)
        if model.config.average_across_batch:
            parameter.scale_grad(1 / shards)
    costs, nll, correct, states = zip(*passes, strict=True)
    cost = sum(costs) / shards if model.config.average_across_batch else sum(costs)
    whole = (np.concatenate(parts, axis=1) for parts in zip(*states, strict=True))
    return Pass(cost, sum(nll), sum(correct), type(state)(*whole))


def exchange(
    passes: list[Pass], gradients: list[Any], dtype: np.dtype[Any], ranks: Ranks
) -> tuple[list[Pass], list[Any]]:
    """Return the passes of all ranks and the sums of their gradients.

    All dense gradients travel as one array, and the rows of an embedding as rows.
    """
    rows = [g for g in gradients if isinstance(g, Rows)]
    dense = [g for g in gradients if not isinstance(g, Rows)]
    size = sum(g.size for g in dense)
    flat = empty((-(-size // ranks.size) * ranks.size,), dtype)
    flat[size:] = 0
    np.concatenate([g.ravel() for g in dense], out=flat[:size])
    shared = ranks.share((passes, rows), flat)
    sums = iter(add_in_tree([theirs for _, theirs in shared], add))
    views = iter(np.split(flat, np.cumsum([g.size for g in dense])))
    gradients = [
        next(sums) if isinstance(g, Rows) else next(views).reshape(g.shape) for g in gradients
    ]
    return [one for theirs, _ in shared for one in theirs], gradients
