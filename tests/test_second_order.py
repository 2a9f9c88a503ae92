"""Second derivatives: every backward pass is itself differentiated, by the complex step.

A Hessian times a vector v is the slope of the gradient along v. The gradient is computed at
``w + ih v``, so the backward pass runs in complex numbers, and ``imag / h`` is H v without a
rounding error to speak of. It must be the central difference of gradients, and symmetric: for any u
and v, u (H v) = v (H u). A backward pass that is right at one point only, or is no gradient of
anything, fails the second of these. All functions and cells of the textbook enrol themselves.
"""

import itertools
from functools import partial

import numpy as np
import pytest
from conftest import B, D, H, T, V

from numpylstm import museum, reference
from numpylstm.cells import CELLS
from numpylstm.optim import OPTIMIZERS

K, M, S = 5, 7, 4  # of keys, of values, places that are attended to
STEP = 1e-30


def slope_of(function, point, direction):
    """Return the derivative of a dict of arrays along a direction, by the complex step."""
    moved = {name: array + 1j * STEP * direction[name] for name, array in point.items()}
    return {name: np.imag(array) / STEP for name, array in function(moved).items()}


def difference_of(function, point, direction, step=1e-6):
    """Return the same derivative by a central difference."""
    ahead, back = (
        function({name: array + h * direction[name] for name, array in point.items()})
        for h in (step, -step)
    )
    return {name: (ahead[name] - back[name]) / (2 * step) for name in ahead}


def dot(one, other):
    return sum(np.sum(one[name] * other[name]) for name in one)


def size_of(arrays):
    return np.sqrt(dot(arrays, arrays))


def asymmetry(rng, gradient, point):
    """Return abs(u H v - v H u) over the lengths of u and H v, for random u and v; and v, H v."""
    u, v = (
        {name: rng.standard_normal(array.shape) for name, array in point.items()} for _ in range(2)
    )
    Hu, Hv = slope_of(gradient, point, u), slope_of(gradient, point, v)
    assert size_of(Hv) > 0
    return abs(dot(u, Hv) - dot(v, Hu)) / (size_of(u) * size_of(Hv)), v, Hv


def check_hessian(rng, words, gradient, point):
    """Check the Hessian of the function with this gradient; print both errors."""
    asymmetric, v, Hv = asymmetry(rng, gradient, point)
    difference = difference_of(gradient, point, v)
    error = size_of({name: Hv[name] - difference[name] for name in Hv}) / size_of(Hv)
    print(f"{words:60} asymmetry {asymmetric:.1e}  difference {error:.1e}")
    assert asymmetric <= 1e-14
    assert error <= 1e-7


# --- the functions of the textbook -------------------------------------------------------------

SHAPES = {  # the arguments by which each is differentiated
    "attention": {"queries": (T, B, K), "keys": (S, B, K), "values": (S, B, M)},
    "delta_rule": {"q": (T, B, K), "k": (T, B, K), "v": (T, B, M), "beta": (T, B), "S0": (B, K, M)},
    "gated_delta_rule": {
        **{"q": (T, B, K), "k": (T, B, K), "v": (T, B, M), "beta": (T, B), "decay": (T, B)},
        "S0": (B, K, M),
    },
    "linear_attention": {"q": (T, B, K), "k": (T, B, K), "v": (T, B, M), "S0": (B, K, M)},
    "dropout": {"x": (T, B, D)},
    "embedding": {"W": (V, D)},
    "linear": {"x": (T, B, D), "W": (D, V), "b": (V,)},
    "scan": {"a": (T, B, H), "b": (T, B, H), "h0": (B, H)},
    "sequence_cross_entropy": {"logits": (T, B, V)},
    "squared_error": {"y": (T, B, K)},
}
FIXED = {  # the others
    "dropout": {"mask": np.where(np.arange(T * B * D).reshape(T, B, D) % 3, 1.5, 0)},
    "embedding": {"ids": np.arange(T * B).reshape(T, B) % 4},  # each occurs more than once
    "sequence_cross_entropy": {
        "targets": np.arange(T * B).reshape(T, B) % V,
        "weights": np.arange(T * B).reshape(T, B) / T,
    },
    "squared_error": {"targets": np.ones((T, B, K)), "weights": np.arange(T * B).reshape(T, B) / T},
}
H_MASK = np.where(np.arange(B * H).reshape(B, H) % 3, 1.5, 0)  # dropout of the state
LOSSES = ("sequence_cross_entropy", "squared_error")
AVERAGES = ("average_across_timesteps", "average_across_batch")


