"""What a run was made with: versions, commit, and what its program gave in place of settings.

`origin.json` of a run's folder, for those who read its results later, elsewhere.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.metadata
import importlib.util
import json
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from murphy_agents.config import TrainConfig
from murphy_agents.files import write_atomically

_FILE = "origin.json"
_PROGRAM = ("murphy_env", "murphy_agents", "benchmarks/*.py")
"""What a run may execute; results that a benchmark has just written are none of it."""
_PACKAGES = ("murphy-rl", "torch", "transformers", "peft", "bitsandbytes", "vllm")


@dataclass(frozen=True)
class Origin:
    """Of one run."""

    num_tasks: int = 0
    given: Sequence[str] = ()
    """Arguments of `train` that stood in place of settings: "tasks", "algorithm", "make_env"."""
    model_is_local: bool = False
    """Whether the model was named by a folder."""
    versions: Mapping[str, str] = field(default_factory=dict)
    commit: str | None = None
    """Of murphy, where it ran from a repository."""
    is_changed: bool = False
    """Whether its program differed from the commit's: what is installed, and benchmarks' Python."""
    gone_on_with: Sequence[str] = ()
    """Other programs that it was gone on with, in their order, named as in `programs`.

    Of one that was stopped before its first checkpoint no step is left. `versions` are the first
    one's.
    """

    @property
    def programs(self) -> tuple[str, ...]:
        """Those that it ran: commits, "COMMIT with changes"; empty where none is known."""
        if self.commit is None:
            return ()
        return _named(self.commit, self.is_changed), *self.gone_on_with


def write(folder: Path, config: TrainConfig, num_tasks: int, given: Sequence[str] = ()) -> None:
    """Write down what a run that begins now is made with."""
    commit, changed = _program()
    is_local = Path(config.model).exists()
    origin = Origin(num_tasks, tuple(given), is_local, _versions(), commit, changed)
    write_atomically(folder / _FILE, json.dumps(dataclasses.asdict(origin), indent=2))


def go_on(folder: Path) -> None:
    """Write down the program that a run goes on with, where it is another one than before."""
    made, (commit, changed) = read(folder), _program()
    if made.commit is None or commit is None:
        return
    if (now := _named(commit, changed)) != made.programs[-1]:
        made = dataclasses.replace(made, gone_on_with=(*made.gone_on_with, now))
        write_atomically(folder / _FILE, json.dumps(dataclasses.asdict(made), indent=2))


def read(folder: Path) -> Origin:
    """What `write` wrote; nothing of a run that began without it."""
    path = folder / _FILE
    if not path.is_file():
        return Origin()
    return Origin(**json.loads(path.read_text(encoding="utf-8")))


def _program() -> tuple[str | None, bool]:
    """The commit, and whether what runs differs from it."""
    commit = _git("rev-parse", "HEAD")
    status = ("status", "--porcelain", "--untracked-files=no", "--", *_PROGRAM)
    return commit, bool(commit and _git(*status))


def _named(commit: str, is_changed: bool) -> str:
    return commit + (" with changes" if is_changed else "")


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        module = "murphy_agents" if name == "murphy-rl" else name
        if importlib.util.find_spec(module) is not None:
            try:
                found[name] = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                found[name] = "not installed, run from its files"
    return found


@functools.cache
def _git(*words: str) -> str | None:
    """What git says of murphy's own files; None where they are in no repository.

    Asked once by a process, whose modules stay as they were: later runs of a comparison are not
    told of a commit that their program is not of.
    """
    root = Path(__file__).parents[2]
    if not (root / ".git").exists() or shutil.which("git") is None:
        return None
    command = ["git", "--no-optional-locks", "-C", str(root), *words]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    return told.stdout.strip() or None
