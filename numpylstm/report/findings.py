"""Findings on a finished run: five common problems, each in one sentence.

They come from the metrics alone. Each is a function that returns its sentence, or None if it does
not apply; the limits are the constants below.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from numpylstm.training.metrics import Epoch, Row, epochs_of

UNKNOWN = 0.05  # largest share of <unk> in the text
APART = 1.3  # largest ratio of validation to training perplexity
FOLLOWS = 0.5  # smallest fall of the validation perplexity, as a share of that of training
STILL = 0.005  # largest relative change of a perplexity between epochs that counts as none


def findings(
    rows: Sequence[Row],
    *,
    unknown: int,
    tokens: int,
    test: float,
    references: Mapping[str, float],
) -> list[str]:
    """Return the sentences of all findings that apply.

    `unknown` of `tokens` of the whole text are ``<unk>``; `test` is the perplexity of the test
    text, `references` those of the baselines.
    """
    epochs = epochs_of(rows)
    found = (
        validation_rises(epochs),
        curves_diverge(epochs),
        much_is_unknown(unknown, tokens),
        *(no_better_than(test, name, references[name]) for name in references if "bigram" in name),
        rate_is_too_small(epochs),
    )
    return [sentence for sentence in found if sentence is not None]


def validation_rises(epochs: Sequence[Epoch]) -> str | None:
    """Finding: the validation perplexity rose in two successive epochs."""
    for (a, b), (_, c) in reversed(list(pairwise(pairwise(epochs)))):
        if a.validation < b.validation < c.validation:
            best = min(epochs, key=lambda epoch: epoch.validation)
            cause = "the network began to memorise its text; dropout helps against that"
            if c.training > a.training:
                cause = "the training perplexity rose too; a lower --lr helps against that"
            return (
                f"The validation perplexity rose for two epochs, from {a.validation:.4g} after "
                f"epoch {a.number} to {c.validation:.4g} after epoch {c.number}: {cause}; best.npz "
                f"is from epoch {best.number}."
            )
    return None


def curves_diverge(epochs: Sequence[Epoch]) -> str | None:
    """Finding: the training perplexity fell, and the validation perplexity did not follow.

    The first epoch is left out: its mean includes the updates of an untrained network.
    """
    if len(epochs) < 3:
        return None
    closest = min(epochs[1:], key=lambda epoch: epoch.validation / epoch.training)
    last = epochs[-1]
    fall = math.log(closest.training / last.training)
    followed = math.log(closest.validation / last.validation)
    if fall <= 0 or last.validation <= APART * last.training or followed >= FOLLOWS * fall:
        return None
    return (
        f"The curves diverge: from epoch {closest.number} to {last.number} the training perplexity "
        f"went from {closest.training:.4g} to {last.training:.4g}, the validation perplexity from "
        f"{closest.validation:.4g} to {last.validation:.4g}; more dropout, fewer units or more "
        "text bring them together."
    )


def much_is_unknown(unknown: int, tokens: int) -> str | None:
    """Finding: much of the text is ``<unk>``."""
    share = unknown / tokens
    if share <= UNKNOWN:
        return None
    return (
        f"{share:.1%} of the text is <unk>, {unknown:,} of {tokens:,} tokens: they are easy to "
        "predict and say nothing, so the perplexity looks better than it is; a larger vocabulary "
        "(--max-vocab), more text or --level char leave fewer."
    )


def no_better_than(test: float, name: str, level: float) -> str | None:
    """Finding: the network is no better than a bigram model."""
    if test < level:
        return None
    return (
        f"The test perplexity, {test:.4g}, is no better than that of the {name} model, "
        f"{level:.4g}, which only counts which token follows which: train longer, or look for what "
        "keeps the network from learning."
    )


def rate_is_too_small(epochs: Sequence[Epoch]) -> str | None:
    """Finding: the last epoch changed hardly anything, since the learning rate is too small."""
    if len(epochs) < 2:
        return None
    first, before, last = epochs[0], epochs[-2], epochs[-1]
    changes = [
        abs(math.log(last.training / before.training)),
        abs(math.log(last.validation / before.validation)),
    ]
    moved_once = abs(math.log(last.training / first.training)) > len(epochs) * STILL
    if max(changes) > STILL or (moved_once and last.lr == first.lr):
        return None
    return (
        f"The learning rate is too small to have an effect: at {last.lr:.3g} the last epoch "
        f"changed the training perplexity by {changes[0]:.2%}, the validation perplexity by "
        f"{changes[1]:.2%}; fewer epochs give the same, a larger --lr or a slower decay may give "
        "more."
    )
