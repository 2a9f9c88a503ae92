"""The numbers of the instruments of the interactive page, in Node, against the textbook."""

import base64
import json
from functools import partial

import numpy as np
import pytest
from support.node import assert_close, needs_node, node
from support.pages import data_of, untrained

from numpylstm import LanguageModel, explore, reference, tasks
from numpylstm.cells import CELLS
from numpylstm.explore import own
from numpylstm.laboratory.diagnostics import cell_activations
from numpylstm.laboratory.diagnostics.steps import forward_pass, step_cache

pytestmark = needs_node


# --- one step ------------------------------------------------------------------------------------


def steps_of(cell):
    """Return one step of the textbook, forwards and backwards."""
    return [CELLS[cell].function(reference, f"step_{way}") for way in ("forward", "backward")]


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_one_step(cell):
    """Every number of a step by its name on the page."""
    rng, record = np.random.default_rng(1), CELLS[cell]
    states, blocks = record.states, record.blocks
    before = [*(f"{s}_prev" for s in states), *(f"d{s}" for s in states)]
    outside = {name: rng.uniform(-2, 2) for name in ("x", *before)}
    weights = {key: list(rng.uniform(-3, 3, len(blocks))) for key in ("Wx", "Wh", "b")}
    found = node("instruments", instrument="step", cell=cell, outside=outside, weights=weights)
    x, *given = (np.array([[number]]) for number in outside.values())
    forward, backward = steps_of(cell)
    arrays = np.array([weights["Wx"]]), np.array([weights["Wh"]]), np.array(weights["b"])
    *after, cache = forward(x, *given[: len(states)], *arrays)
    dx, *gradients = backward(*given[len(states) :], cache)
    names = [*states, "dx", *(f"d{s}_prev" for s in states)]
    numbers = np.concatenate([np.ravel(a) for a in (*after, dx, *gradients[: len(states)])])
    assert_close("the step", [found[name] for name in names], numbers)
    db = dict(zip(blocks, gradients[len(states) + 2], strict=True))
    shown = {}  # of each nonlinearity
    for block in blocks:
        y = getattr(cache, block).item()
        slope = 1 - y * y if block in "gnh" else y * (1 - y)
        shown |= {block: y, f"d{block}": db[block] / slope}
    if cell == "lstm":
        shown["dc_total"] = found["dc_prev"] / found["f"]
    assert_close("shown", {name: found[name] for name in shown}, shown)


# --- a pulse, and how far the gradient reaches ----------------------------------------------------


def test_a_pulse():
    """What a vanilla unit rewrites and a cell carries; and the figures that the article names."""
    first, found = np.tanh([1, 0.5, 0.25]), {}
    for w, bias in ((0.9, 3), (0.5, 0), (1.2, 5)):
        found[w] = node("instruments", instrument="pulse", w=w, forget_bias=bias)
        h = first
        rewritten = [h, *(h := np.tanh(w * h) for _ in range(30))]
        assert_close("rewritten", found[w]["rewritten"], rewritten)
        f = reference.sigmoid(np.array(float(bias)))
        assert_close("carried", found[w]["carried"], first * f ** np.arange(31)[:, None])
    at_rest = [found[0.9]["rewritten"][t][0] for t in (1, 5, 10, 20)]
    assert np.round(at_rest, 2).tolist() == [0.60, 0.31, 0.17, 0.06]
    assert found[0.5]["rewritten"][5][0] < 0.025  # gone after five steps
    assert np.ptp(found[1.2]["rewritten"][30]) < 0.01  # all three end at the same value
    assert found[1.2]["carried"][20][0] / first[0] == pytest.approx(0.87, abs=0.005)
    assert found[0.5]["carried"][10][0] < found[0.9]["rewritten"][10][0]  # a bias of 0


def norms_back(cell, dh, steps):
    """Return the norm of dL/dh, of an LSTM dL/dc, before each of `steps`, from the last back."""
    _, backward = steps_of(cell)
    dstate = [dh, *(np.zeros_like(dh) for _ in CELLS[cell].states[1:])]
    norms = []
    for step in reversed(steps):
        dstate = backward(*dstate, step)[1 : 1 + len(dstate)]
        norms.append(np.linalg.norm(dstate[-1]))
    return np.array(norms)


