"""The teacher's desk: a folder of submissions graded, and the workbook as an exam.

A submission is a file of numbers, and grading it executes nothing.

    python -m numpylstm.tape grade FOLDER --csv
    python -m numpylstm.tape strip notebooks/workbook.ipynb > exam.ipynb
    python -m numpylstm.tape strip --keep-diagnoses notebooks/workbook.ipynb > homework.ipynb
"""

import csv
import json
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np

from numpylstm import tape
from numpylstm.laboratory.workbook import engine, grading
from numpylstm.laboratory.workbook.answers import Answer
from numpylstm.laboratory.workbook.blanks import BLANKS
from numpylstm.laboratory.workbook.findings import Trouble, What
from numpylstm.laboratory.workbook.grading import comparisons, judge
from numpylstm.laboratory.workbook.outcomes import Outcome, Outcomes, outcomes_in
from numpylstm.laboratory.workbook.places import FIRST
from numpylstm.laboratory.workbook.results import as_numbers
from numpylstm.laboratory.workbook.words import NOT_ANSWERED, UNPROVED, Verdict
from numpylstm.printing import printable

GRADER = "grading.Grader()"
"""Code of the workbook that an exam changes."""
YOUR_NAME = "your name"
"""Name in the workbook as it is delivered."""
TITLES = ["file", "student", "points", "unproved", "of", *BLANKS, "engine", "errors", "note"]
"""Columns of the table of a class; that of a blank is empty if it is not answered.

"unproved" are points that are not among the others: of blanks that are right at all places, with a
case in their code that no place enters. The teacher reads that line and decides.
"""


@dataclass
class Submission:
    """The file of a student: the name in it, the outcomes by blank, and those of the engine."""

    file: str
    student: str = ""
    answers: Mapping[str, Outcomes | None] = field(default_factory=dict)
    engine: Any = None
    error: str = ""  # why it cannot be graded
    notes: list[str] = field(default_factory=list)

    @property
    def given(self) -> dict[str, Outcomes]:
        """The outcomes of each blank that is answered."""
        return {name: found for name, found in self.answers.items() if found is not None}

    @property
    def guilty(self) -> list[str]:
        """The blanks that are wrong in the engine."""
        named = self.engine.get("guilty") if isinstance(self.engine, dict) else None
        return [name for name in BLANKS if isinstance(named, list) and name in named]


def read_submission(path: Path, file: str = "") -> Submission:
    """Read a file; nothing in it is executed."""
    if not path.is_file():  # a named pipe would be waited for
        raise tape.TapeError(f"{path}: must be a regular file")
    content = tape.read(path)
    if not isinstance(content, dict) or not isinstance(content.get("answers"), dict):
        raise tape.TapeError(f"{path}: must be a submission that the workbook wrote")
    student = str(content.get("student", ""))
    return Submission(file or path.name, student, _answers_in(content), content.get("engine"))


def _answers_in(content: Mapping[str, Any]) -> dict[str, Outcomes | None]:
    return {name: outcomes_in(content["answers"].get(name)) for name in BLANKS}


def verdicts_of(
    student: str, answers: Mapping[str, Outcomes | None], guilty: Sequence[str] = ()
) -> list[Verdict]:
    """Return a verdict for each blank; nothing in the answers is executed.

    `guilty` are the blanks that are wrong in the engine.
    """
    verdicts: dict[str, Verdict] = {}
    for name in BLANKS:
        states = {of: verdict.state for of, verdict in verdicts.items()}
        verdicts[name] = judge(name, answers.get(name), student, states)
    for name, trouble in _wrong_elsewhere(verdicts, guilty).items():
        verdicts[name] = Verdict(name, "wrong", trouble=trouble)
    return list(verdicts.values())


def _wrong_elsewhere(verdicts: Mapping[str, Verdict], guilty: Sequence[str]) -> dict[str, Trouble]:
    """Find blanks that are right at their places, and wrong in the engine or in a blank above."""
    found = {name: Trouble(What.ENGINE) for name in guilty}
    for name, verdict in verdicts.items():
        found |= {part: Trouble(What.ABOVE, {"name": name}) for part in verdict.parts}
    right = [name for name, v in verdicts.items() if v.state in ("right", UNPROVED)]
    alone = [name for name in right if not verdicts[name].parts]
    return {name: trouble for name, trouble in found.items() if name in alone}


def marked(functions: Sequence[Answer], seed: int | None = None) -> list[Verdict]:
    """Return the verdicts that the desk gives for functions: at their places and in the engine."""
    content = json.loads(grading.submission(functions, seed=seed))
    handed_in = Submission("", "", _answers_in(content), content["engine"])
    return verdicts_of("", handed_in.answers, handed_in.guilty)


# --- a class -------------------------------------------------------------------------------------


