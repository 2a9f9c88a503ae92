"""``numpylstm-eval``: measure a checkpoint on a text."""

import argparse
import json
import math
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpylstm.cli.common import (
    CommandError,
    Parser,
    arguments_checked,
    at_least,
    load_run,
    read_text,
    run,
    set_threads,
)
from numpylstm.config import CACHE_SHARE, CACHE_THETA
from numpylstm.levels import LEVELS
from numpylstm.printing import printable
from numpylstm.training.display import waiting

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from numpylstm.data import Vocabulary
    from numpylstm.evaluation import Evaluation
    from numpylstm.models import LanguageModel
    from numpylstm.training.checkpoint import Checkpoint


LOWER_RATE = "lower the rate of --dynamic"
CHOSEN = "valid"
"""The word in place of a temperature that has it chosen on the validation text."""


def temperature(text: str) -> float | str:
    """Parse a temperature, or `CHOSEN`."""
    return text if text == CHOSEN else float(text)


ADAM = "adam"
"""The word in place of a number of tokens that takes the state of Adam."""


def rms(text: str) -> int | str:
    """Parse a number of tokens, or `ADAM`."""
    return text if text == ADAM else at_least(2)(text)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = Parser(
        prog="numpylstm-eval",
        description="Perplexity and accuracy of a checkpoint, with the numbers of tokens scored.",
    )
    parser.add_run()
    text = parser.add_argument_group("text (default: the text of the training run)")
    named = text.add_mutually_exclusive_group()
    named.add_argument(
        "--data",
        metavar="PATH",
        help="Penn Treebank: a folder with ptb.*.txt, or simple-examples.tgz",
    )
    named.add_argument(
        "--text",
        "--file",
        dest="file",
        metavar="PATH",
        nargs="+",
        help="any UTF-8 text, scored as a whole: files, plain or .gz, folders with .txt or .txt.gz "
        "files, or - for standard input",
    )
    text.add_argument(
        "--split",
        choices=("train", "valid", "test"),
        help="which part of a corpus to score (default: test)",
    )
    how = parser.add_argument_group("how to score")
    how.add_argument(
        "--protocol",
        choices=("exact", "tutorial"),
        default="exact",
        help="exact: every token but the first of each stream; tutorial: accuracy over 25 windows "
        "after a warm-up of 5",
    )
    how.add_argument(
        "--batch-size",
        type=at_least(1),
        metavar="N",
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
        help="score the first N tokens only (default: all, or as many as in the run)",
    )
    how.add_argument(
        "--per-token",
        type=Path,
        metavar="FILE.csv",
        help="also write each token of the text but the first, with its -log p in nats and bits "
        "and the most probable token in its place, given all tokens before it",
    )
    more = parser.add_argument_group("an adapted model, in rows of its own")
    more.add_argument(
        "--dynamic",
        type=float,
        metavar="RATE",
        help="also score with a step of gradient descent after each window (default: no)",
    )
    more.add_argument(
        "--dynamic-decay",
        type=float,
        metavar="X",
        default=0.0,
        help="part of the way back to the trained parameters in each of these steps",
    )
    more.add_argument(
        "--dynamic-rms",
        type=rms,
        metavar=f"N|{ADAM}",
        help="divide these steps, entry by entry, by the root mean square of the gradient over the "
        f"first N tokens of the training text, or by that which Adam kept in training ({ADAM}) "
        "(default: no)",
    )
    more.add_argument(
        "--cache",
        type=at_least(1),
        metavar="N",
        help="also score with a cache of the last N hidden states and their next tokens; with "
        "--dynamic, also with both (default: no)",
    )
    more.add_argument(
        "--cache-theta",
        type=float,
        metavar="X",
        default=CACHE_THETA,
        help="factor of the similarity of two states",
    )
    more.add_argument(
        "--cache-share",
        type=float,
        metavar="X",
        default=CACHE_SHARE,
        help="share of the cache in the probabilities",
    )
    more.add_argument(
        "--temperature",
        type=temperature,
        metavar=f"X|{CHOSEN}",
        help="also score with the logits divided by X, or by the number that suits the "
        f"validation text best ({CHOSEN}) (default: no)",
    )
    parser.add_argument("--json", action="store_true", dest="as_json", help="print one JSON object")
    parser.add_quiet("the figures")
    parser.add_threads("all")
    return parser


