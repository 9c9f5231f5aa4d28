"""Reads a run's `rollouts.jsonl`: the steps that are asked for, as far as the run has come."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from murphy_agents.run.folder import LOGS

Record = Mapping[str, Any]
ROLLOUTS = LOGS[1]
_STEP = re.compile(rb'\{"step": (\d+),')
"""How each line begins; lines of other steps are not parsed."""
_NEEDED = {
    "step", "problem", "task_id", "path", "prompt_ids", "completion_ids", "completion",
    "finish_reason", "code", "feedback", "reward", "credit", "advantage", "weight", "pruned",
}  # fmt: skip


def _are_integers(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, int) for each in value)


def _is_figure(value: Any) -> bool:
    return value is None or isinstance(value, int | float)


_SHAPES: Mapping[str, Callable[[Any], bool]] = {
    "step": lambda value: isinstance(value, int),
    "task_id": lambda value: isinstance(value, str),
    "path": lambda value: _are_integers(value) and len(value) > 0,
    "prompt_ids": _are_integers,
    "completion_ids": _are_integers,
    "reward": _is_figure,
    "credit": _is_figure,
    "advantage": _is_figure,
    "weight": _is_figure,
}


def steps_of(text: str) -> frozenset[int]:
    """The steps that `--steps` names.

    Example:
        >>> sorted(steps_of("1,5-7"))
        [1, 5, 6, 7]

    Raises:
        ValueError: the text is no list of steps and ranges.
    """
    steps: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not 1 <= first <= last or last - first > 10**6:
            raise ValueError(f"--steps has {part!r}; give steps from 1 on and ranges, as 1,2,5-9")
        steps |= set(range(first, last + 1))
    return frozenset(steps)


def rollouts_of(run: Path) -> Path:
    """Where a run's rollouts lie.

    Raises:
        FileNotFoundError: the folder holds none; names the runs below it, or what is expected.
    """
    path = run / ROLLOUTS
    if path.is_file():
        return path
    if not run.is_dir():
        raise FileNotFoundError(f"there is no folder {str(run)!r}; give the output_dir of a run")
    below = sorted(str(found.parent) for found in run.rglob(ROLLOUTS))
    if below:
        more = f" and {len(below) - 3} more" if len(below) > 3 else ""
        raise FileNotFoundError(
            f"{str(run)!r} holds several runs; give one of them: {', '.join(below[:3])}{more}"
        )
    raise FileNotFoundError(
        f"{str(run)!r} holds no {ROLLOUTS}; give the output_dir of `murphy train`, which writes "
        "one line per attempt there, with its credit and advantage (an evaluation has none)"
    )


def records(path: Path, steps: Collection[int] | None = None) -> Iterator[Record]:
    """The nodes of a run, parents before their refinements.

    A last line that is not whole ends them: the run goes on, or was killed.

    Args:
        path: of `rollouts.jsonl`.
        steps: to read; None: all.

    Raises:
        ValueError: a line that is no node, or not one of the steps is there.
    """
    there: set[int] = set()
    num_read = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                break
            found = _STEP.match(line)
            if found:
                there.add(int(found[1]))
            if found and steps is not None and int(found[1]) not in steps:
                continue
            num_read += 1
            yield _record(path, number, line)
    if num_read:
        return
    if steps is not None and there:
        raise ValueError(f"--steps names none that {path} has: {min(there)} to {max(there)}")
    raise ValueError(f"{path} has no whole line yet; wait for the first step of the run")


def _record(path: Path, number: int, line: bytes) -> Record:
    told: Any = None
    with contextlib.suppress(ValueError):
        told = json.loads(line)
    missing = _NEEDED - told.keys() if isinstance(told, dict) else _NEEDED
    wrong = sorted(missing) or [name for name, holds in _SHAPES.items() if not holds(told[name])]
    if wrong:
        raise ValueError(
            f"line {number} of {path} is no node of a rollout: {line[:60]!r} "
            f"{'lacks' if missing else 'has something else for'} {', '.join(wrong)}; restore the "
            "file, or leave its step out by --steps"
        )
    return told  # type: ignore[no-any-return]  # a dict with the names that are needed
