"""Folders that a run writes: claimed once, and filled so that a half-written one is never seen."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import inspect
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from murphy_agents.algorithms import Algorithm
from murphy_agents.config import TrainConfig


def refuse_used(config: TrainConfig) -> None:
    """Refuse a folder whose models or logs the run would replace, unless it is told to.

    Raises:
        FileExistsError: the folder holds a run, or part of one.
        ValueError: the model to train lies in what would be replaced.
    """
    folder = Path(config.output_dir)
    if not config.output_dir or (folder.exists() and not folder.is_dir()):
        raise ValueError(f"output_dir is {config.output_dir!r}; give a folder, new or there")
    old = _old(folder)
    if old and not config.overwrite_output_dir:
        raise FileExistsError(
            f"output_dir {config.output_dir!r} holds {old[0].name} of an earlier run; choose "
            "another folder, or set overwrite_output_dir to replace it"
        )
    model = Path(config.model).resolve()
    if any(path.resolve() in (model, *model.parents) for path in old):
        raise ValueError(
            f"model {config.model!r} lies in output_dir {config.output_dir!r} and would be "
            "deleted; write into another folder"
        )


@contextlib.contextmanager
def claimed(config: TrainConfig, algorithm: Algorithm) -> Iterator[Path]:
    """The run's folder, this run's alone within the context: emptied of an earlier run's files.

    Call `refuse_used` first, and again nothing is lost: it is asked once more under the lock.

    Raises:
        FileExistsError: another run is writing into it.
    """
    folder = Path(config.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "run.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FileExistsError(
                f"another run is writing into output_dir {config.output_dir!r}; choose another"
            ) from error
        refuse_used(config)
        for path in _old(folder):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        write_atomically(folder / "algorithm.txt", describe(algorithm) + "\n")
        write_atomically(folder / "config.json", json.dumps(dataclasses.asdict(config), indent=2))
        yield folder


def save(folder: Path, fill: Callable[[Path], None], state: dict[str, Any]) -> None:
    """Write a checkpoint in Hugging Face layout; it appears under its name only when whole.

    Args:
        folder: the checkpoint's.
        fill: writes model, tokenizer and whatever else belongs to it into a folder.
        state: goes into `trainer_state.json`.
    """
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    fill(unfinished)
    write_atomically(unfinished / "trainer_state.json", json.dumps(state, indent=2))
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(unfinished, folder)


def write_atomically(path: Path, text: str) -> None:
    """Write a file that is seen whole or not at all."""
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)


def _old(folder: Path) -> list[Path]:
    """What an earlier run left there and a new one would write."""
    names = ("metrics.jsonl", "rollouts.jsonl", "final")
    left = [folder / name for name in names] + sorted(folder.glob("checkpoint-*"))
    # Empty logs are those of a run that ended before its first step.
    return [path for path in left if path.is_dir() or (path.exists() and path.stat().st_size)]


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
    return f"{part.__module__}.{part.__qualname__} {told or ''}".rstrip()
