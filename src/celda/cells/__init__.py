"""The cells of the field, one file a family; each reads like its paper."""

import re
from typing import NamedTuple

from celda.cells.clockwork import clockwork_rnn
from celda.cells.depth_gated import depth_gated_lstm
from celda.cells.gru import gru, gru_2014, mgu
from celda.cells.indrnn import indrnn
from celda.cells.janet import janet
from celda.cells.jozefowicz import mut1, mut2, mut3
from celda.cells.lstm import coupled_lstm, lstm, peephole_lstm
from celda.cells.lstm_1997 import lstm_1997, lstm_1997_truncated
from celda.cells.odyssey import lstm_cifg, lstm_fgr, lstm_nfg, lstm_niaf, lstm_nig, lstm_noaf, lstm_nog
from celda.cells.rnn import image_rnn, jordan, rnn, rnn_relu
from celda.cells.slstm import slstm, slstm_exp
from celda.errors import CeldaError, meant
from celda.language import Cell

_PLAIN = (jordan, rnn, rnn_relu, image_rnn, clockwork_rnn, indrnn)
_LSTM = (lstm_1997, lstm_1997_truncated, lstm, peephole_lstm, coupled_lstm)
_ODYSSEY = (lstm_nig, lstm_nfg, lstm_nog, lstm_niaf, lstm_noaf, lstm_cifg, lstm_fgr)
_LATER = (depth_gated_lstm, janet, slstm, slstm_exp)
_GRU = (gru, gru_2014, mut1, mut2, mut3, mgu)

CELLS: dict[str, Cell] = {c.name: c for c in (*_PLAIN, *_LSTM, *_ODYSSEY, *_LATER, *_GRU)}


class Source(NamedTuple):
    """Where a cell comes from."""

    authors: str
    year: int


def source(cell: Cell) -> Source | None:
    """Who wrote of the cell and when, as the first line of its docstring has it in brackets; None: it does not."""
    found = re.search(r"\(([^()]+) ((?:19|20)\d\d)(?:[,;][^()]*)?\)", cell.doc.partition("\n")[0])
    return Source(found[1], int(found[2])) if found else None


def find(cell: str | Cell) -> Cell:
    """The cell of that name, or the cell itself."""
    if isinstance(cell, Cell):
        return cell
    if not isinstance(cell, str) or cell not in CELLS:
        if callable(cell):
            raise CeldaError(
                f"{getattr(cell, '__name__', 'That')} is no cell yet: write @cell above the def of a function of its "
                "equations, or give the name of one, such as 'lstm'."
            )
        near = meant(str(cell), CELLS)
        hint = f"Did you mean {near!r}?" if near else f"There are {', '.join(CELLS)}; or give one of your own (@cell)."
        raise CeldaError(f"There is no cell {cell!r}. {hint}")
    return CELLS[cell]
