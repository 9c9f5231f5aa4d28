"""How vLLM is started in this process: what is set for it, what is refused, what it must not touch.

On a CPU, vLLM 0.32 has limits that are worked around here: its cache knows blocks of 32 ids and
multiples; a seeded sample whose prompt is read in pieces breaks it ("CPU Generator does not use
offset"), so prompts are read whole; compiling a model would cost minutes.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from murphy_agents.engines.vllm_classes import ClassKeeper
from murphy_agents.engines.vllm_common import LOGPROBS_MODE, adapter_room, is_installed

_IN_PROCESS = "VLLM_ENABLE_V1_MULTIPROCESSING"
_OURS = ("enable_lora", "enable_prefix_caching", "logprobs_mode", "max_model_len")
_SEVERAL = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
_EVERYWHERE = {"logprobs_mode": LOGPROBS_MODE, "enable_prefix_caching": True}
_ON_A_CPU = {"block_size": 32, "enable_chunked_prefill": False, "enforce_eager": True}
_RELOADS = "vllm.model_executor.model_loader.reload.layerwise"


def check_installed() -> None:
    """Raise ValueError where vLLM is not installed, with the command that installs it."""
    if not is_installed():
        raise ValueError(
            "the engine 'vllm' needs the package vllm, which is not installed here; pip install "
            "'murphy-rl[vllm]', or sample with the engine 'transformers'"
        )


def start(model: str, max_lora_rank: int | None, options: Mapping[str, Any], **more: Any) -> Any:
    """An engine of vLLM (`LLMEngine`) that runs in the calling thread.

    Args:
        model: a folder or a hub name.
        max_lora_rank: highest rank of adapters; None: no adapters.
        options: arguments of `vllm.LLM` that a user gave; they win over ours.
        **more: other arguments of `vllm.LLM`.

    Raises:
        ValueError: vLLM is missing or told to run elsewhere, or an option contradicts the engine.
    """
    check_installed()
    _refuse(options)
    adapters = _adapter_options(max_lora_rank)
    _settle_environment()
    with _state_kept():
        import vllm

        # It warns at every reload of layers that have nothing to load; what proves a reload is
        # the canary.
        logging.getLogger(_RELOADS).setLevel(logging.ERROR)
        if on_cpu():
            _check_heads(model)
        ours = {**_EVERYWHERE, **(_ON_A_CPU if on_cpu() else {}), **adapters, **options}
        keeper = ClassKeeper.of(model)
        try:
            engine = vllm.LLM(model=model, **more, **ours).llm_engine
        except BaseException:
            keeper.give_back()
            raise
        engine.apply_model(keeper.give_back)
    return engine


def on_cpu() -> bool:
    """Whether vLLM computes on a CPU."""
    from vllm.platforms import current_platform

    return bool(current_platform.is_cpu())


def _settle_environment() -> None:
    """Raise ValueError if vLLM is told to run elsewhere; else tell it to run here, and quietly."""
    if os.environ.setdefault(_IN_PROCESS, "0") != "0":
        raise ValueError(
            f"{_IN_PROCESS} is {os.environ[_IN_PROCESS]!r}, so vLLM would run in a process of its "
            "own, where weights cannot be handed over; unset it, or use the vLLM server engine"
        )
    # A page of its settings is of no interest to whoever trains.
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")


def _check_heads(model: str) -> None:
    from transformers import AutoConfig
    from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

    config = AutoConfig.from_pretrained(model).get_text_config()
    size = getattr(config, "head_dim", None)
    size = size or config.hidden_size // config.num_attention_heads
    known = CPUAttentionBackend.get_supported_head_sizes()
    if size not in known:
        raise ValueError(
            f"the model {model} has attention heads of width {size}; on a CPU, vLLM knows the "
            f"widths {', '.join(map(str, known))}. Sample from it with the engine 'transformers'"
        )


def _refuse(options: Mapping[str, Any]) -> None:
    for name in options:
        if name in _OURS:
            raise ValueError(f"{name} is set by the engine itself; leave it out")
    for name in _SEVERAL:
        if options.get(name, 1) != 1:
            raise ValueError(
                f"{name} is {options[name]}, which takes processes beside this one, where weights "
                "cannot be handed over; use the vLLM server engine"
            )


def _adapter_options(max_lora_rank: int | None) -> dict[str, Any]:
    if max_lora_rank is None:
        return {}
    return {"enable_lora": True, "max_loras": 1, "max_lora_rank": adapter_room(max_lora_rank)}


@contextmanager
def _state_kept() -> Iterator[None]:
    """What vLLM changes for its process while it starts, put back for the one that trains here.

    It seeds all random numbers, and on a CPU takes away the setting of threads.
    """
    python, arrays = random.getstate(), np.random.get_state()
    set_num_threads = torch.set_num_threads
    in_use = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    devices = [torch.cuda.current_device()] if in_use else []
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(arrays)
            torch.set_num_threads = set_num_threads
