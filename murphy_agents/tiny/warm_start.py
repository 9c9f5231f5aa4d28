"""Policies made on the spot: taught by a weak teacher of their world, kept in a cache.

No download is needed and no second phase: one run of supervised training on a fixed pool of
conversations of mixed quality, from random weights. The pupil learns to write programs, to read
what a test said, and its teacher's habits. `worlds` has the worlds and the variants of a model.

The cache is `$MURPHY_CACHE`, else `~/.cache/murphy`. A model's place there is named by what it was
made of: recipe, source code and library versions.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import tokenizers
import torch
import transformers

import murphy_env
from murphy_agents import codec, files
from murphy_agents.tiny import choosing
from murphy_agents.tiny.recipe import Recipe
from murphy_agents.tiny.teaching import teach
from murphy_agents.tiny.worlds import CHOSEN, WORLDS, asked

_SPEAKING = (
    "texts.py", "judge.py", "split.py", "inside/encode.py", "inside/report.py", "inside/program.py",
)  # fmt: skip
"""Files of the sandbox that say what a test printed, which is what a pupil reads."""


def folder_of(model: str) -> Path:
    """The folder of the model of that name; it is made if it is not there.

    Args:
        model: "embedded", "embedded:SEED" or "embedded:SEED:VARIANT"; of other worlds alike.

    Raises:
        ValueError: it is none of these.
    """
    recipe, variant = asked(model)
    folder = made(recipe)
    if variant in CHOSEN:
        return folder / choosing.best(folder, WORLDS[recipe.world].selection())
    return _last(folder, recipe)


def shape_folder_of(model: str) -> Path | None:
    """A folder with config and tokenizer of such a model, if it was made before; errors as above.

    All checkpoints of a seed have one shape.
    """
    recipe, _ = asked(model)
    last = _last(_place(recipe), recipe)
    return last if last.exists() else None


def digest_of(model: str) -> str:
    """Names what `folder_of` gives by what it is made of; errors as there."""
    recipe, variant = asked(model)
    return f"{digest(recipe)}:{'last' if variant not in CHOSEN else variant}"


def curve(model: str, only_right: bool) -> dict[str, list[float]]:
    """pass@1 by iteration on the selection tasks of every checkpoint of a model's training.

    Empty where `best` or `filtered` was not yet asked for.
    """
    recipe, _ = asked(model)
    folder = _place(replace(recipe, only_right=only_right))
    return choosing.curve_of(folder) if folder.exists() else {}


def made(recipe: Recipe, sandbox_workers: int = 2) -> Path:
    """The folder with the checkpoints `step-N` of a recipe; they are made if they are not there.

    Processes that ask for the same wait for the first. What a maker leaves that is killed is never
    taken for a model.

    Raises:
        OSError: the cache cannot be written; says where it is and how to move it.
    """
    folder = _place(recipe)
    if folder.exists():
        return folder
    with files.alone(folder):
        if not folder.exists():
            files.fill_atomically(folder, lambda path: teach(recipe, path, sandbox_workers))
    return folder


def digest(recipe: Recipe) -> str:
    """Names a model by what it is made of."""
    told = json.dumps(asdict(recipe), sort_keys=True)
    return hashlib.blake2b((told + _source(recipe.world)).encode(), digest_size=8).hexdigest()


def _last(folder: Path, recipe: Recipe) -> Path:
    return folder / f"step-{recipe.schedule.num_steps}"


def _place(recipe: Recipe) -> Path:
    return _cache() / f"{recipe.world}-{digest(recipe)}"


def _cache() -> Path:
    folder = Path(os.environ.get("MURPHY_CACHE") or Path.home() / ".cache" / "murphy")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"the cache {folder} cannot be made ({error}); set MURPHY_CACHE to a folder that can"
        ) from error
    return folder


@cache
def _source(world: str) -> str:
    """What decides how a recipe turns out: a world's and our own source, Python, the libraries."""
    there, here = Path(murphy_env.__file__).parent, Path(__file__).parent
    others = {path for known in WORLDS.values() for path in known.files} - {*WORLDS[world].files}
    sources = [
        *({*here.glob("*.py"), *WORLDS[world].files} - others),
        Path(codec.__file__),
        there / "env.py",
        *(there / "sandbox" / name for name in _SPEAKING),
        *there.glob("prompts/*.py"),
        *there.glob("extraction/*.py"),
    ]
    texts = [path.read_text(encoding="utf-8") for path in sorted(sources)]
    versions = [library.__version__ for library in (torch, transformers, tokenizers)]
    return "\n".join([platform.python_version(), *versions, *texts])
