"""The layouts of other programs: order of the gates, transposes, one bias or two.

Only arrays are converted, and no other program is imported. The orders of the gates are in the
records of the cells, `numpylstm.cells`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from reprlib import repr as shortened
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numpylstm.cells import CELLS
from numpylstm.checks import check_array, check_kind
from numpylstm.models import LanguageModel, Model, model_config
from numpylstm.parameters import parameter_shapes
from numpylstm.saving import check_shapes

Array = NDArray[Any]

LACKING = {"PyTorch": {"reset": "before", "activation": "sigmoid"}}
"""Options of a cell that a program lacks, though it has the cell."""

KINDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
RECURRENT = re.compile(rf"(.*?)({'|'.join(KINDS)})_l(\d{{1,3}})", re.DOTALL)
"""The keys of a recurrent module of PyTorch: prefix, kind and layer."""


def reordered(array: Array, order: Sequence[str], new: Sequence[str]) -> Array:
    """Return a copy whose last axis has its blocks in a new order."""
    blocks = np.split(array, len(order), axis=-1)
    return np.concatenate([blocks[order.index(name)] for name in new], axis=-1)


def layers_for(where: str, model: Model, program: str) -> Iterator[list[Array]]:
    """Yield Wx (nH, D), Wh (nH, H) and two biases (nH,) of each layer, in the order of a program.

    The second bias belongs to the product with Wh. It is zero but for the vectors of the cell. A
    ValueError says that the program lacks the cell, or one of its options.
    """
    config, arrays = model.config, model.state_dict()
    cell = CELLS[config.cell]
    if program not in cell.orders or LACKING.get(program, {}).items() & config.options.items():
        raise ValueError(
            f"{where}: model must have a cell that {program} has, got a "
            f"{cell.describe(config.options)}; safetensors holds every cell"
        )
    zero = np.zeros(config.hidden_size, config.dtype)
    for layer in range(config.num_layers):
        path = f"{cell.name}.{layer}."
        second = np.concatenate([arrays.get(f"{path}b{block}", zero) for block in cell.blocks])
        parts = (*(arrays[path + key] for key in ("Wx", "Wh", "b")), second)
        yield [reordered(a, cell.blocks, cell.orders[program]).T.copy() for a in parts]


def to_torch(model: Model) -> dict[str, Array]:
    """Return the arrays of a model as a state dict of PyTorch, without importing PyTorch.

    The modules are "embedding", "decoder" and, between them, "lstm", "gru" or "rnn". A tied model
    has one array under two keys. A ValueError refuses what PyTorch lacks: a GRU with
    ``reset="before"`` and a sigmoid RNN.
    """
    check_kind("to_torch", "model", model, Model)
    arrays = model.state_dict()
    found = {"embedding.weight": arrays["embedding.W"]}
    for layer, parts in enumerate(layers_for("to_torch", model, "PyTorch")):
        keys = (f"{model.config.cell}.{kind}_l{layer}" for kind in KINDS)
        found |= dict(zip(keys, parts, strict=True))
    W = arrays["embedding.W"] if model.config.tied else arrays["decoder.W"].T.copy()
    return found | {"decoder.weight": W, "decoder.bias": arrays["decoder.b"]}


def plain_array(where: str, name: str, value: Any) -> Array:
    """Return a checked array; a tensor of PyTorch is converted, from 16 bits without loss."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = (value.float() if value.dtype.itemsize == 2 else value).numpy()
    check_array(where, name, value, getattr(value, "shape", ()))
    return value


def layer_arrays(
    where: str, program: str, layer: int, Wx: Array, Wh: Array, biases: Array
) -> dict[str, Array]:
    """Return the arrays of a layer by path, from Wx (D, nH), Wh (H, nH) and one or two biases.

    The blocks of the second bias for which the cell has no vector are added to the first.
    """
    check_array(where, f"Wh of layer {layer}", Wh, ("H", "nH"))
    H, nH = Wh.shape
    held = [cell for cell in CELLS.values() if program in cell.orders]
    cell = next((cell for cell in held if len(cell.blocks) * H == nH), None)
    if cell is None:
        raise ValueError(
            f"{where}: layer {layer} must be one of {', '.join(c.title for c in held)}, got a "
            f"recurrent matrix from {H} to {nH}; other cells have no counterpart"
        )
    check_array(where, f"Wx of layer {layer}", Wx, ("D", nH))
    check_array(where, f"biases of layer {layer}", biases, ("k", nH))
    Wx, Wh, biases = (reordered(a, cell.orders[program], cell.blocks) for a in (Wx, Wh, biases))
    found = {"Wx": Wx, "Wh": Wh, "b": biases[0].copy()}
    for k, block in enumerate(cell.blocks) if len(biases) > 1 else ():
        own, part = (bias[k * H : (k + 1) * H] for bias in (found["b"], biases[1]))
        if f"b{block}" in cell.vectors:
            found[f"b{block}"] = part.copy()
        else:
            np.add(own, part, out=own, where=part != 0)  # -0.0 + 0.0 would be 0.0
    return {f"{cell.name}.{layer}.{key}": array for key, array in found.items()}


