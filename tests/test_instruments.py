"""The numbers of the instruments of the interactive page, in Node, against the textbook."""

import base64
import json

import numpy as np
import pytest
from support.node import Held, needs_node, node

from numpylstm import (
    LanguageModel,
    TrainConfig,
    Vocabulary,
    evaluate,
    explore,
    reference,
    tasks,
)  # fmt: skip
from numpylstm.cells import CELLS
from numpylstm.explore import own
from numpylstm.laboratory.diagnostics import cell_activations
from numpylstm.laboratory.diagnostics.steps import forward_pass, layers_back

pytestmark = needs_node


# --- one step ------------------------------------------------------------------------------------


def one_step(cell, at, weights):
    """Return all numbers of one step from the textbook, by their names on the page."""
    x, h_prev, dh = (np.array([[at[name]]]) for name in ("x", "h_prev", "dh"))
    blocks = {"lstm": "ifgo", "gru": "rzn", "rnn": "h"}[cell]
    Wx, Wh, b = np.array([weights["Wx"]]), np.array([weights["Wh"]]), np.array(weights["b"])
    a = (x @ Wx + h_prev @ Wh + b)[0]
    values = {f"a_{n}": a[k] for k, n in enumerate(blocks)}
    if cell == "rnn":
        h, cache = reference.rnn_step_forward(x, h_prev, Wx, Wh, b)
        dx, dh_prev, dWx, dWh, db = reference.rnn_step_backward(dh, cache)
        values |= {"h": h, "slope_h": 1 - h * h, "da_h": db}
    elif cell == "gru":
        h, cache = reference.gru_step_forward(x, h_prev, Wx, Wh, b)
        dx, dh_prev, dWx, dWh, db, _ = reference.gru_step_backward(dh, cache)
        r, z, n = cache.r, cache.z, cache.n
        values["a_n"] = (x * Wx[0, 2] + b[2] + r * (h_prev * Wh[0, 2])).item()
        da_n = dh * (1 - z) * (1 - n * n)
        values |= {"r": r, "z": z, "n": n, "h": h, "dn": dh * (1 - z), "dz": dh * (h_prev - n)}
        values |= {"dr": da_n * h_prev * Wh[0, 2], "slope_n": 1 - n * n}
        values |= {f"slope_{k}": y * (1 - y) for k, y in (("r", r), ("z", z))}
        values |= {f"da_{k}": db[j] for j, k in enumerate(blocks)}
    else:
        c_prev, dc = np.array([[at["c_prev"]]]), np.array([[at["dc"]]])
        h, c, cache = reference.lstm_step_forward(x, h_prev, c_prev, Wx, Wh, b)
        results = reference.lstm_step_backward(dh, dc, cache)
        dx, dh_prev, values["dc_prev"], dWx, dWh, db = results
        i, f, g, o = cache.i, cache.f, cache.g, cache.o
        total = dc + dh * o * (1 - cache.tanh_c**2)
        values |= {"i": i, "f": f, "g": g, "o": o, "h": h, "c": c, "dc_total": total}
        values |= {"di": total * g, "df": total * c_prev, "dg": total * i, "do": dh * cache.tanh_c}
        values |= {f"slope_{n}": y * (1 - y) for n, y in (("i", i), ("f", f), ("o", o))}
        values["slope_g"] = 1 - g * g
        values |= {f"da_{n}": db[k] for k, n in enumerate(blocks)}
    values |= {"dx": dx, "dh_prev": dh_prev}
    for k, n in enumerate(blocks):
        values |= {f"dWx_{n}": dWx[0, k], f"dWh_{n}": dWh[0, k], f"db_{n}": db[k]}
    return {name: float(np.squeeze(number)) for name, number in values.items()}


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_one_step(cell):
    rng, held = np.random.default_rng(1), Held()
    blocks = len(CELLS[cell].blocks)
    for _ in range(3):
        names = ["x", "h_prev", "dh"] + ["c_prev", "dc"] * (cell == "lstm")
        outside = {name: rng.uniform(-2, 2) for name in names}
        weights = {key: list(rng.uniform(-3, 3, blocks)) for key in ("Wx", "Wh", "b")}
        found = node("instruments", instrument="step", cell=cell, outside=outside, weights=weights)
        expected = one_step(cell, outside, weights)
        assert expected.keys() <= found.keys()
        for name, value in expected.items():
            held(name, found[name], value)


# --- a pulse, and how far the gradient reaches ----------------------------------------------------


