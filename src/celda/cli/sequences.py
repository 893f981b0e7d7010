"""The options that `celda train classify` and `celda train tag` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

DataOption = Annotated[str, typer.Argument(help="A file or a folder of labelled sequences.")]
Run = Annotated[Path, typer.Option(help="The folder for everything the run makes.")]
Test = Annotated[str | None, typer.Option(help="A file or a folder for the test.")]
TestSize = Annotated[float, typer.Option(help="Without --test, the share of DATA that is held out for it.")]
LabelCol = Annotated[str, typer.Option(help="The column of labels.")]
IdCol = Annotated[str, typer.Option(help="The column that names the sequence, where a row is a step.")]
TimeCol = Annotated[str | None, typer.Option(help="The column of times, where a row is a step.")]
CellOption = Annotated[str, typer.Option(help="The recurrent cell; `celda cells` lists them.")]
HiddenSize = Annotated[int, typer.Option(help="Units of a recurrent layer, in each direction.")]
NumLayers = Annotated[int, typer.Option(help="Recurrent layers stacked on one another.")]
Bidirectional = Annotated[bool, typer.Option(help="Whether sequences are read from the end, too.")]
Dropout = Annotated[float | None, typer.Option(help="The share of values dropped in training.")]
EmbeddingSize = Annotated[int, typer.Option(help="The width of a word's vector.")]
WordDropout = Annotated[float, typer.Option(help="The share of words hidden in training.")]
MinCount = Annotated[int, typer.Option(help="How often a word must occur to be known.")]
Noise = Annotated[float, typer.Option(help="The deviation of noise added to scaled series in training.")]
Missing = Annotated[str, typer.Option(help="error, or mask: tell the network which values are missing.")]
ClassWeight = Annotated[str | None, typer.Option(help="balanced: rare labels weigh more.")]
Validation = Annotated[float, typer.Option(help="The share for choosing the epochs; 0: none.")]
Epochs = Annotated[int | None, typer.Option(help="The most epochs to train.")]
BatchSize = Annotated[int, typer.Option(help="Sequences in a training step.")]
LearningRate = Annotated[float, typer.Option(help="The highest learning rate.")]
WeightDecay = Annotated[float, typer.Option(help="L2, as AdamW has it.")]
Seed = Annotated[int, typer.Option(help="Of all random numbers.")]
DeviceOption = Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="auto, cpu, cuda or mps.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Delete a former run in the folder first.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show nothing while training.")]
