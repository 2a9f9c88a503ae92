"""Models to and from files of other programs: safetensors, PyTorch, Keras and ONNX.

Nothing in a file is executed. The vocabulary, the settings and the options of the cell are JSON in
the metadata of safetensors and ONNX; for other files they are in a JSON object beside them,
``FILE.json``. A setting with which another program would compute something else is refused.
"""

import json
import os
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from numpylstm import saving
from numpylstm.checks import check_choice, check_kind
from numpylstm.config import TrainConfig
from numpylstm.data import UNK, Vocabulary
from numpylstm.errors import brief
from numpylstm.exchange.arrays import (
    LOG,
    SHOWN,
    copied,
    from_keras,
    from_torch,
    language_model,
    library,
    sequence_model,
    to_torch,
)
from numpylstm.exchange.graph import onnx_model
from numpylstm.levels import CHAR, LEVELS, WORD
from numpylstm.models import LanguageModel, Model, check_language_model
from numpylstm.training import checkpoint, run_folder
from numpylstm.training.loop import Run

NOTES = {"model", "cell", "every_step", "options", "settings", "vocabulary", "level"}


class Imported(NamedTuple):
    """The content of a file of another program; None where it does not say."""

    model: Any
    vocabulary: Any
    level: str | None


def export_model(
    model: Model,
    path: str | Path,
    to: str,
    vocabulary: Vocabulary | None = None,
    level: str | None = None,
) -> None:
    """Write a model to a file for another program; the file is replaced atomically.

    `to` is "safetensors", for the arrays by path; "torch", for the state dict of `to_torch`; or
    "onnx", for a whole model: ids (T, B) int64, or x (T, B, D), h0 (and c0 of an LSTM) (L, B, H) to
    logits (T, B, V), hT and cT. A sequence model takes lengths (B,) int32 too, has "outputs" in
    place of "logits", and no states if it has two directions. `level`, a name in
    `numpylstm.levels.LEVELS`, tells `write_run` how texts are cut into tokens of the vocabulary. A
    ValueError refuses a cell that the program lacks, and a vocabulary of another size; an
    ImportError names the package that is missing.
    """
    where = "export_model"
    check_kind(where, "model", model, Model)
    path = Path(path)
    check_choice(where, "to", to, ("safetensors", "torch", "onnx"))
    notes: dict[str, Any] = {
        "model": type(model).__name__,
        "cell": model.config.cell,
        "every_step": model.every_step,
        "options": dict(model.config.options),
        "settings": {
            name: value
            for name, value in model.config.to_dict().items()
            if name not in (*SHOWN, "options")
        },
    }
    if vocabulary is not None:
        check_kind(where, "vocabulary", vocabulary, Vocabulary)
        if len(vocabulary) != model.vocab_size:
            got = f"{len(vocabulary)} tokens for {model.vocab_size} ids"
            raise ValueError(f"{where}: vocabulary must be that of the model, got {got}")
        notes["vocabulary"] = list(vocabulary)
    if level is not None:
        check_choice(where, "level", level, LEVELS)
        notes["level"] = level
    texts = {key: json.dumps(value) for key, value in notes.items()}
    if to == "torch":
        state = to_torch(model)
        torch = library("torch")
        tensors = {key: torch.from_numpy(array) for key, array in state.items()}
        if model.config.tied:  # one tensor under two keys
            tensors["decoder.weight"] = tensors["embedding.weight"]
        saving.write_atomically(path, lambda file: torch.save(tensors, file))
        content = json.dumps(notes).encode()
        path = Path(f"{path}.json")
    elif to == "onnx":
        content = onnx_model(library("onnx"), model, texts).SerializeToString()
    else:
        content = library("safetensors.numpy").save(model.state_dict(), texts)
    saving.write_atomically(path, lambda file: file.write(content))


def import_model(
    path: str | Path, kind: type[Model] | None = None, **settings: Any
) -> tuple[Any, Any]:
    """Read a model and its vocabulary from a file of another program.

    It is a safetensors file, with paths as of our models or keys as of PyTorch; a state dict saved
    by ``torch.save``; or ``numpy.savez(path, *keras_model.get_weights())``. A CheckpointError
    refuses a damaged file, or one of another kind. Numbers of 16 bits, float16 and bfloat16, become
    float32, which holds each of them exactly; a log line says so.

    `kind` is the class of the model, by default that of `export_model`, or `LanguageModel`.
    `settings` are as for `language_model` and `sequence_model`. Without a vocabulary, the tokens of
    a language model are ``<unk>``, "1", "2", ..., and a log line says so; for another model the
    vocabulary is then None.
    """
    imported = import_file(path, kind, **settings)
    return imported.model, imported.vocabulary


def import_file(path: str | Path, kind: type[Model] | None = None, **settings: Any) -> Imported:
    """Read a model as `import_model` does, with its level too."""
    path = Path(path)
    with path.open("rb") as file:
        try:
            return read(path, file, kind, settings)
        except (ImportError, MemoryError, saving.CheckpointError):
            raise
        except Exception as error:  # the readers raise whatever the bytes lead to
            reason = brief(error) or type(error).__name__
            raise saving.CheckpointError(
                f"{path} cannot be imported: {reason}; it must be safetensors, a state dict from "
                "torch.save, or from numpy.savez(path, *keras_model.get_weights())"
            ) from error


