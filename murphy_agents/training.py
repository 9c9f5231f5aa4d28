"""The whole loop in one screen: grow trees, grade them, update the policy, write down what happened.

What the paper does not state and this loop decides: problems per step (8), number of steps (one
pass over the tasks), a learning rate that falls linearly to 0, no warm-up. One optimizer step is
taken per rollout, so the policy that sampled is the policy that is differentiated.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from murphy_agents import checkpoint
from murphy_agents.algorithms import Algorithm
from murphy_agents.codec import ChatCodec
from murphy_agents.config import TrainConfig, algorithm_of
from murphy_agents.engines.protocol import SamplingParams
from murphy_agents.engines.transformers import TransformersEngine
from murphy_agents.lease import EnvPool, MakeEnv
from murphy_agents.log import Metrics, RunLog
from murphy_agents.policy import Policy, make_optimizer
from murphy_agents.sampler import Sampler
from murphy_agents.wiring import batches, load_policy, make_env_of, save_state, steps_of
from murphy_agents.update import UpdateSettings, make_batch, normaliser_named, update
from murphy_env import Task


@dataclass(frozen=True)
class TrainResult:
    """What a run leaves behind."""

    model_dir: Path
    """The final model, in Hugging Face layout."""
    history: list[Metrics]
    """The lines of `metrics.jsonl`."""
    summary: str


def train(
    config: TrainConfig,
    tasks: Sequence[Task] | None = None,
    algorithm: Algorithm | None = None,
    make_env: MakeEnv | None = None,
) -> TrainResult:
    """Train a policy to write programs and to repair them.

    Args:
        config: all settings.
        tasks: what to train on, in place of `config.tasks`.
        algorithm: in place of the one that `config` describes.
        make_env: makes an environment of one's own (called several times); it brings its tasks.

    Raises:
        ValueError: settings that cannot work together.
        FileExistsError: `output_dir` holds a run already.
    """
    checkpoint.refuse_used(config)
    algorithm = algorithm or algorithm_of(config)
    make_env = make_env or make_env_of(config, tasks, algorithm.num_turns)
    with EnvPool(make_env, 2 * config.sandbox_workers) as envs:
        policy = load_policy(config, envs)
        codec = ChatCodec(policy.tokenizer)
        engine = TransformersEngine(policy.model, codec)
        params = SamplingParams(config.max_completion_length, config.temperature, config.top_p)
        sampler = Sampler(engine, codec, envs, params, config.transcript)
        num_steps = steps_of(config, len(envs.task_ids))
        optimizer, scheduler = make_optimizer(
            policy,
            learning_rate=config.learning_rate,
            num_steps=num_steps * config.num_iterations,
            weight_decay=config.weight_decay,
            num_warmup_steps=config.warmup_steps,
        )
        folder = checkpoint.claim(config)
        with RunLog(folder, num_steps) as log:
            for step, task_ids in enumerate(batches(config, envs.task_ids), 1):
                rollout = sampler.grow(task_ids, algorithm.fanout, seed=(config.seed, step))
                for root in rollout.roots:
                    algorithm.grade(root)
                started = time.perf_counter()
                batch = make_batch(
                    rollout.roots,
                    normaliser_named(config.loss_type, config.max_completion_length),
                    mask_truncated=config.mask_truncated_completions,
                )
                lr = scheduler.get_last_lr()[0]
                metrics = update(policy, batch, optimizer, _update_settings(config), scheduler)
                metrics |= {"learning_rate": lr, "seconds/update": time.perf_counter() - started}
                log.step(step, metrics, rollout)
                if config.save_steps and step % config.save_steps == 0 and step < num_steps:
                    _save(folder / f"checkpoint-{step}", step, policy, optimizer, scheduler)
            _save(folder / "final", num_steps, policy, optimizer, scheduler)
            return TrainResult(folder / "final", log.history, log.finish())


def _update_settings(config: TrainConfig) -> UpdateSettings:
    return UpdateSettings(
        temperature=config.temperature,
        epsilon=config.epsilon,
        beta=config.beta,
        max_grad_norm=config.max_grad_norm,
        num_iterations=config.num_iterations,
        token_budget=config.max_tokens_per_forward,
    )


def _save(folder: Path, step: int, policy: Policy, optimizer: Any, scheduler: Any) -> None:
    checkpoint.save(
        folder, lambda into: save_state(into, policy, optimizer, scheduler), {"step": step}
    )
