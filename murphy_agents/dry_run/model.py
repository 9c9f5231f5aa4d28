"""The model as a run would have it: a real object, but no weights are read.

It is made on the `meta` device, where tensors have a shape and a type and no memory, and goes
through `Policy.wrap`, so that what refuses a model in a run refuses it here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from murphy_agents import quantised, saved_adapters, wiring
from murphy_agents.config import TrainConfig
from murphy_agents.dry_run import packed
from murphy_agents.dry_run.findings import NotCheckedError
from murphy_agents.lease import EnvPool
from murphy_agents.policy import Model, Policy
from murphy_agents.tiny import warm_start
from murphy_agents.update import packing_obstacle, settled_layout
from murphy_agents.update.layout import Layout
from murphy_env.sources import MADE


def needs_hub(config: TrainConfig) -> bool:
    """Whether a model or tasks may have to come from the hub."""
    specs = [config.tasks if config.env is None else "", config.eval_tasks or ""]
    fetched = [spec for spec in specs if spec and not _are_at_hand(spec)]
    return bool(fetched) or not _is_at_hand(config.model)


def _is_at_hand(model: str) -> bool:
    """Whether a model, and what its adapters belong to, is made or lies in a folder."""
    if model.partition(":")[0] in ("tiny", *MADE):
        return True
    if saved_adapters.are_in(model):
        return Path(saved_adapters.base_of(model)).exists()
    return model.startswith((".", "/", "~")) or Path(model).exists()


def _are_at_hand(spec: str) -> bool:
    return (
        re.split("[:?]", spec)[0] in MADE or spec.endswith((".jsonl", ".jsonl.gz")) or "@" in spec
    )


def model_of(config: TrainConfig, envs: EnvPool | None) -> tuple[Policy, str]:
    """The policy without weights, and what it is.

    Raises:
        NotCheckedError: the model is made by the run itself, of what is not there yet.
        ValueError, OSError: it cannot be had, or not be trained this way, or its samples not be
            laid out as asked for.
    """
    dtype: torch.dtype = getattr(torch, config.dtype)
    settings = wiring.policy_settings(config)
    kind = config.model.partition(":")[0]
    if kind == "tiny":
        if envs is None:
            raise NotCheckedError("a 'tiny' model is made of the tasks' prompts")
        model, tokenizer = wiring.make_tiny(config, envs)
        policy = Policy.wrap(model.to(dtype), tokenizer, **settings)
    else:
        try:
            folder = _folder_of(config.model)
            if config.load_in_4bit:
                quantised.refuse_stored(folder)
            policy = _on_meta(folder, dtype, settings)
        except OSError as error:
            raise OSError(f"{config.model}: {error}") from error
    told = _described(policy) + _laid_out(policy, config.layout)
    if config.load_in_4bit:
        packed.pack(policy.model)
        quantised.refuse_whole_matrices(policy.model, config.model)
        told += "; linear layers in 4 bits"
    return policy, told


def _folder_of(name: str) -> str:
    if name.partition(":")[0] not in MADE:
        folder = wiring.folder_of(name)
        if Path(folder).is_dir() and not _has_weights(Path(folder)):
            raise ValueError(f"model {name!r} has no weights (*.safetensors or *.bin) in it")
        return folder
    made = warm_start.shape_folder_of(name)
    if made is None:
        raise NotCheckedError(
            f"{name!r} is made, which takes minutes, when a run first asks for it"
        )
    return str(made)


def _has_weights(folder: Path) -> bool:
    return any([*folder.glob("*.safetensors"), *folder.glob("*.bin")])


def _on_meta(name: str, dtype: torch.dtype, settings: dict[str, Any]) -> Policy:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(name)
    with torch.device("meta"):
        make = _with_adapters if saved_adapters.are_in(name) else _bare
        return Policy.wrap(make(name, dtype), tokenizer, **settings)


def _bare(name: str, dtype: torch.dtype) -> Model:
    from transformers import AutoConfig

    return of_config(AutoConfig.from_pretrained(name), dtype)


def of_config(config: Any, dtype: torch.dtype) -> Model:
    """A causal language model as its config says; without weights where `meta` is the device."""
    from transformers import AutoModelForCausalLM

    make: Any = AutoModelForCausalLM.from_config  # untyped there
    return make(config, dtype=dtype)


def _with_adapters(folder: str, dtype: torch.dtype) -> Model:
    from peft import PeftConfig, get_peft_model

    adapters = PeftConfig.from_pretrained(folder)
    adapters.inference_mode = False
    return get_peft_model(_bare(adapters.base_model_name_or_path, dtype), adapters)


def _described(policy: Policy) -> str:
    model = policy.model
    causal = model.get_base_model() if policy.has_adapters else model
    count = sum(parameter.numel() for parameter in model.parameters())
    trained = sum(parameter.numel() for parameter in policy.trainable_parameters())
    said = "all trained" if trained == count else f"{trained:,} of them trained"
    return f"{type(causal).__name__}, {count:,} parameters, {said}; weights are not read"


def _laid_out(policy: Policy, layout: Layout) -> str:
    """What the update would do otherwise than along a trie, if that is not what was asked for."""
    if layout == "auto" and (obstacle := packing_obstacle(policy.model)):
        return f"; completions would be padded: {obstacle}"
    settled_layout(policy.model, layout)
    return ""
