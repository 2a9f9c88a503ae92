"""The teacher's desk: a folder of submissions graded, and the workbook as an exam.

A submission is a file of numbers, and grading it executes nothing.

    python -m numpylstm.tape grade FOLDER --csv
    python -m numpylstm.tape strip notebooks/workbook.ipynb > exam.ipynb
    python -m numpylstm.tape strip --keep-diagnoses notebooks/workbook.ipynb > homework.ipynb
"""

import csv
import json
import sys
from pathlib import Path
from typing import Any

from numpylstm import tape
from numpylstm.laboratory.workbook.blanks import BLANKS
from numpylstm.laboratory.workbook.grading import NOT_ANSWERED, Verdict, judge
from numpylstm.printing import printable

GRADER = "grading.Grader()"
"""Code of the workbook that an exam changes."""
YOUR_NAME = "your name"
"""Name in the workbook as it is delivered."""
TITLES = ["file", "student", "points", "of", *BLANKS, "errors", "note"]
"""Columns of the table of a class; that of a blank is empty if it is not answered."""


def read_submission(path: Path) -> tuple[str, dict[str, Any]]:
    """Return the student's name and the answers by blank."""
    if not path.is_file():  # a named pipe would be waited for
        raise tape.TapeError(f"{path}: must be a regular file")
    content = tape.read(path)
    if not isinstance(content, dict) or not isinstance(content.get("answers"), dict):
        raise tape.TapeError(f"{path}: must be a submission that the workbook wrote")
    return str(content.get("student", "")), content["answers"]


def verdicts_of(student: str, answers: dict[str, Any]) -> list[Verdict]:
    """Return a verdict for each blank; nothing in the answers is executed."""
    states, verdicts = dict[str, str](), []
    for name in BLANKS:
        numbers = answers.get(name)
        given = numbers if isinstance(numbers, dict) else None
        verdicts.append(judge(name, given, student, states))
        states[name] = verdicts[-1].state
    return verdicts


def grade_folder(folder: Path, *, as_csv: bool) -> int:
    """Print a line for each ``.json`` file in and below a folder; return the exit status."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".json")
    if not paths:
        print(f"grade: {folder} must be a folder with .json submissions", file=sys.stderr)
        return 2
    writer = csv.DictWriter(sys.stdout, TITLES, lineterminator="\n")
    if as_csv:
        writer.writeheader()
    status, seen = 0, dict[str, str]()
    for path in paths:
        row: dict[str, Any] = {"file": str(path.relative_to(folder))}
        try:
            student, answers = read_submission(path)
            verdicts = verdicts_of(student, answers)
        except Exception as error:  # one file never stops a class
            status = 1
            kind = "" if isinstance(error, tape.TapeError) else f"{type(error).__name__}: "
            row["errors"] = f"cannot be graded: {kind}{error}"
        else:
            answered = [v for v in verdicts if v.state != NOT_ANSWERED]
            points = {v.name: BLANKS[v.name].points * (v.state == "right") for v in answered}
            errors = [str(v).replace("\n", " ") for v in answered if v.state == "wrong"]
            row |= points
            row |= {
                "student": student or path.stem,
                "points": sum(points.values()),
                "errors": " | ".join(errors),
                "note": _note(row["file"], student, answers, seen),
            }
        row["of"] = sum(blank.points for blank in BLANKS.values())
        row = {title: printable(str(row.get(title, ""))) for title in TITLES}
        if as_csv:
            writer.writerow({title: _harmless(entry) for title, entry in row.items()})
        else:
            print("  ".join(f"{title}: {row[title]}" for title in TITLES if title not in BLANKS))
    return status


def _note(file: str, student: str, answers: dict[str, Any], seen: dict[str, str]) -> str:
    """Mark a submission with the numbers of an earlier one, or without the student's name."""
    notes = [f"the name is still {YOUR_NAME!r}"] if student == YOUR_NAME else []
    same = seen.setdefault(json.dumps(answers, sort_keys=True), file)
    if same != file and any(answers.values()):
        notes.append(f"the same numbers as {same}")
    return "; ".join(notes)


def _harmless(entry: str) -> str:
    """Return an entry that no spreadsheet takes for a formula."""
    return f"'{entry}" if entry.startswith(("=", "+", "-", "@")) else entry


def strip(workbook: Path, *, keep_diagnoses: bool = False) -> str:
    """Return the workbook without hints, solutions and outputs.

    As an exam it says only "wrong" about a mistake. With `keep_diagnoses` it names the first wrong
    number and the probable mistake, and never the right line.
    """
    notebook = tape.read(workbook)
    if GRADER not in json.dumps(notebook):
        raise tape.TapeError(f"{workbook}: must be the workbook, a notebook with {GRADER}")
    setting = "corrections=False" if keep_diagnoses else "exam=True"
    kept = []
    for cell in notebook["cells"]:
        if not {"hints", "solution"} & {*cell["metadata"].get("tags", [])}:
            source = "".join(cell["source"])
            cell["source"] = source.replace(GRADER, f"grading.Grader({setting})")
            if cell["cell_type"] == "code":
                cell |= {"outputs": [], "execution_count": None}
            kept.append(cell)
    return json.dumps(notebook | {"cells": kept}, indent=1)
