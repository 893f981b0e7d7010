"""Truncated backpropagation through time: the state goes on, the gradient does not, and nothing else differs."""

import gc
import weakref
from collections import namedtuple

import numpy as np
import pytest
import torch
from torch import nn

import celda
from celda import CeldaError
from celda.cells import CELLS
from celda.language import cell, gate, linear, tanh, time
from celda.training import stream_batches, truncated
from tests.tolerances import TOLERANCES

EXACT = TOLERANCES["reference", torch.float64]
F64 = torch.float64
WIDTHS = {"x": 3, "image": 2}


def make(name="lstm", hidden=4, **options):
    torch.manual_seed(0)
    one = CELLS.get(name, name)
    sizes = {n: WIDTHS.get(n, 2) for n in one.inputs} if one.inputs[1:] else 3
    return celda.Recurrent(one, sizes, hidden, dtype=F64, **options)


def normal(*size):
    return torch.randn(size, dtype=F64, generator=torch.Generator().manual_seed(sum(size)))


def further(layer, *leading):
    return {name: normal(*leading, width) for name, width in list(layer.input_sizes.items())[1:]}


def as_tuple(state):
    return state if isinstance(state, tuple) else (state,)


def same(a, b):
    torch.testing.assert_close(a, b, **EXACT)


def gradients(model, loss):
    model.zero_grad()
    loss()
    return {name: p.grad.clone() for name, p in model.named_parameters()}


def by_chunks(layer, x, **options):
    """The gradients of the sum of all squared outputs, chunk by chunk."""

    def loss():
        for chunk in truncated(layer, x, **options):
            chunk.output.square().sum().backward()

    return gradients(layer, loss)


def all_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        same(one[name], other[name])


@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_the_outputs_are_those_of_the_whole_stream(name, batch_first, moving):
    layer = make(name, num_layers=2, batch_first=batch_first)
    x = normal(2, 11, 3) if batch_first else normal(11, 2, 3)
    inputs = further(layer, *(x.shape[:2] if moving else (2,)))
    wanted, state = layer(x, **inputs)
    chunks = list(truncated(layer, x, 4, inputs=inputs))
    same(torch.cat([c.output for c in chunks], int(batch_first)), wanted)
    assert [c.slice for c in chunks] == [slice(0, 4), slice(4, 8), slice(8, 11)]
    for a, b in zip(as_tuple(chunks[-1].state), as_tuple(state), strict=True):
        same(a, b)
        assert not a.requires_grad
    assert isinstance(chunks[-1].state, tuple) == isinstance(state, tuple)


@pytest.mark.parametrize("kind", [celda.LSTM, celda.GRU, celda.RNN, nn.LSTM, nn.GRU, nn.RNN])
def test_drop_in_layers_and_torchs_own(kind):
    torch.manual_seed(0)
    layer = kind(3, 4, num_layers=2, dtype=F64)
    x = normal(10, 2, 3)
    same(torch.cat([c.output for c in truncated(layer, x, 3)]), layer(x)[0])
    single = layer(x[:, 0])[0]
    same(torch.cat([c.output for c in truncated(layer, x[:, 0], 3)]), single)


@pytest.mark.parametrize("name", CELLS)
def test_one_chunk_is_full_backpropagation(name):
    layer, x = make(name), normal(6, 2, 3)
    inputs = further(layer, 2)
    full = gradients(layer, lambda: layer(x, **inputs)[0].square().sum().backward())
    all_same(by_chunks(layer, x, steps=6, inputs=inputs), full)
    all_same(by_chunks(layer, x, inputs=inputs), full)  # the default is longer than this stream


@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_chunks_are_torchs_pieces_with_the_state_detached(engine):
    theirs = nn.LSTM(3, 4, num_layers=2, dtype=F64)
    layer = celda.LSTM(3, 4, num_layers=2, dtype=F64, engine=engine)
    layer.load_state_dict(theirs.state_dict())
    x = normal(10, 2, 3)

    def by_hand():
        state = None
        for piece in x.split(4):
            y, state = theirs(piece, state)
            y.square().sum().backward()
            state = tuple(s.detach() for s in state)

    wanted = gradients(theirs, by_hand)
    all_same(by_chunks(layer, x, steps=4), wanted)
    full = gradients(theirs, lambda: theirs(x)[0].square().sum().backward())
    assert not torch.allclose(full["weight_hh_l0"], wanted["weight_hh_l0"])  # the test tells one from the other


