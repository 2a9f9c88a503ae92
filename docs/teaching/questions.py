"""Questions of exams and quizzes; each function draws one, with its answer.

Numbers of an answer are computed by the library, and the lines of an answer are measured by the
complex step before they are written.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from drawn import Choice

import numpylstm as nl
from numpylstm import gradcheck, reference


class Question(NamedTuple):
    """A question and its answer, both Markdown, and its points; the answer says what for."""

    text: str
    answer: str
    points: int


# --- sizes ----------------------------------------------------------------------------------------


def size_of_a_layer(choice: Choice) -> Question:
    layer, name = {"lstm": (nl.LSTM, "An LSTM"), "rnn": (nl.RNN, "A vanilla RNN")}[
        choice.of("layer", ("lstm", "rnn"))
    ]
    D, H = choice.of("D", range(20, 130, 10)), choice.of("H", range(50, 350, 25))
    T, B = choice.of("T", (20, 25, 30, 35, 50)), choice.of("B", (8, 12, 16, 32))
    count = layer(D, H, rng=0).num_parameters
    return Question(
        f"""{name} layer has D = {D} inputs and H = {H} units, with one bias for each sum. How many
parameters has it? What is the shape of its hidden states for {T} steps of {B} sequences?""",
        f"{count:,} (2 points); ({T}, {B}, {H}), in any order that is named (1).",
        3,
    )


def size_of_a_model(choice: Choice) -> Question:
    V, D = choice.of("V", range(2000, 9000, 500)), choice.of("D", range(20, 130, 10))
    H = choice.of("H", range(50, 350, 25))
    arrays = nl.LanguageModel(V, H, embedding_size=D, rng=0).parameters()
    sizes = [parameter.data.size for parameter in arrays.values()]
    return Question(
        f"""A language model for V = {V:,} words has a table with rows of D = {D} numbers, one LSTM
layer with H = {H} units, and a linear layer that gives a score for each word. How many parameters
has the LSTM, and how many has the whole model?""",
        f"{4 * H * (D + H + 1):,} (1 point); {sum(sizes):,} (2; 1 if one array is missing).",
        3,
    )


# --- by hand --------------------------------------------------------------------------------------


def two_uses_of_a_weight(choice: Choice) -> Question:
    w, first, second, h0 = (choice.of(name, range(2, 7)) for name in ("w", "x1", "x2", "h0"))
    _, dw = relu_unit(w, first, second, h0, [0.0, 1.0])
    return Question(
        f"""One relu unit, $h_t = \\mathrm{{relu}}(x_t + w\\, h_{{t-1}})$, reads $x = ({first},
{second})$ from $h_0 = {h0}$ with $w = {w}$. Compute $dL/dw$ of $L = h_2$.""",
        f"{dw:g} (5 points). The last use of w gives $h_1$ = {first + w * h0} (2), the first gives "
        f"$w\\, h_0$ = {w * h0} (2), and they are added (1).",
        5,
    )


def two_losses(choice: Choice) -> Question:
    w, first, second, h0 = (choice.of(name, range(2, 7)) for name in ("w", "x1", "x2", "h0"))
    dh0, dw = relu_unit(w, first, second, h0, [1.0, 1.0])
    return Question(
        f"""One relu unit, $h_t = \\mathrm{{relu}}(x_t + w\\, h_{{t-1}})$, reads $x = ({first},
{second})$ from $h_0 = {h0}$ with $w = {w}$. The loss is $L = h_1 + h_2$. Compute $dL/dh_0$ and
$dL/dw$.""",
        f"{dh0:g} (2 points) and {dw:g} (3). $h_1$ receives 1 from the loss and w = {w} from "
        f"$h_2$, together {1 + w}. Then $dL/dw$ is $h_1$ + {1 + w} $h_0$ = {first + w * h0} + "
        f"{(1 + w) * h0}.",
        5,
    )


def relu_unit(w: int, first: int, second: int, h0: int, dhs: list[float]) -> tuple[float, float]:
    """Return dL/dh0 and dL/dw of a relu unit that reads two numbers."""
    one, x = np.ones((1, 1)), np.reshape([first, second], (2, 1, 1)).astype(float)
    *_, cache = reference.rnn_forward(x, h0 * one, one, w * one, np.zeros(1), "relu")
    _, dh0, _, dWh, _ = reference.rnn_backward(np.reshape(dhs, (2, 1, 1)), 0 * one, cache)
    return dh0.item(), dWh.item()


def three_rules(choice: Choice) -> Question:
    x, w, k = (choice.of(name, range(2, 6)) for name in ("x", "w", "k"))
    slope = gradcheck.complex_step(
        lambda arrays: ((arrays["x"] * w) * (arrays["x"] * w + k * arrays["x"])).sum(),
        {"x": np.array([float(x)])},
    )["x"].item()
    return Question(
        f"""$a = w\\, x$, then $b = a + {k}\\, x$, then $L = a\\, b$, with $x = {x}$ and $w = {w}$.