def calls():
    """Yield name, options and shapes for each function, each cell and each choice of an option."""
    for name, shapes in SHAPES.items():
        yield name, {}, shapes
    for over_time, over_batch in itertools.product([False, True], repeat=2):
        averages = dict(zip(AVERAGES, (over_time, over_batch), strict=True))
        yield "sequence_cross_entropy", averages, SHAPES["sequence_cross_entropy"]
    for name, cell in CELLS.items():
        choices = {key: option.choices for key, option in cell.options.items() if option.choices}
        for chosen in itertools.product(*choices.values()):
            options = dict(zip(choices, chosen, strict=True))
            states = {f"{state}0": (B, H) for state in cell.states}
            shapes = {"x": (T, B, D)} | states | cell.shapes(D, H, options)
            yield name, options, shapes
            if "Wh" in shapes:
                yield name, options | {"h_mask": H_MASK}, shapes


def words_of(call):
    name, options, _ = call
    choices = [key if key == "h_mask" else f"{key}={value}" for key, value in options.items()]
    return " ".join([name, *choices])


CALLS = [*calls()]


def test_every_function_of_the_textbook_is_differentiated_twice():
    whole = {name for name in dir(reference) if name.endswith("_forward")}
    parts = {name for name in whole if name.endswith("_step_forward")}
    parts |= {"padded_forward", "state_dropout_forward"}  # run another one
    assert {f"{name}_forward" for name, _, _ in CALLS} == whole - parts


@pytest.mark.parametrize(("name", "options", "shapes"), CALLS, ids=map(words_of, CALLS))
def test_a_function(rng, name, options, shapes):
    """The loss is sum(u * y + y**2 / 2), so that the gradient from above moves too.

    An sLSTM holds m fixed in a complex step, and a difference moves it: hT and hs do not depend on
    it, c and n do. So the loss reads the first two results of a recurrent layer.
    """
    forward = partial(getattr(reference, f"{name}_forward"), **options)
    backward = getattr(reference, f"{name}_backward")
    point = {key: rng.standard_normal(shape) for key, shape in shapes.items()}
    for positive in point.keys() & {"n0", "decay"}:
        point[positive] = 0.5 + np.abs(point[positive])
    fixed = FIXED.get(name, {})
    *results, _ = forward(**point, **fixed)
    upstream = [rng.standard_normal(np.shape(result)) for result in results]
    read = [1, 1, *([0] * 9)] if name in CELLS else [1] * 9

    def gradient(arrays):
        *results, cache = forward(**arrays, **fixed)
        above = [r * (u + y) for u, y, r in zip(upstream, results, read, strict=False)]
        found = backward(cache, *above) if name in LOSSES else backward(*above, cache)
        found = found if isinstance(found, tuple) else (found,)
        return dict(zip(arrays, found, strict=False))

    check_hessian(rng, words_of((name, options, shapes)), gradient, point)


@pytest.mark.parametrize("cell", CELLS)
def test_a_whole_model(rng, cell):
    """Embedding, two layers, dropout, decoder and cross-entropy, by all parameters and states."""
    patient = museum.case(cell=cell)
    moving = {k: a for k, a in patient.arrays.items() if not k.endswith((".c0", ".n0", ".m0"))}
    still = {
        key: 0 * array if key.endswith(("dcT", "dnT", "dmT")) and cell == "slstm" else array
        for key, array in (patient.fixed | patient.arrays).items()
    }

    def gradient(arrays):
        found = patient.backward(still | arrays)
        return {key: found[key] for key in arrays}

    check_hessian(rng, f"model with {cell}", gradient, moving)


# --- optimisers --------------------------------------------------------------------------------

