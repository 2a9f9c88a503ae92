"""Measurements of docs/laboratory/after-the-lstm.md: ``python docs/experiments/after_the_lstm.py``.

Trains six cells on two probe tasks (``tasks``), with three seeds, and then measures what a training
step and a layer cost (``times``); prints the tables and draws the picture, in an hour. With PyTorch
installed, its layers are measured beside ours.
"""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
from matplotlib.figure import Figure

import numpylstm as nl
from numpylstm import diagnostics, functional, tasks
from numpylstm.plots.style import GREY, SERIES

PICTURE = Path(__file__).parents[1] / "images" / "after-the-lstm.png"
CELLS = {
    "RNN": {"cell": "rnn"},
    "LSTM": {"cell": "lstm"},
    "GRU": {"cell": "gru"},
    "minGRU": {"cell": "mingru"},
    "minGRU, signed": {"cell": "mingru", "factors": "signed"},
    "sLSTM": {"cell": "slstm"},
}
PARITY, COPY = tasks.Parity(40), tasks.SelectiveCopy()
HOW = {  # recipe and layers
    PARITY: (PARITY.recipe, 1),
    COPY: (replace(COPY.recipe, hidden_size=64, steps=5000), 2),
}
RATES, SEEDS = (0.3, 1.0), (0, 1, 2)
OPEN = -3.0  # added to the bias of z in a minGRU: z starts at 0.05, and keeps most of the state
LENGTHS = (40, 512, 4096)
Found = dict[str, list[diagnostics.Probe]]


def settings(task: tasks.Task, name: str) -> list[tuple[float, float]]:
    """Return the pairs of learning rate and bias of z that are tried for a cell."""
    pairs = [(lr, 0.0) for lr in RATES]
    if task is COPY and name.startswith("minGRU"):
        pairs.append((0.3, OPEN))
    return pairs


def make(task: tasks.Task, seed: int, options: dict, z_bias: float) -> nl.LanguageModel:
    """Return a new network, with the initial values that `diagnostics.probe` would draw."""
    recipe, layers = HOW[task]
    if options["cell"] in ("lstm", "slstm"):
        options = {"forget_bias": recipe.forget_bias} | options
    model = nl.LanguageModel(
        task.vocab_size, recipe.hidden_size, layers, init_scale=recipe.init_scale,
        rng=np.random.default_rng(seed).spawn(1)[0], average_across_timesteps=True, **options,
    )  # fmt: skip
    for path, parameter in model.parameters().items():
        if path.startswith("mingru") and path.endswith(".b"):
            parameter.data[: recipe.hidden_size] += z_bias  # the blocks are z, n
    return model


def train(
    task: tasks.Task, lr: float, z_bias: float, seed: int, options: dict
) -> diagnostics.Probe:
    """Train a cell on a task."""
    recipe = replace(HOW[task][0], lr=lr)
    model = make(task, seed, options, z_bias)
    return diagnostics.probe(task, model=model, recipe=recipe, rng=seed)


def measure(task: tasks.Task) -> tuple[Found, Found]:
    """Return the runs of each cell, one for each seed, at the setting with the lowest mean loss.

    And those of the minGRUs at the rate 0.3 that begin with z near 1/2.
    """
    found, closed = {}, {}
    for name, options in CELLS.items():
        runs = {
            pair: [train(task, *pair, seed, options) for seed in SEEDS]
            for pair in settings(task, name)
        }
        best = min(runs, key=lambda pair: sum(run.loss for run in runs[pair]))
        found[name] = runs[best]
        for (lr, z_bias), three in runs.items():
            print(f"{type(task).__name__}, {name}, rate {lr}, bias of z {z_bias:+g}"
                  f"{' (chosen)' * (three is runs[best])}: "
                  + ", ".join(f"{run.share:.1%}" for run in three), flush=True)  # fmt: skip
            if name.startswith("minGRU") and lr == 0.3 and not z_bias:
                closed[name] = three
    return found, closed


def enough(run: diagnostics.Probe) -> int | None:
    """Return the updates after which 95 % of the way from chance to the floor is made."""
    level = run.chance - 0.95 * (run.chance - run.floor)
    return next((point.step for point in run.curve if point.loss <= level), None)


