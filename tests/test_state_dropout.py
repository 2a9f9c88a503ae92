"""Dropout of the state: one mask for each stream, (B, H), on h where it enters the product with Wh.

The textbook gives each stream a Wh with rows of zeros; the kernels multiply h. Here both are held
to the equations of a step that reads h times the mask, to the complex step, and to each other.
"""

import copy
from functools import partial

import numpy as np
import pytest
from conftest import B, D, H, L, T, V
from support.agreement import DTYPES, all_close
from support.arguments import normal, recurrent_arrays
from support.bad_calls import assert_refused, bad_call
from support.every_cell import CALLS
from support.gradients import prove
from support.lengths import EVERY_LENGTHS, EVERY_MODULE, both_ways, past, with_nan

import numpylstm as nl
from numpylstm import functional, reference
from numpylstm.cells import CELLS

SIZES = [  # T, B, D, H
    (T, B, D, H),
    (3, 17, 33, 34),  # no multiple of a tile
    pytest.param((4, 19, 40, 130), marks=pytest.mark.big),  # shared by threads
]
WITH_WH = {name: call for name, call in CALLS.items() if "Wh" in CELLS[call[0]].matrices}
EVERY_CALL = pytest.mark.parametrize(("cell", "options"), WITH_WH.values(), ids=WITH_WH)


def draw(rng, rows=B, units=H, dtype="float64"):
    """Return a mask (rows, units) of p = 1/2: 0 or 2; each row drops a unit and keeps one."""
    mask = rng.choice([0.0, 2.0], (rows, units)).astype(dtype)
    mask[:, 0], mask[:, -1] = 0, 2
    return mask


# --- the equations -------------------------------------------------------------------------------


def gru_step(x, h_prev, h_read, Wx, Wh, b, bn=0, reset="after"):
    """One step of a GRU whose products read another h than the one that z keeps."""
    x_r, x_z, x_n = np.split(x @ Wx + b, 3, axis=1)
    Wh_r, Wh_z, Wh_n = np.split(Wh, 3, axis=1)
    r, z = reference.sigmoid(x_r + h_read @ Wh_r), reference.sigmoid(x_z + h_read @ Wh_z)
    past = r * (h_read @ Wh_n + bn) if reset == "after" else (r * h_read) @ Wh_n
    return (1 - z) * np.tanh(x_n + past) + z * h_prev


