"""Mistakes of published code and derivations that are no exhibit, rebuilt in our own lines.

``docs/laboratory/mistakes-in-the-wild.md`` says where each was found. `museum.case`, `museum.train`
and the doctor take them as they take the exhibits.
"""

from numpylstm.laboratory.mistakes.record import Mistake

FOUND = (
    Mistake(
        name="biases-of-one-gate",
        title="Three biases follow the forget gate",
        function="lstm_step_backward",
        changes=(
            (
                "db = da.sum(axis=0)",
                "db = np.concatenate([da_f, da_f, da_g, da_f], axis=1).sum(axis=0)",
            ),
        ),
        words="the gradient of one gate's bias stands for three",
    ),
    Mistake(
        name="sigmoid-for-its-slope",
        title="The forget gate is multiplied by a sigmoid and not by its slope",
        function="lstm_step_backward",
        changes=(("da_f = df * f * (1 - f)", "da_f = df * sigmoid(f)"),),
        words="sigmoid(f) instead of the slope f * (1 - f)",
    ),
    Mistake(
        name="state-for-its-slope",
        title="The state stands where its slope must",
        function="rnn_step_backward",
        changes=(("dh * activation_derivative(h, activation)", "dh * h"),),
        words="h instead of the slope at h",
        cell="rnn",
    ),
    Mistake(
        name="partial-for-total",
        title="A partial derivative for a total one: only the direct use of Wh",
        function="rnn_backward",
        changes=(("dhs[t] + dh, step)", "dhs[t], step)"),),
        words="the term dh is missing",
        cell="rnn",
    ),
    Mistake(
        name="own-step-dropped",
        title="Only the gradient from the next step, and not that of the own step's loss",
        function="rnn_backward",
        changes=(("dhs[t] + dh, step)", "dhs[t] * (t == len(dhs) - 1) + dh, step)"),),
        words="the term dhs[t] is missing",
        cell="rnn",
    ),
    Mistake(
        name="no-state-carried",
        title="Neither dh nor dc goes back to the step before",
        function="lstm_backward",
        changes=(("dhs[t] + dh, dc, step)", "dhs[t], 0 * dc, step)"),),
        words="nothing is carried from step to step",
    ),
    Mistake(
        name="inputs-of-the-last-step",
        title="Wx receives the gradient of the last step only",
        function="lstm_backward",
        changes=(("dWx += dWx_t", "dWx += dWx_t * (t == len(dhs) - 1)"),),
        words="the gradient of Wx is not summed over time",
    ),
    Mistake(
        name="errors-multiplied",
        title="The errors of the steps are multiplied, where their Jacobians must be",
        function="lstm_backward",
        changes=(
            (
                "        dx[t], dh, dc, dWx_t,",
                "        error = dhs[t] + dh\n        dx[t], dh, dc, dWx_t,",
            ),
            ("        dWx += dWx_t\n", "        dh = dh * error\n        dWx += dWx_t\n"),
        ),
        words="the error is multiplied by that of the later step",
    ),
    Mistake(
        name="masked-weights-alone",
        title="The gradient stays with the masked copy of Wh",
        function="lstm_step_backward",
        changes=(("dWh = h_prev.T @ da", "dWh = 0 * Wh"),),
        words="Wh receives no gradient",
    ),
)

WILD = {mistake.name: mistake for mistake in FOUND}
"""The mistakes by name."""
