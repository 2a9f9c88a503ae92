"""The sentences for arguments that do not fit."""

import numpy as np
import pytest

from numpylstm.checks import check_array, check_ids, check_weights


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "uint64"])
def test_ids_of_any_integer_type_and_layout(dtype):
    ids = np.arange(10, dtype=dtype)
    ids.flags.writeable = False
    check_ids("f", "ids", ids, 10)
    check_ids("f", "ids", ids[::-2].reshape(5, 1), 10, ("T", 1))


@pytest.mark.parametrize(
    ("ids", "error", "sentence"),
    [
        (np.zeros(3), TypeError, "f: ids must hold integers, got float64"),
        (np.zeros(3, bool), TypeError, "f: ids must hold integers, got bool"),
        ([0, 1], TypeError, "f: ids must be a NumPy array, got list"),
        (np.array([], int), ValueError, "f: ids must not be empty"),
        (np.array([0, 9, 10, 99]), ValueError, r"f: ids must lie in \[0, 10\), got 10 at \[2\]"),
        (np.array([0, -1]), ValueError, r"got -1 at \[1\]; ids and table come from different"),
        (np.array([[1, 2], [3, 2**40]]), ValueError, r"got 1099511627776 at \[1, 1\]"),
        (np.array([2**64 - 1], np.uint64), ValueError, r"got 18446744073709551615 at \[0\]"),
    ],
)
def test_ids_that_do_not_fit(ids, error, sentence):
    with pytest.raises(error, match=sentence):
        check_ids("f", "ids", ids, 10)


@pytest.mark.parametrize(
    ("array", "error", "sentence"),
    [
        (np.zeros((35, 20, 64), "f4"), ValueError,
         r"f: x must have shape \(T, B, 65\), got \(35, 20, 64\); D is fixed by Wx"),
        (np.zeros((20, 65), "f4"), ValueError, r"must have shape \(T, B, 65\), got \(20, 65\)"),
        (np.zeros((2, 3, 65)), TypeError, "f: x must have dtype float32, got float64"),
        (np.zeros((0, 3, 65), "f4"), ValueError, "f: x must not be empty"),
        ([[[0.0]]], TypeError, "f: x must be a NumPy array, got list"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit(array, error, sentence):
    with pytest.raises(error, match=sentence):
        check_array("f", "x", array, ("T", "B", 65), np.dtype("f4"), "D is fixed by Wx")


@pytest.mark.parametrize("bad", [-0.5, np.nan])
def test_weights_must_not_be_negative(bad):
    weights = np.ones((3, 2))
    check_weights("f", "weights", weights, (3, 2), weights.dtype)
    weights[1, 1] = bad
    with pytest.raises(ValueError, match=rf"must not be negative, got {bad} at \[1, 1\]"):
        check_weights("f", "weights", weights, (3, 2), weights.dtype)


INTEGERS = [f"{order}{kind}{width}" for order in "<>" for kind in "iu" for width in (1, 2, 4, 8)]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_an_id_is_read_as_it_was_meant(dtype):
    ids = np.array([[0, 9], [3, 4]]).astype(dtype)
    native = check_ids("f", "ids", ids, 10)
    assert native.dtype == np.int64
    np.testing.assert_array_equal(native, [[0, 9], [3, 4]])
    with pytest.raises(ValueError, match=r"must lie in \[0, 9\), got 9 at \[0, 1\]"):
        check_ids("f", "ids", ids, 9)
    if "i" in dtype:
        with pytest.raises(ValueError, match=r"got -1 at \[0\]"):
            check_ids("f", "ids", np.array([-1, 3]).astype(dtype), 300)


def test_swapped_bytes_do_not_pass_as_small_ids():
    """2**24 of the other byte order is 1 to whoever looks at the bytes."""
    with pytest.raises(ValueError, match=r"got 16777216 at \[0\]"):
        check_ids("f", "ids", np.array([2**24], ">i4"), 11)


@pytest.mark.parametrize(
    "ids",
    [
        np.ma.masked_array([0, 1], [True, False]),
        np.zeros(2, int).view(np.recarray),
        np.array([0, None]),
    ],
)
def test_ids_that_mean_more_than_integers_are_refused(ids):
    with pytest.raises(TypeError, match="f: ids must"):
        check_ids("f", "ids", ids, 10)
