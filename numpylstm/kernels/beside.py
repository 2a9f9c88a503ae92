"""A second process that compiles beside this one, where nothing is compiled yet.

Numba compiles under one lock, so threads do not help. A training step needs some fifteen kernels,
and what is compiled is kept on disk. So when the first of them turns out to be missing, a second
process begins with what is needed later, and this one goes on. Where it comes to what the other is
just compiling, it waits, and loads it.

Who compiled a kernel changes no bit of it. If the second process cannot start, or comes to grief,
this one compiles everything.
"""

import atexit
import importlib
import os
import subprocess
import sys
from pathlib import Path
from threading import Condition, Thread

import numpy as np

from . import threads

_expected = None  # the kernel that a recurrent layer will call, and the dtype
_process = None
_changed = Condition()
_left = []  # names of what the second process has not compiled yet; it is at the first
_done = set()  # and of what it has


def expect(recurrent, dtype):
    """Say which kernel will follow a product, such as "lstm.forward_rows", and for which dtype."""
    global _expected
    if _process is None:
        _expected = recurrent, dtype


def has_compiled(function):
    """Whether the second process compiles, or has compiled, what is missing here; wait for it.

    The first function to be missing starts that process, if there is a processor for it.
    """
    name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
    if _process is None and _expected and threads.get_num_threads() > 1:
        _begin(name)
    with _changed:
        if name not in _left[1:]:  # else this process is there first
            _changed.wait_for(lambda: name not in _left)
        return name in _done


def _begin(first_missing):
    global _process
    (recurrent, dtype), python = _expected, sys.executable or ""
    names = (recurrent, *_others(dtype))
    if first_missing in names or not Path(python).stem.startswith("python"):
        return  # the rest is there already; or Python is part of another program
    code = f"import sys; sys.path[:] = {sys.path}; from {__name__} import work; work()"
    try:
        _process = subprocess.Popen(
            [python, "-c", code, recurrent, dtype.name],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
    except OSError:
        return
    _left.extend(names)
    listener = Thread(target=_listen, args=(_process,), name="numpylstm beside", daemon=True)
    listener.start()
    atexit.register(_end, _process, listener)


def _listen(process):
    for line in process.stdout:
        with _changed:
            del _left[:1]
            _done.add(line.strip())
            _changed.notify_all()
    with _changed:  # it has compiled all, or come to grief
        _left.clear()
        _changed.notify_all()
    process.wait()  # else it stays in the table of processes, as a zombie


def forget():
    """Wait for nothing more: what the second process compiles cannot be found on disk."""
    with _changed:
        _left.clear()
        _done.clear()


def _end(process, listener):
    process.kill()
    process.wait()
    listener.join()
    process.stdout.close()


def _in_child():
    """After a fork: nobody listens here, and the second process is the parent's to end."""
    global _changed
    atexit.unregister(_end)
    _changed = Condition()
    forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)

# ---------------------------------------------------------------------------------------------
# In the second process
# ---------------------------------------------------------------------------------------------


def work():
    """Compile the kernel that is named in the arguments, and `_others`; print each name."""
    from . import compiling  # which needs this module

    recurrent, dtype = sys.argv[1], np.dtype(sys.argv[2])
    module, _, function = recurrent.partition(".")
    compiling.do_without_tile(dtype)
    getattr(importlib.import_module(f".{module}", __package__), function).name_it(dtype)
    print(recurrent, flush=True)
    for name, call in _others(dtype).items():
        call()
        print(name, flush=True)


def _others(dtype):
    """What follows in a training step, and when a model writes: each name with a smallest call."""
    from . import embedding, sampling, softmax, update

    cube, gates = np.zeros((1, 1, 1), dtype), np.zeros((1, 4), dtype)
    ids = np.zeros((1, 1), np.intp)
    matrix, vector = cube[0], cube[0, 0]
    _, _, scores, weights, sums = sampling.room(cube, vector)
    return {
        "softmax.forward": lambda: softmax.forward(cube, ids, matrix, matrix, ids, 1),
        "softmax.backward": lambda: softmax.backward(cube, ids, matrix, matrix, cube, 1),
        "embedding.scatter_add": lambda: embedding.scatter_add(matrix, ids[0], matrix),
        "update.sums_of_squares": lambda: update.sum_of_squares(vector, 1),
        "update.descend": lambda: update.descend(vector, vector, 1.0, 1.0, 1),
        "sampling.update_cell": lambda: sampling.update_cell(gates, matrix, matrix, matrix),
        "sampling.draw_next": lambda: sampling.draw_next(
            matrix, 0, scores, 1.0, 1, ids[0, :0], 0.5, weights, sums
        ),
    }
