"""Probe tasks: small, generated, and with an exactly known best loss.

On text nobody knows how good a model could be. On these tasks it is known: each has a `floor`, the
entropy of its targets given all that came before, which no model can beat, and a `chance`, the
loss of a model that has learnt how frequent the targets are and remembers nothing. A network that
remembers moves from the one to the other.

=============== ==============================================================================
`DelayedCopy`   Say again, `distance` steps later, what was shown.
`Adding`        Add two marked digits among many others.
`TemporalOrder` Two rare symbols, far apart: which were they, and in which order.
`EmbeddedReber` A stream of strings in which the last letter but one repeats the second.
`Pronoun`       English sentences in which *his* or *her* agrees with a subject k words back.
=============== ==============================================================================

The floors lie above zero: in the first three tasks a known share of the answers is wrong at random
(`noise`), in the last two the text is a matter of chance. So "within 2 % of the floor" means
something, and a loss below the floor gives away a model that sees its answers.

All of them are frozen dataclasses with `vocab_size`, `tokens` (what each id stands for),
`num_steps`, `chance`, `floor` (both in nats for each scored token), a `recipe` with which an LSTM
learns the task, and ``batch(batch_size, rng)``.

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

from numpylstm.laboratory.tasks.english import Pronoun
from numpylstm.laboratory.tasks.reber import EmbeddedReber
from numpylstm.laboratory.tasks.recall import Adding, DelayedCopy, TemporalOrder
from numpylstm.laboratory.tasks.source import Source
from numpylstm.laboratory.tasks.task import Batch, Recipe, Task, entropy, spell

__all__ = [
    "Adding",
    "Batch",
    "DelayedCopy",
    "EmbeddedReber",
    "Pronoun",
    "Recipe",
    "Source",
    "Task",
    "TemporalOrder",
    "entropy",
    "spell",
]
