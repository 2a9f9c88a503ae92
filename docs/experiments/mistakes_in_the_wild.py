"""Write the page of published mistakes, each rebuilt in our own lines and judged by our tools.

``python -m docs.experiments.mistakes_in_the_wild`` writes docs/laboratory/mistakes-in-the-wild.md
in two minutes. ENTRIES has the facts, with the address of each; every figure is computed. A test
keeps the page current, and checks that the tests it names exist.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from numpylstm import doctor, gradcheck, museum, reference
from numpylstm.laboratory.mistakes.wild import WILD

PAGE = Path(__file__).parents[1] / "laboratory" / "mistakes-in-the-wild.md"
COURSE = 1e-4
"""Relative error that courses and forums often accept."""


# --- mistakes outside the backward pass ----------------------------------------------------------


def one_bias_for_all_gates():
    """An LSTM that adds the bias of o to i, f and o, with the backward pass of the right one."""
    right = museum.case()

    def as_read(arrays):
        read = {}
        for path in ("lstm.0.b", "lstm.1.b"):
            _, _, of_g, of_o = np.split(arrays[path], 4)
            read[path] = np.concatenate([of_o, of_o, of_g, of_o])
        return arrays | read

    return museum.Case(
        lambda a: right.f(as_read(a)),
        lambda a: right.backward(as_read(a)),
        right.arrays,
        right.fixed,
    )


def written_into_the_argument():
    """A right backward pass that adds dh to dhs, the gradients from above, in place."""
    rng = np.random.default_rng(0)
    T, B, D, H = 5, 3, 4, 6
    shapes = {"x": (T, B, D), "h0": (B, H), "Wx": (D, H), "Wh": (H, H), "b": (H,)}
    arrays = {name: 0.5 * rng.standard_normal(shape) for name, shape in shapes.items()}
    fixed = {"dhs": rng.standard_normal((T, B, H))}

    def forward(a):
        return reference.rnn_forward(a["x"], a["h0"], a["Wx"], a["Wh"], a["b"])

    def f(a):
        return (a["dhs"] * forward(a)[0]).sum()

    def backward(a):
        *_, cache = forward(a)
        gradients = {name: np.zeros(shape) for name, shape in shapes.items()}
        dh = gradients["h0"]
        for t in reversed(range(T)):
            a["dhs"][t] += dh
            step = type(cache)(*(part[t] for part in cache[:3]), *cache[3:])
            dx, dh, dWx, dWh, db = reference.rnn_step_backward(a["dhs"][t], step)
            gradients["x"][t] = dx
            for name, gradient in (("Wx", dWx), ("Wh", dWh), ("b", db)):
                gradients[name] = gradients[name] + gradient
        return gradients | {"h0": dh}

    return museum.Case(f, backward, arrays, fixed)


def logarithm_of_more_than_p():
    """The mean of -log(p + 1e-7), with p - onehot as its gradient."""
    rng = np.random.default_rng(0)
    arrays = {"logits": rng.standard_normal((8, 11))}
    onehot = np.eye(11)[rng.integers(0, 11, 8)]

    def f(a):
        p = reference.softmax(a["logits"])
        return -np.log((p * onehot).sum(axis=1) + 1e-7).mean()

    def backward(a):
        return {"logits": (reference.softmax(a["logits"]) - onehot) / len(onehot)}

    return museum.Case(f, backward, arrays, {})


# --- the entries -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """A published mistake: where, the facts, how it is rebuilt, and the test that finds it."""

    title: str
    where: tuple[str, ...]  # owner/repository and number, or owner/repository and commit
    facts: str
    test: str  # file::test
    mistake: str = ""  # a name of WILD or of the museum
    patient: Callable[[], museum.Case] | None = None
    found: str = ""  # for what no gradient check can see: why


THROUGH_TIME = "tests/test_reference.py::test_through_time"
MUSEUM = "tests/test_museum.py::test_the_checker_kills_every_mutant_and_the_doctor_names_it"
OWN = "tests/test_mistakes_in_the_wild.py"

ENTRIES = (
    Entry(
        "The biases of three gates follow one",
        ("hanbt/learn_dl #53",),
        "In `lstm.py` the gradients of the biases of i and o are read from the list of f. The "
        "check in that file moves the recurrent matrix of f only, so it cannot see them.",
        THROUGH_TIME,
        mistake="biases-of-one-gate",
    ),
    Entry(
        "A sigmoid where its slope belongs",
        ("nicklashansen/rnn_lstm_from_scratch #1", "CaptainE/RNN-LSTM-in-numpy #1",
         "CaptainE/RNN-LSTM-in-numpy #2"),
        "The gradient of the forget gate is multiplied by the sigmoid of the gate: the argument "
        "that asks for the derivative is there for the other gates and missing for this one. The "
        "first reader found it by a gradient check.",
        THROUGH_TIME,
        mistake="sigmoid-for-its-slope",
    ),
    Entry(
        "Neither gradient of the state goes back",
        ("CaptainE/RNN-LSTM-in-numpy #1",),
        "The same loop computes the gradients for the step before, and begins the next round with "
        "those of the last step again, which are zero. (The thread asks for the two lines.)",
        THROUGH_TIME,
        mistake="no-state-carried",
    ),
    Entry(
        "The state where its slope belongs, one step late",
        ("hanbt/learn_dl #16", "hanbt/learn_dl #29"),
        "In `rnn.py` the error of step k is multiplied by the state of step k + 1; the derivative "
        "is computed, and stored elsewhere. Its own check has two steps and a state of zero before "
        "them, where the error of the first step meets only zeros. Rebuilt here: the state of the "
        "same step for its slope.",
        THROUGH_TIME,
        mistake="state-for-its-slope",
    ),
    Entry(
        "The carousel is not carried back, and the check cannot see it",
        ("hanbt/learn_dl eff712e",),
        "Read in `lstm.py`, in no thread that we know: the gradients of all gates are made of dh "
        "alone, so what c hands to the next c is lost. The check has two steps, a state of zero "
        "before them, and moves Wh: of the first step it sees h0 = 0 times anything.",
        f"{OWN}::test_a_check_with_two_steps_and_a_state_of_zero_misses_the_carousel",
        mistake="dc-next-dropped",
    ),
    Entry(
        "Wx receives the gradient of the last step only",
        ("hanbt/learn_dl eff712e",),
        "Read in the same file: the matrices that read h are summed over time, those that read x "
        "are not.",
        THROUGH_TIME,
        mistake="inputs-of-the-last-step",
    ),
    Entry(
        "Errors multiplied, where Jacobians must be",
        ("hanbt/learn_dl #33",),
        "Formula (13) of the tutorial is the product over time of the errors of the gates times "
        "their matrices. What the chain rule multiplies are the derivatives of one state by the "
        "one before; the error occurs once, at the end. A sign without any check: the gradient of "
        "twice the loss would not be twice the gradient.",
        THROUGH_TIME,
        mistake="errors-multiplied",
    ),
    Entry(
        "A partial derivative for a total one",
        ("d2l-ai/d2l-en #2616", "d2l-ai/d2l-en #2505", "d2l-ai/d2l-en #2053"),
        "The derivation writes ∂ for both: ∂L/∂h_t is total, with all that comes back from later "
        "steps, and ∂h_t/∂W is partial, with h_{t-1} held fixed. The formulas at its end are "
        "right (we read them at 05a6605). Readers who take both as total count paths twice, and "
        "those who take both as partial lose all but the direct one, which is rebuilt here.",
        THROUGH_TIME,
        mistake="partial-for-total",
    ),
    Entry(
        "dh is not passed to the step before",
        ("qixianbiao/RNN #2", "omerbsezer/LSTM_RNN_Tutorials_with_Demo #2"),
        "Two readers each add the missing term: the gradient of the state before, to that of the "
        "output of a step.",
        MUSEUM,
        mistake="dh-next-dropped",
    ),
    Entry(
        "Only what comes from the next step",
        ("microsoft/ai-edu #554",),
        "The opposite: formula 17 of a chapter took for the gradient of h_t only the part from "
        "step t + 1, and left out the loss at step t. Corrected by the pull request.",
        THROUGH_TIME,
        mistake="own-step-dropped",
    ),
    Entry(
        "dc is overwritten",
        ("apache/mxnet #4057", "nicodjimenez/lstm #2", "cthorey/CS231 #1",
         "arunmallya/arunmallya.github.io #3"),
        "The first is about an example with = for +=. In the other three a reader asks why the "
        "right code adds, and takes the sum for a slip.",
        MUSEUM,
        mistake="dc-overwritten",
    ),
    Entry(
        "The transpose of Wh is missing",
        ("vzhou842/rnn-from-scratch 68b10bb",),
        "The line stands, unchanged, in many copies of this tutorial.",
        MUSEUM,
        mistake="missing-wh-transpose",
    ),
    Entry(
        "dx leaves out the later steps",
        ("eriklindernoren/ML-From-Scratch a2806c6",),
        "Right for a single layer that reads data, and wrong for every stack.",
        MUSEUM,
        mistake="dx-of-its-own-step",
    ),
    Entry(
        "Dropout's mask is not applied backward",
        ("ddbourgin/numpy-ml #94",),
        "A reader asks about the wrapper of layers; the thread has no answer.",
        MUSEUM,
        mistake="mask-forgotten",
    ),
    Entry(
        "Rows of the embedding are overwritten",
        ("karpathy/nn-zero-to-hero #57", "HIPS/autograd #39", "pytorch/pytorch #1528"),
        "In an exercise, in a library of automatic differentiation, and in a framework: `+=` on "
        "repeated rows keeps one of the gradients.",
        MUSEUM,
        mistake="embedding-overwritten",
    ),
    Entry(
        "A mean is reported, the gradient of the sum followed",
        ("dennybritz/rnn-tutorial-rnnlm 344d8ff", "eriklindernoren/ML-From-Scratch a2806c6"),
        "No harm where the rate was tuned with it; the rate does not carry over to other lengths.",
        MUSEUM,
        mistake="sum-for-mean",
    ),
    Entry(
        "Each parameter is clipped by its own norm",
        ("ddbourgin/numpy-ml b0359af", "carpedm20/MemN2N-tensorflow #19",
         "huggingface/transformers #614"),
        "Two threads about code that clips in groups, where the paper says the norm of all.",
        MUSEUM,
        mistake="per-parameter-clipping",
    ),
    Entry(
        "All layers are one object",
        ("adventuresinML/adventures-in-ml-code d5219ae", "tensorflow/models #2868"),
        "A list that repeats one cell; fixed in the second by the pull request.",
        MUSEUM,
        mistake="layers-share-gradient",
    ),
    Entry(
        "Dropped weights are never trained",
        ("fastai/fastai #2591", "fastai/fastai2 #427"),
        "Weight dropout replaced the recurrent matrix by a masked copy that was a parameter of its "
        "own, so no gradient reached the matrix that the optimiser holds. Found by a reader who "
        "looked at `.grad`; corrected with a test.",
        "tests/test_model_check.py::test_weight_drop_without_a_gradient_is_found",
        mistake="masked-weights-alone",
    ),
    Entry(
        "One bias in the forward pass of three gates",
        ("ddbourgin/numpy-ml #42",),
        "A slip of copy and paste in the *forward* pass: i and f add the bias of o. While all "
        "biases are zero, as after initialisation, every output is right.",
        f"{OWN}::test_the_verdicts_of_the_page",
        patient=one_bias_for_all_gates,
    ),
    Entry(
        "A small number inside the logarithm",
        ("oreilly-japan/deep-learning-from-scratch-2 5473be8",),
        "The loss is -log(p + 1e-7), its gradient that of -log p. Harmless in training. But a "
        "check by the complex step reports it, and the finest check by differences would have to "
        "be explained away.",
        f"{OWN}::test_the_verdicts_of_the_page",
        patient=logarithm_of_more_than_p,
    ),
    Entry(
        "A right gradient that fails its check",
        ("Burton2000/CS231n-2017 #7",),
        "A student adds dh to the array of the gradients from above, in place, and finds all "
        "gradients wrong. The thread ends without an answer. Our reading: the gradients are right, "
        "and the check that follows uses the changed array in its function.",
        "tests/test_doctor_lines.py::"
        "test_a_right_gradient_that_changes_its_argument_is_not_called_random",
        patient=written_into_the_argument,
    ),
    Entry(
        "Weight dropout that drops nothing",
        ("salesforce/awd-lstm-lm #5",),
        "After an update of the framework, the layer computed with its own list of the weights and "
        "not with the masked ones. The author found it after the perplexity had become 65 for 61, "
        "by a forward pass with a probability of 0.9.",
        "tests/test_model_check.py::test_weight_drop_whose_mask_has_no_effect_is_found",
        found="The gradients belong to the function that is computed, without a mask.",
    ),
    Entry(
        "A mask that stays on in evaluation",
        ("salesforce/awd-lstm-lm #72",),
        "The variational kind of weight dropout is drawn with `training=True`, whatever the mode.",
        "tests/test_models.py::test_training_false_is_the_model_without_dropout",
        found="The gradients are right, in training.",
    ),
    Entry(
        "Dropped weights never come back",
        ("keitakurita/Better_LSTM_PyTorch #7",),
        "Readers see that the mask is written into the matrix itself: what was dropped once is "
        "zero for good.",
        f"{OWN}::test_dropped_weights_come_back",
        found="Each gradient is right at the matrix as it is then.",
    ),
    Entry(
        "All gates begin with the same weights",
        ("nicodjimenez/lstm #35",),
        "The function that draws the weights sets the seed to 0 at every call.",
        f"{OWN}::test_the_gates_begin_with_different_weights",
        found="A gradient is right at any point, also at a bad one.",
    ),
    Entry(
        "A cell without the tanh on c",
        ("nicodjimenez/lstm a2f2e99",),
        "h = o * c, forward and backward. The gradients fit; the cell is another one (readers ask "
        "in #47).",
        "tests/test_tape.py::test_one_wrong_number_is_named_whichever_it_is",
        found="The gradient is right for the function that is computed.",
    ),
    Entry(
        "A sigmoid of twice its argument",
        ("HIPS/autograd bff107b",),
        "The example writes the gate as (tanh(x) + 1) / 2, which is the sigmoid of 2x; weights "
        "trained with it fit no other LSTM.",
        "tests/test_tape.py::test_one_wrong_number_is_named_whichever_it_is",
        found="The gradient is right for the function that is computed.",
    ),
)  # fmt: skip


def address(where):
    """Return a link to a thread, or to a file tree at a commit."""
    repository, at = where.split()
    path = f"issues/{at[1:]}" if at[0] == "#" else f"tree/{at}"
    return f"[{repository} {at}](https://github.com/{repository}/{path})"


def record(entry):
    """Return the record of a mistake, or None."""
    return (WILD | museum.MUTANTS).get(entry.mistake)


def patient_of(entry):
    """Return the case of an entry, or None if no gradient check can see it."""
    mistake = record(entry)
    return museum.case(mistake) if mistake else entry.patient() if entry.patient else None


def slopes_of(patient):
    """Return the slopes of a patient's function: central differences, and the complex step."""

    def f(arrays):
        return patient.f(patient.fixed | arrays)

    return [
        measure(f, patient.arrays)
        for measure in (gradcheck.central_difference, gradcheck.complex_step)
    ]


