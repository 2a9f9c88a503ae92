"""For every public callable that takes arrays or numbers: a valid call of it."""

import contextlib
import inspect
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

import numpylstm as nl
from numpylstm import (
    data,
    diagnostics,
    evaluation,
    functional,
    gradcheck,
    layers,
    model_check,
    models,
    optim,
    reference,
    sampling,
    saving,
    tasks,
)
from numpylstm.cells import CELLS
from numpylstm.config import ModelConfig, TrainConfig
from numpylstm.saving import read_arrays, write_arrays

MODULES = (functional, layers, models, optim, evaluation, sampling, data, gradcheck,
           model_check, saving, diagnostics, tasks)  # fmt: skip


class Call(NamedTuple):
    """A valid call, and what it must give."""

    function: Callable[..., Any]
    arguments: dict[str, Any]
    reference: Callable[..., Any] | None = None  # called with the same arguments
    fixed: tuple[str, ...] = ()  # arguments that are left as they are
    names: tuple[str, ...] = ()  # what a sentence may name besides the arguments
    takes_over: bool = False  # arguments may change
    dtype: str = "float64"  # in which the result was computed, whatever holds it


# --- what there is --------------------------------------------------------------------------------


def _takes_something(function: Any, method: bool) -> bool:
    return len(inspect.signature(function).parameters) > method


def discovered() -> set[str]:
    """Every public callable of the modules that takes an argument, methods included."""
    found = set()
    for module in MODULES:
        short = module.__name__.removeprefix("numpylstm.").removeprefix("laboratory.")
        public = getattr(module, "__all__", [name for name in vars(module) if name[0] != "_"])
        for name in public:
            thing = getattr(module, name)
            if not getattr(thing, "__module__", "").startswith(module.__name__):
                continue
            if inspect.isfunction(thing) and _takes_something(thing, False):
                found.add(f"{short}.{name}")
            elif inspect.isclass(thing) and not issubclass(thing, tuple | Exception):
                found |= {f"{short}.{name}{method}" for method in _methods(thing)}
    return found


def _methods(kind: type) -> list[str]:
    """Those of a class that take something, "" for its making."""
    found = (
        [""] if inspect.isfunction(kind.__init__) and _takes_something(kind.__init__, True) else []
    )
    for name, thing in inspect.getmembers(kind):
        if name[0] == "_" or name == "freeze":  # which takes words
            continue
        if (
            (inspect.isfunction(thing) and _takes_something(thing, True))
            or (inspect.ismethod(thing) and _takes_something(thing, False))
            or (isinstance(thing, property) and thing.fset)
        ):
            found.append(f".{name}")
    return found


EXEMPT = {
    "layers.consume": "takes a layer",
    "models.check_language_model": "takes a model",
    "layers.implementation": "takes a word; every layer's impl goes there",
    "functional.contiguous": "takes an array that was checked",
    "layers.own_shape": "takes what a layer is given",
    "layers.read_only": "takes the result of a layer",
    "functional.shares_for": "takes a number that functional has computed",
    "functional.plan": "takes sizes that were checked, and touches no array",
    "evaluation.safe_exp": "takes a loss that evaluation has computed",
    "data.decode_text": "takes the bytes of a text",
    "data.detokenize": "takes words",
    "data.read_ptb": "takes the name of a file",
    "data.read_text": "takes the name of a file",
    "data.split_punctuation": "takes a text",
    "data.tokenize": "takes a text",
    "models.Model": "each model is here",
    "models.Model.load_state_dict": "that of each model is here",
    "evaluation.Evaluation": "a record of results",
    "evaluation.ClassifierEvaluation": "as above",
    "evaluation.TutorialResult": "as above",
    "gradcheck.Entry": "as above",
    "gradcheck.Report": "as above",
    "gradcheck.Method": "as above",
    "diagnostics.Horizon": "as above",
    "diagnostics.HorizonPoint": "as above",
    "diagnostics.LagTable": "as above",
    "diagnostics.Probe": "as above",
    "diagnostics.Horizon.curve": "takes a word",
    "diagnostics.Horizon.horizon": "takes a word",
    "diagnostics.LagTable.total": "takes a word",
    "diagnostics.LagTable.by_lag": "takes a word",
    "diagnostics.LagTable.norms": "takes a word",
    "diagnostics.LagTable.norms_by_lag": "takes a word",
    "data.Corpus": "a record",
    "data.Vocabulary": "takes words",
    "data.Vocabulary.build": "takes words",
    "data.Vocabulary.encode": "takes words",
    "data.Vocabulary.unknown": "takes words",
    "data.load_embedded": "takes words; test_bad_inputs looks at texts",
    "data.load_ptb": "takes a path; as above",
    "data.load_text": "takes a path; as above",
    "model_check.check_examples": "takes a word",
    "model_check.pass_of_copy": "inner part of check_model, which is here",
    "model_check.random_state": "as above",
    "tasks.Recipe": "a record",
    "tasks.Recipe.options_for": "takes a word",
    "optim.Optimizer.from_config": "needs an optimiser; those of all are here",
    "optim.Optimizer.move": "an optimiser writes its own; those of all are here",
}

RECIPES: dict[str, Callable[[np.random.Generator], Call]] = {}


def recipe(name: str) -> Callable[[Any], Any]:
    def add(function: Any) -> Any:
        RECIPES[name] = function
        return function

    return add


# --- sizes and numbers ---------------------------------------------------------------------------


def sizes(rng):
    """T, B, D, H, V."""
    return (int(n) for n in rng.integers([1, 1, 1, 1, 2], [8, 6, 9, 9, 13]))


def floats(rng, *shape, dtype=None):
    return rng.normal(size=shape).astype(dtype or rng.choice(["f4", "f8"]))


def several(rng, **shapes):
    dtype = rng.choice(["f4", "f8"])
    return {name: floats(rng, *shape, dtype=dtype) for name, shape in shapes.items()}


# --- functional ----------------------------------------------------------------------------------


def in_double(function):
    """The reference in float64."""

    def widened(value):
        if isinstance(value, np.ndarray) and value.dtype == np.float32:
            return value.astype(np.float64)
        if isinstance(value, tuple):
            parts = map(widened, value)
            return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
        return value

    return lambda **arguments: function(**{k: widened(v) for k, v in arguments.items()})


def of_functional(name, arguments, **options):
    return Call(
        getattr(functional, name), arguments, in_double(getattr(reference, name)), **options
    )


def _forward_and_backward(stem, make, upstream):
    """Recipes for NAME_forward and NAME_backward."""

    @recipe(f"functional.{stem}_forward")
    def forward(rng):
        return of_functional(f"{stem}_forward", make(rng))

    @recipe(f"functional.{stem}_backward")
    def backward(rng):
        arguments = make(rng)
        module = reference if rng.random() < 0.5 else functional
        results = getattr(module, f"{stem}_forward")(**arguments)
        return of_functional(f"{stem}_backward", {**upstream(rng, results), "cache": results[-1]})


