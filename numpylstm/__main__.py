"""``python -m numpylstm``: the commands, if their names are not on the path."""

import importlib
import keyword
import sys

COMMANDS = {
    "train": "train a language model on a text",
    "eval": "score a run on a text",
    "sample": "draw text from a run",
    "explore": "write a page that shows how a run reads a text",
    "compare": "compare several runs",
    "export": "write the model of a run for another program",
    "import": "make a run from another program's model",
}


def main(argv: list[str]) -> int:
    """Run the command and return its exit status."""
    if argv and argv[0] in COMMANDS:
        name = argv[0] + "_" * keyword.iskeyword(argv[0])
        return int(importlib.import_module(f"numpylstm.cli.{name}").main(argv[1:]))
    if argv and argv[0] == "--version":
        from numpylstm import __version__

        print(f"numpylstm {__version__}")
        return 0
    lines = [f"  python -m numpylstm {name:9}{what}" for name, what in COMMANDS.items()]
    asked = not argv or argv[0] in ("-h", "--help")
    if not asked:
        lines.insert(0, f"python -m numpylstm: error: there is no command {argv[0]!r}; there are")
    print("\n".join(lines), file=sys.stdout if asked else sys.stderr)
    return 0 if asked else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
