"""Folders that a run writes: claimed once, and filled so that a half-written one is never seen."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from murphy_agents.config import TrainConfig


def refuse_used(config: TrainConfig) -> None:
    """Raise FileExistsError where the folder holds a run and `overwrite_output_dir` is not set."""
    if (Path(config.output_dir) / "metrics.jsonl").exists() and not config.overwrite_output_dir:
        raise FileExistsError(
            f"output_dir {config.output_dir!r} holds a run already; choose another folder, or "
            "set overwrite_output_dir to replace it"
        )


def claim(config: TrainConfig) -> Path:
    """Make the run's folder, free of an earlier run's models, and write the settings into it."""
    folder = Path(config.output_dir)
    for old in [*folder.glob("checkpoint-*"), folder / "final"]:
        shutil.rmtree(old, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "config.json", json.dumps(dataclasses.asdict(config), indent=2))
    return folder


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
