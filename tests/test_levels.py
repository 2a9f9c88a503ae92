"""Levels of tokens: the records, and a new level made of one more record."""

import json
import subprocess
import sys

import pytest

from numpylstm.data import tokenize
from numpylstm.levels import LEVELS

MADE_UP = """
import codecs
from dataclasses import replace

from numpylstm import levels


def cut(text):
    return [chr(byte) for byte in text.encode()]


def join(tokens, after):
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for token in tokens:
        yield decoder.decode(token.encode("latin-1", "replace"))


levels.LEVELS["made-up"] = replace(levels.CHAR, name="made-up", unit="byte", cut=cut, join=join)
"""
COMMANDS = """
import sys
from numpylstm.cli import eval, sample, train

flags = "--level made-up --hidden-size 8 --num-steps 5 --batch-size 2 --epochs 1"
train.main([*"--train text.txt --out run".split(), *flags.split()])
eval.main(["run", "--json"])
sample.main(["run", "--length", "9", "--prompt", "é", "--seed", "1"])
"""


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS)
def test_what_was_cut_is_joined_again(level):
    text = "one two\nthree\n"
    assert "".join(level.join(level.cut(text), "")) == text
    assert level.cut(text)[-1] == level.first_prompt


def test_a_reader_of_the_documentation_finds_every_level():
    for name in LEVELS:
        assert f'"{name}"' in tokenize.__doc__


@pytest.mark.rare
def test_a_new_level_is_one_record(tmp_path):
    """Bytes: trained on, scored in bits per byte, sampled and reported."""
    (tmp_path / "text.txt").write_text("é mêlé, abc\n" * 200, encoding="utf-8")
    command = [sys.executable, "-c", MADE_UP + COMMANDS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    printed = done.stdout.decode("utf-8")
    assert done.returncode == 0, done.stderr.decode()
    assert "bits per byte" in printed
    assert "numpylstm-explore" not in printed  # which refuses the level
    facts = next(json.loads(line) for line in printed.splitlines() if line.startswith("{"))
    assert facts["level"] == "made-up"
    assert facts["bits_per_byte"] > 0
    tokens = json.loads((tmp_path / "run" / "vocabulary.json").read_text(encoding="utf-8"))
    assert {"Ã", "©"} <= set(tokens)  # the two bytes of é
    report = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "bits per byte" in report
