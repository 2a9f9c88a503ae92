"""Settings of models that PyTorch has as well, and a state in its form."""

from conftest import D

IN_PYTORCH = {
    "lstm": {"embedding_size": D},
    "tied lstm": {"tied": True},
    "tied lstm, projected": {"tied": True, "embedding_size": D},
    "tanh": {"cell": "rnn", "embedding_size": D},
    "relu": {"cell": "rnn", "activation": "relu", "embedding_size": D},
    "gru": {"cell": "gru", "embedding_size": D},
}


def torch_state(torch, state):
    parts = tuple(torch.from_numpy(part) for part in state)
    return parts if len(parts) == 2 else parts[0]
