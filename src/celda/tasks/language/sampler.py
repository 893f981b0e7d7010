"""Writing a text, one token at a time, by the stepper."""

from __future__ import annotations

import hashlib
import json
import sys
import unicodedata
from collections.abc import Iterator, Mapping
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
_SEEDS = 2**64  # of torch's generator
_FORMAT = "sampler 2"


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
    next, what was written and not yet given out, and the random numbers.
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
            self._generator.manual_seed(int(seed))
        self.notes: tuple[str, ...] = ()  # what `read` noticed
        self._scores: Tensor | None = None  # (V,) of the next token; None where nothing was read so far
        self._held: list[int] = []  # tokens written that are not yet whole characters
        self._rest = ""  # of a piece that `write` has cut: what comes next

    def read(self, text: str) -> None:
        """Take up a text that what is written goes on from.

        A rare word is read as the unknown one, and `notes` says so. What `write` has cut off a piece is dropped: the
        text that is read stands in its place. Raises CeldaError for what the model has no notion of, as nothing was
        unknown in the text that it has learnt from.
        """
        if not isinstance(text, str):
            raise CeldaError(f"{text!r} is no text to go on from: give a string, '' for none.")
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
        if known:
            self._held, self._rest = [], ""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """The next piece of the text."""
        if self._rest:
            piece, self._rest = self._rest, ""
            return piece
        while True:
            if self._scores is None:
                self._feed(self._line_end)
            assert self._scores is not None
            token = self._draw(self._scores)
            self._feed(token)
            self._held.append(token)
            piece = self.vocabulary.decode(self._held)
            if not piece.endswith(_HALF) or len(self._held) == _BYTES:
                self._held = []
                return piece

    def write(self, length: int) -> Iterator[str]:
        """The pieces of the next `length` characters; where the last one is cut, the next call begins with its rest."""
        if whole_number(length, 0) is None:
            raise CeldaError(f"length={length!r} cannot be used: it is a whole number of characters.")
        return self._pieces(length)

    def _pieces(self, length: int) -> Iterator[str]:
        while length > 0:
            piece = next(self)
            piece, self._rest = piece[:length], piece[length:]
            length -= len(piece)
            yield piece

    def probabilities(self) -> Tensor:
        """How likely each token is to be the next: (V,), as the model has it, whatever the temperature.

        A text that goes on from nothing begins as a line does.
        """
        scores = self._scores
        if scores is None:
            before, steps = self.stepper.state, self.stepper.steps
            scores = self._following(self._line_end)
            self.stepper.state, self.stepper.steps = before, steps
        return scores.softmax(-1)

    def save(self, path: str | Path) -> None:
        """Write where the text stands to a safetensors file."""
        names = self.stepper.layer.cell.states
        tensors = {f"state.{name}": value for name, value in zip(names, self.stepper.state, strict=True)}
        tensors |= {"scores": torch.empty(0) if self._scores is None else self._scores}
        tensors |= {"generator": self._generator.get_state(), "steps": torch.tensor(self.stepper.steps)}
        tensors |= {"held": torch.tensor(self._held, dtype=torch.long)}
        tensors |= {"rest": torch.tensor([ord(one) for one in self._rest], dtype=torch.long)}
        plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        content = to_bytes(plain, {"celda": _FORMAT, "model": self._model(), "content": _digest(plain)})
        with written_aside(Path(path)) as aside:
            aside.write_bytes(content)

    def restore(self, path: str | Path) -> None:
        """Take up what `save` wrote.

        Raises CeldaError where the file is damaged, or of another model: of other weights, equations or tokens. Nothing
        has changed then.
        """
        try:
            with safe_open(str(path), "pt") as file:
                header = file.metadata() or {}
                stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is no dict)
        except (OSError, SafetensorError) as error:
            raise CeldaError(f"{path} is no saved text that can be read: {error}") from None
        if header.get("celda") != _FORMAT:
            raise CeldaError(f"{path} was not written by a sampler of this version: give a file of `sampler.save`.")
        if header.get("model") != self._model():
            raise CeldaError(
                f"{path} was saved by a sampler of another model, which goes on in its own way: restore it with a "
                "sampler of that model."
            )
        if header.get("content") != _digest(stored):
            raise CeldaError(f"{path} was changed after it was saved: give the file as `sampler.save` wrote it.")
        device, generator = self._embedding.device, torch.Generator()
        try:
            generator.set_state(stored["generator"])
        except RuntimeError as error:  # of another version of torch, maybe
            raise CeldaError(f"{path} holds random numbers that torch cannot take up here: {error}") from None
        names = self.stepper.layer.cell.states
        self.stepper.state = tuple(stored[f"state.{name}"].to(device) for name in names)
        self.stepper.steps = int(stored["steps"])
        self._scores = stored["scores"].to(device) if len(stored["scores"]) else None
        self._held, self._rest = stored["held"].tolist(), "".join(map(chr, stored["rest"].tolist()))
        self._generator = generator

    def _model(self) -> str:
        """A digest of the model, which its states have a meaning for."""
        tokens = json.dumps([self.vocabulary.kind, self.vocabulary.to_json()], sort_keys=True)
        return _digest(self.network.state_dict(), tokens, self.stepper.layer.cell.equations())

    @property
    def _line_end(self) -> int:
        """The token after which a text begins that goes on from nothing."""
        return int(self.vocabulary.encode("\n")[0])

    def _feed(self, token: int) -> None:
        self._scores = self._following(token)

    @torch.no_grad()
    def _following(self, token: int) -> Tensor:
        """Take a step: the scores (V,) of the token after this one."""
        y = self.stepper(self._embedding[token : token + 1])
        scores = self.network.scores(y)[0]
        if self.vocabulary.unknown is not None:
            scores[self.vocabulary.unknown] = -torch.inf  # it is never written
        return scores

    def _draw(self, scores: Tensor) -> int:
        if self.temperature == 0 or self.top_k == 1:
            return int(scores.argmax())
        scores = scores.cpu().double()
        scores = (scores - scores.max()) / self.temperature  # the likeliest is 0, however low or high that is
        if self.top_k is not None and self.top_k < len(scores):
            least = scores.topk(self.top_k).values[-1]
            scores = scores.masked_fill(scores < least, -torch.inf)
        likely = scores.softmax(-1)
        if self.top_p is not None:
            ordered, order = likely.sort(descending=True)
            before = ordered.cumsum(-1) - ordered  # what the likelier ones have together
            likely = likely.index_fill(0, order[before >= self.top_p], 0.0)
        return int(torch.multinomial(likely.float(), 1, generator=self._generator))


def _digest(tensors: Mapping[str, Tensor], *texts: str) -> str:
    """Tells texts and named tensors apart."""
    found = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass"))
    for name, value in sorted(tensors.items()):
        found.update(f"\0{name} {value.dtype} {tuple(value.shape)}\0".encode())
        found.update(value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _check(temperature: Any, top_k: Any, top_p: Any, seed: Any) -> None:
    number = isinstance(temperature, NUMBER) and not isinstance(temperature, bool)
    if not number or not 0 <= temperature <= sys.float_info.max:
        raise CeldaError(f"temperature={temperature!r} cannot be used: it is a number of at least 0, such as 0.8.")
    if top_k is not None and whole_number(top_k) is None:
        raise CeldaError(f"top_k={top_k!r} cannot be used: it is a whole number of at least 1.")
    if top_p is not None and (isinstance(top_p, bool) or not isinstance(top_p, NUMBER) or not 0 < top_p <= 1):
        raise CeldaError(f"top_p={top_p!r} cannot be used: it is a share of the probability, above 0 and up to 1.")
    if seed is not None and (whole_number(seed, 0) is None or seed >= _SEEDS):
        raise CeldaError(f"seed={seed!r} cannot be used: it is a whole number of at least 0 and below 2^64.")
