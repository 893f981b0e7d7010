"""Bach's chorales with a plain network, GRU and LSTM."""

from __future__ import annotations

from experiments.experiment import Check, Column, Experiment, Run
from experiments.tasks.chorales import Setting, once

RATES = (0.003, 0.01)

EXPERIMENT = Experiment(
    title="JSB chorales",
    source="Chung, Gulcehre, Cho & Bengio 2014; Bai, Kolter & Koltun 2018",
    claim="""Which of 88 notes sound next in Bach's chorales? With about 20,000 weights each, gated units beat the
plain network: a negative log-likelihood of 9.10 for tanh, 8.54 for the GRU, 8.67 for the LSTM (Chung et al.);
8.91, 8.43 and 8.45 (Bai et al., with more weights).""",
    setting="""The published parts, for learning, validation and test, and the paper's numbers of units; weights are
counted with the readout, and with torch's second bias of a gate. The error of a step is summed over the notes; its mean
is over the real steps. (Averaged over padding, too, it would be about 6.3, and wrong.) The first step of a chorale is
given. Adam, and no dropout, as in the paper. The validation set says when to stop and which of two learning rates to
take; the test set is looked at once.""",
    columns=(
        Column("test", "test NLL", ".2f"),
        Column("valid", "validation NLL", ".2f"),
        Column("epochs", "epochs"),
        Column("weights", "weights"),
    ),
    runs=(
        Run("tanh", Setting("rnn", 100, RATES), once, "9.10; 8.91", seeds=3),
        Run("gru", Setting("gru", 46, RATES), once, "8.54; 8.43", seeds=3),
        Run("lstm", Setting("lstm", 36, RATES), once, "8.67; 8.45", seeds=3),
    ),
    checks=(
        Check("The LSTM reaches 8.8", lambda r: r["lstm"].mean("test") <= 8.8, ("lstm",)),
        Check("The GRU reaches 8.7", lambda r: r["gru"].mean("test") <= 8.7, ("gru",)),
        Check(
            "Both are better than tanh",
            lambda r: max(r["lstm"].mean("test"), r["gru"].mean("test")) < r["tanh"].mean("test"),
            ("lstm", "gru", "tanh"),
        ),
    ),
    why="""The order is the paper's, and the differences are smaller: the plain network does better here than in either
paper, and the gated ones, with fewer weights, better than it.""",
    data="music_jsb",
)
