"""What a run needs beside what its card has, and the settings that would make it fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from murphy_agents.dry_run.card import Card
from murphy_agents.dry_run.colocated import Need, largest_share
from murphy_agents.dry_run.findings import DoesNotFitError, NotCheckedError
from murphy_agents.dry_run.memory import Part, Work
from murphy_agents.dry_run.sizes import Demand, gib


class Share(NamedTuple):
    """What vLLM gets of a card."""

    num_bytes: float
    cache_tokens: int
    rows: int
    """Completions of full length that its cache holds at a time."""


def shared(needed: Demand, need: Need, card: Card) -> tuple[Share, str]:
    """What vLLM does with its share.

    Raises:
        DoesNotFitError: weights and one completion do not fit into it; names the shares that hold
            them and leave training its room.
        NotCheckedError: the card is none.
    """
    if not card.is_gpu:
        raise NotCheckedError(f"what vLLM takes of a {card.name!r} device is not estimated")
    found, fixed = share_of(need, card, need.utilization), need.fixed_bytes(card.total_bytes)
    told = f"{need.utilization:g} of {card.name} is {gib(found.num_bytes)} GiB"
    if not found.rows:
        raise DoesNotFitError(
            f"{told}; vLLM takes {gib(fixed)} for weights and work and {gib(need.cache_bytes(1))} "
            f"for one completion of {need.longest_tokens:,} ids; {_shares(needed, need, card)}"
        )
    completions = "completion" if found.rows == 1 else "completions"
    return found, (
        f"{told}: {gib(fixed)} for weights and work, cache of {found.cache_tokens:,} ids, room for "
        f"{found.rows:,} {completions} of {need.row_tokens:,} at a time"
    )


def share_of(need: Need, card: Card, utilization: float) -> Share:
    """What vLLM gets of a card by this setting."""
    whole = utilization * card.total_bytes
    cache = whole - need.fixed_bytes(card.total_bytes)
    return Share(whole, need.num_blocks(cache) * need.block_tokens, need.rows(cache))


def largest_share_of(needed: Demand, card: Card) -> float:
    """The largest share that leaves training its room; 0 if there is none."""
    return largest_share(card.total_bytes, card.usable_bytes - needed.training.most_bytes)


def compared(needed: Demand, card: Card) -> tuple[float, str]:
    """Whether training finds as much as it needs, vLLM's share left out.

    Raises:
        DoesNotFitError: it does not; names what would help.
    """
    most, room = needed.training.most_bytes, card.usable_bytes
    told = f"{gib(most)} GiB needed at most, {gib(card.free_bytes)} GiB free on {card.name}"
    if card.reserve_bytes:
        told += f", {gib(card.reserve_bytes)} of them held back"
    need = needed.vllm if card.is_gpu else None
    if need:
        room -= need.utilization * card.total_bytes
        told += f", {gib(need.utilization * card.total_bytes)} vLLM's"
    if most > room:
        shares = f"{_shares(needed, need, card)}, or " if need else ""
        raise DoesNotFitError(f"{told}; {shares}{_remedy(needed)}")
    return room, told


def lines(needed: Demand, card: Card | None = None) -> Iterator[str]:
    """The parts of what is needed in GiB, and what each assumes."""
    training = needed.training
    yield "memory in GiB, where limits are reached:"
    yield from _listed("always", training.always)
    for name, parts in training.phases.items():
        yield from _listed(name, parts)
    if needed.vllm:
        yield from _listed("vLLM", needed.vllm.parts(card.total_bytes if card else 0))


def _listed(name: str, parts: tuple[Part, ...] | list[Part]) -> Iterator[str]:
    for part in parts:
        yield f"  {name:<15}{part.name:<12}{gib(part.num_bytes):>7}  {part.assumes}"


def _shares(needed: Demand, need: Need, card: Card) -> str:
    """The shares that serve vLLM and training, in words."""
    shorter = need.shortened()
    smallest, least = (n.smallest_share(card.total_bytes) for n in (need, shorter))
    largest = largest_share_of(needed, card)
    if largest < least:
        at_best = f", {least:.2f} with vllm_max_model_length {need.row_tokens}"
        narrower = "; set vllm_dtype bfloat16" if need.number_bytes > 2 else ""
        return (
            f"no share serves both: vLLM needs at least {smallest:.2f} of the card"
            f"{at_best if least < smallest else ''}, training leaves {largest:.2f}{narrower}"
        )
    setting = "set vllm_gpu_memory_utilization"
    if largest < smallest:
        need, smallest = shorter, least
        setting = f"set vllm_max_model_length {need.row_tokens} and vllm_gpu_memory_utilization"
    few, many = (share_of(need, card, share).rows for share in (smallest, largest))
    return f"{setting} from {smallest:.2f} (room for {few:,}) to {largest:.2f} (for {many:,})"


def _remedy(needed: Demand) -> str:
    """What would lower the widest phase, or what is always held where that is most of it."""
    training, work = needed.training, needed.work
    lighter = ", or ".join(_lighter(work)) or "take a smaller model"
    by_phase = {"generation": "lower max_cache_tokens", "update": _smaller_update(work)}
    if training.always_bytes > training.most_bytes / 2 or training.widest not in by_phase:
        return lighter
    return f"{by_phase[training.widest]}, or {lighter}"


def _lighter(work: Work) -> Iterator[str]:
    """Settings that lower what is always held, those that are set already left out."""
    has_adapters = work.trained_bytes < work.weight_bytes / 2
    if not has_adapters:
        yield "train adapters on half-precision weights (use_peft, dtype bfloat16)"
        if not work.eight_bit:
            yield "set optim adamw_8bit"
        return
    if work.number_bytes > 2:
        yield "set dtype bfloat16"
    if not work.unpacked_bytes:
        yield "set load_in_4bit"


def _smaller_update(work: Work) -> str:
    settings = [] if work.checkpointing else ["gradient_checkpointing"]
    if not work.autocast and work.number_bytes > 2:
        settings.append("bf16")
    chosen = f"set {', '.join(settings)}, or " if settings else ""
    return f"{chosen}lower max_tokens_per_forward"
