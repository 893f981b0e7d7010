"""Checkpoints on disk: whole or not there, and never taken for what they are not."""

import os

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from celda import CeldaError
from celda.training import checkpoint

SHARED = torch.randn(3, 2)
TENSORS = {
    "model.weight": SHARED,
    "model.tied": SHARED,
    "model.transposed": SHARED.T,
    "step": torch.tensor(3.0),
    "empty": torch.zeros(0, 4),
    "generator": torch.arange(9, dtype=torch.uint8),
    "half": torch.randn(3).bfloat16(),
    "mask": torch.tensor([False, False]),
}
SCALARS = {"position": {"loss": 0.1 + 0.2, "batch": 3}, "none": None, "names": ["ü"]}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "fit.safetensors"
    checkpoint.save(path, TENSORS, SCALARS)
    return path


def test_what_is_loaded_is_what_was_saved(path):
    tensors, scalars = checkpoint.load(path)
    assert scalars == SCALARS
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_is_found(path, data):
    whole = path.read_bytes()
    position = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytearray(whole)
    flipped[position] ^= 1 << data.draw(st.integers(0, 7))
    for damaged in (bytes(flipped), whole[:position]):
        path.with_name("damaged.safetensors").write_bytes(damaged)
        with pytest.raises(CeldaError, match="checkpoint"):
            checkpoint.load(path.with_name("damaged.safetensors"))


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"weight": SHARED}, path)
    with pytest.raises(CeldaError, match="not a training checkpoint of this version of Celda"):
        checkpoint.load(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(CeldaError, match="Cannot read the checkpoint"):
        checkpoint.load(path)


@pytest.mark.parametrize("at", ["fsync", "replace"])
def test_the_former_checkpoint_stands_where_the_new_one_cannot_be_written(path, monkeypatch, at):
    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": ("pathlib.Path.replace",)}[at], full)
    with pytest.raises(CeldaError, match=r"Cannot write .*No space left on device"):
        checkpoint.save(path, {"model.weight": torch.zeros(1)}, {})
    assert checkpoint.load(path)[1] == SCALARS
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_changes_are_told_in_words(path):
    former, present = {"epochs": 3, "training set": "9 samples", "old": 1}, {"epochs": 4, "training set": "9 samples"}
    with pytest.raises(CeldaError, match="epochs was 3 and is now 4, old was 1 and is now absent; resume with"):
        checkpoint.refuse_changes(path, former, present)
    many = {str(n): n for n in range(9)}
    with pytest.raises(CeldaError, match="2 was 2 and is now absent, and 6 more differences;"):
        checkpoint.refuse_changes(path, many, {})
    checkpoint.refuse_changes(path, many, many)
