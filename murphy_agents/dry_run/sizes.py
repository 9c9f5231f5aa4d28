"""The memory of a run: from its settings to what training needs, and vLLM beside it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch

from murphy_agents import optimizer
from murphy_agents.config import TrainConfig
from murphy_agents.dry_run import memory, packed
from murphy_agents.dry_run.checks import Prompts
from murphy_agents.dry_run.colocated import Need
from murphy_agents.dry_run.counts import PerProblem
from murphy_agents.dry_run.findings import NotCheckedError
from murphy_agents.engines.transformers import MAX_BATCH_ROWS
from murphy_agents.generation import vllm_dtype_of
from murphy_agents.policy import Policy
from murphy_agents.update.attention import Way, default_way
from murphy_agents.update.head import max_logits

FEEDBACK_TOKENS = 1000
"""Ids that feedback on one attempt adds to the next prompt at most: 2,000 characters are shown."""


LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""For which vLLM makes room; adapters take that of the next one."""


class Demand(NamedTuple):
    """What a run needs of its card."""

    shape: memory.Shape
    work: memory.Work
    training: memory.Estimate
    """Generation by the model in training included."""
    vllm: Need | None
    """Beside it; None where generation takes nothing else of the card."""


def estimated(
    config: TrainConfig, policy: Policy, prompts: Prompts, problem: PerProblem
) -> tuple[Demand, str]:
    """What is needed, and its sums.

    Raises:
        NotCheckedError: the model is of a kind that is not covered.
    """
    found = demand(config, policy, prompts, problem)
    training = found.training
    phases = ", ".join(f"{name} {gib(training.phase_bytes(name))}" for name in training.phases)
    said = f"at most {gib(training.most_bytes)} GiB ({phases}; estimated, see below)"
    if found.vllm:
        said += ", and vLLM beside it"
    elif not found.work.draws_here:
        said += "; the vLLM server has devices of its own"
    return found, said


def demand(config: TrainConfig, policy: Policy, prompts: Prompts, problem: PerProblem) -> Demand:
    """What training and vLLM need; errors as `estimated`."""
    try:
        shape = memory.Shape.of(policy.model.config)
    except ValueError as error:
        raise NotCheckedError(str(error)) from error
    done = work(config, policy, prompts, problem)
    need = None
    if config.engine == "vllm":
        need = _need(config, policy, shape, prompts.context, done.row_tokens)
    return Demand(shape, done, memory.estimate(shape, done), need)


def work(config: TrainConfig, policy: Policy, prompts: Prompts, problem: PerProblem) -> memory.Work:
    """What the run does with the model, at its most."""
    trained, eight_bit = policy.trainable_parameters(), config.optim == "adamw_8bit"
    number_bytes = getattr(torch, config.dtype).itemsize
    row = row_tokens(config, prompts, problem)
    return memory.Work(
        weight_bytes=_bytes_of(policy.model.parameters()) + packed.scale_bytes(policy.model),
        trained_bytes=_bytes_of(trained),
        number_bytes=number_bytes,
        optimizer_bytes=optimizer.state_bytes(config.optim, policy.model),
        step_bytes=max(map(_size, trained)) if eight_bit else _bytes_of(trained),
        reference_bytes=_bytes_of(policy.frozen.parameters()) if policy.frozen is not None else 0,
        rows=min(MAX_BATCH_ROWS, config.per_device_train_batch_size * max(problem.by_turn)),
        row_tokens=row,
        cache_tokens=config.max_cache_tokens,
        forward_tokens=max(row, config.max_tokens_per_forward),
        most_logits=max_logits(_device_type(config)),
        top_p=config.top_p,
        autocast=config.bf16,
        checkpointing=config.gradient_checkpointing,
        eight_bit=eight_bit,
        gathers_paths=config.layout != "padded" and _way(config) in ("segments", "varlen"),
        draws_here=config.engine == "transformers",
        unpacked_bytes=packed.unpacked_bytes(policy.model, number_bytes),
    )


def row_tokens(config: TrainConfig, prompts: Prompts, problem: PerProblem) -> int:
    """Most ids of a completion and its prompt, which quotes all attempts before it."""
    attempt = config.max_completion_length + FEEDBACK_TOKENS
    row = prompts.longest + (len(problem.by_turn) - 1) * attempt + config.max_completion_length
    return min(row, prompts.context, config.vllm_max_model_length or prompts.context)


def _need(
    config: TrainConfig, policy: Policy, shape: memory.Shape, context: int, row_tokens: int
) -> Need:
    """What vLLM holds: the model without packing, in its own type, and room for adapters."""
    number_bytes = getattr(torch, vllm_dtype_of(config)).itemsize
    adapters = policy.trainable_parameters() if policy.has_adapters else []
    left_out = {id(parameter) for parameter in adapters}
    own = [p for p in policy.model.parameters() if id(p) not in left_out]
    room = sum(p.numel() for p in adapters) * _room_for_rank(policy) if adapters else 0
    return Need(
        shape=shape,
        weight_bytes=packed.num_numbers(policy.model, own) * number_bytes,
        adapter_bytes=round(room * number_bytes),
        number_bytes=number_bytes,
        row_tokens=row_tokens,
        longest_tokens=config.vllm_max_model_length or context,
        utilization=config.vllm_gpu_memory_utilization,
    )


def _room_for_rank(policy: Policy) -> float:
    """What vLLM sets aside for adapters, of what they take."""
    rank: int = max(adapter.r for adapter in policy.model.peft_config.values())
    return min((known for known in LORA_RANKS if known >= rank), default=rank) / rank


def _way(config: TrainConfig) -> Way:
    """How attention along a trie is done on the run's device."""
    return config.tree_attention or default_way(_device_type(config))


def _device_type(config: TrainConfig) -> str:
    """Of the run's device, which need not be here."""
    if config.card_gb is not None:
        return "cuda"
    kind = config.device.partition(":")[0]
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    return kind


def _bytes_of(parameters: Iterable[torch.Tensor]) -> int:
    return sum(map(_size, parameters))


def _size(parameter: torch.Tensor) -> int:
    return parameter.numel() * parameter.element_size()


def gib(num_bytes: float) -> str:
    """In GiB, for a reader."""
    return f"{num_bytes / memory.GIB:.1f}" if num_bytes >= 0.05 * memory.GIB else "<0.1"
