"""Agreement with PyTorch to 1e-10: loss, every gradient by path, and twenty updates.

The cells that PyTorch lacks are written here, and differentiated by it.

PyTorch's LSTM has the gate order i, f, g, o too, and its GRU r, z, n. Its weights are the
transposes of ours, and it has two biases; one is set to zero here and stays so, but for the
candidate of a GRU, where it is our bn.
"""

import numpy as np
import pytest
from conftest import B, D, H, L, T, V
from test_reference import matrix_arrays, recurrent_arrays

import numpylstm as nl
from numpylstm import reference

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: torch)")

VARIANTS = {
    "lstm": {"cell": "lstm", "embedding_size": D},
    "tanh": {"cell": "rnn", "activation": "tanh", "embedding_size": D},
    "relu": {"cell": "rnn", "activation": "relu", "embedding_size": D},
    "gru": {"cell": "gru", "embedding_size": D},
    "tied lstm": {"cell": "lstm", "tied": True},
}


class Twin(torch.nn.Module):
    """PyTorch module that computes what a `numpylstm.LanguageModel` computes."""

    def __init__(self, model, *, cell, activation="tanh", embedding_size=H, tied=False):
        super().__init__()
        self.embedding = torch.nn.Embedding(V, embedding_size)
        if cell in ("lstm", "gru"):
            self.rnn = getattr(torch.nn, cell.upper())(embedding_size, H, L)
        else:
            self.rnn = torch.nn.RNN(embedding_size, H, L, nonlinearity=activation)
        self.decoder = torch.nn.Linear(H, V)
        if tied:
            self.decoder.weight = self.embedding.weight
        self.double()
        self.by_path = {"embedding.W": self.embedding.weight, "decoder.b": self.decoder.bias}
        if not tied:
            self.by_path["decoder.W"] = self.decoder.weight
        for layer in range(L):
            path = f"{cell}.{layer}"
            self.by_path[f"{path}.Wx"] = getattr(self.rnn, f"weight_ih_l{layer}")
            self.by_path[f"{path}.Wh"] = getattr(self.rnn, f"weight_hh_l{layer}")
            self.by_path[f"{path}.b"] = getattr(self.rnn, f"bias_ih_l{layer}")
            second_bias = getattr(self.rnn, f"bias_hh_l{layer}").requires_grad_(False).zero_()
            if cell == "gru":
                only_n = torch.arange(3 * H) >= 2 * H
                second_bias.requires_grad_(True).register_hook(lambda g, only_n=only_n: g * only_n)
                self.by_path[f"{path}.bn"] = second_bias
        with torch.no_grad():
            for path, array in model.state_dict().items():
                theirs = torch.from_numpy(self.oriented(path, array))
                self.by_path[path][-len(theirs) :].copy_(theirs)

    @staticmethod
    def oriented(path, array):
        """Convert between our layout and PyTorch's: all but the embedding are transposed."""
        return array if path == "embedding.W" else array.T

    def ours(self, path, array):
        """Convert to our layout; of the second bias, keep `bn`."""
        return self.oriented(path, array[-H:] if path.endswith(".bn") else array)

    def forward(self, x, state):
        hs, state = self.rnn(self.embedding(torch.from_numpy(x)), state)
        return self.decoder(hs), state

    def gradients(self):
        return {path: self.ours(path, p.grad.numpy()) for path, p in self.by_path.items()}

    def parameters_by_path(self):
        return {path: self.ours(path, p.detach().numpy()) for path, p in self.by_path.items()}


def assert_close(ours, theirs):
    assert ours.keys() == theirs.keys()
    for path, array in ours.items():
        scale = np.abs(theirs[path]).max()
        np.testing.assert_allclose(array, theirs[path], rtol=0, atol=1e-10 * scale, err_msg=path)