def command(
    *,
    checkpoint: Path,
    protocol: str,
    num_steps: int,
    cache_theta: float,
    cache_share: float,
    as_json: bool = False,
    cache: int | None = None,
    dynamic: float | None = None,
    dynamic_decay: float = 0.0,
    dynamic_rms: int | str | None = None,
    temperature: float | str | None = None,
    batch_size: int | None = None,
    per_token: Path | None = None,
    threads: int | None = None,
    **text_named: Any,
) -> None:
    """Load, score, print."""
    from numpylstm import evaluation
    from numpylstm.adaptation import (
        evaluate_at_temperature,
        evaluate_dynamic,
        evaluate_dynamic_with_cache,
        evaluate_with_cache,
    )

    if {"split", "file"} <= text_named.keys():
        raise CommandError("--split is for a corpus; --text is scored as a whole")
    if "max_tokens" in text_named and text_named.get("split") == "train":
        raise CommandError("--max-tokens is for --text and the splits valid and test, not train")
    if cache is None and (cache_theta, cache_share) != (CACHE_THETA, CACHE_SHARE):
        raise CommandError("--cache-theta and --cache-share are for --cache N")
    if dynamic is None and (dynamic_decay or dynamic_rms is not None):
        raise CommandError("--dynamic-decay and --dynamic-rms are for --dynamic RATE")
    set_threads(threads)
    saved, model = load_run(checkpoint)
    level = LEVELS[saved.config.level]
    B = batch_size or (20 if protocol == "tutorial" else 1)
    T = num_steps
    text = read_text(checkpoint, saved, text_named, streams=B)
    choice = "as given"
    if isinstance(temperature, str):
        temperature, choice = chosen_temperature(checkpoint, saved, model, text_named, B, T)
    divisors = None
    if isinstance(dynamic_rms, str):
        divisors = adam_rms(saved)
    elif dynamic_rms is not None:
        divisors = training_rms(checkpoint, saved, model, text_named, dynamic_rms, B, T)
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
    with waiting("scoring") as shown, arguments_checked():
        if protocol == "tutorial":
            found = evaluation.tutorial_protocol(model, text.ids, batch_size=B, num_steps=T)
            facts |= {"accuracy": found.accuracy, "windows": found.batches}
        else:
            result = evaluation.evaluate(model, text.ids, B, T, watch=shown.share)
            facts |= {
                "scored": result.tokens,
                "unscored": result.unscored,
                "state": "zero at the start of each stream, carried from window to window",
                **figures(result, "the parameters of the model have exploded"),
            }
            if level.bits_per_unit:
                facts[f"bits_per_{level.unit}"] = result.bits
        if temperature is not None:
            result = evaluate_at_temperature(
                model, text.ids, B, T, temperature=temperature, watch=shown.share
            )
            told = figures(result, "raise the number of --temperature")
            facts["tempered"] = {"temperature": temperature, "choice": choice, **told}
        steps: dict[str, Any] = {"rate": dynamic, "decay": dynamic_decay}
        of_cache: dict[str, Any] = {"size": cache, "theta": cache_theta, "share": cache_share}
        rms_name = {"rms": dynamic_rms}
        if dynamic is not None:
            result = evaluate_dynamic(
                model, text.ids, B, T, **steps, rms=divisors, watch=shown.share
            )
            facts["dynamic"] = steps | rms_name | figures(result, LOWER_RATE)
        if cache is not None:
            result = evaluate_with_cache(model, text.ids, B, T, **of_cache, watch=shown.share)
            facts["cache"] = of_cache | figures(result, "change the numbers of --cache")
        if dynamic is not None and cache is not None:
            result = evaluate_dynamic_with_cache(
                model, text.ids, B, T, **steps, rms=divisors, **of_cache, watch=shown.share
            )
            facts["dynamic_with_cache"] = steps | rms_name | of_cache | figures(result, LOWER_RATE)
    if per_token is not None:
        with waiting("scoring each token"):
            write_tokens(per_token, model, saved.vocabulary, text.ids)
    if as_json:
        print(json.dumps(facts, allow_nan=False))
        return
    named = dict(facts)
    bits = facts.get(f"bits_per_{level.unit}")
    if bits is not None:
        named |= {"bits": bits, "unit": level.unit}
    for label, form in LINES.items():
        with suppress(KeyError):  # not every line has its figures
            print(f"{label:15}{printable(form.format(**named))}")


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
    "bits": "{bits:.4f} per {unit}",
    "accuracy": "{accuracy:.4f}",
    "mean of": "{windows} windows, after 5 that fill the state",
    "tempered": "perplexity {tempered[perplexity]:.3f}, accuracy {tempered[accuracy]:.4f}; "
    "temperature {tempered[temperature]:g}, {tempered[choice]}",
    "dynamic": "perplexity {dynamic[perplexity]:.3f}, accuracy {dynamic[accuracy]:.4f}; "
    "rate {dynamic[rate]:g}, decay {dynamic[decay]:g}",
    "cache": "perplexity {cache[perplexity]:.3f}, accuracy {cache[accuracy]:.4f}; "
    "size {cache[size]}, theta {cache[theta]:g}, share {cache[share]:g}",
    "both": "perplexity {dynamic_with_cache[perplexity]:.3f}, accuracy "
    "{dynamic_with_cache[accuracy]:.4f}; a cache and dynamic steps, with the same settings",
}
"""The lines of the output: a label, and a form that takes the figures of the JSON object."""


