"""Weights to and from other programs: safetensors, PyTorch, Keras and ONNX.

Nothing in a file is executed. The vocabulary and the options of the cell are JSON in the metadata
of safetensors and ONNX; for other files they are in a JSON object beside them, ``FILE.json``. The
extra ``numpylstm[exchange]`` has the packages; none is imported before a file needs it.
"""

import importlib
import json
import os
import pickletools
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, permutations
from pathlib import Path
from reprlib import repr as shortened
from typing import Any, BinaryIO

import numpy as np

from numpylstm import saving
from numpylstm.cells import CELLS
from numpylstm.checks import check_array, check_choice, check_kind, check_shapes
from numpylstm.config import ModelConfig, TrainConfig
from numpylstm.data import UNK, Vocabulary
from numpylstm.files import open_regular
from numpylstm.models import Array, LanguageModel, Model, check_language_model, dtype_name
from numpylstm.parameters import parameter_shapes
from numpylstm.training import checkpoint, run_folder
from numpylstm.training.loop import Run

__all__ = ["export_model", "from_keras", "from_torch", "import_model", "language_model",
           "to_torch", "write_run"]  # fmt: skip

# --- arrays: order of the gates, transposes, one bias or two -------------------------------------

KINDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")  # of PyTorch, in our order
LACKING = {"PyTorch": {"reset": "before", "activation": "sigmoid"}}  # options of cells that it has


def reordered(array: Array, order: Sequence[str], new: Sequence[str]) -> Array:
    """Return a copy whose last axis has its blocks in a new order."""
    blocks = np.split(array, len(order), axis=-1)
    return np.concatenate([blocks[order.index(name)] for name in new], axis=-1)


def layers_for(where: str, model: Model, program: str) -> Iterator[list[Array]]:
    """Yield Wx (nH, D), Wh (nH, H) and two biases (nH,) of each layer, as a program has them."""
    config, cell, arrays = model.config, CELLS[model.config.cell], model.state_dict()
    if program not in cell.orders or LACKING.get(program, {}).items() & config.options.items():
        raise ValueError(
            f"{where}: model must have a cell that {program} has, got a "
            f"{cell.describe(config.options)}; safetensors holds every cell"
        )
    zero = np.zeros(config.hidden_size, config.dtype)  # for blocks without a vector of their own
    for layer in range(config.num_layers):
        path = f"{cell.name}.{layer}."
        parts = [arrays[path + key] for key in ("Wx", "Wh", "b")]
        parts.append(np.concatenate([arrays.get(f"{path}b{k}", zero) for k in cell.blocks]))
        yield [reordered(a, cell.blocks, cell.orders[program]).T.copy() for a in parts]


def layers_from(where: str, program: str, layers: Iterable[Sequence[Array]]) -> dict[str, Array]:
    """Return by path Wx (D, nH), Wh (H, nH) and one or two biases (k, nH) of layers of a program.

    The blocks of a second bias for which the cell has no vector are added to the first.
    """
    held = [cell for cell in CELLS.values() if program in cell.orders]
    found: dict[str, Array] = {}
    for layer, (Wx, Wh, biases) in enumerate(layers):
        check_array(where, f"Wh of layer {layer}", Wh, ("H", "nH"))
        H, nH = Wh.shape
        cell = next((cell for cell in held if len(cell.blocks) * H == nH), None)
        if cell is None:
            raise ValueError(
                f"{where}: layer {layer} must be one of {', '.join(c.title for c in held)}, got a "
                f"recurrent matrix from {H} to {nH}; other cells have no counterpart"
            )
        check_array(where, f"Wx of layer {layer}", Wx, ("D", nH))
        check_array(where, f"biases of layer {layer}", biases, ("k", nH))
        order, path = cell.orders[program], f"{cell.name}.{layer}."
        Wx, Wh, b, *second = (reordered(a, order, cell.blocks) for a in (Wx, Wh, *biases))
        found |= {f"{path}Wx": Wx, f"{path}Wh": Wh, f"{path}b": b}
        views = (bias.reshape(-1, H) for bias in (b, *second))  # (n, H)
        for block, own, part in zip(cell.blocks, *views, strict=True) if second else ():
            if f"b{block}" in cell.vectors:
                found[f"{path}b{block}"] = part
            else:
                np.add(own, part, out=own, where=part != 0)  # -0.0 + 0.0 would be 0.0
    return found


