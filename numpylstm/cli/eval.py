"""``numpylstm-eval``: measure a checkpoint on a text."""

import argparse
import sys
from pathlib import Path

from numpylstm.cli.common import CommandError, Parser, add_threads, run, set_threads
from numpylstm.untrusted import printable


def make_parser() -> argparse.ArgumentParser:
    """The arguments of the command."""
    parser = Parser(
        prog="numpylstm-eval",
        description="Perplexity and accuracy of a checkpoint, with a ledger of what was counted.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("checkpoint", type=Path, help="best.npz or last.npz of a run")
    text = parser.add_argument_group("text (default: that of the training run)")
    text.add_argument(
        "--data", metavar="PATH", default=argparse.SUPPRESS,
        help="Penn Treebank: a folder with ptb.*.txt, or simple-examples.tgz",
    )  # fmt: skip
    text.add_argument(
        "--file", metavar="PATH", default=argparse.SUPPRESS,
        help="any UTF-8 text file, scored as a whole",
    )  # fmt: skip
    text.add_argument(
        "--split", choices=("train", "valid", "test"), default="test",
        help="which part of a corpus to score",
    )  # fmt: skip
    how = parser.add_argument_group("how to score")
    how.add_argument(
        "--protocol", choices=("exact", "tutorial"), default="exact",
        help="exact: every token but the first of each stream; tutorial: accuracy over 25 windows "
        "of 20 x 35 after 5 to warm up, and one window of words",
    )  # fmt: skip
    how.add_argument("--batch-size", type=int, metavar="N", default=1, help="streams, B")
    how.add_argument("--num-steps", type=int, metavar="N", default=35, help="window, T")
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
    split: str,
    protocol: str,
    batch_size: int,
    num_steps: int,
    threads: int | None,
    data: str | None = None,
    file: str | None = None,
) -> None:
    """Load, score, print."""
    from numpylstm.evaluation import evaluate, tutorial_protocol
    from numpylstm.training.checkpoint import load, restore_model
    from numpylstm.training.corpora import scored_text

    for name, value in [("--batch-size", batch_size), ("--num-steps", num_steps)]:
        if value < 1:
            raise CommandError(f"{name} must be at least 1, got {value}")
    if data is not None and file is not None:
        raise CommandError("--data and --file name two texts; give one of them")
    set_threads(threads)
    saved = load(checkpoint)
    model = restore_model(saved)
    text = scored_text(saved, data=data, file=file, split=split)
    if len(text.ids) < 2 * batch_size:
        raise CommandError(
            f"{text.name}: {batch_size} streams need at least {2 * batch_size} tokens, got "
            f"{len(text.ids)}"
        )
    lines = [
        ("checkpoint", f"{checkpoint}, epoch {saved.meta['epoch']}, step {saved.meta['step']}"),
        ("text", text.name),
        ("tokens", f"{len(text.ids):,}"),
        ("unknown words", f"{text.unknown:,}, scored as <unk>"),
    ]
    if protocol == "tutorial":
        try:
            shown = tutorial_protocol(model, text.ids)
        except ValueError as error:
            raise CommandError(f"--protocol tutorial: {error}") from error
        lines += [
            ("accuracy", f"{shown.accuracy:.3f}, the mean of {shown.batches} windows of 20 x 35"),
            ("true values", " ".join(saved.vocabulary.decode(shown.targets))),
            ("predicted", " ".join(saved.vocabulary.decode(shown.predicted))),
        ]
    else:
        result = evaluate(model, text.ids, batch_size, num_steps)
        lines += [
            ("scored", f"{result.tokens:,}; not scored: {result.unscored:,}, the first of each "
             "stream and what does not divide by B"),
            ("windows", f"B = {batch_size}, T = {num_steps}"),
            ("state", "zero at the start of each stream, carried from window to window"),
            ("loss", f"{result.loss:.4f} nats per token"),
            ("perplexity", f"{result.perplexity:.3f}"),
            ("accuracy", f"{result.accuracy:.4f}"),
        ]  # fmt: skip
    for label, content in lines:
        print(f"{label:15}{printable(content)}")


if __name__ == "__main__":
    sys.exit(main())
