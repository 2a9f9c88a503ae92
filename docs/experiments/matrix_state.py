"""Measurements of docs/laboratory/matrix-state.md: ``python docs/experiments/matrix_state.py``.

Five networks with equal numbers of state entries learn associative recall. For each of them the
initial scale and the learning rate are searched over one grid (`SCALES`, `RATES`), with the same
seed and the same number of updates. Its best setting is then trained with three other seeds, and
measured by the number of pairs. All of it is done twice: with keys that are written once, and with
rewritten keys. Prints the tables and draws the picture, in some six minutes on one core.
"""

from itertools import product
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import numpylstm as nl
from numpylstm import reference, tasks
from numpylstm.plots.style import GREY, SERIES

PICTURE = Path(__file__).parents[1] / "images" / "matrix-state.png"
K = 8  # entries of a key and of a value: 64 entries of state
UPDATES, BATCH, SEEDS = 1000, 32, (0, 1, 2)
LONGER = 4 * UPDATES  # of the LSTM, once more
NUM_KEYS, MOST = 16, 8  # keys to choose from; most pairs in training
PAIRS = (1, 2, 4, 6, 8, 12, 16)

NETWORKS = ("LSTM", "minGRU", "linear attention", "delta rule", "gated delta rule")
SCALES = (0.1, 0.3, 1.0, 3.0)  # all weights are drawn from U(-scale, scale)
RATES = (0.01, 0.03, 0.1)  # of Adam
SEARCH_SEED = 10  # none of SEEDS
KEEP_BIAS = 3.0  # every gate that can forget starts near sigmoid(3) = 0.95

Setting = tuple[float, float]  # the initial scale and the learning rate


