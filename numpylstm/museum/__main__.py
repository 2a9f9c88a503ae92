"""``python -m numpylstm.museum``: the rooms; with a name: its card; with --page: all of them."""

import argparse
import sys

from numpylstm.laboratory.mistakes.famous import MUTANTS
from numpylstm.museum.cards import card, page


def main(arguments: list[str] | None = None) -> int:
    """Print the rooms, a card or the page; return 2 for an unknown name."""
    parser = argparse.ArgumentParser(prog="python -m numpylstm.museum", description=__doc__)
    parser.add_argument("name", nargs="?", help="an exhibit")
    parser.add_argument("--page", action="store_true", help="the page of all cards, in Markdown")
    options = parser.parse_args(arguments)
    width = max(map(len, MUTANTS))
    rooms = "".join(f"{name:{width}}  {mutant.title}\n" for name, mutant in MUTANTS.items())
    try:
        text = page() if options.page else card(options.name) if options.name else rooms
    except ValueError as error:
        print(f"museum: {error}", file=sys.stderr)
        return 2
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
