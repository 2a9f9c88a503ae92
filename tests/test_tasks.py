"""Probe tasks: their batches, their scores and their exact floors.

Each floor is held against two calculations that share nothing with the package: the entropy over
all sequences of a small task, listed one by one by the rules as the test understands them, and
the mean of the true -log p over a large sample.
"""

import itertools
from collections import Counter, defaultdict
from dataclasses import replace
from math import log, prod, sqrt

import numpy as np
import pytest
from support.bad_calls import assert_refused, bad_call

import numpylstm as nl
from numpylstm import tasks

EXAMPLES = [
    tasks.DelayedCopy(7),
    tasks.DelayedCopy(9, num_symbols=3, num_fillers=4, length=2, noise=0.3),
    tasks.SelectiveCopy(9, num_symbols=3, num_fillers=4, length=2, noise=0.3),
    tasks.AssociativeRecall(3, rewrites=2, num_keys=3, num_values=5, noise=0.3),
    tasks.Adding(7, num_digits=3, noise=0.25),
    tasks.TemporalOrder(),
    tasks.Parity(),
    tasks.Parity(19, shortest=7, noise=0.25),
    tasks.EmbeddedReber(),
    tasks.Pronoun(),
]


def texts_of(task, batch, first=0):
    """Yield the tokens that each sequence shows, and its targets from step `first` on."""
    for x, y in zip(batch.x.T, batch.y.T, strict=True):
        yield tasks.spell(task, x).split(), tasks.spell(task, y).split()[first:]


# --- all tasks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("task", EXAMPLES, ids=repr)
class TestEveryTask:
    def test_a_batch_is_time_major_and_fits_a_language_model(self, task):
        batch = task.batch(3, 0)
        for array in batch:
            assert array.shape == (task.num_steps, 3)
        assert task.vocab_size == len(task.tokens) == len(set(task.tokens))
        assert batch.x.dtype.kind == batch.y.dtype.kind == "i"
        assert batch.weights.dtype == np.float32
        for ids in (batch.x, batch.y):
            assert ids.min() >= 0
            assert ids.max() < task.vocab_size
        assert set(np.unique(batch.weights)) <= {0, 1}
        assert (batch.weights.sum(axis=0) == batch.weights[:, 0].sum()).all()

    def test_same_seed_same_bytes(self, task):
        once, again = task.batch(5, 8), task.batch(5, np.random.default_rng(8))
        for a, b in zip(once, again, strict=True):
            assert a.tobytes() == b.tobytes()
        assert once.x.tobytes() != task.batch(5, 9).x.tobytes()

    def test_floor_is_the_mean_true_nll_within_sampling_error(self, task):
        batch = task.batch(10_000, 1)
        nll = (batch.nll * batch.weights).sum(axis=0) / batch.weights.sum(axis=0)
        assert abs(nll.mean() - task.floor) <= 4 * nll.std() / sqrt(len(nll)) + 1e-12

    def test_chance_lies_above_the_floor(self, task):
        assert 0 <= task.floor < task.chance < log(task.vocab_size)


# --- exact floors, by listing everything ---------------------------------------------------------


def entropy_of(probabilities):
    """Return the entropy in nats of {value: probability}."""
    assert sum(probabilities.values()) == pytest.approx(1)
    return -sum(p * log(p) for p in probabilities.values() if p)


def marginal(joint, k):
    """Return {x: probability} for k = 0, of {(x, y): probability}, or {y: probability} for 1."""
    found = defaultdict(float)
    for pair, p in joint.items():
        found[pair[k]] += p
    return found


def with_noise(right, answers, noise):
    """{target: probability} when this is the right answer."""
    return {a: 1 - noise if a == right else noise / (len(answers) - 1) for a in answers}


def scattered(length):
    """Yield each text of the letters a, b, c at two of its places, with these letters."""
    for places in itertools.combinations(range(length), 2):
        for letters in itertools.product("abc", repeat=2):
            yield tuple(zip(places, letters, strict=True)), letters


