"""A report as one HTML page that needs nothing else: text, tables, and figures inside it, light and dark."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files

from matplotlib.figure import Figure

from celda.drawing import save
from celda.insight.figures import DARK, LIGHT, Theme, themed
from celda.insight.report.markup import escaped, joined

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{mark}
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


@dataclass
class Page:
    """A page that is being written, part after part; `pictures` has its figures as PNG, by name."""

    title: str
    parts: list[str] = field(default_factory=list)
    sections: list[tuple[str, str]] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)

    def section(self, key: str, title: str) -> None:
        """Begin a section; `key` is what links say."""
        self.sections.append((key, title))
        self.parts.append(f'<h2 id="{key}">{html.escape(title)}</h2>')

    def heading(self, title: str) -> None:
        """A heading within a section."""
        self.parts.append(f"<h3>{html.escape(title)}</h3>")

    def say(self, *sentences: str, kind: str = "") -> None:
        """A paragraph of text or markup; `kind` "found" for what was found in this model, "lead" for the first."""
        opened = f'<p class="{kind}">' if kind else "<p>"
        self.parts.append(f"{opened}{joined(' ', sentences)}</p>")

    def points(self, sentences: Iterable[str]) -> None:
        """A list of sentences of text or markup."""
        self.parts.append("<ul>" + "".join(f"<li>{escaped(one)}</li>" for one in sentences) + "</ul>")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[str] = ()) -> None:
        """A table of text; the columns named in `numbers` are set flush right."""
        kinds = [' class="number"' if column in numbers else "" for column in columns]
        cells = lambda tag, row: "".join(f"<{tag}{k}>{html.escape(c)}</{tag}>" for k, c in zip(kinds, row, strict=True))  # noqa: E731
        head = f"<tr>{cells('th', columns)}</tr>" if any(columns) else ""
        body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
        self.parts.append(f'<div class="scroll"><table>{head}{body}</table></div>')

    def raw(self, text: str) -> None:
        """HTML as it is."""
        self.parts.append(text)

    def figure(self, name: str, caption: str, draw: Callable[[Theme], Figure]) -> None:
        """A figure in both themes, and as a PNG of its own."""
        with themed(LIGHT):
            light = draw(LIGHT)
            self.pictures[name] = _bytes(light, "png")
            shown = _address(_bytes(light, "svg"))
        with themed(DARK):
            dark = _address(_bytes(draw(DARK), "svg"))
        alt = html.escape(caption, quote=True)
        self.parts.append(
            f'<figure><picture><source srcset="{dark}" media="(prefers-color-scheme: dark)">'
            f'<img src="{shown}" alt="{alt}"></picture><figcaption>{html.escape(caption)}</figcaption></figure>'
        )

    def html(self) -> str:
        """The whole page."""
        links = "".join(f'<a href="#{key}">{html.escape(title)}</a>' for key, title in self.sections)
        body = "\n".join(self.parts).replace(_LINKS, f"<nav>{links}</nav>", 1)
        style = files("celda.insight.report").joinpath("style.css").read_text(encoding="utf-8")
        mark = _MARK.format(" ".join(self.pictures))
        return _PAGE.format(mark=mark, title=html.escape(self.title), style=style, body=body)

    def links(self) -> None:
        """Links to all sections."""
        self.parts.append(_LINKS)


_LINKS = "<!-- links -->"
_MARK = '<meta name="celda-report" content="{}">'


def figures_of(page: str) -> list[str] | None:
    """The names of the figures that were written beside a page; None where it is no page of Celda's."""
    found = re.search(_MARK.format("([a-z0-9 -]*)"), page.partition("</head>")[0])
    return found[1].split() if found else None


def _bytes(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    save(figure, buffer, kind, metadata={"Date": None} if kind == "svg" else None)
    return buffer.getvalue()


def _address(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
