"""One training loop for every task: schedules, early stopping, checkpoints with exact resumption."""

from celda.training.batches import MapDataset
from celda.training.carried import Carried
from celda.training.checkpoint import digest
from celda.training.chunks import Chunk, stream_batches, truncated
from celda.training.config import Config, TrainingConfig
from celda.training.history import Epoch, History
from celda.training.learner import Loss
from celda.training.loop import fit
from celda.training.run import forget

__all__ = [
    "Carried",
    "Chunk",
    "Config",
    "Epoch",
    "History",
    "Loss",
    "MapDataset",
    "TrainingConfig",
    "digest",
    "fit",
    "forget",
    "stream_batches",
    "truncated",
]
