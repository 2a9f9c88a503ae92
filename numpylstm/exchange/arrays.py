"""Arrays of other programs in memory: order of the gates, transposes, one bias or two."""

import importlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from reprlib import repr as shortened
from typing import Any, NamedTuple

import numpy as np

from numpylstm import saving
from numpylstm.cells import CELLS
from numpylstm.checks import Array, check_array, check_kind, float_dtype
from numpylstm.config import ModelConfig, check_known
from numpylstm.models import LanguageModel, Model
from numpylstm.parameters import DIRECTIONS

LOG = logging.getLogger("numpylstm.exchange")
KINDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")  # of PyTorch, in our order
SHOWN = (
    "cell",
    "hidden_size",
    "embedding_size",
    "num_layers",
    "tied",
    "dtype",
)
"""The settings that the arrays of a model show; other programs know no more of them."""
LACKING = {"PyTorch": {"reset": "before", "activation": "sigmoid"}}  # options of cells that it has


class ExportedLayer(NamedTuple):
    """The arrays of a recurrent layer as another program has them."""

    Wx: Array  # (nH, D)
    Wh: Array  # (nH, H)
    input_bias: Array  # (nH,)
    recurrent_bias: Array  # (nH,)


class ImportedLayer(NamedTuple):
    """The arrays of a recurrent layer of another program, with the gates in its order."""

    Wx: Array  # (D, nH)
    Wh: Array  # (H, nH)
    biases: Array  # (k, nH), one or two


