"""The installed commands, run as processes the way a person runs them."""

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from numpylstm.kernels.threads import PROCESSORS

BIN = Path(sys.executable).parent
SMALL = ("--hidden-size", "12", "--num-layers", "2", "--batch-size", "4", "--num-steps", "6",
         "--epochs", "2", "--log-every", "10", "--max-vocab", "50")  # fmt: skip


def command(name, *arguments, cwd, expect=0, **environment):
    """Run an installed command; returns (stdout, stderr)."""
    done = subprocess.run(
        [BIN / name, *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, timeout=300, env=os.environ | environment,
        check=False,
    )  # fmt: skip
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout, done.stderr


def write_text(path, words=2000, seed=0):
    """Lines of invented words."""
    rng = np.random.default_rng(seed)
    lines = [" ".join(f"w{k}" for k in rng.integers(0, 40, 9)) for _ in range(words // 10)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def metrics(run):
    """The rows of a run's metrics.csv."""
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a text and a finished run."""
    folder = tmp_path_factory.mktemp("cli")
    write_text(folder / "text.txt")
    command("numpylstm-train", "--train", "text.txt", "--out", "run", *SMALL, cwd=folder)
    return folder


# --- train -------------------------------------------------------------------------------------


def test_the_run_folder(folder):
    run = folder / "run"
    names = {
        "config.json", "vocabulary.json", "metrics.csv", "curves.png", "best.npz", "last.npz",
        "samples.json", "sample.txt", "result.json", "report.html", "log.txt",
    }  # fmt: skip
    assert {path.name for path in run.iterdir()} == names
    config = json.loads((run / "config.json").read_text())
    assert (config["hidden_size"], config["train"]) == (12, str(folder / "text.txt"))
    assert "<unk>" in json.loads((run / "vocabulary.json").read_text())
    rows = metrics(run)
    assert rows[0]["epoch"] == "1"
    assert float(rows[-1]["valid_perplexity"]) > 1
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_what_training_prints(folder):
    out, err = command(
        "numpylstm-train", "--train", "text.txt", "--out", "printed", *SMALL, cwd=folder
    )
    assert err == ""
    for expected in (
        "2 x 12 LSTM", "Compiling kernels", "epoch   1", "cost", "accuracy", "perplexity", "norm",
        "tokens/s", "left", "valid perplexity", "Test perplexity", "unigram model",
        "interpolated bigram model", "True values (1st line) and predicted values (2nd line):",
        "A sample", "Saved in printed",
    ):  # fmt: skip
        assert expected in out
    true, predicted = out.split("(2nd line):\n")[1].split("\n")[:2]
    assert len(true.split()) == len(predicted.split()) == 35


def test_the_first_line_says_how_many_threads(folder):
    run = ("numpylstm-train", "--train", "text.txt", *SMALL, "--steps", "1")
    several = f"1 to {PROCESSORS} threads as is faster" if PROCESSORS > 1 else "1 thread"
    for flags, expected in ((), several), (("--threads", "1"), "1 thread"):
        out, _ = command(*run, "--out", f"with{len(flags)}", *flags, cwd=folder)
        assert out.splitlines()[0].endswith(f"seed 0, {expected}")


def test_the_reference_trains_to_the_same_curve(folder):
    command(
        "numpylstm-train", "--train", "text.txt", "--out", "slow", "--impl", "reference", *SMALL,
        cwd=folder,
    )  # fmt: skip
    fast, slow = metrics(folder / "run"), metrics(folder / "slow")
    assert len(fast) == len(slow)
    for ours, theirs in zip(fast, slow, strict=True):
        assert float(ours["perplexity"]) == pytest.approx(float(theirs["perplexity"]), rel=1e-3)
        if theirs["valid_perplexity"]:
            assert float(ours["valid_perplexity"]) == pytest.approx(
                float(theirs["valid_perplexity"]), rel=1e-3
            )


def test_a_gradient_check_first_does_not_change_the_run(folder):
    """The table comes before the training, and dropout's masks are what they would have been."""
    arguments = ("--train", "text.txt", *SMALL, "--dropout", "0.3", "--epochs", "1")
    command("numpylstm-train", *arguments, "--out", "unchecked", cwd=folder)
    out, err = command(
        "numpylstm-train", *arguments, "--out", "checked", "--check-gradients", cwd=folder
    )
    assert err == ""
    before, _ = out.split("Compiling kernels")
    for path in np.load(folder / "checked" / "best.npz"):
        if path.startswith("parameters/"):
            assert before.count(path.removeprefix("parameters/")) == 2
    assert before.count("passed: ") == 2  # float64 against slopes, float32 against float64
    assert "FAIL" not in before
    for name in ("metrics.csv", "config.json", "best.npz", "last.npz"):
        runs = (folder / run / name for run in ("unchecked", "checked"))
        assert len({path.read_bytes() for path in runs}) == 1


def test_resume_ends_with_the_same_bytes(folder):
    """Stopped by a limit after one epoch, made longer, resumed."""
    text = ("--train", "text.txt")
    short = [*SMALL[:-6], "--epochs", "1", *SMALL[-4:]]
    command("numpylstm-train", *text, "--out", "short", *short, cwd=folder)
    command("numpylstm-train", "--resume", "short", "--epochs", "2", cwd=folder)
    for name in ("metrics.csv", "best.npz", "last.npz"):
        if name == "metrics.csv":
            assert (folder / "short" / name).read_bytes() == (folder / "run" / name).read_bytes()
        else:
            arrays = [dict(np.load(folder / run / name)) for run in ("short", "run")]
            for key in arrays[0]:
                if key.startswith("parameters/"):
                    np.testing.assert_array_equal(arrays[0][key], arrays[1][key])


def test_a_free_folder_is_chosen_without_out(tmp_path):
    write_text(tmp_path / "text.txt")
    limit = ("--steps", "3")
    for _ in range(2):
        command("numpylstm-train", "--train", "text.txt", *SMALL, *limit, cwd=tmp_path)
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == ["demo-1", "demo-2"]


@pytest.mark.parametrize(
    "flags",
    [
        ("--level", "char"),
        ("--cell", "rnn", "--activation", "relu", "--init-scale", "0.05"),
        ("--tied", "--dropout", "0.5", "--momentum", "0.5", "--lr", "0.3"),
        ("--schedule", "plateau", "--dtype", "float64", "--average-across-timesteps"),
        ("--valid", "valid.txt", "--test", "valid.txt"),
    ],
)
def test_every_kind_of_run(tmp_path, flags):
    write_text(tmp_path / "text.txt")
    write_text(tmp_path / "valid.txt", 300, seed=1)
    out, _ = command(
        "numpylstm-train", "--train", "text.txt", *SMALL, "--steps", "20", *flags, cwd=tmp_path
    )
    assert "Test perplexity" in out


# --- eval and sample ---------------------------------------------------------------------------


def test_eval_prints_the_ledger(folder):
    out, _ = command("numpylstm-eval", "run/best.npz", cwd=folder)
    for line in ("tokens         100", "unknown words  ", "scored         99; not scored: 1",
                 "B = 1, T = 35", "perplexity     ", "accuracy       "):  # fmt: skip
        assert line in out
    again, _ = command("numpylstm-eval", "run/best.npz", "--num-steps", "1", cwd=folder)
    assert out.split("loss")[1].split("\n")[1:2] == again.split("loss")[1].split("\n")[1:2]


def test_eval_of_another_text_counts_its_unknown_words(folder):
    (folder / "other.txt").write_text("w1 w2 nobody w3\nw4 knows w5 w6\n")
    out, _ = command("numpylstm-eval", "run/best.npz", "--file", "other.txt", cwd=folder)
    assert "unknown words  2, scored as <unk>" in out
    assert "tokens         10" in out


def test_eval_with_the_tutorial_protocol(folder, tmp_path):
    write_text(tmp_path / "long.txt", words=22000, seed=3)
    out, _ = command(
        "numpylstm-eval", "run/best.npz", "--file", tmp_path / "long.txt", "--protocol",
        "tutorial", cwd=folder,
    )  # fmt: skip
    assert "mean of 25 windows of 20 x 35" in out
    true, predicted = out.strip().split("\n")[-2:]
    assert len(true.removeprefix("true values").split()) == 35
    assert len(predicted.removeprefix("predicted").split()) == 35


def test_sample_is_reproducible_and_never_says_unk(folder):
    arguments = ("run/best.npz", "--prompt", "w1 w2", "--length", "60", "--seed", "5")
    out, err = command("numpylstm-sample", *arguments, cwd=folder)
    assert out.startswith("w1 w2")
    assert "<unk>" not in out
    assert err == ""
    assert command("numpylstm-sample", *arguments, cwd=folder)[0] == out
    other, _ = command("numpylstm-sample", *arguments[:-1], "6", cwd=folder)
    assert other != out


def test_sample_reports_unknown_prompt_words(folder):
    _, err = command(
        "numpylstm-sample", "run/best.npz", "--prompt", "w1 nobody w2 nobody", cwd=folder
    )
    assert err == "not in the vocabulary, read as <unk>: 'nobody'\n"


def test_sample_takes_the_best_with_top_1(folder):
    arguments = ("run/best.npz", "--top-k", "1", "--length", "20", "--temperature", "0.5")
    one, two = (
        command("numpylstm-sample", *arguments, "--seed", seed, cwd=folder)[0] for seed in "12"
    )
    assert one == two


# --- help and errors ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["numpylstm-train", "numpylstm-eval", "numpylstm-sample"])
def test_help_is_quick_and_says_the_defaults(name, tmp_path):
    command(name, "--help", cwd=tmp_path)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        out, _ = command(name, "--help", cwd=tmp_path, NUMBA_CACHE_DIR=str(tmp_path))
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 1
    assert "default" in out
    assert not list(tmp_path.rglob("*.nb?"))  # nothing was compiled


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("train", ("--train", "absent.txt"), "absent.txt"),
        ("train", ("--data", "absent"), "absent"),
        ("train", ("--train", "empty.txt"), "empty.txt"),
        ("train", ("--train", "binary.bin"), "binary.bin"),
        ("train", ("--train", "text.txt", "--batch-size", "1000"),
         "text.txt: the train text must have at least"),
        ("train", ("--lr", "0"), "--lr must be above 0, got 0.0"),
        ("train", ("--lr", "fast"), "--lr: invalid float value: 'fast'"),
        ("train", ("--dropout", "1"), "--dropout must be at least 0 and below 1, got 1.0"),
        ("train", ("--hidden-size", "0"), "--hidden-size must be at least 1, got 0"),
        ("train", ("--tied", "--embedding-size", "3"), "--tied needs embedding_size"),
        ("train", ("--preset", "huge"), "--preset: invalid choice: 'huge'"),
        ("train", ("--valid", "text.txt"), "--train is missing"),
        ("train", ("--data", "x", "--train", "y"), "--data and train name two corpora"),
        ("train", ("--threads", "1000"), "--threads must be from 1 to"),
        ("train", ("--save-every", "often"), "--save-every"),
        ("train", ("--out", "run"), "--out run is not empty"),
        ("train", ("--out", "text.txt"), "--out text.txt is a file"),
        ("train", ("--resume", "absent"), "--resume absent is not a folder"),
        ("train", ("--resume", "run", "--lr", "2"), "--lr cannot change in a resumed run"),
        ("train", ("--colour", "red"), "unrecognized arguments"),
        ("eval", ("absent.npz",), "absent.npz: No such file or directory"),
        ("eval", ("text.txt",), "text.txt is not a whole checkpoint"),
        ("eval", ("run/best.npz", "--num-steps", "0"), "--num-steps must be at least 1, got 0"),
        ("eval", ("run/best.npz", "--batch-size", "99"), "99 streams need at least 198 tokens"),
        ("eval", ("run/best.npz", "--protocol", "tutorial"), "made for a test set like"),
        ("eval", ("run/best.npz", "--data", "a", "--file", "b"), "name two texts"),
        ("sample", ("run/best.npz", "--temperature", "0"), "temperature must be above 0"),
        ("sample", ("run/best.npz", "--top-k", "51"), "top_k must be from 1 to"),
        ("sample", ("run/best.npz", "--length", "-1"), "length must be at least 0"),
        ("sample", ("run/best.npz", "--seed", "-1"), "--seed must be at least 0"),
    ],
)  # fmt: skip
def test_bad_input_gets_one_line_and_status_2(folder, name, arguments, message):
    (folder / "empty.txt").write_text("")
    (folder / "binary.bin").write_bytes(bytes(range(256)))
    out, err = command(f"numpylstm-{name}", *arguments, cwd=folder, expect=2)
    assert out == ""
    assert "Traceback" not in err
    last = err.strip().split("\n")[-1]  # argparse prints the usage before
    assert message in last
    assert last.startswith(f"numpylstm-{name}: error: ")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("NUMBA_NUM_THREADS", "0", "NUMBA_NUM_THREADS in the environment must be a whole number"),
        ("NUMBA_NUM_THREADS", "-2", "must be a whole number from 1, got '-2'"),
        ("NUMBA_NUM_THREADS", "all", "must be a whole number from 1, got 'all'"),
        ("NUMPYLSTM_VECTOR_BITS", "7", "NUMPYLSTM_VECTOR_BITS must be 128, 256 or 512, got '7'"),
        ("MPLBACKEND", "bogus", "Matplotlib cannot be loaded: Key backend: 'bogus' is not a valid"),
    ],
)
def test_a_bad_environment_gets_one_line_and_status_2(folder, name, value, message):
    out, err = command(
        "numpylstm-train", "--train", "text.txt", "--out", "unmade", *SMALL,
        cwd=folder, expect=2, **{name: value},
    )  # fmt: skip
    assert out == ""
    assert err.startswith("numpylstm-train: error: ")
    assert message in err
    assert err.count("\n") == 1
    assert not (folder / "unmade").exists()
    command("numpylstm-train", "--help", cwd=folder, **{name: value})
