"""What is sent into the sandbox for a program and its task: everything but the expected values."""

from __future__ import annotations

import dataclasses
from typing import Any

from murphy_env.sandbox.apart import asks_a_judge
from murphy_env.sandbox.split import binds, split_of
from murphy_env.types import Task, UnitTest

LEAST_MEMORY_BYTES = 64 << 20


def make_request(task: Task, code: str) -> dict[str, Any]:
    """The request as `inside.program` reads it.

    Raises:
        ValueError: a test's source is no Python, or the memory limit is too small to start in.
    """
    if task.limits.memory_bytes < LEAST_MEMORY_BYTES:
        raise ValueError(
            f"task {task.task_id!r} has Limits(memory_bytes={task.limits.memory_bytes}); the "
            f"interpreter itself takes a part of it, so give at least {LEAST_MEMORY_BYTES}"
        )
    return {
        "prelude": task.prelude,
        "code": code,
        "setup": task.setup,
        "entry_point": task.entry_point,
        "limits": dataclasses.asdict(task.limits),
        "tests": [{**_sent(task, test), "hidden": not test.visible} for test in task.tests],
    }


def is_strong(task: Task, test: UnitTest) -> bool:
    """Whether what a test expects stays out of the program's process, so that no pass is forged."""
    if test.kind == "stdio" or split_of(task, test) is not None:
        return True
    around = (task.prelude, task.setup)
    return not test.one_process and not asks_a_judge(test.source, around, task.entry_point)


def _sent(task: Task, test: UnitTest) -> dict[str, Any]:
    if test.kind == "stdio":
        # Room for any output that could still be right, rounded so as not to tell its length.
        room = 2 << len((test.stdout or "").encode()).bit_length()
        room = max(room, task.limits.stdout_bytes)
        return {"kind": "stdio", "stdin": test.stdin or "", "stdout_bytes": room}
    try:
        halves = split_of(task, test)
        bound = {"binds": binds(test.source)}
        if halves is not None:
            sent = {"setup": halves.setup, "expression": halves.expression}
            return {"kind": "value", **sent, **bound}
    except ValueError as error:
        raise ValueError(f"task {task.task_id!r}: {error}") from error
    whole = {"kind": test.kind, "source": test.source, "name": test.name, **bound}
    return {**whole, "apart": not test.one_process}
