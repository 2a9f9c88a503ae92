"""A model as a graph of ONNX."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from numpylstm.cells import CELLS
from numpylstm.exchange.arrays import layers_for, stacks_of
from numpylstm.models import LanguageModel, Model


def onnx_model(onnx: Any, model: Model, texts: Mapping[str, str]) -> Any:
    """Return a model as an ONNX graph with free T and B, and with texts as its metadata."""
    config, cell, stacks = model.config, CELLS[model.config.cell], stacks_of(model)
    H, L, options, both = config.hidden_size, config.num_layers, config.options, len(stacks) == 2
    real, attributes = {"float32": "float", "float64": "double"}[config.dtype], f"hidden_size={H}"
    if both:
        attributes += ', direction="bidirectional"'
    if "activation" in options:
        names = ", ".join([f'"{options["activation"].capitalize()}"'] * len(stacks))
        attributes += f", activations=[{names}]"
    if "reset" in options:
        attributes += f", linear_before_reset={int(options['reset'] == 'after')}"
    constants = {k: a for k, a in model.state_dict().items() if not k.startswith(stacks)}
    states = () if both else cell.states  # a stream has one direction
    inputs, x, ends = [f"{real}[T, B, {config.input_size}] x"], "x", ""
    nodes = ["joined = Constant <value_ints=[0, 0, -1]> ()"]
    if model.vocab_size is not None:
        inputs, x = ["int64[T, B] ids"], "vectors"
        nodes.append("vectors = Gather (embedding_W, ids)")  # (T, B, D)
    if not isinstance(model, LanguageModel):
        inputs, ends = [*inputs, "int32[B] lengths"], "lengths"
    for name in states:
        parts = ", ".join(f"{name}0_{k}" for k in range(L))
        nodes.append(f"{parts} = Split <axis=0> ({name}0)")
    for k, directions in enumerate(layers_for("export_model", model, "ONNX")):
        W, R, *biases = (np.stack(arrays) for arrays in zip(*directions, strict=True))
        constants |= {f"W_{k}": W, f"R_{k}": R, f"B_{k}": np.concatenate(biases, axis=1)}
        first = "".join(f", {name}0_{k}" for name in states)
        last = ", ".join(f"{name}T_{k}" for name in cell.states)
        arguments = f"{x}, W_{k}, R_{k}, B_{k}, {ends}{first}"
        nodes.append(f"hs_{k}, {last} = {cell.title} <{attributes}> ({arguments})")
        x = f"x_{k + 1}"  # (T, 1 or 2, B, H) to (T, B, H or 2H)
        nodes.append(f"turned_{k} = Transpose <perm=[0, 2, 1, 3]> (hs_{k})")
        nodes.append(f"{x} = Reshape (turned_{k}, joined)")
    for name in states:
        parts = ", ".join(f"{name}T_{k}" for k in range(L))
        nodes.append(f"{name}T = Concat <axis=0> ({parts})")
    if not model.every_step:  # (1 or 2, B, H) to (B, H or 2H)
        x = "ends"
        nodes.append("flat = Constant <value_ints=[0, -1]> ()")
        nodes.append(f"of_batch = Transpose <perm=[1, 0, 2]> (hT_{L - 1})")
        nodes.append("ends = Reshape (of_batch, flat)")
    if config.tied:
        nodes.append("decoder_W = Transpose <perm=[1, 0]> (embedding_W)")
    result = "logits" if isinstance(model, LanguageModel) else "outputs"
    nodes += [f"scores = MatMul ({x}, decoder_W)", f"{result} = Add (scores, decoder_b)"]
    axes = f"[T, B, {model.answer_size}]" if model.every_step else f"[B, {model.answer_size}]"
    outputs = [f"{real}{axes} {result}"]
    for end, kept in (("0", inputs), ("T", outputs)):
        kept += [f"{real}[{L}, B, {H}] {name}{end}" for name in states]
    made = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17], producer_name: "numpylstm">'  # of 2022
        f"numpylstm ({', '.join(inputs)}) => ({', '.join(outputs)})"
        "{" + "\n".join(nodes) + "}"
    )
    for name, array in constants.items():
        made.graph.initializer.append(onnx.numpy_helper.from_array(array, name.replace(".", "_")))
    onnx.helper.set_model_props(made, texts)
    return made
