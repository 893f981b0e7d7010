"""A model on disk: `model.safetensors`, `config.json`, `preprocessor.json` and a model card. Never a pickle.

The header of the weights holds checksums of the weights and of both JSON files, so that a directory whose parts do not
belong together is found out before anything is built from it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from celda.errors import CeldaError
from celda.files import former, written_aside
from celda.training import digest

_FORMAT = "celda model 1"
_KEY = "celda"  # the only one of the header, as safetensors writes several in an order of chance
_WEIGHTS, _CONFIG, _PREPROCESSOR, _CARD = "model.safetensors", "config.json", "preprocessor.json", "README.md"


@dataclass(frozen=True)
class StoredModel:
    """What a model directory holds, less its card."""

    task: str
    config: dict[str, Any]
    preprocessor: dict[str, Any]
    tensors: dict[str, Tensor]


def write_model(directory: Path, model: StoredModel, card: str) -> None:
    """Write a model directory aside and rename it; a model that stands there is replaced, anything else is refused."""
    _refuse_what_is_no_model(directory)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.tensors.items()}
    config, preprocessor = (json.dumps(part, indent=2, allow_nan=False) for part in (model.config, model.preprocessor))
    header = {"format": _FORMAT, "task": model.task, _WEIGHTS: digest(tensors)}
    header |= {_CONFIG: _sha256(config.encode()), _PREPROCESSOR: _sha256(preprocessor.encode())}
    with written_aside(directory) as aside:
        aside.mkdir(parents=True)
        for name, text in ((_CONFIG, config), (_PREPROCESSOR, preprocessor), (_CARD, card)):
            (aside / name).write_text(text, encoding="utf-8")
        weights = to_bytes(tensors, {_KEY: json.dumps(header)})
        (aside / _WEIGHTS).write_bytes(weights)  # save_file would let its owner alone read it


def read_model(directory: Path) -> StoredModel:
    """Read a model directory. Raises CeldaError, in one line, where it is not one, or not whole, or was changed."""
    if not directory.exists() and former(directory).is_dir():  # a save was killed just before its end
        directory = former(directory)
    if not directory.is_dir():
        what = "is a file" if directory.exists() else "does not exist"
        raise CeldaError(f"{directory} {what}: give the directory that save() wrote, such as runs/demo/model.")
    missing = [name for name in (_WEIGHTS, _CONFIG, _PREPROCESSOR) if not (directory / name).is_file()]
    if len(missing) == 3:
        hint = f"give {directory / 'model'}" if (directory / "model").is_dir() else "give one that save() wrote"
        raise CeldaError(f"{directory} is no model directory, as it holds no {_WEIGHTS}: {hint}.")
    if missing:
        raise CeldaError(
            f"The model directory {directory} is incomplete: {' and '.join(missing)} is missing; bring it back, or "
            "save the model anew."
        )
    try:
        with safe_open(directory / _WEIGHTS, framework="pt") as file:
            header = json.loads((file.metadata() or {}).get(_KEY, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        texts = {name: (directory / name).read_bytes() for name in (_CONFIG, _PREPROCESSOR)}
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise CeldaError(
            f"{directory / _WEIGHTS} is damaged ({error}): bring back a copy of it, or save the model anew."
        ) from error
    if not header.get("format", "").startswith("celda model "):
        raise CeldaError(f"{directory} holds a model that Celda did not write: give a directory that save() wrote.")
    if header["format"] != _FORMAT:
        raise CeldaError(f"{directory} was written by a newer version of Celda ({header['format']}): upgrade Celda.")
    found = {_WEIGHTS: digest(tensors)} | {name: _sha256(text) for name, text in texts.items()}
    for name, sha256 in found.items():
        if header.get(name) != sha256:
            raise CeldaError(
                f"{directory / name} was changed after the model was saved, so it no longer fits the rest: bring the "
                "former file back, or save the model anew."
            )
    config, preprocessor = (json.loads(texts[name]) for name in (_CONFIG, _PREPROCESSOR))
    return StoredModel(header.get("task", ""), config, preprocessor, tensors)


def _refuse_what_is_no_model(directory: Path) -> None:
    if directory.is_file() or (directory.is_dir() and any(directory.iterdir()) and not (directory / _WEIGHTS).exists()):
        raise CeldaError(f"{directory} exists and holds no model: choose another directory, so that nothing is lost.")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
