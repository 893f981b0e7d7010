"""The passes as a function that torch differentiates: which gradients, how often, of what that was changed since."""

import pytest
import torch

import celda
from celda.cells import CELLS
from celda.engines.cpu import passes, products
from tests.calls import random_call
from tests.engines.cpu.passes import RAGGED, gradients, having, leaky, run, same, some_call, tensors, wanting

pytestmark = pytest.mark.usefixtures("harsh")


@pytest.mark.parametrize("chosen", [CELLS["lstm"], CELLS["gru"], leaky], ids=lambda c: c.name)
@pytest.mark.parametrize("options", [{}, RAGGED], ids=["plain", "ragged"])
def test_first_and_second_gradients(chosen, options):
    call = random_call(chosen, steps=3, batch=3, hidden=2, **options)

    def function(*given):
        result = run(having(call, dict(zip(tensors(call), given, strict=True))))
        return result.output, *result.states

    given = tuple(t.clone().requires_grad_() for t in tensors(call).values())
    assert torch.autograd.gradcheck(function, given)
    assert torch.autograd.gradgradcheck(function, given, fast_mode=True)


@pytest.mark.parametrize("chosen", [CELLS["lstm"], CELLS["image_rnn"], leaky], ids=lambda c: c.name)
def test_any_choice_of_gradients_is_right(chosen):
    call = random_call(chosen, batch=3)
    everything = gradients(call)
    for name in everything:
        same(gradients(call, [name])[name], everything[name])
    same(gradients(call, [*call.inputs]), {name: everything[name] for name in call.inputs})
    same(gradients(call, [*call.weights]), {name: everything[name] for name in call.weights})


@pytest.mark.parametrize(
    ("names", "count"),
    [
        (["x"], 1),
        (["weight_ih"], 1),
        (["weight_hh"], 1),
        (["bias_ih", "h at 0"], 4),  # the sums of four lines
        (["x", "weight_ih", "weight_hh", "c at 0"], 3),
    ],
)
def test_no_gradient_is_computed_that_nobody_asks_for(names, count, monkeypatch):
    call, leaves = wanting(some_call(batch=8), names)
    output, done, multiply = run(call).output.sum(), [], products.multiply
    monkeypatch.setattr(
        products, "multiply", lambda script, wanted, *_: done.extend(wanted) or multiply(script, wanted, *_)
    )
    torch.autograd.grad(output, list(leaves.values()))
    assert len(done) == count


def test_nothing_is_kept_where_no_gradient_is_wanted():
    call, sizes, lease = some_call(batch=8), [], passes.pool.lease
    with pytest.MonkeyPatch.context() as patch:  # undone before `harsh` puts back what it found
        patch.setattr(passes.pool, "lease", lambda size, dtype: sizes.append(size) or lease(size, dtype))
        run(call)
        assert not any(len(size) == 3 and size[1] for size in sizes)
        run(wanting(call, ["x"])[0])
    assert any(len(size) == 3 and size[1] for size in sizes)


@pytest.mark.parametrize("options", [{}, {"lengths": torch.tensor([5, 0, 2, 5])}], ids=["plain", "ragged"])
def test_backward_twice(options):
    call, leaves = wanting(some_call(**options), ["x", "weight_hh", "c at 0"])
    output = run(call).output.square().sum()
    first = torch.autograd.grad(output, list(leaves.values()), retain_graph=True)
    second = torch.autograd.grad(output, list(leaves.values()), retain_graph=True)
    same(first, second)
    same(torch.autograd.grad(output, list(leaves.values())), first)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(output, list(leaves.values()))


def test_an_output_changed_in_place_is_met():
    call, leaves = wanting(some_call(), ["x"])
    output = run(call).output
    loss = output.sum()
    output.relu_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, [leaves["x"]])


def test_a_weight_changed_in_place_is_met():
    call, leaves = wanting(some_call(), ["weight_hh"])
    output = run(call).output.sum()
    with torch.no_grad():
        leaves["weight_hh"] *= 2
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(output, [leaves["weight_hh"]])


def test_lengths_changed_in_place_are_met():
    lengths = torch.tensor([5, 0, 2, 5])
    call, leaves = wanting(some_call(lengths=lengths), ["x"])
    loss = run(call).output.sum()
    lengths.fill_(4)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, list(leaves.values()))


@pytest.mark.parametrize("engine", ["reference", "cpu"])
def test_what_is_computed_from_one_another_is_counted_once(engine):
    """Under create_graph, too: a state that is carried on, one computed from the input, tied weights."""
    found = []
    for twice in (False, True):
        torch.manual_seed(0)
        layer = celda.LSTM(5, 5, engine=engine).double()
        layer.bias_ih_l0 = layer.bias_hh_l0
        x = torch.randn(3, 2, 5, dtype=torch.float64, requires_grad=True)
        y, state = layer(x, (x.mean(0, keepdim=True), x[:1].tanh()))
        z, _ = layer(y, state)
        found.append(torch.autograd.grad(z.square().sum(), [x, *layer.parameters()], create_graph=twice))
    for once, again in zip(*found, strict=True):
        torch.testing.assert_close(once, again.detach(), rtol=1e-9, atol=1e-9)
