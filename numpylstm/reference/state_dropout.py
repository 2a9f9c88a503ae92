"""Dropout of the state: a mask for each stream, the same at all steps (Gal and Ghahramani 2016).

The mask drops units of h where h enters a product with Wh, and nowhere else: h goes up to the next
layer whole, and so does what a GRU keeps of it. In a stream with the mask m (H,)::

    (h * m) @ Wh = h @ (m[:, None] * Wh)

so each stream is an ordinary batch of one, with a Wh of its own, some of whose rows are zero.
"""

import numpy as np

from numpylstm.reference.padded_batches import per_step

__all__ = ["state_dropout_forward", "state_dropout_backward"]


def state_dropout_forward(forward, h_mask, x, state, Wx, Wh, *arguments):
    """Run a recurrent layer whose streams drop units of h.

    Parameters
    ----------
    forward : function
        Such as `lstm_forward`.
    h_mask : (B, H)
        0 where a unit is dropped, 1 / (1 - p) elsewhere; see `dropout_mask`.
    x : (T, B, D)
    state : list of (B, H)
        The arguments of `forward` that follow x: h0 and, for the LSTM, c0.
    Wx, Wh, arguments
        The arguments of `forward` after these.

    Returns
    -------
    hs, hT, ..., cache
        As of `forward`; the mask is in the cache.
    """
    results = []
    caches = []
    for b, mask in enumerate(h_mask):
        stream = slice(b, b + 1)
        before = [part[stream] for part in state]
        *result, cache = forward(x[:, stream], *before, Wx, mask[:, None] * Wh, *arguments)
        results.append(result)
        caches.append(cache)
    hs, *after = zip(*results, strict=True)
    over_time = {}
    for name in per_step(caches[0]):
        streams = [getattr(cache, name) for cache in caches]
        over_time[name] = np.concatenate(streams, axis=1)
    cache = caches[0]._replace(**over_time, Wh=Wh, h_mask=h_mask)
    return np.concatenate(hs, axis=1), *map(np.concatenate, after), cache


def state_dropout_backward(backward, dhs, dstate, cache):
    """Go back through each stream of `state_dropout_forward`.

    Parameters
    ----------
    backward : function
        Such as `lstm_backward`.
    dhs : (T, B, H)
    dstate : list of (B, H)
        dhT and, for the LSTM, dcT.
    cache : of `state_dropout_forward`

    Returns
    -------
    dx, dh0, ..., dWx, dWh, ...
        As of `backward`.
    """
    of_streams = []  # dx and the gradients of the state
    sums = []  # of dWx and all that follows it
    for b, mask in enumerate(cache.h_mask):
        stream = slice(b, b + 1)
        over_time = {name: getattr(cache, name)[:, stream] for name in per_step(cache)}
        own = cache._replace(**over_time, Wh=mask[:, None] * cache.Wh, h_mask=None)
        dafter = [part[stream] for part in dstate]
        dx, *gradients = backward(dhs[:, stream], *dafter, own)
        dbefore, (dWx, dWh, *others) = gradients[: len(dstate)], gradients[len(dstate) :]
        of_streams.append((dx, *dbefore))
        dweights = [dWx, mask[:, None] * dWh, *others]  # a row of Wh that was dropped has 0
        if not sums:
            sums = [None if d is None else np.zeros_like(d) for d in dweights]
        for total, d in zip(sums, dweights, strict=True):
            if d is not None:  # as dbn of a GRU without a bn
                total += d  # rule 3
    dx, *dbefore = zip(*of_streams, strict=True)
    return np.concatenate(dx, axis=1), *map(np.concatenate, dbefore), *sums