def unit(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of length 1, and the lengths."""
    size = np.linalg.norm(a, axis=-1, keepdims=True)
    return a / size, size


def unit_backward(du: np.ndarray, u: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return the gradient of the rows before `unit`."""
    return (du - u * (du * u).sum(axis=-1, keepdims=True)) / size


class Recaller(nl.Module):
    """Each token has a query, a key, a value, a write gate and a decay; a linear layer decodes.

    Linear attention uses neither the write gate nor the decay, the delta rule no decay.
    """

    def __init__(self, vocab_size: int, rule: str, scale: float, seed: int) -> None:
        own = {"dtype": "float64", "rng": np.random.default_rng(seed), "init_scale": scale}
        self.query = nl.Embedding(vocab_size, K, name="query", **own)
        self.key = nl.Embedding(vocab_size, K, name="key", **own)
        self.value = nl.Embedding(vocab_size, K, name="value", **own)
        self.gate = nl.Embedding(vocab_size, 1, name="gate", **own)
        self.decay = nl.Embedding(vocab_size, 1, name="decay", **own)
        self.decoder = nl.Linear(K, vocab_size, name="decoder", **own)
        self.criterion = nl.SequenceCrossEntropy(average_across_timesteps=True)
        self.rule = rule

    def logits(self, x: np.ndarray, training: bool = False) -> np.ndarray:
        """Return scores (T, B, vocabulary) for ids (T, B)."""
        tables = (self.query, self.key, self.value, self.gate, self.decay)
        q, k, v, write, keep = (table.forward(x, training) for table in tables)
        (q, q_size), (k, k_size) = unit(q), unit(k)
        beta = reference.sigmoid(write[..., 0])
        alpha = reference.sigmoid(keep[..., 0] + KEEP_BIAS)
        S0 = np.zeros((x.shape[1], K, K))
        if self.rule == "linear attention":
            o, S, cache = reference.linear_attention_forward(q, k, v, S0)
        elif self.rule == "delta rule":
            o, S, cache = reference.delta_rule_forward(q, k, v, beta, S0)
        else:
            o, S, cache = reference.gated_delta_rule_forward(q, k, v, beta, alpha, S0)
        self.pending = q, q_size, k, k_size, beta, alpha, np.zeros_like(S), cache
        return self.decoder.forward(o, training)

    def forward(self, x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
        """Return the loss."""
        scores = self.logits(x, training=True)
        return self.criterion.forward(scores, y, weights.astype(scores.dtype))

    def backward(self) -> None:
        """Add to the gradients of all parameters."""
        do = self.decoder.backward(self.criterion.backward())
        q, q_size, k, k_size, beta, alpha, dS, cache = self.pending
        dbeta, dalpha = np.zeros_like(beta), np.zeros_like(alpha)
        if self.rule == "linear attention":
            dq, dk, dv, _ = reference.linear_attention_backward(do, dS, cache)
        elif self.rule == "delta rule":
            dq, dk, dv, dbeta, _ = reference.delta_rule_backward(do, dS, cache)
        else:
            dq, dk, dv, dbeta, dalpha, _ = reference.gated_delta_rule_backward(do, dS, cache)
        self.query.backward(unit_backward(dq, q, q_size))
        self.key.backward(unit_backward(dk, k, k_size))
        self.value.backward(dv)
        self.gate.backward((dbeta * beta * (1 - beta))[..., None])
        self.decay.backward((dalpha * alpha * (1 - alpha))[..., None])


def task_of(pairs: int, rewrites: int = 0) -> tasks.AssociativeRecall:
    """Return the task with this many pairs, without noise."""
    return tasks.AssociativeRecall(pairs, rewrites=rewrites, num_keys=NUM_KEYS, noise=0.0)


def make(name: str, scale: float, seed: int) -> nl.Module:
    """Return a network with 64 entries of state, and its decoder."""
    vocab_size = task_of(1).vocab_size
    own = {"init_scale": scale, "average_across_timesteps": True, "rng": seed}
    if name == "LSTM":  # h and c of 32 units
        return nl.LanguageModel(vocab_size, 32, forget_bias=KEEP_BIAS, **own)
    if name == "minGRU":
        model = nl.LanguageModel(vocab_size, 64, cell="mingru", **own)
        model.parameters()["mingru.0.b"].data[:64] -= KEEP_BIAS  # the bias of z; 1 - z keeps
        return model
    return Recaller(vocab_size, name, scale, seed)


def train(
    name: str, setting: Setting, seed: int, rewritten: bool, updates: int = UPDATES
) -> nl.Module:
    """Train a network on sequences with 1 to `MOST` pairs, and as many rewrites if `rewritten`."""
    scale, rate = setting
    model = make(name, scale, seed)
    optimizer, rng = nl.Adam(model.parameters(), lr=rate), np.random.default_rng(seed)
    for update in range(updates):
        pairs = int(rng.integers(1, MOST + 1))
        batch = task_of(pairs, pairs if rewritten else 0).batch(BATCH, rng)
        optimizer.lr = rate * min(1, 2 - 2 * update / updates)
        optimizer.zero_grad()
        model.forward(batch.x, batch.y, weights=batch.weights)
        model.backward()
        nl.clip_by_global_norm(model.parameters(), 1.0)
        optimizer.step()
    return model


def right(model: nl.Module, pairs: int, rewritten: bool, rng: int = 77) -> float:
    """Return the share of right answers to 200 fresh sequences."""
    batch = task_of(pairs, pairs if rewritten else 0).batch(200, rng=rng)
    scores = model.logits(batch.x)
    scores = scores[0] if isinstance(model, nl.LanguageModel) else scores
    return float((scores.argmax(axis=-1) == batch.y)[batch.weights > 0].mean())


def search(name: str, rewritten: bool) -> dict[Setting, float]:
    """Return the share of right answers, up to `MOST` pairs, of each setting of the grid."""
    found = {}
    for setting in product(SCALES, RATES):
        model = train(name, setting, SEARCH_SEED, rewritten)
        shares = [right(model, n, rewritten, rng=55) for n in PAIRS if n <= MOST]
        found[setting] = float(np.mean(shares))
    return found


def search_table(found: dict[str, dict[Setting, float]]) -> str:
    """Return the grid of each network as a row, its best setting in bold."""
    settings = list(product(SCALES, RATES))
    heads = [f"{scale:g}, {rate:g}" for scale, rate in settings]
    lines = ["| scale, rate | " + " | ".join(heads) + " |", "| --- |" + " ---: |" * len(settings)]
    for name, shares in found.items():
        best = max(shares, key=shares.__getitem__)
        cells = [f"**{shares[s]:.0%}**" if s == best else f"{shares[s]:.0%}" for s in settings]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def measure(name: str, setting: Setting, rewritten: bool, updates: int = UPDATES) -> np.ndarray:
    """Return the shares of right answers, (seed, number of pairs)."""
    models = (train(name, setting, seed, rewritten, updates) for seed in SEEDS)
    return np.array([[right(model, n, rewritten) for n in PAIRS] for model in models])


def table(found: dict[str, np.ndarray]) -> str:
    """Return the medians over the seeds as a table."""
    lines = ["| pairs | " + " | ".join(map(str, PAIRS)) + " |", "| --- |" + " ---: |" * len(PAIRS)]
    for name, shares in found.items():
        cells = " | ".join(f"{share:.1%}" for share in np.median(shares, axis=0))
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def search_and_measure(rewritten: bool) -> dict[str, np.ndarray]:
    """Search each network's setting, print all trials, and return its shares at the best."""
    trials, found = {}, {}
    for name in NETWORKS:
        trials[name] = search(name, rewritten)
        best = max(trials[name], key=trials[name].__getitem__)
        found[name] = measure(name, best, rewritten)
        spread = np.ptp(found[name][:, PAIRS.index(MOST)])
        print(f"{name}: {best}; with {MOST} pairs the seeds differ by {spread:.1%}", flush=True)
        if name == "LSTM":
            found[f"LSTM, {LONGER} updates"] = measure(name, best, rewritten, LONGER)
    print(search_table(trials), table(found), sep="\n\n", flush=True)
    return found


def draw(plain: dict[str, np.ndarray], rewritten: dict[str, np.ndarray]) -> Figure:
    """Draw the share of right answers against the number of pairs, one line for each seed."""
    figure = Figure(figsize=(10, 4.2), layout="constrained", dpi=120)
    panels = figure.subplots(1, 2, sharey=True)
    colours = dict(zip(NETWORKS, SERIES, strict=False))
    titles = ("Each key written once", "Each key written twice, on average")
    for axes, found, title in zip(panels, (plain, rewritten), titles, strict=True):
        for name, shares in found.items():
            network = name.partition(",")[0]
            dash = "-" if name == network else "--"
            for k, row in enumerate(shares):
                label = name if k == 0 and found is plain else None
                axes.plot(PAIRS, 100 * row, dash, marker="o", ms=3, lw=1.2,
                          color=colours[network], label=label)  # fmt: skip
        axes.axhline(12.5, color=GREY, lw=1, ls="--")
        axes.axvline(MOST, color=GREY, lw=1, ls=":")
        axes.set(xlabel="different keys in a sequence", xticks=PAIRS, ylim=(0, 102))
        axes.set_title(title, fontsize=10)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set(ylabel="right answers (%)")
    panels[0].text(16.5, 13.5, "chance", color=GREY, fontsize=8, ha="right")
    panels[0].text(MOST + 0.3, 5, "most in training", color=GREY, fontsize=8)
    figure.legend(loc="outside right center", frameon=False, fontsize=9)
    return figure


if __name__ == "__main__":
    plain, rewritten = search_and_measure(rewritten=False), search_and_measure(rewritten=True)
    draw(plain, rewritten).savefig(PICTURE)
