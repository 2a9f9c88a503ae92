"""Tools that prove gradients, show them and teach them.

- `gradcheck` proves a gradient, and `model_check` the gradients of a whole model.
- `step_sizes` shows how the error of a finite difference depends on its step.
- `doctor` names the likely mistake in a wrong backward pass.
- `museum` shows classic mistakes and how each is found.
- `mistakes` is the catalogue of mistakes that these two and the workbook share.
- `tape` holds every number of one small LSTM, to check yours against.
- `diagnostics` shows how far gradients reach, and why.
- `tasks` measure what a network can remember, against an exactly known best loss.
- `workbook` holds the blanks of the workbook and grades them.
"""
