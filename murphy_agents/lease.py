"""A pool of real environments, leased for one (reset, step) pair at a time, in threads.

The environments are whatever `make_env()` gives, wrappers included: messages, reward and the end of
an episode are read from the outermost one. Nothing here knows token ids or trees.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from types import TracebackType
from typing import Any, NamedTuple

import gymnasium as gym

from murphy_env.prompts import as_text
from murphy_env.types import InfrastructureError, Message

MakeEnv = Callable[[], "gym.Env[str, str]"]


class Position(NamedTuple):
    """A point in an episode: what the model reads there and how to come back to it."""

    messages: list[Message]
    snapshot: dict[str, Any]


class Outcome(NamedTuple):
    """What one completion led to."""

    reward: float | None
    """None: the sandbox broke and there is no verdict."""
    next: Position | None
    """Where the loop goes on; None where the episode ended, or broke."""
    info: dict[str, Any]


class EnvPool:
    """`size` environments and as many threads; a context manager."""

    def __init__(self, make_env: MakeEnv, size: int) -> None:
        self._free: SimpleQueue[gym.Env[str, str]] = SimpleQueue()
        self._envs = [make_env() for _ in range(size)]
        for env in self._envs:
            self._free.put(env)
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="murphy-env")
        self.task_ids: tuple[str, ...] = tuple(self._envs[0].get_wrapper_attr("task_ids"))
        """Ids of the tasks that `start` takes."""

    def start(self, task_id: str) -> Position:
        """The first position of a task."""
        env = self._free.get()
        try:
            return _position(*env.reset(options={"task_id": task_id}))
        finally:
            self._free.put(env)

    def judge(self, position: Position, completion: str) -> Future[Outcome]:
        """What `completion` leads to from there; computed in a thread."""
        return self._threads.submit(self._judge, position, completion)

    def close(self) -> None:
        """End the threads and close the environments."""
        self._threads.shutdown()
        for env in self._envs:
            env.close()

    def __enter__(self) -> EnvPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _judge(self, position: Position, completion: str) -> Outcome:
        env = self._free.get()
        try:
            env.reset(options={"snapshot": position.snapshot})
            observation, reward, terminated, truncated, info = env.step(completion)
        except InfrastructureError as error:
            return Outcome(None, None, {"infra_error": str(error)})
        finally:
            self._free.put(env)
        after = _position(observation, info)
        kept = {name: info[name] for name in info if name not in ("messages", "snapshot")}
        return Outcome(float(reward), None if terminated or truncated else after, kept)


def _position(observation: str, info: dict[str, Any]) -> Position:
    if as_text(info["messages"]) != observation:
        raise ValueError(
            f"the observation {observation[:60]!r}... is not the text of info['messages'], so it "
            "is unclear what the model should read; a wrapper that changes prompts must change "
            "both (murphy_env.MessagesWrapper does)"
        )
    return Position(info["messages"], info["snapshot"])
