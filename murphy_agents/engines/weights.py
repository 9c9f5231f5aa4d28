"""A policy's weights, as an engine takes them over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from murphy_agents.engines.protocol import Weights
from murphy_agents.policy import Policy


def weights_of(policy: Policy, version: int) -> Weights:
    """The weights of a policy as they are when they are read: whole, or its adapters alone.

    Tied tensors are given once, by the first of their names.
    """
    model = policy.model
    if not policy.has_adapters:
        return Weights(version, lambda: _named(model), lambda folder: _write(model, folder))
    return Weights(
        version,
        lambda: _named_adapters(model),
        # Else peft asks the hub whether the embeddings have grown; adapters never train them.
        lambda folder: _write(model, folder, save_embedding_layers=False),
        is_adapter=True,
    )


def _named(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    for name, parameter in model.named_parameters():
        yield name, parameter.detach()


def _named_adapters(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    from peft.utils import get_peft_model_state_dict

    yield from get_peft_model_state_dict(model, save_embedding_layers=False).items()


def _write(model: Any, folder: Path, **options: Any) -> None:
    model.save_pretrained(folder, **options)
