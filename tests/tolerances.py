"""The one table of tolerances: engine x dtype -> how far a value may be from the reference in float64."""

import torch

TOLERANCES: dict[tuple[str, torch.dtype], dict[str, float]] = {
    ("reference", torch.float64): {"rtol": 1e-10, "atol": 1e-10},
    ("reference", torch.float32): {"rtol": 1e-4, "atol": 1e-5},
    ("cpu", torch.float64): {"rtol": 1e-12, "atol": 1e-12},
    ("cpu", torch.float32): {"rtol": 1e-5, "atol": 1e-5},
    ("cpu", torch.bfloat16): {"rtol": 5e-2, "atol": 5e-2},
    ("gpu", torch.float32): {"rtol": 3e-5, "atol": 3e-5},
    ("gpu", torch.float16): {"rtol": 1e-2, "atol": 1e-2},
    ("gpu", torch.bfloat16): {"rtol": 5e-2, "atol": 5e-2},
    ("reference", torch.bfloat16): {"rtol": 5e-2, "atol": 5e-2},
}
