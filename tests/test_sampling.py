"""Generation: one token at a time, reproducible, within bounds."""

import numpy as np
import pytest
from support.bad_calls import assert_refused, bad_call
from support.small import small_classifier, small_model

import numpylstm as nl
from numpylstm import sampling

V = 9


@pytest.fixture
def model():
    return nl.LanguageModel(V, 8, 2, init_scale=1.0, rng=0)


def test_the_same_seed_gives_the_same_text(model):
    first, again, other = (nl.generate(model, [1, 2], 50, rng=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_text_ends_after_a_stop(model):
    whole = nl.generate(model, [1, 2], 50, rng=3)
    stop = [int(whole[7]), V - 1]
    first = np.flatnonzero(np.isin(whole, stop))[0]
    drawn = nl.generate(model, [1, 2], 50, stop=stop, rng=3)
    np.testing.assert_array_equal(drawn, whole[: first + 1])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_layers": 3, "embedding_size": 5},
        {"tied": True},
        {"dtype": "float64"},
        pytest.param({"hidden_size": 300, "num_layers": 2}, marks=pytest.mark.big),  # all threads
        {"cell": "rnn"},
        {"cell": "gru", "num_layers": 2},
        {"cell": "gru", "reset": "before"},
        {"impl": "reference"},
    ],
    ids=str,
)
def test_top_1_is_the_most_probable_token_after_the_whole_prefix(options):
    model = nl.LanguageModel(**({"vocab_size": 70, "hidden_size": 24} | options), rng=0)
    for parameter in model.parameters().values():
        parameter.data *= 8  # so that the prefix matters
    text = [1, 2, 5]
    for token in nl.generate(model, text, 40, top_k=1):
        logits, _ = model.logits(np.array(text)[:, None])
        assert token == logits[-1, 0].argmax()
        text.append(int(token))
    assert len(set(text)) > 3


@pytest.mark.parametrize(
    ("path", "bad"),
    [
        ("embedding.W", np.inf),  # the gates would turn it into a finite number
        ("lstm.0.Wx", np.nan),
        ("decoder.W", np.nan),
    ],
)
def test_a_model_that_has_exploded_draws_nothing(model, path, bad):
    model.parameters()[path].data[...] = bad
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="not finite"):
        nl.generate(model, [1], 5)


def test_draws_follow_the_softmax(model):
    logits, _ = model.logits(np.array([[3]]), model.zero_state(1))
    for temperature in (0.5, 1.0, 2.0):
        p = np.exp(logits[0, 0] / temperature)
        p /= p.sum()
        rng = np.random.default_rng(0)
        drawn = [
            nl.generate(model, [3], 1, temperature=temperature, rng=rng)[0] for _ in range(3000)
        ]
        share = np.bincount(drawn, minlength=V) / len(drawn)
        assert np.abs(share - p).max() < 4 * np.sqrt(0.25 / len(drawn))


@pytest.mark.parametrize("temperature", [1e30, 1e300])
def test_any_temperature_draws_what_may_be_drawn(model, temperature):
    """At the highest, all tokens but the banned ones are equally likely."""
    banned = list(range(V - 5))
    drawn = nl.generate(model, [3], 2000, temperature=temperature, banned=banned, rng=0)
    shares = np.bincount(drawn, minlength=V) / len(drawn)
    assert shares[: V - 5].sum() == 0
    assert shares[V - 5 :] == pytest.approx(np.full(5, 0.2), abs=0.05)
    slow = nl.LanguageModel(V, 8, 2, init_scale=1.0, impl="reference", rng=0)
    again = nl.generate(slow, [3], 50, temperature=temperature, banned=banned, rng=0)
    np.testing.assert_array_equal(again, drawn[:50])


def test_a_long_prompt_is_read_in_pieces(model, monkeypatch):
    """The scores of all its tokens would take too much memory."""
    prompt = np.arange(2500) % V
    whole = nl.generate(model, prompt, 20, rng=0)
    lengths = []
    logits = nl.LanguageModel.logits

    def noted(self, x, state):
        lengths.append(len(x))
        return logits(self, x, state)

    monkeypatch.setattr(nl.LanguageModel, "logits", noted)
    np.testing.assert_array_equal(nl.generate(model, prompt, 20, rng=0), whole)
    assert lengths == [1000, 1000, 499] + [1] * 20
    monkeypatch.setattr(sampling, "PROMPT_WINDOW", 10_000)
    np.testing.assert_array_equal(nl.generate(model, prompt, 20, rng=0), whole)


def test_top_k_and_banned_tokens(model):
    logits, _ = model.logits(np.array([[3]]), model.zero_state(1))
    order = np.argsort(-logits[0, 0])
    banned = [int(order[0])]
    drawn = {
        int(nl.generate(model, [3], 1, top_k=2, banned=banned, rng=seed)[0]) for seed in range(60)
    }
    assert drawn == {int(order[1]), int(order[2])}
    assert not np.isin(nl.generate(model, [3], 500, banned=[0, 1], rng=0), [0, 1]).any()


