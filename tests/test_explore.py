"""The page as a file: it is whole by itself, in the colours of the figures, and light."""

import base64
import html
import json
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from support.node import NODE, needs_node
from support.pages import data_of
from support.runs import TINY, call, write_words

import numpylstm as nl
from numpylstm import explore, reference
from numpylstm.explore import own
from numpylstm.explore.__main__ import main

PAGE = explore.page()


def test_nothing_is_loaded_from_anywhere():
    """Links are followed by the reader alone."""
    script = PAGE[PAGE.index('<script type="module">') :]
    assert not re.search(r"\bimport\b.*\bfrom\b|@import|fetch\(|XMLHttpRequest|https?://", script)
    before_data = PAGE[: PAGE.index('id="data"')]
    assert "default-src 'none'" in before_data
    assert not re.search(r"\bsrc=|url\(|@import|https?://", before_data)
    assert re.findall(r"<link [^>]*>", PAGE) == ['<link rel="icon" href="data:,">']


def test_on_the_site_it_links_to_the_notebooks_and_the_textbook():
    """Offline it names them, with the line of each equation."""
    site, notebooks = explore.page(site="."), explore.FOLDER.parents[1] / "notebooks"
    names = re.findall(r'href="\./tutorials/generated/(\w+)\.html"', site)
    assert len(names) >= 5
    assert all((notebooks / f"{name}.ipynb").is_file() for name in names)
    chapters = Path(reference.__file__).parent
    quoted = re.findall(r"<code>([^<]+)</code><br>reference/(\w+\.py), line (\d+)", PAGE)
    assert len(quoted) >= 5
    for code, chapter, line in quoted:
        lines = (chapters / chapter).read_text(encoding="utf-8").splitlines()
        assert lines[int(line) - 1].strip().startswith(html.unescape(code))
    assert "tutorials/" not in PAGE


@needs_node
def test_without_javascript_the_first_figure_stands_there():
    script = Path(__file__).parent / "page" / "first_figure.mjs"
    drawn = subprocess.run([str(NODE), script], capture_output=True, encoding="utf-8", check=True)
    assert drawn.stdout.strip() in PAGE


def test_the_stored_models_are_small_and_sound():
    path = explore.FOLDER / "models.json"
    assert path.stat().st_size <= 200_000
    for model in json.loads(path.read_text(encoding="utf-8")).values():
        assert 0 <= model["unit"] < model["parameters"]["lstm.0.Wh"]["shape"][0]
        for array in model["parameters"].values():
            values = np.frombuffer(base64.b64decode(array["float16"]), "<f2")
            assert values.size == np.prod(array["shape"])
            assert np.isfinite(values).all()


def test_the_command(tmp_path, capsys):
    path = tmp_path / "cell.html"
    main([str(path)])
    written = path.read_text(encoding="utf-8")
    links = re.findall(r'<a href="([^"#]+\.ipynb)">', written)
    assert len(links) >= 5
    assert all((tmp_path / unquote(link)).is_file() for link in links)
    assert re.sub(r'<a href="[^"#]+\.ipynb">(.*?)</a>', r"\1", written) == PAGE
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path / "missing" / "cell.html")])
    assert "cannot write" in capsys.readouterr().err


# --- the explorer of a run -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a text and a finished run."""
    folder = write_words(tmp_path_factory.mktemp("explorer"))
    call(folder, "numpylstm-train", "--threads", "1", *TINY, "--epochs", "1", "--out", "run")
    return folder


def data_in(path):
    return data_of(path.read_text(encoding="utf-8"))["models"]["own"]


def test_the_explorer_has_the_loss_that_eval_prints(folder):
    out, _ = call(folder, "numpylstm-explore", "run", "--max-tokens", "50")
    assert re.fullmatch(r"run/explorer\.html: 0\.\d MB; open it in a browser\n", out)
    found = data_in(folder / "run" / "explorer.html")
    out, _ = call(folder, "numpylstm-eval", "run", "--max-tokens", "50", "--json")
    assert found["loss"] == pytest.approx(json.loads(out)["loss"], abs=1e-5)
    assert len(found["ids"]) == len(found["words"]) == 50
    assert [len(layer) for layer in found["ranking"]] == [8, 8]
    assert "recorded" not in found


@pytest.mark.parametrize("flag", ["--text", "--prompt"])
def test_a_text_of_ones_own(folder, flag):
    """Its words are shown as they are, and read as the vocabulary has them."""
    (folder / "own.txt").write_text("w1 w2\nnever")
    text = {"--text": "own.txt", "--prompt": "w1 w2\nnever"}[flag]
    call(folder, "numpylstm-explore", "run", flag, text, "--out", "own.html", "--quiet")
    found = data_in(folder / "own.html")
    assert found["words"] == ["w1", "w2", "<eos>", "never"]
    assert found["tokens"][found["ids"][3]] == "<unk>"


def test_of_a_long_text_200_tokens_are_read(folder):
    call(folder, "numpylstm-explore", "run", "--prompt", "w1 " * 300, "--out", "long.html")
    assert len(data_in(folder / "long.html")["ids"]) == 200


def test_of_many_cells_those_that_vary_most_are_measured(monkeypatch):
    monkeypatch.setattr(own, "WORK", 1)
    model, ids = nl.LanguageModel(11, 20, init_scale=0.5, rng=0), np.arange(30) % 11
    (units,) = nl.diagnostics.cell_activations(model, ids[:, None])
    (ranked,) = own.rank_cells(model, ids)
    assert {unit for unit, _ in ranked} == {*np.argsort(units.c.std(axis=(0, 1)))[-8:]}


def test_a_larger_model_is_recorded(folder, monkeypatch):
    monkeypatch.setattr(own, "MOST_PARAMETERS", 100)
    monkeypatch.setattr(own, "WORK", 1)
    call(folder, "numpylstm-explore", "run", "--out", "large.html")
    found = data_in(folder / "large.html")
    assert "parameters" not in found
    assert len(found["recorded"]["p"]) == len(found["ids"]) == 100


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--prompt", "w1"], "the prompt: must hold at least 2 tokens, got 1"),
        (["run", "--max-tokens", "1"], "--max-tokens: must be at least 2, got 1"),
        (["run", "--text", "none.txt"], "none.txt: must be a readable file"),
        (["text.txt"], "text.txt"),
    ],
)
def test_what_the_command_refuses(folder, arguments, says):
    _, err = call(folder, "numpylstm-explore", *arguments, expect=2)
    assert says in err


def test_a_cell_that_the_page_lacks_is_refused(folder, monkeypatch):
    monkeypatch.setattr(explore, "cells_of_engine", lambda: ["rnn", "gru"])
    _, err = call(folder, "numpylstm-explore", "run", expect=2)
    assert "run/best.npz: cell must be 'rnn' or 'gru', got 'lstm'; the page has no other" in err


def test_a_level_that_the_page_lacks_is_refused(folder, monkeypatch):
    monkeypatch.setattr(explore, "levels_of_page", lambda: ["char"])
    _, err = call(folder, "numpylstm-explore", "run", expect=2)
    assert "run/best.npz: level must be 'char', got 'word'; the page reads no other" in err


def test_the_engine_has_the_cells_of_the_textbook():
    assert explore.cells_of_engine() == ["rnn", "lstm", "gru"]
    assert explore.levels_of_page() == ["word", "char"]
