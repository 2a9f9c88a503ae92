"""PyTorch with its products in bfloat16, by `torch.autocast`; the parameters stay float32.

As PyTorch recommends, the forward pass and the loss are under autocast, and the backward pass is
not. Sampling is left out: after rounding to eight bits, another token may be the most probable.
"""

import torch

from . import torch as in_float32

VERSION = in_float32.VERSION

autocast = torch.autocast("cpu", dtype=torch.bfloat16)


def train(c, weights):
    """Return a training step, and a function that returns the parameters."""
    return in_float32.train(c, weights, autocast(in_float32.forward_and_loss))


def evaluate(c, weights):
    """Return a function that scores a text in windows."""
    return autocast(in_float32.evaluate(c, weights))
