"""The training loop of every task."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from celda.errors import CeldaError
from celda.training import batches
from celda.training.batches import MapDataset
from celda.training.config import TrainingConfig
from celda.training.device import accelerator_for
from celda.training.history import History
from celda.training.interruption import Interruption
from celda.training.learner import Learner, Loss
from celda.training.progress import Reporter, reporter
from celda.training.run import Run, describe
from celda.training.seeds import seeded


def fit(
    model: nn.Module,
    loss: Loss,
    train: MapDataset,
    valid: MapDataset | None = None,
    config: TrainingConfig | None = None,
    *,
    run: Path | str | None = None,
    phase: str = "fit",
    identity: Mapping[str, Any] | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> History:
    """Train a model in place and say how it went.

    `loss(model, batch)` is one number, the mean over the samples of the batch; a batch is what `MapDataset` says. With
    a validation set the model ends with the weights of its best epoch, otherwise with the last; it is left in
    evaluation mode, on the device where it was trained. The generators of Python, NumPy and torch are seeded from
    `config.seed` and stand where they stood when it is over. What is random in a sample or in the model must draw from
    torch, whose generators are saved with a checkpoint.

    With a folder `run`, `run/metrics.jsonl` gets a line an epoch, and `run/checkpoints/<phase>.safetensors` holds all
    that is needed to go on. `resume=True` goes on from there and ends with the very weights that an uninterrupted
    training would have; a finished phase returns at once, and where there is no checkpoint the training starts. The
    shapes of weights and samples and the settings must be those it began with, and so must `identity`: what else tells
    this training from others, such as the loss and a fingerprint of the data, by name, as JSON can hold it.
    `resume=False` starts afresh and replaces them. A run may have several phases, each a call with its own name; begin
    such a run with `forget(run)`, or a phase that had finished before would count as finished.

    Ctrl-C (SIGINT) or SIGTERM ends the training after the step, with a checkpoint and `History.interrupted`.

    Under `torchrun` each process computes its share of every batch, and the main one writes and shows.

    Raises CeldaError where the arguments cannot work, the checkpoint is damaged or of another training, or the loss
    is no longer a finite number; the last checkpoint stands then.
    """
    config = config or TrainingConfig()
    batches.check(train, "training")
    if valid is not None:
        batches.check(valid, "validation")
    else:
        for name, value in (("patience", config.patience), ("averaging", config.averaging)):
            if value is not None:
                raise CeldaError(f"{name}={value} needs a validation set: give valid=, or write {name}=None.")
    if resume and run is None:
        raise CeldaError("resume=True needs the run's folder: give run= as well, or write resume=False.")
    with (
        accelerator_for(config.device, config.precision) as accelerator,
        seeded(config.seed + accelerator.process_index, accelerator.device),
    ):
        who = {**(identity or {}), **describe(model, train, valid, config, accelerator.num_processes)}
        files = None if run is None else Run(Path(run), phase, who)
        learner = Learner(model, loss, train, config, accelerator)
        if files:
            files.start(learner, resume)
        _train(learner, valid, files, phase, quiet or not learner.is_main)
    if learner.best:
        model.load_state_dict(learner.best)
    model.eval()
    return learner.history


def _train(learner: Learner, valid: MapDataset | None, files: Run | None, phase: str, quiet: bool) -> None:
    """Train until finished or interrupted."""
    config = learner.config
    with (
        Interruption(quiet) as interruption,
        reporter(phase, config.epochs, learner.steps_an_epoch, learner.steps_done, quiet) as report,
    ):
        while not (learner.finished or learner.history.interrupted):
            _epoch(learner, valid, files, interruption, report)
        learner.history.interrupted |= interruption.received  # after the last step, too: the caller may have more to do
        learner.history.signal = interruption.signal


def _epoch(
    learner: Learner, valid: MapDataset | None, files: Run | None, interruption: Interruption, report: Reporter
) -> None:
    """Train to the end of the epoch, or until interrupted."""
    at, history, every = learner.position, learner.history, learner.config.checkpoint_every
    clock, earlier = time.perf_counter() - at.seconds, history.seconds - at.seconds
    for indices in learner.batches_left():
        stopped = learner.step(indices, interruption)
        at.seconds = time.perf_counter() - clock
        history.seconds = earlier + at.seconds
        report.step(at.epoch, at.loss / at.samples)
        if files and (stopped or (every and learner.steps_done % every == 0)):
            files.save(learner)
        if stopped:
            history.interrupted = True  # only now: the checkpoint is of a training that goes on
            return
    valid_loss = None if valid is None else learner.validate(valid)
    at.seconds = time.perf_counter() - clock
    history.seconds = earlier + at.seconds
    learner.close_epoch(valid_loss)
    if files:
        files.save_epoch(learner)
    report.epoch(history)
