"""The four things that a report looks for: each where it is so, and where it is not."""

import pytest
from support.metrics import row_of

from numpylstm.baselines import Baseline
from numpylstm.report import findings as module
from numpylstm.report.findings import Kind
from numpylstm.training.metrics import training_of_epoch


def test_the_means_of_an_epoch_are_weighted_by_its_updates():
    rows = [
        row_of(1, 10, perplexity=400.0, accuracy=0.1),
        row_of(1, 40, perplexity=100.0, accuracy=0.2),
        row_of(2, 50, perplexity=95.0, accuracy=0.25),
        row_of(2, 80, perplexity=80.0, accuracy=0.27),
    ]
    first = 400 ** (1 / 4) * 100 ** (3 / 4), (10 * 0.1 + 30 * 0.2) / 40
    assert training_of_epoch(rows[:2]) == pytest.approx(first)
    second = 95 ** (1 / 4) * 80 ** (3 / 4), (10 * 0.25 + 30 * 0.27) / 40
    assert training_of_epoch(rows) == pytest.approx(second)


def findings(*arguments, **named):
    """Return the findings in words, after a check that no decision needs the words."""
    found = module.findings(*arguments, **named)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SENTENCES", dict.fromkeys(Kind, "xxx"))
        assert module.findings(*arguments, **named) == found
        assert {str(finding) for finding in found} <= {"xxx"}
    return [str(finding) for finding in found]


def test_every_kind_has_a_sentence():
    assert set(module.SENTENCES) == set(Kind)


NOTHING = {"epochs": 9, "unknown": 0, "tokens": 1000, "test": 50.0, "references": {}}


def run(validation):
    return [row_of(k, 10 * k, valid_perplexity=v) for k, v in enumerate(validation, 1)]


@pytest.mark.parametrize(
    ("validation", "so"),
    [
        ([90, 80, 70], False),
        ([90, 80, 81, 80, 82], False),  # twice, but not one after the other
        ([90, 80, None, 81, None, 82], True),  # with rows between the ends of epochs
        ([90, 80, 81, 82, 70], True),
        ([90, 91], False),
    ],
)
def test_validation_rises(validation, so):
    found = findings(run(validation), **NOTHING)
    assert len(found) == so
    assert all(sentence.startswith("The validation perplexity rose") for sentence in found)


def test_the_end_within_an_epoch_is_better_than_the_best_checkpoint():
    """A limit of steps has ended the run in its third epoch; two have ended."""
    (found,) = findings(run([9, 8, 7]), **NOTHING | {"epochs": 2})
    assert found == (
        "The run ended within epoch 3, with a validation perplexity of 7.00; best.npz is from the "
        "end of epoch 2, with 8.00. Name last.npz to sample, score or export the better network."
    )
    for levels, epochs in ([9, 8, 7], 3), ([9, 8, 8], 2), ([9, 8, None], 2), ([9], 0):
        assert findings(run(levels), **NOTHING | {"epochs": epochs}) == []
    assert findings(run([7, 8, 9]), **NOTHING | {"epochs": 2}) == []  # no epoch has ended worse


def test_much_is_unknown():
    assert findings([], **NOTHING | {"unknown": 50}) == []
    (found,) = findings([], **NOTHING | {"unknown": 51})
    assert found.startswith("5.1% of the text is <unk>, 51 of 1,000 tokens")


def test_no_better_than():
    level = {"references": {Baseline.INTERPOLATED_BIGRAM: 100.0}}
    assert findings([], **NOTHING | level | {"test": 99.9}) == []
    (found,) = findings([], **NOTHING | level | {"test": 100.0})
    assert "100, is no better than that of the interpolated bigram model, 100" in found


def test_all_of_them_and_none_of_them():
    good = run([200, 90, 65, 55])
    usual = {Baseline.UNIGRAM: 200.0, Baseline.INTERPOLATED_BIGRAM: 90.0}
    settings = {"tokens": 1000, "references": usual}
    assert findings(good, 9, unknown=10, test=55.0, **settings) == []
    bad = run([90, 100, 101])
    found = findings(bad, 3, unknown=100, test=101.0, **settings)
    assert len(found) == 3
    assert not any("unigram" in sentence for sentence in found)
    assert all(sentence.endswith(".") for sentence in found)
    assert findings([], 0, unknown=0, test=55.0, **settings) == []