def test_a_pulse():
    """What a vanilla unit rewrites and a cell carries; and the figures that the article names."""
    pulses = np.zeros((31, 3, 1))
    pulses[0, :, 0] = 1, 0.5, 0.25
    zeros, one, held = np.zeros((3, 1)), np.ones((1, 1)), Held()
    found = {}
    for w, bias in ((0.9, 3), (0.5, 0), (1.2, 5)):
        found[w] = node("instruments", instrument="pulse", w=w, forget_bias=bias)
        hs, *_ = reference.rnn_forward(pulses, zeros, one, w * one, np.zeros(1))
        held("rewritten", found[w]["rewritten"], hs[..., 0])
        f = reference.sigmoid(np.array(float(bias)))
        c = np.tanh(pulses[0].T) * f ** np.arange(31)[:, None]
        held("carried", found[w]["carried"], c)
    assert np.round([found[0.9]["rewritten"][t][0] for t in (1, 5, 10, 20)], 2).tolist() == [
        0.60, 0.31, 0.17, 0.06,
    ]  # fmt: skip
    assert found[0.5]["rewritten"][5][0] < 0.025  # gone after five steps
    assert np.ptp(found[1.2]["rewritten"][30]) < 0.01  # all three end at the same value
    assert found[1.2]["carried"][20][0] > 0.87 * found[1.2]["carried"][0][0]  # a bias of 5
    assert found[0.5]["carried"][10][0] < found[0.9]["rewritten"][10][0]  # a bias of 0


def reach(**settings):
    """Return the curves of the page, compared with the textbook's on the same arrays."""
    drawn = node("instruments", instrument="reach", **settings)
    x, r, held = np.array(drawn["x"])[: settings["T"]], np.array(drawn["dhT"]), Held(1e-11)
    *rnn, b_rnn = map(np.array, drawn["rnn"])
    *lstm, b_lstm = map(np.array, drawn["lstm"])
    zeros = np.zeros_like(r)
    for activation in ("tanh", "relu", "sigmoid"):
        _, _, cache = reference.rnn_forward(x, zeros, *rnn, b_rnn[0], activation)
        dh, norms = r, [np.linalg.norm(r)]
        for t in reversed(range(len(x))):
            step = reference.RNNCache(x[t], cache.h_prev[t], cache.h[t], *rnn, activation)
            dh = reference.rnn_step_backward(dh, step)[1]
            norms.append(np.linalg.norm(dh))
        for k, norm in enumerate(norms):
            held(f"{activation} at lag {k}", drawn["curves"][activation][k], norm / norms[0])
    *_, cache = reference.lstm_forward(x, zeros, zeros, *lstm, b_lstm[0])
    *over_time, _, _ = cache
    dh, dc, norms = r, zeros, [(np.linalg.norm(r), 0)]
    for t in reversed(range(len(x))):
        step = reference.LSTMCache(*(values[t] for values in over_time), *lstm)
        _, dh, dc, *_ = reference.lstm_step_backward(dh, dc, step)
        norms.append((np.linalg.norm(dh), np.linalg.norm(dc)))
    for k, pair in enumerate(norms):
        for name, norm in zip(("lstm", "cell"), pair, strict=True):
            held(f"{name} at lag {k}", drawn["curves"][name][k], norm / norms[0][0])
    return drawn, {name: np.array(curve) for name, curve in drawn["curves"].items()}


def test_how_far_the_gradient_reaches():
    """Every point of the five curves; and what the article says of them."""
    base = {"kind": "random", "forget_bias": 3, "T": 60, "seed": 1}
    drawn, fading = reach(radius=0.7, **base)
    assert np.abs(np.linalg.eigvals(drawn["rnn"][1])).max() == pytest.approx(0.7, rel=1e-3)
    assert 1e-11 < fading["tanh"][60] < 1e-9  # one ten-billionth
    assert 0.1 < fading["cell"][30] < 0.2
    _, unbiased = reach(radius=0.7, **base | {"forget_bias": 0})
    assert unbiased["cell"][30] < unbiased["tanh"][30]
    _, alive = reach(radius=1.1, **base)
    assert 0.5 < alive["tanh"][30] < 5
    drawn, orthogonal = reach(radius=1.05, **base | {"kind": "orthogonal", "seed": 2, "T": 120})
    W = np.array(drawn["rnn"][1])
    np.testing.assert_allclose(W @ W.T, 1.05**2 * np.eye(len(W)), atol=1e-12)
    assert orthogonal["tanh"][30] > 0.05  # an orthogonal RNN does not vanish at the start


