"""The embedded Reber grammar: strings in which the last letter but one repeats the second."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from numpylstm.checks import check_sizes, generator
from numpylstm.laboratory.tasks.source import Arc, Source
from numpylstm.laboratory.tasks.task import Batch, Recipe, entropy, with_plain_numbers

TOKENS = ("B", "T", "P", "S", "X", "V", "E")

# Reber (1967), as drawn by Cleeremans, Servan-Schreiber and McClelland (1989): from each state,
# letters and the states they lead to, equally likely.
REBER = {
    1: {"T": 2, "P": 3},
    2: {"S": 2, "X": 4},
    3: {"T": 3, "V": 5},
    4: {"X": 3, "S": 6},
    5: {"P": 4, "V": 6},
    6: {"E": 7},
}


def embedded_reber() -> Source:
    """The stream of embedded strings, from the state after a first B on.

    A string is B, a letter T or P, a whole Reber string (B ... E), the same letter again, E; then
    the next one begins. States of the inner grammar exist twice, once for each letter: that copy
    is the one bit to be remembered.
    """

    def equally(letters: dict[str, Hashable]) -> list[Arc]:
        return [(TOKENS.index(a), 1 / len(letters), state) for a, state in letters.items()]

    arcs: dict[Hashable, list[Arc]] = {"begun": equally({"T": ("T", 0), "P": ("P", 0)})}
    for letter in "TP":
        arcs[letter, 0] = equally({"B": (letter, 1)})
        for state, letters in REBER.items():
            arcs[letter, state] = equally({a: (letter, to) for a, to in letters.items()})
        arcs[letter, 7] = equally({letter: "ended"})
    arcs["ended"] = equally({"E": "next"})
    arcs["next"] = equally({"B": "begun"})
    return Source.from_arcs(arcs, len(TOKENS))


@dataclass(frozen=True)
class EmbeddedReber:
    """Predict every next letter of a stream of embedded Reber strings.

    Reber (1967) made the grammar for people, Cleeremans et al. (1989) gave it to recurrent
    networks, Hochreiter and Schmidhuber (1997) to the LSTM, and Gers, Schmidhuber and Cummins
    (2000) ran the strings together, as is done here. Windows begin with the B of a string.

    Every letter is scored. The letters tell the state of the automaton, so the entropy of a window
    is a sum over its states (see `Source`): ``floor`` is that sum divided by T, and for large T
    the entropy rate of the grammar. ``chance`` is the entropy of the letters' frequencies.
    ``forgetful`` is the loss of a predictor that knows all but which letter came second: log(2)
    more whenever that letter returns.

    Parameters
    ----------
    num_steps : int
        T. A string has 12 letters on average and at least 9.
    """

    num_steps: int = 40

    recipe: ClassVar[Recipe] = Recipe(lr=0.3, init_scale=0.2, forget_bias=2.0, steps=2000)
    tokens: ClassVar[tuple[str, ...]] = TOKENS
    vocab_size: ClassVar[int] = len(TOKENS)

    def __post_init__(self) -> None:
        check_sizes("EmbeddedReber", num_steps=self.num_steps)
        with_plain_numbers(self)

    @cached_property
    def source(self) -> Source:
        """The automaton."""
        return embedded_reber()

    @property
    def chance(self) -> float:
        """Loss, in nats for each scored token, of knowing the targets' frequencies only."""
        return entropy(self.source.frequencies(self.num_steps))

    @property
    def floor(self) -> float:
        """Smallest possible expected loss, in nats for each scored token."""
        return self.source.entropy(self.num_steps) / self.num_steps

    @property
    def forgetful(self) -> float:
        """Smallest possible loss without the memory of the second letter."""
        returns = [name in (("T", 7), ("P", 7)) for name in self.source.names]
        visits = self.source.visits(self.num_steps)[returns].sum()
        return self.floor + float(np.log(2) * visits) / self.num_steps

    def batch(self, batch_size: int, rng: np.random.Generator | int) -> Batch:
        """Draw windows; the same seed gives the same bytes."""
        check_sizes("EmbeddedReber.batch", batch_size=batch_size)
        y, nll = self.source.sample(self.num_steps, batch_size, generator(rng))
        x = np.concatenate([np.zeros((1, batch_size), y.dtype), y[:-1]])  # 0 is B
        return Batch(x, y, np.ones(y.shape, np.float32), nll)
