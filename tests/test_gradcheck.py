"""The gradient check: right gradients pass and wrong ones fail."""

import numpy as np
import pytest
from support.bad_calls import assert_refused, bad_call
from support.small import TABLE

import numpylstm as nl
from numpylstm import gradcheck


def cube_of_product(a):
    return ((a["x"] @ a["W"]) ** 3).sum()


@pytest.fixture
def arrays(rng):
    return {"x": rng.standard_normal((3, 4)), "W": rng.standard_normal((4, 2))}


@pytest.fixture
def gradients(arrays):
    dy = 3 * (arrays["x"] @ arrays["W"]) ** 2
    return {"x": dy @ arrays["W"].T, "W": arrays["x"].T @ dy}


@pytest.mark.parametrize("along", ["entries", "arrays", "all"])
@pytest.mark.parametrize("method", ["central", "complex"])
class TestBothMethods:
    def test_pass_a_right_gradient(self, arrays, gradients, method, along):
        for array in arrays.values():
            array.setflags(write=False)
        for seed in range(1 if along == "entries" else 20):
            report = gradcheck.check(
                cube_of_product, arrays, gradients, method=method, along=along, rng=seed
            )
            assert report.passed, f"\n{report}"
            if along != "entries":
                assert [e.index for e in report.entries] == [None] * len(report.entries)
                assert "index" not in str(report)

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
    def test_fail_a_wrong_one_and_name_the_array(self, arrays, gradients, method, along, mistake):
        wrong = gradients | {"W": mistake(gradients["W"])}
        report = gradcheck.check(cube_of_product, arrays, wrong, method=method, along=along)
        named = "all arrays" if along == "all" else "W"
        assert [e.path for e in report.entries if not e.passed] == [named]
        assert report.worst.path == named
        assert f"FAIL {named}" in str(report)


@pytest.mark.parametrize("along", ["entries", "arrays", "all"])
@pytest.mark.parametrize("method", ["central", "complex"])
@pytest.mark.parametrize(
    ("slope", "gradient", "right"),
    [
        (20, np.full(400, 20, np.int8), True),
        (20, np.full(400, -13, np.float16), False),  # their squares overflow in their own dtype,
        (20, np.full(400, 3e20, np.float32), False),
        (20, np.full(400, 3e160), False),  # or even in float64
        (20, np.full(400, np.inf), False),
        (3e160, np.full(7, 3e160), True),
        (np.nan, np.zeros(7), False),  # no gradient agrees with a loss that is no number
    ],
)
def test_large_gradients_and_small_dtypes(slope, gradient, right, method, along):
    report = gradcheck.check(
        lambda a: (slope * a["x"]).sum(),
        {"x": np.ones(len(gradient))},
        {"x": gradient},
        method=method,
        along=along,
    )
    assert report.passed == right, f"\n{report}"


# --- random directions -------------------------------------------------------------------------


@pytest.mark.parametrize(("along", "directions"), [("entries", 20), ("arrays", 2), ("all", 1)])
@pytest.mark.parametrize(("method", "each"), [("central", 2), ("complex", 1)])
def test_evaluations(arrays, gradients, method, each, along, directions):
    calls = []

    def counted(a):
        calls.append(a)
        return cube_of_product(a)

    gradcheck.check(counted, arrays, gradients, method=method, along=along)
    assert len(calls) == each * directions


@pytest.mark.parametrize("method", ["central", "complex"])
def test_one_wrong_entry_among_a_million(rng, method):
    """Wrong by a tenth of its value, a 10,000th of the length of the whole gradient."""
    arrays = {"w": rng.standard_normal(1_000_000)}
    gradient = np.cos(arrays["w"])
    gradient[123_456] *= 1.1

    def loss(a):
        return np.sin(a["w"]).sum()

    for seed in range(5):
        options = {"method": method, "along": "all", "rng": seed}
        assert not gradcheck.check(loss, arrays, {"w": gradient}, **options).passed
    assert gradcheck.check(loss, arrays, {"w": np.cos(arrays["w"])}, **options).passed


