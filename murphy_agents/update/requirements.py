"""What a model must be for the update to be right, checked before any work is done.

Each refusal names the field, why it matters and what helps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

Model = Any
"""A transformers causal language model, or a peft model around one: no common typed base."""

_SCALED_LOGITS = (
    "final_logit_softcapping",
    "logit_scale",
    "logits_scaling",
    "output_multiplier",
    "lm_head_multiplier",
)


def check_model(model: Model) -> None:
    """Raise ValueError where log-probs would be wrong, or training without effect."""
    _refuse_scaled_logits(model.config.get_text_config())
    _refuse_dropout(model)
    _refuse_prompt_learning(getattr(model, "active_peft_config", None))
    refuse_half_precision(p.dtype for p in model.parameters() if p.requires_grad)


def refuse_half_precision(trained: Iterable[torch.dtype]) -> None:
    """Raise ValueError if one of the trained weights' types is a half-precision one."""
    for dtype in trained:
        if dtype in (torch.bfloat16, torch.float16):
            raise ValueError(
                f"trained weights would be {dtype}: too coarse for AdamW at small learning rates "
                "(a step of 1e-6 changes about 2 % of such weights, the rest round back); load "
                "with dtype=torch.float32, or train adapters (use_peft, lora=LoraSettings())"
            )


def disable_dropout(model: Model) -> None:
    """Set every dropout rate of the model and of its config to 0."""
    for _, owner, field in list(_dropout_rates(model)):
        setattr(owner, field, 0.0)


def _refuse_dropout(model: Model) -> None:
    for name, owner, field in _dropout_rates(model):
        raise ValueError(
            f"{name}.{field} is {getattr(owner, field)}: with dropout the log-probs of policy, "
            "rollout and reference would differ by chance; set it to 0 in the model's config.json, "
            "or pass disable_dropout=True"
        )


def _dropout_rates(model: Model) -> Iterator[tuple[str, Any, str]]:
    """Name, owner and field of every dropout rate above 0; the config's first."""
    modules = [(name, module) for name, module in model.named_modules() if name]
    for name, owner in [("config", model.config.get_text_config()), *modules]:
        for field in ["p"] if isinstance(owner, nn.Dropout) else list(vars(owner)):
            rate = getattr(owner, field, None)
            if _is_rate(field) and isinstance(rate, float) and rate > 0:
                yield name, owner, field


def _is_rate(field: str) -> bool:
    return field == "p" or "dropout" in field or field.endswith("pdrop")


def _refuse_prompt_learning(adapter: Any) -> None:
    if adapter is not None and adapter.is_prompt_learning:
        raise ValueError(
            f"the adapter is of type {adapter.peft_type}: virtual tokens are not supported; use "
            "adapters that change layers, such as LoRA"
        )


def _refuse_scaled_logits(config: Any) -> None:
    for name in _SCALED_LOGITS:
        if getattr(config, name, None) not in (None, 1, 1.0):
            raise ValueError(
                f"config.{name} is {getattr(config, name)}: the model changes its logits after the "
                "output layer, which is not supported; use a Qwen3, OLMo 2 or Llama model"
            )
