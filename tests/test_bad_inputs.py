"""Every line of the tables in `bad_inputs` gets one sentence that names the culprit."""

import gzip
import io
import os
import re
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bad_inputs import CALLS, COMMANDS, WORKING_TEXTS, WORKS, Call, Command
from support.checkpoints import take_apart, with_config
from support.runs import BIN, MAIN, call
from test_fuzz import read_only

import numpylstm as nl
from numpylstm.data import Corpus, DataError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the tables name /proc")
TINY = "--preset demo --hidden-size 6 --num-layers 1 --batch-size 4 --num-steps 5 --max-vocab 30"


def words(count, seed=0):
    """Lines of ten words."""
    drawn = np.random.default_rng(seed).integers(0, 25, count)
    return "".join(f"w{k}{' ' if n % 9 else chr(10)}" for n, k in enumerate(drawn, 1))


def tgz(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def train(*arguments):
    assert MAIN["numpylstm-train"]([*TINY.split(), *arguments]) == 0


def with_last(name, checkpoint):
    """Make a run folder that holds nothing but last.npz."""
    Path(name).mkdir()
    Path(name, "last.npz").write_bytes(checkpoint)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """Return a folder with good and bad files and runs."""
    folder = tmp_path_factory.mktemp("workplace")
    before = os.getcwd()
    os.chdir(folder)
    text = words(1500)
    files = {
        "text.txt": text.encode(),
        "other.txt": words(1500, seed=1).encode(),
        "empty.txt": b"",
        "blank.txt": b"\n" * 100,
        "one-word.txt": b"word",
        "short.txt": words(100).encode(),
        "binary.bin": bytes(range(256)),
        "latin1.txt": "caf\u00e9 ".encode("latin-1") * 100,
        "cut.txt": text.encode() + b"\xc3",
        "unicode.txt": (text + "\u017ee\u0161t\u0117 \u4e2d\u6587 e\u0301 \U0001f40d\n").encode(),
        "bom.txt": b"\xef\xbb\xbf" + text.encode(),
        "crlf.txt": text.replace("\n", "\r\n").encode(),
        "cr.txt": text.replace("\n", "\r").encode(),
        "long-line.txt": b"so it goes " * 70_000,
        "no-newline.txt": text.rstrip("\n").encode(),
        "gone.txt": text.encode(),
        "changing.txt": text.encode(),
    }
    for name in ("folder", "ptb", "texts"):
        (folder / name).mkdir()
    packed, half = gzip.compress(text.encode()), text.index("\n", len(text) // 2)
    files |= {f"ptb/ptb.{split}.txt": text.encode() for split in ("train", "valid", "test")}
    files |= {
        "text.txt.gz": packed,
        "cut.gz": packed[:200],
        "packed.bin.gz": gzip.compress(bytes(range(256))),
        "texts/a.txt": text[:half].encode(),
        "texts/b.txt.gz": gzip.compress(text[half + 1 :].encode()),
        "secret.txt": text.replace("w", "secret").encode(),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    tgz("other.tgz", [("a.txt", b"hello")])
    (folder / "cut.tgz").write_bytes((folder / "other.tgz").read_bytes()[:60])
    np.savez("other.npz", a=np.zeros(3))

    train("--train", "text.txt", "--out", "run", "--epochs", "2")
    train("--train", "text.txt", "--out", "limited", "--steps", "5")
    train("--train", "gone.txt", "--out", "missing-text", "--epochs", "1")
    (folder / "gone.txt").unlink()
    train("--train", "changing.txt", "--out", "changed-text", "--epochs", "1")
    (folder / "changing.txt").write_text(text.replace("w3", "w4", 1))
    train("--train", "text.txt", "--out", "whole", "--epochs", "1")
    good = take_apart((folder / "whole" / "last.npz").read_bytes())
    with_last("begun", (folder / "run" / "last.npz").read_bytes())
    for name, changes in {
        "secret-text": {"train": str(folder / "secret.txt")},
        "long-windows": {"num_steps": 10**5},
        "vast-windows": {"num_steps": 10**9},
        "planned": {"schedule": "cosine", "decay": None, "constant_epochs": None},
    }.items():
        with_last(name, with_config(**changes)(good))
    run = nl.restore_run(nl.load("run/last.npz"))
    for parameter in run.model.parameters().values():
        parameter.data[...] = 3e38
    nl.save(run, "exploding.npz")
    yield folder
    os.chdir(before)


CASES = [(name, case) for name, cases in COMMANDS.items() for case in cases]
ARCHITECTURE = Path(__file__).parents[1] / "docs/explanation/architecture.md"
EXAMPLES = re.findall(r"^\| `(.+?)` \| `(.+)` \|$", ARCHITECTURE.read_text(encoding="utf-8"), re.M)
for example, says in EXAMPLES:
    name, _, line = example.partition(" ")
    if name in COMMANDS:
        CASES.append((name, Command(line.replace("RUN", "run"), says)))
    else:
        CALLS.append(Call(example, says, Exception))


def check(out, err, name, case):
    assert "Traceback" not in err
    (last,) = err.splitlines()
    assert last.startswith(f"{name}: error: ")
    assert " ".join(case.says.split()) in last
    if case.status == 2:
        assert out == ""


@pytest.mark.parametrize(("name", "case"), CASES, ids=[f"{n[10:]} {c.line[:70]}" for n, c in CASES])
def test_a_bad_command_line_gets_one_sentence(name, case, workplace, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    check(*call(workplace, name, *shlex.split(case.line), expect=case.status), name, case)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_same_from_real_processes(name, workplace):
    case = COMMANDS[name][1]
    done = process(workplace, name, *shlex.split(case.line), stdin=subprocess.DEVNULL)
    assert done.returncode == case.status, done.stderr
    check(done.stdout, done.stderr, name, case)


def test_the_last_good_checkpoint_of_a_failed_run_still_loads(workplace):
    line = f"{TINY} --train text.txt --out failed --save-every 1 --lr 1e30 --clip 1e30"
    _, err = call(workplace, "numpylstm-train", *line.split(), expect=1)
    assert "; usually the learning rate is too high" in err
    run = nl.restore_run(nl.load(workplace / "failed" / "last.npz"))
    for parameter in run.model.parameters().values():
        assert np.isfinite(parameter.data).all()


# --- from Python -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def names(workplace):
    """Return the names in the expressions of the tables."""

    rng = np.random.default_rng(0)
    model = nl.LanguageModel(11, 4, 2, rng=0)
    state = model.zero_state(3)
    nan_state = model.zero_state(3)
    nan_state.c[1, 2, 3] = np.nan
    ids = rng.integers(0, 11, 60).astype(np.int32)
    vocabulary = nl.Vocabulary(("<unk>", *"abcdefghij"))
    lstm = nl.LSTM(6, 4, rng=0)
    lstm_state = lstm.zero_state(3)
    return {
        "nl": nl, "np": np, "model": model, "state": state, "nan_state": nan_state, "ids": ids,
        "double_state": type(state)(*(part.astype(float) for part in state)),
        "read_only": read_only, "read_only_state": type(state)(*map(read_only, state)),
        "x": np.arange(15).reshape(5, 3) % 11, "y": np.arange(1, 16).reshape(5, 3) % 11,
        "classifier": nl.SequenceClassifier(11, 2, 4, rng=0),
        "t": nl.SequenceTagger(11, 2, 4, rng=0), "y3": np.array([0, 1, 1]),
        "r": nl.SequenceRegressor(input_size=6, num_outputs=2, hidden_size=4, rng=0),
        "nan": np.float32(np.nan), "ones": np.ones((5, 3), np.float32),
        "v": np.ones((5, 3, 6), np.float32), "hs": np.ones((5, 3, 4), np.float32),
        "lstm": lstm, "lstm_state": lstm_state, "rnn": nl.RNN(6, 4, rng=0),
        "table": np.ones((11, 4)), "arrays": model.state_dict(),
        "corpus": Corpus("made up", "word", vocabulary, ids, ids, ids,
                         dict.fromkeys(("train", "valid", "test"), 0)),
        "run": nl.restore_run(nl.load(workplace / "run" / "last.npz")),
    }  # fmt: skip


@pytest.mark.parametrize("case", CALLS, ids=lambda case: case.expression[:80])
def test_a_bad_call_gets_one_sentence(case, names, workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    with pytest.raises(case.error) as refused:
        eval(case.expression, names)
    assert case.says in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("expression", WORKS)
def test_an_odd_call_works(expression, names):
    eval(expression, names)


# --- texts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", WORKING_TEXTS)
def test_an_odd_text_works(file, workplace):
    out = f"run of {file}"
    for name, *arguments in (
        ("train", *TINY.split(), "--train", file, "--out", out, "--steps", "3"),
        ("eval", out, "--file", "crlf.txt"),
        ("sample", out, "--prompt", "w1 \u4e2d\u6587", "--length", "5"),
    ):
        _, err = call(workplace, f"numpylstm-{name}", *arguments)
        assert "Traceback" not in err


def process(folder, *command, **options):
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    words = [BIN / command[0], *command[1:]]
    return subprocess.run(words, cwd=folder, timeout=100, text=True, check=False, **options)


def test_a_terminal_without_unicode_shows_escapes(workplace):
    command = ("numpylstm-sample", "run/best.npz", "--prompt", "\u4e2d", "--length", "1")
    done = process(workplace, *command, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert done.stdout.startswith("\\u4e2d")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_to_a_full_disk(workplace):
    with open("/dev/full", "w") as full:
        done = process(workplace, "numpylstm-eval", "run/best.npz", stdout=full)
    assert done.returncode == 1
    assert done.stderr == "numpylstm-eval: error: standard output: No space left on device\n"


def test_a_reader_that_leaves(workplace):
    """``numpylstm-sample ... | head``: there is no one to tell."""
    read, write = os.pipe()
    os.close(read)
    done = process(workplace, "numpylstm-sample", "run/best.npz", "--quiet", stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


@given(raw=st.binary(max_size=400), level=st.sampled_from(["word", "char"]))
def test_fuzz_a_file_becomes_a_corpus_or_one_sentence(raw, level, tmp_path_factory):
    """From bytes to ids."""
    path = tmp_path_factory.getbasetemp() / "fuzz.txt"
    path.write_bytes(raw)
    try:
        corpus = nl.data.load_text(path, level=level)
    except DataError as refused:
        said = str(refused)
    else:
        ids = np.concatenate([corpus.train, corpus.valid, corpus.test])
        said = f"{path}" if 0 <= ids.min() <= ids.max() < len(corpus.vocabulary) else "ids!"
    assert str(path) in said
    assert "\n" not in said
