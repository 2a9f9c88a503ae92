"""A good call of every public callable that takes arrays or numbers, at sizes that vary.

``CALLS[name](case)`` makes one from the sizes and numbers of a `Case`. Most arguments are known by
their names: `GOOD` has a value for each. What has no call stands in `EXEMPT`, with the reason.
"""

import copy
import dataclasses
import functools
import inspect
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType, MethodType
from typing import Any

import numpy as np
from hypothesis import strategies as st

import numpylstm as nl
from numpylstm import functional, reference, tasks
from numpylstm.cells import CELLS

from .fuzz import Call, rebuilt

CALLS: dict[str, Callable[["Case"], Call]] = {}
EXEMPT = {
    r"functional\.(contiguous|plan|shares_for|\w*check\w*)|evaluation\.safe_exp|"
    r"sampling\.(best|draw|ids_of)|model_check\.(pass_of_copy|random_state)|"
    r"gradcheck\.(compare|length|scalar|check_\w+|\w+_slope)|\w+\.check_(state|arguments)": (
        "part of what is here, after its checks"
    ),
    r"\w+\.draw_masks|model_check\.check_module": "takes functions, or draws; test_model_check",
    r"functional\.\w+_update": "works in place; test_optim compares it with the reference",
    r"\w+\.(plan|from_(config|dict))|new_run|from_preset|\w+Config": "takes settings by name",
    r"\w+\.load_state_dict": "that of the models is here",
    r"data\.(load_\w+|pad)|Vocabulary\.build": "takes a text or a list; test_data",
    "fit": "takes a model and batches; test_fit",
    r"train|save|load_model": "takes a run or a file; test_checkpoint_files",
    r"exchange\.(import_model|from_keras|language_model|sequence_model)": (
        "takes a file, a list, or what is made of them; test_exchange"
    ),
    r"set_num_threads": "a setting of the process; test_threads",
    r"RecurrentStack(\.(forward|backward|zero_state))?": "LSTM, RNN and GRU are here",
}
"""Names (regular expressions) and reasons."""


# --- what there is -------------------------------------------------------------------------------

MODULES = ("functional", "evaluation", "sampling", "data", "gradcheck", "model_check",
           "diagnostics", "tasks", "exchange")  # fmt: skip
NUMERIC = re.compile(
    r"\b(int|float|Array|ArrayLike|ndarray|NDArray|\w*_array_like|Any|\w*Cache|State|_empty)\b"
)


def named(name: str) -> Any:
    """Return the object of this name in `numpylstm`; for a property, the function that sets it."""
    thing = functools.reduce(getattr, name.split("."), nl)
    return thing.fset if isinstance(thing, property) else thing


def takes_numbers(thing: Any) -> bool:
    """Return True if an argument may be a number or an array by its annotation, or has none."""
    record = dataclasses.is_dataclass(thing) and not hasattr(thing, "__post_init__")
    if record or not isinstance(thing, FunctionType | MethodType | type):
        return False
    parameters = [p for p in inspect.signature(thing).parameters.values() if p.name != "self"]
    return any(NUMERIC.search(str(p.annotation)) for p in parameters)


def discovered() -> set[str]:
    """Return the names of all that takes numbers or arrays in numpylstm and its public modules."""
    names, shown = list(nl.__all__), [getattr(nl, name) for name in nl.__all__]
    for module in MODULES:
        things = vars(getattr(nl, module))
        own = things.get("__all__") or [
            name for name, thing in things.items()
            if name[0] != "_" and getattr(thing, "__module__", "") == things["__name__"]
        ]  # fmt: skip
        names += [f"{module}.{name}" for name in own if not any(things[name] is s for s in shown)]
    for name in list(names):
        if isinstance(named(name), type) and issubclass(named(name), tuple | Exception):
            names.remove(name)
        elif isinstance(named(name), type):
            names += [f"{name}.{member}" for member in dir(named(name)) if member[0] != "_"]
    return {name for name in names if takes_numbers(named(name))}


# --- sizes and numbers ---------------------------------------------------------------------------