Compute $dL/da$ (all of it) and $dL/dx$, from the last line to the first.""",
        f"$dL/da$ = b + a = {w * x + k * x} + {w * x} = {2 * w * x + k * x} (1 point: two uses); "
        f"$dL/dx$ = w dL/da + {k} dL/db = {w * (2 * w * x + k * x)} + {k * w * x} = {slope:g} (2).",
        3,
    )


# --- memory ---------------------------------------------------------------------------------------


def steps_until_little_is_left(choice: Choice) -> Question:
    f = choice.of("f", (0.7, 0.75, 0.8, 0.85, 0.9, 0.92, 0.95, 0.98, 0.99))
    share, said = choice.of(
        "share", ((2, "half"), (3, "a third"), (10, "a tenth"), (20, "a twentieth"))
    )
    steps = int(np.log(1 / share) / np.log(f)) + 1
    return Question(
        f"""A forget gate stays at {f}, and nothing is written. After how many steps is less than
{said} of the cell left? Which bias gives this gate, if all other inputs of the gate are 0?""",
        f"{steps} steps, the first k with {f}^k < 1/{share} (2 points); "
        f"ln({f} / {1 - f:.2g}) = {np.log(f / (1 - f)):.2f} (2).",
        4,
    )


def what_is_left_after(choice: Choice) -> Question:
    b, k = choice.of("b", (0.5, 1, 1.5, 2, 2.5, 3, 4)), choice.of("k", (5, 8, 10, 15, 20, 30))
    f = reference.sigmoid(np.array(float(b))).item()
    return Question(
        f"""The bias of a forget gate is {b}, its other inputs are 0, and nothing is written. What
is the gate, and which share of the cell is left after {k} steps?""",
        f"{f:.3f} (2 points); {f**k:.2g} (2).",
        4,
    )


# --- loss and update ------------------------------------------------------------------------------


def perplexity(choice: Choice) -> Question:
    ones_over = choice.order("words", (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 25, 50))[:4]
    found = np.exp(-np.log(1 / np.array(ones_over)).mean())
    listed = ", ".join(f"1/{n}" for n in ones_over)
    return Question(
        f"""A model gave four words in a row the probabilities {listed}. What is its perplexity on
them?""",
        f"{found:.3g}: exp of the mean of -ln p, or the fourth root of {np.prod(ones_over):,} "
        "(3 points; 1 for the mean of -ln p alone).",
        3,
    )


def perplexity_of_a_total(choice: Choice) -> Question:
    tokens = choice.of("tokens", (200, 400, 500, 800, 1000, 2000))
    mean = choice.of("mean", (3.2, 3.6, 4.1, 4.4, 4.7, 5.2, 5.5))
    return Question(
        f"""The negative log-likelihoods of {tokens:,} words add up to {mean * tokens:,.0f} nats.
What is the perplexity, and how many bits is that a word?""",
        f"exp({mean}) = {np.exp(mean):.3g} (2 points); {mean} / ln 2 = {mean / np.log(2):.2f} bits "
        "(1).",
        3,
    )


def clipping(choice: Choice) -> Question:
    triples = ((3, 4, 5), (6, 8, 10), (5, 12, 13), (8, 15, 17), (7, 24, 25), (20, 21, 29))
    a, b, norm = choice.of("triple", triples)
    limit, rate = choice.of("limit", (1, 2, 4, 30)), choice.of("rate", (0.1, 0.2, 0.5, 1.0))
    pair = {name: nl.Parameter(np.zeros(2), name) for name in "ab"}
    pair["a"].accumulate(np.array([a, 0.0]))
    pair["b"].accumulate(np.array([0.0, b]))
    nl.clip_by_global_norm(pair, limit)
    steps = [rate * pair["a"].grad[0], rate * pair["b"].grad[1]]
    factor = f"the factor is {limit}/{norm}" if limit < norm else "they stay as they are"
    return Question(
        f"""Two arrays have the gradients ({a}, 0) and (0, {b}). They are clipped to the global norm
{limit}, and SGD takes a step with the rate {rate}. What is subtracted from each?""",
        f"({steps[0]:.3g}, 0) and (0, {steps[1]:.3g}). The norm of both together is {norm} (2 "
        f"points), so {factor} (1), times the rate (1).",
        4,
    )


def sum_and_mean(choice: Choice) -> Question:
    T = choice.of("T", (10, 20, 25, 40, 50))
    rate, limit = choice.of("rate", (0.5, 1.0, 2.0)), choice.of("limit", (1, 2, 5, 10))
    return Question(
        f"""A loss is the sum over {T} steps. SGD trains with the rate {rate:g} and gradients