def right(run: diagnostics.Probe, task: tasks.Task) -> np.ndarray:
    """Return the share of right answers at each scored step of 1000 fresh sequences."""
    batch = replace(task, noise=0.0).batch(1000, rng=7)
    _, answers, _ = run.model.score(batch.x, batch.y)
    return (answers == batch.y)[batch.weights[:, 0] > 0].mean(axis=1)


def rows(parity: Found, copy: Found) -> list[str]:
    """Return the lines of the table of accuracy and updates."""
    lines = ["| | parity, 1 to 40 | 41 to 256 | updates | selective copy | updates |",
             "| --- | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for name in CELLS:
        by_step = [right(run, tasks.Parity(256)) for run in parity[name]]
        columns = [[f"{share[:40].mean():.1%}" for share in by_step],
                   [f"{share[40:].mean():.1%}" for share in by_step],
                   [f"{enough(run) or '-'}" for run in parity[name]],
                   [f"{right(run, COPY).mean():.1%}" for run in copy[name]],
                   [f"{enough(run) or '-'}" for run in copy[name]]]  # fmt: skip
        lines.append(f"| {name} | {' | '.join(', '.join(column) for column in columns)} |")
    return lines


def draw(parity: dict[str, list[np.ndarray]], copy: Found, closed: Found) -> Figure:
    """Draw parity by length on the left, and learning curves of the copy on the right.

    `closed` are runs of the minGRUs that begin with z near 1/2; they are dotted.
    """
    figure = Figure(figsize=(11, 4.3), layout="constrained", dpi=120)
    left, panel = figure.subplots(1, 2)
    colours = dict(zip(CELLS, SERIES, strict=True))
    for name, three in parity.items():
        for share in three:
            left.plot(np.arange(1, 257), 100 * share, color=colours[name], lw=1.2)
    for runs, style, end in ((copy, "-", ""), (closed, ":", ", z near 1/2")):
        for name, three in runs.items():
            for k, run in enumerate(three):
                way = [100 * (run.chance - p.loss) / (run.chance - run.floor) for p in run.curve]
                panel.plot([p.step for p in run.curve], way, color=colours[name], lw=1.2, ls=style,
                           label=f"{name}{end}" if k == 0 else None)  # fmt: skip
    left.axvline(40, color=GREY, lw=1, ls="--")
    left.annotate("longest in training", (43, 72), color=GREY, fontsize=8)
    left.annotate("all but the minGRU", (150, 97), color=GREY, fontsize=8)
    left.set(xlabel="length (bits)", ylabel="right answers (%)", xlim=(1, 256), ylim=(44, 101))
    left.set_title("Parity", fontsize=10)
    panel.set(xlabel="updates", ylabel="way from chance to the floor (%)", ylim=(-2, 101))
    panel.set_title("Eight letters among 64 steps", fontsize=10)
    figure.legend(*panel.get_legend_handles_labels(), frameon=False, fontsize=8,
                  loc="outside right center")  # fmt: skip
    for axes in (left, panel):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def median_time(calls: dict[str, object], turns: int = 7) -> dict[str, float]:
    """Return the median seconds of each call, taken in turns after one turn that is not counted."""
    seconds = {name: [] for name in calls}
    for _ in range(turns + 1):
        for name, call in calls.items():
            start = perf_counter()
            call()
            seconds[name].append(perf_counter() - start)
    return {name: float(np.median(times[1:])) for name, times in seconds.items()}


def step_times() -> None:
    """Print the milliseconds of a training step on parity, 128 units, 16 sequences, by length."""
    print("| | " + " | ".join(f"T = {T}" for T in LENGTHS) + " |\n| --- | ---: | ---: | ---: |")
    found = {}
    for T in LENGTHS:
        batch = tasks.Parity(T).batch(16, rng=0)

        def step(model: nl.LanguageModel, optimizer: nl.SGD, batch=batch) -> None:
            model.forward(batch.x, batch.y)
            optimizer.zero_grad()
            model.backward()
            nl.clip_by_global_norm(model.parameters(), 1.0)
            optimizer.step()

        calls = {}
        for name, options in CELLS.items():
            model = nl.LanguageModel(4, 128, average_across_timesteps=True, rng=0, **options)
            optimizer = nl.SGD(model.parameters(), 0.01)
            calls[name] = lambda m=model, o=optimizer: step(m, o)
        found[T] = median_time(calls)
    for name in CELLS:
        print(f"| {name} | " + " | ".join(f"{found[T][name] * 1e3:.1f}" for T in LENGTHS) + " |")


def layer_times() -> None:
    """Print the tokens a second of a layer, forward and backward, of ours and of PyTorch."""
    rng = np.random.default_rng(0)
    for H in (200, 650):
        for T in (35, 512):
            x, dhs = rng.standard_normal((2, T, 20, H)).astype("float32")
            h0 = np.zeros((20, H), "float32")
            Wx, Wh = (rng.standard_normal((2, H, 4 * H)) / np.sqrt(H)).astype("float32")
            b = np.zeros(4 * H, "float32")
            two = slice(2 * H)
            Wz, bz = np.ascontiguousarray(Wx[:, two]), b[two]

            def lstm(x=x, dhs=dhs, h0=h0, Wx=Wx, Wh=Wh, b=b) -> None:
                *_, cache = functional.lstm_forward(x, h0, h0, Wx, Wh, b)
                functional.lstm_backward(dhs, h0, h0, cache)

            def mingru(x=x, dhs=dhs, h0=h0, Wz=Wz, bz=bz) -> None:
                *_, cache = functional.mingru_forward(x, h0, Wz, bz)
                functional.mingru_backward(dhs, h0, cache)

            calls = {"LSTM": lstm, "minGRU": mingru}
            if importlib.util.find_spec("torch"):
                calls |= torch_calls(x, dhs, Wx, Wh, Wz)
            times = median_time(calls, turns=5)
            print(f"H {H}, T {T}: " + ", ".join(
                f"{name} {20 * T / seconds:,.0f}" for name, seconds in times.items()),
                flush=True)  # fmt: skip


def torch_calls(x, dhs, Wx, Wh, Wz) -> dict[str, object]:
    """Return forward and backward of PyTorch's LSTM, and of a minGRU by steps and in rounds."""
    import torch

    torch.set_num_threads(nl.get_num_threads())
    T, B, H = x.shape
    module = torch.nn.LSTM(H, H)
    with torch.no_grad():
        module.weight_ih_l0.copy_(torch.from_numpy(Wx.T.copy()))
        module.weight_hh_l0.copy_(torch.from_numpy(Wh.T.copy()))
    x, dhs = torch.from_numpy(x).requires_grad_(), torch.from_numpy(dhs)
    h0 = torch.zeros(B, H, requires_grad=True)
    W, b = torch.from_numpy(Wz).requires_grad_(), torch.zeros(2 * H, requires_grad=True)
    leaves = (x, h0, W, b)

    def gates():
        a_z, n = torch.addmm(b, x.view(T * B, H), W).view(T, B, 2 * H).chunk(2, 2)
        z = torch.sigmoid(a_z)
        return 1 - z, z * n

    def by_steps():
        h, hs = h0, []
        for keep, write in zip(*gates(), strict=True):
            h = torch.addcmul(write, keep, h)
            hs.append(h)
        return torch.stack(hs)

    def in_rounds():
        a, c = gates()
        c = torch.cat([c[:1] + a[:1] * h0, c[1:]])
        reach = 1
        while reach < T:
            c = torch.cat([c[:reach], torch.addcmul(c[reach:], a[reach:], c[:-reach])])
            a = torch.cat([a[:reach], a[reach:] * a[:-reach]])
            reach *= 2
        return c

    ours = functional.mingru_forward(*(leaf.detach().numpy() for leaf in leaves))[0]
    for hs in (by_steps(), in_rounds()):
        np.testing.assert_allclose(hs.detach(), ours, rtol=0, atol=1e-4)
    return {
        "PyTorch's LSTM": lambda: torch.autograd.grad(module(x)[0], (x, *module.parameters()), dhs),
        "minGRU in PyTorch, by steps": lambda: torch.autograd.grad(by_steps(), leaves, dhs),
        "in rounds": lambda: torch.autograd.grad(in_rounds(), leaves, dhs),
    }


if __name__ == "__main__":
    if "times" not in sys.argv[1:]:
        parity, _ = measure(PARITY)
        copy, closed = measure(COPY)
        print("\n".join(rows(parity, copy)))
        by_length = {n: [right(r, tasks.Parity(256)) for r in runs] for n, runs in parity.items()}
        draw(by_length, copy, closed).savefig(PICTURE)
    if "tasks" not in sys.argv[1:]:
        step_times()
        layer_times()
