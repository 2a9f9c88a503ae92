"""``numpylstm-sample``: let a checkpoint write."""

import argparse
import sys
from pathlib import Path

from numpylstm.cli.common import CommandError, Parser, add_threads, run, set_threads
from numpylstm.untrusted import printable


def make_parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = Parser(
        prog="numpylstm-sample",
        description="Text from a checkpoint, which carries its own vocabulary.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("checkpoint", type=Path, help="best.npz or last.npz of a run")
    parser.add_argument("--prompt", default="", help="text to continue; empty: a new line")
    parser.add_argument("--length", type=int, metavar="N", default=100, help="tokens to draw")
    parser.add_argument(
        "--temperature", type=float, metavar="X", default=1.0,
        help="below 1 more probable text, above 1 more surprising text",
    )  # fmt: skip
    parser.add_argument(
        "--top-k", type=int, metavar="K", default=argparse.SUPPRESS,
        help="draw from the K most probable tokens only; 1 takes the best",
    )  # fmt: skip
    parser.add_argument(
        "--ban-unk", action=argparse.BooleanOptionalAction, default=True,
        help="never draw <unk>",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, metavar="N", default=0, help="of the draws")
    add_threads(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    parser = make_parser()
    arguments = vars(parser.parse_args(argv))
    return run(lambda: command(**arguments), parser.prog)


def command(
    *,
    checkpoint: Path,
    prompt: str,
    length: int,
    temperature: float,
    ban_unk: bool,
    seed: int,
    threads: int | None,
    top_k: int | None = None,
) -> None:
    """Load, read the prompt, draw, print."""
    from numpylstm.data import EOS, UNK, detokenize
    from numpylstm.sampling import generate
    from numpylstm.training.checkpoint import load, restore_model
    from numpylstm.training.corpora import tokens_like

    if seed < 0:
        raise CommandError(f"--seed must be at least 0, got {seed}")
    set_threads(threads)
    saved = load(checkpoint)
    model, vocabulary, level = restore_model(saved), saved.vocabulary, saved.config.level
    tokens = tokens_like(saved.config, prompt) or [EOS if level == "word" else "\n"]
    if unknown := vocabulary.unknown(tokens):
        print(
            f"not in the vocabulary, read as {UNK}: {printable(' '.join(map(repr, unknown)))}",
            file=sys.stderr,
        )
    ids, _ = vocabulary.encode(tokens)
    banned = [vocabulary.unk_id] if ban_unk else []
    try:
        drawn = generate(
            model, ids, length, temperature=temperature, top_k=top_k, banned=banned, rng=seed
        )
    except ValueError as error:
        raise CommandError(str(error)) from error
    written = detokenize(vocabulary.decode(drawn), level, after=prompt)
    print(printable(prompt + written, lines=True))


if __name__ == "__main__":
    sys.exit(main())
