"""Models that adapt to the text they score, against the same computation token by token."""

import numpy as np
import pytest

import numpylstm as nl
from numpylstm import network
from numpylstm.adaptation import RMS_FLOOR, TEMPERATURES, DynamicModel
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
    nll, correct = 0.0, 0
    for x, y, state in adapting(model, ids, lambda path, data, grad: data - 0.2 * grad):
        surprise, predicted, _ = model.score(x, y, state)
        nll, correct = nll + surprise.sum(), correct + (predicted == y).sum()
    assert result.loss == pytest.approx(nll / 90, rel=1e-12)
    assert (result.tokens, result.unscored, result.accuracy) == (90, 2, correct / 90)


def adapting(model, ids, update):
    """Yield the windows of 2 x 5 tokens with their states, and train the model after each."""
    state = model.zero_state(2)
    streams = ids.reshape(2, 46).T
    for parameter in model.parameters().values():
        parameter.zero_grad()
    for start in range(0, 45, 5):
        x, y = streams[start : start + 5], streams[start + 1 : start + 6]
        yield x, y, state
        _, state = model.forward(x, y, state, masks={})
        model.backward()
        for path, parameter in model.parameters().items():
            parameter.data = update(path, parameter.data, parameter.grad)
            parameter.zero_grad()


def loss_of(model, windows):
    return sum(model.score(x, y, state)[0].sum() for x, y, state in windows) / 90


def test_decay_pulls_the_parameters_back_to_the_trained_ones(model, ids):
    trained = model.state_dict()
    result = nl.evaluate_dynamic(model, ids, 2, 5, rate=0.2, decay=0.3)

    def update(path, data, grad):
        return data + 0.3 * (trained[path] - data) - 0.2 * grad

    assert result.loss == pytest.approx(loss_of(model, adapting(model, ids, update)), rel=1e-12)


def test_the_rms_of_the_gradient_scales_the_steps(model, ids, rng):
    """As in Krause et al. (2018); the scale is relative, and never pulls beyond the goal."""
    text = rng.integers(0, V, 92)
    rms = nl.gradient_rms(model, text, 2, 5)
    trained = model.state_dict()
    mean = np.concatenate([array.ravel() for array in rms.values()]).mean()
    assert max(array.max() for array in rms.values()) > 2 * mean  # min(decay * scale, 1) is 1
    for decay in (0.0, 0.5):
        model.load_state_dict(trained)
        result = nl.evaluate_dynamic(model, ids, 2, 5, rate=0.02, decay=decay, rms=rms)

        def update(path, data, grad, decay=decay):
            scale = rms[path] / mean
            pulled = data + np.minimum(decay * scale, 1) * (trained[path] - data)
            return pulled - 0.02 * grad / (scale + RMS_FLOOR)

        expected = loss_of(model, adapting(model, ids, update))
        assert result.loss == pytest.approx(expected, rel=1e-12)


def test_gradient_rms_is_that_of_each_entry_over_the_windows_of_a_text(model, ids):
    before = model.state_dict()
    found = nl.gradient_rms(model, ids, 2, 5)
    np.testing.assert_equal(model.state_dict(), before)
    squares = {path: [] for path in before}

    def keep(path, data, grad):
        squares[path].append(grad**2)
        return data

    assert len(list(adapting(model, ids, keep))) == 9
    for path, of_windows in squares.items():
        np.testing.assert_allclose(found[path], np.sqrt(np.mean(of_windows, axis=0)), rtol=1e-10)


def test_frozen_parameters_do_not_adapt(model, ids):
    model.freeze(["embedding"])
    rms = nl.gradient_rms(model, ids, 2, 5)
    assert rms.keys() == model.parameters().keys()
    frozen = model.state_dict()["embedding.W"]
    learner = DynamicModel("here", model, 0.1, 0.2, rms)
    learner.read(ids[:5, None], ids[1:6, None], model.zero_state(1))
    learner.step()
    after = learner.model.state_dict()
    np.testing.assert_array_equal(after.pop("embedding.W"), frozen)
    assert all((array != model.state_dict()[path]).any() for path, array in after.items())


BAD_RMS = [
    (lambda rms: rms.pop("lstm.0.b"), "each trainable parameter; missing or unknown: lstm.0.b"),
    (lambda rms: rms.update(a=rms["lstm.0.b"]), "each trainable parameter; missing or unknown: a"),
    (lambda rms: rms.update({"lstm.0.b": np.zeros(3)}), r"rms of lstm.0.b must have shape \(24,\)"),
    (lambda rms: rms["lstm.0.b"].fill(-1), "rms of lstm.0.b must not be negative, got -1"),
    (lambda rms: rms["lstm.0.b"].fill(np.nan), "rms of lstm.0.b must be finite"),
    (lambda rms: [array.fill(0) for array in rms.values()], "rms must not be zero everywhere"),
]


@pytest.mark.parametrize(("spoil", "message"), BAD_RMS)
def test_a_wrong_rms_gets_one_sentence(ids, spoil, message):
    model = nl.LanguageModel(V, 6, dtype="float64", rng=0)
    rms = nl.gradient_rms(model, ids, 2, 5)
    spoil(rms)
    with pytest.raises((ValueError, NotFinite), match=f"evaluate_dynamic: .*{message}"):
        nl.evaluate_dynamic(model, ids, 2, 5, rate=0.1, rms=rms)


def test_no_rms_of_scores_that_are_not_finite(model, ids):
    model.parameters()["decoder.b"].data[3] = np.inf
    with pytest.raises(NotFinite, match="gradient_rms: the scores of the model are not finite"):
        nl.gradient_rms(model, ids)


def test_steps_and_a_cache_together(model, ids):
    """The cache holds each state as it was when its window was read."""
    both = nl.evaluate_dynamic_with_cache(
        model, ids, 2, 5, rate=0.2, decay=0.1, size=7, theta=0.7, share=0.2
    )
    trained = model.state_dict()
    remembered = [[], []]  # of each stream: pairs of a state and the token after it
    losses, correct = [], 0

    def update(path, data, grad):
        return data + 0.1 * (trained[path] - data) - 0.2 * grad

    for x, y, state in adapting(model, ids, update):
        logits, _, cache = network.forward(
            model.functions, model.config, model.arrays(), x, state, {}
        )
        p = softmax(logits)
        hs = cache["decoder"].x.copy()
        for t, b in np.ndindex(x.shape):
            weights = [np.exp(0.7 * hs[t, b] @ key) for key, _ in remembered[b][-7:]]
            if weights:
                p[t, b] *= 0.8
            for weight, (_, token) in zip(weights, remembered[b][-7:], strict=True):
                p[t, b, token] += 0.2 * weight / sum(weights)
            remembered[b].append((hs[t, b], y[t, b]))
            losses.append(-np.log(p[t, b, y[t, b]]))
            correct += p[t, b].argmax() == y[t, b]
    assert both.loss == pytest.approx(np.mean(losses), rel=1e-12)
    assert both.accuracy == correct / 90


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
