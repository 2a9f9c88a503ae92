"""The laboratory: what proves gradients, shows them, and teaches them.

- `gradcheck` proves a gradient, and `model_check` those of a whole model.
- `step_sizes` shows how the error of a difference depends on its step.
- `doctor` says in words what is wrong with one.
- `museum` shows classic mistakes, each of them caught.
- `tape` holds every number of one small LSTM, to check your own by.
- `diagnostics` shows how far gradients reach, and why.
- `tasks` ask what a network can remember, and know the exact answer.
- `blanks` are the questions of the workbook, and `grading` judges the answers.
"""
