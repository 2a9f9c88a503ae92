"""An exam for each student, and its key: ``python docs/teaching/exam.py FOLDER STUDENT ...``.

A secret and the name of a student draw the questions, their numbers and their order, and a program
with three mistakes. The secret is printed for the teacher. It is in no file, and the exams cannot
be used to find it; with it, the key is written at any time::

    python docs/teaching/exam.py exam-1 Ada Bob
    python docs/teaching/exam.py --secret SECRET --key key-1 Ada Bob

The same secret, name and version of this program give the same files. ``--quiz WEEK`` makes a quiz
of ten minutes instead. ``@names.txt`` reads the names of students from a file, one a line.
"""

import argparse
import secrets
import sys
import unicodedata
from collections.abc import Sequence
from html import escape
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent)]

from drawn import Choice  # noqa: E402
from hunt import HOW_MANY, Hunt, hunt  # noqa: E402
from questions import QUIZZES, TOPICS, Question  # noqa: E402

SHORTEST = 32
"""Characters of the shortest secret; a drawn one has twice as many."""
POINTS_OF_A_MISTAKE = 4
INTRODUCTION = {
    "exam": """90 minutes, {points} points: two minutes a point. You may use a pocket calculator.
Question {last} is at a computer with Python and NumPy; begin it after an hour at the latest.""",
    "quiz": "10 minutes, {points} points. You may use a pocket calculator.",
}
HUNT = """The backward pass of the program `hunt.py` has three mistakes, each in a line of its own,
in the function `{backward}`. The rest is right. Run it: it prints the error of each gradient. Find
and correct the mistakes. Say for each which use of which value was wrong. When all are corrected,
every error is below 1e-6."""


def questions(secret: str, student: str, week: int | None) -> list[Question]:
    """Return the questions of a student; those of an exam in an order of their own."""
    choice = Choice(secret, "exam" if week is None else f"quiz {week}", student)
    topics = dict(enumerate(TOPICS if week is None else QUIZZES[week]))
    drawn = {
        number: choice.within(f"topic {number}").among(kinds)(choice.within(f"question {number}"))
        for number, kinds in topics.items()
    }
    return [drawn[number] for number in (choice.order("topics", drawn) if week is None else drawn)]


def hunt_of(secret: str, student: str) -> Hunt:
    """Return the program of a student."""
    return hunt(Choice(secret, "hunt", student))


def exam(title: str, student: str, asked: Sequence[Question], program: Hunt | None) -> str:
    """Return the sheet of a student, Markdown."""
    last = len(asked) + (program is not None)
    points = sum(question.points for question in asked)
    points += HOW_MANY * POINTS_OF_A_MISTAKE if program else 0
    said = INTRODUCTION["exam" if program else "quiz"].format(points=points, last=last)
    parts = [f"# {title}", f"<p>Name: <b>{escape(student)}</b></p>", said]
    for number, question in enumerate(asked, 1):
        parts += [f"## {number}. ({question.points} points)", question.text, SPACE]
    if program:
        text = HUNT.format(backward=program.names["backward"])
        parts += [f"## {last}. ({HOW_MANY * POINTS_OF_A_MISTAKE} points)", text]
    return "\n\n".join(parts) + "\n"


SPACE = '<div class="space"></div>'


def key(student: str, asked: Sequence[Question], program: Hunt | None) -> str:
    """Return the key of a student, Markdown."""
    parts = [f'<h2 class="page">{escape(student)}</h2>']
    for number, question in enumerate(asked, 1):
        parts.append(f"**{number}. ({question.points} points)** {question.answer}")
    if program:
        last, points = len(asked) + 1, HOW_MANY * POINTS_OF_A_MISTAKE
        each = "1 point for the line, 1 for the correction, 2 for the reason"
        parts.append(f"**{last}. ({points} points)** Of each mistake: {each}.")
        rows = [
            f"| {found.line} | `{found.wrong}` | `{found.right}` | {found.why} |"
            for found in program.mistakes
        ]
        parts.append("\n".join(["| Line | Is | Must be | Because |", "| --- " * 4 + "|", *rows]))
    return "\n\n".join(parts)


def main(argv: Sequence[str] | None = None) -> None:
    """Write a sheet for each student, or the key."""
    parser = argparse.ArgumentParser(prog="exam.py", fromfile_prefix_chars="@")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where to write")
    parser.add_argument("students", nargs="+", metavar="STUDENT", type=name, help="their names")
    parser.add_argument("--quiz", type=int, choices=QUIZZES, metavar="WEEK", help="1, 2 or 3")
    parser.add_argument("--title", help="title of the sheets")
    parser.add_argument("--secret", type=secret_of, help="as printed before; default: a new one")
    parser.add_argument("--key", action="store_true", help="write the key of this secret")
    given = parser.parse_args(argv)
    if given.key and not given.secret:
        parser.error("--key needs the --secret that was printed with the exam")
    if len({*given.students}) < len(given.students):
        parser.error("two students have one name, and would get one exam; add a letter")
    sheet = "exam" if given.quiz is None else "quiz"
    title = given.title or (f"Quiz of week {given.quiz}" if given.quiz else "Exam")
    secret = given.secret or secrets.token_hex(SHORTEST)
    if given.key and any(given.folder.glob(f"*/{sheet}.html")):
        parser.error(f"{given.folder} has sheets to hand out; write the key into another folder")
    from sheets import write_sheet  # needs the extra docs

    keys = [f"# Key: {title}"]
    for student in given.students:
        asked = questions(secret, student, given.quiz)
        program = hunt_of(secret, student) if given.quiz is None else None
        if given.key:
            keys.append(key(student, asked, program))
            continue
        own = given.folder / student
        own.mkdir(parents=True, exist_ok=True)
        write_sheet(own / f"{sheet}.html", exam(title, student, asked, program))
        if program:
            (own / "hunt.py").write_text(program.program, encoding="utf-8")
    if given.key:
        given.folder.mkdir(parents=True, exist_ok=True)
        write_sheet(given.folder / f"{sheet}-key.html", "\n\n".join(keys))
        print(f"{given.folder}: the key of {len(given.students)} students")
        return
    print(f"{given.folder}: a folder for each of {len(given.students)} students")
    if not given.secret:
        print(f"The secret, which only you may know, and without which there is no key:\n{secret}")


def name(text: str) -> str:
    """Return the name of a student, which is also the name of a folder."""
    normal = unicodedata.normalize("NFC", text.strip())
    if not normal.strip(".") or not all(c.isalnum() or c in " .-_'" for c in normal):
        raise argparse.ArgumentTypeError(
            f"a name has letters, digits, spaces and . - _ ' only, got {text!r}"
        )
    return normal


def secret_of(text: str) -> str:
    """Return a secret that is too long to be guessed."""
    if len(text) < SHORTEST:
        raise argparse.ArgumentTypeError(
            f"a secret must have at least {SHORTEST} characters, got {len(text)}; leave it out, "
            "and a random one is drawn and printed"
        )
    return text


if __name__ == "__main__":
    main()
