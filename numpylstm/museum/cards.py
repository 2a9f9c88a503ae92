"""The cards beside the exhibits, the page of all cards, and the hunt for exhibits without a card.

Every figure is computed.
"""

from functools import cache
from typing import Any

import numpy as np

from numpylstm.checks import Array, check_whole
from numpylstm.laboratory import doctor, gradcheck
from numpylstm.laboratory.mistakes.famous import MUTANTS, exhibit
from numpylstm.laboratory.mistakes.record import Mistake
from numpylstm.museum.patient import Case, case
from numpylstm.museum.school import Lesson, train

SHOWN = 0.9
"""Training shows a mistake if it loses more than a tenth of what the right gradient gains."""


@cache
def diagnosis(name: str) -> doctor.Diagnosis:
    """Return the doctor's diagnosis of an exhibit, from functions and arrays without its name."""
    mutant = exhibit("diagnosis", name)
    first = next(m for m in MUTANTS.values() if _function(m) == _function(mutant))
    patient = case(mutant)
    return doctor.examine(
        patient.f, patient.backward, patient.arrays, patient.fixed, slopes=_slopes(first)
    )


def _function(mutant: Mistake) -> tuple[Any, ...]:
    """Return what decides the function of a patient and its point: not the backward pass."""
    return mutant.cell, mutant.options, mutant.equal_layers, mutant.function == "clip"


@cache
def _slopes(mutant: Mistake) -> dict[str, Array]:
    """Measure the slopes of a patient's function."""
    patient = case(mutant)
    return gradcheck.complex_step(lambda a: patient.f(patient.fixed | a), patient.arrays)


@cache
def lesson(name: str) -> tuple[Lesson, Lesson]:
    """Train with the right gradient, and with the exhibit's."""
    mutant = exhibit("lesson", name)
    return _train_once(cell=mutant.cell, **mutant.options), train(mutant)


_train_once = cache(train)  # one right lesson serves all exhibits of a cell


def share_of_gain(name: str) -> float:
    """Return the exhibit's fall in loss as a share of the fall with the right gradient."""
    right, wrong = lesson(name)
    return (wrong.first - wrong.last) / (right.first - right.last)


def card(name: str) -> str:
    """Return the card of one exhibit in Markdown; `name` is a key of `MUTANTS`."""
    mutant = exhibit("card", name)
    found = diagnosis(name)
    right, wrong = lesson(name)
    share = share_of_gain(name)
    verdict = "Training shows it" if share < SHOWN else "**Training does not show it**"
    report: Any = found.report  # not None: the point of a mutant can be judged
    worst = report.worst
    failed = sum(not entry.passed for entry in report.entries)
    fail = "fails" if failed == 1 else "fail"
    return f"""## {mutant.title}

`{name}`

```diff
{mutant.diff()}
```

**Who gets it wrong, and why.** {mutant.story}

**The check.** {failed} of {len(report.entries)} arrays {fail}; the worst is `{worst.path}`,
with a relative error of {worst.relative_error:.2g}.

**The doctor.**

```text
{found.findings[0]}
```

**Training.** From {wrong.first:.2f} to {wrong.last:.2f} nats per token; with the right gradient
from {right.first:.2f} to {right.last:.2f}. {verdict}: the loss falls by {share:.0%} of
what the right gradient achieves.
"""


def page() -> str:
    """Return the page of the whole museum, docs/laboratory/museum.md, in Markdown."""
    hidden = [name for name in MUTANTS if share_of_gain(name) >= SHOWN]
    right = _train_once(cell="lstm")
    rows = "\n".join(
        f"| {mutant.title} | `{name}` | {mutant.words} | "
        f"{'no' if name in hidden else 'yes'}, {share_of_gain(name):.0%} |"
        for name, mutant in MUTANTS.items()
    )
    cards = "\n".join(card(name) for name in MUTANTS)
    diff = MUTANTS["dc-overwritten"].diff().splitlines()
    printed = "\n".join(line.rstrip() or "<BLANKLINE>" for line in diff)  # as a doctest has it
    return f"""# The bug museum

{len(MUTANTS)} classic mistakes in backward passes. Each is the real function with one line or a few
changed, so that you can check it, train with it, and see what it looks like.

`python -m numpylstm.museum --page` writes this page, and a test keeps it current. Every figure is
computed, except those of other people's code in the stories.

```python
>>> from numpylstm import museum
>>> mutant = museum.MUTANTS["dc-overwritten"]
>>> print(mutant.diff())
{printed}
>>> patient = museum.case(mutant)
>>> patient.check().passed
False
>>> museum.case().check().passed
True

```

`museum.case` puts the mistake into a small language model of pure functions; a check
takes `patient.f`, `patient.backward` and `patient.arrays`. `museum.infect(model, mutant)` puts it
into the layers of a real `LanguageModel`, and `museum.train(mutant)` trains with it.
`python -m numpylstm.museum` lists all exhibits; with a name it prints that card.

## A blind hunt

`museum.blind(number)`, from 1 to {len(MUTANTS)}, returns a patient without naming its mistake.
Look at the check, the arrays that fail, one time step, a batch of one, and a symmetric Wh;
ask the doctor last. `museum.guess(number, name)` says whether you have found it.

```python
>>> patient = museum.blind(7)
>>> patient.check().passed
False
>>> museum.guess(7, "sum-for-mean")
False

```

## How to read a card

- **The check**: the arrays whose gradient differs from the measured slope. It detects every
  exhibit.
- **The doctor**: the first finding of `numpylstm.laboratory.doctor.examine`. It is given the
  function, the backward pass and the arrays, but no name.
- **Training**: {len(right.losses)} windows of a source in which each token repeats the one two
  places back nine times in ten, with the right gradient and with the wrong one, from the same
  weights and on the same data. The loss begins near log 7 = 1.95 nats per token; without dropout,
  no model can do better than {right.entropy:.2f}. "Training shows it" means that the loss falls by
  less than {SHOWN:.0%} of what the right gradient achieves.
  This is one task and one seed: a mistake that stays hidden here may show elsewhere, and vice
  versa.

Training does not show {len(hidden)} of the {len(MUTANTS)} mistakes. A falling loss proves nothing.

| Mistake | Name | The doctor says | Training shows it, and its share of the gain |
| --- | --- | --- | --- |
{rows}

{cards}
## Limits

A clipped gradient is not the gradient of the loss. Its check multiplies the loss by
max_norm / norm, with the norm of the measured slopes: clipping by the global norm gives the
gradient of this product, and other kinds of clipping do not. The repositories are named with the
commit or the thread that was read; they may have changed since.
"""


# --- the blind hunt ------------------------------------------------------------------------------

_ORDER = np.random.default_rng(21).permutation(list(MUTANTS)).tolist()


def blind(number: int) -> Case:
    """Return the patient with the mistake of one exhibit, without its name.

    Parameters
    ----------
    number : int
        From 1 to the number of exhibits; the order is not that of the rooms.
    """
    return case(MUTANTS[_name(number)])


def guess(number: int, name: str) -> bool:
    """Return True if the exhibit behind a number has this name."""
    return _name(number) == exhibit("guess", name).name


def _name(number: int) -> str:
    check_whole("museum", "number", number, 1, len(_ORDER))
    return _ORDER[number - 1]
