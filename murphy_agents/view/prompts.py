"""Prompts of a run as text: its rollouts hold ids, its checkpoints the tokenizer."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from murphy_agents import checkpoint
from murphy_agents.card import names
from murphy_agents.run.folder import FINAL

Decode = Callable[[Sequence[int]], str]
_FILE = "tokenizer.json"


def decoder(run: Path) -> tuple[Decode, str]:
    """What makes text of a prompt's ids, control tokens included; and what to tell of it.

    The tokenizer of the final model, of a checkpoint or of the model that the run began with, be it
    a folder or in the local cache of the hub. Without one that can be read, and without the
    `tokenizers` library, ids are shown as numbers and the note says why.
    """
    if importlib.util.find_spec("tokenizers") is None:
        return (
            _as_numbers,
            "prompts are shown as token ids: the library tokenizers is not installed",
        )
    path = next(_places(run), None)
    if path is None:
        return _as_numbers, "prompts are shown as token ids: the run has no tokenizer saved yet"
    from tokenizers import Tokenizer

    try:
        tokenizer: Any = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        return _as_numbers, f"prompts are shown as token ids: {path.name} cannot be read ({error})"

    def decode(ids: Sequence[int]) -> str:
        return str(tokenizer.decode(list(ids), skip_special_tokens=False))

    return decode, ""


def _as_numbers(ids: Sequence[int]) -> str:
    return " ".join(map(str, ids))


def _places(run: Path) -> Iterator[Path]:
    """Files with the run's tokenizer, the best first."""
    folders = [run / FINAL, *checkpoint.numbered(run), *sorted(run.glob("base-*"))]
    model = _model(run)
    for folder in [*folders, *([Path(model)] if model else [])]:
        if (folder / _FILE).is_file():
            yield folder / _FILE
    if names.is_hub_name(model) and importlib.util.find_spec("huggingface_hub"):
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(model, _FILE)
        if isinstance(cached, str):
            yield Path(cached)


def _model(run: Path) -> str:
    """The model that the run began with; empty where its settings cannot be read."""
    try:
        return str(json.loads((run / "config.json").read_text(encoding="utf-8"))["model"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
