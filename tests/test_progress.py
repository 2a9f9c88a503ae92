"""Progress: what a terminal shows, and what a file."""

import io
import math
from types import SimpleNamespace

import pytest

from numpylstm.training.loop import Row, Step
from numpylstm.training.progress import Progress
from numpylstm.training.timing import Timing


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def shown(monkeypatch):
    """A run of 2 epochs of 4 updates on a terminal of so many columns: the last line shown."""

    def show(columns, *items):
        stream = Terminal()
        monkeypatch.setattr("sys.stdout", stream)
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("LINES", "24")
        run = SimpleNamespace(config=SimpleNamespace(epochs=2, steps=None), step=0, rows=[])
        timing = Timing()
        progress = Progress(run, 4, timing)
        for item in timing.of(iter(items)):
            progress.show(item)
        progress.bar.refresh()
        return stream.getvalue().split("\r")[-1]

    return show


STEPS = [Step(1, k, 4, k, 1.0, 12.34, math.exp(2), 0.125, 8.7654, 700) for k in range(1, 5)]
LAST = Row(1, 4, 1.0, 12.0, 7.4, 0.1, 8.0, 140.04, 0.2)


def test_a_terminal_shows_first_what_is_asked_first(shown):
    line = shown(79, *STEPS)
    assert line.startswith("epoch 1/2  perplexity 7.4  ")
    assert "left 00:00" in line
    assert "cost" not in line
    assert len(line) <= 79


def test_a_wide_one_shows_all(shown):
    line = shown(160, *STEPS)
    assert "  step 4/8  cost 12.34  accuracy 0.125  norm 8.77" in line
    assert len(line) <= 160


def test_after_a_validation_the_bar_shows_what_it_found(shown):
    assert shown(79, *STEPS, LAST).startswith("epoch 1/2  valid 140.0")


def test_the_speed_is_that_of_the_updates_alone(monkeypatch):
    """As in result.json: validations, saves and pictures do not count."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("time.perf_counter", lambda: clock.now)
    timing = Timing()

    def items():
        for step in STEPS:
            clock.now += 2
            yield step

    for _ in timing.of(items()):
        clock.now += 100
    assert timing.tokens_per_second == 350
