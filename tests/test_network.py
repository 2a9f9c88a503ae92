"""The pass of a whole network, judged by a plain one: steps of the textbook, a sequence at a time.

The model check and the museum compare the network with itself, so a mask, a layer or a direction
that it loses is lost on both sides. Here it is not.
"""

import copy
import itertools

import numpy as np
import pytest
from conftest import B, D, H, L, T, V
from support.plain_pass import cross_entropy, plain_pass, squared_error

import numpylstm as nl
from numpylstm import functional, network, reference, stack
from numpylstm.cells import CELLS, examples
from numpylstm.config import ModelConfig

K = 7  # outputs
LENGTHS = np.array([3, 0, 5])
EXAMPLES = pytest.mark.parametrize("chosen", examples().values(), ids=examples())
NETWORKS = {  # ids, directions, every_step, tied
    "language model": (True, 1, True, False),
    "tied": (True, 1, True, True),
    "projected": (True, 1, True, True),
    "tagger": (True, 2, True, False),
    "classifier": (True, 2, False, False),
    "of one direction": (True, 1, False, False),
    "vectors": (False, 1, False, False),
    "tagger of vectors": (False, 2, True, False),
}
EVERY_NETWORK = pytest.mark.parametrize("kind", NETWORKS)


class Case:
    """A network with random parameters, inputs, states and masks of every name."""

    def __init__(self, rng, kind, chosen):
        ids, directions, self.every_step, tied = NETWORKS[kind]
        self.config = ModelConfig(
            **chosen,
            hidden_size=H,
            num_layers=L,
            embedding_size=H if kind == "tied" else D,
            tied=tied,
        )
        cell, d = CELLS[self.config.cell], self.config.input_size
        stacks = (cell.name,) if directions == 1 else ("forward", "backward")
        outputs, width = V if tied or kind == "language model" else K, directions * H
        shapes = {"decoder.b": (outputs,)}
        shapes |= {} if tied else {"decoder.W": (width, outputs)}
        shapes |= {"embedding.W": (V, d)} if ids else {}
        self.masks = {"input": (T, B, d), "output": (T if self.every_step else 1, B, width)}
        self.masks |= {"words": (V, d)} if ids else {}
        if kind == "projected":
            shapes["projection.W"] = H, D
            self.masks["decoder.x"] = T, B, D
        for name, k in itertools.product(stacks, range(L)):
            size = H if k else d
            own = cell.shapes(size, H, self.config.options)
            own = {f"{name}.{k}.{key}": own[key] for key in cell.parameters(self.config.options)}
            shapes |= own
            self.masks |= own | {f"{name}.{k}.x": (T, B, size)}
            if "Wh" in cell.matrices:
                self.masks[f"{name}.{k}.h"] = B, H
        self.arrays = {path: rng.normal(size=shape) for path, shape in shapes.items()}
        self.masks = {name: rng.choice([0.0, 2.0], s) for name, s in self.masks.items()}
        self.x = rng.integers(0, V, (T, B)) if ids else rng.normal(size=(T, B, d))
        states = [cell.State(*rng.uniform(0.5, 1, (len(cell.states), L, B, H))) for _ in stacks]
        self.state = states[0] if directions == 1 else tuple(states)

    def plain(self, lengths=None):
        return plain_pass(
            self.config, self.arrays, self.x, self.state, self.masks, lengths, self.every_step
        )

    def forward(self, functions, lengths=None, without=None):
        masks = {name: mask for name, mask in self.masks.items() if name != without}
        return network.forward(
            functions, self.config, self.arrays, self.x, self.state, masks, lengths, self.every_step
        )[:2]


def assert_same(got, want):
    (outputs, state), (plain_outputs, plain_state) = got, want
    np.testing.assert_allclose(outputs, plain_outputs, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(np.array(state), np.array(plain_state), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("functions", [functional, reference], ids=["fast", "reference"])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "padded"])
@EXAMPLES
@EVERY_NETWORK
def test_a_network_computes_what_its_steps_compute(rng, kind, chosen, lengths, functions):
    case = Case(rng, kind, chosen)
    assert_same(case.forward(functions, lengths), case.plain(lengths))


@EVERY_NETWORK
def test_a_mask_that_the_network_loses_is_found(rng, kind):
    """Whichever it is: so the comparison above sees each of them."""
    case = Case(rng, kind, {"cell": "lstm"})
    want = case.plain()
    for name in case.masks:
        with pytest.raises(AssertionError, match="Not equal to tolerance"):
            assert_same(case.forward(reference, without=name), want)