@pytest.mark.parametrize("name", CELLS)
def test_a_reset_where_a_chunk_begins_makes_two_sequences(name):
    layer, x = make(name, num_layers=2), normal(8, 2, 3)
    inputs, resets = further(layer, 2), torch.zeros(8, 2, dtype=torch.bool)
    resets[4] = True

    def apart():
        for start, piece in zip((0, 4), x.split(4), strict=True):
            layer(piece, start=start, **inputs)[0].square().sum().backward()

    all_same(by_chunks(layer, x, steps=4, resets=resets, inputs=inputs), gradients(layer, apart))


@pytest.mark.parametrize("batch_first", [False, True])
def test_resets_and_lengths_anywhere_are_those_of_the_whole(batch_first):
    layer = make("gru", batch_first=batch_first)
    x, lengths = normal(2, 9, 3), torch.tensor([9, 3])
    resets = torch.zeros(2, 9, dtype=torch.bool)
    resets[0, 5] = resets[1, 2] = True
    if not batch_first:
        x, resets = x.transpose(0, 1), resets.T
    wanted, state = layer(x, lengths=lengths, resets=resets)
    chunks = list(truncated(layer, x, 4, lengths=lengths, resets=resets))
    same(torch.cat([c.output for c in chunks], int(batch_first)), wanted)
    same(chunks[-1].state, state)
    assert [c.lengths.tolist() for c in chunks] == [[4, 3], [4, 0], [1, 0]]


def test_one_sequence_without_a_batch():
    layer, x = make("lstm", batch_first=True), normal(9, 3)
    resets = torch.arange(9) == 5
    wanted, _ = layer(x, resets=resets, lengths=torch.tensor([8]))
    for lengths in (8, [8]):
        chunks = truncated(layer, x, 4, resets=resets, lengths=lengths)
        same(torch.cat([c.output for c in chunks]), wanted)
    image = make("image_rnn")
    seen, moving = normal(2), normal(9, 2)
    same(torch.cat([c.output for c in truncated(image, x, 4, inputs={"image": seen})]), image(x, image=seen)[0])
    same(torch.cat([c.output for c in truncated(image, x, 4, inputs={"image": moving})]), image(x, image=moving)[0])


@cell
def counting(x, h):
    return gate("n", tanh, linear(x, h)) + 0.01 * time()


def test_a_cell_that_counts_its_steps_goes_on_counting():
    layer, x = make(counting), normal(7, 2, 3)
    wanted, _ = layer(x)
    same(torch.cat([c.output for c in truncated(layer, x, 3)]), wanted)
    same(torch.cat([c.output for c in truncated(layer, x.split(2))]), wanted)
    before, state = layer(x[:3])
    same(torch.cat([before, layer(x[3:], state, start=3)[0]]), wanted)
    with pytest.raises(CeldaError, match="start=-1"):
        layer(x, start=-1)
    packed = torch.nn.utils.rnn.pack_sequence([x[3:, 0]])
    data = layer(packed, state[:, :1].contiguous(), start=3)[0].data
    same(data, wanted[3:, 0])


def test_chunks_may_come_one_by_one_with_what_belongs_to_each():
    layer, x, image = make("image_rnn"), normal(9, 2, 3), normal(2, 2)
    resets = torch.zeros(9, 2, dtype=torch.bool)
    resets[5, 0] = True
    wanted, _ = layer(x, resets=resets, image=image)
    read = []

    def stream():
        for where in (slice(0, 2), slice(2, 6), slice(6, 9)):
            read.append(where)
            yield x[where], {"resets": resets[where]}

    seen = []
    for chunk in truncated(layer, stream(), inputs={"image": image}):
        assert len(read) == len(seen) + 1  # nothing is read ahead
        seen.append(chunk)
    same(torch.cat([c.output for c in seen]), wanted)
    assert [c.slice for c in seen] == read
    parts = truncated(layer, list(x.split(4)), inputs={"image": image})
    same(torch.cat([c.output for c in parts]), layer(x, image=image)[0])