def reach(radius, forget_bias):
    """Return the curves of the page, compared with the textbook's, step by step."""
    found = node("instruments", instrument="reach", radius=radius, forget_bias=forget_bias)
    r = np.array(found["dhT"])
    for cell, name in (("rnn", "tanh"), ("lstm", "cell")):
        forward, _ = steps_of(cell)
        Wx, Wh, b = map(np.array, found[cell])
        state, caches = [np.zeros_like(r) for _ in CELLS[cell].states], []
        for x_t in np.array(found["x"]):
            *state, cache = forward(x_t, *state, Wx, Wh, b[0])
            caches.append(cache)
        norms = norms_back(cell, r, caches) / np.linalg.norm(r)
        for k, norm in enumerate(norms, 1):
            assert_close(f"{name} at lag {k}", found["curves"][name][k], norm, 1e-11)
    dc = r * caches[-1].o * (1 - caches[-1].tanh_c ** 2)  # of the LSTM, which came last
    f = np.array([cache.f for cache in caches])
    alone = [np.linalg.norm(dc * f[len(f) - k :].prod(axis=0)) for k in range(1, len(f) + 1)]
    along = alone / np.linalg.norm(r)
    assert_close("along the cell", found["curves"]["along"][1:], along, 1e-11)
    return found, {name: np.array(curve) for name, curve in found["curves"].items()}


def test_how_far_the_gradient_reaches():
    """The curves, and what the article says of them."""
    found, fading = reach(0.7, 3)
    assert np.abs(np.linalg.eigvals(found["rnn"][1])).max() == pytest.approx(0.7, rel=1e-3)
    assert 1e-11 < fading["tanh"][60] < 1e-9  # one ten-billionth
    assert fading["along"][30] == pytest.approx(0.08, abs=0.005)
    _, unbiased = reach(0.7, 0)
    assert unbiased["cell"][30] < unbiased["tanh"][30]
    assert fading["along"][30] / unbiased["along"][30] > 1e8
    # what explodes multiplies the rounding error too, so this is not compared digit by digit
    exploding = node("instruments", instrument="reach", radius=3.0, forget_bias=0)["curves"]["tanh"]
    assert 1e8 < exploding[60] < 1e9


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


def model_of(parameters, cell="lstm"):
    """Return a model of the textbook with these weights."""
    (V, D), H = parameters["embedding.W"].shape, len(parameters["decoder.W"])
    model = LanguageModel(V, H, embedding_size=D, cell=cell, dtype="float64", impl="reference")
    model.load_state_dict(parameters)
    return model


def read_text(parameters, ids, unit=0, c0=0.0):
    """Return probabilities of the next character, (T, V), and the units, from the textbook."""
    model, ids = model_of(parameters), np.array(ids)
    state = model.zero_state(1)
    state.c[0, 0, unit] = c0
    [units] = cell_activations(model, ids[:, None], state)
    return model.probabilities(ids[:, None], state)[0][:, 0], units


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
    ("name", "text", "clamps"),
    [
        ("python", 'A "yield" expression', {}),
        ("python", 'A "yield" expression', {"f": 0, "o": 1}),
        ("brackets", BRACKETS, {}),
        ("brackets", BRACKETS, {"i": 1}),
        ("brackets", BRACKETS, {"c": -2}),
    ],
)
def test_a_trained_cell_reads(name, text, clamps):
    """Probabilities and gates, free and with the cell in hand."""
    model, parameters = stored_model(name)
    unit = model["unit"]
    ids = [model["tokens"].index(character) for character in text]
    given = {"stored": model, "ids": ids, "clamps": clamps, "unit": unit}
    found = node("instruments", instrument="reading", **given)
    gates = {"f": 1, "g": 0} if "c" in clamps else clamps
    p, units = read_text(clamped(parameters, unit, **gates), ids, unit, clamps.get("c", 0))
    assert_close("p", [place["p"] for place in found["places"]], p)
    for unit_name in "ifgoch":
        values = [place["steps"][0][unit_name][0] for place in found["places"]]
        assert_close(unit_name, values, getattr(units, unit_name)[:, 0])


