"""A checkpoint: one safetensors file with the tensors, and the scalars as JSON in its header. Never a pickle."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from celda.errors import CeldaError
from celda.files import written_aside

_FORMAT = "celda training checkpoint 1"


def save(path: Path, tensors: Mapping[str, Tensor], scalars: Mapping[str, Any]) -> None:
    """Write a checkpoint in the place of the former one, which stands until the new one is whole.

    `scalars` is what JSON can hold. Raises CeldaError where the disk refuses.
    """
    # Copies, because safetensors refuses tensors that share memory, as tied weights do.
    copies = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    text = json.dumps(scalars, allow_nan=False)
    header = {"format": _FORMAT, "scalars": text, "sha256": digest(copies, text)}
    with written_aside(path) as aside:
        aside.write_bytes(to_bytes(copies, header))  # save_file would let its owner alone read it


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, on the CPU, and the scalars of a checkpoint. Raises CeldaError where it is not one, or not whole."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError) as error:
        raise CeldaError(
            f"Cannot read the checkpoint {path}: {error}; it is damaged: delete it, to train this phase anew, "
            "or bring back a copy of it."
        ) from error
    if header.get("format") != _FORMAT:
        raise CeldaError(
            f"{path} is not a training checkpoint of this version of Celda: start afresh without resuming."
        )
    if header.get("sha256") != digest(tensors, header.get("scalars", "")):
        raise CeldaError(
            f"The checkpoint {path} is damaged: its contents do not match their checksum; delete it, to train this "
            "phase anew, or bring back a copy of it."
        )
    return tensors, json.loads(header["scalars"])


def is_one(path: Path) -> bool:
    """Whether a file says of itself that it is a checkpoint."""
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("format") == _FORMAT
    except (OSError, SafetensorError):
        return False


def refuse_changes(path: Path, former: Mapping[str, Any], present: Mapping[str, Any]) -> None:
    """Raise CeldaError, in words, where a training is not the one that wrote the checkpoint at `path`."""
    changes = [
        f"{name} was {former.get(name, 'absent')} and is now {present.get(name, 'absent')}"
        for name in {**former, **present}
        if former.get(name, "absent") != present.get(name, "absent")
    ]
    if changes:
        shown = ", ".join(changes[:3]) + (f", and {len(changes) - 3} more differences" if len(changes) > 3 else "")
        raise CeldaError(
            f"Cannot resume from {path}: {shown}; resume with what it was started with, "
            "or start afresh, without resuming."
        )


def digest(tensors: Mapping[str, Tensor], text: str = "") -> str:
    """The SHA-256 of tensors on the CPU and of a text: safetensors has none, so a flipped bit would go unseen."""
    found = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()
