"""The benchmark's work in ONNX Runtime, on the model that `numpylstm-export --to onnx` writes.

The loss of a text is computed by nodes that are added to this graph. ONNX Runtime does not train.
"""

import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime

from numpylstm.cells import CELLS

from ..configurations import given_state
from ..configurations import weights as initial_weights

VERSION = onnxruntime.__version__


def export(c, path):
    """Write the model with its initial weights, in a process that may load numpylstm."""
    import numpylstm as nl

    from .numpylstm import model_of

    nl.exchange.export_model(model_of(c, initial_weights(c)), path, "onnx")


def add_scores(graph):
    """Replace the logits by the sum of -log p of `targets` (T * B, 1), and the best ids (T * B)."""
    node, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    of_logits = next(output for output in graph.output if output.name == "logits")
    tensor = of_logits.type.tensor_type
    V = tensor.shape.dim[2].dim_value
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([-1, V]), "rows_of_V"))
    graph.node.extend(
        [
            node("Reshape", ["logits", "rows_of_V"], ["rows"]),
            node("LogSoftmax", ["rows"], ["log_p"], axis=1),
            node("GatherElements", ["log_p", "targets"], ["log_p_of_targets"], axis=1),
            node("ReduceSum", ["log_p_of_targets"], ["sum_of_log_p"], keepdims=0),
            node("ArgMax", ["rows"], ["best"], axis=1, keepdims=0),
        ]
    )
    integer = onnx.TensorProto.INT64
    graph.input.append(value("targets", integer, ["N", 1]))
    graph.output.remove(of_logits)
    graph.output.insert(0, value("best", integer, ["N"]))
    graph.output.insert(0, value("sum_of_log_p", tensor.elem_type, []))


def session_for(c, with_scores=False):
    """Return a session with the model; with the scores of a text in place of logits."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["OMP_NUM_THREADS"])
    with TemporaryDirectory() as folder, ProcessPoolExecutor(1, get_context("spawn")) as child:
        path = Path(folder, "model.onnx")
        child.submit(export, c, path).result()
        made = onnx.load(path)
    if with_scores:
        add_scores(made.graph)
    return onnxruntime.InferenceSession(
        made.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def inputs_of(c, arrays):
    """Return the arrays of a state under the names of the inputs of the graph."""
    return {f"{name}0": array for name, array in zip(CELLS[c.cell].states, arrays, strict=True)}


def zeros(c, batch_size):
    """Return a state of zeros, by the names of inputs."""
    return inputs_of(c, given_state(replace(c, B=batch_size, state_scale=0.0)))


def evaluate(c, weights):
    """Return a function that scores a text in windows."""
    session = session_for(c, with_scores=True)

    def score(ids):
        streams = np.ascontiguousarray(ids.reshape(c.B, -1).T)
        state, log_p, correct, count = zeros(c, c.B), 0.0, 0, len(ids) - c.B
        for start in range(0, len(streams) - 1, c.T):
            x = streams[start : start + c.T]
            y = streams[start + 1 : start + 1 + c.T].reshape(-1, 1)
            outputs = session.run(None, {"ids": x[: len(y) // c.B], "targets": y} | state)
            of_window, best, *arrays = outputs
            state = inputs_of(c, arrays)
            log_p += float(of_window)
            correct += int((best == y[:, 0]).sum())
        return -log_p / count, correct / count

    return score


def sample(c, weights):
    """Return a function that draws tokens, one at a time."""
    session, rng = session_for(c), np.random.default_rng(0)

    def draw(length, greedy):
        x, state, drawn = np.zeros((1, 1), np.int64), zeros(c, 1), []
        for _ in range(length):
            logits, *arrays = session.run(None, {"ids": x} | state)
            state = inputs_of(c, arrays)
            row = logits[0, 0]
            if greedy:
                token = int(row.argmax())
            else:
                sums = np.cumsum(np.exp(row - row.max()))
                token = int(np.searchsorted(sums, rng.random() * sums[-1], side="right"))
            x = np.array([[token]])
            drawn.append(token)
        return drawn

    return draw


def advance(c, weights):
    """Return a function that reads one step of streams, and one that makes a state of arrays."""
    session = session_for(c)

    def step(x, state):
        logits, *arrays = session.run(None, {"ids": x} | state)
        return logits, inputs_of(c, arrays)

    return step, lambda arrays: inputs_of(c, arrays)
