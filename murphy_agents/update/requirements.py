"""What a model must be for the update to be right, checked before any work is done.

Each refusal names the field, why it matters and what helps. Whether a model can be run along a
trie of shared prefixes is another question; see `packable`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from murphy_agents.evaluation_mode import evaluating

Model = Any
"""A transformers causal language model, or a peft model around one: no common typed base."""

_SCALED_LOGITS = (
    "final_logit_softcapping",
    "logit_scale",
    "logits_scaling",
    "output_multiplier",
    "lm_head_multiplier",
)


_LENGTH_REMEDIES = {
    "dynamic": "up to max_position_embeddings it is the same as 'default': write that into the "
    "model's config.json, and keep sequences as short",
    "longrope": "choose a model without it, such as the one of the same family that was made for "
    "the shorter context",
}
"""Kinds of rotary embedding whose angles hang on the largest position of a forward."""
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
_RATES = ("dropout", "pdrop", "layerdrop", "jitter")
"""Words in the names of rates at which a model leaves to chance what it does in training."""
_PROBE = (3, 4, 5, 6, 7, 3, 5)
_warned: set[type] = set()


def check_model(model: Model) -> None:
    """Raise ValueError where log-probs would be wrong, or training without effect.

    Warns, once for each class of model, of what a mixture of experts is trained without.
    """
    config = model.config.get_text_config()
    _refuse_scaled_logits(config)
    _refuse_length_dependent_rope(config)
    _refuse_dropout(model)
    _refuse_prompt_learning(getattr(model, "active_peft_config", None))
    refuse_half_precision(p.dtype for p in model.parameters() if p.requires_grad)
    _refuse_float16(model)
    _warn_of_experts(model, config)
    _refuse_other_logits(model)


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
            f"{name}.{field} is {getattr(owner, field)}: the log-probs of policy, "
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
    return field == "p" or any(word in field for word in _RATES)


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


def _refuse_float16(model: Model) -> None:
    for name, parameter in model.named_parameters():
        if parameter.dtype == torch.float16:
            raise ValueError(
                f"{name} is torch.float16, in which small gradients vanish: weights per token are "
                "far below 1, and the loss is not scaled; load with dtype=torch.bfloat16"
            )


def _refuse_other_logits(model: Model) -> None:
    """Runs seven tokens: whatever stands between last states and logits is not known by name."""
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    weight = causal.get_input_embeddings().weight
    if weight.device.type == "meta":
        return
    ids = torch.tensor([_PROBE], device=weight.device) % len(weight)
    with torch.no_grad(), evaluating(causal):
        own = causal(input_ids=ids, use_cache=False).logits
        states = causal.base_model(input_ids=ids, use_cache=False).last_hidden_state
        ours = causal.get_output_embeddings()(states)
    far = 0.03 if own.dtype.itemsize == 2 else 1e-4
    if own.shape != ours.shape or not (own - ours).norm() <= far * own.norm():
        raise ValueError(
            f"{type(causal).__name__} gives other logits than its output layer does on its last "
            "states: it changes states or logits in between, which is not supported; use a Qwen3, "
            "OLMo 2 or Llama model"
        )


def _refuse_length_dependent_rope(config: Any) -> None:
    for field, rope_type in _rope_types(config):
        for kind, remedy in _LENGTH_REMEDIES.items():
            if kind in rope_type:
                raise ValueError(
                    f"{field} is {rope_type!r}: its angles hang on the longest sequence of a "
                    "forward, so that a log-prob would depend on what else is in the batch; "
                    f"{remedy}"
                )


def _rope_types(config: Any) -> Iterator[tuple[str, str]]:
    """Every kind of rotary embedding of a config, with its field; one, or one a kind of layer."""
    parameters = getattr(config, "rope_parameters", None)
    if not isinstance(parameters, Mapping):
        return
    nested = {f".{name}": part for name, part in parameters.items() if isinstance(part, Mapping)}
    for name, part in {"": parameters, **nested}.items():
        for key in ("rope_type", "type"):
            if isinstance(part.get(key), str):
                yield f"config.rope_parameters{name}.{key}", part[key]
                break


def _warn_of_experts(model: Model, config: Any) -> None:
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    experts = _experts(causal, config)
    if experts is None or type(causal) in _warned:
        return
    _warned.add(type(causal))
    warnings.warn(
        f"{type(causal).__name__} is a mixture of experts ({experts}): its router is trained "
        "without a loss that balances the experts, and where shared prefixes are forwarded once, "
        "an expert's load counts them once; compare with a dense model before trusting a result",
        stacklevel=2,
    )


def _experts(causal: Model, config: Any) -> str | None:
    """What shows that a model is a mixture of experts."""
    for name in _EXPERTS:
        number = getattr(config, name, None)
        if isinstance(number, int) and number > 1:
            return f"config.{name} is {number}"
    found = (f"{n} is a {type(m).__name__}" for n, m in causal.named_modules() if _is_moe(m))
    return next(found, None)


def _is_moe(module: nn.Module) -> bool:
    return any(part in type(module).__name__ for part in ("Experts", "SparseMoe"))
