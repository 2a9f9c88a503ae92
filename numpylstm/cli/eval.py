"""``numpylstm-eval``: measure a checkpoint on a text."""

import argparse
import json
import math
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpylstm.cli.common import (
    CommandError,
    Parser,
    arguments_checked,
    at_least,
    run,
    set_threads,
)
from numpylstm.printing import printable
from numpylstm.training.display import waiting

if TYPE_CHECKING:
    from numpylstm.data import Vocabulary
    from numpylstm.evaluation import Ids, Watch
    from numpylstm.models import LanguageModel

THETA, SHARE = 0.3, 0.1  # of a cache


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = Parser(
        prog="numpylstm-eval",
        description="Perplexity and accuracy of a checkpoint, with the numbers of tokens scored.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_run()
    text = parser.add_argument_group("text (default: the text of the training run)")
    named = text.add_mutually_exclusive_group()
    named.add_argument(
        "--data",
        metavar="PATH",
        default=argparse.SUPPRESS,
        help="Penn Treebank: a folder with ptb.*.txt, or simple-examples.tgz",
    )
    named.add_argument(
        "--text",
        "--file",
        dest="file",
        metavar="PATH",
        nargs="+",
        default=argparse.SUPPRESS,
        help="any UTF-8 text, scored as a whole: files, plain or .gz, folders with .txt or .txt.gz "
        "files, or - for standard input",
    )
    text.add_argument(
        "--split",
        choices=("train", "valid", "test"),
        default=argparse.SUPPRESS,
        help="which part of a corpus to score (default: test)",
    )
    how = parser.add_argument_group("how to score")
    how.add_argument(
        "--protocol",
        choices=("exact", "tutorial"),
        default="exact",
        help="exact: every token but the first of each stream; tutorial: accuracy over 25 windows "
        "after a warm-up of 5, and one window of words",
    )
    how.add_argument(
        "--batch-size",
        type=at_least(1),
        metavar="N",
        default=argparse.SUPPRESS,
        help="streams, B: 20 are several times faster, but leave 20 tokens or a few more unscored "
        "(default: 1, in the tutorial 20)",
    )
    how.add_argument(
        "--num-steps",
        type=at_least(1),
        metavar="N",
        default=35,
        help="window, T",
    )
    how.add_argument(
        "--max-tokens",
        type=at_least(2),
        metavar="N",
        default=argparse.SUPPRESS,
        help="score the first N tokens only (default: all, or as many as in the run)",
    )
    more = parser.add_argument_group("a model that adapts to the text, in rows of its own")
    more.add_argument(
        "--dynamic",
        type=float,
        metavar="RATE",
        default=argparse.SUPPRESS,
        help="also score with a step of gradient descent after each window (default: no)",
    )
    more.add_argument(
        "--cache",
        type=at_least(1),
        metavar="N",
        default=argparse.SUPPRESS,
        help="also score with a cache of the last N hidden states and their next tokens "
        "(default: no)",
    )
    more.add_argument(
        "--cache-theta",
        type=float,
        metavar="X",
        default=THETA,
        help="factor of the similarity of two states",
    )
    more.add_argument(
        "--cache-share",
        type=float,
        metavar="X",
        default=SHARE,
        help="share of the cache in the probabilities",
    )
    parser.add_argument("--json", action="store_true", dest="as_json", help="print one JSON object")
    parser.add_quiet("the figures")
    parser.add_threads("all")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return run(make_parser(), command, argv)


def command(
    *,
    checkpoint: Path,
    protocol: str,
    as_json: bool,
    quiet: bool,
    num_steps: int,
    cache_theta: float,
    cache_share: float,
    cache: int | None = None,
    dynamic: float | None = None,
    batch_size: int | None = None,
    threads: int | None = None,
    data: str | None = None,
    file: list[str] | None = None,
    split: str | None = None,
    max_tokens: int | None = None,
) -> None:
    """Load, score, print."""
    from numpylstm.data.configured import scored_text
    from numpylstm.training import run_folder
    from numpylstm.training.checkpoint import load, restore_model

    if split is not None and file is not None:
        raise CommandError("--split is for a corpus; --text is scored as a whole")
    if max_tokens is not None and split == "train":
        raise CommandError("--max-tokens is for --text and the splits valid and test, not train")
    adapting: dict[str, dict[str, Any]] = {}
    if dynamic is not None:
        adapting["dynamic"] = {"rate": dynamic}
    if cache is not None:
        adapting["cache"] = {"size": cache, "theta": cache_theta, "share": cache_share}
    elif (cache_theta, cache_share) != (THETA, SHARE):
        raise CommandError("--cache-theta and --cache-share are for --cache N")
    set_threads(threads)
    saved = load(run_folder.checkpoint_of(checkpoint))
    model = restore_model(saved)
    if data is None and file is None:
        saved = run_folder.where_its_text_is(saved, checkpoint)
    with waiting("reading the text", stream=sys.stderr, quiet=quiet):
        text = scored_text(
            saved.config,
            saved.vocabulary,
            saved.meta["fingerprint"],
            data=data,
            file=file,
            split=split or "test",
            at_most=max_tokens,
        )
    B, T = batch_size or (20 if protocol == "tutorial" else 1), num_steps
    if len(text.ids) < 2 * B:
        raise CommandError(
            f"{text.name}: must hold at least {2 * B} tokens, 2 for each stream, got "
            f"{len(text.ids)}"
        )
    facts: dict[str, Any] = {
        "checkpoint": str(saved.path),
        "epoch": saved.meta["epoch"],
        "step": saved.meta["step"],
        "text": text.name,
        "level": saved.config.level,
        "tokens": len(text.ids),
        "unknown": text.unknown,
        "batch_size": B,
        "num_steps": T,
    }
    with waiting("scoring", stream=sys.stderr, quiet=quiet) as shown, arguments_checked():
        if protocol == "tutorial":
            facts |= by_tutorial(model, text.ids, saved.vocabulary, B, T)
        else:
            facts |= exactly(model, text.ids, saved.config.level, B, T, shown.share)
        for name, settings in adapting.items():
            facts[name] = adapted(name, settings, model, text.ids, B, T, shown.share)
    if as_json:
        print(json.dumps(facts, allow_nan=False))
        return
    for label, form in LINES.items():
        with suppress(KeyError):  # not every line has its figures
            print(f"{label:15}{printable(form.format(**facts))}")


LINES = {
    "checkpoint": "{checkpoint}, epoch {epoch}, step {step}",
    "text": "{text}",
    "tokens": "{tokens:,}",
    "unknown": "{unknown:,}, scored as <unk>",
    "scored": "{scored:,}; not scored: {unscored:,}, the first of each stream and the remainder of "
    "the division by B",
    "windows": "B = {batch_size}, T = {num_steps}",
    "state": "{state}",
    "loss": "{loss:.4f} nats per token",
    "perplexity": "{perplexity:.3f}",
    "bits": "{bits_per_character:.4f} per character",
    "accuracy": "{accuracy:.4f}",
    "mean of": "{windows} windows, after 5 that fill the state",
    "true values": "{true}",
    "predicted": "{predicted}",
    "dynamic": "perplexity {dynamic[perplexity]:.3f}, accuracy {dynamic[accuracy]:.4f}; "
    "rate {dynamic[rate]:g}",
    "cache": "perplexity {cache[perplexity]:.3f}, accuracy {cache[accuracy]:.4f}; "
    "size {cache[size]}, theta {cache[theta]:g}, share {cache[share]:g}",
}
"""The lines of the output: a label, and a form that takes the figures of the JSON object."""


def exactly(
    model: "LanguageModel", ids: "Ids", level: str, B: int, T: int, watch: "Watch"
) -> dict[str, Any]:
    """Score every token but the first of each stream."""
    from numpylstm.checks import NotFinite
    from numpylstm.evaluation import evaluate

    result = evaluate(model, ids, B, T, watch=watch)
    if not math.isfinite(result.perplexity):
        raise NotFinite(
            "the scores of the model are not finite, or its perplexity overflows; its parameters "
            "have exploded"
        )
    facts: dict[str, Any] = {
        "scored": result.tokens,
        "unscored": result.unscored,
        "state": "zero at the start of each stream, carried from window to window",
        "loss": result.loss,
        "perplexity": result.perplexity,
        "accuracy": result.accuracy,
    }
    if level == "char":
        facts["bits_per_character"] = result.bits
    return facts


def adapted(
    name: str,
    settings: dict[str, Any],
    model: "LanguageModel",
    ids: "Ids",
    B: int,
    T: int,
    watch: "Watch",
) -> dict[str, Any]:
    """Score with a model that adapts to the text: "dynamic", or with a "cache"."""
    from numpylstm.adaptation import evaluate_dynamic, evaluate_with_cache

    evaluate: Any = {"dynamic": evaluate_dynamic, "cache": evaluate_with_cache}[name]
    result = evaluate(model, ids, B, T, **settings, watch=watch)
    if not math.isfinite(result.perplexity):
        raise CommandError(f"--{name}: the perplexity is not finite; try other numbers")
    return settings | {key: getattr(result, key) for key in ("loss", "perplexity", "accuracy")}


def by_tutorial(
    model: "LanguageModel", ids: "Ids", vocabulary: "Vocabulary", B: int, T: int
) -> dict[str, Any]:
    """Measure the accuracy by `tutorial_protocol`."""
    from numpylstm.evaluation import tutorial_protocol

    result = tutorial_protocol(model, ids, batch_size=B, num_steps=T)
    return {
        "accuracy": result.accuracy,
        "windows": result.batches,
        "true": " ".join(vocabulary.decode(result.targets)),
        "predicted": " ".join(vocabulary.decode(result.predicted)),
    }
