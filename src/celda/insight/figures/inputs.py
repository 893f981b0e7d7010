"""What an output stands on, and units that follow something."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from celda.drawing import MODEL, finish
from celda.insight.attribution import Attribution
from celda.insight.figures.theme import BLUE, Theme, step_axis
from celda.insight.subject import Part, Question
from celda.insight.tracking import Tracking

_MOST = 3  # units that are drawn
_STEPS = 400  # of the second half that are drawn


def attribution_figure(question: Question, found: Attribution, theme: Theme) -> Figure:
    """The input of the last sequence, and what each step of it adds to the output."""
    series = question.series
    figure = Figure(figsize=(11, 3 if series is None else 5), layout="constrained")
    FigureCanvasAgg(figure)
    *above, below = figure.subplots(1 if series is None else 2, 1, sharex=True, squeeze=False)[:, 0]
    added = per_step(found.values)[-1] * question.unit
    for axis in above:
        axis.plot(np.arange(len(added)), series, color=theme.ink, linewidth=1.2)
        finish(axis, "What the model was given")
    below.bar(np.arange(len(added)), added, width=1.0, color=np.where(added > 0, MODEL, BLUE))
    below.axhline(0, color=theme.ink, linewidth=0.6)
    finish(below, f"What each step adds to {question.words}")
    step_axis(below, question.labels)
    return figure


def per_step(values: Tensor) -> np.ndarray:
    """(B, L, ...) to (B, L): the sum of what belongs to one step."""
    summed: np.ndarray = values.flatten(2).sum(2).numpy() if values.dim() > 2 else values.numpy()
    return summed


def tracking_figure(found: Sequence[Tracking], values: Tensor, part: Part, theme: Theme) -> Figure:
    """The units that follow something most closely, beside what they follow, in the second half of the sequences."""
    shown = list(found)[:_MOST]
    figure = Figure(figsize=(11, 0.8 + 2.1 * len(shown)), layout="constrained")
    FigureCanvasAgg(figure)
    half = values.shape[1] // 2
    for axis, one in zip(np.atleast_1d(figure.subplots(len(shown))), shown, strict=True):
        unit = values[:, half:, one.unit].T.reshape(-1).cpu().numpy()[-_STEPS:]
        target = np.asarray(part.targets[one.target], dtype=np.float64)[:, half:].T.reshape(-1)[-_STEPS:]
        if one.measure == "AUC":
            low, high = unit.min(), unit.max()
            axis.bar(np.arange(len(unit)), (high - low) * target, 1.0, low, alpha=0.25, color=BLUE)
        else:
            other = axis.twinx()
            other.plot(target, color=BLUE, linewidth=1.1)
            other.set_ylabel(one.target, color=BLUE, fontsize=9)
            other.spines[["top"]].set_visible(False)
        axis.plot(unit, color=MODEL, linewidth=1.3)
        finish(axis, f"unit {one.unit} (red) and {one.target} (blue): {one.measure} = {one.held_out:.2f} in this half")
        axis.set_xlim(0, len(unit) - 1)
        axis.set_xlabel("steps, sequence after sequence", fontsize=9)
    return figure
