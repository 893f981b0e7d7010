"""Adding two marked values."""

from __future__ import annotations

from experiments.experiment import Check, Column, Experiment, Run
from experiments.tasks.marked import adding
from experiments.tasks.marked_runs import Marked, once


def setting(cell: str, steps: int, limit: int, init: str = "torch", rate: float = 0.005) -> Marked:
    """The same for all but what is named here."""
    return Marked(cell, 32, rate, limit, batch_size=32, init=init, check=2_000, steps=steps)


EXPERIMENT = Experiment(
    title="Adding",
    source="Hochreiter & Schmidhuber 1997, experiment 4",
    claim="""Pairs of a value and a marker come by; two values are marked, both in the first half, and their sum is
asked for at the end. The paper's LSTM learns it after 74,000 sequences of 100 steps and 209,000 of 500, with 1
wrong of 2,560 and 0; a sequence is wrong if the output is .04 or more from the target.""",
    setting="""Length, marks and values are the paper's. The target is twice the paper's, the sum of two values in [0,
1], as in later papers: always saying 1 has a mean squared error of .167, and wrong is what is off by .08. Modern
cells, Adam, batches of 32. Learning ends when the mean error of 2,000 fresh sequences is below .001. The LSTM's
gates start with memories of up to T steps (chrono).""",
    columns=(
        Column("mse", "MSE", ".4f"),
        Column("wrong", "wrong of 2,560"),
        Column("sequences", "sequences needed"),
        Column("weights", "weights"),
    ),
    runs=(
        Run("lstm_100", setting("lstm", 100, 200_000, "chrono:100"), once(adding), "74,000 sequences, 1 wrong"),
        Run("rnn_100", setting("rnn", 100, 100_000, rate=0.001), once(adding), ""),
        Run(
            "lstm_500",
            setting("lstm", 500, 200_000, "chrono:500"),
            once(adding),
            "209,000 sequences, 0 wrong",
            seeds=3,
            quick=False,
        ),
        Run("rnn_500", setting("rnn", 500, 50_000, rate=0.001), once(adding), "", seeds=3, quick=False),
    ),
    checks=(
        Check(
            "T = 100: the LSTM's MSE is below .01 on at least 4 of 5 seeds",
            lambda r: sum(v < 0.01 for v in r["lstm_100"].of("mse")) >= 4,
            ("lstm_100",),
        ),
        Check(
            "T = 100: the plain network's stays above .05", lambda r: min(r["rnn_100"].of("mse")) > 0.05, ("rnn_100",)
        ),
        Check(
            "T = 500: the LSTM's MSE is below .01 on every seed",
            lambda r: max(r["lstm_500"].of("mse")) < 0.01,
            ("lstm_500",),
        ),
    ),
    why="""At T = 100 the LSTM needs less than half of the paper's sequences: Adam, the full gradient and gates that
start with long memories. More of its sequences are wrong than in the paper, since it stops at a mean error of
.001, and the paper goes on until 2,000 sequences on end are right.""",
)