def like(rng, array):
    return rng.normal(size=array.shape).astype(array.dtype)


def recurrent(rng, blocks, states):
    T, B, D, H, _ = sizes(rng)
    return several(
        rng, x=(T, B, D), **dict.fromkeys(states, (B, H)), Wx=(D, blocks * H),
        Wh=(H, blocks * H), b=(blocks * H,),
    )  # fmt: skip


def vanilla(rng):
    activation = str(rng.choice(["tanh", "relu", "sigmoid"]))
    return {**recurrent(rng, 1, ["h0"]), "activation": activation}


def gated(rng):
    arguments = {**recurrent(rng, 3, ["h0"]), "reset": str(rng.choice(["after", "before"]))}
    if arguments["reset"] == "after" and rng.random() < 0.7:
        arguments["bn"] = like(rng, arguments["h0"][0])
    return arguments


def rows(rng, *last):
    T, B, *_ = sizes(rng)
    return (T, B, *last) if rng.random() < 0.5 else (B, *last)


def linear(rng):
    _, _, D, _, V = sizes(rng)
    return several(rng, x=rows(rng, D), W=(D, V), b=(V,))


def lookup(rng):
    _, _, D, _, V = sizes(rng)
    return {"ids": rng.integers(0, V, rows(rng)), "W": floats(rng, V, D)}


def dropped(rng):
    _, _, D, _, _ = sizes(rng)
    shape = rows(rng, D)
    return several(rng, x=shape, mask=shape)


def entropy(rng):
    T, B, _, _, V = sizes(rng)
    logits = floats(rng, T, B, V)
    arguments = {"logits": logits, "targets": rng.integers(0, V, (T, B))}
    if rng.random() < 0.5:
        arguments["weights"] = np.abs(floats(rng, T, B, dtype=logits.dtype))
    flags = ("average_across_timesteps", "average_across_batch")
    return arguments | {flag: bool(rng.random() < 0.5) for flag in flags}


_forward_and_backward(
    "rnn", vanilla, lambda rng, r: {"dhs": like(rng, r[0]), "dhT": like(rng, r[1])}
)
_forward_and_backward(
    "lstm",
    lambda rng: recurrent(rng, 4, ["h0", "c0"]),
    lambda rng, r: {"dhs": like(rng, r[0]), "dhT": like(rng, r[1]), "dcT": like(rng, r[2])},
)
_forward_and_backward("gru", gated, lambda rng, r: {"dhs": like(rng, r[0]), "dhT": like(rng, r[1])})
_forward_and_backward("linear", linear, lambda rng, r: {"dy": like(rng, r[0])})
_forward_and_backward("dropout", dropped, lambda rng, r: {"dy": like(rng, r[0])})
_forward_and_backward("embedding", lookup, lambda rng, r: {"dx": like(rng, r[0])})
_forward_and_backward(
    "sequence_cross_entropy", entropy, lambda rng, r: {"dloss": float(rng.normal())}
)


@recipe("functional.embedding_backward_rows")
def _(rng):
    x, cache = functional.embedding_forward(**lookup(rng))
    return of_functional("embedding_backward_rows", {"dx": like(rng, x), "cache": cache})


@recipe("functional.dropout_mask")
def _(rng):
    uniform = rng.random(rows(rng, 4), np.float32)
    dtype = str(rng.choice(["f4", "f8"]))
    # In float32, as the comparison with p is taken there.
    return Call(functional.dropout_mask, {"uniform": uniform, "p": 0.25, "dtype": dtype},
                reference.dropout_mask)  # fmt: skip


# --- layers --------------------------------------------------------------------------------------


def twins(kind, rng, *arguments, **options):
    """A layer or model to be called, most often a fast one, and its twin of the textbook."""
    seed = int(rng.integers(1000))
    impl = "fast" if rng.random() < 0.7 else "reference"
    return [kind(*arguments, impl=impl, rng=seed, **options) for impl in (impl, "reference")]


def dtype_of(rng):
    return str(rng.choice(["float32", "float64"]))


def paths(thing):
    return (*tuple(part for name in thing.parameters() for part in name.split(".")), "grad", "data")


def with_gradients(thing):
    """The gradients of all parameters, which are then zero again."""
    parameters = thing.parameters()
    grads = {path: p.grad.copy() for path, p in parameters.items()}
    for p in parameters.values():
        p.zero_grad()
    return grads


def embedding_twins(rng):
    _, _, D, _, V = sizes(rng)
    return twins(nl.Embedding, rng, V, D, dtype=dtype_of(rng)), V


@recipe("layers.Embedding")
def _(rng):
    return Call(nl.Embedding, {"vocab_size": 5, "embedding_size": 4, "init_scale": 0.1,
                "dtype": "float32", "impl": "fast", "rng": 3},
                )  # fmt: skip


@recipe("layers.Embedding.forward")
def _(rng):
    (tested, slow), V = embedding_twins(rng)
    return Call(tested.forward, {"ids": rng.integers(0, V, rows(rng))}, slow.forward)


@recipe("layers.Embedding.backward")
def _(rng):
    pair, V = embedding_twins(rng)
    ids = rng.integers(0, V, rows(rng))
    x = [layer.forward(ids) for layer in pair][-1]

    def back(layer):
        return lambda dx: (layer.backward(dx), with_gradients(layer))

    return Call(back(pair[0]), {"dx": like(rng, x)}, back(pair[1]))


@recipe("layers.Embedding.load")
def _(rng):
    (tested, _), _V = embedding_twins(rng)
    vectors = like(rng, tested.W.data)

    def load(vectors, trainable):
        tested.load(vectors, trainable=trainable)
        return tested.W.data

    return Call(load, {"vectors": vectors, "trainable": True}, lambda vectors, trainable: vectors)


@recipe("layers.Dropout")
def _(rng):
    return Call(nl.Dropout, {"p": 0.5, "impl": "fast", "rng": 1}, names=("dropout",))


@recipe("layers.Dropout.forward")
def _(rng):
    tested, slow = twins(nl.Dropout, rng, float(rng.choice([0.0, 0.25])))
    training = bool(rng.random() < 0.7)
    return Call(tested.forward, {"x": floats(rng, *rows(rng, 3)), "training": training},
                slow.forward)  # fmt: skip


@recipe("layers.Dropout.backward")
def _(rng):
    pair = twins(nl.Dropout, rng, float(rng.choice([0.0, 0.25])))
    x = floats(rng, *rows(rng, 3))
    for layer in pair:
        layer.forward(x)
    return Call(pair[0].backward, {"dy": like(rng, x)}, pair[1].backward)


