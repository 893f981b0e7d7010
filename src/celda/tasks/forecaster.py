"""Forecasting: a table of series in, a table of forecasts with intervals out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

import pandas as pd
from sklearn.base import BaseEstimator, clone

from celda import cells
from celda.checks import options_of, suggesting
from celda.data import Table, Windows, read_table
from celda.errors import CeldaError
from celda.language import Cell
from celda.tasks import intervals, saved_forecaster
from celda.tasks.backtest import Backtest, long_frame
from celda.tasks.options import check_count, check_fitted, check_options, settled
from celda.tasks.phases import Phases
from celda.tasks.predictor import Predictor
from celda.tasks.rolling import backtest, naive_scales, steps_seen
from celda.tasks.sizes import Sizes, best_epoch, check_held_out
from celda.training import forget

File = pd.DataFrame | str | Path
Source = File | Table


class Forecaster(BaseEstimator):
    """Forecasts the next h steps of one or many series with a recurrent network.

    It has the manners of scikit-learn and the words of Nixtla. A table is long: a row for each series and time stamp, a
    DataFrame, the path of a CSV or Parquet file, or the name of an embedded data set. Sizes that are None are derived
    from the frequency and the length of the history when the model is fitted.

    Args:
        h: the horizon, in steps.
        input_size: the window, in steps, that a forecast looks back on.
        cell: the recurrent cell: a name (`celda.cells.CELLS`), or a cell of your own. It names the forecast's column.
        hidden_size, num_layers, dropout: of the network.
        loss: "quantile" (the median and the intervals are learnt together), "mae" or "mse" (the point alone).
        level: the prediction intervals, in per cent.
        calibrate: whether intervals are corrected on the validation windows (split-conformal prediction). By default
            only where the loss gives none by itself: "mae", "mse".
        scaler: "standard", "minmax", "robust" or "none", learnt from the training part of each series.
        centre: whether the mean of a window is taken off before the network sees it.
        calendar: whether the time of day, week and year are given to the network.
        season: steps of the season of the seasonal naive forecast, from which the network starts.
        patch: time steps that one step of the recurrent layers reads.
        learning_rate, batch_size, weight_decay: of AdamW.
        epochs: the most to train; how many of them are best is found on the validation part.
        val_size: steps at the end of each series for that and for the intervals.
        seed: of all random numbers. device: "auto", "cpu", "cuda" or "mps".
        id_col, time_col, target_col: names of columns. freq: a pandas frequency, for time stamps that do not tell.
        past, future, static: names of covariates known up to the present, ahead of time, or one value a series.

    Attributes, once fitted:
        options_: a copy of this forecaster's options as they were then; what is set later counts at the next fit.
        sizes_: the `Sizes` that were given or derived. epochs_: how many epochs were best.
        predictor_: the network, the preprocessor and the corrections of the intervals.
        histories_: the `History` of each phase of training.
        columns_: the names of columns that were given or found.
        trained_until_: the last time stamp the network learnt from, and
        naive_scale_: the seasonal naive error of what it learnt from (the unit of the MASE), by series.
        notes_: what the last call of a method noticed: what it guessed, sorted or filled in, and what differs from the
            training.
    """

    @suggesting()
    def __init__(
        self,
        h: int,
        input_size: int | None = None,
        *,
        cell: str | Cell = "lstm",
        hidden_size: int = 64,
        num_layers: int = 1,
        dropout: float = 0.1,
        loss: str = "quantile",
        level: Sequence[float] = (80, 95),
        calibrate: bool | None = None,
        scaler: str = "standard",
        centre: bool = True,
        calendar: bool = True,
        season: int | None = None,
        patch: int | None = None,
        learning_rate: float = 2e-3,
        batch_size: int = 64,
        weight_decay: float = 0.01,
        epochs: int | None = None,
        val_size: int | None = None,
        seed: int = 0,
        device: Literal["auto", "cpu", "cuda", "mps"] = "auto",
        id_col: str = "unique_id",
        time_col: str = "ds",
        target_col: str = "y",
        freq: str | None = None,
        past: Sequence[str] = (),
        future: Sequence[str] = (),
        static: Sequence[str] = (),
    ) -> None:
        self.h = h
        self.input_size = input_size
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.dropout = dropout
        self.loss = loss
        self.level = level
        self.calibrate = calibrate
        self.scaler = scaler
        self.centre = centre
        self.calendar = calendar
        self.season = season
        self.patch = patch
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.weight_decay = weight_decay
        self.epochs = epochs
        self.val_size = val_size
        self.seed = seed
        self.device = device
        self.id_col = id_col
        self.time_col = time_col
        self.target_col = target_col
        self.freq = freq
        self.past = past
        self.future = future
        self.static = static

    @suggesting(elsewhere=options_of("Forecaster", __init__))
    def fit(self, df: Source, *, run: str | Path | None = None, resume: bool = False, quiet: bool = True) -> Self:
        """Learn from a table, in two phases.

        "choose" trains without the last `val_size` steps of each series, and finds there the best number of epochs and
        how to correct the intervals. "fit" trains anew for so many epochs on everything. With a folder `run` both keep
        their checkpoints and metrics there, and `resume=True` goes on from them to the very same weights.

        Raises CeldaError where an option or the table cannot be used, and KeyboardInterrupt after Ctrl-C, when the
        checkpoint is written.
        """
        check_options(self)
        options: Self = settled(self)
        table = options.read(df)
        sizes = Sizes.derive(options, table)
        if run is not None and not resume:
            forget(Path(run))
        phases = Phases(options, sizes, run, resume, quiet)
        cut = table.lengths - sizes.val_size
        first = phases.train(table, cut, sizes.epochs, "choose")
        epochs = best_epoch(phases.histories["choose"], sizes.epochs)
        corrections = phases.corrections(first, table, cut)
        last = phases.train(table, table.lengths, epochs, "fit")
        self.options_, self.sizes_, self.epochs_, self.histories_ = options, sizes, epochs, phases.histories
        self._learnt(table, replace(last, corrections=corrections), phases)
        return self

    def refit(
        self,
        df: Source,
        *,
        run: str | Path | None = None,
        resume: bool = False,
        quiet: bool = True,
        phase: str = "refit",
    ) -> Self:
        """Train anew on a table, with the sizes, the number of epochs and the corrections that `fit` found."""
        check_fitted(self)
        table = self.read(df)
        options: Forecaster = clone(self.options_).set_params(device=self.device)  # which is this machine's
        table.require(self.sizes_.input_size, options.h)
        phases = Phases(options, self.sizes_, run, resume, quiet)
        predictor = phases.train(table, table.lengths, self.epochs_, phase)
        self.histories_ = {**self.histories_, **phases.histories}
        self._learnt(table, replace(predictor, corrections=self.predictor_.corrections), phases)
        return self

    @suggesting(elsewhere=options_of("Forecaster", __init__))
    def predict(self, df: Source | None = None, future_df: File | None = None) -> pd.DataFrame:
        """Forecast the h steps after the end of each series.

        Args:
            df: the history; None: that of the fit.
            future_df: the covariates known ahead of time, with the columns of the table less the target. Without it
                they are taken from rows of the table after the last target.

        Returns:
            A row for each series and step: `unique_id`, `ds` (the real time stamps), the point forecast in a column
            named after the cell, and for each level `lstm-lo-80` and `lstm-hi-80`.
        """
        check_fitted(self)
        table = self._table if df is None else self.read(df)
        if table is None:
            raise CeldaError(
                "A model that was loaded holds no history to forecast from: give it, predict('my.csv') or predict(df)."
            )
        options = self.options_
        table = table.extend(options.h, future_df)
        panel = self.predictor_.preprocessor.transform(table)
        self.notes_ = table.notes
        self._note(panel.notes)
        windows = Windows.latest(panel, self.sizes_.input_size, options.h)
        quantiles = self.predictor_.quantiles(windows)
        whose = {"unique_id": table.names}
        return long_frame(options.name, quantiles, sorted(options.level), windows.target_stamps, whose)

    def evaluate(self, df: Source, *, step_size: int | None = None) -> Backtest:
        """Forecast what came after all that the network has learnt from, beside the baselines.

        `df` holds the history and what came after it. Origins follow one another by `step_size` steps, h by default.
        Of a series that was not there in training, the second half is forecast. The ridge autoregression is fitted on
        the part before. Raises CeldaError where nothing came after.
        """
        check_fitted(self)
        options = self.options_
        step = options.h if step_size is None else step_size
        check_count("step_size", step)
        table = self.read(df)
        begin = steps_seen(table, self.trained_until_)
        panel = self.predictor_.preprocessor.transform(table, begin)
        windows = Windows(panel, self.sizes_.input_size, options.h, begin=begin, step_size=step)
        if not len(windows):
            series, until = next(iter(self.trained_until_.items()))
            raise CeldaError(
                f"There is nothing to evaluate on: the model has learnt from series {series!r} up to {until}, and a "
                f"test needs {options.h} steps after that: give a table that goes further."
            )
        scale = naive_scales(table, begin, self.sizes_.season) | self.naive_scale_
        result = backtest(self.predictor_, table, windows, begin, scale, options.name, options.level)
        self.notes_ = result.notes
        return result

    def cross_validation(
        self,
        df: Source,
        n_windows: int = 1,
        step_size: int | None = None,
        *,
        refit: bool = False,
        quiet: bool = True,
    ) -> pd.DataFrame:
        """Forecast the last `n_windows` horizons of each series from rolling origins, `step_size` (h) steps apart.

        A copy of this forecaster is fitted on what lies before the first origin; with `refit` it is trained anew before
        each of the others. Returns the table of `predict` with `cutoff`, `y` and the baselines' columns;
        `scores_` then holds the metrics, a row a model.
        """
        check_options(self)
        step = self.h if step_size is None else step_size
        check_count("n_windows", n_windows)
        check_count("step_size", step)
        table = self._read(df)
        test = self.h + step * (n_windows - 1)  # from the first origin to the end
        check_held_out(table, test, "n_windows or step_size")
        model: Self = clone(self).fit(table.until(-test), quiet=quiet)
        self.notes_ = model.notes_
        tests = [] if refit else [model.evaluate(table, step_size=step)]
        for left in range(test, self.h - 1, -step) if refit else ():
            if left < test:
                model.refit(table.until(-left), quiet=quiet)
            tests.append(model.evaluate(table.until(table.lengths - left + self.h)))
        whole = Backtest.join(tests)
        self._note(whole.notes)
        self.scores_ = whole.scores
        return whole.frame.sort_values(["unique_id", "cutoff", "ds"], ignore_index=True)

    def save(self, directory: str | Path) -> None:
        """Write the model to a directory that `celda.load` reads; a model that stands there is replaced.

        Raises CeldaError where something else stands there.
        """
        check_fitted(self)
        saved_forecaster.save(self, Path(directory))

    def read(self, df: Source) -> Table:
        """Read a table; once fitted, with the columns and at the frequency that the fit found."""
        if not hasattr(self, "predictor_"):
            return self._read(df)
        options: Forecaster = self.options_
        return options._read(df, self.columns_, self.predictor_.preprocessor.freq)

    def _read(self, df: Source, columns: Mapping[str, str] | None = None, freq: str | None = None) -> Table:
        if isinstance(df, Table):
            return df
        named = {name: getattr(self, name) for name in ("id_col", "time_col", "target_col")}
        if columns is not None:
            named |= {"time_col": None} | dict(columns)  # of steps without stamps none was found
        return read_table(
            df,
            **named,
            past=self.past,
            future=self.future,
            static=self.static,
            freq=self.freq,
            likely=freq,
            exactly="which the model has learnt from" if columns is not None else None,
        )

    @property
    def name(self) -> str:
        """The name of the forecast's column: the cell's."""
        return cells.find(self.cell).name

    @property
    def calibrates(self) -> bool:
        """Whether intervals are corrected on the validation windows."""
        return self.loss != "quantile" if self.calibrate is None else self.calibrate

    @property
    def quantiles(self) -> tuple[float, ...]:
        """The quantiles that the network gives."""
        return intervals.quantiles_of(self.level) if self.loss == "quantile" else (0.5,)

    def _learnt(self, table: Table, predictor: Predictor, phases: Phases) -> None:
        """Take up what a training on a table came to; until then what was there before holds."""
        self.predictor_ = predictor
        self._table: Table | None = table
        self.notes_ = tuple(dict.fromkeys((*table.notes, *phases.notes)))
        found = {name: getattr(table.columns, name) for name in ("id_col", "time_col", "target_col")}
        self.columns_ = {name: column for name, column in found.items() if column is not None}
        self.naive_scale_ = naive_scales(table, table.lengths, phases.sizes.season)
        stamps = table.frame["ds"].iloc[table.starts[1:] - 1].tolist()
        self.trained_until_ = dict(zip(table.ids, stamps, strict=True))

    def _note(self, notes: Sequence[str]) -> None:
        self.notes_ = tuple(dict.fromkeys((*self.notes_, *notes)))
