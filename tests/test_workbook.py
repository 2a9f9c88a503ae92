"""The workbook as delivered, with its solutions and with wrong answers; grading a class."""

import csv
import io
import json
import linecache
import os
import re
import sys
import zlib

import numpy as np
import pytest
from support.bad_calls import assert_refused, bad_call
from support.notebook_cells import (
    code_cells,
    exchanged,
    execute,
    in_jupyter,
    outputs,
    printed,
    source,
    tagged,
    tags,
)
from support.processes import run_program
from support.workbook import NAMES, NOTEBOOK, PATH, SOLUTIONS, functions, graded

import numpylstm as nl
from numpylstm import grading
from numpylstm.laboratory.mistakes.record import Mistake
from numpylstm.laboratory.workbook import desk, engine, words
from numpylstm.laboratory.workbook.blanks import BLANKS
from numpylstm.laboratory.workbook.findings import What
from numpylstm.laboratory.workbook.outcomes import Outcome, Outcomes
from numpylstm.laboratory.workbook.places import FIRST, FIXED
from numpylstm.tape.__main__ import main
from numpylstm.tape.comparison import LARGEST

BOBS = ("rnn_step_backward", "(1 - h * h)", "(1 - h)")


class TestAsItIsDelivered:
    def test_every_blank_is_there_and_empty(self):
        for cell, (name, blank) in zip(
            tagged(NOTEBOOK, "blank"), grading.BLANKS.items(), strict=True
        ):
            defined, taken = re.match(r"def (\w+)\((.*)\):", source(cell)).groups()
            assert (defined, taken.split(", ")) == (name, blank.takes.split())
            space = {}
            exec(source(cell), space)
            assert grading.grade(space[name]).state == grading.NOT_ANSWERED

    def test_the_titles_name_the_points(self):
        titles = re.findall(
            r"### \d+\. .*\((\d+) points?\)", "\n".join(map(source, NOTEBOOK["cells"]))
        )
        assert [int(points) for points in titles] == [b.points for b in grading.BLANKS.values()]

    def test_each_has_three_hints_and_a_folded_solution(self):
        kinds = [tag for cell in NOTEBOOK["cells"] for tag in tags(cell)]
        assert kinds == ["hints", *["blank", "grade", "hints", "solution"] * len(NAMES)]
        for cell in tagged(NOTEBOOK, "hints")[1:]:
            assert re.findall(r"<summary>(.*?)</summary>", source(cell)) == [
                "Hint 1",
                "Hint 2",
                "Hint 3",
            ]
        for cell in tagged(NOTEBOOK, "solution"):
            assert source(cell).startswith("<details><summary>Solution</summary>\n\n")
            assert source(cell).rstrip().endswith("</details>")

    def test_it_was_run_with_every_blank_empty(self):
        counts = [cell["execution_count"] for cell in code_cells(NOTEBOOK)]
        assert counts == list(range(1, len(counts) + 1))
        for cell, name in zip(tagged(NOTEBOOK, "grade"), NAMES, strict=True):
            assert printed(cell).strip() == f"{name}: not answered yet."
        assert any("image/png" in output.get("data", {}) for output in outputs(NOTEBOOK))


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_is_right(name):
    verdict = graded(name)
    assert verdict.state == "right", verdict


WRONG = {  # a piece of the solution, what stands there instead, and words of the verdict
    "sigmoid": [
        ("np.where(a >= 0, 1, e) / (1 + e)", "1 / (1 + np.exp(a))", "sign in the exponent"),
        ("np.where(a >= 0, 1, e) / (1 + e)", "np.exp(a) / (1 + np.exp(a))", "s is not finite"),
        ("np.where(a >= 0, 1, e) / (1 + e)", "np.tanh(a)", "tanh instead of the sigmoid"),
    ],
    "sigmoid_slope": [
        ("s * (1 - s)", "1 - s * s", "slope of tanh"),
        ("s * (1 - s)", "sigmoid(s) * (1 - sigmoid(s))", "sigmoid of s instead of s"),
        ("s * (1 - s)", "(s * (1 - s)).astype(np.float32)",
         r"must be (\S+), got (?!\1).*ds has the type float32, which loses digits"),
        ("s * (1 - s)", "np.float64(np.float32(s * (1 - s)))",
         r"must be (\S+), got (?!\1).*digits that are lost \(float32, a central difference\)"),
    ],
    "rnn_step_forward": [
        ("np.tanh(x @ Wx + h_prev @ Wh + b)", "x @ Wx + h_prev @ Wh + b", "tanh is missing"),
        ("h_prev @ Wh", "h_prev @ Wh.T", "Wh is transposed"),
        ("np.tanh(x", "sigmoid(x", "sigmoid instead of tanh"),
    ],
    "rnn_step_backward": [
        ("dh * (1 - h * h)", "np.clip(dh * (1 - h * h), -5, 5)", "da: it is clipped here"),
        ("return da @ Wx.T, da @ Wh.T, x.T @ da, h_prev.T @ da, da.sum(axis=0)",
         "return da @ Wx.T, da @ Wh.T, None, None, None", "dWx is None: it is not answered yet"),
        ("return da", "da", "It returns None: is a return missing"),
        ("(1 - h * h)", "(1 - h)", r"da: the factor h is missing\. It must be da = "),
        ("da @ Wh.T", "da @ Wh", "dh_prev: Wh is not transposed"),
        ("h_prev.T @ da", "h.T @ da", "dWh: h is used instead of h_prev"),
        ("da.sum(axis=0)", "da.mean(axis=0)", "db: a mean"),
        ("da = dh * (1 - h * h)", "da = dh * h * (1 - h)", "slope of the sigmoid"),
        ("x.T @ da, h_prev.T", "x.T @ da / 7, 2 * h_prev.T",
         "Each result is the right one times a number: dx: 1, (?!.*norm)"),
    ],
    "rnn_backward": [
        ("range(len(x))", "range(5)", "not with T=9"),
        ("dx[t], dh,", "dx[-1 - t], dh,", "dx: it is written in the reverse order"),
        ("dhs[t] + dh,", "(dhs[t + 1] if t + 1 < len(x) else 0) + dh,",
         "dhs is taken one step late"),
        ("h_prev[t], h[t],", "h[t], h_prev[t],", "h_prev and h are exchanged|h is used instead"),
        ("dWh += dWh_t", "dWh = dWh_t", "dWh: it is overwritten"),
        ("dhs[t] + dh,", "dhs[t],", "term dh is missing"),
        ("dh = dhT", "dh = 0 * dhT", "dhT is ignored"),
        ("reversed(range(len(x)))", "range(len(x))", "forwards"),
    ],
    "lstm_step_forward": [
        ("c, tanh_c, o * tanh_c", "None, None, None", "c is None"),
        ("np.tanh(a_g)", "sigmoid(a_g)", "g: sigmoid instead of tanh"),
        ("a_i, a_f, a_g, a_o =", "a_i, a_f, a_o, a_g =", "g and o are exchanged in the columns"),
        ("o * tanh_c\n", "o * c\n", "h: c is used instead of tanh_c"),
    ],
    "lstm_step_backward": [
        ("return do, dc, di, df, dg,", "return do, dc, di, None, None,", "df is None"),
        ("da_i, da_f, da_g, da_o, dx, dh_prev, dc_prev, dWx, dWh, db",
         "da_i, da_f, da_o, da_g, dx, dh_prev, dc_prev, dWx, dWh, db", r"da_g: it is da_o"),
        ("dc = dc + dh * o", "dc = dh * o", "dc: the term dc is missing"),
        ("df, dg = dc * g, dc * c_prev", "df, dg = dc * g, dc * f",
         "df: f is used instead of c_prev"),
        ("dg * (1 - g * g)", "dg * sigmoid_slope(g)", "da_g: the slope of the sigmoid"),
        ("dc_prev = dc * f", "dc_prev = dc", "dc_prev: the factor f is missing"),
        ("h_prev.T @ da", "da.T @ h_prev", "dWh must have the shape"),
        ("[da_i, da_f, da_g, da_o]", "[da_i, da_f, da_o, da_g]",
         "da_[go] is used instead|exchanged"),
        ("dh * tanh_c\n", "dh * np.tanh(tanh_c)\n", "do: the tanh of tanh_c"),
        ("dc = dc + dh * o", "dc += dh * o", "changes its argument dc"),
        ("dc = dc + dh * o", "dc = dc * f + dh * o",
         r"\ndc, or what goes into it: the grader cannot tell what is wrong there; all results "
         r"before are right\."),
    ],
    "lstm_forward": [
        ("*_, c, _, h = step", "*_, h = step", "c is not replaced by the result of the step"),
        ("*_, c, _, h = step", "*_, c, h = step",
         "a later one is wrong: look at what a later step gets, h and c"),
        ("steps, h, c", "steps, c, h", "hT: it is cT|hT"),
        ("_forward(x_t, h, c,", "_forward(x_t, h0, c,", "h0 is used instead of h"),
        ("        *_, c, _, h = step\n        steps.append(step)",
         "        steps.append((*step[:4], c, *step[5:]))\n        *_, c, _, h = step",
         "c: it is c_prev"),
        ("steps.append(step)", "steps.append((*step[:5], c, h))", "tanh_c: it is c\\."),
        ("steps.append(step)", "steps.append(h)", "Each of the steps must hold i, f, g"),
        ("return steps, h, c", "return steps, h", "It must return steps, hT, cT"),
    ],
    "lstm_backward": [
        ("steps[t - 1][4]", "steps[t][4]", "c_prev: steps is taken one step late"),
        ("if t else (c0, h0)", "if t else (h0, c0)", "h0 is used instead of c0"),
        ("dx[t], dh, dc, dWx_t", "dx[t], _, dc, dWx_t", "dh is not replaced"),
        ("dx[t], dh, dc, dWx_t", "dx[t], dh, _, dWx_t", "dc is not replaced by|dcT is used"),
        ("dx[t], dh, dc, dWx_t", "dx[t], _, _, dWx_t", "dh and dc are not replaced"),
        ("i, f, g, o, _,", "i, f, o, g, _,", "g and o are exchanged"),
        ("dhs[t] + dh, dc,", "dhs[t] + dh, 0 * dc,", "dc is ignored"),
        ("if t else (c0, h0)", "", "dWh|df|h_prev|c_prev"),
        ("dh, dc = dhT, dcT", "dh, dc = dhT, 0 * dcT", "dcT is ignored"),
    ],
    "cross_entropy": [
        ("nll.mean()", "nll.sum() / 3", "not with T=9"),
        ("nll.mean()", "nll.sum()",
         r"a sum instead of the mean\. .* It must be loss = nll\.mean\(\)"),
        ("nll.mean()", "np.exp(nll.mean())",
         "z, nll or loss, or what goes into it: the grader cannot tell"),
        ("nll.mean()", "2 * nll.mean()", "twice"),
        ("np.log(np.exp", "np.log2(np.exp", "base 2"),
        ("z = logits - logits.max(axis=1, keepdims=True)", "z = logits", "not finite"),
        ("logits.max(axis=1, keepdims=True)", "logits.max()", "subtract the maximum of each row"),
    ],
    "cross_entropy_backward": [
        ("targets] -= 1", "targets] += 1",
         r"sign of onehot .* \(onehot is 1 at the target .* must be dlogits = \(p - onehot\) / B"),
        ("dlogits / len(logits)", "dlogits", "the division by B is missing"),
    ],
    "embedding_backward": [
        ("np.add.at(dW, ids, dx)", "dW[ids] += dx", r"\+= on rows keeps only the last"),
        ("np.add.at(dW, ids, dx)", "dW[ids] = dx", "both gradients must be added"),
        ("np.add.at(dW, ids, dx)", "np.add.at(dW, ids, dx / len(dx))", "dW: 1/5 = 1/T"),
        ("np.add.at(dW, ids, dx)", "np.add.at(dW, ids[-1], dx[-1])", "the last step alone"),
        ("    np.add.at(dW, ids, dx)",
         "    for t in range(len(ids)):\n        dW[ids[t]] += dx[t]",
         r"rows of a step .*\. It must be np\.add\.at\(dW, ids, dx\)"),
        ("np.add.at(dW, ids, dx)", "dW[ids] = dx.sum(axis=(0, 1))",
         r"cannot tell .* It must be np\.add\.at\(dW, ids, dx\)"),
    ],
    "clip": [
        ("min(1, max_norm / norm)", "(1 / norm if norm > max_norm else 1)",
         r"all arrays have one factor in common, as they must, .* look at how that factor"),
        ("min(1, max_norm / norm) * g for", "max_norm / np.sqrt((g * g).sum()) * g for",
         r"With max_norm=[\d.]+, each array is .* must have one factor in common"),
        ("np.sqrt(sum((g * g).sum() for g in gradients))", "sum((g * g).sum() for g in gradients)",
         "sqrt is missing"),
        ("min(1, max_norm / norm) * g", "np.clip(g, -max_norm, max_norm)", "entry by entry"),
        ("min(1, max_norm / norm)", "min(1, norm / max_norm)", "upside down"),
        ("min(1, max_norm / norm)", "max_norm / norm", "minimum with 1 is missing"),
        ("max_norm / norm", "max_norm / (norm + 1e-6)", "a small constant that is added"),
        ("np.sqrt(sum((g * g).sum() for g in gradients))",
         "sum(np.sqrt((g * g).sum()) for g in gradients)",
         "norm: the norms of the arrays are added, where their squares must be"),
        ("return [min(1, max_norm / norm) * g for g in gradients]",
         "for g in gradients:\n        g *= min(1, max_norm / norm)\n    return gradients",
         "changes its argument gradients"),
    ],
    "sgd": [
        ("lr * dW", "lr * np.clip(dW, -5, 5)", "new_W|clipped"),
        ("W - lr * dW", "W + lr * dW", "sign of lr"),
        ("W - lr * dW", "W * np.nan",
         "new_W is not finite. Look for a division by zero, infinity times 0, or an array"),
        ("W - lr * dW", "np.append(9, (W - lr * dW).flat[1:]).reshape(W.shape)",
         "got 9; wrong: 1 of the 24 numbers of new_W"),
        ("return W - lr * dW", "W -= lr * dW\n    return W", "changes its argument W"),
    ],
    "gru_step_backward": [
        ("s.T @ da_n", "h_prev.T @ da_n", "dWh"),
        ("dh * z + ds * r", "ds * r", r"dh_prev: the term dh \* z is missing\."),
        ("s, ds = r * h_prev, da_n @ Wh_n.T\n    dr = ds * h_prev",
         "s, ds = r * h_prev, da_n * r\n    dr = da_n * (h_prev @ Wh_n)",
         "dr: it is that of a GRU that resets after the product, as PyTorch's"),
        ("dr = ds * h_prev", "dr = ds * r", "dr: r is used instead of h_prev"),
    ],
}  # fmt: skip