class Case:
    """The sizes and the numbers of one example.

    Hypothesis draws, and shrinks, sizes, dtype and choices. A seeded generator fills the arrays, so
    that all their numbers differ and no exchange of axes remains unseen.
    """

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        limits = {"T": 5, "B": 4, "D": 7, "H": 7, "V": 11, "S": 5}
        self.sizes = {n: (draw(st.integers(1 + (n == "V"), limit)),) for n, limit in limits.items()}
        (self.B,), (self.D,), (self.H,), (self.V,) = (self.sizes[n] for n in "BDHV")
        self.sizes["R"] = self.pick(self.sizes["T"], ()) + self.sizes["B"]  # rows: (T, B) or (B,)
        self.dtype, seed = np.dtype(self.pick("f4", "f8")), draw(st.integers(0, 999))
        self.rng, self.settings = np.random.default_rng(seed), {"dtype": self.dtype, "rng": seed}

    def pick(self, *values):
        return self.draw(st.sampled_from(values))

    def shape(self, letters):
        return sum((self.sizes[letter] for letter in letters), ())

    def floats(self, *shape, dtype=None):
        return self.rng.normal(size=shape).astype(dtype or self.dtype)

    def ids(self, letters="R"):
        return self.rng.integers(0, self.V, self.shape(letters))

    def arrays(self, **letters):
        return {name: self.floats(*self.shape(shape)) for name, shape in letters.items()}

    def weights(self):
        return {"weights": self.pick(None, np.abs(self.floats(*self.shape("TB"))))}

    def lengths(self, letter="T"):
        (longest,) = self.sizes[letter]
        return {"lengths": self.pick(None, self.rng.integers(0, longest + 1, self.B))}

    def averages(self):
        flags = ("average_across_timesteps", "average_across_batch")
        return {flag: self.pick(True, False) for flag in flags}

    def options(self, cell):
        """Return one of the values that the record of a cell shows, for each of its options."""
        return {n: self.pick(*option.examples) for n, option in CELLS[cell].options.items()}

    def like(self, value):
        """Return numbers in the shape of an array, or of each array of a tuple or dict."""
        if isinstance(value, dict):
            return {name: self.like(part) for name, part in value.items()}
        if isinstance(value, tuple):
            return rebuilt(value, map(self.like, value))
        if isinstance(value, np.ndarray):
            return self.floats(*value.shape, dtype=value.dtype)
        return float(self.rng.normal())


GOOD = {
    "p": 0.5, "input_size": 3, "hidden_size": 4, "embedding_size": 4, "output_size": 5,
    "vocab_size": 11, "num_classes": 3, "num_outputs": 3, "num_layers": 2, "dropout": 0.1,
    "init_scale": 0.1, "dtype": "f4", "impl": "fast", "rng": 3, "seed": 3, "training": True,
    "batch_size": 3,
    "num_steps": 4, "num_windows": 3, "warm_up": 1, "shown": 2, "length": 5, "start": 2,
    "temperature": 1.0, "top_k": 1, "tau": 1, "epoch": 3, "constant_epochs": 2, "decay": 0.5,
    "lr": 0.5, "tolerance": 1e-3, "num_tokens": 100, "trainable": True, "factor": 0.5,
    "max_norm": 0.5, "eps": 1e-8, "weight_decay": 0.1, "momentum": 0.5, "name": "W", "patience": 2,
    "forget_bias": 1.0, "activation": "tanh", "reset": "after",
}  # fmt: skip
"""Values by the names of arguments."""
FIXED = ("f", "task", "recipe", "recipes", "cell", "name", "parameters")  # never changed
NAMES = (
    "h", "c", "ids", "targets", "x", "dhT", "dcT", "grad", "data", "Rows", "rows", "values",
    "velocity", "parameter", "W", "b", "distance", "seed", "dropout", "symbol", "probability",
)  # fmt: skip
"""Parts of arguments, and arguments one layer down, which a sentence may name too."""


