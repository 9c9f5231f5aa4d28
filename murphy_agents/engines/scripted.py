"""An engine that plays back texts: for tests, tutorials and sanity runs without a model."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

from murphy_agents.codec import Codec
from murphy_agents.engines.intake import check_request, refuse_in_flight
from murphy_agents.engines.protocol import (
    Completion,
    EngineStats,
    FinishReason,
    Request,
    Weights,
)
from murphy_env.types import Task

Script = Callable[[Request], Sequence[str]] | Mapping[str, str | Sequence[str]]
"""A function giving one text per seed of the request; or, by task id, the text of every turn (a
list) or one text for all of them (a string)."""


class ScriptedEngine:
    """Completions from a script; every log-prob is 0, for nothing was drawn.

    Args:
        script: what to say.
        codec: turns the texts into ids; its end-of-turn token is added.
        context_length: as in `Engine`.
        shuffle_seed: finish in an order shuffled by it instead of the order of submission.
        per_poll: completions that one `poll` returns at most; None: all.

    Example:
        >>> from murphy_agents.codec import CharCodec
        >>> from murphy_agents.engines.protocol import SamplingParams
        >>> engine = ScriptedEngine({"greet": "Hello"}, CharCodec())
        >>> engine.submit(Request((7,), (0, 1), SamplingParams(max_tokens=9), "a", "greet"))
        >>> [(c.index, c.text, c.finish_reason, len(c.ids)) for c in engine.poll()]
        [(0, 'Hello', 'stop', 6), (1, 'Hello', 'stop', 6)]
    """

    def __init__(
        self,
        script: Script,
        codec: Codec,
        context_length: int = 1 << 20,
        shuffle_seed: int | None = None,
        per_poll: int | None = None,
    ) -> None:
        if per_poll is not None and per_poll < 1:
            raise ValueError(f"per_poll is {per_poll}; give at least 1, or None for all")
        self.context_length = context_length
        self.stats = EngineStats()
        self.version = 0
        self._script = script
        self._codec = codec
        self._per_poll = per_poll
        self._order = None if shuffle_seed is None else random.Random(shuffle_seed)
        self._waiting: list[Completion] = []
        self._tags: dict[Hashable, int] = {}

    def submit(self, request: Request) -> None:
        """Queue a request; raises ValueError for one that no engine could serve."""
        check_request(request, self.context_length, self._tags)
        texts = self._texts(request)
        if len(texts) != len(request.seeds):
            raise ValueError(
                f"the script gave {len(texts)} texts for the {len(request.seeds)} seeds of request "
                f"{request.tag!r}; give one for each"
            )
        self._tags[request.tag] = len(texts)
        self.stats.prompt_tokens += len(texts) * len(request.prompt_ids)
        self._waiting += [self._completion(request, i, text) for i, text in enumerate(texts)]

    def poll(self, timeout: float | None = None) -> list[Completion]:
        """The next completions, at once; [] if none is in flight."""
        if self._order is not None:
            self._order.shuffle(self._waiting)
        count = self._per_poll or len(self._waiting)
        finished, self._waiting = self._waiting[:count], self._waiting[count:]
        for completion in finished:
            self.stats.generated_tokens += len(completion.ids)
            self._tags[completion.tag] -= 1
            if not self._tags[completion.tag]:
                del self._tags[completion.tag]
        return finished

    def sync(self, weights: Weights) -> None:
        """Take note of the version; a script has no weights."""
        refuse_in_flight(self._tags)
        self.version = weights.version

    def abort(self) -> None:
        """Forget all that is in flight."""
        self._waiting.clear()
        self._tags.clear()

    def close(self) -> None:
        """Nothing is held."""

    def _texts(self, request: Request) -> Sequence[str]:
        if callable(self._script):
            return self._script(request)
        if request.task_id not in self._script:
            raise ValueError(
                f"the script has nothing for task {request.task_id!r}; it knows "
                f"{sorted(self._script)[:5]} and {max(0, len(self._script) - 5)} more"
            )
        said = self._script[request.task_id]
        turns = [said] * request.turn if isinstance(said, str) else said
        if request.turn > len(turns):
            raise ValueError(
                f"the script of task {request.task_id!r} has {len(turns)} turns and turn "
                f"{request.turn} is wanted; add texts, or give one string for all turns"
            )
        return [turns[request.turn - 1]] * len(request.seeds)

    def _completion(self, request: Request, index: int, text: str) -> Completion:
        ends = [text.find(stop) + len(stop) for stop in request.params.stop if stop in text]
        end = () if ends else (self._codec.end_of_turn,)
        ids = (*self._codec.encode_text(text[: min(ends)] if ends else text), *end)
        reason: FinishReason = "stop"
        if len(ids) > request.params.max_tokens:
            ids, reason = ids[: request.params.max_tokens], "length"
        zeros = (0.0,) * len(ids)
        return Completion(request.tag, index, ids, zeros, self._codec.decode(ids), reason)


def reference_script(tasks: Iterable[Task]) -> dict[str, str]:
    """The script that solves every task: its reference program, as an `<output>` answer.

    Raises:
        ValueError: a task has no reference program.
    """
    tasks = list(tasks)
    if missing := [task.task_id for task in tasks if task.reference is None]:
        raise ValueError(
            f"no reference program is known for {len(missing)} of {len(tasks)} tasks, the first "
            f"{missing[:5]}; leave them out or write their texts into the script by hand"
        )
    return {task.task_id: f"<output>\n{task.reference}\n</output>" for task in tasks}