@EVERY_MODULE
@EVERY_CALL
def test_h_is_dropped_where_it_enters_the_product_and_nowhere_else(rng, module, cell, options):
    arrays, mask = recurrent_arrays(rng, (T, B, D, H), cell, options), draw(rng)
    hs, *last, _ = getattr(module, f"{cell}_forward")(**arrays, **options, h_mask=mask)
    x, *rest = arrays.values()
    states = len(CELLS[cell].states)
    state, weights = rest[:states], rest[states:]
    for t in range(T):
        read = state[0] * mask
        if cell == "gru":
            state = [gru_step(x[t], state[0], read, *weights, **options)]
        else:
            step = getattr(reference, f"{cell}_step_forward")
            *state, _ = step(x[t], read, *state[1:], *weights, **options)
        np.testing.assert_allclose(hs[t], state[0], rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(last, state, rtol=1e-12, atol=1e-12)


@EVERY_CALL
def test_every_gradient_is_the_slope(rng, cell, options):
    arrays, mask = recurrent_arrays(rng, (T, B, D, H), cell, options), draw(rng)
    forward = partial(getattr(reference, f"{cell}_forward"), **options, h_mask=mask)
    backward = getattr(reference, f"{cell}_backward")
    prove(rng, forward, backward, arrays, ["complex"])
    prove(rng, forward, backward, arrays, ["central"], read=2)


@EVERY_MODULE
@EVERY_CALL
def test_a_unit_that_all_streams_drop_has_no_gradient_in_Wh(rng, module, cell, options):
    arrays, mask = recurrent_arrays(rng, (T, B, D, H), cell, options), draw(rng)
    above = [rng.standard_normal((T, B, H)), *rng.standard_normal((len(CELLS[cell].states), B, H))]
    _, gradients = both_ways(module, cell, arrays, options | {"h_mask": mask}, above)
    dWh = gradients[2 + len(CELLS[cell].states)]
    assert not dWh[0].any()
    assert dWh[-1].any()


@EVERY_MODULE
@EVERY_CALL
def test_a_mask_of_ones_drops_nothing(rng, module, cell, options):
    arrays = recurrent_arrays(rng, (T, B, D, H), cell, options)
    above = [rng.standard_normal((T, B, H)), *rng.standard_normal((len(CELLS[cell].states), B, H))]
    plain = both_ways(module, cell, arrays, options, above)
    ones = both_ways(module, cell, arrays, options | {"h_mask": np.ones((B, H))}, above)
    for found, want in zip(ones[0] + ones[1], plain[0] + plain[1], strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-12, atol=1e-12 * np.abs(want).max())


# --- the fast path -------------------------------------------------------------------------------


@DTYPES
@EVERY_CALL
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("padded", [False, True], ids=["whole", "padded"])
def test_the_fast_path_is_the_textbook(rng, padded, sizes, cell, options, dtype):
    """Results, caches and gradients; each goes back through the cache of the other, too."""
    steps, rows, _, units = sizes
    arrays = recurrent_arrays(rng, sizes, cell, options)
    arrays = {name: array.astype(dtype) for name, array in arrays.items()}
    for name in ("Wx", "Wh"):
        arrays[name] /= np.sqrt(len(arrays[name]), dtype=dtype)
    given = options | {"h_mask": draw(rng, rows, units, dtype)}
    if padded:
        given["lengths"] = rng.integers(0, steps + 1, rows)
    shapes = [(steps, rows, units), *[(rows, units)] * len(CELLS[cell].states)]
    above = [normal(rng, dtype, *shape) for shape in shapes]
    passes, caches, gradients = [], [], []
    for module in (functional, reference):
        *results, cache = getattr(module, f"{cell}_forward")(**arrays, **given)
        passes.append((*results, *(cache.packed if padded else cache)))
        caches.append(cache)
    for module in (functional, reference):
        for cache in caches:
            gradients.append(getattr(module, f"{cell}_backward")(*above, cache))
    all_close(*passes, dtype)
    for other in gradients[:3]:
        all_close(other, gradients[3], dtype)


@EVERY_MODULE
@EVERY_LENGTHS
@EVERY_CALL
def test_a_padded_batch_is_each_sequence_alone_with_its_mask(rng, module, lengths, cell, options):
    """Past the ends all is NaN: nothing there is read."""
    lengths, mask = np.array(lengths), draw(rng)
    arrays = recurrent_arrays(rng, (T, B, D, H), cell, options)
    states = [f"{name}0" for name in CELLS[cell].states]
    above = [rng.standard_normal((T, B, H)), *rng.standard_normal((len(states), B, H))]
    padded = arrays | {"x": with_nan(arrays["x"], lengths)}
    given = options | {"h_mask": mask, "lengths": lengths}
    results, gradients = both_ways(
        module, cell, padded, given, [with_nan(above[0], lengths), *above[1:]]
    )
    assert not results[0][past(lengths)].any()
    sums = [np.zeros_like(d) for d in gradients[1 + len(states) :]]
    for b, n in enumerate(lengths):
        if n == 0:
            continue
        own = {"x": arrays["x"][:n, [b]]} | {name: arrays[name][[b]] for name in states}
        d_own = [above[0][:n, [b]], *(u[[b]] for u in above[1:])]
        alone, d_alone = both_ways(
            reference, cell, arrays | own, options | {"h_mask": mask[[b]]}, d_own
        )
        np.testing.assert_allclose(results[0][:n, [b]], alone[0], rtol=0, atol=1e-12)
        for got, want in zip(gradients[: 1 + len(states)], d_alone, strict=False):
            part = got[:n, [b]] if got.ndim == 3 else got[[b]]
            np.testing.assert_allclose(part, want, rtol=0, atol=1e-11)
        for total, d in zip(sums, d_alone[1 + len(states) :], strict=True):
            total += d
    for got, want in zip(gradients[1 + len(states) :], sums, strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-11 * max(1, np.abs(want).max()))


@pytest.mark.parametrize("cell", [name for name in CELLS if "Wh" in CELLS[name].matrices])
def test_no_division_of_the_work_changes_a_bit(rng, monkeypatch, cell):
    """By rows or by units, on one thread or three; a full batch is the batch without lengths."""
    steps, rows, _, units = sizes = 9, 13, 40, 100
    arrays = recurrent_arrays(rng, sizes, cell)
    arrays = {name: array.astype("float32") for name, array in arrays.items()}
    shapes = [(steps, rows, units), *[(rows, units)] * len(CELLS[cell].states)]
    above = [normal(rng, "float32", *shape) for shape in shapes]
    mask = draw(rng, rows, units, "float32")
    some, full = rng.integers(0, steps + 1, rows), np.full(rows, steps)
    found = []
    for split_batch in (True, False):
        for shares in (1, 3):
            split = functional.WorkSplit(split_batch, shares)
            monkeypatch.setattr(functional, "split_work", lambda *_, split=split: split)
            for lengths in (full, None):
                bits = []
                for each in (some, lengths):
                    results, gradients = both_ways(
                        functional, cell, arrays, {"h_mask": mask}, above, lengths=each
                    )
                    bits += results + gradients
                found.append(bits)
    for first, *others in zip(*found, strict=True):
        assert all(np.array_equal(first, other) for other in others)


# --- layers and models ---------------------------------------------------------------------------


def test_a_window_has_one_mask_for_each_stream_of_each_layer(rng):
    model = nl.LanguageModel(V, H, L, embedding_size=D, dropout_state=0.5, rng=0)
    source = copy.deepcopy(model.rng)
    masks = model.draw_masks(T, B)
    assert [*masks] == [f"lstm.{k}.h" for k in range(L)]
    for mask in masks.values():
        drawn = reference.dropout_mask(source.random((B, H), dtype=np.float32), 0.5, "float32")
        np.testing.assert_array_equal(mask, drawn)
    after = model.draw_masks(T, B)
    assert all(not np.array_equal(after[name], masks[name]) for name in masks)


def test_it_stands_beside_weight_drop_and_shifts_no_other_mask(rng):
    """The two are different masks, and without one of them the other is drawn as before."""
    drops = {"dropout": 0.3, "dropout_weights": 0.4}
    plain = nl.LSTM(D, H, L, **drops, rng=0)
    both = nl.LSTM(D, H, L, **drops, dropout_state=0.5, rng=0)
    masks, more = plain.draw_masks(T, B), both.draw_masks(T, B)
    assert more.keys() - masks.keys() == {"0.h", "1.h"}
    for name, mask in masks.items():
        np.testing.assert_array_equal(more[name], mask)
    x = rng.random((T, B, D), dtype=np.float32)
    hs, _ = both.forward(x, masks=more)
    for name in more:
        others = {other: mask for other, mask in more.items() if other != name}
        assert not np.array_equal(both.forward(x, masks=others)[0], hs), name


def test_without_training_nothing_is_dropped(rng):
    layers, plain = nl.GRU(D, H, dropout_state=0.5, rng=0), nl.GRU(D, H, rng=0)
    x = rng.random((T, B, D), dtype=np.float32)
    want, _ = plain.forward(x)
    np.testing.assert_array_equal(layers.forward(x, training=False)[0], want)
    assert not np.array_equal(layers.forward(x)[0], want)


lstm = {
    "x": np.ones((T, B, D)), "h0": np.ones((B, H)), "c0": np.ones((B, H)),
    "Wx": np.ones((D, 4 * H)), "Wh": np.ones((H, 4 * H)), "b": np.ones(4 * H),
}  # fmt: skip
gru = {
    "x": np.ones((T, B, D)), "h0": np.ones((B, H)),
    "Wx": np.ones((D, 3 * H)), "Wh": np.ones((H, 3 * H)), "b": np.ones(3 * H),
}  # fmt: skip


def backward_with(mask):
    """Go back with another mask in the cache."""
    *_, cache = functional.lstm_forward(**lstm, h_mask=np.ones((B, H)))
    d = np.ones((B, H))
    functional.lstm_backward(np.ones((T, B, H)), d, d, cache._replace(h_mask=mask))


@pytest.mark.parametrize(
    ("call", "says", "error"),
    [
        bad_call(
            lambda: functional.lstm_forward(**lstm, h_mask=np.ones((T, B, H))),
            "lstm_forward: h_mask must have shape (3, 6), got (5, 3, 6); it has the shape of h0",
        ),
        bad_call(
            lambda: functional.gru_forward(**gru, reset="before", h_mask=np.ones((B, H), "f4")),
            "gru_forward: h_mask must have dtype float64, got float32",
            TypeError,
        ),
        bad_call(
            lambda: backward_with(np.ones((H, B))),
            "lstm_backward: cache.h_mask must have shape (3, 6)",
        ),
        bad_call(
            lambda: nl.LanguageModel(11, 4, cell="mingru", dropout_state=0.1),
            "dropout_state must be 0, got 0.1; a minGRU has no Wh to drop",
        ),
        bad_call(
            lambda: nl.RecurrentStack("minlstm", 4, 6, dropout_state=0.1),
            "dropout_state must be 0, got 0.1; a minLSTM has no Wh to drop",
        ),
        bad_call(lambda: nl.GRU(4, 6, dropout_state=1), "dropout_state must be in [0, 1), got 1"),
        bad_call(
            lambda: nl.TrainConfig(dropout_state=-0.1),
            "dropout_state must be at least 0 and below 1",
        ),
        bad_call(
            lambda: nl.RecurrentStack("mingru", 4, 6).forward(
                np.ones((T, B, 4), "f4"), masks={"0.h": 1}
            ),
            "minGRU.forward: masks must have names such as 0.Wx, 0.b, 0.x, got '0.h'",
        ),
    ],
)
def test_a_bad_call_gets_one_sentence(call, says, error):
    assert_refused(call, says, error)
