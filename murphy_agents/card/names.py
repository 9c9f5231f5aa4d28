"""What a card may call models, tasks and paths: what looks like a path of this machine is left out.

A path with spaces is known by its quotes; one without quotes loses its beginning alone, and a
relative one without a dot reads like any word.
"""

from __future__ import annotations

import re
from pathlib import Path

from murphy_env.sources import MADE

LICENCES = {
    **dict.fromkeys(MADE, "made by murphy"),
    "humaneval": "MIT",
    "mbpp": "CC BY 4.0",
    "kodcode": "CC BY-NC 4.0",
    "bigcodebench": "Apache 2.0",
    "livecodebench": "cc",
}
"""What the authors of the sources' data say, as docs/data.md has it."""
SOMEWHERE = "(local path)"
_HUB_NAME = re.compile(r"(\w([\w.-]*\w)?/)?\w([\w.-]{0,94}\w)?", re.ASCII)
_NOT_ON_HUB = re.compile(r"--|\.\.|\.git$")
_REST = r"[^\s'\"`,;()|]+"
_BEGINNING = r"(?:file:|/|~[\w.-]*/|\.\.?/|[A-Za-z]:[\\/]|\\{2,}[\w.$-]+\\)"
_QUOTED = re.compile(rf"(?<!\w)(['\"`]){_BEGINNING}(?:(?!\1)[^\n])+\1")
_PATH = re.compile(
    rf"\bfile:{_REST}"
    rf"|(?<![\w/.<~])(?:/(?!/)|~[\w.-]*/|\.\.?/){_REST}"
    rf"|(?<=<)/[\w.-]+/{_REST}"  # not </s>
    rf"|(?<!\w)[A-Za-z]:[\\/](?!/){_REST}"
    rf"|\\{{2,}}[\w.$-]+\\{_REST}"
)


def without_paths(text: str) -> str:
    """The text without what looks like a path from a root, from a home or from here."""
    return _PATH.sub(SOMEWHERE, _QUOTED.sub(rf"\1{SOMEWHERE}\1", text))


def is_made(model: str) -> bool:
    """Whether a model is one that murphy makes by its name."""
    return model.partition(":")[0] in (*MADE, "tiny")


def is_hub_name(model: str) -> bool:
    """Whether a model's name is one of the hub's, and not made by murphy nor a folder here."""
    fits = _HUB_NAME.fullmatch(model) and not _NOT_ON_HUB.search(model)
    return bool(fits) and not is_made(model) and not Path(model).exists()


def source_of(spec: str) -> str | None:
    """The source that tasks come from; None where they are a file's own."""
    name = re.split("[:?@]", spec, maxsplit=1)[0]
    return name if name in LICENCES else None


def source_shown(spec: str) -> str:
    """A source of tasks as a card may name it."""
    if source_of(spec) is None:
        return "a file"
    name, at, _ = spec.partition("@")
    return f"{name}{' (a file)' if at else ''}"
