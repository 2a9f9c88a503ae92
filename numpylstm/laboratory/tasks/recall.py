"""Tasks that ask about something seen long before; answers may be noisy.

The right answer is a function of the sequence. With probability `noise` the target is one of the
other n - 1 answers instead, all equally likely. So the entropy of the target, given the sequence,
is that of a coin for "right or wrong" and, if wrong, of a choice among n - 1:

    floor = -(1 - noise) log(1 - noise) - noise log(noise) + noise log(n - 1)
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from numpylstm.checks import Array, Rng, check_sizes, check_whole, generator
from numpylstm.laboratory.tasks.task import Batch, Recipe, check_settings, entropy

Draw = tuple[Array, Array, int]


class Recall:
    """Base class: the last steps of a sequence have answers, wrong with probability `noise`.

    A subclass has `tokens`, `num_answers`, and `_draw`, which returns the tokens (T, B), the right
    answers of the last k steps, (k, B), and the target of all other steps.
    """

    @property
    def vocab_size(self: Any) -> int:
        """V."""
        return len(self.tokens)

    @property
    def chance(self: Any) -> float:
        """Loss, in nats per scored token, of a model that knows only the targets' frequencies."""
        return float(np.log(self.num_answers))

    @property
    def floor(self: Any) -> float:
        """Smallest possible expected loss, in nats per scored token."""
        which = self.noise * float(np.log(self.num_answers - 1))
        return entropy([1 - self.noise, self.noise]) + which

    def batch(self: Any, batch_size: int, rng: Rng) -> Batch:
        """Draw sequences; the same seed gives the same bytes."""
        check_sizes(f"{type(self).__name__}.batch", batch_size=batch_size)
        rng = generator(rng)
        n = self.num_answers
        x, answers, filler = self._draw(batch_size, rng)
        wrong = rng.random(answers.shape) < self.noise
        step = rng.integers(1, n, answers.shape)  # never back to the right answer
        with np.errstate(divide="ignore"):  # without noise, no answer is wrong
            nll = np.where(wrong, -np.log(self.noise / (n - 1)), -np.log1p(-self.noise))
        batch = Batch(x, np.full_like(x, filler), np.zeros(x.shape, np.float32), np.zeros(x.shape))
        last = slice(-len(answers), None)
        batch.y[last] = np.where(wrong, (answers + step) % n, answers)
        batch.weights[last] = 1
        batch.nll[last] = nll
        return batch


LETTERS, FILLERS = "abcdefghijklmnopqrstuvwxyz", ".:,;-+*/"


@dataclass(frozen=True)
class DelayedCopy(Recall):
    """Repeat, `distance` steps later, the letters that were shown (Hochreiter & Schmidhuber 1997).

    A sequence is ``length`` random letters, then random filler, then a question mark at step
    `distance` and filler again. The answer to step ``distance + j`` is the letter of step j, so
    exactly `distance` steps lie between any letter and its use.

    With one kind of filler nothing changes while the network waits, so a vanilla network can rest
    in one of many fixed points. Several kinds disturb it at every step; a memory must then be able
    to ignore its input.

    * ``chance = log(num_symbols)``: letters are equally likely, with noise too.
    * ``floor``: see `numpylstm.laboratory.tasks.recall`, with n = num_symbols. The noise of each
      answer is independent of all else, so the floor holds for every length.

    Parameters
    ----------
    distance : int
        Steps from a letter to its use; at least `length`.
    num_symbols : int
        From 2 to 26.
    num_fillers : int
        Kinds of filler, from 1 to 8.
    length : int
        Letters to remember at once.
    noise : float
        Probability of a wrong answer, in [0, 1).
    """

    distance: int
    num_symbols: int = 8
    num_fillers: int = 1
    length: int = 1
    noise: float = 0.1

    recipe: ClassVar[Recipe] = Recipe(lr=0.02, init_scale=0.4, forget_bias=5.0, steps=2000)

    def __post_init__(self) -> None:
        where = type(self).__name__
        check_whole(where, "num_symbols", self.num_symbols, 2, len(LETTERS))
        check_whole(where, "num_fillers", self.num_fillers, 1, len(FILLERS))
        check_settings(self, length=1)
        check_whole(where, "distance", self.distance, self.length, because="the length")

    @property
    def tokens(self) -> tuple[str, ...]:
        """Letters, fillers, a question mark."""
        return (*LETTERS[: self.num_symbols], *FILLERS[: self.num_fillers], "?")

    @property
    def num_answers(self) -> int:
        """The answer is one of the letters."""
        return self.num_symbols

    @property
    def num_steps(self) -> int:
        """T."""
        return self.distance + self.length

    def _draw(self, batch_size: int, rng: np.random.Generator) -> Draw:
        n = self.num_symbols
        shape = self.num_steps, batch_size
        x = rng.integers(n, n + self.num_fillers, shape, dtype=np.int32)
        letters = rng.integers(n, size=(self.length, batch_size))
        self._show(x, letters, n + self.num_fillers, rng)
        return x, letters, n

    def _show(self, x: Array, letters: Array, question: int, rng: np.random.Generator) -> None:
        """Write the letters and the question into the filler, (T, B)."""
        x[: self.length] = letters
        x[self.distance] = question


