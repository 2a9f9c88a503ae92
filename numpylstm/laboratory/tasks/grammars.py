"""Tasks whose text comes from a grammar, and the automaton that writes it."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from numpylstm.checks import Array, Rng, check_sizes, check_whole, generator
from numpylstm.data import UNK
from numpylstm.laboratory.tasks.task import Batch, Recipe, entropy

Arc = tuple[int, float, Hashable]

RECIPE = Recipe(lr=0.3, init_scale=0.2, forget_bias=2.0, steps=2000)


class Source:
    """Finite-state source: it emits a symbol at each step and moves on (Shannon 1948).

    The arcs that leave a state carry different symbols, so the symbols determine the states (the
    source is unifilar). The uncertainty of the next symbol is the entropy of the arcs of one state,
    and the entropy of a text is a sum over time, computed exactly:

        H(y_1 ... y_T) = sum over t, s of P(state t = s) * H(arcs of s)

    where ``P(state t+1) = P(state t) @ transition``.

    Parameters
    ----------
    arcs : dict of state -> list of (symbol, probability, next state)
        Texts begin in the first state. The probabilities of a state sum to one.
    """

    def __init__(self, arcs: Mapping[Hashable, Sequence[Arc]]) -> None:
        self.names = tuple(arcs)
        size = len(arcs), max(map(len, arcs.values()))  # rows end in arcs of probability 0
        self.symbols, self.targets = np.zeros(size, np.int32), np.zeros(size, np.int64)
        self.probabilities = np.zeros(size)
        for k, row in enumerate(arcs.values()):
            for a, (symbol, probability, target) in enumerate(row):
                self.symbols[k, a], self.probabilities[k, a] = symbol, probability
                self.targets[k, a] = self.names.index(target)

    def visits(self, num_steps: int) -> Array:
        """Return the mean number of visits to each state in the first `num_steps` steps, (S,)."""
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
        """Return the entropy of the first `num_steps` symbols together, in nats."""
        of_state = np.array([entropy(row) for row in self.probabilities])
        return float(self.visits(num_steps) @ of_state)

    def frequencies(self, num_steps: int) -> Array:
        """Return the mean share of each symbol among the first `num_steps`, (V,)."""
        visits = self.visits(num_steps)[:, None] * self.probabilities
        return np.bincount(self.symbols.ravel(), visits.ravel()) / num_steps

    def batch(self, num_steps: int, batch_size: int, first: int, rng: Rng) -> Batch:
        """Draw texts to predict; x begins with the symbol `first`."""
        cumulative = self.probabilities.cumsum(axis=1)
        cumulative[cumulative > 1 - 1e-12] = 1  # not slightly less, by rounding
        y = np.empty((num_steps, batch_size), np.int32)
        nll = np.empty((num_steps, batch_size))
        state = np.zeros(batch_size, np.int64)
        for t, u in enumerate(generator(rng).random((num_steps, batch_size))):
            arc = (u[:, None] >= cumulative[state]).sum(axis=1)  # (B,)
            y[t] = self.symbols[state, arc]
            nll[t] = -np.log(self.probabilities[state, arc])
            state = self.targets[state, arc]
        x = np.roll(y, 1, axis=0)
        x[0] = first
        return Batch(x, y, np.ones(y.shape, np.float32), nll)


class Grammar:
    """Base class: every token of a text that a `source` writes is predicted.

    A subclass has `source`, `num_steps`, `tokens`, and the token `before` a text.
    """

    @property
    def chance(self: Any) -> float:
        """Loss, in nats per scored token, of a model that knows only the targets' frequencies."""
        return entropy(self.source.frequencies(self.num_steps))

    @property
    def floor(self: Any) -> float:
        """Smallest possible expected loss, in nats per scored token."""
        return self.source.entropy(self.num_steps) / self.num_steps

    def batch(self: Any, batch_size: int, rng: Rng) -> Batch:
        """Draw texts; the same seed gives the same bytes."""
        check_sizes(f"{type(self).__name__}.batch", batch_size=batch_size)
        return self.source.batch(self.num_steps, batch_size, self.tokens.index(self.before), rng)


