"""The result, samples, log and page of a finished run."""

import json
import math
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support.runs import SHORT, files

import numpylstm as nl
from numpylstm.report import summary
from numpylstm.report.comparison import read_run
from numpylstm.report.findings import last_is_better
from numpylstm.report.page import Report, page
from numpylstm.report.result import read_result, write_result
from numpylstm.training import logs, run_folder
from numpylstm.training.logs import Sample, read_samples
from numpylstm.training.metrics import Row
from numpylstm.training.run_folder import RunFolderError


class Seen(HTMLParser):
    """The tags, text and addresses of a page, as a browser sees them."""

    def __init__(self, source):
        super().__init__()
        self.open, self.text, self.addresses = [], [], []
        self.tags = set()
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href", "srcset", "action")]
        if tag not in ("meta", "img", "source"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text.append(data)


# --- the result ----------------------------------------------------------------------------------


def test_the_result_says_how_good_it_is_and_how_it_was_made(whole):
    result = json.loads((whole / "result.json").read_text())
    assert result == read_result(whole)
    saved = nl.load(whole / "best.npz")
    corpus = nl.data.load_text(whole.parent / "text.txt", max_vocab=40)
    test = nl.evaluate(nl.restore_model(saved), corpus.test)
    assert result["test"]["perplexity"] == pytest.approx(test.perplexity, rel=1e-12)
    assert (result["test"]["tokens"], result["test"]["unscored"]) == (test.tokens, 1)
    assert set(result["baselines"]) == {"unigram", "interpolated bigram"}
    losses = nl.load(whole / "last.npz").meta["valid_losses"]
    assert result["validation"]["epoch"] == 1 + losses.index(min(losses))
    assert len(result["validation"]["by_epoch"]) == result["epochs"] == 2
    assert result["text"]["tokens"] == corpus.num_tokens
    assert result["time"]["updates"] == result["steps"] == 2 * 97
    assert result["time"]["seconds"] > 0
    assert result["time"]["tokens_per_second"] > 0
    assert {"numpylstm", "Python", "NumPy", "Numba", "processor", "threads"} <= set(
        result["machine"]
    )
    assert result["command"] == ["numpylstm-train", "--threads", "1", *SHORT, "--out", "whole"]
    assert (whole / "sample.txt").read_text().strip()


def test_a_run_that_steps_end_within_an_epoch_has_one_best_network(folder, train, capsys):
    """The result, the table and the sentence speak of best.npz, whose test figure is shown."""
    assert train(*SHORT, "--steps", "150", "--out", "within") == 0  # epoch 2 ends after 194
    said = capsys.readouterr().out
    result, saved = read_result(folder / "within"), nl.load(folder / "within" / "best.npz")
    rows = [Row(*row) for row in nl.load(folder / "within" / "last.npz").meta["rows"]]
    first, last = (row.valid_perplexity for row in rows if row.valid_perplexity is not None)
    assert last < first
    assert (result["validation"]["perplexity"], result["validation"]["epoch"]) == (first, 1)
    assert result["validation"]["by_epoch"] == [first]
    assert saved.meta["epoch"] == 1
    corpus = nl.data.load_text(folder / "text.txt", max_vocab=40)
    test = nl.evaluate(nl.restore_model(saved), corpus.test)
    assert result["test"]["perplexity"] == pytest.approx(test.perplexity, rel=1e-12)
    finding = last_is_better(rows, 1)
    sentence = str(finding)
    assert f"{last:.2f}" in sentence
    assert result["findings"][0] == sentence
    assert sentence in said
    run = read_run(folder / "within", "within")
    assert (run.valid, run.epoch, run.better) == (first, 1, finding)


def test_a_resumed_run_has_the_same_result_but_for_its_making(folder, train, whole):
    assert train(*SHORT[:-4], "--epochs", "1", "--out", "longer") == 0
    assert train("--resume", "longer", "--epochs", "2") == 0
    one, other = read_result(whole), read_result(folder / "longer")
    assert other["time"]["updates"] == 97
    for name in ("time", "machine", "command"):
        del one[name], other[name]
    assert one == other


def test_a_result_that_is_made_again_keeps_its_times(whole, train):
    before = read_result(whole)
    (whole / "report.html").unlink()
    assert train("--resume", "whole") == 0
    assert read_result(whole) == before
    assert (whole / "report.html").exists()


@pytest.mark.parametrize("content", ["{", '{"format": "numpylstm result", "version": 1}'])
def test_a_damaged_result_of_a_finished_run_is_replaced(whole, train, tmp_path, content):
    shutil.copytree(whole, tmp_path / "copy")
    (tmp_path / "copy" / "result.json").write_text(content)
    assert train("--resume", tmp_path / "copy") == 0
    assert read_result(tmp_path / "copy")["steps"] == read_result(whole)["steps"]


def test_what_json_lacks_is_null(whole, tmp_path):
    """A perplexity may be infinite."""
    result = read_result(whole)
    result["test"]["perplexity"] = math.inf
    result["validation"]["by_epoch"] = [2.0, math.nan]
    write_result(tmp_path, result)
    found = json.loads((tmp_path / "result.json").read_text(), parse_constant=pytest.fail)
    assert found["test"]["perplexity"] is None
    assert found["validation"]["by_epoch"] == [2.0, None]
    assert read_result(tmp_path) == found


@pytest.mark.parametrize("content", ["", '{"format": "x"}', "[" * 100_000])
def test_what_is_no_result_is_refused(tmp_path, content):
    assert read_result(tmp_path) is None
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(
        RunFolderError,
        match=r"result\.json does not hold the result of a run: it was damaged or changed",
    ):
        read_result(tmp_path)


def test_the_page_of_the_run_folder_names_all_files_entries_and_columns(whole):
    page = Path(__file__).parents[1] / "docs/how-to/run-folder.md"
    firsts = re.findall(r"^\| (`.*?) \|", page.read_text(encoding="utf-8"), re.M)
    named = {*run_folder.FILES, *read_result(whole), *Row._fields} - {"format", "version"}
    assert set(re.findall(r"`(.*?)`", " ".join(firsts))) == named


# --- samples -------------------------------------------------------------------------------------


def test_there_is_a_sample_before_training_and_after_each_epoch(whole):
    samples = read_samples(whole / "samples.json")
    assert [(s.epoch, s.step) for s in samples] == [(0, 0), (1, 97), (2, 194)]
    assert all(0 < len(s.text.split()) <= 40 and "<unk>" not in s.text for s in samples)
    assert len({s.text for s in samples}) > 1
    last = nl.restore_run(nl.load(whole / "last.npz"))
    words, unk = last.vocabulary, last.vocabulary.unk_id
    prompt = nl.data.load_text(last.config.train, vocabulary=words).test[:1]
    ids = nl.generate(last.model, prompt, 40, temperature=0.8, banned=[unk], rng=0)
    assert samples[-1].text == nl.data.detokenize(words.decode(ids))


def test_samples_change_no_bit_of_the_run(whole, tmp_path):
    """Training in Python draws no samples."""
    config = nl.load(whole / "last.npz").config
    corpus = nl.data.load_text(config.train, max_vocab=config.max_vocab)
    run = nl.new_run(config, corpus)
    for _ in nl.train(run, corpus):
        pass
    nl.save(run, tmp_path / "silent.npz")
    assert (tmp_path / "silent.npz").read_bytes() == (whole / "last.npz").read_bytes()


def test_samples_that_the_run_has_not_come_to_are_made_again(whole, tmp_path):
    (tmp_path / "samples.json").write_bytes((whole / "samples.json").read_bytes())
    run = nl.restore_run(nl.load(whole / "last.npz"))
    run.epoch, run.step = 1, 97
    corpus = nl.data.load_text(run.config.train, max_vocab=run.config.max_vocab)
    logs.write_due(tmp_path, run, corpus)
    assert [sample.epoch for sample in read_samples(tmp_path / "samples.json")] == [0, 1]


@pytest.mark.parametrize("content", ["", "[null]", '[{"epoch": 1}]'])
def test_what_is_no_sample_is_left_out(tmp_path, content):
    (tmp_path / "samples.json").write_text(content)
    assert read_samples(tmp_path / "samples.json") == []


# --- the log -------------------------------------------------------------------------------------


def test_the_log_holds_what_was_printed(folder, train, capsys):
    assert train(*SHORT, "--epochs", "1", "--out", "logged") == 0
    printed = capsys.readouterr().out
    first, *lines = (folder / "logged" / "log.txt").read_text().splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  numpylstm-train --threads 1 .*", first)
    assert lines == printed.splitlines()
    assert train("--resume", "logged") == 0
    again = (folder / "logged" / "log.txt").read_text().splitlines()
    assert again[: len(lines) + 1] == [first, *lines]
    assert again[len(lines) + 1].endswith("--resume logged")


# --- the page ------------------------------------------------------------------------------------


def test_the_page_has_everything_and_needs_nothing(whole):
    source = (whole / "report.html").read_text()
    seen = Seen(source)
    assert seen.open == []
    (curves,) = seen.addresses
    assert curves.startswith("data:image/svg+xml;base64,")
    assert "http" not in re.sub(r"base64,[^\"]*", "", source)
    assert "script" not in seen.tags
    shown = " ".join(seen.text)
    result = read_result(whole)
    for expected in (
        "whole", "2 x 8 LSTM", f"{result['test']['perplexity']:.2f}", "What stands out",
        "interpolated bigram model", "True and predicted", "Before training",
        "The best network", "hidden_size", "--out whole", "Numba", *result["findings"],
        result["text"]["held_out"],
    ):  # fmt: skip
        assert expected in shown


NASTY = "<script>alert(1)</script><img src=x onerror=alert(1)>&amp;\"'\x1b[2J\u202e"


def test_what_strangers_wrote_is_shown_and_never_obeyed(whole):
    saved, result = nl.load(whole / "last.npz"), read_result(whole)
    plain = Report(
        name="run", model="1 x 8 LSTM", config=saved.config, rows=[Row(*saved.meta["rows"][-1])],
        result=result, true=["a", "b"], predicted=["a", "c"], bits=[0.5, 12.0],
        samples=[Sample(0, 0, "before")], sample="at the end",
    )  # fmt: skip
    text = {"source": NASTY, "unread": {"train": 0, "valid": 0, "test": 7}}
    nasty = plain._replace(
        name=NASTY, model=NASTY, config=nl.TrainConfig(train=NASTY),
        result=result | {
            "text": result["text"] | text, "findings": [NASTY], "machine": {"processor": NASTY},
            "command": ["numpylstm-train", NASTY],
        },
        true=[NASTY, "b"], predicted=[NASTY, "c"],
        samples=[Sample(0, 0, NASTY)], sample=NASTY + "!",
    )  # fmt: skip
    source = page(nasty)
    seen = Seen(source)
    assert seen.tags == Seen(page(plain)).tags | {"ul", "li"}
    assert "script" not in seen.tags
    assert len(seen.addresses) == 1
    assert "\x1b" not in source
    assert "\u202e" not in source
    assert sum("<script>alert(1)</script>" in text for text in seen.text) >= 11


# --- what fails ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("page", "report could not be written"),
        ("training_curves", "pictures could not be drawn"),
    ],
)
def test_a_report_that_fails_is_a_warning(folder, train, whole, monkeypatch, capsys, name, what):
    out = f"no {name}"

    def fail(*arguments, **options):
        raise RuntimeError("no paper")

    with monkeypatch.context() as patch:
        patch.setattr(summary, name, fail)
        assert train(*SHORT, "--out", out) == 0
    assert capsys.readouterr().err == f"numpylstm-train: warning: the {what}: no paper\n"
    kept = files(folder / out)
    assert kept["last.npz"] == files(whole)["last.npz"]
    assert kept["best.npz"] == files(whole)["best.npz"]
    assert train("--resume", out) == 0  # makes what is missing
    assert files(folder / out) == files(whole)
    assert (folder / out / "report.html").exists()
