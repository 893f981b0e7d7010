"""The next station on the metro of Mexico City: what a memory knows."""

from __future__ import annotations

import copy
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy, one_hot
from torch.nn.utils.rnn import pad_sequence

from experiments.experiment import Check, Column, Experiment, Figures, Run
from experiments.learning import Network, weights
from experiments.tasks import metro
from experiments.tasks.metro import Journey

Guess = Callable[[list[Journey]], list[list[str]]]  # for each station but the last of each journey, the next one


@dataclass(frozen=True)
class Chain:
    """A Markov chain: the most frequent station after the last `order` ones; after fewer, where they were never seen.

    With `all_journeys` it is told every journey, those of the test too: nobody can guess better.
    """

    order: int
    all_journeys: bool = False


@dataclass(frozen=True)
class Learner:
    """A network's setting; it ends after `patience` epochs without a better validation error."""

    cell: str
    hidden_size: int = 64
    learning_rate: float = 0.003
    batch_size: int = 64
    epochs: int = 40
    patience: int = 2


def score(guess: Guess, journeys: list[Journey]) -> Figures:
    """How often the guess is right between two stations of a line and at stations where one can change; how often it
    is the station that the journey just came from. The first guess of a journey, from one station alone, is left out.
    """
    transfers, right, back = metro.read().transfers, defaultdict(list), []
    for journey, guesses in zip(journeys, guess(journeys), strict=True):
        for before, here, after, guessed in zip(journey, journey[1:], journey[2:], guesses[1:], strict=False):
            right[here in transfers].append(guessed == after)
            back.append(guessed == before)
    shares = {"line": right[False], "transfer": right[True], "back": back}
    return {name: sum(values) / len(values) for name, values in shares.items()}


def chain(setting: Chain, seed: int) -> Figures:
    """Count, then guess."""
    parts = metro.split(seed)
    counts: dict[Journey, Counter[str]] = defaultdict(Counter)
    for journey in metro.all_journeys() if setting.all_journeys else parts["train"]:
        for place in range(1, len(journey)):
            for order in range(1, min(setting.order, place) + 1):
                counts[journey[place - order : place]][journey[place]] += 1

    def following(seen: Journey) -> str:
        for order in range(min(setting.order, len(seen)), 0, -1):
            if found := counts.get(seen[-order:]):
                return found.most_common(1)[0][0]
        return ""

    def guess(journeys: list[Journey]) -> list[list[str]]:
        return [[following(journey[:place]) for place in range(1, len(journey))] for journey in journeys]

    return score(guess, parts["test"])


def network(setting: Learner, seed: int) -> Figures:
    """Learn, then guess."""
    parts, stations = metro.split(seed), metro.read().stations
    number = {station: place for place, station in enumerate(stations)}
    rng = random.Random(seed)
    torch.manual_seed(seed)
    net = Network(setting.cell, len(stations), setting.hidden_size, len(stations))
    optimizer = torch.optim.Adam(net.parameters(), lr=setting.learning_rate)

    def batches(journeys: list[Journey], size: int) -> Iterator[torch.Tensor]:
        """(T, B) numbers of stations, -100 past the end."""
        for begin in range(0, len(journeys), size):
            numbers = [torch.tensor([number[s] for s in journey]) for journey in journeys[begin : begin + size]]
            yield pad_sequence(numbers, padding_value=-100)

    def scores(batch: torch.Tensor) -> torch.Tensor:
        """Of the next station, (T - 1, B, stations)."""
        return net(one_hot(batch[:-1].clamp(min=0), len(stations)).float())[0]

    def error(batch: torch.Tensor) -> torch.Tensor:
        return cross_entropy(scores(batch).flatten(0, 1), batch[1:].flatten())

    best, best_epoch, kept = float("inf"), 0, net.state_dict()
    for epoch in range(1, setting.epochs + 1):
        # of like length side by side, in a drawn order
        order = sorted(parts["train"], key=lambda journey: (len(journey), rng.random()))
        drawn = list(batches(order, setting.batch_size))
        rng.shuffle(drawn)
        for batch in drawn:
            optimizer.zero_grad()
            error(batch).backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
        with torch.no_grad():
            checked = [error(batch).item() for batch in batches(parts["valid"], 512)]
        if (now := sum(checked) / len(checked)) < best:
            best, best_epoch, kept = now, epoch, copy.deepcopy(net.state_dict())
        elif epoch - best_epoch >= setting.patience:
            break
    net.load_state_dict(kept)

    def guess(journeys: list[Journey]) -> list[list[str]]:
        given: list[list[str]] = []
        with torch.no_grad():
            for batch in batches(journeys, 512):
                given += [[stations[place] for place in column] for column in scores(batch).argmax(-1).T.tolist()]
        return [one[: len(journey) - 1] for one, journey in zip(given, journeys, strict=True)]

    return {**score(guess, parts["test"]), "weights": weights(net)}


EXPERIMENT = Experiment(
    title="The metro of Mexico City",
    source="an example of our own; facts of the network as published",
    claim="""Somebody rides the metro: which station comes next? The current station alone does not say in which
direction the train runs, nor, where lines cross, on which line one came. A Markov chain of order 1 knows no more
than that; a network with a memory can know both.""",
    setting="""One journey between any two of the 163 stations, the quickest, where changing trains takes as long as
three stations: 26,406 in all, 60 % to learn from, 20 % for validation, 20 % to test with. Guesses count from the
second station on. *On the line*: at stations with one line. *Changing*: where lines cross, where a good guess must
also weigh who changes. *Back*: guesses of the station that the train came from, which is never right. The last
line was told all journeys, those of the test too, and shows how much can be known at all.""",
    columns=(
        Column("line", "right on the line", ".1%"),
        Column("transfer", "right where lines cross", ".1%"),
        Column("back", "back", ".1%"),
        Column("weights", "weights"),
    ),
    runs=(
        Run("markov_1", Chain(1), chain, seeds=3),
        Run("markov_2", Chain(2), chain, seeds=3),
        *(Run(cell, Learner(cell), network, seeds=3) for cell in ("rnn", "gru", "lstm")),
        Run("all_that_can_be_known", Chain(1000, all_journeys=True), chain, seeds=3),
    ),
    checks=(
        Check(
            "The chain of order 1 does not know the direction: at most 70 % on the line",
            lambda r: r["markov_1"].mean("line") <= 0.7,
            ("markov_1",),
        ),
        Check("The LSTM does: at least 99 %", lambda r: r["lstm"].mean("line") >= 0.99, ("lstm",)),
        Check(
            "Where lines cross the LSTM guesses better than both chains",
            lambda r: r["lstm"].mean("transfer") > max(r["markov_1"].mean("transfer"), r["markov_2"].mean("transfer")),
            ("lstm", "markov_1", "markov_2"),
        ),
    ),
    why="""The chain of order 1 does not know the direction. The one of order 2 does, since the last two stations give
direction and line: on the line it is never wrong, and where lines cross it comes within two points of all that can
be known. So what a longer memory can add here is little: which journeys are still possible from where this one
began. The networks find half of that: about one guess in a hundred where lines cross.""",
    data="metro_mexico_city",
)
