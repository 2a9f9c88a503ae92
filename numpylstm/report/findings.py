"""Findings on a finished run: four common problems, each in one sentence.

They come from the metrics alone.
"""

from collections.abc import Mapping, Sequence

from numpylstm.training.metrics import Row, best_row
from numpylstm.training.run_folder import BEST, LAST

UNKNOWN = 0.05  # largest share of <unk> in the text


def last_is_better(rows: Sequence[Row], epochs: int) -> str | None:
    """Return a sentence if a run ended within an epoch, better than its best checkpoint."""
    best = best_row(rows, epochs)
    if best is None:
        return None
    last = rows[-1]
    kept, reached = best.valid_perplexity, last.valid_perplexity
    if kept is None or reached is None or reached >= kept:
        return None
    return (
        f"The run ended within epoch {last.epoch}, with a validation perplexity of "
        f"{reached:.2f}; {BEST} is from the end of epoch {best.epoch}, with "
        f"{kept:.2f}. Name {LAST} to sample, score or export the better network."
    )


def findings(
    rows: Sequence[Row],
    epochs: int,
    *,
    unknown: int,
    tokens: int,
    test: float,
    references: Mapping[str, float],
) -> list[str]:
    """Return the sentences of all findings that apply.

    `epochs` epochs of the rows are finished; `unknown` of `tokens` of the whole text are ``<unk>``;
    `test` is the perplexity of the test text, `references` those of the baselines.
    """
    better = last_is_better(rows, epochs)
    found = [] if better is None else [better]
    ends = [row for row in rows if row.epoch <= epochs]
    levels = [row.valid_perplexity for row in ends if row.valid_perplexity is not None]
    if any(a < b < c for a, b, c in zip(levels, levels[1:], levels[2:], strict=False)):
        found.append(
            "The validation perplexity rose for two epochs in a row; best.npz is from the epoch "
            "with the lowest. If the training perplexity fell, the network began to memorise its "
            "text: dropout helps against that; if it rose too, a lower --lr helps."
        )
    share = unknown / tokens
    if share > UNKNOWN:
        found.append(
            f"{share:.1%} of the text is <unk>, {unknown:,} of {tokens:,} tokens: they are easy to "
            "predict and say nothing, so the perplexity looks better than it is; a larger "
            "vocabulary (--max-vocab), more text or --level char leave fewer."
        )
    for name, level in references.items():
        if "bigram" in name and test >= level:
            found.append(
                f"The test perplexity, {test:.4g}, is no better than that of the {name} model, "
                f"{level:.4g}, which only counts which token follows which: train longer, or look "
                "for what keeps the network from learning."
            )
    return found
