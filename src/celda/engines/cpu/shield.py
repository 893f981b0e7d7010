"""What a caller set for the operations of their own model is not meant for the tensors that an engine makes inside."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def shielded(function: Callable[P, R]) -> Callable[P, R]:
    """The function without the caller's default device, torch function modes and autocast."""

    @wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        if not torch._C._len_torch_function_stack() and not torch._C._is_any_autocast_enabled():
            return function(*args, **kwargs)  # the guards below cost a call of a small layer more than its product
        with torch._C.DisableTorchFunction(), torch._C._DisableAutocast():
            return function(*args, **kwargs)

    return inside
