"""The forward kernels of a cell as Triton source: all steps in one, or a segment of one step."""

from __future__ import annotations

from celda.engines.gpu.plan import ForwardPlan
from celda.engines.gpu.step import StepPrinter
from celda.language.expression import Node


class _Forward(StepPrinter):
    def __init__(self, plan: ForwardPlan, name: str, ragged: bool, resets: bool, segment: int | None) -> None:
        super().__init__(name, read=plan.read, ragged=ragged, resets=resets, segment=segment)
        self.plan, self.cell = plan, plan.cell

    def compute(self, node: Node) -> str:
        p, plan = self.p, self.plan
        if self.segment is not None and node in plan.crossing and plan.segment_of(node) < self.segment:
            return p.let(self.rows(f"crossing_{plan.crossing.index(node)}", "home", "here"))
        match node.op:
            case "state":
                k = self.cell.states.index(node.name)
                return f"old_{k}" if self.segment is None else p.let(self.rows(f"state_{k}", "home", "here"))
            case "linear":
                return self._linear(node)
            case "diagonal":
                vector = self.vector(f"vector_{self.cell.vectors[node]}")
                return p.let(f"{vector} * {self.value(node.args[0])}")
        return super().compute(node)

    def _linear(self, node: Node) -> str:
        """What torch found ahead of the loop, and the products of this step."""
        p, plan = self.p, self.plan
        if node in plan.told:
            k, count = plan.told.index(node), len(plan.told)
            total = p.let(self.rows("ahead", f"(at[:, None] * {count} + {k}) * H + unit[None, :]"))
        else:
            k = plan.rest.index(node)
            text = f"tl.load({p.argument('bias')} + {k} * H + unit, mask=mine, other=0.0).to(tl.float32)[None, :]"
            total = p.once(text)
        for term in self.cell.linear[node].terms:
            if plan.is_given(term):
                continue
            if self.segment is None:
                name = f"matrix_{plan.matrices.index(term.weight)}"
                operand = self.fed(self.value(term.operand), name, "here")
                block = self.matrix(name, term.block, transposed=False)
                part = f"tl.dot({operand}, {block}, input_precision=PRECISION)"
            else:
                product = next(
                    q for q in plan.products if q.weight == term.weight and node in q.maps and q.operand is term.operand
                )
                column = f"row[:, None] * {len(product.maps)} * H + {product.maps.index(node)} * H + unit[None, :]"
                part = self.rows(f"product_{plan.products.index(product)}", column, "here")
            total = p.let(f"{total} + {part}")
        return total

    def print(self) -> str:
        """The kernel's source."""
        p, plan, whole = self.p, self.plan, self.segment is None
        mine = lambda node: whole or plan.segment_of(node) == self.segment  # noqa: E731
        stores = []
        for k, node in enumerate(plan.crossing):
            if not whole and mine(node):
                stores.append(self.keep(f"crossing_{k}", self.value(node), "home", "here"))
        for k, node in enumerate(plan.operands):
            if not whole and node.op != "state" and mine(node):
                stores.append(self.keep(f"operand_{k}", self.value(node), "home", "here"))
        for k, node in enumerate(plan.stored):
            if mine(node):
                stores.append(self.keep(f"stored_{k}", self.value(node)))
        if mine(plan.output):
            stores.append(self.keep("output", self.value(plan.output)))
        new = {k: self.value(node) for k, node in enumerate(self.cell.outputs.values()) if mine(node)}
        anew = self.anew("s + 1") if self.resets and new else None
        p.step += stores
        for k, value in new.items():
            state = f"old_{k}" if whole else self.rows(f"state_{k}", "home", "here")
            kept = f"tl.where(live, {value}, {state})"
            kept = kept if anew is None else f"tl.where({anew}[:, None], 0.0, {kept})"
            if whole:
                p.before.append(f"old_{k} = {self.rows(f'state_{k}', 'home', 'here')}")
                p.step.append(f"new_{k} = {kept}")
                p.after.append(self.keep(f"last_{k}", f"old_{k}", "home", "here"))
            else:
                name = p.let(kept)
                p.step.append(self.keep(f"next_{k}", name, "home", "here"))
                operands = [n for n, node in enumerate(plan.operands) if node.op == "state"]
                operands = [n for n in operands if plan.operands[n].name == self.cell.states[k]]
                p.step += [self.keep(f"operand_{n}_next", name, "home", "here") for n in operands]
        p.step += [f"old_{k} = new_{k}" for k in new if whole]
        return self.finish("for turn in range(begin, end):", "turn")


def forward_source(plan: ForwardPlan, ragged: bool, resets: bool) -> list[str]:
    """The kernels of a plan: `forward`, all steps in one, and `forward_0`, `forward_1`, ..., the segments of a step."""
    found = [_Forward(plan, "forward", ragged, resets, None).print()]
    segments = range(len(plan.segments))
    return found + [_Forward(plan, f"forward_{k}", ragged, resets, k).print() for k in segments]
