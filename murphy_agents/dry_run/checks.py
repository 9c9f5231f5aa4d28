"""The checks of a dry run, one function each: what it found and a text, or an exception."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch

from murphy_agents import generation, own_world, wiring
from murphy_agents.algorithms import Algorithm
from murphy_agents.config import TrainConfig
from murphy_agents.dry_run import counts, hub
from murphy_agents.dry_run.findings import DoesNotFitError, NotCheckedError
from murphy_agents.lease import EnvPool
from murphy_agents.policy import Policy
from murphy_agents.room import check_room, prompt_lengths
from murphy_agents.run import folder as run_folder
from murphy_env import Task, sources


@dataclass(frozen=True)
class Prompts:
    """What the prompts of a run demand."""

    longest: int
    """Ids of the longest first prompt."""
    context: int
    """Ids that the model takes."""


def settings(config: TrainConfig, algorithm: Algorithm) -> tuple[bool, str]:
    """Settings are checked when they are read; here, whether what they name is installed."""
    wiring.check_installed(config)
    wiring.refuse_nothing_to_train(config)
    turns = "turn" if algorithm.num_turns == 1 else "turns"
    pruned = "" if config.prune == "keep_all" else f", {config.prune} keeps {config.prune_budget}"
    return True, f"{config.algorithm_name}, {algorithm.num_turns} {turns}{pruned}"


def output_dir(config: TrainConfig, algorithm: Algorithm) -> tuple[bool, str]:
    """What the run would do with the folder and what lies there."""
    run_folder.refuse_used(config, algorithm)
    folder = Path(config.output_dir).absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(there, os.W_OK):
        raise ValueError(f"{there} cannot be written; choose another output_dir")
    with tempfile.TemporaryDirectory(prefix=".murphy-", dir=there):
        pass  # some folders say that they can be written, and cannot
    if run_folder.finished(config):
        return True, f"{config.output_dir} holds this very run, finished: nothing would be done"
    if folder.exists() and config.resume:
        return True, f"{config.output_dir} is there: the run would go on from its last checkpoint"
    if folder.exists() and config.overwrite_output_dir:
        return True, f"{config.output_dir} is there: a run that it holds would be replaced"
    return True, f"{config.output_dir} is free"


def answers(held: ExitStack) -> tuple[bool, str]:
    """Whether the hub does; where not, only the cache is looked into until `held` is closed."""
    if hub.is_switched_off():
        return True, "switched off by HF_HUB_OFFLINE: only the cache is looked into"
    if trouble := hub.trouble():
        held.enter_context(hub.cache_alone())
        raise DoesNotFitError(
            f"{trouble}; only the cache is looked into. Connect, set HF_ENDPOINT or a proxy, or "
            "name folders and files instead; if all is in the cache, set HF_HUB_OFFLINE=1"
        )
    return True, "answers"


def tasks(config: TrainConfig) -> tuple[tuple[list[Task] | None], str]:
    """The tasks in a tuple of one; None in it where an environment of one's own brings them."""
    if config.env is not None:
        return (None,), f"brought by {config.env}"
    own_world.refuse_other(config.model, tasks=config.tasks)
    loaded = sources.load(config.tasks, config.bad_rows)
    untold = sum(not any(test.visible for test in task.tests) for task in loaded)
    skipped = f"; {len(loaded.skipped):,} rows skipped" if loaded.skipped else ""
    return (loaded,), f"{len(loaded):,} tasks, {untold:,} of them without a visible test{skipped}"


def eval_tasks(config: TrainConfig) -> tuple[bool, str]:
    """Those of the evaluation at the end."""
    from murphy_agents.report import before_after

    before_after.check(config)
    return True, f"{len(sources.load(str(config.eval_tasks))):,} tasks"


def environment(
    config: TrainConfig, algorithm: Algorithm, loaded: Sequence[Task] | None, held: ExitStack
) -> tuple[EnvPool, str]:
    """One environment, which begins one episode."""
    make_env = wiring.make_env_of(config, loaded, None, algorithm.num_turns)
    envs = held.enter_context(EnvPool(make_env, 1))
    wiring.check_turns(envs, algorithm.num_turns)
    env = make_env()
    try:
        _, info = env.reset(options={"task_id": envs.task_ids[0]})
    finally:
        env.close()
    level = info.get("sandbox_level", "of its own")
    return envs, f"{len(envs.task_ids):,} tasks begin episodes; sandbox level {level}"


def prompts(config: TrainConfig, policy: Policy, envs: EnvPool) -> tuple[Prompts, str]:
    """Chat template and length of the first prompts."""
    sampler = wiring.make_sampler(config, policy, envs, generation.the_model_itself)
    num_long, lengths = check_room(sampler), prompt_lengths(sampler)
    found = Prompts(max(lengths), sampler.engine.context_length)
    return found, (
        f"chat template there; the longest first prompt has {found.longest:,} tokens; "
        f"{num_long:,} of {len(lengths):,} leave no room for {config.max_completion_length:,} "
        f"more in a context of {found.context:,}"
    )


def rollouts(algorithm: Algorithm) -> tuple[counts.PerProblem, str]:
    """What a problem costs at most."""
    problem = counts.per_problem(algorithm)
    by_turn = " + ".join(f"{count:,}" for count in problem.by_turn)
    by_turn = f" ({by_turn})" if len(problem.by_turn) > 1 else ""
    return problem, (
        f"{problem.rollouts:,}{by_turn} for a problem that is never solved, "
        f"{problem.updates:,} of them in the update"
    )


def run(
    config: TrainConfig, task_ids: Sequence[str], problem: counts.PerProblem
) -> tuple[counts.Whole, str]:
    """What all problems cost at most."""
    whole = counts.whole(config, list(task_ids), problem)
    return whole, (
        f"{whole.steps:,} steps, {whole.optimizer_steps:,} optimizer steps, {whole.problems:,} "
        f"problems; at most {whole.generations:,} generations, {whole.tokens:,} tokens"
    )


def device(config: TrainConfig) -> tuple[torch.device, str]:
    """Where the model would go."""
    if config.card_gb is not None:
        raise NotCheckedError(f"card_gb is given: a GPU of {config.card_gb:g} GB, wherever it is")
    if config.device.partition(":")[0] == "cuda" and not torch.cuda.is_available():
        raise NotCheckedError(f"device is {config.device!r}, and this machine has none")
    found = wiring.device_of(config)
    name = f" ({torch.cuda.get_device_name(found)})" if found.type == "cuda" else ""
    return found, f"{found}{name}"
