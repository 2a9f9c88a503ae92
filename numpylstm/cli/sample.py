"""``numpylstm-sample``: draw text from a checkpoint."""

import argparse
import itertools
import json
import secrets
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpylstm.cli.common import Parser, arguments_checked, at_least, load_run, run, set_threads
from numpylstm.levels import LEVELS
from numpylstm.printing import printable
from numpylstm.training.display import is_quiet, waiting

if TYPE_CHECKING:
    from numpylstm.models import LanguageModel
    from numpylstm.training.checkpoint import Checkpoint


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = Parser(
        prog="numpylstm-sample",
        description="Text from a checkpoint, which carries its own vocabulary.",
    )
    parser.add_run()
    parser.add_argument(
        "--prompt",
        action="append",
        dest="prompts",
        help="text to continue (default: a new line); given several times, each is continued, with "
        "the same seed",
    )
    parser.add_argument("--length", type=int, metavar="N", default=100, help="tokens to draw")
    parser.add_argument(
        "--temperature",
        type=float,
        metavar="X",
        default=1.0,
        help="below 1 more probable text, above 1 more surprising text; 0 takes the best token",
    )
    parser.add_argument(
        "--top-k",
        type=int,
        metavar="K",
        help="draw from the K most probable tokens only; 1 takes the best",
    )
    parser.add_argument(
        "--top-p",
        type=float,
        metavar="X",
        default=1.0,
        help="draw from the most probable tokens only, whose probabilities add up to X",
    )
    parser.add_argument(
        "--ban-unk", action=argparse.BooleanOptionalAction, default=True, help="never draw <unk>"
    )
    parser.add_argument(
        "--seed",
        type=at_least(0),
        metavar="N",
        help="seed of the draws (default: a new one each time, which is printed)",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        dest="as_json",
        help="print one JSON object, with the text, the seed and the perplexity of the text under "
        "the model itself",
    )
    parser.add_quiet("the text")
    parser.add_threads("all")
    return parser


def command(
    *,
    checkpoint: Path,
    length: int,
    temperature: float,
    ban_unk: bool,
    as_json: bool = False,
    prompts: Sequence[str] = ("",),
    threads: int | None = None,
    top_k: int | None = None,
    top_p: float = 1.0,
    seed: int | None = None,
) -> None:
    """Load the model and continue each prompt."""
    set_threads(threads)
    saved, model = load_run(checkpoint)
    used_seed = secrets.randbits(32) if seed is None else seed  # short enough to retype
    for n, prompt in enumerate(prompts):
        continue_prompt(
            saved,
            model,
            prompt,
            as_json=as_json,
            ban_unk=ban_unk,
            length=length,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=used_seed,
            tell_seed=n == 0 and seed is None and temperature > 0,
        )


def continue_prompt(
    saved: "Checkpoint",
    model: "LanguageModel",
    prompt: str,
    *,
    as_json: bool,
    ban_unk: bool,
    length: int,
    seed: int,
    tell_seed: bool,
    **how: Any,
) -> None:
    """Read a prompt, draw and print; `how` are arguments of `numpylstm.generate`."""
    import numpy as np

    from numpylstm import sampling
    from numpylstm.data import UNK, detokenize
    from numpylstm.data.configured import tokens_like
    from numpylstm.data.text import written
    from numpylstm.evaluation import evaluate
    from numpylstm.report.result import as_json as without_infinity

    vocabulary, level = saved.vocabulary, saved.config.level
    tokens = tokens_like(saved.config, vocabulary, prompt)
    unknown = vocabulary.unknown(tokens)
    ids, _ = vocabulary.encode(tokens or [LEVELS[level].first_prompt])
    banned = [vocabulary.unk_id] if ban_unk else []
    with arguments_checked():
        drawn = sampling.stream(model, ids, length, banned=banned, rng=seed, **how)
        # Kernels are compiled, or loaded, at the first token.
        with waiting("compiling kernels"):
            drawn = itertools.chain(list(itertools.islice(drawn, 1)), drawn)
        if unknown and not is_quiet():
            names = printable(" ".join(map(repr, unknown)))
            print(f"not in the vocabulary, read as {UNK}: {names}", file=sys.stderr)
        if tell_seed and not is_quiet():
            print(f"seed {seed}", file=sys.stderr)
        if not as_json:
            show(prompt, written((vocabulary.tokens[n] for n in drawn), level, after=prompt))
            return
        kept = list(drawn)
        whole = np.array([*ids, *kept])
        perplexity = evaluate(model, whole).perplexity if len(whole) > 1 else None
    found = {
        "checkpoint": str(saved.path),
        "prompt": prompt,
        "unknown": unknown,
        "text": prompt + detokenize(vocabulary.decode(kept), level, after=prompt),
        "tokens": len(kept),
        **how,
        "seed": seed,
        "perplexity": perplexity,
    }
    print(json.dumps(without_infinity(found), allow_nan=False))


def show(prompt: str, pieces: Iterator[str]) -> None:
    """Print a text token by token; an interruption leaves those that were drawn."""
    print(printable(prompt, lines=True), end="", flush=True)
    try:
        for piece in pieces:
            print(printable(piece, lines=True), end="", flush=True)
    finally:
        print(flush=True)


main = partial(run, make_parser, command)
"""Run the command with a list of arguments, or those of the process; return its exit status."""
