"""A weak teacher of the embedded tasks: conversations in which it fails first and may repair.

It guesses the open details, misreads a word at times, and when a test fails it hands in either the
same program again or, knowing the answer, the right one: traces of mixed quality.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

from murphy_agents.tiny.conversation import MAX_TURNS, Conversation, OnFound, Turn, far, played
from murphy_env import CodeFeedbackEnv, Task, sources
from murphy_env.sources.embedded import docstrings
from murphy_env.sources.family import Variant, variants

MISREAD = 0.15
"""Share of first attempts that read one word of the docstring as another."""
REPEAT = 0.6
"""Share of repairs that hand in the same program again; the others are right."""


def conversations(
    seed: int,
    count: int,
    sandbox: Mapping[str, Any],
    on_found: OnFound = lambda number: None,
) -> list[Conversation]:
    """Distinct conversations on training docstrings whose first attempt fails.

    Every other task withholds half of its tests, so that the pupil meets both numbers of them.

    Args:
        seed: of the tasks and of the teacher.
        count: how many; docstrings without an open detail and well read give none.
        sandbox: settings of the sandbox that the programs run in.
        on_found: called with the number of conversations so far.
    """
    rng = random.Random(f"teacher {seed}")
    tasks = [
        *sources.embedded("train", seed=far(seed), num_tasks=count, hidden=False),
        *sources.embedded("train", seed=far(seed) + 1, num_tasks=count, hidden=True),
    ]
    found: list[Conversation] = []
    with CodeFeedbackEnv(
        tasks=tasks, max_turns=MAX_TURNS, prompts="terse", transcript="chat", sandbox=dict(sandbox)
    ) as env:
        while len(found) < count:
            conversation = _played(env, rng.choice(tasks), rng)
            if not conversation[0].right and conversation not in found:
                found.append(conversation)
                on_found(len(found))
    return found


def first_answers(seed: int, count: int) -> list[Conversation]:
    """Right first attempts; details are as likely as the tasks have them."""
    tasks = sources.embedded("train", seed=far(seed) + 2, num_tasks=count)
    return [
        (Turn(({"role": "user", "content": task.prompt},), completion_of(_meant(task)), True),)
        for task in tasks
    ]


def completion_of(variant: Variant) -> str:
    """An answer: the settled details as its thought, then the program.

    Example:
        >>> print(completion_of(variants("even, double, sort")[0]))
        <think>up</think><output>def f(xs,n):
         return sorted([x*2 for x in xs if x%2==0])</output>
    """
    return f"<think>{','.join(variant.details)}</think><output>{variant.code}</output>"


def _played(env: CodeFeedbackEnv, task: Task, rng: random.Random) -> Conversation:
    right, last = completion_of(_meant(task)), completion_of(_guess(task, rng))

    def then(feedback: str) -> str:
        nonlocal last
        last = last if rng.random() < REPEAT else right
        return last

    return played(env, task, last, then)


def _guess(task: Task, rng: random.Random) -> Variant:
    """A reading with every open detail guessed, all guesses being equally likely."""
    docstring = task.metadata["docstring"]
    if rng.random() < MISREAD:
        docstring = rng.choice(list(_misreadings(docstring)))
    return rng.choice(variants(docstring))


def _misreadings(docstring: str) -> Iterator[str]:
    """Training docstrings that differ in one of the three words; no other split is ever taught."""
    words = docstring.split(", ")
    for other in docstrings("train"):
        if sum(a != b for a, b in zip(words, other.split(", "), strict=True)) == 1:
            yield other


def _meant(task: Task) -> Variant:
    docstring, details = task.metadata["docstring"], list(task.metadata["details"])
    (meant,) = [v for v in variants(docstring) if list(v.details) == details]
    return meant
