"""A padded batch gives the numbers of each sequence alone, in every cell and implementation.

Past the end of a sequence all that is passed in is NaN, so nothing there can have been read.
"""

import numpy as np
import pytest
from conftest import B, D, H, T
from test_reference import EVERY_CALL, recurrent_arrays

import numpylstm as nl
from numpylstm import functional, reference
from numpylstm.cells import CELLS

LENGTHS = {
    "unsorted": (2, T, 1),
    "sorted": (T, 3, 2),
    "all equal": (T, T, T),
    "T longer than the longest": (1, 3, 3),
    "one is empty": (4, 0, 2),
    "all are empty": (0, 0, 0),
}
EVERY_LENGTHS = pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
MODULES = {"reference": reference, "fast": functional}
EVERY_MODULE = pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)


def past(lengths, steps=T):
    """Return a mask (T, B): the steps past the end of each sequence."""
    return np.arange(steps)[:, None] >= lengths


def with_nan(values, lengths):
    return np.where(past(lengths, len(values))[..., None], np.nan, values)


def both_ways(module, cell, arrays, options, upstream, **lengths):
    """Return hs, the states, dx, the gradients of the states, and those of the parameters."""
    states = len(CELLS[cell].states)
    hs, *after, cache = getattr(module, f"{cell}_forward")(**arrays, **options, **lengths)
    dx, *gradients = getattr(module, f"{cell}_backward")(*upstream[: 1 + states], cache)
    return hs, after, dx, gradients[:states], [d for d in gradients[states:] if d is not None]


def largest(*arrays):
    return max(1.0, *(np.abs(array).max() for array in arrays))


def assert_close(ours, theirs, scale=1.0):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12 * scale)


@EVERY_MODULE
@EVERY_LENGTHS
@EVERY_CALL
def test_as_each_sequence_alone(rng, module, lengths, cell, bn, options):
    lengths = np.array(lengths)
    arrays = recurrent_arrays(rng, (T, B, D, H), cell, bn)
    states = [f"{name}0" for name in CELLS[cell].states]
    upstream = [rng.standard_normal((T, B, H)), *rng.standard_normal((len(states), B, H))]
    padded = arrays | {"x": with_nan(arrays["x"], lengths)}
    hs, after, dx, before, weights = both_ways(
        module,
        cell,
        padded,
        options,
        [with_nan(upstream[0], lengths), *upstream[1:]],
        lengths=lengths,
    )
    assert not hs[past(lengths)].any()
    assert not dx[past(lengths)].any()
    expected = [np.zeros_like(d) for d in weights]
    for b, n in enumerate(lengths):
        if not n:
            for k, name in enumerate(states):
                np.testing.assert_array_equal(after[k][b], arrays[name][b])
                np.testing.assert_array_equal(before[k][b], upstream[1 + k][b])
            continue
        own = {"x": arrays["x"][:n, [b]]} | {name: arrays[name][[b]] for name in states}
        above = [upstream[0][:n, [b]], *(u[[b]] for u in upstream[1:])]
        alone = both_ways(reference, cell, arrays | own, options, above)
        hs_1, after_1, dx_1, before_1, weights_1 = alone
        assert_close([hs[:n, b], *(a[b] for a in after)], [hs_1[:, 0], *(a[0] for a in after_1)])
        ours = [dx[:n, b], *(d[b] for d in before)]
        assert_close(ours, [dx_1[:, 0], *(d[0] for d in before_1)], largest(dx_1, *before_1))
        expected = [total + d for total, d in zip(expected, weights_1, strict=True)]
    assert_close(weights, expected, largest(*expected))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("sizes", [(9, 13, 40, 48), (6, 7, 20, 200)], ids=["by rows", "by units"])
def test_the_number_of_threads_changes_no_bit(rng, monkeypatch, cell, sizes):
    """Nor do equal lengths: a full batch is the batch without lengths."""
    steps, rows, *_ = sizes
    arrays = recurrent_arrays(rng, sizes, cell, cell == "gru")
    arrays = {name: array.astype("float32") for name, array in arrays.items()}
    states = len(CELLS[cell].states)
    upstream = rng.standard_normal((steps + states, rows, sizes[3])).astype("float32")
    upstream = [upstream[:steps], *upstream[steps:]]
    lengths = {"lengths": rng.integers(0, steps + 1, rows)}

    def run(**lengths):
        results = both_ways(functional, cell, arrays, {}, upstream, **lengths)
        return [array for part in results for array in (part if type(part) is list else [part])]

    one, full = run(**lengths), run()
    for threads in (1, 3):
        monkeypatch.setattr(functional, "get_num_threads", lambda threads=threads: threads)
        monkeypatch.setattr(functional, "WORTH_WAKING", 1000)
        functional.split_work.cache_clear()
        monkeypatch.setattr(functional, "OWN_CACHE", 10**6 if sizes[3] < 100 else 0)
        for got, want in ((run(**lengths), one), (run(lengths=np.full(rows, steps)), full)):
            assert all(np.array_equal(a, b) for a, b in zip(got, want, strict=True))
    functional.split_work.cache_clear()


REFUSED = {  # lengths, error, sentence
    "too long": (np.array([2, T + 1, 0]), ValueError, rf"must lie in \[0, {T}\], got 6 at \[1\]"),
    "negative": (np.array([2, 1, -1]), ValueError, rf"must lie in \[0, {T}\], got -1 at \[2\]"),
    "floats": (np.array([2.0, 1.0, 3.0]), TypeError, "must hold integers, got float64"),
    "one for each step": (np.full(T, 2), ValueError, rf"must have shape \({B},\), got \({T},\)"),
    "a list": ([2, 1, 3], TypeError, "must be a NumPy array, got list"),
}  # fmt: skip


@pytest.mark.parametrize(("lengths", "error", "sentence"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("cell", CELLS)
def test_refused(rng, cell, lengths, error, sentence):
    arrays = recurrent_arrays(rng, (T, B, D, H), cell)
    with pytest.raises(error, match=f"^{cell}_forward: lengths {sentence}"):
        getattr(functional, f"{cell}_forward")(**arrays, lengths=lengths)
    layer = nl.RecurrentStack(cell, D, H, dtype="float64", rng=0)
    with pytest.raises(error, match=f"^{CELLS[cell].title}.forward: lengths {sentence}"):
        layer.forward(arrays["x"], lengths=lengths)
