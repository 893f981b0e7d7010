"""Writing a text, one token at a time, by the stepper."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from celda.checks import whole_number
from celda.data import Vocabulary
from celda.errors import CeldaError
from celda.files import written_aside
from celda.models import LanguageNetwork
from celda.tasks.options import NUMBER

_HALF = "\ufffd"  # what bytes that are no whole character are decoded to,
_BYTES = 4  # of which a character has at most so many
_HEADER = {"celda": "sampler 1"}


class Sampler:
    """Writes a text that goes on and on: an iterator over its pieces, strings of a token or a few.

    Args:
        network, vocabulary: of a language model.
        temperature: the scores are divided by it: below 1 the likely is written more often, above 1 less; 0 writes the
            most likely token always.
        top_k: only so many tokens are drawn from, the likeliest; None: all.
        top_p: only the likeliest tokens are drawn from whose probabilities first add up to it (nucleus sampling,
            Holtzman et al. 2020); None: all.
        seed: of the draws; None: another text each time.

    `save` and `restore` keep where a text stands, in the middle of it too: the state of the network, what it expects
    next, and the random numbers.
    """

    def __init__(
        self,
        network: LanguageNetwork,
        vocabulary: Vocabulary,
        *,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
    ) -> None:
        _check(temperature, top_k, top_p, seed)
        self.network, self.vocabulary = network.eval(), vocabulary
        self.temperature, self.top_k, self.top_p = temperature, top_k, top_p
        self.stepper = network.recurrent.stepper()
        self._embedding = network.embedding.weight.detach()
        self._generator = torch.Generator()
        if seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(seed)
        self.notes: tuple[str, ...] = ()  # what `read` noticed
        self._scores: Tensor | None = None  # (V,) of the next token; None where nothing was read so far
        self._held: list[int] = []  # tokens written that are not yet whole characters

    def read(self, text: str) -> None:
        """Take up a text that what is written goes on from.

        A rare word is read as the unknown one, and `notes` says so. Raises CeldaError for what the model has no notion
        of, as nothing was unknown in the text that it has learnt from.
        """
        forms = (text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD")))
        known = next((form for form in forms if self.vocabulary.stranger(form) is None), text)
        if stranger := self.vocabulary.stranger(known):
            if not self.vocabulary.rare:
                raise CeldaError(
                    f"The model does not know {stranger!r}, as there was none in the text that it has learnt from: "
                    "leave it out of the prime, or train on a text that has it."
                )
            self.notes = (f"{stranger!r} is not among the words that the model knows, and is read as an unknown one.",)
        for token in self.vocabulary.encode(known).tolist():
            self._feed(token)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """The next piece of the text."""
        while True:
            token = self._draw(self._ready())
            self._feed(token)
            self._held.append(token)
            piece = self.vocabulary.decode(self._held)
            if not piece.endswith(_HALF) or len(self._held) == _BYTES:
                self._held = []
                return piece

    def write(self, length: int) -> Iterator[str]:
        """The pieces of the next `length` characters."""
        if whole_number(length, 0) is None:
            raise CeldaError(f"length={length!r} cannot be used: it is a whole number of characters.")
        while length > 0:
            piece = next(self)[:length]
            length -= len(piece)
            yield piece

    def probabilities(self) -> Tensor:
        """How likely each token is to be the next: (V,), as the model has it, whatever the temperature."""
        return self._ready().softmax(-1)

    def save(self, path: str | Path) -> None:
        """Write where the text stands to a safetensors file."""
        names = self.stepper.layer.cell.states
        tensors = {f"state.{name}": value for name, value in zip(names, self.stepper.state, strict=True)}
        tensors |= {"scores": self._ready(), "generator": self._generator.get_state()}
        tensors |= {"held": torch.tensor(self._held, dtype=torch.long), "steps": torch.tensor(self.stepper.steps)}
        content = to_bytes({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, _HEADER)
        with written_aside(Path(path)) as aside:
            aside.write_bytes(content)

    def restore(self, path: str | Path) -> None:
        """Take up what `save` wrote; nothing has changed where it raises CeldaError, as the file does not fit."""
        names = self.stepper.layer.cell.states
        try:
            with safe_open(str(path), "pt") as file:
                header = file.metadata() or {}
                stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no dict)
        except (OSError, SafetensorError) as error:
            raise CeldaError(f"{path} is no saved text that can be read: {error}") from None
        wanted = {"scores", "generator", "held", "steps", *(f"state.{name}" for name in names)}
        if header != _HEADER or set(stored) != wanted or len(stored["scores"]) != self.vocabulary.size:
            raise CeldaError(f"{path} was not saved by a sampler of this model: give a file of `sampler.save`.")
        device = self._embedding.device
        self.stepper.state = tuple(stored[f"state.{name}"].to(device) for name in names)
        self.stepper.steps = int(stored["steps"])
        self._scores, self._held = stored["scores"].to(device), stored["held"].tolist()
        self._generator.set_state(stored["generator"])

    def _ready(self) -> Tensor:
        """The scores of the next token; a text that goes on from nothing begins as a line does."""
        if self._scores is None:
            self._feed(int(self.vocabulary.encode("\n")[0]))
            assert self._scores is not None
        return self._scores

    @torch.no_grad()
    def _feed(self, token: int) -> None:
        y = self.stepper(self._embedding[token : token + 1])
        scores = self.network.scores(y)[0]
        if self.vocabulary.unknown is not None:
            scores[self.vocabulary.unknown] = -torch.inf  # it is never written
        self._scores = scores

    def _draw(self, scores: Tensor) -> int:
        if self.temperature == 0 or self.top_k == 1:
            return int(scores.argmax())
        scores = scores.cpu() / self.temperature
        if self.top_k is not None and self.top_k < len(scores):
            least = scores.topk(self.top_k).values[-1]
            scores = scores.masked_fill(scores < least, -torch.inf)
        likely = scores.softmax(-1)
        if self.top_p is not None:
            ordered, order = likely.sort(descending=True)
            before = ordered.cumsum(-1) - ordered  # what the likelier ones have together
            likely = likely.index_fill(0, order[before >= self.top_p], 0.0)
        return int(torch.multinomial(likely, 1, generator=self._generator))


def _check(temperature: Any, top_k: Any, top_p: Any, seed: Any) -> None:
    if isinstance(temperature, bool) or not isinstance(temperature, NUMBER) or not 0 <= temperature < float("inf"):
        raise CeldaError(f"temperature={temperature!r} cannot be used: it is a number of at least 0, such as 0.8.")
    if top_k is not None and whole_number(top_k) is None:
        raise CeldaError(f"top_k={top_k!r} cannot be used: it is a whole number of at least 1.")
    if top_p is not None and (isinstance(top_p, bool) or not isinstance(top_p, NUMBER) or not 0 < top_p <= 1):
        raise CeldaError(f"top_p={top_p!r} cannot be used: it is a share of the probability, above 0 and up to 1.")
    if seed is not None and whole_number(seed, 0) is None:
        raise CeldaError(f"seed={seed!r} cannot be used: it is a whole number of at least 0.")
