"""The folder of a run: who may use it, what is removed from it, and what replaces damaged files."""

import errno
import os
import stat
import subprocess

import pytest
from support.runs import BIN, SHORT, files, start

from numpylstm.saving import SaveError, temporary_name, write_atomically
from numpylstm.training import checkpoint, run_folder
from numpylstm.training.checkpoint import load
from numpylstm.training.run_folder import RunFolderError


@pytest.fixture
def whole(whole):
    """Return the files of an uninterrupted run by name."""
    return files(whole)


# --- whose it is -------------------------------------------------------------------------------


@pytest.mark.parametrize(("tries", "rivals"), [(1, 3), pytest.param(5, 8, marks=pytest.mark.slow)])
def test_of_several_that_start_at_once_one_has_the_folder(folder, whole, tries, rivals):
    for k in range(tries):
        started = [start(folder, *SHORT, "--out", f"wanted-{rivals}-{k}") for _ in range(rivals)]
        said = [process.communicate(timeout=300)[1] for process in started]
        assert sorted(process.returncode for process in started) == [0] + [2] * (rivals - 1)
        assert all("is in use" in err or "is not empty" in err for err in said if err)
        assert files(folder / f"wanted-{rivals}-{k}") == whole


def test_without_a_name_each_run_has_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with run_folder.new(None, "demo") as one, run_folder.new(None, "demo") as two:
        assert [one.name, two.name] == ["demo-1", "demo-2"]


# --- what is removed ---------------------------------------------------------------------------


def test_a_system_without_locks_leaves_the_folder_unlocked(tmp_path):
    """As Windows, which has no fcntl."""
    program = (
        "import sys; sys.modules['fcntl'] = None\n"
        "from numpylstm.training import run_folder\n"
        "with run_folder.new(None, 'demo') as path: print(path.as_posix())"
    )
    printed = subprocess.check_output([BIN / "python", "-c", program], cwd=tmp_path, text=True)
    assert printed == "runs/demo-1\n"


def test_a_refused_folder_keeps_all_its_files(tmp_path):
    """Also files with names like those of a run."""
    names = (".notes.txt.0123abcd.tmp", ".last.npz.0123abcd.tmp", "thesis.tex")
    for count in (3, 1):
        for name in names[:count]:
            (tmp_path / name).write_text("mine")
        before = files(tmp_path)
        with (
            pytest.raises(RunFolderError, match="is not empty"),
            run_folder.new(tmp_path, "demo"),
        ):
            pass
        assert files(tmp_path) == before
        for name in names:
            (tmp_path / name).unlink(missing_ok=True)


