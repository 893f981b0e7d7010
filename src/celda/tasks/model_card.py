"""The README.md of a model directory: what the model is, what it learnt from, how to use it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from celda import cells
from celda.tasks import notes

if TYPE_CHECKING:
    from celda.tasks.forecaster import Forecaster


_UNITS = {"s": "second", "min": "minute", "h": "hour", "D": "day", "B": "business day", "W": "week"}
_UNITS |= {"M": "month", "BM": "month", "Q": "quarter", "BQ": "quarter", "Y": "year", "BY": "year"}


def forecaster_card(forecaster: Forecaster, directory: Path) -> str:
    """The model card of a fitted forecaster that is saved in `directory`."""
    f, sizes, preprocessor = forecaster, forecaster.sizes_, forecaster.predictor_.preprocessor
    cell = cells.find(f.cell)
    ends = [str(stamp) for stamp in f.trained_until_.values()]
    until = ends[0] if len(set(ends)) == 1 else f"{min(ends)} to {max(ends)}"
    rows = [
        ("forecasts", f"the next {steps_in_words(f.h, preprocessor.freq)}, from the last {sizes.input_size} steps"),
        ("series", f"{len(preprocessor.ids):,}, learnt from until {until}"),
        ("covariates", ", ".join((*f.past, *f.future, *f.static)) or "none"),
        ("calendar", ", ".join(preprocessor.calendar) or "none"),
        ("cell", f"{cell.name}, {f.hidden_size} units, {f.num_layers} layer(s)"),
        ("weights", _weights(f)),
        ("window", f"read {sizes.patch} step(s) at a time, {'less its mean' if f.centre else 'as it is'}"),
        ("season", f"{sizes.season} steps: the network begins as the forecast that repeats the last season"),
        ("scaling", f"{f.scaler}, for each series"),
        ("loss", f.loss),
        ("intervals", _intervals(f)),
        ("training", f"epochs: {f.epochs_}, AdamW, one-cycle up to a rate of {f.learning_rate:g}, seed {f.seed}"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    scores = getattr(f, "test_scores_", None)
    return _CARD.format(
        name=cell.name,
        table=table,
        equations=cell.equations(),
        test=_NO_TEST if scores is None else _TEST.format(scores=markdown(scores), reading=notes.reading(scores)),
        use=_use(f, directory),
    )


def markdown(scores: pd.DataFrame) -> str:
    """A table of scores as Markdown; what a model has not is a dash."""
    lines = ["| | " + " | ".join(scores.columns) + " |", "| --- |" + " ---: |" * len(scores.columns)]
    for name, row in scores.iterrows():
        lines.append(f"| {name} | " + " | ".join("-" if pd.isna(value) else f"{value:.4g}" for value in row) + " |")
    return "\n".join(lines)


def steps_in_words(count: int, freq: str) -> str:
    """Steps in words: "24 steps of 1 hour"; with the pandas frequency where it is none of the common ones."""
    name = freq.partition("-")[0]
    unit = name.lstrip("0123456789")
    number = int(name.removesuffix(unit) or 1)
    word = _UNITS.get(unit) or _UNITS.get(unit[:-1])  # months, quarters and years name their start or end: MS, ME
    step = f"{number} {word}{'s' * (number > 1)}" if word else freq
    return f"{count} step{'s' * (count > 1)} of {step}"


def _weights(f: Forecaster) -> str:
    network = f.predictor_.network
    parts = {
        "in the encoder": network.encoder.parameters(),
        "in the decoder": network.decoder.parameters(),
        "in its output": network.output.parameters(),
        f"in the line from the window to the horizon, {f.sizes_.input_size} x {f.h}": [network.line],
    }
    counts = {where: sum(weights.numel() for weights in some) for where, some in parts.items()}
    return f"{sum(counts.values()):,}: {', '.join(f'{count:,} {where}' for where, count in counts.items())}"


def _use(f: Forecaster, directory: Path) -> str:
    """The lines that load the model and forecast with it."""
    cell = cells.find(f.cell).name
    place = json.dumps(directory.as_posix(), ensure_ascii=False)
    own = "" if cell in cells.CELLS else f", cell={cell}"
    future = ', "future.csv"' if f.future else ""
    columns = ", ".join((*f.columns_.values(), *f.past, *f.future, *f.static))
    lines = ["import celda", "", f"model = celda.load({place}{own})  # where this directory is"]
    lines += [f'forecast = model.predict("my.csv"{future})  # the history, columns: {columns}']
    return "\n".join(lines)


def _intervals(f: Forecaster) -> str:
    if not f.level:
        return "none"
    levels = ", ".join(f"{one:g} %" for one in sorted(f.level))
    how = ["learnt as quantiles"] if f.loss == "quantile" else []
    how += ["corrected on the validation part, which also chose the epochs (split-conformal)"] if f.calibrates else []
    return f"{levels}; {', '.join(how)}"


_TEST = """Scores on the last part of each series, forecast by a model that was fitted without it. The model in this
directory was then fitted on everything. {reading}

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
{use}
```

The model holds no data: it forecasts what follows the end of the table that it is given.

## Limits

The forecast supposes that the near future is like the past that was learnt from. Intervals hold on average over many
forecasts, not for each one, and not after a change of regime. A series that was not there in training is scaled by its
own history, and its forecasts are as good as it is similar.
"""
