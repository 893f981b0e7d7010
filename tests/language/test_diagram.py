"""The drawn step: the right boxes and wires, in a picture that is readable."""

import hashlib
import os
import subprocess
import sys
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings

from celda.cells import CELLS
from celda.language import (
    Cell,
    abs,
    cell,
    diagonal,
    exp,
    gate,
    linear,
    maximum,
    parameter,
    relu,
    sigmoid,
    tanh,
    time,
    where,
)
from celda.language.diagram.arrangement import arrange
from celda.language.diagram.layout import Layout
from celda.language.diagram.picture import Picture, Shape, picture
from tests.strategies import random_cells


@cell
def three_states(x, h, c, n):
    """A normaliser beside the memory, in the manner of xLSTM's sLSTM."""
    i = gate("i", exp, linear(x, h))
    f = gate("f", sigmoid, linear(x, h))
    z = gate("z", tanh, linear(x, h))
    o = gate("o", sigmoid, linear(x, h))
    c = f * c + i * z
    n = f * n + i
    return o * c / n, c, n


@cell
def clockwork(x, h):
    """A unit that moves at every fourth step & rests between <them>."""
    n = gate("n", tanh, linear(x, h))
    return where(time() % 4 < 1, n, h)


@cell
def two_stages(x, h, c, *, image):
    s = parameter("scale")
    f = gate("forget", sigmoid, linear(x, h) + diagonal(c))
    g = gate("g", tanh, linear(x, f * h, image))
    m = gate("m", relu, linear(g, c) + linear(x) * sigmoid(h))
    c = where(f > 0.5, c, maximum(g - m, 0.0))
    return gate("out", tanh, s * c) / (1 + abs(m)), c


@cell
def residual(x, h):
    z = gate("z", sigmoid, linear(x, h))
    n = gate("n", tanh, linear(x, h))
    return h + z * (n - h)


@cell
def idle(x, h, c, n):
    """States that pass, and two that are one."""
    g = gate("g", tanh, linear(x, h, c))
    return g, g, n


ODD = [three_states, clockwork, two_stages, residual, idle]
DRAWN = [*CELLS.values(), *ODD]


def names(cells: list[Cell]) -> list[str]:
    return [drawn.name for drawn in cells]


def arranged(drawn: Cell) -> Picture:
    found = picture(drawn)
    arrange(drawn, found)
    return found


def shape(found: Picture, kind: str, label: str) -> Shape:
    """The box of that kind and label; a gate is found by its name."""
    (match,) = [s for s in found.shapes if s.kind == kind and label == (s.name if kind == "gate" else s.label)]
    return match


@pytest.mark.parametrize("drawn", DRAWN, ids=names(DRAWN))
def test_a_document_that_stands_alone(drawn):
    text = drawn.diagram()
    root = ElementTree.fromstring(text)
    svg = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{svg}svg"
    assert root.attrib["role"] == "img"
    assert root.findtext(f"{svg}title") == f"One step of the cell {drawn.name}"
    assert root.findtext(f"{svg}desc") == drawn.equations()
    assert "prefers-color-scheme:dark" in root.findtext(f"{svg}style")
    assert text.count("http") == 1  # the namespace: nothing is fetched
    assert not {"script", "image", "foreignObject"} & {element.tag.removeprefix(svg) for element in root.iter()}
    tips = [group.findtext(f"{svg}title") for group in root.iter(f"{svg}g")]
    assert set(drawn.equations().splitlines()) <= set(tips)


def test_the_summary_is_escaped():
    assert "fourth step &amp; rests" in clockwork.diagram()
    assert "&lt;them&gt;." in clockwork.diagram()