# --- trained models ------------------------------------------------------------------------------


def stored_model(name):
    """Return the model as the page stores it, and its weights in float64."""
    path = explore.FOLDER / "models.json"
    model = json.loads(path.read_text(encoding="utf-8"))[name]
    arrays = {
        path: np.frombuffer(base64.b64decode(array["float16"]), "<f2").reshape(array["shape"])
        for path, array in model["parameters"].items()
    }
    model |= {"cell": explore.cell_record(CELLS["lstm"]), "options": []}
    return model, {path: array.astype(float) for path, array in arrays.items()}


def read_text(parameters, ids, c0=None):
    """Return probabilities of the next character, (T, V), and the cache, from the textbook."""
    H = len(parameters["lstm.0.Wh"])
    x, _ = reference.embedding_forward(np.array(ids)[:, None], parameters["embedding.W"])
    weights = (parameters[f"lstm.0.{key}"] for key in ("Wx", "Wh", "b"))
    zeros = np.zeros((1, H))
    hs, _, _, cache = reference.lstm_forward(x, zeros, zeros if c0 is None else c0, *weights)
    logits, _ = reference.linear_forward(hs, parameters["decoder.W"], parameters["decoder.b"])
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (e / e.sum(axis=-1, keepdims=True))[:, 0], cache


def clamped(parameters, unit, **gates):
    """Return the weights with gates of one cell fixed at 0 or 1."""
    changed = {path: array.copy() for path, array in parameters.items()}
    H = len(parameters["lstm.0.Wh"])
    for gate, to in gates.items():
        column = "ifgo".index(gate) * H + unit
        changed["lstm.0.Wx"][:, column] = changed["lstm.0.Wh"][:, column] = 0
        changed["lstm.0.b"][column] = 1e4 if to else (0 if gate == "g" else -1e4)
    return changed


BRACKETS = '\n(()(("a(b"))())\n((("))a"())))'


@pytest.mark.parametrize(
    ("name", "text", "hands"),
    [
        ("python", 'A "yield" expression', {}),
        ("python", 'A "yield" expression', {"f": 0, "o": 1}),
        ("brackets", BRACKETS, {}),
        ("brackets", BRACKETS, {"i": 1}),
        ("brackets", BRACKETS, {"c": -2}),
    ],
)
def test_a_trained_cell_reads(name, text, hands):
    """Probabilities and gates, free and with the cell in hand."""
    model, parameters = stored_model(name)
    unit, held = model["unit"], Held()
    ids = [model["tokens"].index(character) for character in text]
    found = node("instruments", instrument="reading", stored=model, ids=ids, hands=hands, unit=unit)
    gates, c0 = hands, None
    if "c" in hands:
        gates, c0 = {"f": 1, "g": 0}, np.zeros((1, len(parameters["lstm.0.Wh"])))
        c0[0, unit] = hands["c"]
    p, cache = read_text(clamped(parameters, unit, **gates), ids, c0)
    held("p", [place["p"] for place in found["places"]], p)
    for unit_name in "ifgoch":
        values = [place["steps"][0][unit_name][0] for place in found["places"]]
        held(unit_name, values, getattr(cache, unit_name)[:, 0])


def test_what_the_article_says_of_the_counter():
    """Steps down and up, none in quotations; what each held gate does."""
    model, parameters = stored_model("brackets")
    unit, line_end = model["unit"], model["tokens"].index("\n")
    ids = [model["tokens"].index(character) for character in BRACKETS]
    p, cache = read_text(parameters, ids)
    c, i, f = cache.c[:, 0, unit], cache.i[:, 0, unit], cache.f[:, 0, unit]
    quoted = np.array([BRACKETS[: t + 1].count('"') % 2 == 1 for t in range(len(ids))])
    steps = np.diff(c)
    for t, character in enumerate(BRACKETS[2:15], start=2):
        if quoted[t]:
            assert abs(steps[t - 1]) < 0.1
            assert i[t] < 0.1
        elif character in "()":
            assert 0.8 < steps[t - 1] * (1 if character == ")" else -1) < 1.05
    ends = [t - 1 for t, character in enumerate(BRACKETS) if character == "\n" and t]
    ends.append(len(ids) - 1)
    assert (p[ends, line_end] > 0.8).all()
    assert f[BRACKETS.index("\n", 1)] < 0.3  # at the end of a line, the count starts again
    counting_all, _ = read_text(clamped(parameters, unit, i=1), ids)
    assert counting_all[ends[0], line_end] < 0.01
    assert counting_all[ends[1] - 1, line_end] > 0.5
    never_cleared, kept = read_text(clamped(parameters, unit, f=1), ids)
    start = ends[0] + 2  # of the second line
    assert kept.c[start, 0, unit] > c[start] + 0.5
    assert never_cleared[ends[1] - 1, line_end] > 0.9
    last_only, _ = read_text(clamped(parameters, unit, f=0), ids)
    assert last_only[BRACKETS.index("))"), line_end] > 0.9
    c0 = np.zeros((1, 10))
    c0[0, unit] = -2
    at_minus_two, _ = read_text(clamped(parameters, unit, i=0, f=1, g=0), ids, c0)
    assert (at_minus_two[ends, line_end] < 0.01).all()