def library(name: str) -> Any:
    """Import a package of the extra; the note of an ImportError says how to install it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        error.add_note("install it with: pip install 'numpylstm[exchange]'")
        raise


def reordered(array: Array, order: Sequence[str], new: Sequence[str]) -> Array:
    """Return a copy whose last axis has its blocks in a new order."""
    blocks = np.split(array, len(order), axis=-1)
    return np.concatenate([blocks[order.index(name)] for name in new], axis=-1)


def stacks_of(model: Model) -> tuple[str, ...]:
    """Return the prefixes of the recurrent layers: one, or one for each direction."""
    return DIRECTIONS if model.bidirectional else (model.config.cell,)


def layers_for(where: str, model: Model, program: str) -> Iterator[list[ExportedLayer]]:
    """Yield for each layer, and in it for each direction, arrays as a program has them.

    In other programs a layer reads both directions of the one below; ours reads its own, so the
    columns for the other are zero.
    """
    config = model.config
    cell = CELLS[config.cell]
    arrays = model.state_dict()
    check_known(config, program, SHOWN)
    if program not in cell.orders or LACKING.get(program, {}).items() & config.options.items():
        raise ValueError(
            f"{where}: model must have a cell that {program} has, got a "
            f"{cell.describe(config.options)}; safetensors holds every cell"
        )
    H = config.hidden_size
    stacks = stacks_of(model)
    order = cell.orders[program]
    zero = np.zeros(H, config.dtype)  # for blocks without a vector of their own
    for layer in range(config.num_layers):
        directions = []
        for way, stack in enumerate(stacks):
            path = f"{stack}.{layer}."
            Wx = arrays[f"{path}Wx"]
            if layer:
                of_both = np.zeros((H * len(stacks), Wx.shape[1]), Wx.dtype)
                of_both[way * H : (way + 1) * H] = Wx
                Wx = of_both
            vectors = [arrays.get(f"{path}b{block}", zero) for block in cell.blocks]
            ours = (Wx, arrays[f"{path}Wh"], arrays[f"{path}b"], np.concatenate(vectors))
            theirs = (reordered(array, cell.blocks, order).T.copy() for array in ours)
            directions.append(ExportedLayer(*theirs))
        yield directions


def layers_from(
    where: str, program: str, layers: Sequence[ImportedLayer], stack: str | None = None
) -> dict[str, Array]:
    """Return the arrays of layers of a program by path.

    The blocks of a second bias for which the cell has no vector are added to the first. The prefix
    of the paths is `stack`, or else the name of the cell.
    """
    cells = [cell for cell in CELLS.values() if program in cell.orders]
    found: dict[str, Array] = {}
    for number, layer in enumerate(layers):
        check_array(where, f"Wh of layer {number}", layer.Wh, ("H", "nH"))
        H, nH = layer.Wh.shape
        cell = next((cell for cell in cells if len(cell.blocks) * H == nH), None)
        if cell is None:
            raise ValueError(
                f"{where}: layer {number} must be one of {', '.join(c.title for c in cells)}, got "
                f"a recurrent matrix from {H} to {nH}; other cells have no counterpart"
            )
        check_array(where, f"Wx of layer {number}", layer.Wx, ("D", nH))
        check_array(where, f"biases of layer {number}", layer.biases, ("k", nH))
        order = cell.orders[program]
        path = f"{stack or cell.name}.{number}."
        found[f"{path}Wx"] = reordered(layer.Wx, order, cell.blocks)
        found[f"{path}Wh"] = reordered(layer.Wh, order, cell.blocks)
        biases = [reordered(bias, order, cell.blocks) for bias in layer.biases]
        b = biases[0]
        found[f"{path}b"] = b
        if len(biases) == 1:
            continue
        second = biases[1].reshape(-1, H)  # (n, H)
        for block, own, part in zip(cell.blocks, b.reshape(-1, H), second, strict=True):
            if f"b{block}" in cell.vectors:
                found[f"{path}b{block}"] = part
            else:
                np.add(own, part, out=own, where=part != 0)  # -0.0 + 0.0 would be 0.0
    return found


def copied(where: str, arrays: Mapping[str, Any]) -> dict[str, Array]:
    """Return checked copies of arrays, or of tensors of PyTorch, by name as texts.

    Numbers of 16 bits become float32, which holds each of them exactly, and a log line says so.
    """
    found = {}
    short = False
    for name, value in arrays.items():
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            if str(value.dtype) == "torch.bfloat16":  # NumPy has no such type
                short = True
                value = value.float()
            value = value.numpy()
        if getattr(value, "dtype", None) == np.float16:
            short = True
            value = value.astype(np.float32)
        check_array(where, str(name), value)
        found[str(name)] = np.array(value)
    if short:
        LOG.warning("%s: numbers of 16 bits became float32", where)
    return found


# --- PyTorch -------------------------------------------------------------------------------------


def to_torch(model: Model) -> dict[str, Array]:
    """Return the arrays of a model as a state dict of PyTorch, without importing PyTorch.

    The modules are "embedding", if the inputs are ids, "decoder" and, between them, "lstm", "gru"
    or "rnn". A tied model has one array under two keys. Models with two directions fit a recurrent
    module with ``bidirectional=True``. A ValueError refuses a cell that PyTorch lacks.
    """
    check_kind("to_torch", "model", model, Model)
    arrays = model.state_dict()
    found = {}
    if model.vocab_size is not None:
        found["embedding.weight"] = arrays["embedding.W"]
    for layer, directions in enumerate(layers_for("to_torch", model, "PyTorch")):
        for suffix, parts in zip(("", "_reverse"), directions, strict=False):
            keys = (f"{model.config.cell}.{kind}_l{layer}{suffix}" for kind in KINDS)
            found |= dict(zip(keys, parts, strict=True))
    if model.config.projected:
        found["projection.weight"] = arrays["projection.W"].T.copy()
    W = arrays["embedding.W"] if model.config.tied else arrays["decoder.W"].T.copy()
    return found | {"decoder.weight": W, "decoder.bias": arrays["decoder.b"]}


def torch_module(model: Model) -> Any:
    """Return a module of PyTorch with the parameters of a model; its dropout is left out.

    ``outputs, state = module(x, state, lengths)`` gives the logits of a `LanguageModel`, or the
    outputs of a sequence model: scores of its classes, or its numbers. The state is that of the
    recurrent module, and `lengths`, a tensor of integers from 1, may be left out, as the state may.
    """
    arrays = to_torch(model)
    torch = library("torch")
    config, cell = model.config, model.config.cell
    every_step, bidirectional = model.every_step, model.bidirectional
    names = {"nonlinearity": config.options["activation"]} if cell == "rnn" else {}
    rnn = torch.nn.utils.rnn

    class TorchModel(torch.nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Identity()
            if model.vocab_size is not None:
                self.embedding = torch.nn.Embedding(model.vocab_size, config.input_size)
            kind = getattr(torch.nn, cell.upper())
            sizes = config.input_size, config.hidden_size, config.num_layers
            self.add_module(cell, kind(*sizes, bidirectional=bidirectional, **names))
            width = config.hidden_size * (1 + bidirectional)
            self.projection = torch.nn.Identity()
            if config.projected:
                self.projection = torch.nn.Linear(width, config.input_size, bias=False)
                width = config.input_size
            self.decoder = torch.nn.Linear(width, model.num_outputs)
            if config.tied:
                self.decoder.weight = self.embedding.weight

        def forward(self, x: Any, state: Any = None, lengths: Any = None) -> tuple[Any, Any]:
            hs = self.embedding(x)
            if lengths is not None:
                hs = rnn.pack_padded_sequence(hs, lengths, enforce_sorted=False)
            hs, state = self.get_submodule(cell)(hs, state)
            if lengths is not None:
                hs, _ = rnn.pad_packed_sequence(hs, total_length=len(x))
            if not every_step:
                h = state[0] if isinstance(state, tuple) else state  # at the end of each sequence
                hs = torch.cat([*h[-2:]], dim=-1) if bidirectional else h[-1]
            return self.decoder(self.projection(hs)), state

    module = TorchModel().to(getattr(torch, config.dtype)).eval()
    module.load_state_dict({key: torch.from_numpy(array) for key, array in arrays.items()})
    return module


def from_torch(state: Mapping[str, Any]) -> dict[str, Array]:
    """Return the arrays of a PyTorch module by the paths of a model.

    `state` is ``module.state_dict()``, of tensors or arrays, of a module with one ``LSTM``, ``GRU``
    or ``RNN``, at most one ``Embedding`` before it and one ``Linear`` after it, under any names; or
    of a recurrent module alone, for a layer such as `LSTM`. Biases may be missing. Where decoder
    and embedding are equal, the model is tied; a Linear without a bias may then stand between the
    recurrent module and the decoder, ``projection.W``. Several bidirectional layers must read one
    direction each. A ValueError refuses other modules, and the projections of `proj_size`.
    """
    where = "from_torch"
    check_kind(where, "state", state, Mapping, "that of a module is module.state_dict()")
    nested = [key for key, value in state.items() if isinstance(value, Mapping)]
    if nested:
        raise TypeError(
            f"{where}: state must hold arrays or tensors, got dicts under {shortened(nested)}; "
            "of a checkpoint, take the state dict in it"
        )
    rest = copied(where, state)
    first = next((key for key in rest if key.endswith("weight_ih_l0")), "")
    prefix = first.removesuffix("weight_ih_l0")
    ahead = pop_layers(where, rest, prefix, "")
    back = pop_layers(where, rest, prefix, "_reverse")
    problem = ValueError(
        f"{where}: state must be of one LSTM, GRU or RNN, alone or with one Linear after it and at "
        "most one Embedding before it (if their shapes are equal, with the bias of the Linear), "
        f"got {shortened(sorted(map(str, state)))}; the projections of proj_size and other modules "
        "have no counterpart"
    )
    if not ahead or (back and len(back) != len(ahead)):
        raise problem
    if back:
        of_ahead = one_direction(where, ahead, 0)
        of_back = one_direction(where, back, 1)
        arrays = layers_from(where, "PyTorch", of_ahead, DIRECTIONS[0])
        arrays |= layers_from(where, "PyTorch", of_back, DIRECTIONS[1])
    else:
        arrays = layers_from(where, "PyTorch", ahead)
    first_layer = ahead[0]
    width = len(first_layer.Wh) * (2 if back else 1)
    return arrays | other_arrays(rest, len(first_layer.Wx), width, problem)


def pop_layers(where: str, rest: dict[str, Array], prefix: str, suffix: str) -> list[ImportedLayer]:
    """Take the layers of one direction out of a state dict."""
    layers: list[ImportedLayer] = []
    while True:
        keys = {kind: f"{prefix}{kind}_l{len(layers)}{suffix}" for kind in KINDS}
        matrices = (keys["weight_ih"], keys["weight_hh"])
        if rest.keys().isdisjoint(matrices):
            return layers
        for key in matrices:
            if key not in rest:
                raise ValueError(f"{where}: state must hold {key}, got no such key")
        Wx, Wh = (rest.pop(key).T for key in matrices)
        zero = np.zeros(Wh.shape[-1:], Wh.dtype)
        biases = [rest.pop(keys[kind], zero) for kind in ("bias_ih", "bias_hh")]
        layers.append(ImportedLayer(Wx, Wh, np.stack(biases)))


def one_direction(where: str, layers: list[ImportedLayer], way: int) -> list[ImportedLayer]:
    """Return layers without the rows of Wx for the other direction; raise unless these are zero."""
    own = layers[:1]
    for k, layer in enumerate(layers[1:], start=1):
        halves = np.split(layer.Wx, 2)
        if halves[1 - way].any():
            raise ValueError(
                f"{where}: layer {k} must read one direction of the layer below, got both; here "
                "each direction has its own stack, and layers that read both are `Bidirectional` "
                "layers of one layer each"
            )
        own.append(layer._replace(Wx=halves[way]))
    return own


def other_arrays(
    rest: dict[str, Array], D: int, width: int, problem: ValueError
) -> dict[str, Array]:
    """Return the arrays of the embedding and the decoder.

    The decoder is the matrix with a bias of its name; without a bias, the shapes tell.
    """
    if not rest:
        return {}
    biases = [key for key, array in rest.items() if array.ndim == 1]
    matrices = [key for key, array in rest.items() if array.ndim == 2]
    for key in matrices if len(matrices) == 3 else ():
        first, second = (rest[other] for other in matrices if other != key)
        if rest[key].shape == (D, width) and np.array_equal(first, second):  # tied, projected
            tied_part = {other: rest[other] for other in rest if other != key}
            projection = {"projection.W": rest[key].T.copy()}
            return projection | other_arrays(tied_part, D, D, problem)
    decoders = [key for key in matrices if rest[key].shape[1] == width]
    if biases:
        decoders = [key for key in decoders if key.removesuffix("weight") + "bias" in biases]
    tied = len(matrices) == 2 and np.array_equal(rest[matrices[0]], rest[matrices[1]])
    if not decoders or (len(decoders) > 1 and not tied):
        raise problem
    W = rest[decoders[0]]
    tables = [rest[key] for key in matrices if key != decoders[0]]
    if len(biases) > 1 or len(tables) > 1 or len(rest) > len(biases) + len(matrices):
        raise problem
    found = {"decoder.b": rest[biases[0]] if biases else np.zeros(len(W), W.dtype)}
    for table in tables:
        if table.shape[1] != D:
            raise problem
        found["embedding.W"] = table
    if not tied:
        found["decoder.W"] = W.T.copy()
    return found


# --- Keras ---------------------------------------------------------------------------------------


def from_keras(weights: Sequence[Any]) -> dict[str, Array]:
    """Return the arrays of a Keras model by the paths of a model.

    `weights` is ``model.get_weights()`` of an ``Embedding``, which may be missing, layers of
    ``LSTM``, ``GRU`` or ``SimpleRNN``, and a ``Dense``, all with biases. A bias of two rows is that
    of a GRU with ``reset_after=True``, the default; a GRU with one row has ``reset="before"``.
    """
    where = "from_keras"
    check_kind(where, "weights", weights, Sequence)
    named = {f"weights[{k}]": array for k, array in enumerate(weights)}
    arrays = [*copied(where, named).values()]
    if len(arrays) < 5 or len(arrays) % 3 == 1:
        raise ValueError(
            f"{where}: weights must be those of an Embedding (one array), if there is one, of "
            "recurrent layers (three each) and of a Dense (two), got "
            f"{len(arrays)}; a layer may lack its bias"
        )
    found = {}
    if len(arrays) % 3 == 0:
        found["embedding.W"] = arrays.pop(0)
    found["decoder.b"] = arrays.pop()
    found["decoder.W"] = arrays.pop()
    layers = [
        ImportedLayer(arrays[k], arrays[k + 1], np.atleast_2d(arrays[k + 2]))
        for k in range(0, len(arrays), 3)
    ]
    return found | layers_from(where, "Keras", layers)


# --- models --------------------------------------------------------------------------------------


def language_model(arrays: Mapping[str, Array], **settings: Any) -> LanguageModel:
    """Make a model of arrays by path; their shapes give its sizes, its cell and its precision.

    `settings` are keywords of `LanguageModel` that arrays do not show: ``dropout``, and of a
    vanilla RNN ``activation``, which must be given. A ValueError or TypeError says what is missing,
    does not fit or is not finite.
    """
    return _made("language_model", LanguageModel, arrays, settings)


def sequence_model(kind: type[Model], arrays: Mapping[str, Array], **settings: Any) -> Any:
    """Make a sequence model of arrays by path, as `language_model` does.

    Parameters
    ----------
    kind : SequenceClassifier, SequenceTagger or SequenceRegressor
    arrays : dict of path -> array
        Of `from_torch`, `from_keras` or a state dict.
    settings
        Keywords of `kind` that arrays do not show, such as ``every_step`` or ``dropout``.

    Examples
    --------
    >>> import numpy as np, numpylstm as nl
    >>> model = nl.SequenceRegressor(input_size=2, num_outputs=1, hidden_size=4, rng=0)
    >>> arrays = nl.exchange.from_torch(nl.exchange.to_torch(model))
    >>> twin = nl.exchange.sequence_model(nl.SequenceRegressor, arrays)
    >>> x = np.ones((5, 3, 2), np.float32)
    >>> bool((twin.predict(x) == model.predict(x)).all())
    True
    """
    if kind is LanguageModel or kind not in saving.MODELS.values():
        raise TypeError(
            f"sequence_model: kind must be a class such as SequenceTagger, got {kind!r}"
        )
    settings["average_across_timesteps"] = True
    return _made("sequence_model", kind, arrays, settings)


def _made(
    where: str, kind: type[Model], arrays: Mapping[str, Array], settings: dict[str, Any]
) -> Any:
    check_kind(where, "arrays", arrays, Mapping)
    language = kind is LanguageModel
    stacks = tuple(CELLS) if language else (*CELLS, *DIRECTIONS)
    stack = next((s for s in stacks if f"{s}.0.Wx" in arrays), None)
    if stack is None or (language and "embedding.W" not in arrays):
        expected = "recurrent layers and a decoder"
        if language:
            expected = "an embedding, recurrent layers of one direction and a decoder"
        got = shortened(sorted(map(str, arrays)))
        raise ValueError(f"{where}: arrays must be of {expected}, got {got}")
    name = settings.pop("cell", None) or stack
    if name in DIRECTIONS:  # the first cell with as many blocks as the layers have
        Wh = arrays.get(f"{name}.0.Wh")
        name = None if Wh is None else cell_of_shape(np.shape(Wh))
    if name not in CELLS:
        raise ValueError(f"{where}: cell must be given with these arrays, got {name!r}")
    cell = CELLS[name]
    Wx = arrays[f"{stack}.0.Wx"]
    check_array(where, f"{stack}.0.Wx", Wx, ("D", "nH"))
    D, nH = Wx.shape
    H = nH // len(cell.blocks)
    options = {n: settings.pop(n) for n in cell.options if n in settings}
    for vector_name, vector in cell.vectors.items():
        if vector.needs and f"{stack}.0.{vector_name}" not in arrays:
            needed, value = vector.needs  # it has its other choice
            choices = cell.options[needed].choices or ()
            options[needed] = next(choice for choice in choices if choice != value)
    shown = {vector.needs[0] for vector in cell.vectors.values() if vector.needs}
    for hidden, option in cell.options.items():
        if option.choices and hidden not in shown | options.keys():
            raise ValueError(
                f"{where}: {hidden} must be given, one of {', '.join(option.choices)}: the arrays "
                f"of a {cell.title} do not show it"
            )
    every_step = settings.pop("every_step", kind.fixed_settings.get("every_step", True))
    config = ModelConfig(
        **settings,
        cell=name,
        options=options,
        hidden_size=H,
        embedding_size=D,
        num_layers=sum(path.startswith(stack) and path.endswith(".Wx") for path in arrays),
        tied=language and "decoder.W" not in arrays and (D == H or "projection.W" in arrays),
        dtype=float_dtype("model", Wx.dtype).name,
    )
    V = len(arrays["embedding.W"]) if "embedding.W" in arrays else None
    num_outputs = V if language else len(arrays.get("decoder.b", [0]))
    return saving.make_model(
        kind,
        config,
        arrays,
        vocab_size=V,
        num_outputs=num_outputs,
        bidirectional=stack in DIRECTIONS,
        every_step=every_step,
        rng=0,
    )


def cell_of_shape(shape: tuple[int, ...]) -> str | None:
    """Return the first cell whose recurrent matrix has a shape (H, nH); None if there is none."""
    if len(shape) != 2:
        return None
    H, nH = shape
    return next((cell.name for cell in CELLS.values() if len(cell.blocks) * H == nH), None)