def from_torch(state: Mapping[str, Any]) -> dict[str, Array]:
    """Return the arrays of a PyTorch module by the paths of a `LanguageModel`.

    Parameters
    ----------
    state : dict of key -> tensor or array
        ``module.state_dict()`` of a module with one ``Embedding``, one ``LSTM``, ``GRU`` or ``RNN``
        and one ``Linear``, under any names; or of a recurrent module alone, for a layer such as
        `LSTM`. Biases may be missing. Where decoder and embedding are equal, the model is tied.

    Raises
    ------
    ValueError
        If there are other modules, bidirectional layers or projections.
    """
    where = "from_torch"
    check_kind(where, "state", state, Mapping)
    found = {key: match for key in state if (match := RECURRENT.fullmatch(str(key)))}
    rest = {k: plain_array(where, str(k), state[k]) for k in state if k not in found}
    matrices = {key: array for key, array in rest.items() if array.ndim == 2}
    bias = {key: array for key, array in rest.items() if array.ndim == 1}
    counts = len(matrices), len(rest) - len(matrices) - len(bias), len(bias) > 1
    refused = ValueError(
        f"{where}: state must be of one Embedding, one LSTM, GRU or RNN, and one Linear (with its "
        f"bias, if its shape is that of the Embedding), or of one recurrent module, got "
        f"{shortened(sorted(map(str, state)))}; bidirectional layers, projections and other "
        "modules have no counterpart"
    )
    if len({m[1] for m in found.values()}) != 1 or counts != (2 * bool(rest), 0, False):
        raise refused
    arrays: dict[str, Array] = {}
    for layer in range(1 + max(int(match[3]) for match in found.values())):
        own = {
            m[2]: plain_array(where, k, state[k]) for k, m in found.items() if m[3] == str(layer)
        }
        if not {"weight_ih", "weight_hh"} <= own.keys():
            raise refused
        Wx, Wh = own["weight_ih"].T, own["weight_hh"].T
        zero = np.zeros(Wh.shape[-1], Wh.dtype)
        biases = np.stack([own.get(kind, zero) for kind in KINDS[2:]])
        arrays |= layer_arrays(where, "PyTorch", layer, Wx, Wh, biases)
    if not rest:
        return arrays
    columns = len(next(iter(arrays.values()))), len(Wh)  # D and H
    pairs = [
        (matrices[E], matrices[W])
        for E, W in ([*matrices], [*matrices][::-1])
        if columns == (matrices[E].shape[1], matrices[W].shape[1])
        and [*bias] in ([], [W.removesuffix("weight") + "bias"])
    ]
    tied = any(np.array_equal(E, W) for E, W in pairs)
    if len(pairs) != 1 and not tied:
        raise refused
    E, W = pairs[0]
    arrays |= {"embedding.W": E.copy()} | ({} if tied else {"decoder.W": W.T.copy()})
    return arrays | {"decoder.b": next(iter(bias.values()), np.zeros(len(W), W.dtype)).copy()}


def from_keras(weights: Sequence[Any]) -> dict[str, Array]:
    """Return the arrays of a Keras model by the paths of a `LanguageModel`.

    `weights` is ``model.get_weights()`` of an ``Embedding``, layers of ``LSTM``, ``GRU`` or
    ``SimpleRNN``, and a ``Dense``, all with biases. A bias of two rows is that of a GRU with
    ``reset_after=True``, the default; a GRU with one row has ``reset="before"``.
    """
    check_kind("from_keras", "weights", weights, Sequence)
    arrays = [plain_array("from_keras", f"weights[{k}]", a) for k, a in enumerate(weights)]
    if len(arrays) < 6 or len(arrays) % 3:
        raise ValueError(
            "from_keras: weights must be those of an Embedding (one array), of recurrent layers "
            f"(three each) and of a Dense (two), got {len(arrays)}; a layer may lack its bias"
        )
    found = {"embedding.W": arrays[0], "decoder.W": arrays[-2], "decoder.b": arrays[-1]}
    for layer in range(len(arrays) // 3 - 1):
        Wx, Wh, bias = arrays[1 + 3 * layer :][:3]
        found |= layer_arrays("from_keras", "Keras", layer, Wx, Wh, np.atleast_2d(bias))
    return {path: array.copy() for path, array in found.items()}


def language_model(arrays: Mapping[str, Array], **settings: Any) -> LanguageModel:
    """Make a model of arrays by path; their shapes give its sizes, its cell and its precision.

    `settings` are keywords of `LanguageModel` that arrays do not show, such as ``activation`` or
    ``dropout``. A ValueError or TypeError says what is missing, does not fit or is not finite.
    """
    where = "language_model"
    check_kind(where, "arrays", arrays, Mapping)
    cell = next((cell for cell in CELLS.values() if f"{cell.name}.0.Wh" in arrays), None)
    if cell is None or "embedding.W" not in arrays:
        raise ValueError(
            f"{where}: arrays must be of an embedding, recurrent layers and a decoder, got "
            f"{shortened(sorted(map(str, arrays)))}"
        )
    E, Wh = arrays["embedding.W"], arrays[f"{cell.name}.0.Wh"]
    check_array(where, "embedding.W", E, ("V", "D"))
    check_array(where, f"{cell.name}.0.Wh", Wh, ("H", "nH"))
    for name, needs in cell.vectors.items():
        if needs and f"{cell.name}.0.{name}" not in arrays:  # the option has its other choice
            choices = cell.options[needs[0]].choices or ()
            settings[needs[0]] = next(choice for choice in choices if choice != needs[1])
    settings |= {
        "cell": cell.name, "hidden_size": len(Wh), "embedding_size": E.shape[1],
        "num_layers": sum(path.endswith(".Wh") for path in arrays),
        "tied": "decoder.W" not in arrays, "dtype": E.dtype,
    }  # fmt: skip
    check_shapes(arrays, parameter_shapes(model_config(**settings), len(E)))  # takes no memory
    model = LanguageModel(len(E), **settings, rng=0)
    model.load_state_dict(arrays)
    return model
