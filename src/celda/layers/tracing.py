"""See the gates at work: `with celda.trace(layer) as t: layer(x)`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from celda.errors import CeldaError


class Trace(Mapping[str, Tensor]):
    """The values of every gate and state of a layer's latest call, by name: `t["f"]`, `t["c"]`.

    Each is (layers x directions, T, B, H); directions are aligned in time, and steps past a sequence's end are zero.
    Gates are detached, and so are states but with `gradients`.
    """

    def __init__(self, names: tuple[str, ...], attached: tuple[str, ...]) -> None:
        self.names = names
        self.attached = attached
        self._kept: list[Mapping[str, Tensor]] = []
        self._values: dict[str, Tensor] = {}

    def __repr__(self) -> str:
        told = f"{tuple(self[self.names[-1]].shape)}" if self._kept else "nothing yet"
        return f"<Trace of {', '.join(self.names)}: {told}>"

    def record(self, kept: list[Mapping[str, Tensor]]) -> None:
        """Keep what one call left, a mapping a layer and direction; put together when it is asked for."""
        loose = lambda values: {n: v if n in self.attached else v.detach() for n, v in values.items()}  # noqa: E731
        self._kept, self._values = [*map(loose, kept)], {}

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.names:
            raise CeldaError(f"The cell has nothing called {name!r}; it has {', '.join(self.names)}.")
        if not self._kept:
            raise CeldaError("Nothing has been traced yet: call the layer inside the `with celda.trace(layer)` block.")
        if name not in self._values:
            parts = [values[name] for values in self._kept]
            self._values[name] = parts[0].unsqueeze(0) if len(parts) == 1 else torch.stack(parts)
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


@contextmanager
def trace(model: nn.Module, *, gradients: bool = False) -> Iterator[Trace]:
    """Keep the gates and states of the one recurrent layer in `model` (itself, or inside it) while the block runs.

    `gradients`: the values of states, `t["c"]`, may have a part in a loss. They then hold on to the graph of the call.
    """
    from celda.layers.recurrent import Recurrent

    if not isinstance(model, nn.Module):
        raise CeldaError(f"trace needs a recurrent layer, or a model that holds one, and was given {model!r:.60}.")
    found = [model] if isinstance(model, Recurrent) else [m for m in model.modules() if isinstance(m, Recurrent)]
    if len(found) != 1:
        names = ", ".join(name for name, m in model.named_modules() if isinstance(m, Recurrent)) or "none"
        raise CeldaError(
            f"trace needs one recurrent layer and {type(model).__name__} has {len(found)} ({names}): give that layer."
        )
    layer = found[0]
    made = Trace(tuple(layer.cell.named), layer.cell.states if gradients else ())
    before, layer._trace = layer._trace, made
    try:
        yield made
    finally:
        layer._trace = before