def test_the_same_cell_is_always_drawn_the_same():
    program = "from celda.cells import CELLS; print(''.join(c.diagram() for c in CELLS.values()), end='')"
    drawings = [
        subprocess.run(
            [sys.executable, "-X", "utf8", "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert len({hashlib.sha256(drawing).digest() for drawing in drawings}) == 1
    assert drawings[0].decode() == "".join(c.diagram() for c in CELLS.values())


def overlap(layout: Layout, one: Shape, other: Shape) -> bool:
    (x, y), (a, b) = layout.centre[one], layout.centre[other]
    (w, h), (v, g) = layout.half[one], layout.half[other]
    return max(x - a, a - x) <= w + v and max(y - b, b - y) <= h + g


def points(path: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Every point of the grid on a path."""
    found = path[:1]
    for (x, y), (a, b) in pairwise(path):
        assert (x == a) != (y == b), "a wire runs along the grid"
        steps = max(a - x, x - a, b - y, y - b)
        found += [(x + (a - x) * k // steps, y + (b - y) * k // steps) for k in range(1, steps + 1)]
    return found


def check_layout(drawn: Cell) -> Layout:
    layout = Layout(arranged(drawn))
    shapes = layout.picture.shapes
    assert not [(one, other) for one, other in combinations(shapes, 2) if overlap(layout, one, other)]
    blocked = {}
    for box in shapes:
        (x, y), (w, h) = layout.centre[box], layout.half[box]
        assert 0 < x - w < x + w < layout.width
        assert 0 < y - h < y + h < layout.height
        blocked |= {(a, b): box for a in range(x - w, x + w + 1) for b in range(y - h, y + h + 1)}
    assert set(layout.paths) == set(layout.picture.wires)
    for wire, path in layout.paths.items():
        first, *between, last = points(path)
        assert not [point for point in between if point in blocked], "a wire runs through a box"
        assert blocked[last] is wire.target
        if wire in layout.joins:
            same = [p for w, p in layout.paths.items() if w.source is wire.source and w is not wire]
            assert any(first in points(p) for p in same), "a wire branches off another of the same value"
        else:
            assert blocked[first] is wire.source
    return layout


@pytest.mark.parametrize("drawn", DRAWN, ids=names(DRAWN))
def test_wires_go_around_boxes_and_apart_from_one_another(drawn):
    layout = check_layout(drawn)
    ways: dict = {}  # a step of the grid -> the value that takes it
    for wire, path in layout.paths.items():
        for step in pairwise(points(path)):
            assert ways.setdefault(frozenset(step), wire.source) is wire.source, "wires of two values overlap"


@settings(max_examples=6, suppress_health_check=[HealthCheck.too_slow])
@given(random_cells(max_gates=2, max_states=2))
def test_any_cell_is_drawn_without_a_wire_through_a_box(drawn):
    check_layout(drawn)


@pytest.mark.parametrize(("name", "state"), [("lstm", "c"), ("peephole_lstm", "c"), ("gru", "h"), ("gru_2014", "h")])
def test_the_memory_is_a_straight_line_along_the_top(name, state):
    layout = Layout(arranged(CELLS[name]))
    line = [wire for wire in layout.picture.wires if wire.memory]
    assert [w.source.label for w in line] == [state, "⊙", "+"]
    assert [w.target.label for w in line] == ["⊙", "+", state]
    heights = {y for wire in line for _, y in layout.paths[wire]}
    assert heights == {min(y for _, y in layout.centre.values())}
    assert 'class="wire wire-state memory"' in CELLS[name].diagram()


def test_gates_stand_in_the_order_of_the_textbooks():
    found = arranged(CELLS["lstm"])
    gates = sorted((s for s in found.shapes if s.kind == "gate"), key=lambda s: s.column)
    assert [s.name for s in gates] == ["f", "i", "g", "o"]
    assert len({s.row for s in gates}) == 1
    forget, add = (w.target for w in found.wires if w.memory and w.target.kind == "operation")
    assert forget.column == shape(found, "gate", "f").column
    assert add.column == shape(found, "gate", "g").column


def test_states_enter_at_the_left_and_leave_at_the_right():
    for drawn in DRAWN:
        found = arranged(drawn)
        assert {s.column for s in found.shapes if s.kind == "old"} == {0}
        rest = [s.column for s in found.shapes if s.kind not in ("new", "input")]
        assert {s.column for s in found.shapes if s.kind == "new"} == {max(rest) + 1}
        assert [s.label for s in found.shapes if s.kind == "new"] == list(drawn.states)


def test_the_plain_network_is_one_box_on_a_straight_line():
    layout = Layout(arranged(CELLS["rnn"]))
    assert [s.kind for s in layout.picture.shapes] == ["input", "old", "gate", "new"]
    for wire, path in layout.paths.items():
        assert len(path) == 2, f"the wire from {wire.source.label} is straight"


def test_a_number_is_a_part_of_its_operation():
    labels = [s.label for s in picture(CELLS["gru"]).shapes if s.kind == "operation"]
    assert sorted(labels) == ["+", "1 −", "⊙", "⊙", "⊙"]
    assert {"> 0.5", "max(·, 0)", "1 +"} <= {s.label for s in picture(two_stages).shapes}


def test_a_map_outside_a_sum_has_a_box_of_its_own():
    found = picture(CELLS["gru"])
    product = shape(found, "map", "R")
    assert product.index == "n"
    assert [w.source.label for w in found.into(product)] == ["h"]
    assert sorted(w.source.kind for w in found.into(shape(found, "gate", "n"))) == ["input", "operation"]


def test_a_gate_reads_what_its_maps_read():
    found = picture(CELLS["peephole_lstm"])
    wires = {(w.source.label, w.how) for w in found.into(shape(found, "gate", "f"))}
    assert wires == {("x", "mapped"), ("h", "mapped"), ("c", "diagonal")}
    assert CELLS["peephole_lstm"].diagram().count(' diagonal"') == 3


def test_operands_that_are_not_alike_are_told_apart():
    found = picture(clockwork)
    roles = {w.role: w.source for w in found.into(shape(found, "operation", "where"))}
    assert set(roles) == {"if", "then", "else"}
    assert (roles["if"].kind, roles["if"].label) == ("number", "t mod 4 < 1")
    assert roles["then"].name == "n"
    assert roles["else"].kind == "old"
    found = picture(residual)
    subtracted = found.into(shape(found, "operation", "−"))
    assert [(w.source.kind, w.role) for w in subtracted] == [("gate", ""), ("old", "−")]
