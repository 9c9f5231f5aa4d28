"""The one seam to generation: token ids in, completions out as they finish. No torch here.

An engine samples; it knows nothing of tasks, rewards or trees. `submit` queues work and returns at
once; `poll` returns what has finished since. Randomness belongs to the sample: each has a seed of
its own, so what one node draws does not depend on which others are in flight.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal, Protocol

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class SamplingParams:
    """How a completion is drawn."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    """Below 1 the log-probs are renormalised over the kept tokens and the gradient is biased."""

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens is {self.max_tokens}; give at least 1")
        if self.temperature < 0:
            raise ValueError(f"temperature is {self.temperature}; give 0 (greedy) or more")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; give a share in (0, 1]")


@dataclass(frozen=True)
class Request:
    """One prompt and how many completions of it are wanted: one per seed."""

    prompt_ids: tuple[int, ...]
    seeds: tuple[int, ...]
    params: SamplingParams
    tag: Hashable
    """Comes back with every completion; unique among the requests in flight."""
    task_id: str = ""
    turn: int = 1
    """What the prompt is about, for engines that play back and for logs."""


@dataclass(frozen=True)
class Completion:
    """One finished sample of a request."""

    tag: Hashable
    index: int
    """Which of the request's seeds."""
    ids: tuple[int, ...]
    """Sampled ids, end token included where it was sampled."""
    logprobs: tuple[float, ...]
    """Natural log-probability of each id at the sampling temperature."""
    text: str
    """The ids as text, special tokens left out."""
    finish_reason: FinishReason


class Engine(Protocol):
    """What the sampler needs of a generator."""

    context_length: int
    """Most ids of prompt and completion together; a prompt must leave room for `max_tokens`."""

    def submit(self, request: Request) -> None:
        """Queue a request.

        Raises:
            ValueError: the prompt and `max_tokens` together pass `context_length`, the prompt is
                empty, or the tag is already in flight.
        """

    def poll(self) -> list[Completion]:
        """Completions that finished since the last call; waits for one; [] if none is in flight."""
