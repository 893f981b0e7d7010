"""Layers: torch modules over any cell."""

from celda.cells import CELLS
from celda.engines import know
from celda.layers.dropin import GRU, LSTM, RNN
from celda.layers.recurrent import Recurrent
from celda.layers.stepper import Stepper
from celda.layers.tracing import Trace, trace

__all__ = ["GRU", "LSTM", "RNN", "Recurrent", "Stepper", "Trace", "trace"]

know(*CELLS.values())
