"""The speed of numpylstm beside PyTorch, from a clone: ``python -m tests.benchmarks``.

`configurations`  the models and shapes that are measured, their weights, data and arithmetic
`peers`           the same work in each library: a training step, an evaluation, sampling, one step
`worker`          runs in its own process, for one library, and answers requests
`measure`         starts the workers and takes turns: training, scoring, sampling, streaming
`start`           the first training step of a fresh process, and the kernels that it compiles
`processor`       what the processor could reach: its clock and its multiply-adds
`tables`          the figures as tables of Markdown
"""
