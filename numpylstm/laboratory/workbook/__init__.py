"""The workbook: its blanks, their grading, and the teacher's desk."""

from numpylstm.laboratory.workbook.blanks import BLANKS, Blank
from numpylstm.laboratory.workbook.desk import grade_file, grade_folder, strip
from numpylstm.laboratory.workbook.grading import (
    Grader,
    Verdict,
    grade,
    judge,
    numbers_of,
    submission,
)

__all__ = [
    "BLANKS",
    "Blank",
    "Grader",
    "Verdict",
    "grade",
    "grade_file",
    "grade_folder",
    "judge",
    "numbers_of",
    "strip",
    "submission",
]
