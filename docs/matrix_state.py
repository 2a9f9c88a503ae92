"""Measurements of docs/laboratory/matrix-state.md: ``python docs/matrix_state.py``.

Trains four layers with equal numbers of state entries on associative recall, with three seeds, by
the number of pairs; then the two rules on rewritten keys; prints the tables and draws the picture.
Some ten minutes on two cores.
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import numpylstm as nl
from numpylstm import reference, tasks
from numpylstm.plots.style import GREY, SERIES

PICTURE = Path(__file__).parent / "images" / "matrix-state.png"
K = 16  # entries of a key and of a value: 256 entries of state
UPDATES, BATCH, SEEDS = 1000, 32, (0, 1, 2)
NUM_KEYS, MOST = 32, 16  # keys to choose from; most pairs in training
PAIRS = (1, 2, 4, 8, 12, 16, 24, 32)
RATES = {"LSTM": 0.005, "minGRU": 0.01, "linear attention": 0.02, "delta rule": 0.02}


def unit(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of length 1, and the lengths."""
    size = np.linalg.norm(a, axis=-1, keepdims=True)
    return a / size, size


def unit_backward(du: np.ndarray, u: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return the gradient of the rows before `unit`."""
    return (du - u * (du * u).sum(axis=-1, keepdims=True)) / size


class Recaller(nl.Module):
    """Each token has a query, a key, a value and a write gate; a linear layer decodes."""

    def __init__(self, vocab_size: int, delta: bool, seed: int) -> None:
        rng = np.random.default_rng(seed)
        own = {"dtype": "float64", "rng": rng}
        self.query = nl.Embedding(vocab_size, K, name="query", init_scale=1.0, **own)
        self.key = nl.Embedding(vocab_size, K, name="key", init_scale=1.0, **own)
        self.value = nl.Embedding(vocab_size, K, name="value", init_scale=1.0, **own)
        self.gate = nl.Embedding(vocab_size, 1, name="gate", init_scale=1.0, **own)
        self.decoder = nl.Linear(K, vocab_size, name="decoder", init_scale=0.3, **own)
        self.criterion = nl.SequenceCrossEntropy(average_across_timesteps=True)
        self.delta = delta

    def logits(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        """Return scores (T, B, vocabulary) for ids (T, B)."""
        tables = (self.query, self.key, self.value, self.gate)
        q, k, v, a = (table.forward(x, training) for table in tables)
        (q, q_size), (k, k_size) = unit(q), unit(k)
        beta, S0 = reference.sigmoid(a[..., 0]), np.zeros((x.shape[1], K, K))
        if self.delta:
            o, S, cache = reference.delta_rule_forward(q, k, v, beta, S0)
        else:
            o, S, cache = reference.linear_attention_forward(q, k, v, S0)
        self.pending = q, q_size, k, k_size, beta, np.zeros_like(S), cache
        return self.decoder.forward(o, training)

    def forward(self, x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
        """Return the loss."""
        return self.criterion.forward(self.logits(x, training=True), y, weights)

    def backward(self) -> None:
        """Add to the gradients of all parameters."""
        do = self.decoder.backward(self.criterion.backward())
        q, q_size, k, k_size, beta, dS, cache = self.pending
        if self.delta:
            dq, dk, dv, dbeta, _ = reference.delta_rule_backward(do, dS, cache)
        else:
            dq, dk, dv, _ = reference.linear_attention_backward(do, dS, cache)
            dbeta = np.zeros_like(beta)
        self.query.backward(unit_backward(dq, q, q_size))
        self.key.backward(unit_backward(dk, k, k_size))
        self.value.backward(dv)
        self.gate.backward((dbeta * beta * (1 - beta))[..., None])


def task_of(pairs: int, rewrites: int = 0) -> tasks.AssociativeRecall:
    """Return the task with this many pairs, without noise."""
    return tasks.AssociativeRecall(pairs, rewrites=rewrites, num_keys=NUM_KEYS, noise=0.0)


def make(name: str, seed: int) -> nl.Module:
    """Return a layer with 256 entries of state, and its decoder."""
    vocab_size = task_of(1).vocab_size
    own = {"dtype": "float64", "init_scale": 0.1, "average_across_timesteps": True, "rng": seed}
    if name == "LSTM":  # h and c of 128 units
        return nl.LanguageModel(vocab_size, 128, embedding_size=64, **own)
    if name == "minGRU":
        return nl.LanguageModel(vocab_size, 256, embedding_size=64, cell="mingru", **own)
    return Recaller(vocab_size, name == "delta rule", seed)


def train(name: str, seed: int, rewritten: bool) -> nl.Module:
    """Train a layer on sequences with 1 to 16 pairs, and as many rewrites if `rewritten`."""
    model, rate = make(name, seed), RATES[name]
    optimizer, rng = nl.Adam(model.parameters(), lr=rate), np.random.default_rng(seed)
    for update in range(UPDATES):
        pairs = int(rng.integers(1, MOST + 1))
        batch = task_of(pairs, pairs if rewritten else 0).batch(BATCH, rng)
        optimizer.lr = rate * min(1, 2 - 2 * update / UPDATES)
        optimizer.zero_grad()
        model.forward(batch.x, batch.y, weights=batch.weights.astype(float))
        model.backward()
        nl.clip_by_global_norm(model.parameters(), 1.0)
        optimizer.step()
    return model


def right(model: nl.Module, pairs: int, rewrites: int) -> float:
    """Return the share of right answers to 200 fresh sequences."""
    batch = task_of(pairs, rewrites).batch(200, rng=77)
    scores = model.logits(batch.x)
    scores = scores[0] if isinstance(model, nl.LanguageModel) else scores
    return float((scores.argmax(axis=-1) == batch.y)[batch.weights > 0].mean())


def measure(names: tuple[str, ...], rewritten: bool) -> dict[str, np.ndarray]:
    """Return the shares of right answers of each layer, (seed, number of pairs)."""
    found = {}
    for name in names:
        rows = []
        for seed in SEEDS:
            model = train(name, seed, rewritten)
            rows.append([right(model, n, n if rewritten else 0) for n in PAIRS])
            print(
                f"{name}, seed {seed}: " + ", ".join(f"{share:.1%}" for share in rows[-1]),
                flush=True,
            )
        found[name] = np.array(rows)
    return found


def table(found: dict[str, np.ndarray]) -> str:
    """Return the medians over the seeds as a table."""
    lines = ["| pairs | " + " | ".join(map(str, PAIRS)) + " |", "| --- |" + " ---: |" * len(PAIRS)]
    for name, shares in found.items():
        cells = " | ".join(f"{share:.1%}" for share in np.median(shares, axis=0))
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def draw(plain: dict[str, np.ndarray], rewritten: dict[str, np.ndarray]) -> Figure:
    """Draw the share of right answers against the number of pairs, one line for each seed."""
    figure = Figure(figsize=(10, 4.2), layout="constrained", dpi=120)
    panels = figure.subplots(1, 2, sharey=True)
    colours = dict(zip(RATES, SERIES, strict=False))
    titles = ("Each key written once", "Each key written twice, on average")
    for axes, found, title in zip(panels, (plain, rewritten), titles, strict=True):
        for name, shares in found.items():
            for k, row in enumerate(shares):
                label = name if k == 0 and found is plain else None
                axes.plot(PAIRS, 100 * row, "o-", ms=3, lw=1.2, color=colours[name], label=label)
        axes.axhline(12.5, color=GREY, lw=1, ls="--")
        axes.axvline(MOST, color=GREY, lw=1, ls=":")
        axes.set(xlabel="different keys in a sequence", ylim=(0, 102))
        axes.set_title(title, fontsize=10)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set(ylabel="right answers (%)")
    panels[0].text(33, 13.5, "chance", color=GREY, fontsize=8, ha="right")
    panels[0].text(MOST + 0.3, 60, "most in training", color=GREY, fontsize=8)
    figure.legend(loc="outside right center", frameon=False, fontsize=9)
    return figure


if __name__ == "__main__":
    plain = measure(tuple(RATES), rewritten=False)
    rewritten = measure(("linear attention", "delta rule"), rewritten=True)
    print(table(plain), table(rewritten), sep="\n\n")
    draw(plain, rewritten).savefig(PICTURE)
