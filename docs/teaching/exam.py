"""An exam and its key: ``python docs/teaching/exam.py SEED FOLDER [STUDENT ...]``.

Writes ``exam.md`` and ``key.md``. Sizes, numbers and the cell of question 7 are drawn by the seed,
so each seed is another exam. For each student it writes a program, ``hunt-STUDENT.py``: the LSTM of
``docs/one_file.py`` with three mistakes that are drawn by the seed and the student's name.

Each key is computed by the library, or measured by the complex step before it is written.
"""

import random
import re
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

import numpylstm as nl
from numpylstm import gradcheck, reference

PROGRAM = Path(__file__).parents[1] / "one_file.py"

# --- question 7: another cell ---------------------------------------------------------------------


class Cell(NamedTuple):
    """A cell that is not in the lectures: its equations, and the lines of its backward pass."""

    name: str
    equations: str
    wanted: tuple[str, ...]
    forward: str
    backward: str


CELLS = (
    Cell(
        name="An LSTM with a peephole: its forget gate sees the old cell",
        equations=r"""$f = \sigma(a_f + p \odot c_{prev})$,
   $\quad c = f \odot c_{prev} + i \odot g$""",
        wanted=("a_f", "p", "c_prev", "i", "g"),
        forward="""
f = sigmoid(a_f + p * c_prev)
out = f * c_prev + i * g""",
        backward="""
di = dout * g
dg = dout * i
da_f = dout * c_prev * f * (1 - f)
dp = (da_f * c_prev).sum(axis=0)
dc_prev = dout * f + da_f * p""",
    ),
    Cell(
        name="A minGRU: gate and candidate see the input only",
        equations=r"""$z = \sigma(a_z)$, $\quad h = (1 - z) \odot h_{prev} + z \odot n$""",
        wanted=("a_z", "n", "h_prev"),
        forward="""
z = sigmoid(a_z)
out = (1 - z) * h_prev + z * n""",
        backward="""
da_z = dout * (n - h_prev) * z * (1 - z)
dn = dout * z
dh_prev = dout * (1 - z)""",
    ),
    Cell(
        name="A GRU whose reset scales the old state before the product",
        equations=r"""$n = \tanh(x_n + (r \odot h_{prev})\, W)$,
   $\quad h = (1 - z) \odot n + z \odot h_{prev}$""",
        wanted=("x_n", "r", "z", "W", "h_prev"),
        forward="""
n = np.tanh(x_n + (r * h_prev) @ W)
out = (1 - z) * n + z * h_prev""",
        backward="""
dz = dout * (h_prev - n)
dx_n = dout * (1 - z) * (1 - n * n)
dW = (r * h_prev).T @ dx_n
drh = dx_n @ W.T
dr = drh * h_prev
dh_prev = dout * z + drh * r""",
    ),
    Cell(
        name="A cell with one gate: what is not kept is written",
        equations=r"""$f = \sigma(a_f)$, $\quad g = \tanh(a_g)$,
   $\quad c = f \odot c_{prev} + (1 - f) \odot g$""",
        wanted=("a_f", "a_g", "c_prev"),
        forward="""
f, g = sigmoid(a_f), np.tanh(a_g)
out = f * c_prev + (1 - f) * g""",
        backward="""
da_f = dout * (c_prev - g) * f * (1 - f)
da_g = dout * (1 - f) * (1 - g * g)
dc_prev = dout * f""",
    ),
)
SHAPES = {"p": (6,), "W": (6, 6)}
"""Shapes of arrays that are not (B, H), with H = 6."""


def check_cell(cell: Cell) -> None:
    """Raise a RuntimeError if a line of the key is wrong, by the complex step."""
    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal(SHAPES.get(name, (3, 6))) for name in cell.wanted}
    dout = rng.standard_normal((3, 6))

    def run(arrays: dict, lines: str) -> dict:
        names = {"np": np, "sigmoid": reference.sigmoid, "dout": dout, **arrays}
        exec(lines, names)
        return names

    found = run(arrays, f"{cell.forward}\n{cell.backward}")
    measured = gradcheck.complex_step(
        lambda arrays: (dout * run(arrays, cell.forward)["out"]).sum(), arrays
    )
    for name, slope in measured.items():
        if not np.allclose(found[f"d{name}"], slope, rtol=0, atol=1e-12):
            raise RuntimeError(f"{cell.name}: the key of d{name} is wrong")