# --- the embedded Reber grammar -------------------------------------------------------------------

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


@dataclass(frozen=True)
class EmbeddedReber(Grammar):
    """Predict every next letter of a stream of embedded Reber strings.

    Reber (1967) made the grammar for people, Cleeremans et al. (1989) used it for recurrent
    networks, Hochreiter and Schmidhuber (1997) for the LSTM, and Gers, Schmidhuber and Cummins
    (2000) concatenated the strings, as is done here. Windows begin with the B of a string.

    Every letter is scored. The letters determine the state of the automaton, so the entropy of a
    window is a sum over its states (see `Source`): ``floor`` is that sum divided by T, and for
    large T the entropy rate of the grammar. ``chance`` is the entropy of the letters' frequencies.
    ``forgetful`` is the loss of a predictor that knows everything but the second letter: log(2)
    more whenever that letter returns.

    Parameters
    ----------
    num_steps : int
        T. A string has 12 letters on average and at least 9.
    """

    num_steps: int = 40

    recipe: ClassVar[Recipe] = RECIPE
    tokens: ClassVar[tuple[str, ...]] = ("B", "T", "P", "S", "X", "V", "E")
    vocab_size: ClassVar[int] = len(tokens)
    before: ClassVar[str] = "B"

    def __post_init__(self) -> None:
        check_whole("EmbeddedReber", "num_steps", self.num_steps)

    @cached_property
    def source(self) -> Source:
        """The automaton of the stream, from the state after a first B on.

        A string is B, a letter T or P, a whole Reber string (B ... E), the same letter again, E;
        then the next string begins. Each state of the inner grammar exists twice, once for each
        letter: the copy is the one bit to remember.
        """

        def equally(letters: Mapping[str, Hashable]) -> list[Arc]:
            return [(self.tokens.index(a), 1 / len(letters), to) for a, to in letters.items()]

        arcs: dict[Hashable, list[Arc]] = {"begun": equally({"T": ("T", 0), "P": ("P", 0)})}
        for letter in "TP":
            arcs[letter, 0] = equally({"B": (letter, 1)})
            for state, letters in REBER.items():
                arcs[letter, state] = equally({a: (letter, to) for a, to in letters.items()})
            arcs[letter, 7] = equally({letter: "ended"})
        arcs["ended"] = equally({"E": "next"})
        arcs["next"] = equally({"B": "begun"})
        return Source(arcs)

    @property
    def forgetful(self) -> float:
        """Smallest possible loss without the memory of the second letter."""
        returns = [name in (("T", 7), ("P", 7)) for name in self.source.names]
        visits = self.source.visits(self.num_steps)[returns].sum()
        return self.floor + float(np.log(2) * visits) / self.num_steps


# --- English with a pronoun -----------------------------------------------------------------------

SUBJECTS = {
    "her": ("girl", "woman", "queen", "aunt"),
    "his": ("boy", "man", "king", "uncle"),
}
PEOPLE = (*SUBJECTS["her"], *SUBJECTS["his"])
PLACES = ("house", "river", "tree", "garden", "bridge", "tower", "mill", "lake")
ADJECTIVES = ("old", "small", "quiet", "tall")
PREPOSITIONS = ("near", "behind", "beside", "beyond")
DEGREES = ("very", "quite")
ADVERBS = ("quietly", "slowly", "gladly", "calmly")
VERBS = ("lost", "found", "painted", "opened", "sold", "cleaned")
THINGS = ("book", "box", "chair", "lamp", "boat", "clock")
WORDS = (
    UNK,
    ".",
    "the",
    *SUBJECTS,
    *PEOPLE,
    *PLACES,
    *ADJECTIVES,
    *PREPOSITIONS,
    *DEGREES,
    *ADVERBS,
    *VERBS,
    *THINGS,
)


