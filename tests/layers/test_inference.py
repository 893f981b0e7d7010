"""Without gradients a layer takes a shorter way to the kernels: it must be the same function."""

import gc
import weakref

import pytest
import torch

import celda
from celda.cells import CELLS
from celda.engines import cpu
from celda.engines.cpu import launches
from celda.language import weight_drop
from tests.tolerances import TOLERANCES


def layer_of(name, **options):
    torch.manual_seed(0)
    sizes = dict.fromkeys(CELLS[name].inputs, 3) if len(CELLS[name].inputs) > 1 else 3
    return celda.Recurrent(name, sizes, 17, **options).eval()


def inputs_of(layer, steps=5, batch=3):
    torch.manual_seed(1)
    return torch.randn(steps, batch, 3), {name: torch.randn(batch, 3) for name in layer.cell.inputs[1:]}


def tuples(state):
    return state if isinstance(state, tuple) else (state,)


def both(layer, x, *rest, **inputs):
    """With gradients, and without."""
    with_them = layer(x, *rest, **inputs)
    with torch.no_grad():
        return with_them, layer(x, *rest, **inputs)


def same(a, b):
    assert torch.equal(a[0], b[0])
    assert all(map(torch.equal, tuples(a[1]), tuples(b[1])))
    assert [s.shape for s in tuples(a[1])] == [s.shape for s in tuples(b[1])]


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_computes_the_same_with_and_without_gradients(name):
    layer = layer_of(name)
    x, inputs = inputs_of(layer)
    same(*both(layer, x, **inputs))


@pytest.mark.parametrize("batch", [1, 7, 33])
@pytest.mark.parametrize("name", ["lstm", "gru", "gru_2014", "rnn"])
@pytest.mark.parametrize(
    "options", [{"num_layers": 2}, {"bidirectional": True}, {"num_layers": 2, "bidirectional": True}]
)
def test_stacks_and_directions(name, options, batch):
    layer = layer_of(name, **options)
    x, _ = inputs_of(layer, batch=batch)
    same(*both(layer, x))
    state = tuple(torch.randn_like(s) for s in tuples(layer(x)[1]))
    same(*both(layer, x, state))


def test_the_short_way_is_taken_and_only_where_it_serves(monkeypatch):
    layer, taken = layer_of("lstm"), []
    run = cpu.Bound.run
    monkeypatch.setattr(cpu.Bound, "run", lambda self, *given: taken.append(1) or run(self, *given))
    x, _ = inputs_of(layer)
    layer(x)
    assert not taken
    with torch.inference_mode():
        layer(x)
    assert taken == [1]
    with torch.no_grad():
        layer(x, lengths=[5, 2, 1])
        layer(x, resets=torch.zeros(5, 3, dtype=torch.bool))
    assert taken == [1]
    timed = layer_of("clockwork_rnn")
    with torch.no_grad():
        timed(x, start=3)  # a pass that is bound begins at step 0
        assert taken == [1]
        layer(x, start=3)  # a cell that does not ask for the time may take it
    assert taken == [1, 1]


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}])
@pytest.mark.parametrize("name", CELLS)
def test_a_trace_is_the_same_with_and_without_gradients(name, options):
    if options and CELLS[name].below:
        pytest.skip("reads the layer below, which has one direction")
    layer = layer_of(name, **options)
    x, inputs = inputs_of(layer)
    with celda.trace(layer) as trace:
        layer(x, **inputs)
        with_them = dict(trace)
        with torch.no_grad():
            layer(x, **inputs)
        without = dict(trace)
        kept = {key: value.clone() for key, value in without.items()}
        with torch.inference_mode():
            layer(x + 1, **inputs)
    assert all(torch.equal(with_them[key], without[key]) for key in layer.cell.named)
    assert all(torch.equal(kept[key], without[key]) for key in layer.cell.named)  # the next call has its own memory
    assert not torch.equal(trace["h"], without["h"])


@pytest.mark.parametrize("option", ["zoneout", "recurrent_dropout", "dropout", "weight_drop"])
def test_what_is_drawn_in_training_is_drawn_without_gradients_too(option):
    if option == "weight_drop":
        layer = celda.Recurrent(weight_drop(CELLS["lstm"], 0.5), 3, 17).train()
    else:
        layer = layer_of("lstm", num_layers=2, **{option: 0.5}).train()
    x, _ = inputs_of(layer)
    with torch.no_grad():
        assert not torch.equal(layer(x)[0], layer(x)[0])
    layer.eval()
    same(*both(layer, x))


def test_inputs_that_lie_otherwise_in_memory():
    layer = layer_of("lstm", batch_first=True)
    x = torch.randn(3, 5, 3)
    same(*both(layer, x))
    turned = torch.randn(3, 3, 5).transpose(1, 2)
    same(*both(layer, turned))
    negative = torch.randn(3, 5, 3, dtype=torch.complex64).conj().imag  # a view with the negative bit
    assert negative.is_neg()
    same(*both(layer, negative))


def test_weights_are_read_anew_at_every_call():
    layer = layer_of("lstm")
    x, _ = inputs_of(layer)
    with torch.no_grad():
        first = layer(x)[0]
        layer.weight_hh_l0.data.mul_(2)
        assert not torch.equal(layer(x)[0], first)
        layer.bias_ih_l0.data = torch.ones_like(layer.bias_ih_l0)
    same(*both(layer, x))


def test_outputs_and_states_belong_to_the_caller():
    layer = layer_of("lstm")
    x, _ = inputs_of(layer)
    with torch.no_grad():
        y, (h, c) = layer(x)
        kept = [t.clone() for t in (y, h, c)]
        layer(x + 1)
    assert all(map(torch.equal, (y, h, c), kept))
    for tensor in (y, h, c):
        tensor.mul_(torch.ones((), requires_grad=True))  # torch forbids it for a view made without gradients
        assert tensor.requires_grad


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_sizes_and_threads_may_change_between_calls(threads):
    layer, before = layer_of("lstm"), torch.get_num_threads()
    try:
        for steps, batch in ((1, 1), (5, 16), (2, 1), (5, 16), (9, 64)):
            torch.set_num_threads(threads)
            same(*both(layer, inputs_of(layer, steps, batch)[0]))
            torch.set_num_threads(1)
            same(*both(layer, inputs_of(layer, steps, batch)[0]))
    finally:
        torch.set_num_threads(before)


def test_its_memory_is_given_back():
    layer = layer_of("lstm")
    with torch.no_grad():
        layer(inputs_of(layer)[0])
    assert launches.forward_launches.cache_info().currsize > 0
    held = [weakref.ref(ready) for ready in gc.get_objects() if type(ready) is launches.Ready]
    assert held
    celda.engines.empty_cache()
    gc.collect()
    assert not any(one() for one in held)  # what is remembered of the sizes holds none of the memory
    same(*both(layer, inputs_of(layer)[0]))


@torch.no_grad()
def test_a_call_follows_the_weights_as_they_are():
    """From one call to the next, and from one layer to another of the same sizes, whose kernels work in the same
    memory; torch counts no change that is made through `data`."""
    layers = [celda.LSTM(5, 17) for _ in range(2)]
    peer, x = torch.nn.LSTM(5, 17), torch.randn(6, 1, 5)
    for layer in layers * 4:
        for array in layer.parameters():
            array.data.view(-1)[torch.randint(array.numel(), ())] += 1
        peer.load_state_dict(layer.state_dict())
        for _ in range(2):
            torch.testing.assert_close(layer(x)[0], peer(x)[0], **TOLERANCES["cpu", torch.float32])