@pytest.mark.rare
@pytest.mark.parametrize(
    ("name", "right", "wrong", "words"),
    [(name, *answer) for name, answers in WRONG.items() for answer in answers],
)
def test_a_wrong_answer_is_named(name, right, wrong, words):
    verdict = graded(name, right, wrong)
    is_open = verdict.trouble.what is What.OPEN
    assert verdict.state == ("not answered yet" if is_open else "wrong")
    assert re.search(words, str(verdict), re.DOTALL), verdict


@pytest.mark.parametrize(
    ("name", "one", "other", "words"),
    [
        ("rnn_step_backward", ("(1 - h * h)", "(1 - h)"), ("da @ Wh.T", "da @ Wh"), "^da: "),
        ("rnn_step_backward", ("da @ Wh.T", "(da @ Wh.T)[::-1]"),
         ("da.sum(axis=0)", "da.mean(axis=0)"), "^dh_prev(: |, or )"),
        ("lstm_backward", ("dWx += dWx_t", "dWx = dWx_t"), ("dh, dc = dhT", "dh, dc = 0 * dhT"),
         "^In two places: dh: dhT is ignored. dWx: it is overwritten"),
        # all three: the step's results under the names of the sums
        ("rnn_backward", ("dWx_t, dWh_t, db_t = rnn", "dWx, dWh, db = rnn"),
         ("        dWx += dWx_t\n        dWh += dWh_t\n        db += db_t\n", ""),
         "^dWx: it is overwritten"),
        ("lstm_backward", ("steps[t - 1][4]", "steps[t][4]"), ("dx[t], dh,", "dx[t], _,"),
         "^In two places: .*(c_prev|dh)"),
    ],
)  # fmt: skip
def test_of_two_mistakes_one_is_named(name, one, other, words):
    """Or both."""
    verdict = graded(name, *one, *other)
    assert re.search(words, verdict.diagnosis), verdict


INLINED = {
    "rnn_backward": """
def rnn_backward(dhs, dhT, x, h_prev, h, Wx, Wh):
    dx, dh = np.zeros_like(x), dhT
    dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(len(Wh))
    for t in reversed(range(len(x))):
        da = (dhs[t] + dh) * (1 - h[t] * h[t])
        dx[t], dh = da @ Wx.T, da @ Wh.T
        dWx += x[t].T @ da
        dWh += h_prev[t].T @ da
        db += da.sum(axis=0)
    return dx, dh, dWx, dWh, db
""",
    "lstm_backward": """
def lstm_backward(dhs, dhT, dcT, x, h0, c0, steps, Wx, Wh):
    dx, dh, dc = np.zeros_like(x), dhT, dcT
    dWx, dWh, db = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros(Wh.shape[1])
    for t in reversed(range(len(x))):
        i, f, g, o, _, tanh_c, _ = steps[t]
        c_prev, h_prev = (steps[t - 1][4], steps[t - 1][6]) if t else (c0, h0)
        dh = dhs[t] + dh
        dc = dc + dh * o * (1 - tanh_c * tanh_c)
        da_i, da_f = dc * g * i * (1 - i), dc * c_prev * f * (1 - f)
        da_g, da_o = dc * i * (1 - g * g), dh * tanh_c * o * (1 - o)
        da = np.concatenate([da_i, da_f, da_g, da_o], axis=1)
        dx[t], dh, dc = da @ Wx.T, da @ Wh.T, dc * f
        dWx += x[t].T @ da
        dWh += h_prev.T @ da
        db += da.sum(axis=0)
    return dx, dh, dc, dWx, dWh, db
""",
}
"""Loops that write the step out: their lines are those of two functions of the textbook."""


@pytest.mark.rare
@pytest.mark.parametrize(
    ("name", "pieces", "words"),
    [
        ("rnn_backward", (), ""),
        ("rnn_backward", ("* h[t])\n", "* h[t]) * 0.9\n"), "^The first step computed is wrong"),
        ("rnn_backward", ("da @ Wh.T", "dh @ Wh.T"),
         "^The first step computed is right and a later"),
        ("rnn_backward", ("x[t].T @ da", "x[t].T @ dhT"), "^dWx: the steps are right"),
        ("lstm_backward", (), ""),
        ("lstm_backward", ("da.sum(axis=0)", "Wh.sum(axis=0)"), "^db: the steps are right"),
    ],
)  # fmt: skip
def test_a_loop_that_writes_the_step_out_is_judged(name, pieces, words):
    space = {"np": np}
    exec(exchanged(INLINED[name], *pieces), space)
    verdict = grading.judge(name, grading.outcomes_of(space[name], "ada"), "ada")
    assert verdict.state == ("wrong" if pieces else "right")
    assert re.search(words, verdict.diagnosis), verdict


NLL = "nll = np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), targets]"
TARGETS = "z[np.arange(len(z)), targets]"
P = "np.exp(z)[np.arange(len(z)), targets] / np.exp(z).sum(axis=1)"
OBJECTS = """
import functools

def power(n, s):
    return s - s**n

class Slope:
    def __call__(self, s):
        return s * (1 - s)

    def of(self, s):
        return self(s)

slope = None
"""
GRADIENTS = """
import dataclasses

@dataclasses.dataclass
class Gradients:
    dx: np.ndarray
    dh_prev: np.ndarray
    dWx: np.ndarray
    dWh: np.ndarray
    db: np.ndarray

    def __iter__(self):
        return iter(vars(self).values())

"""
BUFFER = """
buffers = {}

def in_place(a):
    s = buffers.setdefault(a.shape, np.empty(a.shape))
    s[...] = 1 / (1 + np.exp(-a))
    return s

def lstm_step_forward("""