@pytest.fixture(params=VARIANTS)
def pair(request):
    options = VARIANTS[request.param]
    model = nl.LanguageModel(V, H, L, dtype="float64", init_scale=0.5, rng=0, **options)
    return model, Twin(model, **options)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_a_hundred_steps_of_adam(rng, name, weight_decay):
    """A dense gradient and one of some rows; the other rows move by their memory.

    PyTorch's SparseAdam is another algorithm: it leaves the other rows alone.
    """
    dense, table = rng.standard_normal((H, V)), rng.standard_normal((V, D))
    parameters = {"W": nl.Parameter(dense.copy(), "W"), "E": nl.Parameter(table.copy(), "E")}
    twins = {"W": torch.tensor(dense), "E": torch.tensor(table)}
    optimizer = getattr(nl, name)(parameters, lr=0.01, weight_decay=weight_decay)
    twin_optimizer = getattr(torch.optim, name)(
        list(twins.values()), lr=0.01, weight_decay=weight_decay
    )
    sparse_twin = torch.tensor(table)
    sparse_optimizer = torch.optim.SparseAdam([sparse_twin], lr=0.01)
    for _ in range(100):
        optimizer.zero_grad()
        gradient = 10.0 ** rng.uniform(-6, 3) * rng.standard_normal((H, V))
        rows = rng.choice(V - 1, 3, replace=False)
        values = rng.standard_normal((3, D))
        parameters["W"].accumulate(gradient.copy())
        parameters["E"].accumulate(nl.layers.Rows(rows, values.copy()))
        twins["W"].grad = torch.tensor(gradient)
        sparse = torch.sparse_coo_tensor(rows[None], values, (V, D), check_invariants=True)
        sparse_twin.grad, twins["E"].grad = sparse, sparse.to_dense()
        untouched = np.setdiff1d(np.arange(V - 1), rows)
        before = parameters["E"].data[untouched].copy(), sparse_twin[untouched].clone()
        optimizer.step()
        twin_optimizer.step()
        sparse_optimizer.step()
        assert torch.equal(sparse_twin[untouched], before[1])
        for path, parameter in parameters.items():
            np.testing.assert_allclose(parameter.data, twins[path].numpy(), rtol=0, atol=1e-12)
    assert (parameters["E"].data[untouched] != before[0]).any(axis=1).all()


def torch_loss(logits, y):
    """Return the sum over time of the mean over the batch."""
    nll = torch.nn.functional.cross_entropy(
        logits.reshape(-1, V), torch.from_numpy(y.reshape(-1)), reduction="none"
    )
    return nll.reshape(y.shape).mean(dim=1).sum()


def torch_state(state):
    parts = tuple(torch.from_numpy(part) for part in state)
    return parts if len(parts) == 2 else parts[0]


