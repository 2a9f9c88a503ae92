"""A small grammar of English in which a pronoun must agree with a subject k words back."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from numpylstm.checks import check_sizes, check_whole, generator
from numpylstm.data import UNK, Vocabulary
from numpylstm.laboratory.tasks.source import Arc, Source
from numpylstm.laboratory.tasks.task import Batch, Recipe, entropy, with_plain_numbers

SUBJECTS = {
    "her": ("girl", "woman", "queen", "aunt"),
    "his": ("boy", "man", "king", "uncle"),
}
PEOPLE = tuple(word for words in SUBJECTS.values() for word in words)
PLACES = ("house", "river", "tree", "garden", "bridge", "tower", "mill", "lake")
ADJECTIVES = ("old", "small", "quiet", "tall")
PREPOSITIONS = ("near", "behind", "beside", "beyond")
DEGREES = ("very", "quite")
ADVERBS = ("quietly", "slowly", "gladly", "calmly")
VERBS = ("lost", "found", "painted", "opened", "sold", "cleaned")
THINGS = ("book", "box", "chair", "lamp", "boat", "clock")
TOKENS = (
    UNK, ".", "the", *SUBJECTS, *PEOPLE, *PLACES, *ADJECTIVES, *PREPOSITIONS, *DEGREES, *ADVERBS,
    *VERBS, *THINGS,
)  # fmt: skip


def sentences(distance: int) -> Source:
    """The grammar, as a source that begins with a sentence.

    "the" subject, `distance - 2` words of phrases, verb, pronoun, thing, full stop. The words of
    phrases are filled from the left: while 3 or more are left, "near the lake", or, if there are 4
    or more, equally likely "near the old lake"; 2 that are left become "very quietly", 1 becomes
    "quietly". All words of a kind are equally likely; people stand in phrases as often as places,
    word for word, so the last person named is a poor guess for the subject.
    """

    def words(choice: Sequence[str], probability: float, to: Hashable) -> list[Arc]:
        return [(TOKENS.index(word), probability / len(choice), to) for word in choice]

    def phrase(pronoun: str, left: int) -> Hashable:
        return (pronoun, left, "phrase")

    arcs: dict[Hashable, list[Arc]] = {"start": words(["the"], 1, "subject"), "subject": []}
    for pronoun, subjects in SUBJECTS.items():
        arcs["subject"] += words(subjects, 1 / 2, phrase(pronoun, distance - 2))
        for left in range(distance - 1):
            here = phrase(pronoun, left)
            the, noun, adverb = (pronoun, left, "the"), (pronoun, left, "noun"), (pronoun, "adverb")
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
    return Source.from_arcs(arcs, len(TOKENS))


@dataclass(frozen=True)
class Pronoun:
    """Predict every next word of sentences whose pronoun agrees with a subject k words back.

    Agreement over a distance is the classical test of what a language model remembers (Linzen,
    Dupoux and Goldberg 2016, with verbs). Here the distance is exact, and so is the best loss.

    Every word is scored; x begins with the full stop of the sentence before. The words of a
    sentence tell which choices made it, so its entropy is the sum of the entropies of the choices
    (see `Source`) and ``floor`` is that sum divided by T. The pronoun itself is certain.
    ``chance`` is the entropy of the words' frequencies. ``forgetful`` is the loss of a predictor
    that knows all but whether the subject was "he" or "she": log(2) more in each sentence.

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

    recipe: ClassVar[Recipe] = Recipe(lr=0.3, init_scale=0.2, forget_bias=2.0, steps=2000)
    tokens: ClassVar[tuple[str, ...]] = TOKENS
    vocab_size: ClassVar[int] = len(TOKENS)

    def __post_init__(self) -> None:
        check_whole("Pronoun", "distance", self.distance, 2, because="a verb lies between")
        check_sizes("Pronoun", distance=self.distance)
        with_plain_numbers(self)

    @cached_property
    def source(self) -> Source:
        """The grammar."""
        return sentences(self.distance)

    @property
    def vocabulary(self) -> Vocabulary:
        """The words, for `numpylstm.sampling` and the like; `<unk>` is among them, never used."""
        return Vocabulary(self.tokens)

    @property
    def num_steps(self) -> int:
        """T: one sentence, `distance` words from subject to pronoun and four more."""
        return self.distance + 4

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
        """Smallest possible loss without the memory of the subject."""
        return self.floor + float(np.log(2)) / self.num_steps

    def batch(self, batch_size: int, rng: np.random.Generator | int) -> Batch:
        """Draw sentences; the same seed gives the same bytes."""
        check_sizes("Pronoun.batch", batch_size=batch_size)
        y, nll = self.source.sample(self.num_steps, batch_size, generator(rng))
        x = np.concatenate([np.full((1, batch_size), self.tokens.index("."), y.dtype), y[:-1]])
        return Batch(x, y, np.ones(y.shape, np.float32), nll)