def copied(where: str, name: str, value: Any) -> Array:
    """Return a checked copy of an array, or of a tensor of PyTorch; 16 bits become 32, exactly."""
    if hasattr(value, "detach"):
        value = (value.float() if value.dtype.itemsize == 2 else value).detach().cpu().numpy()
    if getattr(value, "dtype", None) == np.float16:
        value = value.astype(np.float32)
    check_array(where, name, value, getattr(value, "shape", ()))
    return np.array(value)


def to_torch(model: Model) -> dict[str, Array]:
    """Return the arrays of a model as a state dict of PyTorch, without importing PyTorch.

    The modules are "embedding", "decoder" and, between them, "lstm", "gru" or "rnn". A tied model
    has one array under two keys. A ValueError refuses a cell that PyTorch lacks and other models.
    """
    check_kind("to_torch", "model", model, Model)
    if model.vocab_size is None or model.bidirectional:
        got = "two directions" if model.bidirectional else "vectors"
        raise ValueError(f"to_torch: model must have an embedding and one direction, got {got}")
    arrays = model.state_dict()
    found = {"embedding.weight": arrays["embedding.W"]}
    for layer, parts in enumerate(layers_for("to_torch", model, "PyTorch")):
        keys = (f"{model.config.cell}.{kind}_l{layer}" for kind in KINDS)
        found |= dict(zip(keys, parts, strict=True))
    W = arrays["embedding.W"] if model.config.tied else arrays["decoder.W"].T.copy()
    return found | {"decoder.weight": W, "decoder.bias": arrays["decoder.b"]}


def from_torch(state: Mapping[str, Any]) -> dict[str, Array]:
    """Return the arrays of a PyTorch module by the paths of a `LanguageModel`.

    `state` is ``module.state_dict()``, of tensors or arrays, of a module with one ``Embedding``,
    one ``LSTM``, ``GRU`` or ``RNN`` and one ``Linear``, under any names; or of a recurrent module
    alone, for a layer such as `LSTM`. Biases may be missing. Where decoder and embedding are equal,
    the model is tied. A ValueError refuses other modules, bidirectional layers and projections.
    """
    where = "from_torch"
    check_kind(where, "state", state, Mapping, "that of a module is module.state_dict()")
    if nested := [key for key, value in state.items() if isinstance(value, Mapping)]:
        raise TypeError(
            f"{where}: state must hold arrays or tensors, got dicts under {shortened(nested)}; "
            "of a checkpoint, take the state dict in it"
        )
    rest = {str(key): copied(where, str(key), value) for key, value in state.items()}
    prefix = next((k.removesuffix("weight_hh_l0") for k in rest if k.endswith("weight_hh_l0")), "")
    layers: list[Sequence[Array]] = []
    for layer in range(len(rest)):
        Wx, Wh, *biases = (f"{prefix}{kind}_l{layer}" for kind in KINDS)
        if not {Wx, Wh} <= rest.keys():
            break
        zero = np.zeros(rest[Wh].shape[:1], rest[Wh].dtype)
        b = np.stack([rest.pop(key, zero) for key in biases])
        layers.append((rest.pop(Wx).T, rest.pop(Wh).T, b))
    columns = [matrix.shape[:1] for first in layers[:1] for matrix in first[:2]]  # D and H
    fits = []
    for embedding, decoder in permutations([*rest][:4], 2):  # of four keys, none fits
        E, W, bias = rest[embedding], rest[decoder], decoder.removesuffix("weight") + "bias"
        if rest.keys() <= {embedding, decoder, bias} and [E.shape[1:], W.shape[1:]] == columns:
            fits.append((E, W, rest.get(bias, np.zeros(len(W), W.dtype))))
    tied = bool(fits) and np.array_equal(*fits[0][:2])
    if len(fits) != 1 and not tied and (rest or not layers):
        raise ValueError(
            f"{where}: state must be of one Embedding, one LSTM, GRU or RNN, and one Linear (with "
            "its bias, if its shape is that of the Embedding), or of one recurrent module, got "
            f"{shortened(sorted(map(str, state)))}; bidirectional layers, projections and other "
            "modules have no counterpart"
        )
    arrays = layers_from(where, "PyTorch", layers)
    if rest:
        E, W, b = fits[0]
        arrays |= {"embedding.W": E, "decoder.b": b} | ({} if tied else {"decoder.W": W.T.copy()})
    return arrays