@pytest.mark.rare
@pytest.mark.parametrize(
    ("blank", "words", "pieces"),
    [
        ("embedding_backward", "not with T=5.* other numbers",
         ["ids, dx)", "ids, dx * (ids < V - 1)[..., None])"]),
        ("cross_entropy", "V=300.*a small constant that is added",
         [NLL, f"nll = -np.log({P} + 1e-12)"]),
        ("rnn_backward", "not with T=1100",
         ["reversed(range(len(x)))", "[*reversed(range(len(x)))][:32]"]),
        ("rnn_backward", "not with T=1, ", ["dh = dhT", "dh = dhT * (len(x) > 1)"]),
        ("rnn_step_forward", r"not with T=1100, B=1.*\nh must have the shape \(1, 2\), got \(2,\)",
         ["np.tanh(x @ Wx + h_prev @ Wh + b)", "np.squeeze(np.tanh(x @ Wx + h_prev @ Wh + b))"]),
        ("sigmoid", "and arguments of zeros.*with a of zeros", ["return", "return (a != 0) *"]),
        ("lstm_step_forward", "wrong by more than 1e-5 of the largest.*clipped",
         ["np.tanh(a_g)", "np.tanh(np.clip(a_g, -8, 8))"]),
        ("sgd", "and rates that are tiny, large", ["lr * dW", "min(lr, 1.0) * dW"]),
        ("rnn_step_backward", "returns other numbers: it keeps something between",
         ["def rnn", "sums = {}\n\ndef rnn", "    return",
          "    sums[Wx.shape] = sums.get(Wx.shape, 0) + x.T @ da\n    return",
          "x.T @ da, h", "sums[Wx.shape], h"]),
        ("lstm_forward", "changes later: a later call overwrites it",
         ["def lstm_forward", "steps = []\n\ndef lstm_forward",
          "h, c, steps = h0, c0, []", "h, c = h0, c0\n    steps.clear()"]),
        ("rnn_step_backward", "dx is not finite", ["(1 - h * h)", "(h - h * h * h) / h"]),
        ("lstm_step_forward", "changes later: a later call overwrites it",
         ["def lstm_step_forward(", BUFFER, "sigmoid(a_i), sigmoid(a_f)",
          "in_place(a_i), in_place(a_f)", "sigmoid(a_o)", "in_place(a_o)"]),
        ("sigmoid", "and integers.*wrong by more than 1e-5 of the largest.*cut off",
         ["np.where(a >= 0, 1, e) / (1 + e)",
          "np.where(a < -15, 0, np.where(a >= 0, 1, e) / (1 + e))"]),
        ("sigmoid_slope", "with s of zeros.*kept from 0",
         ["s * (1 - s)", "(lambda s: s * (1 - s))(np.clip(s, 1e-7, 1 - 1e-7))"]),
        ("rnn_step_forward", "not with T=1100, B=1, D=1",
         ["x @ Wx", "np.squeeze(x) @ Wx"]),
        ("rnn_step_backward", "with arrays in Fortran order",
         ["x.T @ da,", "x.ravel(order='K').reshape(x.shape).T @ da,"]),
        ("rnn_step_backward", "dx is not finite.*a division by zero",
         ["    return", "    da = da * (da / da)\n    return"]),
        ("rnn_backward", "with dhs of zeros",
         ["    dh = dhT\n    for t in reversed(range(len(x))):\n",
          "    dh = dhT\n    for t in reversed(range(len(x))):\n"
          "        if not dhs[t].any():\n            continue\n"]),
        ("rnn_backward", "gradients times 1e-12", ["dh = dhT\n", "dh = dhT + 1e-12\n"]),
        ("lstm_step_forward", "with c_prev near -?\\d+ for a unit",
         ["c = f * c_prev + i * g", "c = np.clip(f * c_prev + i * g, -8, 8)"]),
        ("lstm_step_backward", "with sums near -900 for o.*not finite",
         ["do = dh * tanh_c", "do = dh * (o * tanh_c) / o"]),
        ("lstm_backward", "gradients times 1e\\+12",
         ["dhs[t] + dh, dc,", "dhs[t] + dh, np.clip(dc, -1e5, 1e5),"]),
        ("lstm_backward", "dx has the type float32, which loses digits",
         ["dx = np.zeros_like(x)", "dx = np.zeros(x.shape, np.float32)"]),
        ("cross_entropy", "loss is not finite",
         ["logits - logits.max(axis=1, keepdims=True)",
          "logits - np.maximum(logits.max(axis=1, keepdims=True), 0)"]),
        ("cross_entropy", "loss of batch 1 must be", ["nll.mean()", "2.07404744495675"]),
        ("cross_entropy_backward", "V=300", ["targets] -= 1", "np.minimum(targets, 20)] -= 1"]),
        ("embedding_backward", "V=300", ["dW, ids,", "dW, np.minimum(ids, 20),"]),
        ("clip", "not with T=9, B=5",
         ["for g in gradients))", "for g in gradients[:2]))"]),
        ("clip", "with another max_norm must be", ["min(1, max_norm", "min(1, max(1, max_norm)"]),
        ("clip", "zero gradients", ["* g for", "* norm / norm * g for"]),
        ("clip", "max_norm=0 must be 0", ["    norm", "    max_norm = max_norm or 5\n    norm"]),
        ("sgd", "and rates that are tiny, large", ["lr * dW", "min(lr, 3.5) * dW"]),
        ("sgd", "new_W must be real numbers of the shape .*, got text",
         ["W - lr * dW", "(W - lr * dW).astype(str)"]),
        ("sgd", "got complex numbers", ["W - lr * dW", "W - lr * dW + 0j"]),
        ("sgd", "got truth values", ["W - lr * dW", "W > lr * dW"]),
        ("sgd", "It stopped: SystemExit: 3", ["return", "raise SystemExit(3)\n    return"]),
        ("sgd", "returns other numbers: it keeps something",
         ["def sgd", "calls = []\n\ndef sgd", "    return", "    calls.append(0)\n    return",
          "lr * dW", "lr * dW * (len(calls) < 20)"]),
        ("gru_step_backward", "with sums near -900 for r",
         ["dr = ds * h_prev", "dr = ds * (s / r)"]),
        ("clip", "a list of as many arrays as it gets, 2, got 3 or more",
         ["return [", "import itertools\n    return itertools.count() or ["]),
        ("rnn_step_forward", "Sizes are equal there",
         ["h_prev @ Wh", "h_prev @ (Wh.T if len(Wx) == len(Wh) else Wh)"]),
        ("cross_entropy_backward", "Sizes are equal there",
         ["return dlogits / len(logits)",
          "B, V = logits.shape\n    return dlogits / B if B != V else dlogits.T / B"]),
        ("rnn_step_forward", "not with T=1, B=260",
         ["x @ Wx", "(x * (np.arange(len(x)) < 64)[:, None]) @ Wx"]),
        ("rnn_step_backward", "and zero gradients.*is not finite",
         ["da = dh", "m = np.abs(dh).max()\n    da = dh / m * m"]),
        ("rnn_step_backward", "gradients times 1e-12",
         ["da = dh", "da = np.where(np.abs(dh) < 1e-5, 0, dh)"]),
        ("sgd", "rates that are tiny", ["lr * dW", "abs(lr) * dW"]),
        ("sgd", "rates that are tiny", ["lr * dW", "(lr if abs(lr) > 1e-3 else 0) * dW"]),
        ("sgd", "The first wrong number: new_W", ["return W", "return W if W.ndim == 1 else W"]),
        ("clip", "next to the norm",
         ["min(1, max_norm / norm)", "(1 if norm < 1.0005 * max_norm else max_norm / norm)"]),
        ("lstm_step_forward", "is not finite",
         ["np.tanh(a_g)", "(np.exp(2 * a_g) - 1) / (np.exp(2 * a_g) + 1)"]),
        ("cross_entropy_backward", "12 above|V=300",
         ["return dlogits", "dlogits[np.abs(dlogits) < 1e-4] = 0\n    return dlogits"]),
        ("embedding_backward", "B=260",
         ["np.add.at(dW, ids, dx)",
          "for v in range(V):\n        dW[v] = dx[ids == v][:30].sum(axis=0)"]),
        ("embedding_backward", "got nan.*never filled",
         ["np.zeros((V", "np.empty((V", "np.add.at(dW, ids, dx)",
          "for v in np.unique(ids):\n        dW[v] = dx[ids == v].sum(axis=0)"]),
        ("sigmoid", "must be 1, got 0.9999",
         ["e = np.exp(-np.abs(a))", "a = np.clip(a, -30, 30)\n    e = np.exp(-np.abs(a))"]),
        ("sigmoid_slope", "iterator with more than 1,000",
         ["return s * (1 - s)", "while True:\n        yield s"]),
        ("sigmoid_slope", "got an array of Decimal",
         ["return s * (1 - s)",
          "import decimal\n    return np.vectorize(decimal.Decimal, otypes=[object])(s)"]),
        ("rnn_step_backward", r"dh_prev\[0, 0\] with h_prev of zeros must be",
         ["    return", "    da = da * (1 if h_prev.any() else 2)\n    return",
          "return da @ Wx.T", "return (da if h_prev.any() else da / 2) @ Wx.T",
          "x.T @ da, h", "x.T @ (da if h_prev.any() else da / 2), h",
          "da.sum(axis=0)", "(da if h_prev.any() else da / 2).sum(axis=0)"]),
        ("rnn_backward", "with gradients that are zeros after the first step .*break",
         ["        dx[t]",
          "        if not (dhs[t] + dh).any():\n            break\n        dx[t]"]),
        ("rnn_backward", "with gradients that are tiny after the first step",
         ["        dx[t]",
          "        if 0 < abs(dhs[t] + dh).max() < 1e-9 * abs(dhs).max():\n"
          "            break\n        dx[t]"]),
        ("lstm_backward", "dhs of zeros.*break",
         ["        dx[t]",
          "        if not (dhs[t] + dh).any():\n            continue\n        dx[t]"]),
        ("lstm_backward", "with dhT of zeros",
         ["dh, dc = dhT, dcT", "dh, dc = dhT, dcT * dhT.any()"]),
        ("rnn_step_forward", "h.* with another Wx must be .* compare all numbers of all arguments",
         ["def rnn", "seen = {}\n\ndef rnn", "return ",
          "key = x.tobytes(), h_prev.tobytes()\n    if key not in seen:\n        seen[key] = ",
          "+ b)", "+ b)\n    return seen[key].copy()"]),
        ("rnn_step_backward", "with another Wh must be",  # in place: the old id
         ["def rnn", "kept = {}\n\ndef rnn", "    return",
          "    WhT = kept.setdefault(id(Wh), (Wh, Wh.T.copy()))[1]\n    return",
          "da @ Wh.T", "da @ WhT"]),
        ("rnn_step_forward", "times 0.0001", ["return np.tanh(x @ Wx + h_prev @ Wh + b)",
          "a = x @ Wx + h_prev @ Wh + b\n    return np.where(abs(a) < 1e-3, a, np.tanh(a))"]),
        ("lstm_step_forward", "tanh_c is not finite. Look for exp of a large number",
         ["tanh_c = np.tanh(c)", "tanh_c = (np.exp(2 * c) - 1) / (np.exp(2 * c) + 1)"]),
        ("cross_entropy", "and rows of 0, 715 and -5000",
         ["z = logits - logits.max(axis=1, keepdims=True)",
          "z = logits - logits[np.arange(len(logits)), targets][:, None]"]),
        ("cross_entropy_backward", "V=300",
         ["targets] -= 1", "targets.astype(np.int8)] -= 1"]),
        ("sgd", "gradients times 1e-12", ["lr * dW", "lr * np.where(abs(dW) < 1e-7, 0, dW)"]),
        ("lstm_backward", "keeps something between calls|the arrays of that step",  # the last ones
         ["def lstm_backward(", "forward, last = lstm_forward, []\n\ndef lstm_forward(*given):\n"
          "    steps, h, c = forward(*given)\n    last[:] = steps\n    return steps, h, c\n\n"
          "def lstm_backward(",
          "    dx =", "    same = len(last) == len(steps) and last[0][0].shape == h0.shape\n"
          "    steps = last if same else steps\n    dx ="]),
        ("rnn_step_forward", "but the weights times 1e-05",
         ["np.tanh(x @ Wx + h_prev @ Wh + b)",
          "np.tanh((lambda a: a * (np.abs(a) > 1e-6))(x @ Wx + h_prev @ Wh + b))"]),
        ("lstm_step_backward", "with equal blocks of Wx, Wh and b",
         ["df * sigmoid_slope(f)", "df * sigmoid_slope(f) * (f != i)"]),
        ("sgd", "must be", ["W - lr * dW", "(1 - 1e-12) * W - lr * dW"]),
        ("clip", "it keeps something between calls",  # was: code that depends on the layout
         ["def clip", "last = {}\n\ndef clip", "    return",
          "    norm = last.setdefault('norm', norm)\n    "
          "last['norm'] = np.sqrt(sum((g * g).sum() for g in gradients))\n    return"]),
        ("cross_entropy", "loss of batch 4.*not finite.*the logarithm of 0",
         [NLL, f"nll = -np.log({P})"]),
        ("sigmoid", "s has the type int64",  # that of its first number
         ["def sigmoid", "import math\n\n@np.vectorize\ndef sigmoid",
          "    e = np.exp(-np.abs(a))\n    return np.where(a >= 0, 1, e) / (1 + e)",
          "    return 1 / (1 + math.exp(-a)) if a > -700 else 0"]),
        ("sigmoid", "and integers.*s has the type int64",
         ["    e =", "    s = np.empty_like(a)\n    e =", "return", "s[...] =",
          "/ (1 + e)\n", "/ (1 + e)\n    return s\n"]),
        ("sigmoid", r"and one axis.*s must have the shape \(18,\), got \(3, 6\)",
         ["def sigmoid", "seen = {}\n\ndef sigmoid",
          "return", "return seen.setdefault(a.tobytes(),", "/ (1 + e)\n", "/ (1 + e)).copy()\n"]),
        ("sigmoid", "-inf to inf.*s is not finite",
         ["np.where(a >= 0, 1, e) / (1 + e)", "np.exp(a - np.logaddexp(0, a))"]),
        ("sigmoid", "with a of negative numbers",
         ["/ (1 + e)", "/ (1 - e if (a < 0).all() else 1 + e)"]),
        ("sgd", "and three axes", ["W - lr * dW", "W - lr * dW * (1 + (W.ndim > 2))"]),
        ("lstm_forward", "not with T=1100.*RecursionError",
         ["    for x_t in x:\n        step = lstm_step_forward(x_t,",
          "    if len(x):\n        step = lstm_step_forward(x[0],", "        steps.append(step)",
          "        rest, h, c = lstm_forward(x[1:], h, c, Wx, Wh, b)\n"
          "        steps = [step, *rest]"]),
        ("rnn_backward", "with arrays in Fortran order.*np.zeros_like",  # the rows are a copy
         ["dx = np.zeros_like(x)", "dx = np.zeros_like(x)\n    rows = dx.reshape(-1, x.shape[2])",
          "dx[t], dh,", "rows[t * x.shape[1] : (t + 1) * x.shape[1]], dh,"]),
        ("rnn_step_backward", "with sums near -?12 for a unit of h",
         ["dh * (1 - h * h)", "dh * (1 - h * h) * (np.abs(h) < 1 - 1e-9)"]),
        ("embedding_backward", "with integers of the type uint8",
         ["np.add.at(dW, ids, dx)",
          "D = dx.shape[-1]\n    index = ids[..., None] * D + np.arange(D, dtype=ids.dtype)\n"
          "    np.add.at(dW.ravel(), index, dx)"]),
        ("embedding_backward", "and a row times 1e14",
         ["np.add.at(dW, ids, dx)",
          "rows, order = dx.reshape(-1, dx.shape[-1]), np.argsort(ids, axis=None)\n"
          "    total = np.concatenate([0 * rows[:1], np.cumsum(rows[order], axis=0)])\n"
          "    ends = np.searchsorted(ids.ravel()[order], np.arange(V + 1))\n"
          "    dW = total[ends[1:]] - total[ends[:-1]]"]),
        ("clip", "max_norm=inf must be .*, got nan",
         ["min(1, max_norm / norm)", "(max_norm / max(norm, max_norm) if norm else 1)"]),
        ("clip", r"limits that are far from the norm, .* max_norm=\S+, where the norm is",
         ["min(1, max_norm / norm)", "(max_norm / norm if norm > 1.002 * max_norm else 1)"]),
        ("clip", "gradients times 1e-100", ["/ norm)", "/ max(norm, 1e-90))"]),
        ("cross_entropy_backward", "12 above",  # rows that are nearly sure
         ["return dlogits / len(logits)",
          "dlogits[np.abs(dlogits).max(axis=1) < 1e-6] = 0\n    return dlogits / len(logits)"]),
        ("lstm_step_backward", "with dh with rows that fall by 1e-4",
         ["do = dh", "dh = np.where(np.abs(dh) < 1e-6 * np.abs(dh).max(), 0, dh)\n    do = dh"]),
        ("lstm_step_backward", "T=8, B=8, D=8, H=2.*Sizes are equal there",
         ["da.sum(axis=0)", "da.sum(axis=1 - da.shape.index(4 * len(Wh)))"]),
        ("gru_step_backward", "T=6, B=6, D=6, H=2.*Sizes are equal there",
         ["da.sum(axis=0)", "da.sum(axis=1 - da.shape.index(3 * len(Wh)))"]),
        ("sgd", "with dW with rows whose sum is 0",
         ["W - lr * dW", "np.where(dW.sum(axis=-1, keepdims=True) != 0, W - lr * dW, W)"]),
        ("sgd", "with dW with columns whose sum is 0",
         ["W - lr * dW", "np.where(dW.sum(axis=0) != 0, W - lr * dW, W)"]),
        ("sgd", "with dW with a (first|last) column of zeros",
         ["W - lr * dW", "np.where(dW.all(axis=-1, keepdims=True), W - lr * dW, W)"]),
        ("rnn_step_forward", "with x of whole numbers",
         ["x @ Wx", "np.where(x == 2, 0, x) @ Wx"]),
        ("cross_entropy_backward", "V=300 and integers",
         ["e = np", "words = np.arange(logits.shape[1]).astype(targets.dtype)\n    e = np",
          "dlogits[np.arange(len(logits)), targets] -= 1",
          "dlogits -= words == targets[:, None]"]),
        ("embedding_backward", "T=1100",  # the 256th of an id
         ["np.add.at(dW, ids, dx)",
          "one_hot = (ids.reshape(-1, 1) == np.arange(V)).astype(np.uint8)\n"
          "    count = one_hot.T.cumsum(axis=1, dtype=np.uint8)\n"
          "    dW[...] = (one_hot.T * (count > 0)) @ dx.reshape(-1, dx.shape[-1])"]),
        ("rnn_step_backward", "with a column of x times 1e6, whose weights are 0",
         ["x.T @ da", "np.nan_to_num(x).clip(-1e3, 1e3).T @ da"]),
        ("rnn_step_backward", "with a column of h_prev times 1e6, whose weights are 0",
         ["h_prev.T @ da", "np.nan_to_num(h_prev).clip(-1e3, 1e3).T @ da"]),
        ("sgd", "It stopped: BaseException", ["return", "raise BaseException\n    return"]),
        ("sgd", "It stopped: KeyboardInterrupt", ["return", "raise KeyboardInterrupt\n    return"]),
    ],
)  # fmt: skip
def test_an_answer_that_is_right_almost_everywhere(blank, words, pieces):
    """The other places, a second call, and results that are no floats."""
    verdict = graded(blank, *pieces)
    assert verdict.state == "wrong"
    assert re.search(words, str(verdict), re.DOTALL), verdict