def linear_twins(rng):
    _, _, D, _, V = sizes(rng)
    dtype = dtype_of(rng)
    tied = nl.Parameter(floats(rng, V, D, dtype=dtype), "table") if rng.random() < 0.3 else None
    return twins(nl.Linear, rng, D, V, dtype=dtype, tied=tied), D


@recipe("layers.Linear")
def _(rng):
    return Call(nl.Linear, {"input_size": 3, "output_size": 4, "init_scale": 0.1, "dtype": "f4",
                "impl": "fast", "rng": 3, "name": "linear"}, fixed=("name",),
                )  # fmt: skip


@recipe("layers.Linear.forward")
def _(rng):
    (tested, slow), D = linear_twins(rng)
    T, B, *_ = sizes(rng)
    x = floats(rng, T, B, D, dtype=tested.b.data.dtype)
    return Call(tested.forward, {"x": x}, slow.forward)


@recipe("layers.Linear.backward")
def _(rng):
    pair, D = linear_twins(rng)
    T, B, *_ = sizes(rng)
    x = floats(rng, T, B, D, dtype=pair[0].b.data.dtype)
    y = [layer.forward(x) for layer in pair][-1]

    def back(layer):
        return lambda dy: (layer.backward(dy), with_gradients(layer))

    return Call(back(pair[0]), {"dy": like(rng, y)}, back(pair[1]))


def options_of(rng, cell):
    """Of each option of a cell, one of the values that its record shows."""
    return {name: rng.choice(np.array(option.examples)).item()
            for name, option in CELLS[cell].options.items()}  # fmt: skip


def cell_of(rng):
    return str(rng.choice(list(CELLS)))


def stack_recipes(kind):
    name = f"layers.{kind.__name__}"

    def chosen(rng):
        """The cell, where it is an argument, and its options."""
        if kind is layers.RecurrentStack:
            cell = cell_of(rng)
            return {"cell": cell}, options_of(rng, cell)
        return {}, options_of(rng, kind.__name__.lower())

    def pair_of(rng):
        T, B, D, H, _ = sizes(rng)
        cell, options = chosen(rng)
        pair = twins(kind, rng, *cell.values(), D, H, int(rng.integers(1, 3)), dtype=dtype_of(rng),
                     dropout=float(rng.choice([0.0, 0.5])), **options)  # fmt: skip
        x = floats(rng, T, B, D, dtype=pair[0].dtype)
        zero = pair[0].zero_state(B)
        return pair, x, type(zero)(*(like(rng, part) for part in zero))

    @recipe(name)
    def _(rng):
        cell, options = chosen(rng)
        return Call(kind, {**cell, "input_size": 3, "hidden_size": 4, "num_layers": 2,
                    "dropout": 0.1, "init_scale": 0.1, "dtype": "f4", "impl": "fast", "rng": 3,
                    **options})  # fmt: skip

    @recipe(f"{name}.check_state")
    def _(rng):
        (tested, _), x, state = pair_of(rng)
        arguments = {"where": "f", "argument": "state", "state": state, "batch_size": x.shape[1]}
        return Call(tested.check_state, arguments,
                    fixed=("where", "argument", "batch_size"), names=("h", "c"))  # fmt: skip

    @recipe(f"{name}.zero_state")
    def _(rng):
        (tested, slow), *_ = pair_of(rng)
        return Call(tested.zero_state, {"batch_size": 3}, slow.zero_state)

    @recipe(f"{name}.forward")
    def _(rng):
        (tested, slow), x, state = pair_of(rng)
        return Call(tested.forward, {"x": x, "state": state, "training": True},
                    slow.forward, names=("h", "c"))  # fmt: skip

    @recipe(f"{name}.backward")
    def _(rng):
        pair, x, state = pair_of(rng)
        for layer in pair:
            hs, last = layer.forward(x, state)

        def back(layer):
            return lambda **given: (layer.backward(**given), with_gradients(layer))

        dstate = type(last)(*(like(rng, part) for part in last))
        return Call(back(pair[0]), {"dhs": like(rng, hs), "dstate": dstate}, back(pair[1]),
                    names=("h", "c", "dhT", "dcT"))  # fmt: skip


for kind in (nl.LSTM, nl.RNN, nl.GRU, layers.RecurrentStack):
    stack_recipes(kind)


def entropy_twins(rng):
    arguments = entropy(rng)
    flags = {flag: arguments.pop(flag) for flag in list(arguments) if flag.startswith("average")}
    impl = "fast" if rng.random() < 0.7 else "reference"
    pair = [nl.SequenceCrossEntropy(impl=impl, **flags) for impl in (impl, "reference")]
    return pair, arguments


@recipe("layers.SequenceCrossEntropy")
def _(rng):
    return Call(nl.SequenceCrossEntropy, {"average_across_timesteps": True,
                "average_across_batch": False, "impl": "fast"})  # fmt: skip


@recipe("layers.SequenceCrossEntropy.forward")
def _(rng):
    (tested, slow), arguments = entropy_twins(rng)

    def both(layer):
        return lambda **given: (layer.forward(**given), layer.backward())

    return Call(both(tested), arguments, both(slow),
                dtype=arguments["logits"].dtype.name)  # fmt: skip


@recipe("layers.SequenceCrossEntropy.score")
def _(rng):
    (tested, slow), arguments = entropy_twins(rng)
    arguments.pop("weights", None)
    return Call(tested.score, arguments, slow.score)


@recipe("layers.uniform")
def _(rng):
    return Call(layers.uniform, {"rng": np.random.default_rng(0), "shape": (3, 4), "scale": 0.1,
                "dtype": "f4"}, fixed=("rng", "shape"), names=("init_scale",))  # fmt: skip


@recipe("layers.Parameter")
def _(rng):
    return Call(nl.Parameter, {"data": floats(rng, 3, 4), "name": "W", "trainable": True},
                fixed=("name", "trainable"), takes_over=True)  # fmt: skip


def parameter(rng, data=None):
    return nl.Parameter(floats(rng, 7, 4) if data is None else data, "W")


def gradient_for(rng, parameter):
    """An array, or rows."""
    data = parameter.data
    if rng.random() < 0.5:
        return like(rng, data)
    n = int(rng.integers(1, len(data)))
    return layers.Rows(rng.permutation(len(data))[:n], like(rng, data[:n]))


def dense(gradient, data):
    if isinstance(gradient, np.ndarray):
        return gradient
    whole = np.zeros_like(data)
    whole[gradient.rows] = gradient.values
    return whole


@recipe("layers.Parameter.accumulate")
def _(rng):
    p = parameter(rng)
    first = gradient_for(rng, p) if rng.random() < 0.5 else np.zeros_like(p.data)
    p.accumulate(first)

    def accumulate(gradient):
        p.accumulate(gradient)
        return p.grad

    def want(gradient):
        return dense(first, p.data) + dense(gradient, p.data)

    return Call(accumulate, {"gradient": gradient_for(rng, p)}, want, names=("Rows", "rows", "values"),  # noqa: E501
                takes_over=True)  # fmt: skip


