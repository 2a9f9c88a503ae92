"""Speed, measured against other frameworks on the same machine: what ``numpylstm-bench`` runs.

`configurations`  the models that are measured, their weights, their data, their arithmetic
`peers`           the same work in each library: a training step, an evaluation, sampling
`worker`          runs in a process of its own, for one library, and does as it is told
`process`         starts such a worker and talks to it
`measure`         takes turns between workers: training, evaluation, sampling, start-up, memory
`scaling`         how time grows with each dimension
`grid`           shapes far apart, and a summary of all
`watching`        times the functions of one training step; `phases` says what bounds them
`machine`         what this machine can do, and whether others are using it
`runs`, `report`  whole runs of the command, and how they are printed and saved

Nothing is imported here: a worker for another library must not pay for what it does not use.
"""
