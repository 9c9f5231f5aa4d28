"""What a run was told: written beside its results, and compared when it is resumed."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from murphy_agents.algorithms import Algorithm
from murphy_agents.config import TrainConfig
from murphy_agents.files import write_atomically
from murphy_env.sources import MADE

_CONFIG, _ALGORITHM, _MODEL = "config.json", "algorithm.txt", "model.txt"
_MAY_CHANGE = {
    "output_dir", "overwrite_output_dir", "resume", "dry_run", "card_gb", "report_to",
    "save_steps", "save_total_limit", "keep_steps", "sandbox_workers",
    "vllm_gpu_memory_utilization",
    "vllm_server_base_url", "vllm_server_devices", "vllm_sync_folder", "sync_tolerance",
    "eval_tasks", "eval_iterations", "eval_runs", "eval_temperature", "eval_top_p",
}  # fmt: skip
"""Settings that change nothing of what is learned."""


def write(folder: Path, config: TrainConfig, algorithm: Algorithm) -> None:
    """Write settings and algorithm into a run's folder."""
    write_atomically(folder / _ALGORITHM, describe(algorithm) + "\n")
    write_atomically(folder / _MODEL, _digest_of(config.model) + "\n")
    write_atomically(folder / _CONFIG, json.dumps(dataclasses.asdict(config), indent=2))


def keep_model(folder: Path, model: str) -> None:
    """Write down which model a name stands for, or check that it is the one written down.

    Raises:
        ValueError: it is another one, see `check_same_model`.
    """
    if (folder / _MODEL).exists():
        check_same_model(folder, model)
    else:
        write_atomically(folder / _MODEL, _digest_of(model) + "\n")


def settings_bytes(folder: Path) -> bytes:
    """The settings in a run's folder as they were written."""
    return (folder / _CONFIG).read_bytes()


def check_same(folder: Path, config: TrainConfig, algorithm: Algorithm) -> None:
    """Check that a run's folder holds the very run that these settings describe.

    The number of steps must be the same too, as the learning rate depends on it. What the tasks'
    name and the path of a model stand for is not compared: keep them as they were.

    Raises:
        ValueError: a setting differs, or what the run was told cannot be read.
    """
    old, described = _told(folder)
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    new = dataclasses.asdict(config)
    for name in sorted((old.keys() | new.keys()) - _MAY_CHANGE):
        before, now = (told.get(name, defaults.get(name)) for told in (old, new))
        if before != now:
            raise ValueError(
                f"{name} is {now!r}, but {before!r} in the run that {str(folder)!r} holds; resume "
                "it with the same settings, or train into another folder"
            )
    check_same_model(folder, config.model)
    if described.strip() != describe(algorithm):
        raise ValueError(
            f"the algorithm is not the one of the run that {str(folder)!r} holds: "
            f"{_first_difference(described, describe(algorithm))}; resume it with the same one"
        )


def check_same_model(folder: Path, model: str) -> None:
    """Check that a model that is made by its name is still made of the same.

    Raises:
        ValueError: it is not.
    """
    path, now = folder / _MODEL, _digest_of(model)
    if now and not path.exists():
        raise ValueError(
            f"{str(folder)!r} does not tell which {model!r} it was made with, as it is of an older "
            "version of murphy; go on with that one, or use another folder"
        )
    before = path.read_text(encoding="utf-8").strip() if path.exists() else ""
    if before != now:
        raise ValueError(
            f"model {model!r} is not the one that the run in {str(folder)!r} began with: "
            "murphy, or a library that the model is made with, has another version by now; use "
            "the old ones, or another folder"
        )


def _digest_of(model: str) -> str:
    """Of a model that is made by its name; empty of others."""
    if model.partition(":")[0] not in MADE:
        return ""
    from murphy_agents.tiny import warm_start

    return warm_start.digest_of(model)


def _told(folder: Path) -> tuple[dict[str, Any], str]:
    """What `write` wrote."""
    try:
        told = dict(json.loads((folder / _CONFIG).read_text(encoding="utf-8")))
        return told, (folder / _ALGORITHM).read_text(encoding="utf-8")
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(
            f"output_dir {str(folder)!r} holds a run whose settings cannot be read ({error}), so "
            "it cannot be resumed; choose another folder, or set overwrite_output_dir"
        ) from error


def describe(algorithm: Algorithm) -> str:
    """An algorithm's parts by name, with what their makers were given."""
    return "\n".join(
        f"{field.name}: {_named(getattr(algorithm, field.name))}"
        for field in dataclasses.fields(algorithm)
    )


def _named(part: Any) -> str:
    """A function by its name and what it was made with; an object by its class and attributes."""
    if not callable(part):
        return _plain(part)
    given: Mapping[str, Any] = getattr(part, "__dict__", {})
    if isinstance(part, functools.partial):
        part, given = part.func, {"args": part.args, **part.keywords}
    elif inspect.isfunction(part):
        given = inspect.getclosurevars(part).nonlocals
    told = ", ".join(f"{name}={_plain(given[name])}" for name in sorted(given))
    return f"{_plain(part)} ({told})" if told else _plain(part)


def _plain(value: Any) -> str:
    """The same in every process: no address in memory, no order of hashes."""
    if callable(value):
        known = value if hasattr(value, "__qualname__") else type(value)
        return f"{known.__module__}.{known.__qualname__}"
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(map(_plain, value)))}}}"
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value) if isinstance(value, str) else str(value))


def _first_difference(before: str, now: str) -> str:
    pairs = zip(before.strip().splitlines(), now.splitlines(), strict=False)
    return next((f"{b!r} became {n!r}" for b, n in pairs if b != n), "it has other parts")
