"""Files of other programs, and run folders of the models in them.

A file is known by its content, and nothing in it is executed. The vocabulary and the options of the
cell are JSON in the metadata of safetensors and ONNX; for other files they are in a JSON object
beside them, ``FILE.json``.
"""

import importlib
import json
import os
import pickletools
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from numpylstm.cells import CELLS
from numpylstm.checks import check_choice, check_kind
from numpylstm.config import TrainConfig
from numpylstm.data import UNK, Vocabulary
from numpylstm.exchange.graph import onnx_model
from numpylstm.exchange.layouts import from_keras, from_torch, language_model, to_torch
from numpylstm.models import LanguageModel, check_language_model
from numpylstm.optim import OPTIMIZERS
from numpylstm.saving import CheckpointError, check_members, file_path, read_npy, write_atomically
from numpylstm.training import checkpoint, run_folder
from numpylstm.training.loop import Run
from numpylstm.untrusted import open_regular

# Of torch.save, and of numpy.savez without names.
MEMBERS = re.compile(r"[^/]+/.+|arr_\d{1,3}\.npy")
PLAIN = re.compile(
    r"collections OrderedDict|torch \w+Storage|torch\._utils _rebuild_(tensor_v2|parameter)"
)
"""The globals of a state dict of plain tensors. PyTorch trusts more, which can take any memory."""