@cache
def slopes_at_the_point(*function):
    """Measure once for all records of one function: they differ in the backward pass alone."""
    records = (WILD | museum.MUTANTS).values()
    return slopes_of(museum.case(next(m for m in records if function_of(m) == function)))


def function_of(mistake):
    """Return what decides the function of a record's patient and its point."""
    options = tuple(mistake.options.items())
    return mistake.cell, options, mistake.equal_layers, mistake.function == "clip"


@cache
def errors(entry):
    """Return the largest relative errors by central differences and by the complex step.

    The backward pass runs first, as in the check of a reader, and may change what f reads.
    """
    mistake, patient = record(entry), patient_of(entry)
    gradients = patient.backward(patient.fixed | patient.arrays)
    slopes = slopes_at_the_point(*function_of(mistake)) if mistake else slopes_of(patient)
    return tuple(
        max(
            gradcheck.compare(path, gradient, measured[path], tolerance=0).relative_error
            for path, gradient in gradients.items()
        )
        for measured in slopes
    )


def verdicts(entry):
    """Return "yes" or "no" for central differences at 1e-4 and at 1e-7, and the complex step."""
    if patient_of(entry) is None:
        return "no", "no", "no"
    central, complex_step = errors(entry)
    tolerances = COURSE, gradcheck.METHODS["central"].tolerance
    seen = [central > tolerance for tolerance in tolerances]
    seen.append(complex_step > gradcheck.METHODS["complex"].tolerance)
    return tuple("yes" if each else "no" for each in seen)


