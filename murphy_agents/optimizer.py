"""AdamW by name: torch's own, or one that keeps its states in 8 bits.

    adamw_torch   two numbers a trained weight, in the weight's type
    adamw_8bit    two bytes, and two float32 scales for every 256 weights (arXiv 2110.02861), from
                  bitsandbytes; the weights themselves stay float32

In 8 bits, some states are kept in float32: those of tensors of less than 4,096 numbers, of biases
and the gains of norms, and of embeddings, a tied output layer included. Rows of an embedding get
gradients of very different size and seldom; the method's authors keep 32 bits there, and so does
transformers' Trainer under this name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import AdamW, Optimizer

from murphy_agents import bitsandbytes_there

Name = Literal["adamw_torch", "adamw_8bit"]
BLOCK = 256
"""Weights that share a scale."""
SMALLEST = 4096
"""Numbers of the smallest tensor whose states are kept in 8 bits."""


def check_installed(name: Name) -> None:
    """Raise ValueError for an optimizer that is not installed, with the command that installs it.

    Nothing is imported: whether the package works shows when the optimizer is made.
    """
    if name == "adamw_8bit":
        bitsandbytes_there.refuse_without("optim is 'adamw_8bit'", "set optim to 'adamw_torch'")


def make_adamw(
    name: Name,
    model: Any,
    *,
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float],
) -> Optimizer:
    """AdamW over the trained parameters of a model.

    Decay acts on matrices alone. Biases and the gains of norms, one-dimensional all, are left out,
    as transformers' Trainer does.

    Raises:
        ValueError: the name is unknown, bitsandbytes is not installed, or it has no 8-bit states
            for weights of such a type.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if name == "adamw_torch":
        return AdamW(groups, lr=learning_rate, betas=betas)
    if name != "adamw_8bit":
        raise ValueError(f"optim is {name!r}; choose 'adamw_torch' or 'adamw_8bit'")
    check_installed(name)
    _refuse_other_than_float32(trained)
    return _eight_bit(groups, list(_in_full(model)), learning_rate, betas)


def state_bytes(name: Name, model: Any) -> int:
    """What the states take once a step was taken; 2 KiB of tables besides."""
    trained = [p for p in model.parameters() if p.requires_grad]
    if name == "adamw_torch":
        return sum(2 * p.numel() * p.element_size() for p in trained)
    full = {id(p) for p in _in_full(model)}
    return sum(
        2 * 4 * p.numel() if id(p) in full else 2 * p.numel() + 2 * 4 * -(-p.numel() // BLOCK)
        for p in trained
    )


def _in_full(model: Any) -> Iterator[nn.Parameter]:
    """The trained parameters whose states are not quantised."""
    embedded = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    for p in model.parameters():
        if p.requires_grad and (p.ndim < 2 or p.numel() < SMALLEST or id(p) in embedded):
            yield p


def _refuse_other_than_float32(trained: list[nn.Parameter]) -> None:
    for p in trained:
        if p.dtype != torch.float32:
            raise ValueError(
                f"optim is 'adamw_8bit' and a trained weight is {p.dtype}; load the model with "
                "dtype float32, or set optim to 'adamw_torch'"
            )


def _eight_bit(
    groups: list[dict[str, Any]],
    in_full: list[nn.Parameter],
    learning_rate: float,
    betas: tuple[float, float],
) -> Optimizer:
    from bitsandbytes.optim import AdamW8bit, GlobalOptimManager

    optimizer: Optimizer = AdamW8bit(groups, lr=learning_rate, betas=betas)
    # The library's own manager is one for the process and goes by the ids of tensors, which
    # another model may get later; this optimizer has one for itself.
    manager = GlobalOptimManager.__new__(GlobalOptimManager)
    manager.initialize()
    manager.override_config(in_full, "optim_bits", 32)
    vars(optimizer)["mng"] = manager
    return optimizer
