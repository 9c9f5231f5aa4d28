"""Types of numbers: which one products are made in, and sums that a narrow one would spoil."""

from __future__ import annotations

import torch
from torch import Tensor


def compute_dtype(x: Tensor) -> torch.dtype:
    """The type that products with `x` are made in: autocast's where it is on, else its own."""
    device = x.device.type
    if torch.is_autocast_enabled(device) and x.dtype != torch.float64:
        return torch.get_autocast_dtype(device)
    return x.dtype


def gather(x: Tensor, dim: int, index: Tensor) -> Tensor:
    """`index_select` whose gradient is added up in float32: a node may be in hundreds of paths."""
    if x.dtype.itemsize == 2:
        return x.float().index_select(dim, index).to(x.dtype)
    return x.index_select(dim, index)