@recipe("layers.Parameter.scale_grad")
def _(rng):
    p = parameter(rng)
    p.grad = like(rng, p.data)
    before = p.grad.copy()

    def scale(factor):
        p.scale_grad(factor)
        return p.grad

    return Call(scale, {"factor": 0.5}, lambda factor: before * factor)


@recipe("layers.Parameter.grad")
def _(rng):
    p = parameter(rng)

    def put(grad):
        p.grad = grad
        return p.grad

    return Call(put, {"grad": like(rng, p.data)}, lambda grad: grad, takes_over=True)


# --- models --------------------------------------------------------------------------------------


def model_twins(rng, kind=nl.LanguageModel):
    _, _, D, H, V = sizes(rng)
    own = {"tied": bool(rng.random() < 0.3)} if kind is nl.LanguageModel else {}
    cell = cell_of(rng)
    options = {
        "cell": cell, "dropout": float(rng.choice([0.0, 0.5])), "dtype": dtype_of(rng),
        "embedding_size": None if own.get("tied") else D, **own, **options_of(rng, cell),
    }  # fmt: skip
    first = (V,) if kind is nl.LanguageModel else (V, 3)
    return twins(kind, rng, *first, H, int(rng.integers(1, 3)), **options)


def window(rng, model):
    T, B, *_ = sizes(rng)
    zero = model.zero_state(B)
    x, y = rng.integers(0, model.vocab_size, (2, T, B))
    return {"x": x, "y": y, "state": type(zero)(*(like(rng, part) for part in zero))}


STATE = ("h", "c", "ids", "targets")
SETTINGS = {
    "hidden_size": 4, "num_layers": 2, "embedding_size": 4, "cell": "lstm", "dropout": 0.1,
    "init_scale": 0.1, "dtype": "f4", "impl": "fast",
}  # fmt: skip
MODEL = {**SETTINGS, "vocab_size": 5, "activation": "tanh", "forget_bias": 1.0, "rng": 3}


@recipe("models.model_config")
def _(rng):
    def want(dtype, forget_bias, **settings):
        return ModelConfig(dtype="float32", options={"forget_bias": forget_bias}, **settings)

    return Call(models.model_config, {**SETTINGS, "forget_bias": 0.5}, want)


@recipe("models.LanguageModel")
def _(rng):
    return Call(nl.LanguageModel, {**MODEL, "tied": False, "average_across_timesteps": True})


@recipe("models.LanguageModel.from_config")
def _(rng):
    config = ModelConfig(hidden_size=4)
    arguments = {"config": config, "vocab_size": 5, "rng": 3}
    return Call(nl.LanguageModel.from_config, arguments, fixed=("config",))


@recipe("models.SequenceClassifier")
def _(rng):
    return Call(nl.SequenceClassifier, {**MODEL, "num_classes": 3})


@recipe("models.TokenEncoder")
def _(rng):
    config = ModelConfig(**{**SETTINGS, "dtype": "float32"})
    arguments = {"config": config, "vocab_size": 5, "rng": np.random.default_rng(0)}
    return Call(models.TokenEncoder, arguments, fixed=("config", "rng"))


@recipe("models.TokenEncoder.forward")
def _(rng):
    tested, slow = model_twins(rng)
    arguments = window(rng, tested)
    arguments = {"ids": arguments["x"], "state": arguments["state"], "training": False}
    return Call(tested.encoder.forward, arguments, slow.encoder.forward, names=(*STATE, "x"))


@recipe("models.TokenEncoder.backward")
def _(rng):
    pair = model_twins(rng)
    given = window(rng, pair[0])
    hs = [model.encoder.forward(given["x"], given["state"], True)[0] for model in pair][-1]

    def back(model):
        return lambda dhs: (model.encoder.backward(dhs), with_gradients(model))

    return Call(back(pair[0]), {"dhs": like(rng, hs)}, back(pair[1]), names=("dy", "dx"))


@recipe("models.LanguageModel.zero_state")
def _(rng):
    tested, slow = model_twins(rng)
    return Call(tested.zero_state, {"batch_size": 3}, slow.zero_state)


@recipe("models.LanguageModel.forward")
def _(rng):
    tested, slow = model_twins(rng)
    arguments = window(rng, tested)
    if rng.random() < 0.5:
        shape, dtype = arguments["x"].shape, tested.decoder.b.data.dtype
        arguments["weights"] = np.abs(floats(rng, *shape, dtype=dtype))

    def both(model):
        def function(**given):
            result = model.forward(**given)
            model.backward()
            return result, with_gradients(model)

        return function

    return Call(both(tested), arguments, both(slow), names=STATE,
                dtype=tested.config.dtype)  # fmt: skip


@recipe("models.language_model_forward")
def _(rng):
    """Every array is an argument here: what holds them is made by whoever calls."""
    model, _ = model_twins(rng)
    config, cell = model.config, CELLS[model.config.cell]
    layer_names = range(config.num_layers)
    given = window(rng, model)
    states = {f"{field}.{n}": part[n] for field, part in given.pop("state")._asdict().items()
              for n in layer_names}  # fmt: skip
    dtype = np.dtype(config.dtype)
    T, B = given["x"].shape
    widths = [config.input_size, *[config.hidden_size] * config.num_layers]
    masks = {f"mask.{n}": floats(rng, T, B, D, dtype=dtype) for n, D in enumerate(widths)}

    def through(functions):
        def call(x, y, weights, **arrays):
            state = [[arrays.pop(f"{field}.{n}") for n in layer_names] for field in cell.states]
            given = models.Window(x, y, state, [arrays.pop(mask) for mask in masks], weights)
            passed = models.language_model_forward(arrays, given, functions, config)
            return passed.loss, passed.state

        return call

    weights = np.abs(floats(rng, T, B, dtype=dtype))
    names = ("ids", "targets", "logits", "mask", *(f"{field}0" for field in cell.states))
    return Call(through(functional), {**given, "weights": weights, **states, **masks,
                **model.state_dict()}, in_double(through(reference)), names=names)  # fmt: skip


for method in ("score", "logits"):

    @recipe(f"models.LanguageModel.{method}")
    def _(rng, method=method):
        tested, slow = model_twins(rng)
        arguments = window(rng, tested)
        if method == "logits":
            del arguments["y"]
        return Call(getattr(tested, method), arguments, getattr(slow, method), names=STATE)


