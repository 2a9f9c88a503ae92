"""Settings: how bad ones are refused; configurations are values."""

import json

import numpy as np
import pytest
from support.bad_calls import assert_refused, bad_call

import numpylstm as nl


@pytest.mark.parametrize(
    ("call", "says", "error"),
    [
        bad_call(
            lambda: nl.TrainConfig(options=[1]), "options must be a dict of name -> value, got [1]"
        ),
        bad_call(
            lambda: nl.TrainConfig(hidden_size="big"),
            "hidden_size must be a whole number, got 'big'",
        ),
        bad_call(lambda: nl.TrainConfig(train=["a.txt", 3]), "train must be a string, got 3"),
        bad_call(
            lambda: nl.TrainConfig(optimizer="adam", betas=0.9),
            "betas must be 2 numbers, got 0.9",
            TypeError,
        ),
        bad_call(
            lambda: nl.TrainConfig(optimizer="adam", betas=(0, 0.9, 0.9)),
            "betas must be 2 numbers, got (0,",
        ),
        bad_call(
            lambda: nl.TrainConfig(optimizer="adam", betas=(0, 1)),
            "betas must be at least 0 and below 1, got",
        ),
        bad_call(
            lambda: nl.TrainConfig(betas=(0, 0.9)),
            "betas must be left out, got (0, 0.9); it is a setting of",
        ),
        bad_call(lambda: nl.from_preset("huge"), "preset must be one of demo"),
        bad_call(
            lambda: nl.from_preset("demo", colour="red"),
            "unexpected keyword argument 'colour'",
            TypeError,
        ),
    ],
)
def test_a_bad_call_gets_one_sentence(call, says, error):
    assert_refused(call, says, error)


def test_presets_of_zaremba_et_al():
    """Table 1 of their paper (2014); the examples of loss-rate-clip.md print the rest of it."""

    def row(name):
        config = nl.from_preset(name)
        sizes = config.hidden_size, config.epochs
        return *sizes, config.dropout, config.init_scale, config.decay, config.constant_epochs

    assert row("small") == (200, 13, 0, 0.1, 1 / 2, 4)
    assert row("medium") == (650, 39, 0.5, 0.05, 1 / 1.2, 6)
    assert row("large") == (1500, 55, 0.65, 0.04, 1 / 1.15, 14)


def test_the_preset_regularised_is_the_run_of_the_results():
    """Its flags, as docs/minutes.md and the log of the run have them."""
    by_flags = nl.TrainConfig.with_options(
        tied=True, embedding_size=256, hidden_size=1024, num_layers=1, batch_size=64, num_steps=35,
        moving_windows=True, epochs=40, dropout_input=0.4, dropout_output=0.4, dropout_state=0.2,
        init_scale=0.05, init_scale_embedding=0.1, optimizer="adam", lr=0.0045, weight_decay=1e-4,
        schedule="one-cycle", warmup=0.1, clip=10.0, average_after=30,
    )  # fmt: skip
    assert nl.from_preset("regularised") == by_flags


def test_a_configuration_is_a_key():
    assert {nl.from_preset("small"): 1}[nl.from_preset("small")] == 1


def test_the_decay_of_adam_is_two_numbers():
    """As a list too, which is how a file holds them; older files have none."""
    config = nl.TrainConfig(optimizer="adam", betas=[0, np.float32(0.5)])
    assert config.betas == (0, 0.5)
    assert {config: 1}[config] == 1
    assert nl.TrainConfig(**json.loads(json.dumps(config.to_dict()))) == config
    before = {name: value for name, value in config.to_dict().items() if name != "betas"}
    assert nl.TrainConfig(**before).betas == (0.9, 0.999)
    assert nl.from_preset("tied-adam", optimizer="sgd").betas is None
