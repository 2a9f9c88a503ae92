"""--minutes: the rules by which size, epochs and dropout follow from the time of an update."""

import json
import re
import shlex
from types import SimpleNamespace

import numpy as np
import pytest
from support.runs import call, files, made_up, train, write_words

import numpylstm as nl
from numpylstm.config import ConfigError
from numpylstm.training import minutes
from numpylstm.training.minutes import (
    BY_RULE,
    FEWEST_EPOCHS,
    MOST_EPOCHS,
    MOST_PARAMETERS,
    PLANNED,
    UNITS,
    dropout_for,
    new_run_of,
    with_recipe,
)


@pytest.fixture
def machine(monkeypatch):
    """Return a machine on which an update takes `seconds` for each million parameters."""
    machine = SimpleNamespace(now=0.0, seconds=1.0, updates=[])

    def update(run, x, y, windows):
        machine.updates.append(run.config)
        machine.now += machine.seconds * run.model.num_parameters / 1e6

    monkeypatch.setattr(minutes, "update", update)
    monkeypatch.setattr(minutes, "perf_counter", lambda: machine.now)
    return machine


def corpus_of(tokens, V=30):
    ids = np.arange(tokens, dtype=np.int32) % V
    return made_up(V, ids, ids[:200], ids[:200])


CORPUS = corpus_of(300_000)
WINDOWS = nl.data.num_batches(300_000, 32, 35)


def millions(config):
    return nl.LanguageModel.from_config(config, 30).num_parameters / 1e6


def planned_seconds(config):
    return config.epochs * WINDOWS * millions(config)


@pytest.mark.parametrize("time", [1, 5, 20, 60, 600, 6000])
def test_the_largest_network_that_reads_the_text_often_enough(machine, time):
    run = new_run_of(time, CORPUS, {})
    config, allowed = run.config, PLANNED * 60 * time
    assert run.step == 0
    assert (config.num_layers, config.embedding_size) == (1, min(config.hidden_size, 256))
    assert planned_seconds(config) <= allowed
    assert config.epochs <= MOST_EPOCHS
    if config.epochs < MOST_EPOCHS:  # another epoch would take too long
        epoch = WINDOWS * millions(config)
        assert planned_seconds(config) + epoch > allowed
    place = UNITS.index(config.hidden_size)
    assert place == 0 or config.epochs >= FEWEST_EPOCHS
    if place + 1 < len(UNITS):
        units = UNITS[place + 1]
        sizes = {"hidden_size": units, "embedding_size": min(units, 256)}
        larger = with_recipe({}, **sizes)
        assert FEWEST_EPOCHS * WINDOWS * millions(larger) > allowed


def test_more_time_is_a_larger_network_or_more_epochs(machine):
    runs = [new_run_of(time, CORPUS, {}).config for time in (1, 5, 20, 60, 600, 6000)]
    sizes = [UNITS.index(config.hidden_size) for config in runs]
    assert sizes == sorted(sizes)
    assert sizes[0] == 0
    assert sizes[-1] == len(UNITS) - 1
    assert runs[-1].epochs == MOST_EPOCHS


def test_the_first_update_of_a_network_is_not_timed_since_it_compiles(monkeypatch, machine):
    usual, slow = minutes.update, []

    def update(run, x, y, windows):
        usual(run, x, y, windows)
        if run.config not in slow:
            slow.append(run.config)
            machine.now += 0.5

    plain = new_run_of(600, CORPUS, {}).config
    monkeypatch.setattr(minutes, "update", update)
    assert new_run_of(600, CORPUS, {}).config == plain


def test_the_slowest_networks_are_not_measured_when_the_time_is_short(machine):
    new_run_of(3, CORPUS, {})
    assert {config.hidden_size for config in machine.updates} == {128, 256}


def dropout_of(units, readings, **options):
    config = nl.TrainConfig(hidden_size=units, embedding_size=min(units, 256), **options)
    return dropout_for(config, readings)


def test_dropout_grows_with_the_number_of_times_that_a_parameter_reads_a_token():
    """Epochs x parameters / tokens; the runs from which the rule comes are on its page."""
    dropout = [dropout_of(128, readings)["dropout"] for readings in (0.1, 1, 168, 10_000)]
    assert dropout == [0, 0, 0.51, 0.65]


def test_a_projected_network_has_more_masks_and_weaker_ones():
    assert dropout_of(256, 348) == {"dropout": 0.59}
    assert dropout_of(1024, 348) == {"dropout": 0.41, "dropout_state": 0.2}
    assert dropout_of(1024, 348, cell="minlstm") == {"dropout": 0.41}  # has no Wh to drop


