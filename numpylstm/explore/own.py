"""The explorer: a page that shows how your trained language model reads a text.

The page carries the weights of a model of up to 2 million parameters, and computes everything in
the browser. For a larger model it holds what was recorded on one text.
"""

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from numpylstm import network
from numpylstm.cells import CELLS
from numpylstm.checks import Array, NotFinite
from numpylstm.config import TrainConfig
from numpylstm.data import Vocabulary
from numpylstm.data.configured import ScoredText, splits_punctuation
from numpylstm.evaluation import ProgressCallback, evaluate
from numpylstm.explore import assemble, cell_record, check_config
from numpylstm.functional import softmax
from numpylstm.laboratory.diagnostics import cell_activations
from numpylstm.models import LanguageModel

MOST_PARAMETERS = 2_000_000
"""Parameters of a model that the page carries whole, as float32."""

WORK = 1.5e11
"""Multiplications to spend on the ranking of the cells: a few seconds."""

MOST_ROWS = 24
"""Cells of each layer that the page shows."""

AT_ONCE = 16  # predictions whose gradients are computed together
FAR = 1000.0  # sigmoid and tanh are exactly 0, 1 or -1 there
INVERSE: dict[str, Callable[[float], float]] = {
    "tanh": np.arctanh,
    "sigmoid": lambda h: np.log(h / (1 - h)),
    "relu": float,
}


def explorer_page(
    name: str,
    model: LanguageModel,
    vocabulary: Vocabulary,
    config: TrainConfig,
    text: ScoredText,
    watch: ProgressCallback | None = None,
) -> str:
    """Return the explorer of the run `name` as one self-contained HTML document.

    `text` has at least two tokens; `watch` is called with the number of cells ranked and their
    total. Raises NotFinite if the loss is not finite, and a ConfigError as `check_config` does.
    """
    check_config(config)
    cell = CELLS[config.cell]
    ids, loss = text.ids, evaluate(model, text.ids).loss
    if not np.isfinite(loss):
        raise NotFinite("explorer_page: the loss of the text under the model is not finite")
    ranking = rank_cells(model, ids, watch)
    layers, H = config.num_layers, config.hidden_size
    facts = {
        "name": name,
        "about": f"{layers} x {H} {cell.describe(config.options)}, {config.level} level, "
        f"{model.num_parameters:,} parameters",
        "source": text.name,
        "level": config.level,
        "splits_punctuation": splits_punctuation(config, vocabulary),
        "cell": cell_record(cell),
        "options": [*cell.arguments(config.options).values()],
        "tokens": vocabulary.tokens,
        "ids": ids.tolist(),
        "words": list(text.tokens or vocabulary.decode(ids)),
        "loss": loss,
        "ranking": ranking,
        "H": H,
        "rows": [[unit for unit, _ in ranked[:MOST_ROWS]] for ranked in ranking],
    }
    if model.num_parameters <= MOST_PARAMETERS:
        facts["parameters"] = {path: packed(array) for path, array in model.state_dict().items()}
    else:
        facts["recorded"] = record(model, ids, facts["rows"])
    return assemble("own", {"models": {"own": facts}})


def packed(array: Array) -> dict[str, Any]:
    """Return an array as JSON: its shape, and its float32 values in base64."""
    data = base64.b64encode(np.ascontiguousarray(array, "<f4").tobytes()).decode("ascii")
    return {"shape": array.shape, "float32": data}


# --- the most interesting cells ------------------------------------------------------------------


def rank_cells(
    model: LanguageModel, ids: Array, watch: ProgressCallback | None = None
) -> list[list[tuple[int, float | None]]]:
    """Rank the cells of each layer by how much holding one at its mean raises the loss.

    The mean is over the text; the loss is per token, in nats. Of a large model, only the cells that
    vary most are measured. Each layer has a list of (cell, rise), the largest rise first; a rise is
    None, which is larger than any, if the loss is then not finite.
    """
    config = model.config
    arrays = model.state_dict()
    x = ids[:-1, None]
    y = ids[1:, None]

    def loss(arrays: Mapping[str, Array], state: Any) -> float:
        _, _, cache = network.loss_forward(model.functions, config, arrays, x, y, state, masks={})
        return float(cache["cross_entropy"].nll.mean(dtype=np.float64))

    base = loss(arrays, model.zero_state(1))
    field = CELLS[config.cell].memory_field
    layers = [getattr(units, field)[:, 0] for units in cell_activations(model, ids[:, None])]
    affordable = int(WORK / (model.num_parameters * len(ids) * len(layers)))
    count = min(config.hidden_size, max(affordable, 8))
    ranking: list[list[tuple[int, float | None]]] = []
    for layer, values in enumerate(layers):  # (T, H)
        means = values.mean(axis=0, dtype=np.float64)
        rises: list[tuple[int, float | None]] = []
        for unit in np.argsort(-values.std(axis=0), kind="stable")[:count].tolist():
            rise = loss(*held(model, arrays, layer, unit, means[unit])) - base
            rises.append((unit, rise if np.isfinite(rise) else None))
            if watch is not None:
                watch(layer * count + len(rises), count * len(layers))
        ranking.append(sorted(rises, key=lambda e: -np.inf if e[1] is None else -e[1]))
    return ranking


