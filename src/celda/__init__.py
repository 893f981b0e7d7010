"""Celda: recurrent networks of the LSTM family on PyTorch. A cell is written once, as its equations."""
