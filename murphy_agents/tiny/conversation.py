"""A conversation: what a teacher wrote in the real environment, and what was said to it.

As the environment is the real one, a pupil reads what it will read in training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from murphy_env import CodeFeedbackEnv, Task
from murphy_env.types import Message

MAX_TURNS = 3


@dataclass(frozen=True)
class Turn:
    """One answer of the teacher."""

    messages: tuple[Message, ...]
    completion: str
    right: bool
    """Whether it passed every visible test."""


Conversation = tuple[Turn, ...]
OnFound = Callable[[int], None]
"""Called with the number of conversations so far."""


def played(
    env: CodeFeedbackEnv, task: Task, first: str, then: Callable[[str], str]
) -> Conversation:
    """One run of the loop at a task of the environment.

    Args:
        env: with as many turns as a conversation may have.
        task: one of its tasks.
        first: the first answer.
        then: the next answer from the feedback; asked after the last one too.
    """
    _, info = env.reset(options={"task_id": task.task_id})
    turns: list[Turn] = []
    completion, ended = first, False
    while not ended:
        messages = tuple(info["messages"])
        _, _, solved, truncated, info = env.step(completion)
        turns.append(Turn(messages, completion, solved))
        ended = solved or truncated
        completion = then(info["feedback"])
    return tuple(turns)


def far(seed: int) -> int:
    """A seed of tasks that no training run draws by counting up from 0."""
    return 1_000_000 + 10 * seed
