"""The kernels as a function of torch: what it keeps, and for how long."""

import gc
import weakref

import pytest
import torch

import celda


@pytest.mark.parametrize("options", [{}, {"lengths": torch.tensor([4, 2])}], ids=["dense", "lengths"])
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_a_graph_that_is_never_differentiated_goes_with_its_outputs(name, options):
    layer = celda.Recurrent(name, 3, 5, engine="cpu")
    y, state = layer(torch.randn(4, 2, 3), **options)
    node = y.grad_fn
    while not hasattr(node, "passed"):
        node = node.next_functions[0][0]
    kept = weakref.ref(node)
    del y, state, node
    gc.collect()
    assert kept() is None
