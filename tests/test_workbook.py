"""The workbook as delivered, with its solutions and with wrong answers; grading a class."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from numba import njit
from support.notebook_cells import (
    code_cells,
    execute,
    in_jupyter,
    outputs,
    printed,
    read,
    solution_code,
    source,
    tagged,
    tags,
)
from support.workbook_answers import EVERYWHERE, TWO_MISTAKES, UNUSUAL, WRONG

from numpylstm import grading
from numpylstm.laboratory.workbook import desk
from numpylstm.tape.__main__ import main

PATH = Path(__file__).parent.parent / "notebooks" / "workbook.ipynb"
NOTEBOOK = read(PATH)
NAMES = list(grading.BLANKS)
ANSWERS = [(name, *answer) for name in WRONG for answer in WRONG[name]]
BOBS = ("rnn_step_backward", "(1 - h * h)", "(1 - h)")


SOLUTIONS = dict(zip(NAMES, map(solution_code, tagged(NOTEBOOK, "solution")), strict=True))


def functions(changed=None, *pieces):
    """Return the solutions as functions by name, one with pieces of its code replaced."""
    space = {"np": np}
    for name, code in SOLUTIONS.items():
        for k in range(0, len(pieces) if name == changed else 0, 2):
            right, wrong = pieces[k : k + 2]
            assert code.count(right) == 1, f"{right!r} must be in the solution of {name} once"
            code = code.replace(right, wrong)
        exec(code, space)
    return {name: space[name] for name in NAMES}


def graded(name, *pieces):
    """Grade a solution with pieces of its code replaced."""
    return grading.grade(functions(name, *pieces)[name])


class TestAsItIsDelivered:
    def test_every_blank_is_there_and_empty(self):
        for cell, (name, blank) in zip(
            tagged(NOTEBOOK, "blank"), grading.BLANKS.items(), strict=True
        ):
            defined, taken = re.match(r"def (\w+)\((.*)\):", source(cell)).groups()
            assert (defined, taken.split(", ")) == (name, blank.takes.split())
            space = {}
            exec(source(cell), space)
            assert grading.grade(space[name]).state == grading.NOT_ANSWERED

    def test_the_titles_name_the_points(self):
        titles = re.findall(
            r"### \d+\. .*\((\d+) points?\)", "\n".join(map(source, NOTEBOOK["cells"]))
        )
        assert [int(points) for points in titles] == [b.points for b in grading.BLANKS.values()]

    def test_each_has_three_hints_and_a_folded_solution(self):
        kinds = [tag for cell in NOTEBOOK["cells"] for tag in tags(cell)]
        assert kinds == ["hints", *["blank", "grade", "hints", "solution"] * len(NAMES)]
        for cell in tagged(NOTEBOOK, "hints")[1:]:
            assert re.findall(r"<summary>(.*?)</summary>", source(cell)) == [
                "Hint 1", "Hint 2", "Hint 3",
            ]  # fmt: skip
        for cell in tagged(NOTEBOOK, "solution"):
            assert source(cell).startswith("<details><summary>Solution</summary>\n\n")
            assert source(cell).rstrip().endswith("</details>")

    def test_it_was_run_with_every_blank_empty(self):
        counts = [cell["execution_count"] for cell in code_cells(NOTEBOOK)]
        assert counts == list(range(1, len(counts) + 1))
        for cell, name in zip(tagged(NOTEBOOK, "grade"), NAMES, strict=True):
            assert printed(cell).strip() == f"{name}: not answered yet."
        assert any("image/png" in output.get("data", {}) for output in outputs(NOTEBOOK))


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_is_right(name):
    verdict = graded(name)
    assert verdict.state == "right", verdict


@pytest.mark.parametrize(("name", "right", "wrong", "words"), ANSWERS)
def test_a_wrong_answer_is_named(name, right, wrong, words):
    verdict = graded(name, right, wrong)
    assert verdict.state == "wrong"
    assert re.search(words, str(verdict), re.DOTALL), verdict


@pytest.mark.parametrize(("name", "one", "other", "words"), TWO_MISTAKES)
def test_of_two_mistakes_one_is_named(name, one, other, words):
    verdict = graded(name, *one, *other)
    assert re.search(words, verdict.diagnosis), verdict


def written(code):
    """Run an answer beside the solutions and return all functions by name."""
    space = {"np": np, "njit": njit} | functions()
    exec(code, space)
    return space


INLINED = {
    "rnn_backward": """