def test_the_rate_falls_slowly_with_the_width(machine):
    """By 2^(1/4) for twice the width."""
    rates = [new_run_of(60, CORPUS, {"hidden_size": units}).config.lr for units in UNITS]
    assert rates == [0.008, 0.0067, 0.0057, 0.0048]


def test_a_small_text_gets_a_small_network_and_much_dropout(machine):
    """However long the time; and a long text gets no dropout."""
    small = new_run_of(6000, corpus_of(30_000), {}).config
    assert (small.hidden_size, small.epochs, small.dropout) == (256, MOST_EPOCHS, 0.65)
    assert millions(small) * 1e6 < MOST_PARAMETERS * 30_000
    tiny = new_run_of(6000, corpus_of(1_000), {}).config
    assert tiny.hidden_size == UNITS[0]
    long = new_run_of(6000, corpus_of(2_000_000), {"hidden_size": 8}).config
    assert long.dropout == 0
    assert (small.batch_size, long.batch_size) == (16, 32)


def test_settings_that_are_given_stay(machine):
    given = {"hidden_size": 24, "optimizer": "sgd", "lr": 0.5, "dropout": 0.1, "seed": 3}
    config = new_run_of(1, CORPUS, given).config
    assert {name: getattr(config, name) for name in given} == given
    assert {each.hidden_size for each in machine.updates} == {24}
    assert config.embedding_size == 24
    config = new_run_of(1, CORPUS, {"schedule": "epoch", "moving_windows": False}).config
    assert (config.warmup, config.moving_windows, config.tied) == (None, False, True)
    assert new_run_of(9, CORPUS, {"num_layers": 2, "hidden_size": 300}).config.embedding_size == 256


def test_a_given_dropout_is_the_only_one(machine):
    wide = {"hidden_size": 512}
    by_rule = new_run_of(9, CORPUS, wide).config
    assert by_rule.dropout > by_rule.dropout_state > 0
    assert new_run_of(9, CORPUS, wide | {"dropout": 0.2}).config.dropout_state == 0
    config = new_run_of(9, CORPUS, wide | {"dropout_state": 0.3}).config
    assert (config.dropout, config.dropout_state) == (by_rule.dropout, 0.3)


def test_too_little_time_for_one_epoch_is_refused(machine):
    machine.seconds = 10
    says = "minutes must be at least 7, got 1; with this text an epoch of the fastest .* 362 s"
    with pytest.raises(ConfigError, match=says):
        new_run_of(1, CORPUS, {})
    assert new_run_of(7, CORPUS, {}).config.epochs == 1


# --- the command -------------------------------------------------------------------------------


@pytest.mark.rare
def test_a_run_of_minutes_is_a_run_with_the_settings_that_it_prints(tmp_path):
    """To the byte; a resumed run does not measure again."""
    write_words(tmp_path)
    given = ("--train", "text.txt", "--max-vocab", "40", "--num-steps", "9", "--log-every", "5")
    out, _ = train(tmp_path, *given, "--minutes", "0.05", "--out", "measured")
    [line] = re.findall("^The same without measuring: (.*)$", out, re.MULTILINE)
    flags = shlex.split(line)
    named = {flag.removeprefix("--").replace("-", "_") for flag in flags if flag.startswith("--")}
    assert named == {"preset", *BY_RULE} - {"num_steps"}
    train(tmp_path, *given, *flags, "--out", "again")
    assert files(tmp_path / "measured") == files(tmp_path / "again")
    settings = json.loads((tmp_path / "measured" / "config.json").read_text())
    assert "minutes" not in settings
    assert line in (tmp_path / "measured" / "log.txt").read_text()
    out, _ = train(tmp_path, "--resume", "measured")
    assert "without measuring" not in out


@pytest.mark.parametrize(("line", "says"), [
    ("--preset small", "--minutes cannot be combined with --preset; it chooses the settings"),
    ("--init-from run", "--minutes cannot be combined with --init-from; it chooses"),
    ("--epochs 3", "--minutes cannot be combined with --epochs; it chooses"),
    ("--steps 3", "--minutes cannot be combined with --steps; it chooses"),
    ("--resume run", "--minutes is for a new run; --resume continues in the old folder"),
    ("--minutes 0", "argument --minutes: must be a positive number, got 0"),
    ("--minutes nan", "argument --minutes: must be a positive number, got nan"),
    ("--minutes soon", "argument --minutes: invalid minutes value: 'soon'"),
])  # fmt: skip
def test_a_conflict_is_one_sentence(line, says, tmp_path):
    _, err = call(tmp_path, "numpylstm-train", "--minutes", "1", *line.split(), expect=2)
    assert says in err
    assert err.count("\n") == 1
