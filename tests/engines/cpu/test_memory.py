"""The passes and memory: how it may lie, whose it is, and when it is let go."""

import weakref

import pytest
import torch
from torch import Tensor

import celda
from celda.errors import CeldaError
from tests.engines.cpu.passes import SOME, gradients, having, run, same, some_call, tensors, wanting

pytestmark = pytest.mark.usefixtures("harsh")


def test_a_final_state_of_a_layer_may_be_changed_in_place():
    layer = celda.LSTM(3, 5, engine="cpu")
    y, (h, c) = layer(torch.randn(4, 2, 3))
    wanted = torch.autograd.grad(y.sum(), layer.weight_hh_l0, retain_graph=True)
    h.zero_()
    c[:, 0] = 0
    assert torch.equal(torch.autograd.grad(y.sum(), layer.weight_hh_l0)[0], wanted[0])


@pytest.mark.parametrize("name", ["indrnn", "rnn", "lstm"])
def test_an_output_whose_storage_was_taken_away_is_met(name):
    layer = celda.Recurrent(name, 3, 64, engine="cpu")
    loss = (y := layer(torch.randn(40, 2, 3))[0]).sum()
    y.untyped_storage().resize_(0)
    with pytest.raises(CeldaError, match="storage of an output was resized"):
        loss.backward()


def strided(tensor: Tensor) -> Tensor:
    """The same numbers, neither contiguous nor dense, from a place that is not aligned."""
    wide = tensor.new_zeros(*tensor.shape[:-1], 2 * tensor.shape[-1] + 1)[..., 1::2]
    wide.copy_(tensor)
    return wide.transpose(0, -1).contiguous().transpose(0, -1) if tensor.dim() > 1 else wide


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("options", [{}, {"lengths": torch.tensor([5, 0, 2, 5])}], ids=["plain", "ragged"])
def test_memory_laid_out_otherwise(name, options):
    call = some_call(name, **options)
    other = having(call, {name: strided(tensor) for name, tensor in tensors(call).items()})
    assert not any(t.is_contiguous() for t in (*other.inputs.values(), *other.states))
    same(run(other).output, run(call).output)
    wanted = gradients(call)
    leaves = {name: strided(tensor).requires_grad_() for name, tensor in tensors(call).items()}
    result = run(having(call, leaves))
    g = torch.Generator().manual_seed(2)
    ends = (result.output, *result.states)
    above = [strided(torch.randn(v.shape, generator=g, dtype=torch.float64)) for v in ends]
    same(dict(zip(leaves, torch.autograd.grad(ends, list(leaves.values()), above), strict=True)), wanted)


def test_a_gradient_that_is_one_number_expanded():
    call, leaves = wanting(some_call(), ["x", "weight_hh"])
    result = run(call)
    expanded = torch.autograd.grad(result.output.sum(), list(leaves.values()), retain_graph=True)
    same(torch.autograd.grad(result.output, list(leaves.values()), torch.ones_like(result.output)), expanded)


def test_a_call_changes_none_of_its_tensors():
    call = some_call("peephole_lstm", lengths=torch.tensor([5, 3, 1, 0]))
    before = {name: tensor.clone() for name, tensor in tensors(call).items()}
    gradients(call)
    run(call)
    assert all(torch.equal(before[name], tensor) for name, tensor in tensors(call).items())


def test_a_result_is_its_own_memory():
    """What a call gave stays as it is when the next one runs on the same buffers."""
    call, other = some_call(hidden=40, steps=60), some_call(hidden=40, steps=60, seed=1)
    first, found = run(call), gradients(call)
    kept = [t.clone() for t in (first.output, *first.states, *found.values())]
    run(other)
    gradients(other)
    assert all(map(torch.equal, kept, (first.output, *first.states, *found.values())))


@pytest.mark.parametrize("name", ["lstm", "peephole_lstm", "gru"])
def test_gradients_are_each_in_memory_of_their_own(name):
    found = [t for t in gradients(some_call(name)).values() if t.numel()]
    assert len({t.untyped_storage().data_ptr() for t in found}) == len(found)


def test_the_input_is_let_go_after_the_backward_pass():
    layer = celda.LSTM(3, 5)
    x = torch.randn(4, 2, 3)
    kept = weakref.ref(x)
    loss = layer(x)[0].sum()
    loss.backward()
    del x
    assert kept() is None
    assert loss.requires_grad
