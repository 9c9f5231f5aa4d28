"""LoRA adapters: which layers get them, and how they are put on.

Their dropout is 0 and cannot be set: the log-probs of policy, rollout and reference would differ by
chance (see `murphy_agents.update.requirements`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

Model = Any
"""A transformers causal language model, or a peft model around one: no common typed base."""

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""Every linear layer of a decoder layer of `KNOWN` models, four of attention and three of the
feed-forward part. What is left alone: norms (those of queries and keys too), embeddings, and the
output layer, which may be the embeddings once more."""
KNOWN = ("qwen3", "olmo2")
"""Values of `config.model_type` whose layers bear these names."""


@dataclass(frozen=True)
class LoraSettings:
    """Train low-rank adapters in place of the model's own weights (arXiv 2106.09685)."""

    r: int = 16
    alpha: int = 32
    """Adapters are scaled by alpha / r."""
    target_modules: str | tuple[str, ...] = "auto"
    """Names of layers, or ends of names; "all-linear": every linear layer but the output layer, as
    peft means it, which in a mixture of experts has the router and the stacked experts too; "auto":
    `PROJECTIONS` of a known model, else as "all-linear"."""
    use_rslora: bool = False
    """Scale by alpha / sqrt(r) instead, so that ranks learn alike fast (arXiv 2312.03732)."""


def add_adapters(model: Model, lora: LoraSettings, seed: int) -> Model:
    """A peft model around `model`, which begins as the model itself; its base is frozen.

    Args:
        model: without adapters.
        lora: what they are.
        seed: of their first values.

    Raises:
        ValueError: the model has adapters already, or no such layers; or the rank is above the
            width of every layer.
    """
    from peft import LoraConfig, get_peft_model

    if hasattr(model, "peft_config"):
        raise ValueError("the model has adapters already; wrap it without lora=")
    targets = _targets(model, lora.target_modules)
    _refuse_rank(lora.r, targets)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=0.0,
        use_rslora=lora.use_rslora,
        target_modules=_names(model, lora.target_modules) or "all-linear",
    )
    device = next(model.parameters()).device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        return get_peft_model(model, config)


def _names(model: Model, given: str | tuple[str, ...]) -> list[str] | None:
    """The names that are asked for; None: all linear layers."""
    if given == "auto" and model.config.get_text_config().model_type in KNOWN:
        return list(PROJECTIONS)
    if given in ("auto", "all-linear"):
        return None
    return [given] if isinstance(given, str) else list(given)


def _targets(model: Model, given: str | tuple[str, ...]) -> Mapping[str, nn.Module]:
    """The layers that get adapters, by their whole names."""
    layers = {name: module for name, module in model.named_modules() if _takes_adapters(module)}
    names = _names(model, given)
    if names is None:
        head = model.get_output_embeddings()
        return {
            name: module
            for name, module in layers.items()
            if module is not head and not isinstance(module, nn.Embedding)
        }
    found: dict[str, nn.Module] = {}
    for asked in names:
        meant = {name: layers[name] for name in layers if f".{name}".endswith(f".{asked}")}
        if not asked or not meant:
            ends = sorted({name.rpartition(".")[2] for name in layers})
            raise ValueError(
                f"lora_target_modules names {asked!r}, and {type(model).__name__} has no layer of "
                f"that name that takes adapters; it has {', '.join(ends)}"
            )
        found |= meant
    return found


def _takes_adapters(module: nn.Module) -> bool:
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, nn.Linear | nn.Embedding | Conv1D)


def _refuse_rank(rank: int, targets: Mapping[str, nn.Module]) -> None:
    # Read from the shapes of what goes in and comes out: quantised weights have another one.
    widths = {name: min(_shape(module)) for name, module in targets.items()}
    widest = max(widths, key=lambda name: widths[name], default=None)
    if widest is not None and rank > widths[widest]:
        raise ValueError(
            f"lora_r is {rank}, above the width of every layer ({widest}: {widths[widest]}), so "
            "that adapters would hold more than the layers themselves; give a smaller one"
        )


def _shape(module: Any) -> tuple[int, int]:
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    rows, columns = module.weight.shape
    return rows, columns
