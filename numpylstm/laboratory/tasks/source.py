"""Finite-state sources: random text whose entropy is a sum, not an estimate."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numpylstm.checks import check_number, check_sizes, check_whole
from numpylstm.laboratory.tasks.task import entropy

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
        TypeError, ValueError
            If the arcs of a state do not sum to one, two of them carry one symbol, or one is no
            arc.
        """
        check_sizes("Source", vocab_size=vocab_size)
        if not (isinstance(arcs, Mapping) and arcs):
            raise TypeError(
                f"Source: arcs must be a dict of state -> arcs, not empty, got {arcs!r}"
            )
        names = tuple(arcs)
        rows = [_checked(state, arcs, vocab_size) for state in names]
        width = max(map(len, rows))
        number = {name: k for k, name in enumerate(names)}
        symbols = np.zeros((len(rows), width), np.int32)
        probabilities = np.zeros((len(rows), width))
        targets = np.zeros((len(rows), width), np.int64)
        for k, row in enumerate(rows):
            for a, (symbol, probability, target) in enumerate(row):
                symbols[k, a], probabilities[k, a] = symbol, probability
                targets[k, a] = number[target]
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


def _checked(state: Hashable, arcs: Mapping[Hashable, Iterable[Arc]], vocab_size: int) -> list[Arc]:
    """The arcs that leave a state, if they are such."""
    leaving = arcs[state]
    row = list(leaving) if isinstance(leaving, Iterable) else [leaving]
    where = f"the arcs of state {state!r}"
    for arc in row:
        if not (isinstance(arc, tuple) and len(arc) == 3):
            raise TypeError(
                f"Source: {where} must be (symbol, probability, next state), got {arc!r}"
            )
        symbol, probability, target = arc
        check_whole("Source", f"each symbol in {where}", symbol, 0, vocab_size - 1)
        check_number("Source", f"each probability in {where}", probability)
        if not 0 <= probability <= 1:
            raise ValueError(
                f"Source: each probability in {where} must be from 0 to 1, got {probability}"
            )
        if not isinstance(target, Hashable) or target not in arcs:
            raise ValueError(f"Source: {where} must lead to states that have arcs, got {target!r}")
    if len({symbol for symbol, _, _ in row}) < len(row):
        raise ValueError(
            f"Source: {where} must carry different symbols, got "
            f"{[symbol for symbol, _, _ in row]}; else the text does not tell the state"
        )
    total = sum(probability for _, probability, _ in row)
    if abs(total - 1) > 1e-12:
        raise ValueError(f"Source: {where} must have probabilities that sum to 1, got {total}")
    return row
