"""A run of a language model: a folder with everything from the training to a sample of what it writes.

run/config.json       what was asked for: the text, the options
run/metrics.jsonl     a line for each epoch
run/checkpoints/      where the training stands
run/scores.json       the test: the network beside n-grams
run/sample.txt        what it writes
run/figures/          the loss by epoch as PNG
run/model/            the model, for `celda.load`
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

from celda.data import Text
from celda.errors import CeldaError
from celda.language import Cell
from celda.tasks import figures
from celda.tasks.language.model import LanguageModel, Source
from celda.tasks.language.saved import TASK
from celda.tasks.loading import load
from celda.tasks.options import from_plain, to_plain
from celda.tasks.run_folder import Outcome, RunFolder
from celda.training.device import check_device

_SAMPLE = 1_000  # characters


def train(
    source: Source, folder: str | Path, model: LanguageModel, *, overwrite: bool = False, quiet: bool = False
) -> Outcome:
    """Fit, test and keep a language model in a new run folder.

    `overwrite`: whether a former run in the folder is deleted first.

    Raises CeldaError where the text, the options or the folder cannot be used; KeyboardInterrupt after Ctrl-C, when the
    checkpoint is written that `resume` goes on from.
    """
    text = model.read(source)
    check_device(model.device)
    run = RunFolder.make(Path(folder), overwrite)
    address = None if isinstance(text.source, str) else str(text.source.resolve())
    config = {"data": address, "fingerprint": _fingerprint(text), "parameters": to_plain(model)}
    run.write_config(TASK, config)
    return _go(text, run, model, resume=False, quiet=quiet)


def resume(
    folder: str | Path, source: Source | None = None, *, cell: Cell | None = None, quiet: bool = False
) -> Outcome:
    """Go on with a run that was interrupted; it ends with the very weights that it would have had without.

    `source`: where the run's own text was in memory, or has moved. `cell`: where it is one of your own.
    """
    run = RunFolder.find(Path(folder))
    config = run.read_config(TASK)
    model = LanguageModel(**from_plain(config["parameters"], set(LanguageModel().get_params()), cell))
    if source is None and config["data"] is None:
        raise CeldaError("The run was begun with a text in memory, not with a file: give that text again.")
    text = model.read(Path(config["data"]) if source is None else source)
    if _fingerprint(text) != config["fingerprint"]:
        raise CeldaError(f"The text is not what the run in {folder} began with: give that text, or start a new run.")
    return _go(text, run, model, resume=True, quiet=quiet)


def evaluate(folder: str | Path, source: Source | None = None, *, cell: Cell | None = None) -> Outcome:
    """The scores of the run's test or, with a text, of that. Raises CeldaError where the run has not ended."""
    run, begun = RunFolder.find(Path(folder)), time.perf_counter()
    run.read_config(TASK)
    if source is None:
        return run.read_outcome()
    run.require_end()
    model = load(run.model, cell=cell)
    text = Text.of(source, model.encoding)
    scores = model.evaluate(text)
    return Outcome(scores, text.length, model.notes_, {}, time.perf_counter() - begun, "characters")


def predict(folder: str | Path, source: Source | None = None) -> Any:
    """Say what is written instead: a language model has no table to predict."""
    raise CeldaError(f"{folder} holds a language model, which writes on: write  celda sample {folder} --prime ...")


def _go(text: Text, run: RunFolder, model: LanguageModel, *, resume: bool, quiet: bool) -> Outcome:
    """The run from its beginning or from where it stands; what was trained already is not trained again."""
    begun = time.perf_counter()
    model.fit(text, run=run.folder, resume=resume, quiet=quiet)
    loss = run.folder / "figures" / "loss.png"
    figures.save_figure(figures.loss_figure({"fit": model.history_}, model.epochs_, "nats a token", ""), loss)
    sample = run.write("sample.txt", model.sample(length=_SAMPLE, seed=model.seed) + "\n")
    model.save(run.model)
    files = {"model": run.model, "sample": sample, "loss figure": loss}
    seconds = time.perf_counter() - begun
    outcome = Outcome(model.scores_, model.tested_, model.notes_, files, seconds, "characters")
    return run.write_outcome(outcome)


def _fingerprint(text: Text) -> str:
    """Tells texts apart."""
    found: Any = hashlib.sha256()
    for block in text.blocks():
        found.update(block.encode("utf-8", "surrogatepass"))
    return str(found.hexdigest())
