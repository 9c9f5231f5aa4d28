"""The memory of a run: from its settings to the estimate, and the estimate beside the device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from murphy_agents import optimizer
from murphy_agents.config import TrainConfig
from murphy_agents.dry_run import memory
from murphy_agents.dry_run.checks import Prompts
from murphy_agents.dry_run.counts import PerProblem
from murphy_agents.dry_run.findings import DoesNotFitError, NotCheckedError
from murphy_agents.engines.transformers import MAX_BATCH_ROWS
from murphy_agents.policy import Policy
from murphy_agents.update.attention import Way, default_way
from murphy_agents.update.head import max_logits

FEEDBACK_TOKENS = 1000
"""Ids that feedback on one attempt adds to the next prompt at most: 2,000 characters are shown."""


def estimated(
    config: TrainConfig, policy: Policy, prompts: Prompts, problem: PerProblem
) -> tuple[memory.Estimate, str]:
    """The estimate and its sums.

    Raises:
        NotCheckedError: the model is of a kind that is not covered.
    """
    try:
        shape = memory.Shape.of(policy.model.config)
    except ValueError as error:
        raise NotCheckedError(str(error)) from error
    estimate = memory.estimate(shape, work(config, policy, prompts, problem))
    phases = ", ".join(f"{name} {_gib(estimate.phase_bytes(name))}" for name in estimate.phases)
    return estimate, f"at most {_gib(estimate.most_bytes)} GiB ({phases}; estimated, see below)"


def work(config: TrainConfig, policy: Policy, prompts: Prompts, problem: PerProblem) -> memory.Work:
    """What the run does with the model, at its most."""
    trained, eight_bit = policy.trainable_parameters(), config.optim == "adamw_8bit"
    attempt = config.max_completion_length + FEEDBACK_TOKENS
    row = prompts.longest + (len(problem.by_turn) - 1) * attempt + config.max_completion_length
    row = min(row, prompts.context)
    return memory.Work(
        weight_bytes=_bytes_of(policy.model.parameters()),
        trained_bytes=_bytes_of(trained),
        number_bytes=getattr(torch, config.dtype).itemsize,
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
    )


def compared(estimate: memory.Estimate, device: torch.device | None) -> tuple[float, str]:
    """Whether the device has as much free now.

    Raises:
        DoesNotFitError: it has less; names what would help.
        NotCheckedError: there is no such device here, or it does not tell.
    """
    if device is None:
        raise NotCheckedError("no device here to compare the estimate with")
    free = _free_bytes(device)
    told = f"{_gib(estimate.most_bytes)} GiB needed at most, {_gib(free)} GiB free on {device}"
    if estimate.most_bytes > free:
        raise DoesNotFitError(f"{told}; {_remedy(estimate)}")
    return free, told


def lines(estimate: memory.Estimate) -> Iterator[str]:
    """The parts of an estimate in GiB, and what each assumes."""
    yield "memory in GiB, where limits are reached:"
    for name, listed in (("always", estimate.always), *estimate.phases.items()):
        for part in listed:
            yield f"  {name:<15}{part.name:<12}{_gib(part.num_bytes):>7}  {part.assumes}"


def _remedy(estimate: memory.Estimate) -> str:
    """What would lower the widest phase, or what is always held where that is most of it."""
    by_phase = {
        "generation": "lower max_cache_tokens",
        "update": "set gradient_checkpointing, bf16, or lower max_tokens_per_forward",
    }
    adapters = "train adapters on half-precision weights (use_peft, dtype bfloat16)"
    if not estimate.eight_bit:
        adapters += ", or set optim adamw_8bit"
    if estimate.always_bytes > estimate.most_bytes / 2:
        return adapters
    return f"{by_phase.get(estimate.widest, adapters)}, or {adapters}"


def _way(config: TrainConfig) -> Way:
    """How attention along a trie is done on the run's device."""
    return config.tree_attention or default_way(_device_type(config))


def _device_type(config: TrainConfig) -> str:
    """Of the run's device, which need not be here."""
    kind = config.device.partition(":")[0]
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    return kind


def _bytes_of(parameters: Iterable[torch.Tensor]) -> int:
    return sum(map(_size, parameters))


def _size(parameter: torch.Tensor) -> int:
    return parameter.numel() * parameter.element_size()


def _free_bytes(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    told = Path("/proc/meminfo")
    if device.type == "cpu" and told.exists():
        named = dict(line.split(":") for line in told.read_text(encoding="utf-8").splitlines())
        return 1024.0 * int(named["MemAvailable"].split()[0])
    raise NotCheckedError(f"how much a {device.type!r} device has free is not known")


def _gib(num_bytes: float) -> str:
    return f"{num_bytes / memory.GIB:.1f}" if num_bytes >= 0.05 * memory.GIB else "<0.1"
