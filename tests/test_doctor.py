"""The doctor names known mistakes, passes right gradients, and otherwise says it cannot tell."""

import io
import re

import numpy as np
import pytest
from support.bad_calls import assert_refused, bad_call
from support.silence import SILENT, TABLES, silence
from support.small import TABLE
from support.textbook_layers import SIZES, of_textbook

import numpylstm as nl
from numpylstm import doctor
from numpylstm.laboratory.doctor.lines import Layer
from numpylstm.laboratory.doctor.reasoning import one_step
from numpylstm.plots import v_curve

pytestmark = pytest.mark.usefixtures("silent_doctor")
T, B, D, H, _ = SIZES.values()


def layer(cell, rng, dtype=float):
    return of_textbook(Layer(cell), rng, dtype)


def examined(cell, rng, change):
    """Return the first finding of a layer some of whose gradients are changed."""
    f, backward, arrays, fixed = layer(cell, rng)
    wrong = lambda a: (g := backward(a)) | change(g)  # noqa: E731
    return doctor.examine(f, wrong, arrays, fixed).findings[0]


def kinds(found):
    return [finding.kind.value for finding in found.findings]


def plain(f_of_x, slope_of_x, slope_of_y=lambda y: 2 * y, x=(1.0, 0.0, -2.0)):
    """Examine the sum of a function of x and of the squares of y."""
    return doctor.examine(
        lambda a: f_of_x(a["x"]).sum() + (a["y"] ** 2).sum(),
        lambda a: {"x": slope_of_x(a["x"]), "y": slope_of_y(a["y"])},
        {"x": np.array(x), "y": np.array([0.5, -0.3])},
    )


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_a_right_gradient_is_healthy_and_the_curve_has_slope_2(cell, rng):
    found = doctor.examine(*layer(cell, rng))
    assert found.healthy
    assert found.findings == found.warnings == found.experiments == ()
    assert found.report.passed
    assert found.sweep.slope == pytest.approx(2, abs=0.1)
    assert found.sweep.smallest_error < 1e-8
    assert "Healthy" in str(found)


class TestTheFunctionIsUnfit:
    def test_float32(self, rng):
        f, backward, arrays, fixed = layer("lstm", rng, np.float32)
        found = doctor.examine(f, backward, arrays, fixed)
        assert kinds(found) == ["float32"]
        assert found.findings[0].sentence.startswith("dx, dh0, dc0, dWx, dWh and db: ")
        assert found.sweep.best_step > 1e-4
        assert found.sweep.smallest_error > 1e-9

    @pytest.mark.parametrize("redrawn", [0, 1], ids=["forward", "backward"])
    def test_a_mask_redrawn_in_every_pass(self, redrawn, rng):
        *passes, arrays, fixed = layer("lstm", rng)
        masks, whole = np.random.default_rng(0), passes[redrawn]
        passes[redrawn] = lambda a: whole(a | {"dhs": a["dhs"] * (masks.random((T, B, H)) < 0.5)})
        found = doctor.examine(*passes, arrays, fixed)
        assert kinds(found) == [("random function", "random gradient")[redrawn]]
        assert "mask" in found.findings[0].sentence
        assert found.findings[0].sentence.startswith("dx, dh0, dc0, dWx, dWh and db: ")

    def test_gradients_that_are_not_set_to_zero(self, rng):
        f, backward, arrays, fixed = layer("rnn", rng)
        kept = {name: np.zeros_like(array) for name, array in arrays.items()}

        def accumulating(a):
            for name, gradient in backward(a).items():
                kept[name] += gradient
            return kept

        found = doctor.examine(f, accumulating, arrays, fixed)
        assert kinds(found) == ["accumulation"]
        assert found.findings[0].sentence.startswith("dx, dh0, dWx, dWh and db: ")

    @pytest.mark.parametrize(
        "curved", [lambda x: 1000 * x**2, lambda x: np.sin(50 * x), lambda x: 1e5 * x**2]
    )
    def test_a_curved_function_is_none_in_float32(self, curved):
        found = plain(curved, lambda x: np.imag(curved(x + 1e-30j)) / 1e-30, x=(0.009, -0.004))
        assert "float32" not in kinds(found)

    def test_nan(self, rng):
        f, backward, arrays, fixed = layer("rnn", rng)
        broken = backward(arrays | fixed) | {"b": np.full(H, np.nan)}
        found = doctor.examine(f, broken, arrays, fixed)
        assert kinds(found) == ["gradient not finite"]
        assert found.findings[0].sentence == "db: NaN or infinity in the gradient of b."
        found = doctor.examine(lambda a: np.nan * f(a), backward, arrays, fixed)
        assert kinds(found) == ["function not finite"]
        assert found.findings[0].sentence.startswith("dx, dh0, dWx, dWh and db: NaN or infinity")


