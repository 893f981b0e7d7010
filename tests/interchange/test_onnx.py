"""Weights to ONNX and back; ONNX Runtime computes the same with them, where it is installed."""

import numpy as np
import pytest
import torch

from celda import CeldaError
from celda.interchange import from_onnx, onnx_operator, to_onnx
from tests.interchange.layers import SHAPES, layer, numbers, parametrized
from tests.interchange.test_keras import lstm as impostor

CELLS = ("lstm", "peephole_lstm", "gru", "gru_2014", "rnn", "rnn_relu")
INPUTS = ["X", "W", "R", "B", "", "", "", "P"]  # of the LSTM; the empty ones: lengths, initial states


def run(made, x):
    """What ONNX Runtime makes of (T, B, I) with the arrays of a layer: its outputs, (T, B, directions x H)."""
    onnx, ort = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    operator, attributes = onnx_operator(made)
    nodes, constants, previous = [], [], "X"
    shape = [x.shape[0], x.shape[1], made.hidden_size * (1 + made.bidirectional)]
    constants.append(onnx.numpy_helper.from_array(np.array(shape), "shape"))
    for number, arrays in enumerate(to_onnx(made)):
        inputs = [previous]
        for name in INPUTS[1:]:
            inputs.append(f"{name}{number}" if name in arrays else "")
        while not inputs[-1]:
            inputs.pop()
        constants += [onnx.numpy_helper.from_array(a, f"{name}{number}") for name, a in arrays.items()]
        nodes += [
            onnx.helper.make_node(operator, inputs, [f"Y{number}"], **attributes),
            onnx.helper.make_node("Transpose", [f"Y{number}"], [f"turned{number}"], perm=[0, 2, 1, 3]),
            onnx.helper.make_node("Reshape", [f"turned{number}", "shape"], [f"out{number}"]),
        ]
        previous = f"out{number}"
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, size)
        for name, size in (("X", list(x.shape)), (previous, shape))
    ]
    graph = onnx.helper.make_graph(nodes, "layers", ends[:1], ends[1:], constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run([previous], {"X": x.numpy()})[0]


@pytest.mark.parametrize("options", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", CELLS)
def test_onnx_runtime_computes_the_same(name, options):
    mine, x = layer(name, dtype=torch.float32, **options), numbers(dtype=torch.float32)
    np.testing.assert_allclose(run(mine, x), mine(x)[0].detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", CELLS)
def test_there_and_back_is_exact(name, options):
    source, other = layer(name, **options), layer(name, seed=1, **options)
    from_onnx(other, to_onnx(source))
    assert all(torch.equal(p, q) for p, q in zip(source.parameters(), other.parameters(), strict=True))


def test_the_operators():
    assert onnx_operator(layer("lstm")) == ("LSTM", {"hidden_size": 4, "direction": "forward"})
    assert onnx_operator(layer("gru", bidirectional=True)) == (
        "GRU",
        {"hidden_size": 4, "direction": "bidirectional", "linear_before_reset": 1},
    )
    assert onnx_operator(layer("gru_2014"))[1]["linear_before_reset"] == 0
    assert onnx_operator(layer("rnn_relu", bidirectional=True))[1]["activations"] == ["Relu", "Relu"]


def test_the_shapes_are_those_of_the_specification():
    first, second = to_onnx(layer("peephole_lstm", num_layers=2, bidirectional=True))
    assert {name: a.shape for name, a in first.items()} == {
        "W": (2, 16, 3),
        "R": (2, 16, 4),
        "B": (2, 32),
        "P": (2, 12),
    }
    assert second["W"].shape == (2, 16, 8)


def test_missing_biases_and_peepholes_are_zeros_as_in_onnx():
    mine = layer("peephole_lstm")
    (arrays,) = to_onnx(mine)
    from_onnx(mine, [{"W": arrays["W"], "R": arrays["R"]}])
    for name in ("bias_ih_l0", "bias_hh_l0", "diagonal_i_l0", "diagonal_o_l0", "diagonal_f_l0"):
        assert not getattr(mine, name).any()
    assert mine.weight_ih_l0.any()


def filled(name, change, **options):
    def act():
        arrays = to_onnx(layer(name, **options))
        change(arrays)
        from_onnx(layer(name, **options), arrays)

    return act


MISTAKES = {
    "a cell of one's own": (lambda: to_onnx(layer(impostor)), "ONNX has no layer with the equations"),
    "its operator": (lambda: onnx_operator(layer(impostor)), "ONNX has no layer with the equations"),
    "a layer of torch": (lambda: to_onnx(torch.nn.LSTM(3, 4)), "load_state_dict"),
    "not in a list": (lambda: from_onnx(layer("lstm"), to_onnx(layer("lstm"))[0]), "a list with one dictionary"),
    "two layers of three": (filled("lstm", lambda a: a.pop(), num_layers=2), "num_layers=2"),
    "no R": (filled("lstm", lambda a: a[0].pop("R")), "has no R: give W, R, B"),
    "without directions": (filled("lstm", lambda a: a[0].update(W=a[0]["W"][0])), "must be (1, 16, 3)"),
    "one direction of two": (
        filled("lstm", lambda a: a[0].update(R=a[0]["R"][:1]), bidirectional=True),
        "must be (2, 16, 4)",
    ),
    "one bias of two": (filled("gru", lambda a: a[0].update(B=a[0]["B"][:, :12])), "must be (1, 24)"),
    "peepholes of another width": (
        filled("peephole_lstm", lambda a: a[0].update(P=a[0]["P"][:, :8])),
        "must be (1, 12)",
    ),
    "biases for none": (filled("lstm", lambda a: a[0].update(B=np.zeros((1, 32))), bias=False), "bias=False"),
    "peepholes for none": (filled("lstm", lambda a: a[0].update(P=np.zeros((1, 12)))), "'peephole_lstm'"),
    "another name": (filled("lstm", lambda a: a[0].update(initial_h=0)), "no weights under that name"),
    "a parametrized layer": (lambda: from_onnx(parametrized(), to_onnx(layer("lstm"))), "a parametrization"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered(name):
    act, told = MISTAKES[name]
    with pytest.raises(CeldaError) as caught:
        act()
    assert told in str(caught.value)