def test_a_direction_is_drawn_anew_with_another_seed(arrays, gradients):
    reports = [
        gradcheck.check(cube_of_product, arrays, gradients, along="all", rng=seed)
        for seed in (1, 1, 2)
    ]
    slopes = [report.worst.slope for report in reports]
    assert slopes[0] == slopes[1] != slopes[2]


# --- the report --------------------------------------------------------------------------------


def test_the_table(arrays, gradients):
    wrong = gradients["x"].copy()
    wrong[2, 1] += 0.5
    report = gradcheck.check(cube_of_product, arrays, gradients | {"x": wrong})
    worst = report.worst
    assert (worst.path, worst.index, worst.gradient) == ("x", (2, 1), wrong[2, 1])
    assert worst.slope == pytest.approx(gradients["x"][2, 1], rel=1e-6)
    assert worst.absolute_error == pytest.approx(0.5, rel=1e-6)
    title, x, W, verdict = str(report).splitlines()
    assert title.split() == ["array", "relative", "absolute", "gradient", "slope", "index"]
    assert x.startswith("FAIL x ")
    assert x.endswith("[2, 1]")
    assert W.startswith("ok   W ")
    assert len({line.index("  [") for line in (x, W)}) == 1  # columns are aligned
    assert verdict == "FAILED: central differences, every entry, relative tolerance 1e-07"


def test_the_table_in_a_notebook(arrays, gradients):
    """The rows of the text, with escaped names; the one that failed is bold."""
    name = "<script>&W"
    report = gradcheck.check(
        lambda a: cube_of_product({"x": a["x"], "W": a[name]}),
        {"x": arrays["x"], name: arrays["W"]},
        {"x": gradients["x"], name: -gradients["W"]},
    )
    page = report._repr_html_()
    assert "&lt;script&gt;&amp;W" in page
    assert "<script" not in page
    assert page.count("<tr") == page.count("</tr>") == 3
    assert page.count("font-weight: bold") == 1  # the row that failed
    assert report.verdict in page


def test_a_function_of_python_numbers(rng):
    assert gradcheck.check(lambda a: float(a["x"]) ** 2, {"x": np.array(3.0)}, {"x": 6.0}).passed


# --- bad calls ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "says", "error"),
    [
        bad_call(
            lambda: nl.gradcheck.central_difference(sum, {}, 0.0),
            "step must be positive and finite, got",
        ),
        bad_call(
            lambda: nl.gradcheck.check(sum, {}, {}, method=[]),
            "method must be 'central' or 'complex'",
        ),
        bad_call(
            lambda: nl.gradcheck.check(lambda a: None, {"x": TABLE}, {"x": TABLE}),
            "f must return one number, got NoneType; is its return missing?",
            TypeError,
        ),
        bad_call(
            lambda: nl.gradcheck.check(sum, {}, {}),
            "check: arrays must hold at least one array, got none",
        ),
        bad_call(
            lambda: nl.gradcheck.check(sum, {"x": TABLE}, {}), "must have the names of arrays"
        ),
        bad_call(
            lambda: nl.gradcheck.check(sum, {"x": TABLE}, {"x": TABLE.T}),
            "gradient of 'x' must have its shape (11, 4)",
        ),
        bad_call(
            lambda: nl.gradcheck.check(sum, {"x": TABLE[:0]}, {"x": TABLE[:0]}),
            "'x' must not be empty, got shape (0, 4)",
        ),
        bad_call(
            lambda: nl.gradcheck.check(sum, {}, {}, along="rows"),
            "along must be 'entries', 'arrays' or 'all', got 'rows'",
        ),
        bad_call(
            lambda: nl.gradcheck.check(lambda a: a["x"], {"x": TABLE}, {"x": TABLE}),
            "f must return one number, got shape (11, 4)",
            TypeError,
        ),
        bad_call(
            lambda: nl.gradcheck.check(lambda a: 1j, {"x": TABLE}, {"x": TABLE}),
            "f must return a real number, got a complex one",
            TypeError,
        ),
        bad_call(
            lambda: nl.gradcheck.check(lambda a: 1.0, {"x": TABLE}, {"x": TABLE}, method="complex"),
            "must return a complex number",
            TypeError,
        ),
    ],
)
def test_a_bad_call_gets_one_sentence(call, says, error):
    assert_refused(call, says, error)
