"""The README.md of a model directory: what the model is, what it learnt from, how to use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from celda import cells

if TYPE_CHECKING:
    from celda.tasks.forecaster import Forecaster


def forecaster_card(forecaster: Forecaster) -> str:
    """The model card of a fitted forecaster."""
    f, sizes, preprocessor = forecaster, forecaster.sizes_, forecaster.predictor_.preprocessor
    cell = cells.find(f.cell)
    weights = sum(parameter.numel() for parameter in f.predictor_.network.parameters())
    ends = [str(stamp) for stamp in f.trained_until_.values()]
    until = ends[0] if len(set(ends)) == 1 else f"{min(ends)} to {max(ends)}"
    rows = [
        ("forecasts", f"{f.h} steps of {preprocessor.freq}, from the last {sizes.input_size}"),
        ("series", f"{len(preprocessor.ids):,}, learnt from until {until}"),
        ("covariates", ", ".join((*f.past, *f.future, *f.static)) or "none"),
        ("calendar", ", ".join(preprocessor.calendar) or "none"),
        ("cell", f"{cell.name}, {f.hidden_size} units, {f.num_layers} layer(s), {weights:,} weights in all"),
        ("window", f"read {sizes.patch} step(s) at a time, {'less its mean' if f.centre else 'as it is'}"),
        ("season", f"{sizes.season} steps: the forecast starts from the values one season before"),
        ("scaling", f"{f.scaler}, for each series"),
        ("loss", f.loss),
        ("intervals", _intervals(f)),
        ("training", f"{f.epochs_} epochs, AdamW, one-cycle up to a rate of {f.learning_rate:g}, seed {f.seed}"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    scores = getattr(f, "test_scores_", None)
    return _CARD.format(
        name=cell.name,
        table=table,
        equations=cell.equations(),
        test=_NO_TEST if scores is None else _TEST.format(scores=markdown(scores)),
    )


def markdown(scores: pd.DataFrame) -> str:
    """A table of scores as Markdown; what a model has not is a dash."""
    lines = ["| | " + " | ".join(scores.columns) + " |", "| --- |" + " ---: |" * len(scores.columns)]
    for name, row in scores.iterrows():
        lines.append(f"| {name} | " + " | ".join("-" if pd.isna(value) else f"{value:.4g}" for value in row) + " |")
    return "\n".join(lines)


def _intervals(f: Forecaster) -> str:
    if not f.level:
        return "none"
    levels = ", ".join(f"{one:g} %" for one in sorted(f.level))
    how = ["learnt as quantiles"] if f.loss == "quantile" else []
    how += ["corrected on the validation part, which also chose the epochs (split-conformal)"] if f.calibrates else []
    return f"{levels}; {', '.join(how)}"


_TEST = """Scores on the last part of each series, forecast by a model that was fitted without it (coverage, MAPE and
sMAPE in per cent; MAPE leaves out values of zero). The model in this directory was then fitted on everything.

{scores}
"""

_NO_TEST = """This model was saved without a test: `evaluate` scores it, beside baselines, on data that came after its
training.
"""

_CARD = """# Forecasting with {name}

| | |
| --- | --- |
{table}

```
{equations}
```

## Test

{test}
## Use

```python
import celda

model = celda.load("this directory")
forecast = model.predict("history.csv")
```

## Limits

The forecast supposes that the near future is like the past that was learnt from. Intervals hold on average over many
forecasts, not for each one, and not after a change of regime. A series that was not there in training is scaled by its
own history, and its forecasts are as good as it is similar.
"""
