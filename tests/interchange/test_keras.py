"""Weights to Keras and back, against Keras's equations in NumPy.

The equations are those of `keras/src/layers/rnn/lstm.py`, `gru.py`, `simple_rnn.py` and `bidirectional.py` (Keras 3;
the same in tf.keras 2), activation "tanh" and recurrent activation "sigmoid". Keras itself is not installed here.
"""

import numpy as np
import pytest
import torch

import celda
from celda import CeldaError
from celda.interchange import from_keras, to_keras
from celda.language import cell, gate, linear, sigmoid, tanh
from tests.interchange.layers import SHAPES, layer, numbers, parametrized


def sigma(a):
    return 1 / (1 + np.exp(-a))


def lstm_step(x, states, kernel, recurrent, bias):
    h, c = states
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4, axis=-1)
    c = sigma(f) * c + sigma(i) * np.tanh(g)
    return sigma(o) * np.tanh(c), c


def gru_step_reset_after(x, states, kernel, recurrent, bias):
    (h,) = states
    x_z, x_r, x_h = np.split(x @ kernel + bias[0], 3, axis=-1)
    h_z, h_r, h_h = np.split(h @ recurrent + bias[1], 3, axis=-1)
    z, r = sigma(x_z + h_z), sigma(x_r + h_r)
    return (z * h + (1 - z) * np.tanh(x_h + r * h_h),)


def gru_step(x, states, kernel, recurrent, bias):
    (h,) = states
    units = h.shape[-1]
    x_z, x_r, x_h = np.split(x @ kernel + bias, 3, axis=-1)
    z = sigma(x_z + h @ recurrent[:, :units])
    r = sigma(x_r + h @ recurrent[:, units : 2 * units])
    return (z * h + (1 - z) * np.tanh(x_h + (r * h) @ recurrent[:, 2 * units :]),)


def simple_step(activation):
    return lambda x, states, kernel, recurrent, bias: (activation(x @ kernel + states[0] @ recurrent + bias),)


STEPS = {
    "lstm": (lstm_step, 2),
    "gru": (gru_step_reset_after, 1),
    "gru_2014": (gru_step, 1),
    "rnn": (simple_step(np.tanh), 1),
    "rnn_relu": (simple_step(lambda a: np.maximum(a, 0)), 1),
}


def keras_layer(name, x, weights):
    step, count = STEPS[name]
    kernel, recurrent, *bias = weights
    if not bias:
        bias = [np.zeros((2, kernel.shape[1]) if name == "gru" else kernel.shape[1])]
    states, outputs = (np.zeros((x.shape[1], recurrent.shape[0])),) * count, []
    for row in x:
        states = step(row, states, kernel, recurrent, bias[0])
        outputs.append(states[0])
    return np.stack(outputs)


def keras(name, x, lists, bidirectional):
    for weights in lists:
        if bidirectional:
            half = len(weights) // 2
            back = keras_layer(name, x[::-1], weights[half:])[::-1]
            x = np.concatenate([keras_layer(name, x, weights[:half]), back], -1)
        else:
            x = keras_layer(name, x, weights)
    return x


