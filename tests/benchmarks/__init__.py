"""The speed of numpylstm beside PyTorch, from a clone: ``python -m tests.benchmarks``.

`configurations`  the models and shapes that are measured, their weights, data and arithmetic
`peers`           the same work in each library: a training step, an evaluation, sampling
`worker`          runs in its own process, for one library, and answers requests
`measure`         starts the workers and takes turns: training, scoring, sampling
`tables`          the figures as text
"""
