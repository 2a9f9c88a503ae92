"""The workbook as delivered, with its solutions and with wrong answers; grading a class."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from support.notebook_cells import printed, read, solution_code, source, tagged
from support.workbook_answers import WRONG

from numpylstm import grading
from numpylstm.laboratory.tape.__main__ import main

PATH = Path(__file__).parent.parent / "notebooks" / "workbook.ipynb"
NOTEBOOK = read(PATH)
NAMES = list(grading.BLANKS)
ANSWERS = [(name, *answer) for name in WRONG for answer in WRONG[name]]
BOBS = ("rnn_step_backward", *WRONG["rnn_step_backward"][0][:2])


SOLUTIONS = dict(zip(NAMES, map(solution_code, tagged(NOTEBOOK, "solution")), strict=True))


def functions(changed=None, right="", wrong=""):
    """Return the solutions as functions, one of them with a piece of its code replaced."""
    space = {"np": np}
    for name, code in SOLUTIONS.items():
        if name == changed:
            assert code.count(right) == 1, f"{right!r} must be in the solution of {name} once"
            code = code.replace(right, wrong)
        exec(code, space)
    return [space[name] for name in NAMES]


class TestAsItIsDelivered:
    def test_every_blank_is_there_and_empty(self):
        blanks = tagged(NOTEBOOK, "blank")
        assert [re.match(r"def (\w+)", source(cell))[1] for cell in blanks] == NAMES
        for cell in blanks:
            space = {}
            exec(source(cell), space)
            (function,) = (value for name, value in space.items() if name in NAMES)
            assert grading.grade(function).state == grading.NOT_ANSWERED

    def test_the_arguments_are_those_of_the_grading(self):
        for cell, name in zip(tagged(NOTEBOOK, "blank"), NAMES, strict=True):
            taken = re.match(r"def \w+\((.*)\):", source(cell))[1]
            assert taken.split(", ") == grading.BLANKS[name].takes.split()

    def test_each_has_three_hints_and_a_folded_solution(self):
        kinds = [tag for cell in NOTEBOOK["cells"] for tag in cell["metadata"].get("tags", [])]
        assert kinds == ["blank", "grade", "hints", "solution"] * len(NAMES)
        for cell in tagged(NOTEBOOK, "hints"):
            assert re.findall(r"<summary>(.*?)</summary>", source(cell)) == [
                "Hint 1", "Hint 2", "Hint 3",
            ]  # fmt: skip
        for cell in tagged(NOTEBOOK, "solution"):
            assert source(cell).startswith("<details><summary>Solution</summary>\n\n")
            assert source(cell).rstrip().endswith("</details>")

    def test_it_was_run_with_every_blank_empty(self):
        code = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
        assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
        for cell, name in zip(tagged(NOTEBOOK, "grade"), NAMES, strict=True):
            assert printed(cell).strip() == f"{name}: not answered yet."
        outputs = [output for cell in code for output in cell["outputs"]]
        assert not any(output["output_type"] == "error" for output in outputs)
        assert not any(output.get("name") == "stderr" for output in outputs)
        assert any("image/png" in output.get("data", {}) for output in outputs)

    def test_its_form(self):
        opening = source(NOTEBOOK["cells"][0])
        for promise in ("What you will see", "What you need", "How long"):
            assert promise in opening
        assert NOTEBOOK["metadata"]["kernelspec"]["name"] == "python3"
        assert PATH.stat().st_size <= 500_000


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_is_right(name):
    verdict = grading.grade(functions()[NAMES.index(name)])
    assert verdict.state == "right", verdict
    if grading.BLANKS[name].loss is not None:
        assert "complex step: largest error" in str(verdict)
        assert "central differences: largest error" in str(verdict)
    if name in grading.ON_TAPE:
        assert "Golden tape" in str(verdict)


def test_there_are_enough_wrong_answers():
    assert WRONG.keys() == grading.BLANKS.keys()
    assert min(map(len, WRONG.values())) >= 3
    assert len(ANSWERS) >= 36


@pytest.mark.parametrize(("name", "right", "wrong", "words"), ANSWERS)
def test_a_wrong_answer_is_named(name, right, wrong, words):
    verdict = grading.grade(functions(name, right, wrong)[NAMES.index(name)])
    assert verdict.state == "wrong"
    assert re.search(words, str(verdict)), verdict


class TestVerdicts:
    def test_code_that_stops_is_an_answer(self):
        def sgd(W, dW, lr):
            return W @ dW

        verdict = grading.grade(sgd)
        assert verdict.state == "wrong"
        assert "It stopped: ValueError" in str(verdict)

    def test_a_wrong_shape_is_said(self):
        def sgd(W, dW, lr):
            return (W - lr * dW).T

        assert "new_W must have the shape (4, 6), got (6, 4)" in str(grading.grade(sgd))

    def test_a_name_that_is_no_blank(self):
        with pytest.raises(ValueError, match=r"judge: .* must be one of sigmoid, .*; got 'x'"):
            grading.judge("x", {})

    def test_one_number_is_one(self):
        loss = functions()[NAMES.index("cross_entropy")]
        assert "1 number agrees with" in str(grading.grade(loss))

        def sgd(W, dW, lr):
            new = W - lr * dW
            new[0, 0] = 9
            return new

        assert "1 of 24 numbers of new_W is wrong." in str(grading.grade(sgd))

    def test_no_sentence_of_clipping_for_what_is_not_clipped(self):
        changed = functions("rnn_step_backward", "x.T @ da, h_prev.T", "x.T @ da / 3, 2 * h_prev.T")
        verdict = grading.grade(changed[NAMES.index("rnn_step_backward")])
        assert verdict.diagnosis.startswith("Each result is the right one times a number: dx 1,")
        assert "norm" not in verdict.diagnosis

    def test_too_few_results(self):
        def rnn_step_backward(dh, x, h_prev, h, Wx, Wh):
            return dh, dh

        verdict = str(grading.grade(rnn_step_backward))
        assert "it must return dx, dh_prev, dWx, dWh, db" in verdict

    def test_a_function_of_another_name_is_refused(self):
        with pytest.raises(ValueError, match=r"must be one of sigmoid, .*; got 'softmax'"):
            grading.grade(softmax)

    def test_the_first_wrong_number_and_no_other_is_explained(self):
        """Equal numbers are not taken for clipped ones, nor every NaN for an overflow of exp."""

        def sgd(W, dW, lr):
            return np.zeros_like(W)

        assert "limited" not in str(grading.grade(sgd))

        def lstm_step_forward(*given):
            right = functions()[NAMES.index("lstm_step_forward")](*given)
            return (*right[:-1], np.ones_like(right[-1]))

        verdict = grading.grade(lstm_step_forward)
        assert verdict.state == "wrong"
        assert not verdict.diagnosis.startswith("i:")

        def sgd(W, dW, lr):
            return W * np.nan

        assert grading.grade(sgd).diagnosis == (
            "new_W is not finite: look for a division by zero, or an array never filled."
        )

    def test_digits_that_were_lost_are_said_to_be_lost(self):
        def sigmoid_slope(s):
            return (s * (1 - s)).astype(np.float32)

        verdict = grading.grade(sigmoid_slope)
        assert verdict.state == "wrong"
        must, got = re.findall(r"(?:must be|got) ([\d.e-]+)[,;]", verdict.first_wrong)
        assert must != got
        assert "digits are lost (float32)" in verdict.diagnosis

    def test_what_is_no_number_is_judged_and_handed_in(self):
        def sgd(W, dW, lr):
            return ...

        assert "new_W must have the shape (4, 6), got no numbers" in str(grading.grade(sgd))
        assert json.loads(grading.submission([sgd]))["answers"]["sgd"] == {"new_W": None}
        assert grading.judge("sgd", {"new_W": [10**400]}).state == "wrong"

        def sgd(W, dW, lr):
            return np.array([10**400], dtype=object)

        assert json.loads(grading.submission([sgd]))["answers"]["sgd"] == {"new_W": None}

    def test_a_part_of_the_tape_that_cannot_be_graded_is_not_right(self):
        step = functions()[NAMES.index("lstm_step_forward")]
        numbers = grading.numbers_of(step)
        assert grading.judge("lstm_step_forward", numbers).state == "right"
        part = {**numbers["tape"], "forward.t0.lstm.0.i": [1.0, 2.0, 3.0]}
        verdict = grading.judge("lstm_step_forward", {**numbers, "tape": part})
        assert (verdict.state, verdict.checks[-1][:12]) == ("wrong", "Golden tape:")

    def test_the_first_wrong_line_is_named_where_nothing_explains_it(self):
        changed = functions("lstm_step_backward", "dc = dc + dh * o", "dc = dc * f + dh * o")
        verdict = grading.grade(changed[NAMES.index("lstm_step_backward")])
        assert verdict.diagnosis == (
            "dc: the doctor cannot tell what is wrong with it; it must be dc = dc + dh * o * "
            "(1 - tanh_c * tanh_c)."
        )


def softmax():
    return None


class TestTheTeachersDesk:
    @pytest.fixture
    def folder(self, tmp_path):
        def hand_in(student, mine):
            text = grading.submission(mine, student)
            (tmp_path / f"{student}.json").write_text(text, encoding="utf-8")

        hand_in("ada", functions())
        hand_in("bob", functions(*BOBS))
        hand_in("cyd", functions()[:3])
        (tmp_path / "dan.json").write_text("__import__('os').abort()", encoding="utf-8")
        (tmp_path / "eve.json").write_text('{"answers": {"sgd": {"new_W": "print(1)"}}}')
        return tmp_path

    def test_a_line_for_each(self, folder, capsys):
        assert main(["grade", str(folder), "--csv"]) == 1  # the file of dan cannot be graded
        rows = {row["student"]: row for row in csv.DictReader(io.StringIO(capsys.readouterr().out))}
        assert list(rows) == ["ada", "bob", "cyd", "dan", "eve"]
        assert (rows["ada"]["right"], rows["ada"]["of"], rows["ada"]["diagnosis"]) == (
            "14", "14", "",
        )  # fmt: skip
        assert rows["bob"]["right"] == "12"  # his loop uses his step
        assert rows["bob"]["first wrong"].startswith("rnn_step_backward: The first wrong number")
        assert rows["bob"]["diagnosis"].startswith("da: the factor h is missing")
        assert (rows["cyd"]["right"], rows["cyd"]["answered"]) == ("3", "3")
        assert "must be JSON" in rows["dan"]["diagnosis"]
        assert (rows["eve"]["right"], rows["eve"]["answered"]) == ("0", "1")
        main(["grade", str(folder)])  # without --csv, for people
        assert "student: ada  right: 14  of: 14" in capsys.readouterr().out

    def test_names_in_a_submission_are_shown_and_not_obeyed(self, tmp_path, capsys):
        (tmp_path / "eve.json").write_text('{"student": "\\u001b[2Jx\\ny", "answers": {}}')
        assert main(["grade", str(tmp_path)]) == 0
        assert r"student: \x1b[2Jx\ny  right: 0" in capsys.readouterr().out
        (tmp_path / "eve.json").write_text('{"student": "\\ud800", "answers": {}}')
        assert main(["grade", str(tmp_path), "--csv"]) == 0
        assert capsys.readouterr().out.splitlines()[1].startswith(r"\ud800,0,14,")

    @pytest.mark.parametrize(
        ("name", "got"), [("", "none"), ("nodir", "no such"), ("ada.txt", "a file")]
    )
    def test_what_is_no_folder_of_submissions(self, name, got, tmp_path, capsys):
        (tmp_path / "ada.txt").write_text("{}")
        assert main(["grade", str(tmp_path / name)]) == 2
        said = capsys.readouterr().err
        assert f"{name} must be a folder of .json submissions, got {got}" in said

    def test_the_verdict_of_a_file_is_that_of_the_functions(self, folder):
        _, verdicts = grading.grade_file(folder / "bob.json")
        assert verdicts == [grading.grade(f) for f in functions(*BOBS)]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Jupyter warns, in its own process
def test_with_all_solutions_the_engine_learns_as_the_library_does():
    pytest.importorskip("ipykernel", reason="ipykernel is in the extra 'notebooks'")
    nbclient = pytest.importorskip("nbclient", reason="nbclient is in the extra 'notebooks'")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is in the extra 'notebooks'")
    notebook = nbformat.read(PATH, as_version=4)
    for cell in notebook["cells"]:
        if "blank" in cell["metadata"].get("tags", []):
            cell["source"] = SOLUTIONS[cell["id"]]
    resources = {"metadata": {"path": str(PATH.parent)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
    (engine,) = (cell for cell in notebook["cells"] if cell["id"] == "engine")
    assert "largest difference between your losses and ours" in printed(engine)
