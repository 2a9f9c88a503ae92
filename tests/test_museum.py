"""The museum: the checker and the doctor find each exhibit, and no two look alike."""

import re
from pathlib import Path

import numpy as np
import pytest
from support.bad_calls import assert_refused, bad_call
from support.small import small_model

import numpylstm as nl
from numpylstm import doctor, museum
from numpylstm.museum.__main__ import main

pytestmark = pytest.mark.usefixtures("silent_doctor")
PAGE = Path(__file__).parent.parent / "docs" / "laboratory" / "museum.md"
NAMES = list(museum.MUTANTS)


def test_the_exhibits_for_teachers_are_there():
    """And as many as the pages say."""
    text = (PAGE.parent / "teaching.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", text)) <= set(NAMES)
    assert len(NAMES) == 18


@pytest.mark.parametrize("cell", ["lstm", "rnn", "gru"])
def test_the_patient_is_healthy(cell):
    assert museum.case(cell=cell).check().passed


@pytest.mark.rare
@pytest.mark.parametrize("name", NAMES)
def test_the_checker_kills_every_mutant_and_the_doctor_names_it(name):
    found = museum.diagnosis(name)
    assert not found.report.passed
    assert found.report.worst.relative_error > 0.01
    assert museum.MUTANTS[name].words in found.findings[0].sentence


@pytest.mark.rare
def test_no_two_mutants_have_one_diagnosis():
    sentences = {museum.diagnosis(name).findings[0].sentence for name in NAMES}
    assert len(sentences) == len(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_the_diagnosis_does_not_hang_on_the_seed(name, seed):
    patient = museum.case(museum.MUTANTS[name], seed=seed)
    found = doctor.examine(patient.f, patient.backward, patient.arrays, patient.fixed)
    assert museum.MUTANTS[name].words in found.findings[0].sentence


@pytest.mark.rare
@pytest.mark.parametrize(
    "name", ["dc-next-dropped", "dc-overwritten", "bias-one-axis", "sum-for-mean"]
)
def test_that_the_loss_falls_proves_nothing(name):
    """Some mutants that the checker kills train as well as the right code."""
    right, wrong = museum.lesson(name)
    assert museum.share_of_gain(name) > 0.97
    assert wrong.last < 0.5 * wrong.first
    assert abs(wrong.last - right.last) < 0.05


@pytest.mark.rare
def test_no_model_beats_the_source():
    right, _ = museum.lesson("dc-overwritten")
    assert right.entropy < right.last < 1.0 < right.first


def test_an_exhibit_whose_line_is_gone_says_so():
    mutant = museum.Mistake("lstm_backward", (("no such line", ""),), "")
    with pytest.raises(ValueError, match="'no such line' must occur once"):
        mutant.diff()


class TestInfect:
    IDS = np.arange(20).reshape(5, 4) % 11

    def model(self, cell="lstm"):
        return nl.LanguageModel(
            11, 6, 2, cell=cell, dtype="float64", init_scale=0.5, impl="reference", rng=0
        )

    def gradients(self, model):
        model.forward(self.IDS[:-1], self.IDS[1:], model.zero_state(4))
        model.backward()
        return {path: parameter.grad for path, parameter in model.parameters().items()}

    @pytest.mark.parametrize(
        ("cell", "name", "different"),
        [
            ("lstm", "bias-one-axis", {"lstm.0.b", "lstm.1.b"}),
            ("rnn", "embedding-overwritten", {"embedding.W"}),  # of no cell: it may be in any
        ],
    )
    def test_a_real_model_computes_the_mistake(self, cell, name, different):
        right, infected = self.gradients(self.model(cell)), self.model(cell)
        wrong = self.gradients(museum.infect(infected, museum.MUTANTS[name]))
        assert {path for path in right if not np.allclose(right[path], wrong[path])} == different
        assert not nl.model_check.check_model(infected, self.IDS[:-1], self.IDS[1:]).passed

    def test_the_mistake_of_another_cell_is_refused(self):
        says = "'missing-wh-transpose' is a mistake of cell 'rnn'.*, got a model with cell 'lstm'"
        with pytest.raises(ValueError, match=says):
            museum.infect(self.model(), museum.MUTANTS["missing-wh-transpose"])

    def test_what_is_around_the_layers_is_refused(self):
        with pytest.raises(ValueError, match=r"must change numpylstm.reference, got 'per-param"):
            museum.infect(self.model(), museum.MUTANTS["per-parameter-clipping"])


class TestTheCommand:
    def test_lists_the_rooms(self, capsys):
        main([])
        assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == NAMES

    @pytest.mark.rare
    def test_prints_a_card(self, capsys):
        main(["bias-one-axis"])
        assert "+        db = db_t" in capsys.readouterr().out


@pytest.mark.slow
def test_the_page_is_current():
    """In .ci/run, with the documentation."""
    assert PAGE.read_text(encoding="utf-8") == museum.page(), (
        "write it again: python -m numpylstm.museum --page > docs/laboratory/museum.md"
    )


@pytest.mark.parametrize(
    ("call", "says", "error"),
    [
        bad_call(lambda: nl.museum.card("mammoth"), "or 'mask-forgotten', got 'mammoth'"),
        bad_call(
            lambda: nl.museum.case("dc-overwritten"),
            "mutant must be a Mistake, got str; museum.MUTANTS['dc-overwritten'] is one",
            TypeError,
        ),
        bad_call(
            lambda: nl.museum.train("dc-overwritten"),
            "mutant must be a Mistake, got str",
            TypeError,
        ),
        bad_call(
            lambda: nl.museum.infect(small_model(), "dc-overwritten"),
            "must be a Mistake, got str",
            TypeError,
        ),
    ],
)
def test_a_bad_call_gets_one_sentence(call, says, error):
    assert_refused(call, says, error)