clipped to the norm {limit}. Someone takes the mean over the steps instead. Which rate and which
limit give the same run?""",
        f"The gradient is {T} times smaller (1 point): the rate {rate * T:g} (1) and the limit "
        f"{limit / T:g} (2; 0 if multiplied).",
        4,
    )


# --- a step of an LSTM, with a calculator ---------------------------------------------------------


def step_forward(choice: Choice) -> Question:
    sums, c_prev = drawn_step(choice)
    h, c, _ = lstm_step(sums, c_prev)
    return Question(
        f"""An LSTM with one unit has the sums {named_sums(sums)} and the old cell {c_prev:g}.
Compute c and h, to two decimals.""",
        f"c = {c:.2f} (3 points), h = {h:.2f} (2).",
        5,
    )


def step_backward(choice: Choice) -> Question:
    sums, c_prev = drawn_step(choice)
    dh, dc = choice.of("dh", (1.0, 2.0, -1.0)), choice.of("dc", (0.5, -0.5, 1.5))
    _, c, cache = lstm_step(sums, c_prev)
    one = np.ones((1, 1))
    _, _, dc_prev, _, _, da = reference.lstm_step_backward(dh * one, dc * one, cache)
    f = cache.f.item()
    return Question(
        f"""An LSTM with one unit has the sums {named_sums(sums)} and the old cell {c_prev:g}, so
its new cell is {c:.3f}. At h the gradient {dh:g} arrives, at c, from the next step, {dc:g}. Compute
the whole gradient of c, that of the old cell, and that of the sum $a_f$, to two decimals.""",
        f"dc = {dc:g} + dh o (1 - tanh(c)^2) = {dc_prev.item() / f:.2f} (2 points); "
        f"dc_prev = dc f = {dc_prev.item():.2f} (1); "
        f"da_f = dc c_prev f (1 - f) = {da[1]:.2f} (2).",
        5,
    )


def drawn_step(choice: Choice) -> tuple[dict[str, int], float]:
    sums = {gate: choice.of(gate, (-2, -1, 1, 2)) for gate in "ifgo"}
    return sums, choice.of("c_prev", (-2.0, -1.0, -0.5, 0.5, 1.5, 2.0))


def named_sums(sums: dict[str, int]) -> str:
    return ", ".join(f"$a_{gate} = {number}$" for gate, number in sums.items())


def lstm_step(sums: dict[str, int], c_prev: float) -> tuple[float, float, reference.LSTMCache]:
    zero, columns = np.zeros((1, 1)), np.zeros((1, 4))
    b = np.array([*sums.values()], float)
    h, c, cache = reference.lstm_step_forward(zero, zero, zero + c_prev, columns, columns, b)
    return h.item(), c.item(), cache


# --- a cell that was not in the lectures ----------------------------------------------------------


class Gate(NamedTuple):
    """A part of a cell (keep, write or read): its equation, its line, and its lines backward."""

    formula: str
    forward: str
    backward: str
    arrays: tuple[str, ...]


KEEPS = {
    "plain": Gate(
        r"f = \sigma(a_f)",
        "f = sigmoid(a_f)",
        "da_f = df * f * (1 - f)\ndc_prev = dout * f",
        ("a_f",),
    ),
    "peephole": Gate(
        r"f = \sigma(a_f + p \odot c_{prev})",
        "f = sigmoid(a_f + p * c_prev)",
        "da_f = df * f * (1 - f)\ndp = (da_f * c_prev).sum(axis=0)\ndc_prev = dout * f + da_f * p",
        ("a_f", "p"),
    ),
    "squared": Gate(
        r"f = 1 - s^2, \quad s = \sigma(a_f)",
        "s = sigmoid(a_f)\nf = 1 - s * s",
        "da_f = df * -2 * s * s * (1 - s)\ndc_prev = dout * f",
        ("a_f",),
    ),
}
WRITES = {
    "gate": Gate(
        r"c = f \odot c_{prev} + \sigma(a_i) \odot g",
        "i = sigmoid(a_i)\nout = f * c_prev + i * g",
        "df = dout * c_prev\ndg = dout * i\nda_i = dout * g * i * (1 - i)",
        ("a_i",),
    ),
    "rest": Gate(
        r"c = f \odot c_{prev} + (1 - f) \odot g",
        "out = f * c_prev + (1 - f) * g",
        "df = dout * (c_prev - g)\ndg = dout * (1 - f)",
        (),
    ),
    "root": Gate(
        r"c = f \odot c_{prev} + \sqrt{1 - f^2} \odot g",
        "i = np.sqrt(1 - f * f)\nout = f * c_prev + i * g",
        "df = dout * (c_prev - g * f / i)\ndg = dout * i",
        (),
    ),
}
CANDIDATES = {
    "tanh": Gate(r"g = \tanh(a_g)", "g = np.tanh(a_g)", "da_g = dg * (1 - g * g)", ("a_g",)),
    "sigmoid": Gate(r"g = \sigma(a_g)", "g = sigmoid(a_g)", "da_g = dg * g * (1 - g)", ("a_g",)),
    "square": Gate(r"g = a_g \odot a_g", "g = a_g * a_g", "da_g = dg * 2 * a_g", ("a_g",)),
    "reset": Gate(
        r"g = \tanh(x_g + (r \odot c_{prev})\, W)",
        "g = np.tanh(x_g + (r * c_prev) @ W)",
        """dx_g = dg * (1 - g * g)
