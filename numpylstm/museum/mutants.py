"""The exhibits: each function is the reference's with one mistake, in the line that says so.

Where the reference does a thing in one step function, the mutant calls the real step and spoils
one of its results; where the mistake lies inside the step, the step is written out. The sequence
loops are shared: `_lstm_over_time` and `_rnn_over_time` are those of the reference with the step,
and what travels between the steps, as arguments.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numpylstm import reference
from numpylstm.reference import LSTMCache, RNNCache

Array = NDArray[Any]
Function = Callable[..., Any]


@dataclass(frozen=True)
class Mutant:
    """One mistake.

    `functions` replace those of the same names in `numpylstm.reference` (or `collect` and `clip`
    of the patient). `right` and `wrong` are the lines that differ; `finding` is the kind of finding
    by which the doctor recognises the mistake.
    """

    name: str
    title: str
    right: str
    wrong: str
    story: str
    finding: str
    functions: Mapping[str, Function] = field(repr=False)
    cell: str = "lstm"
    equal_layers: bool = False


# ---------------------------------------------------------------------------------------------
# The loops of the reference, open between the steps
# ---------------------------------------------------------------------------------------------


def _keep(dh: Array, dc: Array) -> tuple[Array, Array]:
    return dh, dc


def _lstm_over_time(
    step_backward: Function = reference.lstm_step_backward,
    *,
    add_dh: bool = True,
    travels: Function = _keep,
    sum_db: bool = True,
    whole_dx: bool = True,
) -> Function:
    def lstm_backward(dhs: Array, dhT: Array, dcT: Array, cache: LSTMCache) -> Any:
        *over_time, Wx, Wh = cache
        dx = np.empty_like(dhs, shape=cache.x.shape)
        dWx, dWh = np.zeros_like(dhs, shape=Wx.shape), np.zeros_like(dhs, shape=Wh.shape)
        db = np.zeros_like(dhs, shape=Wh.shape[1:])
        dh, dc = dhT, dcT
        for t in reversed(range(len(dhs))):
            step = LSTMCache(*(values[t] for values in over_time), Wx, Wh)
            arriving = dhs[t] + dh if add_dh else dhs[t]
            dx[t], dh_prev, dc_prev, dWx_t, dWh_t, db_t = step_backward(arriving, dc, step)
            if not whole_dx and t < len(dhs) - 1:
                dx[t] = step_backward(dhs[t], np.zeros_like(dc), step)[0]
            dh, dc = travels(dh_prev, dc_prev)
            dWx += dWx_t
            dWh += dWh_t
            db = db + db_t if sum_db else db_t
        return dx, dh_prev, dc_prev, dWx, dWh, db

    return lstm_backward


def _no_dc(dh: Array, dc: Array) -> tuple[Array, Array]:
    return dh, np.zeros_like(dc)


# ---------------------------------------------------------------------------------------------
# Inside the step
# ---------------------------------------------------------------------------------------------


def _lstm_step(
    *,
    dc_sum: Function = lambda dc, dh, o, tanh_c, c: dc + dh * o * (1 - tanh_c * tanh_c),
    do: Function = lambda dh, tanh_c, c: dh * tanh_c,
    df: Function = lambda dc, c_prev, c: dc * c_prev,
    da_g: Function = lambda dg, g: dg * (1 - g * g),
    dWh: Function = lambda da, h_prev, h: h_prev.T @ da,
) -> Function:
    """The reference's step with one of its lines exchanged."""

    def lstm_step_backward(dh: Array, dc: Array, cache: LSTMCache) -> Any:
        x, h_prev, c_prev, _, c, tanh_c, h, Wx, Wh = cache
        i, f, g, o = cache.i, cache.f, cache.g, cache.o
        dc = dc_sum(dc, dh, o, tanh_c, c)
        da = np.concatenate(
            [
                dc * g * i * (1 - i),
                df(dc, c_prev, c) * f * (1 - f),
                da_g(dc * i, g),
                do(dh, tanh_c, c) * o * (1 - o),
            ],
            axis=1,
        )
        return da @ Wx.T, da @ Wh.T, dc * f, x.T @ da, dWh(da, h_prev, h), da.sum(axis=0)

    return lstm_step_backward


def _rnn_missing_transpose(dhs: Array, dhT: Array, cache: RNNCache) -> Any:
    """The real loop: Wh serves only the way back, so a transposed one is a missing ``.T``."""
    return reference.rnn_backward(dhs, dhT, cache._replace(Wh=cache.Wh.T))


# ---------------------------------------------------------------------------------------------
# Around the cell
# ---------------------------------------------------------------------------------------------