@dataclass(frozen=True)
class SelectiveCopy(DelayedCopy):
    """Repeat, in their order, the letters scattered among filler (Gu and Dao 2023, in small).

    The letters stand at random places in the first `distance` steps. Then come as many question
    marks as letters, and the answer to the j-th is the j-th letter. The steps between a letter and
    its use vary, so a network has to select by what it reads, not by when.

    `chance` and `floor` are those of `DelayedCopy`.

    Parameters
    ----------
    distance : int
        Steps before the first question mark; at least `length`.
    num_symbols, num_fillers, length, noise
        As for `DelayedCopy`.
    """

    distance: int = 64
    length: int = 8

    recipe: ClassVar[Recipe] = Recipe(lr=0.1, init_scale=0.4, forget_bias=3.0, steps=2000)

    def _show(self, x: Array, letters: Array, question: int, rng: np.random.Generator) -> None:
        B = x.shape[1]
        places = rng.random((self.distance, B)).argsort(axis=0)[: self.length]
        x[np.sort(places, axis=0), np.arange(B)] = letters
        x[self.distance :] = question


@dataclass(frozen=True)
class Adding(Recall):
    """Add two marked digits among many others.

    The adding problem of Hochreiter and Schmidhuber (1997) asks for the sum of two real numbers,
    with a squared error. This is its discrete form, for the cross-entropy: digits from 0 to
    ``num_digits - 1``, two of them marked with a star, one in each half of the sequence; after
    "=" the answer is their sum, as a class.

    * The sum of two uniform digits is triangular, ``p(s) = (n - abs(s - n + 1)) / n**2`` with n =
      num_digits; ``chance`` is the entropy of p after the noise.
    * ``floor``: see `numpylstm.laboratory.tasks.recall`, with 2n - 1 answers.

    Parameters
    ----------
    num_steps : int
        T, the digits and the equals sign; at least 3. Between the second mark and the answer lie up
        to T/2 steps, between the first and the answer up to T - 1.
    num_digits : int
        At least 2.
    noise : float
        Probability of a wrong answer, in [0, 1).
    """

    num_steps: int = 20
    num_digits: int = 4
    noise: float = 0.1

    recipe: ClassVar[Recipe] = Recipe(lr=0.1, init_scale=0.2, forget_bias=2.0, steps=2000)

    def __post_init__(self) -> None:
        check_settings(self, num_steps=3, num_digits=2)

    @property
    def tokens(self) -> tuple[str, ...]:
        """The sums, the first of which are the digits too; marked digits; an equals sign."""
        sums = [str(s) for s in range(2 * self.num_digits - 1)]
        return (*sums, *(f"{digit}*" for digit in range(self.num_digits)), "=")

    @property
    def num_answers(self) -> int:
        """The answer is one of the sums."""
        return 2 * self.num_digits - 1

    @property
    def chance(self) -> float:
        """Loss, in nats per scored token, of a model that knows only the targets' frequencies."""
        n = self.num_digits
        p = (n - np.abs(np.arange(2 * n - 1) - n + 1)) / n**2  # of the right answers
        return entropy((1 - self.noise) * p + self.noise * (1 - p) / (len(p) - 1))

    def _draw(self, batch_size: int, rng: np.random.Generator) -> Draw:
        T = self.num_steps
        n = self.num_digits
        columns = np.arange(batch_size)
        digits = rng.integers(n, size=(T - 1, batch_size))
        half = (T - 1) // 2
        first = rng.integers(half, size=batch_size)
        second = rng.integers(half, T - 1, size=batch_size)
        answers = digits[first, columns] + digits[second, columns]
        x = np.full((T, batch_size), 3 * n - 1, np.int32)
        x[:-1] = digits
        for marked in (first, second):
            x[marked, columns] += 2 * n - 1
        return x, answers[None], 3 * n - 1


