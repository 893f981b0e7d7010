"""What the report says, section by section."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from celda.errors import CeldaError
from celda.insight import figures
from celda.insight.attribution import Attribution, integrated_gradients
from celda.insight.figures.inputs import per_step
from celda.insight.gates import CLOSED, OPEN, opening, openness
from celda.insight.gradients import gradient_of, untrained
from celda.insight.memory import kept
from celda.insight.recording import Recording, record
from celda.insight.report import words
from celda.insight.report.markup import escaped, joined, markup
from celda.insight.report.page import Page
from celda.insight.subject import Part, Question, Subject
from celda.insight.tracking import tracking
from celda.insight.walk import Walk, walk
from celda.language.purposes import memory_state, roles

PLACE = 0  # of layers x directions, which is shown step by step: the first layer, forwards
_WEAK = 0.3  # a unit that follows something less closely than that is not worth a word
_SEQUENCES = 32  # of which the gradient is taken
_COLUMNS = 24  # inputs of a step that are listed
_ROUNDING = 1e-5  # of single precision, over some hundred operations
_POINTS, _GAP = (32, 128, 512), 0.01  # of the line that gradients are taken along, until they sum up so closely


@dataclass(frozen=True)
class _Seen:
    """A part of the network, and what was recorded of it."""

    part: Part
    recording: Recording

    @property
    def where(self) -> str:
        """Which layer and direction is shown step by step; "" where there is one only."""
        return self.recording.where(PLACE)

    @property
    def title(self) -> str:
        """The part, and what of it is shown."""
        return f"{self.part.title} ({self.where})" if self.where else self.part.title


def write(subject: Subject, step: int, tell: Callable[[str], object]) -> Page:
    """The report on a network; `tell` is told what is being done."""
    tell("running the network over all sequences")
    recorded = record(subject.network, subject.run)
    if [one.name for one in recorded] != [part.layer for part in subject.parts]:
        raise CeldaError(
            f"The network called {', '.join(one.name for one in recorded)}, and what is told of it speaks of "
            f"{', '.join(part.layer for part in subject.parts)}: they must be the same, in the same order."
        )
    seen = [_Seen(part, recording) for part, recording in zip(subject.parts, recorded, strict=True)]
    walked = walk(recorded[0], step, place=PLACE)
    page = Page(subject.title)
    _head(page, subject, seen[0])
    _cell(page, seen[0])
    tell("drawing the gates")
    _time(page, seen)
    _open(page, seen)
    tell("following the gradient back in time")
    _memory(page, seen[0])
    if subject.question is not None:
        tell("sharing out the answer among the steps of the input")
        _inputs(page, subject.question)
    tell("looking for units that follow something")
    _tracking(page, seen[0])
    tell("walking one step through the cell")
    _walk(page, seen[0], walked)
    _care(page)
    return page


def _head(page: Page, subject: Subject, seen: _Seen) -> None:
    page.raw(f"<h1>{html.escape(subject.title)}</h1>")
    page.say(
        "This page opens a trained recurrent network and shows what happens inside it. It reads a sequence step by "
        "step, and at every step its units decide what to keep, what to take in and what to show. Every number and "
        "every figure here was measured on this model, with this data.",
        kind="lead",
    )
    page.links()
    page.table(("", ""), subject.facts.items())


def _cell(page: Page, seen: _Seen) -> None:
    cell = seen.recording.cell
    page.section("cell", f"The cell: {cell.name}")
    page.say(
        cell.doc.partition("\n")[0],
        f"Each of the {seen.recording.layer.hidden_size} units computes these equations at every step; x is the "
        "input, t the step, σ a curve from 0 to 1, tanh one from −1 to 1, and ⊙ multiplies unit by unit. The "
        "letters W, R and b are what was learned.",
    )
    page.raw(f"<pre>{html.escape(cell.equations())}</pre>")
    page.points(
        markup("<b>{}</b>, {}: {}.", role.name, _article(role.kind), words.purpose(role))
        for role in roles(cell).values()
    )


def _time(page: Page, seen: list[_Seen]) -> None:
    page.section("time", "The gates at work")
    page.say("One sequence, the last one, step by step.")
    if seen[0].where:
        page.say(
            f"The network has several layers or directions. All that is shown step by step here and below is of "
            f"{seen[0].where}; “How open the gates stand” lists all of the first part."
        )
    for number, one in enumerate(seen):
        part, recording = one.part, one.recording
        if len(seen) > 1:
            page.heading(part.title)
        gates = [role for role in roles(recording.cell).values() if role.is_gate]
        if gates:
            page.figure(
                f"gates-{number + 1}",
                f"{one.title}: how open each gate is, as the mean of its units. A step is {part.step}.",
                partial(figures.averages_figure, recording, part),
            )
            means = [opening(role, recording.traced[role.name])[PLACE, :, -1].mean(-1).cpu().numpy() for role in gates]
            found = (words.of_average(r, m, part.labels) for r, m in zip(gates, means, strict=True))
            page.say(markup("{}.", joined("; ", found)), kind="found")
        page.figure(
            f"values-{number + 1}",
            f"{one.title}, unit by unit: each row is a unit, each column a step. Of a gate, the colour of the page "
            "means closed and the strongest blue open; of the others, red is above 0 and blue below. In each "
            "picture the units are sorted by their mean.",
            partial(figures.heat_figure, recording, part),
        )


def _open(page: Page, seen: list[_Seen]) -> None:
    found = openness(seen[0].recording)
    if not found:
        return
    page.section("open", "How open the gates stand")
    batch, steps = seen[0].recording.x.shape[1], seen[0].recording.x.shape[0]
    page.say(
        f"Over all {batch} sequences of {steps} steps, not only the one above ({seen[0].part.title}). A "
        f"gate below {CLOSED} is as good as closed, above {OPEN} as good as open; there it is “saturated”, its curve "
        "is flat, and training hardly moves it.",
    )
    page.points(words.of_openness(one) for one in found)
    page.figure(
        "open",
        "Left: the part of all values that is closed, between, and open. Right: a mark for every unit; at the lower "
        "right are units whose gate is open nearly all the time, at the upper left those whose gate is closed.",
        lambda theme: figures.openness_figure(found, theme),
    )


def _memory(page: Page, seen: _Seen) -> None:
    recording, part = seen.recording, seen.part
    page.section("memory", "How far back it remembers")
    page.say(
        "If an input long ago were a little different, would the output now be different? The gradient answers "
        "that: it is how much the output moves for a small push, and it is what the network learns from. In a plain "
        "recurrent network it shrinks at every step back (it “vanishes”) or grows (it “explodes”).",
    )
    if recording.layer.bidirectional:
        page.say("This layer reads in both directions, so that “how long ago” has two meanings; the curve is left out.")
    else:
        small = _first_sequences(recording)
        now, before = gradient_of(small), untrained(small)
        for sentence in words.of_gradient(now, before, part.step):
            page.say(sentence, kind="found")
        page.say(
            "This is of one recurrent layer (all of its stack), from its input to its last output. What goes past it, "
            "as a direct line from the input to the answer does, and what the rest of the network does is not in it."
        )
        page.figure(
            "gradient",
            "The gradient by lag, on a logarithmic scale: each line further down is ten (or more) times weaker. "
            "“Before the training” is the same layer with fresh random weights.",
            lambda theme: figures.gradient_figure(
                {"after the training": now, "before the training": before}, theme, step=part.step
            ),
        )
    ways = [one for one in kept(recording) if one.place == PLACE and one.state == memory_state(recording.cell)]
    if not ways:
        page.say(
            "This cell has no gate or sum that hands its state straight on: what it held goes through a matrix and "
            "a curve at every step, and that is why plain recurrent networks forget."
        )
    for one in ways:
        page.heading("What the gates alone leave" + (f", in {seen.where}" if seen.where else ""))
        page.say(
            "The old memory is multiplied by its gate at every step, so what is left of it after k steps is the "
            "product of k such numbers. A gate of 0.5 leaves a thousandth after ten steps; a gate of 0.99 leaves "
            "nine tenths.",
        )
        page.say(words.of_kept(one, part.step), kind="found")
        page.figure(
            "kept",
            "The product of the gates by lag, at the end of the sequences. It leaves out what goes through the "
            "matrices.",
            partial(figures.kept_figure, one),
        )


def _inputs(page: Page, question: Question) -> None:
    for points in _POINTS:
        found = integrated_gradients(question.output, question.x, question.baseline, points=points)
        if found.gap < _GAP:
            break
    added = per_step(found.values)[-1] * question.unit
    page.section("inputs", "What the answer stands on")
    before, after = float(found.baseline[-1]) * question.unit, float(found.output[-1]) * question.unit
    page.say(
        "“Integrated gradients” share out the difference between two answers among the steps of the input: ",
        f"{question.words} for the sequence that the model was given, and for {question.baseline_words}, which says "
        "nothing.",
    )
    if _same(found):
        page.say(
            "There is no difference between the two answers, but for rounding, so there is nothing to share out: as it "
            "seems, the sequence that was given says no more than the baseline.",
            kind="found",
        )
        return
    most = int(abs(added).argmax())
    page.say(
        f"The two answers differ by {words.number(after - before)} {question.unit_words}; the shares of the "
        f"{len(added)} steps sum up to that, to within {max(found.gap, 1e-4):.2%} of it. The step that counts most is "
        f"{words.when(question.labels, most)}: it adds {words.number(float(added[most]))} "
        f"{question.unit_words}.",
        kind="found",
    )
    page.say(
        "These shares are of the whole network, and the effective memory above is of its first recurrent layer alone: "
        "where something goes past that layer, or further layers come after it, the step that counts most may lie "
        "further back than that memory."
    )
    page.figure(
        "inputs",
        ("What " if question.series is None else "Above what the model was given, below what ")
        + "each step adds to the answer: red raises it, blue lowers it.",
        lambda theme: figures.attribution_figure(question, found, theme),
    )


def _same(found: Attribution) -> bool:
    """Whether two answers, and all that leads from one to the other, differ by no more than rounding does."""
    scale = max(1.0, float(found.output[-1].abs()), float(found.baseline[-1].abs()))
    share, difference = found.values[-1].abs().max(), (found.output[-1] - found.baseline[-1]).abs()
    return float(max(share, difference)) < _ROUNDING * scale


def _tracking(page: Page, seen: _Seen) -> None:
    part, recording = seen.part, seen.recording
    if not part.targets:
        return
    page.section("units", "Units that follow something")
    page.say(
        "Sometimes a single unit follows something that one can name. With many units one of them will follow "
        "anything a little, by chance. So the best unit is picked in the first half of the sequences and judged in "
        "the second half, which had no part in the choice.",
    )
    state = memory_state(recording.cell)
    values = recording.traced[state][PLACE]
    try:
        found = tracking(values, part.targets, recording.mask)
    except CeldaError as error:
        page.say(f"That cannot be said here. {error}")
        return
    page.table(
        ("what", "unit", "measure", "where it was picked", "on the other half"),
        [(f.target, str(f.unit), f.measure, words.signed(f.chosen, 2), words.signed(f.held_out, 2)) for f in found],
        numbers=("unit", "where it was picked", "on the other half"),
    )
    page.say(
        "r is the correlation: 1 or −1 if the unit moves exactly with it, 0 if not at all. AUC is for a yes or no: "
        "the chance that the unit is higher in a yes than in a no; 0.5 is a coin, 1 or 0 is perfect.",
    )
    of = f" of {seen.where}" if seen.where else ""
    strong = [one for one in found if one.strength >= _WEAK]
    if not strong:
        page.say("None of these is followed by a single unit so closely that it deserves a picture.", kind="found")
        return
    page.figure(
        "units",
        f"The memory {state} of single units{of} beside what they follow, in the half that had no part in the choice.",
        lambda theme: figures.tracking_figure(strong, values, part, theme),
    )


def _walk(page: Page, seen: _Seen, walked: Walk) -> None:
    part, cell = seen.part, seen.recording.cell
    page.section("step", "One step by hand")
    page.say(
        f"Here is step {walked.step + 1} of {len(part.labels)} ({words.when(part.labels, walked.step)}) "
        f"as unit {walked.unit}{f' of {seen.where}' if seen.where else ''} computes it, the unit whose "
        "memory changes most in this step. Under each equation stand its numbers: of each sum, first what comes from "
        "the input, then what comes from the states, then the bias. With a pocket calculator you get the same, but for "
        "the last digit.",
    )
    for line in walked.lines:
        left, _, right = line.equation.partition(" = ")
        forms = "".join(f'<div class="equation">{" " * len(left)} = {_minus(form)}</div>' for form in line.numbers)
        page.raw(
            f'<div class="card"><div class="kind">{line.role.kind} {line.role.name}</div>'
            f'<div class="equation">{html.escape(left)} = {html.escape(right)}</div>{forms}'
            f'<div class="equation">{" " * len(left)} = <b>{_minus(f"{line.value:.3f}")}</b></div>'
            f"<p>{escaped(words.of_line(line))}</p></div>"
        )
    page.pictures.update(_picture(walked))
    if walked.inputs.numel() <= 2 * _COLUMNS and len(part.columns) == walked.inputs.numel():
        page.raw("<details><summary>What entered this step, as the network sees it</summary>")
        page.table(
            ("input", "value"),
            [(name, _minus(f"{float(v):.3f}")) for name, v in zip(part.columns, walked.inputs, strict=True)],
            numbers=("value",),
        )
        page.raw("</details>")
    page.say("The same cell as a drawing:")
    page.raw(f'<div class="drawing">{cell.diagram()}</div>')


def _care(page: Page) -> None:
    page.section("care", "How to read this with care")
    page.points(
        (
            "A gate tells how a value is passed on, not why. What a unit means to the whole, only a test tells in "
            "which that unit is changed.",
            "The effective memory is that of one layer between its input and its last output. What the network does "
            "with that output, and what goes past the layer, is not in it; integrated gradients hold the whole "
            "network.",
            "Integrated gradients depend on the baseline: they answer “why this rather than that”.",
            "A unit that follows a column need not be used for it. A correlation is no cause.",
            "The sequences here may be ones that the network has learned from.",
        )
    )


def _picture(walked: Walk) -> dict[str, bytes]:
    one = Page("")
    one.figure("step", "", lambda theme: figures.walk_figure(walked, theme))
    return one.pictures


def _first_sequences(recording: Recording) -> Recording:
    """The last few sequences, as many as the gradient needs."""

    def cut(value: Tensor, axis: int) -> Tensor:
        count = value.shape[axis]
        return value.narrow(axis, max(0, count - _SEQUENCES), min(count, _SEQUENCES))

    return replace(
        recording,
        x=cut(recording.x, 1),
        inputs={name: cut(value, 1) for name, value in recording.inputs.items()},
        first={name: cut(value, 1) for name, value in recording.first.items()},
        traced={name: cut(value, 2) for name, value in recording.traced.items()},
        lengths=None if recording.lengths is None else recording.lengths[-_SEQUENCES:],
        resets=None if recording.resets is None else cut(recording.resets, 1),
    )


def _article(kind: str) -> str:
    return f"a {kind}" if kind in ("gate", "state", "value") else f"the {kind}"


def _minus(text: str) -> str:
    return html.escape(text.replace("-", "−"))
