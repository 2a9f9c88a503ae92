"""Hostile and damaged checkpoint files are read whole, or refused in one sentence."""

import contextlib
import io
import json
import operator
import os
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bad_calls import assert_refused
from support.checkpoints import pack, take_apart, with_config, with_meta
from support.runs import call, made_up
from support.small import small_model

import numpylstm as nl
from numpylstm.saving import CheckpointError
from numpylstm.training.checkpoint import (
    FIRST_COLUMNS,
    load,
    restore_model,
    restore_run,
    rows_of,
    save,
)
from numpylstm.training.metrics import RANGES, Row

pytestmark = pytest.mark.usefixtures("pictures_as_text")
V = 21


def make_run(**changes):
    """Return a run of a tiny model in the middle of its second epoch."""
    ids = np.random.default_rng(0).integers(0, V, 320).astype(np.int32)
    corpus = made_up(V, *np.split(ids, [240, 280]))
    settings = {
        "train": "/nowhere/text.txt", "hidden_size": 6, "num_layers": 2, "batch_size": 4,
        "num_steps": 5, "epochs": 3, "momentum": 0.5, "log_every": 3, "dropout": 0.2,
    }  # fmt: skip
    run = nl.new_run(nl.TrainConfig(**(settings | changes)), corpus)
    for item in nl.train(run, corpus):
        if getattr(item, "window", None) == 5 and item.epoch == 2:
            break
    return run


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "last.npz"
    save(make_run(), path)
    return take_apart(path.read_bytes())


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Work in an empty folder, where a payload that runs would leave a file."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not (tmp_path / "EXECUTED").exists()


def refused(place, name, *arguments):
    """Return the one line with which a command refuses its arguments."""
    out, err = call(place, name, *arguments, expect=2)
    assert (out, err.count("\n")) == ("", 1)
    return err


def test_the_page_of_the_format_names_every_key(good):
    page = Path(__file__).parents[1] / "docs/checkpoint-format.md"
    table = page.read_text(encoding="utf-8").split("## The JSON object in `meta`")[1]
    firsts = re.findall(r"^\| (`.*?) \|", table, re.M)
    assert set(re.findall(r"`(.*?)`", " ".join(firsts))) == good.meta.keys()


def test_rows_are_read_by_the_names_of_their_columns(good, tmp_path):
    """A column in the middle, of another version of the program, shifts no other."""
    rows = rows_of(good_checkpoint(good, tmp_path))
    order = [*reversed(Row._fields)]
    turned = [[row[name] for name in order] for row in map(Row._asdict, rows)]
    changed = with_meta(columns=order, rows=turned)(good)
    path = tmp_path / "turned.npz"
    path.write_bytes(changed)
    assert rows_of(load(path)) == rows


def test_rows_of_old_files_have_the_first_columns(good, tmp_path):
    """Those files do not name them; newer columns have their defaults."""
    first_values = operator.attrgetter(*FIRST_COLUMNS)
    values = [list(first_values(row)) for row in rows_of(good_checkpoint(good, tmp_path))]
    unnamed = {key: value for key, value in good.meta.items() if key != "columns"}
    path = tmp_path / "unnamed.npz"
    path.write_bytes(pack(good.arrays, unnamed | {"rows": values}))
    assert [list(first_values(row)) for row in rows_of(load(path))] == values


def good_checkpoint(good, folder):
    path = folder / "good.npz"
    path.write_bytes(good.content)
    return load(path)


def test_every_column_has_a_range():
    assert set(RANGES) == set(Row._fields)


@contextlib.contextmanager
def own_error_only(path):
    """Allow success, or a CheckpointError that names the file."""
    try:
        yield
    except CheckpointError as refused:
        if str(path) not in str(refused):
            raise


class Payload:
    """Something that leaves a file when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("EXECUTED",)


def of_any_shape(shape):
    """Return a file with one array, whose header claims a shape."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("parameters/x.npy", b"\x93NUMPY\x01\x00\x76\x00" + header.encode() + b"1")
    return file.getvalue()


def flipped(good):
    """Flip one bit of an array."""
    content = bytearray(good.content)
    content[content.index(good.arrays["parameters/decoder.b"].tobytes()) + 3] ^= 0x04
    return bytes(content)


