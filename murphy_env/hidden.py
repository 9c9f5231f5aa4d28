"""Withholds a share of a task's tests from feedback, so that printing what was shown is no use.

Tests that share one source do so no longer: a visible one loses the functions of the hidden ones.
What stands outside of all tests (helpers, tables of values) counts as visible.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib

from murphy_env.types import Task, UnitTest

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def withhold(task: Task, share: float) -> Task:
    """The task with that share of its visible, scored tests made invisible, out of sight of others.

    Which ones depends on the tests alone, so every environment withholds the same. At least one
    test stays visible, so a task with a single test keeps it.
    """
    return _apart(_hide(task, share))


def _hide(task: Task, share: float) -> Task:
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


def _apart(task: Task) -> Task:
    """The task, its visible tests without the source of hidden ones."""
    shown = {(test.source, test.name) for test in task.tests if test.visible}
    hidden: dict[str, set[str]] = {}
    for test in task.tests:
        if test.name and (test.source, test.name) not in shown:
            hidden.setdefault(test.source, set()).add(test.name)

    def alone(test: UnitTest) -> UnitTest:
        names = hidden.get(test.source)
        if not (test.visible and names):
            return test
        return dataclasses.replace(test, source=_without(test.source, names))

    tests = tuple(map(alone, task.tests))
    return task if tests == task.tests else dataclasses.replace(task, tests=tests)


def _without(source: str, names: set[str]) -> str:
    """The source of tests without some functions, or methods as `Class.method`, or comments."""
    tree = ast.parse(source)
    tree.body = [n for n in tree.body if not (isinstance(n, _FUNCTIONS) and n.name in names)]
    for case in tree.body:
        if isinstance(case, ast.ClassDef):
            case.body = [
                n
                for n in case.body
                if not (isinstance(n, _FUNCTIONS) and f"{case.name}.{n.name}" in names)
            ] or [ast.Pass()]
    return ast.unparse(tree)