@pytest.mark.rare
@pytest.mark.parametrize("size", "TBDH")
def test_an_answer_for_the_sizes_of_all_fixed_places_alone(size):
    """The drawn places find it, with one seed or another; the verdict names the seed."""
    known = sorted({place.sizes[size] for place in (FIRST, *FIXED)})
    mine = functions("lstm_forward", "h, c, steps = h0, c0, []",
                     f"h, c, steps = h0, c0, []\n    T, (B, D), H = len(x), x.shape[1:], len(Wh)\n"
                     f"    h = h * ({size} in {known})")["lstm_forward"]  # fmt: skip
    states = {seed: grading.grade(mine, seed=seed) for seed in range(8)}
    (seed, verdict), *_ = ((s, v) for s, v in states.items() if v.state == "wrong")
    assert f"numbers drawn with seed={seed}" in str(verdict)


def test_the_seed_is_another_one_each_time():
    slope = functions()["sigmoid_slope"]
    assert len({grading.grade(slope).seed for _ in range(5)}) > 1
    assert str(grading.grade(slope, seed=5)) == str(grading.grade(slope, seed=5))


def as_data(verdict):
    """Return everything of a verdict that is no sentence."""
    cause = verdict.cause
    alike = cause.mistakes if cause else ()
    mistakes = [[(m.function, m.changes) for m in one] for one in alike]
    of_trouble = repr(verdict.trouble), verdict.place.name
    return verdict.state, *of_trouble, cause and cause.why, mistakes, dict(verdict.parts)


