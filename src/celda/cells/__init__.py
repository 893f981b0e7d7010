"""The cells of the field, one file a family; each reads like its paper."""

from celda.cells.gru import gru, gru_2014
from celda.cells.lstm import lstm, peephole_lstm
from celda.cells.rnn import image_rnn, rnn, rnn_relu
from celda.errors import CeldaError
from celda.language import Cell

CELLS: dict[str, Cell] = {c.name: c for c in (rnn, rnn_relu, image_rnn, lstm, peephole_lstm, gru, gru_2014)}


def find(cell: str | Cell) -> Cell:
    """The cell of that name, or the cell itself."""
    if isinstance(cell, Cell):
        return cell
    if not isinstance(cell, str) or cell not in CELLS:
        raise CeldaError(
            f"There is no cell {cell!r}. Write one of {', '.join(CELLS)}, or give a cell of your own (@cell)."
        )
    return CELLS[cell]
