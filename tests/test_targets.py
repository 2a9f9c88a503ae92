"""Output paths: regular files are replaced, links are followed, all else is refused."""

import os

import pytest
from support.runs import TINY, call, write_words

import numpylstm as nl
from numpylstm.cli import compare as compare_command
from numpylstm.saving import SaveError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="files as POSIX has them")


def a_file(path):
    path.write_bytes(b"an older file")


def linked_to(target):
    def make(path):
        path.symlink_to(target)

    return make


def in_a_closed_folder(path):
    path.parent.chmod(0o555)


def with_mode(mode):
    def make(path):
        a_file(path)
        path.chmod(mode)

    return make


TARGETS = {  # a function that makes it, and a part of the error; None if it is written
    "a new file": (lambda path: None, None),
    "a file": (a_file, None),
    "a file with mode 600": (with_mode(0o600), None),
    "a link to a file": (
        lambda path: (a_file(path.with_name("far")), linked_to("far")(path)),
        None,
    ),
    "a dangling link": (linked_to("far"), None),
    "a link to a device": (linked_to("/dev/null"), "it is not a regular file"),
    "a folder": (lambda path: path.mkdir(), "it is not a regular file"),
    "a file that may not be written": (with_mode(0o444), "Permission denied"),
    "a file in a closed folder": (in_a_closed_folder, "Permission denied"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = write_words(tmp_path_factory.mktemp("targets"))
    call(folder, "numpylstm-train", "--threads", "1", *TINY, "--epochs", "1", "--out", "run")
    return folder


def save_model(path, folder):
    nl.save_model(nl.LanguageModel(5, 4, rng=0), path)


def save(path, folder):
    nl.save(nl.restore_run(nl.load(folder / "run/last.npz")), path)


def compare(path, folder):
    if (status := compare_command.main([str(folder / "run"), "--picture", str(path)])) != 0:
        raise SaveError(status, "refused")


@pytest.mark.parametrize("writer", [save_model, save, compare])
@pytest.mark.parametrize("name", TARGETS)
def test_only_regular_files_are_replaced(name, writer, folder, tmp_path, monkeypatch, capsys):
    make, says = TARGETS[name]
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "target"
    if os.getuid() == 0 and says == "Permission denied":
        pytest.skip("root may write everywhere")
    make(path)
    before = path.lstat() if path.is_symlink() or path.exists() else None
    if says is None:
        writer(path, folder)
        assert path.read_bytes()[:2] in (b"PK", b"\x89P")
    else:
        with pytest.raises(SaveError) as refused:
            writer(path, folder)
        assert says in str(refused.value) + capsys.readouterr().err
    tmp_path.chmod(0o755)
    after = path.lstat() if path.is_symlink() or path.exists() else None
    if before is not None:
        assert after.st_mode == before.st_mode
    if says is not None and before is not None:
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert {entry.name for entry in tmp_path.iterdir()} <= {"target", "far"}
