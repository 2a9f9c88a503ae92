"""Twelve questions before a course and after it: a form, its key, and a comparison.

    python docs/teaching/before_and_after.py form form.html    # to hand out, twice
    python docs/teaching/before_and_after.py key
    python docs/teaching/before_and_after.py compare before.csv after.csv --picture gain.png

The two files have a row for each student: a name or a number, then twelve letters; an empty field
is an answer too, "I do not know". Each wrong choice is a misconception that wrong answers of the
workbook, or readers of published code, have shown.
"""

import argparse
import csv
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure


class Question(NamedTuple):
    """A question, its choices in order, the letter of the right one, and what each tells."""

    text: str
    choices: tuple[str, ...]
    right: str
    why: str


QUESTIONS = (
    Question(
        "A weight is used at every one of 20 time steps. Its gradient is",
        ("the gradient of the last step", "the sum of the gradients of all steps",
         "their mean", "their product"),
        "B",
        "A value that is used in several places receives the sum of the gradients of its uses.",
    ),
    Question(
        "In a backward pass, step t receives a gradient from the layer above and one from step "
        "t + 1, both for h_t. They are",
        ("multiplied", "compared, and the larger one is used", "added",
         "used one after the other: first the one of step t + 1 overwrites the other"),
        "C",
        "h_t is used twice: rule 3 of the textbook.",
    ),
    Question(
        "Truncated backpropagation with windows of 20 steps, the state passed on from window to "
        "window. Which of these is lost?",
        ("the state from before the window", "the loss of the first steps of each window",
         "the gradient of a loss with respect to what happened before its window",
         "nothing: the state is passed on"),
        "C",
        "The forward pass remembers, the gradient does not go back.",
    ),
    Question(
        "In an LSTM, f = 1, i = 0 in every step. Then c is",
        ("forgotten", "kept as it is", "doubled at each step", "equal to h"),
        "B",
        "c = f * c_prev + i * g: a forget gate of 1 forgets nothing.",
    ),
    Question(
        "The training loss of a network that you wrote falls for 300 steps. This shows that",
        ("the gradient is right", "the gradient points downhill often enough",
         "at most one line of the backward pass is wrong", "the learning rate is the best one"),
        "B",
        "With most mistakes of the museum the loss still falls; only a check tells.",
    ),
    Question(
        "A gradient check with all biases zero and an initial state of zero passes. Which mistake "
        "can it have missed?",
        ("a wrong factor in a term that multiplies the initial state",
         "a missing transpose of Wx", "a missing tanh'", "none"),
        "A",
        "What multiplies zero is not seen: check at random numbers.",
    ),
    Question(
        "Why is the gradient of an early step often tiny in a vanilla RNN?",
        ("because early inputs are small", "because the learning rate decays",
         "because it has been multiplied by a matrix and a slope at every step between",
         "because rounding errors add up"),
        "C",
        "A product of many factors below one goes to zero.",
    ),
    Question(
        "The derivative of c_T with respect to c_0 in an LSTM is",
        ("the product of the forget gates, exactly",
         "the product of the forget gates, and what goes through h and the gates",
         "zero after a few steps", "one"),
        "B",
        "The carousel is one path; the gates depend on h, and h on c.",
    ),
    Question(
        "x has shape (T, B, D) = (5, 3, 4), and the LSTM has H = 6 units. Wx has shape",
        ("(4, 6)", "(5, 24)", "(4, 24)", "(24, 3)"),
        "C",
        "D rows, and four blocks of H columns; neither T nor B is in a weight.",
    ),
    Question(
        "Clipping by the global norm changes",
        ("the length of the gradient and not its direction", "its direction and not its length",
         "each entry that is above the limit", "the learning rate for ever"),
        "A",
        "All gradients are multiplied by one number.",
    ),
    Question(
        "A model has a perplexity of 100 on a text of 10,000 different words. It is as uncertain "
        "as",
        ("a choice among 100 equally probable words", "a choice among 10,000 words",
         "a model that is wrong 100 times in a row", "a model that is right in 1 of 10,000 cases"),
        "A",
        "Perplexity is the exponential of the mean negative logarithm of the probability.",
    ),
    Question(
        "y = x * m, with a mask m of dropout. The backward pass needs",
        ("nothing: dx = dy", "a new mask", "the same mask: dx = dy * m", "dx = dy / m"),
        "C",
        "The mask is a factor like any other, and a constant.",
    ),
)  # fmt: skip
LETTERS = "ABCD"


