"""The nine variants of "LSTM: a search space odyssey" on Bach's chorales."""

from __future__ import annotations

from celda.cells.odyssey import ODYSSEY
from experiments.experiment import Check, Column, Experiment, Run
from experiments.tasks.chorales import Setting, once

EXPERIMENT = Experiment(
    title="A search space odyssey",
    source="Greff, Srivastava, Koutník, Steunebrink & Schmidhuber 2015",
    claim="""Each of eight variants changes one thing of the peephole LSTM (V). On all three of the paper's tasks, one
of which is these chorales, it gets significantly worse without the forget gate (NFG) and without the output
activation function (NOAF); coupled gates (CIFG) and leaving out the peepholes (NP) change nothing. The learning
rate explains two thirds of all differences.""",
    setting="""36 units each, all else as for the JSB chorales, where the paper draws 200 settings a variant at random.
The validation set chooses between two learning rates, seed by seed.""",
    columns=(
        Column("test", "test NLL", ".2f"),
        Column("valid", "validation NLL", ".2f"),
        Column("weights", "weights"),
    ),
    runs=tuple(
        Run(
            name,
            Setting(cell.name, 36, (0.003, 0.01)),
            once,
            {"NFG": "worse", "NOAF": "worse", "CIFG": "as V", "NP": "as V"}.get(name, ""),
            seeds=3,
            quick=False,
        )
        for name, cell in ODYSSEY.items()
    ),
    checks=(
        Check("NFG is worse than V", lambda r: min(r["NFG"].of("test")) > max(r["V"].of("test")), ("NFG", "V")),
        Check("NOAF is worse than V", lambda r: min(r["NOAF"].of("test")) > max(r["V"].of("test")), ("NOAF", "V")),
        Check(
            "CIFG is within .1 of V", lambda r: abs(r["CIFG"].mean("test") - r["V"].mean("test")) < 0.1, ("CIFG", "V")
        ),
        Check("NP is within .1 of V", lambda r: abs(r["NP"].mean("test") - r["V"].mean("test")) < 0.1, ("NP", "V")),
    ),
    why="""All nine lie within .21 of one another. To be without the forget gate costs a little (.06), but seeds differ
by as much; to be without the output's activation function costs nothing here, and peepholes do more harm than good. So
on these chorales alone, with one size and two learning rates, what the paper found on three tasks is not found again.
It chose size, rate and noise anew for each variant, out of 200.""",
    data="music_jsb",
)
