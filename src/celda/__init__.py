"""Celda: recurrent networks of the LSTM family on PyTorch. A cell is written once, as its equations."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from celda.errors import CeldaError

if TYPE_CHECKING:
    from celda.layers import GRU, LSTM, RNN, Recurrent, Stepper, Trace, trace
    from celda.tasks import Classifier, Forecaster, LanguageModel, Tagger, load

__version__ = "0.1.0.dev0"

# Where each public name lives: it is imported when it is first asked for, so that `import celda` costs next to nothing.
_HOME = {
    **dict.fromkeys(("GRU", "LSTM", "RNN", "Recurrent", "Stepper", "Trace", "trace"), "celda.layers"),
    **dict.fromkeys(("Classifier", "Forecaster", "LanguageModel", "Tagger", "load"), "celda.tasks"),
}
_PARTS = ("cells", "data", "engines", "insight", "interchange", "language", "layers", "models", "tasks", "training")

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "CeldaError",
    "Classifier",
    "Forecaster",
    "LanguageModel",
    "Recurrent",
    "Stepper",
    "Tagger",
    "Trace",
    "load",
    "trace",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
    elif name in _PARTS:
        value = import_module(f"celda.{name}")
    else:
        raise AttributeError(f"celda has no {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_PARTS, "errors", "__version__"})
