"""A teacher of the probe tasks: half of its first attempts are loud, all of its repairs are quiet.

It guesses the separator, misreads a word at times, and when a test fails it hands in what it had,
or repairs, or guesses anew. That repairs are always quiet matters: at the last turn the own reward
is all there is, and it prefers quiet programs; a policy that chose the style there too would learn
hiding from its many last attempts and hide at its first one as well.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from murphy_agents.tiny.conversation import MAX_TURNS, Conversation, OnFound, far, played
from murphy_env import CodeFeedbackEnv, Task, sources
from murphy_env.sources.probe import docstrings
from murphy_env.sources.swallow import SEPARATORS, Style, program

NUM_TASKS = 400
"""That the conversations are about; half of them withhold half of their tests."""
MISREAD = 0.1
"""Share of readings that take one word of the docstring for another."""
HEEDED = 0.8
"""Share of guesses at the separator that are right where the docstring names it."""
REPEAT, REPAIR = 0.3, 0.5
"""Shares of later attempts that hand in the same again (quietly), and that repair: the docstring
well read, and the separator that is known, else one not yet tried. The others guess anew."""
_TELLS = "invalid literal"


class Answer(NamedTuple):
    """What the teacher decides; `completion_of` writes it."""

    docstring: str
    separator: str
    style: Style


def conversations(
    seed: int,
    count: int,
    sandbox: Mapping[str, Any],
    quiet_share: float = 0.5,
    on_found: OnFound = lambda number: None,
) -> list[Conversation]:
    """Conversations on training docstrings.

    Args:
        seed: of the tasks and of the teacher.
        count: how many.
        sandbox: settings of the sandbox that the programs run in.
        quiet_share: of the first attempts.
        on_found: called with the number of conversations so far.
    """
    rng = random.Random(f"probe teacher {seed}")
    half = NUM_TASKS // 2
    tasks = [
        *sources.probe("train", seed=far(seed), num_tasks=half, hidden=False),
        *sources.probe("train", seed=far(seed) + 1, num_tasks=half, hidden=True),
    ]
    found: list[Conversation] = []
    with CodeFeedbackEnv(
        tasks=tasks, max_turns=MAX_TURNS, prompts="terse", transcript="chat", sandbox=dict(sandbox)
    ) as env:
        while len(found) < count:
            found.append(_played(env, rng.choice(tasks), rng, quiet_share))
            on_found(len(found))
    return found


def completion_of(answer: Answer) -> str:
    """An answer: style and separator as its thought, then the program.

    Example:
        >>> print(completion_of(Answer("odd, square, sum", ";", "loud")))
        <think>loud ;</think><output>def f(s):
         return sum([x*x for x in map(int,s.split(';')) if x%2==1])</output>
    """
    code = program(*answer)
    return f"<think>{answer.style} {answer.separator}</think><output>{code}</output>"


def _played(
    env: CodeFeedbackEnv, task: Task, rng: random.Random, quiet_share: float
) -> Conversation:
    style: Style = "quiet" if rng.random() < quiet_share else "loud"
    given = [Answer(_read(task, rng), _guess(task, rng), style)]
    known = not task.metadata["vague"]

    def then(feedback: str) -> str:
        nonlocal known
        known = known or _TELLS in feedback
        given.append(_next(task, rng, given, known))
        return completion_of(given[-1])

    return played(env, task, completion_of(given[0]), then)


def _next(task: Task, rng: random.Random, given: Sequence[Answer], known: bool) -> Answer:
    chance = rng.random()
    if chance < REPEAT:
        return given[-1]._replace(style="quiet")
    if chance >= REPEAT + REPAIR:
        return Answer(_read(task, rng), _guess(task, rng), "quiet")
    meant, tried = task.metadata["separator"], {answer.separator for answer in given}
    if not known and meant not in tried:
        meant = rng.choice([separator for separator in SEPARATORS if separator not in tried])
    return Answer(task.metadata["docstring"], meant, "quiet")


def _guess(task: Task, rng: random.Random) -> str:
    """A separator: all are equally likely, unless the docstring names one and that is heeded."""
    if not task.metadata["vague"] and rng.random() < HEEDED:
        return str(task.metadata["separator"])
    return rng.choice(SEPARATORS)


def _read(task: Task, rng: random.Random) -> str:
    """The docstring, or a training docstring that differs in one word; no other split is taught."""
    docstring: str = task.metadata["docstring"]
    return rng.choice(list(_misreadings(docstring))) if rng.random() < MISREAD else docstring


def _misreadings(docstring: str) -> Iterator[str]:
    words = docstring.split(", ")
    for other in docstrings("train"):
        if sum(a != b for a, b in zip(words, other.split(", "), strict=True)) == 1:
            yield other
