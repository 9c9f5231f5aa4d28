"""Checkpoints: folders in Hugging Face layout that know how far their run had come.

A checkpoint is seen whole or not at all (`files`), and lists its own files with their sizes, so
that a copy which was cut short is told from a whole one. Its card is not among them: it is written
anew when its model has been evaluated.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from murphy_agents import files

STATE, CARD = "trainer_state.json", "README.md"


@dataclass(frozen=True)
class State:
    """How far a run had come when a checkpoint was written: its `trainer_state.json`."""

    step: int = 0
    num_steps: int = 0
    tasks: str = ""
    """Digest of the tasks' ids, whose order the order of the problems hangs on."""
    log_bytes: Mapping[str, int] = field(default_factory=dict)
    """How long each log was."""
    files: Mapping[str, int] = field(default_factory=dict)
    """The other files of the checkpoint, but for its card, and their sizes."""


def write(folder: Path, fill: Callable[[Path], None], state: State) -> None:
    """Write a checkpoint; it appears under its name only when whole.

    Args:
        folder: the checkpoint's.
        fill: writes model, optimizer and the like to the folder that it is given.
        state: `files` is filled in.
    """

    def whole(unfinished: Path) -> None:
        fill(unfinished)
        sizes = {name: size for name, size in files.sizes(unfinished).items() if name != CARD}
        told = dataclasses.replace(state, files=sizes)
        (unfinished / STATE).write_text(json.dumps(dataclasses.asdict(told), indent=2))

    files.fill_atomically(folder, whole)


def read_state(checkpoint: Path) -> State:
    """The state that a whole checkpoint was written in.

    Raises:
        ValueError: it is not whole; names what is missing.
    """
    try:
        state = State(**json.loads((checkpoint / STATE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{checkpoint} has no {STATE} that can be read ({error})") from error
    found = files.sizes(checkpoint)
    for name, size in state.files.items():
        if found.get(name) != size and name != CARD:
            raise ValueError(f"{checkpoint} is not whole: {name} is missing or was changed")
    return state


def numbered(folder: Path) -> list[Path]:
    """The folders `checkpoint-N` of a run, the newest first."""
    found = [path for path in folder.glob("checkpoint-*") if number(path)]
    return sorted(found, key=number, reverse=True)


def number(checkpoint: Path) -> int:
    """N of `checkpoint-N`; 0 for any other name."""
    match = re.fullmatch(r"checkpoint-(\d+)", checkpoint.name)
    return int(match[1]) if match else 0


def newest(folder: Path) -> tuple[Path | None, State, tuple[str, ...]]:
    """The newest whole checkpoint of a run, its state, and what is wrong with newer ones.

    Raises:
        ValueError: there are checkpoints, and none is whole.
    """
    faults: list[str] = []
    for path in numbered(folder):
        try:
            return path, read_state(path), tuple(faults)
        except ValueError as error:
            faults.append(str(error))
    if faults:
        raise ValueError(
            f"no checkpoint in {folder} is whole ({'; '.join(faults)}); restore one from a copy, "
            "or set overwrite_output_dir in place of resume to begin anew"
        )
    return None, State(), ()