@dataclass(frozen=True)
class TemporalOrder(Recall):
    """Name two rare symbols, far apart, in their order.

    Experiment 6a of Hochreiter and Schmidhuber (1997): among random letters a, b, c, d are two
    symbols, each X or Y; at the question mark the answer is Q for X X, R for X Y, S for Y X and U
    for Y Y. The positions are as in the paper, relative to the length: the first from 10 % to
    20 % and the second from 50 % to 60 %.

    * ``chance = log(4)``: the four orders are equally likely, with noise too.
    * ``floor``: see `numpylstm.laboratory.tasks.recall`, with 4 answers.

    Parameters
    ----------
    num_steps : int
        T, with the question mark at the end; at least 5.
    noise : float
        Probability of a wrong answer, in [0, 1).
    """

    num_steps: int = 30
    noise: float = 0.1

    recipe: ClassVar[Recipe] = Recipe(lr=0.02, init_scale=0.4, forget_bias=5.0, steps=2000)
    tokens: ClassVar[tuple[str, ...]] = (*"QRSU", *"abcd", *"XY", "?")
    num_answers: ClassVar[int] = 4

    def __post_init__(self) -> None:
        check_settings(self, num_steps=5)

    def _draw(self, batch_size: int, rng: np.random.Generator) -> Draw:
        T = self.num_steps
        columns = np.arange(batch_size)
        x = rng.integers(4, 8, size=(T, batch_size), dtype=np.int32)
        first = rng.integers(T // 10, T // 5 + 1, size=batch_size)
        second = rng.integers(T // 2, 3 * T // 5 + 1, size=batch_size)
        kinds = rng.integers(2, size=(2, batch_size))  # 0 for X, 1 for Y
        x[first, columns], x[second, columns] = 8 + kinds
        x[-1] = 10
        return x, 2 * kinds[:1] + kinds[1:], 10


@dataclass(frozen=True)
class Parity(Recall):
    """Tell at each step whether the number of ones so far is even or odd.

    A batch has sequences of every length up to `num_steps`: its prefixes. The usual experiment
    trains on ``Parity(40)`` and tests on ``Parity(256, shortest=40)``, longer sequences with the
    same ids.

    * ``chance = log(2)``: both answers are equally likely, with noise too.
    * ``floor``: see `numpylstm.laboratory.tasks.recall`, with 2 answers.

    Parameters
    ----------
    num_steps : int
        T.
    shortest : int
        Shortest prefix that is scored; at most `num_steps`.
    noise : float
        Probability of a wrong answer, in [0, 1).
    """

    num_steps: int = 40
    shortest: int = 1
    noise: float = 0.1

    recipe: ClassVar[Recipe] = Recipe(lr=0.3, init_scale=0.4, steps=1000)
    tokens: ClassVar[tuple[str, ...]] = ("even", "odd", "0", "1")
    num_answers: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check_settings(self, shortest=1)
        check_whole("Parity", "num_steps", self.num_steps, self.shortest, because="the shortest")

    def _draw(self, batch_size: int, rng: np.random.Generator) -> Draw:
        bits = rng.integers(2, size=(self.num_steps, batch_size), dtype=np.int32)
        answers = bits.cumsum(axis=0)[self.shortest - 1 :] % 2
        return bits + 2, answers, 2


@dataclass(frozen=True)
class AssociativeRecall(Recall):
    """Store pairs of a key and a value; then recall the value of each key that is named.

    Each step of the first part shows a pair, such as ``k3=5``. The steps of the second part name
    the keys in another order, ``k3?``, and the answer is the value of that key. With `rewrites`,
    further pairs give keys that have occurred a new value, and only the last value of a key counts
    (Ba et al. 2016; Arora et al. 2023). Nothing else has to be learned, so the task measures how
    many pairs a state can hold.

    * ``chance = log(num_values)``: values are equally likely, with noise too.
    * ``floor``: see `numpylstm.laboratory.tasks.recall`, with n = num_values.

    Parameters
    ----------
    num_pairs : int
        Different keys in a sequence, all of which are asked for.
    rewrites : int
        Pairs that replace the value of a random one of these keys.
    num_keys : int
        Keys to choose from, at least `num_pairs`.
    num_values : int
        At least 2.
    noise : float
        Probability of a wrong answer, in [0, 1).
    """

    num_pairs: int = 4
    rewrites: int = 0
    num_keys: int = 16
    num_values: int = 8
    noise: float = 0.1

    recipe: ClassVar[Recipe] = Recipe(hidden_size=64, lr=0.1, init_scale=0.3, forget_bias=3.0)

    def __post_init__(self) -> None:
        check_settings(self, rewrites=0, num_pairs=1, num_values=2)
        check_whole(
            "AssociativeRecall",
            "num_keys",
            self.num_keys,
            self.num_pairs,
            because="the number of pairs",
        )

    @property
    def tokens(self) -> tuple[str, ...]:
        """The values, which are the answers; the pairs; the keys as questions; a dot."""
        keys, values = range(self.num_keys), range(self.num_values)
        pairs = [f"k{key}={value}" for key in keys for value in values]
        return (*map(str, values), *pairs, *(f"k{key}?" for key in keys), ".")

    @property
    def num_answers(self) -> int:
        """The answer is one of the values."""
        return self.num_values

    @property
    def num_steps(self) -> int:
        """T."""
        return 2 * self.num_pairs + self.rewrites

    def _draw(self, batch_size: int, rng: np.random.Generator) -> Draw:
        n = self.num_values
        written = self.num_pairs + self.rewrites
        columns = np.arange(batch_size)
        keys = rng.random((self.num_keys, batch_size)).argsort(axis=0)[: self.num_pairs]
        again = rng.integers(self.num_pairs, size=(self.rewrites, batch_size))
        stored = np.concatenate([keys, keys[again, columns]])
        values = rng.integers(n, size=stored.shape)
        memory = np.zeros((self.num_keys, batch_size), int)
        for key, value in zip(stored, values, strict=True):
            memory[key, columns] = value
        asked = rng.permuted(keys, axis=0)
        x = np.empty((self.num_steps, batch_size), np.int32)
        x[:written] = n + n * stored + values
        x[written:] = n + n * self.num_keys + asked
        return x, memory[asked, columns], self.vocab_size - 1
