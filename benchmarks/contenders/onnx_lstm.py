"""The LSTM as an ONNX operator, under ONNX Runtime and OpenVINO: inference."""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.contenders.contender import Ready, numbers, seeded
from benchmarks.shapes import Shape, flops


def model(layer: nn.LSTM, shape: Shape) -> bytes:
    """A model of one ONNX LSTM operator, X (T, B, I) -> Y (T, 1, B, H), with the weights of the layer."""
    from onnx import TensorProto, helper, numpy_helper

    def reordered(name: str) -> Tensor:
        i, f, g, o = layer.get_parameter(name).detach().chunk(4)
        return torch.cat([i, o, f, g])  # ONNX has the gates as input, output, forget, cell

    bias = torch.cat([reordered("bias_ih_l0"), reordered("bias_hh_l0")])
    arrays = {"W": reordered("weight_ih_l0"), "R": reordered("weight_hh_l0"), "B": bias}
    constants = [numpy_helper.from_array(a.unsqueeze(0).numpy(), name) for name, a in arrays.items()]
    t, b, i, h = shape
    x = helper.make_tensor_value_info("X", TensorProto.FLOAT, [t, b, i])
    y = helper.make_tensor_value_info("Y", TensorProto.FLOAT, [t, 1, b, h])
    node = helper.make_node("LSTM", ["X", "W", "R", "B"], ["Y"], hidden_size=h)
    graph = helper.make_graph([node], "lstm", [x], [y], constants)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString())


def onnxruntime(shape: Shape) -> Ready:
    """ONNX Runtime on as many threads as torch has."""
    import onnxruntime as ort  # type: ignore[import-untyped]

    layer, (x, _) = seeded(nn.LSTM, shape), numbers(shape)
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    session = ort.InferenceSession(model(layer, shape), options, providers=["CPUExecutionProvider"])
    given = {"X": x.numpy()}
    return Ready(lambda: tuple(session.run(["Y"], given)), flops(layer, shape, training=False))


def openvino(**config: str) -> Callable[[Shape], Ready]:
    """OpenVINO on as many threads as torch has, with further settings."""

    def build(shape: Shape) -> Ready:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # its import sends a report home
        import openvino as ov  # type: ignore[import-untyped]

        layer, (x, _) = seeded(nn.LSTM, shape), numbers(shape)
        threads = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "ENABLE_HYPER_THREADING": True}
        core = ov.Core()
        request = core.compile_model(
            core.read_model(model(layer, shape)), "CPU", threads | config
        ).create_infer_request()
        given = {"X": x.numpy()}

        def call() -> tuple[object, ...]:
            return (request.infer(given, share_inputs=True, share_outputs=True)["Y"],)

        return Ready(call, flops(layer, shape, training=False))

    return build
