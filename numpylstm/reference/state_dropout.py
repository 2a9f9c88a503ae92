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
    of_streams = []  # the results of each stream: hs, hT, ... and the cache
    for b, mask in enumerate(h_mask):
        stream = slice(b, b + 1)
        before = [part[stream] for part in state]
        results = forward(x[:, stream], *before, Wx, mask[:, None] * Wh, *arguments)
        of_streams.append(results)
    hs = np.concatenate([results[0] for results in of_streams], axis=1)
    after = []
    for k in range(len(state)):
        after.append(np.concatenate([results[1 + k] for results in of_streams]))
    caches = [results[-1] for results in of_streams]
    over_time = {}
    for name in per_step(caches[0]):
        over_time[name] = np.concatenate([getattr(cache, name) for cache in caches], axis=1)
    return hs, *after, caches[0]._replace(**over_time, Wh=Wh, h_mask=h_mask)


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
    of_streams = []  # the results of each stream: dx, dh0, ... and the gradients of the weights
    sums = []  # of dWx and all that follows it
    for b, mask in enumerate(cache.h_mask):
        stream = slice(b, b + 1)
        over_time = {name: getattr(cache, name)[:, stream] for name in per_step(cache)}
        of_stream = cache._replace(**over_time, Wh=mask[:, None] * cache.Wh, h_mask=None)
        dafter = [part[stream] for part in dstate]
        results = backward(dhs[:, stream], *dafter, of_stream)
        of_streams.append(results)
        dWx, dWh, *others = results[1 + len(dstate) :]
        dweights = [dWx, mask[:, None] * dWh, *others]  # a row of Wh that was dropped has 0
        if not sums:
            sums = [None if d is None else np.zeros_like(d) for d in dweights]
        for total, d in zip(sums, dweights, strict=True):
            if d is not None:  # as dbn of a GRU without a bn
                total += d  # rule 3
    dx = np.concatenate([results[0] for results in of_streams], axis=1)
    dbefore = []
    for k in range(len(dstate)):
        dbefore.append(np.concatenate([results[1 + k] for results in of_streams]))
    return dx, *dbefore, *sums