def chosen_temperature(
    checkpoint: Path,
    saved: "Checkpoint",
    model: "LanguageModel",
    text_named: Mapping[str, Any],
    batch_size: int,
    num_steps: int,
) -> tuple[float, str]:
    """Return the temperature that suits the validation text best, and how it was chosen."""
    from numpylstm.adaptation import choose_temperature

    of_corpus = {name: value for name, value in text_named.items() if name != "file"}
    named = {**of_corpus, "split": "valid"}
    valid = read_text(checkpoint, saved, named, streams=batch_size)
    with waiting("choosing the temperature") as shown:
        best = choose_temperature(model, valid.ids, batch_size, num_steps, watch=shown.share)
    return best, f"chosen on the {valid.name}"


def adam_rms(saved: "Checkpoint") -> "dict[str, NDArray[Any]]":
    """Return the root mean square gradients in training, from the state of Adam in a checkpoint."""
    import numpy as np

    from numpylstm.saving import within

    squares = within("optimizer/second_moment", saved.arrays)
    if not squares:
        raise CommandError(
            f"--dynamic-rms {ADAM} is for a run of Adam or AdamW, and this one was trained by "
            f"{saved.config.optimizer}; --dynamic-rms N measures the gradients"
        )
    return {path: np.sqrt(array) for path, array in squares.items()}


def training_rms(
    checkpoint: Path,
    saved: "Checkpoint",
    model: "LanguageModel",
    text_named: Mapping[str, Any],
    tokens: int,
    batch_size: int,
    num_steps: int,
) -> "dict[str, NDArray[Any]]":
    """Return the root mean square gradients over the first tokens of the training text."""
    from numpylstm.adaptation import gradient_rms

    named = {name: value for name, value in text_named.items() if name == "data"}
    train = read_text(checkpoint, saved, {**named, "split": "train"}, streams=batch_size)
    with waiting("measuring gradients") as shown, arguments_checked():
        first = train.ids[:tokens]
        return gradient_rms(model, first, batch_size, num_steps, watch=shown.share)


def write_tokens(
    path: Path, model: "LanguageModel", vocabulary: "Vocabulary", ids: "NDArray[Any]"
) -> None:
    """Write a row for each token but the first."""
    from numpylstm.evaluation import surprise, true_and_predicted
    from numpylstm.training.run_folder import write_rows

    _, nll = surprise(model, ids, length=None)
    true, predicted = true_and_predicted(model, ids, length=len(ids) - 1, start=0)
    nats = nll.astype(float).tolist()
    bits = (value / math.log(2) for value in nats)
    positions = range(1, len(ids))
    tokens = vocabulary.decode(true)
    guesses = vocabulary.decode(predicted)
    rows = zip(positions, tokens, guesses, nats, bits, strict=True)
    write_rows(path, ("position", "token", "predicted", "nats", "bits"), rows)


def figures(result: "Evaluation", advice: str) -> dict[str, float]:
    """Return the figures of a text that was scored, if they are finite."""
    from numpylstm.checks import NotFinite

    if not math.isfinite(result.perplexity):
        raise NotFinite(f"the perplexity is not finite; {advice}")
    return {key: getattr(result, key) for key in ("loss", "perplexity", "accuracy")}


main = partial(run, make_parser, command)
"""Run the command with a list of arguments, or those of the process; return its exit status."""
