"""The figures of a classifier or a tagger: what was taken for what."""

from __future__ import annotations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from celda.tasks.sequences.classification_scores import Evaluation

_MOST_NUMBERS = 25  # classes above which the cells hold no numbers


def confusion_figure(test: Evaluation) -> Figure:
    """The confusion matrix: a row the true class, a column the predicted one, the share of the row as the shade."""
    names = [str(one) for one in test.classes]
    count = len(names)
    side = float(np.clip(1.6 + 0.55 * count, 4.5, 14))
    figure = Figure(figsize=(side + 1.2, side), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    shares = test.confusion / np.maximum(test.confusion.sum(1, keepdims=True), 1)
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if count <= _MOST_NUMBERS:
        axis.set_xticks(range(count), names, rotation=0 if max(map(len, names)) < 4 else 45)
        axis.set_yticks(range(count), names)
        for row, column in np.argwhere(test.confusion):
            shade = "white" if shares[row, column] > 0.55 else "#222222"
            axis.text(
                column, row, f"{test.confusion[row, column]:,}", ha="center", va="center", color=shade, fontsize=9
            )
    axis.set_xlabel(f"predicted by {test.model}")
    axis.set_ylabel("true")
    axis.spines[:].set_visible(False)
    figure.colorbar(image, ax=axis, shrink=0.8, label="share of the true class")
    right = np.trace(test.confusion) / test.confusion.sum()
    title = f"{test.confusion.sum():,} {test.what}, {100 * right:.1f} % right"
    figure.suptitle(title, x=0.01, ha="left", weight="bold")
    return figure
