"""Withholds a share of a task's tests from feedback, so that printing what was shown is no use."""

from __future__ import annotations

import dataclasses
import hashlib

from murphy_env.types import Task


def withhold(task: Task, share: float) -> Task:
    """The task with that share of its visible, scored tests made invisible.

    Which ones depends on the tests alone, so every environment withholds the same. At least one
    test stays visible, so a task with a single test keeps it.
    """
    visible = [i for i, test in enumerate(task.tests) if test.visible]
    scored = [i for i in visible if task.tests[i].scored]
    count = min(round(share * len(visible)), len(scored), len(visible) - 1)
    if count <= 0:
        return task
    salted = {i: hashlib.sha256(f"{i} {task.tests[i]}".encode()).hexdigest() for i in scored}
    hidden = set(sorted(scored, key=salted.__getitem__)[:count])
    tests = tuple(
        dataclasses.replace(test, visible=False) if i in hidden else test
        for i, test in enumerate(task.tests)
    )
    return dataclasses.replace(task, tests=tests)
