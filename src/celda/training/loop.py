"""The training loop of every task."""

import math
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device
from torch import Tensor, nn

from celda.errors import CeldaError
from celda.training import batches, checkpoint
from celda.training.batches import MapDataset
from celda.training.config import TrainingConfig
from celda.training.device import make_accelerator
from celda.training.history import Epoch, History, append_metrics, rewrite_metrics
from celda.training.interruption import Interruption
from celda.training.optimizer import adamw, load_state_tensors, state_tensors
from celda.training.progress import Reporter, reporter
from celda.training.schedule import learning_rate
from celda.training.seeds import generator_states, load_generator_states, seed_everything

Loss = Callable[[nn.Module, Any], Tensor]


def fit(
    model: nn.Module,
    loss: Loss,
    train: MapDataset,
    valid: MapDataset | None = None,
    config: TrainingConfig | None = None,
    *,
    run: Path | str | None = None,
    phase: str = "fit",
    resume: bool = False,
    quiet: bool = False,
) -> History:
    """Train a model in place and say how it went.

    `loss(model, batch)` is one number, the mean over the samples of the batch; a batch is what `MapDataset` says. With
    a validation set the model ends with the weights of the best epoch, otherwise with the last; it is left in
    evaluation mode, on the device where it was trained. Every generator is seeded from `config.seed` first; what is
    random in a sample or in the model must draw from torch, so that it can be resumed.

    With a folder `run`, `run/metrics.jsonl` gets a line an epoch, and `run/checkpoints/<phase>.safetensors` holds all
    that is needed to go on. `resume=True` goes on from there and ends with the very weights that an uninterrupted
    training would have; a finished phase returns at once, and where there is no checkpoint yet the training starts.
    `resume=False` starts afresh and replaces them. A run may have several phases, each a call with its own name.

    Ctrl-C (SIGINT) or SIGTERM ends the training after the step, with a checkpoint and `History.interrupted`.

    Raises CeldaError where the arguments cannot work, the checkpoint is damaged or of another training, or the loss
    is no longer a finite number (the last checkpoint stands then).
    """
    config = config or TrainingConfig()
    folder = _folder(run, phase, resume)
    batches.check(train, "training")
    if valid is not None:
        batches.check(valid, "validation")
    elif config.patience is not None:
        raise CeldaError(f"patience={config.patience} needs a validation set: give valid=, or write patience=None.")
    accelerator = make_accelerator(config.device, config.precision)
    identity = _identity(model, train, valid, config, accelerator.num_processes)
    seed_everything(config.seed + accelerator.process_index)
    training = _Training(model, loss, train, valid, config, accelerator)
    files = _Files(folder, phase, accelerator.is_main_process, identity) if folder else None
    resumed = resume and files is not None and files.load_into(training)
    if files and not resumed:
        files.save(training)
    if files:
        files.rewrite_metrics(training.history)

    done = training.steps_done
    quiet = quiet or not accelerator.is_main_process
    with Interruption(quiet) as stop, reporter(phase, config.epochs, training.steps_an_epoch, done, quiet) as report:
        while not (training.finished or training.history.interrupted):
            training.one_epoch(stop, report, files)
    if training.best:
        model.load_state_dict(training.best)
    model.eval()
    return training.history


@dataclass
class _Position:
    """Where a training stands within an epoch; the sums are over what is done of it."""

    epoch: int = 1
    batch: int = 0  # batches done
    samples: int = 0
    loss: float = 0.0  # over samples
    updates: int = 0  # fp16 leaves out those whose gradient overflows
    norm: float = 0.0  # over updates
    seconds: float = 0.0


