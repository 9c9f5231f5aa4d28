"""From settings to parts: the environment's factory, the policy, the order of the problems."""

from __future__ import annotations

import json
import os
import random
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from murphy_agents import generation, optimizer, own_world, quantised, saved_adapters
from murphy_agents.adapters import LoraSettings
from murphy_agents.codec import ChatCodec
from murphy_agents.config import TrainConfig, steps_of
from murphy_agents.engines.protocol import SamplingParams
from murphy_agents.importing import imported
from murphy_agents.lease import EnvPool, MakeEnv
from murphy_agents.policy import Policy
from murphy_agents.rollout import Transcript
from murphy_agents.run import trackers
from murphy_agents.sampler import Sampler
from murphy_agents.tiny import make_policy, warm_start
from murphy_agents.tiny.stored import store
from murphy_agents.tiny.teaching import MADE_FOR
from murphy_env import CodeFeedbackEnv, Task, sources
from murphy_env.sources import MADE


def check_installed(config: TrainConfig) -> None:
    """Raise ValueError for a package that settings name and that is not installed."""
    trackers.check_installed(config.report_to)
    optimizer.check_installed(config.optim)
    if config.load_in_4bit:
        quantised.check_installed()
    generation.check_installed(config)


def refuse_nothing_to_train(config: TrainConfig) -> None:
    """Raise ValueError for a base in 4 bits that gets no adapters, and brings none."""
    if config.load_in_4bit and not (config.use_peft or saved_adapters.are_in(config.model)):
        raise ValueError(
            "load_in_4bit is set without use_peft: what is in 4 bits cannot be trained; add "
            "use_peft (--lora), or name a folder of adapters to go on with as the model"
        )


def make_env_of(
    config: TrainConfig,
    tasks: Sequence[Task] | None,
    make_env: MakeEnv | None,
    num_turns: int,
    **more: Any,
) -> MakeEnv:
    """The factory of the run's environments: the user's, or `CodeFeedbackEnv` with the settings.

    `more` are settings of `CodeFeedbackEnv` besides.
    """
    given = {"tasks=": tasks, "make_env=": make_env, f"env={config.env!r}": config.env}
    names = [name for name, value in given.items() if value is not None]
    if len(names) > 1:
        raise ValueError(f"{' and '.join(names)} are both given; each brings its own tasks")
    if config.env is not None:
        make_env = imported(config.env)
    if make_env is not None:
        if not callable(make_env):
            raise ValueError(f"make_env is {make_env!r}; give a function that makes an environment")
        return make_env
    if tasks is None:
        own_world.refuse_other(config.model, tasks=config.tasks)
        tasks = sources.load(config.tasks, config.bad_rows)
    loaded = list(tasks)
    return lambda: CodeFeedbackEnv(
        tasks=loaded,
        max_turns=num_turns,
        sandbox={"level": config.sandbox_level, "workers": config.sandbox_workers},
        prompts=config.prompts,
        reward=config.reward,
        hidden_share=config.hidden_share,
        transcript=transcript_of(config),
        **more,
    )


def check_turns(envs: EnvPool, num_turns: int) -> None:
    """Raise ValueError where episodes end before the algorithm's last turn."""
    if envs.max_turns is not None and envs.max_turns < num_turns:
        raise ValueError(
            f"the environment ends episodes after max_turns={envs.max_turns}, the algorithm has "
            f"{num_turns} turns; make the environment with max_turns={num_turns}"
        )


def load_policy(config: TrainConfig, envs: EnvPool) -> Policy:
    """The model that is trained; 'tiny' ones get a tokenizer made of the tasks' prompts."""
    if config.model.split(":")[0] != "tiny":
        policy = _loaded(config, folder_of(config.model))
    else:
        policy = _tiny(config, envs)
    _spare_threads(policy)
    return policy


def _loaded(config: TrainConfig, folder: str) -> Policy:
    return Policy.load(
        folder,
        dtype=getattr(torch, config.dtype),
        device=device_of(config),
        load_in_4bit=config.load_in_4bit,
        **policy_settings(config),
    )


def _tiny(config: TrainConfig, envs: EnvPool) -> Policy:
    model, tokenizer = make_tiny(config, envs)
    # Adapters name the model that they belong to, and what is quantised is so as it is read: either
    # way it has to be on disk.
    if config.use_peft or config.load_in_4bit:
        base = str(store(model, tokenizer, Path(config.output_dir)))
        if config.load_in_4bit:
            return _loaded(config, base)
        model.name_or_path = base
    moved = model.to(device=device_of(config), dtype=getattr(torch, config.dtype))
    return Policy.wrap(moved, tokenizer, **policy_settings(config))


def policy_settings(config: TrainConfig) -> dict[str, Any]:
    """What `Policy.wrap` is told of the settings."""
    lora = None
    if config.use_peft:
        names = tuple(name.strip() for name in config.lora_target_modules.split(","))
        lora = LoraSettings(
            r=config.lora_r,
            alpha=config.lora_alpha,
            target_modules=names[0] if names in (("auto",), ("all-linear",)) else names,
            use_rslora=config.use_rslora,
        )
    return {
        "lora": lora,
        "seed": config.seed,
        "beta": config.beta,
        "gradient_checkpointing": config.gradient_checkpointing,
        "disable_dropout": config.disable_dropout,
        "reference_dtype": torch.bfloat16 if config.bf16 else None,
    }