def library(name: str) -> Any:
    """Import a package of the extra; an ImportError says how to install it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"exchange: this kind of file needs a package that cannot be imported: {error}; "
            "install it with: pip install 'numpylstm[exchange]'"
        ) from error


def export_model(
    model: LanguageModel, path: str | Path, to: str, vocabulary: Vocabulary | None = None
) -> None:
    """Write a language model to a file for another program; the file is replaced atomically.

    Parameters
    ----------
    model : LanguageModel
    path : str or Path
    to : "safetensors", "torch" or "onnx"
        The arrays by path, as here; the state dict of `to_torch`; or a whole model, from ids (T, B)
        int64, h0 (and c0 of an LSTM), (L, B, H), to logits (T, B, V), hT and cT.
    vocabulary : Vocabulary, optional

    Raises
    ------
    ValueError
        If the other program lacks the cell, or the vocabulary has another size.
    ImportError, SaveError
        If a package is not installed, or the file cannot be written.
    """
    where = "export_model"
    check_language_model(where, model)
    path = file_path(where, path)
    check_choice(where, "to", to, ("safetensors", "torch", "onnx"))
    options = CELLS[model.config.cell].arguments(model.config.options)
    notes: dict[str, Any] = {"options": options}
    if vocabulary is not None:
        check_kind(where, "vocabulary", vocabulary, Vocabulary)
        if len(vocabulary) != model.vocab_size:
            got = f"{len(vocabulary)} tokens for {model.vocab_size} ids"
            raise ValueError(f"{where}: vocabulary must be that of the model, got {got}")
        notes["vocabulary"] = list(vocabulary.tokens)
    texts = {key: json.dumps(value) for key, value in notes.items()}
    if to == "torch":
        state, torch = to_torch(model), library("torch")
        kept = {id(array): torch.from_numpy(array) for array in state.values()}  # tied: one tensor
        tensors = {key: kept[id(array)] for key, array in state.items()}
        write_atomically(path, lambda file: torch.save(tensors, file))
        content, path = json.dumps(notes).encode(), Path(f"{path}.json")
    elif to == "onnx":
        content = onnx_model(library("onnx"), model, texts).SerializeToString()
    else:
        content = library("safetensors.numpy").save(model.state_dict(), texts)
    write_atomically(path, lambda file: file.write(content))


def import_model(path: str | Path, **settings: Any) -> tuple[LanguageModel, Vocabulary]:
    """Read a language model and its vocabulary from a file of another program.

    Parameters
    ----------
    path : str or Path
        A safetensors file, with paths as of `LanguageModel` or keys as of PyTorch; a state dict
        saved by ``torch.save``; or ``numpy.savez(path, *keras_model.get_weights())``. Without a
        vocabulary, the tokens are ``<unk>``, "1", "2", ...
    settings
        As for `language_model`: what the file does not say.

    Raises
    ------
    CheckpointError
        If the file is damaged, or of another kind or another model.
    ImportError, OSError
        If a package is not installed, or the file cannot be opened.
    """
    path = file_path("import_model", path)
    with open_regular(path) as file:
        try:
            return read(path, file, settings)
        except (ImportError, MemoryError):
            raise
        except Exception as error:  # the readers raise whatever the bytes lead to
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise CheckpointError(
                f"{path} cannot be imported: {reason}; it must be safetensors, a state dict from "
                "torch.save, or from numpy.savez(path, *keras_model.get_weights())"
            ) from error


def read(
    path: Path, file: BinaryIO, settings: Mapping[str, Any]
) -> tuple[LanguageModel, Vocabulary]:
    """Return the model in a file with its vocabulary, whatever the name of the file."""
    size, head = os.fstat(file.fileno()).st_size, file.read(9)
    notes: dict[str, Any] = {}
    if head[:2] == b"PK":
        state = read_zip(path, file, size)
    elif head[8:] == b"{":
        with library("safetensors").safe_open(path, framework="numpy") as archive:
            texts = archive.metadata() or {}
            state = {key: archive.get_tensor(key) for key in archive.keys()}  # noqa: SIM118
        state |= {key: state[same] for key, same in texts.items() if same in state}  # tied
        notes = {key: json.loads(texts[key]) for key in {"options", "vocabulary"} & texts.keys()}
    else:
        raise ValueError("it is another kind of file")
    if any(array.nbytes > size for array in getattr(state, "values", lambda: state)()):
        raise ValueError("an array is larger than the file")
    if isinstance(state, list):
        arrays = from_keras(state)
    else:
        arrays = state if "embedding.W" in state else from_torch(state)
    if (beside := Path(f"{path}.json")).exists():
        with open_regular(beside) as more:
            notes = json.load(more) | notes
    model = language_model(arrays, **{**notes.get("options", {}), **settings})
    tokens = notes.get("vocabulary", [UNK, *map(str, range(1, model.vocab_size))])
    if not checkpoint.list_of(checkpoint.is_text)(tokens) or len(tokens) != model.vocab_size:
        raise ValueError(f"its vocabulary must be a list of {model.vocab_size} texts")
    return model, Vocabulary(tuple(tokens))


def read_zip(path: Path, file: BinaryIO, size: int) -> Any:
    """Return the state dict that PyTorch saved, or the list of arrays that NumPy saved."""
    with zipfile.ZipFile(file) as archive:
        check_members(archive.infolist(), size, MEMBERS)
        names = archive.namelist()
        pickles = [name for name in names if name.endswith("/data.pkl")]
        if not pickles:
            return [read_npy(f"arr_{k}", archive.read(f"arr_{k}.npy")) for k in range(len(names))]
        for operation, argument, _ in pickletools.genops(archive.read(pickles[0])):
            if "GLOBAL" in operation.name and not PLAIN.fullmatch(str(argument)):
                raise ValueError(f"it holds {argument!r}, which is no plain tensor")
    # With mmap, no storage reaches beyond the file, whatever sizes are written in it.
    return library("torch").load(path, map_location="cpu", weights_only=True, mmap=True)


def write_run(model: LanguageModel, vocabulary: Vocabulary, folder: Path) -> None:
    """Write a run before its first update into an empty folder, with its ``best.npz``.

    It has no text: name one with ``numpylstm-eval --file`` or ``numpylstm-train --init-from``.
    """
    settings, options = model.config.arguments, model.config.options
    own = {name: value for name, value in settings.items() if name not in options}
    characters = all(len(token) == 1 for token in vocabulary if token != UNK)
    level, V = "char" if characters else "word", len(vocabulary)
    config = TrainConfig(**own, options=options, level=level, max_vocab=max(V, 2))
    optimizer = OPTIMIZERS[config.optimizer].from_config(model.parameters(), config)
    run = Run(config, vocabulary, "", model, optimizer, model.zero_state(config.batch_size))
    run_folder.begin(folder, run)
    checkpoint.save(run, folder / run_folder.BEST)
