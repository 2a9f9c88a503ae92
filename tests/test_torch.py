"""Agreement with PyTorch to 1e-10: loss, every gradient by path, and twenty updates.

The states that are matrices, which PyTorch lacks, are written here, and differentiated by it.

PyTorch's LSTM has the gate order i, f, g, o too, and its GRU r, z, n. Its weights are the
transposes of ours, and it has two biases; the second is zero and stays so, but for the candidate of
a GRU, where it is our bn. `test_exchange` proves the functions that turn one into the other.
"""

import numpy as np
import pytest
from conftest import B, D, H, L, T, V, random_state
from support.arguments import matrix_arrays
from support.pytorch import IN_PYTORCH, torch_state

import numpylstm as nl
from numpylstm import reference

torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: torch)")


def twin_of(model):
    """Return the model as a module of PyTorch; of its second biases, only `bn` is trained."""
    twin = nl.exchange.torch_module(model)
    for name, parameter in twin.named_parameters():
        if "bias_hh" in name:
            trained = torch.zeros_like(parameter)
            if model.config.cell == "gru":
                trained[2 * H :] = 1
            parameter.register_hook(trained.mul)
    return twin


def gradients_of(twin):
    """Return the gradients by our paths."""
    return nl.exchange.from_torch(
        {name: p.grad for name, p in twin.named_parameters(remove_duplicate=False)}
    )


def assert_close(ours, theirs):
    assert ours.keys() == theirs.keys()
    for path, array in ours.items():
        scale = np.abs(theirs[path]).max()
        np.testing.assert_allclose(array, theirs[path], rtol=0, atol=1e-10 * scale, err_msg=path)


@pytest.fixture(params=IN_PYTORCH)
def pair(request):
    options = IN_PYTORCH[request.param]
    model = nl.LanguageModel(V, H, L, dtype="float64", init_scale=0.5, rng=0, **options)
    return model, twin_of(model)


@pytest.mark.parametrize("warmup", [0.0, 0.3, 0.55])
@pytest.mark.parametrize(("epochs", "windows"), [(1, 1), (3, 7), (2, 500)])
def test_every_rate_of_one_cycle(epochs, windows, warmup):
    """Of short runs too, where a rate that is one update late differs much."""
    planned = epochs * windows
    sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(sgd, 0.7, total_steps=planned, pct_start=warmup)
    ours = nl.schedules.OneCycle(0.7, warmup)
    for update in range(planned):
        epoch, window = divmod(update, windows)
        progress = nl.schedules.Progress(epoch, epochs, window, windows)
        [rate] = theirs.get_last_lr()
        assert ours(progress) == pytest.approx(rate, rel=1e-12), update
        sgd.step()
        if update + 1 < planned:
            theirs.step()


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_a_hundred_steps_of_adam(rng, name, weight_decay):
    """A dense gradient and one of some rows; the other rows move by their memory."""
    dense, table = rng.standard_normal((H, V)), rng.standard_normal((V, D))
    parameters = {"W": nl.Parameter(dense.copy(), "W"), "E": nl.Parameter(table.copy(), "E")}
    twins = {"W": torch.tensor(dense), "E": torch.tensor(table)}
    optimizer = getattr(nl, name)(parameters, lr=0.01, weight_decay=weight_decay)
    twin_optimizer = getattr(torch.optim, name)(
        list(twins.values()), lr=0.01, weight_decay=weight_decay
    )
    for _ in range(100):
        optimizer.zero_grad()
        gradient = 10.0 ** rng.uniform(-6, 3) * rng.standard_normal((H, V))
        rows = rng.choice(V - 1, 3, replace=False)
        values = rng.standard_normal((3, D))
        parameters["W"].accumulate(gradient.copy())
        parameters["E"].accumulate(nl.layers.Rows(rows, values.copy()))
        twins["W"].grad = torch.tensor(gradient)
        twins["E"].grad = torch.zeros(V, D, dtype=torch.float64)
        twins["E"].grad[rows] = torch.tensor(values)
        optimizer.step()
        twin_optimizer.step()
        for path, parameter in parameters.items():
            np.testing.assert_allclose(parameter.data, twins[path].numpy(), rtol=0, atol=1e-12)


