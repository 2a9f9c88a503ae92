"""The folder of a run: who may use it, what is removed from it, and what replaces damaged files."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.checkpoints import take_apart, with_meta
from support.processes import run_program
from support.runs import BIN, files

from numpylstm.saving import SaveError, write_atomically
from numpylstm.training import run_folder
from numpylstm.training.run_folder import RunFolderError


@pytest.fixture
def whole(whole):
    """Return the files of an uninterrupted run by name."""
    return files(whole)


# --- whose it is -------------------------------------------------------------------------------


def test_of_several_that_start_at_once_one_has_the_folder(tmp_path):
    """Each lock belongs to an open folder, so threads compete as processes do."""
    rivals = 8
    start, end = threading.Barrier(rivals), threading.Barrier(rivals)

    def attempt(number):
        start.wait()
        try:
            with run_folder.create(tmp_path / "wanted", "demo") as path:
                (path / f"made by {number}").touch()
                end.wait()
                return "has it"
        except RunFolderError as error:
            end.wait()
            return str(error)

    with ThreadPoolExecutor(rivals) as pool:
        said = list(pool.map(attempt, range(rivals)))
    assert said.count("has it") == 1
    assert sum("is in use" in text for text in said) == rivals - 1
    assert len(list((tmp_path / "wanted").iterdir())) == 1


def test_without_a_name_each_run_has_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with run_folder.create(None, "demo") as one, run_folder.create(None, "demo") as two:
        assert [one.name, two.name] == ["demo-1", "demo-2"]


# --- what is removed ---------------------------------------------------------------------------


def test_a_system_without_locks_leaves_the_folder_unlocked(tmp_path, monkeypatch):
    """As Windows, which has no fcntl."""
    monkeypatch.setattr(run_folder, "fcntl", None)
    with run_folder.create(tmp_path, "demo") as path, run_folder.locked(path):
        pass


@pytest.mark.parametrize("name", [".notes.txt.0123abcd.tmp", "thesis.tex"])
def test_a_refused_folder_keeps_its_files(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(RunFolderError, match="is not empty"), run_folder.create(tmp_path, "demo"):
        pass
    assert files(tmp_path) == {name: b"mine"}


def test_leftovers_of_the_run_only_are_removed(tmp_path):
    leftovers = {f".{name}.0123abcd.tmp" for name in run_folder.FILES}
    others = {".notes.txt.0123abcd.tmp", ".last.npz.0123abcd.tmp.txt", ".last.npz.mybackup.tmp"}
    for name in leftovers | others:
        (tmp_path / name).write_text("mine")
    with run_folder.locked(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == others
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".last.npz.0123abcd.tmp").write_text(
        "of a run killed before its first save"
    )
    with run_folder.create(tmp_path / "run", "demo") as path:
        assert not any(path.iterdir())


# --- what is taken -----------------------------------------------------------------------------


@pytest.mark.parametrize("best", [True, False])
def test_a_damaged_checkpoint_is_named(tmp_path, train, whole, best, capsys):
    """The user may resume from the best epoch."""
    for name, content in whole.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / run_folder.LAST).write_bytes(whole[run_folder.LAST][:-100])
    if not best:
        (tmp_path / run_folder.BEST).unlink()
    assert train("--resume", tmp_path, "--epochs", "3") == 2
    err = capsys.readouterr().err
    assert "last.npz is not a whole numpylstm checkpoint" in err
    assert ("copy best.npz over it to continue from the best epoch" in err) is best
    if best:
        (tmp_path / run_folder.LAST).write_bytes(whole[run_folder.BEST])
        assert train("--resume", tmp_path) == 0
        assert files(tmp_path) == whole


def test_a_window_past_the_end_of_an_epoch_is_refused(tmp_path, train, whole, capsys):
    """By the text; the checkpoint alone does not tell."""
    good = take_apart(whole[run_folder.LAST])
    (tmp_path / run_folder.LAST).write_bytes(with_meta(window=98)(good))
    assert train("--resume", tmp_path, "--epochs", "3") == 2
    assert "last.npz is inconsistent: window 98 of an epoch of 97" in capsys.readouterr().err


@pytest.mark.parametrize("name", run_folder.FILES)
def test_a_link_in_a_run_folder_is_refused(tmp_path, name):
    """Else a run folder from somebody else would write where it likes."""
    (tmp_path / name).symlink_to("victim")
    with (
        pytest.raises(RunFolderError, match=f"{name} is a link; remove it"),
        run_folder.locked(tmp_path),
    ):
        pass


def test_in_a_folder_that_is_not_there_no_older_file_was(tmp_path):
    with pytest.raises(SaveError, match=r"written: No such file or directory$"):
        write_atomically(tmp_path / "absent" / "a", lambda file: None)


# --- other commands ----------------------------------------------------------------------------


@pytest.mark.rare
@pytest.mark.parametrize("name", ["eval", "sample"])
def test_commands_that_draw_nothing_load_no_matplotlib(folder, whole, name):
    python = (BIN / "python", "-X", "importtime")
    _, err = run_program(*python, BIN / f"numpylstm-{name}", "whole/best.npz", cwd=folder)
    assert "numpylstm.data.configured" in err
    assert "matplotlib" not in err