def test_what_the_article_says_of_the_counter():
    """Steps down and up, none in quotations; what each held gate does."""
    model, parameters = stored_model("brackets")
    unit, tokens = model["unit"], model["tokens"]
    ids = [tokens.index(character) for character in BRACKETS]

    def held(c0=0.0, **gates):
        p, units = read_text(clamped(parameters, unit, **gates), ids, unit, c0)
        return p[:, tokens.index("\n")], units

    line_ends, units = held()
    c, i, f = (getattr(units, name)[:, 0, unit] for name in "cif")
    for t in range(2, 15):
        quoted = BRACKETS[: t + 1].count('"') % 2
        step = (c[t] - c[t - 1]) * {"(": -1, ")": 1}.get(BRACKETS[t], 0)
        assert (i[t] < 0.1 and abs(c[t] - c[t - 1]) < 0.1) if quoted else step == 0 or step > 0.8
    second = BRACKETS.index("\n", 1)
    ends = [second - 1, len(ids) - 1]
    assert (line_ends[ends] > 0.8).all()
    assert f[second] < 0.3  # at the end of a line, the count starts again
    counting_all, _ = held(i=1)
    assert counting_all[ends[0]] < 0.01
    assert counting_all[ends[1] - 1] > 0.5
    never_cleared, kept = held(f=1)
    assert kept.c[second + 1, 0, unit] > c[second + 1] + 0.5
    assert never_cleared[ends[1] - 1] > 0.9
    last_only, _ = held(f=0)
    assert last_only[BRACKETS.index("))")] > 0.9
    at_minus_two, _ = held(-2, f=1, g=0)
    assert (at_minus_two[ends] < 0.01).all()


# --- the race ------------------------------------------------------------------------------------


def arrays_of(parameters):
    arrays = {path: np.array(array) for path, array in parameters.items()}
    return {path: a[0] if path.endswith(".b") else a for path, a in arrays.items()}


def learn(cell, parameters, ids, targets, weights=None):
    """Return loss, gradients and their norm for a batch, from the textbook."""
    model = model_of(parameters, cell)
    loss, _ = model.forward(ids, targets, weights=weights)
    model.backward()
    gradients = {path: parameter.grad for path, parameter in model.parameters().items()}
    return loss, gradients, np.sqrt(sum((g**2).sum() for g in gradients.values()))


def of_batch(batch):
    """Return ids, targets and weights of a batch of the race: the answer alone counts."""
    ids = np.array(batch["ids"])
    targets, weights = np.zeros_like(ids), np.zeros(ids.shape)
    targets[-1], weights[-1] = batch["answers"], 1
    return ids, targets, weights


@pytest.mark.slow
def test_the_race():
    """Ten updates are those of the textbook, and so is what arrives after 300. In .ci/run."""
    settings = {"seed": 3, "distance": 40, "lr": 0.05, "clip": True}
    found = node("instruments", instrument="race", settings=settings, few=10, many=300)
    for cell, clip in (("rnn", 1), ("lstm", 0.2)):
        own_arrays = arrays_of(found["before"][cell])
        velocity, smooth = dict.fromkeys(own_arrays, 0.0), np.log(4)
        for batch in found["batches"]:
            loss, gradients, norm = learn(cell, own_arrays, *of_batch(batch))
            smooth += 0.03 * (loss - smooth)
            for path, gradient in gradients.items():
                velocity[path] = 0.9 * velocity[path] + gradient * min(1, clip / norm)
                own_arrays[path] = own_arrays[path] - 0.05 * velocity[path]
        assert_close(cell, arrays_of(found["after"][cell]), own_arrays)
        assert_close("shown", found["shown"][cell], {"loss": smooth, "norm": norm})
        ids, targets, _ = of_batch(found["batch"])
        model = model_of(arrays_of(found["end"][cell]), cell)
        window = forward_pass(model, ids, targets)
        [cache] = window.layers
        dhs = window.dhs
        steps = [step_cache(cache, t) for t in range(len(ids))]
        norms = norms_back(cell, dhs[-1], steps)
        assert_close("arriving", found["arriving"][cell][1:], norms / np.linalg.norm(dhs[-1]))
    task = tasks.DelayedCopy(40, num_symbols=4, num_fillers=2)
    assert (found["floor"], found["chance"]) == pytest.approx((task.floor, task.chance))
    assert found["smooth"]["lstm"] < (task.floor + task.chance) / 2
    assert found["smooth"]["rnn"] > task.chance