def test_layers_in_another_order_are_found(rng, monkeypatch):
    case = Case(rng, "vectors", {"cell": "gru"})
    monkeypatch.setattr(stack, "range", lambda n: reversed(range(n)), raising=False)
    case.arrays |= {f"gru.{k}.Wx": rng.normal(size=(H, 3 * H)) for k in range(L)}
    case.masks, case.x = {}, rng.normal(size=(T, B, H))
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        assert_same(case.forward(reference), case.plain())


# --- models: with the masks that they draw, and the loss by hand ---------------------------------


ALL_MASKS = {
    "dropout": 0.3,
    "dropout_input": 0.4,
    "dropout_output": 0.2,
    "dropout_weights": 0.3,
    "dropout_state": 0.3,
}
SMALL = {"num_layers": L, "init_scale": 0.5, "dtype": "float64", "rng": 3}
MODELS = {
    "language model": lambda own: nl.LanguageModel(
        V, H, embedding_size=D, dropout_words=0.2, average_across_timesteps=True, **own
    ),
    "tied language model": lambda own: nl.LanguageModel(V, H, tied=True, **own),
    "projected language model": lambda own: nl.LanguageModel(
        V, H, embedding_size=D, tied=True, **own
    ),
    "classifier": lambda own: nl.SequenceClassifier(V, K, H, dropout_words=0.2, **own),
    "classifier, both": lambda own: nl.SequenceClassifier(V, K, H, bidirectional=True, **own),
    "tagger, both": lambda own: nl.SequenceTagger(V, K, H, bidirectional=True, **own),
    "regressor": lambda own: nl.SequenceRegressor(V, K, H, **own),
    "last regressor": lambda own: nl.SequenceRegressor(
        num_outputs=K, hidden_size=H, input_size=D, every_step=False, **own
    ),
}


@pytest.mark.parametrize("impl", ["fast", "reference"])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("name", MODELS)
def test_a_model_trains_on_the_loss_of_its_plain_pass(rng, name, cell, impl):
    """The masks that it draws, and no others, drop; it takes the sum or the mean that it names."""
    drops = ALL_MASKS
    if "Wh" not in CELLS[cell].matrices:
        drops = ALL_MASKS | {"dropout_weights": 0, "dropout_state": 0}
    model = MODELS[name]({"cell": cell, "impl": impl, **drops, **SMALL})
    language, regressor = "language" in name, "regressor" in name
    every_step = model.every_step
    x = rng.integers(0, V, (T, B)) if model.vocab_size else rng.normal(size=(T, B, D))
    shape = (T, B) if every_step else (B,)
    y = rng.normal(size=(*shape, K)) if regressor else rng.integers(0, K, shape)
    lengths = None if language else np.array([3, 1, 5])
    masks = copy.deepcopy(model).draw_masks(T, B)
    names = {name.split(".")[-1] for name in masks}
    assert {"input", "output", "x"} <= names
    assert ("decoder.x" in masks) == ("projected" in name)
    assert {"Wh", "h"} <= names or "Wh" not in CELLS[cell].matrices
    start = model.zero_state(B)
    outputs, _ = plain_pass(model.config, model.state_dict(), x, start, masks, lengths, every_step)
    if every_step:
        weights = np.ones((T, B)) if language else np.arange(T)[:, None] < lengths
    else:
        outputs, weights = outputs[0], np.ones(B)
    if regressor:
        want = squared_error(outputs, y, weights)
    else:
        want = cross_entropy(
            outputs,
            y,
            weights,
            sum_over_time=language and not model.config.average_across_timesteps,
        )
    loss = model.forward(x, y)[0] if language else model.forward(x, y, lengths=lengths)
    assert loss == pytest.approx(want, rel=1e-12)


# --- layers that users compose -------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "padded"])
@pytest.mark.parametrize("kind", [nl.RecurrentStack, nl.Bidirectional])
@EXAMPLES
def test_a_stack_computes_what_its_steps_compute(rng, chosen, kind, lengths):
    options = chosen.get("options", {})
    layers = kind(
        chosen["cell"], D, H, L, dropout=0.4, init_scale=0.5, dtype="float64", rng=1, **options
    )
    width = H if kind is nl.RecurrentStack else 2 * H
    prefix = f"{chosen['cell']}." if kind is nl.RecurrentStack else ""
    masks = layers.draw_masks(T, B)
    assert masks
    x = rng.normal(size=(T, B, D))
    got = layers.forward(x, lengths=lengths, masks=masks)
    config = ModelConfig(**chosen, hidden_size=H, num_layers=L)
    arrays = layers.state_dict() | {"decoder.W": np.eye(width), "decoder.b": np.zeros(width)}
    named = {f"{prefix}{name}": mask for name, mask in masks.items()}
    assert_same(got, plain_pass(config, arrays, x, layers.zero_state(B), named, lengths))
