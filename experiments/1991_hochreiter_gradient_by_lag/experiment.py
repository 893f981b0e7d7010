"""How the gradient vanishes with the lag, before anything is learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

import celda
from experiments.experiment import Check, Column, Experiment, Figures, Run
from experiments.learning import weights
from experiments.result import Result

STEPS, LAGS = 100, (1, 2, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99)


@dataclass(frozen=True)
class Untrained:
    """A layer as it starts.

    Attributes:
        cell: its name.
        forget_bias: the bias of its forget gate, where it has one.
        gain: the recurrent matrix is normal with deviation gain / sqrt(H); None: as torch draws it.
        hidden_size: units.
        input_size: width of the input, which is N(0, 1).
        batch_size: sequences.
    """

    cell: str
    forget_bias: float | None = None
    gain: float | None = None
    hidden_size: int = 100
    input_size: int = 100
    batch_size: int = 16


def layer_of(setting: Untrained) -> celda.Recurrent:
    """The layer."""
    layer = celda.Recurrent(setting.cell, setting.input_size, setting.hidden_size, dtype=torch.float64)
    with torch.no_grad():
        if setting.gain is not None:
            layer.weight_hh_l0.normal_(0, setting.gain / setting.hidden_size**0.5)
        if setting.forget_bias is not None:
            forget = slice(setting.hidden_size, 2 * setting.hidden_size)
            layer.bias_ih_l0[forget], layer.bias_hh_l0[forget] = setting.forget_bias, 0.0
    return layer


def by_lag(layer: celda.Recurrent, batch_size: int) -> Figures:
    """The norm of dL/dh(T-k) over that of dL/dh(T), with L a random sum over h(T).

    Of the memory, where there is one, that of dL/dc(T-k) over that of dL/dc(T-1).
    """
    x = torch.randn(STEPS, batch_size, layer.input_size, dtype=torch.float64)
    state, states = None, []
    for step in x.split(1):
        _, state = layer(step, state)
        states.append(state if isinstance(state, tuple) else (state,))
        for one in states[-1]:
            one.retain_grad()
    (states[-1][0] * torch.randn(layer.hidden_size, dtype=torch.float64)).sum().backward()
    found: Figures = {}
    for name, over_time in zip(layer.cell.states, zip(*states, strict=True), strict=True):
        norms = [one.grad.norm().item() if one.grad is not None else 0.0 for one in over_time]
        base = norms[-1] if name == "h" else norms[-2]  # no later step uses c(T)
        found |= {f"{name}{lag}": norms[-1 - lag] / base for lag in LAGS}
    return found


def once(setting: Untrained, seed: int) -> Figures:
    """Its gradient by lag."""
    torch.manual_seed(seed)
    layer = layer_of(setting)
    return {**by_lag(layer, setting.batch_size), "weights": weights(layer)}


def draw(results: Mapping[str, Result], path: Path) -> None:
    """The gradient over the lag, a line for each layer."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for name, result in results.items():
        axes.semilogy(LAGS, [result.mean(f"h{lag}") for lag in LAGS], marker=".", label=name.replace("_", " "))
    axes.set(xlabel="lag k, in steps", ylabel="‖dL/dh(T−k)‖ / ‖dL/dh(T)‖", ylim=(1e-22, 30))
    axes.set_title("The gradient by lag, before training", loc="left")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.grid(alpha=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=130)
    plt.close(figure)


EXPERIMENT = Experiment(
    title="The gradient by lag",
    source="Hochreiter 1991; Bengio, Simard & Frasconi 1994",
    claim="""In a plain recurrent network the gradient shrinks, or grows, exponentially with the lag. In the LSTM it is
multiplied by the forget gate at each step, along the memory: by σ(b_f) at the start, if nothing else is there.""",
    setting="""Layers of 100 units before training, 100 steps of an input that is N(0, 1), float64, 16 sequences; the
ratio of the gradient's norm at h(T−k) to that at h(T). The plain network's recurrent matrix is normal with
deviation gain / √H; the LSTM starts as torch's does, but for the forget gate's bias.""",
    columns=(
        Column("h10", "k = 10", ".0e"),
        Column("h50", "k = 50", ".0e"),
        Column("h99", "k = 99", ".0e"),
        Column("weights", "weights"),
    ),
    runs=(
        *(Run(f"tanh_gain_{g:g}", Untrained("rnn", gain=g), once) for g in (0.5, 1.0)),
        *(Run(f"lstm_forget_bias_{b:g}", Untrained("lstm", forget_bias=b), once) for b in (0.0, 1.0, 3.0)),
        Run("gru", Untrained("gru"), once),
    ),
    checks=(
        Check(
            "The plain network's gradient is below 1e-5 at lag 50",
            lambda r: r["tanh_gain_1"].mean("h50") < 1e-5,
            ("tanh_gain_1",),
        ),
        Check(
            "With forget bias 0 the LSTM's gradient is as good as gone, too: below 1e-8 at lag 50",
            lambda r: r["lstm_forget_bias_0"].mean("h50") < 1e-8,
            ("lstm_forget_bias_0",),
        ),
        Check(
            "With forget bias 3 it is above 1e-3 at lag 99",
            lambda r: r["lstm_forget_bias_3"].mean("h99") > 1e-3,
            ("lstm_forget_bias_3",),
        ),
    ),
    why="""It falls exponentially, as it must: per step by a factor of about .4 with gain 1/2 and .75 with gain 1,
since tanh saturates. An LSTM with forget bias 0 starts with gates at about 1/2, so a step keeps about .6 of the
gradient, and it forgets about as fast as a plain network; with bias 1 a step keeps about .8, and with 3 nearly
all. What remembers is not the LSTM as such, but a forget gate that starts open. The GRU's update gate, too, starts
at 1/2.""",
    picture=draw,
)