@cache
def right_lesson(cell):
    return museum.train(cell=cell)


def training(entry):
    """Say what the mistake does to training, for those rebuilt here."""
    mistake = record(entry)
    if entry.mistake in museum.MUTANTS:
        return f"See its card in the museum, `{entry.mistake}`."
    if mistake is None:
        return ""
    right, wrong = right_lesson(mistake.cell), museum.train(mistake)
    share = (wrong.first - wrong.last) / (right.first - right.last)
    return (
        f"The loss falls from {wrong.first:.2f} to {wrong.last:.2f} nats per token, and from "
        f"{right.first:.2f} to {right.last:.2f} with the right gradient: {share:.0%} of the gain."
    )


def section(number, entry):
    """Return the section of an entry in Markdown."""
    parts = [
        f"### {number}. {entry.title}",
        f"{', '.join(map(address, entry.where))}.\n{entry.facts}",
    ]
    if entry.mistake in WILD:
        parts.append(f"```diff\n{WILD[entry.mistake].diff()}\n```")
    if trained := training(entry):
        parts.append(f"**Training.** {trained}")
    patient = patient_of(entry)
    if patient is None:
        parts.append(f"**No check of gradients finds it.** {entry.found}")
    elif entry.mistake in museum.MUTANTS:
        parts.append(f"**The doctor.** {museum.MUTANTS[entry.mistake].words}.")
    else:
        found = doctor.examine(**vars(patient))
        said = found.findings[0].sentence if found.findings else str(found)
        parts.append(f"**The doctor.**\n\n```text\n{said}\n```")
    parts.append(f"**Test.** `{entry.test}`")
    return "\n\n".join(parts)


