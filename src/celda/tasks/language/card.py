"""The README.md of a language model's directory: what the model is, what it learnt from, how to use it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from celda import cells
from celda.tasks.language.notes import READING
from celda.tasks.model_card import markdown

if TYPE_CHECKING:
    from celda.tasks.language.model import LanguageModel

_DROPOUTS = ("dropout", "recurrent_dropout", "weight_drop", "embedding_dropout", "input_dropout", "output_dropout")


def model_card(model: LanguageModel, directory: Path) -> str:
    """The model card of a fitted language model that is saved in `directory`."""
    m, network = model, model.network_
    cell = cells.find(m.cell)
    dropped = ", ".join(f"{name} {getattr(m, name):g}" for name in _DROPOUTS if getattr(m, name))
    tied = ", which is also the matrix of the scores" if network.output.weight is network.embedding.weight else ""
    rows = [
        ("foretells", f"the next {m.vocabulary_.kind} of a text, of {m.vocabulary_.size:,} kinds"),
        ("cell", f"{cell.name}, {m.hidden_size} units, {m.num_layers} layer(s)"),
        ("embedding", f"{network.embedding.embedding_dim} numbers a token{tied}"),
        ("weights", f"{sum(weights.numel() for weights in network.parameters()):,}"),
        ("regularisation", dropped or "none"),
        ("training", f"epochs: {m.epochs_}, {m.optimizer}, {m.batch_size} streams, chunks of {m.steps}, seed {m.seed}"),
    ]
    return _CARD.format(
        name=cell.name,
        table="\n".join(f"| {name} | {value} |" for name, value in rows),
        equations=cell.equations(),
        tested=m.tested_,
        reading=READING,
        scores=markdown(m.scores_),
        place=json.dumps(directory.as_posix(), ensure_ascii=False),
        own="" if cell.name in cells.CELLS else f", cell={cell.name}",
    )


_CARD = """# A language model with {name}

| | |
| --- | --- |
{table}

```
{equations}
```

## Test

Scores on the last part of the text, {tested:,} characters that the model has not seen, beside n-grams with Witten-Bell
smoothing. {reading}

{scores}

## Use

```python
import celda

model = celda.load({place}{own})  # where this directory is
print(model.sample(length=400, temperature=0.8, seed=1))
print(model.bits_per_character("my.txt"))
```

## Limits

It writes what looks like the text that it has learnt from, without knowing what is true; it may repeat parts of that
text word by word. What it has not seen there it does not know.
"""
