"""A model that is being trained: one step, one validation, and all that changes on the way, to save and to restore."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import send_to_device
from torch import Tensor, nn

from celda.errors import CeldaError
from celda.training import batches
from celda.training.averaging import Average, has_stalled
from celda.training.batches import MapDataset
from celda.training.config import TrainingConfig
from celda.training.history import Epoch, History
from celda.training.interruption import Interruption
from celda.training.optimizer import load_state_tensors, make_optimizer, state_tensors
from celda.training.schedule import learning_rate
from celda.training.seeds import generator_states, load_generator_states

Loss = Callable[[nn.Module, Any], Tensor]


@dataclass
class Position:
    """Where a training stands within an epoch; the sums are over what is done of it."""

    epoch: int = 1
    batch: int = 0  # batches done
    samples: int = 0
    loss: float = 0.0  # over samples
    updates: int = 0  # fp16 leaves out those whose gradient overflows
    norm: float = 0.0  # over updates
    seconds: float = 0.0


class Objective(nn.Module):
    """The model and its loss as one module: this is what accelerate patches and wraps, never the user's model."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: Any) -> Tensor:
        """The loss of a batch, a tensor of no dimensions."""
        value = self.loss(self.model, batch)
        if value.ndim:
            raise CeldaError(f"The loss must be one number, but it has shape {list(value.shape)}: take its mean.")
        return value


