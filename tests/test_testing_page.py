"""The page "How numpylstm is tested" has the figures of ``tests/figures``, and misses no test."""

import json
import os
import re

import pytest
from support import report

PAGE = report.PAGE.read_text(encoding="utf-8")
ADVICE = "write them again: python -m tests.support.report"


def test_the_page_has_the_figures():
    assert report.filled(PAGE) == PAGE, ADVICE


PLACED = [report.file_of(name) for names in report.PROMISES.values() for name in names.split()]
BEFORE_A_RELEASE = pytest.mark.skipif(
    "NUMPYLSTM_RELEASE" not in os.environ, reason="before a release"
)


def test_a_file_of_tests_is_a_witness_of_one_promise():
    assert len(PLACED) == len(set(PLACED))
    assert all((report.ROOT / file).exists() for file in PLACED)


def test_the_tests_that_the_page_names_exist():
    named = re.findall(r"`(tests/test_\w+\.py)::(\w+)`", PAGE)
    assert len(named) > 20
    for file, name in named:
        text = (report.ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^ *def {name}\(", text, re.M), f"{file}::{name}"


@BEFORE_A_RELEASE
def test_every_file_of_tests_has_its_promise():
    assert set(PLACED) == {f"tests/{path.name}" for path in report.ROOT.glob("tests/test_*.py")}


@BEFORE_A_RELEASE
def test_the_cases_are_counted_on_this_commit():
    assert report.read("cases")["files"] == report.count_cases(), ADVICE


def test_coverage_by_module_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "commit", lambda: "abc1234")
    percents = {"numpylstm/optim.py": 100, "numpylstm/laboratory/tasks/task.py": 80.4}
    found = {
        "files": {name: {"summary": {"percent_covered": p}} for name, p in percents.items()},
        "totals": {"percent_covered": 96.6},
    }
    (tmp_path / "coverage.json").write_text(json.dumps(found))
    assert report.read_coverage(tmp_path / "coverage.json") == {
        "commit": "abc1234",
        "percent": 97,
        "complete": 1,
        "below_90": {"tasks/task": 80},
    }


def test_the_log_of_ci_is_read(monkeypatch):
    monkeypatch.setattr(report, "commit", lambda: "abc1234")
    log = """
=== [00:00] copy
=== [00:02] the README's test command: python3 -m venv
============ slowest 60 durations ============
9.00s call     tests/test_a.py::test_slow[1]
8.00s setup    tests/test_a.py::test_set_up
7.00s call     tests/test_b.py::TestIt::test_quick
2.00s call     tests/test_a.py::test_slow[2]
=== [02:30] tests marked rare
============ slowest 60 durations ============
8.00s call     tests/test_b.py::test_rare
=== [03:32] notebooks
============ slowest durations ============
99.0s call     tests/test_c.py::test_of_another_step
--- [03:33] in the background
=== [04:40] all steps passed
"""
    found = report.read_ci_log(log)
    assert found["steps"] == [
        ["the README's test command", 148],
        ["tests marked rare", 62],
        ["notebooks", 68],
        ["others", 2],
    ]
    assert found["slowest"] == [
        "tests/test_a.py::test_slow",
        "tests/test_b.py::test_rare",
        "tests/test_b.py::TestIt::test_quick",
    ]
    with pytest.raises(SystemExit, match="has not passed"):
        report.read_ci_log(log.replace("all steps passed", "FAILED (exit 1) in: notebooks"))