# --- question 8: a hunt ---------------------------------------------------------------------------

MISTAKES = {
    " + dh_next": "",
    " + dc_next": "",
    "dh * o * (1 - np.tanh(c) ** 2)": "dh * o * (1 - c**2)",
    "dc * c_prev * f * (1 - f)": "dc * c * f * (1 - f)",
    "dc * i * (1 - g**2)": "dc * i * g * (1 - g)",
    "dh * np.tanh(c) * o * (1 - o)": "dh * c * o * (1 - o)",
    "h_prev.T @ da": "h.T @ da",
    "da.sum(axis=0)": "da[0]",
    'np.add.at(d["E"], x[t], da @ p["Wx"].T)': 'd["E"][x[t]] += da @ p["Wx"].T',
    'dc_next = da @ p["Wh"].T, dc * f': 'dc_next = da @ p["Wh"].T, dc * i',
    "dz /= len(h)": "dz /= len(x)",
}
"""Pieces of the backward pass of ``docs/one_file.py``, and what stands in their place."""


def largest_error(program: str) -> float:
    """Return the largest error of the gradients of a program, by its own check."""
    names: dict = {"__name__": "hunt", "__file__": str(PROGRAM)}
    exec(program, names)
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 7, (6, 3))
    start = rng.standard_normal((2, 3, 5))
    return names["check"](names["parameters"](7, 5, rng), ids[:-1], ids[1:], *start, rng)


def hunt(drawn: random.Random) -> tuple[str, list[str]]:
    """Return the program with three mistakes and without comments, and the right pieces."""
    program = re.sub(r"  # .*", "", PROGRAM.read_text(encoding="utf-8"))
    chosen = drawn.sample(sorted(MISTAKES), 3)
    for right in chosen:
        if program.count(right) != 1:
            raise RuntimeError(f"{PROGRAM.name} must have {right!r} once")
        if largest_error(program.replace(right, MISTAKES[right])) < 1e-4:
            raise RuntimeError(f"the check of {PROGRAM.name} does not find {MISTAKES[right]!r}")
    for right in chosen:
        program = program.replace(right, MISTAKES[right])
    return program, chosen


# --- the other questions: each function returns a question and its answer -------------------------


def parameters(drawn: random.Random) -> tuple[str, str]:
    layer, name = drawn.choice(((nl.LSTM, "An LSTM"), (nl.RNN, "A vanilla RNN"), (nl.GRU, "A GRU")))
    D, H = drawn.randrange(20, 130, 10), drawn.randrange(50, 350, 50)
    T, B = drawn.choice((20, 35, 50)), drawn.choice((8, 16, 32))
    question = f"""{name} layer has D = {D} inputs and H = {H} units. How many parameters has it?
What is the shape of its hidden states for {T} steps of {B} sequences?"""
    return question, f"{layer(D, H, rng=0).num_parameters:,}; ({T}, {B}, {H})."


def two_uses(drawn: random.Random) -> tuple[str, str]:
    w, first, second, h0 = (drawn.randint(1, 4) for _ in range(4))
    one, x = np.ones((1, 1)), np.reshape([first, second], (2, 1, 1)).astype(float)
    *_, cache = reference.rnn_forward(x, h0 * one, one, w * one, np.zeros(1), "relu")
    dw = reference.rnn_backward(np.zeros((2, 1, 1)), one, cache)[3].item()
    question = f"""One relu unit, $h_t = \\mathrm{{relu}}(x_t + w\\, h_{{t-1}})$, reads $x =
({first}, {second})$ from $h_0 = {h0}$ with $w = {w}$. Compute $dL/dw$ of $L =
h_2$."""
    return (
        question,
        f"{dw:g}: the second use gives h1 = {first + w * h0}, the first w h0 = {w * h0}.",
    )


def half_life(drawn: random.Random) -> tuple[str, str]:
    f = drawn.choice((0.8, 0.9, 0.95, 0.98, 0.99))
    steps = int(np.log(0.5) / np.log(f)) + 1
    question = f"""A forget gate stays at {f}. After how many steps is less than half of a value
left? Which bias gives this gate?"""
    return question, f"{steps} steps; ln({f} / {1 - f:.2g}) = {np.log(f / (1 - f)):.2f}."