class Learner:
    """A model, its optimizer, and where its training stands."""

    def __init__(
        self, model: nn.Module, loss: Loss, train: MapDataset, config: TrainingConfig, accelerator: Accelerator
    ) -> None:
        self.model = model.to(accelerator.device)
        self.train, self.config, self.accelerator = train, config, accelerator
        self.objective = accelerator.prepare_model(Objective(model, loss))
        # accelerate's wrapper would cost 0.3 ms a step
        self.optimizer = make_optimizer(model, config.optimizer, config.weight_decay)
        self.average, self.averages = Average(model), False
        self.position, self.history = Position(), History()
        self.best: dict[str, Tensor] = {}
        self.finished = False
        self.steps_an_epoch = batches.batch_count(len(train), config.batch_size)

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes."""
        return bool(self.accelerator.is_main_process)

    @property
    def steps_done(self) -> int:
        """Steps since the training began."""
        return (self.position.epoch - 1) * self.steps_an_epoch + self.position.batch

    def batches_left(self) -> tuple[Tensor, ...]:
        """The indices of the batches that are left of this epoch."""
        config, at = self.config, self.position
        if config.shuffle:
            return batches.shuffled(len(self.train), config.batch_size, config.seed, at.epoch)[at.batch :]
        return batches.in_order(len(self.train), config.batch_size)[at.batch :]

    def learning_rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0 over the whole training."""
        return learning_rate(self.config, step, self.config.epochs * self.steps_an_epoch)

    def step(self, indices: Tensor, interruption: Interruption) -> bool:
        """Learn from one batch; tell whether any process was interrupted. Raises CeldaError where the loss diverges."""
        at, config, accelerator = self.position, self.config, self.accelerator
        batch, share = self._fetch(self.train, indices)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(self.steps_done)
        self.objective.train()
        self.optimizer.zero_grad()
        loss = self.objective(batch)
        # Gradients are averaged over the processes: so weighted, each sample of the batch counts the same.
        accelerator.backward(loss * (share * accelerator.num_processes))
        if scaler := accelerator.scaler:  # fp16
            scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_norm or math.inf)
        stop = loss.new_tensor(interruption.received)
        told = torch.stack([loss.detach() * share, norm.to(loss) / accelerator.num_processes, stop])
        mean_loss, mean_norm, stops = accelerator.reduce(told).tolist()  # one wait for the device
        overflow = scaler and not math.isfinite(mean_norm)  # the scaler leaves such a step out
        if not math.isfinite(mean_loss) or not (math.isfinite(mean_norm) or overflow):
            raise CeldaError(self._diverged(batch, "gradient" if math.isfinite(mean_loss) else "loss"))
        if scaler:
            scaler.step(self.optimizer)
            scaler.update()
        else:
            self.optimizer.step()
        if self.averages:
            self.average.add()
        at.batch += 1
        at.samples += len(indices)
        at.loss += mean_loss * len(indices)
        if not overflow:
            at.updates += 1
            at.norm += mean_norm
        return bool(stops)

    @torch.no_grad()
    def validate(self, valid: MapDataset) -> float:
        """The mean loss over the samples of a validation set, of the averaged weights where there are some.

        Raises CeldaError where it is not finite.
        """
        self.objective.eval()
        losses = []
        with self.average.in_place():
            for indices in batches.in_order(len(valid), self.config.batch_size):
                batch, share = self._fetch(valid, indices)
                losses.append(self.objective(batch) * (share * len(indices)))
        mean = math.fsum(self.accelerator.reduce(torch.stack(losses)).tolist()) / len(valid)
        if not math.isfinite(mean):
            raise CeldaError(
                f"The validation loss is {mean} in epoch {self.position.epoch}: look for NaN or infinite values in the "
                f"validation data, and try a lower learning rate than {self.config.learning_rate:g}."
            )
        return mean

    def close_epoch(self, valid_loss: float | None) -> None:
        """Enter the epoch in the history, keep its weights where they are the best, and stand before the next one."""
        at, config, history = self.position, self.config, self.history
        epoch = Epoch(
            epoch=at.epoch,
            step=self.steps_done,
            train_loss=at.loss / at.samples,
            valid_loss=valid_loss,
            learning_rate=self.learning_rate(self.steps_done - 1),
            gradient_norm=at.norm / max(at.updates, 1),
            seconds=at.seconds,
        )
        if history.add(epoch):
            with self.average.in_place():
                self.best = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
        losses = [one.valid_loss for one in history.epochs if one.valid_loss is not None]
        self.averages |= config.averaging is not None and has_stalled(losses, config.averaging)
        last = at.epoch == config.epochs
        if config.patience and history.best_epoch and not last:
            history.stopped_early = at.epoch - history.best_epoch >= config.patience
        self.finished = last or history.stopped_early
        self.position = Position(epoch=at.epoch + 1)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that changes, as tensors and as scalars that JSON can hold. Every process must call it."""
        parts = {
            "model": self.model.state_dict(),
            "best": self.best,
            "optimizer": state_tensors(self.model, self.optimizer),
            "average": self.average.means,
            "generator": generator_states(self.accelerator),
        }
        tensors = {f"{part}.{name}": value for part, named in parts.items() for name, value in named.items()}
        scaler = self.accelerator.scaler
        return tensors, {
            "position": asdict(self.position),
            "history": asdict(self.history),
            "scaler": scaler.state_dict() if scaler else None,
            "averages": self.averages,
            "averaged": self.average.steps,
            "finished": self.finished,
        }

    def load_state(self, tensors: Mapping[str, Tensor], scalars: Mapping[str, Any]) -> None:
        """Put back what `state` gave."""
        names = ("model", "best", "optimizer", "average", "generator")
        parts: dict[str, dict[str, Tensor]] = {name: {} for name in names}
        for key, value in tensors.items():
            part, _, name = key.partition(".")
            parts[part][name] = value
        self.model.load_state_dict(parts["model"])
        self.best = parts["best"]
        load_state_tensors(self.model, self.optimizer, parts["optimizer"])
        self.average.load(parts["average"], scalars["averaged"])
        self.averages = scalars["averages"]
        load_generator_states(self.accelerator, parts["generator"])
        if scalars["scaler"]:
            self.accelerator.scaler.load_state_dict(scalars["scaler"])
        self.position = Position(**scalars["position"])
        self.history = History.from_dict(scalars["history"])
        self.finished = scalars["finished"]

    def _fetch(self, dataset: MapDataset, indices: Tensor) -> tuple[Any, float]:
        """This process's part of a batch, on its device, and which share of the batch it is."""
        part, share = batches.shard(indices, self.accelerator.process_index, self.accelerator.num_processes)
        return send_to_device(batches.fetch(dataset, part), self.accelerator.device), share

    def _diverged(self, batch: Any, what: str) -> str:
        tensors = [
            (name or "its only tensor", value) for name, value in batches.leaves(batch) if isinstance(value, Tensor)
        ]
        bad = [name for name, value in tensors if not value.isfinite().all()]
        clip = self.config.clip_norm
        return (
            f"The {what} is not a finite number at step {self.steps_done + 1} (epoch {self.position.epoch}). "
            + (f"Its batch holds NaN or infinite values, in {', '.join(bad)}: clean or mask them" if bad else "")
            + ("; or" if bad else "Its batch is finite:")
            + f" try a learning rate lower than {self.config.learning_rate:g}"
            + (f" or a clip_norm smaller than {clip:g}." if clip else ", or clip_norm=1.0.")
        )
