"""The phases of a training step, and the least time that each can take.

A phase is bounded by its arithmetic at the speed of the best matrix product, or by what it must
read and write at the speed of a large copy, whichever takes longer. Only what cannot be avoided is
counted: each input read once, each result written once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from numpylstm.benchmark.configurations import Configuration, parameter_shapes

FLOAT = 4  # bytes


@dataclass(frozen=True)
class Cost:
    """What a phase must do at least: arithmetic in products, and bytes read and written."""

    flops: float = 0.0
    bytes: float = 0.0


@dataclass(frozen=True)
class Phase:
    """One line of the profile; seconds, and the bound in seconds, or 0 where nothing is known."""

    name: str
    seconds: float
    bound: float
    bound_by: str


def costs(c: Configuration) -> dict[str, Cost]:
    """What each phase must do, by name, in the order of a step."""
    rows, H, V = c.T * c.B, c.H, c.V
    columns = len(c.kind.blocks) * H
    gates = rows * columns  # elements
    states = rows * H
    kept = (len(c.kind.states) + 1) * states
    matrix = H * columns
    product = 2 * rows * matrix  # flops
    logits = rows * V
    arrays = sum(prod(shape) for shape in parameter_shapes(c).values())
    moved = arrays - V * H + min(V, rows) * H  # of the embedding only the rows that were seen
    forward, backward = {}, {}
    for k in range(c.L):
        layer = f"{c.cell}.{k}"
        forward[f"{layer} forward: input product"] = Cost(product, FLOAT * (states + gates))
        forward[f"{layer} forward: recurrence"] = Cost(product, FLOAT * (2 * gates + kept))
    for k in reversed(range(c.L)):
        layer = f"{c.cell}.{k}"
        backward[f"{layer} backward: recurrence"] = Cost(product, FLOAT * (2 * gates + kept))
        backward[f"{layer} backward: products"] = Cost(
            3 * product, FLOAT * (gates + 3 * states + 2 * matrix)
        )
    decoder = 2 * logits * H
    dropouts = (c.L + 1) * states
    return {
        "embedding forward": Cost(0, FLOAT * 2 * states),
        "dropout: masks": Cost(0, FLOAT * dropouts),
        "dropout forward": Cost(0, FLOAT * 3 * dropouts),
        **forward,
        "decoder forward": Cost(decoder, FLOAT * (states + H * V + logits)),
        "loss forward": Cost(0, FLOAT * logits),
        "loss backward": Cost(0, FLOAT * 2 * logits),
        "decoder backward": Cost(2 * decoder, FLOAT * (logits + 2 * states + 2 * H * V)),
        "dropout backward": Cost(0, FLOAT * 3 * dropouts),
        **backward,
        "embedding backward": Cost(0, FLOAT * 2 * states),
        "clip": Cost(0, FLOAT * moved),
        "update": Cost(0, FLOAT * 3 * moved),
    }


NAMES = {
    "embedding_forward": "embedding forward",
    "linear_forward": "decoder forward",
    "sequence_cross_entropy_forward": "loss forward",
    "sequence_cross_entropy_backward": "loss backward",
    "linear_backward": "decoder backward",
    "embedding_backward": "embedding backward",
    "embedding_backward_rows": "embedding backward",
    "clip_by_global_norm": "clip",
    "update": "update",
}


def name_of(path: str, num_layers: int) -> str:
    """The name of the phase to which a path of `watching.Stopwatch` belongs."""
    first, *inner = path.split("/")
    if first == "dropout":
        if not inner or inner[0] == "dropout_mask":
            return "dropout: masks"
        return "dropout forward" if "forward" in inner[0] else "dropout backward"
    function, numbered, number = first.partition("#")
    if not numbered:
        return NAMES.get(first, first)
    cell, _, way = function.rpartition("_")
    forward = way == "forward"
    layer = int(number) if forward else num_layers - 1 - int(number)
    where = f"{cell}.{layer} {way}"
    if not inner:
        return f"{where}: else"
    if inner[0] == "matmul":
        return f"{where}: {'input product' if forward else 'products'}"
    kernel = inner[0].removeprefix("kernels.")
    if kernel.endswith("_alone"):
        return f"{where}: all"
    return f"{where}: {'recurrence' if kernel.startswith(('forward', 'backward')) else 'else'}"


def whole_layers(costs: Mapping[str, Cost]) -> dict[str, Cost]:
    """Costs of layers that one kernel works through from beginning to end."""
    whole: dict[str, Cost] = {}
    for name, cost in costs.items():
        layer, colon, _ = name.partition(": ")
        if colon and "." in layer:
            before = whole.get(f"{layer}: all", Cost())
            whole[f"{layer}: all"] = Cost(before.flops + cost.flops, before.bytes + cost.bytes)
    return whole


def phases(
    parts: Mapping[str, float],
    step: float,
    configuration: Configuration,
    product_speed: float,
    bandwidth: float,
) -> list[Phase]:
    """The profile of a step, in the order in which things happen.

    Parameters
    ----------
    parts : dict of path -> seconds
        From `watching.watched`.
    step : float
        Seconds of the whole watched step.
    configuration : Configuration
    product_speed, bandwidth : float
        Of this machine, in FLOP/s and bytes/s.
    """
    seconds: dict[str, float] = {}
    for path, spent in parts.items():
        name = name_of(path, configuration.L)
        seconds[name] = seconds.get(name, 0.0) + spent
    known = costs(configuration)
    known |= whole_layers(known)
    order = {name: position for position, name in enumerate(known)}
    found = []
    for name in sorted(seconds, key=lambda name: order.get(name, len(order))):
        cost = known.get(name, Cost())
        arithmetic, traffic = cost.flops / product_speed, cost.bytes / bandwidth
        by = "product" if arithmetic >= traffic else "memory"
        bound = max(arithmetic, traffic)
        found.append(Phase(name, seconds[name], bound, by if bound else ""))
    rest = step - sum(seconds.values())
    return [*found, Phase("between them", rest, 0.0, "")]
