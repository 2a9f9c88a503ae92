"""``python -m numpylstm.museum``: the rooms; with a name: its card; with --page: all of them."""

import argparse

from numpylstm.laboratory.mistakes.famous import MUTANTS
from numpylstm.museum.cards import card, page


def main(arguments: list[str] | None = None) -> None:
    """Print the rooms, a card or the page."""
    parser = argparse.ArgumentParser(prog="python -m numpylstm.museum", description=__doc__)
    parser.add_argument("name", nargs="?", choices=MUTANTS, metavar="NAME", help="an exhibit")
    parser.add_argument("--page", action="store_true", help="the page of all cards, in Markdown")
    options = parser.parse_args(arguments)
    if options.page:
        print(page(), end="")
    elif options.name:
        print(card(options.name), end="")
    else:
        width = max(map(len, MUTANTS))
        for name, mutant in MUTANTS.items():
            print(f"{name:{width}}  {mutant.title}")


if __name__ == "__main__":
    main()