@dataclass(frozen=True)
class Pronoun(Grammar):
    """Predict every next word of sentences whose pronoun agrees with a subject k words back.

    Agreement over a distance is the classical test of the memory of a language model (Linzen,
    Dupoux and Goldberg 2016, with verbs). Here the distance is exact, and so is the best loss.

    Every word is scored; x begins with the full stop of the previous sentence. The words of a
    sentence determine the choices that made it, so its entropy is the sum of the entropies of the
    choices (see `Source`), and ``floor`` is that sum divided by T. The pronoun itself is certain.
    ``chance`` is the entropy of the words' frequencies. ``forgetful`` is the loss of a predictor
    that knows everything but whether the subject is "he" or "she": log(2) more in each sentence.

    Parameters
    ----------
    distance : int
        k, from 2: the pronoun is the k-th word after the subject.

    Examples
    --------
    >>> from numpylstm import tasks
    >>> task = tasks.Pronoun(distance=9)
    >>> for sentence in task.batch(2, rng=1).y.T:
    ...     print(tasks.spell(task, sentence))
    the woman behind the old bridge behind the queen found her chair .
    the uncle behind the girl beside the mill slowly found his clock .
    """

    distance: int = 10

    recipe: ClassVar[Recipe] = RECIPE
    tokens: ClassVar[tuple[str, ...]] = WORDS
    vocab_size: ClassVar[int] = len(WORDS)
    before: ClassVar[str] = "."

    def __post_init__(self) -> None:
        check_whole("Pronoun", "distance", self.distance, 2, because="a verb lies between")

    @cached_property
    def source(self) -> Source:
        """The grammar, as a source that begins with a sentence.

        "the" subject, `distance - 2` words of phrases, verb, pronoun, thing, full stop. Phrases are
        filled in from the left: while 3 or more words are left, "near the lake" or, if 4 or more
        are left, equally likely "near the old lake"; 2 become "very quietly", 1 becomes "quietly".
        All words of a kind are equally likely; people occur in phrases as often as places, word for
        word, so the last person named is a poor guess of the subject.
        """

        def words(choice: Sequence[str], probability: float, to: Hashable) -> list[Arc]:
            return [(WORDS.index(word), probability / len(choice), to) for word in choice]

        def phrase(pronoun: str, left: int) -> Hashable:
            return (pronoun, left, "phrase")

        arcs: dict[Hashable, list[Arc]] = {"start": words(["the"], 1, "subject"), "subject": []}
        for pronoun, subjects in SUBJECTS.items():
            arcs["subject"] += words(subjects, 1 / 2, phrase(pronoun, self.distance - 2))
            for left in range(self.distance - 1):
                here = phrase(pronoun, left)
                adverb = pronoun, "adverb"
                the = pronoun, left, "the"
                noun = pronoun, left, "noun"
                if left >= 3:
                    long = 0.5 if left >= 4 else 0
                    arcs[here] = words(PREPOSITIONS, 1, the)
                    arcs[the] = words(["the"], 1, noun)
                    arcs[noun] = words((*PEOPLE, *PLACES), 1 - long, phrase(pronoun, left - 3))
                    if long:
                        last = (pronoun, left, "noun after adjective")
                        arcs[noun] += words(ADJECTIVES, long, last)
                        arcs[last] = words((*PEOPLE, *PLACES), 1, phrase(pronoun, left - 4))
                elif left == 2:
                    arcs[here] = words(DEGREES, 1, adverb)
                    arcs[adverb] = words(ADVERBS, 1, phrase(pronoun, 0))
                elif left == 1:
                    arcs[here] = words(ADVERBS, 1, phrase(pronoun, 0))
                else:
                    arcs[here] = words(VERBS, 1, (pronoun, "pronoun"))
            arcs[pronoun, "pronoun"] = words([pronoun], 1, "thing")
        arcs["thing"] = words(THINGS, 1, "stop")
        arcs["stop"] = words(["."], 1, "start")
        return Source(arcs)

    @property
    def num_steps(self) -> int:
        """T: one sentence, `distance` words from subject to pronoun and four more."""
        return self.distance + 4

    @property
    def forgetful(self) -> float:
        """Smallest possible loss without the memory of the subject."""
        return self.floor + float(np.log(2)) / self.num_steps
