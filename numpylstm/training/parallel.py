"""One run on several processes: MPI ranks that share the columns of each batch.

A batch is cut into shards, blocks of columns. The gradient of each shard is computed by itself, and
the gradients are added in a fixed binary tree. So the number of ranks cannot change a bit of the
result. MPI only moves arrays and never adds them, since it guarantees no order of summation.

Every rank holds the whole run and makes the same updates; `workers` starts and stops them together.
`RANKS` are the ranks of this process; by default it is alone.
"""

import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from numpylstm.cells import State
from numpylstm.checks import Array
from numpylstm.config import ConfigError
from numpylstm.errors import NumpylstmError
from numpylstm.kernels.threads import PROCESSORS, set_num_threads
from numpylstm.models import LanguageModel
from numpylstm.parameters import Rows


class Pass(NamedTuple):
    """The results of a forward and backward pass over a batch or a shard."""

    cost: float
    nll: float  # summed over the tokens
    correct: int  # predictions
    state: State


class RankFailed(NumpylstmError, RuntimeError):
    """The connection to another rank is lost."""

    exit_status = 1


class Ranks:
    """The processes that train a run together; by default only this one."""

    def __init__(self, comm: Any = None, why_alone: str = "") -> None:
        self.comm = comm
        self.why_alone = why_alone  # the reason why MPI cannot be used, if there is one
        self.rank: int = 0 if comm is None else comm.rank
        self.size: int = 1 if comm is None else comm.size
        self.training = False  # True while the other ranks may wait for the next update

    def end_all(self) -> None:
        """End all ranks with exit status 1, after mpiexec has had time to pass on the output."""
        time.sleep(1)
        self.comm.Abort(1)

    def local_shards(self, shards: int) -> range:
        """Return the shards of this rank; a single one belongs to every rank."""
        each = max(shards // self.size, 1)
        first = self.rank * each % shards
        return range(first, first + each)

    def allgather(self, value: Any, gradient: Array | None = None) -> list[Any]:
        """Return the values of all ranks, which call this in the same order.

        A gradient, whose size is a multiple of the number of ranks, becomes the sum over them.
        """
        if self.size == 1:
            return [value]
        try:
            barrier = self.comm.Ibarrier()
            while not barrier.Test():
                time.sleep(1e-4)  # signals arrive, and others can use the processor
            if gradient is not None:
                parts = np.empty((self.size, gradient.size // self.size), gradient.dtype)
                self.comm.Alltoall(gradient, parts)
                self.comm.Allgather(add_in_tree(parts.__getitem__, range(self.size)), gradient)
            return list(self.comm.allgather(value))
        except RuntimeError as error:  # MPI's
            raise RankFailed(str(error)) from error


RANKS = Ranks()


def join_ranks() -> Ranks:
    """Make this process one of those that mpiexec or srun started; return them."""
    global RANKS
    RANKS = connect()
    return RANKS


def connect() -> Ranks:
    """Return the ranks that mpiexec or srun started; this imports MPI."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # RuntimeError: there is no library of MPI
        return Ranks(why_alone=str(error))
    comm = MPI.COMM_WORLD
    started = os.environ.get("OMPI_COMM_WORLD_SIZE") or os.environ.get("PMI_SIZE") or "1"
    if comm.size < int(started):
        return Ranks(why_alone="mpi4py has loaded the library of another MPI than mpiexec's")
    neighbours = comm.Split_type(MPI.COMM_TYPE_SHARED).size  # on this machine
    if neighbours > 1 and "NUMBA_NUM_THREADS" not in os.environ:
        set_num_threads(max(PROCESSORS // neighbours, 1))
    return Ranks(comm)


def check_shards(shards: int) -> None:
    """Raise a ConfigError unless the ranks can share this number of shards."""
    each, rest = divmod(shards, RANKS.size)
    if RANKS.why_alone and shards > 1:
        raise ConfigError("shards", f"cannot be shared by MPI ranks: {RANKS.why_alone}")
    if RANKS.size > 1 and (rest or each & (each - 1)):
        raise ConfigError(
            "shards",
            f"must be the number of MPI ranks, {RANKS.size}, or this times a power of two; got "
            f"{shards}; for separate runs, start the processes without MPI",
        )


def add_in_tree(part: Callable[[int], Any], numbers: range) -> Any:
    """Return ((0 + 1) + (2 + 3)) + ... of the parts with these numbers, which are overwritten.

    A block of 2**k parts that begins at a multiple of 2**k may be added by another rank first.
    """
    if len(numbers) == 1:
        return part(numbers[0])
    half = 2 ** ((len(numbers) - 1).bit_length() - 1)  # the largest power of two below the length
    return add(add_in_tree(part, numbers[:half]), add_in_tree(part, numbers[half:]))


def add(a: Any, b: Any) -> Any:
    """Return the sum of two gradients (arrays or `Rows`) or of two lists; `a` may change."""
    if isinstance(a, list):
        return list(map(add, a, b))
    if not isinstance(a, Rows):
        a += b
        return a
    rows = np.union1d(a.rows, b.rows)
    values = np.zeros((len(rows), a.values.shape[1]), a.values.dtype)
    for part in (a, b):
        values[np.searchsorted(rows, part.rows)] += part.values
    return Rows(rows, values)


def one_pass(model: LanguageModel, x: Array, y: Array, state: State) -> Pass:
    """Run forward and backward."""
    for parameter in model.parameters().values():
        parameter.zero_grad()
    cost, state = model.forward(x, y, state, training=True)
    nll, predicted = model.training_scores()
    model.backward()
    return Pass(cost, float(nll.sum(dtype=np.float64)), int((predicted == y).sum()), state)


def backpropagate(model: LanguageModel, x: Array, y: Array, state: State, shards: int) -> Pass:
    """Run `one_pass` on each shard of a batch, on its rank; return the results for the whole batch.

    The dropout masks of a shard come from a generator of its own, seeded with a number from the
    model's generator and the number of the shard. So no rank draws the masks of others.
    """
    if shards == 1:
        return one_pass(model, x, y, state)
    parameters = list(model.parameters().values())
    width = x.shape[1] // shards
    seed = int(model.rng.integers(2**63))
    generator = model.rng.bit_generator
    after = generator.state
    passes: list[Pass] = []

    def gradients(shard: int) -> list[Any]:
        columns = slice(shard * width, (shard + 1) * width)
        generator.state = type(generator)([seed, shard]).state
        of_shard = type(state)(*(np.ascontiguousarray(part[:, columns]) for part in state))
        passes.append(one_pass(model, x[:, columns], y[:, columns], of_shard))
        return [parameter.gradient for parameter in parameters]

    total = add_in_tree(gradients, RANKS.local_shards(shards))
    generator.state = after
    if RANKS.size > 1:
        passes, total = sum_over_ranks(passes, total, parameters[0].data.dtype)
    divisor = shards if model.config.average_across_batch else 1
    for parameter, gradient in zip(parameters, total, strict=True):
        parameter.gradient = gradient
        parameter.scale_grad(1 / divisor)
    states = [
        np.concatenate([getattr(one.state, name) for one in passes], axis=1)
        for name in state._fields
    ]
    return Pass(
        cost=sum(one.cost for one in passes) / divisor,
        nll=sum(one.nll for one in passes),
        correct=sum(one.correct for one in passes),
        state=type(state)(*states),
    )


def sum_over_ranks(
    passes: list[Pass], total: list[Any], dtype: Any
) -> tuple[list[Pass], list[Any]]:
    """Return the passes of all ranks, and the sums of their gradients.

    Dense gradients travel as one array, those of an embedding as rows.
    """
    rows = [g for g in total if isinstance(g, Rows)]
    dense = [g.ravel() for g in total if not isinstance(g, Rows)]
    ends = np.cumsum([len(g) for g in dense], dtype=int)
    padding = np.zeros(-sum(map(len, dense)) % RANKS.size, dtype)
    flat = np.concatenate([*dense, padding])
    shared = RANKS.allgather((passes, rows), flat)
    passes = [one for theirs, _ in shared for one in theirs]
    sums = iter(add_in_tree(lambda rank: shared[rank][1], range(RANKS.size)))
    parts = iter(np.split(flat, ends))
    total = [next(sums) if isinstance(g, Rows) else next(parts).reshape(g.shape) for g in total]
    return passes, total
