"""Homework as pages to print: ``python docs/teaching/homework.py FOLDER [DATE DATE DATE]``.

The sheets are the weeks of ``docs/laboratory/homework.md``. Without dates, there is a line to write
the date on.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent)]

PAGE = Path(__file__).parents[1] / "laboratory" / "homework.md"
LINE = "Hand in by: ____________________"


def sheets(dates: Sequence[str] = ()) -> list[str]:
    """Return the sheet of each week, Markdown."""
    weeks = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.M)[1:]
    dates = dates or [LINE.partition(": ")[2]] * len(weeks)
    return [
        f"# Homework, {week}".replace(LINE, f"Hand in by: <b>{date}</b> &emsp; Name: ____________")
        for week, date in zip(weeks, dates, strict=True)
    ]


def main(argv: Sequence[str]) -> None:
    """Write the sheets."""
    if len(argv) not in (1, 4):
        sys.exit("usage: python docs/teaching/homework.py FOLDER [DATE DATE DATE]")
    from sheets import write_sheet  # needs the extra docs

    folder = Path(argv[0])
    folder.mkdir(parents=True, exist_ok=True)
    for week, sheet in enumerate(sheets(argv[1:]), 1):
        write_sheet(folder / f"homework-{week}.html", sheet)
    print(f"{folder}: homework-1.html to homework-3.html")


if __name__ == "__main__":
    main(sys.argv[1:])
