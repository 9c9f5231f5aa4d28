"""For environments of one's own: a wrapper that changes prompts, and a check of branching."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym

from murphy_env.prompts import as_text
from murphy_env.types import Message


class MessagesWrapper(gym.Wrapper[str, str, str, str]):
    r"""Changes the messages that the model reads, the observation and `info["messages"]` together.

    Args:
        env: an environment whose info has `messages`.
        change: takes the messages, gives the new ones.

    Example:
        A hint at the end of every prompt::

            def hint(messages):
                *rest, last = messages
                return [*rest, {**last, "content": last["content"] + "\nMind the empty list."}]

            env = MessagesWrapper(env, hint)
    """

    def __init__(
        self, env: gym.Env[str, str], change: Callable[[list[Message]], list[Message]]
    ) -> None:
        super().__init__(env)
        self._change = change

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """As the wrapped environment's, with the messages changed."""
        _, info = self.env.reset(seed=seed, options=options)
        return self._changed(info)

    def step(self, action: str) -> tuple[str, Any, bool, bool, dict[str, Any]]:
        """As the wrapped environment's, with the messages changed."""
        _, reward, terminated, truncated, info = self.env.step(action)
        observation, info = self._changed(info)
        return observation, reward, terminated, truncated, info

    def _changed(self, info: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        messages = self._change(info["messages"])
        return as_text(messages), {**info, "messages": messages}


def check_branching(
    env: gym.Env[str, str], completions: Sequence[str] | None = None, episodes: int = 4
) -> None:
    """Check that an environment continued from a snapshot behaves as one that was played there.

    Plays `episodes` episodes; before every step the same state is reached a second time through
    `reset(options={"snapshot": ...})`, and both must give the same observation, messages and, for
    the same completion, the same outcome. Run it on an environment of your own before training.

    Args:
        env: anything with this package's `info["snapshot"]` and reset option.
        completions: what to play, in turn; by default no code, a broken program, a wrong one and
            the reference where the task has one. A reward that is wrong in other cases only, for
            half-right programs say, is found only with completions that lead there.
        episodes: how many episodes, with seeds 0, 1, ...

    Raises:
        AssertionError: names the turn and what differed.
    """
    for seed in range(episodes):
        observation, info = env.reset(seed=seed)
        task_id = info["task_id"]
        played = completions or _defaults(env)
        # Each episode begins with another one, so that every completion is a first attempt once.
        played = [*played[seed % len(played) :], *played[: seed % len(played)]]
        for turn, completion in enumerate(_endless(played), 1):
            branched = env.reset(options={"snapshot": info["snapshot"]})
            _same("reset", task_id, turn, (observation, info), branched, only_state=True)
            first = env.step(completion)
            env.reset(options={"snapshot": info["snapshot"]})
            _same("step", task_id, turn, first, env.step(completion))
            observation, _, terminated, truncated, info = first
            if terminated or truncated:
                break


def _defaults(env: gym.Env[str, str]) -> list[str]:
    episode = getattr(env.unwrapped, "episode", None)
    name = (episode and episode.task.entry_point) or "solution"
    reference = episode and episode.task.reference
    return [
        "I have no program to offer.",
        f"<output>\ndef {name}(*args:\n</output>",
        f"<output>\ndef {name}(*args, **kwargs):\n    return None\n</output>",
        *([f"<output>\n{reference}\n</output>"] if reference else []),
    ]


def _endless(completions: Sequence[str]) -> Any:
    while True:
        yield from completions


def _same(
    what: str, task_id: str, turn: int, one: Any, other: Any, *, only_state: bool = False
) -> None:
    one, other = _named(one, only_state), _named(other, only_state)
    for name in sorted({*one, *other}):
        if one.get(name) != other.get(name):
            raise AssertionError(
                f"task {task_id!r}, turn {turn}, {what}: {name} is {str(other.get(name))[:200]!r} "
                f"after a snapshot and {str(one.get(name))[:200]!r} in the episode as played. "
                "An environment that branches must keep all of its state in info['snapshot'], and "
                "nothing random outside of it"
            )


def _named(outcome: Any, only_state: bool) -> dict[str, Any]:
    """Observation, reward and so on by name; after a reset only what a step gives as well."""
    observation, *rest, info = outcome
    if only_state:
        info = {name: info[name] for name in ("task_id", "messages", "snapshot")}
        rest = []
    names = ("reward", "terminated", "truncated")[: len(rest)]
    told = {f"info[{name!r}]": value for name, value in info.items()}
    return {"observation": observation, **dict(zip(names, rest, strict=True)), **told}
