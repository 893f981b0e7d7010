"""A cell's step, drawn as an SVG document from its graph.

graph -> picture (boxes and wires) -> arrangement (columns and rows) -> layout (coordinates and paths) -> svg
"""

from celda.language.diagram.svg import diagram

__all__ = ["diagram"]