def test_what_is_as_probable_as_the_last_of_top_k_is_drawn_too(model):
    for path in ("decoder.W", "decoder.b"):
        model.parameters()[path].data[...] = 0
    assert {*nl.generate(model, [3], 200, top_k=2, rng=0)} == {*range(V)}


def test_temperature_0_takes_the_best_and_a_large_top_k_takes_all(model):
    best, cold = nl.generate(model, [3], 20, top_k=1), nl.generate(model, [3], 20, temperature=0)
    np.testing.assert_array_equal(best, cold)
    all_of_them = nl.generate(model, [3], 50, top_k=V, rng=1)
    for k in (V + 1, 10**30):
        np.testing.assert_array_equal(nl.generate(model, [3], 50, top_k=k, rng=1), all_of_them)
    nl.generate(model, [3], 5, top_k=V, banned=[0], rng=0)


def test_numbers_of_any_type_are_taken(model):
    prompt = np.array([1, 4, 7], "uint8")
    drawn = nl.generate(model, prompt, np.uint8(255), top_k=np.uint8(3), rng=0)
    np.testing.assert_array_equal(drawn, nl.generate(model, [1, 4, 7], 255, top_k=3, rng=0))
    nl.generate(nl.LanguageModel(V, 4, cell="rnn", rng=0), [1], 5, top_k=np.uint8(3))
    assert nl.generate(model, [1], 0).shape == (0,)
    coldest = nl.generate(model, [1], 5, temperature=1e-320, rng=0)
    np.testing.assert_array_equal(coldest, nl.generate(model, [1], 5, temperature=0))


@pytest.mark.parametrize(
    ("call", "says", "error"),
    [
        bad_call(
            lambda: nl.generate(small_classifier(), [1], 5),
            "model must be a LanguageModel, got Seq",
            TypeError,
        ),
        bad_call(
            lambda: nl.generate(small_model(), [], 5), "prompt must not be empty, got shape (0,)"
        ),
        bad_call(
            lambda: nl.generate(small_model(), "the cat", 5),
            "prompt must hold integers, got <U7",
            TypeError,
        ),
        bad_call(
            lambda: nl.generate(small_model(), [11], 5), "prompt must lie in [0, 11), got 11 at [0]"
        ),
        bad_call(
            lambda: nl.generate(small_model(), nl.Vocabulary(("a", "<unk>")).encode(["a", "a"]), 5),
            "generate: prompt must be an array or a sequence of numbers, got "
            "(array([0, 0], dtype=int32), 0); "
            "Vocabulary.encode returns the ids and a count: take the ids, its first",
            TypeError,
        ),
        bad_call(
            lambda: nl.generate(small_model(), [1], 5, stop=[11]),
            "^generate: stop must lie in [0, 11), got 11",
        ),
        bad_call(
            lambda: nl.generate(small_model(), [1], -1),
            "length must be from 0 to 1000000000, got -1",
        ),
        bad_call(
            lambda: nl.generate(small_model(), [1], 5, temperature=-1.0),
            "temperature must be finite and at least",
        ),
        bad_call(
            lambda: nl.generate(small_model(), [1], 5, banned=range(11)),
            "banned must leave a token to draw",
        ),
    ],
)
def test_a_bad_call_gets_one_sentence(call, says, error):
    assert_refused(call, says, error)


def test_the_nucleus_is_the_fewest_tokens_that_add_up(rng):
    """Probabilities 0.5, 0.3, 0.15, 0.05: with 0.7 the first two, with 0.5 the first."""
    logits = np.log([0.05, 0.5, 0.15, 0.3])
    never = np.empty(0, np.intp)
    for p, kept in ((0.5, {1}), (0.7, {1, 3}), (0.9, {1, 2, 3}), (1.0, {0, 1, 2, 3})):
        drawn = [nl.sampling.draw(logits, 1.0, 4, never, rng, p) for _ in range(400)]
        assert set(drawn) == kept
        if p == 0.7:
            assert np.mean(np.array(drawn) == 1) == pytest.approx(5 / 8, abs=0.08)
    banned = np.array([1])
    assert {nl.sampling.draw(logits, 1.0, 3, banned, rng, 0.5) for _ in range(100)} == {3}


def test_a_sample_begins_with_a_state():
    """With that after a text, it goes on as if the text had been read."""
    model = nl.LanguageModel(11, 6, init_scale=1.0, rng=0)
    text = [3, 1, 4, 1, 5]
    _, state = model.logits(np.array(text[:3])[:, None])
    whole = nl.generate(model, text, 20, rng=5)
    np.testing.assert_array_equal(nl.generate(model, text[3:], 20, state=state, rng=5), whole)
    assert not np.array_equal(nl.generate(model, text[3:], 20, rng=5), whole)
    with pytest.raises(ValueError, match=r"generate: top_p must be in \(0, 1\], got 0"):
        nl.generate(model, text, 3, top_p=0)
    with pytest.raises(ValueError, match="generate: state"):
        nl.generate(model, text, 3, state=model.zero_state(2))
