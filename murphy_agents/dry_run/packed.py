"""Linear layers whose weights are packed to 4 bits: their bytes, and what they are without packing.

NF4 with doubly quantised scales (QLoRA, arXiv 2305.14314): half a byte for a number; a byte for the
scale of every 64 numbers, and four bytes for every 256 scales. Scales are no parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

BLOCK = 64
"""Numbers that share a scale."""
SCALES = 256
"""Scales that share one of their own."""


def layers(model: Any) -> Iterator[Any]:
    """The layers of a model that hold packed weights."""
    return (m for m in model.modules() if _is_linear(m) and not m.weight.is_floating_point())


def scale_bytes(model: Any) -> int:
    """Of the scales of all packed layers."""
    counts = map(_count, layers(model))
    return sum(-(-n // BLOCK) + 4 * -(-n // (BLOCK * SCALES)) for n in counts)


def unpacked_bytes(model: Any, number_bytes: int) -> int:
    """Of the largest packed layer, if it were not packed; 0 if there is none."""
    return number_bytes * max(map(_count, layers(model)), default=0)


def num_numbers(model: Any, parameters: Iterable[torch.Tensor]) -> int:
    """Numbers of some of a model's parameters, packed ones counted one by one."""
    packed = {id(layer.weight): _count(layer) for layer in layers(model)}
    return sum(packed.get(id(p), p.numel()) for p in parameters)


def pack(model: Any) -> None:
    """Give the frozen linear layers of a model without weights the shape that packed ones have.

    Args:
        model: on the device `meta`; its output layer stays as it is, as do embeddings, norms and
            whatever is trained.
    """
    output = model.get_output_embeddings()
    output = getattr(output, "base_layer", output)  # within adapters of its own
    for module in model.modules():
        is_frozen = _is_linear(module) and not module.weight.requires_grad
        if is_frozen and module is not output:
            packed = torch.empty(
                -(-module.weight.numel() // 2), 1, dtype=torch.uint8, device="meta"
            )
            module.weight = nn.Parameter(packed, requires_grad=False)


def _is_linear(module: Any) -> bool:
    """Whether bitsandbytes would pack it; GPT-2 writes its linear layers as `Conv1D`."""
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, nn.Linear | Conv1D)


def _count(layer: Any) -> int:
    """Numbers of its weight, packed or not."""
    if isinstance(layer, nn.Linear):
        return layer.in_features * layer.out_features
    return int(layer.nx * layer.nf)