Named = namedtuple("Named", "memory, count")


class Model(nn.Module):
    """An embedding, a layer, and a state in a structure of its own."""

    def __init__(self, wrap, unwrap):
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.layer = nn.Embedding(5, 3, dtype=F64), celda.LSTM(3, 4, dtype=F64)
        self.out, self.wrap, self.unwrap = nn.Linear(4, 5, dtype=F64), wrap, unwrap

    def forward(self, tokens, state=None):
        y, state = self.layer(self.embedding(tokens), None if state is None else self.unwrap(state))
        return self.out(y), self.wrap(state)


STRUCTURES = {
    "a dictionary": (lambda s: {"h": s[0], "c": s[1], "more": None}, lambda s: (s["h"], s["c"])),
    "a list of lists": (lambda s: [[*s], 3], lambda s: tuple(s[0])),
    "a named tuple": (lambda s: Named(s, 1), lambda s: s.memory),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_model_of_ones_own_with_a_state_in_any_structure(name):
    model = Model(*STRUCTURES[name])
    tokens = stream_batches(torch.arange(40) % 5, 3)
    outputs = []
    for chunk in truncated(model, tokens, 5):
        nn.functional.cross_entropy(chunk.output.flatten(0, 1), tokens[chunk.slice].flatten()).backward()
        outputs.append(chunk.output.detach())
        assert type(chunk.state) is type(model(tokens)[1])
        assert not any(s.requires_grad for s in model.unwrap(chunk.state))
    same(torch.cat(outputs), model(tokens)[0])
    assert model.embedding.weight.grad.any()


def test_the_first_state_may_be_learned_and_the_state_goes_on_to_the_next_call():
    layer, x = make("gru"), normal(8, 2, 3)
    start = torch.zeros(1, 2, 4, dtype=F64, requires_grad=True)
    (first,) = truncated(layer, x[:4], 4, state=start)
    first.output.sum().backward()
    assert start.grad.any()
    (second,) = truncated(layer, x[4:], 4, state=first.state)
    same(second.output, layer(x, start)[0][4:])


def test_the_state_may_be_changed_between_chunks():
    layer, x = make("lstm"), normal(8, 2, 3)
    for chunk in truncated(layer, x, 4):
        chunk.state[0].zero_()  # in place, before the backward pass
        chunk.output.sum().backward()
        last = chunk.output
    h, c = layer(x[:4])[1]
    same(last, layer(x[4:], (torch.zeros_like(h), c))[0])


@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_memory_holds_two_graphs_at_most(engine):
    layer, alive = make("lstm", engine=engine), []
    for chunk in truncated(layer, normal(60, 2, 3), 5):
        alive.append(weakref.ref(chunk.output))
        gc.collect()
        assert sum(one() is not None for one in alive) == 1  # before it, and its graph with it, are gone
        chunk.output.sum().backward()
    assert len(alive) == 12


def test_while_the_next_chunk_is_computed_no_third_is_held():
    layer, alive, most = make("lstm"), [], []

    def looking_on(x, state):
        gc.collect()
        most.append(sum(one() is not None for one in alive))
        return layer(x, state)

    for chunk in truncated(looking_on, normal(40, 2, 3), 5):
        alive.append(weakref.ref(chunk.output.grad_fn))
    assert max(most) == 1


def test_weights_may_change_between_chunks():
    layer, x = make("lstm"), normal(40, 2, 3)
    optimizer, losses = torch.optim.Adam(layer.parameters(), lr=0.05), []
    for _ in range(10):
        for chunk in truncated(layer, x, 8):
            loss = (chunk.output - 0.3).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_a_compiled_layer():
    layer, x = make(counting), normal(6, 2, 3)
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    same(torch.cat([c.output for c in truncated(compiled, x, 3)]), layer(x)[0])


def test_parallel_streams_of_one_long_one():
    tokens = torch.arange(11)
    assert stream_batches(tokens, 3).tolist() == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]
    assert stream_batches(tokens, 3, batch_first=True).tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert stream_batches(tokens, 3).data_ptr() == tokens.data_ptr()  # nothing is copied
    assert stream_batches(np.arange(8.0).reshape(4, 2), 2).shape == (2, 2, 2)


