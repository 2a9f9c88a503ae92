"""Checkpoint files taken apart, and put together with changes."""

import io
import json
from typing import Any, NamedTuple

import numpy as np


class Parts(NamedTuple):
    """A good checkpoint: its bytes, its arrays by name, and its meta object."""

    content: bytes
    arrays: dict[str, Any]
    meta: dict[str, Any]


def take_apart(content):
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return Parts(content, arrays, json.loads(arrays.pop("meta").tobytes()))


def pack(arrays, meta, save=np.savez):
    """Return a checkpoint with any content."""
    text = meta if isinstance(meta, bytes) else json.dumps(meta).encode()
    file = io.BytesIO()
    save(file, **arrays, meta=np.frombuffer(text, np.uint8))
    return file.getvalue()


def with_meta(**changes):
    """Return a function that packs a good checkpoint with another meta object."""
    return lambda good: pack(good.arrays, {**good.meta, **changes})


def with_config(**changes):
    """Return a function that packs a good checkpoint with other settings."""
    return lambda good: pack(
        good.arrays, {**good.meta, "config": {**good.meta["config"], **changes}}
    )