def test_loss_states_and_every_gradient(rng, pair):
    model, twin = pair
    x, y = rng.integers(0, V, (2, T, B))
    zero = model.zero_state(B)
    state = type(zero)(*(rng.standard_normal(part.shape) for part in zero))
    loss, after = model.forward(x, y, state)
    model.backward()
    logits, twin_after = twin(x, torch_state(state))
    twin_loss = torch_loss(logits, y)
    twin_loss.backward()
    assert loss == pytest.approx(twin_loss.item(), rel=1e-12)
    twin_parts = twin_after if len(after) == 2 else (twin_after,)
    for ours, theirs in zip(after, twin_parts, strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-11, atol=1e-13)
    assert_close({path: p.grad for path, p in model.parameters().items()}, twin.gradients())


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_packed_sequences(rng, cell):
    """Sequences of different lengths, unsorted: every result and every gradient, those of the
    states included.
    """
    lengths, blocks = np.array([2, T, 1]), {"rnn": 1, "lstm": 4, "gru": 3}[cell]
    twin = getattr(torch.nn, cell.upper())(D, H, dtype=torch.float64)
    weights = [
        rng.standard_normal(shape) for shape in ((D, blocks * H), (H, blocks * H), blocks * H)
    ]
    with torch.no_grad():
        for parameter, array in zip(twin.parameters(), weights, strict=False):
            parameter.copy_(torch.from_numpy(array.T))
        twin.bias_hh_l0.zero_()
    states, ups = rng.standard_normal((2, 1 + (cell == "lstm"), B, H))
    x, dhs = rng.standard_normal((T, B, D)), rng.standard_normal((T, B, H))
    hs, *after, cache = getattr(nl.functional, f"{cell}_forward")(
        x, *states, *weights, lengths=lengths
    )
    ours = getattr(nl.functional, f"{cell}_backward")(dhs, *ups, cache)

    given = [torch.tensor(array, requires_grad=True) for array in (x, *states[:, None])]
    pack = torch.nn.utils.rnn
    packed = pack.pack_padded_sequence(given[0], lengths, enforce_sorted=False)
    packed, state = twin(packed, tuple(given[1:]) if cell == "lstm" else given[1])
    want, _ = pack.pad_packed_sequence(packed, total_length=T)
    state = state if cell == "lstm" else (state,)
    loss = (torch.tensor(dhs) * want).sum()
    (loss + sum((torch.tensor(u) * s).sum() for u, s in zip(ups, state, strict=True))).backward()
    pairs = [(hs, want), *zip(after, state, strict=True)]
    pairs += [(d, tensor.grad) for d, tensor in zip(ours, given, strict=False)]
    weights = [p for p in twin.parameters() if p is not twin.bias_hh_l0]
    gradients = ours[len(given) : len(given) + 3]
    pairs += [(d.T, p.grad) for d, p in zip(gradients, weights, strict=True)]
    for one, other in pairs:
        other = other.detach().numpy().reshape(one.shape)
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12 * max(1, np.abs(other).max()))


def test_twenty_training_steps(rng, pair):
    """With carried state, clipped gradients, and a rate and momentum of 0.5."""
    model, twin = pair
    optimizer = nl.SGD(model.parameters(), lr=0.5, momentum=0.5)
    trained = [p for p in twin.parameters() if p.requires_grad]
    twin_optimizer = torch.optim.SGD(trained, lr=0.5, momentum=0.5)
    state = model.zero_state(B)
    twin_state = torch_state(state)
    clipped = 0
    for x, y in rng.integers(0, V, (20, 2, T, B)):
        optimizer.zero_grad()
        loss, state = model.forward(x, y, state)
        model.backward()
        norm = nl.clip_by_global_norm(model.parameters(), 1.0)
        optimizer.step()

        twin_optimizer.zero_grad()
        logits, twin_state = twin(x, twin_state)
        twin_state = (
            tuple(s.detach() for s in twin_state)
            if isinstance(twin_state, tuple)
            else twin_state.detach()
        )
        twin_loss = torch_loss(logits, y)
        twin_loss.backward()
        # By hand: torch.nn.utils.clip_grad_norm_ adds 1e-6 to the norm.
        twin_norm = torch.sqrt(sum((p.grad**2).sum() for p in trained))
        for p in trained:
            p.grad *= min(1.0, 1.0 / twin_norm.item())
        twin_optimizer.step()

        clipped += norm > 1.0
        assert loss == pytest.approx(twin_loss.item(), rel=1e-10)
        assert norm == pytest.approx(twin_norm.item(), rel=1e-10)
    assert clipped > 0
    assert_close(model.state_dict(), twin.parameters_by_path())


