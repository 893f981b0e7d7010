"""Each point-wise operation of the language in torch, for whichever engine wants it there."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from celda.language.operations import EPSILON

TORCH: dict[str, Callable[..., Tensor]] = {
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "divide": torch.div,
    "remainder": torch.remainder,
    "negate": torch.neg,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "identity": lambda a: a,
    "stop_gradient": Tensor.detach,
    "exp": torch.exp,
    "log": torch.log,
    "softplus": F.softplus,
    "sqrt": torch.sqrt,
    "abs": torch.abs,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "where": torch.where,
    "mean": lambda a: a.mean(-1, keepdim=True).expand_as(a),
    "deviation": lambda a: (a.var(-1, keepdim=True, correction=0) + EPSILON).sqrt().expand_as(a),
    "normalize": lambda a: F.layer_norm(a, a.shape[-1:], eps=EPSILON),
    "less": torch.lt,
    "less_equal": torch.le,
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "equal": torch.eq,
    "not_equal": torch.ne,
}
