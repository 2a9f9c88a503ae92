"""Bad command lines, texts and streams: one line that names the culprit, and an exit status."""

import gzip
import io
import os
import re
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from support.checkpoints import take_apart, with_config
from support.runs import BIN, MAIN, call

import numpylstm as nl

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="a row names /proc"),
    pytest.mark.usefixtures("pictures_as_text"),
]
TINY = "--preset demo --hidden-size 6 --num-layers 1 --batch-size 4 --num-steps 5 --max-vocab 30"


def words(count, seed=0):
    """Lines of ten words."""
    drawn = np.random.default_rng(seed).integers(0, 25, count)
    return "".join(f"w{k}{' ' if n % 9 else chr(10)}" for n, k in enumerate(drawn, 1))


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
        "crlf.txt": text.replace("\n", "\r\n").encode(),
        "long-line.txt": b"so it goes " * 70_000,
        "no-newline.txt": text.rstrip("\n").encode(),
        "cut.gz": gzip.compress(text.encode())[:200],
        "packed.bin.gz": gzip.compress(bytes(range(256))),
        "secret.txt": text.replace("w", "secret").encode(),
        "gone.txt": text.encode(),
        "changing.txt": text.encode(),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "folder").mkdir()
    with tarfile.open("other.tgz", "w:gz") as archive:
        archive.add("text.txt")
    (folder / "cut.tgz").write_bytes((folder / "other.tgz").read_bytes()[:60])

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


