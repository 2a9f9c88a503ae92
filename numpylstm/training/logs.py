"""Logs of a run while it learns: samples, and how far the gradients reach.

A sample is drawn before the first update and after each epoch. All have the same prompt and the
same random numbers, from their own generator; so only the network changes from one to the next.

With ``--log-gradients``, the gradient by lag is measured at the start and at each row of metrics.
Every measurement takes the first window of the training text, a few of its streams, and a state of
zeros; so only the network changes from row to row. Nothing is dropped and no random number is
drawn. Values are rounded to six digits, which are the same with any number of threads.

Neither affects the training. Both files are written before the checkpoint of their step; a run that
resumes from an older checkpoint drops later entries and makes them again.
"""

import csv
import json
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from numpylstm.checks import Array, NotFinite
from numpylstm.data import UNK, Corpus, batches, detokenize
from numpylstm.laboratory.diagnostics import gradient_flow
from numpylstm.levels import LEVELS
from numpylstm.models import LanguageModel
from numpylstm.sampling import generate
from numpylstm.saving import write_text
from numpylstm.training.loop import Run
from numpylstm.training.run_folder import (
    GRADIENTS,
    SAMPLES,
    RunFolderError,
    reading,
    write_rows,
)

TEMPERATURE = 0.8
STREAMS = 4  # columns of the measured window; enough for a norm, and cheap


def write_due(folder: Path, run: Run, corpus: Corpus) -> None:
    """Add to the logs of a run what is due before its first or after its latest update."""
    if run.window == 0:
        add_sample(folder / SAMPLES, run, corpus)
    if run.config.log_gradients:
        add_gradients(folder / GRADIENTS, run, corpus)


# --- samples -----------------------------------------------------------------------------------


class Sample(NamedTuple):
    """A text drawn from the network, and the epochs and updates before it."""

    epoch: int
    step: int
    text: str


def add_sample(path: Path, run: Run, corpus: Corpus) -> None:
    """Add a sample to the file, unless it has one of this step; drop samples of later steps."""
    samples = read_samples(path)
    if samples and samples[-1].step == run.step:
        return
    text = draw_sample(run.model, corpus, LEVELS[corpus.level].logged_length, run.config.seed)
    samples = [*(s for s in samples if s.step < run.step), Sample(run.epoch, run.step, text)]
    listed = json.dumps([s._asdict() for s in samples], ensure_ascii=False, indent=1)
    write_text(path, listed + "\n")


def draw_sample(model: LanguageModel, corpus: Corpus, length: int, seed: int) -> str:
    """Let a model continue the first token of the test text, without ``<unk>``; return the text.

    It is empty if the scores of the model are not finite.
    """
    prompt = corpus.test[:1]
    banned = [corpus.vocabulary[UNK]]
    try:
        ids = generate(model, prompt, length, temperature=TEMPERATURE, banned=banned, rng=seed)
    except NotFinite:
        return ""
    return detokenize(corpus.vocabulary.decode(ids), corpus.level)


def read_samples(path: Path) -> list[Sample]:
    """Read the samples in a file; none if it is missing or damaged."""
    with suppress(RunFolderError), reading(path, "samples") as file:
        entries = json.load(file)
        return [Sample(int(e["epoch"]), int(e["step"]), str(e["text"])) for e in entries]
    return []


# --- gradients ---------------------------------------------------------------------------------


class GradientRow(NamedTuple):
    """A row of gradients.csv: one kind of state of one layer, `lag` steps before the loss.

    `norm` is the norm of dL_T/dh_t or dL_T/dc_t at t = T - lag, over the streams and the units of
    the layer.
    """

    step: int
    layer: int
    lag: int
    unit: str
    norm: float


def add_gradients(path: Path, run: Run, corpus: Corpus) -> None:
    """Add the gradients of this step to the file if a row of metrics is of this step too.

    Rows of steps that the run does not have are dropped. A file of that name with another content
    raises RunFolderError.
    """
    measured = {0, *(row.step for row in run.rows)}
    if run.step != max(measured):
        return
    rows = [row for row in read_gradients(path) if row.step in measured]
    if not rows or rows[-1].step < run.step:
        x, y = next(batches(corpus.train, run.config.batch_size, run.config.num_steps))
        rows += measure(run.model, run.step, x[:, :STREAMS], y[:, :STREAMS])
        write_rows(path, GradientRow._fields, rows)


@np.errstate(all="ignore")  # a network about to fail may overflow; the row then says inf or nan
def measure(model: LanguageModel, step: int, x: Array, y: Array) -> list[GradientRow]:
    """Return the rows of one step, by layer and lag.

    The cost is a forward and a backward pass of the textbook over the window, in float64.
    """
    norms = gradient_flow(model, x, y).norms
    L, T = norms["h"].shape
    rows = []
    for layer, lag, unit in product(range(L), range(T), norms):
        # Rounded, so that the order of summation in a product cannot be seen.
        norm = float(f"{norms[unit][layer, -1 - lag]:.6g}")
        rows.append(GradientRow(step, layer, lag, unit, norm))
    return rows


def read_gradients(path: Path) -> list[GradientRow]:
    """Read the rows of a file; none if it is missing.

    A file that does not hold such rows raises RunFolderError.
    """
    if not path.exists():
        return []
    content = "the gradients of this run; move it away to continue without its rows"
    with reading(path, content) as file:
        table = csv.DictReader(file)
        if set(table.fieldnames or ()) != set(GradientRow._fields):
            raise ValueError("it has other columns")
        return [
            GradientRow(
                step=int(row["step"]),
                layer=int(row["layer"]),
                lag=int(row["lag"]),
                unit=row["unit"],
                norm=float(row["norm"]),
            )
            for row in table
        ]


def norms_by_lag(rows: list[GradientRow]) -> tuple[list[int], Array]:
    """Return the steps, and the norms of dL_T/dh_t at each: (layers, steps, lags)."""
    steps = list(dict.fromkeys(row.step for row in rows))
    L, T = 1 + rows[-1].layer, 1 + rows[-1].lag
    shown = [row.norm for row in rows if row.unit == "h"]
    return steps, np.array(shown).reshape(len(steps), L, T).swapaxes(0, 1)
