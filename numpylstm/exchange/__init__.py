"""Weights to and from other programs: safetensors, PyTorch, Keras and ONNX.

`export_model` and `import_model` write and read files, and `write_run` makes a run folder; the
other functions convert arrays in memory. No other program is imported before a file needs it; the
extra ``numpylstm[exchange]`` has them all.
"""

from numpylstm.exchange.files import export_model, import_model, write_run
from numpylstm.exchange.layouts import from_keras, from_torch, language_model, to_torch

__all__ = [
    "export_model", "from_keras", "from_torch", "import_model", "language_model",
    "to_torch", "write_run",
]  # fmt: skip
