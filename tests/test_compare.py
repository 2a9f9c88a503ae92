"""Several runs side by side."""

import json

import pytest
from support.checkpoints import take_apart, with_meta
from support.metrics import row_of
from support.runs import SHORT, write_words

import numpylstm as nl
from numpylstm.cli import compare as compare_command
from numpylstm.cli import train as train_command
from numpylstm.report.comparison import (
    ComparedRun,
    experiments,
    mean_and_spread,
    read_run,
    table_of_seeds,
)

pytestmark = pytest.mark.usefixtures("pictures_as_text")
ROWS = [row_of(1, 9, perplexity=400.0, valid_perplexity=140.0), row_of(2, 18, perplexity=90.0)]


def compared(name="run", test=50.0, **settings):
    shared = {"cell": "lstm", "hidden_size": 8, "seed": 0, "log_every": 10, "train": None}
    return ComparedRun(name, shared | settings, ROWS, 140.0, 1, test, 1234.5, "a text")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with three runs, of which two differ only in their seeds."""
    folder = write_words(tmp_path_factory.mktemp("compare"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, *changes in (
            ("one",), ("two", "--seed", "1"), ("$_\u3042", "--cell", "rnn", "--lr", "0.1"),
        ):  # fmt: skip
            flags = ("--threads", "1", *SHORT, "--out", name, *changes)
            assert train_command.main(flags) == 0
    return folder


@pytest.fixture
def compare(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)

    def run(*arguments, expect=0):
        capsys.readouterr()
        assert compare_command.main(list(map(str, arguments))) == expect
        return capsys.readouterr()

    return run


# --- the command -------------------------------------------------------------------------------


@pytest.mark.rare
def test_settings_results_and_spread(folder, compare):
    out, err = compare("one", "two", "$_\u3042")
    assert err == ""
    head, *rows = [line.split() for line in out.split("\n\n")[0].splitlines()]
    assert head[:5] == ["run", "cell", "lr", "seed", "forget_bias"]
    assert [row[:4] for row in rows] == [
        ["one", "lstm", "1.0", "0"], ["two", "lstm", "1.0", "1"], ["$_\u3042", "rnn", "0.1", "0"],
    ]  # fmt: skip
    tests = []
    for row, name in zip(rows, ("one", "two", "$_\u3042"), strict=True):
        result = json.loads((folder / name / "result.json").read_text())
        assert row[-5:-1] == [
            "2", f"{result['validation']['perplexity']:.2f}",
            str(result["validation"]["epoch"]), f"{result['test']['perplexity']:.2f}",
        ]  # fmt: skip
        tests.append(result["test"]["perplexity"])
    assert "one, two      2" in out
    assert mean_and_spread(tests[:2]) in out
    assert "Curves: compare.png" in out
    assert (folder / "compare.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def copy(folder, tmp_path):
    """Return a function that copies some files of a run to a folder and returns that folder."""

    def of(*names, to="copy"):
        path = tmp_path / to
        path.mkdir(parents=True)
        for name in ("last.npz", *names):
            (path / name).write_bytes((folder / "one" / name).read_bytes())
        return path

    return of


def change(path, **meta):
    """Change the meta object of the last checkpoint of a run."""
    last = path / "last.npz"
    last.write_bytes(with_meta(**meta)(take_apart(last.read_bytes())))


def spoil_result(path, part, value):
    """Change a part of the result of a run."""
    result = json.loads((path / "result.json").read_text())
    (path / "result.json").write_text(json.dumps(result | {part: value}))


def test_runs_that_are_not_over(compare, copy, tmp_path):
    """Without a result there is the validation."""
    out, _ = compare("one", copy(), "--picture", tmp_path / "both.png")
    assert out.splitlines()[2].split()[-2:] == ["-", "-"]
    assert (tmp_path / "both.png").exists()


def test_a_run_that_ended_better_than_its_best_checkpoint(compare, copy):
    """A limit of steps ended it within its third epoch."""
    path = copy()
    rows = nl.load(path / "last.npz").meta["rows"]
    change(path, rows=[*rows, list(row_of(3, 200, valid_perplexity=1.5, valid_accuracy=0.2))])
    out, _ = compare(path)
    assert out.splitlines()[1].split()[1:3] != ["3", "1.50"]
    assert "copy: The run ended within epoch 3, with a validation perplexity of 1.50; best" in out
    assert "The run ended" not in compare("one")[0]


def test_perplexities_of_different_tokens_do_not_compare(compare, copy):
    other = copy()
    change(other, fingerprint="another text")
    assert "their perplexities cannot be compared" in compare("one", other)[0]
    assert "their perplexities cannot be compared" not in compare("one", "two")[0]


def test_runs_of_one_name_are_told_apart(compare, copy):
    path = copy(to="b/one")
    assert str(path) in compare("one", path)[0]


def test_a_result_of_an_earlier_end_is_not_that_of_the_run(copy):
    """The run has been resumed with more epochs, and is not over."""
    path = copy("result.json")
    run = read_run(path, "run")
    assert run.test is not None
    change(path, rows=[*map(list, run.rows), list(ROWS[1]._replace(step=200))])
    assert read_run(path, "run").test is None


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: (path / "last.npz").unlink(), "holds no last.npz; name the folder of a run"),
        (lambda path: (path / "last.npz").write_text("x"), "is not a whole numpylstm checkpoint"),
        (lambda path: change(path, rows=[]), "no validation yet"),
        (lambda path: change(path, rows=[[1] * 4]), "last.npz is inconsistent: "),
        (lambda path: change(path, rows=[["x"] * 7]), "epoch of a row must be a number, got 'x'"),
        (lambda path: change(path, epoch="x"), "last.npz is inconsistent: epoch 'x'"),
        (lambda path: spoil_result(path, "test", []), "it was damaged or changed"),
        (lambda path: spoil_result(path, "test", {"perplexity": "x"}), "damaged or changed"),
        (lambda path: spoil_result(path, "time", {"tokens_per_second": -1}), "damaged or changed"),
        (lambda path: (path / "result.json").write_text("{}"), "it was damaged or changed"),
    ],
)
def test_what_is_no_run_is_one_sentence(compare, copy, spoil, message):
    path = copy("result.json")
    spoil(path)
    out, err = compare(path, expect=2)
    assert out == ""
    assert message in err
    assert err.startswith("numpylstm-compare: error: ")
    assert err.count("\n") == 1
    out, left_out = compare("one", path)  # the others are compared
    assert out.splitlines()[1].startswith("one")
    assert left_out.removesuffix("\n") in err.replace("error: ", "warning: left out: ")


def test_a_picture_that_cannot_be_written(folder, compare):
    out, err = compare("one", "--picture", "absent/compare.png", expect=1)
    assert out == ""
    assert "absent/compare.png could not be written: No such file" in err


# --- what differs ------------------------------------------------------------------------------


def test_seeds_of_one_experiment():
    runs = [
        compared("a", 50.0), compared("b", 52.0, seed=1), compared("c", None, seed=2, log_every=1),
        compared("d", 60.0, hidden_size=9),
    ]  # fmt: skip
    assert experiments(runs) == [0, 0, 0, 1]
    head, *rows = table_of_seeds(runs)
    assert head == ["runs", "seeds", "valid", "test"]
    assert rows == [
        ["a, b, c", "3", "140.00 ± 0.00", "51.00 ± 1.41"], ["d", "1", "140.00", "60.00"],
    ]  # fmt: skip
    assert table_of_seeds(runs[2:]) is None
    assert table_of_seeds([compared("a"), compared("b", log_every=5)]) is None  # one run twice


def test_runs_of_one_text_are_one_experiment_whatever_its_name():
    def made(name, text, **settings):
        return compared(name, **settings)._replace(fingerprint=text)

    runs = [
        made("a", "x", train="1.txt"),
        made("b", "x", train="2.txt"),
        made("c", "y", train="-"),
        made("d", "z", train="-"),
        made("e", "x", train="1.txt", init_from="/runs/a"),
    ]
    assert experiments(runs) == [0, 0, 1, 2, 3]
    _, (names, *_) = table_of_seeds([runs[0], made("b", "x", train="2.txt", seed=1)])
    assert names == "a, b"
