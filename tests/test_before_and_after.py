"""Twelve questions before a course and after it: the form, the key and the comparison."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[1] / "docs" / "teaching"))

import before_and_after as course

RIGHT = [question.right for question in course.QUESTIONS]


def test_twelve_questions_of_four_choices_with_the_right_one_in_any_place():
    assert len(course.QUESTIONS) == 12
    for question in course.QUESTIONS:
        assert len(set(question.choices)) == 4
        assert question.right in course.LETTERS
    counts = [RIGHT.count(letter) for letter in course.LETTERS]
    assert max(counts) <= 5


def test_the_form_has_no_key():
    form, key = course.as_markdown(), course.as_markdown(with_key=True)
    assert form.count("☐") == 48
    for question in course.QUESTIONS:
        assert question.text in form
        assert question.text in key
        assert question.why in key
        assert question.why not in form


def test_the_form_is_a_page(tmp_path):
    pytest.importorskip("latex2mathml")
    course.main(["form", str(tmp_path / "form.html")])
    page = (tmp_path / "form.html").read_text(encoding="utf-8")
    assert "<title>Twelve questions about recurrent networks</title>" in page


def write(path, rows):
    path.write_text("\n".join(",".join([name, *letters]) for name, letters in rows))
    return path


def test_a_class_is_compared(tmp_path, capsys):
    """Ada learns six answers, Bob none, Cem came once."""
    six = [*RIGHT[:6], *([""] * 6)]
    before = write(tmp_path / "before.csv", [("Ada", [""] * 12), ("Bob", six), ("Cem", six)])
    after = write(tmp_path / "after.csv", [("Bob", [r.lower() for r in six]), ("Ada", six)])
    course.main(["compare", str(before), str(after), "--picture", str(tmp_path / "gain.png")])
    out = capsys.readouterr().out.splitlines()
    assert out[1].split() == ["1", "50%", "100%"]
    assert out[12].split() == ["12", "0%", "0%"]
    assert out[13].split() == ["all", "25%", "50%"]
    assert out[14] == "2 students in both; mean gain +25 points of 100, standard error 25"
    assert out[15] == "of what could be gained: 33%"
    assert out[16] == "in one file only, and left out: Cem"
    assert (tmp_path / "gain.png").stat().st_size > 5000


def test_the_picture_has_the_shares():
    before, after = np.zeros((4, 12), bool), np.ones((4, 12), bool)
    before[0] = True
    lines = course.draw(before, after).axes[0].lines
    by_label = {line.get_label(): line.get_ydata() for line in lines}
    np.testing.assert_array_equal(by_label["before"], np.full(12, 0.25))
    np.testing.assert_array_equal(by_label["after"], np.ones(12))


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([("Ada", RIGHT[:11])], "line 1: a name and 12 answers must stand there"),
        ([("Ada", [*RIGHT[:11], "E"])], "line 1: an answer must be A, B, C, D or empty, got 'E'"),
        ([("Ada", RIGHT), ("Ada", RIGHT)], "line 2: 'Ada' stands there twice"),
        ([("Eve", RIGHT)], "no student is in both files"),
    ],
)
def test_a_file_that_cannot_be_compared_is_named(rows, says, tmp_path):
    good, bad = write(tmp_path / "a.csv", [("Ada", RIGHT)]), write(tmp_path / "b.csv", rows)
    with pytest.raises(SystemExit) as error:
        course.main(["compare", str(good), str(bad)])
    assert says in str(error.value)
