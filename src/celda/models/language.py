"""The language network: an embedding, recurrent layers of any cell, and the scores of the next token."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from celda import cells
from celda.language import Cell
from celda.language import weight_drop as with_weight_drop
from celda.layers import Recurrent

State = tuple[Tensor, ...]
_START = 0.1  # embeddings begin uniformly within it (Zaremba, Sutskever & Vinyals 2014)


class LanguageNetwork(nn.Module):
    """Scores the next token after each of a stream.

    Args:
        cell: the name of a cell or a cell of your own.
        vocabulary_size: V. embedding_size: E. hidden_size, num_layers: of the recurrent layers.
        tied: whether the embedding is the matrix of the scores, too (Inan et al. 2017; Press & Wolf 2017). Where E is
            not the hidden size, a linear map between them is learnt.
        dropout: between layers. recurrent_dropout, weight_drop: within them (`celda.language`).
        embedding_dropout: of whole tokens, one mask a call (Gal & Ghahramani 2016).
        input_dropout, output_dropout: of what enters the first layer and leaves the last.
    """

    def __init__(
        self,
        cell: str | Cell,
        vocabulary_size: int,
        *,
        embedding_size: int = 128,
        hidden_size: int = 256,
        num_layers: int = 1,
        tied: bool = False,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        weight_drop: float = 0.0,
        embedding_dropout: float = 0.0,
        input_dropout: float = 0.0,
        output_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding_dropout, self.input_dropout, self.output_dropout = (
            embedding_dropout,
            input_dropout,
            output_dropout,
        )
        made = cells.find(cell)
        made = with_weight_drop(made, weight_drop) if weight_drop else made
        between = dropout if num_layers > 1 else 0.0
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.recurrent = Recurrent(
            made, embedding_size, hidden_size, num_layers, dropout=between, recurrent_dropout=recurrent_dropout
        )
        needs_map = tied and embedding_size != hidden_size
        self.between = nn.Linear(hidden_size, embedding_size, bias=False) if needs_map else nn.Identity()
        self.output = nn.Linear(embedding_size if tied else hidden_size, vocabulary_size)
        nn.init.uniform_(self.embedding.weight, -_START, _START)
        nn.init.zeros_(self.output.bias)
        if tied:
            self.output.weight = self.embedding.weight

    def forward(self, x: Tensor, state: State | None = None, start: int = 0) -> tuple[Tensor, State]:
        """Score the tokens that follow `x` (T, B): (T, B, V), and the states after it, one (layers, B, H) each.

        `start`: the place of the first of them in its stream, for a cell that counts its steps with `time()`.
        """
        y, state = self.recurrent(self._embedded(x), state, start=start)
        y = F.dropout(y, self.output_dropout, self.training)
        return self.scores(y), state if isinstance(state, tuple) else (state,)

    def scores(self, y: Tensor) -> Tensor:
        """The scores (..., V) of what the last layer gave (..., H)."""
        scores: Tensor = self.output(self.between(y))
        return scores

    def start(self, batch_size: int) -> State:
        """The states that a stream begins with: zeros."""
        layer, like = self.recurrent, self.embedding.weight
        size = (layer.num_layers, batch_size, layer.hidden_size)
        return tuple(like.new_zeros(size) for _ in layer.cell.states)

    def _embedded(self, x: Tensor) -> Tensor:
        weight: Tensor = self.embedding.weight
        if self.training and self.embedding_dropout:
            kept = F.dropout(weight.new_ones(len(weight), 1), self.embedding_dropout)
            weight = weight * kept
        return F.dropout(F.embedding(x, weight), self.input_dropout, self.training)


def next_token_loss(scores: Tensor, following: Tensor) -> Tensor:
    """The mean cross-entropy, in nats a token, of scores (T, B, V) where `following` (T, B) came."""
    return F.cross_entropy(scores.flatten(0, 1), following.flatten())


def surprise(scores: Tensor, following: Tensor) -> float:
    """The sum of the cross-entropy in nats, summed in double precision."""
    return float(F.cross_entropy(scores.flatten(0, 1), following.flatten(), reduction="none").double().sum())