ds = dx_g @ W.T
dr = ds * c_prev
dW = (r * c_prev).T @ dx_g
dc_prev = dc_prev + ds * r""",
        ("x_g", "r", "W"),
    ),
}
SHAPES = {"p": (6,), "W": (6, 6)}
"""Shapes of arrays that are not (B, H), with H = 6."""
LECTURED = {("plain", "gate", "tanh"), ("plain", "rest", "reset")}
"""Cells of the lectures: an LSTM, a GRU."""
CELLS = [
    (keep, write, candidate)
    for keep in KEEPS
    for write in WRITES
    for candidate in CANDIDATES
    if (keep, write, candidate) not in LECTURED
    and 3 <= sum(len(p.arrays) for p in (KEEPS[keep], WRITES[write], CANDIDATES[candidate])) <= 4
]
"""Cells with four or five gradients to write, that of c_prev included."""


def another_cell(choice: Choice) -> Question:
    return question_of_a_cell(*choice.of("cell", CELLS))


def question_of_a_cell(keep: str, write: str, candidate: str) -> Question:
    """Ask for the backward pass of a cell."""
    keeps, writes, candidates = KEEPS[keep], WRITES[write], CANDIDATES[candidate]
    arrays = [*keeps.arrays, *writes.arrays, *candidates.arrays, "c_prev"]
    forward = "\n".join([keeps.forward, candidates.forward, writes.forward])
    backward = "\n".join([writes.backward, keeps.backward, candidates.backward])
    check_lines(forward, backward, arrays)
    special = {"p": "p is (H,)", "W": "W is (H, H)"}
    shapes = "; ".join(["arrays are (B, H)", *(special[n] for n in arrays if n in special)])
    return Question(
        f"""A cell that was not in the lectures:

$$\\begin{{aligned}} {keeps.formula} \\\\ {candidates.formula} \\\\ {writes.formula}
\\end{{aligned}}$$

The gradient `dout` of c arrives. Write {listed(arrays)}, each in a line or two of NumPy, and name
the rule behind each line. You may use every value of the forward pass. Shapes: {shapes}.""",
        f"""7 points for the lines, less 2 for each wrong one; 2 for the rules.

