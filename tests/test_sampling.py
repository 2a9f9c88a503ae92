"""Generation: one token at a time, reproducible, within bounds."""

import numpy as np
import pytest

import numpylstm as nl

V = 9


@pytest.fixture
def model():
    return nl.LanguageModel(V, 8, 2, init_scale=1.0, rng=0)


def test_the_same_seed_gives_the_same_text(model):
    first, again, other = (nl.generate(model, [1, 2], 50, rng=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_top_1_is_the_most_probable_token_after_the_whole_prefix(model):
    text = [1, 2, 5]
    drawn = nl.generate(model, text, 12, top_k=1)
    for token in drawn:
        logits, _ = model.logits(np.array(text)[:, None], model.zero_state(1))
        assert token == logits[-1, 0].argmax()
        text.append(int(token))


def test_one_to_many_needs_a_single_token(model):
    assert nl.generate(model, [4], 7, rng=0).shape == (7,)


def test_draws_follow_the_softmax(model):
    logits, _ = model.logits(np.array([[3]]), model.zero_state(1))
    for temperature in (0.5, 1.0, 2.0):
        p = np.exp(logits[0, 0] / temperature)
        p /= p.sum()
        rng = np.random.default_rng(0)
        drawn = [nl.generate(model, [3], 1, temperature=temperature, rng=rng)[0]
                 for _ in range(3000)]  # fmt: skip
        share = np.bincount(drawn, minlength=V) / len(drawn)
        assert np.abs(share - p).max() < 4 * np.sqrt(0.25 / len(drawn))


def test_top_k_and_banned_tokens(model):
    logits, _ = model.logits(np.array([[3]]), model.zero_state(1))
    order = np.argsort(-logits[0, 0])
    banned = [int(order[0])]
    drawn = {int(nl.generate(model, [3], 1, top_k=2, banned=banned, rng=seed)[0])
             for seed in range(60)}  # fmt: skip
    assert drawn == {int(order[1]), int(order[2])}
    assert not np.isin(nl.generate(model, [3], 500, banned=[0, 1], rng=0), [0, 1]).any()


def test_a_cold_draw_does_not_overflow(model):
    drawn = nl.generate(model, [3], 20, temperature=1e-4, rng=0)
    np.testing.assert_array_equal(drawn, nl.generate(model, [3], 20, top_k=1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompt": []}, "prompt must hold at least one id"),
        ({"prompt": [V]}, "prompt"),
        ({"prompt": [-1]}, "prompt"),
        ({"length": -1}, "length must be at least 0, got -1"),
        ({"temperature": 0.0}, "temperature must be above 0, got 0.0; .* take top_k=1"),
        ({"temperature": float("nan")}, "temperature must be above 0"),
        ({"top_k": 0}, "top_k must be from 1 to 9"),
        ({"top_k": V + 1}, "top_k must be from 1 to 9"),
        ({"top_k": V, "banned": [0]}, "top_k must be from 1 to 8"),
        ({"banned": range(V)}, "top_k must be from 1 to 0"),
        ({"banned": [V]}, "banned"),
    ],
)
def test_bad_arguments(model, arguments, message):
    with pytest.raises(ValueError, match=message):
        nl.generate(model, **({"prompt": [1], "length": 3} | arguments))
