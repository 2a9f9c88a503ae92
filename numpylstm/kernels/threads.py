"""The threads that share the work of a kernel: ordinary Python threads, asleep between kernels.

Kernels release the interpreter's lock, so Python threads run the parts of a kernel side by side.
They belong to this package: they change no setting of another library, any number of threads may
call kernels at once, and a child process made by fork starts its own.

The calling thread works as well and takes an unclaimed part. If the other threads start late
because the processors are busy, nothing is left for them to do.
"""

import os
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from multiprocessing import parent_process
from queue import SimpleQueue
from threading import Thread


def _processors():
    """Return NUMBA_NUM_THREADS, or the number of processors that this process may use."""
    forced = os.environ.get("NUMBA_NUM_THREADS", "")
    if forced.isdecimal() and int(forced) > 0:
        return int(forced)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


PROCESSORS = _processors()
_GIVEN = "NUMBA_NUM_THREADS" in os.environ
CAP = "NUMBA_NUM_THREADS" if _GIVEN else "the processors that this process may use"

_asked = None  # the number set by `set_num_threads`
_limit: ContextVar[int | None] = ContextVar("limit", default=None)  # if none is set
_tasks = SimpleQueue()
_helpers = []


def get_num_threads():
    """Return the number of threads that a kernel with enough work uses."""
    default = PROCESSORS if _GIVEN or not parent_process() else 1
    return _asked or _limit.get() or default


def number_is_set():
    """Return True if `set_num_threads` set the number."""
    return _asked is not None


def set_num_threads(number):
    """Set the number of threads for every kernel; None for the default.

    Results do not depend on it, to the last bit. The default is ``NUMBA_NUM_THREADS`` in the
    environment, or else the number of processors, and 1 in a worker process of `multiprocessing`;
    `train` uses fewer when that is faster.

    Raises
    ------
    ValueError
        If the number is not from 1 to ``NUMBA_NUM_THREADS``, or else the number of processors.
    """
    global _asked
    whole = hasattr(number, "__index__") and not isinstance(number, bool)
    if number is not None and not (whole and 1 <= number <= PROCESSORS):
        raise ValueError(
            f"set_num_threads: number must be from 1 to {PROCESSORS}, {CAP}; got {number!r}"
        )
    _asked = None if number is None else int(number)  # a narrow NumPy integer would overflow


@contextmanager
def at_most(number):
    """Use at most this number of threads in a context, unless `set_num_threads` set one."""
    before = _limit.get()
    _limit.set(number)
    try:
        yield
    finally:
        _limit.set(before)


def run_parallel(kernel, arguments, count):
    """Call ``kernel(*arguments, share, count)`` for each share of `count`, on as many threads.

    Return when all calls have returned.
    """
    if count == 1:
        kernel(*arguments, 0, 1)
        return
    unclaimed = list(range(count))  # shares that no thread has claimed
    results = []  # of each share that is done: the error, or None
    finished = SimpleQueue()
    started = []  # helpers that have begun
    ended = []  # helpers that have ended

    def work():
        while True:
            try:
                share = unclaimed.pop()
            except IndexError:
                return
            error = None
            try:
                kernel(*arguments, share, count)
            except BaseException as mistake:
                error = mistake
            results.append(error)
            finished.put(None)

    def helper_task():
        started.append(None)
        work()
        ended.append(None)
        finished.put(None)

    try:
        if len(_helpers) < count - 1:
            _start_helpers(count - 1)
        for _ in range(min(count - 1, len(_helpers))):
            _tasks.put(helper_task)
        work()
        while len(results) < count:
            finished.get()
    except BaseException:  # an interruption, which may come anywhere
        unclaimed.clear()  # late helpers find nothing to do
        while len(ended) < len(started):  # do not return while helpers write
            with suppress(BaseException):
                finished.get()
        raise
    for error in results:
        if error is not None:
            raise error


def _start_helpers(number):
    """Start threads until there are this many, or as many as the system allows."""
    while len(_helpers) < number:
        helper = Thread(target=_run_tasks, args=(_tasks,), name="numpylstm", daemon=True)
        try:
            helper.start()
        except RuntimeError:  # no more: the calling thread does the rest
            break
        _helpers.append(helper)


def _run_tasks(tasks):
    while True:
        tasks.get()()


def _reset_after_fork():
    """Reset in a child process, which has only the thread that called fork."""
    global _tasks
    _tasks = SimpleQueue()
    _helpers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