def test_gradients_that_nobody_asked_for_are_ignored():
    gradients = {"x": np.ones(3), "ids": None}
    assert doctor.examine(lambda a: a["x"].sum(), gradients, {"x": np.arange(3.0)}).healthy


def test_lost_digits_are_no_wrong_line(rng):
    f, _, arrays, fixed = layer("rnn", rng)
    _, in_float32, _, _ = layer("rnn", rng, np.float32)
    found = doctor.examine(f, in_float32, arrays, fixed)
    assert kinds(found) == ["digits"]
    assert re.match(r"d\w+(, d\w+)*( and d\w+)?: .* and no better", found.findings[0].sentence)
    assert not found.report.passed


class TestKinks:
    @staticmethod
    def relu(x):
        return np.maximum(x, 0)

    @staticmethod
    def slope(x):
        return 1.0 * (x > 0)

    @pytest.mark.parametrize("distance", [0.0, 4e-6, -4e-6])
    def test_a_kink_at_or_beside_the_point_is_no_mistake(self, distance):
        found = plain(self.relu, self.slope, x=(1.0, distance, -2.0))
        assert kinds(found) == ["kink"]
        assert "x[1]" in found.findings[0].evidence[0]
        assert "no slope to compare dx with" in found.findings[0].sentence

    def test_a_kink_does_not_hide_a_mistake(self):
        assert kinds(plain(self.relu, self.slope, lambda y: y)) == ["factor", "kink"]

    def test_a_small_error_in_a_smooth_function_is_no_kink(self):
        """Beside a large error elsewhere, which keeps it from being called lost digits."""
        found = plain(np.square, lambda x: 2 * x + [2e-6, 0, 0], lambda y: y)
        assert "kink" not in kinds(found)
        assert not any(entry.passed for entry in found.report.entries)

    def test_a_gradient_outside_the_two_slopes_is_a_mistake(self):
        assert kinds(plain(np.abs, lambda x: np.where(x == 0, 3.0, np.sign(x)))) == ["unknown"]


@pytest.mark.parametrize(
    ("factor", "words"),
    [(1 / B, "1/3 = 1/B"), (T, "5 = T"), (1 / (T * B), "1/15 = 1/(T B)"), (-1, "sign"),
     (2, "counted twice"), (1.7, "times 1.7.")],
)  # fmt: skip
def test_a_factor_is_named(factor, words, rng):
    finding = examined("rnn", rng, lambda g: {name: factor * a for name, a in g.items()})
    assert finding.kind.value == "factor"
    assert words in finding.sentence


def test_the_first_step_alone_gets_nothing_from_the_next_window():
    """An sLSTM passes four states on."""
    later = {f"d{state}T": np.ones((B, H)) for state in "hcnm"}
    alone = one_step(later | {"x": np.ones((T, B, D)), "m0": np.ones((B, H))})
    assert alone["x"].shape == (1, B, D)
    assert alone["m0"].any()
    assert not any(alone[name].any() for name in later)


class TestASingleLayer:
    """A layer of your own, with mistakes that are not in the museum."""

    def test_no_gradient(self, rng):
        finding = examined("lstm", rng, lambda g: {"h0": 0 * g["h0"]})
        assert finding.kind.value == "no gradient"
        assert finding.sentence.startswith("h0:")

    def test_the_bias_is_summed_over_time_only(self, rng):
        f, backward, arrays, fixed = layer("rnn", rng)

        def wrong(a):
            one = {name: v[..., :1, :] for name, v in a.items() if name not in ("Wx", "Wh", "b")}
            return backward(a) | {"b": backward(a | one)["b"]}

        finding, *_ = doctor.examine(f, wrong, arrays, fixed).findings
        assert finding.kind.value == "batch"
        assert finding.sentence.startswith("db: something is wrong between the sequences")

    def test_what_no_rule_explains_is_said_to_be_unknown(self, rng):
        noise = rng.standard_normal((D, H))
        finding = examined("rnn", rng, lambda g: {"Wx": g["Wx"] + noise})
        assert finding.kind.value == "unknown"
        assert "cannot tell" in finding.sentence
        assert "wrong in Wx" in finding.evidence

    def test_without_a_function_it_asks_for_one(self, rng):
        f, backward, arrays, fixed = layer("rnn", rng)
        wrong = backward(arrays | fixed) | {"Wh": rng.standard_normal((H, H))}
        (finding,) = doctor.examine(f, wrong, arrays, fixed).findings
        assert finding.kind.value == "unknown"
        assert "pass backward as a function" in finding.evidence[-1]

    def test_code_with_fixed_sizes_is_not_experimented_with(self, rng):
        f, backward, arrays, fixed = layer("rnn", rng)

        def of_fixed_size(a):
            if a["x"].shape != (T, B, D):
                raise ValueError("x must be (5, 3, 4)")
            gradients = backward(a)
            return gradients | {"b": gradients["b"] + 1}

        found = doctor.examine(f, of_fixed_size, arrays, fixed)
        assert found.findings[0].kind.value == "unknown"
        assert any("refused the changed arrays" in line for line in found.experiments)


