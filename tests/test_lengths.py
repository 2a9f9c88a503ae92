"""A padded batch gives the numbers of each sequence alone, in every cell and implementation.

Past the end of a sequence all that is passed in is NaN, so nothing there can have been read.
"""

import numpy as np
import pytest
from conftest import B, D, H, T
from support.arguments import recurrent_arrays
from support.every_cell import EVERY_CALL
from support.lengths import EVERY_LENGTHS, EVERY_MODULE, both_ways, past, with_nan

from numpylstm import functional, reference
from numpylstm.cells import CELLS


def one_by_one(cell, arrays, options, upstream, lengths):
    """Return what `both_ways` should: from each sequence alone, by the textbook."""
    x, *rest = arrays.values()
    states = [f"{name}0" for name in CELLS[cell].states]
    results = [np.zeros((T, B, H)), *(arrays[name].copy() for name in states)]
    gradients = [np.zeros_like(x), *(u.copy() for u in upstream[1:])]
    gradients += [np.zeros_like(weights) for weights in rest[len(states) :]]
    for b, n in enumerate(lengths):
        if n == 0:
            continue
        own = {"x": x[:n, [b]]} | {name: arrays[name][[b]] for name in states}
        above = [upstream[0][:n, [b]], *(u[[b]] for u in upstream[1:])]
        alone, d_alone = both_ways(reference, cell, arrays | own, options, above)
        results[0][:n, [b]], gradients[0][:n, [b]] = alone[0], d_alone[0]
        for k in range(1, 1 + len(states)):
            results[k][[b]], gradients[k][[b]] = alone[k], d_alone[k]
        for k in range(1 + len(states), len(gradients)):
            gradients[k] += d_alone[k]
    return results, gradients


@EVERY_MODULE
@EVERY_LENGTHS
@EVERY_CALL
def test_as_each_sequence_alone(rng, module, lengths, cell, options):
    lengths = np.array(lengths)
    arrays = recurrent_arrays(rng, (T, B, D, H), cell, options)
    dhs = rng.standard_normal((T, B, H))
    ends = [rng.standard_normal((B, H)) for _ in CELLS[cell].states]
    padded = arrays | {"x": with_nan(arrays["x"], lengths)}
    above = [with_nan(dhs, lengths), *ends]
    results, gradients = both_ways(module, cell, padded, options, above, lengths=lengths)
    assert not results[0][past(lengths)].any()
    assert not gradients[0][past(lengths)].any()
    wanted, wanted_gradients = one_by_one(cell, arrays, options, [dhs, *ends], lengths)
    for got, want in zip(results, wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)
    for got, want in zip(gradients, wanted_gradients, strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12 * max(1, np.abs(want).max()))


@pytest.mark.parametrize("cell", CELLS)
def test_no_division_of_the_work_changes_a_bit(rng, monkeypatch, cell):
    """By rows or by units, on one thread or three; a full batch is the batch without lengths."""
    steps, rows, _, H = sizes = 9, 13, 40, 100
    arrays = recurrent_arrays(rng, sizes, cell)
    arrays = {name: array.astype("float32") for name, array in arrays.items()}
    above = [(steps, rows, H), *[(rows, H)] * len(CELLS[cell].states)]
    above = [rng.standard_normal(shape).astype("float32") for shape in above]
    some, full = rng.integers(0, steps + 1, rows), np.full(rows, steps)
    by_rows = [functional.WorkSplit(split_batch=True, shares=n) for n in (1, 3)]
    by_units = [functional.WorkSplit(split_batch=False, shares=n) for n in (1, 3)]

    def run(lengths):
        results, gradients = both_ways(functional, cell, arrays, {}, above, lengths=lengths)
        return results + gradients

    found = []
    for split in [*by_rows, *(by_units if "Wh" in arrays else ())]:
        monkeypatch.setattr(functional, "split_work", lambda *_, split=split: split)
        padded = run(some)
        found += [padded + run(full), padded + run(None)]
    for first, *others in zip(*found, strict=True):
        assert all(np.array_equal(first, other) for other in others)