@pytest.mark.parametrize("lengths", [None, [3, 1, 5]], ids=["all", "packed"])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_both_directions(rng, cell, lengths):
    """Two layers that meet after each, as PyTorch's do, and packed sequences: all that comes out.

    Of a GRU the second bias is zero but for the candidate.
    """
    settings = {"dtype": "float64", "init_scale": 0.8, "rng": 0}
    low = nl.Bidirectional(cell, D, H, name="low", **settings)
    high = nl.Bidirectional(cell, 2 * H, H, name="high", **settings)
    kind = getattr(torch.nn, cell.upper())
    twin = kind(D, H, L, bidirectional=True, dtype=torch.float64)
    by_path = {}
    for layer, both in enumerate((low, high)):
        for stack, suffix in zip(both.stacks, ("", "_reverse"), strict=True):
            Wx, Wh, b, *bn = (
                getattr(twin, f"{name}_l{layer}{suffix}")
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            theirs = dict(zip(stack.all_parameters(), (Wx, Wh, b, *bn), strict=False))
            by_path |= {f"{both.prefix}.{path}": tensor for path, tensor in theirs.items()}
            with torch.no_grad():
                bn[0].zero_()
                for path, tensor in theirs.items():
                    array = torch.from_numpy(stack.all_parameters()[path].data.T)
                    tensor[-len(array) :].copy_(array)
    x = rng.standard_normal((T, B, D))
    dhs, dh = rng.standard_normal((T, B, 2 * H)), rng.standard_normal((2, B, H))

    ends = None if lengths is None else np.array(lengths)
    middle, _ = low.forward(x, lengths=ends)
    hs, states = high.forward(middle, lengths=ends)
    dstate = tuple(s._replace(h=d[None]) for s, d in zip(high.zero_state(B), dh, strict=True))
    dx, _ = low.backward(high.backward(dhs, dstate)[0])

    given = torch.tensor(x, requires_grad=True)
    if lengths is None:
        want, state = twin(given)
    else:
        pack = torch.nn.utils.rnn
        packed, state = twin(pack.pack_padded_sequence(given, lengths, enforce_sorted=False))
        want, _ = pack.pad_packed_sequence(packed, total_length=T)
    final = state[0] if cell == "lstm" else state  # (2 L, B, H): the top layer comes last
    ((torch.tensor(dhs) * want).sum() + (torch.tensor(dh) * final[-2:]).sum()).backward()
    np.testing.assert_allclose(hs, want.detach().numpy(), rtol=0, atol=1e-12)
    for one, other in zip(states, final[-2:].detach().numpy(), strict=True):
        np.testing.assert_allclose(one.h[0], other, rtol=0, atol=1e-12)
    np.testing.assert_allclose(dx, given.grad.numpy(), rtol=0, atol=1e-12 * np.abs(dx).max())
    ours = {path: p.grad for both in (low, high) for path, p in both.parameters().items()}
    theirs = {path: tensor.grad.numpy().T for path, tensor in by_path.items()}
    assert_close(ours, {path: grad[-len(ours[path]) :] if path.endswith(".bn") else grad
                        for path, grad in theirs.items() if path in ours})  # fmt: skip


@pytest.mark.parametrize("factors", ["positive", "signed"])
def test_mingru(rng, factors):
    def step(x, state, Wx, b):
        a_z, n = (x @ Wx + b).chunk(2, dim=1)
        z = torch.sigmoid(a_z)
        return [(1 - (1 if factors == "positive" else 2) * z) * state[0] + z * n]

    against_autograd(rng, "mingru", step, factors=factors)


def test_minlstm(rng):
    def step(x, state, Wx, b):
        a_i, a_f, g = (x @ Wx + b).chunk(3, dim=1)
        i, f = torch.sigmoid(a_i), torch.sigmoid(a_f)
        return [f / (f + i) * state[0] + i / (f + i) * g]

    against_autograd(rng, "minlstm", step)


@pytest.mark.parametrize("forget_gate", ["sigmoid", "exp"])
def test_slstm(rng, forget_gate):
    """Autograd goes back through the maximum, where all cancels."""

    def step(x, state, Wx, Wh, b):
        h, c, n, m_prev = state
        a_i, a_f, a_z, a_o = (x @ Wx + h @ Wh + b).chunk(4, dim=1)
        log_f = a_f if forget_gate == "exp" else torch.nn.functional.logsigmoid(a_f)
        m = torch.maximum(log_f + m_prev, a_i)
        i, f = torch.exp(a_i - m), torch.exp(log_f + m_prev - m)
        c, n = f * c + i * torch.tanh(a_z), f * n + i
        return [torch.sigmoid(a_o) * c / n, c, n, m]

    against_autograd(rng, "slstm", step, forget_gate=forget_gate)


def against_autograd(rng, cell, step, **options):
    """Compare hs, hT and every gradient of a loss that reads both with a cell in PyTorch."""
    arrays = recurrent_arrays(rng, (T, B, D, H), cell)
    dhs, dhT = rng.standard_normal((T, B, H)), rng.standard_normal((B, H))
    states = len(nl.cells.CELLS[cell].states)
    given = {name: torch.tensor(array, requires_grad=True) for name, array in arrays.items()}
    x, *rest = given.values()
    state, want = rest[:states], []
    for x_t in x:
        state = step(x_t, state, *rest[states:])
        want.append(state[0])
    want = torch.stack(want)
    ((torch.tensor(dhs) * want).sum() + (torch.tensor(dhT) * state[0]).sum()).backward()
    for module in (nl.reference, nl.functional):
        forward, backward = (getattr(module, f"{cell}_{way}") for way in ("forward", "backward"))
        hs, hT, *others, cache = forward(**arrays, **options)
        gradients = backward(dhs, dhT, *map(np.zeros_like, others), cache)
        assert_close({"hs": hs, "hT": hT} | dict(zip(arrays, gradients, strict=True)),
                     {"hs": want.detach().numpy(), "hT": state[0].detach().numpy()}
                     | {name: tensor.grad.numpy() for name, tensor in given.items()})  # fmt: skip


def matrix_state(q, k, v, beta, decay, S):
    """Return the outputs and the last state of the gated delta rule, by PyTorch's products."""
    outputs = []
    for t in range(len(q)):
        S = decay[t, :, None, None] * S
        error = v[t] - torch.einsum("bk,bkv->bv", k[t], S)
        S = S + torch.einsum("b,bk,bv->bkv", beta[t], k[t], error)
        outputs.append(torch.einsum("bk,bkv->bv", q[t], S))
    return torch.stack(outputs), S


@pytest.mark.parametrize("kind", ["linear_attention", "delta_rule", "gated_delta_rule"])
def test_gradients_of_a_matrix_state(rng, kind):
    arrays = matrix_arrays(rng, kind)
    forward, backward = (getattr(reference, f"{kind}_{way}") for way in ("forward", "backward"))
    o, S, cache = forward(*arrays.values())
    do, dS = rng.standard_normal(o.shape), rng.standard_normal(S.shape)

    theirs = {name: torch.from_numpy(a).requires_grad_() for name, a in arrays.items()}
    if kind == "linear_attention":
        q, k, v, S_t = theirs.values()
        scores = torch.einsum("tbk,sbk->bts", q, k).tril()
        their_o = torch.einsum("bts,sbv->tbv", scores, v) + torch.einsum("tbk,bkv->tbv", q, S_t)
        their_S = S_t + torch.einsum("tbk,tbv->bkv", k, v)
    else:
        ones = torch.ones(theirs["beta"].shape, dtype=torch.float64)
        decay = theirs.get("decay", ones)
        their_o, their_S = matrix_state(*list(theirs.values())[:4], decay, theirs["S0"])
    torch.autograd.backward((their_o, their_S), (torch.from_numpy(do), torch.from_numpy(dS)))

    np.testing.assert_allclose(their_o.detach(), o, rtol=0, atol=1e-12)
    np.testing.assert_allclose(their_S.detach(), S, rtol=0, atol=1e-12)
    for (name, their), ours in zip(theirs.items(), backward(do, dS, cache), strict=True):
        np.testing.assert_allclose(their.grad, ours, rtol=1e-12, atol=1e-12, err_msg=name)
