"""Findings on a finished run: four common problems, each in one sentence.

They come from the metrics alone. A finding is a kind and the numbers it rests on; the sentences
are in `SENTENCES`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from numpylstm.baselines import Baseline
from numpylstm.training.metrics import Row, best_row
from numpylstm.training.run_folder import BEST, LAST

UNKNOWN = 0.05  # largest share of <unk> in the text


class Kind(Enum):
    """A kind of finding."""

    LAST_IS_BETTER = auto()
    VALIDATION_RISES = auto()
    MUCH_IS_UNKNOWN = auto()
    NO_BETTER_THAN_COUNTING = auto()


SENTENCES: dict[Kind, str] = {
    Kind.LAST_IS_BETTER: (
        "The run ended within epoch {last_epoch}, with a validation perplexity of {last:.2f}; "
        f"{BEST} is from the end of epoch {{best_epoch}}, with {{best:.2f}}. Name {LAST} to "
        "sample, score or export the better network."
    ),
    Kind.VALIDATION_RISES: (
        "The validation perplexity rose for two epochs in a row; best.npz is from the epoch with "
        "the lowest. If the training perplexity fell, the network began to memorise its text: "
        "dropout helps against that; if it rose too, a lower --lr helps."
    ),
    Kind.MUCH_IS_UNKNOWN: (
        "{share:.1%} of the text is <unk>, {unknown:,} of {tokens:,} tokens: they are easy to "
        "predict and say nothing, so the perplexity looks better than it is; a larger vocabulary "
        "(--max-vocab), more text or --level char leave fewer."
    ),
    Kind.NO_BETTER_THAN_COUNTING: (
        "The test perplexity, {test:.4g}, is no better than that of the {baseline} model, "
        "{reached:.4g}, which only counts which token follows which: train longer, or look for "
        "what keeps the network from learning."
    ),
}


@dataclass(frozen=True)
class Finding:
    """A kind of finding, and the numbers that its sentence mentions."""

    kind: Kind
    facts: Mapping[str, Any]

    def __str__(self) -> str:
        return SENTENCES[self.kind].format(**self.facts)


def last_is_better(rows: Sequence[Row], epochs: int) -> Finding | None:
    """Return a finding if a run ended within an epoch, better than its best checkpoint."""
    best = best_row(rows, epochs)
    if best is None:
        return None
    last = rows[-1]
    kept = best.valid_perplexity
    reached = last.valid_perplexity
    if kept is None or reached is None or reached >= kept:
        return None
    facts = {"last_epoch": last.epoch, "last": reached, "best_epoch": best.epoch, "best": kept}
    return Finding(Kind.LAST_IS_BETTER, facts)


def findings(
    rows: Sequence[Row],
    epochs: int,
    *,
    unknown: int,
    tokens: int,
    test: float,
    references: Mapping[Baseline, float],
) -> list[Finding]:
    """Return all findings that apply.

    `epochs` epochs of the rows are finished; `unknown` of `tokens` of the whole text are ``<unk>``;
    `test` is the perplexity of the test text, `references` those of the baselines.
    """
    better = last_is_better(rows, epochs)
    found = [] if better is None else [better]
    facts: dict[str, Any]
    ends = [row for row in rows if row.epoch <= epochs]
    levels = [row.valid_perplexity for row in ends if row.valid_perplexity is not None]
    if any(a < b < c for a, b, c in zip(levels, levels[1:], levels[2:], strict=False)):
        found.append(Finding(Kind.VALIDATION_RISES, {}))
    share = unknown / tokens
    if share > UNKNOWN:
        facts = {"share": share, "unknown": unknown, "tokens": tokens}
        found.append(Finding(Kind.MUCH_IS_UNKNOWN, facts))
    bigram = Baseline.INTERPOLATED_BIGRAM
    reached = references.get(bigram)
    if reached is not None and test >= reached:
        facts = {"test": test, "baseline": bigram.value, "reached": reached}
        found.append(Finding(Kind.NO_BETTER_THAN_COUNTING, facts))
    return found