def from_keras(weights: Sequence[Any]) -> dict[str, Array]:
    """Return the arrays of a Keras model by the paths of a `LanguageModel`.

    `weights` is ``model.get_weights()`` of an ``Embedding``, layers of ``LSTM``, ``GRU`` or
    ``SimpleRNN``, and a ``Dense``, all with biases. A bias of two rows is that of a GRU with
    ``reset_after=True``, the default; a GRU with one row has ``reset="before"``.
    """
    where = "from_keras"
    check_kind(where, "weights", weights, Sequence)
    arrays = [copied(where, f"weights[{k}]", array) for k, array in enumerate(weights)]
    if len(arrays) < 6 or len(arrays) % 3:
        raise ValueError(
            f"{where}: weights must be those of an Embedding (one array), of recurrent layers "
            f"(three each) and of a Dense (two), got {len(arrays)}; a layer may lack its bias"
        )
    E, *layers, W, b = arrays
    biases = map(np.atleast_2d, layers[2::3])
    found = layers_from(where, "Keras", zip(layers[::3], layers[1::3], biases, strict=True))
    return {"embedding.W": E, **found, "decoder.W": W, "decoder.b": b}


def language_model(arrays: Mapping[str, Array], **settings: Any) -> LanguageModel:
    """Make a model of arrays by path; their shapes give its sizes, its cell and its precision.

    `settings` are keywords of `LanguageModel` that arrays do not show, such as ``activation`` or
    ``dropout``. A ValueError or TypeError says what is missing, does not fit or is not finite.
    """
    where = "language_model"
    check_kind(where, "arrays", arrays, Mapping)
    cell = next((cell for cell in CELLS.values() if f"{cell.name}.0.Wx" in arrays), None)
    if cell is None or "embedding.W" not in arrays:
        raise ValueError(
            f"{where}: arrays must be of an embedding, recurrent layers and a decoder, got "
            f"{shortened(sorted(map(str, arrays)))}"
        )
    axes = "embedding.W V D", f"{cell.name}.0.Wx D {len(cell.blocks)}H"
    sizes = check_shapes(where, axes, *(arrays[name.split()[0]] for name in axes))
    options = {n: settings.pop(n) for n in cell.options if n in settings}
    for name, vector in cell.vectors.items():
        if vector.needs and f"{cell.name}.0.{name}" not in arrays:
            option, value = vector.needs  # it has its other choice
            choices = cell.options[option].choices or ()
            options[option] = next(choice for choice in choices if choice != value)
    config = ModelConfig(
        **settings, cell=cell.name, options=options, hidden_size=sizes["H"],
        embedding_size=sizes["D"], num_layers=sum(path.endswith(".Wx") for path in arrays),
        tied="decoder.W" not in arrays, dtype=dtype_name(arrays["embedding.W"].dtype),
    )  # fmt: skip
    because = "they are not those of a language model; other models have load_state_dict"
    saving.check_shapes(arrays, parameter_shapes(config, sizes["V"]), because)  # takes no memory
    model = LanguageModel.from_config(config, sizes["V"], rng=0)
    model.load_state_dict(arrays)
    return model


# --- files ---------------------------------------------------------------------------------------

PLAIN = re.compile(
    r"collections OrderedDict|torch \w+Storage|torch\._utils _rebuild_(tensor_v2|parameter)"
)
"""The globals of a state dict of plain tensors. PyTorch trusts more, which can take any memory."""


