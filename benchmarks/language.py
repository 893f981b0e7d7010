"""A language model's training beside torch.nn.LSTM, and its sampling: `python -m benchmarks.language`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks import machine
from benchmarks.arithmetic import mean_value, ratio
from benchmarks.command import RED, check, confine, contract_holds, parser, remarks, say
from benchmarks.machine import QUIET, Watch
from benchmarks.report import spread, table, write
from benchmarks.timing import interleave
from celda.data.vocabulary import Characters
from celda.models import LanguageNetwork
from celda.models.language import next_token_loss
from celda.tasks.language import Sampler
from celda.training.optimizer import make_optimizer

KINDS = 66  # of characters, as in a text of English
WRITTEN = 500  # characters of a sampling that is timed
HOW = """\
**Training** is a whole step on a chunk, the state going on: forward, backward, clipping, AdamW; the same network but
for its recurrent layers, which are Celda's or torch.nn.LSTM's, with the same weights, and dropout of the output in
both. The ratio is how many times as many characters a second Celda's learns from. **Sampling** writes a character at a
time with a temperature of 0.8. A time is the median of its rounds, in which all contenders take turns; the spread is
the quartiles of the ratios within each round. Everything is float32. Rounds: {repeats}. Others took {others} of the
machine meanwhile."""


class Size(NamedTuple):
    """Steps of a chunk, streams, units of a layer, layers."""

    steps: int
    batch: int
    hidden: int
    layers: int

    def __str__(self) -> str:
        return ", ".join(map(str, self))


SIZES = (Size(100, 32, 512, 1), Size(100, 32, 256, 1), Size(100, 32, 256, 2), Size(64, 64, 512, 2))


class Theirs(nn.LSTM):
    """torch's layer, which does not ask which step of the stream it is."""

    def forward(self, x: Tensor, state: Any = None, start: int = 0) -> Any:
        """As `nn.LSTM.forward`."""
        return super().forward(x, state)


def network(size: Size, theirs: bool) -> LanguageNetwork:
    """The language network of a size, with Celda's layers or torch.nn's; the same weights in both."""
    torch.manual_seed(0)
    made = LanguageNetwork(
        "lstm", KINDS, hidden_size=size.hidden, num_layers=size.layers, dropout=0.2, output_dropout=0.4
    )
    if theirs:
        ours = made.recurrent
        made.recurrent = Theirs(ours.input_size, size.hidden, size.layers, dropout=0.2 if size.layers > 1 else 0.0)
        made.recurrent.load_state_dict(ours.state_dict())
    return made


def training(size: Size, theirs: bool) -> Callable[[], None]:
    """A step of training on a chunk, the state going on from call to call."""
    model = network(size, theirs)
    optimizer = make_optimizer(model, "adamw", 0.01)
    text = torch.randint(KINDS, (size.steps + 1, size.batch))
    state = None

    def step() -> None:
        nonlocal state
        scores, after = model(text[:-1], state)
        state = tuple(one.detach() for one in after)
        optimizer.zero_grad()
        next_token_loss(scores, text[1:]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return step


def check_same(size: Size) -> None:
    """Stop where both networks do not say the same: their times could not be compared."""
    text = torch.randint(KINDS, (size.steps, size.batch))
    with torch.no_grad():
        ours, theirs = (network(size, one).eval()(text)[0] for one in (False, True))
    if not torch.allclose(ours, theirs, atol=1e-4):
        raise SystemExit(f"At {size} the networks differ: nothing is timed.")


def sampling(size: Size) -> Callable[[], None]:
    """Writing some characters."""
    characters = Characters("".join(map(chr, range(33, 32 + KINDS))))
    sampler = Sampler(network(size, theirs=False), characters, seed=0)

    def write_on() -> None:
        for _ in sampler.write(WRITTEN):
            pass

    return write_on


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """What the user asks for."""
    made = parser("language", __doc__, "language.md")
    chosen = made.parse_args(given)
    check(made, chosen)
    return chosen


def report(title: str, chosen: argparse.Namespace, repeats: int) -> str:
    """Measure, and say it in Markdown."""
    watch, lines, values, written = Watch(), [], [], []
    for size in SIZES[: 1 if chosen.quick else None]:
        say(f"steps, streams, units, layers = {size}")
        check_same(size)
        found = interleave({theirs: training(size, theirs) for theirs in (False, True)}, repeats)
        value = ratio(found[True], found[False])
        values.append(value)
        rates = [f"{size.steps * size.batch / median(found[theirs]):,.0f}" for theirs in (False, True)]
        lines.append((str(size), *rates, write(value.middle, "x"), spread(value, "x")))
        write_on = sampling(size)
        write_on()
        times = []
        for _ in range(repeats):
            begun = perf_counter()
            write_on()
            times.append(perf_counter() - begun)
        written.append((f"{size.hidden}, {size.layers}", f"{WRITTEN / median(times):,.0f}"))
    others = watch.others()
    mean = mean_value(values)
    lines.append(("**geometric mean**", "", "", f"**{write(mean.middle, 'x')}**", spread(mean, "x")))
    head = ("steps, streams, units, layers", "Celda, characters/s", "nn.LSTM, characters/s", "ratio", "spread")
    taken = "an unknown share" if others is None else write(others, "%")
    parts = [
        f"# {title}{remarks(chosen, others is not None and others > QUIET)}",
        machine.describe(chosen.threads),
        HOW.format(repeats=repeats, others=taken),
        "## Training",
        table(head, lines),
        "## Sampling",
        table(("units, layers", "characters/s"), dict(written).items()),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> int:
    """Run, print, and write the report where a folder was named."""
    chosen = arguments()
    if not chosen.without_contract and not contract_holds():
        say(RED)
        return 1
    confine(chosen.threads)
    text = report("A language model on the CPU", chosen, min(chosen.repeats, 3) if chosen.quick else chosen.repeats)
    sys.stdout.write(text)
    if chosen.out:
        chosen.out.mkdir(parents=True, exist_ok=True)
        (chosen.out / "language.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
