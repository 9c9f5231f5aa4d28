"""Evaluates a policy: makes the sampler that `reflexion` asks, and keeps the settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from contextlib import closing

from murphy_agents import generation, wiring
from murphy_agents.evaluation.chain import Chain, EvalAttempt
from murphy_agents.evaluation.config import EvalConfig
from murphy_agents.evaluation.reflexion import OnFinished, evaluate_with
from murphy_agents.evaluation.result import Evaluation
from murphy_agents.lease import EnvPool, MakeEnv
from murphy_agents.policy import Policy
from murphy_agents.sampler import Sampler

__all__ = ["Chain", "EvalAttempt", "Evaluation", "evaluate", "evaluate_with", "sampler_of"]


def evaluate(
    policy: Policy,
    envs: EnvPool | MakeEnv,
    config: EvalConfig | None = None,
    *,
    done: Iterable[Chain] = (),
    on_finished: OnFinished | None = None,
) -> Evaluation:
    """Evaluate a policy that is in memory.

    Args:
        policy: its model is put into evaluation mode where it is drawn from, and back.
        envs: environments on lease, or a function that makes one; of `CodeFeedbackEnv` or wrapped
            around it, with at least `iterations` turns and the transcript of `config`. All their
            tasks are evaluated.
        config: how; what it says of model, tasks, environment and files is not read.
        done: chains drawn earlier with the same settings; their tasks are left out of the work.
        on_finished: called with the chains of each batch, on this thread.

    Raises:
        ValueError: the environments end episodes too early, or no task's prompt fits.
        InfrastructureError: not one program of a batch got a verdict.
    """
    config = config or EvalConfig()
    if not isinstance(envs, EnvPool):
        with EnvPool(envs, 2 * config.sandbox_workers) as pool:
            return evaluate(policy, pool, config, done=done, on_finished=on_finished)
    sampler = sampler_of(policy, envs, config)
    with closing(sampler.engine):
        found = evaluate_with(
            sampler,
            iterations=config.iterations,
            num_runs=config.num_runs,
            seed=config.seed,
            batch=config.batch,
            done=done,
            on_finished=on_finished,
        )
    return dataclasses.replace(found, settings=dataclasses.asdict(config))


def sampler_of(policy: Policy, envs: EnvPool, config: EvalConfig) -> Sampler:
    """A sampler that draws from a policy as an evaluation asks; close its engine when it is done.

    Raises:
        SyncError: vLLM's log-probs are not the policy's.
    """
    loading = config.for_loading()
    sampler = wiring.make_sampler(loading, policy, envs)
    try:
        generation.make_sync(loading, sampler, policy)(version=1)
    except BaseException:
        sampler.engine.close()
        raise
    params = dataclasses.replace(
        sampler.params,
        max_tokens=config.max_completion_length,
        temperature=config.temperature,
        top_p=config.top_p,
    )
    return dataclasses.replace(sampler, params=params)