def _load(rng, kind):
    model, _ = model_twins(rng, kind)
    arrays = {path: like(rng, array) for path, array in model.state_dict().items()}

    def load(arrays):
        model.load_state_dict(arrays)
        return model.state_dict()

    return Call(load, {"arrays": arrays}, lambda arrays: arrays, names=paths(model))


for kind in (nl.LanguageModel, nl.SequenceClassifier):
    RECIPES[f"models.{kind.__name__}.load_state_dict"] = lambda rng, kind=kind: _load(rng, kind)


@recipe("models.SequenceClassifier.forward")
def _(rng):
    tested, slow = model_twins(rng, nl.SequenceClassifier)
    T, B, *_ = sizes(rng)
    arguments = {"x": rng.integers(0, len(tested.encoder.embedding.W.data), (T, B)),
                 "y": rng.integers(0, 3, B)}  # fmt: skip

    def both(model):
        def function(**given):
            result = model.forward(**given)
            model.backward()
            return result, with_gradients(model)

        return function

    return Call(both(tested), arguments, both(slow), dtype=tested.config.dtype)


def sequences(rng, model):
    T, B, *_ = sizes(rng)
    return rng.integers(0, model.vocab_size, (T, B)), rng.integers(0, model.num_classes, B)


for method in ("predict", "probabilities"):

    @recipe(f"models.SequenceClassifier.{method}")
    def _(rng, method=method):
        tested, slow = model_twins(rng, nl.SequenceClassifier)
        x, _ = sequences(rng, tested)
        return Call(getattr(tested, method), {"x": x}, getattr(slow, method),
                    dtype=tested.config.dtype)  # fmt: skip


@recipe("models.SequenceClassifier.score")
def _(rng):
    tested, slow = model_twins(rng, nl.SequenceClassifier)
    x, y = sequences(rng, tested)
    return Call(tested.score, {"x": x, "y": y}, slow.score, dtype=tested.config.dtype)


# --- the optimiser -------------------------------------------------------------------------------


def parameters(rng):
    dtype = rng.choice(["f4", "f8"])
    found = {"W": parameter(rng, floats(rng, 7, 4, dtype=dtype)),
             "b": nl.Parameter(floats(rng, 5, dtype=dtype), "b")}  # fmt: skip
    found["W"].accumulate(gradient_for(rng, found["W"]))
    if rng.random() < 0.8:
        found["b"].accumulate(like(rng, found["b"].data))
    return found


@recipe("optim.clip_by_global_norm")
def _(rng):
    def clip(parameters, max_norm):
        norm = nl.clip_by_global_norm(parameters, max_norm)
        return norm, {path: p.grad for path, p in parameters.items()}

    def want(parameters, max_norm):
        grads = {path: p.grad.astype(np.float64) for path, p in parameters.items()}
        norm = float(np.sqrt(sum((g**2).sum() for g in grads.values())))
        return norm, {path: g * min(1, max_norm / norm) for path, g in grads.items()}

    return Call(clip, {"parameters": parameters(rng), "max_norm": float(rng.choice([0.5, 5, 50]))},
                want, names=("W", "b", "grad", "data", "parameter"), takes_over=True)  # fmt: skip


def first_step(optimizer, data, grad, lr):
    """Where a first step must lead, in float64."""
    data, grad = data.astype(np.float64), grad.astype(np.float64)
    if isinstance(optimizer, nl.SGD):
        return data - lr * grad
    if isinstance(optimizer, nl.AdamW):
        data = data - lr * optimizer.weight_decay * data
    else:
        grad = grad + optimizer.weight_decay * data
    return data - lr * grad / (abs(grad) + optimizer.eps)


ADAM = {"betas": ((0.9, 0.999), (0.0, 0.5)), "eps": (1e-8, 0.1), "weight_decay": (0.0, 0.1)}

for kind, values in ((nl.SGD, {"momentum": (0.0, 0.9)}), (nl.Adam, ADAM), (nl.AdamW, ADAM)):
    name = f"optim.{kind.__name__}"

    def chosen(rng, values=values):
        return {setting: of[rng.integers(2)] for setting, of in values.items()}

    @recipe(name)
    def _(rng, kind=kind, chosen=chosen):
        return Call(kind, {"parameters": parameters(rng), "lr": 0.5} | chosen(rng),
                    names=("W", "b", "data", "parameter"), fixed=("parameters", "betas"),
                    takes_over=True)  # fmt: skip

    @recipe(f"{name}.step")
    def _(rng, kind=kind, chosen=chosen):
        """Anything may happen to data and rate between two steps."""
        given = parameters(rng)
        optimizer = kind(given, 0.25, **chosen(rng))

        def step(parameters, lr):
            optimizer.parameters, optimizer.lr = parameters, lr
            optimizer.step()
            return {path: p.data for path, p in parameters.items()}

        def want(parameters, lr):
            return {
                path: first_step(optimizer, p.data, p.grad, lr) for path, p in parameters.items()
            }

        return Call(step, {"parameters": given, "lr": 0.25}, want,
                    names=("W", "b", "data", "grad", "velocity", "moment", "rows", "parameter"),
                    fixed=("parameters",), takes_over=True)  # fmt: skip

    @recipe(f"{name}.from_config")
    def _(rng, kind=kind):
        other = {} if kind is nl.SGD else {"weight_decay": 0.1}
        config = TrainConfig(optimizer=kind.__name__.lower(), lr=0.25, **other)

        def taken(parameters):
            made = kind.from_config(parameters, config)
            return {setting: getattr(made, setting) for setting in config.optimizer_settings}

        return Call(taken, {"parameters": parameters(rng)},
                    lambda parameters: {"lr": 0.25} | (other or {"momentum": 0.0}),
                    names=("W", "b", "parameter"), fixed=("parameters",),
                    takes_over=True)  # fmt: skip

    @recipe(f"{name}.move")
    def _(rng, kind=kind, chosen=chosen):
        given = parameters(rng)
        optimizer = kind(given, 0.25, **chosen(rng))
        optimizer.steps = 1  # as `step` does

        def move(parameter):
            optimizer.move("W", parameter)
            return parameter.data

        return Call(move, {"parameter": given["W"]},
                    lambda parameter: first_step(optimizer, parameter.data, parameter.grad, 0.25),
                    names=("W", "w", "grad", "velocity", "moment", "rows", "parameters"),
                    fixed=("parameter",), takes_over=True)  # fmt: skip


for kind, memory in (
    (lambda parameters, lr: optim.Optimizer(parameters, lr, ["velocity"]), "Optimizer velocity"),
    (lambda parameters, lr: nl.SGD(parameters, lr, 0.9), "SGD velocity"),
    (nl.Adam, "Adam first_moment"),
    (nl.AdamW, "AdamW second_moment"),
):
    name, memory = memory.split()

    @recipe(f"optim.{name}.remembered")
    def _(rng, kind=kind, memory=memory):
        given = parameters(rng)
        optimizer = kind(given, 0.25)

        def remembered(parameter):
            return optimizer.remembered(memory, "W", parameter)

        return Call(remembered, {"parameter": given["W"]},
                    lambda parameter: np.zeros(parameter.data.shape),
                    names=("W", "velocity", "moment", "parameters"),
                    fixed=("parameter",))  # fmt: skip


