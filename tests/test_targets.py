"""Output paths: regular files are replaced, links are followed, all else is refused."""

import os
import subprocess

import pytest

import numpylstm as nl
from numpylstm.cli import compare as compare_command
from numpylstm.saving import SaveError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="files as POSIX has them")


TARGETS = {  # how a shell makes it, and a part of the error; "" if it is written
    "a new file": ("", ""),
    "a file": ("echo old > target", ""),
    "a file with mode 600": ("echo old > target; chmod 600 target", ""),
    "a link to a file": ("echo old > far; ln -s far target", ""),
    "a dangling link": ("ln -s far target", ""),
    "a link to a device": ("ln -s /dev/null target", "it is not a regular file"),
    "a folder": ("mkdir target", "it is not a regular file"),
    "a file that may not be written": ("echo old > target; chmod 444 target", "Permission denied"),
    "a file in a closed folder": ("chmod 555 .", "Permission denied"),
}


def save_model(path, run):
    nl.save_model(nl.LanguageModel(5, 4, rng=0), path)


def compare(path, run):
    if (status := compare_command.main([str(run), "--picture", str(path)])) != 0:
        raise SaveError(status, "refused")


@pytest.mark.parametrize("writer", [save_model, compare])
@pytest.mark.parametrize(("commands", "says"), TARGETS.values(), ids=TARGETS)
def test_only_regular_files_are_replaced(
    commands, says, writer, whole, tmp_path, monkeypatch, capsys
):
    if os.getuid() == 0 and says == "Permission denied":
        pytest.skip("root may write everywhere")
    monkeypatch.chdir(tmp_path)
    subprocess.run(commands, shell=True, check=True)
    path = tmp_path / "target"
    before = path.lstat() if os.path.lexists(path) else None
    if says:
        with pytest.raises(SaveError) as refused:
            writer(path, whole)
        assert says in str(refused.value) + capsys.readouterr().err
    else:
        writer(path, whole)
        assert path.read_bytes()[:2] in (b"PK", b"\x89P")
    tmp_path.chmod(0o755)
    if before is not None:
        after = path.lstat()
        assert after.st_mode == before.st_mode
        if says:
            assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert {entry.name for entry in tmp_path.iterdir()} <= {"target", "far"}