def torch_loss(logits, y):
    """Return the sum over time of the mean over the batch."""
    nll = torch.nn.functional.cross_entropy(
        logits.reshape(-1, V), torch.from_numpy(y.reshape(-1)), reduction="none"
    )
    return nll.reshape(y.shape).mean(dim=1).sum()


def test_loss_states_and_every_gradient(rng, pair):
    model, twin = pair
    x, y = rng.integers(0, V, (2, T, B))
    state = random_state(rng, model)
    loss, after = model.forward(x, y, state)
    model.backward()
    logits, twin_after = twin(torch.from_numpy(x), torch_state(torch, state))
    twin_loss = torch_loss(logits, y)
    twin_loss.backward()
    assert loss == pytest.approx(twin_loss.item(), rel=1e-12)
    twin_parts = twin_after if len(after) == 2 else (twin_after,)
    for ours, theirs in zip(after, twin_parts, strict=True):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-11, atol=1e-13)
    assert_close({path: p.grad for path, p in model.parameters().items()}, gradients_of(twin))


def test_twenty_training_steps(rng, pair):
    """With carried state, clipped gradients, and a rate and momentum of 0.5."""
    model, twin = pair
    optimizer = nl.SGD(model.parameters(), lr=0.5, momentum=0.5)
    trained = list(twin.parameters())
    twin_optimizer = torch.optim.SGD(trained, lr=0.5, momentum=0.5)
    state = model.zero_state(B)
    twin_state = torch_state(torch, state)
    clipped = 0
    for x, y in rng.integers(0, V, (20, 2, T, B)):
        optimizer.zero_grad()
        loss, state = model.forward(x, y, state)
        model.backward()
        norm = nl.clip_by_global_norm(model.parameters(), 1.0)
        optimizer.step()

        twin_optimizer.zero_grad()
        logits, twin_state = twin(torch.from_numpy(x), twin_state)
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
    assert_close(model.state_dict(), nl.exchange.from_torch(twin.state_dict()))


@pytest.mark.parametrize("lengths", [None, [3, 1, 5]], ids=["all", "packed"])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_both_directions(rng, cell, lengths):
    """Two layers that meet after each, as PyTorch's do, and packed sequences.

    The gradients are proved in `test_sequence_models`, with states and lengths.
    """
    settings = {"dtype": "float64", "init_scale": 0.8, "rng": 0}
    low = nl.Bidirectional(cell, D, H, **settings)
    high = nl.Bidirectional(cell, 2 * H, H, **settings)
    twin = getattr(torch.nn, cell.upper())(D, H, L, bidirectional=True, dtype=torch.float64)
    for layer, both in enumerate((low, high)):
        theirs = {key: a for key, a in twin.state_dict().items() if f"_l{layer}" in key}
        one_layer = {key.replace("_l1", "_l0"): a for key, a in theirs.items()}
        both.load_state_dict(nl.exchange.from_torch(one_layer))
    x = rng.standard_normal((T, B, D))
    ends = None if lengths is None else np.array(lengths)
    middle, _ = low.forward(x, lengths=ends)
    hs, states = high.forward(middle, lengths=ends)

    if lengths is None:
        want, state = twin(torch.tensor(x))
    else:
        pack = torch.nn.utils.rnn
        packed = pack.pack_padded_sequence(torch.tensor(x), lengths, enforce_sorted=False)
        packed, state = twin(packed)
        want, _ = pack.pad_packed_sequence(packed, total_length=T)
    final = state[0] if cell == "lstm" else state  # (2 L, B, H): the top layer comes last
    np.testing.assert_allclose(hs, want.detach().numpy(), rtol=0, atol=1e-12)
    for one, other in zip(states, final[-2:].detach().numpy(), strict=True):
        np.testing.assert_allclose(one.h[0], other, rtol=0, atol=1e-12)


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
