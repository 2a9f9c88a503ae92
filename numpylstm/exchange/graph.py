"""A model as a graph of ONNX."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from numpylstm.cells import CELLS
from numpylstm.exchange.arrays import layers_for, stacks_of
from numpylstm.models import LanguageModel, Model

IR_VERSION = 8  # of 2022, so that older runtimes read the file
OPSET = 17


class Graph:
    """Nodes and constants of a graph, in the order in which they are added."""

    def __init__(self, onnx: Any) -> None:
        self.onnx = onnx
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, array: Any) -> str:
        """Add an array and return its name."""
        array = np.ascontiguousarray(array)
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def node(self, kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        """Add a node, an operator of ONNX with named inputs and outputs."""
        self.nodes.append(self.onnx.helper.make_node(kind, inputs, outputs, **attributes))


def onnx_model(onnx: Any, model: Model, texts: Mapping[str, str]) -> Any:
    """Return a model as an ONNX graph with free T and B, and with texts as its metadata."""
    config = model.config
    is_language_model = isinstance(model, LanguageModel)
    states = () if model.bidirectional else CELLS[config.cell].states  # a stream has one direction
    real = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(config.dtype))
    graph = Graph(onnx)

    def value(name: str, kind: int, *shape: Any) -> Any:
        return onnx.helper.make_tensor_value_info(name, kind, shape)

    def state_values(end: str) -> list[Any]:
        shape = config.num_layers, "B", config.hidden_size
        return [value(f"{name}{end}", real, *shape) for name in states]

    if model.vocab_size is None:
        x = "x"
        inputs = [value("x", real, "T", "B", config.input_size)]
    else:
        x = "vectors"
        inputs = [value("ids", onnx.TensorProto.INT64, "T", "B")]
        table = graph.constant("embedding_W", model.state_dict()["embedding.W"])
        graph.node("Gather", [table, "ids"], [x])  # (T, B, D)
    ends = ""  # an input that is left out
    if not is_language_model:
        ends = "lengths"
        inputs.append(value(ends, onnx.TensorProto.INT32, "B"))

    hs = _recurrent_layers(graph, model, x, ends, states)
    result = "logits" if is_language_model else "outputs"
    _decoder(graph, model, hs, result)

    steps = ["T"] if model.every_step else []
    outputs = [value(result, real, *steps, "B", model.num_outputs)]
    made = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes,
            "numpylstm",
            inputs + state_values("0"),
            outputs + state_values("T"),
            graph.constants,
        ),
        producer_name="numpylstm",
        ir_version=IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
    )
    onnx.helper.set_model_props(made, texts)
    return made


def _recurrent_layers(
    graph: Graph, model: Model, x: str, ends: str, states: tuple[str, ...]
) -> str:
    """Add the recurrent layers and return the name of what the decoder reads.

    That is hs (T, B, H), or h at the end of each sequence (B, H); with two directions 2H.
    """
    config = model.config
    cell = CELLS[config.cell]
    layers = range(config.num_layers)
    attributes = _attributes(model)
    joined = graph.constant("joined", np.array([0, 0, -1]))  # the last two axes as one
    for name in states:
        graph.node("Split", [f"{name}0"], [f"{name}0_{k}" for k in layers], axis=0)
    for k, directions in enumerate(layers_for("export_model", model, "ONNX")):
        W = graph.constant(f"W_{k}", np.stack([way.Wx for way in directions]))
        R = graph.constant(f"R_{k}", np.stack([way.Wh for way in directions]))
        biases = [np.concatenate([way.input_bias, way.recurrent_bias]) for way in directions]
        B = graph.constant(f"B_{k}", np.stack(biases))
        initial = [f"{name}0_{k}" for name in states]
        final = [f"{name}T_{k}" for name in cell.states]
        graph.node(cell.title, [x, W, R, B, ends, *initial], [f"hs_{k}", *final], **attributes)
        x = f"x_{k + 1}"  # hs is (T, 1 or 2, B, H), x (T, B, H or 2H)
        graph.node("Transpose", [f"hs_{k}"], [f"turned_{k}"], perm=[0, 2, 1, 3])
        graph.node("Reshape", [f"turned_{k}", joined], [x])
    for name in states:
        graph.node("Concat", [f"{name}T_{k}" for k in layers], [f"{name}T"], axis=0)
    if model.every_step:
        return x
    flat = graph.constant("flat", np.array([0, -1]))
    graph.node("Transpose", [f"hT_{layers[-1]}"], ["of_batch"], perm=[1, 0, 2])  # (B, 1 or 2, H)
    graph.node("Reshape", ["of_batch", flat], ["ends"])
    return "ends"


def _attributes(model: Model) -> dict[str, Any]:
    """Return the attributes of the recurrent operator that stand for the options of a cell."""
    directions = stacks_of(model)
    options = model.config.options
    attributes: dict[str, Any] = {"hidden_size": model.config.hidden_size}
    if len(directions) == 2:
        attributes["direction"] = "bidirectional"
    if "activation" in options:
        attributes["activations"] = [options["activation"].capitalize() for _ in directions]
    if "reset" in options:
        attributes["linear_before_reset"] = int(options["reset"] == "after")
    return attributes


def _decoder(graph: Graph, model: Model, hs: str, result: str) -> None:
    """Add the decoder: a product and a sum, and before them the product of a projection."""
    arrays = model.state_dict()
    if model.config.projected:
        projection = graph.constant("projection_W", arrays["projection.W"])
        graph.node("MatMul", [hs, projection], ["projected"])
        hs = "projected"
    if model.config.tied:
        W = "decoder_W"
        graph.node("Transpose", ["embedding_W"], [W], perm=[1, 0])
    else:
        W = graph.constant("decoder_W", arrays["decoder.W"])
    b = graph.constant("decoder_b", arrays["decoder.b"])
    graph.node("MatMul", [hs, W], ["scores"])
    graph.node("Add", ["scores", b], [result])
