"""Computation of the tapes by the textbook, in the longest floats of the machine.

Every number is a result of a function of `numpylstm.reference`, or a variable in it.
"""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np

from numpylstm import reference
from numpylstm.cells import CELLS
from numpylstm.tape.golden import load

Numbers = dict[str, Any]


def compute(cell: str = "lstm") -> Numbers:
    """Compute the tape of a cell, as `load` gives it, from its inputs, parameters and names."""
    real = np.longdouble
    golden = load(cell, real)
    inputs = golden["inputs"]
    p = {path: np.array(values, real) for path, values in golden["parameters"].items()}
    record = CELLS[cell]
    ids = np.array(inputs["ids"])
    targets = np.array(inputs["targets"])
    layers = [name for name in golden["forward"]["t0"] if name.startswith(cell)]
    paths = {layer: [path for path in p if path.startswith(layer)] for layer in layers}
    state = {
        layer: [np.array(inputs[f"{s}0"][k], real)[None] for s in record.states]
        for k, layer in enumerate(layers)
    }
    once = np.ones(1, real)  # the coefficient of a token

    forward, caches, losses = {}, {}, {}
    for t in range(len(ids)):
        x, _ = reference.embedding_forward(ids[t : t + 1], p["embedding.W"])
        step: Numbers = {"x": x[0]}
        for layer in layers:
            run = record.function(reference, "step_forward")
            weights = [p[path] for path in paths[layer]]
            results, known = watched(run, x, *state[layer], *weights)
            state[layer] = results[:-1]
            caches[t, layer] = results[-1]
            x = state[layer][0]
            step[layer] = {name: known[name][0] for name in golden["forward"]["t0"][layer]}
        logits, decoded = reference.linear_forward(x, p["decoder.W"], p["decoder.b"])
        nll, scored = reference.cross_entropy_step_forward(logits, targets[t : t + 1], once)
        losses[t] = scored, decoded
        step |= {"logits": logits[0], "probabilities": None, "nll": nll}
        forward[f"t{t}"] = step

    backward: Numbers = {}
    gradients = {path: np.zeros_like(array) for path, array in p.items()}
    dstate = {layer: [np.zeros_like(part) for part in state[layer]] for layer in layers}
    for t in reversed(range(len(ids))):
        scored, decoded = losses[t]
        dlogits, known = watched(reference.cross_entropy_step_backward, scored, real(1))
        forward[f"t{t}"]["probabilities"] = known["p"][0]
        back: Numbers = {"dlogits": dlogits[0]}
        dx, dW, db = reference.linear_backward(dlogits, decoded)
        gradients["decoder.W"] += dW
        gradients["decoder.b"] += db
        for layer in reversed(layers):
            dstate[layer][0] = dx + dstate[layer][0]  # h is read above and by the next step
            run = record.function(reference, "step_backward")
            results, known = watched(run, *dstate[layer], caches[t, layer])
            n = len(record.states)
            dx = results[0]
            dstate[layer] = list(results[1 : 1 + n])
            for path, gradient in zip(paths[layer], results[1 + n :], strict=True):
                gradients[path] += gradient
            back[layer] = {name: known[name][0] for name in golden["backward"]["t0"][layer]}
        gradients["embedding.W"][ids[t]] += dx[0]
        backward[f"t{t}"] = back
    for k, s in enumerate(record.states):
        gradients[f"{s}0"] = np.stack([dstate[layer][k][0] for layer in layers])
    loss = sum(step["nll"] for step in forward.values())
    found = {"forward": forward, "loss": loss, "backward": backward, "gradients": gradients}
    return load(cell) | as_doubles(found)


def watched(function: Callable[..., Any], *arguments: Any) -> tuple[Any, Numbers]:
    """Call a function; return its result, and its variables at its end by name."""
    seen: Numbers = {}

    def at_return(frame: FrameType, event: str, _: Any) -> None:
        if event == "return" and frame.f_code is function.__code__:
            seen.update(frame.f_locals)

    before = sys.getprofile()
    sys.setprofile(at_return)
    try:
        return function(*arguments), seen
    finally:
        sys.setprofile(before)


def as_doubles(tree: Any) -> Any:
    """Return a tree of arrays as one of lists of Python's floats."""
    if isinstance(tree, dict):
        return {name: as_doubles(value) for name, value in tree.items()}
    if isinstance(tree, np.ndarray | np.generic):
        return np.asarray(tree, np.float64).tolist()
    return tree
