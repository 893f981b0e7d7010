"""`celda train classify`: from labelled sequences to a tested classifier."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from celda.cli import sequences as given
from celda.cli.outcomes import interruptible, show_outcome


def classify(
    data: given.DataOption,
    run: given.Run,
    test: given.Test = None,
    test_size: given.TestSize = 0.2,
    text_col: Annotated[str, typer.Option(help="The column of texts.")] = "text",
    label_col: given.LabelCol = "label",
    id_col: given.IdCol = "id",
    time_col: given.TimeCol = None,
    cell: given.CellOption = "lstm",
    hidden_size: Annotated[
        int | None, typer.Option(help="Units of a recurrent layer. [default: 32 with texts, 64 with series]")
    ] = None,
    num_layers: given.NumLayers = 1,
    bidirectional: given.Bidirectional = True,
    pooling: Annotated[
        str | None, typer.Option(help="last, mean, max or attention. [default: max with texts, last with series]")
    ] = None,
    dropout: given.Dropout = None,
    embedding_size: given.EmbeddingSize = 64,
    word_dropout: given.WordDropout = 0.1,
    min_count: given.MinCount = 2,
    max_length: Annotated[int | None, typer.Option(help="The most words of a text that are read.")] = 200,
    wide: Annotated[bool, typer.Option(help="Add what the words of a text say without their order.")] = True,
    noise: given.Noise = 0.0,
    missing: given.Missing = "error",
    class_weight: given.ClassWeight = None,
    calibrate: Annotated[bool, typer.Option(help="Correct the probabilities on the validation part.")] = True,
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
    """Train a classifier on DATA, and test it beside its baselines."""
    from celda.tasks import Classifier
    from celda.tasks.sequences.run import train

    options: dict[str, Any] = {name: value for name, value in locals().items() if name in Classifier._get_param_names()}
    with interruptible(run):
        estimator = Classifier(**options)
        outcome = train(data, run, estimator, test=test, test_size=test_size, overwrite=overwrite, quiet=quiet)
        show_outcome(outcome)
