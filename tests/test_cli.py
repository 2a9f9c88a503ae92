"""The commands, in this process and, where it matters, as installed programs."""

import csv
import functools
import gzip
import io
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.processes import run_program, run_python
from support.runs import BIN, call, called

import numpylstm as nl
from numpylstm import explore
from numpylstm.__main__ import main as package
from numpylstm.cli import train as train_command
from numpylstm.cli.train import as_called
from numpylstm.data import corpus
from numpylstm.data.configured import load_corpus
from numpylstm.exchange import write_run
from numpylstm.kernels.threads import PROCESSORS
from numpylstm.report import summary
from numpylstm.training import session
from numpylstm.training.display import Display

pytestmark = pytest.mark.usefixtures("pictures_as_text")
SMALL = ("--hidden-size", "12", "--num-layers", "2", "--batch-size", "4", "--num-steps", "6",
         "--epochs", "2", "--log-every", "10", "--max-vocab", "50")  # fmt: skip


def write_text(path, words=2000, seed=0):
    """Write lines of random words; return the path."""
    rng = np.random.default_rng(seed)
    lines = [" ".join(f"w{k}" for k in rng.integers(0, 40, 9)) for _ in range(words // 10)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def metrics(run):
    """Return the rows of metrics.csv."""
    with (run / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a text and a finished run."""
    folder = tmp_path_factory.mktemp("cli")
    write_text(folder / "text.txt")
    call(folder, "numpylstm-train", "--train", "text.txt", "--out", "run", *SMALL)
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    """Return a function that runs a command in the folder and returns (stdout, stderr)."""
    monkeypatch.chdir(folder)
    return functools.partial(call, folder)


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


def test_what_training_prints(here):
    out, err = here("numpylstm-train", "--train", "text.txt", "--out", "printed", *SMALL)
    assert err == ""
    for expected in (
        "2 x 12 LSTM", "Compiling kernels", "epoch   1", "cost", "accuracy", "perplexity", "norm",
        "tokens/s", "left", "valid perplexity", "Test perplexity", "unigram model",
        "interpolated bigram model", "True values (1st line) and predicted values (2nd line):",
        "A sample", "Saved in printed",
    ):  # fmt: skip
        assert expected in out
    threads = f"1 to {PROCESSORS} threads, whichever is faster" if PROCESSORS > 1 else "1 thread"
    assert out.splitlines()[0].endswith(f"seed 0, {threads}")
    true, predicted = out.split("(2nd line):\n")[1].split("\n")[:2]
    assert len(true.split()) == len(predicted.split()) == 35


def test_the_reference_trains_to_the_same_curve(folder, here):
    here("numpylstm-train", "--train", "text.txt", "--out", "slow", "--impl", "reference", *SMALL)
    fast, slow = metrics(folder / "run"), metrics(folder / "slow")
    for ours, theirs in zip(fast, slow, strict=True):
        for name in ("perplexity", "valid_perplexity"):
            assert float(ours[name] or 0) == pytest.approx(float(theirs[name] or 0), rel=1e-3)


def test_a_gradient_check_first_does_not_change_the_run(folder, here):
    """The tables come before the training, and the masks of dropout do not change."""
    arguments = ("--train", "text.txt", *SMALL, "--dropout", "0.3", "--epochs", "1")
    here("numpylstm-train", *arguments, "--out", "unchecked")
    out, err = here("numpylstm-train", *arguments, "--out", "checked", "--check-gradients")
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


@pytest.mark.rare
@pytest.mark.parametrize(
    "flags",
    [
        ("--cell", "rnn", "--activation", "relu", "--init-scale", "0.05"),
        ("--cell", "gru", "--reset", "before", "--log-gradients", "--check-gradients"),
        ("--cell", "mingru", "--factors", "signed", "--log-gradients", "--check-gradients"),
        ("--cell", "slstm", "--forget-gate", "exp", "--log-gradients", "--check-gradients"),
        ("--tied", "--dropout", "0.5", "--dropout-input", "0", "--momentum", "0.5", "--lr", "0.3"),
        ("--schedule", "plateau", "--dtype", "float64", "--average-across-timesteps"),
        ("--optimizer", "adam", "--schedule", "plateau", "--decay-patience", "2"),
    ],
)
def test_every_kind_of_run(tmp_path, flags):
    write_text(tmp_path / "text.txt")
    out, _ = call(
        tmp_path, "numpylstm-train", "--train", "text.txt", *SMALL, "--steps", "20", *flags
    )
    assert "Test perplexity" in out
    assert ("numpylstm-explore" in out) == (flags[1] not in {"mingru", "slstm"})


# --- eval and sample ---------------------------------------------------------------------------


def test_eval_prints_the_ledger(here):
    out, _ = here("numpylstm-eval", "run/best.npz")
    for line in (
        "tokens         100",
        "unknown        ",
        "scored         99; not scored: 1",
        "B = 1, T = 35",
        "perplexity     ",
        "accuracy       ",
    ):
        assert line in out


def test_eval_with_a_model_that_adapts_has_rows_of_its_own(folder, here):
    steps = ("--dynamic", "0.1", "--dynamic-decay", "0.01", "--dynamic-rms", "60")
    adapting = (*steps, "--cache", "50", "--cache-share", "0.2")
    plain, (out, _) = here("numpylstm-eval", "run")[0], here("numpylstm-eval", "run", *adapting)
    assert out.startswith(plain)
    found = json.loads(here("numpylstm-eval", "run", *adapting, "--json")[0])
    saved = nl.load(folder / "run/best.npz")
    model, texts = nl.restore_model(saved), load_corpus(saved.config)
    rms = nl.gradient_rms(model, texts.train[:60])
    of_steps = {"rate": 0.1, "decay": 0.01}
    of_cache = {"size": 50, "theta": 0.3, "share": 0.2}
    results = {
        "dynamic": nl.evaluate_dynamic(model, texts.test, **of_steps, rms=rms),
        "cache": nl.evaluate_with_cache(model, texts.test, **of_cache),
        "dynamic_with_cache": nl.evaluate_dynamic_with_cache(
            model, texts.test, **of_steps, rms=rms, **of_cache
        ),
    }
    assert {name: found[name]["perplexity"] for name in results} == {
        name: result.perplexity for name, result in results.items()
    }
    assert found["dynamic_with_cache"].items() > (of_steps | of_cache | {"rms": 60}).items()
    for label, name, told in (
        ("dynamic", "dynamic", "rate 0.1, decay 0.01"),
        ("cache", "cache", "size 50, theta 0.3, share 0.2"),
        ("both", "dynamic_with_cache", "a cache and dynamic steps, with the same settings"),
    ):
        perplexity, accuracy = found[name]["perplexity"], found[name]["accuracy"]
        expected = f"{label:15}perplexity {perplexity:.3f}, accuracy {accuracy:.4f}; {told}\n"
        assert expected in out


def test_eval_divides_dynamic_steps_by_the_rms_that_adam_kept(folder, here):
    adam = ("--optimizer", "adam", "--lr", "0.01")
    here("numpylstm-train", "--train", "text.txt", "--out", "adam", *SMALL, *adam)
    steps = ("--dynamic", "0.02", "--dynamic-rms", "adam", "--num-steps", "9")
    found = json.loads(here("numpylstm-eval", "adam", *steps, "--json")[0])["dynamic"]
    saved = nl.load(folder / "adam/best.npz")
    run = nl.restore_run(saved)
    second_moment = run.optimizer.state["second_moment"]
    rms = {path: np.sqrt(array) for path, array in second_moment.items()}
    text = load_corpus(saved.config).test
    result = nl.evaluate_dynamic(nl.restore_model(saved), text, 1, 9, rate=0.02, rms=rms)
    assert found["perplexity"] == result.perplexity != nl.evaluate(run.model, text).perplexity


def test_eval_chooses_a_temperature_on_the_validation_text(folder, here):
    """Never on the text that is scored; that row stands beside the untempered figures."""
    words = ("--temperature", "valid")
    plain, (out, _) = here("numpylstm-eval", "run")[0], here("numpylstm-eval", "run", *words)
    assert out.startswith(plain)
    saved = nl.load(folder / "run/best.npz")
    model, texts = nl.restore_model(saved), load_corpus(saved.config)
    best = nl.choose_temperature(model, texts.valid)
    for text, ids in ((), texts.test), (("--split", "valid"), texts.valid):
        result = nl.evaluate_at_temperature(model, ids, temperature=best)
        out, _ = here("numpylstm-eval", "run", *words, *text)
        assert (
            f"tempered       perplexity {result.perplexity:.3f}, accuracy {result.accuracy:.4f}; "
            f"temperature {best:g}, chosen on the valid split of " in out
        )
    (folder / "other.txt").write_text("w1 w2 w3 w4 w5 w6\n" * 9)
    out, _ = here("numpylstm-eval", "run", *words, "--text", "other.txt")
    assert f"temperature {best:g}, chosen on the valid split of " in out
    found = json.loads(here("numpylstm-eval", "run", "--temperature", "1.5", "--json")[0])
    assert (found["tempered"]["temperature"], found["tempered"]["choice"]) == (1.5, "as given")
    assert found["tempered"]["accuracy"] == found["accuracy"]


def test_eval_of_another_text_counts_its_unknown_words(folder, here):
    (folder / "other.txt").write_text("w1 w2 nobody w3\nw4 knows w5 w6\n")
    out, _ = here("numpylstm-eval", "run/best.npz", "--file", "other.txt")
    assert "unknown        2, scored as <unk>" in out
    assert "tokens         10" in out


def test_eval_with_the_tutorial_protocol(here, tmp_path):
    write_text(tmp_path / "long.txt", words=22000, seed=3)
    protocol = ("--file", tmp_path / "long.txt", "--protocol", "tutorial")
    out, _ = here("numpylstm-eval", "run/best.npz", *protocol)
    assert "windows        B = 20, T = 35\n" in out
    assert "mean of        25 windows, " in out


def test_sample_continues_a_prompt_and_never_says_unk(here):
    arguments = ("run/best.npz", "--prompt", "w1 w2", "--length", "60", "--seed", "5")
    out, err = here("numpylstm-sample", *arguments)
    assert out.startswith("w1 w2")
    assert "<unk>" not in out
    assert err == ""


def test_sample_reports_unknown_prompt_words(here):
    arguments = ("run/best.npz", "--prompt", "w1 nobody w2 nobody", "--seed", "0")
    _, err = here("numpylstm-sample", *arguments)
    assert err == "not in the vocabulary, read as <unk>: 'nobody'\n"
    Path("one-line").mkdir()
    write_run(nl.LanguageModel(2, 3, rng=0), nl.Vocabulary(["<unk>", "a"]), Path("one-line"))
    assert "vocabulary" not in here("numpylstm-sample", "one-line", "--seed", "0")[1]
    assert "<unk>" in here("numpylstm-sample", "one-line", "--no-ban-unk", "--seed", "0")[0]


# --- help and errors ---------------------------------------------------------------------------


HELP = """
import sys
from numpylstm.cli import eval, sample, train

for command in (eval, sample, train):
    print(command.make_parser().format_help())
print({"numpy", "numba", "matplotlib"} & sys.modules.keys())
"""


def test_help_is_quick_and_says_the_defaults(tmp_path):
    """No slow module is loaded."""
    out, _ = run_python(HELP, cwd=tmp_path)
    assert out.endswith("set()\n")
    assert out.count("usage: numpylstm-") == 3
    assert "(default: 35)" in out
    assert "default: )" not in out


@pytest.mark.rare
def test_a_matplotlib_that_cannot_be_loaded_is_said_before_the_training(folder):
    words = (BIN / "numpylstm-train", "--train", "text.txt", "--out", "unmade")
    out, err = run_program(*words, cwd=folder, expect=2, MPLBACKEND="bogus")
    assert out == ""
    assert "error: Matplotlib cannot be loaded: Key backend: 'bogus' is not a valid" in err
    assert err.count("\n") == 1
    assert not (folder / "unmade").exists()


# --- usual options -----------------------------------------------------------------------------


def test_eval_and_sample_as_json(folder, here):
    out, err = here("numpylstm-eval", "run", "--json")
    found = json.loads(out)
    assert err == ""
    shown, _ = here("numpylstm-eval", "run")
    assert f"perplexity     {found['perplexity']:.3f}\n" in shown
    assert found["checkpoint"] == "run/best.npz"
    assert (found["tokens"], found["scored"], found["unscored"]) == (100, 99, 1)
    arguments = ("numpylstm-sample", "run", "--length", "9", "--prompt", "w1 w2")
    drawn = json.loads(here(*arguments, "--json")[0])
    again, _ = here(*arguments, "--seed", drawn["seed"])
    assert drawn["text"] + "\n" == again
    assert drawn["tokens"] == 9
    saved = nl.load("run/best.npz")
    ids, _ = saved.vocabulary.encode(nl.data.tokenize(drawn["text"]))  # of the prompt too
    assert drawn["perplexity"] == nl.evaluate(nl.restore_model(saved), ids).perplexity


def test_a_seed_that_nobody_chose_is_printed(folder, here):
    arguments = ("numpylstm-sample", "run", "--length", "40")
    (one, said), (other, _) = (here(*arguments) for _ in range(2))
    assert one != other
    seed = re.fullmatch(r"seed (\d+)\n", said)[1]
    assert here(*arguments, "--seed", seed, "--quiet") == (one, "")


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_a_sample_is_printed_as_it_is_drawn_and_an_interruption_keeps_it(folder, here):
    arguments = ("run", "--length", "100000000", "--seed", "1")
    process = subprocess.Popen(
        [BIN / "numpylstm-sample", *arguments],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    seen = process.stdout.read(500)
    process.send_signal(signal.SIGINT)
    with process:  # and not communicate(), which forgets what was buffered
        rest, err = process.stdout.read(), process.stderr.read()
    assert process.returncode == 130
    assert err == "numpylstm-sample: interrupted\n"
    whole, _ = here("numpylstm-sample", *arguments[:2], "900", *arguments[3:])
    kept = (seen + rest)[: len(whole) - 1].rstrip()
    assert len(kept) > 400
    assert whole.startswith(kept)


def test_version_and_the_package_as_a_program(folder, here, capsys):
    version = f"numpylstm {nl.__version__}\n"
    assert here("numpylstm-train", "--version")[0] == version
    for arguments, status, says in (
        (["--version"], 0, version),
        ([], 0, "python -m numpylstm train"),
        (["evil"], 2, "there is no command 'evil'"),
    ):
        assert package(arguments) == status
        assert says in "".join(capsys.readouterr())
    scored = run_program(BIN / "python", "-m", "numpylstm", "eval", "run", cwd=folder)
    assert scored == here("numpylstm-eval", "run")


def test_quiet_leaves_the_report(folder, here):
    out, err = here("numpylstm-train", "--train", "text.txt", "--out", "quiet", "--quiet", *SMALL)
    assert err == ""
    assert out.startswith("\nTest perplexity")
    commands = out.splitlines()[-1].removeprefix("Next: ").split(", ")
    names = ["numpylstm-sample", "numpylstm-explore"]
    assert [called(line) for line in commands] == [[name, "quiet"] for name in names]
    for name in ("metrics.csv", "best.npz"):
        assert (folder / "quiet" / name).read_bytes() == (folder / "run" / name).read_bytes()


@pytest.mark.parametrize("lacks", ["cells_of_engine", "levels_of_page"])
def test_no_explorer_is_named_that_would_refuse_the_run(monkeypatch, caplog, lacks):
    run = SimpleNamespace(config=nl.TrainConfig())
    train_command.print_next_commands(Path("run"), run)
    monkeypatch.setattr(explore, lacks, lambda: ["another"])
    train_command.print_next_commands(Path("run"), run)
    named = ["numpylstm-explore" in record.getMessage() for record in caplog.records]
    assert named == [True, False]


def test_a_run_ends_without_the_explorer(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "numpylstm.explore", None)  # its import fails
    out, _ = here("numpylstm-train", "--train", "text.txt", "--out", "alone", "--quiet", *SMALL)
    assert called(out.splitlines()[-1].removeprefix("Next: ")) == ["numpylstm-sample", "alone"]


@pytest.mark.rare
def test_a_text_from_other_places_is_the_same_text(folder, here, monkeypatch):
    """Standard input is the same run as a file; a folder, the same as its files, packed or not."""
    text = (folder / "text.txt").read_bytes()
    half = text.index(b"\n", len(text) // 2) + 1
    texts = folder / "texts"
    texts.mkdir()
    (texts / "1.txt").write_bytes(text[:half].rstrip(b"\n"))  # a line end comes between them
    (texts / "2.txt.gz").write_bytes(gzip.compress(text[half:]))
    (texts / "notes.md").write_text("not a text")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    metrics = {"text.txt": (folder / "run" / "metrics.csv").read_bytes()}
    for name, named in {
        "-": ["-"],
        "files": ["texts/1.txt", "texts/2.txt.gz"],
        "folder": ["texts"],
    }.items():
        out, _ = here("numpylstm-train", "--text", *named, "--out", f"from-{name}", *SMALL)
        metrics[name] = (folder / f"from-{name}" / "metrics.csv").read_bytes()
    assert metrics["-"] == metrics["text.txt"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))  # sent again
    assert "text           test split of -" in here("numpylstm-eval", "from--")[0]
    assert metrics["files"] == metrics["folder"]
    assert "Held out: valid 90 % to 95 %, test 95 % to 100 % of each of the 2 files" in out
    out, _ = here("numpylstm-eval", "from-files")
    assert "text           test split of" in out


def test_a_text_that_has_moved(folder, here):
    """Its new name is given, and it must be the same text."""
    write_text(folder / "here.txt")
    here("numpylstm-train", "--train", "here.txt", "--out", "moved", *SMALL[:-6],
            "--epochs", "1", *SMALL[-4:])  # fmt: skip
    (folder / "here.txt").rename(folder / "there.txt")
    _, err = here("numpylstm-train", "--resume", "moved", expect=2)
    assert "here.txt: must be a readable file" in err
    assert "name a text that has moved with --train or --data" in err
    arguments = ("numpylstm-train", "--resume", "moved", "--epochs", "2", "--train")
    _, err = here(*arguments, "run/config.json", expect=2)
    assert "not the one that the run was started with" in err
    here("numpylstm-eval", "moved", expect=2)
    here(*arguments, "there.txt")
    assert (folder / "moved/metrics.csv").read_bytes() == (folder / "run/metrics.csv").read_bytes()
    config = json.loads((folder / "moved" / "config.json").read_text())
    assert config["train"] == str(folder / "there.txt")
    (folder / "there.txt").rename(folder / "elsewhere.txt")
    here("numpylstm-train", "--resume", "moved", "--train", "elsewhere.txt")
    here("numpylstm-train", "--init-from", "moved", "--steps", "1", "--out", "tuned")
    moved, run = (here("numpylstm-eval", name, "--json")[0] for name in ("moved", "run"))
    assert json.loads(moved)["perplexity"] == json.loads(run)["perplexity"]


def test_a_run_that_starts_from_another(folder, here):
    (folder / "tune.txt").write_text("w1 w2 w3 nobody knows\n" * 100)
    out, _ = here(
        "numpylstm-train", "--init-from", "run", "--train", "tune.txt", "--epochs", "1",
        "--lr", "0.5",
    )  # fmt: skip
    assert "read as <unk>: train 180, valid" in out
    assert "Saved in runs/tuned-1" in out
    vocabularies = [
        (folder / run / "vocabulary.json").read_bytes() for run in ("run", "runs/tuned-1")
    ]
    assert vocabularies[0] == vocabularies[1]
    config = json.loads((folder / "runs" / "tuned-1" / "config.json").read_text())
    assert (config["lr"], config["hidden_size"], config["epochs"]) == (0.5, 12, 1)
    assert not config["split_punctuation"]
    saved = nl.load("run/best.npz")
    run, corpus = session.fine_tune(Path("run"), {"train": "tune.txt"})
    np.testing.assert_equal(run.model.state_dict(), nl.restore_model(saved).state_dict())
    assert (run.step, run.vocabulary, corpus.oov["train"]) == (0, saved.vocabulary, 180)


def test_a_run_that_starts_from_another_keeps_what_is_frozen_and_its_optimizer(folder):
    config = nl.TrainConfig(
        train=str(folder / "text.txt"), hidden_size=8, optimizer="adam", lr=0.01, steps=9
    )
    run = nl.new_run(config, nl.data.load_text(config.train))
    run.model.freeze(["embedding.W", "lstm.0.b"])
    nl.save(run, folder / "frozen.npz")
    tuned, _ = session.fine_tune(folder / "frozen.npz", {"seed": 1})
    assert tuned.config == replace(config, seed=1, steps=None, init_from=tuned.config.init_from)
    assert isinstance(tuned.optimizer, nl.Adam)
    frozen = tuned.model.all_parameters().keys() - tuned.model.parameters().keys()
    assert frozen == {"embedding.W", "lstm.0.b"}


def test_a_run_that_starts_from_another_has_its_text_unless_it_names_one(folder):
    write_text(folder / "checks.txt", 300, seed=1)
    checks = str(folder / "checks.txt")
    first, _ = session.fine_tune(folder / "run", {"seed": 1})
    assert first.fingerprint == nl.load(folder / "run/last.npz").meta["fingerprint"]
    other, corpus = session.fine_tune(folder / "run", {"valid": checks, "max_eval": 50})
    assert (other.config.train, other.config.valid) == (str(folder / "text.txt"), checks)
    assert len(corpus.valid) == 50


def test_a_command_is_named_as_it_can_be_called(monkeypatch, tmp_path):
    name = "numpylstm-sample"
    monkeypatch.setattr(sys, "executable", str(BIN / "python"))
    for path, called_as in ((BIN, name), (tmp_path, str(BIN / name))):
        monkeypatch.setenv("PATH", str(path))
        assert as_called(name) == called_as


def test_a_text_is_split_as_that_of_the_run_from_which_it_starts(folder, here):
    """A model of the embedded text, with its punctuation split, reads other texts split too."""
    (folder / "dotted.txt").write_text("This is a value. It is an (object), or a list.\n" * 60)
    small = ("--hidden-size", "4", "--steps", "2")
    here("numpylstm-train", "--out", "embedded", *small, "--max-eval", "100", "--quiet")
    tuned = ("--init-from", "embedded", "--train", "dotted.txt", "--out", "dotted")
    here("numpylstm-train", *tuned, "--steps", "2")
    result = json.loads((folder / "dotted/result.json").read_text())
    assert result["text"]["unknown"]["train"] == 0
    assert nl.load("dotted/last.npz").config.split_punctuation
    out, _ = here("numpylstm-eval", "dotted", "--file", "dotted.txt")
    assert "unknown        0, scored as <unk>\n" in out
    asked = ("--train", "dotted.txt", "--split-punctuation", "--out", "asked")
    here("numpylstm-train", *asked, *small)
    vocabulary = json.loads((folder / "asked/vocabulary.json").read_text())
    assert {"value", ".", "(", ","} < set(vocabulary)


@pytest.mark.rare
def test_shorter_and_faster_tests_are_in_the_ledger(folder, here):
    out, _ = here(
        "numpylstm-train", "--train", "text.txt", "--out", "short-test", *SMALL, "--max-eval", "90",
        "--test-streams", "5",
    )  # fmt: skip
    assert "valid 90, test 90" in out
    assert "(85 tokens scored in 5 streams, 10 left unread, 0 of the text <unk>" in out
    again = ("--resume", "short-test", "--test-streams", "1", "--patience", "1")
    (folder / "short-test" / "notes.txt").touch()
    out, _ = here("numpylstm-train", *again)
    assert "(89 tokens scored, 10 left unread, 0" in out
    assert "Saved in short-test: best.npz, config.json, curves.png, last.npz, log.txt" in out
    assert "notes.txt" not in out  # it is not of the run
    out, _ = here("numpylstm-eval", "short-test", "--max-tokens", "100")
    assert "tokens         100\n" in out
    out, _ = here("numpylstm-eval", "short-test")
    assert "tokens         90\n" in out


def test_own_text_is_not_cut_and_a_cut_is_said(folder, here):
    assert nl.from_preset("demo").max_vocab == 4000
    assert nl.from_preset("demo", train="my.txt").max_vocab is None
    assert nl.from_preset("demo", train="my.txt", max_vocab=9).max_vocab == 9
    assert nl.from_preset("demo", data="ptb").max_vocab is None
    (folder / "rare.txt").write_text(
        (folder / "text.txt").read_text() + "".join(f"once{n}\n" for n in range(90))
    )
    cut = ("--train", "text.txt", "--test", "rare.txt", *SMALL[:-2], "--max-vocab", "30")
    out, _ = here("numpylstm-train", *cut, "--out", "cut", "--steps", "1")
    assert re.search(r"words train 1,900, .*; out of it, read as <unk>: train [1-9]", out)
    known = set(json.loads((folder / "cut" / "vocabulary.json").read_text()))
    unknown = sum(word not in known for word in (folder / "rare.txt").read_text().split())
    assert unknown > 90
    assert f"{unknown:,} of the text <unk>)" in out
    assert f"unknown        {unknown:,}, scored as <unk>\n" in here("numpylstm-eval", "cut")[0]


def test_characters_are_called_characters_and_have_bits(folder, here):
    arguments = ("--train", "text.txt", "--level", "char", *SMALL, "--steps", "1", "--out", "chars")
    out, _ = here("numpylstm-train", *arguments)
    config = json.loads((folder / "chars" / "config.json").read_text())
    assert (config["lr"], config["dropout"]) == (0.5, 0.2)  # of the preset for characters
    perplexity, bits = re.search(r"Test perplexity (\S+), (\S+) bits per character", out).groups()
    assert float(bits) == pytest.approx(np.log2(float(perplexity)), abs=2e-3)
    out, _ = here("numpylstm-eval", "chars")
    assert "unknown        0, scored as <unk>\n" in out
    assert re.search(r"\nbits +\d\.\d{4} per character\n", out)


def interrupt_while(doing, monkeypatch, number):
    """Raise a signal when the first part of an activity is done."""
    share = Display.share

    def interrupted(self, done, total):
        share(self, done, total)
        if self.doing == doing:
            signal.raise_signal(number)

    monkeypatch.setattr(Display, "share", interrupted)


@pytest.mark.usefixtures("signals_reach_a_child")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_takes_long_can_be_interrupted(folder, here, monkeypatch, number):
    """By Ctrl-C and by SIGTERM, with one sentence."""
    status, out = 128 + number, f"unscored-{number}"
    with monkeypatch.context() as patch:
        patch.setattr(corpus, "tokenize", lambda *_: signal.raise_signal(number))
        _, err = here("numpylstm-train", "--train", "text.txt", "--out", "never", expect=status)
        assert err == "numpylstm-train: interrupted; reading the text was not finished\n"
        assert not (folder / "never").exists()
        _, err = here("numpylstm-eval", "run", expect=status)
        assert err == "numpylstm-eval: interrupted; reading the text was not finished\n"
    with monkeypatch.context() as patch:
        interrupt_while("scoring", patch, number)
        _, err = here("numpylstm-eval", "run", expect=status)
        assert err == "numpylstm-eval: interrupted; scoring was not finished\n"
    with monkeypatch.context() as patch:
        interrupt_while("scoring the test text", patch, number)
        arguments = ("--train", "text.txt", "--out", out, *SMALL, "--epochs", "1")
        _, err = here("numpylstm-train", *arguments, expect=status)
    said, _, command = err.partition("; continue with ")
    assert said == "numpylstm-train: interrupted; scoring the test text was not finished"
    assert called(command) == ["numpylstm-train", "--resume", out]
    assert "Test perplexity" in here("numpylstm-train", "--resume", out)[0]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_row_for_each_token(folder, here):
    """The mean of its nats is the loss."""
    out, _ = here("numpylstm-eval", "run", "--json", "--per-token", "tokens.csv")
    with (folder / "tokens.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    facts = json.loads(out)
    assert len(rows) == facts["tokens"] - 1
    assert [int(row["position"]) for row in rows] == [*range(1, facts["tokens"])]
    nats = [float(row["nats"]) for row in rows]
    assert np.mean(nats) == pytest.approx(facts["loss"], rel=1e-5)
    assert float(rows[0]["bits"]) == pytest.approx(nats[0] / np.log(2))
    right = [row["token"] == row["predicted"] for row in rows]
    assert np.mean(right) == pytest.approx(facts["accuracy"])


def test_a_large_vocabulary_is_told_before_the_training(here, monkeypatch):
    monkeypatch.setattr(train_command, "LARGE_VOCABULARY", 10)
    arguments = ("--train", "text.txt", *SMALL, "--epochs", "1", "--steps", "1")
    out, _ = here("numpylstm-train", *arguments, "--out", "many-words")
    V = len(nl.load("many-words/last.npz").vocabulary)
    assert f"The vocabulary has {V} tokens, and the model " in out
    monkeypatch.setattr(train_command, "LARGE_VOCABULARY", V)
    assert "The vocabulary has" not in here("numpylstm-train", *arguments, "--out", "few-words")[0]


def test_several_prompts_are_continued(here):
    """Each as it is alone with that seed; one JSON object in a line for each."""
    arguments = ("run", "--length", "8", "--seed", "3")
    prompts = ("w1 w2", "w3")
    alone = [here("numpylstm-sample", *arguments, "--prompt", each)[0] for each in prompts]
    both = [word for each in prompts for word in ("--prompt", each)]
    assert here("numpylstm-sample", *arguments, *both)[0] == "".join(alone)
    lines = here("numpylstm-sample", *arguments, *both, "--json")[0].splitlines()
    assert [json.loads(line)["prompt"] for line in lines] == [*prompts]


def test_the_final_test_prints_its_progress_without_a_terminal(here, monkeypatch):
    monkeypatch.setattr(summary, "BETWEEN_LINES", 0)
    arguments = ("--train", "text.txt", *SMALL, "--epochs", "1", "--steps", "1")
    out, _ = here("numpylstm-train", *arguments, "--out", "told")
    assert "Scoring the test text: 100%\n" in out
