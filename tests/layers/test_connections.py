"""Residual and highway connections between the layers of a stack, by hand from layers of one."""

import copy
import warnings

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import celda
from celda import CeldaError
from celda.interchange import to_onnx
from celda.layers.between import drop
from tests.layers.test_compile import compiled, operators

T, B, I, H, LAYERS = 6, 3, 4, 5, 3  # noqa: E741
F64 = torch.float64
KINDS = ("residual", "highway")


def make(connections, cell="lstm", seed=0, **options):
    torch.manual_seed(seed)
    options = {"num_layers": LAYERS, "dtype": F64} | options
    return celda.Recurrent(cell, I, H, connections=connections, **options)


def numbers():
    return torch.randn(T, B, I, generator=torch.Generator().manual_seed(1), dtype=F64)


def close(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


def by_hand(stack: celda.Recurrent, x: Tensor, *, dropout: float = 0.0, **options) -> tuple[Tensor, list[Tensor]]:
    """The output of a stack and its last outputs `h`, each layer a layer of its own."""
    width, last = H * (1 + stack.bidirectional), []
    for number in range(stack.num_layers):
        size = I if number == 0 else width
        sizes = {"bidirectional": stack.bidirectional, "dtype": F64, "engine": "reference"}
        with torch.random.fork_rng():  # its first weights draw nothing from what the stack drew from
            alone = celda.Recurrent(stack.cell, size, H, **sizes)
        wanted = {name: stack.get_parameter(name.replace("_l0", f"_l{number}")) for name in alone.state_dict()}
        lengths = options.get("lengths")
        into = drop(x, dropout, lengths) if number and dropout else x
        y, state = torch.func.functional_call(alone, wanted, (into,), options)
        if number and stack.connections == "residual":
            y = y + x
        elif number and stack.connections == "highway":
            weight, bias = (stack.get_parameter(f"highway_{what}_l{number}") for what in ("weight", "bias"))
            t = torch.sigmoid(x @ weight.T + bias)
            y = t * y + (1 - t) * x
        x = y
        last.append(state[0] if isinstance(state, tuple) else state)
    return x, last


@pytest.mark.parametrize("engine", ["cpu", "reference"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("connections", [None, *KINDS])
def test_a_stack_is_what_its_layers_and_connections_give(connections, cell, bidirectional, engine):
    stack = make(connections, cell, bidirectional=bidirectional, engine=engine)
    x = numbers().requires_grad_()
    resets = torch.rand(T, B, generator=torch.Generator().manual_seed(2)) < 0.3
    leaves = (x, *stack.parameters())
    for options in ({}, {"lengths": torch.tensor([T, 0, 4])}, {"resets": resets}):
        y, state = stack(x, **options)
        wanted, last = by_hand(stack, x, **options)
        close(y, wanted)
        close(state[0] if isinstance(state, tuple) else state, torch.cat(last))
        found, hand = (torch.autograd.grad(v.square().sum(), leaves) for v in (y, wanted))
        close(found, hand)


@pytest.mark.parametrize("connections", KINDS)
def test_past_its_end_a_sequence_is_zero_whatever_was_there(connections):
    stack, x = make(connections, bidirectional=True), numbers()
    x[4:, 2], x[:, 1] = float("nan"), float("inf")
    y, _ = stack(x, lengths=torch.tensor([T, 0, 4]))
    assert not y[4:, 2].any()
    assert not y[:, 1].any()
    assert y.isfinite().all()
    y.sum().backward()
    assert all(p.grad.isfinite().all() for p in stack.parameters())


@pytest.mark.parametrize("connections", KINDS)
def test_dropout_acts_on_what_enters_a_layer_and_not_on_what_goes_past_it(connections):
    stack, x = make(connections, dropout=0.4), numbers()
    torch.manual_seed(3)
    y, _ = stack(x)
    torch.manual_seed(3)
    close(y, by_hand(stack, x, dropout=0.4)[0])
    close(stack.eval()(x)[0], by_hand(stack, x)[0])


@pytest.mark.parametrize("connections", KINDS)
def test_options_of_the_cell_act_inside_the_layers(connections):
    stack, x = make(connections, zoneout=0.3, recurrent_dropout=0.2), numbers()
    torch.manual_seed(3)
    y, _ = stack(x)
    torch.manual_seed(3)
    close(y, by_hand(stack, x)[0])


def test_what_a_highway_learns_has_names_and_starts_nearly_closed():
    stack, plain = make("highway", bidirectional=True), make(None, bidirectional=True)
    more = [name for name in stack.state_dict() if name not in plain.state_dict()]
    assert more == ["highway_weight_l1", "highway_bias_l1", "highway_weight_l2", "highway_bias_l2"]
    assert stack.highway_weight_l1.shape == (2 * H, 2 * H)
    assert torch.equal(stack.highway_bias_l2.detach(), torch.full((2 * H,), -2.0, dtype=F64))
    assert 0 < stack.highway_weight_l1.abs().max() <= (2 * H) ** -0.5
    assert not torch.equal(stack.highway_weight_l1, stack.highway_weight_l2)
    for name, value in plain.named_parameters():  # one seed gives the layers the weights they had
        assert torch.equal(stack.get_parameter(name), value)
    before = stack.highway_weight_l1.detach().clone()
    stack.reset_parameters()
    assert not torch.equal(stack.highway_weight_l1, before)


def test_a_residual_stack_learns_what_a_plain_one_does():
    stack = make("residual")
    stack.load_state_dict(torch.nn.LSTM(I, H, LAYERS, dtype=F64).state_dict())
    assert list(stack.state_dict()) == list(make(None).state_dict())


def test_the_first_layer_is_never_connected_even_where_the_widths_agree():
    torch.manual_seed(0)
    stack, x = celda.Recurrent("lstm", H, H, 2, connections="residual", dtype=F64), torch.randn(T, B, H, dtype=F64)
    with celda.trace(stack) as t:
        y, _ = stack(x)
    close(y, t["h"][0] + t["h"][1])


@pytest.mark.parametrize("engine", ["cpu", "reference"])
@pytest.mark.parametrize("connections", KINDS)
def test_a_stepper_gives_the_same_numbers_and_says_how(connections, engine, tmp_path):
    stack, x = make(connections, engine=engine, dropout=0.5).eval(), numbers()
    stepper = stack.stepper(B)
    found = [stepper(x[t]) for t in range(3)]
    stepper.save(tmp_path / "state")
    other = stack.stepper(B)
    other.restore(tmp_path / "state")
    found += [other(x[t]) for t in range(3, T)]
    y, state = stack(x)
    close(torch.stack(found), y)
    close(other.state, state)
    if engine == "cpu":
        assert f"{connections} connections are computed between its layers" in stepper.plan().reason


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("connections", KINDS)
def test_a_stack_is_compiled_in_one_graph(connections, training):
    stack, x = make(connections, bidirectional=True).train(training), numbers()
    run, graphs = compiled(stack)
    y, wanted = run(x, lengths=torch.tensor([T, 2, 4]))[0], stack(x, lengths=torch.tensor([T, 2, 4]))[0]
    close(y, wanted)
    close(*(torch.autograd.grad(v.square().sum(), stack.parameters()) for v in (y, wanted)))
    assert [operators(g.graph) for g in graphs] == [2 * LAYERS]


@pytest.mark.parametrize("connections", KINDS)
def test_layouts_packed_copied_and_in_other_dtypes(connections):
    stack, x, lengths = make(connections), numbers(), torch.tensor([T, 4, 1])
    wanted, _ = stack(x, lengths=lengths)
    assert torch.equal(pad_packed_sequence(stack(pack_padded_sequence(x, lengths))[0])[0], wanted)
    again = copy.deepcopy(stack)
    again.batch_first = True
    close(again(x.transpose(0, 1), lengths=lengths)[0].transpose(0, 1), wanted)
    close(stack(x[:, 0])[0], wanted[:, 0])
    stack.float()
    with torch.autocast("cpu", torch.bfloat16):
        y, _ = stack(x.float(), lengths=lengths)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.double(), wanted, rtol=0.05, atol=0.05)
    assert stack.bfloat16()(x.bfloat16())[0].dtype == torch.bfloat16


def test_a_parametrized_highway_is_used():
    stack, x = make("highway"), numbers()
    torch.nn.utils.parametrizations.weight_norm(stack, "highway_weight_l1")
    with torch.no_grad():
        stack.parametrizations.highway_weight_l1.original0.mul_(3)
    first = celda.Recurrent("lstm", I, H, 2, connections="highway", dtype=F64)
    state = {name: getattr(stack, name).detach() for name in first.state_dict()}
    first.load_state_dict(state)
    second = make("highway")
    second.load_state_dict(state | {n: v for n, v in stack.state_dict().items() if "_l2" in n})
    close(stack(x)[0], second(x)[0])


def test_gradients():
    stack = celda.Recurrent("lstm", 2, 2, 2, connections="highway", dtype=F64)
    x = torch.randn(3, 2, 2, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: stack(x)[0], (x, *stack.parameters()))


def test_a_deep_stack_passes_a_gradient_on():
    def gradient(connections):
        stack, x = make(connections, num_layers=12), numbers().requires_grad_()
        return torch.autograd.grad(stack(x)[0].sum(), stack.weight_ih_l0)[0].norm().item()

    assert gradient("residual") > 100 * gradient(None)
    assert gradient("highway") > 100 * gradient(None)


def test_layers_of_torch_take_it_by_name():
    torch.manual_seed(0)
    lstm, x = celda.LSTM(I, H, LAYERS, dtype=F64, connections="residual"), numbers()
    assert torch.equal(lstm(x)[0], make("residual")(x)[0])
    assert [len(weights) for weights in lstm.all_weights] == [4] * LAYERS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.manual_seed(0)
        plain = celda.LSTM(I, H, LAYERS, dtype=F64)
    torch.manual_seed(0)
    close(plain(x)[0], torch.nn.LSTM(I, H, LAYERS, dtype=F64)(x)[0])


@pytest.mark.parametrize("given", ["skip", True, 1, ["residual"], ""])
def test_a_connection_that_is_none_is_answered(given):
    with pytest.raises(CeldaError, match="write one of None, 'residual', 'highway'"):
        make(given)


def test_one_layer_has_nothing_to_connect():
    with pytest.warns(UserWarning, match="connections='highway' has no effect with num_layers=1"):
        stack = make("highway", num_layers=1, engine="cpu")
    assert list(stack.state_dict()) == list(make(None, num_layers=1).state_dict())
    assert "called directly" in stack.stepper(B).plan().reason


def test_it_is_shown_and_not_given_away():
    assert repr(make("residual")) == "Recurrent(lstm, 4, 5, num_layers=3, connections=residual)"
    with pytest.raises(CeldaError, match="residual connections between them"):
        to_onnx(make("residual"))
