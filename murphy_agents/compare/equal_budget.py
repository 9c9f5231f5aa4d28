"""Number of steps of an arm of equal budget: as many as spend what another arm's run has spent.

    max_steps = round(steps_like · budget_to / budget_like), at least 1

`like` is the same arm with the steps of the settings: it tells what a step costs. `to` is the arm
whose budget is to be spent. Both are runs of the same start and seed, and finished. The learning
rate's schedule spans the steps that come out. What is spent then differs a little, since trees grow
smaller as a policy learns; the table of costs has what was.

The number is written into the run's folder, as `steps.json`, and kept when the comparison goes on.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from murphy_agents import files
from murphy_agents.costs import spent
from murphy_agents.log import read_history
from murphy_agents.run.folder import FINAL

_FILE = "steps.json"


@dataclass(frozen=True)
class Equal:
    """What an arm's run waits for."""

    budget: str
    like: Path
    """Folder of the run that is the same but for the number of steps."""
    to: Path
    """Folder of the run whose budget is to be spent."""


@dataclass(frozen=True)
class Steps:
    """How the number of steps came about."""

    max_steps: int
    budget: str
    budget_to: float
    """What the run to be equal to has spent."""
    budget_like: float
    """What the run of `steps_like` steps has spent."""
    steps_like: int


def settled(folder: Path, equal: Equal) -> Steps:
    """The steps of the run in a folder: those found before, or found now and written there.

    Raises:
        ValueError: a run that is waited for is not finished, or has spent nothing.
    """
    if (known := read(folder)) is not None:
        return known
    to, like = (_history(path, equal) for path in (equal.to, equal.like))
    budget_to, budget_like = spent(to, equal.budget), spent(like, equal.budget)
    for path, budget in ((equal.to, budget_to), (equal.like, budget_like)):
        if not budget > 0:
            raise ValueError(
                f"the run in {path} has spent no {equal.budget}, so no number of steps is equal to "
                "it; compare in another budget"
            )
    steps = round(len(like) * budget_to / budget_like)
    found = Steps(max(1, steps), equal.budget, budget_to, budget_like, len(like))
    files.write_atomically(folder / _FILE, json.dumps(asdict(found), indent=2) + "\n")
    return found


def read(folder: Path) -> Steps | None:
    """What `settled` wrote there; None where it did not."""
    path = folder / _FILE
    return Steps(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def _history(path: Path, equal: Equal) -> list[dict[str, float]]:
    if not (path / FINAL).exists():
        raise ValueError(
            f"the run in {path} is not finished, so its {equal.budget} are not known; see its "
            "log.txt, and compare again into the same folder once it can work"
        )
    return read_history(path)