# --- the race ------------------------------------------------------------------------------------


def arrays_of(parameters):
    arrays = {path: np.array(array) for path, array in parameters.items()}
    return {path: a[0] if path.endswith(".b") else a for path, a in arrays.items()}


def learn(cell, parameters, ids, targets, weights=None):
    """Return loss, gradients and their norm for a batch, from the textbook."""
    x, embedding = reference.embedding_forward(ids, parameters["embedding.W"])
    names = [f"{cell}.0.{key}" for key in ("Wx", "Wh", "b")]
    forward, backward = (CELLS[cell].function(reference, way) for way in ("forward", "backward"))
    H = len(parameters["decoder.W"])
    state = [np.zeros((ids.shape[1], H)) for _ in CELLS[cell].states]
    hs, *_, cache = forward(x, *state, *(parameters[name] for name in names))
    logits, decoder = reference.linear_forward(hs, parameters["decoder.W"], parameters["decoder.b"])
    loss, losses = reference.sequence_cross_entropy_forward(logits, targets, weights)
    dlogits = reference.sequence_cross_entropy_backward(losses)
    dhs, dW, db = reference.linear_backward(dlogits, decoder)
    dx, *_, dWx, dWh, db_cell = backward(dhs, *state, cache)
    gradients = dict(zip(names, (dWx, dWh, db_cell), strict=True))
    gradients |= {"decoder.W": dW, "decoder.b": db}
    gradients["embedding.W"] = reference.embedding_backward(dx, embedding)
    return loss, gradients, np.sqrt(sum((g**2).sum() for g in gradients.values()))


def of_batch(batch):
    ids, targets, weights = (np.array(batch[key]) for key in ("ids", "targets", "weights"))
    return ids, targets, weights.astype(float)


def test_the_race():
    """Ten updates are those of the textbook, and so are the gradients at the end."""
    settings = {"seed": 2, "delay": 5, "rate": 0.05, "clip": True}
    found = node("instruments", instrument="race", settings=settings, few=10, many=500)
    held, exact = Held(), Held()
    for cell, clip in (("rnn", 1), ("lstm", 0.2)):
        own_arrays = arrays_of(found["before"][cell])
        velocity, smooth = dict.fromkeys(own_arrays, 0.0), np.log(4)
        for batch in found["batches"]:
            loss, gradients, norm = learn(cell, own_arrays, *of_batch(batch))
            smooth += 0.03 * (loss - smooth)
            for path, gradient in gradients.items():
                velocity[path] = 0.9 * velocity[path] + gradient * min(1, clip / norm)
                own_arrays[path] = own_arrays[path] - 0.05 * velocity[path]
        held(cell, arrays_of(found["after"][cell]), own_arrays)
        held("shown", found["shown"][cell], {"loss": smooth, "norm": norm})
        loss, gradients, _ = learn(cell, arrays_of(found["end"][cell]), *of_batch(found["batch"]))
        look = found["looks"][cell]
        exact("loss", look["loss"], loss)
        exact("gradients", arrays_of(look["gradients"]), gradients)
    task = tasks.DelayedCopy(5, num_symbols=4, num_fillers=2)
    assert (found["floor"], found["chance"]) == pytest.approx((task.floor, task.chance))
    assert found["looks"]["lstm"]["smooth"] < (task.floor + task.chance) / 2
    print(f"\n10 updates, {held}; after 500, {exact}")


# --- the explorer of a run -----------------------------------------------------------------------

