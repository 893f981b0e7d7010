"""The GPU engine beside `torch.nn`: `python -m benchmarks.gpu` prints one table.

Each row is a layer and a dtype: the microseconds a step of training takes on Celda, with `nn.LSTM` or `nn.GRU` (cuDNN)
and as a loop of torch operations, what a step costs at least, and how many times as fast as `torch.nn` Celda is. The
floor of a step is the larger of two: its products at the rate of a large product of the same dtype, measured here, and
the latency of a step, 1.4 us.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import celda
from celda.engines import choose

LATENCY = 1.4  # us a step takes inside one block, however small it is
FLASHRNN = "FlashRNN, whose licence is not open, is not run; on a plain LSTM it takes about 2.4 times cuDNN's time."


@dataclass(frozen=True)
class Row:
    """One layer: sizes are (steps, sequences, input, units)."""

    name: str
    sizes: tuple[int, int, int, int]
    dtype: torch.dtype
    layers: int = 1
    bidirectional: bool = False
    half_full: bool = False


ROWS = [
    Row("lstm", (1024, 16, 768, 768), torch.bfloat16),
    Row("lstm", (1024, 16, 768, 768), torch.float16),
    Row("lstm", (1024, 16, 64, 64), torch.bfloat16),
    Row("lstm", (1024, 16, 128, 128), torch.bfloat16),
    Row("lstm", (256, 64, 256, 256), torch.float32),
    Row("gru", (256, 64, 256, 256), torch.bfloat16),
    Row("gru", (256, 64, 1024, 1024), torch.bfloat16),
    Row("lstm", (256, 64, 512, 512), torch.bfloat16, layers=2, bidirectional=True),
    Row("lstm", (256, 64, 512, 512), torch.bfloat16, half_full=True),
    Row("peephole_lstm", (256, 64, 128, 128), torch.bfloat16),
]


def training(layer: nn.Module, x: Tensor, options: dict[str, Tensor]) -> Callable[[], None]:
    """One step of training."""

    def step() -> None:
        layer(x, **options)[0].sum().backward()

    return step


def packed(layer: nn.Module, x: Tensor, lengths: Tensor) -> Callable[[], None]:
    """One step of training on a packed sequence, as `torch.nn` takes lengths."""

    def step() -> None:
        sequence = nn.utils.rnn.pack_padded_sequence(x, lengths.cpu(), enforce_sorted=False)
        layer(sequence)[0].data.sum().backward()

    return step


def milliseconds(step: Callable[[], None], rounds: int = 7) -> float:
    """The median of some rounds, by events on the device, after three that are not counted."""
    times = []
    for number in range(rounds + 3):
        begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begun.record()
        step()
        ended.record()
        torch.cuda.synchronize()
        if number >= 3:
            times.append(begun.elapsed_time(ended))
    return sorted(times)[rounds // 2]


def rate(dtype: torch.dtype) -> float:
    """FLOP/s of a large product."""
    a = torch.randn(4096, 4096, device="cuda", dtype=dtype)
    return 2 * 4096**3 / (milliseconds(lambda: torch.mm(a, a)) / 1e3)


def floor(row: Row, cell: celda.Recurrent) -> float:
    """us of a step forward and back at the least: a product forward, and two back, with every matrix."""
    matrices = sum(p.numel() for p in cell.parameters() if p.dim() > 1)
    full = 0.5 if row.half_full else 1.0
    compute = 3 * 2 * matrices * row.sizes[1] * full / rate(row.dtype) * 1e6
    return max(compute, 2 * LATENCY * row.layers)


def measure(row: Row) -> tuple[str, ...]:
    """The line of the table."""
    steps, batch, width, hidden = row.sizes
    make = {"lstm": nn.LSTM, "gru": nn.GRU}.get(row.name)
    options = {"num_layers": row.layers, "bidirectional": row.bidirectional, "device": "cuda", "dtype": row.dtype}
    ours = celda.Recurrent(row.name, width, hidden, **options)
    x = torch.randn(steps, batch, width, device="cuda", dtype=row.dtype)
    lengths = torch.linspace(1, steps, batch).long() if row.half_full else None
    given = {} if lengths is None else {"lengths": lengths.cuda()}
    mine = milliseconds(training(ours, x, given)) * 1e3 / steps
    loop = celda.Recurrent(row.name, width, hidden, engine="reference", **options)
    slow = milliseconds(training(loop, x, given), rounds=3) * 1e3 / steps
    theirs = None
    if make is not None:
        layer = make(width, hidden, **options)
        step = training(layer, x, {}) if lengths is None else packed(layer, x, lengths)
        theirs = milliseconds(step) * 1e3 / steps
    least = floor(row, ours)
    what = f"{row.name}{' x2 layers, both directions' if row.bidirectional else ''}{', half full' * row.half_full}"
    times = "-" if theirs is None else f"{theirs:.1f}", "-" if theirs is None else f"{theirs / mine:.2f}"
    sizes = ", ".join(map(str, row.sizes))
    dtype = str(row.dtype).removeprefix("torch.")
    return what, sizes, dtype, f"{mine:.1f}", times[0], f"{slow:.0f}", f"{least:.1f}", f"{least / mine:.0%}", times[1]


def main() -> int:
    """Print the table."""
    tell = lambda *cells: sys.stdout.write(" | ".join(cells) + "\n")  # noqa: E731
    if not torch.cuda.is_available():
        tell("There is no GPU that torch can use here: run `python -m benchmarks.gpu` on a machine with one.")
        return 1
    plan = choose("auto", torch.zeros(1, device="cuda"))
    tell(f"{torch.cuda.get_device_name()}, torch {torch.__version__}. {plan.reason}.\n{FLASHRNN}")
    if plan.engine != "gpu":
        return 1
    tell(
        "layer", "T, B, I, H", "dtype", "us a step", "torch.nn", "loop", "floor", "share of the floor", "times torch.nn"
    )
    for row in ROWS:
        tell(*measure(row))
    return 0


if __name__ == "__main__":
    sys.exit(main())
