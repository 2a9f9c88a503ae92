"""The carousel split: how much of the derivative of the cell is the forget gate.

Tutorials say of the line ``c = f * c_prev + i * g`` that dc/dc_prev *is* f, and that over T steps
the derivative is the product of the forget gates. That is one path of many: the gates of step t
are computed from h of step t-1, which is computed from c of step t-1::

    d cT / d c0  =  diag(f_1 * f_2 * ... * f_T)  +  everything that went through an h at least once
                          direct                              indirect

`carousel` computes both terms, each by its own recurrence. A GRU has the same two parts: its
memory is h itself, and the update gate z takes the place of f.

Sources: Hochreiter and Schmidhuber (1997) for the constant error carousel; their learning rule
*truncated* the indirect part. Graves and Schmidhuber (2005) introduced the full gradient, which
this package computes.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from numpylstm import reference
from numpylstm.checks import Array, check_shape, check_sizes, real_array
from numpylstm.laboratory.diagnostics.steps import cell_of, check_cache, step_cache, step_jacobian


class CarouselSplit(NamedTuple):
    """Jacobian of the last cell with respect to the first, for each sequence of the batch.

    Entry ``[b, j, k]`` is d cT[b, j] / d c0[b, k], with h0 held fixed; of a GRU, d hT / d h0.
    """

    direct: Array  # (B, H, H), diagonal
    indirect: Array  # (B, H, H)

    @property
    def total(self) -> Array:
        """Direct plus indirect, (B, H, H)."""
        return self.direct + self.indirect


class CarouselNorms(NamedTuple):
    """Frobenius norms of both parts after 1, 2, ..., T steps, averaged over the batch."""

    direct: Array  # (T,)
    indirect: Array  # (T,)

    @property
    def share(self) -> Array:
        """Indirect / (direct + indirect), (T,): 0 if the derivative is the product of the gates."""
        with np.errstate(over="ignore", invalid="ignore"):  # of norms that exploded
            whole = self.direct + self.indirect
            return np.divide(self.indirect, whole, out=np.zeros_like(whole), where=whole != 0)


def carousel(cache: reference.LSTMCache | reference.GRUCache) -> CarouselSplit:
    """Split d cT / d c0 into the path along the forget gates and all other paths.

    Parameters
    ----------
    cache : cache of any cell but the vanilla one
        Of `lstm_forward` or `gru_forward`, say, in the textbook or on the fast path. For a cell
        without c, read h for c and the factor of h_prev, such as z, for f. Of an sLSTM m is fixed.

    Notes
    -----
    With the blocks of the Jacobian of step t, and P for d c/d c0, Q for d h/d c0::

        direct_t   = f_t * direct_{t-1}                                   direct_0   = 1
        indirect_t = f_t * indirect_{t-1} + (dc_t/dh_{t-1}) Q_{t-1}       indirect_0 = 0
        Q_t        = (dh_t/dh_{t-1}) Q_{t-1} + (dh_t/dc_{t-1}) P_{t-1}    Q_0        = 0
        P_t        = direct_t + indirect_t

    Examples
    --------
    >>> import numpy as np
    >>> from numpylstm import diagnostics, reference
    >>> rng = np.random.default_rng(0)
    >>> T, B, D, H = 5, 3, 4, 6
    >>> x, c0 = rng.normal(size=(T, B, D)), rng.normal(size=(B, H))
    >>> Wx, Wh, b = rng.normal(size=(D, 4 * H)), np.zeros((H, 4 * H)), np.zeros(4 * H)
    >>> *_, cache = reference.lstm_forward(x, np.zeros((B, H)), c0, Wx, Wh, b)
    >>> split = diagnostics.carousel(cache)
    >>> bool((split.indirect == 0).all())  # without Wh there is no other path
    True
    """
    splits = list(_splits("carousel", cache))
    return splits[-1]


def carousel_norms(cache: reference.LSTMCache | reference.GRUCache) -> CarouselNorms:
    """Return the norms of both parts of d c_t / d c0, for t = 1 ... T."""
    splits = _splits("carousel_norms", cache)
    sizes = [[np.linalg.norm(part, axis=(1, 2)).mean() for part in split] for split in splits]
    return CarouselNorms(*np.array(sizes).T)


def carousel_share(
    wh_scales: Sequence[float],
    forget_biases: Sequence[float],
    *,
    num_steps: int = 40,
) -> dict[tuple[float, float], CarouselNorms]:
    """Measure the two parts in random cells, for each scale of Wh and each forget bias.

    The entries of Wh are normal with standard deviation ``scale / sqrt(H)``, which makes `scale`
    about the spectral radius of each of its four blocks. Inputs x are normal, Wx is normal with
    standard deviation ``1 / sqrt(H)``, other biases are zero, and the state begins at zero. All
    cells get the same random numbers. B is 4, and D and H are 32.

    Parameters
    ----------
    num_steps : int
        T.

    Returns
    -------
    dict of (scale, forget bias) -> CarouselNorms
    """
    for name, values in (("wh_scales", wh_scales), ("forget_biases", forget_biases)):
        numbers = real_array("carousel_share", name, values)
        check_shape("carousel_share", name, numbers, ("N",), "it is a sequence")
    check_sizes("carousel_share", num_steps=num_steps)
    rng = np.random.default_rng(0)
    B = 4
    H = 32
    x = rng.normal(size=(num_steps, B, H))
    Wx, Wh = rng.normal(size=(2, H, 4 * H)) / np.sqrt(H)
    zeros = np.zeros((B, H))
    results = {}
    for scale, forget_bias in product(wh_scales, forget_biases):
        b = np.repeat([0.0, forget_bias, 0.0, 0.0], H)
        _, _, _, cache = reference.lstm_forward(x, zeros, zeros, Wx, scale * Wh, b)
        results[scale, forget_bias] = carousel_norms(cache)
    return results


def _splits(where: str, cache: Any) -> Iterator[CarouselSplit]:
    """Yield the direct and indirect part of d memory_t / d memory_0, (B, H, H), for t = 1 ... T."""
    check_cache(where, cache)
    T, B, H = cache.h.shape
    cell = cell_of(cache)
    if cell.keep is None:
        raise TypeError(
            f"{where}: cache must come from a cell with a gate on its memory, got "
            f"{cell.title}; the vanilla cell has no carousel"
        )
    first = cell.states.index(cell.memory_field) * H
    memory = slice(first, first + H)  # its place in the state, (S,)
    S = len(cell.states) * H
    others = np.delete(np.arange(S), memory)
    before = np.zeros((B, S, H))  # d state_t-1 / d memory_0
    before[:, memory] = np.eye(H)
    direct = np.broadcast_to(np.eye(H), (B, H, H))
    indirect = np.zeros((B, H, H))
    for t in range(T):
        step = step_cache(cache, t)
        J = step_jacobian(step)  # (B, S, S)
        straight = getattr(step, cell.keep)[:, :, None] * np.eye(H)  # (B, H, H)
        around = J[:, memory].copy()
        around[:, :, memory] -= straight  # all but the straight path; for an LSTM, 0
        direct = straight @ direct
        indirect = straight @ indirect + around @ before
        before[:, others] = J[:, others] @ before
        before[:, memory] = direct + indirect
        yield CarouselSplit(direct, indirect)
