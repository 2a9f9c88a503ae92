"""What is shown while something takes long, and what is said when it is interrupted."""

import io

import pytest

from numpylstm.kernels import compiling
from numpylstm.waiting import Waiting, waiting


class Terminal(io.StringIO):
    def isatty(self):
        return True


class LookedAt:
    """Stands for the event that ends the thread: so many looks, then it is over."""

    def __init__(self, looks):
        self.left = looks

    def wait(self, seconds):
        self.left -= 1
        return self.left < 0

    def set(self):
        pass


def shown_after(looks, stream, tell):
    """What a stream shows after so many looks at something that takes long."""
    shown = Waiting("reading my.txt", stream)
    shown._over = LookedAt(looks)
    tell(shown)
    shown.start()
    shown.stop()
    return stream.getvalue()


def test_a_terminal_shows_one_line_that_moves_and_goes():
    seen = shown_after(2, Terminal(), lambda shown: shown.share(45, 100))
    assert seen == "\r\x1b[KReading my.txt: 45%, 0 s" * 2 + "\r\x1b[K"


def test_elsewhere_there_are_lines():
    seen = shown_after(2, io.StringIO(), lambda shown: shown.count(3, "function"))
    assert seen == "Reading my.txt: 3 functions, 0 s\n" * 2
    seen = shown_after(1, io.StringIO(), lambda shown: shown.count(1, "function"))
    assert seen == "Reading my.txt: 1 function, 0 s\n"


def test_what_is_quick_shows_nothing():
    stream = Terminal()
    with waiting("reading my.txt", stream=stream):
        pass
    assert stream.getvalue() == ""


def test_a_stream_that_is_gone_ends_nothing():
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    shown_after(2, Gone(), lambda shown: None)


def test_an_interruption_says_what_was_not_finished():
    with (
        pytest.raises(KeyboardInterrupt) as interrupted,
        waiting("reading my.txt", then="nothing was begun", quiet=True),
    ):
        raise KeyboardInterrupt
    assert interrupted.value.__notes__ == ["reading my.txt was not finished; nothing was begun"]


@pytest.mark.skipif(compiling.config.DISABLE_JIT, reason="nothing is compiled")
def test_compiled_functions_are_counted(monkeypatch, tmp_path):
    monkeypatch.setattr(compiling.config, "CACHE_DIR", str(tmp_path))
    double = compiling.inner(lambda x: x + x)

    def twice(x):
        x[0] = double(x[0])

    counts = []
    with compiling.watched(counts.append):
        compiling.kernel(twice)(compiling.np.ones(1))
    assert sorted(set(counts)) == [1, 2]  # the kernel, and what it calls
