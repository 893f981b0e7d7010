"""A kernel while it is printed: its arguments, what stands before its loop over the steps, and the step itself."""

from __future__ import annotations

from dataclasses import dataclass, field

RUNTIME = ("steps", "batch", "first", "direction", "start", "step")  # numbers that no kernel is compiled again for


@dataclass(eq=False)
class Printer:
    """Source text in three parts. Numbers are printed as tensors, so that every operation meets tensors only."""

    name: str
    looped: bool  # whether the kernel goes over all steps
    arguments: dict[str, None] = field(default_factory=dict)
    before: list[str] = field(default_factory=list)
    step: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    _numbers: dict[float, str] = field(default_factory=dict)
    _loads: dict[str, str] = field(default_factory=dict)
    _count: int = 0

    def argument(self, name: str) -> str:
        """An argument of the kernel, by its name."""
        self.arguments.setdefault(name)
        return name

    def let(self, text: str) -> str:
        """A new name, in the step, for the value of `text`."""
        name = self._new()
        self.step.append(f"{name} = {text}")
        return name

    def once(self, text: str) -> str:
        """A name for a value that all steps share, computed before them."""
        if text not in self._loads:
            self._loads[text] = self._new()
            self.before.append(f"{self._loads[text]} = {text}")
        return self._loads[text]

    def number(self, value: float) -> str:
        """A number."""
        text = repr(value) if abs(value) < float("inf") else f'float("{value}")'
        return self.once(f"tl.full((), {text}, tl.float32)")

    def _new(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def source(self, prologue: list[str], steps: str) -> str:
        """The whole function: `prologue` names the rows, `steps` is the head of the loop."""
        runtime = [name for name in self.arguments if name in RUNTIME or name.endswith("_moves")]
        names = [*self.arguments, "H: tl.constexpr", "P: tl.constexpr", "ROWS: tl.constexpr", "PRECISION: tl.constexpr"]
        lines = [f"@triton.jit(do_not_specialize={runtime!r})", f"def {self.name}({', '.join(names)}):"]
        lines += [f"    {line}" for line in (*prologue, *self.before)]
        inner = "        " if self.looped else "    "
        lines += [f"    {steps}"] if self.looped else []
        lines += [inner + line for line in self.step] or [inner + "pass"]
        lines += [f"    {line}" for line in self.after]
        return "\n".join(lines) + "\n"
