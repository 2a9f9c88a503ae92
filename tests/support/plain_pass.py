"""A second way through a whole network: one sequence, one layer and one step at a time.

It judges `numpylstm.network` and the models, so it shares no code with them. It is made of the step
functions of the textbook, of the record of a cell, and of NumPy.
"""

import numpy as np

from numpylstm import reference
from numpylstm.cells import CELLS


def plain_pass(config, arrays, x, state, masks, lengths=None, every_step=True):
    """Return the outputs, (T, B, K), or (1, B, K) of whole sequences, and the state at their ends.

    x holds ids (T, B) or vectors (T, B, D); `arrays` and `masks` go by name, as in the network. The
    state of two directions is a pair.
    """
    directions = ("forward", "backward") if "backward.0.Wx" in arrays else (config.cell,)
    states = state if len(directions) == 2 else (state,)
    dtype, H = arrays["decoder.b"].dtype, config.hidden_size
    T, B = x.shape[:2]
    ends = [T] * B if lengths is None else lengths
    hs, last = (np.zeros((steps, B, H * len(directions)), dtype) for steps in (T, 1))
    finals = [[np.array(part, dtype) for part in parts] for parts in states]
    for b, end in enumerate(ends):
        vectors = inputs_of(arrays, masks, x[:end, b], b)
        for d, name in enumerate(directions):
            order = slice(None, None, -1) if name == "backward" else slice(None)
            columns = slice(d * H, (d + 1) * H)
            own_state = [part[:, b] for part in finals[d]]  # (L, H): views, overwritten by read
            tops = read(config, arrays, masks, name, b, vectors[order], own_state)
            if end:
                hs[:end, b, columns] = tops[order]
                last[0, b, columns] = tops[-1]
    hs = (hs if every_step else last) * masks.get("output", 1)
    if config.tied and config.input_size != H:
        hs = (hs @ arrays["projection.W"]) * masks.get("decoder.x", 1)
    W = arrays["embedding.W"].T if config.tied else arrays["decoder.W"]
    return hs @ W + arrays["decoder.b"], finals if len(directions) == 2 else finals[0]


def inputs_of(arrays, masks, x, b):
    """Return what the recurrent layers read of sequence b, a list of (D,)."""
    vectors = []
    for t, each in enumerate(x):
        if "embedding.W" in arrays:
            each = (arrays["embedding.W"] * masks.get("words", 1))[each]
        vectors.append(each * masks["input"][t, b] if "input" in masks else each)
    return vectors


def read(config, arrays, masks, name, b, vectors, state):
    """Return the hidden states of the top layer, a list of (H,), and overwrite the state."""
    cell = CELLS[config.cell]
    step_forward = getattr(reference, f"{config.cell}_step_forward")
    for k in range(config.num_layers):
        paths = [f"{name}.{k}.{each}" for each in cell.parameters(config.options)]
        weights = [arrays[path] * masks.get(path, 1) for path in paths]
        if f"{name}.{k}.h" in masks:  # what h drops, it never reads of Wh
            own = cell.matrices.index("Wh")
            weights[own] = masks[f"{name}.{k}.h"][b][:, None] * weights[own]
        now, tops = [part[None, k] for part in state], []
        for t, v in enumerate(vectors):
            if f"{name}.{k}.x" in masks:
                v = v * masks[f"{name}.{k}.x"][t, b]
            *now, _ = step_forward(v[None], *now, *weights, **cell.arguments(config.options))
            tops.append(now[0][0])
        for part, new in zip(state, now, strict=True):
            part[k] = new[0]
        vectors = tops
    return vectors


def cross_entropy(logits, targets, weights, sum_over_time=False):
    """Return the mean of -log p(target) by weight; or, at each step, the mean, and their sum."""
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    nll = -np.log(np.take_along_axis(p, targets[..., None], axis=-1)[..., 0])
    if sum_over_time:
        return ((nll * weights).sum(axis=1) / weights.sum(axis=1)).sum()
    return (nll * weights).sum() / weights.sum()


def squared_error(outputs, targets, weights):
    """Return the mean of the squared differences over the answers that count."""
    squares = ((outputs - targets) ** 2).mean(axis=-1)
    return (squares * weights).sum() / weights.sum()