def _unweighted_loss(cache: Any, dloss: float = 1.0) -> Array:
    share = np.full_like(cache.coefficients, 1 / cache.coefficients.size)
    return reference.cross_entropy_step_backward(cache._replace(coefficients=share), dloss)


def _sum_for_mean(cache: Any, dloss: float = 1.0) -> Array:
    return reference.sequence_cross_entropy_backward(cache, dloss * len(cache.targets))


def _overwritten_rows(dx: Array, cache: Any) -> Array:
    ids, shape = cache
    dW = np.zeros(shape, dx.dtype)
    dW[ids] += dx
    return dW


def _unmasked(dy: Array, cache: Any) -> Array:
    return dy


def _one_gradient_for_all(layers: list[dict[str, Array]]) -> list[dict[str, Array]]:
    shared = {name: sum(layer[name] for layer in layers) for name in layers[0]}
    return [shared for _ in layers]


def _clip_each(gradients: dict[str, Array], max_norm: float) -> dict[str, Array]:
    norms = {path: np.sqrt(np.sum(g * g)) for path, g in gradients.items()}
    return {path: g * min(1, max_norm / norms[path]) for path, g in gradients.items()}


MUTANTS = {
    mutant.name: mutant
    for mutant in [
        Mutant(
            "missing-wh-transpose",
            "The transpose of Wh is missing",
            "dh_prev = da @ Wh.T",
            "dh_prev = da @ Wh",
            "Wh is square, so the shapes accept both products. vzhou842/rnn-from-scratch (68b10bb) "
            "has `d_h = self.Whh @ temp` in column convention, where it needs `Whh.T`; its relative "
            "gradient errors are .84 (Whh), .62 (Wxh) and .92 (bh). The same mistake is the "
            "question of datascience.stackexchange.com/questions/10545.",
            "transpose",
            {"rnn_backward": _rnn_missing_transpose},
            cell="rnn",
        ),
        Mutant(
            "dh-next-dropped",
            "dh_next is dropped",
            "lstm_step_backward(dhs[t] + dh, dc, step)",
            "lstm_step_backward(dhs[t], dc, step)",
            "h is used twice, by the layer above and by the next step, and only the first use is "
            "in sight when one step is derived. What `dhnext` is for is a question that readers of "
            "min-char-rnn keep asking under the gist.",
            "dh_next",
            {"lstm_backward": _lstm_over_time(add_dh=False)},
        ),
        Mutant(
            "dc-next-dropped",
            "dc_next is dropped",
            "dx[t], dh, dc, dWx_t, dWh_t, db_t = lstm_step_backward(...)",
            "dx[t], dh, _, dWx_t, dWh_t, db_t = lstm_step_backward(...); dc = zeros",
            "Who comes from the vanilla network carries one gradient back, dh. The second is easily "
            "forgotten, and the long memory, the reason for the cell, is then never trained.",
            "dc_next",
            {"lstm_backward": _lstm_over_time(travels=_no_dc)},
        ),
        Mutant(
            "dc-overwritten",
            "dc is overwritten where it must be added to",
            "dc = dc + dh * o * (1 - tanh_c * tanh_c)",
            "dc = dh * o * (1 - tanh_c * tanh_c)",
            "c is used by h and by the next step; an equals sign keeps one of the two. Why "
            "`top_diff_s` is added is a question of the readers of nicodjimenez/lstm. Without a "
            "gradient from the next window it is the same mistake as the dropped dc_next.",
            "dc overwritten",
            {
                "lstm_backward": _lstm_over_time(
                    _lstm_step(dc_sum=lambda dc, dh, o, tanh_c, c: dh * o * (1 - tanh_c * tanh_c))
                )
            },
        ),
        Mutant(
            "forget-gate-wrong-c",
            "The forget gate's derivative with c in place of c_prev",
            "df = dc * c_prev",
            "df = dc * c",
            "Both arrays have one shape and lie in one cache, and in steady memories they are "
            "nearly equal.",
            "forget gate: c",
            {"lstm_backward": _lstm_over_time(_lstm_step(df=lambda dc, c_prev, c: dc * c))},
        ),
        Mutant(
            "no-tanh-on-c",
            "The backward pass forgets the tanh on c",
            "do = dh * tanh_c; dc = dc + dh * o * (1 - tanh_c * tanh_c)",
            "do = dh * c; dc = dc + dh * o",
            "nicodjimenez/lstm (a2f2e99) has a cell with h = o * c, forward and backward, so its "
            "gradients are right for its own cell (errors below 1.1e-10). Its backward pass beside "
            "the usual forward pass is this mistake.",
            "tanh of c",
            {
                "lstm_backward": _lstm_over_time(
                    _lstm_step(
                        dc_sum=lambda dc, dh, o, tanh_c, c: dc + dh * o,
                        do=lambda dh, tanh_c, c: dh * c,
                    )
                )
            },
        ),
        Mutant(
            "bias-one-axis",
            "The bias is summed over the batch and not over time",
            "db += db_t",
            "db = db_t",
            "A bias is used at each step for each sequence, so its gradient is a sum over two axes. "
            "The shape (4H,) is right after the first of them.",
            "bias sum",
            {"lstm_backward": _lstm_over_time(sum_db=False)},
        ),
        Mutant(
            "dx-of-its-own-step",
            "dx without what comes back from later steps",
            "dx[t], dh, dc, ... = lstm_step_backward(dhs[t] + dh, dc, step)",
            "dx[t], *_ = lstm_step_backward(dhs[t], zeros, step)  # right in the last step only",
            "eriklindernoren/ML-From-Scratch (a2806c6): the weights of its RNN are right to 5e-11, "
            "and dX has norm-relative errors of .10 to .64 in every step but the last, so a stack "
            "of them trains on wrong gradients. One layer on data never uses dX and shows nothing.",
            "input gradient",
            {"lstm_backward": _lstm_over_time(whole_dx=False)},
        ),
        Mutant(
            "layers-share-gradient",
            "All layers share one gradient",
            "gradients = [zeros(layer) for layer in layers]",
            "gradients = [zeros(layer)] * len(layers)",
            "`[x] * n` holds one x n times. The tutorial behind this project builds its layers as "
            "`[cell for _ in range(n)]`, one cell; tensorflow/models mended that in PR 2868, and "
            "martin-gorner/tensorflow-rnn-shakespeare #27 and thunlp/OpenNRE #37 ask about it.",
            "shared gradient",
            {"collect": _one_gradient_for_all},
            equal_layers=True,
        ),
        Mutant(
            "per-parameter-clipping",
            "Each parameter is clipped by its own norm",
            "scale = min(1, max_norm / norm_of_all); g * scale",
            "g * min(1, max_norm / norm_of_g)",
            "It is what ddbourgin/numpy-ml (b0359af) does, and what keras calls `clipnorm` beside "
            "`global_clipnorm` (keras-team/keras #13575). It is a method of its own; it is a "
            "mistake where the recipe says global norm.",
            "per-parameter clipping",
            {"clip": _clip_each},
        ),
        Mutant(
            "unweighted-loss-gradient",
            "The softmax's gradient is not scaled by the weights",
            "dlogits = coefficients[..., None] * (p - onehot)",
            "dlogits = (p - onehot) / (T * B)",
            "`p - onehot` is learned by heart, and belongs to the loss without weights. With "
            "padding, the padded places then pull at the parameters.",
            "loss weights",
            {"sequence_cross_entropy_backward": _unweighted_loss},
        ),
        Mutant(
            "embedding-overwritten",
            "Embedding rows are overwritten where ids repeat",
            "np.add.at(dW, ids, dx)",
            "dW[ids] += dx",
            "NumPy reads dW[ids] once, adds, and writes it back once, so of two gradients for one "
            "row the last remains.",
            "repeated ids",
            {"embedding_backward": _overwritten_rows},
        ),
        Mutant(
            "sum-for-mean",
            "The gradient of the sum beside the loss of the mean",
            "dlogits = dloss / T * ...",
            "dlogits = dloss * ...",
            "dennybritz/rnn-tutorial-rnnlm (344d8ff) reports the mean and follows the gradient of "
            "the sum; eriklindernoren/ML-From-Scratch shows a mean and does not divide its "
            "gradient. The rate then means another thing than it says.",
            "factor",
            {"sequence_cross_entropy_backward": _sum_for_mean},
        ),
        Mutant(
            "candidate-as-sigmoid",
            "The candidate with the sigmoid's derivative",
            "da_g = dg * (1 - g * g)",
            "da_g = dg * g * (1 - g)",
            "Four gates in one loop, and the third is no sigmoid.",
            "gate g",
            {"lstm_backward": _lstm_over_time(_lstm_step(da_g=lambda dg, g: dg * g * (1 - g)))},
        ),
        Mutant(
            "h-for-h-prev",
            "dWh from the state after the step",
            "dWh = h_prev.T @ da",
            "dWh = h.T @ da",
            "An index by one: h[t] is at hand, and h[t-1] needs the state before the first step.",
            "dWh",
            {"lstm_backward": _lstm_over_time(_lstm_step(dWh=lambda da, h_prev, h: h.T @ da))},
        ),
        Mutant(
            "mask-forgotten",
            "Dropout without its mask on the way back",
            "dx = dy * mask",
            "dx = dy",
            "The mask is a local variable of the forward pass, and everything runs without it.",
            "mask",
            {"dropout_backward": _unmasked},
        ),
    ]
}
"""The exhibits by name."""