def rnn_backward(dhs, dhT, x, h_prev, h, Wx, Wh):
    dx, dh = np.zeros_like(x), dhT
    dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(len(Wh))
    for t in reversed(range(len(x))):
        da = (dhs[t] + dh) * (1 - h[t] * h[t])
        dx[t], dh = da @ Wx.T, da @ Wh.T
        dWx += x[t].T @ da
        dWh += h_prev[t].T @ da
        db += da.sum(axis=0)
    return dx, dh, dWx, dWh, db
""",
    "lstm_backward": """
def lstm_backward(dhs, dhT, dcT, x, h0, c0, steps, Wx, Wh):
    dx, dh, dc = np.zeros_like(x), dhT, dcT
    dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(Wh.shape[1])
    for t in reversed(range(len(x))):
        i, f, g, o, _, tanh_c, _ = steps[t]
        c_prev, h_prev = (steps[t - 1][4], steps[t - 1][6]) if t else (c0, h0)
        dh = dhs[t] + dh
        dc = dc + dh * o * (1 - tanh_c * tanh_c)
        da_i, da_f = dc * g * i * (1 - i), dc * c_prev * f * (1 - f)
        da_g, da_o = dc * i * (1 - g * g), dh * tanh_c * o * (1 - o)
        da = np.concatenate([da_i, da_f, da_g, da_o], axis=1)
        dx[t], dh, dc = da @ Wx.T, da @ Wh.T, dc * f
        dWx += x[t].T @ da
        dWh += h_prev.T @ da
        db += da.sum(axis=0)
    return dx, dh, dc, dWx, dWh, db
