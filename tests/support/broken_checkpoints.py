"""Broken checkpoint files, each made from a good one, and their error messages.

Unless a case is about the checksum, it is made anew, so that the checks behind it are reached.
"""

import io
import json
import os
import struct
import zipfile
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from numpylstm.saving import checksum

Arrays = dict[str, Any]


class Parts(NamedTuple):
    """A good checkpoint: its bytes, its arrays by name, and its meta object."""

    content: bytes
    arrays: Arrays
    meta: dict[str, Any]


class Broken(NamedTuple):
    """One way to break a checkpoint.

    `make` takes the good one and returns bytes; `says` is in the message; `whole_run` if only a
    run that goes on needs what is broken, and a model alone can still be read.
    """

    what: str
    make: Callable[[Parts], bytes]
    says: str
    whole_run: bool = False


def take_apart(content: bytes) -> Parts:
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    del arrays["checksum"]
    return Parts(content, arrays, json.loads(arrays.pop("meta").tobytes()))


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), allow_pickle=True)
    return file.getvalue()


def zipped(members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return file.getvalue()


def members(good: Parts) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(good.content)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def pack(arrays: Arrays, meta: Any) -> bytes:
    """Return a checkpoint with a right checksum and any content."""
    text = meta if isinstance(meta, bytes) else json.dumps(meta).encode()
    arrays = {**arrays, "meta": np.frombuffer(text, np.uint8)}
    content = {**arrays, "checksum": np.frombuffer(checksum(arrays), np.uint8)}
    return zipped([(f"{name}.npy", npy(array)) for name, array in content.items()])


# --- ways to break one -------------------------------------------------------------------------


def cut(share: float) -> Callable[[Parts], bytes]:
    return lambda good: good.content[: int(share * len(good.content))]


def flip(mark: bytes, offset: int) -> Callable[[Parts], bytes]:
    """Flip one bit at an offset from the first appearance of a mark."""

    def make(good: Parts) -> bytes:
        content = bytearray(good.content)
        content[content.index(mark) + offset] ^= 0x04
        return bytes(content)

    return make


def with_array(name: str, change: Callable[[Any], Any]) -> Callable[[Parts], bytes]:
    return lambda good: pack({**good.arrays, name: change(good.arrays.get(name))}, good.meta)


def without_array(name: str) -> Callable[[Parts], bytes]:
    return lambda good: pack({k: v for k, v in good.arrays.items() if k != name}, good.meta)


def with_meta(**changes: Any) -> Callable[[Parts], bytes]:
    return lambda good: pack(good.arrays, {**good.meta, **changes})


def without_meta(key: str) -> Callable[[Parts], bytes]:
    return lambda good: pack(good.arrays, {k: v for k, v in good.meta.items() if k != key})


def with_config(**changes: Any) -> Callable[[Parts], bytes]:
    return lambda good: pack(
        good.arrays, {**good.meta, "config": {**good.meta["config"], **changes}}
    )


def with_meta_bytes(content: bytes) -> Callable[[Parts], bytes]:
    return lambda good: pack(good.arrays, content)


def with_entry(key: str, name: Any, value: Any) -> Callable[[Parts], bytes]:
    """Replace one value inside an object of meta."""
    return lambda good: pack(good.arrays, {**good.meta, key: {**good.meta[key], name: value}})


def with_member(name: str, content: bytes) -> Callable[[Parts], bytes]:
    """Replace or add one member under the old checksum."""
    return lambda good: zipped([*((n, c) for n, c in members(good) if n != name), (name, content)])


def twice(name: str) -> Callable[[Parts], bytes]:
    def make(good: Parts) -> bytes:
        # zipfile warns of a second member of one name, so the name is changed afterwards.
        other = "x" * len(name)
        content = zipped([*members(good), (other, dict(members(good))[name])])
        return content.replace(other.encode(), name.encode())

    return make


def compressed(good: Parts) -> bytes:
    return zipped(members(good), zipfile.ZIP_DEFLATED)


def bomb(good: Parts) -> bytes:
    return zipped([("parameters/decoder.b.npy", bytes(100_000_000))], zipfile.ZIP_DEFLATED)


def declared(kind: str, value: int, *places: int) -> Callable[[Parts], bytes]:
    """Put a number in places of the first entry of the central directory."""

    def make(good: Parts) -> bytes:
        content = bytearray(good.content)
        for place in places:
            struct.pack_into(kind, content, content.index(b"PK\x01\x02") + place, value)
        return bytes(content)

    return make


class RunsWhenUnpickled:
    """An object that makes a folder when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("EXECUTED",)


def pickled_array() -> bytes:
    return npy(np.array([RunsWhenUnpickled()], object))


def header(shape: str, more: int = 0) -> Callable[[Parts], bytes]:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + more)
    return with_member("parameters/decoder.b.npy", start + text.encode() + b"\0" * 64)


def with_nan(array: Any) -> Any:
    array = array.copy()
    array.flat[-1] = np.nan
    return array


def with_infinity(array: Any) -> Any:
    array = array.copy()
    array.flat[0] = np.inf
    return array


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


ROW = [1, 3, 1.0, 15.0, 20.0, 0.1, 1.0, None, None, 0.0]
TALLY = {"steps": 0, "tokens": 0, "correct": 0, "nll": 0.0, "cost": 0.0, "norm": 0.0,
         "clipped": 0}  # fmt: skip
NOT_WHOLE = "is not a whole checkpoint: "
NOT_PLAIN = "does not describe plain numbers"

BROKEN = [
    # the file
    Broken("an empty file", cut(0), NOT_WHOLE),
    Broken("its first half", cut(0.5), NOT_WHOLE),
    Broken("all but its end", cut(0.99), NOT_WHOLE),
    Broken("a text", lambda good: b"It was a bright cold day in April.\n" * 50, NOT_WHOLE),
    Broken("random bytes", lambda good: np.random.default_rng(0).bytes(5000), NOT_WHOLE),
    Broken("a pickle", lambda good: b"\x80\x04\x8c\x05posix\x8c\x06system\x93.", NOT_WHOLE),
    Broken("a zip of nothing", lambda good: zipped([]), "it has no meta"),
    Broken("another .npz", lambda good: zipped([("a.npy", npy(np.zeros(3)))]), "member 'a.npy'"),
    Broken("its first bytes cut off", lambda good: good.content[100:], NOT_WHOLE),
    # one bit
    Broken("a bit of the first local header", flip(b"PK\x03\x04", 1), NOT_WHOLE),
    Broken("a bit of a member's name", flip(b"decoder.W.npy", 3), NOT_WHOLE),
    Broken("a bit of an array header", flip(b"NUMPY", 2), NOT_WHOLE),
    Broken("a bit of a shape", flip(b"'shape': (", 10), NOT_WHOLE),
    Broken("a bit of a parameter", flip(b"NUMPY", 300), "Bad CRC-32"),
    Broken("a bit of the settings", flip(b'"hidden_size"', 2), "Bad CRC-32"),
    Broken("a bit of the central directory", flip(b"PK\x01\x02", 1), NOT_WHOLE),
    Broken("a bit of the end record", flip(b"PK\x05\x06", 1), NOT_WHOLE),
    # the members
    Broken("compressed members", compressed, "is compressed"),
    Broken("a zip bomb", bomb, "is compressed"),
    Broken("a member that is said to have 2 GB", declared("<I", 2**31, 20, 24), "end beyond the"),
    Broken("a member that is said to take 2 GB", declared("<I", 2**31, 20), "is compressed"),
    Broken("a member that is said to be packed", declared("<H", 14, 10), "is compressed"),
    Broken("a member that is there twice", twice("meta.npy"), "'meta.npy' appears twice"),
    Broken("a member ../../evil.npy", with_member("../../evil.npy", npy(1.0)), "../../evil.npy"),
    Broken("a member that climbs", with_member("state/../x.npy", npy(1.0)), "state/../x.npy"),
    Broken("a member with a line break", with_member("state/h\n.npy", npy(1.0)), "'state/h\\n"),
    Broken("2,001 members", lambda good: zipped(
        [(f"state/a{k}.npy", b"") for k in range(2001)]), "it has 2,001 members, over 2,000"),
    Broken("a member of another kind", with_member("state/h.txt", b"hello"), "'state/h.txt'"),
    Broken("no meta", lambda good: zipped(
        [(n, c) for n, c in members(good) if n != "meta.npy"]), "it has no meta"),
    Broken("no checksum", lambda good: zipped(
        [(n, c) for n, c in members(good) if n != "checksum.npy"]), "it has no checksum"),
    Broken("a wrong checksum", with_member("checksum.npy", npy(np.zeros(32, np.uint8))),
           "its checksum does not match"),
    Broken("a checksum of 255s", with_member("checksum.npy", npy(np.full(32, 255, np.uint8))),
           "its checksum does not match"),
    Broken("a checksum of numbers", with_member("checksum.npy", npy(np.zeros(32))),
           "it has no checksum"),
    Broken("a changed parameter under the old checksum",
           with_member("parameters/decoder.b.npy", npy(np.zeros(21, np.float32))),
           "its checksum does not match"),
    # the arrays
    Broken("pickled objects", with_member("parameters/decoder.b.npy", pickled_array()), NOT_PLAIN),
    Broken("pickled objects in meta", with_member("meta.npy", pickled_array()), NOT_PLAIN),
    Broken("a member that is a pickle", with_member("state/h.npy", b"\x80\x04N."), NOT_PLAIN),
    Broken("an empty member", with_member("state/h.npy", b""), NOT_PLAIN),
    Broken("an array of texts", with_member("state/h.npy", npy(np.array(["a"]))), NOT_PLAIN),
    Broken("an array of records", with_member(
        "state/h.npy", npy(np.zeros(3, [("a", "f4"), ("b", "i4")]))), NOT_PLAIN),
    Broken("complex numbers", with_member("state/h.npy", npy(np.zeros(3, complex))), NOT_PLAIN),
    Broken("another byte order", with_member("state/h.npy", npy(np.zeros(3, ">f4"))), NOT_PLAIN),
    Broken("an absurd shape", header("(1000000000, 1000000000)"), "needs 4000000000000000000"),
    Broken("an overflowing shape", header("(4294967296, 4294967296, 4)"), "needs "),
    Broken("a header that is shorter than it says", header("(16,)", 1), NOT_PLAIN),
    Broken("a header that is longer than it says", header("(16,)", -1), NOT_PLAIN),
    Broken("a negative shape", header("(-16,)"), NOT_PLAIN),
    Broken("a shape of four axes", header("(2, 2, 2, 2)"), NOT_PLAIN),
    Broken("a shape that is code", header("__import__('os').mkdir('EXECUTED')"), NOT_PLAIN),
    Broken("a nested header", header("(" * 5000 + ")" * 5000), NOT_PLAIN),
    Broken("a header without an end", with_member(
        "state/h.npy", b"\x93NUMPY\x01\x00\xff\xff{'descr': '<f4'"), NOT_PLAIN),
    Broken("fewer numbers than the shape says", header("(17,)"), "needs 68 bytes, the file hold"),
    Broken("more numbers than the shape says", header("(15,)"), "needs 60 bytes, the file hold"),
    # parameters that do not fit
    Broken("a missing parameter", without_array("parameters/lstm.1.Wh"), "lstm.1.Wh is missing"),
    Broken("an extra parameter", with_array("parameters/lstm.9.b", lambda _: np.zeros(4, "f4")),
           "unknown: lstm.9.b"),
    Broken("a transposed parameter", with_array("parameters/decoder.W", lambda W: W.T.copy()),
           "decoder.W must have shape (6, 21), got (21, 6)"),
    Broken("a parameter in float64", with_array("parameters/decoder.b", np.float64),
           "decoder.b must have dtype float32, got float64"),
    Broken("a parameter of bytes", with_array("parameters/decoder.b", lambda b: b.astype("u1")),
           "decoder.b must have dtype float32 or float64, got uint8"),
    Broken("a parameter that is empty", with_array("parameters/decoder.b", lambda b: b[:0]),
           "decoder.b must not be empty"),
    Broken("NaN in a parameter", with_array("parameters/lstm.0.Wh", with_nan),
           "lstm.0.Wh must be finite, got nan at [5, 23]"),
    Broken("infinity in a parameter", with_array("parameters/embedding.W", with_infinity),
           "embedding.W must be finite, got inf at [0, 0]"),
    # the rest of a run
    Broken("a missing momentum", without_array("optimizer/velocity/lstm.0.b"), "velocity", True),
    Broken("an extra momentum", with_array("optimizer/velocity/x", lambda _: np.zeros(3, "f4")),
           "the velocity arrays do not match", True),
    Broken("a misshapen momentum", with_array("optimizer/velocity/lstm.0.b", lambda v: v[:-1]),
           "velocity: lstm.0.b must have shape (24,), got (23,)", True),
    Broken("NaN in the momentum", with_array("optimizer/velocity/lstm.0.b", with_nan),
           "lstm.0.b must be finite, got nan", True),
    Broken("the memory of another optimiser", with_array("optimizer/mean/x", lambda _: np.zeros(3)),
           "the mean arrays do not match the model", True),
    Broken("no recurrent state", without_array("state/c"), "the state arrays do not match", True),
    Broken("the state of another batch", with_array("state/h", lambda h: h[:, :-1]),
           "state: h must have shape (2, 4, 6), got (2, 3, 6)", True),
    Broken("the state of another precision", with_array("state/h", np.float64),
           "state: h must have dtype float32, got float64", True),
    Broken("NaN in the state", with_array("state/h", with_nan), "h must be finite", True),
    Broken("a batch size of 10 ** 15", with_config(batch_size=10**15),
           "must have shape (2, 1000000000000000, 6), got (2, 4, 6)", True),
    # meta
    Broken("meta that is not JSON", with_meta_bytes(b"{'format': 1}"), "meta entry is not JSON"),
    Broken("meta cut short", with_meta_bytes(b'{"format": "numpy'), "meta entry is not JSON"),
    Broken("meta that is not UTF-8", with_meta_bytes(b'{"format": "\xff\xfe"}'), "not JSON"),
    Broken("meta without an end", with_meta_bytes(b"[" * 100_000), "meta entry is not JSON"),
    Broken("meta with a number of 10,000 digits", with_meta_bytes(b"9" * 10_000), "not JSON"),
    Broken("meta that is a list", with_meta_bytes(b"[]"), "its meta has another format"),
    Broken("empty meta", with_meta_bytes(b""), "meta entry is not JSON"),
    Broken("another format", with_meta(format="a recipe"), "its meta has another format"),
    Broken("a future version", with_meta(version=3), "has checkpoint version 3, this program read"),
    Broken("a past version", with_meta(version=1), "has checkpoint version 1, this program reads"),
    *(
        Broken(f"no {key} in meta", without_meta(key), f"meta entry '{key}' must be")
        for key in ("config", "vocabulary", "fingerprint", "epoch", "window", "step",
                    "valid_losses", "rows", "tally", "rng", "frozen")
    ),
    Broken("an epoch in words", with_meta(epoch="two"), "'epoch' must be a whole number from 0"),
    Broken("a negative window", with_meta(window=-1), "'window' must be a whole number from 0"),
    Broken("a step of 1.5", with_meta(step=1.5), "'step' must be a whole number from 0"),
    Broken("a huge step", with_meta(step=10**40), "'step' must be a whole number from 0"),
    Broken("an epoch without its loss", with_meta(epoch=7), "for each of the 7 finished epochs"),
    Broken("a loss without its epoch", with_meta(epoch=0), "of the 0 finished epochs, got 1"),
    Broken("losses in words", with_meta(valid_losses=["low"]), "'valid_losses' must be a list"),
    Broken("a short row", with_meta(rows=[[1, 2, 3]]), "'rows' must be a list of rows of 10 cells"),
    Broken("a sum too many", with_entry("tally", "extra", 1), "'tally' must be"),
    Broken("a negative count", with_entry("tally", "steps", -3), "'tally' must be"),
    Broken("updates without tokens", with_meta(tally=TALLY | {"steps": 2}), "'tally' must be"),
    Broken("more right tokens than tokens",
           with_meta(tally=TALLY | {"steps": 1, "tokens": 20, "correct": 21}), "'tally' must be"),
    Broken("a sum that is almost too large",
           with_meta(tally=TALLY | {"steps": 1, "tokens": 20, "cost": 1.7e308}), "'tally' must be"),
    Broken("a perplexity that overflows",
           with_meta(tally=TALLY | {"steps": 1, "tokens": 20, "nll": 1e5}), "'tally' must be"),
    Broken("a loss of 1,000 nats", with_meta(valid_losses=[1e3]), "'valid_losses' must be a list"),
    Broken("two rows of one step", with_meta(rows=[ROW, ROW]), "'rows' must be a list of rows"),
    Broken("a row of step 0", with_meta(rows=[[1, 0, *ROW[2:]]]), "'rows' must be a list of rows"),
    Broken("a row of an earlier epoch", with_meta(rows=[[2, 1, *ROW[2:]], [1, 2, *ROW[2:]]]),
           "'rows' must be a list of rows"),
    Broken("a row with a perplexity of 0", with_meta(rows=[[*ROW[:4], 0.0, *ROW[5:]]]),
           "'rows' must be a list of rows"),
    Broken("a row of a later step", with_meta(rows=[[2, 999, *ROW[2:]]]), "'step' must be the"),
    Broken("a row of a later epoch", with_meta(rows=[[3, 3, *ROW[2:]]]),
           "'step' must be the last update, got 16 in epoch 2"),
    Broken("fewer updates than its rows", with_meta(step=4), "'step' must be the last"),
    Broken("epochs of 401 digits", with_config(epochs=10**400), "epochs must have at most 100 dig"),
    Broken("a setting that is a nest", with_config(epochs=nested(200)), "epochs must be a whole"),
    Broken("another generator", with_entry("rng", "bit_generator", "MT19937"), "is inconsistent"),
    Broken("a generator without a state", with_meta(rng={}), "is inconsistent"),
    Broken("a generator with a huge number",
           with_entry("rng", "state", {"state": 2**200, "inc": 1}), "is inconsistent"),
    Broken("a generator with a negative number",
           with_entry("rng", "state", {"state": -1, "inc": 1}), "is inconsistent"),
    # settings and vocabulary
    Broken("an unknown setting", with_config(colour="red"), "colour is not a setting of"),
    Broken("an option of no cell", with_config(options={"x": 1}), "'x' is not an option of any"),
    Broken("a missing setting", lambda good: pack(good.arrays, {**good.meta, "config": {
        k: v for k, v in good.meta["config"].items() if k != "dtype"}}), "dtype is missing"),
    Broken("a setting in words", with_config(hidden_size="six"), "hidden_size must be a whole"),
    Broken("a setting out of bounds", with_config(dropout=1.5), "dropout must be at least 0 and"),
    Broken("a huge setting", with_config(lr=10**400), "lr must be above 0 and at most"),
    Broken("a setting that is NaN", with_config(clip=float("nan")), "clip must be above 0 and"),
    Broken("an unknown cell", with_config(cell="elman"), "cell must be 'rnn', 'lstm'"),
    Broken("settings of another cell", with_config(cell="rnn"), "rnn.0.Wx is missing"),
    Broken("settings of another dtype", with_config(dtype="float64"), "must have dtype float64"),
    Broken("settings of another size", with_config(hidden_size=7), "embedding.W must have shape"),
    Broken("a hidden size of 10 ** 9", with_config(hidden_size=10**9), "must have shape"),
    Broken("settings with more layers", with_config(num_layers=100), "lstm.2.Wx is missing"),
    Broken("settings with fewer layers", with_config(num_layers=1), "unknown: lstm.1.Wh"),
    Broken("settings of a tied model", with_config(tied=True), "unknown: decoder.W"),
    Broken("a seed below zero", with_config(seed=-1), "seed must be at least 0"),
    Broken("two corpora", with_config(data="elsewhere"), "data cannot be combined with train"),
    Broken("a shorter vocabulary", lambda good: pack(good.arrays, {
        **good.meta, "vocabulary": good.meta["vocabulary"][:-1]}), "embedding.W must have shape"),
    Broken("an empty vocabulary", with_meta(vocabulary=[]), "tokens must contain '<unk>'"),
    Broken("a vocabulary of numbers", with_meta(vocabulary=[1, 2]), "'vocabulary' must be a list"),
    Broken("a word that is there twice", with_meta(vocabulary=["<unk>", "a", "a"]), "distinct"),
    Broken("half a character", with_meta(vocabulary=["<unk>", "\ud800"]), "'vocabulary' must be"),
]  # fmt: skip
