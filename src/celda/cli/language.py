"""`celda train language` and `celda sample`: from a text to a tested model, and what it writes."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from celda.cli.forecast import Device
from celda.cli.outcomes import interruptible, show_outcome
from celda.errors import CeldaError

Tokenizer = Literal["character", "word", "subword"]
Optimizer = Literal["adam", "asgd"]


def language(
    text: Annotated[Path, typer.Argument(help="A text file.")],
    run: Annotated[Path, typer.Option(help="The folder for everything the run makes.")],
    tokenizer: Annotated[Tokenizer, typer.Option(help="What the text is taken apart into.")] = "character",
    vocab_size: Annotated[
        int | None, typer.Option(help="Different tokens. [default: all characters, 10000 words, 4000 subwords]")
    ] = None,
    encoding: Annotated[str, typer.Option(help="How the file is encoded.")] = "utf-8",
    cell: Annotated[str, typer.Option(help="The recurrent cell; `celda cells` lists them.")] = "lstm",
    hidden_size: Annotated[int, typer.Option(help="Units of a recurrent layer.")] = 512,
    num_layers: Annotated[int, typer.Option(help="Recurrent layers stacked on one another.")] = 1,
    embedding_size: Annotated[
        int | None, typer.Option(help="Numbers of a token. [default: 128 for characters, else --hidden-size]")
    ] = None,
    tied: Annotated[
        bool | None, typer.Option(help="One matrix for embedding and scores. [default: but for characters]")
    ] = None,
    dropout: Annotated[float, typer.Option(help="Dropped between layers.")] = 0.2,
    recurrent_dropout: Annotated[float, typer.Option(help="Dropped of what recurrent matrices multiply.")] = 0.0,
    weight_drop: Annotated[float, typer.Option(help="Dropped of the weights of recurrent matrices.")] = 0.2,
    embedding_dropout: Annotated[float, typer.Option(help="Dropped of whole tokens.")] = 0.0,
    input_dropout: Annotated[float, typer.Option(help="Dropped of what enters the first layer.")] = 0.1,
    output_dropout: Annotated[float, typer.Option(help="Dropped of what leaves the last layer.")] = 0.3,
    optimizer: Annotated[
        Optimizer, typer.Option(help="adam, or averaged gradient descent (NT-ASGD, the AWD recipe).")
    ] = "adam",
    learning_rate: Annotated[
        float | None, typer.Option(help="The highest learning rate. [default: 0.003, with asgd 30]")
    ] = None,
    weight_decay: Annotated[float, typer.Option(help="L2.")] = 0.01,
    clip_norm: Annotated[float, typer.Option(help="The largest norm of a gradient.")] = 1.0,
    batch_size: Annotated[int, typer.Option(help="Parallel streams that the text is laid out as.")] = 32,
    steps: Annotated[int, typer.Option(help="Tokens that gradients go back through.")] = 100,
    epochs: Annotated[
        int | None, typer.Option(help="How often the text is gone through. [default: 10 million tokens, 50 at most]")
    ] = None,
    val_size: Annotated[float, typer.Option(help="The share of the text for choosing the epoch.")] = 0.05,
    test_size: Annotated[float, typer.Option(help="The share of the text, at its end, for the test.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Of all random numbers.")] = 0,
    device: Annotated[Device, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Delete a former run in the folder first.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show nothing while training.")] = False,
) -> None:
    """Train a language model on TEXT, and test it beside n-grams on the part that it has not seen."""
    from celda.tasks import LanguageModel
    from celda.tasks.language import run as language_run

    model = LanguageModel(
        tokenizer,
        vocab_size=vocab_size,
        cell=cell,
        hidden_size=hidden_size,
        num_layers=num_layers,
        embedding_size=embedding_size,
        tied=tied,
        dropout=dropout,
        recurrent_dropout=recurrent_dropout,
        weight_drop=weight_drop,
        embedding_dropout=embedding_dropout,
        input_dropout=input_dropout,
        output_dropout=output_dropout,
        optimizer=optimizer,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        clip_norm=clip_norm,
        batch_size=batch_size,
        steps=steps,
        epochs=epochs,
        val_size=val_size,
        test_size=test_size,
        encoding=encoding,
        seed=seed,
        device=device,
    )
    with interruptible(run):
        show_outcome(language_run.train(text, run, model, overwrite=overwrite, quiet=quiet))


def sample(
    run: Annotated[Path, typer.Argument(help="The folder of the run, or of a model.")],
    prime: Annotated[str, typer.Option(help="What the text goes on from.")] = "",
    length: Annotated[int, typer.Option(help="How many characters to write.")] = 400,
    temperature: Annotated[
        float, typer.Option(help="Below 1 the likely is written more often, above 1 less; 0: the likeliest always.")
    ] = 0.8,
    top_k: Annotated[int | None, typer.Option(help="Draw from so many of the likeliest tokens only.")] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Draw from the likeliest tokens only that have this probability together.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the draws. [default: another text each time]")] = None,
) -> None:
    """Write a text with a language model, as it comes."""
    from celda.tasks import LanguageModel, load

    model = load(run)
    if not isinstance(model, LanguageModel):
        raise CeldaError(f"{run} holds a {type(model).__name__}, which writes no text: give a language model's folder.")
    sampler = model.sampler(temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    sampler.read(prime)
    for note in sampler.notes:
        typer.echo(note, err=True)
    pieces = itertools.chain([prime], sampler.write(length))
    try:
        for piece in pieces:
            sys.stdout.write(piece)
            sys.stdout.flush()
        typer.echo()
    except KeyboardInterrupt:  # enough of it
        typer.echo()