def read(
    path: Path, file: BinaryIO, kind: type[Model] | None, settings: dict[str, Any]
) -> Imported:
    """Return what is in a file, whatever its name."""
    head = file.read(9)
    notes: dict[str, Any] = {}
    if head[:2] == b"PK":
        arrays = read_zip(path, file)
    elif head[8:] == b"{":
        arrays, texts = read_safetensors(path)
        arrays |= {key: arrays[same] for key, same in texts.items() if same in arrays}  # tied
        notes = {key: json.loads(texts[key]) for key in NOTES & texts.keys()}
    else:
        raise ValueError("it is another kind of file")
    size = os.fstat(file.fileno()).st_size
    if sum(getattr(array, "nbytes", 0) for array in arrays.values()) > 2 * size:
        raise ValueError("its arrays are larger than the file")  # a tied one stands there twice
    if "arr_0" in arrays:
        arrays = from_keras([arrays[f"arr_{k}"] for k in range(len(arrays))])
    elif "decoder.b" in arrays:
        arrays = copied("import_model", arrays)
    else:
        arrays = from_torch(arrays)
    beside = Path(f"{path}.json")
    if beside.exists():
        try:
            with beside.open("rb") as more:
                notes = {**json.load(more), **notes}
        except (ValueError, TypeError, RecursionError) as error:
            raise saving.CheckpointError(
                f'{beside} must be a JSON object such as {{"vocabulary": ["<unk>", "a"]}}: {error}'
            ) from error
    settings = notes.get("settings", {}) | notes.get("options", {}) | settings
    kind = kind or saving.MODELS[notes.get("model", "LanguageModel")]
    if kind is LanguageModel:
        model: Any = language_model(arrays, **settings)
        if "vocabulary" not in notes:
            LOG.warning(
                "%s holds no vocabulary: the token of id 0 is %s, which numpylstm-sample draws "
                'with --no-ban-unk only, the others are "1", "2", ...; a JSON list of the tokens '
                "can stand in %s",
                path,
                UNK,
                beside,
            )
            notes["vocabulary"] = names_of_ids(model.vocab_size)
    else:
        known = {key: notes[key] for key in ("cell", "every_step") if key in notes}
        model = sequence_model(kind, arrays, **(known | settings))
    level = notes.get("level")
    if level is not None:
        check_choice("import_model", "level", level, LEVELS)
    tokens = notes.get("vocabulary")
    if tokens is None:
        return Imported(model, None, level)
    if not isinstance(tokens, list) or len(tokens) != model.vocab_size:
        raise ValueError(f"its vocabulary must be a list of {model.vocab_size} texts")
    vocabulary = Vocabulary(tuple(tokens))
    "".join(vocabulary).encode()  # half a surrogate pair could not be written into the run
    return Imported(model, vocabulary, level)


def names_of_ids(V: int) -> list[str]:
    """Return the tokens of a model without a vocabulary: ``<unk>``, "1", "2", ..."""
    return [UNK, *map(str, range(1, V))]


def read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the arrays of a safetensors file, or tensors if it holds bfloat16, and its texts."""
    open_as = library("safetensors").safe_open
    with open_as(path, framework="numpy") as archive:
        names = list(archive.keys())
        texts = archive.metadata() or {}
        kinds = {archive.get_slice(name).get_dtype() for name in names}
    framework = "pt" if "BF16" in kinds else "numpy"  # NumPy has no bfloat16
    with open_as(path, framework=framework) as archive:
        return {name: archive.get_tensor(name) for name in names}, texts


def read_zip(path: Path, file: BinaryIO) -> Any:
    """Return the state dict that PyTorch saved, or by member the arrays that NumPy saved."""
    if not any(name.endswith("/data.pkl") for name in saving.member_names(file)):
        with np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    # With mmap, no storage reaches beyond the file, whatever sizes are written in it.
    return library("torch").load(path, map_location="cpu", weights_only=True, mmap=True)


def write_run(
    model: LanguageModel, vocabulary: Vocabulary, folder: Path, level: str | None = None
) -> str:
    """Write a run before its first update into an empty folder, with its ``best.npz``.

    It has no text: name one with ``numpylstm-eval --file`` or ``numpylstm-train --init-from``,
    which is cut into tokens of this level, a name in `numpylstm.levels.LEVELS`. By default it is
    "char" if all tokens of the vocabulary are single characters, and not ids in place of names,
    else "word". Return the level.
    """
    check_language_model("write_run", model)
    V = len(vocabulary)
    if level is None:
        single = all(len(token) == 1 for token in vocabulary if token != UNK)
        level = CHAR.name if single and list(vocabulary) != names_of_ids(V) else WORD.name
    config = TrainConfig(**model.config.to_dict(), level=level, max_vocab=max(V, 2))
    run = Run.begin(config, vocabulary, "", model)
    run_folder.write_initial(folder, run)
    checkpoint.save(run, folder / run_folder.BEST)
    return level