X = normal(6, 2, 3)
MISTAKES = {
    "no layer": (lambda: truncated(3, X), "cannot be run"),
    "both directions": (lambda: truncated(make(bidirectional=True), X), "bidirectional=False"),
    "both directions of torch": (lambda: truncated(nn.LSTM(3, 4, bidirectional=True), X), "bidirectional=False"),
    "chunks of nothing": (lambda: truncated(make(), X, 0), "steps=0"),
    "half a step": (lambda: truncated(make(), X, 2.5), "steps=2.5"),
    "the other layout": (lambda: truncated(make(), X, batch_first=True), "made with batch_first=False"),
    "a layout as text": (lambda: truncated(lambda x, s: (x, s), X, batch_first="no"), "neither True nor False"),
    "no steps": (lambda: truncated(make(), X[:0]), "at least one"),
    "one number": (lambda: truncated(make(), X[0, 0, 0]), "give (steps, batch, ...)"),
    "a packed sequence": (
        lambda: truncated(make(), torch.nn.utils.rnn.pack_sequence([X[:, 0]])),
        "with lengths= where sequences end",
    ),
    "no stream": (lambda: truncated(make(), 5), "The stream is a int"),
    "a dictionary": (lambda: truncated(make(), {"x": X}), "The stream is a dict"),
    "lengths too long": (lambda: truncated(make(), X, lengths=[7, 1]), "the input has 6 steps"),
    "lengths of another batch": (lambda: truncated(make(), X, lengths=[1]), "give (2,)"),
    "resets of another shape": (lambda: truncated(make(), X, resets=torch.zeros(2, 6, dtype=torch.bool)), "(6, 2)"),
    "resets for a model of tokens": (
        lambda: truncated(lambda x, s: (x, s), X[..., 0], resets=torch.zeros(6, dtype=torch.bool)),
        "(6, 2)",
    ),
    "resets for torch": (
        lambda: truncated(nn.GRU(3, 4), X, resets=torch.zeros(6, 2, dtype=torch.bool)),
        "take celda.GRU",
    ),
    "an input the cell has not": (lambda: truncated(make(), X, inputs={"image": X}), "none besides its input"),
    "a missing input": (lambda: truncated(make("image_rnn"), X), "by name: image"),
    "an input of another length": (
        lambda: truncated(make("image_rnn"), X, inputs={"image": normal(5, 2, 2)}),
        "give (2, 2), constant over time, or (6, 2, 2)",
    ),
    "inputs of a callable": (lambda: truncated(lambda x, s: (x, s), X, inputs={"image": X}), "a callable of yours"),
    "steps of chunks": (lambda: truncated(make(), [X, X], 3), "comes in chunks already"),
    "resets of chunks": (lambda: truncated(make(), [X], resets=[[True]]), "comes in chunks already"),
    "no tensors": (lambda: next(truncated(make(), [X.numpy()])), "Chunk 0 is a ndarray"),
    "two tensors": (lambda: next(truncated(make(), [(X, X)])), "Chunk 0 is a tuple"),
    "an empty chunk": (lambda: next(truncated(make(), [X[:0]])), "at least one"),
    "no state": (lambda: next(truncated(lambda x, s: x, X)), "a pair (output, state)"),
    "a state of another batch": (lambda: next(truncated(make("gru"), X, state=normal(1, 3, 4))), "must be (1, 2, 4)"),
    "no sequences": (lambda: stream_batches(torch.arange(5), 0), "batch_size=0"),
    "too short a stream": (lambda: stream_batches(torch.arange(5), 6), "a smaller batch_size"),
    "no stream to lay out": (lambda: stream_batches(torch.tensor(5), 1), "a smaller batch_size"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_answered_at_the_call(name):
    act, told = MISTAKES[name]
    with pytest.raises(CeldaError) as caught:
        act()
    assert told in str(caught.value)
