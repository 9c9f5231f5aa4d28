"""Where tasks come from: one file a data set, each a function that returns a list of `Task`.

`load` takes the same as one string, `NAME[:SPLIT][@FILE]` or the path of a `.jsonl` file:

    embedded                        tasks made on the spot, training split
    mbpp:test                       MBPP from the hub
    mbpp:test@sanitized-mbpp.json   MBPP from a file
    my/tasks.jsonl                  tasks of your own

Here `embedded`, `jsonl` and `mbpp` are functions; what else their modules hold is imported from
there (`from murphy_env.sources.embedded import docstrings`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from murphy_env.sources.embedded import embedded
from murphy_env.sources.jsonl import jsonl, to_jsonl
from murphy_env.sources.mbpp import mbpp
from murphy_env.sources.rows import unknown
from murphy_env.types import Task

__all__ = ["embedded", "jsonl", "load", "mbpp", "to_jsonl"]

DEFAULT_SPLIT = "train"


def _embedded(split: Any, path: str | None) -> list[Task]:
    if path is not None:
        raise ValueError(f"the embedded tasks are made, not read; drop '@{path}'")
    return embedded(split)


def _mbpp(split: Any, path: str | None) -> list[Task]:
    return mbpp(path, split)


_SOURCES: dict[str, Callable[[str, str | None], list[Task]]] = {
    "embedded": _embedded,
    "mbpp": _mbpp,
}


def load(spec: str) -> list[Task]:
    """The tasks that a string names; without a split, those of the training split.

    A string that begins with the name of a source is always read as that source: write
    `./mbpp:x.jsonl` for a file of such a name.

    Raises:
        ValueError: the string names no source, or no split of it.
        FileNotFoundError: the file is missing.

    Example:
        >>> load("embedded:test")[0].task_id
        'embedded/test-0/0'
    """
    named = re.fullmatch(r"(\w+)(?::(\w+))?(?:@(.+))?", spec)
    if named and named[1] in _SOURCES:
        return _SOURCES[named[1]](named[2] or DEFAULT_SPLIT, named[3])
    if spec.endswith(".jsonl"):
        return jsonl(spec)
    name = re.split("[:@]", spec)[0]
    raise ValueError(
        f"tasks is {spec!r}: {unknown('source', name, _SOURCES)}; "
        "or give the path of a .jsonl file. The form is NAME[:SPLIT][@FILE]"
    )
