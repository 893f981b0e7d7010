"""Bad input to a layer: one clear line each, that says what to write."""

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import celda
from celda import CeldaError
from celda.language import cell, gate, linear, tanh

X = torch.randn(4, 2, 3)
PACKED = torch.nn.utils.rnn.pack_sequence([torch.randn(2, 3)])


def lstm(**options):
    return celda.Recurrent("lstm", 3, 5, **options)


def other_lstm():
    """Another cell of the same name and states."""

    @cell
    def lstm(x, h, c):
        c = c + gate("g", tanh, linear(x, h))
        return tanh(c), c

    return lstm


def of_bias(bias):
    @cell
    def own(x, h):
        return gate("h", tanh, linear(x, h), bias=bias)

    return own


def stepper_of_image():
    return celda.Recurrent("image_rnn", {"x": 3, "image": 2}, 5).stepper(2)


def without_a_bias():
    layer = lstm()
    layer.bias_hh_l0 = None
    return layer


def mixed():
    layer = lstm()
    layer.weight_hh_l0 = torch.nn.Parameter(layer.weight_hh_l0.detach().double())
    return layer


MISTAKES = {
    "unknown cell": (lambda: celda.Recurrent("lsmt", 3, 5), "no cell 'lsmt'"),
    "hidden size 0": (lambda: celda.LSTM(3, 0), "hidden_size=0"),
    "half a layer": (lambda: celda.LSTM(3, 5, 1.5), "num_layers=1.5"),
    "input size as text": (lambda: celda.LSTM("3", 5), "input_size='3' cannot be: write a whole number"),
    "dropout of 50": (lambda: celda.LSTM(3, 5, 2, dropout=50), "dropout=50"),
    "unknown init": (lambda: lstm(init="xavier"), "'xavier'"),
    "unknown engine": (lambda: lstm(engine="cuda"), "'cuda'"),
    "nonlinearity": (lambda: celda.RNN(3, 5, nonlinearity="gelu"), "'tanh' or 'relu'"),
    "further input without its width": (lambda: celda.Recurrent("image_rnn", 3, 5), "'image': ..."),
    "a projection to no fewer units": (
        lambda: lstm(proj_size=5),
        "from hidden_size=5 units to 5: write a proj_size below 5",
    ),
    "a projection to none": (lambda: lstm(proj_size=-1), "proj_size=-1 cannot be: write a whole number of at least 1"),
    "a projected GRU": (lambda: celda.GRU(3, 5, proj_size=2), "gru reads its old output h unit by unit"),
    "heads of a projection": (lambda: lstm(proj_size=2, heads=5), "multiply a projected output"),
    "a state of a projection as wide as the others": (
        lambda: lstm(proj_size=2)(X, (torch.zeros(1, 2, 5),) * 2),
        "h has shape (1, 2, 5): it must be (1, 2, 2), that is (layers x directions, batch, proj_size)",
    ),
    "heads that are none": (lambda: lstm(heads=0), "heads=0 cannot be: write a whole number of at least 1"),
    "a misspelt option of a call": (
        lambda: celda.Recurrent("gru", 3, 5)(X, length=[4, 4]),
        "none besides its input; given: length. Did you mean 'lengths'?",
    ),
    "zoneout": (lambda: lstm(zoneout=1.5), "zoneout=1.5 is no probability"),
    "layer norm": (lambda: lstm(layer_norm=1), "layer_norm=1 is neither True nor False"),
    "a dtype as text": (lambda: lstm(dtype="float32"), "dtype='float32' is no dtype that weights can have"),
    "whole numbers as weights": (lambda: lstm(dtype=torch.int64), "write torch.float32, torch.float64, torch.bfloat16"),
    "recurrent dropout": (lambda: lstm(recurrent_dropout=1), "recurrent_dropout=1 is no probability"),
    "heads": (lambda: lstm(heads=2), "hidden_size=5 cannot be cut into 2 heads"),
    "numpy input": (lambda: lstm()(X.numpy()), "ndarray"),
    "sparse input": (
        lambda: lstm()(X.to_sparse()),
        "input is laid out as torch.sparse_coo, which no engine",
    ),
    "a trace of a number": (lambda: celda.trace(3).__enter__(), "a model that holds one, and was given 3"),
    "wrong width": (lambda: lstm()(X[..., :2]), "input_size=3"),
    "one dimension": (lambda: lstm()(X[0, 0]), "shape (3,)"),
    "no steps": (lambda: lstm()(X[:0]), "at least one"),
    "float64 into float32": (lambda: lstm()(X.double()), ".to(torch.float32)"),
    "integers": (lambda: lstm()(X.long()), ".to(torch.float32)"),
    "one state of two": (lambda: lstm()(X, torch.zeros(1, 2, 5)), "the states (h, c) and 1 tensor was given"),
    "three states of two": (lambda: lstm()(X, (torch.zeros(1, 2, 5),) * 3), "and 3 tensors were given"),
    "two states of one": (lambda: celda.GRU(3, 5)(X, (torch.zeros(1, 2, 5),) * 2), "one state, h, and 2 tensors"),
    "a number as a state": (lambda: lstm()(X, 5), "was given: int. Give one tensor for each"),
    "numbers as states": (lambda: lstm()(X[:, 0], (5, 5)), "was given: tuple of int"),
    "a number as the state of a packed batch": (lambda: lstm()(PACKED, 5), "was given: int"),
    "batched states without a batch": (
        lambda: lstm()(X[:, 0], (torch.zeros(1, 2, 5),) * 2),
        "h has shape (1, 2, 5): it must be (1, 5), that is (layers x directions, hidden_size)",
    ),
    "state of another batch": (lambda: lstm()(X, (torch.zeros(1, 3, 5),) * 2), "must be (1, 2, 5)"),
    "lengths too long": (lambda: lstm()(X, lengths=[4, 9]), "the input has 4 steps"),
    "two lengths without a batch": (
        lambda: lstm()(X[:, 0], lengths=[3, 4]),
        "give one whole number, as the input has no",
    ),
    "lengths as text without a batch": (lambda: lstm()(X[:, 0], lengths="a"), "'a': give one whole number"),
    "lengths past the end in few bits": (
        lambda: lstm()(X, lengths=torch.tensor([4, 9], dtype=torch.uint16)),
        "the input has 4 steps",
    ),
    "complex lengths": (lambda: lstm()(X, lengths=torch.ones(2, dtype=torch.complex64)), "torch.complex64 (2,)"),
    "lengths without numbers": (lambda: lstm()(X, lengths=torch.ones(2, device="meta").long()), "holds no numbers"),
    "resets without numbers": (
        lambda: lstm()(X, resets=torch.ones(4, 2, device="meta").bool()),
        "resets is on 'meta', which holds no numbers",
    ),
    "lengths of the steps": (
        lambda: lstm()(X, lengths=[2] * 4),
        "give (2,) whole numbers, one a sequence. The input begins with (4, 2), read as (steps, batch)",
    ),
    "lengths of the steps, batch first": (
        lambda: lstm(batch_first=True)(X, lengths=[3] * 2),
        "The input begins with (4, 2), read as (batch, steps) because batch_first=True.",
    ),
    "resets as if the batch were second": (
        lambda: lstm(batch_first=True)(X, resets=torch.zeros(2, 4, dtype=torch.bool)),
        "The input begins with (4, 2), read as (batch, steps) because batch_first=True.",
    ),
    "resets without a batch": (lambda: lstm()(X[:, 0], resets=[True]), "one flag a step, (4,)"),
    "a weight of another dtype": (lambda: mixed()(X), "weight_hh_l0 is torch.float64 on cpu and other weights"),
    "the plan of text": (lambda: lstm().plan("x"), "The input is a str"),
    "the plan of a dtype that is refused": (lambda: lstm().plan(X.double()), ".to(torch.float32)"),
    "the plan of a width that is refused": (lambda: lstm().plan(X[..., :2]), "input_size=3"),
    "the plan of no steps": (lambda: lstm().plan(X[:0]), "at least one"),
    "the plan of a packed batch that is refused": (
        lambda: celda.LSTM(4, 5).plan(PACKED),
        "pack sequences of 4 columns",
    ),
    "lengths as floats": (lambda: lstm()(X, lengths=[1.0, 2.0]), "whole numbers"),
    "lengths of another batch": (lambda: lstm()(X, lengths=[1, 2, 3]), "give (2,)"),
    "resets as numbers": (lambda: lstm()(X, resets=torch.zeros(4, 2)), "torch.bool"),
    "resets of another shape": (lambda: lstm()(X, resets=torch.zeros(2, 4, dtype=torch.bool)), "(4, 2)"),
    "an input the cell has not": (lambda: lstm()(X, image=X), "none besides its input"),
    "an input of another width": (
        lambda: celda.Recurrent("image_rnn", {"x": 3, "image": 2}, 5)(X, image=torch.zeros(2, 7)),
        "give (2, 2), constant over time, or (4, 2, 2)",
    ),
    "an input of another batch": (
        lambda: celda.Recurrent("image_rnn", {"x": 3, "image": 2}, 5)(X, image=torch.zeros(1, 2)),
        "give (2, 2), constant over time",
    ),
    "an input of another dtype": (
        lambda: celda.Recurrent("image_rnn", {"x": 3, "image": 2}, 5)(X, image=torch.zeros(2, 2).double()),
        ".to(torch.float32)",
    ),
    "bidirectional as text": (lambda: celda.LSTM(3, 5, bidirectional="yes"), "neither True nor False"),
    "a list of cells": (lambda: celda.Recurrent(["lstm"], 3, 5), "no cell ['lstm']"),
    "state of another dtype": (lambda: lstm()(X, (torch.zeros(1, 2, 5).double(),) * 2), ".to(torch.float32)"),
    "a list of sequences": (lambda: lstm()([torch.zeros(2, 3), torch.zeros(3, 3)]), "pack_sequence("),
    "a list of numbers": (lambda: lstm()([1.0, 2.0]), "give a torch.Tensor of shape (steps, batch, 3)."),
    "too few lengths": (lambda: lstm()(X, lengths=[1]), "lengths is torch.int64 (1,): give (2,) whole numbers"),
    "a bias taken away": (lambda: without_a_bias()(X), "bias_hh_l0 is None, and the layer multiplies with it or adds"),
    "a state to restore": (lambda: lstm().stepper().restore(X), "and was given a Tensor: states that are tensors are"),
    "a mask": (lambda: lstm()(X, mask=X[..., 0] > 0), "given: mask. Steps past the end of a sequence are told by len"),
    "lengths as text": (lambda: lstm()(X, lengths="ab"), "whole numbers"),
    "packed rows of another width": (
        lambda: lstm()(torch.nn.utils.rnn.pack_sequence([torch.randn(2, 7)])),
        "pack sequences of 3 columns",
    ),
    "packed rows of another dtype": (
        lambda: lstm()(torch.nn.utils.rnn.pack_sequence([torch.randn(2, 3).double()])),
        ".to(torch.float32)",
    ),
    "a packed batch for a cell with further inputs": (
        lambda: celda.Recurrent("image_rnn", {"x": 3, "image": 2}, 5)(PACKED),
        "a PackedSequence cannot hold",
    ),
    "states for too many packed sequences": (
        lambda: lstm()(
            torch.nn.utils.rnn.pack_sequence([torch.randn(1, 3), torch.randn(2, 3)], enforce_sorted=False),
            (torch.zeros(1, 3, 5),) * 2,
        ),
        "must be (1, 2, 5)",
    ),
    "packed with lengths": (lambda: lstm()(PACKED, lengths=[2]), "PackedSequence holds its lengths"),
    "stepper of both directions": (lambda: lstm(bidirectional=True).stepper(), "cannot be stepped"),
    "a step of another batch": (lambda: lstm().stepper(2)(X[0, :1]), "one row a sequence"),
    "no state for a stepper": (lambda: setattr(lstm().stepper(), "state", None), "was given: NoneType"),
    "a number as the state of a stepper": (lambda: setattr(lstm().stepper(), "state", 5), "was given: int"),
    "a step with an input of another batch": (
        lambda: stepper_of_image()(X[0], image=torch.zeros(3, 2)),
        "The input 'image' is (3, 2): give (2, 2), one row a sequence.",
    ),
    "a stepper of mixed weights": (lambda: mixed().stepper(), "weight_hh_l0 is torch.float64"),
    "trace without a layer": (lambda: celda.trace(torch.nn.Linear(1, 1)).__enter__(), "one recurrent layer"),
    "trace before a call": (lambda: celda.trace(lstm()).__enter__()["f"], "Nothing has been traced"),
    "trace of nothing": (lambda: celda.trace(lstm()).__enter__()["q"], "nothing called 'q'"),
    "calling a cell": (lambda: celda.cells.lstm(X), "celda.Recurrent(lstm"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered(name):
    act, told = MISTAKES[name]
    with pytest.raises(CeldaError) as caught:
        act()
    assert told in str(caught.value)


def test_dropout_on_one_layer_warns():
    with pytest.warns(UserWarning, match="between layers"):
        celda.LSTM(3, 5, dropout=0.5)


def test_a_foreign_state_file_is_refused_and_changes_nothing(tmp_path):
    stepper = lstm().stepper(2)
    stepper(X[0])
    before = stepper.state
    celda.GRU(3, 5).stepper(2).save(tmp_path / "gru")
    lstm().stepper(3).save(tmp_path / "batch")
    lstm(dtype=torch.float64).stepper(2).save(tmp_path / "dtype")
    lstm(zoneout=0.5).stepper(2).save(tmp_path / "zoneout")
    celda.Recurrent(other_lstm(), 3, 5).stepper(2).save(tmp_path / "equations")
    stepper.save(tmp_path / "mine")
    with safe_open(str(tmp_path / "mine"), "pt") as file:
        about = file.metadata()
    tensors = {name: torch.ones(1, 2, 5) for name in "hc"}
    save_file(tensors, tmp_path / "nothing said")
    save_file(tensors, tmp_path / "cell alone", {"cell": "lstm"})
    for steps in ("x", "-5", "", "1" * 5000):
        save_file(tensors, tmp_path / f"steps {steps:.2}", about | {"steps": steps})
    save_file({"q": tensors["h"]}, tmp_path / "states", about)
    (tmp_path / "garbage").write_bytes(b"no tensors here")
    told = {
        "gru": "holds the state of the cell gru, and this is lstm",
        "batch": r"does not fit this stepper. The state h has shape \(1, 3, 5\): it must be \(1, 2, 5\)",
        "dtype": "torch.float64 and the weights are torch.float32",
        "zoneout": "holds the state of the cell zoneout",
        "equations": "the state of the cell lstm, one of other equations",
        "garbage": "no saved state that can be read",
        "absent": "no saved state that can be read",
    }
    others = ("nothing said", "cell alone", "steps x", "steps -5", "steps ", "steps 11", "states")
    for name, text in (told | dict.fromkeys(others, "was not written by a stepper")).items():
        with pytest.raises(CeldaError, match=text) as caught:
            stepper.restore(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
    assert all(map(torch.equal, stepper.state, before))
    assert stepper.steps == 1


def test_a_state_fits_where_only_training_or_first_values_differ(tmp_path):
    one, *others = (
        celda.Recurrent(of_bias(bias), 3, 5, **options)
        for bias, options in ((None, {"recurrent_dropout": 0.5}), (None, {}), (1.0, {}))
    )
    dropping = one.stepper(2)
    dropping(X[0])
    dropping.save(tmp_path / "state")
    for layer in others:
        stepper = layer.stepper(2)
        stepper.restore(tmp_path / "state")
        assert stepper.steps == 1
        assert all(map(torch.equal, stepper.state, dropping.state))


def test_leaving_out_biases_that_have_a_first_value_warns():
    @cell
    def own(x, h):
        return gate("h", tanh, linear(x, h), bias=1.0)

    with pytest.warns(UserWarning, match="leaves out the initial biases"):
        celda.Recurrent(own, 3, 5, bias=False)


def test_resets_may_be_a_list_as_lengths_may():
    layer, flags = lstm(batch_first=True), [[True, False, True, False]] * 2
    x = X.transpose(0, 1)
    torch.testing.assert_close(layer(x, resets=flags)[0], layer(x, resets=torch.tensor(flags))[0])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.int32, torch.uint64])
def test_lengths_may_be_whole_numbers_of_any_dtype(dtype):
    layer = lstm()
    for x, lengths in ((X, [3, 0]), (X[:, 0], 2), (X[:, 0], [2])):
        given = torch.tensor(lengths, dtype=dtype)
        torch.testing.assert_close(layer(x, lengths=given), layer(x, lengths=lengths))


def test_empty_lists_are_the_lengths_and_resets_of_an_empty_batch():
    y, (h, _) = lstm()(X[:, :0], lengths=[], resets=[[]] * 4)
    assert (y.shape, h.shape) == ((4, 0, 5), (1, 0, 5))


def test_the_plan_of_a_packed_batch_is_that_of_its_rows():
    assert lstm().plan(PACKED).engine == "cpu"


def test_a_trace_is_a_mapping():
    layer = lstm()
    with celda.trace(layer) as t:
        assert repr(t) == "<Trace of i, f, g, o, c, h: nothing yet>"
        layer(X)
    assert "f" in t
    assert "zz" not in t
    assert repr(t) == f"<Trace of i, f, g, o, c, h: {(1, *X.shape[:2], 5)}>"


@pytest.mark.parametrize("batch", [2, 30])
def test_weights_of_another_shape_are_refused(batch):
    layer = celda.LSTM(5, 8)
    layer.weight_ih_l0 = torch.nn.Parameter(torch.randn(32, 6))
    for gradients in (True, False):
        with torch.set_grad_enabled(gradients), pytest.raises((celda.CeldaError, RuntimeError), match="shape"):
            layer(torch.randn(4, batch, 5))


def test_sizes_may_be_numbers_of_numpy():
    layer = celda.LSTM(np.int64(3), np.int32(6), num_layers=np.int8(2), proj_size=np.int64(2))
    assert layer(X)[0].shape == (*X.shape[:2], 2)
    sizes = (layer.input_size, layer.hidden_size, layer.num_layers, layer.proj_size)
    assert [type(size) for size in sizes] == [int] * 4
    assert celda.Recurrent("lstm", 3, 6, heads=np.int64(2))(X)[0].shape == (*X.shape[:2], 6)
    assert celda.LSTM(3, 6, 2, dropout=np.float32(0.5)).dropout == 0.5
    assert celda.LSTM(3, 6).stepper(np.int64(2))(X[0]).shape == (2, 6)