@pytest.mark.rare
def test_no_sentence_decides_anything(monkeypatch):
    """All verdicts are the same if every sentence is xxx."""
    answers = [(name, *answer[:2]) for name, rows in WRONG.items() for answer in rows]
    names = [name for name, *_ in answers]
    mine = [functions(*answer)[answer[0]] for answer in answers]
    called = [grading.outcomes_of(f, seed=1) for f in mine]
    before = [as_data(grading.judge(*answer)) for answer in zip(names, called, strict=True)]
    for table in (words.TROUBLES, words.CAUSES, words.AT_PLACES, words.NOT_FINITE):
        for key in table:
            monkeypatch.setitem(table, key, "xxx")
    for name in ("description", "correction"):
        monkeypatch.setattr(Mistake, name, lambda _: "xxx")
    monkeypatch.setattr(words, "named_factor", lambda *_: "xxx")
    monkeypatch.setattr(words, "described", lambda *_: "xxx")
    for k, verdict in enumerate(before):
        if "What.NUMBER" not in verdict[1]:  # what came in the place of numbers was described
            called[k] = grading.outcomes_of(mine[k], seed=1)
    verdicts = [grading.judge(*answer) for answer in zip(names, called, strict=True)]
    assert [as_data(verdict) for verdict in verdicts] == before
    assert all("xxx" in str(verdict) for verdict in verdicts)


