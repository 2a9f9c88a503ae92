"""The workbook: its blanks and their grading."""

from numpylstm.laboratory.workbook.blanks import BLANKS, Blank
from numpylstm.laboratory.workbook.grading import (
    Verdict,
    grade,
    grade_file,
    grade_folder,
    judge,
    numbers_of,
    submission,
)

__all__ = [
    "BLANKS",
    "Blank",
    "Verdict",
    "grade",
    "grade_file",
    "grade_folder",
    "judge",
    "numbers_of",
    "submission",
]
