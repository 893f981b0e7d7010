import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from celda.data import Panel, Preprocessor, Windows, read_table
from celda.errors import CeldaError


def panel_of(lengths, seed=0, missing=0.0, extend=0) -> Panel:
    """Series whose values tell series and step: 1000 * series + step, with covariates of the same kind."""
    random = np.random.default_rng(seed)
    parts = []
    for s, n in enumerate(lengths):
        steps = np.arange(n + extend)
        y = np.where((random.random(n + extend) < missing) & (steps > 0) & (steps != n - 1), np.nan, 1000.0 * s + steps)
        y[n:] = np.nan
        parts.append(
            pd.DataFrame({"unique_id": f"s{s}", "ds": steps, "y": y, "past": steps, "future": steps, "kind": s})
        )
    table = read_table(pd.concat(parts), past=["past"], future=["future"], static=["kind"])
    fitted = Preprocessor.fit(table, scaling="none")
    return fitted.transform(table.extend(extend) if extend else table)


@given(
    lengths=st.lists(st.integers(5, 60), min_size=1, max_size=4),
    input_size=st.integers(1, 12),
    h=st.integers(1, 8),
    step_size=st.integers(1, 5),
    cut=st.floats(0, 1),
    missing=st.floats(0, 0.9),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=100)
def test_no_window_sees_past_the_cut(lengths, input_size, h, step_size, cut, missing, seed):
    panel = panel_of(lengths, seed, missing)
    cuts = (panel.lengths * cut).astype(int)
    before = Windows(panel, input_size, h, end=cuts, step_size=step_size)
    after = Windows(panel, input_size, h, begin=cuts, step_size=step_size)
    assert (before.origins + h <= cuts[before.series]).all()
    assert (after.origins >= cuts[after.series]).all()
    for windows in (before, after):
        assert (windows.origins >= input_size).all()
        assert (windows.origins + h <= panel.lengths[windows.series]).all()
        if not len(windows):
            continue
        batch = windows[:]
        steps = torch.from_numpy(windows.origins)[:, None] + torch.arange(-input_size, h)
        truth = 1000.0 * batch["series"][:, None] + steps
        y = torch.cat([batch["past_y"], batch["future_y"]], dim=1)
        mask = torch.cat([batch["past_mask"], batch["future_mask"]], dim=1)
        assert torch.equal(y[mask], truth[mask])
        level = (batch["past_y"] * batch["past_mask"]).sum(1) / batch["past_mask"].sum(1)
        torch.testing.assert_close(batch["level"][:, 0], level)
        assert torch.equal(y[~mask], batch["level"].expand_as(y)[~mask])
        assert batch["past_mask"].any(1).all()
        assert batch["future_mask"].any(1).all()


@given(lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4), input_size=st.integers(1, 9), h=st.integers(1, 9))
@settings(max_examples=50)
def test_every_window_is_there_once(lengths, input_size, h):
    windows = Windows(panel_of([max(n, 3) for n in lengths]), input_size, h)
    assert len(windows) == sum(max(0, max(n, 3) - input_size - h + 1) for n in lengths)
    assert len(set(zip(windows.series, windows.origins, strict=True))) == len(windows)


def test_a_batch():
    panel = panel_of([30, 20])
    windows = Windows(panel, 7, 3)
    batch = windows[[0, 5, 25]]
    shapes = {name: tuple(tensor.shape) for name, tensor in batch.items()}
    assert shapes == {
        "past_y": (3, 7),
        "past_mask": (3, 7),
        "future_y": (3, 3),
        "future_mask": (3, 3),
        "level": (3, 1),
        "past_covariates": (3, 7, 1),
        "future_covariates": (3, 10, 1),
        "static_covariates": (3, 1),
        "series": (3,),
        "origin": (3,),
    }
    assert batch["series"].tolist() == [0, 0, 1]
    assert batch["origin"].tolist() == [7, 12, 11]
    assert batch["past_y"][2].tolist() == [1004, 1005, 1006, 1007, 1008, 1009, 1010]
    assert batch["future_y"][1].tolist() == [12, 13, 14]
    assert torch.equal(batch["future_covariates"][1, :, 0], panel.future[5:15, 0])
    assert torch.equal(batch["past_covariates"][1, :, 0], panel.past[5:12, 0])
    assert windows[4]["origin"].tolist() == [11]
    assert windows[-1]["origin"].tolist() == [17]


