"""Layers under torch.compile and torch.export: one graph, with an operator a layer and direction, and equal numbers."""

import io
import shutil
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

import celda
from celda.errors import CeldaError
from celda.language import cell, diagonal, gate, identity, linear, sigmoid, tanh

LENGTHS = torch.tensor([5, 0, 2])
RESETS = torch.tensor([[0, 0, 1], [1, 0, 0], [0, 0, 0], [1, 0, 1], [0, 1, 0]], dtype=torch.bool)


@cell
def minimal(x, h, c):
    f = gate("f", sigmoid, linear(x) + diagonal(c))
    c = f * c + (1 - f) * gate("g", identity, linear(x, h))
    return tanh(c), c


class Model(nn.Module):
    """Recurrent layers with something before and after them."""

    def __init__(self, *layers: celda.Recurrent) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        width = layers[-1].hidden_size * (1 + layers[-1].bidirectional)
        self.first, self.last = nn.Linear(4, 4), nn.Linear(width, 2)

    def forward(self, x: Tensor, lengths: Tensor | None = None, resets: Tensor | None = None) -> Tensor:
        x = torch.tanh(self.first(x))
        for layer in self.layers:
            x, state = layer(x, lengths=lengths, resets=resets)
            h = state[0] if isinstance(state, tuple) else state
        return self.last(x) + h.mean()


def values(model: nn.Module, run, *args: Tensor, **options: object) -> list[Tensor]:
    """The output, and the gradients of the model."""
    y = run(*args, **options)
    return [y, *torch.autograd.grad(y.square().sum(), list(model.parameters()))]


def test_gradients_go_through_the_memories_of_a_depth_gated_stack():
    torch.manual_seed(0)
    layer = celda.Recurrent("depth_gated_lstm", 4, 5, num_layers=3, zoneout=0.1, dtype=torch.float64)
    run, graphs = compiled(layer)
    x, found = torch.randn(5, 3, 4, dtype=torch.float64, requires_grad=True), []
    for each in (run, layer):
        torch.manual_seed(1)
        y, (_, c) = each(x, lengths=LENGTHS, resets=RESETS & (torch.arange(5).unsqueeze(1) < LENGTHS))
        found.append((y, c, *torch.autograd.grad(y.square().sum() + c.sum(), [x, *layer.parameters()])))
    torch.testing.assert_close(*found, rtol=1e-10, atol=1e-10)
    assert [operators(g.graph) for g in graphs] == [3]


def compiled(model, backend: str = "aot_eager", **options: object):
    """The model in one graph, and the graphs that were made."""
    torch._dynamo.reset()
    graphs: list[torch.fx.GraphModule] = []

    def keep(graph: torch.fx.GraphModule, inputs: list) -> object:
        graphs.append(graph)
        return torch._dynamo.lookup_backend(backend)(graph, inputs)

    return torch.compile(model, backend=keep, fullgraph=True, **options), graphs


def operators(graph: torch.fx.Graph) -> int:
    return sum("celda.sequence" in str(node.target) for node in graph.nodes)


MODELS = {
    "lstm": (lambda: Model(celda.LSTM(4, 6)), 1),
    "stack": (lambda: Model(celda.LSTM(4, 6, num_layers=2, bidirectional=True), celda.GRU(12, 3, bias=False)), 5),
    "own": (lambda: Model(celda.Recurrent(minimal, 4, 6, bidirectional=True)), 2),
}


@pytest.mark.parametrize("options", [{}, {"lengths": LENGTHS, "resets": RESETS}], ids=["plain", "ragged"])
@pytest.mark.parametrize("name", MODELS)
def test_a_compiled_model_is_one_graph_with_an_operator_a_layer_and_direction(name, options):
    make, count = MODELS[name]
    model, x = make(), torch.randn(5, 3, 4)
    run, graphs = compiled(model)
    torch.testing.assert_close(values(model, run, x, **options), values(model, model, x, **options))
    assert [operators(g.graph) for g in graphs] == [count]
    with torch.no_grad():
        torch.testing.assert_close(run(x, **options), model(x, **options))


def test_a_graph_serves_any_number_of_steps_and_sequences():
    model = Model(celda.LSTM(4, 6, num_layers=2, bidirectional=True))
    run, graphs = compiled(model, dynamic=True)
    for steps, batch in ((5, 3), (2, 4), (9, 2)):
        x, lengths, resets = torch.randn(steps, batch, 4), torch.arange(batch) % 3, torch.rand(steps, batch) < 0.3
        options = {"lengths": lengths, "resets": resets}
        torch.testing.assert_close(values(model, run, x, **options), values(model, model, x, **options))
    assert sum(operators(g.graph) for g in graphs) == 4


def test_further_inputs_and_states_may_be_of_any_number_too():
    layer = celda.Recurrent("image_rnn", {"x": 4, "image": 2}, 6)
    run, graphs = compiled(layer, dynamic=True)
    for steps, batch in ((7, 3), (8, 5)):
        x, h, image = torch.randn(steps, batch, 4), torch.randn(1, batch, 6), torch.randn(batch, 2)
        torch.testing.assert_close(run(x, h, image=image), layer(x, h, image=image))
    assert sum(operators(g.graph) for g in graphs) == 1


def test_the_reference_is_one_graph_of_torch_operations():
    layer = celda.Recurrent(minimal, 4, 6, engine="reference")
    x = torch.randn(3, 2, 4)
    run, graphs = compiled(layer)
    torch.testing.assert_close(run(x), layer(x))
    assert [operators(g.graph) for g in graphs] == [0]


