"""The kernel cache: a fault of it never stops the program."""

import errno
import os
import sys
import warnings
from pathlib import Path

import numba
import numba.core.event as event
import numpy as np
import pytest
from support.processes import run_python

from numpylstm.kernels.machine import caching, compiling

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")


def double(x, share, shares):
    for k in range(x.size):
        x[k] *= 2


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """Keep the kernels of a test in a folder of its own, and let the warning come again."""
    kernel = compiling.kernel(lambda x, share, shares: None)
    kernel(np.ones(1), 0, 1)  # the tile is defined once in a process
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(caching, "_warned", False)
    return tmp_path


def compilations():
    """Make the kernel anew, as a new start does; return how many functions it has compiled."""
    kernel = compiling.kernel(double)
    x = np.array([1.5, 2.0])
    with event.install_recorder("numba:compile") as recorder:
        kernel(x, 0, 1)
    assert x.tolist() == [3, 4]
    return len(recorder.buffer) // 2  # a beginning and an end


def test_the_second_start_compiles_nothing(folder):
    assert compilations() == 1
    assert compilations() == 0
    assert len(list(folder.rglob("double*"))) == 1


STEPS = """
import numpy as np
from numba.core import event
from numpylstm import functional, reference

with event.install_recorder("numba:compile") as recorder:
    for cell, blocks in ("rnn", 1), ("gru", 3):
        x, W, b = np.ones((3, 2, 5)), np.ones((5, 5 * blocks)), np.ones(5 * blocks)
        got, want = (
            getattr(module, f"{cell}_forward")(x, x[0], W, W, b)[0]
            for module in (functional, reference)
        )
        np.testing.assert_allclose(got, want, rtol=1e-12)
print(len(recorder.buffer) // 2)
"""


@pytest.mark.big
def test_the_cells_kernels_are_loaded_and_never_mixed_up():
    """One driver makes the kernels of all cells; the usual folder has those of other tests too."""
    run_python(STEPS)
    assert run_python(STEPS)[0] == "0\n"


@pytest.mark.parametrize(
    ("watched", "displayed", "lines"),
    [(True, True, 1), (True, False, 1), (False, False, 1), (False, True, 0)],
)
def test_who_waits_is_told_why_once(monkeypatch, capsys, watched, displayed, lines):
    """A script too, whose output goes to a file; but not the log of a command."""
    monkeypatch.setattr(compiling, "displayed", displayed)
    monkeypatch.setattr(compiling, "PATIENCE", 1e-9)
    monkeypatch.setattr(compiling, "_seconds_so_far", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: watched)
    compilations()
    compilations()
    assert capsys.readouterr().err.count("compiling kernels for this processor") == lines


def test_a_form_is_never_taken_for_another(folder):
    """A file has the name of its content."""
    kernel = compiling.kernel(double)
    for dtype in (np.float32, np.float64, np.int64):
        kernel(np.ones(3, dtype), 0, 1)
    assert len({file.name for file in folder.rglob("double*")}) == 3
    assert compilations() == 0


def flipped(content):
    """Return the content with one bit changed, in the middle of its machine code."""
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 16
    return bytes(changed)


def test_a_file_under_the_name_of_another_is_replaced(folder):
    """Its code takes other arguments: to run it would end the process."""
    kernel = compiling.kernel(double)
    for dtype in (np.float32, np.float64):
        kernel(np.ones(3, dtype), 0, 1)
    one, other = folder.rglob("double*.nbc")
    swapped = one.read_bytes(), other.read_bytes()
    other.write_bytes(swapped[0])
    one.write_bytes(swapped[1])
    assert compilations() == 1
    assert compilations() == 0


DAMAGES = [lambda content: b"", lambda content: content[:50], lambda content: b"x" * 99, flipped]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_replaced(folder, damage):
    assert compilations() == 1
    (file,) = folder.rglob("double*.nbc")
    file.write_bytes(damage(file.read_bytes()))
    assert compilations() == 1
    assert compilations() == 0


def test_files_of_an_older_source_are_removed(folder, monkeypatch):
    assert compilations() == 1
    monkeypatch.setattr(caching, "_SOURCE", "another")
    assert compilations() == 1
    assert [file.name.split(".")[1] for file in folder.rglob("double*.nbc")] == ["another"]


def test_files_of_another_processor_stay(folder, monkeypatch):
    """A folder may be shared by different machines and versions of Python."""
    assert compilations() == 1
    monkeypatch.setattr(caching, "_COMPILER", "another")
    assert compilations() == 1
    assert len([*folder.rglob("double*.nbc")]) == 2


def warned(reason):
    """Compile twice: both work, and one warning gives the reason."""
    with pytest.warns(RuntimeWarning, match=f"cannot be kept on disk .*{reason}") as seen:
        assert compilations() == 1
    assert len(seen) == 1
    with warnings.catch_warnings(action="error"):
        assert compilations() == 1


def test_a_full_disk(monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(caching.tempfile, "NamedTemporaryFile", full)
    warned("No space left")


def test_a_home_that_is_not_known(monkeypatch, folder):
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.chdir(folder)
    warned("the home folder is not known")
    assert not Path("~").exists()


def use_the_parts_of_an_array():
    from numba.core.cgutils import create_struct_proxy

    assert callable(create_struct_proxy)


def use_the_value_of_a_function_that_returns_nothing():
    from numba.core.registry import cpu_target

    cpu_target.target_context.get_dummy_value()


def define_the_tile_before_a_kernel_is_compiled():
    dispatcher = numba.njit(lambda: 0)
    dispatcher.compile = dispatcher.compile


def replace_the_cache():
    cache = numba.njit(lambda: 0)._cache
    assert callable(cache.load_overload)
    assert callable(cache.save_overload)


def compile_with_an_option():
    numba.njit(forceinline=True)(lambda: 0)()


def turn_a_compiled_kernel_into_bytes_and_back():
    from numba.core.compiler import CompileResult
    from numba.core.serialize import dumps

    assert callable(dumps)
    assert callable(CompileResult._reduce)
    assert callable(CompileResult._rebuild)


def name_a_file_after_the_processor():
    from numba.core.registry import cpu_target

    cpu_target.target_context.refresh()
    cpu_target.target_context.codegen().magic_tuple()


@pytest.mark.parametrize(
    "use",
    [
        pytest.param(use_the_parts_of_an_array, id="simd, views"),
        pytest.param(use_the_value_of_a_function_that_returns_nothing, id="simd, tile"),
        pytest.param(define_the_tile_before_a_kernel_is_compiled, id="compiling, tile"),
        pytest.param(replace_the_cache, id="compiling, a cache of our own"),
        pytest.param(compile_with_an_option, id="compiling, an option"),
        pytest.param(turn_a_compiled_kernel_into_bytes_and_back, id="caching, bytes"),
        pytest.param(name_a_file_after_the_processor, id="caching, name of a file"),
    ],
)
def test_the_private_names_of_numba(use):
    """Without the first two nothing compiles; without the others, each start compiles again."""
    use()
