"""``numpylstm-eval``: measure a checkpoint on a text."""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpylstm.cli.common import CommandError, Parser, at_least, run, set_threads
from numpylstm.printing import printable
from numpylstm.training.display import waiting

if TYPE_CHECKING:
    from numpylstm.data import Vocabulary
    from numpylstm.data.configured import ScoredText
    from numpylstm.evaluation import Watch
    from numpylstm.models import LanguageModel
    from numpylstm.training.checkpoint import Checkpoint


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = Parser(
        prog="numpylstm-eval",
        description="Perplexity and accuracy of a checkpoint, with the numbers of tokens scored.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_run()
    text = parser.add_argument_group("text (default: the text of the training run)")
    text.add_argument(
        "--data",
        metavar="PATH",
        default=argparse.SUPPRESS,
        help="Penn Treebank: a folder with ptb.*.txt, or simple-examples.tgz",
    )
    text.add_argument(
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
        "of 20 x 35 after a warm-up of 5, and one window of words",
    )
    how.add_argument(
        "--batch-size",
        type=at_least(1),
        metavar="N",
        default=argparse.SUPPRESS,
        help="streams, B: 20 are several times faster, but leave 20 tokens or a few more unscored "
        "(default: 1)",
    )
    how.add_argument(
        "--num-steps",
        type=at_least(1),
        metavar="N",
        default=argparse.SUPPRESS,
        help="window, T (default: 35)",
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
        default=argparse.SUPPRESS,
        help="factor of the similarity of two states (default: 0.3)",
    )
    more.add_argument(
        "--cache-share",
        type=float,
        metavar="X",
        default=argparse.SUPPRESS,
        help="share of the cache in the probabilities (default: 0.1)",
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
    cache: int | None = None,
    cache_theta: float | None = None,
    cache_share: float | None = None,
    dynamic: float | None = None,
    batch_size: int | None = None,
    num_steps: int | None = None,
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

    exact = {
        "--batch-size": batch_size,
        "--num-steps": num_steps,
        "--dynamic": dynamic,
        "--cache": cache,
    }
    for name, value in exact.items():
        if value is not None and protocol == "tutorial":
            raise CommandError(f"{name} is for --protocol exact; the tutorial's windows are fixed")
    B, T = (20, 35) if protocol == "tutorial" else (batch_size or 1, num_steps or 35)
    if split is not None and file is not None:
        raise CommandError("--split is for a corpus; --text is scored as a whole")
    if max_tokens is not None and split == "train":
        raise CommandError("--max-tokens is for --text and the splits valid and test, not train")
    if data is not None and file is not None:
        raise CommandError("--data and --text name two texts; give one of them")
    adapting: dict[str, dict[str, Any]] = {}
    if dynamic is not None:
        if not 0 < dynamic < math.inf:
            raise CommandError(f"--dynamic must be above 0, got {dynamic:g}")
        adapting["dynamic"] = {"rate": dynamic}
    if cache is not None:
        theta = 0.3 if cache_theta is None else cache_theta
        share = 0.1 if cache_share is None else cache_share
        if not 0 <= theta < math.inf:
            raise CommandError(f"--cache-theta must be at least 0, got {theta:g}")
        if not 0 <= share < 1:
            raise CommandError(f"--cache-share must be in [0, 1), got {share:g}")
        adapting["cache"] = {"size": cache, "theta": theta, "share": share}
    elif cache_theta is not None or cache_share is not None:
        raise CommandError("--cache-theta and --cache-share are for --cache N")
    set_threads(threads)
    saved = load(run_folder.checkpoint_of(checkpoint))
    model = restore_model(saved)
    if data is None and file is None:
        saved = run_folder.where_its_text_is(saved, checkpoint)
    with waiting("reading the text", stream=sys.stderr, quiet=quiet) as shown:
        text = scored_text(
            saved.config,
            saved.vocabulary,
            saved.meta["fingerprint"],
            data=data,
            file=file,
            split=split or "test",
            at_most=max_tokens,
            watch=shown.share,
        )
    if len(text.ids) < 2 * B:
        streams = "one stream" if B == 1 else f"{B} streams"
        raise CommandError(
            f"{text.name}: must hold at least {2 * B} tokens for {streams}, got {len(text.ids)}"
        )
    T = min(T, len(text.ids))  # a longer window is the whole text
    with waiting("scoring", stream=sys.stderr, quiet=quiet) as shown:
        if protocol == "tutorial":
            more_facts, more_lines = by_tutorial(model, text, saved.vocabulary)
        else:
            level = saved.config.level
            more_facts, more_lines = exactly(model, text, level, B, T, shown.share)
        for name, settings in adapting.items():
            more_facts[name], line = adapted(name, settings, model, text, B, T, shown.share)
            more_lines.append((name, line))
    facts, lines = scored(saved, text)
    facts, lines = facts | more_facts, lines + more_lines
    if as_json:
        print(json.dumps(facts, allow_nan=False))
        return
    width = max(15, *(len(label) + 2 for label, _ in lines))
    for label, content in lines:
        print(f"{label:{width}}{printable(content)}")


CARRIED = "zero at the start of each stream, carried from window to window"

Found = tuple[dict[str, Any], list[tuple[str, str]]]
"""The figures as JSON, and as lines of a label and a text."""


def scored(saved: "Checkpoint", text: "ScoredText") -> Found:
    """Describe the text and how it was read."""
    from numpylstm.data.configured import why_unknown
    from numpylstm.data.corpus import unit

    level, epoch, step = saved.config.level, saved.meta["epoch"], saved.meta["step"]
    why = why_unknown(text.unknown, text.left_out, level, saved.vocabulary)
    why = f": {why}" if text.unknown else ""
    return {
        "checkpoint": str(saved.path),
        "epoch": epoch,
        "step": step,
        "text": text.name,
        "level": level,
        "tokens": len(text.ids),
        "unknown": text.unknown,
        "unknown_left_out": text.left_out,
    }, [
        ("checkpoint", f"{saved.path}, epoch {epoch}, step {step}"),
        ("text", text.name),
        ("tokens", f"{len(text.ids):,}"),
        (f"unknown {unit(level)}s", f"{text.unknown:,}, scored as <unk>{why}"),
    ]


def exactly(
    model: "LanguageModel", text: "ScoredText", level: str, B: int, T: int, watch: "Watch"
) -> Found:
    """Score every token but the first of each stream."""
    from numpylstm.checks import NotFinite
    from numpylstm.evaluation import evaluate

    result = evaluate(model, text.ids, B, T, watch=watch)
    if not math.isfinite(result.perplexity):
        raise NotFinite(
            "the scores of the model are not finite, or its perplexity overflows; its parameters "
            "have exploded"
        )
    facts = {
        "scored": result.tokens,
        "unscored": result.unscored,
        "batch_size": B,
        "num_steps": T,
        "state": CARRIED,
        "loss": result.loss,
        "perplexity": result.perplexity,
        "accuracy": result.accuracy,
    }
    lines = [
        (
            "scored",
            f"{result.tokens:,}; not scored: {result.unscored:,}, the first of each "
            "stream and the remainder of the division by B",
        ),
        ("windows", f"B = {B}, T = {T}"),
        ("state", CARRIED),
        ("loss", f"{result.loss:.4f} nats per token"),
        ("perplexity", f"{result.perplexity:.3f}"),
        ("accuracy", f"{result.accuracy:.4f}"),
    ]
    if level == "char":
        facts["bits_per_character"] = result.bits
        lines.insert(-1, ("bits", f"{result.bits:.4f} per character"))
    return facts, lines


def adapted(
    name: str,
    settings: dict[str, Any],
    model: "LanguageModel",
    text: "ScoredText",
    B: int,
    T: int,
    watch: "Watch",
) -> tuple[dict[str, Any], str]:
    """Score with a model that adapts to the text: "dynamic", or with a "cache"."""
    from numpylstm.adaptation import evaluate_dynamic, evaluate_with_cache

    evaluate: Any = {"dynamic": evaluate_dynamic, "cache": evaluate_with_cache}[name]
    result = evaluate(model, text.ids, B, T, **settings, watch=watch)
    if not math.isfinite(result.perplexity):
        raise CommandError(f"--{name}: the perplexity is not finite; try other numbers")
    facts = {name: getattr(result, name) for name in ("loss", "perplexity", "accuracy")}
    told = ", ".join(f"{name} {value:g}" for name, value in settings.items())
    line = f"perplexity {result.perplexity:.3f}, accuracy {result.accuracy:.4f}; {told}"
    return settings | facts, line


def by_tutorial(model: "LanguageModel", text: "ScoredText", vocabulary: "Vocabulary") -> Found:
    """Measure the accuracy by `tutorial_protocol`."""
    from numpylstm.checks import NotFinite
    from numpylstm.evaluation import tutorial_protocol

    try:
        result = tutorial_protocol(model, text.ids)
    except NotFinite:
        raise
    except ValueError as error:
        raise CommandError(f"--protocol tutorial: {error}") from error
    true, predicted = (vocabulary.decode(ids) for ids in (result.targets, result.predicted))
    return {
        "accuracy": result.accuracy,
        "windows": result.batches,
        "true": true,
        "predicted": predicted,
    }, [
        ("accuracy", f"{result.accuracy:.3f}, the mean of {result.batches} windows of 20 x 35"),
        ("true values", " ".join(true)),
        ("predicted", " ".join(predicted)),
    ]