def test_without_covariates():
    panel = Preprocessor.fit(table := read_table(pd.DataFrame({"y": range(30)}))).transform(table)
    batch = Windows(panel, 7, 3)[:4]
    assert batch["past_covariates"].shape == (4, 7, 0)
    assert batch["future_covariates"].shape == (4, 10, 0)
    assert batch["static_covariates"].shape == (4, 0)


def test_rolling_origins_of_a_test():
    table = read_table("electricity")
    cut = table.lengths - 14 * 48
    panel = Preprocessor.fit(table.until(cut)).transform(table)
    test = Windows(panel, 336, 48, begin=cut, step_size=48)
    assert len(test) == 14
    assert list(np.diff(test.origins)) == [48] * 13
    assert test.cutoffs[0] == np.datetime64("2000-08-13T23:30")
    assert test.target_stamps.shape == (14, 48)
    assert test.target_stamps[-1, -1] == np.datetime64("2000-08-27T23:30")
    batch = test[:]
    naive = batch["past_y"][:, -336 : -336 + 48]
    error = (panel.scaler.scale[0] * (naive - batch["future_y"]).abs()).mean()
    assert error == pytest.approx(513.9, abs=0.1)  # seasonal naive, a week before


def test_the_latest_windows_look_into_the_future():
    panel = panel_of([30, 12], extend=4)
    latest = Windows.latest(panel, 7, 4)
    batch = latest[:]
    assert batch["origin"].tolist() == [30, 12]
    assert batch["past_y"][1].tolist() == [1005, 1006, 1007, 1008, 1009, 1010, 1011]
    assert not batch["future_mask"].any()
    assert torch.isfinite(batch["future_y"]).all()
    assert latest.target_stamps.tolist() == [[30, 31, 32, 33], [12, 13, 14, 15]]
    assert len(Windows(panel, 7, 4)) == 20 + 2  # none of them targets the future


def test_windows_of_nothing_but_missing_values_are_left_out():
    y = [1.0] * 5 + [np.nan] * 6 + [2.0] * 9
    table = read_table(pd.DataFrame({"ds": range(20), "y": y}))
    windows = Windows(Preprocessor.fit(table).transform(table), 3, 2)
    # an input of nothing: origins 8 to 11; targets of nothing but missing: origins 5 to 9
    assert windows.origins.tolist() == [3, 4, 10 + 2, 13, 14, 15, 16, 17, 18]


def test_a_loader_gives_whole_batches():
    windows = Windows(panel_of([30, 20]), 7, 3)
    batches = list(windows.loader(16, shuffle=True, generator=torch.Generator().manual_seed(1)))
    assert [len(batch["series"]) for batch in batches] == [16, 16]
    seen = torch.stack([torch.cat([b["series"] for b in batches]), torch.cat([b["origin"] for b in batches])], dim=1)
    assert len(seen.unique(dim=0)) == len(windows) == 32


def test_gathering_does_not_copy_the_panel():
    panel = panel_of([2000])
    windows = Windows(panel, 500, 100)
    held = sum(array.nbytes for array in (windows.series, windows.origins))
    assert held <= 16 * len(windows)
    assert windows.panel is panel


def test_sizes_that_cannot_be():
    panel = panel_of([30])
    with pytest.raises(CeldaError, match="at least one step"):
        Windows(panel, 0, 3)
    with pytest.raises(CeldaError, match="step_size=0"):
        Windows(panel, 7, 3, step_size=0)
    with pytest.raises(CeldaError, match="not h=0"):
        Windows(panel, 7, 0)