def make_tiny(config: TrainConfig, envs: EnvPool) -> tuple[Any, Any]:
    """The 'tiny' model that is named, with a tokenizer made of the tasks' prompts."""
    kind: Any = config.model.partition(":")[2] or "qwen3"
    positions = [envs.start(task_id) for task_id in envs.task_ids[:500]]
    texts = [message["content"] for position in positions for message in position.messages]
    return make_policy(texts=texts, kind=kind, seed=config.seed)


SMALL_MODEL = 10_000_000
"""Parameters below which several threads lose more by waiting for each other than they win."""


def _spare_threads(policy: Policy) -> None:
    """One thread for a small model on a CPU, unless `OMP_NUM_THREADS` says how many.

    On a machine that has other work as well, two threads were three times slower than one.
    """
    size = sum(parameter.numel() for parameter in policy.model.parameters())
    if size < SMALL_MODEL and policy.device.type == "cpu" and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)


def transcript_of(config: TrainConfig) -> Transcript:
    """The transcript that is asked for, else the one that the model was made for."""
    if config.transcript is not None:
        return config.transcript
    if config.model.split(":")[0] in MADE:
        return "chat"
    path = Path(config.model) / "tokenizer_config.json"
    made_for: Transcript = "requote"
    if path.is_file():
        made_for = json.loads(path.read_text(encoding="utf-8")).get(MADE_FOR, made_for)
    return made_for


def folder_of(model: str) -> str:
    """The folder or hub name of a model by its name; makes those of a world.

    Raises:
        ValueError: it can be neither a folder with a model nor a name on the hub.
    """
    if model.partition(":")[0] in MADE:
        return str(warm_start.folder_of(model))
    _check_model_name(model)
    return model


def _check_model_name(name: str) -> None:
    """Refuse what can be neither a folder with a model nor a name on the hub."""
    path = Path(name)
    is_path = name.startswith((".", "/", "~")) or len(path.parts) > 2  # a hub name has one slash
    if not name or (is_path and not path.exists()):
        raise ValueError(f"model is {name!r}, and there is no such folder; give one, or a hub name")
    if path.is_file():
        raise ValueError(f"model {name!r} is a file; give the folder that it lies in")
    if path.is_dir() and not any([*path.glob("tokenizer*"), *path.glob("vocab*")]):
        raise ValueError(f"model {name!r} has no tokenizer; save the tokenizer into the folder too")


def device_of(config: TrainConfig) -> torch.device:
    """Where the model goes.

    Raises:
        ValueError: the device cannot be used here.
    """
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=config.device).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device {config.device!r} cannot be used here: {reason}") from error


def batches(config: TrainConfig, task_ids: Sequence[str]) -> Iterator[list[str]]:
    """The problems of every step: each epoch a new order, the last batch of it maybe smaller."""
    order = random.Random(config.seed)
    steps_left = steps_of(config, len(task_ids))
    while True:
        epoch = order.sample(task_ids, len(task_ids))
        for start in range(0, len(epoch), config.per_device_train_batch_size):
            if not steps_left:
                return
            steps_left -= 1
            yield epoch[start : start + config.per_device_train_batch_size]


def make_sampler(
    config: TrainConfig,
    policy: Policy,
    envs: EnvPool,
    make_engine: generation.MakeEngine = generation.make_engine,
) -> Sampler:
    """A sampler that draws from a policy; close its engine when it is done."""
    _warn_of_nucleus(config)
    codec = ChatCodec(policy.tokenizer)
    params = SamplingParams(
        config.max_completion_length, config.temperature, config.top_p, tuple(config.stop or ())
    )
    known = policy.tokenizer.init_kwargs.get(MADE_FOR)
    # An environment of one's own knows best what it writes.
    transcript = config.transcript or envs.transcript or known or "requote"
    if config.transcript is None and known not in (None, transcript):
        warnings.warn(
            f"the environment writes {transcript!r} transcripts, the model was made for {known!r}; "
            f"make the environment with transcript={known!r}, or set transcript",
            stacklevel=2,
        )
    # What is saved is made for what it learned from.
    policy.tokenizer.init_kwargs[MADE_FOR] = transcript
    engine = make_engine(config, policy, codec)
    return Sampler(engine, codec, envs, params, transcript, config.schedule)


def _warn_of_nucleus(config: TrainConfig) -> None:
    if config.top_p < 1 and config.importance_sampling != "none":
        warnings.warn(
            f"importance_sampling is {config.importance_sampling!r} and top_p {config.top_p}: the "
            "sampler's probabilities are those of the kept tokens, so the correction is about "
            f"{config.top_p} at every token even where engine and trainer agree, and what the "
            "nucleus leaves out stays missing; set top_p to 1 to correct for the engine alone",
            stacklevel=3,
        )
