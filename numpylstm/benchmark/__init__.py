"""The speed of numpylstm and of other frameworks on the same machine: ``numpylstm-bench``.

`configurations`  the models and shapes that are measured, their weights, data and arithmetic
`peers`           the same work in each library: a training step, an evaluation, sampling
`worker`          runs in its own process, for one library, and answers requests
`measure`         starts the workers and takes turns: training, scoring, sampling, start-up, memory
`runs`            what the command measures, and how it is printed and drawn

Nothing is imported here: a worker for another library must not pay for what it does not use.
"""
