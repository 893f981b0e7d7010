"""The report's plain words: what each kind of value is for, and what the numbers say."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from celda.drawing import RAISED
from celda.insight.gates import Openness
from celda.insight.gradients import GradientByLag
from celda.insight.memory import Kept
from celda.insight.report.markup import Markup, markup
from celda.insight.walk import Line
from celda.language.purposes import Role

_FOR = {
    "forget gate": "decides how much of the old memory stays: {keep} keeps all of it, {drop} wipes it out",
    "update gate": "decides between old and new: {keep} keeps the old value, {drop} puts the candidate in its place",
    "input gate": "decides how much of the candidate is written into the memory: 0 nothing, 1 all of it",
    "output gate": "decides how much of the memory is shown to the rest of the network: 0 nothing, 1 all of it",
    "gate": "another valve between 0 and 1, which lets through what it is multiplied with",
    "candidate": "what might be written now, worked out from the input and the last output",
    "memory": "what the unit remembers; it is handed from step to step",
    "output": "what the unit tells the rest of the network, and itself at the next step",
    "memory and output": "what the unit remembers, and tells the rest of the network and itself at the next step",
    "value": "a value on the way",
    "state": "a further value that is handed from step to step",
}


def purpose(role: Role) -> str:
    """What a value is for, without a full stop."""
    keep, drop = ("1", "0") if role.keeps else ("0", "1")
    said = _FOR[role.kind].format(keep=keep, drop=drop)
    return f"{said}; it is named before its sigmoid, so read σ({role.name}) here" if role.before else said


def percent(share: float) -> str:
    """A part in per cent, without digits that say nothing."""
    return f"{100 * share:.0f} %" if share == 0 or share >= 0.01 else f"{100 * share:.1f} %"


def steps(count: int, step: str) -> str:
    """A number of steps, and what that is: "3 steps (of 6 hours)"."""
    return f"{count} step{'s' * (count != 1)}" + (f" (of {step} each)" if step not in ("", "step") else "")


def number(value: float) -> str:
    """A number to read: 0.034, 12.3, 1,204, 3 x 10^-7."""
    if value and (abs(value) < 1e-3 or abs(value) >= 1e6):
        exponent = math.floor(math.log10(abs(value)))
        return f"{value / 10**exponent:.1f} × 10{str(exponent).translate(RAISED)}".replace("-", "−")
    return (f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}").replace("-", "−")


def of_openness(one: Openness) -> Markup:
    """How open one gate stands, and what follows from it."""
    mean, closed, opened = (float(part.mean()) for part in (one.mean, one.closed, one.open))
    if one.saturated > 0.5:
        then = f" and is nearly always saturated: {percent(closed)} closed, {percent(opened)} open. It works like a "
        then += "switch."
    elif one.saturated < 0.05:
        then = " and is hardly ever fully open or closed: it works like a dimmer, not like a switch."
    else:
        then = f"; {percent(opened)} of its values are fully open and {percent(closed)} fully closed."
    where = f" of {one.where}" if one.where else ""
    said = "<b>{}</b>, the {}{}, stands at {:.2f} on average{}"
    return markup(said.replace("{:.2f}", f"{mean:.2f}"), one.role.name, one.role.kind, where, then)


def of_average(role: Role, mean: np.ndarray, labels: Sequence[object]) -> Markup:
    """When a gate is most and least open."""
    high, low = int(mean.argmax()), int(mean.argmin())
    most, least = (f"{when(labels, at)} ({mean[at]:.2f})" for at in (high, low))
    return markup("<b>{}</b> ({}) is most open at {} and least at {}", role.name, role.kind, most, least)


def when(labels: Sequence[object], place: int) -> str:
    """A step as one says it."""
    label = labels[place]
    if isinstance(label, np.datetime64):
        import pandas as pd

        hours = any(stamp != stamp.normalize() for stamp in map(pd.Timestamp, labels))  # type: ignore[arg-type]
        return f"{pd.Timestamp(label):{'%a %d %b, %H:%M' if hours else '%a %d %b %Y'}}"
    return f"“{label}”" if isinstance(label, str) else str(label)


def of_gradient(now: GradientByLag, before: GradientByLag, step: str) -> list[str | Markup]:
    """What the gradient does on its way back, and what the training changed."""
    last = int(now.inputs.isfinite().sum()) - 1
    reach, first = now.reach(), before.reach()
    far = "that is as far as it reads" if reach == last else f"of the {last + 1} that it reads"
    found: list[str | Markup] = [
        markup(
            "<b>Effective memory: {}</b>, {}. An input so long ago still moves the output at least a tenth as much as "
            "the one that moves it most. Before the training it was {}.",
            steps(reach, step),
            far,
            steps(first, step),
        )
    ]
    left, fresh = now.factor(last), before.factor(last)
    what = "vanishes" if left < 1e-3 else "explodes" if left > 1e3 else "neither vanishes nor explodes"
    found.append(
        f"On its way back over {steps(last, step)} the gradient of the states is multiplied by {number(left)}: over "
        f"this length it {what}. With fresh weights it was {number(fresh)}."
    )
    return found


def of_kept(found: Kept, step: str) -> Markup:
    """How long the units keep what they hold."""
    middle, long = found.quantile(0.5), found.quantile(0.9)
    return markup(
        "By its own gate alone, the middle unit of <b>{}</b> has lost half of what it held after {}; the most "
        "retentive tenth of the units only after {} or more.{}",
        found.state,
        _life(middle),
        _life(long),
        f" (A step is {step}.)" if step not in ("", "step") else "",
    )


def _life(half_life: float) -> str:
    return "no number of steps at all" if math.isinf(half_life) else f"{half_life:.1f} steps"


def of_line(line: Line) -> str:
    """What one number of the walk means."""
    role = line.role
    value = 1 / (1 + math.exp(-line.value)) if role.before else line.value
    share = percent(min(max(value, 0.0), 1.0))
    match role.kind:
        case "forget gate":
            return f"{percent(value if role.keeps else 1 - value)} of the old memory stays."
        case "update gate":
            keeps = value if role.keeps else 1 - value
            return f"{percent(keeps)} of the old value stays, {percent(1 - keeps)} is replaced by the candidate."
        case "input gate":
            return f"{share} of the candidate will be written."
        case "output gate":
            return f"{share} of the memory will be shown."
        case "gate":
            return f"It lets {share} through."
        case "candidate":
            return f"This is what might be written: {signed(value)}."
        case _ if line.before is not None:
            moved = value - line.before
            went = "rises" if moved > 0 else "falls"
            return f"It was {signed(line.before)} and {went} by {abs(moved):.3f} to {signed(value)}."
    return ""


def signed(value: float, digits: int = 3) -> str:
    """A number to so many places, with the sign that printers use."""
    return f"{value:.{digits}f}".replace("-", "−")
