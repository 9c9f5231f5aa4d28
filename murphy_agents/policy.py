"""The policy: a causal language model, its tokenizer, and the reference that it is held close to.

Models whose update would be wrong or without effect are refused when the policy is made; see
`murphy_agents.update.requirements`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from murphy_agents import optimizer as optimizers
from murphy_agents import quantised, saved_adapters
from murphy_agents.adapters import LoraSettings, add_adapters
from murphy_agents.reference import frozen_copy, refuse_without_autocast
from murphy_agents.update import requirements

Model = Any
"""A transformers causal language model, or a peft model around one: no common typed base."""
Tokenizer = Any
"""A transformers tokenizer; its classes share no typed interface."""

_NOTHING_TO_TRAIN = (
    "the model is in 4 bits and has no adapters: what is in 4 bits cannot be trained; train "
    "adapters upon it (use_peft, lora=LoraSettings()), or drop load_in_4bit"
)


@dataclass(eq=False)
class Policy:
    """Made by `Policy.load` or `Policy.wrap`, which check the model."""

    model: Model
    tokenizer: Tokenizer
    frozen: Model | None = None
    """Copy of the starting model that KL is measured from; None under LoRA and without KL."""
    reference_dtype: torch.dtype | None = None
    """Type of the copy's linear layers where it is not the model's; it is then run under autocast
    of this type alone."""

    @classmethod
    def load(
        cls,
        name_or_path: str | Path,
        *,
        lora: LoraSettings | None = None,
        dtype: torch.dtype = torch.float32,
        seed: int = 0,
        device: str | torch.device = "cpu",
        beta: float = 0.04,
        gradient_checkpointing: bool = False,
        disable_dropout: bool = False,
        reference_dtype: torch.dtype | None = None,
        load_in_4bit: bool = False,
    ) -> Policy:
        """A policy from a local folder or a hub name; a folder of `save`d adapters included.

        Args:
            name_or_path: as `AutoModelForCausalLM.from_pretrained` takes it. What is saved names a
                folder by its absolute path, wherever it is read from.
            lora: train new adapters; not for a folder that holds adapters already.
            dtype: of the weights; half precision only where adapters are trained.
            seed: of the adapters' first values.
            device: where the model goes.
            beta: coefficient of KL; 0 saves the reference copy of full fine-tuning.
            gradient_checkpointing: recompute activations in backward, for less memory.
            disable_dropout: set every dropout rate to 0 instead of refusing the model.
            reference_dtype: the half precision that updates run under autocast in, if they do; the
                frozen copy's linear layers are then held in it, which changes no bit of its
                log-probs there.
            load_in_4bit: hold the linear layers in 4 bits, under adapters, or without adapters and
                with beta=0 to draw from it; see `murphy_agents.quantised`.

        Raises:
            ValueError: the model cannot be trained this way; says why and what would help.
        """
        from transformers import AutoTokenizer

        name_or_path = saved_adapters.located(name_or_path)
        has_adapters = saved_adapters.are_in(name_or_path)
        if lora is not None and has_adapters:
            raise ValueError(f"{name_or_path} holds adapters already; load it without lora=")
        if lora is None and not has_adapters:
            requirements.refuse_half_precision([dtype])
            if load_in_4bit and beta != 0:
                raise ValueError(_NOTHING_TO_TRAIN)
        tokenizer = AutoTokenizer.from_pretrained(name_or_path)
        if load_in_4bit:
            model = _quantised(name_or_path, has_adapters, dtype, torch.device(device))
        else:
            model = _read(name_or_path, has_adapters, dtype=dtype).to(device)
        return cls.wrap(
            model,
            tokenizer,
            lora=lora,
            seed=seed,
            beta=beta,
            gradient_checkpointing=gradient_checkpointing,
            disable_dropout=disable_dropout,
            reference_dtype=reference_dtype,
        )

    @classmethod
    def wrap(
        cls,
        model: Model,
        tokenizer: Tokenizer,
        *,
        lora: LoraSettings | None = None,
        seed: int = 0,
        beta: float = 0.04,
        gradient_checkpointing: bool = False,
        disable_dropout: bool = False,
        reference_dtype: torch.dtype | None = None,
    ) -> Policy:
        """A policy around a model that is there already; arguments and errors as for `load`."""
        quantised.settle(model)
        if gradient_checkpointing:
            # Renamed within transformers 5; the older releases know the older name alone.
            renamed = getattr(model, "activation_checkpointing_enable", None)
            (renamed or model.gradient_checkpointing_enable)({"use_reentrant": False})
        if disable_dropout:
            requirements.disable_dropout(model)
        if lora is not None:
            model = add_adapters(model, lora, seed)
        policy = cls(model.eval(), tokenizer)
        policy.trainable_parameters()
        requirements.check_model(model)
        if beta != 0 and not policy.has_adapters:
            policy.frozen = frozen_copy(model, reference_dtype)
            policy.reference_dtype = reference_dtype
        return policy

    @property
    def has_adapters(self) -> bool:
        """Whether the model is a peft model."""
        return hasattr(self.model, "disable_adapter")

    @property
    def device(self) -> torch.device:
        """Where the trained parameters are."""
        return self.trainable_parameters()[0].device

    def trainable_parameters(self) -> list[nn.Parameter]:
        """What the optimizer changes.

        Raises:
            ValueError: no parameter of the model asks for a gradient.
        """
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        if not parameters:
            raise ValueError(
                "no parameter of the model has requires_grad; unfreeze some, or train adapters "
                "with lora=LoraSettings()"
            )
        return parameters

    @contextmanager
    def reference(self) -> Iterator[Model]:
        """The model that KL is measured from: adapters switched off, or the frozen copy.

        Under LoRA that is the base model, also where training went on from saved adapters.

        Raises:
            ValueError: the policy was made with beta = 0 and has no reference; or the reference is
                held in half precision and this is not autocast of that type.
        """
        if self.has_adapters:
            with self.model.disable_adapter():
                yield self.model
        elif self.frozen is not None:
            if self.reference_dtype is not None:
                refuse_without_autocast(self.reference_dtype, self.device.type)
            yield self.frozen
        else:
            raise ValueError(
                "the policy was made with beta=0 and keeps no reference; make it with the beta "
                "that it is trained with"
            )

    def save(self, folder: str | Path) -> None:
        """Write model (adapters alone under LoRA) and tokenizer in Hugging Face layout."""
        # Else peft asks the hub whether the embeddings have grown; adapters never train them.
        options = {"save_embedding_layers": False} if self.has_adapters else {}
        self.model.save_pretrained(folder, **options)
        self.tokenizer.save_pretrained(folder)
        if self.has_adapters and quantised.is_quantised(self.model):
            saved_adapters.mark_4bit(Path(folder), quantised.SETTINGS)


def make_optimizer(
    policy: Policy,
    *,
    learning_rate: float = 1e-6,
    num_steps: int,
    weight_decay: float = 0.1,
    betas: tuple[float, float] = (0.9, 0.999),
    num_warmup_steps: int = 0,
    schedule: str = "linear",
    optim: optimizers.Name = "adamw_torch",
) -> tuple[Optimizer, LRScheduler]:
    """AdamW and a learning rate that rises over the warm-up, then falls as `schedule` says.

    Args:
        policy: whose trainable parameters are optimised.
        learning_rate: the highest.
        num_steps: optimizer steps of the whole run, warm-up included.
        weight_decay: of the paper.
        betas: memories of the gradient's mean and of its size.
        num_warmup_steps: optimizer steps over which the rate rises from 0.
        schedule: a name that `transformers.get_scheduler` knows.
        optim: which AdamW; see `murphy_agents.optimizer`.

    Raises:
        ValueError: the policy trains nothing, or the optimizer cannot be had; says why.
    """
    from transformers import get_scheduler

    policy.trainable_parameters()
    if quantised.is_quantised(policy.model) and not policy.has_adapters:
        raise ValueError(_NOTHING_TO_TRAIN)
    optimizer = optimizers.make_adamw(
        optim,
        policy.model,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        betas=betas,
    )
    return optimizer, get_scheduler(
        schedule, optimizer, num_warmup_steps=num_warmup_steps, num_training_steps=num_steps
    )


def _read(name: str | Path, has_adapters: bool, **how: Any) -> Model:
    """The model that a folder or hub name holds, with its adapters if there are any."""
    if not has_adapters:
        from transformers import AutoModelForCausalLM

        return AutoModelForCausalLM.from_pretrained(name, **how)
    from peft import AutoPeftModelForCausalLM

    return AutoPeftModelForCausalLM.from_pretrained(name, is_trainable=True, **how)


def _quantised(
    name: str | Path, has_adapters: bool, dtype: torch.dtype, device: torch.device
) -> Model:
    if dtype == torch.float64:
        raise ValueError(
            "load_in_4bit is set and dtype is torch.float64, but layers in 4 bits multiply in "
            "bfloat16; load with dtype=torch.float32"
        )
    model = _read(name, has_adapters, dtype=dtype, **quantised.loading(name, device))
    quantised.refuse_without_layers(model, name)
    quantised.refuse_whole_matrices(model, name)
    return model
