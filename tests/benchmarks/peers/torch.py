"""The benchmark's work in PyTorch, with its own layers, fused cells and optimiser.

Its recurrent layers have two biases for each sum. The second stays zero, so that both sides train
the same model: it is frozen, which leaves PyTorch less to clip and to update; in a GRU, where the
candidate has a second bias (`bn`), its gradient is masked.
"""

import os
from dataclasses import replace

import torch
from torch import nn

from ..configurations import given_state

VERSION = torch.__version__

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))  # fixes those of MKL too


class Model(nn.Module):
    """Embedding, dropout, recurrent layers with dropout between them, dropout, decoder."""

    def __init__(self, c, weights):
        super().__init__()
        self.embedding = nn.Embedding(c.V, c.H)
        self.dropout = nn.Dropout(c.dropout)
        kind = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[c.cell]
        self.recurrent = kind(c.H, c.H, c.L, dropout=c.dropout if c.L > 1 else 0.0)
        self.decoder = nn.Linear(c.H, c.V)
        self.by_path = {"embedding.W": self.embedding.weight}
        self.by_path |= {"decoder.W": self.decoder.weight, "decoder.b": self.decoder.bias}
        for layer in range(c.L):
            path = f"{c.cell}.{layer}"
            self.by_path[f"{path}.Wx"] = getattr(self.recurrent, f"weight_ih_l{layer}")
            self.by_path[f"{path}.Wh"] = getattr(self.recurrent, f"weight_hh_l{layer}")
            self.by_path[f"{path}.b"] = getattr(self.recurrent, f"bias_ih_l{layer}")
            second = getattr(self.recurrent, f"bias_hh_l{layer}").requires_grad_(False).zero_()
            if c.cell == "gru":
                of_n = (torch.arange(3 * c.H) >= 2 * c.H).float()
                second.requires_grad_(True).register_hook(of_n.mul)
                self.by_path[f"{path}.bn"] = second  # its last block
        self.to(getattr(torch, c.dtype))
        with torch.no_grad():
            for path, array in weights.items():
                theirs = array if path == "embedding.W" else array.T
                self.by_path[path][-len(theirs) :].copy_(torch.from_numpy(theirs))

    def forward(self, x, state):
        """Return the logits (T, B, V) and the state."""
        hs, state = self.recurrent(self.dropout(self.embedding(x)), state)
        return self.decoder(self.dropout(hs)), state


def state_of(arrays):
    """Return the state of a recurrent layer: a pair for an LSTM, else one tensor."""
    tensors = tuple(torch.from_numpy(array) for array in arrays)
    return tensors if len(tensors) == 2 else tensors[0]


def forward_and_loss(model, x, y, state):
    """Return the loss, summed over time with the mean over the batch, and the state."""
    logits, state = model(x, state)
    V = logits.shape[-1]
    nll = nn.functional.cross_entropy(logits.reshape(-1, V), y.reshape(-1), reduction="sum")
    return nll / y.shape[1], state


def train(c, weights, forward_and_loss=forward_and_loss):
    """Return a training step, and a function that returns the parameters."""
    model = Model(c, weights).train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=c.lr)
    state = state_of(given_state(replace(c, state_scale=0.0)))

    def step(x, y):
        nonlocal state
        optimizer.zero_grad(set_to_none=True)
        loss, after = forward_and_loss(model, torch.from_numpy(x), torch.from_numpy(y), state)
        alone = isinstance(after, torch.Tensor)
        state = after.detach() if alone else tuple(part.detach() for part in after)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(trained, c.clip)
        optimizer.step()
        return loss.item(), norm.item()

    def parameters():
        return {path: p.detach().numpy().copy() for path, p in model.by_path.items()}

    return step, parameters


def evaluate(c, weights):
    """Return a function that scores a text in windows."""
    model = Model(c, weights).eval()

    @torch.inference_mode()
    def score(ids):
        streams = torch.from_numpy(ids).reshape(c.B, -1).T.contiguous()
        state, nll, correct, count = None, 0.0, 0, len(ids) - c.B
        for start in range(0, len(streams) - 1, c.T):
            y = streams[start + 1 : start + 1 + c.T].reshape(-1)
            logits, state = model(streams[start : start + c.T], state)
            logits = logits.reshape(-1, c.V)
            nll += nn.functional.cross_entropy(logits, y, reduction="sum").item()
            correct += int((logits.argmax(dim=1) == y).sum())
        return nll / count, correct / count

    return score


def sample(c, weights):
    """Return a function that draws tokens, one at a time."""
    model = Model(c, weights).eval()

    @torch.inference_mode()
    def draw(length, greedy):
        x, state, drawn = torch.zeros(1, 1, dtype=torch.int64), None, []
        for _ in range(length):
            logits, state = model(x, state)
            row = logits[-1, 0]
            x = row.argmax() if greedy else torch.multinomial(torch.softmax(row, 0), 1)
            x = x.reshape(1, 1)
            drawn.append(int(x))
        return drawn

    return draw


def advance(c, weights):
    """Return a function that reads one step of streams, and one that makes a state of arrays."""
    model = Model(c, weights).eval()

    @torch.inference_mode()
    def step(x, state):
        logits, state = model(torch.from_numpy(x), state)
        return logits.numpy(), state

    return step, state_of
