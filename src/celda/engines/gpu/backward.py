"""The reverse sweep of a cell as Triton source: all steps in one kernel, or a segment of one step."""

from __future__ import annotations

from celda.engines.gpu.plan import BackwardPlan, ForwardPlan
from celda.engines.gpu.step import StepPrinter
from celda.language.expression import Node


class _Backward(StepPrinter):
    """`kept`: the states whose values at every step have gradients from above besides those of the output."""

    def __init__(
        self,
        plan: BackwardPlan,
        forward: ForwardPlan,
        name: str,
        ragged: bool,
        resets: bool,
        kept: tuple[str, ...],
        segment: int | None,
    ) -> None:
        super().__init__(name, read=plan.read, ragged=ragged, resets=resets, segment=segment)
        self.plan, self.forward, self.cell, self.kept = plan, forward, plan.cell, kept
        self.carried: list[str] = []  # dL/d(each state after the step) as far as later steps give it

    def compute(self, node: Node) -> str:
        p, plan = self.p, self.plan
        if node.op not in ("parameter", "number", "mask", "below"):  # those are read where they are
            if node is self.forward.output:
                return p.let(self.rows("output"))
            if node in self.forward.stored:
                return p.let(self.rows(f"stored_{self.forward.stored.index(node)}"))
        if self.segment is not None and node in plan.crossing and plan.segment_of(node) < self.segment:
            return p.let(self.rows(f"crossing_{plan.crossing.index(node)}", "home", "here"))
        match node.op:
            case "adjoint":
                return self._adjoint(self.cell.states.index(node.name))
            case "transposed":
                return self._product(node)
            case "diagonal":
                return p.let(f"{self.vector(f'vector_{self.cell.vectors[node]}')} * {self.value(node.args[0])}")
        return super().compute(node)

    def _product(self, node: Node) -> str:
        p, plan = self.p, self.plan
        if self.segment is not None:
            return p.let(self.rows(f"product_{plan.products.index(node)}", "home", "here"))
        total = ""
        for arg, term in zip(node.args, plan.program.terms(node), strict=True):
            name = f"matrix_{plan.matrices.index(term.weight)}"
            block = self.matrix(name, term.block, transposed=True)
            part = f"tl.dot({self.fed(self.value(arg), name, 'live')}, {block}, input_precision=PRECISION)"
            total = p.let(f"{total} + {part}" if total else part)
        return total

    def _adjoint(self, k: int) -> str:
        """dL/d(state after the step), with what comes to this step from above."""
        total, state = self.carried[k], self.cell.states[k]
        if k == 0:
            total = self.p.let(f"{total} + {self.rows('upstream')}")
        if state in self.kept:
            total = self.p.let(f"{total} + {self.rows(f'upstream_{state}')}")
        return total

    def _carry(self) -> None:
        """What comes from the step after this: products that were put off too; nothing where a sequence ends there."""
        p, whole = self.p, self.segment is None
        anew = self.anew("s + 1") if self.resets else None
        for k, state in enumerate(self.cell.states):
            total = f"carry_{k}" if whole else p.let(self.rows(f"carry_{k}", "home", "here"))
            for product in () if whole else self.plan.program.carry[state]:
                total = p.let(f"{total} + {self._product(product)}")
            self.carried.append(total if anew is None else p.let(f"tl.where({anew}[:, None], 0.0, {total})"))

    def print(self) -> str:
        """The kernel's source."""
        p, plan, whole = self.p, self.plan, self.segment is None
        gradient = plan.program.gradient
        mine = lambda node: whole or plan.segment_of(node) == self.segment  # noqa: E731
        if not self.segment:
            self._carry()
        stores = []
        for k, node in enumerate(plan.crossing):
            if not whole and mine(node):
                stores.append(self.keep(f"crossing_{k}", self.value(node), "home", "here"))
        for k, m in enumerate(plan.maps):
            if m in gradient.maps and mine(gradient.maps[m]):
                there = f"(at[:, None] * {len(plan.maps)} + {k}) * H + unit[None, :]"
                stores.append(self.keep("adjoint", self.value(gradient.maps[m]), there))
        for name, node in plan.program.below.items():
            if mine(node):
                stores.append(self.keep(f"d_read_{plan.read.index(name)}", self.value(node)))
        for name, node in gradient.vectors.items():
            if mine(node):
                stores += self._sum(plan.vectors.index(name), self.value(node))
        stores += self._states()
        p.step += stores
        return self.finish("for turn in range(begin, end):", "begin + end - 1 - turn")

    def _sum(self, k: int, value: str) -> list[str]:
        """Add to the gradient of a learned vector, which every program sums up by itself."""
        p = self.p
        there = f"(tl.program_id(0) * {len(self.plan.vectors)} + {k}) * H + unit"
        part = f"tl.sum(tl.where(live, {value}, 0.0), 0)"
        load = f"tl.load({p.argument('sums')} + {there}, mask=mine, other=0.0)"
        if self.segment is not None:
            return [f"tl.store(sums + {there}, {load} + {part}, mask=mine)"]
        p.before.append(f"sum_{k} = tl.zeros((P,), tl.float32)")
        p.after.append(f"tl.store(sums + {there}, sum_{k}, mask=mine)")
        return [f"sum_{k} += {part}"]

    def _states(self) -> list[str]:
        """Hand on dL/d(state before the step); a sequence that is not at this step keeps what it has."""
        p, plan, stores = self.p, self.plan, []
        for k, state in enumerate(self.cell.states):
            terms = plan.program.carried[state]
            if self.segment is None:
                values = [self.value(term) for term in (*terms, *plan.program.carry[state])]
                p.before.append(f"carry_{k} = {self.rows(f'd_last_{k}', 'home', 'here')}")
                p.step.append(f"next_{k} = tl.where(live, {' + '.join(values) or '0.0'}, {self.carried[k]})")
                p.after.append(self.keep(f"d_first_{k}", f"carry_{k}", "home", "here"))
                stores.append(f"carry_{k} = next_{k}")
                continue
            values = [self.value(term) for term in terms if plan.segment_of(term) == self.segment]
            if self.segment == 0:
                new = f"tl.where(live, {' + '.join(values) or '0.0'}, {self.carried[k]})"
                stores.append(self.keep(f"carry_{k}", p.let(new), "home", "here"))
            elif values:
                new = f"{self.rows(f'carry_{k}', 'home', 'here')} + {' + '.join(values)}"
                stores.append(self.keep(f"carry_{k}", p.let(new), "home"))
        return stores


def backward_source(
    plan: BackwardPlan, forward: ForwardPlan, ragged: bool, resets: bool, kept: tuple[str, ...]
) -> list[str]:
    """The kernels of a sweep: `backward`, all steps in one, and `backward_0`, `backward_1`, ..., segments of a step."""
    found = [_Backward(plan, forward, "backward", ragged, resets, kept, None).print()]
    segments = range(len(plan.segments))
    return found + [_Backward(plan, forward, f"backward_{k}", ragged, resets, kept, k).print() for k in segments]
