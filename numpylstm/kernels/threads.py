"""The threads that share the work of a kernel: ordinary Python threads, asleep between kernels.

Kernels run without the interpreter's lock, so threads of Python can run the parts of one side by
side. They belong to this package: no other library sees a setting of theirs or waits for them, any
number of threads may call kernels at once, and a child process made by fork starts its own.

Whoever calls a kernel works too, and takes the next part that nobody has begun. If the others
come late, since the processor does something else, there is nothing left for them to do.
"""

import os
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from queue import SimpleQueue
from threading import Thread


def _processors():
    """How many threads can run at once: NUMBA_NUM_THREADS, or what the system lets us use."""
    forced = os.environ.get("NUMBA_NUM_THREADS", "")
    if forced.isdecimal() and int(forced) > 0:
        return int(forced)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


PROCESSORS = _processors()

_asked = None  # the number that somebody set
_limit = ContextVar("limit", default=PROCESSORS)  # while nobody did
_tasks = SimpleQueue()
_helpers = []


def get_num_threads():
    """How many threads a kernel uses that has enough to do."""
    return _asked or _limit.get()


def set_num_threads(number):
    """Use so many threads in every kernel from now on; None for as many as there are processors.

    No result depends on it, not by a bit. While nothing is set, `train` uses fewer where that is
    faster.

    Raises
    ------
    ValueError
        If it is not from 1 to the number of processors.
    """
    global _asked
    whole = hasattr(number, "__index__") and not isinstance(number, bool)
    if number is not None and not (whole and 1 <= number <= PROCESSORS):
        raise ValueError(
            f"set_num_threads: number must be from 1 to {PROCESSORS}, the processors that this "
            f"process may use; got {number!r}"
        )
    _asked = None if number is None else int(number)  # one of NumPy's may be narrow


@contextmanager
def at_most(number):
    """Use no more than this number of threads for a while, unless one was set."""
    before = _limit.get()
    _limit.set(number)
    try:
        yield
    finally:
        _limit.set(before)


def in_words():
    """How many threads a run will use."""
    if _asked or PROCESSORS == 1:
        return f"{get_num_threads()} thread{'s' if get_num_threads() > 1 else ''}"
    return f"1 to {PROCESSORS} threads, whichever is faster"


def share_out(part, shares):
    """Call part(0), ..., part(shares - 1) on as many threads; returns when all have returned."""
    left, results, finished = list(range(shares)), [], SimpleQueue()
    came, gone = [], []  # helpers

    def work():
        while True:
            try:
                share = left.pop()
            except IndexError:
                return
            error = None
            try:
                part(share)
            except BaseException as mistake:
                error = mistake
            results.append(error)
            finished.put(None)

    def help_with_it():
        came.append(None)
        work()
        gone.append(None)
        finished.put(None)

    try:
        for _ in range(min(shares - 1, _helpers_for(shares))):
            _tasks.put(help_with_it)
        work()
        while len(results) < shares:
            finished.get()
    except BaseException:  # an interruption, which may come anywhere
        left.clear()  # who comes later finds nothing to do
        while len(gone) < len(came):  # nobody leaves while others write
            with suppress(BaseException):
                finished.get()
        raise
    for error in results:
        if error is not None:
            raise error


def _helpers_for(shares):
    """How many threads wait for tasks: one less than there are shares, if the system gives them."""
    while len(_helpers) < shares - 1:
        helper = Thread(target=_help, args=(_tasks,), name="numpylstm", daemon=True)
        try:
            helper.start()
        except RuntimeError:  # no more: whoever calls does the rest
            break
        _helpers.append(helper)
    return len(_helpers)


def _help(tasks):
    while True:
        tasks.get()()


def _forget():
    """In a child process, where no thread lives but the one that called fork."""
    global _tasks
    _tasks = SimpleQueue()
    _helpers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
