"""The diagram as an SVG document: no script, no font and no file besides it."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from textwrap import wrap

from celda.language.cell import Cell
from celda.language.diagram.arrangement import arrange
from celda.language.diagram.layout import Layout
from celda.language.diagram.picture import Shape, Wire, picture
from celda.language.diagram.routing import Point

_UNIT = 8  # pixels between the lines of the grid
_RADIUS = 7  # of a wire's corners

_LIGHT = {
    "panel": ("#fdfdfc", "#d9d9d4"), "gate": ("#fff3d6", "#c98a1b"), "map": ("#f3e9fb", "#8d5bb8"),
    "operation": ("#fde5e1", "#c2553f"), "input": ("#e3effb", "#3d7cc0"), "state": ("#dff3ea", "#22906a"),
    "number": ("#ececec", "#84888f"), "ink": ("#22252a", "#5c6169"),
}  # fmt: skip
_DARK = {
    "panel": ("#16181c", "#33373e"), "gate": ("#41331a", "#e0a73c"), "map": ("#35264a", "#b48ad8"),
    "operation": ("#47241d", "#e58370"), "input": ("#16304b", "#6ba6e6"), "state": ("#123a2c", "#4cc497"),
    "number": ("#2c2f35", "#9a9ea6"), "ink": ("#e8e8e4", "#a9aeb7"),
}  # fmt: skip
_COLOUR = {"old": "state", "new": "state", "parameter": "number"}  # of a kind that has none of its own
_FORM = """\
text{font:17px 'STIX Two Text','Cambria Math',Cambria,Georgia,'DejaVu Serif',serif;text-anchor:middle}
.name,.sub{font-style:italic}.sub{font-size:11px}.small{font-size:12px}
.head{font-size:20px;font-weight:bold}.doc{font-size:13px}.role{font-size:12px}.head,.doc{text-anchor:start}
rect,circle{stroke-width:1.4}.dot{stroke:none}
.wire{fill:none;stroke-width:1.6}.memory{stroke-width:3.2}.diagonal{stroke-dasharray:5 4}"""


def diagram(cell: Cell) -> str:
    """One step of `cell` as a self-contained SVG document, readable on light and dark grounds.

    Time runs to the right: old states enter at the left, new ones leave at the right. A state that point-wise work
    alone carries to its new value is a thick line along the top. A box is a gate with its learned maps, a circle an
    element-wise operation; a dashed wire goes through a learned vector (a peephole).
    """
    return "\n".join(_Document(cell).lines()) + "\n"


class _Document:
    def __init__(self, cell: Cell) -> None:
        self.cell, self.picture = cell, picture(cell)
        arrange(cell, self.picture)
        summary = cell.doc.split("\n\n")[0]
        self.layout = Layout(self.picture)
        self.summary = wrap(summary, (self.layout.width - 6) * _UNIT // 7, break_on_hyphens=False)
        self.down = 46 + 16 * len(self.summary)  # the height of the heading
        self.memory = {wire.target for wire in self.picture.wires if wire.memory}

    def lines(self) -> Iterator[str]:
        """The document, line by line."""
        name = escape(self.cell.name)
        width, height = self.layout.width * _UNIT, self.layout.height * _UNIT + self.down
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            f'role="img" aria-labelledby="{name}-title {name}-desc">'
        )
        yield f'<title id="{name}-title">One step of the cell {name}</title>'
        yield f'<desc id="{name}-desc">{escape(self.cell.equations())}</desc>'
        yield f"<style>\n{_FORM}\n{_colours(_LIGHT)}"
        yield f"@media (prefers-color-scheme:dark){{\n{_colours(_DARK)}\n}}\n</style>"
        yield f'<rect class="panel" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="10"/>'
        yield f'<text class="head" x="24" y="34">{name}</text>'
        for number, line in enumerate(self.summary):
            yield f'<text class="doc" x="24" y="{54 + 16 * number}">{escape(line)}</text>'
        yield f'<g transform="translate(0 {self.down})">'
        for wire in reversed(self.layout.paths):  # the memory lines, laid first, are drawn on top
            yield from self._wire(wire)
        for shape in self.picture.shapes:
            yield from self._box(shape)
        yield "</g>\n</svg>"

    def _wire(self, wire: Wire) -> Iterator[str]:
        """A wire, its arrow's head, the dot where it branches off, and its role."""
        source = wire.source
        kind = "state" if source in self.memory else _COLOUR.get(source.kind, source.kind)
        kind = f"wire-{kind if kind in ('state', 'input') else 'ink'}"
        path = [(x * _UNIT, y * _UNIT) for x, y in self.layout.paths[wire]]
        (a, b), (x, y) = path[-2:]
        dx, dy = (x > a) - (x < a), (y > b) - (y < b)
        path[-1] = (x - 6 * dx, y - 6 * dy)  # the head ends the wire
        thick, dashed = " memory" * wire.memory, " diagonal" * (wire.how == "diagonal")
        yield f'<path class="wire {kind}{thick}{dashed}" d="{_rounded(path)}"/>'
        left, right = (x - 9 * dx - 4 * dy, y - 9 * dy - 4 * dx), (x - 9 * dx + 4 * dy, y - 9 * dy + 4 * dx)
        yield f'<path class="dot {kind}" d="M{x},{y}L{left[0]},{left[1]}L{right[0]},{right[1]}Z"/>'
        if wire in self.layout.joins:
            yield f'<circle class="dot {kind}" cx="{path[0][0]}" cy="{path[0][1]}" r="3.4"/>'
        if wire.role:
            place = f'x="{x + 8}" y="{y - 12 * dy + 4}"' if dy else f'x="{x - 12 * dx}" y="{y - 7}"'
            anchor = "start" if dy or dx < 0 else "end"
            yield f'<text class="role" style="text-anchor:{anchor}" {place}>{escape(wire.role)}</text>'

    def _box(self, shape: Shape) -> Iterator[str]:
        (x, y), (w, h) = ((a * _UNIT, b * _UNIT) for a, b in (self.layout.centre[shape], self.layout.half[shape]))
        yield f'<g class="{_COLOUR.get(shape.kind, shape.kind)}">'
        if shape.tip:
            yield f"<title>{escape(shape.tip)}</title>"
        if shape.kind == "operation" and w == h:
            yield f'<circle cx="{x}" cy="{y}" r="{w}"/>'
        else:
            corner = {"gate": 6, "map": 4}.get(shape.kind, h)
            yield f'<rect x="{x - w}" y="{y - h}" width="{2 * w}" height="{2 * h}" rx="{corner}"/>'
        size = ' class="small"' if len(shape.label) > 1 else ""
        match shape.kind:
            case "gate":
                yield f'<text class="name" x="{x}" y="{y - 4}">{_indexed(shape.name, "t")}</text>'
                yield f'<text{size} x="{x}" y="{y + 15}">{escape(shape.label)}</text>'
            case "operation":
                yield f'<text{size} x="{x}" y="{y + (4 if size else 6)}">{escape(shape.label)}</text>'
            case _:
                yield f'<text class="name" x="{x}" y="{y + 5}">{_indexed(shape.label, shape.index)}</text>'
        yield "</g>"