@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="inductor needs a C++ compiler")
@pytest.mark.skipif(sys.platform == "win32", reason="inductor needs a compiler of its own kind there")
@pytest.mark.slow
def test_inductor_compiles_a_model():
    model, x = Model(celda.LSTM(4, 6, bidirectional=True), celda.GRU(12, 5)), torch.randn(5, 3, 4)
    run, _ = compiled(model, "inductor")
    torch.testing.assert_close(values(model, run, x, lengths=LENGTHS), values(model, model, x, lengths=LENGTHS))


def test_dropout_between_layers_is_compiled_with_lengths():
    layer = celda.LSTM(4, 6, num_layers=2, dropout=1.0)
    x = torch.randn(5, 3, 4)
    run, graphs = compiled(layer)
    torch.testing.assert_close(run(x, lengths=LENGTHS), layer(x, lengths=LENGTHS))
    assert len(graphs) == 1


def test_a_compiled_layer_is_traced():
    layer, x = celda.GRU(4, 6), torch.randn(5, 3, 4)
    with celda.trace(layer) as t:
        layer(x)
        plain = dict(t)
        run, graphs = compiled(layer)
        run(x)
        torch.testing.assert_close(dict(t), plain)
    assert len(graphs) == 1


def test_transforms_are_compiled():
    model, x = Model(celda.Recurrent("rnn", 4, 6)), torch.randn(2, 3, 4)
    gradient = torch.func.grad(lambda p: torch.func.functional_call(model, p, (x,)).square().sum())
    weights = dict(model.named_parameters())
    run, _ = compiled(gradient)
    torch.testing.assert_close(run(weights), gradient(weights))


def test_autocast_is_compiled():
    model, x = Model(celda.LSTM(4, 6)), torch.randn(5, 3, 4)
    run, _ = compiled(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert run(x).dtype == torch.bfloat16
        torch.testing.assert_close(run(x), model(x))


@pytest.mark.parametrize("dynamic", [None, True])
@pytest.mark.parametrize(
    ("x", "options", "told"),
    [
        (torch.randn(5, 3, 7), {}, r"shape \(5, 3, 7\) and the layer was made with input_size=4"),
        (torch.randn(5, 3, 4), {"hx": (torch.zeros(1, 2, 6),) * 2}, r"must be \(1, 3, 6\)"),
        (torch.randn(5, 3, 4), {"lengths": LENGTHS[:2]}, r"torch.int64 \(2,\): give \(3,\) whole numbers"),
        (torch.randn(5, 3, 4), {"resets": RESETS.T}, r"\(3, 5\): give a torch.bool tensor .* \(5, 3\)"),
    ],
    ids=["input", "state", "lengths", "resets"],
)
def test_bad_input_is_named_while_compiling(x, options, told, dynamic):
    run, _ = compiled(celda.LSTM(4, 6), dynamic=dynamic)
    with pytest.raises(torch._dynamo.exc.Unsupported, match=told):
        run(x, **options)


def test_lengths_are_looked_at_when_the_graph_runs():
    run, _ = compiled(celda.LSTM(4, 6))
    with pytest.raises(CeldaError, match="lengths go from 0 to 6 and the input has 5 steps"):
        run(torch.randn(5, 3, 4), lengths=torch.tensor([6, 0, 1]))


def saved_and_loaded(program: torch.export.ExportedProgram) -> nn.Module:
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    buffer.seek(0)
    return torch.export.load(buffer).module()


@pytest.mark.parametrize("strict", [False, True])
def test_an_exported_program_is_saved_and_run_again(strict):
    model, x = Model(celda.LSTM(4, 6, num_layers=2, bidirectional=True)), torch.randn(5, 3, 4)
    steps, batch = torch.export.Dim("steps", max=1000), torch.export.Dim("batch", max=64)
    shapes = {"x": {0: steps, 1: batch}, "lengths": {0: batch}}
    program = torch.export.export(model, (x,), {"lengths": LENGTHS}, dynamic_shapes=shapes, strict=strict)
    assert operators(program.graph) == 4
    again = saved_and_loaded(program)
    for steps_, lengths in ((5, [5, 0, 2]), (9, [9, 1])):
        x, lengths = torch.randn(steps_, len(lengths), 4), torch.tensor(lengths)
        torch.testing.assert_close(again(x, lengths=lengths), model(x, lengths=lengths))


def test_an_exported_program_can_be_trained():
    model, x = Model(celda.GRU(4, 6)), torch.randn(5, 3, 4)
    again = torch.export.export(model, (x,)).module()
    for m in (model, again):
        m(x).square().sum().backward()
    wanted = {name: p.grad for name, p in model.named_parameters()}
    torch.testing.assert_close({name: p.grad for name, p in again.named_parameters()}, wanted)


def test_an_exported_program_runs_under_autocast():
    model, x = Model(celda.LSTM(4, 6)), torch.randn(5, 3, 4)
    again = torch.export.export(model, (x,)).module()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        again(x).float().sum().backward()


def test_the_reference_is_exported_as_torch_operations():
    layer, x = celda.LSTM(4, 6, engine="reference"), torch.randn(3, 2, 4)
    program = torch.export.export(layer, (x,))
    assert operators(program.graph) == 0
    torch.testing.assert_close(program.module()(x), layer(x))


FIRST = """
import torch, celda
layer, x = celda.LSTM(3, 16).eval(), torch.randn(20, 8, 3)
with torch.no_grad():
    compiled = {how}
    torch.testing.assert_close(compiled(x)[0], celda.Recurrent.forward(layer, x)[0])
"""


@pytest.mark.parametrize(
    "how", ["torch.compile(layer, fullgraph=True, backend='aot_eager')", "torch.export.export(layer, (x,)).module()"]
)
def test_the_first_thing_a_process_does_may_be_to_compile(how):
    """What is imported meanwhile must not make tensors, which would be fake for ever."""
    subprocess.run([sys.executable, "-c", FIRST.format(how=how)], check=True, timeout=300)
