"""One step of a layer as a picture of its equations and numbers."""

from __future__ import annotations

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from celda.insight.figures.theme import Theme, colour
from celda.insight.walk import Walk

_LINE = 0.3  # inches


def walk_figure(walk: Walk, theme: Theme) -> Figure:
    """The equations of a step with the numbers of one unit, each over what it comes to."""
    rows: list[tuple[str, str, bool]] = []
    for line in walk.lines:
        left = line.equation.partition(" = ")[0]
        ink = colour(line.role.kind, theme.ink)
        rows.append((f"{line.role.kind}:  {line.equation}", ink, True))
        written = " = ".join((*line.numbers, f"{line.value:.3f}")).replace("-", "−")
        rows += [(f"      {left} = {written}", theme.ink, False), ("", theme.ink, False)]
    widest = max(len(text) for text, _, _ in rows)
    figure = Figure(figsize=(max(9, 0.085 * widest + 0.6), _LINE * len(rows) + 0.7))
    FigureCanvasAgg(figure)
    high = figure.get_figheight()
    figure.text(0.3 / figure.get_figwidth(), 1 - 0.35 / high, f"Step {walk.step + 1}, unit {walk.unit}", weight="bold")
    for number, (text, ink, strong) in enumerate(rows):
        at = (0.3 / figure.get_figwidth(), 1 - (0.75 + _LINE * number) / high)
        figure.text(*at, text, color=ink, family="monospace", weight="bold" if strong else "normal", fontsize=9.5)
    return figure