def test_resuming_removes_leftovers_of_the_run_only(tmp_path, folder, whole):
    for name, content in whole.items():
        (tmp_path / name).write_bytes(content)
    leftovers = {temporary_name(tmp_path / name).name for name in run_folder.FILES}
    others = {".notes.txt.0123abcd.tmp", ".last.npz.0123abcd.tmp.txt", ".last.npz.xyz.tmp"}
    for name in leftovers | others:
        (tmp_path / name).write_text("mine")
    run_folder.load_last(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == whole.keys() | others


# --- what is taken -----------------------------------------------------------------------------

DAMAGES = {
    "cut": lambda content: content[: len(content) // 2],
    "a bit": lambda content: content[:900] + bytes([content[900] ^ 1]) + content[901:],
    "zeros": lambda content: bytes(len(content)),
    "empty": lambda content: b"",
}


def stop_in_the_second_epoch(train, out):
    """Train until a simulated kill; the last, previous and best checkpoints are there."""
    save = checkpoint.save

    class Killed(BaseException):
        pass

    def save_and_die(run, path):
        save(run, path)
        if path.name == run_folder.LAST and run.step > 140:
            raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "save", save_and_die)
        with pytest.raises(Killed):
            train(*SHORT, "--out", out)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_replaced_by_the_one_before(folder, train, whole, damage, capsys):
    out = folder / f"damaged by {damage}"
    stop_in_the_second_epoch(train, out.name)
    steps = {
        name: load(out / name).meta["step"]
        for name in (run_folder.LAST, run_folder.PREVIOUS, run_folder.BEST)
    }
    assert steps["best.npz"] <= steps["previous.npz"] < steps["last.npz"]
    last = out / run_folder.LAST
    last.write_bytes(DAMAGES[damage](last.read_bytes()))
    capsys.readouterr()
    assert train("--resume", out.name, "--save-every", "50") == 0
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith(f"numpylstm-train: warning: {out.name}/last.npz is ")
    assert f"; resuming from {out.name}/previous.npz, saved at step {steps['previous.npz']}" in err
    assert files(out) == whole


def test_if_that_is_damaged_too_the_best_one_is_taken(folder, train, whole, capsys):
    out = folder / "twice damaged"
    stop_in_the_second_epoch(train, out.name)
    for name in (run_folder.LAST, run_folder.PREVIOUS):
        (out / name).write_bytes(b"PK")
    assert train("--resume", out.name) == 0
    assert f"resuming from {out.name}/best.npz, saved at step" in capsys.readouterr().err
    assert files(out) == whole


@pytest.mark.parametrize("newer", [run_folder.PREVIOUS, run_folder.BEST])
def test_the_newest_of_the_others_is_taken(folder, train, whole, newer, tmp_path):
    """The best one is saved before the last one, so it may be newer than the one before."""
    stop_in_the_second_epoch(train, f"newest is {newer}")
    for name in (run_folder.PREVIOUS, run_folder.BEST):
        source = folder / ("whole" if name == newer else f"newest is {newer}")
        (tmp_path / name).write_bytes((source / run_folder.LAST).read_bytes())
    assert run_folder.newest_whole(tmp_path).path.name == newer


def test_a_damaged_checkpoint_never_takes_the_place_of_a_whole_one(tmp_path, whole):
    """Even if the process is killed right after it has loaded the whole one."""
    for name in (run_folder.PREVIOUS, run_folder.BEST):
        (tmp_path / name).write_bytes(whole[run_folder.LAST])
    (tmp_path / run_folder.LAST).write_bytes(b"PK")
    says = r"last\.npz is not a whole checkpoint: .* resuming from"
    with pytest.warns(UserWarning, match=says) as warned:
        run_folder.load_last(tmp_path)
    assert warned[0].filename == __file__
    assert (tmp_path / run_folder.LAST).read_bytes() == whole[run_folder.LAST]
    run_folder.load_last(tmp_path)


def test_a_disk_without_hard_links_has_no_previous_checkpoint(folder, train, whole, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    stop_in_the_second_epoch(train, "no links")
    assert not (folder / "no links" / run_folder.PREVIOUS).exists()
    (folder / "no links" / run_folder.LAST).write_bytes(b"PK")
    assert train("--resume", "no links") == 0  # from best.npz
    assert files(folder / "no links") == whole
    assert train(*SHORT, "--steps", "150", "--out", "no links, within an epoch") == 0
    assert load(folder / "no links, within an epoch" / run_folder.BEST_EPOCH).meta["step"] == 97


# --- the folder itself -------------------------------------------------------------------------


def fsync_that_refuses_folders(number):
    fsync = os.fsync

    def refusing(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    return refusing


def test_a_file_system_that_cannot_flush_folders_is_good_enough(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", fsync_that_refuses_folders(errno.EINVAL))
    write_atomically(tmp_path / "a", lambda file: file.write(b"content"))
    assert (tmp_path / "a").read_bytes() == b"content"


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_folder_that_fails_to_be_flushed_is_an_error(tmp_path, monkeypatch, number):
    monkeypatch.setattr(os, "fsync", fsync_that_refuses_folders(number))
    says = f"a could not be written: {os.strerror(number)}; what was saved before is still there"
    with pytest.raises(SaveError, match=f"{says}$"):
        write_atomically(tmp_path / "a", lambda file: file.write(b"content"))


def test_in_a_folder_that_is_not_there_no_older_file_was(tmp_path):
    with pytest.raises(SaveError, match=r"written: No such file or directory$"):
        write_atomically(tmp_path / "absent" / "a", lambda file: None)


# --- other commands ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["eval", "sample"])
def test_commands_that_draw_nothing_load_no_matplotlib(folder, whole, name):
    done = subprocess.run(
        [BIN / "python", "-X", "importtime", BIN / f"numpylstm-{name}", "whole/best.npz"],
        cwd=folder, capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    assert "numpylstm.data.configured" in done.stderr
    assert not [module for module in ("matplotlib", "tqdm") if module in done.stderr]
