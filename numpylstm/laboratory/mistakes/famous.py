"""The famous mistakes, exhibits of the museum: of the cell and its sequence, then around them."""

from typing import Any

from numpylstm.checks import check_choice, check_kind
from numpylstm.laboratory.mistakes.record import Mistake

AROUND = "numpylstm.laboratory.mistakes.around"

EXHIBITS = (
    Mistake(
        name="missing-wh-transpose",
        title="The transpose of Wh is missing",
        function="rnn_step_backward",
        changes=(("dh_prev = da @ Wh.T", "dh_prev = da @ Wh"),),
        story="Wh is square, so the shapes accept both products. vzhou842/rnn-from-scratch "
        "(68b10bb) has `d_h = self.Whh @ temp` in column convention, where it needs `Whh.T`: the "
        "relative errors of its gradients are .84 (Whh), .62 (Wxh) and .92 (bh), and on its own "
        "task it still reaches a training accuracy of 1.00. "
        "datascience.stackexchange.com/questions/10545 asks about the same mistake.",
        words="Wh is not transposed",
        cell="rnn",
    ),
    Mistake(
        name="dh-next-dropped",
        title="dh_next is dropped",
        function="lstm_backward",
        changes=(("dhs[t] + dh, dc, step)", "dhs[t], dc, step)"),),
        story="h is used twice, by the layer above and by the next step, but only the first use "
        "is visible when one step is derived. Readers of min-char-rnn ask what `dhnext` is for, "
        "in the comments under the gist.",
        words="the term dh is missing",
    ),
    Mistake(
        name="dc-next-dropped",
        title="dc_next is dropped",
        function="lstm_backward",
        changes=(("dhs[t] + dh, dc, step)", "dhs[t] + dh, dc * (t == len(dhs) - 1), step)"),),
        story="In a vanilla network only one gradient, dh, goes back in time, so the second is "
        "easily forgotten. The carousel, which is the reason for the cell, is then never trained "
        "over more than one step. In hanbt/learn_dl (eff712e, lstm.py) the gates' gradients are "
        "made of dh alone; the check beside it has two steps and a zero initial state, where Wh "
        "shows nothing.",
        words="dc is ignored at every step but the last",
    ),
    Mistake(
        name="dc-overwritten",
        title="dc is overwritten where it must be added to",
        function="lstm_step_backward",
        changes=(("dc = dc + dh * o", "dc = dh * o"),),
        story="c is used by h and by the next step; an equals sign keeps one of the two "
        "gradients. Readers of nicodjimenez/lstm ask why `top_diff_s` is added (#2, #33 and #39), "
        "and pull request #49 proposed to remove it, because the loss of the example was lower "
        "without it. apache/mxnet #4057 is about the same line of an example. Where no "
        "gradient comes from the next window, this is the same mistake as "
        "the dropped dc_next.",
        words="the term dc is missing",
    ),
    Mistake(
        name="forget-gate-wrong-c",
        title="The forget gate's derivative uses c instead of c_prev",
        function="lstm_step_backward",
        changes=(("df = dc * c_prev", "df = dc * cache.c"),),
        story="Both arrays have the same shape and are in the same cache, and while the cell "
        "holds its memory they are nearly equal. We know no published case.",
        words="c is used instead of c_prev",
    ),
    Mistake(
        name="no-tanh-on-c",
        title="The backward pass forgets the tanh on c",
        function="lstm_step_backward",
        changes=(
            ("do = dh * tanh_c", "do = dh * cache.c"),
            ("dc + dh * o * (1 - tanh_c * tanh_c)", "dc + dh * o"),
        ),
        story="nicodjimenez/lstm (a2f2e99) has a cell with h = o * c, forward and backward "
        "(readers ask about it in #47), so its gradients are right for its own cell. Combined "
        "with the usual forward pass, its backward pass is this mistake.",
        words="the tanh of c is forgotten",
    ),
    Mistake(
        name="candidate-as-sigmoid",
        title="The candidate has the sigmoid's derivative",
        function="lstm_step_backward",
        changes=(("da_g = dg * (1 - g * g)", "da_g = dg * g * (1 - g)"),),
        story="Three of the four blocks are sigmoids, and their line is copied for all four. We "
        "know no published case.",
        words="the slope of the sigmoid instead of tanh's",
    ),
    Mistake(
        name="h-for-h-prev",
        title="dWh is built from the state after the step",
        function="lstm_step_backward",
        changes=(("dWh = h_prev.T @ da", "dWh = cache.h.T @ da"),),
        story="This is an off-by-one mistake: h[t] is at hand, while h[t-1] also needs the state "
        "before the first step. We know no published case.",
        words="h is used instead of h_prev",
    ),
    Mistake(
        name="gru-reset-mixed",
        title="The reset gate scales the past before its product, and backward as if after",
        function="gru_step_backward",
        changes=(
            ("ds = da_n @ Wh_n.T", "ds = da_n * r"),
            ("dr = ds * h_prev", "dr = da_n * (h_prev @ Wh_n)"),
            ("dh_prev_n = ds * r", "dh_prev_n = ds @ Wh_n.T"),
            ("dWh_n = s.T @ da_n", "dWh_n = h_prev.T @ ds"),
        ),
        story="There are two GRUs: the first version of Cho et al. (2014) scales the past after "
        "its product with Wh_n, as PyTorch and cuDNN do, the third before it, as textbooks do. "
        "Each of these lines is right for the other. Readers meet the difference in "
        "pytorch/pytorch #8153 and #99531, and keras-team/keras #8307 is about weights that fit "
        "only one of the two. We know no published case of the mistake.",
        words="the lines are those of reset 'after'",
        cell="gru",
        options={"reset": "before"},
    ),
    Mistake(
        name="gates-swapped",
        title="Two gates are swapped: the blocks are in the order of another program",
        function="gru_step_backward",
        changes=(("[da_r, da_z, da_n]", "[da_z, da_r, da_n]"),),
        story="PyTorch has the blocks r, z, n, Keras and ONNX z, r, n (and ONNX the gates of an "
        "LSTM as i, o, f, c). All blocks have the same shape, so code written for one order runs "
        "with the other. keras-team/keras #8720 is about GRU weights that do not fit another "
        "program; `numpylstm.exchange` converts between the orders. We know no published case in "
        "a backward pass.",
        words="da_r and da_z are exchanged",
        cell="gru",
    ),
    Mistake(
        name="bias-one-axis",
        title="The bias is summed over the batch and not over time",
        function="lstm_backward",
        changes=(("db += db_t", "db = db_t"),),
        story="A bias is used at each step for each sequence, so its gradient is a sum over two "
        "axes. The shape, (4H,), is right after the first of them. We know no published case.",
        words="db: it is overwritten",
    ),
    Mistake(
        name="dx-of-its-own-step",
        title="dx leaves out what comes back from later steps",
        function="lstm_backward",
        changes=(
            (
                "        dWx += dWx_t\n",
                "        if t < len(dhs) - 1:\n"
                "            dx[t] = lstm_step_backward(dhs[t], 0 * dc, step)[0]\n"
                "        dWx += dWx_t\n",
            ),
        ),
        story="eriklindernoren/ML-From-Scratch (a2806c6): the gradients of its RNN's weights are "
        "right to 5e-11, and dX has errors of .10 to .64 in every step but the last, so a stack "
        "of them trains on wrong gradients. A single layer that reads data never uses dX, so it "
        "shows nothing.",
        words="it leaves out the gradient from later steps",
    ),
    Mistake(
        name="layers-share-gradient",
        title="All layers share one gradient",
        function="zero_gradients",
        changes=(("layer.items()} for layer in layers]", "layers[0].items()}] * len(layers)"),),
        story="`[x] * n` holds one x n times. The same slip makes layers share their weights: "
        "adventuresinML/adventures-in-ml-code (d5219ae) builds them as `[cell for _ in range(n)]`, "
        "one cell, which in some versions of TensorFlow is one set of weights; tensorflow/models "
        "fixed it in pull request 2868, and martin-gorner/tensorflow-rnn-shakespeare #27 and "
        "thunlp/OpenNRE #37 are about it.",
        words="share one gradient array",
        module=AROUND,
        equal_layers=True,
    ),
    Mistake(
        name="per-parameter-clipping",
        title="Each parameter is clipped by its own norm",
        function="clip",
        changes=(
            (
                "    norm = np.sqrt(sum(np.sum(g * g) for g in gradients.values()))\n",
                "    norm = {path: np.sqrt(np.sum(g * g)) for path, g in gradients.items()}\n",
            ),
            ("max_norm / norm)", "max_norm / norm[path])"),
        ),
        story="ddbourgin/numpy-ml (b0359af) clips this way, and keras-team/keras #13575 asks "
        "which of the two norms is meant; carpedm20/MemN2N-tensorflow #19 and pull request 614 of "
        "huggingface/transformers are about the difference. This is a valid method, but a mistake "
        "where the recipe says global norm.",
        words="clipped by its own norm",
        module=AROUND,
    ),
    Mistake(
        name="unweighted-loss-gradient",
        title="The softmax's gradient is not scaled by the weights",
        function="cross_entropy_step_backward",
        changes=(
            ("cache.coefficients[..., None] * (p - onehot)", "(p - onehot) / cache.targets.size"),
        ),
        story="`p - onehot` is what people remember, but it is the gradient of the loss without "
        "weights. In a padded batch, the padding then contributes to the gradients. We know no "
        "published case.",
        words="the weights are ignored",
    ),
    Mistake(
        name="embedding-overwritten",
        title="Embedding rows are overwritten where ids repeat",
        function="embedding_backward",
        changes=(("np.add.at(dW, ids, dx)", "dW[ids] += dx"),),
        story="NumPy reads dW[ids], adds, and writes it back once, so only the last of several "
        "gradients for one row remains. karpathy/nn-zero-to-hero #57, HIPS/autograd #39 and "
        "pytorch/pytorch #1528 are about it.",
        words="+= on rows keeps only the last of them",
    ),
    Mistake(
        name="sum-for-mean",
        title="The loss is a mean over time, its gradient that of the sum",
        function="cross_entropy_step_backward",
        changes=(("return dloss * cache", "return len(cache.targets) * dloss * cache"),),
        story="dennybritz/rnn-tutorial-rnnlm (344d8ff) reports the mean and follows the gradient "
        "of the sum; eriklindernoren/ML-From-Scratch (a2806c6) shows a mean and does not divide "
        "its gradient. The learning rate then does not mean what it says.",
        words="it is multiplied by T",
    ),
    Mistake(
        name="mask-forgotten",
        title="The backward pass of dropout forgets the mask",
        function="dropout_backward",
        changes=(("dy * cache.mask", "dy"),),
        story="The mask is a local variable of the forward pass, and everything runs without it. "
        "ddbourgin/numpy-ml #94 asks about it in a wrapper of layers.",
        words="the factor mask is missing",
    ),
)

MUTANTS = {mistake.name: mistake for mistake in EXHIBITS}
"""The exhibits by name."""


def check_mutant(where: str, mutant: Any) -> None:
    """Raise a TypeError unless `mutant` is a Mistake."""
    check_kind(where, "mutant", mutant, Mistake, "museum.MUTANTS['dc-overwritten'] is one")


def exhibit(where: str, name: str) -> Mistake:
    """Return the exhibit of this name, or raise a ValueError."""
    check_choice(where, "name", name, MUTANTS)
    return MUTANTS[name]