# --- the explorer of a run -----------------------------------------------------------------------

EXPLORED = {
    "two layers of LSTM": {"cell": "lstm", "num_layers": 2, "embedding_size": 5},
    "a tied GRU": {"cell": "gru", "tied": True},
    "a GRU, reset before": {"cell": "gru", "num_layers": 2, "options": {"reset": "before"}},
    "a relu RNN": {"cell": "rnn", "options": {"activation": "relu"}},
    "a sigmoid RNN": {"cell": "rnn", "options": {"activation": "sigmoid"}},
}


def explored(**settings):
    """Return a model, its settings, the ids of its text, and the data of its page."""
    model, vocabulary, config, text = untrained(("a", "b", "c", "d", "e"), 0.45, **settings)
    page = own.explorer_page("run", model, vocabulary, config, text)
    return model, config, text.ids, data_of(page)["models"]["own"]


def in_textbook(model, ids):
    """Return the norm of d log p(ids[t + 1]) / d x[s], [t, s], from the steps of the textbook."""
    norms = np.zeros((len(ids) - 1, len(ids) - 1))
    window = forward_pass(model, ids[:-1, None], ids[1:, None])

    def enter(t, layer, step):
        if layer == 0:
            norms[t, step.t] = np.linalg.norm(step.dx)

    for t in range(len(norms)):
        own_loss = np.arange(t + 1)[:, None, None] == t
        window.go_back(window.dhs[: t + 1] * own_loss, partial(enter, t))
    return norms


def read_explored(model, data, ids, close):
    """Return what the page reads; its probabilities and gradients are those of the package."""
    times = (0, 8, 21)
    found = node("instruments", instrument="reading", stored=data, ids=ids, norms=times)
    p = [place["p"] for place in found["places"]]
    assert_close("p", p, model.probabilities(ids[:, None])[0][:, 0], 1e-5)
    gradients = in_textbook(model, ids)
    for t, norms in zip(times, found["norms"], strict=True):
        assert_close(f"gradients at {t}", norms, gradients[t, : t + 1], close)
    return found["places"]


@pytest.mark.parametrize("name", EXPLORED)
def test_the_explorer_of_a_run(name):
    """Its numbers are the package's, and a held cell has the loss that the ranking gives it."""
    model, config, ids, data = explored(**EXPLORED[name])
    read_explored(model, data, ids, 1e-9)
    memory, layer, unit = CELLS[config.cell].memory_field, config.num_layers - 1, 4
    cell_held = {"clamps": {memory: 0.35}, "layer": layer, "unit": unit}
    found = node("instruments", instrument="reading", stored=data, ids=ids, **cell_held)
    arrays, state = own.held(model, model.state_dict(), layer, unit, 0.35)
    model.load_state_dict(arrays)
    loss = model.score(ids[:-1, None], ids[1:, None], state)[0].mean(dtype=float)
    p = np.array([place["p"] for place in found["places"]])
    assert_close("held", -np.log(p[range(len(ids) - 1), ids[1:]]).mean(), loss, 1e-5)
    values = [place["steps"][layer][memory][0][unit] for place in found["places"]]
    assert_close("the cell", values, np.full(len(ids), 0.35))


def test_the_explorer_of_a_model_too_large_for_the_page(monkeypatch):
    """What the package computed is recorded, in float32, for the cells that matter most."""
    monkeypatch.setattr(own, "MOST_PARAMETERS", 100)
    monkeypatch.setattr(own, "MOST_ROWS", 3)
    model, _, ids, data = explored(cell="lstm", num_layers=2)
    places = read_explored(model, data, ids, 3e-6)
    for layer, units in enumerate(cell_activations(model, ids[:, None])):
        for unit in data["rows"][layer]:
            for each in "ifgoch":
                values = [place["steps"][layer][each][0][unit] for place in places]
                assert_close(each, values, getattr(units, each)[:, 0, unit], 1e-5)


