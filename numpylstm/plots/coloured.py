"""A text whose background shows one number for each token."""

import html
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from numpylstm.plots.style import SKY, YELLOW


def coloured_text(
    tokens: Sequence[str],
    values: ArrayLike,
    *,
    limit: float | None = None,
    notes: Sequence[str] | None = None,
) -> str:
    """Tokens on a background from blue (negative) through white (zero) to orange (positive).

    The colours are light enough for black letters and differ for every common kind of colour
    vision. White space and line ends of the tokens are kept, so characters make running text.

    Parameters
    ----------
    tokens : sequence of str
    values : (N,) array_like of float
        One for each token; must be finite.
    limit : float, optional
        The size that has the full colour; larger ones are cut to it. By default the largest size
        in `values`.
    notes : sequence of str, optional
        What is shown at each token when the pointer rests there.

    Returns
    -------
    str
        HTML, for ``IPython.display.HTML``.

    Raises
    ------
    ValueError
        If there is not one finite value, and one note, for each token, or the limit is not
        positive.

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
    if not np.isfinite(numbers).all():
        raise ValueError("coloured_text: values must be finite; the model that made them went bad")
    if limit is None:
        limit = float(np.abs(numbers).max(initial=0.0)) or 1.0
    if not limit > 0:
        raise ValueError(f"coloured_text: limit must be positive, got {limit}")
    if notes is not None and len(notes) != len(tokens):
        raise ValueError(
            f"coloured_text: notes must hold {len(tokens)} texts, got {len(notes)}; each token "
            "needs one"
        )
    titles = [""] * len(tokens) if notes is None else [f' title="{html.escape(n)}"' for n in notes]
    spans = [
        f'<span style="background:{_background(share)}"{title}>{html.escape(token)}</span>'
        for token, share, title in zip(tokens, np.clip(numbers / limit, -1, 1), titles, strict=True)
    ]
    return (
        '<pre style="background:#fff;color:#000;line-height:1.6;padding:0.5em;'
        f'white-space:pre-wrap">{"".join(spans)}</pre>'
    )


def _background(share: float) -> str:
    """White mixed with SKY for a share down to -1, with YELLOW for one up to 1."""
    end = np.array([int((YELLOW if share > 0 else SKY)[k : k + 2], 16) for k in (1, 3, 5)])
    red, green, blue = np.rint(255 + abs(share) * (end - 255)).astype(int)
    return f"#{red:02x}{green:02x}{blue:02x}"
