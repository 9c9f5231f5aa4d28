"""The learning half of the loop: a policy, its optimizer, and what a step of graded trees does."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from murphy_agents.config import TrainConfig, steps_of
from murphy_agents.policy import Policy, make_optimizer
from murphy_agents.run import restore
from murphy_agents.tree import Group
from murphy_agents.update import (
    UpdateSettings,
    correction_named,
    make_batch,
    normaliser_named,
    settled_layout,
    surrogate_named,
    update,
)


@dataclass
class Learner:
    """Everything that a step changes."""

    config: TrainConfig
    policy: Policy
    optimizer: Optimizer
    scheduler: LRScheduler
    num_steps: int
    """Steps of the whole run."""

    @classmethod
    def start(cls, config: TrainConfig, policy: Policy, num_tasks: int) -> Learner:
        """A learner at the beginning of a run over that many tasks.

        Raises:
            ValueError: the layout is "trie", and the model cannot be run along one.
        """
        settings = update_settings(config)
        settled_layout(
            policy.model, settings.layout, settings.tree_attention, settings.autocast_dtype
        )
        num_steps = steps_of(config, num_tasks)
        optimizer, scheduler = make_optimizer(
            policy,
            learning_rate=config.learning_rate,
            num_steps=max(1, num_steps * config.num_iterations),  # some schedules divide by it
            weight_decay=config.weight_decay,
            betas=(config.adam_beta1, config.adam_beta2),
            num_warmup_steps=config.warmup_steps * config.num_iterations,
            schedule=config.lr_scheduler_type,
            optim=config.optim,
        )
        return cls(config, policy, optimizer, scheduler, num_steps)

    def learn(self, roots: Sequence[Group]) -> dict[str, float]:
        """Update the policy on graded trees, one per problem; figures as `update` gives them."""
        started = time.perf_counter()
        config = self.config
        batch = make_batch(
            roots,
            normaliser_named(config.loss_type, config.max_completion_length),
            mask_truncated=config.mask_truncated_completions,
        )
        learning_rate = float(self.scheduler.get_last_lr()[0])
        metrics = update(
            self.policy, batch, self.optimizer, update_settings(config), self.scheduler
        )
        seconds = time.perf_counter() - started
        return {
            **metrics,
            "num_masked": batch.num_masked,
            "num_empty": batch.num_empty,
            "learning_rate": learning_rate,
            "seconds/update": seconds,
        }

    def save(self, folder: Path) -> None:
        """Fill a checkpoint: model and tokenizer in Hugging Face layout, the rest beside them."""
        restore.save(folder, self.policy, optimizer=self.optimizer, scheduler=self.scheduler)

    def load(self, folder: Path | None) -> None:
        """Go on from a checkpoint; None: from the beginning. The reference stays as it is."""
        if folder is not None:
            restore.load(folder, self.policy, optimizer=self.optimizer, scheduler=self.scheduler)


def update_settings(config: TrainConfig) -> UpdateSettings:
    """The part of the settings that an update reads."""
    return UpdateSettings(
        temperature=config.temperature,
        epsilon=config.epsilon,
        epsilon_high=config.epsilon_high,
        surrogate=surrogate_named(config.loss_type),
        correction=correction_named(config.importance_sampling, config.importance_sampling_cap),
        beta=config.beta,
        max_grad_norm=config.max_grad_norm,
        num_iterations=config.num_iterations,
        token_budget=config.max_tokens_per_forward,
        layout=config.layout,
        tree_attention=config.tree_attention,
        autocast_dtype=torch.bfloat16 if config.bf16 else None,
    )