```python
{backward}
```""",
        9,
    )


def listed(arrays: list[str]) -> str:
    *most, last = [f"`d{name}`" for name in arrays]
    return f"{', '.join(most)} and {last}"


def check_lines(forward: str, backward: str, arrays: list[str]) -> None:
    """Raise a RuntimeError if a gradient is wrong, by the complex step."""
    rng = np.random.default_rng(0)
    given = {name: rng.standard_normal(SHAPES.get(name, (3, 6))) for name in arrays}
    dout = rng.standard_normal((3, 6))

    def run(given: dict, lines: str) -> dict:
        names = {"np": np, "sigmoid": reference.sigmoid, "dout": dout, **given}
        exec(lines, names)
        return names

    found = run(given, f"{forward}\n{backward}")
    measured = gradcheck.complex_step(lambda a: (dout * run(a, forward)["out"]).sum(), given)
    for name, slope in measured.items():
        if not np.allclose(found[f"d{name}"], slope, rtol=0, atol=1e-12):
            raise RuntimeError(f"the key of d{name} is wrong:\n{forward}\n{backward}")


# --- in words, for quizzes ------------------------------------------------------------------------

IN_WORDS = {
    1: (
        (
            "A layer that has read sequences of 5 steps reads sequences of 500. What happens to "
            "the number of its parameters, and to the memory that its backward pass needs?",
            "The parameters stay the same (1 point); it keeps values of every step, so it needs "
            "100 times as much (1).",
        ),
        (
            "A sequence is cut in two. What must the first part hand to the second, so that an "
            "LSTM computes the same as for the whole sequence?",
            "h (1 point) and c (1) after its last step.",
        ),
        (
            "In a step of an LSTM, f = 1 and i = 0. What does the cell do? What does it do if both "
            "are 1?",
            "It keeps its value (1 point); it adds g to it (1).",
        ),
        (
            "Three of the four nonlinearities of an LSTM are sigmoids. Why, and why not the "
            "fourth?",
            "A gate is a share, from 0 to 1 (1 point); what is written must be able to be negative "
            "(1).",
        ),
    ),
    2: (
        (
            "The backward pass of an LSTM has `dc = dc + dh * o * (1 - tanh_c * tanh_c)`. Where "
            "does the first `dc` on the right come from, and why is it added?",
            "From the next step (1 point); c was used there and by h, and the gradients of all "
            "uses are added (1).",
        ),
        (
            "A gradient check passes with a batch of one and h0 = 0. Name two mistakes that it "
            "cannot see.",
            "A missing sum over the batch, as in db (1 point); a missing part of dWh from the "
            "first step (1). Or two others that this check hides.",
        ),
        (
            "You halve the step of a central difference, once from 1e-3 and once from 1e-7. What "
            "happens to its error in float64?",
            "From 1e-3 it falls to a quarter (1 point); at 1e-7 rounding dominates, and it about "
            "doubles (1).",
        ),
        (
            "`dW[ids] += dx` is the backward pass of an embedding. When is it wrong, and what does "
            "it compute then?",
            "Where an id occurs twice (1 point): it keeps one of the rows instead of their sum "
            "(1).",
        ),
    ),
    3: (
        (
            "One tanh unit has the recurrent weight 1.5. Can its gradient vanish? Can it explode?",
            "A step multiplies it by 1.5 (1 - h^2): it vanishes where the states are large (1 "
            "point), and grows by up to 1.5 a step where they are near 0 (1).",
        ),
        (
            "A text is read in windows of 35 steps; the state is passed on, the gradient is not. "
            "What is exact, and what is lost?",
            "The forward pass is exact (1 point); the effect of the weights in earlier windows on "
            "the losses of later ones is lost (1).",
        ),
        (
            "Gradients are clipped by one norm for all arrays. What is kept that clipping each "
            "array by itself would change? Does clipping help if gradients vanish?",
            "The direction of the step (1 point); no (1).",
        ),
        (
            "A unit is large inside brackets and small outside. What does that show, and what must "
            "you do to show that the network uses it?",
            "A correlation only (1 point); change the unit, in c and in h, and see whether the "
            "predictions change (1).",
        ),
    ),
}
"""Questions for two points and their answers, by week."""


def in_words(week: int) -> Callable[[Choice], Question]:
    """Return the function that draws a question of a week."""

    def drawn(choice: Choice) -> Question:
        return Question(*choice.of("question", IN_WORDS[week]), 2)

    return drawn


# --- sheets ---------------------------------------------------------------------------------------

TOPICS = (
    (size_of_a_layer, size_of_a_model),
    (two_uses_of_a_weight, two_losses),
    (steps_until_little_is_left, what_is_left_after),
    (perplexity, perplexity_of_a_total),
    (clipping, sum_and_mean),
    (step_forward, step_backward),
    (another_cell,),
)
"""Questions of an exam: one of each topic. Those of a topic have the same points."""
QUIZZES = {
    1: ((size_of_a_layer, size_of_a_model), (in_words(1),)),
    2: ((three_rules,), (in_words(2),)),
    3: ((perplexity, perplexity_of_a_total), (in_words(3),)),
}
"""Questions of the quiz of each week."""
