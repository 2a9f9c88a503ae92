"""The speed of numpylstm and of other frameworks on the same machine: ``numpylstm-bench``.

`configurations`  the models and shapes that are measured, their weights, data and arithmetic
`peers`           the same work in each library: a training step, an evaluation, sampling
`worker`          runs in a process of its own, for one library, and answers requests
`process`         starts a worker and talks to it
`measure`         takes turns between workers: training, evaluation, sampling, start-up, memory
`runs`, `report`  what the command measures, and how it is printed and saved

Nothing is imported here: a worker for another library must not pay for what it does not use.
"""
