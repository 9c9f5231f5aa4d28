"""What `murphy eval` does: a model from disk, tasks from a source, results in a folder."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

import torch
from rich.console import Console

from murphy_agents import own_world, saved_adapters, wiring
from murphy_agents.codec import CharCodec
from murphy_agents.config import TrainConfig
from murphy_agents.engines.protocol import SamplingParams
from murphy_agents.engines.scripted import ScriptedEngine
from murphy_agents.evaluate import sampler_of
from murphy_agents.evaluation import progress as eval_log
from murphy_agents.evaluation import record as eval_record
from murphy_agents.evaluation.chain import Chain
from murphy_agents.evaluation.config import EvalConfig
from murphy_agents.evaluation.reflexion import evaluate_with
from murphy_agents.evaluation.result import Evaluation
from murphy_agents.importing import imported
from murphy_agents.lease import EnvPool
from murphy_agents.policy import Policy
from murphy_agents.sampler import Sampler
from murphy_env import Task, sources

_SCRIPT = "script:"


def run(config: EvalConfig, console: Console | None = None, with_table: bool = True) -> Evaluation:
    """Evaluate as the settings say, show progress and figures, and write both files.

    Args:
        config: the settings.
        console: where progress and figures are shown.
        with_table: whether the figures are shown at the end.

    Raises:
        ValueError: settings that cannot work together.
        FileExistsError: `output_dir` holds an evaluation already.
        InfrastructureError: not one program of a batch got a verdict; `resume` goes on from there.
    """
    console = console or Console()
    # Checks once more what may have been changed since.
    config = dataclasses.replace(config, load_in_4bit=_is_in_4bit(config))
    found = eval_record.finished(config)
    if found is None:
        eval_record.refuse_used(config)
        found = _evaluated(config, console)
    if with_table:
        eval_log.show(found, console)
    console.print(f"written to {config.output_dir}", soft_wrap=True, highlight=False)
    return found


def _evaluated(config: EvalConfig, console: Console) -> Evaluation:
    wiring.check_installed(config.for_loading())
    own_world.refuse_other(config.model, tasks=config.tasks)
    tasks = sources.load(config.tasks, config.bad_rows)
    shared = _overlap(config, tasks)
    make_env = wiring.make_env_of(
        _environment(config),
        tasks,
        None,
        config.iterations,
        memory=config.memory,
        reflection=config.reflection,
    )
    # Twice as many environments as programs that run at once: some prepare while others wait.
    with EnvPool(make_env, 2 * config.sandbox_workers) as envs:
        sampler = _sampler(config, envs)
        log = eval_log.EvalLog(console, len(envs.task_ids), config.iterations)
        with closing(sampler.engine), eval_record.claimed(config) as record, log:
            if record.chains:
                log.add(record.chains, "done before")
            clock = time.perf_counter()

            def on_finished(chains: Sequence[Chain]) -> None:
                nonlocal clock
                seconds, clock = time.perf_counter() - clock, time.perf_counter()
                record.add(chains, seconds)
                log.add(chains, f"{record.seconds:.1f} s")

            done = tuple(record.chains)
            found = evaluate_with(
                sampler,
                iterations=config.iterations,
                num_runs=config.num_runs,
                seed=config.seed,
                batch=config.batch,
                done=done,
                on_finished=on_finished,
            )
            found = dataclasses.replace(
                found,
                seconds=record.seconds,
                settings=dataclasses.asdict(config),
                skipped_rows=tuple(map(str, tasks.skipped)),
                overlap=shared,
            )
            found.save(config.output_dir)
    return found


def _overlap(config: EvalConfig, tasks: Sequence[Task]) -> dict[str, Any]:
    """What the tasks share with those that were trained on; empty where these are not named."""
    if config.train_tasks is None:
        return {}
    found = sources.overlap(sources.load(config.train_tasks, config.bad_rows), tasks)
    told: dict[str, Any] = json.loads(json.dumps({"line": found.line, **found.to_json()}))
    return told


def _environment(config: EvalConfig) -> TrainConfig:
    """The settings that environments are made of; a script writes as any model would."""
    loading = config.for_loading()
    return dataclasses.replace(loading, model="tiny") if _script_of(config) else loading


def _sampler(config: EvalConfig, envs: EnvPool) -> Sampler:
    if (name := _script_of(config)) is None:
        return sampler_of(_load(config, envs), envs, config)
    script = imported(name)
    if not isinstance(script, Mapping | Callable):
        raise ValueError(
            f"model is {config.model!r}, but {script!r} is no script; name a function of a Request "
            "or a mapping of task ids to texts"
        )
    codec = CharCodec()
    stop = tuple(config.stop or ())
    params = SamplingParams(config.max_completion_length, config.temperature, config.top_p, stop)
    transcript = envs.transcript or "requote"
    engine = ScriptedEngine(script, codec)
    return Sampler(engine, codec, envs, params, transcript, config.schedule)


def _script_of(config: EvalConfig) -> str | None:
    """What 'script:NAME' names; None where the model is one that speaks for itself."""
    return config.model.removeprefix(_SCRIPT) if config.model.startswith(_SCRIPT) else None


def _load(config: EvalConfig, envs: EnvPool) -> Policy:
    """The model, with its weights in the type that is asked for."""
    policy = wiring.load_policy(config.for_loading(), envs)
    # Not by `model.to`, which would round the rotary frequencies besides, and is refused by models
    # with layers in 4 bits.
    for parameter in policy.model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(getattr(torch, config.dtype))
    return policy


def _is_in_4bit(config: EvalConfig) -> bool | None:
    """As is asked for; else adapters are evaluated on such a base as they were trained on."""
    if config.load_in_4bit is None and saved_adapters.were_on_4bit(config.model):
        return True
    return config.load_in_4bit