# --- your own text -------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["lstm", "rnn"])
def test_the_trainer_of_the_page_has_the_gradients_of_the_textbook(cell):
    """Of two windows in a row; before the second, its weights and state have changed."""
    sizes, rng = {"V": 7, "H": 5, "T": 4, "B": 3}, np.random.default_rng(4)
    windows = rng.integers(7, size=(2, 2, 4, 3))
    found = node("own_text", task="gradients", cell=cell, sizes=sizes, windows=windows)
    before, after = (arrays_of(found["steps"][k]) for k in (0, 1))
    loss, gradients, norm = learn(cell, before, *windows[0])
    assert_close("loss", found["losses"][0], {"loss": loss, "norm": norm}, 1e-11)
    moved = {path: before[path] - after[path] for path in before}
    assert_close("gradients", moved, gradients, 1e-11)
    both = learn(cell, after, windows[1, 0], windows[1, 1])[0]
    assert found["losses"][1]["loss"] != pytest.approx(both)  # its state went on


TEXT = "The cat (a cat!) sat on the mat. " * 60


@pytest.mark.parametrize("cell", ["lstm", "rnn"])
def test_the_downloaded_model_continues_as_the_page(cell, tmp_path, capsys):
    """Through numpylstm-import and numpylstm-sample: the same text, from the same numbers."""
    pytest.importorskip("safetensors")
    from numpylstm.cli import import_, sample

    file, run = tmp_path / "model.safetensors", tmp_path / "mine"
    given = {"text": TEXT, "cell": cell, "H": 12, "updates": 150, "length": 200}
    found = node("own_text", task="learn", file=str(file), **given)
    assert found["held_out"] < 0.7 * found["first"]
    assert "\ufffd" not in found["sample"]
    assert import_.main([str(file), "--out", str(run)]) == 0
    capsys.readouterr()
    prompt = found["prompt"]
    flags = "--temperature 0 --length 200 --quiet --json"
    assert sample.main([str(run), "--prompt", prompt, *flags.split()]) == 0
    assert json.loads(capsys.readouterr().out)["text"] == prompt + found["greedy"]


def test_a_gate_is_held_while_the_model_learns():
    """In all units; afterwards its weights are those of before, and the others have learned."""
    given = {"text": TEXT, "cell": "lstm", "H": 6, "updates": 20, "length": 1}
    found = node("own_text", task="learn", hold={"gate": "f", "value": 1}, **given)
    before, held, after = (arrays_of(found[name]) for name in ("before", "held", "after"))
    assert found["with_hold"]["free"] == found["held_out"] != found["with_hold"]["held_out"]
    of_f = slice(6, 12)
    for key in ("Wx", "Wh", "b"):
        path = f"lstm.0.{key}"
        assert (held[path][..., of_f] == (1000 if key == "b" else 0)).all()
        np.testing.assert_array_equal(after[path][..., of_f], before[path][..., of_f])
        assert (after[path][..., :6] != before[path][..., :6]).any()


def test_the_texts_that_can_be_learnt():
    """`test_browser` has those that are too short or too long."""
    many = "".join(chr(0x4E00 + k % 300) for k in range(1000))
    texts = ["a\0b" * 500, "é" * 100_001, "\ufeffab\r\nc\r" * 200, many]
    texts += ["A single line. " * 40 + "\n", "🦀" * 600 + "\n", "One of many lines\n" * 40]
    found = node("own_text", task="texts", texts=texts)
    assert [each["prompt"] for each in found[-3:]] == ["A single", "🦀" * 8, "One of m"]
    binary, long, line_ends, symbols = found[:4]
    assert binary["said"] == "This is not a text: it has a NUL character."
    assert long["begins"] == 100_000  # whole characters
    assert line_ends["said"] is None
    assert sorted(line_ends["tokens"]) == ["\n", "<unk>", "a", "b", "c", "\ufeff"]
    assert (symbols["distinct"], len(symbols["tokens"])) == (300, 256)
