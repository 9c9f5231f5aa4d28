"""What a run was told: written beside its results, and compared when it is resumed."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from pathlib import Path
from typing import Any

from murphy_agents.algorithms import Algorithm
from murphy_agents.config import TrainConfig
from murphy_agents.files import write_atomically

_CONFIG, _ALGORITHM = "config.json", "algorithm.txt"
_MAY_CHANGE = {
    "output_dir", "overwrite_output_dir", "resume", "report_to", "save_steps", "save_total_limit",
    "sandbox_workers",
    "eval_tasks", "eval_iterations", "eval_runs", "eval_temperature", "eval_top_p",
}  # fmt: skip
"""Settings that change nothing of what is learned."""


def write(folder: Path, config: TrainConfig, algorithm: Algorithm) -> None:
    """Write settings and algorithm into a run's folder."""
    write_atomically(folder / _ALGORITHM, describe(algorithm) + "\n")
    write_atomically(folder / _CONFIG, json.dumps(dataclasses.asdict(config), indent=2))


def check_same(folder: Path, config: TrainConfig, algorithm: Algorithm) -> None:
    """Check that a run's folder holds the very run that these settings describe.

    The number of steps must be the same too, as the learning rate depends on it. What the model's
    and the tasks' names stand for is not compared: keep them as they were.

    Raises:
        ValueError: a setting differs, or what the run was told cannot be read.
    """
    try:
        old = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        described = (folder / _ALGORITHM).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ValueError(
            f"output_dir {str(folder)!r} holds a run whose settings cannot be read ({error}), so "
            "it cannot be resumed; choose another folder, or set overwrite_output_dir"
        ) from error
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    new = dataclasses.asdict(config)
    for name in sorted((old.keys() | new.keys()) - _MAY_CHANGE):
        before, now = (told.get(name, defaults.get(name)) for told in (old, new))
        if before != now:
            raise ValueError(
                f"{name} is {now!r}, but {before!r} in the run that {str(folder)!r} holds; resume "
                "it with the same settings, or train into another folder"
            )
    if described.strip() != describe(algorithm):
        raise ValueError(
            f"the algorithm is not the one of the run that {str(folder)!r} holds: "
            f"{_first_difference(described, describe(algorithm))}; resume it with the same one"
        )


def describe(algorithm: Algorithm) -> str:
    """An algorithm's parts by name, with what their makers were given."""
    return "\n".join(
        f"{field.name}: {_named(getattr(algorithm, field.name))}"
        for field in dataclasses.fields(algorithm)
    )


def _named(part: Any) -> str:
    if not callable(part):
        return str(part)
    given = inspect.getclosurevars(part).nonlocals if inspect.isfunction(part) else {}
    told = {name: value for name, value in given.items() if not callable(value)}
    # Where an object lies in memory says nothing of what it is.
    values = re.sub(r" at 0x[0-9a-f]+", "", str(told or ""))
    return f"{part.__module__}.{part.__qualname__} {values}".rstrip()


def _first_difference(before: str, now: str) -> str:
    pairs = zip(before.strip().splitlines(), now.splitlines(), strict=False)
    return next((f"{b!r} became {n!r}" for b, n in pairs if b != n), "it has other parts")