@pytest.mark.parametrize("options", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", STEPS)
def test_keras_computes_the_same(name, options):
    mine, x = layer(name, **options), numbers()
    found = keras(name, x.numpy(), to_keras(mine), mine.bidirectional)
    np.testing.assert_allclose(found, mine(x)[0].detach().numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("options", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("name", STEPS)
def test_there_and_back_is_exact(name, options):
    source, other = layer(name, **options), layer(name, seed=1, **options)
    arrays = to_keras(source)
    from_keras(other, arrays)
    for given, back in zip(arrays, to_keras(other), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(given, back, strict=True))
    torch.testing.assert_close(other(numbers())[0], source(numbers())[0], rtol=1e-12, atol=1e-12)


SHAPE = {
    "lstm": [(3, 16), (4, 16), (16,)],
    "gru": [(3, 12), (4, 12), (2, 12)],
    "gru_2014": [(3, 12), (4, 12), (12,)],
    "rnn": [(3, 4), (4, 4), (4,)],
}


@pytest.mark.parametrize("name", SHAPE)
def test_the_arrays_are_those_of_get_weights(name):
    ((*arrays,),) = to_keras(layer(name))
    assert [a.shape for a in arrays] == SHAPE[name]
    assert all(a.flags.c_contiguous and a.flags.owndata and a.flags.writeable for a in arrays)


def test_the_arrays_are_copies_and_drop_in_layers_have_them_too():
    mine = celda.LSTM(3, 4)
    before = mine.weight_ih_l0.detach().clone()
    to_keras(mine)[0][0][:] = 0
    assert torch.equal(mine.weight_ih_l0, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_other_dtypes(dtype):
    source, other = layer("gru", dtype=dtype), layer("gru", seed=1, dtype=dtype)
    arrays = to_keras(source)
    assert arrays[0][0].dtype == (np.float32 if dtype == torch.bfloat16 else np.dtype(str(dtype)[6:]))
    from_keras(other, arrays)
    assert all(torch.equal(p, q) for p, q in zip(source.parameters(), other.parameters(), strict=True))


def test_parameters_stay_the_same_objects():
    mine = layer("lstm")
    before = list(map(id, mine.parameters()))
    from_keras(mine, to_keras(layer("lstm", seed=1)))
    assert list(map(id, mine.parameters())) == before
    assert all(p.requires_grad for p in mine.parameters())


@cell
def lstm(x, h, c):
    """Called like another, with other equations."""
    f = gate("f", sigmoid, linear(x, h))
    return tanh(c), f * c + (1 - f) * gate("g", tanh, linear(x, h))


def filled(name, change, **options):
    def act():
        arrays = to_keras(layer(name, **options))
        from_keras(layer(name, **options), change(arrays))

    return act


KERNEL, RECURRENT, BIAS = (np.zeros(s) for s in SHAPE["lstm"])
MISTAKES = {
    "a peephole LSTM": (lambda: to_keras(layer("peephole_lstm")), "Keras has no layer with the equations"),
    "a cell of one's own": (lambda: to_keras(layer(lstm)), "only lstm, gru"),
    "a layer of torch": (lambda: to_keras(torch.nn.LSTM(3, 4)), "load_state_dict"),
    "not in a list": (lambda: from_keras(layer("lstm"), [KERNEL, RECURRENT, BIAS]), "also where there is only one"),
    "two layers of three": (filled("lstm", lambda a: a[:1], num_layers=2), "num_layers=2"),
    "one direction of two": (filled("lstm", lambda a: [a[0][:3]], bidirectional=True), "forward, then backward"),
    "no bias": (filled("lstm", lambda a: [a[0][:2]]), "Layer 0 has 2 arrays: give 3"),
    "a bias too many": (lambda: from_keras(layer("lstm", bias=False), [[KERNEL, RECURRENT, BIAS]]), "bias=False"),
    "a kernel of another width": (filled("lstm", lambda a: [[a[0][0][:2], *a[0][1:]]]), "must be (3, 16)"),
    "a kernel as torch has it": (filled("lstm", lambda a: [[a[0][0].T, *a[0][1:]]]), "must be (3, 16)"),
    "a recurrent kernel of another width": (
        filled("gru", lambda a: [[a[0][0], a[0][1][:, :3], a[0][2]]]),
        "The recurrent kernel of layer 0",
    ),
    "the second direction": (
        filled("rnn", lambda a: [[*a[0][:3], a[0][3].T, *a[0][4:]]], bidirectional=True),
        "The kernel of layer 0, backward",
    ),
    "reset_after=False": (filled("gru", lambda a: [[*a[0][:2], a[0][2][0]]]), "'gru_2014'"),
    "reset_after=True": (filled("gru_2014", lambda a: [[*a[0][:2], np.stack([a[0][2]] * 2)]]), "is the cell 'gru'"),
    "text": (filled("rnn", lambda a: [["kernel", *a[0][1:]]]), "give an array of numbers"),
    "rows of unequal length": (filled("rnn", lambda a: [[[[1.0], [1.0, 2.0]], *a[0][1:]]]), "is no array"),
    "a parametrized layer": (lambda: from_keras(parametrized(), to_keras(layer("lstm"))), "a parametrization"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered(name):
    act, told = MISTAKES[name]
    with pytest.raises(CeldaError) as caught:
        act()
    assert told in str(caught.value)


def test_a_mistake_changes_nothing():
    mine = layer("lstm", num_layers=2)
    before = {name: p.clone() for name, p in mine.state_dict().items()}
    arrays = to_keras(layer("lstm", seed=1, num_layers=2))
    arrays[1][2] = arrays[1][2][:-1]
    with pytest.raises(CeldaError):
        from_keras(mine, arrays)
    assert all(torch.equal(p, before[name]) for name, p in mine.state_dict().items())


def test_numbers_of_another_byte_order_or_kind():
    mine = layer("rnn")
    arrays = [np.full((3, 4), 0.5, dtype=">f4"), np.ones((4, 4), dtype=int), np.zeros(4, dtype=np.longdouble)]
    from_keras(mine, [arrays])
    assert (mine.weight_ih_l0 == 0.5).all()