UPDATES = {  # the name of the optimiser, its memory, its update
    "sgd": ((), lambda w, dw, t: reference.sgd_update(w, dw, 0.1)),
    "sgd with momentum": ("v", lambda w, v, dw, t: reference.momentum_update(w, v, dw, 0.1, 0.9)),
    "adam": (
        "mv",
        lambda w, m, v, dw, t: reference.adam_update(w, m, v, dw, t, 0.1, 0.9, 0.99, 1e-8, 0.01),
    ),
    "adamw": (
        "mv",
        lambda w, m, v, dw, t: reference.adam_update(
            w, m, v, dw, t, 0.1, 0.9, 0.99, 1e-8, 0.01, decoupled=True
        ),
    ),
}


def test_every_optimiser_is_differentiated():
    assert {name.split()[0] for name in UPDATES} == OPTIMIZERS.keys()


@pytest.mark.parametrize("name", UPDATES)
def test_an_update_differentiates_to_the_hessian(rng, name):
    """One update with a memory moves w by -D H v besides what it does without a gradient.

    D is diagonal, the slope of the step by each entry of its own gradient, so what is left after
    dividing by it is the Hessian: symmetric, and the same for every optimiser.
    """
    memory, update = UPDATES[name]
    patient = museum.case()
    weights = {k: a for k, a in patient.arrays.items() if not k.endswith("0")}
    rest = {k: a for k, a in (patient.arrays | patient.fixed).items() if k not in weights}
    kept = {k: {part: rng.uniform(0.5, 1, a.shape) for part in memory} for k, a in weights.items()}

    def gradient(arrays):
        found = patient.backward(rest | arrays)
        return {key: found[key] for key in arrays}

    def updated(arrays, gradients):
        after = {}
        for key, w in arrays.items():
            w = np.array(w)
            parts = [np.array(kept[key][part], w.dtype) for part in memory]
            update(w, *parts, gradients[key], 3)
            after[key] = w
        return after

    u, v = (
        {key: rng.standard_normal(array.shape) for key, array in weights.items()} for _ in range(2)
    )
    fixed_gradients, ones = gradient(weights), {key: np.ones(a.shape) for key, a in weights.items()}
    slopes = slope_of(
        lambda g: updated({k: w + 0j for k, w in weights.items()}, g), fixed_gradients, ones
    )
    assert all((slope < 0).all() for slope in slopes.values())

    def hessian_times(direction):
        whole = slope_of(lambda a: updated(a, gradient(a)), weights, direction)
        own = slope_of(
            lambda a: updated(a, {k: g + 0j for k, g in fixed_gradients.items()}),
            weights,
            direction,
        )
        return {key: (whole[key] - own[key]) / slopes[key] for key in weights}

    Hu, Hv = hessian_times(u), hessian_times(v)
    assert abs(dot(u, Hv) - dot(v, Hu)) <= 1e-11 * size_of(u) * size_of(Hv)
    direct = slope_of(gradient, weights, v)
    error = {key: Hv[key] - direct[key] for key in weights}
    assert size_of(error) <= 1e-11 * size_of(direct)
    difference = difference_of(lambda a: updated(a, gradient(a)), weights, v)
    along = slope_of(lambda a: updated(a, gradient(a)), weights, v)
    error = {key: along[key] - difference[key] for key in weights}
    assert size_of(error) <= 1e-7 * size_of(along)


SYMMETRIC = {"sum-for-mean", "unweighted-loss-gradient"}  # gradients, but of another loss


@pytest.mark.parametrize("name", museum.MUTANTS)
def test_what_is_no_gradient_is_not_symmetric(rng, name):
    """Two backward passes tell, without the loss; but a gradient of another loss is symmetric."""
    patient = museum.case(museum.MUTANTS[name])

    def gradient(arrays):
        found = patient.backward(patient.fixed | arrays)
        return {key: found[key] for key in arrays}

    asymmetric, _, _ = asymmetry(rng, gradient, patient.arrays)
    print(f"{name:60} asymmetry {asymmetric:.1e}")
    assert (asymmetric < 1e-13) == (name in SYMMETRIC)
