"""celda.LSTM, GRU and RNN are torch.nn's: outputs, states and all gradients, over a drawn space of arguments."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import celda
from tests.tolerances import TOLERANCES

PAIRS = {"LSTM": (celda.LSTM, nn.LSTM), "GRU": (celda.GRU, nn.GRU), "RNN": (celda.RNN, nn.RNN)}
EXACT = TOLERANCES["reference", torch.float64]


def pair(kind, *args, seed=0, **kwargs):
    layers = []
    for cls in PAIRS[kind]:
        torch.manual_seed(seed)
        layers.append(cls(*args, dtype=torch.float64, **kwargs))
    return layers


def states_of(kind, *shape):
    states = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for _ in range(1 + (kind == "LSTM"))]
    return (tuple(states) if kind == "LSTM" else states[0]), states


def flat(result):
    y, state = result
    y = y.data if hasattr(y, "batch_sizes") else y
    return [y, *(state if isinstance(state, tuple) else (state,))]


def assert_same(kind, layers, x, state, leaves, seed=7):
    """Both layers on the same input: values, then the gradients of a random functional of all of them."""
    seen = []
    for layer in layers:
        torch.manual_seed(seed)  # dropout draws the same masks
        outputs = flat(layer(x, state))
        torch.manual_seed(seed)
        loss = sum((out * torch.randn_like(out)).sum() for out in outputs)
        seen.append((outputs, torch.autograd.grad(loss, [*leaves, *layer.parameters()], retain_graph=True)))
    for ours, theirs in zip(*seen, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, **EXACT)


@settings(max_examples=60)
@given(data=st.data())
def test_equals_torch_for_drawn_arguments(data):
    kind = data.draw(st.sampled_from(sorted(PAIRS)), "kind")
    steps, batch = data.draw(st.integers(1, 7), "steps"), data.draw(st.integers(1, 5), "batch")
    inputs, hidden = data.draw(st.integers(1, 9), "inputs"), data.draw(st.integers(1, 17), "hidden")
    layers_, both = data.draw(st.integers(1, 3), "layers"), data.draw(st.booleans(), "bidirectional")
    options = {"bias": data.draw(st.booleans(), "bias"), "batch_first": data.draw(st.booleans(), "batch_first")}
    if layers_ > 1:
        options["dropout"] = data.draw(st.sampled_from([0.0, 0.4]), "dropout")
    if kind == "RNN":
        options["nonlinearity"] = data.draw(st.sampled_from(["tanh", "relu"]), "nonlinearity")
    layers = pair(kind, inputs, hidden, layers_, bidirectional=both, **options)
    unbatched = data.draw(st.booleans(), "unbatched")
    shape = (
        (steps, inputs) if unbatched else (batch, steps, inputs) if options["batch_first"] else (steps, batch, inputs)
    )
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    state, leaves = None, []
    if data.draw(st.booleans(), "initial state"):
        state, leaves = states_of(kind, layers_ * (1 + both), *([] if unbatched else [batch]), hidden)
    assert_same(kind, layers, x, state, [x, *leaves])


@settings(max_examples=30)
@given(data=st.data())
def test_equals_torch_on_packed_sequences(data):
    kind = data.draw(st.sampled_from(sorted(PAIRS)), "kind")
    lengths = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=5), "lengths")
    both, sorted_ = data.draw(st.booleans(), "bidirectional"), data.draw(st.booleans(), "sorted")
    if sorted_:
        lengths = sorted(lengths, reverse=True)
    layers = pair(kind, 3, 5, 2, bidirectional=both)
    x = torch.randn(max(lengths), len(lengths), 3, dtype=torch.float64, requires_grad=True)
    packed = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=sorted_)
    state, leaves = None, []
    if data.draw(st.booleans(), "initial state"):
        state, leaves = states_of(kind, 2 * (1 + both), len(lengths), 5)
    assert_same(kind, layers, packed, state, [x, *leaves])
    ours, theirs = layers[0](packed, state)[0], layers[1](packed, state)[0]
    assert (ours.sorted_indices is None) == (theirs.sorted_indices is None)
    if theirs.sorted_indices is not None:
        assert torch.equal(ours.sorted_indices, theirs.sorted_indices)
        assert torch.equal(ours.unsorted_indices, theirs.unsorted_indices)
    assert torch.equal(ours.batch_sizes, theirs.batch_sizes)


@pytest.mark.parametrize("kind", PAIRS)
def test_lengths_are_what_packing_is(kind):
    ours, theirs = pair(kind, 3, 5, 2, bidirectional=True)
    lengths = torch.tensor([2, 6, 1, 4])
    x = torch.randn(6, 4, 3, dtype=torch.float64)
    y, state = ours(x, lengths=lengths)
    packed, wanted_state = theirs(pack_padded_sequence(x, lengths, enforce_sorted=False))
    wanted, _ = nn.utils.rnn.pad_packed_sequence(packed)
    torch.testing.assert_close(y, wanted, **EXACT)
    for a, b in zip(flat((y, state))[1:], flat((y, wanted_state))[1:], strict=True):
        torch.testing.assert_close(a, b, **EXACT)


@pytest.mark.parametrize("kind", PAIRS)
def test_one_seed_gives_the_same_weights_and_state_dicts_go_both_ways(kind):
    ours, theirs = pair(kind, 3, 5, 2, bidirectional=True, seed=3)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name
    other, another = pair(kind, 3, 5, 2, bidirectional=True, seed=4)
    theirs.load_state_dict(other.state_dict())
    ours.load_state_dict(another.state_dict())
    assert_same(kind, [ours, theirs], torch.randn(4, 2, 3, dtype=torch.float64, requires_grad=True), None, [])


@pytest.mark.parametrize("kind", PAIRS)
def test_has_the_attributes_code_for_torch_relies_on(kind):
    ours, theirs = pair(kind, 3, 5, 2, batch_first=True)
    for name in (
        "input_size",
        "hidden_size",
        "num_layers",
        "bias",
        "batch_first",
        "dropout",
        "bidirectional",
        "proj_size",
    ):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert [[p.shape for p in layer] for layer in ours.all_weights] == [
        [p.shape for p in w] for w in theirs.all_weights
    ]
    ours.flatten_parameters()
    torch.manual_seed(0)
    ours.reset_parameters()
    torch.manual_seed(0)
    theirs.reset_parameters()
    assert torch.equal(ours.weight_hh_l1, theirs.weight_hh_l1)


def test_float32_agrees_with_torch():
    torch.manual_seed(0)
    ours = celda.LSTM(7, 33)
    theirs = nn.LSTM(7, 33)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(17, 5, 7)
    torch.testing.assert_close(ours(x)[0], theirs(x)[0], **TOLERANCES["reference", torch.float32])


def test_positional_arguments_mean_what_they_mean_in_torch():
    assert celda.LSTM(3, 4, 2, False, True, 0.1, True).bidirectional
    assert celda.RNN(3, 4, 1, "relu", False).bias is False
    assert celda.RNN(3, 4, nonlinearity="relu").nonlinearity == "relu"


def test_arguments_go_by_torchs_names():
    ours, theirs = celda.LSTM(3, 4), torch.nn.LSTM(3, 4)
    ours.load_state_dict(theirs.state_dict())
    x, state = torch.randn(5, 2, 3), (torch.randn(1, 2, 4), torch.randn(1, 2, 4))
    torch.testing.assert_close(ours(input=x, hx=state)[0], theirs(input=x, hx=state)[0])
    assert (ours.mode, celda.RNN(3, 4, nonlinearity="relu").mode) == (theirs.mode, "RNN_RELU")


def test_an_empty_batch_gives_an_empty_output():
    ours, theirs = celda.GRU(3, 4), torch.nn.GRU(3, 4)
    x = torch.zeros(5, 0, 3)
    assert ours(x)[0].shape == theirs(x)[0].shape == (5, 0, 4)


def test_dropout_on_a_packed_batch_draws_as_torch_does():
    ours, theirs = celda.LSTM(3, 4, 2, dropout=0.5), torch.nn.LSTM(3, 4, 2, dropout=0.5)
    ours.load_state_dict(theirs.state_dict())
    packed = torch.nn.utils.rnn.pack_sequence([torch.randn(5, 3), torch.randn(3, 3)])
    outputs = []
    for layer in (ours, theirs):
        torch.manual_seed(0)
        outputs.append(layer(packed)[0].data)
    torch.testing.assert_close(*outputs)


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2}, {"bidirectional": True}])
@pytest.mark.parametrize("mine", [celda.LSTM, celda.GRU, celda.RNN])
def test_what_it_gives_may_be_changed_in_place_as_torchs(mine, options, grad):
    with torch.set_grad_enabled(grad):
        y, state = mine(3, 5, **options)(torch.randn(4, 2, 3))
        for tensor in (y, *(state if isinstance(state, tuple) else (state,))):
            tensor.add_(1).detach_()


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("dropuot", "dropout"), ("num_layer", "num_layers"), ("layers", "num_layers"), ("zonout", "zoneout")],
)
@pytest.mark.parametrize("mine", [celda.LSTM, celda.GRU, celda.RNN])
def test_an_option_that_was_meant_is_found_among_torchs_and_ours(mine, wrong, meant):
    with pytest.raises(TypeError, match=f"There is no option '{wrong}': did you mean '{meant}'"):
        mine(3, 4, **{wrong: 1})
    with pytest.raises(TypeError, match=r"There is no option 'peephole': there are .*bidirectional, .*zoneout, "):
        mine(3, 4, peephole=True)
    with pytest.raises(celda.CeldaError, match=r"given: lenghts\. Did you mean 'lengths'"):
        mine(3, 4)(torch.randn(5, 2, 3), lenghts=[5, 2])