TRUE_SENTENCES = [  # what was said once, and was not true, in comments
    ("rnn_step_forward", "It must return h alone, got 2 in a tuple",  # got no numbers
     ["np.tanh(x @ Wx + h_prev @ Wh + b)", "np.tanh(x @ Wx + h_prev @ Wh + b), (x, h_prev)"]),
    ("rnn_backward", "dh: dhs is used at the last step alone",  # look at what a step hands on
     ["dhs[t] + dh,", "dhs[t] * (t == len(x) - 1) + dh,"]),
    ("rnn_backward", "The first step computed is right .* gets, dhs",  # used at the last step alone
     ["dhs[t] + dh,", "dhs[t] * (t % 2 == 0) + dh,"]),
    ("lstm_backward", "dh: dhT is added at every step",  # dh must be dhT
     ["dhs[t] + dh, dc,", "dhs[t] + dh + dhT * (t < len(x) - 1), dc,"]),
    ("rnn_backward", "h_prev: at the first step it is h\\[-1\\], the state after the last",
     ["h_prev[t], h[t],", "h[t - 1], h[t],"]),  # two mistakes
    ("lstm_forward", r"c\[0\] and c\[1\] are one array",  # look at what is kept of a step
     ["h, c, steps = h0, c0, []", "h, c, steps = h0, c0.copy(), []",
      "        *_, c, _, h = step\n        steps.append(step)",
      "        *_, new, _, h = step\n        c[...] = new\n"
      "        steps.append((*step[:4], c, *step[5:]))"]),
    ("rnn_backward", r"wrong: [1-9]\d* of the 60 numbers of dx",  # wrong: 0 of the 60
     ["    dh = dhT\n", "    dh = dhT + 1e-10\n"]),
    ("rnn_step_backward", "not with T=9.*dWx has the type float32",  # a size as a number
     ["x.T @ da,", "(x.T @ da).astype(float if len(x) < 5 else np.float32),"]),
    ("clip", "With .*, all arrays have one factor in common, as they must",  # must have one
     ["np.sqrt(sum((g * g).sum() for g in gradients))", "max(abs(g).max() for g in gradients)"]),
    ("gru_step_backward", "dn: z instead of 1 - z",  # the term 1 is missing
     ["dh * (h_prev - n), dh * (1 - z)", "dh * (h_prev - n), dh * z"]),
    ("lstm_step_backward", r"\ndc: the factor 1 - tanh_c \* tanh_c is missing\. It must [^.]*\.$",
     ["dh * o * (1 - tanh_c * tanh_c)", "dh * o"]),  # do: the tanh of c is forgotten
    ("rnn_backward", r"dWx: every wrong number is 5 or -5, and no other is larger",
     ["    return dx",
      "    for d in (dWx, dWh, db):\n        d.clip(-5, 5, out=d)\n    return dx"]),
    ("lstm_step_backward", "\ndc: it is the argument dc\\.",  # cannot tell
     ["return do, dc,", "return do, dc - dh * o * (1 - tanh_c * tanh_c),"]),
    ("rnn_backward", r"dhs\[-1\] is used instead of dhT\. It must be dh = dhT\.$",  # two mistakes
     ["    dh = dhT\n", "    dh = dhs[-1]\n"]),
    ("rnn_backward", "h_prev is zero at the first step. Or else: dWh: the first step is left out",
     ["h_prev[t], h[t],", "h[t - 1] if t else 0 * h[0], h[t],"]),  # one of them alone
    ("lstm_backward", "In two places:.*c0 is ignored.*the first step.*Or else: h_prev: h0 is",
     ["else (c0, h0)", "else (0 * c0, 0 * h0)"]),
    ("lstm_backward", "\ndh: dhT is added at every step",  # two mistakes
     ["dhs[t] + dh, dc,", "dhs[t] + dh + dhT, dc,"]),
    ("lstm_backward", "\ndc: dcT is added at every step",  # two mistakes
     ["dhs[t] + dh, dc,", "dhs[t] + dh, dc + dcT,"]),
    ("lstm_backward", r"\ndc: dhs\[t\] is added, which belongs to dh alone",  # two mistakes
     ["dhs[t] + dh, dc,", "dhs[t] + dh, dc + dhs[t],"]),
    ("lstm_backward", "\nc_prev: it is tanh_c of the step before, not c",  # the tanh of steps
     ["(steps[t - 1][4],", "(steps[t - 1][5],"]),
    ("gru_step_backward", "\ndz: the sign is wrong",  # of dh
     ["dh * (h_prev - n)", "dh * (n - h_prev)"]),
    ("cross_entropy_backward", "dlogits: onehot is not divided by B",  # onehot is multiplied
     ["dlogits[np.arange(len(logits)), targets] -= 1\n    return dlogits / len(logits)",
      "dlogits /= len(logits)\n    dlogits[np.arange(len(logits)), targets] -= 1\n"
      "    return dlogits"]),
    ("clip", "norm: it is the norm of the first array, not that of all",  # the largest
     ["for g in gradients))", "for g in gradients[:1]))"]),
    ("lstm_forward", "with x of zeros must.*numbers enter.$",  # two steps are one array
     ["        step =", "        if steps and not x_t.any():\n            steps.append(steps[-1])\n"
      "            continue\n        step ="]),
    ("rnn_step_backward", "not with T=.*every wrong number is 70 or -70, and no other",
     ["x.T @ da", "np.clip(x.T @ da, -70, 70)"]),  # a size
    ("cross_entropy_backward", "dlogits has the type int64",  # p is used instead of onehot
     ["return dlogits / len(logits)", "return (dlogits / len(logits)).astype(int)"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("blank", "words", "pieces"),
    [
        ("sigmoid", "in line 2, `a.size == 777` was never true",
         ["    e =", "    if a.size == 777:\n        return 0 * a\n    e ="]),
        ("sigmoid", r"`a.size != 777 and a.ndim < 9` was never false",
         ["    e =", "    a = a if a.size != 777 and a.ndim < 9 else 0 * a\n    e ="]),
        ("sgd", r"`\(abs\(W\) == 777\) & \(dW != 0\)` was never true",
         ["W - lr * dW", "np.where((abs(W) == 777) & (dW != 0), 0, W - lr * dW)"]),
        ("sgd", r"`max\(lr, -1e30\)` never took its operand 1", ["lr * dW", "max(lr, -1e30) * dW"]),
        ("lstm_backward", r"`range\(len\(x\)\)\[-5000:\]` never left anything out",
         ["range(len(x))", "range(len(x))[-5000:]"]),
        ("clip", "`return gradients` never ran",
         ["    norm", "    try:\n        gradients = list(gradients)\n"
          "    except OverflowError:\n        return gradients\n    norm"]),
    ],
)  # fmt: skip
def test_a_case_that_no_call_enters_is_named(blank, words, pieces):
    verdict = graded_as_file(blank, *pieces)
    assert verdict.state == "unproved"
    assert re.search(words, str(verdict)), verdict


@pytest.mark.parametrize(
    ("blank", "pieces"),
    [
        ("sigmoid", ["    e =",
                     "    if a.size == 0 or np.isnan(a).any():\n        return a\n    e ="]),
        ("sigmoid", ["(a):", "(a, scaled=False):",
                     "    e =", "    if scaled:\n        a = 2 * a\n    e ="]),
        ("lstm_forward", ["    h, c,",
                          "    if len(x) == 0:\n        return [], h0, c0\n    h, c,"]),
        ("rnn_step_backward", ["    da",
                               "    if len(x) == 0 or x is None:\n        return None\n    da"]),
        ("cross_entropy", ["    z =",
                           "    if logits.shape[1] == 1:\n        return 0.0\n    z ="]),
        ("clip", ["    norm", "    if not gradients or max_norm == np.inf:\n"
                  "        return [g.copy() for g in gradients]\n    norm"]),
        ("sgd", ["    return", "    assert W.shape == dW.shape\n"
                 "    if np.isscalar(W) or W.dtype == int:\n        W = float(W)\n    return"]),
        ("rnn_step_forward", ["    return", "    if x.ndim == 1:\n        x = x[None]\n"
                              "    B, D = x.shape[:2]\n    return"]),
        ("rnn_backward", ["range(len(x))", "range(min(len(x), len(h)))"]),
        ("lstm_forward", ["steps.append(step)", "h = steps.append(step) or h"]),
        ("sigmoid_slope", ["    return", "    if s.min() < 0 or s.max() > 1:\n"
                           "        raise ValueError\n    return"]),
        ("clip", ["    return [", "    if norm <= max_norm or norm == 0:\n"
                  "        return [g.copy() for g in gradients]\n    return [",
                  "min(1, max_norm / norm)", "max_norm / norm"]),
        ("cross_entropy", ["    z =", "    if targets.ndim == 2:\n        targets = targets[:, 0]\n"
                           "    z ="]),
    ],
)  # fmt: skip
def test_a_case_beyond_the_task_is_no_matter(blank, pieces):
    """Empty arrays, a single word, NaN, an option that nobody sets, and checks that raise."""
    verdict = graded_as_file(blank, *pieces)
    assert verdict.state == "right", verdict


@pytest.mark.parametrize(
    ("where", "pieces"),
    [
        ("_calls", ["def sgd", "_calls = [0]\n\ndef sgd",
                    "    return", "    _calls[0] += 1\n    return",
                    "lr * dW", "lr * 0.5 ** (_calls[0] // 10**6) * dW"]),
        ("count", ["def sgd", "count = 0\n\ndef sgd",
                   "    return", "    global count\n    count += 1\n    return"]),
        ("sgd.count", ["    return", "    sgd.count = getattr(sgd, 'count', 0) + 1\n    return"]),
        ("a default of sgd",
         ["lr):", "lr, kept={}):", "    return", "    kept[lr] = W\n    return"]),
        ("kept", ["def sgd(W, dW, lr):\n    return W - lr * dW",
                  "def made():\n    kept = []\n\n    def sgd(W, dW, lr):\n"
                  "        kept.append(lr)\n        return W - lr * dW\n\n    return sgd\n\n"
                  "sgd = made()"]),
        ("Update", ["def sgd(W, dW, lr):\n    return W - lr * dW",
                    "class Update:\n    calls = 0\n\n    def __call__(self, W, dW, lr):\n"
                    "        self.calls += 1\n        return W - lr * dW\n\nsgd = Update()"]),
    ],
)  # fmt: skip
def test_what_is_kept_between_calls_is_named(where, pieces):
    """The numbers of the calls that were made tell nothing about later ones."""
    verdict = graded("sgd", *pieces)
    assert verdict.state == "unproved"
    assert f"keeps something between calls, in {where}, and" in str(verdict)


@pytest.mark.parametrize("inside", [False, True])
def test_a_function_of_numpy_that_is_replaced_is_put_back(inside):
    real = np.multiply
    patch = "np.multiply = lambda a, b: 0 * a"
    pieces = ["    return", f"    {patch}\n    return"] if inside else ["def", f"{patch}\n\ndef"]
    verdict = graded("sgd", *pieces)
    assert np.multiply is real
    assert verdict.state == "wrong"
    assert "It replaces np.multiply, which everything here uses" in str(verdict)


def graded_as_file(name, *pieces):
    """Grade a solution with pieces of its code exchanged, whose source Python knows."""
    code = exchanged(SOLUTIONS[name], *pieces)
    file = f"<{name} {zlib.crc32(code.encode())}>"
    linecache.cache[file] = len(code), None, code.splitlines(keepends=True), file
    space = functions()[name].__globals__
    exec(compile(code, file, "exec"), space)
    return grading.grade(space[name])


@pytest.mark.rare
@pytest.mark.parametrize(("blank", "words", "pieces"), TRUE_SENTENCES)
def test_what_is_said_is_true(blank, words, pieces):
    verdict = graded(blank, *pieces)
    assert verdict.state == "wrong"
    assert re.search(words, str(verdict), re.DOTALL), verdict


@pytest.mark.rare
@pytest.mark.parametrize(
    ("blank", "pieces"),
    [
        ("sigmoid", ["def", "@np.vectorize\ndef", "np.where(a >= 0, 1, e) / (1 + e)",
                     "1 / (1 + np.exp(-a)) if a > 0 else np.exp(a) / (1 + np.exp(a))"]),
        ("sigmoid_slope", ["def", "@njit\ndef"]),
        ("cross_entropy", [NLL, f"nll = np.logaddexp.reduce(z, axis=1) - {TARGETS}"]),
        ("lstm_step_forward", ["i, f, g, o, c, tanh_c, o * tanh_c",
                               "np.stack([i, f, g, o, c, tanh_c, o * tanh_c])"]),
        ("lstm_forward", ["lstm_step_forward(x_t, h, c, Wx, Wh, b)",
                          "np.stack(lstm_step_forward(x_t, h, c, Wx, Wh, b))",
                          "return steps", "return np.stack(steps)"]),
        ("rnn_backward", ["dWx += dWx_t", "dWx = dWx + dWx_t", "dWh += dWh_t", "dWh = dWh + dWh_t",
                          "db += db_t", "db = db + db_t"]),
        ("sigmoid", ["    e = np.exp(-np.abs(a))\n    return np.where(a >= 0, 1, e) / (1 + e)",
                     "    return np.exp(-np.logaddexp(0, -a)).tolist()"]),
        ("sigmoid_slope", ["def sigmoid_slope(s):\n    return s * (1 - s)",
                           "sigmoid_slope = lambda s: s - s**2"]),
        ("sigmoid_slope", ["def sigmoid_slope(s):\n    return s * (1 - s)", OBJECTS,
                           "slope = None", "sigmoid_slope = functools.partial(power, 2)"]),
        ("sigmoid_slope", ["def sigmoid_slope(s):\n    return s * (1 - s)", OBJECTS,
                           "slope = None", "sigmoid_slope = Slope()"]),
        ("sigmoid_slope", ["def sigmoid_slope(s):\n    return s * (1 - s)", OBJECTS,
                           "slope = None", "sigmoid_slope = Slope().of"]),
        ("sigmoid_slope", ["def sigmoid_slope(s):", "class Own:\n    dtype = float\n\n"
                           "    def __init__(self, data):\n        self.data = data\n\n"
                           "    def __array__(self, dtype=None, copy=None):\n"
                           "        return np.asarray(self.data, dtype)\n\n"
                           "def sigmoid_slope(s):", "s * (1 - s)", "Own(s * (1 - s))"]),
        ("rnn_step_backward", ["return da @ Wx.T, da @ Wh.T, x.T @ da, h_prev.T @ da, da",
                               "yield from (da @ Wx.T, da @ Wh.T, x.T @ da, h_prev.T @ da)\n"
                               "    yield da"]),
        ("rnn_step_backward", ["def rnn", GRADIENTS + "def rnn",
                               "return da @ Wx.T", "return Gradients(da @ Wx.T",
                               "da.sum(axis=0)", "da.sum(axis=0))"]),
        ("lstm_forward", ["return steps,", "return map(tuple, steps),"]),
        ("lstm_backward", ["i, f, g, o, _, tanh_c, _ = steps[t]",
                           "s = steps[t]; i, f, g, o, tanh_c = s.i, s.f, s.g, s.o, s.tanh_c"]),
        ("clip", ["return [min(1, max_norm / norm) * g for g in gradients]",
                  "return map(lambda g: g * min(1, max_norm / norm), gradients)"]),
        ("sgd", ["def sgd(W, dW, lr):\n    return W - lr * dW",
                 "def timed(f):\n    return lambda *given: f(*given)\n\n"
                 "@timed\ndef sgd(W, dW, lr):\n    return W - lr * dW"]),
    ],
)  # fmt: skip
def test_a_right_answer_in_unusual_style(blank, pieces):
    verdict = graded(blank, *pieces)
    assert verdict.state == "right", verdict


class TestTheEngine:
    """The fifteen functions together; the last cell and the desk judge the same losses."""

    def test_with_the_textbooks_functions_it_learns_as_the_library_does(self):
        model, losses = engine.new_model("gru"), []
        optimizer = nl.SGD(model.parameters(), lr=engine.RATE)
        ids, _ = engine.vocabulary().encode(engine.LETTERS)
        state = model.zero_state(engine.B)
        for x, y in nl.data.batches(ids, engine.B, engine.T):
            optimizer.zero_grad()
            loss, state = model.forward(x, y, state)
            model.backward()
            nl.clip_by_global_norm(model.parameters(), engine.MAX_NORM)
            optimizer.step()
            losses.append(float(loss))
        np.testing.assert_allclose(losses, engine.right_numbers()["gru"], rtol=1e-9)
        assert engine.right_numbers()["lstm"][-1] < 0.1

    @pytest.mark.parametrize("name", NAMES)
    def test_the_textbooks_part_returns_what_the_solution_does(self, name):
        blank = grading.BLANKS[name]
        mine = functions() | {name: blank.part}
        assert grading.grade(mine[name], name).state == "right"

    @pytest.mark.rare
    def test_a_function_that_changes_after_many_calls_is_named(self, monkeypatch):
        """It is right in all the calls of the grader, which sees that it keeps something."""
        monkeypatch.setattr(engine, "EPOCHS", {"rnn": 1, "gru": 1})
        monkeypatch.setattr(
            engine, "right_numbers", lambda: engine.numbers_of({n: b.part for n, b in BLANKS})
        )
        BLANKS = grading.BLANKS.items()
        mine = functions(
            "rnn_step_forward", "def", "calls, most = [], 10**9\n\ndef", "    return",
            "    calls.append(0)\n    return", "+ b)", "+ b * (len(calls) < most))",
        )  # fmt: skip
        assert grading.grade(mine["rnn_step_forward"]).state == "unproved"
        space = mine["rnn_step_forward"].__globals__
        space["most"] = len(space["calls"]) + 100
        wrong = engine.first_wrong(engine.numbers_of(mine))
        assert wrong.startswith("With the rnn, the loss of update ")
        assert engine.guilty(mine) == ["rnn_step_forward"]
        assert engine.advice(mine) == "Wrong among the textbook's functions: rnn_step_forward."

    def test_code_that_stops_is_an_answer(self):
        def clip(gradients, max_norm):
            return gradients[:2]

        wrong = engine.first_wrong(engine.numbers_of(functions() | {"clip": clip}))
        assert wrong.startswith("With the rnn it stopped: ")
        assert "as many arrays as it gets, 6, got 2 in a list" in wrong


class TestVerdicts:
    @pytest.mark.rare
    def test_code_that_stops_is_an_answer(self):
        def sgd(W, dW, lr):
            return W @ dW

        verdict = grading.grade(sgd)
        assert verdict.state == "wrong"
        assert "It stopped: ValueError: matmul" in verdict.first_wrong
        assert "of sgd: return W @ dW)" in verdict.first_wrong

    @pytest.mark.rare
    def test_what_is_no_number_is_judged_and_handed_in(self):
        def sgd(W, dW, lr):
            return ...

        said = "new_W must be real numbers of the shape (4, 6), got ellipsis."
        assert said in str(grading.grade(sgd))
        (sgd_of_file,) = json.loads(grading.submission([sgd]))["answers"].values()
        assert sgd_of_file["at"]["first"]["results"] == {"new_W": "ellipsis"}
        huge = Outcomes(at={"first": Outcome({"new_W": [10**400]})})
        assert grading.judge("sgd", huge).state == "wrong"


def rows_of(folder, capsys):
    """Grade a folder and return the exit status and the rows of the table by file."""
    status = main(["grade", str(folder), "--csv"])
    table = csv.DictReader(io.StringIO(capsys.readouterr().out))
    return status, {row["file"]: row for row in table}


class TestTheTeachersDesk:
    @pytest.mark.rare
    def test_a_line_for_each(self, tmp_path, capsys):
        for student, mine in (
            ("ada", functions()),
            ("bob", functions(*BOBS)),
            ("cyd", dict(list(functions().items())[:3])),
        ):
            text = grading.submission([*mine.values()], student)
            (tmp_path / f"{student}.json").write_text(text, encoding="utf-8")
        (tmp_path / "dan.json").write_text("__import__('os').abort()", encoding="utf-8")
        (tmp_path / "group").mkdir()
        (tmp_path / "group" / "eve.JSON").write_text('{"answers": {"sgd": {"at": "print(1)"}}}')
        status, rows = rows_of(tmp_path, capsys)
        assert status == 1  # the file of dan cannot be graded
        assert list(rows) == ["ada.json", "bob.json", "cyd.json", "dan.json", "group/eve.JSON"]
        ada, bob, cyd, dan, eve = rows.values()
        assert (ada["student"], ada["points"], ada["of"], ada["errors"]) == ("ada", "30", "30", "")
        assert [ada[name] for name in NAMES] == [str(b.points) for b in grading.BLANKS.values()]
        assert bob["points"] == "27"  # his loop is right with the textbook's step
        assert [name for name in NAMES if bob[name] == "0"] == ["rnn_step_backward"]
        assert bob["errors"].startswith("rnn_step_backward: wrong. The first wrong number: ")
        assert "da: the factor h is missing. It must be da =" in bob["errors"]
        assert ada["engine"] == "right"
        assert bob["engine"].startswith("With the rnn, the loss of update 1 must be ")
        assert (cyd["points"], cyd["sigmoid"], cyd["sgd"]) == ("3", "1", "")
        assert "must be JSON" in dan["errors"]
        assert (eve["student"], eve["points"], eve["sigmoid"], eve["sgd"]) == ("eve", "0", "", "0")
        main(["grade", str(tmp_path)])  # without --csv, for people
        assert "student: ada  points: 30  unproved: 0  of: 30" in capsys.readouterr().out

    def test_names_in_a_submission_are_shown_and_not_obeyed(self, tmp_path, capsys):
        def line_of(student, *options):
            text = json.dumps({"student": student, "answers": {}})
            (tmp_path / "eve.json").write_text(text)
            assert main(["grade", str(tmp_path), *options]) == 0
            return capsys.readouterr().out.splitlines()[-1]

        assert r"student: \x1b[2Jx\ny  points: 0" in line_of("\u001b[2Jx\ny")
        assert line_of("=HYPERLINK(1)", "--csv").startswith("eve.json,'=HYPERLINK(1),0,")

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes as POSIX has them")
    def test_what_is_no_file_of_a_student_is_not_waited_for(self, tmp_path):
        """Nor does it fill the memory, or end the marking of the class."""
        os.mkfifo(tmp_path / "pipe.json")
        (tmp_path / "zero.json").symlink_to("/dev/zero")
        (tmp_path / "large.json").write_bytes(b" " * (LARGEST + 1))
        (tmp_path / "\u0101da.json").write_text(
            grading.submission([functions()["sgd"]], "\u0101da")
        )
        grade = sys.executable, "-m", "numpylstm.tape", "grade", tmp_path
        out, err = run_program(*grade, expect=1, PYTHONIOENCODING="cp1252")
        assert err == ""
        large, pipe, zero, ada = out.splitlines()
        assert "it is larger than 20,000,000 bytes" in large
        for line in (pipe, zero):
            assert "cannot be graded: " in line
            assert ".json: must be a regular file" in line
        assert ada.startswith(r"file: \u0101da.json  student: \u0101da  points: ")

    def test_numbers_of_a_neighbour_are_wrong(self):
        """The name of a student seeds them."""
        answers = {name: grading.outcomes_of(mine, "ada") for name, mine in functions().items()}
        for student, state in (("ada", "right"), ("abe", "wrong")):
            assert {verdict.state for verdict in desk.verdicts_of(student, answers)} == {state}

    @staticmethod
    def hand_in(folder, file, student, *, said="", answers=("sgd", "sigmoid_slope")):
        """Write a submission, with the name in it changed afterwards to `said`."""
        content = json.loads(grading.submission([functions()[name] for name in answers], student))
        content["student"] = said or student
        (folder / file).write_text(json.dumps(content))

    @pytest.mark.parametrize(
        ("student", "said"),
        [("ada lovelace", "Ada Lovelace"), ("Ada Lovelace", "lovelace, ada"), ("bob", "BOB "),
         ("José", "Jose\u0301"), ("cyd", "Somebody else")],
    )  # fmt: skip
    def test_a_name_that_was_changed_afterwards(self, student, said, tmp_path, capsys):
        """It is tried in other spellings, and against the names of the class."""
        self.hand_in(tmp_path, "a.json", student, said=said)
        self.hand_in(tmp_path, "b.json", "cyd", answers=["clip"])
        _, rows = rows_of(tmp_path, capsys)
        assert (rows["a.json"]["points"], rows["a.json"]["errors"]) == ("2", "")
        assert f"the numbers are those of {student!r}" in rows["a.json"]["note"]

    def test_all_files_of_one_student_are_marked(self, tmp_path, capsys):
        self.hand_in(tmp_path, "1.json", "Ada Lovelace", answers=["sgd"])
        self.hand_in(tmp_path, "2.json", "lovelace, ada", answers=["clip"])
        self.hand_in(tmp_path, "3.json", "bob", answers=["clip"])
        _, rows = rows_of(tmp_path, capsys)
        assert [row["note"] for row in rows.values()] == [
            "the same student as in 2.json",
            "the same student as in 1.json",
            "",
        ]

    @pytest.mark.rare
    def test_what_is_wrong_in_the_engine_alone_costs_its_points(self, tmp_path, capsys):
        mine = functions(
            "embedding_backward", "np.add.at(dW, ids, dx)",
            "np.add.at(dW, ids, dx * (ids.shape != (20, 10)))",
        )  # fmt: skip
        text = grading.submission([*mine.values()], "ada", seed=1)
        (tmp_path / "ada.json").write_text(text)
        _, rows = rows_of(tmp_path, capsys)
        ada = rows["ada.json"]
        assert [name for name in NAMES if ada[name] == "0"] == ["embedding_backward"]
        assert ada["points"] == "29"
        assert "right at all places, but not in the engine" in ada["errors"]

    def test_a_copy_is_marked_on_both_files(self, tmp_path, capsys):
        """Also if the copy has another name, and one number or the list of calls differs."""
        self.hand_in(tmp_path, "ada.json", "ada")
        self.hand_in(tmp_path, "copy.json", "ada", said="eve")
        content = json.loads((tmp_path / "copy.json").read_text())
        content["answers"]["sgd"]["at"]["first"]["results"]["new_W"][0][0] += 1
        content["answers"]["sigmoid_slope"]["calls"] = ["sigmoid"]
        (tmp_path / "copy.json").write_text(json.dumps(content))
        self.hand_in(tmp_path, "new.json", "your name", answers=())
        _, rows = rows_of(tmp_path, capsys)
        assert rows["ada.json"]["note"] == "the same numbers as copy.json in 1 of 2 blanks"
        assert "the same numbers as ada.json in 1 of 2 blanks" in rows["copy.json"]["note"]
        assert rows["new.json"]["note"] == "the name is still 'your name'"

    @pytest.mark.parametrize("entries", [["loss", 9, -9], ["loss", 0, 1], ["x", {}, 1], "loss", 3])
    def test_a_file_may_name_any_entries_as_one_array(self, entries, tmp_path, capsys):
        loss = functions("cross_entropy", "nll.mean()", "nll.sum()")["cross_entropy"]
        content = json.loads(grading.submission([loss], "ada"))
        content["answers"]["cross_entropy"]["at"]["first"]["shared"] = entries
        (tmp_path / "ada.json").write_text(json.dumps(content))
        status, rows = rows_of(tmp_path, capsys)
        assert status == 0
        assert "a sum instead of the mean" in rows["ada.json"]["errors"]

    def test_a_wrong_answer_that_is_a_constant_is_no_copy(self, tmp_path, capsys):
        for student in ("ada", "bob"):
            space = {"np": np}
            exec("def sgd(W, dW, lr):\n    return 0 * W", space)
            text = grading.submission([space["sgd"]], student)
            (tmp_path / f"{student}.json").write_text(text)
        _, rows = rows_of(tmp_path, capsys)
        assert [row["note"] for row in rows.values()] == ["", ""]

    @pytest.mark.parametrize("place", [place.name for place in BLANKS["sgd"].places(0)])
    def test_a_submission_that_lacks_a_place_is_not_right(self, place):
        outcomes = grading.outcomes_of(functions()["sgd"])
        del outcomes.at[place]
        assert grading.judge("sgd", outcomes).state == "wrong"

    def test_the_exam_has_no_solutions_and_no_hints(self, capsys, tmp_path):
        assert main(["strip", str(PATH)]) == 0
        exam = json.loads(capsys.readouterr().out)
        kinds = [tag for cell in exam["cells"] for tag in tags(cell)]
        assert kinds == ["blank", "grade"] * len(NAMES)
        assert not any(
            "Hint" in source(cell) or "Solution" in source(cell) for cell in exam["cells"]
        )
        assert outputs(exam) == []
        assert any("grade = grading.Grader(exam=True)" in source(cell) for cell in exam["cells"])
        (tmp_path / "x.ipynb").write_text("{}")
        assert main(["strip", str(tmp_path / "x.ipynb")]) == 2
        assert "x.ipynb: must be the workbook" in capsys.readouterr().err

    def test_a_workbook_without_solutions_keeps_its_diagnoses(self, capsys):
        assert main(["strip", "--keep-diagnoses", str(PATH)]) == 0
        homework = json.loads(capsys.readouterr().out)
        assert [t for cell in homework["cells"] for t in tags(cell)] == ["blank", "grade"] * 15
        assert outputs(homework) == []
        (setup,) = [c for c in homework["cells"] if "grade = " in source(c) and c["id"] == "setup"]
        space = {"grading": grading}
        exec(re.search(r"grade = .*", source(setup))[0], space)
        for wrong in ("s", "2 * s * (1 - s)", "s * s", "1 - s"):
            answer = functions("sigmoid_slope", "s * (1 - s)", wrong)["sigmoid_slope"]
            said = str(space["grade"](answer))
            assert "The first wrong number: ds[0, 0] must be" in said
            assert "It must be" not in said
        assert "ds: the factor s is missing." in said

    def test_what_is_no_folder_of_submissions(self, tmp_path, capsys):
        for folder in (tmp_path, tmp_path / "none"):
            assert main(["grade", str(folder)]) == 2
            assert f"{folder} must be a folder with .json submissions" in capsys.readouterr().err

    @pytest.mark.rare
    def test_the_verdict_of_a_file_is_that_of_the_functions(self, tmp_path):
        mine = [*functions(*BOBS).values()]
        path = tmp_path / "bob.json"
        path.write_text(grading.submission(mine, seed=1))  # no name: the points of the workbook
        submission = desk.read_submission(path)
        verdicts = desk.verdicts_of(submission.student, submission.answers)
        assert verdicts == [grading.grade(f, seed=1) for f in mine]


class TestTheGrader:
    def test_what_must_stand_there_comes_after_the_third_wrong_answer(self):
        grade, slopes = grading.Grader(), []
        for wrong in ("1 - s", "1 - s", "s", "2 * s * (1 - s)"):
            answers = functions("sigmoid_slope", "s * (1 - s)", wrong)
            slopes.append(str(grade(answers["sigmoid_slope"])))
        assert "ds: the factor s is missing." in slopes[0]
        assert ["It must be" in verdict for verdict in slopes] == [False, False, False, True]

    def test_an_exam_says_right_or_wrong(self):
        slope = functions("sigmoid_slope", "s * (1 - s)", "1 - s")["sigmoid_slope"]
        assert str(grading.Grader(exam=True)(slope)) == "sigmoid_slope: wrong."


class TestBlanksThatCallOthers:
    """`grade` finds them among the global names of the function."""

    WRONG_PARTS = (
        ("sigmoid", "np.where(a >= 0, 1, e) / (1 + e)", "np.tanh(a)", "lstm_step_forward"),
        ("sigmoid_slope", "s * (1 - s)", "1 - s", "lstm_step_backward"),
        ("rnn_step_backward", "(1 - h * h)", "(1 - h)", "rnn_backward"),
        ("lstm_step_forward", "f * c_prev", "c_prev", "lstm_forward"),
        ("lstm_step_backward", "dc = dc + dh", "dc = dh", "lstm_backward"),
    )

    @pytest.mark.parametrize(("part", "right", "wrong", "above"), WRONG_PARTS)
    def test_a_wrong_one_costs_its_own_points_alone(self, part, right, wrong, above):
        """The lines above are judged with the textbook's part, and the verdict says so."""
        verdict = grading.grade(functions(part, right, wrong)[above])
        assert verdict.state == "right", verdict
        assert verdict.of_parts == (
            f"It was judged with the textbook's {part}, since your {part} is wrong."
        )

    @pytest.mark.parametrize(
        ("part", "right", "wrong", "step", "loop"),
        [
            ("sigmoid_slope", "s * (1 - s)", "s * (1 + s)", "lstm_step_backward", "lstm_backward"),
            ("sigmoid_slope", "s * (1 - s)", "1 - s * s", "lstm_step_backward", "lstm_backward"),
        ],
    )
    def test_a_wrong_one_two_levels_down_costs_its_own_points_alone(
        self, part, right, wrong, step, loop
    ):
        verdict = grading.grade(functions(part, right, wrong)[loop])
        assert verdict.state == "right", verdict
        assert verdict.of_parts == (
            f"It was judged with the textbook's {step}, since with your {step} its numbers are "
            "others."
        )

    @pytest.mark.rare
    @pytest.mark.parametrize("kind", [np.matrix, np.ma.masked_array])
    def test_an_array_of_another_kind_is_refused(self, kind):
        """The next function would compute something else with it."""

        def sigmoid(a):
            return kind(1 / (1 + np.exp(-a)))

        verdict = grading.grade(sigmoid)
        assert verdict.state == "wrong"
        assert "which the next function would not take for an array" in str(verdict)

    def test_a_step_that_is_wrong_in_a_loop_alone_loses_the_points(self):
        """It sees that x is part of a longer array. The lines of the loop are right."""
        mine = functions("rnn_step_backward", "da = dh",
                         "of_longer = x.base is not None and x.flags.c_contiguous\n"
                         "    da = (1 + of_longer) * dh")  # fmt: skip
        names = "rnn_step_backward", "rnn_backward"
        answers = {name: grading.outcomes_of(mine[name], "ada") for name in names}
        assert grading.judge(names[0], answers[names[0]], "ada").state == "right"
        verdicts = {v.name: v for v in desk.verdicts_of("ada", answers)}
        assert verdicts["rnn_backward"].state == "right"
        assert verdicts["rnn_step_backward"].state == "wrong"
        assert "but rnn_backward is wrong with it" in verdicts["rnn_step_backward"].first_wrong

    def test_a_mistake_of_its_own_is_named_beside_a_wrong_one(self):
        mine = functions("rnn_step_backward", "(1 - h * h)", "(1 - h)")
        space = mine["rnn_backward"].__globals__
        exec(exchanged(SOLUTIONS["rnn_backward"], "dWh += dWh_t", "dWh = dWh_t"), space)
        verdict = grading.grade(space["rnn_backward"])
        assert verdict.state == "wrong"
        assert verdict.diagnosis.startswith("dWh: it is overwritten")
        assert "judged with the textbook's rnn_step_backward" in verdict.of_parts

    def test_the_students_own_stay_where_they_are(self):
        mine = functions("rnn_step_backward", "(1 - h * h)", "(1 - h)")
        grading.grade(mine["rnn_backward"])
        assert mine["rnn_backward"].__globals__["rnn_step_backward"] is mine["rnn_step_backward"]

    def test_a_step_that_returns_more_fits_the_students_own_loop_alone(self):
        mine = functions("rnn_step_backward", "return da @", "return da, da @")
        space = mine["rnn_backward"].__globals__
        exec(exchanged(SOLUTIONS["rnn_backward"], "dx[t], dh,", "_, dx[t], dh,"), space)
        assert grading.grade(space["rnn_step_backward"]).state == "wrong"
        assert grading.grade(space["rnn_backward"]).state == "right"

    def test_the_open_one_is_named(self):
        mine = functions()
        space = mine["rnn_backward"].__globals__
        exec("def rnn_step_backward(dh, x, h_prev, h, Wx, Wh):\n    return None", space)
        verdict = grading.grade(mine["rnn_backward"])
        assert verdict.state == "right"
        assert verdict.of_parts.endswith("since your rnn_step_backward is not answered yet.")

    def test_a_function_of_numpy_with_the_name_of_a_blank_is_none(self):
        sgd = functions("sgd", "lr * dW", "np.clip(lr * dW, -1e9, 1e9)")["sgd"]
        sgd.__globals__["clip"] = None
        assert grading.outcomes_of(sgd).calls == []


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # Jupyter warns, in its own process
def test_with_all_solutions_the_engine_learns_as_the_library_does():
    notebook = in_jupyter(PATH)
    for cell in notebook["cells"]:
        if "blank" in tags(cell):
            cell["source"] = SOLUTIONS[cell["id"]]
    execute(notebook, PATH)
    (engine,) = (cell for cell in notebook["cells"] if cell["id"] == "engine")
    assert "largest difference between your losses and ours" in printed(engine)


@pytest.mark.parametrize(
    ("call", "says", "error"),
    [
        bad_call(
            lambda: nl.grading.grade(5), "grade: the answer must be a function, got int", TypeError
        ),
        bad_call(lambda: nl.grading.grade(np.tanh), "must be one of sigmoid, "),
        bad_call(
            lambda: nl.grading.grade(lambda a: a),
            "got '<lambda>', and no variable of these names holds it",
        ),
        bad_call(lambda: nl.grading.grade(nl.evaluate), "must be one of sigmoid, "),
    ],
)
def test_a_bad_call_gets_one_sentence(call, says, error):
    assert_refused(call, says, error)