""",
}
"""Loops that write the step out: their lines are those of two functions of the textbook."""


@pytest.mark.parametrize(
    ("name", "right", "wrong", "words"),
    [
        ("rnn_backward", "", "", ""),
        ("rnn_backward", "* h[t])\n", "* h[t]) * 0.9\n", "^The first step computed is wrong"),
        ("rnn_backward", "da @ Wh.T", "dh @ Wh.T", "^The first step computed is right and a later"),
        ("rnn_backward", "x[t].T @ da", "x[t].T @ dhT", "^dWx: the steps are right"),
        ("lstm_backward", "", "", ""),
        ("lstm_backward", "c * tanh_c)", "c * tanh_c) * 0.9", "^The first step computed is wrong"),
        ("lstm_backward", "da.sum(axis=0)", "Wh.sum(axis=0)", "^db: the steps are right"),
    ],
)  # fmt: skip
def test_a_loop_that_writes_the_step_out_is_judged(name, right, wrong, words):
    space = {"np": np}
    assert right == "" or INLINED[name].count(right) == 1
    exec(INLINED[name].replace(right, wrong), space)
    verdict = grading.judge(name, grading.numbers_of(space[name], "ada"), "ada")
    assert verdict.state == ("wrong" if wrong else "right")
    assert re.search(words, verdict.diagnosis), verdict


@pytest.mark.parametrize("name", EVERYWHERE)
def test_an_answer_that_is_right_almost_everywhere(name):
    """The rare places: ids at the ends, targets far below, long and short sequences, one row."""
    blank, code, words = EVERYWHERE[name]
    verdict = grading.grade(written(code)[blank])
    assert verdict.state == "wrong"
    assert re.search(words, str(verdict)), verdict


@pytest.mark.parametrize("name", UNUSUAL)
def test_a_right_answer_in_unusual_style(name):
    blank, code = UNUSUAL[name]
    verdict = grading.grade(written(code)[blank])
    assert verdict.state == "right", verdict


class TestVerdicts:
    def test_code_that_stops_is_an_answer(self):
        def sgd(W, dW, lr):
            return W @ dW

        verdict = grading.grade(sgd)
        assert verdict.state == "wrong"
        assert "It stopped: ValueError: matmul" in verdict.first_wrong
        assert "of sgd: return W @ dW)" in verdict.first_wrong

    def test_what_is_no_number_is_judged_and_handed_in(self):
        def sgd(W, dW, lr):
            return ...

        assert "new_W must have the shape (4, 6), got no numbers" in str(grading.grade(sgd))
        assert json.loads(grading.submission([sgd]))["answers"]["sgd"]["new_W"] == "no numbers"
        assert grading.judge("sgd", {"new_W": [10**400]}).state == "wrong"


def rows_of(folder, capsys):
    """Grade a folder and return the exit status and the rows of the table by file."""
    status = main(["grade", str(folder), "--csv"])
    table = csv.DictReader(io.StringIO(capsys.readouterr().out))
    return status, {row["file"]: row for row in table}


class TestTheTeachersDesk:
    def test_a_line_for_each(self, tmp_path, capsys):
        for student, mine in (
            ("ada", functions()),
            ("bob", functions(*BOBS)),
            ("cyd", dict(list(functions().items())[:3])),
        ):
            text = grading.submission([*mine.values()], student)
            (tmp_path / f"{student}.json").write_text(text, encoding="utf-8")
        (tmp_path / "dan.json").write_text("__import__('os').abort()", encoding="utf-8")
        (tmp_path / "group").mkdir()
        (tmp_path / "group" / "eve.JSON").write_text('{"answers": {"sgd": {"new_W": "print(1)"}}}')
        status, rows = rows_of(tmp_path, capsys)
        assert status == 1  # the file of dan cannot be graded
        assert list(rows) == ["ada.json", "bob.json", "cyd.json", "dan.json", "group/eve.JSON"]
        ada, bob, cyd, dan, eve = rows.values()
        assert (ada["student"], ada["points"], ada["of"], ada["errors"]) == ("ada", "30", "30", "")
        assert [ada[name] for name in NAMES] == [str(b.points) for b in grading.BLANKS.values()]
        assert bob["points"] == "24"  # his loop uses his step
        assert [name for name in NAMES if bob[name] == "0"] == ["rnn_step_backward", "rnn_backward"]
        of_the_step, of_the_loop = bob["errors"].split(" | ")
        assert of_the_step.startswith("rnn_step_backward: wrong. The first wrong number: ")
        assert "da: the factor h is missing. It must be da =" in of_the_step
        assert of_the_loop.startswith("rnn_backward: wrong. ")
        assert "It calls rnn_step_backward, which is wrong" in of_the_loop
        assert (cyd["points"], cyd["sigmoid"], cyd["sgd"]) == ("3", "1", "")
        assert "must be JSON" in dan["errors"]
        assert (eve["student"], eve["points"], eve["sigmoid"], eve["sgd"]) == ("eve", "0", "", "0")
        main(["grade", str(tmp_path)])  # without --csv, for people
        assert "student: ada  points: 30  of: 30" in capsys.readouterr().out

    def test_names_in_a_submission_are_shown_and_not_obeyed(self, tmp_path, capsys):
        def line_of(student, *options):
            text = json.dumps({"student": student, "answers": {}})
            (tmp_path / "eve.json").write_text(text)
            assert main(["grade", str(tmp_path), *options]) == 0
            return capsys.readouterr().out.splitlines()[-1]

        assert r"student: \x1b[2Jx\ny  points: 0" in line_of("\u001b[2Jx\ny")
        assert line_of("=HYPERLINK(1)", "--csv").startswith("eve.json,'=HYPERLINK(1),0,")

    def test_numbers_of_a_neighbour_are_wrong(self):
        """The name of a student seeds them."""
        answers = {name: grading.numbers_of(mine, "ada") for name, mine in functions().items()}
        for student, state in (("ada", "right"), ("abe", "wrong")):
            assert {verdict.state for verdict in desk.verdicts_of(student, answers)} == {state}

    def test_copied_numbers_and_a_missing_name_are_marked(self, tmp_path, capsys):
        text = grading.submission([functions()["sgd"]], "ada")
        for name in ("ada", "copy"):
            (tmp_path / f"{name}.json").write_text(text)
        (tmp_path / "new.json").write_text(json.dumps({"student": "your name", "answers": {}}))
        _, rows = rows_of(tmp_path, capsys)
        assert {file: row["note"] for file, row in rows.items() if row["note"]} == {
            "copy.json": "the same numbers as ada.json",
            "new.json": "the name is still 'your name'",
        }

    @pytest.mark.parametrize("place", grading.OTHERS)
    def test_a_submission_that_lacks_a_place_is_not_right(self, place):
        numbers = grading.numbers_of(functions()["sgd"])
        del numbers[place]
        assert grading.judge("sgd", numbers).state == "wrong"

    def test_the_exam_has_no_solutions_and_no_hints(self, capsys, tmp_path):
        assert main(["strip", str(PATH)]) == 0
        exam = json.loads(capsys.readouterr().out)
        kinds = [tag for cell in exam["cells"] for tag in tags(cell)]
        assert kinds == ["blank", "grade"] * len(NAMES)
        assert not any("Hint" in source(cell) or "Solution" in source(cell)
                       for cell in exam["cells"])  # fmt: skip
        assert outputs(exam) == []
        assert any("grade = grading.Grader(exam=True)" in source(cell) for cell in exam["cells"])
        (tmp_path / "x.ipynb").write_text("{}")
        assert main(["strip", str(tmp_path / "x.ipynb")]) == 2
        assert "x.ipynb: must be the workbook" in capsys.readouterr().err

    def test_what_is_no_folder_of_submissions(self, tmp_path, capsys):
        for folder in (tmp_path, tmp_path / "none"):
            assert main(["grade", str(folder)]) == 2
            assert f"{folder} must be a folder with .json submissions" in capsys.readouterr().err

    def test_the_verdict_of_a_file_is_that_of_the_functions(self, tmp_path):
        mine = [*functions(*BOBS).values()]
        path = tmp_path / "bob.json"
        path.write_text(grading.submission(mine))  # no name: the points of the workbook
        verdicts = desk.verdicts_of(*desk.read_submission(path))
        assert verdicts == [grading.grade(f) for f in mine]


class TestTheGrader:
    def test_what_must_stand_there_comes_after_the_third_wrong_answer(self):
        grade, slopes = grading.Grader(), []
        for wrong in ("1 - s", "1 - s", "s", "2 * s * (1 - s)"):
            answers = functions("sigmoid_slope", "s * (1 - s)", wrong)
            slopes.append(str(grade(answers["sigmoid_slope"])))
        assert "ds: the factor s is missing." in slopes[0]
        assert ["It must be" in verdict for verdict in slopes] == [False, False, False, True]

    def test_an_exam_says_right_or_wrong(self):
        slope = functions("sigmoid_slope", "s * (1 - s)", "1 - s")["sigmoid_slope"]
        assert str(grading.Grader(exam=True)(slope)) == "sigmoid_slope: wrong."


class TestBlanksThatCallOthers:
    """`grade` finds them among the global names of the function."""

    @staticmethod
    def loop(step):
        space = {"np": np}
        exec(SOLUTIONS["rnn_backward"], space)
        exec(step, space)
        return grading.grade(space["rnn_backward"])

    def test_the_open_one_is_named(self):
        verdict = self.loop("def rnn_step_backward(dh, x, h_prev, h, Wx, Wh):\n    return None")
        assert "It stopped: TypeError" in verdict.first_wrong
        assert verdict.diagnosis == (
            "It calls rnn_step_backward, which is not answered yet: answer that one first."
        )

    def test_a_function_of_numpy_with_the_name_of_a_blank_is_none(self):
        sgd = functions("sgd", "lr * dW", "np.clip(lr * dW, -1e9, 1e9)")["sgd"]
        sgd.__globals__["clip"] = None
        assert grading.numbers_of(sgd)["calls"] == []


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Jupyter warns, in its own process
def test_with_all_solutions_the_engine_learns_as_the_library_does():
    notebook = in_jupyter(PATH)
    for cell in notebook["cells"]:
        if "blank" in tags(cell):
            cell["source"] = SOLUTIONS[cell["id"]]
    execute(notebook, PATH)
    (engine,) = (cell for cell in notebook["cells"] if cell["id"] == "engine")
    assert "largest difference between your losses and ours" in printed(engine)
