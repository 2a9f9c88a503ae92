"""Tools that prove gradients, show them and teach them.

- `gradcheck` proves a gradient, and `numpylstm.model_check` the gradients of a whole model.
- `step_sizes` shows how the error of a finite difference depends on its step.
- `doctor` names the likely mistake in a wrong backward pass.
- `mistakes` is the catalogue of mistakes: `numpylstm.museum` shows the famous ones, and the doctor
  and the workbook try them all.
- `numpylstm.tape` holds every number of one small LSTM, to check yours against.
- `diagnostics` shows how far gradients reach, and why.
- `tasks` measure what a network can remember, against an exactly known best loss.
- `workbook` holds the blanks of the workbook and grades them.
"""
