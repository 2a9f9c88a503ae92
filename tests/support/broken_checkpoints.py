"""Broken checkpoint files, each made from a good one, and their error messages."""

import io
import json
import os
import zipfile
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Arrays = dict[str, Any]


class Parts(NamedTuple):
    """A good checkpoint: its bytes, its arrays by name, and its meta object."""

    content: bytes
    arrays: Arrays
    meta: dict[str, Any]


class Broken(NamedTuple):
    """One way to break a checkpoint: `make` takes the good one, `says` is in the message.

    `whole_run` if only a run that goes on needs what is broken.
    """

    what: str
    make: Callable[[Parts], bytes]
    says: str
    whole_run: bool = False


class Payload:
    """Something that leaves a file when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("EXECUTED",)


def take_apart(content: bytes) -> Parts:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return Parts(content, arrays, json.loads(arrays.pop("meta").tobytes()))


def pack(arrays: Arrays, meta: Any, save: Callable[..., None] = np.savez) -> bytes:
    """Return a checkpoint with any content."""
    text = meta if isinstance(meta, bytes) else json.dumps(meta).encode()
    file = io.BytesIO()
    save(file, **arrays, meta=np.frombuffer(text, np.uint8))
    return file.getvalue()


def of_any_shape(shape: str) -> bytes:
    """Return a file with one array, whose header claims a shape."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("parameters/x.npy", b"\x93NUMPY\x01\x00\x76\x00" + header.encode() + b"1")
    return file.getvalue()


def flipped(good: Parts) -> bytes:
    """Flip one bit of an array."""
    content = bytearray(good.content)
    content[content.index(good.arrays["parameters/decoder.b"].tobytes()) + 3] ^= 0x04
    return bytes(content)


def with_array(name: str, change: Callable[[Any], Any]) -> Callable[[Parts], bytes]:
    return lambda good: pack({**good.arrays, name: change(good.arrays.get(name))}, good.meta)


def without_array(name: str) -> Callable[[Parts], bytes]:
    return lambda good: pack({k: v for k, v in good.arrays.items() if k != name}, good.meta)


def with_meta(**changes: Any) -> Callable[[Parts], bytes]:
    return lambda good: pack(good.arrays, {**good.meta, **changes})


def with_config(**changes: Any) -> Callable[[Parts], bytes]:
    return lambda good: pack(
        good.arrays, {**good.meta, "config": {**good.meta["config"], **changes}}
    )


WHOLE = "is not a whole numpylstm checkpoint: "

BROKEN = [
    # damaged, or another kind of file
    Broken("empty", lambda good: b"", WHOLE + "File is not a zip file"),
    Broken("truncated", lambda good: good.content[: len(good.content) // 2], WHOLE),
    Broken("a bit is flipped", flipped, WHOLE + "Bad CRC-32 for file 'parameters/decoder.b.npy'"),
    Broken("an archive of something else", lambda good: pack({}, [1, 2]), "has another format"),
    Broken("of another version", with_meta(version=9), "has checkpoint version 9"),
    # would run code
    Broken("a pickle", lambda good: __import__("pickle").dumps(Payload()), WHOLE),
    Broken("an array of objects", with_array("state/h", lambda _: np.array([Payload()], object)),
           WHOLE + "Object arrays cannot be loaded when allow_pickle=False"),
    Broken("a pickle for meta", lambda good: pack(good.arrays, __import__("pickle").dumps(3)),
           WHOLE),
    # would take memory
    Broken("compressed", lambda good: pack({"parameters/x": np.zeros(10**6)}, {},
                                           np.savez_compressed), "is compressed"),
    Broken("a shape far beyond the file", lambda good: of_any_shape("(1000000000000,)"), WHOLE),
    Broken("sizes far beyond the arrays", with_config(hidden_size=10**8), "must have shape"),
    Broken("a batch far beyond the state", with_config(batch_size=10**15), "", whole_run=True),
    # does not fit together
    Broken("no vocabulary", with_meta(vocabulary=[]), "tokens must contain '<unk>'"),
    Broken("an unknown setting", with_config(colour="red"), "unexpected keyword argument 'colour'"),
    Broken("no bias", without_array("parameters/decoder.b"), "decoder.b is missing"),
    Broken("an infinite parameter", with_array("parameters/decoder.b", lambda b: b * np.inf),
           "must be finite"),
    Broken("no state", without_array("state/c"), "state/c is missing", True),
    Broken("a text for the number of the update", with_meta(step="x"), "inconsistent", True),
]  # fmt: skip