# --- words -------------------------------------------------------------------------------------


def test_every_kind_has_words():
    for table in TABLES:
        kind = type(next(iter(table)))
        assert set(table) == set(kind)
        assert all(table.values())


def test_a_finding_is_put_into_words_when_it_is_read(rng):
    """So the tests of the doctor can find every verdict while all its sentences are ``xxx``."""
    f, backward, arrays, fixed = layer("rnn", rng)
    found = doctor.examine(f, lambda a: backward(a) | {"b": arrays["b"]}, arrays, fixed)
    experiments = found.experiments
    (finding,) = found.findings
    with silence():
        assert finding.sentence == SILENT
        assert set(finding.evidence) == {SILENT}
        assert set(found.experiments) == {SILENT}
    assert SILENT not in str(found)
    assert found.experiments == experiments


class TestWeakPoints:
    def good(self, rng):
        _, _, arrays, fixed = layer("lstm", rng)
        return arrays | fixed | {"ids": np.array([[1, 2], [2, 0]])}

    def test_a_good_point_has_none(self, rng):
        assert doctor.weak_points(self.good(rng)) == ()

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"b": np.zeros(4 * H)}, "b is all zeros"),
            ({"c0": np.zeros((B, H))}, "c0 is all zeros"),
            ({"dhs": np.ones((T, B, H))}, "dhs is constant"),
            ({"weights": np.ones((T, B))}, "weights is constant"),
            ({"ids": np.array([[1, 2], [3, 0]])}, "ids has no repetition"),
            ({"x": np.linspace(0, 1, B * D).reshape(1, B, D)}, "T is 1"),
            ({"Wx": np.linspace(0, 1, 4 * H * H).reshape(H, 4 * H)}, "D and H are both 6"),
        ],
    )
    def test_each_weakness_is_named(self, change, words, rng):
        (warning,) = doctor.weak_points(self.good(rng) | change)
        assert warning.startswith(words)

    def test_they_are_in_the_diagnosis(self, rng):
        f, backward, arrays, fixed = layer("rnn", rng)
        found = doctor.examine(f, backward, arrays | {"b": np.zeros(H)}, fixed)
        assert found.healthy
        assert "Warning: b is all zeros" in str(found)


class TestTheCurve:
    def test_noise_has_no_slope(self, rng):
        f, backward, arrays, fixed = layer("rnn", rng, np.float32)
        sweep = doctor.sweep_steps(lambda a: f(fixed | a), arrays, backward(arrays | fixed))
        assert np.isnan(sweep.slope)

    def test_the_picture_holds_all_the_data(self, rng):
        f, backward, arrays, fixed = layer("rnn", rng)
        gradients = backward(arrays | fixed)
        sweeps = {
            name: doctor.sweep_steps(lambda a: f(fixed | a), arrays, gradients | {"b": b})
            for name, b in (("right", gradients["b"]), ("wrong", 2 * gradients["b"]))
        }
        right, wrong, guide = v_curve(sweeps).axes[0].get_lines()
        assert right.get_ydata() == pytest.approx(np.maximum(sweeps["right"].errors, 1e-16))
        assert wrong.get_ydata() == pytest.approx(sweeps["wrong"].errors)
        assert [line.get_label() for line in (right, wrong)] == [
            "right: slope 2.00",
            "wrong: slope 0.00",
        ]
        assert "step²" in guide.get_label()

    def test_what_is_no_number_is_not_drawn(self):
        steps = np.array([1e-1, 1e-2, 1e-3])
        sweep = doctor.StepSweep(steps, np.full(3, np.nan), np.nan, 1e-1)
        assert sweep.smallest_error == np.inf
        figure = v_curve({"$gradient$": sweep})
        figure.savefig(io.BytesIO(), format="png")
        (line,) = figure.axes[0].get_lines()  # no guide where there is no falling branch
        assert line.get_label() == r"\$gradient\$"


@pytest.mark.parametrize(
    ("call", "says", "error"),
    [
        bad_call(
            lambda: nl.doctor.examine(sum, {"x": TABLE}, [1.0]),
            "arrays must be a dict of name",
            TypeError,
        ),
        bad_call(
            lambda: nl.doctor.examine(lambda a: 0.0, lambda a: None, {"x": TABLE}),
            "gradients must be a dict of name -> array, got NoneType",
            TypeError,
        ),
        bad_call(
            lambda: nl.doctor.examine(lambda a: 0.0, dict, {"x": TABLE}, 3),
            "examine: fixed must be a dict of name -> array, got int; it holds",
            TypeError,
        ),
    ],
)
def test_a_bad_call_gets_one_sentence(call, says, error):
    assert_refused(call, says, error)
