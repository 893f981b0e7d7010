"""Which engine runs a call, and why: never silently."""

from __future__ import annotations

from dataclasses import dataclass

from celda.engines.call import Call, Engine, Result
from celda.engines.reference import run as reference
from celda.errors import CeldaError

ENGINES: dict[str, Engine] = {"reference": reference}


@dataclass(frozen=True)
class Plan:
    """The engine that runs a call, and the reason in words."""

    engine: str
    reason: str

    def __str__(self) -> str:
        return f"engine: {self.engine}\nwhy: {self.reason}"

    def run(self, call: Call) -> Result:
        """Run `call` on the chosen engine."""
        return ENGINES[self.engine](call)


def choose(engine: str = "auto") -> Plan:
    """The plan for a call where `engine` was asked for."""
    if engine not in ("auto", *ENGINES):
        raise CeldaError(
            f"There is no engine {engine!r}; write engine='auto' or one of {', '.join(map(repr, ENGINES))}."
        )
    if engine != "auto":
        return Plan(engine, f"engine={engine!r} was asked for")
    return Plan(
        "reference", "it is the only engine in this version: torch operations in a loop; fused engines come later"
    )


__all__ = ["ENGINES", "Call", "Engine", "Plan", "Result", "choose"]