# A command line, a part of the message and, unless it is 2, the exit status.
TRAIN = [
    # the text
    ("--train absent.txt", "absent.txt: must be a readable file"),
    ("--train folder", "folder: must be a readable file, got a folder without .txt"),
    ("--train cut.gz", "cut.gz: must be a readable file, got 'Compressed file ended"),
    ("--train packed.bin.gz", "packed.bin.gz: must be UTF-8 text, got a NUL at byte 0"),
    ("--train empty.txt", "empty.txt: the train split must hold at least 2"),
    ("--train blank.txt", "blank.txt: the train text must have at least 420 tokens"),
    ("--train -", "-: the train split must hold at least 2 tokens"),
    ("--train short.txt", "short.txt: the train text must have at least 420 tokens"),
    ("--train short.txt --level char --batch-size 999", "must have at least 50949 tokens"),
    ("--train binary.bin", "binary.bin: must be UTF-8 text, got a NUL at byte 0"),
    ("--train cut.txt", "cut.txt: must be UTF-8 text, got byte 0xc3"),
    ("--train text.txt --valid empty.txt", "the valid split must hold at least 2 tokens"),
    ("--train text.txt --test one-word.txt --level word --valid text.txt",
     "the test split must hold at least 2 tokens"),
    ("--valid text.txt", "--train must be given with a valid or test text"),
    ("--data ptb --train text.txt",
     "--data cannot be combined with train: they name two corpora"),
    ("--data absent", "absent: must be a readable file"),
    ("--data text.txt", "any other text is named as a training text"),
    ("--data cut.tgz", "cut.tgz: must be a readable file, got 'Compressed file ended"),
    ("--data other.tgz", "other.tgz: must hold data/ptb.train.txt"),
    # sizes and rates
    ("--hidden-size 0", "--hidden-size must be at least 1 and at most 500000000, got 0"),
    ("--train text.txt --hidden-size 10000000 --no-tied --embedding-size 1",
     "not enough memory", 1),
    (f"--train text.txt --hidden-size 1{'0' * 30}",
     "--hidden-size must be at least 1 and at most 500000000, got 1000"),
    ("--embedding-size 0 --no-tied",
     "--embedding-size must be at least 1 and at most 500000000, got 0"),
    ("--num-layers 0", "--num-layers must be at least 1 and at most 100, got 0"),
    ("--train text.txt --batch-size 1000000", "the train text must have at least 21000000"),
    ("--num-steps -1", "--num-steps must be at least 1, got -1"),
    ("--shards 3", "--shards must divide batch_size 20, got 3"),
    ("--max-eval 1", "--max-eval must be at least 2, got 1"),
    ("--lr 0", "--lr must be above 0 and at most 3e+38, got 0.0"),
    ("--lr fast", "--lr: invalid float value: 'fast'"),
    ("--decay 0", "--decay must be above 0 and at most 1, got 0.0"),
    ("--momentum 1", "--momentum must be at least 0 and below 1, got 1.0"),
    ("--optimizer adam --momentum 0.5", "--momentum must be left out, got 0.5; it is a se"),
    ("--weight-decay 0.1", "--weight-decay must be left out, got 0.1; it is a setting of"),
    ("--optimizer adamw --weight-decay -1",
     "--weight-decay must be at least 0 and at most 3e+38, got -1.0"),
    ("--optimizer adam --betas 0 1", "--betas must be at least 0 and below 1, got 1.0"),
    ("--optimizer adam --betas 0.9", "argument --betas: expected 2 arguments"),
    ("--betas 0 0.999", "--betas must be left out, got (0.0, 0.999); it is a setting of"),
    ("--dropout 1", "--dropout must be at least 0 and below 1, got 1.0"),
    ("--cell mingru --dropout-weights 0.3", "--dropout-weights must be 0, got 0.3; a min"),
    ("--init-scale 1e300", "--init-scale must be at least 0 and at most 1000, got 1e+300"),
    ("--forget-bias nan", "--forget-bias must be at least -1000 and at most 1000, got nan"),
    ("--constant-epochs -1", "--constant-epochs must be at least 0, got -1"),
    ("--schedule plateau --decay-patience 0", "--decay-patience must be at least 1, got 0"),
    ("--schedule cosine --constant-epochs 7", "--constant-epochs must be left out, got 7"),
    ("--decay-patience 2", "--decay-patience must be left out, got 2; it is a setting of"),
    ("--seed -1", "--seed must be at least 0, got -1"),
    # words
    ("--preset huge", "--preset: invalid choice: 'huge'"),
    ("--cell elman", "--cell: invalid choice: 'elman'"),
    ("--cell gru --forget-bias 1.5", "--forget-bias must be left out, got 1.5"),
    ("--reset before", "--reset must be left out, got 'before'"),
    ("--colour red", "unrecognized arguments: --colour red"),
    ("text.txt", "unrecognized arguments: text.txt"),
    # the run
    ("--threads 0", "--threads must be from 1 to"),
    ("--stop-after 0h", "--stop-after must be a time such as 90s, 30m or 2h; got '0h'"),
    ("--save-every 0", "--save-every must be a number of updates such as 500"),
    ("--train text.txt --out run", "--out run is not empty; name a new folder, or resume"),
    ("--train text.txt --out text.txt", "--out text.txt cannot be used: File exists"),
    ("--train text.txt --out text.txt/run", "--out text.txt/run cannot be used: Not a dir"),
    ("--train text.txt --out /proc/nowhere/run", "--out /proc/nowhere/run cannot be used"),
    # going on
    ("--resume absent", "--resume absent is not a folder"),
    ("--resume folder", "folder holds no last.npz; name the folder of a run"),
    ("--resume run --seed 1 --lr 2", "--lr cannot change in a resumed run"),
    ("--resume run --log-gradients", "--log-gradients cannot change in a resumed run"),
    ("--resume run --train other.txt", "this text is not the one that the run was started"),
    ("--resume run --epochs 1", "--epochs must be at least 2, which are done; got 1"),
    ("--resume planned --epochs 9", "--epochs cannot change: the schedule 'cosine' is pla"),
    ("--resume run --out elsewhere", "--out is for a new run; --resume continues in"),
    ("--resume run --init-from run", "--init-from is for a new run; --resume continues"),
    ("--resume run --check-gradients", "--check-gradients is for a new run; --resume"),
    ("--resume limited --epochs 9", "--epochs cannot continue a run that steps ended"),
    ("--resume limited --steps 2", "--steps must be at least 5, which are done; got 2"),
    ("--resume changed-text", "this text is not the one that the run was started with"),
    ("--resume secret-text", "this text is not the one that the run was started with"),
    ("--resume long-windows", "the train text must have at least 400004 tokens for 4"),
    ("--resume vast-windows", "the train text must have at least"),
    ("--resume missing-text", "gone.txt: must be a readable file"),
    # from another run
    ("--init-from absent", "absent: No such file or directory"),
    ("--init-from folder", "folder holds no best.npz; name the folder of a run"),
    ("--init-from run --hidden-size 9", "--hidden-size cannot change: the parameters of run"),
    ("--init-from run --level char", "--level cannot change: the parameters of run depend"),
    ("--init-from run --activation relu", "--activation cannot change: the parameters of run"),
    ("--split-punctuation --level char", "--split-punctuation is for words of your"),
    ("--init-from run --preset small", "--preset cannot be combined with --init-from"),
    # numbers that go bad in the run
    ("--lr 1e39", "lr must be above 0 and at most 3e+38, got 1e+39"),
    ("--train text.txt --out bad-2 --lr 1e30 --clip 1e30",
     "at epoch 1, step 2; usually the learning rate is too high", 1),
    ("--train text.txt --out bad-3 --cell rnn --activation relu --init-scale 1000 "
     "--dtype float32 --num-steps 40",
            "at epoch 1, step 1; usually the learning rate is too high", 1),
    ("--train text.txt --out bad-4 --init-scale 100 --check-gradients --num-layers 1 "
     "--hidden-size 6 --batch-size 4 --num-steps 5",
     "slopes are lost in rounding with these initial values (init_scale 100)", 1),
]  # fmt: skip