def perplexity(drawn: random.Random) -> tuple[str, str]:
    powers = drawn.choice(((1, 3, 1, 3), (1, 2, 3, 2), (2, 4, 3, 3), (1, 1, 4, 2)))
    found = np.exp(-np.log(2.0 ** -np.array(powers)).mean())
    listed = ", ".join(f"1/{2**k}" for k in powers)
    question = f"""A model gave four words in a row the probabilities {listed}. What is its
perplexity on them?"""
    return question, f"{found:.4g}: exp of the mean of -ln p."


def clipping(drawn: random.Random) -> tuple[str, str]:
    a, b, norm = drawn.choice(((3, 4, 5), (6, 8, 10), (5, 12, 13), (8, 15, 17)))
    limit, rate = drawn.choice((1, 2)), drawn.choice((0.1, 0.5, 1.0))
    pair = {n: nl.Parameter(np.zeros(2), n) for n in "ab"}
    pair["a"].accumulate(np.array([a, 0.0]))
    pair["b"].accumulate(np.array([0.0, b]))
    nl.clip_by_global_norm(pair, limit)
    steps = [rate * pair["a"].grad[0], rate * pair["b"].grad[1]]
    question = f"""Two parameters have the gradients ({a}, 0) and (0, {b}). Clip them to the global
norm {limit} and take a step with the rate {rate}. What is subtracted?"""
    return question, f"({steps[0]:.3g}, 0) and (0, {steps[1]:.3g}): the norm is {norm}."


def one_step(drawn: random.Random) -> tuple[str, str]:
    sums, c_prev = [drawn.randint(-2, 2) for _ in range(4)], drawn.choice((-1.0, 0.5, 2.0))
    zero = np.zeros((1, 1))
    h, c, _ = reference.lstm_step_forward(
        zero, zero, zero + c_prev, np.zeros((1, 4)), np.zeros((1, 4)), np.array(sums, float)
    )
    named = ", ".join(f"$a_{n} = {k}$" for n, k in zip("ifgo", sums, strict=True))
    question = f"""An LSTM with one unit has the sums {named} and the old cell {c_prev:g}. Compute
c and h, to two decimals. (With a calculator.)"""
    return question, f"c = {c.item():.2f}, h = {h.item():.2f}."


def another_cell(drawn: random.Random) -> tuple[str, str]:
    cell = drawn.choice(CELLS)
    check_cell(cell)
    gradients = ", ".join(f"`d{name}`" for name in cell.wanted)
    question = f"""{cell.name}:

   {cell.equations}

   The gradient of the result is `dout`. Write {gradients}, a line of NumPy each, and
   name the rule behind each. Arrays are (B, H); p, if there is one, is (H,), W is (H, H)."""
    lines = cell.backward.replace("\n", "\n   ")
    return question, f"\n\n   ```python{lines}\n   ```"


HUNT = """Your program, `hunt-NAME.py`, has three mistakes in its function `backward`. Run
it: its first line is the largest error of a gradient. Find and correct them,
and say for each which use of which value was wrong. When all are corrected, the
error is below 1e-6."""


def main(seed: str, folder: str, *students: str) -> None:
    """Write an exam, its key and a program for each student."""
    drawn, out = random.Random(f"exam {seed}"), Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    kinds = (parameters, two_uses, half_life, perplexity, clipping, one_step, another_cell)
    asked = [kind(drawn) for kind in kinds]
    asked.append((HUNT, "The pieces that were changed:"))
    exam = [f"# Exam {seed}", "90 minutes; question 8 at a computer."]
    key = [f"# Key of exam {seed}"]
    for number, (question, answer) in enumerate(asked, 1):
        exam.append(f"{number}. {question}")
        key.append(f"{number}. {answer}")
    for student in students:
        program, rights = hunt(random.Random(f"hunt {seed} {student}"))
        (out / f"hunt-{student}.py").write_text(program, encoding="utf-8")
        pieces = (
            f"`{MISTAKES[right].strip() or 'nothing'}` for `{right.strip()}`" for right in rights
        )
        key.append(f"   - {student}: {'; '.join(pieces)}")
    (out / "exam.md").write_text("\n\n".join(exam) + "\n", encoding="utf-8")
    (out / "key.md").write_text("\n\n".join(key) + "\n", encoding="utf-8")
    print(f"{out}: exam.md, key.md and {len(students)} programs")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python docs/teaching/exam.py SEED FOLDER [STUDENT ...]")
    main(*sys.argv[1:])
