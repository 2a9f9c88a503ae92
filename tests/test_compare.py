"""Several runs side by side."""

import json

import pytest
from support.runs import TINY, write_words

from numpylstm.cli import compare as compare_command
from numpylstm.cli import train as train_command
from numpylstm.report.comparison import (
    ComparedRun,
    differences,
    experiments,
    mean_and_spread,
    read_run,
    table_of_runs,
    table_of_seeds,
    texts,
)
from numpylstm.training.metrics import Row
from numpylstm.training.run_folder import RunFolderError

HEADER = ",".join(Row._fields)
ROWS = [Row(1, 9, 1.0, 60.0, 400.0, 0.1, 8.0, 140.0, 0.2), Row(2, 18, 1.0, 60.0, 90.0, 0.1, 8.0)]


def compared(name="run", test=50.0, **settings):
    shared = {"cell": "lstm", "hidden_size": 8, "seed": 0, "log_every": 10, "train": None}
    return ComparedRun(name, shared | settings, ROWS, 140.0, 1, test, 1234.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with three runs, of which two differ in their seed only."""
    folder = write_words(tmp_path_factory.mktemp("compare"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, *changes in (
            ("one",), ("two", "--seed", "1"), ("$_\u3042", "--cell", "rnn", "--lr", "0.1"),
        ):  # fmt: skip
            flags = ("--threads", "1", *TINY, "--epochs", "2", "--out", name, *changes)
            assert train_command.main(flags) == 0
    return folder


@pytest.fixture
def compare(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments, expect=0):
        capsys.readouterr()
        assert compare_command.main(list(map(str, arguments))) == expect
        return capsys.readouterr()

    return run


# --- the command -------------------------------------------------------------------------------


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
    assert "one, two  lstm  1.0          1.0           -      2" in out
    assert mean_and_spread(tests[:2]) in out
    assert "Curves: compare.png" in out
    assert (folder / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_runs_that_are_not_over_or_old(folder, compare, tmp_path):
    """Without a result there is the validation; an older config.json may lack a setting."""
    for name in ("config.json", "metrics.csv"):
        (tmp_path / name).write_bytes((folder / "one" / name).read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config.pop("log_gradients")
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert read_run(tmp_path, "old").settings == read_run(folder / "one", "one").settings
    out, _ = compare("one", tmp_path, "--picture", tmp_path / "both.png")
    old = out.splitlines()[2].split()
    assert old[-2:] == ["-", "-"]
    assert (tmp_path / "both.png").exists()


def test_a_table_that_is_too_wide_is_turned(compare, monkeypatch):
    wide = [line.split() for line in compare("one", "two")[0].split("\n\n")[0].splitlines()]
    monkeypatch.setenv("COLUMNS", "40")
    out, _ = compare("one", "two")
    turned = [line.rsplit(maxsplit=2) for line in out.split("\n\n")[0].splitlines()]
    assert [row[1] for row in turned] == wide[1]
    assert [row[2] for row in turned] == wide[2]
    assert turned[0][0] == "run"


def test_perplexities_of_different_tokens_do_not_compare(folder, compare, tmp_path):
    for name in ("metrics.csv", "config.json"):
        (tmp_path / name).write_bytes((folder / "one" / name).read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"max_vocab": 9}))
    assert "such perplexities do not compare" in compare("one", tmp_path)[0]
    assert "such perplexities do not compare" not in compare("one", "two")[0]


def test_runs_of_one_name_are_told_apart(folder, compare, tmp_path):
    copy = tmp_path / "b" / "one"
    copy.mkdir(parents=True)
    for name in ("config.json", "metrics.csv"):
        (copy / name).write_bytes((folder / "one" / name).read_bytes())
    out, _ = compare("one", copy)
    assert str(copy) in out


def test_a_result_of_an_earlier_end_is_not_that_of_the_run(folder, tmp_path):
    """It has been resumed with more epochs, and is not over."""
    for name in ("config.json", "metrics.csv", "result.json"):
        (tmp_path / name).write_bytes((folder / "one" / name).read_bytes())
    assert read_run(tmp_path, "run").test is not None
    with open(tmp_path / "metrics.csv", "a") as file:
        file.write("3,200,1.0,60.0,90.0,0.1,8.0,,,0.5\n")
    assert read_run(tmp_path, "run").test is None


def test_one_run_twice_is_one_seed():
    seeds = [compared("a", seed=1), compared("b", seed=1, log_every=5), compared("c", seed=2)]
    assert table_of_seeds(seeds)[1][:2] == ["a, c", "2"]
    assert table_of_seeds(seeds[:2]) is None


def change(path, name, value):
    result = json.loads((path / "result.json").read_text())
    (path / "result.json").write_text(json.dumps(result | {name: value}))


CHANGED = "of a run: it was damaged or changed"  # and no words of Python's


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: (path / "config.json").unlink(), "holds no config.json; name the folder"),
        (lambda path: (path / "config.json").write_text("[]"), CHANGED),
        (lambda path: (path / "config.json").write_text("{"), CHANGED),
        (lambda path: (path / "config.json").write_text('{"lr": -1}'), "cell is missing"),
        (lambda path: (path / "metrics.csv").unlink(), "no validation yet"),
        (lambda path: (path / "metrics.csv").write_text(""), CHANGED),
        (lambda path: (path / "metrics.csv").write_text("a,b\n1,2\n"), CHANGED),
        (lambda path: (path / "metrics.csv").write_text(f"{HEADER}\n2,1\n"), CHANGED),
        (lambda path: (path / "metrics.csv").write_text(f"{HEADER}\nnan,1\n"), CHANGED),
        (lambda path: (path / "metrics.csv").write_text(f"{HEADER}\n"), "no validation yet"),
        (lambda path: (path / "metrics.csv").write_bytes(b"\xff"), CHANGED),
        (lambda path: (path / "result.json").write_text("{}"), CHANGED),
        (lambda path: (path / "result.json").write_text("null"), CHANGED),
        (lambda path: change(path, "test", None), CHANGED),
        (lambda path: change(path, "test", {}), CHANGED),
        (lambda path: change(path, "text", None), CHANGED),
        (lambda path: change(path, "test", {"perplexity": -1, "accuracy": 0.1}), CHANGED),
    ],
)
def test_what_is_no_run_is_one_sentence(folder, compare, tmp_path, spoil, message):
    for name in ("config.json", "metrics.csv", "result.json"):
        (tmp_path / name).write_bytes((folder / "one" / name).read_bytes())
    spoil(tmp_path)
    with pytest.raises(RunFolderError, match=message):
        read_run(tmp_path, "x")
    out, err = compare(tmp_path, expect=2)
    assert out == ""
    assert err.startswith("numpylstm-compare: error: ")
    assert err.count("\n") == 1
    out, left_out = compare("one", tmp_path)  # the others are compared
    assert out.splitlines()[1].startswith("one")
    assert left_out == err.replace("error: ", "warning: left out: ")


def test_a_picture_that_cannot_be_written(folder, compare):
    out, err = compare("one", "--picture", "absent/compare.png", expect=1)
    assert out == ""
    assert "absent/compare.png could not be written: No such file" in err


# --- what differs ------------------------------------------------------------------------------


def test_only_what_differs_is_shown():
    runs = [compared("a"), compared("b", hidden_size=9, seed=3), compared("c", activation="tanh")]
    assert differences(runs) == ["hidden_size", "seed", "activation"]
    assert differences(runs[:1]) == []
    head, *rows = table_of_runs(runs)
    assert head == ["run", "hidden_size", "seed", "activation", "last epoch", "valid",
                    "best epoch", "test", "tokens/s"]  # fmt: skip
    assert rows[1] == ["b", "9", "3", "-", "2", "140.00", "1", "50.00", "1,234"]


def test_seeds_of_one_experiment():
    runs = [
        compared("a", 50.0), compared("b", 52.0, seed=1), compared("c", None, seed=2, log_every=1),
        compared("d", 60.0, hidden_size=9),
    ]  # fmt: skip
    assert experiments(runs) == [0, 0, 0, 1]
    head, *rows = table_of_seeds(runs)
    assert head == ["runs", "hidden_size", "seeds", "valid", "test"]
    assert rows == [
        ["a, b, c", "8", "3", "140.00 ± 0.00", "51.00 ± 1.41"], ["d", "9", "1", "140.00", "60.00"],
    ]  # fmt: skip
    assert table_of_seeds(runs[2:]) is None


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
    assert texts(runs) == ["x", "x", "y", "z", "x"]
    head, *rows = table_of_seeds([runs[0], made("b", "x", train="2.txt", seed=1)])
    assert head == ["runs", "seeds", "valid", "test"]  # which of both names would be told?
    assert [row[0] for row in rows] == ["a, b"]
    unknown = [*runs[:4], runs[4]._replace(fingerprint=None)]  # as long as a run is not over
    assert experiments(unknown) == [0, 1, 2, 2, 3]


def test_no_mean_of_nothing():
    assert mean_and_spread([None]) == "-"
