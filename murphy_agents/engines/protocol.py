"""The one seam to generation: token ids in, completions out as they finish. No torch here.

An engine samples; it knows nothing of tasks, rewards or trees. `submit` queues work and returns at
once; `poll` returns what has finished since. Randomness belongs to the sample: each has a seed of
its own, so what one node draws does not depend on which others are in flight. `sync` gives the
engine other weights, between rollouts.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class SamplingParams:
    """How a completion is drawn."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    """Below 1 the log-probs are renormalised over the kept tokens and the gradient is biased."""
    stop: tuple[str, ...] = ()
    """Texts that end a completion, beside the end tokens; the one that did is part of it."""

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens is {self.max_tokens}; give at least 1")
        if self.temperature < 0:
            raise ValueError(f"temperature is {self.temperature}; give 0 (greedy) or more")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; give a share in (0, 1]")
        if isinstance(self.stop, str) or not all(self.stop):
            raise ValueError(f"stop is {self.stop!r}; give a tuple of texts, none of them empty")


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


@dataclass
class EngineStats:
    """Work done so far."""

    prompt_tokens: int = 0
    """Ids of the prompts, counted for every completion."""
    prefilled_tokens: int = 0
    """Ids of the prompts that the model really read."""
    generated_tokens: int = 0
    seconds: float = 0.0
    """Clock seconds in which the engine had work."""

    @property
    def prefix_hit_rate(self) -> float:
        """Share of the prompts' ids that were not read anew, since a cache held them."""
        return 1 - self.prefilled_tokens / self.prompt_tokens if self.prompt_tokens else 0.0


@dataclass(frozen=True)
class Weights:
    """What an engine is to sample with from now on; read while `Engine.sync` runs."""

    version: int
    """Grows from sync to sync."""
    named: Callable[[], Iterable[tuple[str, Any]]]
    """Every tensor that the engine lacks, by its name in Hugging Face layout: those of the whole
    model, or of the adapters alone."""
    write: Callable[[Path], None]
    """Fill a folder with the same in Hugging Face layout (safetensors)."""
    is_adapter: bool = False
    """Whether these are LoRA adapters upon the model that the engine was made with."""


class EngineError(RuntimeError):
    """An engine cannot be relied on, so nothing that it drew may be learned from."""


class EngineDiedError(EngineError):
    """What generated is gone, with all that was in flight there; the text says why."""


class Engine(Protocol):
    """What the sampler needs of a generator."""

    context_length: int
    """Most ids of prompt and completion together; a prompt must leave room for `max_tokens`."""
    stats: EngineStats
    version: int
    """Of the weights that it samples with; 0: those that it was made with."""

    def submit(self, request: Request) -> None:
        """Queue a request.

        Raises:
            ValueError: the prompt and `max_tokens` together pass `context_length`, the prompt is
                empty, or the tag is already in flight.
        """

    def poll(self, timeout: float | None = None) -> list[Completion]:
        """Completions that finished since the last call; [] if none is in flight.

        Waits for one, `timeout` seconds at most where that is given; an engine that computes in
        this thread works at least one step, and ends the one that passes the time.

        Raises:
            EngineDiedError: it cannot go on; nothing that was in flight will come.
        """

    def sync(self, weights: Weights) -> None:
        """Sample with these from now on; nothing that older weights left is used again.

        Raises:
            ValueError: something is in flight, or the weights do not fit this engine.
            EngineDiedError: it cannot go on.
        """

    def abort(self) -> None:
        """Forget all that is in flight; its tags are free again, and it will not come.

        Never raises; an engine that has died has nothing in flight.
        """

    def close(self) -> None:
        """Free what it holds; twice is as once."""