EVAL = [
    ("", "the following arguments are required: RUN"),
    ("absent.npz", "absent.npz: No such file or directory"),
    ("folder", "folder holds no best.npz; name the folder of a run, or a checkpoint in it"),
    ("begun", "begun holds no best.npz; no epoch of its run has ended yet, so name begun"),
    ("text.txt", "text.txt is not a whole numpylstm checkpoint"),
    ("run/best.npz run/last.npz", "unrecognized arguments: run/last.npz"),
    ("run --text -", "-: must hold at least 2 tokens, got 0"),
    ("run/best.npz --text empty.txt", "empty.txt: must hold at least 2 tokens, got 0"),
    ("run/best.npz --data folder", "folder: must hold ptb.train.txt"),
    ("run/best.npz --data ptb --text text.txt", "argument --text/--file: not allowed with"),
    ("run --max-tokens 1", "--max-tokens: must be at least 2, got 1"),
    ("run --max-tokens 9 --split train", "--max-tokens is for --text and the splits valid"),
    ("run --text text.txt --split valid", "--split is for a corpus; --text is scored as a"),
    ("run/best.npz --protocol tutorial", "tutorial_protocol: ids must hold 30 windows of"),
    ("run --dynamic -1", "evaluate_dynamic: rate must be positive"),
    ("run --dynamic 1e30", "the perplexity is not finite; lower the rate of --dynamic", 1),
    ("run --temperature 0", "evaluate_at_temperature: temperature must be positive"),
    ("run --temperature test", "argument --temperature: invalid temperature value: 'test'"),
    ("run --dynamic 1 --dynamic-decay 2", "evaluate_dynamic: decay must be in [0, 1], got 2"),
    ("run --dynamic-rms 9", "--dynamic-decay and --dynamic-rms are for --dynamic RATE"),
    ("run --dynamic 1 --dynamic-rms adam",
     "--dynamic-rms adam is for a run of Adam or AdamW, and this one was trained by sgd;"),
    ("run --dynamic 1 --dynamic-rms all", "argument --dynamic-rms: invalid rms value: 'all'"),
    ("run --dynamic-decay 0.1", "--dynamic-decay and --dynamic-rms are for --dynamic RATE"),
    ("run --cache 9 --cache-share 1", "evaluate_with_cache: share must"),
    ("run --cache-share 0.2", "--cache-theta and --cache-share are for --cache N"),
    ("exploding.npz", "the parameters of the model have exploded", 1),
    ("run/best.npz --batch-size 0", "--batch-size: must be at least 1, got 0"),
    ("run/best.npz --batch-size 5000", "must hold at least 10000 tokens, 2 for each"),
    ("changed-text/last.npz",
     "the run was started with; it has changed since; name the text with --text"),
    ("missing-text/last.npz", "gone.txt: must be a readable file"),
]  # fmt: skip

