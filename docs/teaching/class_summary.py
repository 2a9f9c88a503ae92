"""A class on one page: ``python docs/teaching/class_summary.py SUBMISSIONS PAGE.html``.

Reads the files that students hand in from the workbook, as ``python -m numpylstm.tape grade`` does,
and writes for each blank how many are right, wrong, open and unproved, and the first wrong lines,
the most frequent first. Nothing in a submission is executed.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

sys.path[:0] = [str(Path(__file__).parent)]

from numpylstm.laboratory.doctor.words import OR_ELSE  # noqa: E402
from numpylstm.laboratory.workbook import desk  # noqa: E402
from numpylstm.laboratory.workbook.blanks import BLANKS  # noqa: E402
from numpylstm.laboratory.workbook.findings import What, Why  # noqa: E402
from numpylstm.laboratory.workbook.words import NOT_ANSWERED, UNPROVED, Verdict  # noqa: E402

COLOURS = {"right": "#0072b2", "wrong": "#d55e00", NOT_ANSWERED: "#cccccc", UNPROVED: "#e69f00"}
"""Colour of each state of a blank."""
WIDTH = 100
"""Width of a bar, in pixels."""


class Answers(NamedTuple):
    """The answers of a class to one blank."""

    name: str
    states: Counter[str]
    first_wrong: dict[str, list[str]]  # the first wrong line -> the students, the most first


class Class(NamedTuple):
    """A class: its students with their points, and its answers by blank."""

    points: dict[str, int]
    blanks: list[Answers]
    refused: list[str]  # files that cannot be graded, and why


def first_wrong_line(verdict: Verdict) -> str:
    """Return what a verdict says of the first wrong line, without numbers of this student."""
    if verdict.state == UNPROVED:
        return verdict.of_cases
    if verdict.cause and verdict.cause.why is Why.PLACE:
        return "right with the first sizes and numbers, wrong with others."
    if verdict.cause and verdict.cause.mistakes:
        return OR_ELSE.join(f"{m.description()}." for m in verdict.cause.mistakes[0])
    if verdict.cause:
        return re.sub(r"\d+\.\d+", "...", re.split(r"(?<=\.) ", verdict.diagnosis, maxsplit=1)[0])
    if verdict.trouble and verdict.trouble.what is What.NUMBER:
        return f"{verdict.trouble.about['result']} is wrong."
    return re.sub(r" \(line \d+ of .*", "", verdict.first_wrong.splitlines()[-1])


def summarise(paths: Iterable[Path]) -> Class:
    """Grade submissions and count their answers."""
    submissions, refused = [], []
    for path in paths:
        try:
            submissions.append(desk.read_submission(path))
        except Exception as error:  # one file never stops a class
            refused.append(f"{path.name}: {error}")
    names = [submission.student for submission in submissions]
    points = dict[str, int]()
    states = {name: Counter[str]() for name in BLANKS}
    wrong: dict[str, dict[str, list[str]]] = {name: {} for name in BLANKS}
    for submission in submissions:
        student = submission.student or Path(submission.file).stem
        seed = desk.seed_of(submission, names)
        points[student] = 0
        for verdict in desk.verdicts_of(seed, submission.answers, submission.guilty):
            states[verdict.name][verdict.state] += 1
            points[student] += BLANKS[verdict.name].points * (verdict.state == "right")
            if verdict.state in ("wrong", UNPROVED):
                wrong[verdict.name].setdefault(first_wrong_line(verdict), []).append(student)
    blanks = [
        Answers(n, states[n], dict(sorted(wrong[n].items(), key=lambda item: -len(item[1]))))
        for n in BLANKS
    ]
    return Class(points, blanks, refused)


def bar(states: Counter[str]) -> str:
    """Return a bar with a colour for each state, SVG."""
    parts, left, total = [], 0.0, max(states.total(), 1)
    for state, colour in COLOURS.items():
        width = WIDTH * states[state] / total
        parts.append(
            f'<rect x="{left:.1f}" width="{width:.1f}" height="16" fill="{colour}">'
            f"<title>{state}: {states[state]}</title></rect>"
        )
        left += width
    said = ", ".join(f"{states[state]} {state}" for state in COLOURS)
    return f'<svg role="img" aria-label="{said}" width="{WIDTH}" height="16">{"".join(parts)}</svg>'


def as_page(found: Class) -> str:
    """Return the page, Markdown with tables in HTML."""
    most, total = len(found.points), sum(blank.points for blank in BLANKS.values())
    mean = sum(found.points.values()) / max(most, 1)
    legend = " ".join(
        f'<svg width="12" height="12"><rect width="12" height="12" fill="{colour}"/></svg> {state}'
        for state, colour in COLOURS.items()
    )
    parts = [
        "# What the class has not understood",
        f"{most} students, {mean:.1f} of {total} points on average.",
        f"<p>{legend}</p>",
        table(found.blanks),
    ]
    if found.refused:
        parts += ["## Files that cannot be graded", *(f"<p>{escape(f)}</p>" for f in found.refused)]
    return "\n\n".join(parts)


def table(blanks: Sequence[Answers]) -> str:
    rows = ["<tr><th>Blank<th>Answers<th>Right, wrong<th>The first wrong line</tr>"]
    for number, blank in enumerate(blanks, 1):
        lines = "<br>".join(
            f"<b>{len(students)}</b> {escape(line)} "
            f"<small>{escape(', '.join(sorted(students)))}</small>"
            for line, students in blank.first_wrong.items()
        )
        right, wrong = blank.states["right"], blank.states["wrong"]
        rows.append(
            f"<tr><td>{number}. {blank.name}<td>{bar(blank.states)}<td>{right}, {wrong}"
            f"<td>{lines}</tr>"
        )
    return f'<table style="font-size: 0.8em">\n{chr(10).join(rows)}\n</table>'


def as_text(found: Class) -> str:
    """Return the table for a terminal."""
    lines = [f"{'blank':24}{'right':>6}{'wrong':>6}{'open':>6}{'unproved':>9}  first wrong line"]
    for blank in found.blanks:
        *counted, unproved = (blank.states[state] for state in COLOURS)
        counts = "".join(f"{count:6}" for count in counted) + f"{unproved:9}"
        said = [f"{len(students)} x {line}" for line, students in blank.first_wrong.items()]
        first, *others = said or [""]
        lines += [f"{blank.name:24}{counts}  {first}".rstrip()]
        lines += [f"{'':44}{other}" for other in others]
    return "\n".join([*lines, *(f"cannot be graded: {file}" for file in found.refused)])


def main(argv: Sequence[str]) -> None:
    """Print the table of a folder, and write the page."""
    if len(argv) != 2:
        sys.exit("usage: python docs/teaching/class_summary.py SUBMISSIONS PAGE.html")
    folder, page = map(Path, argv)
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".json")
    if not paths:
        sys.exit(f"class_summary: {folder} must be a folder with .json submissions")
    from sheets import write_sheet  # needs the extra docs

    found = summarise(paths)
    write_sheet(page, as_page(found))
    print(as_text(found))


if __name__ == "__main__":
    main(sys.argv[1:])
