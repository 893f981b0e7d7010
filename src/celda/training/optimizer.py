"""The optimizer, whose weight decay spares biases and other vectors, and its state as named tensors."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from celda.errors import CeldaError

_KINDS: dict[str, type[Optimizer]] = {"adamw": AdamW, "sgd": SGD}


def make_optimizer(model: nn.Module, kind: str, weight_decay: float) -> Optimizer:
    """An optimizer over the trainable parameters of a model. Those of fewer than two dimensions are not decayed.

    Raises CeldaError where nothing can be trained. The learning rate is set at each step by the training loop.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not trainable:
        raise CeldaError("The model has no parameter to train: set requires_grad=True on those that should learn.")
    groups = [
        {"params": [p for p in trainable if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim < 2], "weight_decay": 0.0},
    ]
    # One kernel a step: on a CPU a third of the time that the loop over parameters takes.
    return _KINDS[kind]([group for group in groups if group["params"]], lr=0.0, fused=True)  # type: ignore[call-arg]


def state_tensors(model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimizer's state: a tensor for each parameter and slot, called `<parameter>.<slot>`."""
    return {
        f"{name}.{slot}": value
        for name, parameter in model.named_parameters()
        for slot, value in optimizer.state.get(parameter, {}).items()
    }


def load_state_tensors(model: nn.Module, optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `state_tensors` gave, on the devices of the parameters."""
    places = {id(p): place for place, p in enumerate(chain(*(group["params"] for group in optimizer.param_groups)))}
    indices = {name: places[id(p)] for name, p in model.named_parameters() if id(p) in places}
    state: dict[int, dict[str, Any]] = {}
    for key, value in tensors.items():
        name, _, slot = key.rpartition(".")
        state.setdefault(indices[name], {})[slot] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
