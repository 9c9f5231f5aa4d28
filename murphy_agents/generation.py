"""From settings to an engine, and what keeps it at the weights in training."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from murphy_agents.canary import NUM_TOKENS, Canary, tolerance_of
from murphy_agents.codec import Codec
from murphy_agents.config import TrainConfig
from murphy_agents.engines import vllm_start
from murphy_agents.engines.lasting import LastingEngine
from murphy_agents.engines.protocol import Engine
from murphy_agents.engines.transformers import TransformersEngine
from murphy_agents.engines.weights import weights_of
from murphy_agents.policy import Policy
from murphy_agents.sampler import Sampler
from murphy_agents.tiny.stored import store

MakeEngine = Callable[[TrainConfig, Policy, Codec], Engine]
NUM_CANARIES = 4
"""First prompts whose completions are compared after a sync, of tasks far apart."""
SERVER_WITHIN_S = 600.0
"""In which a server of one's own has to be healthy, at the beginning and when it has died."""


@dataclass
class Sync:
    """Brings a sampler's engine to a policy's weights, and proves that it is there."""

    engine: Engine
    policy: Policy
    canary: Canary | None
    """None: the engine samples from the very model in training, so there is nothing to prove."""
    version: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.engine, LastingEngine):
            self.engine.restore = self.bring

    def __call__(self, version: int) -> dict[str, float]:
        """Sync to the weights as they are now; what it took, and how close the engine came.

        Raises:
            SyncError: the engine's log-probs are not the trainer's.
            EngineDiedError: the engine cannot go on.
        """
        started, self.version = time.perf_counter(), version
        gap = self.bring(self.engine)
        told = {} if gap is None else {"sync_gap": gap}
        return {**told, "seconds/sync": time.perf_counter() - started}

    def bring(self, engine: Engine) -> float | None:
        """Bring an engine to the weights of the last call; the gap in nats, where one can be."""
        engine.sync(weights_of(self.policy, self.version))
        return None if self.canary is None else self.canary.check(engine, self.policy.model)


def check_installed(config: TrainConfig) -> None:
    """Raise ValueError where the engine needs vLLM here, or a device for it, and there is none."""
    starts_server = config.engine == "vllm_server" and config.vllm_server_base_url is None
    if starts_server and config.vllm_server_devices is None and _is_on_gpu(config):
        raise ValueError(
            "a vLLM server would be started on the GPU that trains, and take nine tenths of it; "
            "name others with vllm_server_devices, or use engine 'vllm', which shares the GPU"
        )
    if config.engine == "vllm" or starts_server:
        vllm_start.check_installed()


def _is_on_gpu(config: TrainConfig) -> bool:
    kind = config.device.partition(":")[0]
    return kind == "cuda" or (kind == "auto" and torch.cuda.is_available())


def make_sync(config: TrainConfig, sampler: Sampler, policy: Policy) -> Sync:
    """What brings the sampler's engine to the policy's weights."""
    if config.engine == "transformers":
        return Sync(sampler.engine, policy, None)
    task_ids = sampler.envs.task_ids
    starts = map(sampler.envs.start, task_ids[:: -(-len(task_ids) // NUM_CANARIES)])
    prompts = [sampler.codec.encode(start.messages) for start in starts]
    # Refinements are longer than first prompts: so is one of what is asked, within what a forward
    # of the update holds anyway.
    attempts = (config.num_turns or 1) * config.max_completion_length
    longest = min(2 * max(map(len, prompts)) + attempts, config.max_tokens_per_forward)
    chained = [i for prompt in prompts for i in prompt]
    prompts.append(tuple((chained * (longest // len(chained) + 1))[:longest]))
    most = sampler.engine.context_length - NUM_TOKENS
    prompts = [prompt[-most:] for prompt in prompts]
    tolerance = config.sync_tolerance or tolerance_of(
        getattr(torch, config.dtype), getattr(torch, vllm_dtype_of(config))
    )
    return Sync(sampler.engine, policy, Canary(prompts, config.temperature, tolerance))


def make_engine(config: TrainConfig, policy: Policy, codec: Codec) -> Engine:
    """The engine that the settings name, at the weights that the policy was loaded with.

    Raises:
        ValueError: it cannot be had; says why.
    """
    match config.engine:
        case "transformers":
            return the_model_itself(config, policy, codec)
        case "vllm":
            from murphy_agents.engines.vllm import VllmEngine

            return VllmEngine(
                folder_for_engine(config, policy),
                codec,
                dtype=vllm_dtype_of(config),
                context_length=config.vllm_max_model_length,
                gpu_memory_utilization=config.vllm_gpu_memory_utilization,
                max_lora_rank=_lora_rank(policy),
            )
        case "vllm_server":
            return LastingEngine(partial(_served, config, policy, codec))


def _served(config: TrainConfig, policy: Policy, codec: Codec) -> Engine:
    """An engine on a server that runs, or on one that is started for it and ends with it."""
    from murphy_agents.engines.vllm_process import VllmServer
    from murphy_agents.engines.vllm_server import VllmServerEngine

    output_dir = Path(config.output_dir).absolute()
    sync_folder = Path(config.vllm_sync_folder or output_dir / "sync").absolute()
    if config.vllm_server_base_url is not None:
        return VllmServerEngine(
            config.vllm_server_base_url,
            codec,
            sync_folder,
            context_length=config.vllm_max_model_length,
            connect_within_s=SERVER_WITHIN_S,
        )
    devices = config.vllm_server_devices
    server = VllmServer.start(
        folder_for_engine(config, policy),
        dtype=vllm_dtype_of(config),
        context_length=config.vllm_max_model_length,
        max_lora_rank=_lora_rank(policy),
        log=output_dir / "vllm_server.log",
        num_devices=1 if devices is None else len(devices.split(",")),
        environment={} if devices is None else {"CUDA_VISIBLE_DEVICES": devices},
    )
    return VllmServerEngine(server.url, codec, sync_folder, server=server)


def the_model_itself(config: TrainConfig, policy: Policy, codec: Codec) -> TransformersEngine:
    """The engine that samples from the model in training, whichever one the settings name."""
    return TransformersEngine(
        policy.model,
        codec,
        context_length=config.vllm_max_model_length,
        max_batch_tokens=config.max_cache_tokens,
    )


def vllm_dtype_of(config: TrainConfig) -> str:
    """The type of vLLM's weights: as is asked for, or as those in training."""
    return config.vllm_dtype or config.dtype


def folder_for_engine(config: TrainConfig, policy: Policy) -> str:
    """Where vLLM reads the model from: under LoRA the base, without adapters.

    A model that was made in memory is written to `output_dir/base-DIGEST`.
    """
    name = str(policy.model.name_or_path)
    if policy.has_adapters:
        adapters: Any = policy.model.active_peft_config
        name = str(adapters.base_model_name_or_path)
    if config.model.split(":")[0] != "tiny" or policy.has_adapters:
        return name
    made = copy.deepcopy(policy.model).to("cpu", torch.float32)
    return str(store(made, policy.tokenizer, Path(config.output_dir)))


def _lora_rank(policy: Policy) -> int | None:
    return int(policy.model.active_peft_config.r) if policy.has_adapters else None