def with_array(name, change):
    return lambda good: pack({**good.arrays, name: change(good.arrays[name])}, good.meta)


def without_array(name):
    return lambda good: pack({k: v for k, v in good.arrays.items() if k != name}, good.meta)


def with_rows(**changes):
    """Change all rows of metrics but the first."""

    def change(good):
        first, *rows = (Row(*row) for row in good.meta["rows"])
        rows = [list(row._replace(**changes)) for row in rows]
        return with_meta(rows=[list(first), *rows])(good)

    return change


def with_tally(**changes):
    return lambda good: with_meta(tally=good.meta["tally"] | changes)(good)


WHOLE = "is not a whole numpylstm checkpoint: "
BROKEN = {  # how a good checkpoint is broken, and what the message says
    # damaged, or another kind of file
    "empty": (lambda good: b"", WHOLE + "File is not a zip file"),
    "truncated": (lambda good: good.content[: len(good.content) // 2], WHOLE),
    "a bit is flipped": (flipped, WHOLE + "Bad CRC-32 for file 'parameters/decoder.b.npy'"),
    "an archive of something else": (lambda good: pack({}, [1, 2]), "has another format"),
    "of another version": (with_meta(version=9), "has checkpoint version 9"),
    # would run code
    "a pickle": (lambda good: pickle.dumps(Payload()), WHOLE),
    "an array of objects": (
        with_array("state/h", lambda _: np.array([Payload()], object)),
        WHOLE + "Object arrays cannot be loaded when allow_pickle=False",
    ),
    "a NaN in the meta object": (
        lambda good: pack(good.arrays, json.dumps({**good.meta, "epoch": np.nan}).encode()),
        WHOLE + "its meta holds NaN",
    ),
    "a pickle for meta": (lambda good: pack(good.arrays, pickle.dumps(3)), WHOLE),
    # would take memory
    "compressed": (
        lambda good: pack({"parameters/x": np.zeros(10**6)}, {}, np.savez_compressed),
        "is compressed",
    ),
    "a shape far beyond the file": (lambda good: of_any_shape("(1000000000000,)"), WHOLE),
    "sizes far beyond the arrays": (with_config(hidden_size=10**8), "must have shape"),
    # does not fit together
    "no vocabulary": (with_meta(vocabulary=[]), "tokens must contain '<unk>'"),
    "an unknown setting": (with_config(colour="red"), "unexpected keyword argument 'colour'"),
    "no bias": (without_array("parameters/decoder.b"), "decoder.b is missing"),
    "an infinite parameter": (
        with_array("parameters/decoder.b", lambda b: b * np.inf),
        "must be finite",
    ),
}
BROKEN_RUNS = {  # the model can be read, and only a run cannot go on
    "a batch far beyond the state": (with_config(batch_size=10**15), ""),
    "no state": (without_array("state/c"), "state/c is missing"),
    "a text for the number of the update": (with_meta(step="x"), "step must be a whole number"),
    "an update before the first": (with_meta(step=-1), "step must be from 0 to"),
    "an epoch without a validation": (with_meta(epoch=7), "its counts do not agree: 7 epochs"),
    "a loss that is none": (with_meta(valid_losses=["x"]), "valid_losses must be a number"),
    "an update to come": (with_meta(joined={"lstm.0.b": 99}), "joined of lstm.0.b must be from 0"),
    "an unknown path": (with_meta(joined={"x": 1}), "joined has the unknown path 'x'"),
    "a rate below 0": (with_meta(lr_factors={"lstm.0.b": -1}), "the factor of lstm.0.b must be"),
    "rows of nothing": (with_meta(rows=[[]]), "missing 7 required positional arguments"),
    "rows with an unknown column": (
        with_meta(columns=["epoch", "speed"], rows=[[1, 2]]),
        "unexpected keyword argument 'speed'",
    ),
    "rows longer than their columns": (
        with_meta(columns=["epoch"], rows=[[1, 2]]),
        "a row has 2 values for 1 columns",
    ),
    "rows of texts": (with_meta(rows=[["x"] * 7]), "epoch of a row must be a number, got 'x'"),
    "an accuracy above 1": (with_rows(accuracy=2), "accuracy of a row must be in [0, 1], got 2"),
    "a perplexity of 0": (with_rows(perplexity=0), "perplexity of a row must be positive and fin"),
    "rows out of order": (with_rows(step=1), "its rows are not in order, at step 1"),
    "updates that were not counted": (with_tally(steps=0), "its counts do not agree"),
    "updates without tokens": (with_tally(tokens=0), "its tally has updates without tokens"),
    "a tally of texts": (with_tally(nll="x"), "nll of the tally must be a number, got 'x'"),
}


@pytest.mark.parametrize("name", BROKEN | BROKEN_RUNS)
def test_a_broken_checkpoint_is_refused_in_one_sentence(name, good, place):
    """In Python and by every command, with the name of the file; nothing in it is executed."""
    make, says = (BROKEN | BROKEN_RUNS)[name]
    path = place / "last.npz"
    path.write_bytes(make(good))
    read = restore_run if name in BROKEN_RUNS else restore_model
    with pytest.raises(CheckpointError) as error:
        read(load(path))
    assert says in str(error.value)
    assert str(error.value).count(str(path)) == 1

    commands = [("numpylstm-train", "--resume", ".")]
    if name in BROKEN:
        commands += [("numpylstm-eval", "last.npz"), ("numpylstm-sample", "last.npz")]
    for command in commands:
        said = refused(place, *command)
        assert "error: last.npz" in said
        assert " ".join(says.split()) in said


def with_a_long_name(good):
    """Let the header of a member claim a name of 60,000 bytes, so that it is the file itself."""
    content = bytearray(good.content + bytes(60_000))
    content[26:28] = (60_000).to_bytes(2, "little")
    return bytes(content)


@pytest.mark.parametrize("make", [with_a_long_name, with_config(**{60_000 * "x": 1})])
def test_a_refusal_quotes_little_of_the_file(make, good, place):
    """The reader of zip files and Python's own sentences quote whatever names they find."""
    path = place / "last.npz"
    path.write_bytes(make(good))
    with pytest.raises(CheckpointError) as error:
        load(path)
    assert len(str(error.value)) < 1000


HOSTILE = ["\x1b[2J", "\x1b]0;owned\x07", "\x9b31m", "\u202etxt.exe", "\x08\x08", "\x7f"]


def test_tokens_and_names_are_shown_and_not_obeyed(place):
    """By every command, in its output and in its errors."""
    name = "\x1b[31m\u202e"
    words = np.random.default_rng(0).choice([f"{n}{word}" for n, word in enumerate(HOSTILE)], 2_000)
    (place / f"{name}.txt").write_text(
        "\n".join(" ".join(words[n:][:9]) for n in range(0, 2000, 9))
    )
    settings = ["--preset", "small", "--hidden-size", "6", "--batch-size", "4", "--epochs", "1"]
    last = f"{name}/last.npz"
    for status, command, *arguments in [
        (0, "train", *settings, "--train", f"{name}.txt", "--out", name),
        (0, "train", "--resume", name, "--epochs", "2"),
        (0, "eval", last),
        (0, "eval", last, "--file", f"{name}.txt"),
        (0, "sample", last, "--prompt", HOSTILE[0]),
        (2, "eval", f"{name}.txt"),
        (2, "train", "--resume", f"{name}.txt"),
        (2, "eval", last, name),
    ]:
        said = "".join(call(place, f"numpylstm-{command}", *arguments, expect=status))
        assert "\\x1b[31m\\u202e" in said or command == "sample"
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", said)


def test_nothing_is_shown_of_another_text(good, place):
    """Not a word, not even with --split train; the sentence names the flag for another text."""
    (place / "diary.txt").write_text("w1 w2 w3 w4\n" * 99)
    (place / "last.npz").write_bytes(with_config(train="diary.txt")(good))
    for split in ("train", "valid", "test"):
        said = refused(place, "numpylstm-eval", "last.npz", "--split", split)
        assert "diary.txt: this text is not the one that the run was started with" in said
        assert "--text" in said
        assert "w1" not in said
    call(place, "numpylstm-eval", "last.npz", "--file", "diary.txt")


@pytest.mark.parametrize("share", [0.5, 1, 1000])
def test_a_small_file_takes_no_memory(tmp_path, share):
    """Its arrays may claim any shape."""
    resource = pytest.importorskip("resource")
    path = tmp_path / "c.npz"
    path.write_bytes(of_any_shape(f"({int(share * 2**30)},)"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError):
        load(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


@given(data=st.data())
def test_fuzz_damage(good, tmp_path_factory, data):
    """Bytes changed, cut or added: the same run (zip has unused bytes), or one sentence."""
    content = bytearray(good.content)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        kind = data.draw(st.sampled_from(["change", "cut", "insert"]))
        piece = data.draw(st.binary(min_size=1, max_size=9))
        if kind == "change":
            content[at : at + len(piece)] = piece
        elif kind == "cut":
            del content[at:]
        else:
            content[at:at] = piece
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(content)
    with own_error_only(path):
        found = load(path)
        assert found.meta == good.meta
        np.testing.assert_equal(found.arrays, good.arrays)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(data=st.data())
def test_fuzz_meta(good, tmp_path_factory, data):
    """Any JSON value in any place of the meta object, in an undamaged file."""
    meta = dict(good.meta)
    key = data.draw(st.sampled_from(sorted(meta)))
    if isinstance(meta[key], dict) and data.draw(st.booleans()):
        inner = data.draw(st.sampled_from([*sorted(meta[key]), "another"]))
        meta[key] = {**meta[key], inner: data.draw(JSON)}
    else:
        meta[key] = data.draw(JSON)
    path = tmp_path_factory.getbasetemp() / "meta.npz"
    path.write_bytes(pack(good.arrays, meta))
    with own_error_only(path):
        restore_run(load(path))


def test_a_run_with_bad_numbers_is_not_saved(tmp_path):
    run = make_run()
    path = tmp_path / "last.npz"
    save(run, path)
    before = path.read_bytes()
    for array, name in (
        (run.model.parameters()["lstm.1.b"].data, "parameters/lstm.1.b"),
        (run.optimizer.state["velocity"]["lstm.1.b"], "optimizer/velocity/lstm.1.b"),
        (run.state.c, "state/c"),
    ):
        good, array[..., 3] = array[..., 3].copy(), np.inf
        with pytest.raises(nl.checks.NotFinite, match=f"save: {name} must be finite, got inf at"):
            save(run, path)
        array[..., 3] = good
    assert path.read_bytes() == before


@pytest.mark.parametrize("changes", [{}, {"schedule": "plateau", "constant_epochs": 6}], ids=str)
def test_a_file_of_the_version_before_is_read(changes, good, tmp_path):
    """It has a checksum of its own, and `constant_epochs` for each schedule."""
    path = tmp_path / "c.npz"
    arrays = {**good.arrays, "checksum": np.zeros(32, np.uint8)}
    config = good.meta["config"] | changes
    path.write_bytes(pack(arrays, {**good.meta, "version": 2, "config": config}))
    restore_run(load(path))


def test_a_checkpoint_can_be_read_from_a_file_that_other_programs_wrote(good, tmp_path):
    """With its members in another order, column by column, and with dates."""
    path = tmp_path / "c.npz"
    arrays = {name: np.asfortranarray(good.arrays[name]) for name in reversed(good.arrays)}
    path.write_bytes(pack(arrays, good.meta))
    run = restore_run(load(path))
    assert (run.epoch, run.window) == (1, 5)


def test_a_bad_call_gets_one_sentence(place):
    assert_refused(lambda: nl.load("absent.npz"), "absent.npz", FileNotFoundError)
    says = "run must be a Run, got LanguageModel"
    assert_refused(lambda: nl.save(small_model(), "a.npz"), says, TypeError)
    says = "checkpoint must be a Checkpoint, got str; load(path)"
    assert_refused(lambda: nl.restore_run("last.npz"), says, TypeError)
    run = make_run()
    says = "absent/last.npz could not be written"
    assert_refused(lambda: nl.save(run, "absent/last.npz"), says, OSError)
