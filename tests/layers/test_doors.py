"""Bad input to a layer: one clear line each, that says what to write."""

import pytest
import torch

import celda
from celda import CeldaError
from celda.language import cell, gate, linear, tanh

X = torch.randn(4, 2, 3)
PACKED = torch.nn.utils.rnn.pack_sequence([torch.randn(2, 3)])


def lstm(**options):
    return celda.Recurrent("lstm", 3, 5, **options)


MISTAKES = {
    "unknown cell": (lambda: celda.Recurrent("lsmt", 3, 5), "no cell 'lsmt'"),
    "hidden size 0": (lambda: celda.LSTM(3, 0), "hidden_size=0"),
    "half a layer": (lambda: celda.LSTM(3, 5, 1.5), "num_layers=1.5"),
    "input size as text": (lambda: celda.LSTM("3", 5), "input_size='3'"),
    "dropout of 50": (lambda: celda.LSTM(3, 5, 2, dropout=50), "dropout=50"),
    "unknown init": (lambda: lstm(init="xavier"), "'xavier'"),
    "unknown engine": (lambda: lstm(engine="cuda"), "'cuda'"),
    "nonlinearity": (lambda: celda.RNN(3, 5, nonlinearity="gelu"), "'tanh' or 'relu'"),
    "further input without its width": (lambda: celda.Recurrent("image_rnn", 3, 5), "'image': ..."),
    "projection": (lambda: lstm(proj_size=2), "proj_size is not built yet"),
    "zoneout": (lambda: lstm(zoneout=1.5), "zoneout=1.5 is no probability"),
    "layer norm": (lambda: lstm(layer_norm=1), "layer_norm=1 is neither True nor False"),
    "recurrent dropout": (lambda: lstm(recurrent_dropout=1), "recurrent_dropout=1 is no probability"),
    "heads": (lambda: lstm(heads=2), "heads is not built yet"),
    "numpy input": (lambda: lstm()(X.numpy()), "ndarray"),
    "wrong width": (lambda: lstm()(X[..., :2]), "input_size=3"),
    "one dimension": (lambda: lstm()(X[0, 0]), "shape (3)"),
    "no steps": (lambda: lstm()(X[:0]), "at least one"),
    "float64 into float32": (lambda: lstm()(X.double()), ".to(torch.float32)"),
    "integers": (lambda: lstm()(X.long()), ".to(torch.float32)"),
    "one state of two": (lambda: lstm()(X, torch.zeros(1, 2, 5)), "the states (h, c)"),
    "state of another batch": (lambda: lstm()(X, (torch.zeros(1, 3, 5),) * 2), "must be (1, 2, 5)"),
    "lengths too long": (lambda: lstm()(X, lengths=[4, 9]), "the input has 4 steps"),
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
    (tmp_path / "garbage").write_bytes(b"no tensors here")
    for name in ("gru", "garbage", "absent"):
        with pytest.raises(CeldaError, match=name):
            stepper.restore(tmp_path / name)
    assert stepper.state is before
    assert stepper.steps == 1


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


def test_a_trace_is_a_mapping():
    layer = lstm()
    with celda.trace(layer) as t:
        layer(X)
    assert "f" in t
    assert "zz" not in t