def held(
    model: LanguageModel, arrays: Mapping[str, Array], layer: int, unit: int, value: float
) -> tuple[dict[str, Array], Any]:
    """Return weights and initial state that hold one cell at a value from the first step on.

    The gate that keeps the memory is 1 and the candidate 0. A cell without such a gate gets a
    constant pre-activation.
    """
    cell = CELLS[model.config.cell]
    options = model.config.options
    candidate = next((unit.name for unit in cell.units if unit.role == "candidate"), None)
    fixed: dict[str | None, float] = {cell.keep: FAR, candidate: 0.0}
    if cell.keep is None:
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = INVERSE[options[cell.units[-1].curve or ""]](value)
        fixed = {cell.memory_field: float(np.clip(inverse, -FAR, FAR))}
    columns = [cell.blocks.index(str(b)) * model.config.hidden_size + unit for b in fixed]
    changed = dict(arrays)
    for key in cell.parameters(options):
        path = f"{cell.name}.{layer}.{key}"
        array = changed[path] = arrays[path].copy()
        array[..., [unit] if key in cell.vectors else columns] = 0
        if key == "b":
            array[columns] = list(fixed.values())
    state = model.zero_state(1)
    getattr(state, cell.memory_field)[layer, 0, unit] = value
    return changed, state


# --- for a model that is too large ---------------------------------------------------------------


def record(model: LanguageModel, ids: Array, rows: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Return what the page shows of a text: probabilities, units of some cells, gradients."""
    p = softmax(model.logits(ids[:, None])[0][:, 0].astype(np.float64))  # (T, V)
    shown = [
        {*np.argsort(-row)[:12].tolist(), *ids[t + 1 : t + 2].tolist()} for t, row in enumerate(p)
    ]
    units = [
        {name: packed(array[:, 0, row]) for name, array in layer._asdict().items()}
        for layer, row in zip(cell_activations(model, ids[:, None]), rows, strict=True)
    ]
    return {
        "p": [[(v, p[t, v]) for v in sorted(tokens)] for t, tokens in enumerate(shown)],
        "units": units,
        "norms_by_input": packed(norms_by_input(model, ids, p)),
    }


def norms_by_input(model: LanguageModel, ids: Array, p: Array) -> Array:
    """Return the norm of the gradient of each prediction with respect to each input.

    p (T, V) are the predictions. Entry [t, s] of the result (T - 1, T - 1) is the norm of
    d log p(ids[t + 1]) / d x[s], of the embedded token s.
    """
    functions = model.functions
    config = model.config
    arrays = model.arrays()
    N = len(ids) - 1
    dlogits = p[:-1].astype(config.dtype)
    dlogits[np.arange(N), ids[1:]] -= 1
    _, _, cache = network.forward(
        functions, config, arrays, ids[:-1, None], model.zero_state(1), masks={}
    )
    dlast, _ = network.decoder_backward(functions, dlogits[:, None], cache, gradients={})
    norms = np.zeros((N, N))
    for first in range(0, N, AT_ONCE):  # a column of the batch for each prediction
        places = np.arange(first, min(first + AT_ONCE, N))
        T = int(places[-1]) + 1
        B = len(places)
        columns = np.repeat(ids[:T, None], B, axis=1)
        cache = {}
        x = network.input_forward(functions, arrays, columns, {}, cache, None)
        hs, _ = network.recurrent_forward(
            functions, config, arrays, x, model.zero_state(B), {}, cache
        )
        dhs = np.zeros_like(hs)
        dhs[places, np.arange(B)] = dlast[places, 0]
        dx, _ = network.recurrent_backward(functions, config, dhs, None, cache, gradients={})
        norms[places, :T] = np.linalg.norm(dx, axis=-1).T
    return norms
