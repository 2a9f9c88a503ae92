"""Models that adapt to the text they score, against the same computation token by token."""

import numpy as np
import pytest

import numpylstm as nl
from numpylstm import network
from numpylstm.adaptation import TEMPERATURES
from numpylstm.checks import NotFinite
from numpylstm.functional import softmax

V = 13


@pytest.fixture(params=["lstm", "gru", "projected"])
def model(request):
    own = {"cell": request.param}
    if request.param == "projected":
        own = {"embedding_size": 4, "tied": True}
    return nl.LanguageModel(V, 6, 2, **own, dropout=0.3, dtype="float64", init_scale=0.8, rng=0)


@pytest.fixture
def ids(rng):
    return rng.integers(0, V, 92)


def test_dynamic_evaluation_scores_a_window_and_learns_from_it_afterwards(model, ids):
    """Without dropout and without a gradient from before; the model itself stays as it was."""
    model.forward(ids[:5, None], ids[1:6, None])
    model.backward()
    before = model.state_dict()
    result = nl.evaluate_dynamic(model, ids, 2, 5, rate=0.2)
    np.testing.assert_equal(model.state_dict(), before)
    for parameter in model.parameters().values():
        parameter.zero_grad()
    streams, state, nll, correct = ids.reshape(2, 46).T, model.zero_state(2), 0.0, 0
    for start in range(0, 45, 5):
        x, y = streams[start : start + 5], streams[start + 1 : start + 6]
        surprise, predicted, after = model.score(x, y, state)
        nll, correct = nll + surprise.sum(), correct + (predicted == y).sum()
        model.forward(x, y, state, masks={})
        model.backward()
        for parameter in model.parameters().values():
            parameter.data -= 0.2 * parameter.grad
            parameter.zero_grad()
        state = after
    assert result.loss == pytest.approx(nll / 90, rel=1e-12)
    assert (result.tokens, result.unscored, result.accuracy) == (90, 2, correct / 90)


@pytest.mark.parametrize("num_steps", [1, 7, 91])
@pytest.mark.parametrize("size", [4, 1000])
def test_a_cache_adds_the_tokens_that_followed_similar_states(model, ids, size, num_steps):
    """As the formula of Grave et al. (2017), whatever the window."""
    result = nl.evaluate_with_cache(model, ids, 1, num_steps, size=size, theta=0.7, share=0.2)
    x = ids[:-1, None]
    zero = model.zero_state(1)
    _, _, cache = network.forward(model.functions, model.config, model.arrays(), x, zero, {})
    hs = cache["decoder"].x[:, 0]
    p = softmax(model.logits(x)[0][:, 0])
    for t in range(1, len(p)):
        weights = {i: np.exp(0.7 * hs[t] @ hs[i]) for i in range(max(t - size, 0), t)}
        p[t] *= 0.8
        for i, weight in weights.items():
            p[t, ids[i + 1]] += 0.2 * weight / sum(weights.values())
    assert result.loss == pytest.approx(-np.log(p[np.arange(91), ids[1:]]).mean(), rel=1e-12)
    assert result.accuracy == (p.argmax(axis=-1) == ids[1:]).mean()


def test_each_stream_has_a_cache_of_its_own(model, ids):
    both = nl.evaluate_with_cache(model, ids, 2, 7)
    one, other = (nl.evaluate_with_cache(model, part, 1, 7) for part in (ids[:46], ids[46:]))
    assert both.loss == pytest.approx((one.loss + other.loss) / 2, rel=1e-12)


@pytest.mark.parametrize("scale", [1, 1e4])  # with 1e4, some probabilities underflow
def test_a_share_of_0_is_no_cache(model, ids, scale):
    path = "embedding.W" if model.tied else "decoder.W"
    model.parameters()[path].data *= scale
    plain = nl.evaluate(model, ids, 2, 7).loss
    assert np.isfinite(plain)
    assert nl.evaluate_with_cache(model, ids, 2, 7, share=0).loss == pytest.approx(plain, rel=1e-12)


# --- a temperature -----------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.5, 1, 1.3])
def test_a_temperature_divides_the_logits(model, ids, temperature):
    result = nl.evaluate_at_temperature(model, ids, 2, 7, temperature=temperature)
    x, y = ids.reshape(2, 46).T[:-1], ids.reshape(2, 46).T[1:]
    p = softmax(model.logits(x)[0] / temperature)
    nll = -np.log(np.take_along_axis(p, y[..., None], -1))
    assert result.loss == pytest.approx(nll.mean(), rel=1e-12)
    plain = nl.evaluate(model, ids, 2, 7)
    assert (result.accuracy, result.tokens) == (plain.accuracy, plain.tokens)
    if temperature == 1:
        assert result.loss == plain.loss


def test_the_chosen_temperature_has_the_lowest_perplexity_of_all(rng):
    """After some training on a part of a text whose steps are random three times in ten."""
    steps = np.where(rng.random(200) < 0.3, rng.integers(0, V, 200), 3)
    ids = np.cumsum(steps) % V
    model = nl.LanguageModel(V, 6, dtype="float64", rng=0)
    part, other = [(ids[:100, None], ids[1:101, None])], ids[100:]
    adam = nl.Adam(model, lr=0.03)
    nl.fit(model, part, epochs=20, optimizer=adam, carry_state=False, quiet=True)
    losses = {
        t: nl.evaluate_at_temperature(model, other, 2, 7, temperature=t).loss for t in TEMPERATURES
    }
    best = nl.choose_temperature(model, other, 2, 7)
    assert losses[best] == min(losses.values())
    assert TEMPERATURES[0] < best < TEMPERATURES[-1]
    assert 1 in TEMPERATURES


def test_no_temperature_is_chosen_for_scores_that_are_not_finite(model, ids):
    model.parameters()["decoder.b"].data[3] = np.inf
    with pytest.raises(NotFinite, match="choose_temperature: the scores of the model are not fin"):
        nl.choose_temperature(model, ids)
