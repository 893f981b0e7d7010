"""`celda train tag`: from sequences with a label a step to a tested tagger."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from celda.cli import sequences as given
from celda.cli.outcomes import interruptible, show_outcome


def tag(
    data: given.DataOption,
    run: given.Run,
    test: given.Test = None,
    test_size: given.TestSize = 0.2,
    token_col: Annotated[str, typer.Option(help="The column of words.")] = "token",
    label_col: given.LabelCol = "label",
    id_col: given.IdCol = "id",
    time_col: given.TimeCol = None,
    crf: Annotated[bool, typer.Option("--crf", help="Let a label depend on the one before it.")] = False,
    cell: given.CellOption = "lstm",
    hidden_size: given.HiddenSize = 64,
    num_layers: given.NumLayers = 1,
    bidirectional: given.Bidirectional = True,
    dropout: given.Dropout = None,
    embedding_size: given.EmbeddingSize = 64,
    word_dropout: given.WordDropout = 0.1,
    min_count: given.MinCount = 1,
    noise: given.Noise = 0.0,
    missing: given.Missing = "error",
    class_weight: given.ClassWeight = None,
    validation: given.Validation = 0.2,
    epochs: given.Epochs = None,
    batch_size: given.BatchSize = 32,
    learning_rate: given.LearningRate = 5e-3,
    weight_decay: given.WeightDecay = 0.01,
    seed: given.Seed = 0,
    device: given.DeviceOption = "auto",
    overwrite: given.Overwrite = False,
    quiet: given.Quiet = False,
) -> None:
    """Train a tagger on DATA, and test it beside its baselines."""
    from celda.tasks import Tagger
    from celda.tasks.sequences.run import train

    options: dict[str, Any] = {name: value for name, value in locals().items() if name in Tagger._get_param_names()}
    with interruptible(run):
        estimator = Tagger(**options)
        outcome = train(data, run, estimator, test=test, test_size=test_size, overwrite=overwrite, quiet=quiet)
        show_outcome(outcome)
