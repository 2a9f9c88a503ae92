"""Text with a background colour for each token."""

import html
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import to_hex, to_rgb
from numpy.typing import ArrayLike

from numpylstm.checks import check_finite, check_interval
from numpylstm.plots.style import SKY, YELLOW


def coloured_text(
    tokens: Sequence[str],
    values: ArrayLike,
    *,
    limit: float | None = None,
) -> str:
    """Colour tokens from blue (negative) through white (zero) to orange (positive).

    The colours are light enough for black letters and differ for every common kind of colour
    vision. White space and line ends are kept, so characters make running text.

    Parameters
    ----------
    tokens : sequence of str
    values : (N,) array_like of float
        One for each token; must be finite.
    limit : float, optional
        Absolute value with the full colour; larger ones are clipped. By default the largest.

    Returns
    -------
    str
        HTML, for ``IPython.display.HTML``.

    Raises
    ------
    ValueError
        If there is not one finite value for each token, or the limit is not positive.

    Examples
    --------
    >>> from numpylstm.plots import coloured_text
    >>> coloured_text(["a", "<"], [0.0, 1.0]).count("<span")
    2
    """
    numbers = np.asarray(values, np.float64)
    if numbers.shape != (len(tokens),):
        raise ValueError(
            f"coloured_text: values must have shape ({len(tokens)},), got {numbers.shape}; "
            "each token needs one"
        )
    check_finite("coloured_text", "values", numbers, "the model that made them may have diverged")
    if limit is None:
        limit = np.abs(numbers).max(initial=0.0) or 1.0
    check_interval("coloured_text", "limit", limit, "(0, inf]")
    spans = [
        f'<span style="background:{background(share)}">{html.escape(token)}</span>'
        for token, share in zip(tokens, np.clip(numbers / limit, -1, 1), strict=True)
    ]
    return (
        '<pre style="background:#fff;color:#000;line-height:1.6;padding:0.5em;'
        f'white-space:pre-wrap">{"".join(spans)}</pre>'
    )


def background(share: float) -> str:
    """Mix white with SKY for a share down to -1, with YELLOW for a share up to 1."""
    end = np.array(to_rgb(YELLOW if share > 0 else SKY))
    return to_hex(tuple(1 + abs(share) * (end - 1)))
