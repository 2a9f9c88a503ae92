"""Measurements of docs/laboratory/gru-or-lstm.md: ``python docs/experiments/gru_or_lstm.py``.

Trains three cells on five probe tasks, at two learning rates with three seeds each, in ten to
twenty minutes; prints the table of the page and draws its picture.
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import numpylstm as nl
from numpylstm import diagnostics, tasks
from numpylstm.plots.style import GREY, SERIES

PICTURE = Path(__file__).parents[1] / "images" / "gru-or-lstm.png"
CELLS = {
    "LSTM, forget bias of the recipe": {"cell": "lstm"},
    "LSTM, forget bias 0": {"cell": "lstm", "forget_bias": 0.0},
    "GRU": {"cell": "gru"},
}
TASKS = (
    tasks.DelayedCopy(20, num_fillers=4), tasks.Adding(), tasks.TemporalOrder(),
    tasks.EmbeddedReber(), tasks.Pronoun(),
)  # fmt: skip
SEEDS, RATES = (0, 1, 2), (1, 3)  # the rate of the recipe, and three times as much
MARKERS, DASHES = ("o", "s", "^"), ("-", "--", "-.")


def measure(task: tasks.Task) -> dict[str, list[diagnostics.Probe]]:
    """Return the runs of each cell, one per seed, at the learning rate with the lower mean loss."""
    best = {}
    for name, options in CELLS.items():
        runs = []
        for factor in RATES:
            recipe = task.recipe
            changed = type(recipe)(**{**vars(recipe), "lr": factor * recipe.lr})
            runs.append([diagnostics.probe(task, recipe=changed, rng=s, **options) for s in SEEDS])
        best[name] = min(runs, key=lambda three: sum(run.loss for run in three))
    return best


def row(task: tasks.Task, found: dict[str, list[diagnostics.Probe]]) -> str:
    """Return a line of the table: the final loss of each run above the floor, in percent."""
    cells = (", ".join(f"{100 * run.above_floor:.2f} %" for run in runs)
             for runs in found.values())  # fmt: skip
    return f"| {name_of(task)} | {' | '.join(cells)} |"


def name_of(task: tasks.Task) -> str:
    """Return the name of a task, such as ``DelayedCopy``."""
    return type(task).__name__


def lines() -> dict[str, list[np.ndarray]]:
    """Return the norm of the part of dWh at each lag, of new cells: (T,) for each seed."""
    cells = {
        "LSTM, forget bias 1": {"forget_bias": 1.0},
        "LSTM, forget bias 0": {"forget_bias": 0.0},
        "GRU": {"cell": "gru"},
    }
    found: dict[str, list[np.ndarray]] = {name: [] for name in cells}
    for seed in SEEDS:
        ids = np.random.default_rng(seed).integers(0, 50, (31, 8))
        for name, options in cells.items():
            model = nl.LanguageModel(50, 32, init_scale=0.18, dtype="float64", rng=seed, **options)
            table = diagnostics.model_lag_table(model, ids[:-1], ids[1:])
            (path,) = (path for path in model.parameters() if path.endswith(".Wh"))
            found[name].append(table.norms_by_lag(path))
    return found


def draw(found: dict[str, dict[str, list[diagnostics.Probe]]]) -> Figure:
    """Draw the gradient by lag on the left, the tasks on the right."""
    figure = Figure(figsize=(10.5, 4.3), layout="constrained", dpi=120)
    left, right = figure.subplots(1, 2)
    for k, (name, runs) in enumerate(lines().items()):
        for seed, norms in enumerate(runs):
            left.plot(norms[:-1], color=SERIES[k], ls=DASHES[k], lw=1.3,
                      label=name if seed == 0 else None)  # fmt: skip
    left.set_yscale("log")
    left.set_xlabel("lag (steps)")
    left.set_ylabel("norm of the part of dWh (log scale)")
    left.set_title("How far back a new cell's gradient reaches", fontsize=10)
    for k, name in enumerate(CELLS):
        points = [
            (place + 0.22 * (k - 1), 100 * run.above_floor)
            for place, of_task in enumerate(found.values())
            for run in of_task[name]
        ]
        right.plot(*zip(*points, strict=True), ls="", marker=MARKERS[k], ms=5, mfc="none",
                   color=SERIES[k], label=name)  # fmt: skip
    right.axhline(2, color=GREY, lw=0.8, ls=":")
    right.annotate("2 %", (len(found) - 0.6, 2.2), color=GREY, fontsize=8)
    right.set_yscale("log")
    right.set_xticks(range(len(found)), list(found), rotation=20)
    right.set_ylabel("loss above the exact floor (%, log scale)")
    right.set_title("How near the floor it is trained, one mark a seed", fontsize=10)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    return figure


if __name__ == "__main__":
    results = {}
    print(f"| Task | {' | '.join(CELLS)} |\n| --- | {' | '.join('---' for _ in CELLS)} |")
    for task in TASKS:
        results[name_of(task)] = measure(task)
        print(row(task, results[name_of(task)]), flush=True)
    draw(results).savefig(PICTURE)