def library(name: str) -> Any:
    """Import a package of the extra; the note of an ImportError says how to install it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        error.add_note("install it with: pip install 'numpylstm[exchange]'")
        raise


def onnx_model(onnx: Any, model: LanguageModel, texts: Mapping[str, str]) -> Any:
    """Return a model as an ONNX graph with free T and B, and with texts as its metadata."""
    config, cell = model.config, CELLS[model.config.cell]
    if (size := model.num_parameters * np.dtype(config.dtype).itemsize) >= 1 << 31:
        raise ValueError(f"export_model: model must be below 2 GiB for ONNX, got {size:,} bytes")
    V, H, L, options = model.vocab_size, config.hidden_size, config.num_layers, config.options
    real, attributes = {"float32": "float", "float64": "double"}[config.dtype], f"hidden_size={H}"
    if "activation" in options:
        attributes += f', activations=["{options["activation"].capitalize()}"]'
    if "reset" in options:
        attributes += f", linear_before_reset={int(options['reset'] == 'after')}"
    constants = {k: a for k, a in model.state_dict().items() if not k.startswith(cell.name)}
    nodes = ["axis = Constant <value_ints=[1]> ()", "x_0 = Gather (embedding_W, ids)"]  # (T, B, D)
    for k, (W, R, *biases) in enumerate(layers_for("export_model", model, "ONNX")):
        constants |= {f"W_{k}": W[None], f"R_{k}": R[None], f"B_{k}": np.concatenate(biases)[None]}
        first, last = (", ".join(f"{s}{end}_{k}" for s in cell.states) for end in "0T")
        inputs = f"x_{k}, W_{k}, R_{k}, B_{k}, , {first}"  # without lengths
        nodes.append(f"hs_{k}, {last} = {cell.title} <{attributes}> ({inputs})")  # (T, 1, B, H)
        nodes.append(f"x_{k + 1} = Squeeze (hs_{k}, axis)")
    for s in cell.states:
        first, last = (", ".join(f"{s}{end}_{k}" for k in range(L)) for end in "0T")
        nodes = [f"{first} = Split <axis=0> ({s}0)", *nodes, f"{s}T = Concat <axis=0> ({last})"]
    if config.tied:
        nodes.append("decoder_W = Transpose <perm=[1, 0]> (embedding_W)")
    nodes += [f"scores = MatMul (x_{L}, decoder_W)", "logits = Add (scores, decoder_b)"]
    first, last = (", ".join(f"{real}[{L}, B, {H}] {s}{end}" for s in cell.states) for end in "0T")
    made = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17], producer_name: "numpylstm">'  # of 2022
        f"numpylstm (int64[T, B] ids, {first}) => ({real}[T, B, {V}] logits, {last})"
        "{" + "\n".join(nodes) + "}"
    )
    for name, array in constants.items():
        made.graph.initializer.append(onnx.numpy_helper.from_array(array, name.replace(".", "_")))
    onnx.helper.set_model_props(made, texts)
    return made


def export_model(
    model: LanguageModel, path: str | Path, to: str, vocabulary: Vocabulary | None = None
) -> None:
    """Write a language model to a file for another program; the file is replaced atomically.

    `to` is "safetensors", for the arrays by path; "torch", for the state dict of `to_torch`; or
    "onnx", for a whole model: ids (T, B) int64, h0 (and c0 of an LSTM) (L, B, H) to logits
    (T, B, V), hT and cT. A ValueError refuses a cell that the program lacks, and a vocabulary of
    another size; an ImportError names the package that is missing.
    """
    where = "export_model"
    check_language_model(where, model)
    path = saving.file_path(where, path)
    check_choice(where, "to", to, ("safetensors", "torch", "onnx"))
    notes: dict[str, Any] = {"options": dict(model.config.options)}
    if vocabulary is not None:
        check_kind(where, "vocabulary", vocabulary, Vocabulary)
        if len(vocabulary) != model.vocab_size:
            got = f"{len(vocabulary)} tokens for {model.vocab_size} ids"
            raise ValueError(f"{where}: vocabulary must be that of the model, got {got}")
        notes["vocabulary"] = list(vocabulary)
    texts = {key: json.dumps(value) for key, value in notes.items()}
    if to == "torch":
        state, torch = to_torch(model), library("torch")
        tensors = {key: torch.from_numpy(array) for key, array in state.items()}
        if model.config.tied:  # one tensor under two keys
            tensors["decoder.weight"] = tensors["embedding.weight"]
        saving.write_atomically(path, lambda file: torch.save(tensors, file))
        content, path = json.dumps(notes).encode(), Path(f"{path}.json")
    elif to == "onnx":
        content = onnx_model(library("onnx"), model, texts).SerializeToString()
    else:
        content = library("safetensors.numpy").save(model.state_dict(), texts)
    saving.write_atomically(path, lambda file: file.write(content))


def import_model(path: str | Path, **settings: Any) -> tuple[LanguageModel, Vocabulary]:
    """Read a language model and its vocabulary from a file of another program.

    It is a safetensors file, with paths as of `LanguageModel` or keys as of PyTorch; a state dict
    saved by ``torch.save``; or ``numpy.savez(path, *keras_model.get_weights())``. `settings` are as
    for `language_model`. Without a vocabulary, the tokens are ``<unk>``, "1", "2", ... Numbers of
    16 bits, float16 and bfloat16, become float32, which holds each of them exactly.
    A CheckpointError refuses a damaged file, or one of another kind.
    """
    path = saving.file_path("import_model", path)
    with open_regular(path) as file:
        try:
            return read(path, file, **settings)
        except (ImportError, MemoryError, saving.CheckpointError):
            raise
        except Exception as error:  # the readers raise whatever the bytes lead to
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise saving.CheckpointError(
                f"{path} cannot be imported: {reason}; it must be safetensors, a state dict from "
                "torch.save, or from numpy.savez(path, *keras_model.get_weights())"
            ) from error


def read(path: Path, file: BinaryIO, **settings: Any) -> tuple[LanguageModel, Vocabulary]:
    """Return the model in a file with its vocabulary, whatever the name of the file."""
    size, head = os.fstat(file.fileno()).st_size, file.read(9)
    notes: dict[str, Any] = {}
    if head[:2] == b"PK":
        arrays = read_zip(path, file, size)
    elif head[8:] == b"{":
        arrays, texts = read_safetensors(path)
        arrays |= {key: arrays[same] for key, same in texts.items() if same in arrays}  # tied
        notes = {key: json.loads(texts[key]) for key in {"options", "vocabulary"} & texts.keys()}
    else:
        raise ValueError("it is another kind of file")
    if sum(getattr(array, "nbytes", 0) for array in arrays.values()) > 2 * size:
        raise ValueError("its arrays are larger than the file")  # a tied one stands there twice
    if "arr_0" in arrays:
        arrays = from_keras([arrays[f"arr_{k}"] for k in range(len(arrays))])
    elif "embedding.W" in arrays:
        arrays = {key: copied("import_model", key, array) for key, array in arrays.items()}
    else:
        arrays = from_torch(arrays)
    if (beside := Path(f"{path}.json")).exists():
        try:
            with open_regular(beside) as more:
                notes = {**json.load(more), **notes}
        except (ValueError, TypeError, RecursionError) as error:
            raise saving.CheckpointError(
                f'{beside} must be a JSON object such as {{"vocabulary": ["<unk>", "a"]}}: {error}'
            ) from error
    model = language_model(arrays, **{**notes.get("options", {}), **settings})
    tokens = notes.get("vocabulary", [UNK, *map(str, range(1, model.vocab_size))])
    if not isinstance(tokens, list) or len(tokens) != model.vocab_size:
        raise ValueError(f"its vocabulary must be a list of {model.vocab_size} texts")
    vocabulary = Vocabulary(tuple(tokens))
    "".join(vocabulary).encode()  # half a surrogate pair could not be written into the run
    return model, vocabulary


def read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the arrays of a safetensors file, or tensors if it holds bfloat16, and its texts."""
    open_as = library("safetensors").safe_open
    with open_as(path, framework="numpy") as archive:
        names, texts = list(archive.keys()), archive.metadata() or {}
        kinds = {archive.get_slice(name).get_dtype() for name in names}
    framework = "pt" if "BF16" in kinds else "numpy"  # NumPy has no bfloat16
    with open_as(path, framework=framework) as archive:
        return {name: archive.get_tensor(name) for name in names}, texts