EXPLORED = {
    "two layers of LSTM": {"cell": "lstm", "num_layers": 2, "embedding_size": 5},
    "a tied GRU": {"cell": "gru", "tied": True},
    "a GRU, reset before": {"cell": "gru", "num_layers": 2, "options": {"reset": "before"}},
    "a relu RNN": {"cell": "rnn", "options": {"activation": "relu"}},
    "a sigmoid RNN": {"cell": "rnn", "options": {"activation": "sigmoid"}},
}


def untrained(**settings):
    """Return a model of 7 units with large random weights, its page's data and its text."""
    config = TrainConfig(train="text.txt", hidden_size=7, **settings)
    vocabulary = Vocabulary(("a", "b", "c", "d", "e", "<unk>", "<eos>"))
    model, rng = LanguageModel.from_config(config, len(vocabulary)), np.random.default_rng(3)
    for parameter in model.parameters().values():
        parameter.data[...] = rng.normal(0, 0.45, parameter.data.shape)
    ids = rng.integers(0, len(vocabulary), 23)
    text = own.ReadText("text", ids, vocabulary.decode(ids))
    page = own.explorer_page("run", model, vocabulary, config, text)
    data = page.split('id="data">')[1].split("</script>")[0]
    return model, config, ids, json.loads(data)["models"]["own"]


def in_textbook(model, ids):
    """Return the norm of d log p(ids[t + 1]) / d x[s], [t, s], from the steps of the textbook."""
    norms = np.zeros((len(ids) - 1, len(ids) - 1))
    caches, dhs = forward_pass(model, ids[:-1, None], ids[1:, None])
    for t in range(len(norms)):
        own_loss = np.arange(t + 1)[:, None, None] == t
        for layer, step in layers_back(dhs[: t + 1] * own_loss, caches):
            if layer == 0:
                norms[t, step.t] = np.linalg.norm(step.dx)
    return norms


def probabilities(model, ids):
    logits = model.logits(ids[:, None])[0][:, 0].astype(float)
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("name", EXPLORED)
def test_the_explorer_of_a_run(name):
    """Its numbers are the package's, and a held cell has the loss that the ranking gives it."""
    model, config, ids, data = untrained(**EXPLORED[name])
    held, close, places = Held(1e-5), Held(1e-9), (0, 8, 21)
    given = {"stored": data, "ids": ids, "norms": places}
    found = node("instruments", instrument="reading", **given)
    p = np.array([place["p"] for place in found["places"]])
    held("p", p, probabilities(model, ids))
    held("loss", -np.log(p[range(len(ids) - 1), ids[1:]]).mean(), evaluate(model, ids).loss)
    gradients = in_textbook(model, ids)
    for t, norms in zip(places, found["norms"], strict=True):
        close(f"gradients at {t}", norms, gradients[t, : t + 1])
    memory, layer, unit = CELLS[config.cell].memory, config.num_layers - 1, 4
    given |= {"hands": {memory: 0.35}, "layer": layer, "unit": unit}
    found = node("instruments", instrument="reading", **given)
    arrays, state = own.held(model, model.state_dict(), layer, unit, 0.35)
    model.load_state_dict(arrays)
    clamped_loss = model.score(ids[:-1, None], ids[1:, None], state)[0].mean(dtype=float)
    p = np.array([place["p"] for place in found["places"]])
    held("held", -np.log(p[range(len(ids) - 1), ids[1:]]).mean(), clamped_loss)
    values = [place["steps"][layer][memory][0][unit] for place in found["places"]]
    held("the cell", values, np.full(len(ids), 0.35))


def test_the_explorer_of_a_model_too_large_for_the_page(monkeypatch):
    monkeypatch.setattr(own, "MOST_PARAMETERS", 100)
    monkeypatch.setattr(own, "MOST_ROWS", 3)
    model, _, ids, data = untrained(cell="lstm", num_layers=2)
    found = node("instruments", instrument="reading", stored=data, ids=ids, norms=(0, 8, 21))
    # recorded in float32
    held, close, gradients = Held(1e-5), Held(3e-6), in_textbook(model, ids)
    for t, norms in zip((0, 8, 21), found["norms"], strict=True):
        close(f"gradients at {t}", norms, gradients[t, : t + 1])
    held("p", [place["p"] for place in found["places"]], probabilities(model, ids))
    for layer, units in enumerate(cell_activations(model, ids[:, None])):
        for unit in data["rows"][layer]:
            for name in "ifgoch":
                values = [place["steps"][layer][name][0][unit] for place in found["places"]]
                held(name, values, getattr(units, name)[:, 0, unit])


