"""The judge of gradients: it passes what is right and fails what is wrong."""

import numpy as np
import pytest

from numpylstm import gradcheck, reference


def cube_of_product(a):
    return ((a["x"] @ a["W"]) ** 3).sum()


@pytest.fixture
def arrays(rng):
    return {"x": rng.standard_normal((3, 4)), "W": rng.standard_normal((4, 2))}


@pytest.fixture
def gradients(arrays):
    dy = 3 * (arrays["x"] @ arrays["W"]) ** 2
    return {"x": dy @ arrays["W"].T, "W": arrays["x"].T @ dy}


@pytest.mark.parametrize("method", ["central", "complex"])
class TestBothMethods:
    def test_pass_a_right_gradient(self, arrays, gradients, method):
        assert gradcheck.check(cube_of_product, arrays, gradients, method=method).passed

    @pytest.mark.parametrize(
        "mistake",
        [
            lambda g: 1.001 * g,
            lambda g: -g,
            lambda g: np.zeros_like(g),
            lambda g: np.where(np.arange(g.size).reshape(g.shape) == 5, g + 1e-3, g),
            lambda g: np.full_like(g, np.nan),
        ],
        ids=["factor", "sign", "zero", "one entry", "nan"],
    )
    def test_fail_a_wrong_one_and_name_the_array(self, arrays, gradients, method, mistake):
        wrong = gradients | {"W": mistake(gradients["W"])}
        report = gradcheck.check(cube_of_product, arrays, wrong, method=method)
        assert [e.path for e in report.entries if not e.passed] == ["W"]
        assert report.worst.path == "W"
        assert "FAIL W" in str(report)

    def test_leave_the_arrays_alone(self, arrays, gradients, method):
        for array in arrays.values():
            array.setflags(write=False)
        gradcheck.check(cube_of_product, arrays, gradients, method=method)


def test_the_worst_entry_is_named_with_both_values(arrays, gradients):
    wrong = gradients["x"].copy()
    wrong[2, 1] += 0.5
    report = gradcheck.check(cube_of_product, arrays, gradients | {"x": wrong})
    worst = report.worst
    assert (worst.path, worst.index) == ("x", (2, 1))
    assert worst.gradient == wrong[2, 1]
    assert worst.slope == pytest.approx(gradients["x"][2, 1], rel=1e-6)
    assert worst.absolute_error == pytest.approx(0.5, rel=1e-6)


def test_a_missing_transpose_is_found(rng):
    """With equal sizes the shapes hide it; the numbers do not."""
    T, B, N = 4, 3, 5
    arrays = {
        "x": rng.standard_normal((T, B, N)),
        "h0": rng.standard_normal((B, N)),
        "Wx": rng.standard_normal((N, N)),
        "Wh": rng.standard_normal((N, N)),
        "b": rng.standard_normal(N),
    }
    u = rng.standard_normal((T, B, N))

    def loss(a):
        hs, _, _ = reference.rnn_forward(*a.values())
        return (u * hs).sum()

    _, _, cache = reference.rnn_forward(*arrays.values())
    wrong_cache = cache._replace(Wh=cache.Wh.T)
    gradients = reference.rnn_backward(u, np.zeros((B, N)), wrong_cache)
    report = gradcheck.check(
        loss, arrays, dict(zip(arrays, gradients, strict=True)), method="complex"
    )
    assert not report.passed


def test_a_dropped_imaginary_part_is_an_error_not_a_zero_slope(arrays, gradients):
    def real_only(a):
        return cube_of_product({name: array.real for name, array in a.items()})

    with pytest.raises(TypeError, match="must return a complex number"):
        gradcheck.check(real_only, arrays, gradients, method="complex")


def test_names_and_shapes_must_agree(arrays, gradients):
    with pytest.raises(ValueError, match="must have the names of arrays"):
        gradcheck.check(cube_of_product, arrays, {"x": gradients["x"]})
    with pytest.raises(ValueError, match=r"gradient of 'W' must have its shape \(4, 2\)"):
        gradcheck.check(cube_of_product, arrays, gradients | {"W": gradients["W"].T})
    with pytest.raises(ValueError, match="method must be one of central, complex"):
        gradcheck.check(cube_of_product, arrays, gradients, method="forward")
