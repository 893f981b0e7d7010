"""The README.md of the directory of a classifier or a tagger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from celda import cells
from celda.data.series import SeriesEncoder
from celda.tasks.model_card import markdown

_TITLES = {"classify": "Classifying with", "tag": "Tagging with"}
_SHAPES = {
    "text": '["a text", "another"]',
    "words": '[["a", "sentence"], ["another"]]',
    "series": "[an array (T, D), another]",
}


def sequence_card(estimator: Any, directory: Path) -> str:
    """The model card of a fitted classifier or tagger that is saved in `directory`."""
    options, encoder = estimator.options_, estimator.encoder_
    cell = cells.find(options.cell)
    if isinstance(encoder, SeriesEncoder):
        inputs = f"series of {encoder.features} feature(s)" + (", with missing values" if encoder.masks else "")
    else:
        sizes = [f"{len(table.words):,} by {view}" for view, table in encoder.vocabularies.items()]
        inputs = f"{estimator.kind_}; known: {', '.join(sizes)}"
    classes = [str(one) for one in estimator.classes_]
    more = f" and {len(classes) - 12} more" if len(classes) > 12 else ""
    ways = "both directions" if options.bidirectional else "one direction"
    rows = [
        ("inputs", inputs),
        ("classes", f"{len(classes)}: {', '.join(classes[:12])}{more}"),
        ("cell", f"{cell.name}, {estimator.network_.layers.hidden_size} units, {options.num_layers} layer(s), {ways}"),
        ("weights", f"{sum(weights.numel() for weights in estimator.network_.parameters()):,}"),
        *estimator._facts(),
        ("training", f"epochs: {estimator.epochs_}, AdamW, one-cycle up to {options.learning_rate:g}"),
        ("seed", options.seed),
    ]
    scores = getattr(estimator, "test_scores_", None)
    own = "" if cell.name in cells.CELLS else f", cell={cell.name}"
    return _CARD.format(
        title=f"{_TITLES[estimator.TASK]} {cell.name}",
        table="\n".join(f"| {name} | {value} |" for name, value in rows),
        equations=cell.equations(),
        test="This model was saved without a test." if scores is None else _TEST.format(scores=markdown(scores)),
        load=json.dumps(directory.as_posix(), ensure_ascii=False) + own,
        shape=_SHAPES[estimator.kind_],
    )


_TEST = """Scores on sequences that the model has not learnt from:

{scores}"""

_CARD = """# {title}

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

model = celda.load({load})  # where this directory is
labels = model.predict({shape})
```

## Limits

The model knows no label but those above, and gives one of them to whatever it is given. Its probabilities hold for data
like that it learnt from.
"""
