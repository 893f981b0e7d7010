"""A tagger on a stream: a step in, its label out, with a state that can be saved and restored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from celda.errors import CeldaError

if TYPE_CHECKING:
    from celda.tasks.sequences.tagger import Tagger


class TagStream:
    """Labels one sequence step by step, as `Tagger.predict` would label the whole of it.

    `label, probabilities = stream(step)`: the step is a word, or a row of features (D,); the probabilities are in the
    order of `classes_`. `reset()` begins a new sequence; `save` and `restore` keep the state in a file meanwhile.

    Raises CeldaError for a tagger that must know what comes (`bidirectional`, `crf`) or was (`missing="mask"`).
    """

    def __init__(self, tagger: Tagger) -> None:
        options = tagger.options_
        if options.bidirectional or options.crf or options.missing == "mask":
            option = "bidirectional" if options.bidirectional else "crf" if options.crf else "missing"
            raise CeldaError(
                f"A tagger with {option}={getattr(options, option)!r} needs more than one step at a time: fit one with "
                "bidirectional=False, crf=False and missing='error'."
            )
        self._tagger = tagger
        network: Any = tagger.network_
        self._network, self._stepper = network, network.layers.stepper(1)

    @torch.no_grad()
    def __call__(self, step: Any) -> tuple[Any, np.ndarray]:
        """The label of the next step, and the probability of each label (C,)."""
        tagger = self._tagger
        sequence = [step] if tagger.kind_ == "words" else np.asarray(step, dtype=np.float64)[None]
        data = tagger._read([sequence])
        (sample,) = tagger._encode(tagger.encoder_, data)
        device = next(self._network.parameters()).device
        read = self._network.reader({name: value[None].to(device) for name, value in sample.items()})
        probabilities = self._network.output(self._stepper(read[:, 0])).softmax(-1)[0].cpu().numpy()
        return tagger.classes_[probabilities.argmax()], probabilities

    def reset(self) -> None:
        """Begin a new sequence."""
        self._stepper.reset()

    def save(self, path: str | Path) -> None:
        """Write the state to a file."""
        self._stepper.save(path)

    def restore(self, path: str | Path) -> None:
        """Go on from a state that `save` wrote."""
        self._stepper.restore(path)
