"""From a user's file to training windows as tensors."""

from celda.data.embedded import Dataset, datasets, load_dataset
from celda.data.frequency import Frequency, infer_frequency
from celda.data.preprocessing import Panel, Preprocessor
from celda.data.scaling import Scaler
from celda.data.table import Table, read_table
from celda.data.text import Text
from celda.data.tokens import StreamChunks, Tokens
from celda.data.vocabulary import Vocabulary
from celda.data.windows import Windows

__all__ = [
    "Dataset",
    "Frequency",
    "Panel",
    "Preprocessor",
    "Scaler",
    "StreamChunks",
    "Table",
    "Text",
    "Tokens",
    "Vocabulary",
    "Windows",
    "datasets",
    "infer_frequency",
    "load_dataset",
    "read_table",
]
