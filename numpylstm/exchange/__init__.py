"""Weights to and from other programs: safetensors, PyTorch, Keras and ONNX.

`arrays` converts in memory: the order of the gates, transposes, one bias or two. `graph` makes the
graph of ONNX, `files` reads and writes. The extra ``numpylstm[exchange]`` has the packages; none is
imported before it is needed. Nothing in a file is executed.
"""

from numpylstm.exchange.arrays import (
    from_keras,
    from_torch,
    language_model,
    sequence_model,
    to_torch,
    torch_module,
)
from numpylstm.exchange.files import export_model, import_model, write_run

__all__ = [
    "export_model",
    "from_keras",
    "from_torch",
    "import_model",
    "language_model",
    "sequence_model",
    "to_torch",
    "torch_module",
    "write_run",
]
