"""Findings on a finished run: three common problems, each in one sentence.

They come from the metrics alone.
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
    found = []
    levels = [row.valid_perplexity for row in rows if row.valid_perplexity is not None]
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