# --- your own text -------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["lstm", "rnn"])
def test_the_trainer_of_the_page_has_the_gradients_of_the_textbook(cell):
    """Of two windows in a row; before the second, its weights and state have changed."""
    sizes, rng = {"V": 7, "H": 5, "T": 4, "B": 3}, np.random.default_rng(4)
    windows = rng.integers(7, size=(2, 2, 4, 3))
    found = node("own_text", task="gradients", cell=cell, sizes=sizes, windows=windows)
    held = Held(1e-11)
    before, after = (arrays_of(found["steps"][k]) for k in (0, 1))
    loss, gradients, norm = learn(cell, before, *windows[0])
    held("loss", found["losses"][0], {"loss": loss / 4, "norm": norm})
    held("gradients", {path: before[path] - after[path] for path in before}, gradients)
    both = learn(cell, after, windows[1, 0], windows[1, 1])[0]
    assert found["losses"][1]["loss"] != pytest.approx(both / 4)  # its state went on
    print(f"\nthe trainer of the {cell}: {held}")


TEXT = "The cat (a cat!) sat on the mat. " * 60


@pytest.mark.parametrize("cell", ["lstm", "rnn"])
def test_the_downloaded_model_continues_as_the_page(cell, tmp_path):
    """Through numpylstm-import and numpylstm-sample: the same text, from the same numbers."""
    pytest.importorskip("safetensors")
    from numpylstm.cli import import_, sample

    file, run = tmp_path / "model.safetensors", tmp_path / "mine"
    given = {"text": TEXT, "cell": cell, "H": 12, "updates": 150, "length": 200}
    found = node("own_text", task="learn", file=str(file), **given)
    assert found["held_out"] < 0.7 * found["first"]
    assert "\ufffd" not in found["sample"]
    assert import_.main([str(file), "--out", str(run)]) == 0
    assert sample_of(sample, run, found["prompt"]) == found["greedy"]


def sample_of(sample, run, prompt):
    import contextlib
    import io

    out = io.StringIO()
    arguments = ["--prompt", prompt, "--temperature", "0", "--length", "200", "--quiet", "--json"]
    with contextlib.redirect_stdout(out):
        assert sample.main([str(run), *arguments]) == 0
    return json.loads(out.getvalue())["text"].removeprefix(prompt)


def test_a_gate_is_held_while_the_model_learns():
    given = {"text": TEXT, "cell": "lstm", "H": 6, "updates": 20, "length": 1}
    found = node("own_text", task="learn", hold={"unit": 2, "gate": "f", "value": 1}, **given)
    before, held, after = (arrays_of(found[name]) for name in ("before", "held", "after"))
    column = 6 + 2  # of f
    for key in ("Wx", "Wh", "b"):
        path = f"lstm.0.{key}"
        assert (held[path][..., column] == (1000 if key == "b" else 0)).all()
        np.testing.assert_array_equal(after[path][..., column], before[path][..., column])
        assert (after[path][..., column - 1] != before[path][..., column - 1]).any()


def test_the_texts_that_can_be_learnt():
    many = "".join(chr(0x4E00 + k % 300) for k in range(1000))
    texts = ["ab" * 70, "a\0b" * 500, "é" * 100_001, "\ufeffab\r\nc\r" * 200, many]
    short, binary, long, line_ends, symbols = node("own_text", task="texts", texts=texts)
    assert short["said"] == "This text has 140 characters; learning needs at least 500."
    assert binary["said"] == "This is not a text: it has a NUL character."
    assert long["said"] == "This text has 201 kB; the page learns from at most 200 kB."
    assert long["begins"] == 100_000  # whole characters
    assert line_ends["said"] is None
    assert sorted(line_ends["tokens"]) == ["\n", "<unk>", "a", "b", "c", "\ufeff"]
    assert (symbols["distinct"], len(symbols["tokens"])) == (300, 256)


def test_how_fast_the_page_learns():
    """Characters per second of processor time at 64 units; about 20,000 on an idle machine."""
    text = explore.brackets(20_000)
    for k, c in enumerate("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,;:-"):
        text = text[: 300 * k] + c + text[300 * k + 1 :]
    found = node("own_text", task="speed", text=text, H=64, seconds=1)
    print(f"\n{found['speed']:,.0f} characters a second, {found['symbols']} symbols")
    assert found["speed"] > 2000