def rewritten():
    """Yield what is stored under two keys, one of them written again, and the two answers."""
    for first, again, asked in itertools.product((0, 1), repeat=3):
        for one, two, new in itertools.product("abc", repeat=3):
            last = [one, two]
            last[again] = new
            yield (first, one, two, again, new, asked), (last[asked], last[1 - asked])


LISTED = {  # every sequence of a small task with its right answers, and all possible answers
    tasks.DelayedCopy(4, num_symbols=3): ([(letter, letter) for letter in "abc"], "abc"),
    tasks.DelayedCopy(4, num_symbols=3, length=2): (
        [(shown, shown) for shown in itertools.product("abc", repeat=2)], "abc",
    ),
    tasks.Adding(8, num_digits=3): (
        [((a, b), (a + b,)) for a, b in itertools.product(range(3), repeat=2)], range(5),
    ),
    tasks.TemporalOrder(): (list(zip(("XX", "XY", "YX", "YY"), "QRSU", strict=True)), "QRSU"),
    tasks.SelectiveCopy(4, num_symbols=3, length=2): (list(scattered(4)), "abc"),
    tasks.AssociativeRecall(2, rewrites=1, num_keys=2, num_values=3): (list(rewritten()), "abc"),
    **{
        tasks.Parity(length): (
            [(bits, (sum(bits) % 2,)) for bits in itertools.product((0, 1), repeat=length)], (0, 1),
        )
        for length in range(1, 6)
    },
}  # fmt: skip


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.35])
@pytest.mark.parametrize("task", LISTED, ids=repr)
def test_floor_and_chance_over_all_sequences(task, noise):
    sequences, possible = LISTED[task]
    joint = defaultdict(float)
    for shown, right in sequences:
        for answers in itertools.product(*(with_noise(a, possible, noise).items() for a in right)):
            targets, p = zip(*answers, strict=True)
            joint[shown, targets] += prod(p) / len(sequences)
    task, k = replace(task, noise=noise), len(right)  # answers in a sequence
    floor = entropy_of(joint) - entropy_of(marginal(joint, 0))
    assert task.floor == pytest.approx(floor / k, abs=1e-12)
    assert task.chance == pytest.approx(entropy_of(marginal(joint, 1)) / k, abs=1e-12)


# Reber's grammar once more, as the pictures in the papers show it: (from, letter, to).
DRAWN = ["0B1", "1T2", "1P3", "2S2", "2X4", "3T3", "3V5", "4X3", "4S6", "5P4", "5V6", "6E7"]


def reber_texts(T):
    """Return every text of T letters after the first B, its probability, returns of 2nd letters."""

    def go_on(text, outer, inner, p, returns):
        if len(text) == T:
            yield text, p, returns
        elif outer is None:
            for letter in "TP":
                yield from go_on(text + letter, letter, "0", p / 2, returns)
        elif inner == "7":  # the outer letter, E, and the B of the next string
            yield from go_on((text + outer + "EB")[:T], None, "0", p, returns + 1)
        else:
            arcs = [arc for arc in DRAWN if arc[0] == inner]
            for _, letter, to in arcs:
                yield from go_on(text + letter, outer, to, p / len(arcs), returns)

    return list(go_on("", None, "0", 1.0, 0))


@pytest.mark.parametrize("T", [1, 2, 7, 13])
def test_floor_of_the_reber_grammar_over_all_its_texts(T):
    texts = {text: p for text, p, _ in reber_texts(T)}
    counts = Counter()
    for text, p in texts.items():
        for letter in text:
            counts[letter] += p / T
    task = tasks.EmbeddedReber(T)
    assert task.floor == pytest.approx(entropy_of(texts) / T, abs=1e-12)
    assert task.chance == pytest.approx(entropy_of(counts), abs=1e-12)


def test_reber_texts_obey_the_grammar():
    possible = {text for text, *_ in reber_texts(12)}
    task = tasks.EmbeddedReber(12)
    for shown, targets in texts_of(task, task.batch(200, 4)):
        assert "".join(targets) in possible
        assert shown == ["B", *targets[:-1]]


