"""PyTorch with a training step whose forward pass and loss are compiled by `torch.compile`.

By default `torch.compile` does not compile an LSTM: Dynamo breaks the graph at `nn.LSTM`, and a
model that holds one runs as without it. `allow_rnn` is experimental; it makes the loop over time
one graph of all steps, so that compiling takes long and needs a C++ compiler. The backward pass is
compiled too, from the same graph. Clipping and the update are left as they are.
"""

import torch

from . import torch as as_it_is

VERSION = as_it_is.VERSION

torch._dynamo.config.allow_rnn = True


def train(c, weights):
    """Return a training step, and a function that returns the parameters."""
    return as_it_is.train(c, weights, torch.compile(as_it_is.forward_and_loss))
