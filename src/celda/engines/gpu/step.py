"""What the kernels of both directions have in common: which rows and units a program holds, and the leaves of a graph.

A row is a step of a sequence, and lies where the caller's batch has it, at t * batch + sequence. With `ragged` the
programs take the sequences in an `order`, the longest first, so that those of one program end at about the same step.
"""

from __future__ import annotations

from celda.engines.gpu.maths import POINTWISE
from celda.engines.gpu.printer import Printer
from celda.language.expression import Node


class StepPrinter:
    """Prints values of a step by name. `segment`: which part of a step; None: the whole loop."""

    def __init__(self, name: str, *, read: tuple[str, ...], ragged: bool, resets: bool, segment: int | None) -> None:
        self.p = Printer(name, looped=segment is None)
        self.read, self.ragged, self.resets, self.segment = read, ragged, resets, segment
        self.known: dict[Node, str] = {}
        self._fed: dict[tuple[str, str], str] = {}
        for argument in ("steps", "batch", "first", "direction", "start"):
            self.p.argument(argument)

    def finish(self, loop: str, s: str) -> str:
        """The source; `loop` is the head of a loop over all steps, `s` tells which step this is."""
        p = self.p
        prologue = [
            "row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)",
            "inside = row < batch",
            "unit = tl.arange(0, P)",
            "mine = unit < H",
        ]
        if self.ragged:
            order, lengths = p.argument("order"), p.argument("lengths")
            prologue.append(f"row = tl.load({order} + row, mask=inside, other=0)")
            prologue.append(f"length = tl.load({lengths} + row, mask=inside, other=0)")
        prologue += ["here = inside[:, None] & mine[None, :]", "home = row[:, None] * H + unit[None, :]"]
        if self.segment is None:
            if self.ragged:
                prologue.append("longest = tl.max(length, 0)")
                prologue += ["begin = (1 - direction) // 2 * (steps - longest)", "end = begin + longest"]
            else:
                prologue += ["begin = 0", "end = steps"]
        live = "here & (t < length)[:, None]" if self.ragged else "here"
        p.step[:0] = [
            f"s = tl.cast({s if self.segment is None else p.argument('step')}, tl.int64)",
            "t = first + direction * s",
            "at = t * batch + row",
            f"live = {live}",
            "place = at[:, None] * H + unit[None, :]",
        ]
        return p.source(prologue, loop)

    def rows(self, name: str, at: str = "place", mask: str = "live") -> str:
        """What lies in an array for the rows of this step."""
        return f"tl.load({self.p.argument(name)} + {at}, mask={mask}, other=0.0).to(tl.float32)"

    def keep(self, name: str, value: str, at: str = "place", mask: str = "live") -> str:
        """The statement that writes to an array."""
        return f"tl.store({self.p.argument(name)} + {at}, {value}, mask={mask})"

    def vector(self, name: str) -> str:
        """A vector of the units, the same for all rows."""
        text = f"tl.load({self.p.argument(name)} + unit, mask=mine, other=0.0).to(tl.float32)[None, :]"
        return self.p.once(text)

    def anew(self, step: str) -> str:
        """Whether sequences start anew before a step, numbered as they are run."""
        return self.p.let(f"tl.load({self.p.argument('anew')} + ({step}) * batch + row, mask=inside, other=0) != 0")

    def fed(self, value: str, matrix: str, rows: str) -> str:
        """A value as an operand of a product: in the dtype of the matrix, and nothing where there is no unit."""
        key = value, rows
        if key not in self._fed:
            dtype = f"{self.p.argument(matrix)}.dtype.element_ty"
            self._fed[key] = self.p.let(f"tl.where({rows}, {value}, 0.0).to({dtype})")
        return self._fed[key]

    def matrix(self, name: str, block: int, transposed: bool) -> str:
        """A block of a matrix, held through all steps: (units in, units out), `transposed` (out, in)."""
        row, column = ("unit[:, None]", "unit[None, :]") if transposed else ("unit[None, :]", "unit[:, None]")
        place = f"({block} * H + {row}) * H + {column}"
        return self.p.once(f"tl.load({self.p.argument(name)} + {place}, mask=mine[:, None] & mine[None, :], other=0.0)")

    def value(self, node: Node) -> str:
        """The name of a node's value, computed where it was not yet."""
        if node not in self.known:
            self.known[node] = self.compute(node)
        return self.known[node]

    def compute(self, node: Node) -> str:
        """The name of a new value: of a leaf, or of point-wise work."""
        match node.op:
            case "number":
                return self.p.number(node.value)
            case "time":
                return self.p.let("(start + t).to(tl.float32)")
            case "parameter":
                return self.vector(f"vector_{node.name}")
            case "mask" | "below":
                k = self.read.index(node.name)
                moves = self.p.argument(f"read_{k}_moves")
                return self.p.let(self.rows(f"read_{k}", f"({moves} * t * batch + row)[:, None] * H + unit[None, :]"))
        return self.p.let(POINTWISE[node.op](self.p, *map(self.value, node.args)))