def as_markdown(with_key=False):
    """Return the form in Markdown; with the key, the reason instead of the choices' boxes."""
    parts = [f"# Twelve questions about recurrent networks{' (key)' * with_key}", ""]
    if not with_key:
        parts += ["Name or number: ______________________", ""]
        parts += ["One answer each. If you do not know, leave it empty: nobody is marked.", ""]
    for number, question in enumerate(QUESTIONS, 1):
        parts.append(f"**{number}.** {question.text}\n")
        if with_key:
            place = LETTERS.index(question.right)
            parts.append(f"**{question.right}**: {question.choices[place]}. {question.why}\n")
        else:
            rows = zip(LETTERS, question.choices, strict=True)
            parts.append("".join(f"- ☐ {letter}. {choice}\n" for letter, choice in rows))
    return "\n".join(parts)


def read_answers(path):
    """Return the answers by student, twelve letters or blanks each."""
    answers = {}
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.reader(file), 1):
            if not any(row):
                continue
            student, *letters = (field.strip() for field in row)
            letters = [letter.upper() for letter in letters]
            where = f"{path}, line {number}"
            if len(letters) != len(QUESTIONS):
                sys.exit(f"{where}: a name and {len(QUESTIONS)} answers must stand there")
            if wrong := [letter for letter in letters if letter and letter not in LETTERS]:
                sys.exit(f"{where}: an answer must be A, B, C, D or empty, got {wrong[0]!r}")
            if student in answers:
                sys.exit(f"{where}: {student!r} stands there twice")
            answers[student] = letters
    return answers


def compare(before, after):
    """Return who of those in both files was right: two boolean arrays (students, questions)."""
    both = sorted(before.keys() & after.keys())
    if not both:
        sys.exit("no student is in both files; the first field of a row must be the same in both")
    key = np.array([question.right for question in QUESTIONS])
    return tuple(np.array([answers[name] for name in both]) == key for answers in (before, after))


def summary(before, after):
    """Return lines: the share of right answers by question, and the gain."""
    lines = ["question  before  after"]
    for k in range(len(QUESTIONS)):
        lines.append(f"{k + 1:8}  {before[:, k].mean():6.0%}  {after[:, k].mean():5.0%}")
    gained = after.mean(axis=1) - before.mean(axis=1)  # of each student
    students = len(gained)
    lines.append(f"{'all':>8}  {before.mean():6.0%}  {after.mean():5.0%}")
    mean = f"mean gain {100 * gained.mean():+.0f} points of 100"
    if students > 1:
        error = 100 * gained.std(ddof=1) / np.sqrt(students)
        mean += f", standard error {error:.0f}"
    lines.append(f"{students} students in both; {mean}")
    if before.mean() < 1:
        share = (after.mean() - before.mean()) / (1 - before.mean())
        lines.append(f"of what could be gained: {share:.0%}")
    return lines


def draw(before, after):
    """Draw the share of right answers to each question before and after."""
    figure = Figure(figsize=(7, 4), layout="constrained", dpi=120)
    axes = figure.subplots()
    place = np.arange(1, len(QUESTIONS) + 1)
    for k in range(len(QUESTIONS)):
        axes.plot(2 * [place[k]], [before[:, k].mean(), after[:, k].mean()], color="#999999")
    axes.plot(place, before.mean(axis=0), "o", color="#D55E00", label="before")
    axes.plot(place, after.mean(axis=0), "o", color="#0072B2", label="after")
    axes.axhline(1 / len(LETTERS), color="#666666", lw=1, ls="--")
    axes.annotate(
        "guessing",
        (1, 1 / len(LETTERS)),
        xycoords=("axes fraction", "data"),
        xytext=(-4, 3),
        textcoords="offset points",
        ha="right",
    )
    axes.set(xticks=place, ylim=(-0.03, 1.03), xlabel="question", ylabel="share of right answers")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper right", ncols=2, frameon=False)
    return figure


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    form = commands.add_parser("form", help="write the form, a page to print")
    form.add_argument("file", type=Path)
    commands.add_parser("key", help="print the key with the reasons")
    comparison = commands.add_parser("compare", help="compare the answers of a class")
    comparison.add_argument("before", type=Path)
    comparison.add_argument("after", type=Path)
    comparison.add_argument("--picture", type=Path, metavar="FILE")
    options = parser.parse_args(argv)
    if options.command == "form":
        from sheets import write_sheet  # needs the extra docs

        write_sheet(options.file, as_markdown())
    elif options.command == "key":
        print(as_markdown(with_key=True))
    else:
        answers = read_answers(options.before), read_answers(options.after)
        before, after = compare(*answers)
        print("\n".join(summary(before, after)))
        if left_out := sorted(answers[0].keys() ^ answers[1].keys()):
            print(f"in one file only, and left out: {', '.join(left_out)}")
        if options.picture:
            draw(before, after).savefig(options.picture)


if __name__ == "__main__":
    main()
