"""The doctor: what is likely wrong with a gradient that fails its check, in words.

`examine` takes a scalar function of named arrays and its backward pass, of any layer. If the
function is one of the textbook's layers, or several of them one above the other, the line that is
wrong is named: the gradient is compared with that of some thousand mistakes of one line. For other
code the doctor reads what it can off the numbers and experiments with the data. A finding is a
sentence with its evidence; where nothing fits, the doctor says so.
"""

from numpylstm.laboratory.doctor.diagnosis import Diagnosis, examine
from numpylstm.laboratory.doctor.reasoning import Finding
from numpylstm.laboratory.doctor.weak import weak_points
from numpylstm.laboratory.step_sizes import StepSweep, sweep_steps

__all__ = [
    "Diagnosis",
    "Finding",
    "StepSweep",
    "examine",
    "sweep_steps",
    "weak_points",
]