def _colours(palette: dict[str, tuple[str, str]]) -> str:
    """The rules that colour boxes by their kind, and wires by what they carry."""
    rules = [f".panel{{fill:{palette['panel'][0]};stroke:{palette['panel'][1]}}}"]
    for kind, (fill, stroke) in palette.items():
        rules.append(f".{kind} rect,.{kind} circle{{fill:{fill};stroke:{stroke}}}")
        rules.append(f".wire.wire-{kind}{{stroke:{stroke}}}.dot.wire-{kind}{{fill:{stroke}}}")
    ink, faint = palette["ink"]
    return "\n".join([*rules, f"text{{fill:{ink}}}.doc,.role{{fill:{faint}}}"])


def _indexed(label: str, index: str) -> str:
    """A letter with its index below it."""
    return escape(label) + (f'<tspan class="sub" dy="4">{escape(index)}</tspan>' if index else "")


def _rounded(path: list[Point]) -> str:
    """A path through `path` with rounded corners."""
    parts = [f"M{path[0][0]},{path[0][1]}"]
    for before, here, after in zip(path, path[1:], path[2:], strict=False):
        (a, b), (c, d) = _towards(here, before), _towards(here, after)
        parts.append(f"L{a:g},{b:g}Q{here[0]},{here[1]} {c:g},{d:g}")
    return "".join(parts) + f"L{path[-1][0]},{path[-1][1]}"


def _towards(here: Point, there: Point) -> tuple[float, float]:
    """The point a corner's radius away from `here`, or half the way where that is nearer."""
    dx, dy = there[0] - here[0], there[1] - here[1]
    part = min(_RADIUS / max(abs(dx), abs(dy)), 0.5)
    return here[0] + dx * part, here[1] + dy * part
