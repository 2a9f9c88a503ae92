"""A language model as an ONNX graph, with free T and B."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from numpylstm.cells import CELLS
from numpylstm.exchange.layouts import layers_for
from numpylstm.models import LanguageModel


def onnx_model(onnx: Any, model: LanguageModel, notes: Mapping[str, str]) -> Any:
    """Return the graph: ids (T, B), h0 and perhaps c0 (L, B, H) -> logits (T, B, V), hT, cT.

    `onnx` is the package, and `notes` the texts of the metadata.
    """
    config, arrays, make = model.config, model.state_dict(), onnx.helper
    if (size := sum(array.nbytes for array in arrays.values())) >= 1 << 31:
        raise ValueError(f"export_model: model must be below 2 GiB for ONNX, got {size:,} bytes")
    cell, options = CELLS[config.cell], config.options
    V, H, L = model.vocab_size, config.hidden_size, config.num_layers
    attributes: dict[str, Any] = {"hidden_size": H}
    if "activation" in options:
        attributes["activations"] = [options["activation"].capitalize()]
    if "reset" in options:
        attributes["linear_before_reset"] = int(options["reset"] == "after")
    constants = {k: a for k, a in arrays.items() if k.startswith(("embedding.", "decoder."))}
    constants["axis 1"] = np.array([1])

    def layered(name: str) -> list[str]:
        return [f"{name}.{layer}" for layer in range(L)]

    nodes = [make.make_node("Split", [f"{s}0"], layered(f"{s}0"), axis=0) for s in cell.states]
    nodes.append(make.make_node("Gather", ["embedding.W", "ids"], ["x.0"]))  # (T, B, D)
    for layer, (Wx, Wh, *biases) in enumerate(layers_for("export_model", model, "ONNX")):
        names = [f"{cell.name}.{layer}.{key}" for key in "WRB"]
        own = (Wx[None], Wh[None], np.concatenate(biases)[None])
        constants |= dict(zip(names, own, strict=True))
        inputs = [f"x.{layer}", *names, "", *(f"{s}0.{layer}" for s in cell.states)]
        outputs = [f"hs.{layer}", *(f"{s}T.{layer}" for s in cell.states)]
        nodes.append(make.make_node(cell.title, inputs, outputs, **attributes))  # hs (T, 1, B, H)
        nodes.append(make.make_node("Squeeze", [f"hs.{layer}", "axis 1"], [f"x.{layer + 1}"]))
    nodes += [make.make_node("Concat", layered(f"{s}T"), [f"{s}T"], axis=0) for s in cell.states]
    if config.tied:
        nodes.append(make.make_node("Transpose", ["embedding.W"], ["decoder.W"], perm=[1, 0]))
    nodes.append(make.make_node("MatMul", [f"x.{L}", "decoder.W"], ["scores"]))
    nodes.append(make.make_node("Add", ["scores", "decoder.b"], ["logits"]))

    def value(name: str, *shape: Any, dtype: str = config.dtype) -> Any:
        kind = make.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return make.make_tensor_value_info(name, kind, shape)

    graph = make.make_graph(
        nodes, "numpylstm",
        [value("ids", "T", "B", dtype="int64"), *(value(f"{s}0", L, "B", H) for s in cell.states)],
        [value("logits", "T", "B", V), *(value(f"{s}T", L, "B", H) for s in cell.states)],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )  # fmt: skip
    opset = make.make_opsetid("", 17)  # of 2022; nothing later is needed
    made = make.make_model(graph, producer_name="numpylstm", opset_imports=[opset], ir_version=8)
    make.set_model_props(made, dict(notes))
    return made
