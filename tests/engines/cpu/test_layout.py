"""How a batch lies in memory, against loops over its sequences and steps."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from celda.cells import CELLS
from celda.engines import Call
from celda.engines.cpu.layout import BEFORE, Layout
from tests.calls import random_weights

HIDDEN, LANES = 3, 4


@st.composite
def layouts(draw: st.DrawFn) -> tuple[Call, Layout]:
    """Calls with and without lengths and resets, in both directions, and their layouts."""
    steps, batch = draw(st.integers(1, 7)), draw(st.integers(1, 6))
    lengths = resets = None
    if draw(st.booleans()):
        kind = draw(st.sampled_from([torch.int64, torch.int32]))
        lengths = torch.tensor(draw(st.lists(st.integers(0, steps), min_size=batch, max_size=batch)), dtype=kind)
    if draw(st.booleans()):
        flags = st.lists(st.booleans(), min_size=steps * batch, max_size=steps * batch)
        resets = torch.tensor(draw(flags)).view(steps, batch)
        if lengths is not None:
            resets &= torch.arange(steps).unsqueeze(1) < lengths
    g = torch.Generator().manual_seed(0)
    states = tuple(torch.randn(batch, HIDDEN, generator=g, dtype=torch.float64) for _ in "hc")
    x = torch.randn(steps, batch, 2, generator=g, dtype=torch.float64)
    weights = random_weights(CELLS["lstm"], HIDDEN, g, {"x": 2})
    call = Call(CELLS["lstm"], {"x": x}, states, weights, lengths, resets, draw(st.booleans()))
    return call, Layout.of(call, LANES)


def _ends(call):
    steps, batch = call.inputs["x"].shape[:2]
    return [steps] * batch if call.lengths is None else call.lengths.tolist()


def _order(layout):
    return range(layout.batch) if layout.ragged is None else layout.ragged.order.tolist()


def _rows(call, layout):
    """(step, sequence) of each row."""
    ends = _ends(call)
    return [(t, k) for t in range(layout.steps) for k in _order(layout) if t < ends[k]]


@given(layouts())
def test_a_row_is_a_step_of_a_sequence_that_has_it(drawn):
    call, layout = drawn
    x, rows = call.inputs["x"], _rows(call, layout)
    assert layout.rows == len(rows)
    assert layout.padded == 4
    for t in range(layout.steps):
        here = [row for row in rows if row[0] == t]
        assert layout.active[t] == len(here)
        assert layout.offset[t] == layout.begin(t) == rows.index(here[0]) if here else True
    wanted = torch.stack([x[t, k] for t, k in rows]) if rows else x.new_empty(0, 2)
    assert torch.equal(layout.gather(x), wanted)
    there = layout.spread(wanted)
    for t in range(layout.steps):
        for k in range(layout.batch):
            assert torch.equal(there[t, k], x[t, k] if (t, k) in rows else torch.zeros(2, dtype=x.dtype))


@given(layouts())
def test_what_is_constant_over_time_is_there_for_every_row(drawn):
    call, layout = drawn
    constant = torch.arange(2.0 * layout.batch, dtype=torch.float64).view(1, layout.batch, 2)
    found = layout.gather(constant)
    if found.shape[0] == layout.batch != layout.rows:
        assert torch.equal(found, constant[0])
    else:
        assert found.tolist() == [constant[0, k].tolist() for _, k in _rows(call, layout)]


@given(layouts())
def test_longer_sequences_come_first_and_equal_ones_keep_their_order(drawn):
    call, layout = drawn
    ends, order = _ends(call), list(_order(layout))
    assert order == sorted(range(layout.batch), key=lambda k: -ends[k])
    sorted_ = layout.sorted((call.states[0], None))
    assert torch.equal(sorted_[0], call.states[0][order])
    assert sorted_[1] is None
    padded = torch.nn.functional.pad(torch.stack(layout.sorted(call.states)), (0, layout.padded - HIDDEN))
    assert torch.equal(torch.stack(layout.back(padded[..., :HIDDEN].unbind())), torch.stack(call.states))


@given(layouts())
def test_the_state_before_a_row(drawn):
    """That of the step before it as they are run; the first one of its sequence; zero where it starts anew."""
    call, layout = drawn
    rows, ends = _rows(call, layout), _ends(call)
    first = layout.initial(call.states)[0]
    place = {k: position for position, k in enumerate(_order(layout))}
    zero = torch.zeros(HIDDEN, dtype=torch.float64)
    anew = torch.zeros(layout.steps, layout.batch, dtype=torch.bool) if call.resets is None else call.resets

    def starts(t, k):
        """Whether sequence k starts anew between step t and the one before it as they are run."""
        return bool(t + 1 < layout.steps and anew[t + 1, k]) if call.reverse else bool(anew[t, k])

    for k in range(layout.batch):  # a reset at the very first step falls on the initial state
        forgotten = not call.reverse and anew[0, k]
        assert torch.equal(first[place[k]], zero if forgotten else call.states[0][k])
    around, after = layout.around(call.states[0])
    after.copy_(torch.randn(after.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    values = layout.gather(after.view(layout.steps, layout.batch, HIDDEN))
    wanted = []
    for t, k in rows:
        earlier = t + 1 if call.reverse else t - 1
        if starts(t, k) and not (call.reverse and t + 1 >= ends[k]):
            wanted.append(zero)
        elif 0 <= earlier < ends[k]:
            wanted.append(values[rows.index((earlier, k))])
        else:
            wanted.append(first[place[k]])
    for lanes in (LANES, HIDDEN):  # whole vectors are read where they lie
        found, table = Layout.of(call, lanes).before(around)
        assert table == (BEFORE if lanes == HIDDEN and layout.ragged and call.resets is None else "")
        found = found[layout.tables[table]] if table else found
        assert torch.equal(found, torch.stack(wanted) if wanted else values)


@given(layouts(), st.integers(1, 30))
def test_spans_are_all_steps_from_the_last_to_the_first(drawn, most):
    _, layout = drawn
    order = [layout.first + s * layout.direction for s in range(layout.steps)]  # step s as they are run
    following = layout.steps
    for last, count, begin, end in layout.spans(most):
        assert last + 1 == following
        assert count >= min(2, layout.steps)
        steps = sorted(order[last - count + 1 : last + 1])
        assert (begin, end) == (layout.begin(steps[0]), layout.begin(steps[-1] + 1))
        assert end - begin <= most + layout.batch or count <= 3
        following -= count
    assert following == 0


@given(layouts(), st.integers(1, 4), st.data())
def test_bounds_share_out_the_rows_of_some_steps(drawn, parts, data):
    call, layout = drawn
    begin = data.draw(st.integers(0, layout.steps - 1))
    end = data.draw(st.integers(begin + 1, layout.steps))
    bounds = layout.bounds(parts, begin, end).tolist()
    assert len(bounds) == parts + 1
    assert (bounds[0], bounds[-1]) == (0, layout.batch)
    assert bounds == sorted(bounds)
    run = [layout.first + s * layout.direction for s in range(begin, end)]
    ends = [_ends(call)[k] for k in _order(layout)]
    work = [sum(t < e for t in run) for e in ends]
    shares = [sum(work[a:b]) for a, b in pairwise(bounds)]
    assert max(shares) - sum(work) / parts <= max(work, default=0)


@given(layouts())
@settings(max_examples=50)
def test_the_final_state_is_in_the_half_that_was_written_last(drawn):
    call, layout = drawn
    order, ends = list(_order(layout)), _ends(call)
    buffers = torch.full((1, 2, layout.batch, layout.padded), -1.0, dtype=torch.float64)
    for position, k in enumerate(order):
        buffers[0, :, position] = -1 - k  # the initial state
        for s in range(layout.steps):
            if layout.first + s * layout.direction < ends[k]:
                buffers[0, (s + 1) % 2, position] = 100 * k + s
    halves = [half.unbind() for half in buffers[..., :HIDDEN].unbind(1)]
    (final,) = layout.final(buffers, halves)
    for k in range(layout.batch):
        run = [s for s in range(layout.steps) if layout.first + s * layout.direction < ends[k]]
        assert final[k].tolist() == [100 * k + run[-1] if run else -1 - k] * HIDDEN


@pytest.mark.parametrize("lengths", [[2, -1], [4, 1]])
def test_lengths_that_no_batch_of_these_steps_has(lengths):
    x, states = torch.randn(3, 2, 2), tuple(torch.randn(2, HIDDEN) for _ in "hc")
    with pytest.raises(ValueError, match="from 0 to 3"):
        Layout.of(Call(CELLS["lstm"], {"x": x}, states, {}, torch.tensor(lengths)), LANES)


def test_no_sequence_at_all():
    x, states = torch.randn(3, 0, 2), tuple(torch.randn(0, HIDDEN) for _ in "hc")
    layout = Layout.of(Call(CELLS["lstm"], {"x": x}, states, {}, torch.zeros(0, dtype=torch.int64)), LANES)
    assert layout.rows == 0
    assert layout.offset.tolist() == [0, 0, 0, 0]
    assert layout.spread(x.new_empty(0, 2)).shape == (3, 0, 2)


@pytest.mark.parametrize("reverse", [False, True])
def test_no_row_at_all(reverse):
    x, states = torch.randn(3, 2, 2), tuple(torch.randn(2, HIDDEN) for _ in "hc")
    call = Call(CELLS["lstm"], {"x": x}, states, {}, torch.zeros(2, dtype=torch.int64), None, reverse)
    layout = Layout.of(call, LANES)
    assert layout.rows == 0
    assert layout.gather(x).shape == (0, 2)
    assert not layout.spread(x.new_empty(0, 2)).any()
    assert layout.bounds(2).tolist()[::2] == [0, 2]