def table():
    """Return the table of all entries: which check finds what."""
    rows = [
        f"| {number} | {entry.title} | {' | '.join(verdicts(entry))} |"
        for number, entry in enumerate(ENTRIES, 1)
    ]
    return "\n".join(rows)


def page():
    """Return the page in Markdown."""
    seen = [verdicts(entry) for entry in ENTRIES]
    of_all = sum(each == ("yes", "yes", "yes") for each in seen)
    fine = sum(each[:1] + each[2:] == ("no", "yes") for each in seen)
    none = sum(each == ("no", "no", "no") for each in seen)
    sections = "\n\n".join(section(number, entry) for number, entry in enumerate(ENTRIES, 1))
    return f"""# Mistakes in the wild

{len(ENTRIES)} mistakes of published derivations and implementations: where each was found, what
it does, and what finds it. Whoever publishes code gives others the chance to find such a line,
and most of these were found by a reader and corrected by the author; our own are in the
changelog. No code was copied: each mistake is rebuilt as a change of our
own lines, and those of the backward pass are records like the exhibits of the
[museum](museum.md). The threads were read in December 2026 and may have gone on since; where a
commit is named, the mistake was read in the file of that commit, by us or in earlier notes of ours.

`python -m docs.experiments.mistakes_in_the_wild` writes this page, and a test keeps it current.
Every figure is computed.

```python
>>> from numpylstm import museum
>>> from numpylstm.laboratory.mistakes.wild import WILD
>>> patient = museum.case(WILD["sigmoid-for-its-slope"])
>>> patient.check().passed
False

```

## Which check finds which

Central differences in float64, with a relative error of {COURSE:g} (which courses and forums
often accept) and of 1e-7 (ours), and the complex step (1e-12). All three find {of_all}. {fine}
more needs one of the two fine checks. {none} are found by no check of gradients at all: the
gradient is right, for a function that is not the one that was meant. Those need a second
implementation, a known number, or a test of what the function promises. None is found by the
complex step alone: it saves the argument about the tolerance.

| | Mistake | differences, {COURSE:g} | differences, 1e-7 | complex step |
| --- | --- | --- | --- | --- |
{table()}

Two checks published *beside* a mistake could not see it: both had two steps from a state of
zero, and one of them moved a single matrix. Random states, random biases, at least three steps
and every array: that is what [a check](checking-gradients.md) needs.

## One by one

{sections}

## Left out

learn2deeplearn #44 (a formula of a course that is given as a picture), lhnguyen102/cuTAGI #77
(another kind of learning), apache/mxnet #18203 (an array that is overwritten too early, in a
stack of two directions: a mistake of memory and not of a formula). """


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
