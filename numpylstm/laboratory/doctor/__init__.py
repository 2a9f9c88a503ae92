"""The doctor: what is likely wrong with a gradient that fails its check, in words.

`examine` takes a scalar function of named arrays and its backward pass, of any layer by anyone. It
measures slopes, sweeps the step size, and then experiments: does the mistake go away with one time
step, with Wh symmetric, with all weights one? Each answer excludes causes. What is left is said in
a sentence, together with the evidence; where nothing fits, the doctor says so.

Like `numpylstm.laboratory.gradcheck`, it uses no code that it judges.
"""

from numpylstm.laboratory.doctor.diagnosis import Diagnosis, examine
from numpylstm.laboratory.doctor.experiments import EXPERIMENTS, Experiment
from numpylstm.laboratory.doctor.reasoning import Finding
from numpylstm.laboratory.doctor.weak import weak_points
from numpylstm.laboratory.step_sizes import StepSweep, sweep_steps

__all__ = [
    "EXPERIMENTS",
    "Diagnosis",
    "Experiment",
    "Finding",
    "StepSweep",
    "examine",
    "sweep_steps",
    "weak_points",
]
