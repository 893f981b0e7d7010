"""Text with markup: whatever is put into it is escaped, unless it is markup itself."""

from __future__ import annotations

import html
from collections.abc import Iterable


class Markup(str):
    """HTML that was written as such. All other text is escaped where it enters a page."""


def escaped(text: object) -> Markup:
    """Text as it is shown; markup stays as it is."""
    return text if isinstance(text, Markup) else Markup(html.escape(str(text), quote=False))


def markup(template: str, *values: object) -> Markup:
    """A template of HTML with `{}` in it, filled with text: `markup("<b>{}</b> opens", name)`."""
    return Markup(template.format(*map(escaped, values)))


def joined(between: str, parts: Iterable[object]) -> Markup:
    """Several pieces of text or markup as one."""
    return Markup(escaped(between).join(map(escaped, parts)))