SAMPLE = [
    ("", "the following arguments are required: RUN"),
    ("absent.npz", "absent.npz: No such file or directory"),
    ("folder", "folder holds no best.npz; name the folder of a run"),
    ("run/best.npz --temperature -1", "temperature must be finite and at least 0, got -1.0"),
    ("run/best.npz --length 1000000000000", "length must be from 0 to 1000000000, got"),
    ("exploding.npz", "the scores of the model are not finite", 1),
]
COMMANDS = {"numpylstm-train": TRAIN, "numpylstm-eval": EVAL, "numpylstm-sample": SAMPLE}
ARCHITECTURE = Path(__file__).parents[1] / "docs/explanation/architecture.md"
EXAMPLE = r"^\| `(numpylstm-\w+) (.+?)` \| `(.+)` \|$"
for name, line, says in re.findall(EXAMPLE, ARCHITECTURE.read_text(encoding="utf-8"), re.M):
    COMMANDS[name].append((line.replace("RUN", "run"), says))


def check(out, err, name, says, status=2):
    assert "Traceback" not in err
    (last,) = err.splitlines()
    assert last.startswith(f"{name}: error: ")
    assert " ".join(says.split()) in last
    if status == 2:
        assert out == ""


class BadLine(NamedTuple):
    """A row of the lists above."""

    line: str
    says: str
    status: int = 2


BAD_LINES = [(name, *BadLine(*row)) for name, rows in COMMANDS.items() for row in rows]


@pytest.mark.parametrize(("name", "line", "says", "status"), BAD_LINES)
def test_a_bad_command_line_gets_one_sentence(name, line, says, status, workplace, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    out, err = call(workplace, name, *shlex.split(line), expect=status)
    check(out, err, name, says, status)


@pytest.mark.rare
@pytest.mark.parametrize("name", COMMANDS)
def test_the_same_from_real_processes(name, workplace):
    line, says = COMMANDS[name][1]
    done = process(workplace, name, *shlex.split(line), stdin=subprocess.DEVNULL)
    assert done.returncode == 2, done.stderr
    check(done.stdout, done.stderr, name, says)


def test_the_last_good_checkpoint_of_a_failed_run_still_loads(workplace):
    line = f"{TINY} --train text.txt --out failed --save-every 1 --lr 1e30 --clip 1e30"
    _, err = call(workplace, "numpylstm-train", *line.split(), expect=1)
    assert "; usually the learning rate is too high" in err
    run = nl.restore_run(nl.load(workplace / "failed" / "last.npz"))
    for parameter in run.model.parameters().values():
        assert np.isfinite(parameter.data).all()


# --- texts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["unicode.txt", "long-line.txt", "no-newline.txt"])
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


@pytest.mark.rare
def test_a_terminal_without_unicode_shows_escapes(workplace):
    command = ("numpylstm-sample", "run/best.npz", "--prompt", "\u4e2d", "--length", "1")
    done = process(workplace, *command, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert done.stdout.startswith("\\u4e2d")


@pytest.mark.rare
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_to_a_full_disk(workplace):
    with open("/dev/full", "w") as full:
        done = process(workplace, "numpylstm-eval", "run/best.npz", stdout=full)
    assert done.returncode == 1
    assert done.stderr == "numpylstm-eval: error: standard output: No space left on device\n"


@pytest.mark.rare
def test_a_reader_that_leaves(workplace):
    """``numpylstm-sample ... | head``: there is no one to tell."""
    read, write = os.pipe()
    os.close(read)
    done = process(workplace, "numpylstm-sample", "run/best.npz", "--quiet", stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")
