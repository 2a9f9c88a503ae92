"""``python -m numpylstm.explore FILE.html``: write the page."""

import argparse
from collections.abc import Sequence

from numpylstm.explore import write_page
from numpylstm.printing import printable


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m numpylstm.explore",
        description="Write the interactive page: an RNN and an LSTM that run in the browser. It is "
        "one HTML file that needs no server and no network.",
    )
    parser.add_argument("file", metavar="FILE", help="the HTML file to write")
    arguments = parser.parse_args(argv)
    try:
        path = write_page(arguments.file)
    except OSError as error:
        parser.error(printable(f"cannot write {arguments.file}: {error}"))
    print(f"{printable(str(path))}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
