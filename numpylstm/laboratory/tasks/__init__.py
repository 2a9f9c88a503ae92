"""Probe tasks: small, generated, and with an exactly known best loss.

On natural text the best possible loss is unknown. On these tasks it is known: each has a `floor`,
the entropy of its targets given all that came before, which no model can beat, and a `chance`, the
loss of a model that knows the frequencies of the targets and remembers nothing. A network that
learns to remember moves from the one to the other.

=================== ==========================================================================
`DelayedCopy`       Repeat, `distance` steps later, the letters that were shown.
`SelectiveCopy`     Repeat, in their order, the letters scattered among filler.
`AssociativeRecall` Recall the value that was stored under a key.
`Adding`            Add two marked digits among many others.
`TemporalOrder`     Name two rare symbols, far apart, in their order.
`Parity`            Tell at each step whether the number of ones so far is even or odd.
`EmbeddedReber`     A stream of strings in which the last letter but one repeats the second.
`Pronoun`           English sentences in which *his* or *her* agrees with a subject k words back.
=================== ==========================================================================

The floors are above zero: in the last two tasks the text is random, in the others a known share of
the answers is wrong at random (`noise`). So "within 2 % of the floor" is meaningful, and a
loss below the floor reveals a model that sees its answers.

All tasks are frozen dataclasses with `vocab_size`, `tokens` (the token of each id), `num_steps`,
`chance` and `floor` (both in nats per scored token), a `recipe` with which an LSTM learns the task,
and ``batch(batch_size, rng)``. A task of your own needs the same.

Examples
--------
>>> from numpylstm import tasks
>>> task = tasks.DelayedCopy(distance=6)
>>> batch = task.batch(batch_size=2, rng=0)
>>> tasks.spell(task, batch.x[:, 0])
'g . . . . . ?'
>>> tasks.spell(task, batch.y[:, 0])
'. . . . . . g'
>>> batch.weights[:, 0]  # only the answer is scored
array([0., 0., 0., 0., 0., 0., 1.], dtype=float32)
>>> print(f"chance {task.chance:.4f}, floor {task.floor:.4f}")
chance 2.0794, floor 0.5197
"""

from numpylstm.laboratory.tasks.grammars import EmbeddedReber, Pronoun
from numpylstm.laboratory.tasks.recall import (
    Adding,
    AssociativeRecall,
    DelayedCopy,
    Parity,
    SelectiveCopy,
    TemporalOrder,
)
from numpylstm.laboratory.tasks.task import Batch, Recipe, entropy, spell

__all__ = [
    "Adding",
    "AssociativeRecall",
    "Batch",
    "DelayedCopy",
    "EmbeddedReber",
    "Parity",
    "Pronoun",
    "Recipe",
    "SelectiveCopy",
    "Task",
    "TemporalOrder",
    "entropy",
    "spell",
]

Task = (
    DelayedCopy
    | SelectiveCopy
    | AssociativeRecall
    | Adding
    | TemporalOrder
    | Parity
    | EmbeddedReber
    | Pronoun
)
"""Any of the tasks."""
