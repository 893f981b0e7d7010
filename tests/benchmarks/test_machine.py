from pathlib import Path

import pytest

from benchmarks import machine


def test_the_description_names_the_threads_and_the_versions():
    text = machine.describe(2)
    assert "2 threads" in text
    assert "torch 2" in text


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="the system does not tell what others do")
def test_the_share_of_others_is_what_is_busy_without_us(monkeypatch):
    readings = iter([(100.0, 1000.0, 1.0), (200.0, 1400.0, 1.6)])
    monkeypatch.setattr(machine.Watch, "_now", staticmethod(lambda: next(readings)))
    assert machine.Watch().others() == pytest.approx((100 - 60) / 400)


def test_a_system_that_does_not_tell_is_no_error(monkeypatch):
    monkeypatch.setattr(machine.Watch, "_now", staticmethod(lambda: None))
    assert machine.Watch().others() is None