class _Objective(nn.Module):
    """The model and its loss as one module: this is what accelerate patches and wraps, never the user's model."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: Any) -> Tensor:
        value = self.loss(self.model, batch)
        if value.ndim:
            raise CeldaError(f"The loss must be one number, but it has shape {list(value.shape)}: take its mean.")
        return value


class _Training:
    """A model, its optimizer and all that changes while it is trained."""

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        train: MapDataset,
        valid: MapDataset | None,
        config: TrainingConfig,
        accelerator: Accelerator,
    ) -> None:
        self.model = model.to(accelerator.device)
        self.train, self.valid, self.config, self.accelerator = train, valid, config, accelerator
        self.objective, self.optimizer = accelerator.prepare(_Objective(model, loss), adamw(model, config.weight_decay))
        self.position, self.history = _Position(), History()
        self.best: dict[str, Tensor] = {}
        self.finished = False
        self.steps_an_epoch = batches.batch_count(len(train), config.batch_size)

    @property
    def steps_done(self) -> int:
        return (self.position.epoch - 1) * self.steps_an_epoch + self.position.batch

    def one_epoch(self, stop: Interruption, report: Reporter, files: "_Files | None") -> None:
        """Train to the end of the epoch, or until interrupted."""
        at, every = self.position, self.config.checkpoint_every
        clock = time.perf_counter() - at.seconds
        self.objective.train()
        order = batches.shuffled(len(self.train), self.config.batch_size, self.config.seed, at.epoch)
        for indices in order[at.batch :]:
            interrupted = self._step(indices, stop.received)
            at.seconds = time.perf_counter() - clock
            report.step(at.epoch, at.loss / at.samples)
            if files and (interrupted or (every and self.steps_done % every == 0)):
                files.save(self)
            if interrupted:
                self.history.interrupted = True
                return
        valid_loss = None if self.valid is None else self._validate(self.valid)
        at.seconds = time.perf_counter() - clock
        self._close_epoch(valid_loss)
        if files:
            files.append_metrics(self.history)
            files.save(self)
        report.epoch(self.history)

    def _step(self, indices: Tensor, stop: bool) -> bool:
        """Learn from one batch; tell whether a process has been asked to stop."""
        at, config, accelerator = self.position, self.config, self.accelerator
        batch, share = self._fetch(self.train, indices)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(config, self.steps_done, config.epochs * self.steps_an_epoch)
        self.optimizer.zero_grad()
        loss = self.objective(batch)
        # Gradients are averaged over the processes: so weighted, each sample of the batch counts the same.
        accelerator.backward(loss * (share * accelerator.num_processes))
        norm = accelerator.clip_grad_norm_(list(self.model.parameters()), config.clip_norm or math.inf)
        wishes = torch.stack([loss.detach() * share, loss.new_tensor(float(stop))])
        mean, stops = accelerator.reduce(wishes).tolist()
        if not math.isfinite(mean) or not (accelerator.scaler or norm.isfinite()):
            raise CeldaError(self._diverged(batch, mean))
        self.optimizer.step()
        at.batch += 1
        at.samples += len(indices)
        at.loss += mean * len(indices)
        if norm.isfinite():
            at.updates += 1
            at.norm += norm.item()
        return stops > 0

    @torch.no_grad()
    def _validate(self, valid: MapDataset) -> float:
        """The mean loss over the samples of the validation set."""
        self.objective.eval()
        losses = []
        for indices in torch.arange(len(valid)).split(self.config.batch_size):
            batch, share = self._fetch(valid, indices)
            losses.append(self.objective(batch) * (share * len(indices)))
        mean = math.fsum(self.accelerator.reduce(torch.stack(losses)).tolist()) / len(valid)
        if not math.isfinite(mean):
            raise CeldaError(
                f"The validation loss became {mean} in epoch {self.position.epoch}: try a lower learning rate than "
                f"{self.config.learning_rate:g}, and look for NaN or infinite values in the validation data; the last "
                "checkpoint stands."
            )
        return mean

    def _close_epoch(self, valid_loss: float | None) -> None:
        at = self.position
        epoch = Epoch(
            epoch=at.epoch,
            step=self.steps_done,
            train_loss=at.loss / at.samples,
            valid_loss=valid_loss,
            learning_rate=self.optimizer.param_groups[0]["lr"],
            gradient_norm=at.norm / max(at.updates, 1),
            seconds=at.seconds,
        )
        if self.history.add(epoch):
            self.best = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        self.history.seconds += at.seconds
        patience, best = self.config.patience, self.history.best_epoch
        self.history.stopped_early = bool(
            patience and best and at.epoch - best >= patience and at.epoch < self.config.epochs
        )
        self.finished = self.history.stopped_early or at.epoch == self.config.epochs
        self.position = _Position(epoch=at.epoch + 1)

    def _fetch(self, dataset: MapDataset, indices: Tensor) -> tuple[Any, float]:
        """This process's part of a batch, on its device, and which share of the batch it is."""
        part, share = batches.shard(indices, self.accelerator.process_index, self.accelerator.num_processes)
        return send_to_device(batches.fetch(dataset, part), self.accelerator.device), share

    def _diverged(self, batch: Any, loss: float) -> str:
        bad = [
            name or "it"
            for name, value in batches.leaves(batch)
            if isinstance(value, Tensor) and not value.isfinite().all()
        ]
        where = (
            f"its batch holds NaN or infinite values ({', '.join(bad)})"
            if bad
            else "its batch holds finite values only"
        )
        what = "gradient" if math.isfinite(loss) else "loss"
        clip = self.config.clip_norm
        return (
            f"The {what} is not a finite number at step {self.steps_done + 1} (epoch {self.position.epoch}); {where}: "
            f"look for such values in the input, try a lower learning rate than {self.config.learning_rate:g}"
            + (f" or a smaller clip_norm than {clip:g}" if clip else " or clip_norm=1.0")
            + "; the last checkpoint stands."
        )

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that changes, as tensors and as scalars for a checkpoint. Every process must call it."""
        parts = {
            "model": self.model.state_dict(),
            "best": self.best,
            "optimizer": state_tensors(self.model, self.optimizer),
            "generator": generator_states(self.accelerator),
        }
        tensors = {f"{part}.{name}": value for part, named in parts.items() for name, value in named.items()}
        scaler = self.accelerator.scaler
        return tensors, {
            "position": asdict(self.position),
            "history": asdict(self.history),
            "scaler": scaler.state_dict() if scaler else None,
            "finished": self.finished,
        }

    def load_state(self, tensors: dict[str, Tensor], scalars: dict[str, Any]) -> None:
        """Put back what `state` gave."""
        parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "optimizer": {}, "generator": {}}
        for key, value in tensors.items():
            part, _, name = key.partition(".")
            parts[part][name] = value
        self.model.load_state_dict(parts["model"])
        self.best = parts["best"]
        load_state_tensors(self.model, self.optimizer, parts["optimizer"])
        load_generator_states(self.accelerator, parts["generator"])
        if scalars["scaler"]:
            self.accelerator.scaler.load_state_dict(scalars["scaler"])
        self.position = _Position(**scalars["position"])
        self.history = History.from_dict(scalars["history"])
        self.finished = scalars["finished"]


class _Files:
    """A phase's files in the run folder; only the main process writes."""

    def __init__(self, folder: Path, phase: str, main: bool, identity: dict[str, Any]) -> None:
        self.phase, self.main, self.identity = phase, main, identity
        self.checkpoint, self.metrics = folder / "checkpoints" / f"{phase}.safetensors", folder / "metrics.jsonl"

    def save(self, training: _Training) -> None:
        tensors, scalars = training.state()
        if self.main:
            checkpoint.save(self.checkpoint, tensors, {"identity": self.identity, **scalars})

    def load_into(self, training: _Training) -> bool:
        """Go on from the checkpoint; False where there is none."""
        if not self.checkpoint.exists():
            return False
        tensors, scalars = checkpoint.load(self.checkpoint)
        checkpoint.refuse_changes(self.checkpoint, scalars.pop("identity"), self.identity)
        training.load_state(tensors, scalars)
        return True

    def append_metrics(self, history: History) -> None:
        if self.main:
            append_metrics(self.metrics, self.phase, history.epochs[-1])

    def rewrite_metrics(self, history: History) -> None:
        if self.main:
            rewrite_metrics(self.metrics, self.phase, history.epochs)


def _folder(run: Path | str | None, phase: str, resume: bool) -> Path | None:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", phase):
        raise CeldaError(f"phase={phase!r} cannot name a file: use letters, digits, '-', '_' and '.', as in 'fit'.")
    if run is None:
        if resume:
            raise CeldaError("resume=True needs the run's folder: give run= as well, or write resume=False.")
        return None
    folder = Path(run)
    try:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CeldaError(
            f"The run folder {folder} cannot be made ({error}): give a folder that you may write to."
        ) from error
    return folder


def _identity(
    model: nn.Module, train: MapDataset, valid: MapDataset | None, config: TrainingConfig, processes: int
) -> dict[str, Any]:
    """What must be the same for a training to be resumed, in words."""
    settings = config.model_dump(exclude={"device", "checkpoint_every"})  # these may change on the way
    weights = {f"weight {name}": batches.kind(value) for name, value in model.state_dict().items()}
    sets = {"training set": batches.describe(train), "validation set": batches.describe(valid)}
    return {**settings, **sets, "processes": processes, **weights}