def read_zip(path: Path, file: BinaryIO, size: int) -> Any:
    """Return the state dict that PyTorch saved, or by member the arrays that NumPy saved."""
    with zipfile.ZipFile(file) as archive:
        saving.check_members(archive.infolist(), size)
        pickles = [archive.read(k) for k in archive.namelist() if k.endswith("/data.pkl")]
    if not pickles:
        return saving.members(file)
    for operation, argument, _ in chain.from_iterable(map(pickletools.genops, pickles)):
        if "GLOBAL" in operation.name and not PLAIN.fullmatch(str(argument)):
            raise ValueError(f"it holds {argument!r}, which is no plain tensor")
    # With mmap, no storage reaches beyond the file, whatever sizes are written in it.
    return library("torch").load(path, map_location="cpu", weights_only=True, mmap=True)


def write_run(model: LanguageModel, vocabulary: Vocabulary, folder: Path) -> None:
    """Write a run before its first update into an empty folder, with its ``best.npz``.

    It has no text: name one with ``numpylstm-eval --file`` or ``numpylstm-train --init-from``.
    """
    V = len(vocabulary)
    level = "char" if all(len(token) == 1 for token in vocabulary if token != UNK) else "word"
    config = TrainConfig(**model.config.to_dict(), level=level, max_vocab=max(V, 2))
    run = Run.begin(config, vocabulary, "", model)
    run_folder.begin(folder, run)
    checkpoint.save(run, folder / run_folder.BEST)