@recipe("optim.Optimizer")
def _(rng):
    arguments = {"parameters": parameters(rng), "lr": 0.5, "memories": ("m", "v")}
    return Call(optim.Optimizer, arguments, fixed=("memories",), takes_over=True)


def moved(function, **numbers):
    def call(**arguments):
        function(**arguments, **numbers)
        return [arguments[name] for name in ("w", "m", "v") if name in arguments]

    return call


for update, arrays, numbers in (
    ("sgd_update", ("w", "dw"), {"lr": 0.5, "factor": 0.25}),
    ("momentum_update", ("w", "v", "dw"), {"lr": 0.5, "momentum": 0.5}),
    ("adam_update", ("w", "m", "v", "dw"),
     {"t": 3, "lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 1e-3, "weight_decay": 0.1}),
):  # fmt: skip

    @recipe(f"functional.{update}")
    def _(rng, update=update, arrays=arrays, numbers=numbers):
        shape, dtype = rows(rng, 3), dtype_of(rng)
        given = {name: abs(floats(rng, *shape, dtype=dtype)) for name in arrays}

        def plain(**arguments):
            copies = {k: np.array(v) if k in arrays else v for k, v in arguments.items()}
            return moved(getattr(reference, update))(**copies)

        return Call(moved(getattr(functional, update)), given | numbers, plain,
                    takes_over=True, fixed=("w", "m", "v"))  # fmt: skip


@recipe("functional.sum_of_squares")
def _(rng):
    return Call(functional.sum_of_squares, {"g": floats(rng, *rows(rng, 3))},
                reference.sum_of_squares, dtype="float32")  # fmt: skip


@recipe("optim.decayed_rate")
def _(rng):
    return Call(nl.decayed_rate, {"lr": 1.0, "epoch": 3, "decay": 0.5, "constant_epochs": 2},
                lambda **given: 0.25)  # fmt: skip


@recipe("optim.plateau_rate")
def _(rng):
    return Call(nl.plateau_rate, {"lr": 1.0, "validation_losses": (3.0, 2.0, 2.5), "decay": 0.5},
                lambda **given: 0.5)  # fmt: skip


# --- models in files -----------------------------------------------------------------------------


def any_model(rng):
    return model_twins(rng, (nl.LanguageModel, nl.SequenceClassifier)[rng.integers(2)])[0]


@contextlib.contextmanager
def in_a_folder():
    """One that is empty; a path that leads nowhere is an argument that does not fit."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        try:
            yield
        except OSError as error:
            raise RuntimeError(f"path: {error}") from error


@recipe("saving.save_model")
def _(rng):
    def saved(model, path):
        with in_a_folder():
            nl.save_model(model, path)
            return nl.load_model(path).state_dict()

    return Call(saved, {"model": any_model(rng), "path": "model.npz"},
                lambda model, path: model.state_dict())  # fmt: skip


@recipe("saving.load_model")
def _(rng):
    model = any_model(rng)
    arrays = {path.replace(".", "/"): array for path, array in model.state_dict().items()}

    def loaded(rng, **arrays):
        """The file holds these arrays."""
        given = {f"parameters/{name.replace('/', '.')}": array for name, array in arrays.items()}
        with in_a_folder():
            nl.save_model(model, "model.npz")
            meta = read_arrays(Path("model.npz"), saving.FORMAT, saving.VERSION)[1]
            try:
                write_arrays("model.npz", given, meta)
            except Exception as error:  # what no file can hold
                raise RuntimeError(f"path: {error}") from error
            return nl.load_model("model.npz", rng=rng).state_dict()

    return Call(loaded, {"rng": 3, **arrays}, lambda **_: model.state_dict(),
                names=("parameters", "path", "model"), dtype=model.config.dtype)  # fmt: skip


# --- texts: evaluation, sampling, data -----------------------------------------------------------


def text(rng, V, length=None):
    return rng.integers(0, V, length or int(rng.integers(30, 60)))


@recipe("evaluation.evaluate")
def _(rng):
    tested, slow = model_twins(rng)

    def with_model(model):
        return lambda **given: list(vars(nl.evaluate(model, **given)).values())

    arguments = {"ids": text(rng, tested.vocab_size), "batch_size": 3, "num_steps": 4}
    return Call(
        with_model(tested), arguments, with_model(slow), names=("x",), dtype=tested.config.dtype
    )


@recipe("evaluation.evaluate_classifier")
def _(rng):
    tested, slow = model_twins(rng, nl.SequenceClassifier)
    x, y = sequences(rng, tested)

    def evaluated(model):
        return lambda **given: numbers_of(nl.evaluate_classifier(model, **given))

    return Call(evaluated(tested), {"x": x, "y": y, "batch_size": int(rng.integers(1, 4))},
                evaluated(slow), dtype=tested.config.dtype)  # fmt: skip


@recipe("evaluation.tutorial_protocol")
def _(rng):
    tested, slow = model_twins(rng)

    def with_model(model):
        return lambda **given: list(vars(nl.tutorial_protocol(model, **given)).values())

    arguments = {"ids": text(rng, tested.vocab_size), "batch_size": 2, "num_steps": 3,
                 "num_windows": 4, "warm_up": 1, "shown": 2}  # fmt: skip
    return Call(
        with_model(tested), arguments, with_model(slow), names=("x",), dtype=tested.config.dtype
    )


for name in ("true_and_predicted", "surprise"):

    @recipe(f"evaluation.{name}")
    def _(rng, name=name):
        tested, slow = model_twins(rng)

        def with_model(model):
            return lambda **given: getattr(evaluation, name)(model, **given)

        arguments = {"ids": text(rng, tested.vocab_size), "length": 5, "start": 7}
        return Call(with_model(tested), arguments, with_model(slow), names=("x",),
                    dtype=tested.config.dtype)  # fmt: skip


def writing_recipe(name, write):
    @recipe(name)
    def _(rng):
        tested, slow = model_twins(rng)

        def with_model(model):
            return lambda **given: write(model, **given)

        V = tested.vocab_size
        arguments = {"prompt": text(rng, V, 3), "length": 5, "temperature": 1.0, "top_k": 1,
                     "banned": np.array([int(rng.integers(V))]), "rng": 3}  # fmt: skip
        return Call(with_model(tested), arguments, with_model(slow), names=("x",))


writing_recipe("sampling.generate", nl.generate)
writing_recipe("sampling.stream", lambda *a, **given: np.array([*sampling.stream(*a, **given)]))


@recipe("sampling.draw")
def _(rng):
    """Always valid: `generate` makes what is passed."""
    V = int(rng.integers(2, 20))
    uniform = float(rng.random())
    given = {"logits": floats(rng, V), "temperature": float(rng.choice([0.5, 1.0, 2.0])),
             "k": int(rng.integers(1, V)), "banned": rng.integers(0, V, 1)}  # fmt: skip

    def want(logits, temperature, k, banned):
        left = [n for n in np.argsort(-logits, kind="stable") if n not in banned]
        ids = sorted(left[:k])
        p = np.exp(logits[ids].astype(np.float64) / temperature)
        return ids[int((np.cumsum(p / p.sum()) <= uniform).sum())]

    def draw(**given):
        return sampling.draw(**given, rng=SimpleNamespace(random=lambda: uniform))

    return Call(draw, given, want, fixed=tuple(given))


@recipe("sampling.best")
def _(rng):
    scores = rng.integers(0, 9, 12).astype(np.float64)  # with ties
    given = {"scores": scores, "k": int(rng.integers(1, 12))}
    return Call(sampling.best, given,
                lambda scores, k: np.sort(np.argsort(-scores, kind="stable")[:k]),
                fixed=tuple(given))  # fmt: skip


@recipe("evaluation.unigram_perplexity")
def _(rng):
    arguments = {"train_ids": text(rng, 11), "test_ids": text(rng, 11), "vocab_size": 11}
    return Call(evaluation.unigram_perplexity, arguments, evaluation.unigram_perplexity)


@recipe("evaluation.interpolated_bigram_perplexity")
def _(rng):
    arguments = {"train_ids": text(rng, 11), "valid_ids": text(rng, 11), "test_ids": text(rng, 11),
                 "vocab_size": 11}  # fmt: skip
    function = evaluation.interpolated_bigram_perplexity
    return Call(function, arguments, function)


@recipe("data.batches")
def _(rng):
    arguments = {
        "ids": text(rng, 11),
        "batch_size": 3,
        "num_steps": 4,
        "keep_last": True,
        "start": 1,
    }

    def want(ids, batch_size, num_steps, keep_last, start):
        length = len(ids) // 3
        streams = ids[: 3 * length].reshape(3, length).T
        return [(streams[i : min(i + 4, length - 1)], streams[i + 1 : i + 5])
                for i in range(4, length - 1, 4)]  # fmt: skip

    return Call(data.batches, arguments, want)


@recipe("data.num_batches")
def _(rng):
    return Call(data.num_batches, {"num_tokens": 100, "batch_size": 3, "num_steps": 4, "keep_last": True},  # noqa: E501
                lambda **given: 8)  # fmt: skip


@recipe("data.Vocabulary.decode")
def _(rng):
    vocabulary = data.Vocabulary(("<unk>", *"abcdefghij"))
    return Call(vocabulary.decode, {"ids": text(rng, 11)},
                lambda ids: [vocabulary.tokens[i] for i in ids])  # fmt: skip


# --- gradients, checked and looked at ------------------------------------------------------------


def cube(arrays):
    return sum((np.asarray(a) ** 3).sum() for a in arrays.values())


def of_gradcheck(name, rng, **more):
    """f is the sum of cubes, whose slopes are known."""
    arrays = {"x": floats(rng, 3, 2, dtype="f8"), "y": floats(rng, 4, dtype="f8")}
    slopes = {path: 3 * a**2 for path, a in arrays.items()}
    direction = {path: floats(rng, *a.shape, dtype="f8") for path, a in arrays.items()}
    return arrays, slopes, direction


for name, step in (("central_difference", 1e-5), ("complex_step", 1e-30)):

    @recipe(f"gradcheck.{name}")
    def _(rng, name=name, step=step):
        arrays, *_ = of_gradcheck(name, rng)

        def rounded(arrays, step):
            slopes = getattr(gradcheck, name)(cube, arrays, step)
            return {path: np.round(a, 4) for path, a in slopes.items()}

        def want(arrays, step):
            return {path: np.round(3 * a**2, 4) for path, a in arrays.items()}

        return Call(rounded, {"arrays": arrays, "step": step}, want, names=("x", "y"))


for name, step in (("central_slope", 1e-5), ("complex_slope", 1e-30)):

    @recipe(f"gradcheck.{name}")
    def _(rng, name=name, step=step):
        arrays, slopes, direction = of_gradcheck(name, rng)
        want = sum((slopes[path] * direction[path]).sum() for path in slopes)
        kind = complex if name == "complex_slope" else float
        arguments = {"point": {p: a.astype(kind) for p, a in arrays.items()},
                     "direction": direction, "step": step}  # fmt: skip

        def rounded(point, direction, step):
            return round(getattr(gradcheck, name)(cube, point, direction, step), 3)

        return Call(rounded, arguments, lambda **given: round(float(want), 3), names=("x", "y"),
                    fixed=("point", "direction", "step"))  # fmt: skip


@recipe("gradcheck.check")
def _(rng):
    arrays, slopes, _ = of_gradcheck("check", rng)

    def passed(arrays, gradients, method, along, tolerance, rng):
        return gradcheck.check(cube, arrays, gradients, method=method, along=along,
                               tolerance=tolerance, rng=rng).passed  # fmt: skip

    arguments = {"arrays": arrays, "gradients": slopes, "method": "complex",
                 "along": str(rng.choice(["entries", "all", "arrays"])), "tolerance": 1e-9, "rng": 1}  # fmt: skip  # noqa: E501
    return Call(passed, arguments, lambda **given: True, names=("x", "y"))


@recipe("gradcheck.compare")
def _(rng):
    a = floats(rng, 4)
    arguments = {"path": "W", "gradient": a, "slope": a.copy(), "tolerance": 1e-3}
    return Call(lambda **given: gradcheck.compare(**given).passed, arguments, lambda **given: True,
                fixed=tuple(arguments))  # fmt: skip


def small_model(rng, **options):
    options = {"cell": cell_of(rng), **options}
    model = nl.LanguageModel(5, 3, int(rng.integers(1, 3)), dtype="float64", init_scale=0.5,
                             rng=int(rng.integers(100)), **options)  # fmt: skip
    zero = model.zero_state(2)
    x, y = rng.integers(0, 5, (2, 3, 2))
    return model, {"x": x, "y": y, "state": type(zero)(*(like(rng, part) for part in zero))}


for name in ("check_model", "check_precision"):

    @recipe(f"model_check.{name}")
    def _(rng, name=name):
        model, arguments = small_model(rng)
        check = getattr(model_check, name)
        return Call(lambda **given: check(model, **given).passed, {**arguments, "rng": 1},
                    lambda **given: True, names=STATE)  # fmt: skip


def numbers_of(result):
    """What a record holds, and the records in it."""
    if isinstance(result, dict):
        return {name: numbers_of(part) for name, part in result.items()}
    if isinstance(result, tuple | list):
        return [numbers_of(part) for part in result]
    return numbers_of(vars(result)) if hasattr(result, "__dict__") else result


# The textbook computes all of these in float64: ids of another type must change nothing.
for name in ("gradient_flow", "model_lag_table", "model_lag_norms"):

    @recipe(f"diagnostics.{name}")
    def _(rng, name=name):
        model, arguments = small_model(rng)

        def call(**given):
            return numbers_of(getattr(diagnostics, name)(model, **given))

        return Call(call, arguments, call, names=STATE)


@recipe("diagnostics.cell_activations")
def _(rng):
    model, given = small_model(rng, cell="lstm")

    def gates(model):
        return lambda ids, state: [
            np.concatenate([c.i, c.f, c.g, c.o, c.c, c.h])
            for c in diagnostics.cell_activations(model, ids, state)
        ]

    twin = nl.LanguageModel(5, 3, len(model.encoder.recurrent.layers), dtype="float64",
                            impl="reference")  # fmt: skip
    twin.load_state_dict(model.state_dict())
    return Call(
        gates(model), {"ids": given["x"], "state": given["state"]}, gates(twin), names=STATE
    )


def cache_of(rng, cells=("lstm", "rnn", "gru")):
    cell = str(rng.choice(cells))
    if cell == "lstm":
        return functional.lstm_forward(**recurrent(rng, 4, ["h0", "c0"]))[-1]
    if cell == "gru":
        return functional.gru_forward(**gated(rng))[-1]
    return functional.rnn_forward(**vanilla(rng))[-1]


for name in ("carousel", "carousel_norms", "singular_values", "step_jacobians"):

    @recipe(f"diagnostics.{name}")
    def _(rng, name=name):
        cells = ("lstm", "gru") if name.startswith("carousel") else ("lstm", "rnn", "gru")
        function, cache = getattr(diagnostics, name), cache_of(rng, cells)

        def call(cache):
            return numbers_of(function(cache))

        return Call(call, {"cache": cache}, call, dtype=cache.h.dtype.name)


for name in ("lag_table", "lag_norms"):

    @recipe(f"diagnostics.{name}")
    def _(rng, name=name):
        cache = cache_of(rng)

        def call(**given):
            return numbers_of(getattr(diagnostics, name)(**given))

        arguments = {"dhs": like(rng, cache.h), "cache": cache}
        return Call(call, arguments, call, dtype=cache.h.dtype.name)


for name in ("within", "beyond"):

    @recipe(f"diagnostics.LagTable.{name}")
    def _(rng, name=name):
        cache = cache_of(rng)
        table = diagnostics.lag_table(like(rng, cache.h), cache)
        return Call(getattr(table, name), {"tau": 1}, getattr(table, name))


@recipe("diagnostics.gate_saturation")
def _(rng):
    gate = rng.random((5, 3, 4))
    return Call(diagnostics.gate_saturation, {"gate": gate, "low": 0.1, "high": 0.9},
                lambda **given: ((gate < 0.1).mean((0, 1)), (gate > 0.9).mean((0, 1))))  # fmt: skip


@recipe("diagnostics.compare_cells")
def _(rng):
    x, y = rng.integers(0, 5, (2, 3, 2))
    arguments = {"x": x, "y": y, "vocab_size": 5, "hidden_size": 3, "num_layers": 1,
                 "seed": 1}  # fmt: skip

    def call(**given):
        return {
            cell: flow.singular_values for cell, flow in diagnostics.compare_cells(**given).items()
        }

    return Call(call, arguments, call, names=("h", "c"))


@recipe("diagnostics.carousel_share")
def _(rng):
    arguments = {"wh_scales": (0.5, 1.0), "forget_biases": (0.0, 1.0), "num_steps": 3,
                 "batch_size": 2, "hidden_size": 3, "rng": 1}  # fmt: skip

    def call(**given):
        return [list(norms) for norms in diagnostics.carousel_share(**given).values()]

    return Call(call, arguments, call)


TINY = tasks.Recipe(hidden_size=3, batch_size=2, steps=2)


@recipe("diagnostics.probe")
def _(rng):
    """The number of sequences stays: no number is too large, and each takes its time."""
    task, cell = tasks.DelayedCopy(3), cell_of(rng)

    def measure(impl):
        def call(**given):
            found = diagnostics.probe(task, cell, recipe=TINY, num_sequences=4, impl=impl, **given)
            return found.curve, found.loss, found.error

        return call

    return Call(measure("fast"), {"rng": 3, "check_every": 1, "stop_at": -1.0},
                measure("reference"), dtype="float32")  # fmt: skip


@recipe("diagnostics.memory_horizon")
def _(rng):
    cell = cell_of(rng)

    def measure(**given):
        given["recipes"] = {cell: TINY}
        return [(point.cell, point.distance, point.loss)
                for point in diagnostics.memory_horizon(**given).points]  # fmt: skip

    arguments = {"distances": (2, 3), "cells": (cell,), "seeds": (1,), "steps": 1}
    names = ("cell", "distance", "seed", "rng")
    return Call(measure, arguments, measure, names=names, fixed=("steps",), dtype="float32")


# --- tasks ---------------------------------------------------------------------------------------

TASKS = {
    "DelayedCopy": {"distance": 5, "num_symbols": 4, "num_fillers": 2, "length": 2, "noise": 0.1},
    "Adding": {"num_steps": 8, "num_digits": 4, "noise": 0.1},
    "TemporalOrder": {"num_steps": 9, "noise": 0.1},
    "EmbeddedReber": {"num_steps": 12},
    "Pronoun": {"distance": 4},
}


def task_recipes(name, settings):
    kind = getattr(tasks, name)

    @recipe(f"tasks.{name}")
    def _(rng):
        def call(**given):
            return list(kind(**given).batch(2, 1))

        return Call(call, settings, call, names=("probability",))

    @recipe(f"tasks.{name}.batch")
    def _(rng):
        def call(**given):
            return list(kind(**settings).batch(**given))

        return Call(call, {"batch_size": 3, "rng": 1}, call)


for task, settings in TASKS.items():
    task_recipes(task, settings)


@recipe("tasks.entropy")
def _(rng):
    p = rng.dirichlet(np.ones(5))
    return Call(tasks.entropy, {"p": p}, lambda p: float(-(p * np.log(p)).sum()))


@recipe("tasks.spell")
def _(rng):
    task = tasks.DelayedCopy(5)
    ids = rng.integers(0, task.vocab_size, 6)
    return Call(lambda ids: tasks.spell(task, ids), {"ids": ids},
                lambda ids: " ".join(task.tokens[i] for i in ids))  # fmt: skip