def test_forgetting_the_second_letter_costs_one_bit_for_each_return():
    returns = sum(p * returns for _, p, returns in reber_texts(13))
    task = tasks.EmbeddedReber(13)
    assert 0.1 < returns < 1
    assert task.forgetful == pytest.approx(task.floor + log(2) * returns / 13, abs=1e-12)


# --- English -------------------------------------------------------------------------------------

KINDS = {
    "S": "girl woman queen aunt boy man king uncle",
    "N": "girl woman queen aunt boy man king uncle house river tree garden bridge tower mill lake",
    "J": "old small quiet tall",
    "P": "near behind beside beyond",
    "D": "very quite",
    "A": "quietly slowly gladly calmly",
    "V": "lost found painted opened sold cleaned",
    "T": "book box chair lamp boat clock",
}
KINDS = {kind: words.split() for kind, words in KINDS.items()}


def phrases(left):
    """Yield each pattern of kinds that fills a number of words, with its probability."""
    if left < 3:
        yield ["", "A", "DA"][left], 1.0
        return
    units = ["P1N"] if left == 3 else ["P1N", "P1JN"]  # 1 is "the"
    for unit in units:
        for rest, p in phrases(left - len(unit)):
            yield unit + rest, p / len(units)


@pytest.mark.parametrize("k", [2, 3, 4, 5, 6, 9, 12])
def test_floor_of_the_pronoun_over_all_patterns(k):
    """A pattern's n sentences are equally likely: H = sum over patterns of p (log n - log p)."""
    entropy, frequency = 0.0, Counter()
    for pattern, p in phrases(k - 2):
        kinds = "1S" + pattern + "V*T."
        choices = [KINDS[kind] for kind in kinds if kind in KINDS]
        entropy += p * (sum(log(len(words)) for words in choices) - log(p))
        for words in choices:
            for word in words:
                frequency[word] += p / len(words)
        frequency.update({"the": p * kinds.count("1"), ".": p, "his": p / 2, "her": p / 2})
    T, task = k + 4, tasks.Pronoun(k)
    assert task.floor == pytest.approx(entropy / T, abs=1e-12)
    chance = entropy_of({word: n / T for word, n in frequency.items()})
    assert task.chance == pytest.approx(chance, abs=1e-12)


@pytest.mark.parametrize("k", [2, 3, 4, 7, 15])
def test_the_pronoun_agrees_with_the_subject_k_words_back(k):
    task = tasks.Pronoun(k)
    women = ["girl", "woman", "queen", "aunt"]
    misleading = 0
    for shown, words in texts_of(task, task.batch(200, 5)):
        (place,) = (t for t, word in enumerate(words) if word in ("his", "her"))
        subject = words[place - k]
        assert words[:2] == ["the", subject]
        assert (words[place] == "her") == (subject in women)
        last_person = [word for word in words[:place] if word in KINDS["S"]][-1]
        misleading += (last_person in women) != (subject in women)
        assert shown == [".", *words[:-1]]
        assert words[-1] == "."
    assert (misleading > 20) == (k >= 5)


# --- what the recall tasks show -------------------------------------------------------------------


def copied(shown):
    assert shown[6] == "?"
    assert {*shown[2:6], shown[7]} <= {".", ":", ","}
    return shown[:2]


def gathered(shown):
    assert shown[12:] == ["?"] * 3
    assert {token for token in shown[:12] if not token.isalpha()} <= {".", ":"}
    return [token for token in shown if token.isalpha()]


def looked_up(shown):
    stored = dict(pair.split("=") for pair in shown[:7])
    questions = [question.rstrip("?") for question in shown[7:]]
    assert sorted(questions) == sorted(stored)
    return [stored[key] for key in questions]


def parities(shown):
    return [("even", "odd")[shown[:read].count("1") % 2] for read in range(8, 31)]


def sum_of_the_marked(shown):
    one, two = (t for t, token in enumerate(shown) if token.endswith("*"))
    assert one < 4 <= two
    assert shown[-1] == "="
    return [str(int(shown[one][0]) + int(shown[two][0]))]


