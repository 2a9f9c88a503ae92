"""Findings on a finished run: three common problems, each in one sentence.

They come from the metrics alone. Each is a function that returns its sentence, or None if it does
not apply; the limits are the constants below.
"""

from collections.abc import Mapping, Sequence

from numpylstm.training.metrics import Row

UNKNOWN = 0.05  # largest share of <unk> in the text


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
    found = (
        validation_rises(rows),
        much_is_unknown(unknown, tokens),
        *(no_better_than(test, name, references[name]) for name in references if "bigram" in name),
    )
    return [sentence for sentence in found if sentence is not None]


def validation_rises(rows: Sequence[Row]) -> str | None:
    """Finding: the validation perplexity rose in two successive epochs."""
    levels = [row.valid_perplexity for row in rows if row.valid_perplexity is not None]
    if not any(a < b < c for a, b, c in zip(levels, levels[1:], levels[2:], strict=False)):
        return None
    return (
        "The validation perplexity rose for two epochs in a row; best.npz is from the epoch with "
        "the lowest. If the training perplexity fell, the network began to memorise its text: "
        "dropout helps against that; if it rose too, a lower --lr helps."
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
