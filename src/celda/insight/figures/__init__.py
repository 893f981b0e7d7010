"""The figures of a report, light and dark, each drawn from what the rest of `celda.insight` found."""

from celda.insight.figures.gates import averages_figure, heat_figure, openness_figure
from celda.insight.figures.inputs import attribution_figure, tracking_figure
from celda.insight.figures.memory import gradient_figure, kept_figure
from celda.insight.figures.theme import DARK, LIGHT, Theme, themed
from celda.insight.figures.walk import walk_figure

__all__ = [
    "DARK",
    "LIGHT",
    "Theme",
    "attribution_figure",
    "averages_figure",
    "gradient_figure",
    "heat_figure",
    "kept_figure",
    "openness_figure",
    "themed",
    "tracking_figure",
    "walk_figure",
]
