"""The display: what a terminal shows, and what a file."""

import io
import logging
import math
import re
from types import SimpleNamespace

import pytest
from support.metrics import row_of

from numpylstm.cli.output import Terminal as LinesOnTerminal
from numpylstm.cli.output import lines_to
from numpylstm.training import display
from numpylstm.training.display import Display, ProgressBar, Timing, waiting
from numpylstm.training.loop import Step
from numpylstm.training.metrics import Row


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def everything(monkeypatch, caplog):
    """No state is skipped because another was shown a moment ago, or an earlier run was quiet."""
    caplog.set_level(logging.DEBUG, display.LINES.name)
    monkeypatch.setattr(display, "EVERY", 0.0)
    monkeypatch.setenv("COLUMNS", "79")
    monkeypatch.setenv("LINES", "24")


# --- a task ------------------------------------------------------------------------------------


def test_a_terminal_shows_one_line_that_moves_and_goes(everything, monkeypatch):
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    with waiting("reading my.txt") as shown:
        shown.share(45, 100)
    states = [state.strip() for state in stream.getvalue().split("\r")]
    assert states[1:] == ["Reading my.txt", "Reading my.txt: 45%", "", ""]
    assert "\n" not in stream.getvalue()


@pytest.mark.parametrize(
    ("stream", "level"), [(io.StringIO(), logging.DEBUG), (Terminal(), logging.INFO)]
)
def test_elsewhere_nothing_is_shown_nor_if_quiet(everything, monkeypatch, caplog, stream, level):
    monkeypatch.setattr("sys.stderr", stream)
    caplog.set_level(level, display.LINES.name)
    with waiting("reading my.txt") as shown:
        shown.share(45, 100)
    assert stream.getvalue() == ""


def test_a_bar_that_stays_has_the_last_state():
    """Also if the steps come faster than it is drawn."""
    stream = Terminal()
    bar = Display("training", stream, False, total=9)
    for done in range(1, 10):
        bar.show(f"step {done}", done)
    bar.close()
    *_, last = stream.getvalue().rstrip().split("\r")
    assert re.fullmatch(r"step 9  \|[█#]+\|", last)


# --- a run -------------------------------------------------------------------------------------

STEPS = [Step(1, k, 4, k, 1.0, 12.34, math.exp(k), 0.125, 8.7654, 700) for k in range(1, 5)]
HALF = row_of(1, 2, cost=12.0, perplexity=100.0)
LAST = row_of(
    1, 4, cost=12.0, perplexity=25.0, accuracy=0.3, valid_perplexity=140.04, valid_accuracy=0.2
)
SECOND = [HALF._replace(epoch=2, step=6, perplexity=16.0), LAST._replace(epoch=2, step=8)]


def shown(stream, monkeypatch, *items):
    """Show a run of 2 epochs of 4 updates of 2.5 seconds; return all that the stream got."""
    clock = SimpleNamespace(now=50.0)
    monkeypatch.setattr("time.perf_counter", lambda: clock.now)
    monkeypatch.setattr("sys.stdout", stream)
    config = SimpleNamespace(epochs=2, steps=None)
    run = SimpleNamespace(config=config, step=0, epoch=0, rows=[])
    timing = Timing()
    progress = ProgressBar(run, 4, timing)

    def ticking():
        for item in items:
            if isinstance(item, Row):
                run.rows.append(item)
            else:
                clock.now += 2.5
            yield item

    with lines_to(LinesOnTerminal("numpylstm-train")):
        for item in timing.timed(ticking()):
            progress.follow(item)
        progress.validation(1, 4)
        progress.close()
    return stream.getvalue()


def test_a_terminal_shows_a_bar_and_epochs(everything, monkeypatch):
    states = shown(Terminal(), monkeypatch, *STEPS[:2], HALF, *STEPS[2:], LAST).split("\r")
    bars = [state for state in states if state.startswith("epoch 1/2  perplexity ")]
    assert [bar.split()[3] for bar in bars] == ["2.7", "4.5", "7.4", "12.2"]  # means of nats
    assert all(len(bar) <= 79 for bar in bars)
    assert any(state.startswith("epoch 1/2  valid 140.0") for state in states)
    assert any(state.startswith("epoch 1/2  validating 25%") for state in states)
    assert not any("perplexity 100.00" in state for state in states)


def test_a_file_gets_every_row_and_the_mean_of_the_epoch(everything, monkeypatch):
    """However many rows the epoch has."""
    items = *STEPS[:2], HALF, STEPS[2], HALF._replace(step=3), STEPS[3], LAST, *SECOND
    lines = shown(io.StringIO(), monkeypatch, *items).splitlines()
    assert lines[0] == (
        "epoch   1  step 2/8  cost 12.00  accuracy 0.100  perplexity 100.00  norm 8.00  "
        "280 tokens/s  left 00:15"
    )
    assert lines[2] == (
        "epoch   1  step 4/8  lr 1  train perplexity 70.71  accuracy 0.150  |  "
        "valid perplexity 140.04  accuracy 0.200"
    )
    assert lines[4].startswith("epoch   2  step 8/8  lr 1  train perplexity 20.00  ")
    assert len(lines) == 5


@pytest.mark.parametrize(("steps", "epochs"), [(3, 1), (4, 1), (5, 2), (None, 2)])
def test_epochs_that_a_limit_of_steps_excludes_are_not_counted(steps, epochs):
    run = SimpleNamespace(config=SimpleNamespace(epochs=2, steps=steps), step=0, epoch=0)
    assert ProgressBar(run, 4, Timing()).epochs == epochs


def test_a_line_does_not_tear_the_bar(everything):
    stream = Terminal()
    bar = Display("training", stream, False, total=9)
    bar.line("a line")
    bar.close()
    assert "Training  |" in stream.getvalue()
    assert any(line.split("\r")[-1].strip() == "a line" for line in stream.getvalue().split("\n"))


def test_the_speed_is_that_of_the_updates_alone(monkeypatch):
    """As in result.json: rows, validations, saves and pictures do not count."""
    clock = SimpleNamespace(now=2.0)
    monkeypatch.setattr("time.perf_counter", lambda: clock.now)
    timing = Timing()

    def items():
        for item in (*STEPS, LAST):
            clock.now += 3
            yield item

    assert timing.tokens_per_second is None
    for _ in timing.timed(items()):
        clock.now += 100
    assert (timing.updates, timing.tokens_per_second, timing.seconds) == (4, 2800 / 12, 515)
