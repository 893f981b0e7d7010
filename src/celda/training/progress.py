"""What a training shows on stderr while it runs."""

from datetime import timedelta
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from celda.training.history import History


class Reporter(Protocol):
    """A context that is told of every step and every epoch."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def step(self, epoch: int, train_loss: float) -> None:
        """A step of `epoch` is done; `train_loss` is the mean of the epoch so far."""

    def epoch(self, history: History) -> None:
        """An epoch is done, the last of the history."""


def reporter(title: str, epochs: int, steps: int, done: int, quiet: bool) -> Reporter:
    """A bar on a terminal, a few lines elsewhere, nothing when quiet.

    There are `steps` in each of `epochs`, and `done` steps in all were done before.
    """
    console = Console(stderr=True)
    if quiet:
        return Silence()
    return Bar(console, title, epochs, steps, done) if console.is_terminal else Lines(console, title, epochs)


class Silence:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def step(self, epoch: int, train_loss: float) -> None:
        """Show nothing."""

    def epoch(self, history: History) -> None:
        """Show nothing."""


class Lines:
    """About ten plain lines in all, for logs and pipes."""

    def __init__(self, console: Console, title: str, epochs: int) -> None:
        self._console, self._title, self._epochs = console, title, epochs

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def step(self, epoch: int, train_loss: float) -> None:
        """Show nothing."""

    def epoch(self, history: History) -> None:
        """Print the first epoch, the last one, and about one in ten."""
        last = history.epochs[-1]
        ends = last.epoch in (1, self._epochs) or history.stopped_early
        if not ends and last.epoch % -(-self._epochs // 10):
            return
        left = timedelta(seconds=round(history.seconds / last.epoch * (self._epochs - last.epoch)))
        tail = "stopped early" if history.stopped_early else f"{left} left"
        losses = f"train {last.train_loss:.4g}{_valid(history)}"
        line = f"{self._title}: epoch {last.epoch}/{self._epochs}, {losses}, {tail}"
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


class Bar:
    """A bar over all steps with the losses and the time left."""

    def __init__(self, console: Console, title: str, epochs: int, steps: int, done: int) -> None:
        self._epochs, self._valid = epochs, ""
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[state]}", markup=False),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
        )
        self._task = self._progress.add_task(title, total=epochs * steps, completed=done, state="")
        self._title = title

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def step(self, epoch: int, train_loss: float) -> None:
        """Move the bar."""
        self._progress.update(self._task, advance=1)
        self._show(epoch, train_loss)

    def epoch(self, history: History) -> None:
        """Show the new validation loss from now on."""
        self._valid = _valid(history)
        self._show(history.epochs[-1].epoch, history.epochs[-1].train_loss)

    def _show(self, epoch: int, train_loss: float) -> None:
        description = f"{self._title} {epoch}/{self._epochs}"
        self._progress.update(self._task, description=description, state=f"train {train_loss:.4g}{self._valid}")


def _valid(history: History) -> str:
    last = history.epochs[-1]
    if last.valid_loss is None:
        return ""
    return f", valid {last.valid_loss:.4g}, best {history.best_loss:.4g} ({history.best_epoch})"