def their_order(shown):
    one, two = (t for t, token in enumerate(shown) if token in "XY")
    assert 2 <= one <= 4
    assert 10 <= two <= 12
    return [{"XX": "Q", "XY": "R", "YX": "S", "YY": "U"}[shown[one] + shown[two]]]


RULES = {  # how the answers follow from what is shown, and the step of the first of them
    tasks.DelayedCopy(6, num_fillers=3, length=2, noise=0.0): (copied, 6),
    tasks.SelectiveCopy(12, num_fillers=2, length=3, noise=0.0): (gathered, 12),
    tasks.AssociativeRecall(3, rewrites=4, num_keys=5, noise=0.0): (looked_up, 7),
    tasks.Parity(30, shortest=8, noise=0.0): (parities, 7),
    tasks.Adding(9, noise=0.0): (sum_of_the_marked, 8),
    tasks.TemporalOrder(20, noise=0.0): (their_order, 19),
}


@pytest.mark.parametrize("task", RULES, ids=repr)
def test_the_answers_follow_from_what_is_shown(task):
    right_answers, first = RULES[task]
    batch = task.batch(200, 6)
    for shown, answers in texts_of(task, batch, first):
        assert answers == right_answers(shown)
    assert (batch.weights.any(axis=1) == (np.arange(task.num_steps) >= first)).all()
    assert {*batch.x.flat, *batch.y.flat} == {*range(task.vocab_size)}  # every token occurs


def test_the_letters_are_scattered_over_all_steps():
    batch = tasks.SelectiveCopy(12, length=3).batch(200, 6)
    assert (batch.x[:12] < 8).any(axis=1).all()


def test_a_tenth_of_the_answers_is_wrong():
    task = tasks.DelayedCopy(3)
    right, noisy = replace(task, noise=0.0).batch(20_000, 9), task.batch(20_000, 9)
    assert (right.x == noisy.x).all()
    wrong = (right.y != noisy.y)[-1]
    assert wrong.mean() == pytest.approx(0.1, abs=4 * sqrt(0.09 / 20_000))
    np.testing.assert_allclose(np.exp(-noisy.nll[-1][~wrong]), 0.9)


# --- entropy --------------------------------------------------------------------------------------


def test_entropy_in_nats():
    assert tasks.entropy([0.5, 0.5, 0]) == pytest.approx(log(2))
    assert tasks.entropy([1.0]) == 0


# --- bad calls ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "says", "error"),
    [
        bad_call(
            lambda: nl.tasks.spell(nl.tasks.DelayedCopy(3), []),
            "ids must not be empty, got shape (0,)",
        ),
        bad_call(
            lambda: nl.tasks.entropy([3, 4]), "entropy: p must be probabilities that sum to 1"
        ),
        bad_call(
            lambda: nl.tasks.DelayedCopy(2, length=3),
            "distance must be at least 3, the length; got 2",
        ),
        bad_call(
            lambda: nl.tasks.DelayedCopy(5, num_symbols=1), "num_symbols must be from 2 to 26"
        ),
        bad_call(lambda: nl.tasks.DelayedCopy(5, noise=1.0), "noise must be in [0, 1), got 1.0"),
        bad_call(
            lambda: nl.tasks.AssociativeRecall(5, num_keys=4),
            "num_keys must be at least 5, the number of pairs; got 4",
        ),
        bad_call(lambda: nl.tasks.AssociativeRecall(rewrites=-1), "rewrites must be at least 0"),
        bad_call(
            lambda: nl.tasks.Parity(5, shortest=6),
            "num_steps must be at least 6, the shortest; got 5",
        ),
        bad_call(lambda: nl.tasks.Adding(2), "num_steps must be at least 3"),
        bad_call(
            lambda: nl.tasks.Pronoun(1), "distance must be at least 2, a verb lies between; got 1"
        ),
    ],
)
def test_a_bad_call_gets_one_sentence(call, says, error):
    assert_refused(call, says, error)
