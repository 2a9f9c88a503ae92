"""Finite-state sources: random text whose entropy is a sum, not an estimate."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numpylstm.checks import check_sizes
from numpylstm.tasks.task import entropy

Array = NDArray[Any]
Arc = tuple[int, float, Hashable]


@dataclass(frozen=True, eq=False)
class Source:
    """A machine that emits a symbol at each step and moves on (Shannon 1948).

    The arcs that leave a state carry different symbols, so whoever has read all symbols knows the
    state (such a source is called unifilar). What is uncertain about the next symbol is therefore
    the entropy of the arcs of one state, and the entropy of a text is a sum over time:

        H(y_1 ... y_T) = sum over t, s of P(state t = s) * H(arcs of s)

    where ``P(state t+1) = P(state t) @ transition``. Nothing is simulated.

    Parameters
    ----------
    symbols : (S, A) integers
        The symbol of each arc of each state; rows are filled up with arcs of probability 0.
    probabilities : (S, A)
        Rows sum to one.
    targets : (S, A) integers
        The state that each arc leads to.
    vocab_size : int
    names : tuple
        What the states are called; state 0 is the first.
    """

    symbols: Array
    probabilities: Array
    targets: Array
    vocab_size: int
    names: tuple[Hashable, ...]

    @classmethod
    def from_arcs(cls, arcs: Mapping[Hashable, Iterable[Arc]], vocab_size: int) -> "Source":
        """Build a source from ``{state: [(symbol, probability, next state), ...]}``.

        The first state of the dict is the one in which texts begin.

        Raises
        ------
        ValueError
            If the arcs of a state do not sum to one, or two of them carry one symbol.
        """
        names = tuple(arcs)
        rows = [list(leaving) for leaving in arcs.values()]
        width = max(map(len, rows))
        number = {name: k for k, name in enumerate(names)}
        symbols = np.zeros((len(rows), width), np.int32)
        probabilities = np.zeros((len(rows), width))
        targets = np.zeros((len(rows), width), np.int64)
        for k, row in enumerate(rows):
            if len({symbol for symbol, _, _ in row}) < len(row):
                raise ValueError(
                    f"Source: the arcs of state {names[k]!r} must carry different symbols, got "
                    f"{[symbol for symbol, _, _ in row]}; else the text does not tell the state"
                )
            for a, (symbol, probability, target) in enumerate(row):
                symbols[k, a], probabilities[k, a] = symbol, probability
                targets[k, a] = number[target]
            if abs(probabilities[k].sum() - 1) > 1e-12:
                raise ValueError(
                    f"Source: the arcs of state {names[k]!r} must have probabilities that sum to "
                    f"1, got {probabilities[k].sum()}"
                )
        return cls(symbols, probabilities, targets, vocab_size, names)

    def visits(self, num_steps: int) -> Array:
        """How often each state emits, on average, in the first `num_steps` steps: (S,)."""
        check_sizes("Source", num_steps=num_steps)
        S = len(self.names)
        transition = np.zeros((S, S))
        np.add.at(transition, (np.arange(S)[:, None], self.targets), self.probabilities)
        now = np.eye(S)[0]
        total = np.zeros(S)
        for _ in range(num_steps):
            total += now
            now = now @ transition
        return total

    def entropy(self, num_steps: int) -> float:
        """Entropy of the first `num_steps` symbols together, in nats."""
        of_state = np.array([entropy(row) for row in self.probabilities])
        return float(self.visits(num_steps) @ of_state)

    def frequencies(self, num_steps: int) -> Array:
        """Share of each symbol among the first `num_steps`, on average: (V,)."""
        counts = np.zeros(self.vocab_size)
        np.add.at(counts, self.symbols, self.visits(num_steps)[:, None] * self.probabilities)
        return counts / num_steps

    def sample(
        self, num_steps: int, batch_size: int, rng: np.random.Generator
    ) -> tuple[Array, Array]:
        """Draw texts.

        Returns
        -------
        symbols : (T, B) int32
        nll : (T, B)
            -log of the probability of each symbol given those before it.
        """
        check_sizes("Source.sample", num_steps=num_steps, batch_size=batch_size)
        cumulative = self.probabilities.cumsum(axis=1)
        cumulative[self.probabilities.cumsum(axis=1) > 1 - 1e-12] = 1  # rounding opens no gap
        symbols = np.empty((num_steps, batch_size), np.int32)
        nll = np.empty((num_steps, batch_size))
        state = np.zeros(batch_size, np.int64)
        for t, u in enumerate(rng.random((num_steps, batch_size))):
            arc = (u[:, None] >= cumulative[state]).sum(axis=1)  # (B,)
            symbols[t] = self.symbols[state, arc]
            nll[t] = -np.log(self.probabilities[state, arc])
            state = self.targets[state, arc]
        return symbols, nll