def grade_folder(folder: Path, *, as_csv: bool) -> int:
    """Print a line for each ``.json`` file in and below a folder; return the exit status."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".json")
    if not paths:
        print(f"grade: {folder} must be a folder with .json submissions", file=sys.stderr)
        return 2
    class_ = [_read(path, str(path.relative_to(folder))) for path in paths]
    _note_names(class_)
    _note_copies(class_)
    writer = csv.DictWriter(sys.stdout, TITLES, lineterminator="\n")
    if as_csv:
        writer.writeheader()
    names = [submission.student for submission in class_ if not submission.error]
    for submission in class_:
        row = {title: printable(str(entry)) for title, entry in _row(submission, names).items()}
        if as_csv:
            writer.writerow({title: _harmless(entry) for title, entry in row.items()})
        else:
            print("  ".join(f"{title}: {row[title]}" for title in TITLES if title not in BLANKS))
    return int(any(submission.error for submission in class_))


def _read(path: Path, file: str) -> Submission:
    try:
        return read_submission(path, file)
    except Exception as error:  # one file never stops a class
        return Submission(file, error=_said(error))


def _said(error: Exception) -> str:
    kind = "" if isinstance(error, tape.TapeError) else f"{type(error).__name__}: "
    return f"{kind}{error}"


def _row(submission: Submission, names: Sequence[str]) -> dict[str, Any]:
    """Return the line of a file by its titles."""
    row: dict[str, Any] = dict.fromkeys(TITLES, "")
    row |= {"file": submission.file, "of": sum(blank.points for blank in BLANKS.values())}
    try:
        if not submission.error:
            row |= _graded(submission, names)
    except Exception as error:  # one file never stops a class
        submission.error = _said(error)
    if submission.error:
        row["errors"] = f"cannot be graded: {submission.error}"
    return row


def _graded(submission: Submission, names: Sequence[str]) -> dict[str, Any]:
    student, notes = submission.student, submission.notes
    seed = seed_of(submission, names)
    if seed != student:
        notes.append(f"the numbers are those of {seed!r}, whose name was changed afterwards")
    verdicts = verdicts_of(seed, submission.answers, submission.guilty)
    answered = [v for v in verdicts if v.state != NOT_ANSWERED]
    points = {v.name: BLANKS[v.name].points * (v.state == "right") for v in answered}
    unproved = [v.name for v in answered if v.state == UNPROVED]
    errors = [
        str(v).replace("\n", " ")
        for v in verdicts
        if v.state != "right" and str(v) != f"{v.name}: {NOT_ANSWERED}."
    ]
    last = ""
    if isinstance(submission.engine, dict):
        last = engine.first_wrong(submission.engine) or "right"
    return {
        **points,
        **dict.fromkeys(unproved, UNPROVED),
        "unproved": sum(BLANKS[name].points for name in unproved),
        "student": student or Path(submission.file).stem,
        "points": sum(points.values()),
        "engine": last,
        "errors": " | ".join(errors),
        "note": "; ".join(notes),
    }


def seed_of(submission: Submission, names: Sequence[str]) -> str:
    """Return the name that seeded the numbers: the student's, or one with which some are right."""

    def fits(name: str) -> bool:
        firsts = (next(comparisons(blank, o, name)) for blank, o in submission.given.items())
        return not all(case.trouble for case in firsts)

    student = submission.student
    tried = [student, *_spellings(student), Path(submission.file).stem]
    for name in (*names, "", YOUR_NAME):
        tried += [name, name.lower(), name.title(), name.upper()]
    return next((name for name in dict.fromkeys(tried) if fits(name)), student)


def _spellings(name: str) -> Iterator[str]:
    """Yield a name in other cases, with other spaces and accents, and its words in other orders."""
    words = name.replace(",", " ").replace("_", " ").split()
    orders = [words] if len(words) > 3 else [list(order) for order in permutations(words)]
    for order in orders:
        for text in (" ".join(order), ", ".join(order), "_".join(order), "".join(order)):
            for cased in (text, text.lower(), text.title(), text.upper()):
                yield from (unicodedata.normalize(form, cased) for form in ("NFC", "NFD"))


def _same_person(name: str) -> str:
    """Return a key that is the same for all spellings of a name, such as ``Lovelace, Ada``."""
    last, comma, first = unicodedata.normalize("NFKD", name).casefold().partition(",")
    text = f"{first} {last}" if comma else last
    letters = "".join(c if c.isalnum() else " " for c in text if not unicodedata.combining(c))
    return " ".join(letters.split())


def _note_names(class_: Sequence[Submission]) -> None:
    """Mark submissions without the student's name, and all files of one student."""
    of_person: dict[str, list[Submission]] = {}
    for submission in class_:
        if submission.student == YOUR_NAME:
            submission.notes.append(f"the name is still {YOUR_NAME!r}")
        elif submission.student:
            of_person.setdefault(_same_person(submission.student), []).append(submission)
    for files in of_person.values():
        for submission in files:
            others = [other.file for other in files if other is not submission]
            if others:
                submission.notes.append(f"the same student as in {', '.join(others)}")


def _first_drawn(outcomes: Outcomes) -> str:
    """Return the first result that depends on the name, as text; a constant is nobody's."""
    first = outcomes.at.get(FIRST.name, Outcome())
    for value in first.results.values():
        array = as_numbers(value) if isinstance(value, list) else ""
        if isinstance(array, np.ndarray) and len(np.unique(array)) > 2:
            return json.dumps(value)
    return ""


def _note_copies(class_: Sequence[Submission]) -> None:
    """Mark all files that have the numbers of a blank in common."""
    holders: dict[tuple[str, str], list[Submission]] = {}
    for submission in class_:
        for name, outcomes in submission.given.items():
            drawn = _first_drawn(outcomes)
            if drawn:
                holders.setdefault((name, drawn), []).append(submission)
    for submission in class_:
        common: dict[str, int] = {}
        for files in holders.values():
            if any(other is submission for other in files):
                for other in files:
                    if other is not submission:
                        common[other.file] = common.get(other.file, 0) + 1
        for file, count in common.items():
            few = f"{count} of {len(submission.given)} blanks"
            submission.notes.append(f"the same numbers as {file} in {few}")


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
