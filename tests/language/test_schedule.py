"""Stages: every product once, and nothing before what it needs."""

import pytest
from hypothesis import given, settings

from celda.cells import CELLS
from celda.language import Cell, cell, diagonal, gate, linear, parameter, sigmoid, tanh
from celda.language.expression import LEAVES, Node
from celda.language.schedule import levels, recurrent, schedule, waits
from tests.strategies import random_cells


def reads_a_state(node: Node) -> bool:
    return node.op == "state" or any(map(reads_a_state, node.args))


def check(drawn: Cell) -> None:
    stages = schedule(drawn)
    computed = {node for node in drawn.nodes if node.op in LEAVES}
    products: list[tuple[str, int, Node]] = []  # (array, block, linear map)
    for stage in stages:
        for product in stage.products:
            assert product.operand in computed, "a product before its operand"
            assert product.hoisted == (not reads_a_state(product.operand))
            assert list(product.blocks) == sorted(set(product.blocks))
            assert len(product.blocks) == len(product.maps)
            products += [(product.weight, b, m) for b, m in zip(product.blocks, product.maps, strict=True)]
        for node in stage.pointwise:
            assert node not in computed, "a node twice"
            if node.op == "linear":
                terms = drawn.linear[node].terms
                assert all((t.weight, t.block, node) in products for t in terms), "a map before its products"
            assert all(arg in computed for arg in node.args), "a node before its argument"
            computed.add(node)
    assert computed == set(drawn.nodes)
    wanted = [(t.weight, t.block, node) for node, linear in drawn.linear.items() for t in linear.terms]
    assert sorted(map(str, products)) == sorted(map(str, wanted)), "every product exactly once"
    assert len({(w, b) for w, b, _ in products}) == len(products), "a block belongs to one map"
    for weight in drawn.weights:
        blocks = {b for w, b, _ in products if w == weight.name}
        assert not blocks or blocks == set(range(weight.blocks))
    assert recurrent(drawn.nodes) == {node for node in drawn.nodes if reads_a_state(node)}


@pytest.mark.parametrize("name", CELLS)
def test_the_shipped_cells(name):
    check(CELLS[name])


@settings(max_examples=100)
@given(random_cells())
def test_any_cell(drawn):
    check(drawn)


@pytest.mark.parametrize(
    ("name", "products"),
    [
        ("rnn", [{("weight_ih", (0,), True), ("weight_hh", (0,), False)}]),
        ("image_rnn", [{("weight_ih", (0,), True), ("weight_hh", (0,), False), ("weight_image", (0,), True)}]),
        ("lstm", [{("weight_ih", (0, 1, 2, 3), True), ("weight_hh", (0, 1, 2, 3), False)}]),
        ("peephole_lstm", [{("weight_ih", (0, 1, 2, 3), True), ("weight_hh", (0, 1, 2, 3), False)}]),
        ("gru", [{("weight_ih", (0, 1, 2), True), ("weight_hh", (0, 1, 2), False)}]),
        (
            "gru_2014",
            [
                {("weight_ih", (0, 1), True), ("weight_hh", (0, 1), False)},
                {("weight_ih", (2,), True), ("weight_hh", (2,), False)},
            ],
        ),
    ],
)
def test_products_of_each_stage(name, products):
    """One stage where products take inputs and old states; two where a gate enters a product."""
    stages = schedule(CELLS[name])
    assert [{(p.weight, p.blocks, p.hoisted) for p in stage.products} for stage in stages] == products


def test_the_second_product_of_gru_2014_takes_the_reset_state():
    (reset,) = [p.operand for p in schedule(CELLS["gru_2014"])[1].products if p.weight == "weight_hh"]
    assert reset.op == "multiply"


def test_point_wise_work_on_an_operand_comes_before_the_first_product():
    @cell
    def made(x, h):
        return gate("h", tanh, linear(tanh(x), h))

    first, second = schedule(made)
    assert (first.products, [n.op for n in first.pointwise]) == ((), ["tanh"])
    assert {p.hoisted for p in second.products} == {True, False}


def test_work_that_waits_for_nothing_is_done_where_it_is_read():
    @cell
    def made(x, h, c):
        squashed, early = tanh(c), sigmoid(h)
        a = gate("a", sigmoid, linear(x, early))
        b = gate("b", tanh, linear(a * h))
        return b, squashed * b

    stages = schedule(made)
    where = {node: k for k, stage in enumerate(stages) for node in stage.pointwise}
    place = {(n.op, n.args[0].name): k for n, k in where.items() if n.args and n.args[0].op == "state"}
    assert len(stages) == 3
    assert place["sigmoid", "h"] == 0
    assert place["tanh", "c"] == 2


def test_a_deep_cell_has_a_stage_for_each_product_in_a_row():
    @cell
    def made(x, h):
        for name in ("a", "b", "c"):
            h = gate(name, tanh, linear(x, h))
        return h

    assert len(schedule(made)) == 3
    assert max(levels(made.nodes, waits).values()) == 3
    assert [{p.weight for p in stage.products} for stage in schedule(made)] == [{"weight_ih", "weight_hh"}] * 3


def test_a_learned_vector_may_be_an_operand():
    @cell
    def made(x, h):
        start = parameter("start")
        return gate("h", tanh, linear(x, start) + diagonal(h))

    check(made)
    assert all(p.hoisted for stage in schedule(made) for p in stage.products)
