"""The doctor: the likely cause of a gradient check that fails, as a sentence.

`examine` takes a scalar function of named arrays and its backward pass, of any layer. If the
function is one of the textbook's layers, or a stack of them, the doctor names the wrong line: it
compares the gradient with the gradients of some thousand mistakes of one line. For other code it
looks for patterns in the numbers and experiments with the data. A finding is a sentence with its
evidence; if nothing fits, the doctor says so.
"""

from numpylstm.laboratory.doctor.diagnosis import Diagnosis, examine
from numpylstm.laboratory.doctor.findings import Finding
from numpylstm.laboratory.doctor.weak import weak_points
from numpylstm.laboratory.doctor.words import Kind
from numpylstm.laboratory.step_sizes import StepSweep, sweep_steps

__all__ = [
    "Diagnosis",
    "Finding",
    "Kind",
    "StepSweep",
    "examine",
    "sweep_steps",
    "weak_points",
]
