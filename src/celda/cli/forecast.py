"""`celda train forecast`: from a table to a tested model, its figures and a forecast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from celda.cli.outcomes import interruptible, show_outcome

Device = Literal["auto", "cpu", "cuda", "mps"]


def forecast(
    data: Annotated[str, typer.Argument(help="A CSV or Parquet file, or a data set of `celda data`.")],
    h: Annotated[int, typer.Option("--h", help="The horizon: how many steps to forecast.")],
    run: Annotated[Path, typer.Option(help="The folder for everything the run makes.")],
    time_col: Annotated[str, typer.Option(help="The column of time stamps.")] = "ds",
    target_col: Annotated[str, typer.Option(help="The column to forecast.")] = "y",
    id_col: Annotated[
        str, typer.Option(help="The column that names the series, where there are several.")
    ] = "unique_id",
    freq: Annotated[str | None, typer.Option(help="A pandas frequency, where the time stamps do not tell.")] = None,
    past: Annotated[list[str] | None, typer.Option(help="A covariate known up to now; may be given again.")] = None,
    future: Annotated[
        list[str] | None, typer.Option(help="A covariate known ahead of time; may be given again.")
    ] = None,
    static: Annotated[
        list[str] | None, typer.Option(help="A covariate with one value a series; may be given again.")
    ] = None,
    future_data: Annotated[
        str | None, typer.Option(help="A table of the future covariates of the next h steps.")
    ] = None,
    test_size: Annotated[int | None, typer.Option(help="Steps held out at the end for the test.")] = None,
    cell: Annotated[str, typer.Option(help="The recurrent cell; `celda cells` lists them.")] = "lstm",
    input_size: Annotated[int | None, typer.Option(help="The window a forecast looks back on, in steps.")] = None,
    season: Annotated[int | None, typer.Option(help="Steps of the season that the forecast starts from.")] = None,
    hidden_size: Annotated[int, typer.Option(help="Units of a recurrent layer.")] = 64,
    num_layers: Annotated[int, typer.Option(help="Recurrent layers stacked on one another.")] = 1,
    dropout: Annotated[float, typer.Option(help="The share of values dropped in training.")] = 0.1,
    scaler: Annotated[str, typer.Option(help="standard, minmax, robust or none.")] = "standard",
    loss: Annotated[str, typer.Option(help="quantile, mae or mse.")] = "quantile",
    level: Annotated[
        list[float] | None, typer.Option(help="An interval in per cent; may be given again. [default: 80, 95]")
    ] = None,
    calibrate: Annotated[bool | None, typer.Option(help="Correct the intervals on the validation part.")] = None,
    learning_rate: Annotated[float, typer.Option(help="The highest learning rate.")] = 2e-3,
    weight_decay: Annotated[float, typer.Option(help="L2, as AdamW has it.")] = 0.01,
    batch_size: Annotated[int, typer.Option(help="Windows in a training step.")] = 64,
    epochs: Annotated[int | None, typer.Option(help="The most epochs to train.")] = None,
    val_size: Annotated[int | None, typer.Option(help="Steps for choosing the epochs and for --calibrate.")] = None,
    seed: Annotated[int, typer.Option(help="Of all random numbers.")] = 0,
    device: Annotated[Device, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Delete a former run in the folder first.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show nothing while training.")] = False,
) -> None:
    """Train a forecaster on DATA, test it beside its baselines, and forecast the next steps."""
    from celda.tasks import Forecaster, forecast_run

    forecaster = Forecaster(
        h,
        input_size,
        cell=cell,
        season=season,
        hidden_size=hidden_size,
        num_layers=num_layers,
        dropout=dropout,
        scaler=scaler,
        loss=loss,
        level=tuple(level) if level else (80, 95),
        calibrate=calibrate,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        batch_size=batch_size,
        epochs=epochs,
        val_size=val_size,
        seed=seed,
        device=device,
        id_col=id_col,
        time_col=time_col,
        target_col=target_col,
        freq=freq,
        past=tuple(past or ()),
        future=tuple(future or ()),
        static=tuple(static or ()),
    )
    with interruptible(run):
        outcome = forecast_run.train(
            data, run, forecaster, test_size=test_size, future=future_data, overwrite=overwrite, quiet=quiet
        )
        show_outcome(outcome)
