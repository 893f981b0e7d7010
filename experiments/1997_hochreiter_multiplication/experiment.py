"""Multiplying two marked values."""

from __future__ import annotations

from experiments.experiment import Check, Column, Experiment, Run
from experiments.tasks.marked import multiplication
from experiments.tasks.marked_runs import Marked, once


def setting(cell: str, init: str, limit: int, rate: float) -> Marked:
    """The same for all but what is named here."""
    return Marked(cell, 32, rate, limit, batch_size=32, init=init, check=2_000, goal=0.0005, correct=0.04)


EXPERIMENT = Experiment(
    title="Multiplication",
    source="Hochreiter & Schmidhuber 1997, experiment 5",
    claim="""As adding, with values in [0, 1] and their product asked for: a memory that only adds up is not enough.
The paper's LSTM needs 482,000 sequences of 100 steps for a mean squared error of .0223.""",
    setting="""The task is the paper's; always saying the mean has an error of .049. A modern LSTM, Adam, batches of
32. Learning ends when the mean error of 2,000 fresh sequences is below .0005. Wrong is what is off by .04.""",
    columns=(
        Column("mse", "MSE", ".4f"),
        Column("wrong", "wrong of 2,560"),
        Column("sequences", "sequences needed"),
        Column("weights", "weights"),
    ),
    runs=(
        Run(
            "lstm", setting("lstm", "chrono:100", 200_000, 0.005), once(multiplication), "482,000 sequences, MSE .0223"
        ),
        Run("rnn", setting("rnn", "torch", 100_000, 0.001), once(multiplication), "", seeds=3, quick=False),
    ),
    checks=(
        Check("The LSTM's MSE is at most .0223 on every seed", lambda r: max(r["lstm"].of("mse")) <= 0.0223, ("lstm",)),
    ),
    why="""The task is no harder than adding for a modern cell: it needs about a tenth of the paper's sequences, and its
error is far smaller. Batches and Adam are most of the difference to the paper, where one sequence at a time was learned
by plain gradient descent.""",
)
