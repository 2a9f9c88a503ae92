"""``python -m numpylstm.museum``: the rooms; with a name: its card; with --page: all of them."""

import argparse
import sys

from numpylstm.laboratory.museum.cards import card, page
from numpylstm.laboratory.museum.mutants import MUTANTS


def main(arguments: list[str] | None = None) -> int:
    """Print what was asked for; 2 for an unknown name."""
    parser = argparse.ArgumentParser(prog="python -m numpylstm.museum", description=__doc__)
    parser.add_argument("name", nargs="?", help="an exhibit")
    parser.add_argument("--page", action="store_true", help="the page of all cards, in Markdown")
    options = parser.parse_args(arguments)
    if options.page:
        print(page(), end="")
    elif options.name is None:
        width = max(map(len, MUTANTS))
        for name, mutant in MUTANTS.items():
            print(f"{name:{width}}  {mutant.title}")
    elif options.name in MUTANTS:
        print(card(options.name), end="")
    else:
        print(
            f"museum: the name must be one of {', '.join(MUTANTS)}; got {options.name!r}",
            file=sys.stderr,
        )
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
