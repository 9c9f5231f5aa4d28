"""What a folder of saved adapters says of the model that they belong to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CONFIG = "adapter_config.json"
"""File that tells a folder of adapters from one of a whole model."""
MARK = "base_in_4bit.json"
"""File which says that adapters were trained on a base in 4 bits, and how it was quantised."""


def are_in(folder: str | Path) -> bool:
    """Whether a folder holds adapters."""
    return (Path(folder) / CONFIG).is_file()


def base_of(name: str | Path) -> str:
    """The model that a folder of adapters belongs to; any other name as it is."""
    if not are_in(name):
        return str(name)
    told = json.loads((Path(name) / CONFIG).read_text(encoding="utf-8"))
    return str(told["base_model_name_or_path"])


def located(model: str | Path) -> str:
    """The absolute path of a model that is a folder here; any other name as it is.

    A relative path reads like a name on the hub, and leads elsewhere from another folder.
    """
    return str(Path(model).absolute()) if Path(model).is_dir() else str(model)


def name_base(folder: Path, base: str) -> None:
    """Have the adapters in a folder name another model as their base."""
    told = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    told |= {"base_model_name_or_path": located(base), "revision": None}
    (folder / CONFIG).write_text(json.dumps(told, indent=2), encoding="utf-8")


def mark_4bit(folder: Path, settings: Mapping[str, Any]) -> None:
    """Say beside adapters that their base was in 4 bits."""
    (folder / MARK).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def were_on_4bit(folder: str | Path) -> bool:
    """Whether a folder holds adapters that were trained on a base in 4 bits."""
    return (Path(folder) / MARK).is_file()