def good(case: Case, function: Any, own: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a function: its own ones, and those that are known by their names."""
    names = ("ids", "train_ids", "valid_ids", "test_ids", "prompt", "banned", "stop")
    texts = {name: case.rng.integers(0, case.V, 40 if "ids" in name else 1) for name in names}
    values = GOOD | texts | {"x": case.ids("TB"), "y": case.ids("TB")} | own
    parameters = inspect.signature(function).parameters
    return {name: value for name, value in values.items() if name in parameters}


def numbers_of(result: Any) -> Any:
    """Return the fields of a record and of those in it, the items of an iterator, or a verdict."""
    if isinstance(result, Mapping):
        return {name: numbers_of(part) for name, part in result.items()}
    if isinstance(result, Iterator):
        result = list(itertools.islice(result, 50))
    if isinstance(result, tuple | list):
        return [numbers_of(part) for part in result]
    if isinstance(result, np.ndarray) or not hasattr(result, "__dict__"):
        return result
    if hasattr(result, "passed"):
        return result.passed
    compared = getattr(result, "__dataclass_fields__", {})
    return numbers_of(
        {k: v for k, v in vars(result).items() if k not in compared or compared[k].compare}
    )


# --- functional ----------------------------------------------------------------------------------


def arguments_of(case, name):
    """Return the arguments of the forward pass of this name."""
    if name in CELLS:
        cell = CELLS[name]
        options = {n: case.pick(*o.choices or o.examples) for n, o in cell.options.items()}
        shapes = {"x": case.shape("TBD")} | {f"{n}0": case.shape("BH") for n in cell.states}
        shapes |= cell.shapes(case.D, case.H, options)
        for key, vector in cell.vectors.items():
            if vector.needs and case.pick(True, False):  # such as bn, which may be None
                shapes.pop(key, None)
        arrays = {n: case.floats(*shape) for n, shape in shapes.items()}
        return arrays | cell.arguments(options)
    arrays, others = {
        "scan": ({"a": "TBH", "b": "TBH", "h0": "BH"}, {}),
        "linear": ({"x": "RD", "W": "DV", "b": "V"}, {}),
        "dropout": ({"x": "RD", "mask": "RD"}, {}),
        "embedding": ({"W": "VD"}, {"ids": case.ids()}),
        "sequence_cross_entropy": ({"logits": "TBV"},
                                   {"targets": case.ids("TB")} | case.weights() | case.averages()),
        "squared_error": ({"y": "TBD", "targets": "TBD"}, case.weights()),
        "attention": ({"queries": "TBH", "keys": "SBH", "values": "SBD"}, case.lengths("S")),
    }[name]  # fmt: skip
    return case.arrays(**arrays) | others | (case.lengths() if name in CELLS else {})


def upstream(case, backward, results):
    """Return gradients of the results, under the names that a backward pass has for them."""
    names = [n for n in inspect.signature(backward).parameters if n not in ("self", "cache")]
    return {name: case.like(result) for name, result in zip(names, results, strict=False)}


def of_functional(name, case):
    """Return a call of a function; a backward pass gets a cache of either implementation."""
    stem, direction, _ = re.split("_(forward|backward)", name)
    arguments = arguments_of(case, stem)
    if direction == "backward":
        forward = getattr(case.pick(reference, functional), f"{stem}_forward")
        *results, cache = forward(**arguments)
        arguments = upstream(case, getattr(reference, name), results) | {"cache": cache}
    return Call(getattr(functional, name), arguments, getattr(reference, name), FIXED, NAMES,
                case.dtype.name)  # fmt: skip


for name in dir(reference):
    of_its_own = getattr(functional, name, None) not in (None, getattr(reference, name))
    if of_its_own and re.search(r"(?<!_step)(?<!padded)_(forward|backward)", name):
        CALLS[f"functional.{name}"] = functools.partial(of_functional, name)


# --- methods, and functions of a model ------------------------------------------------------------


def acting(owner: Any, function: Any) -> Any:
    """Return a function of a copy of its owner: its result, and all data and gradients after it.

    A forward pass is followed by the backward pass where that takes nothing.
    """

    def call(**given):
        actor = copy.deepcopy(owner)
        result = function(**given) if owner is None else function(actor, **given)
        if isinstance(function, type):
            actor, result = result, None
        if function.__name__ == "forward" and not inspect.signature(actor.backward).parameters:
            result = result, actor.backward()
        parameters = getattr(actor, "parameters", None)
        owned = parameters().values() if callable(parameters) else [actor]
        return numbers_of(result), [(p.data, p.grad) for p in owned if isinstance(p, nl.Parameter)]

    return call


def of(prefix: str, names: str, make: Any, *arguments: Any, function: Any = None) -> None:
    """Enter functions of what ``make`` returns, with its twin and its arguments."""

    def call(name, case):
        (tested, slow), own = make(*arguments, case)
        called = function or named(name)
        given = good(case, called, own)
        return Call(acting(tested, called), given, acting(slow, called), FIXED, NAMES,
                    case.dtype.name)  # fmt: skip

    for name in names.split():
        CALLS[prefix + name] = functools.partial(call, prefix + name)


def free(prefix: str, names: str, own: Any) -> None:
    """Enter functions of arguments only; their results may not depend on dtype and layout."""
    of(prefix, names, lambda case: ((None, None), own(case) if callable(own) else own))


def twins(case, kind, *sizes, **options):
    """Return a layer or model to be tested, most often a fast one, and its twin of the textbook."""
    impl = case.pick("fast", "fast", "reference")
    return [kind(*sizes, impl=i, **options) for i in (impl, "reference")]


def embedding(case):
    pair = twins(case, nl.Embedding, case.V, case.D, **case.settings)
    return pair, {"ids": case.ids()} | case.arrays(vectors="VD")


def dropout(case):
    pair = twins(case, nl.Dropout, case.pick(0.0, 0.25), rng=case.settings["rng"])
    return pair, case.arrays(x="RD")


def linear(case):
    tied = case.pick(None, None, nl.Parameter(case.floats(case.V, case.D), "table"))
    return twins(case, nl.Linear, case.D, case.V, tied=tied, **case.settings), case.arrays(x="TBD")


def entropy(case):
    arguments = arguments_of(case, "sequence_cross_entropy")
    return twins(case, nl.SequenceCrossEntropy, **case.averages()), arguments


def stack(kind, case):
    pair = twins(case, kind, case.D, case.H, case.pick(1, 2), dropout=case.pick(0.0, 0.5),
                 **case.settings, **case.options(kind.__name__.lower()))  # fmt: skip
    own = case.arrays(x="TBD") | {"state": case.like(pair[0].zero_state(case.B))}
    return pair, own | case.lengths()


def model_twins(case, kind, *sizes, cells=tuple(CELLS), **options):
    options = {"num_layers": case.pick(1, 2), "dropout": case.pick(0.0, 0.5)} | options
    options |= {"cell": (cell := case.pick(*cells))} | case.settings | case.options(cell) | options
    return twins(case, kind, *sizes, **options)


def language_model(case):
    sizes = case.pick({"embedding_size": case.D}, {"embedding_size": case.D}, {"tied": True})
    pair = model_twins(case, nl.LanguageModel, case.V, case.H, **sizes)
    states = {"state": case.like(pair[0].zero_state(case.B))} | case.weights()
    return pair, states | {"arrays": case.like(pair[0].state_dict())}


def in_double_precision(case, cells=tuple(CELLS)):
    pair = model_twins(case, nl.LanguageModel, case.V, case.H, cells=cells, dtype="f8")
    return pair, {"ids": case.ids("TB"), "state": case.like(pair[0].zero_state(case.B))}


def sequence_model(kind, case, ways=(False, True)):
    """Return a model of ids or of vectors, and answers, classes or numbers, with weights."""
    ids, both_ways = case.pick(True, False), case.pick(*ways)
    size = {"vocab_size": case.V} if ids else {"input_size": case.D}
    size |= {kind.answer: 3, "hidden_size": case.H, "bidirectional": both_ways}
    if kind is nl.SequenceRegressor:
        size["every_step"] = case.pick(True, False)
    pair = model_twins(case, kind, **size)
    shape = case.shape("TB" if pair[0].every_step else "B")
    y = case.rng.integers(0, 3, shape)
    if kind is nl.SequenceRegressor:
        y = case.floats(*shape, 3)
    x = {"x": case.ids("TB") if ids else case.floats(*case.shape("TBD"))}
    weights = case.pick(None, np.abs(case.floats(*shape)), case.rng.random(shape) < 0.7)
    state = None if both_ways else case.pick(None, case.like(pair[0].zero_state(case.B)))
    own = {"y": y, "weights": weights, "state": state, "arrays": case.like(pair[0].state_dict())}
    return pair, x | own | case.lengths()


def both_directions(case):
    options = {"dropout": case.pick(0.0, 0.5), **case.settings}
    cell = case.pick(*CELLS)
    pair = twins(case, nl.Bidirectional, cell, case.D, case.H, case.pick(1, 2), **options)
    own = case.arrays(x="TBD") | {"state": case.like(pair[0].zero_state(case.B))}
    return pair, own | case.lengths()


def squared_error(case):
    return twins(case, nl.SquaredError), arguments_of(case, "squared_error")


def after_forward(make, case):
    """Return a layer and its twin after a forward pass, and gradients of the results."""
    pair, own = make(case)
    results = [layer.forward(**good(case, layer.forward, own)) for layer in pair][-1]
    results = results if type(results) is tuple else (results,)
    return pair, upstream(case, pair[0].backward, results)


LAYERS = {"Embedding": embedding, "Dropout": dropout, "Linear": linear}
LAYERS["Bidirectional"] = both_directions
LAYERS |= {kind.__name__: functools.partial(stack, kind) for kind in (nl.LSTM, nl.RNN, nl.GRU)}
for name, make in LAYERS.items():
    of(f"{name}.", "forward", make)
    of(f"{name}.", "backward", after_forward, make)
for name in ("LSTM", "RNN", "GRU", "Bidirectional"):
    of(f"{name}.", "zero_state", LAYERS[name])
of("Embedding.", "load", embedding)
of("SequenceCrossEntropy.", "forward score", entropy)
of("SquaredError.", "forward score", squared_error)
of(
    "LanguageModel.",
    "forward score logits probabilities zero_state load_state_dict",
    language_model,
)
of("", "evaluate tutorial_protocol true_and_predicted surprise generate", language_model)
of("sampling.", "stream", language_model)
for kind in (nl.SequenceClassifier, nl.SequenceTagger, nl.SequenceRegressor):
    make = functools.partial(sequence_model, kind)
    probabilities = "" if kind is nl.SequenceRegressor else " probabilities"
    of(f"{kind.__name__}.", f"forward score predict load_state_dict{probabilities}", make)
    of(f"{kind.__name__}.", "advance zero_state", functools.partial(make, ways=[False]))
of("", "evaluate_regressor", make)
make = functools.partial(sequence_model, nl.SequenceTagger)
of("", "evaluate_classifier", make)
of("model_check.", "check_model check_precision", in_double_precision)
of("diagnostics.", "gradient_flow model_lag_table model_lag_norms", in_double_precision)
gates = functools.partial(in_double_precision, cells=("lstm", "gru"))
of("diagnostics.", "cell_activations", gates)


# --- parameters, optimisers and all else ---------------------------------------------------------


def parameter(case):
    """Return a parameter twice, and gradients for it: an array or rows, and an array."""
    n = case.draw(st.integers(1, 7))
    rows = nl.layers.Rows(case.rng.permutation(7)[:n], case.floats(n, 4))
    one = nl.Parameter(case.floats(7, 4), "W")
    one.accumulate(case.pick(rows, case.floats(7, 4)))
    return (one, one), {"gradient": case.pick(rows, case.floats(7, 4)), "value": case.floats(7, 4)}


def parameters(case):
    found = parameter(case)[0][0], nl.Parameter(case.floats(5), "b")
    return {"parameters": {one.name: one for one in found}}


def optimizer(kind, settings, case):
    own = parameters(case)
    made = kind(**own, lr=0.5, **{name: case.pick(*values) for name, values in settings.items()})
    return (made, made), own


def step(optimizer, parameters, lr):
    """Make a step after data and rate have become anything."""
    optimizer.parameters, optimizer.lr = parameters, lr
    optimizer.step()
    return [parameter.data for parameter in parameters.values()]


def twice(thing, case):
    return (thing, thing), {}


def point(case):
    """Return a function, the point where it is differentiated, and its gradient there."""
    arrays = {"x": case.floats(3, 2, dtype="f8"), "y": case.floats(4, dtype="f8")}
    slopes = {name: 3 * array**2 for name, array in arrays.items()}
    return {"f": lambda arrays: sum((np.asarray(a) ** 3).sum() for a in arrays.values()),
            "arrays": arrays, "gradients": slopes,
            "along": case.pick("entries", "all", "arrays")}  # fmt: skip


def after_window(cells, case):
    """Return the cache of a forward pass, and gradients of its results."""
    cell = case.pick(*cells)
    hs, *_, cache = getattr(functional, f"{cell}_forward")(**arguments_of(case, cell))
    return {"dhs": case.like(hs), "cache": cache}


TASKS = {
    "DelayedCopy": {"distance": 5, "num_symbols": 4, "num_fillers": 2, "length": 2, "noise": 0.1},
    "Adding": {"num_steps": 8, "num_digits": 4, "noise": 0.1},
    "SelectiveCopy": {"distance": 7, "num_symbols": 4, "num_fillers": 3, "length": 2, "noise": 0.1},
    "TemporalOrder": {"num_steps": 9, "noise": 0.1},
    "Parity": {"num_steps": 9, "shortest": 4, "noise": 0.1},
    "EmbeddedReber": {"num_steps": 12},
    "Pronoun": {"distance": 4},
    "AssociativeRecall": {
        "num_pairs": 3,
        "rewrites": 1,
        "num_keys": 5,
        "num_values": 4,
        "noise": 0.1,
    },
}
COPY, TINY = tasks.DelayedCopy(3), tasks.Recipe(hidden_size=3, batch_size=2, steps=2)
of_any = functools.partial(after_window, tuple(CELLS))
of_gated = functools.partial(after_window, [name for name, cell in CELLS.items() if cell.keep])
free("", "Dropout Embedding GRU LSTM LanguageModel Linear RNN decayed_rate", {})
free("", "SequenceClassifier SequenceTagger SequenceRegressor", lambda case: {
    "bidirectional": True, "every_step": False, **case.pick(
        {"input_size": None}, {"vocab_size": None, "embedding_size": None}
    )
})  # fmt: skip
free("", "Bidirectional", lambda case: {"cell": case.pick(*CELLS)})
free("data.", "batches num_batches", {})
free("data.", "minibatches", lambda case: {
    "x": case.ids("TB"), "y": case.ids(case.pick("B", "TB")), "size": 2, **case.lengths()
})  # fmt: skip
free("baselines.", "unigram_perplexity interpolated_bigram_perplexity", {})
of("Parameter.", "accumulate scale_grad grad", parameter)
ADAM = {"betas": ((0.9, 0.999), (0.0, 0.5)), "eps": (1e-8, 0.1), "weight_decay": (0.0, 0.1)}
of("SGD.", "step", optimizer, nl.SGD, {"momentum": (0.0, 0.9)}, function=step)
of("Adam.", "step", optimizer, nl.Adam, ADAM, function=step)
of("AdamW.", "step", optimizer, nl.AdamW, ADAM, function=step)
free("", "Adam AdamW SGD clip_by_global_norm", parameters)
free("", "Parameter", lambda case: {"data": case.floats(3, 4)})
free("", "plateau_rate", {"validation_losses": (3.0, 2.0, 2.5)})
free("functional.", "dropout_mask", lambda case: {
    "uniform": case.rng.random(case.shape("RD"), np.float32), "p": 0.25, "dtype": case.dtype.str
})  # fmt: skip
free("functional.", "sum_of_squares", lambda case: case.arrays(g="VD"))
free("gradcheck.", "central_difference check complex_step", point)
free("diagnostics.", "lag_norms lag_table singular_values step_jacobians", of_any)
free("diagnostics.", "carousel carousel_norms", of_gated)
free("diagnostics.", "compare_cells", {})
free("diagnostics.", "carousel_share", {"wh_scales": (0.5, 1.0), "forget_biases": (0.0, 1.0)})
free("diagnostics.", "gate_saturation", lambda case: {
    "gate": case.rng.random((5, 3, 4)), "low": 0.1, "high": 0.9
})  # fmt: skip
free("diagnostics.", "memory_horizon", {
    "distances": (2, 3), "cells": ("rnn",), "seeds": (1,), "recipes": {"rnn": TINY}
})  # fmt: skip
free("diagnostics.", "probe", lambda case: {
    "task": COPY, "recipe": TINY, "cell": case.pick(*CELLS), "check_every": 1, "stop_at": -1.0
})  # fmt: skip
of("diagnostics.LagTable.", "within beyond",
   lambda case: twice(nl.diagnostics.lag_table(**of_any(case)), case))  # fmt: skip
free("tasks.", "entropy", lambda case: {"p": case.rng.dirichlet(np.ones(5))})
free("tasks.", "spell", lambda case: {"task": COPY, "ids": case.rng.integers(0, 9, 6)})
for task, own in TASKS.items():
    free("tasks.", task, own)
    of(f"tasks.{task}.", "batch", twice, getattr(tasks, task)(**own))
free("exchange.", "from_torch", lambda case: {"state": nl.exchange.to_torch(nl.LanguageModel(
    case.V, case.H, embedding_size=case.D, cell="gru", **case.settings
))})  # fmt: skip
of("Vocabulary.", "decode", twice, nl.Vocabulary(("<unk>", *"abcdefghij")))
