"""The worlds that a policy can be made for: tasks, a teacher, and how their text falls into tokens.

A made model is named by its world: `WORLD`, `WORLD:SEED` or `WORLD:SEED:VARIANT`.

    last        the end of the supervised run; where reinforcement learning starts
    best        its checkpoint with the highest pass@1 after three attempts on the selection tasks
    filtered    the same, of a run on the same conversations that learns the right answers alone
    hedge       (probe) `last` of a teacher three quarters of whose first attempts are quiet
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import murphy_env
from murphy_agents.tiny import probe_teacher, teacher
from murphy_agents.tiny.conversation import Conversation, OnFound
from murphy_agents.tiny.recipe import Recipe
from murphy_agents.tiny.supervised import Schedule
from murphy_env import Task, sources

VARIANTS = ("last", "best", "filtered")
CHOSEN = ("best", "filtered")
"""Of these the checkpoint is chosen; of others it is the last."""
HEDGE_SHARE = 0.75
_HERE, _SOURCES = Path(__file__).parent, Path(murphy_env.__file__).parent / "sources"


@dataclass(frozen=True)
class World:
    """Tasks, a teacher and a tokenizer's edges."""

    recipe: Recipe
    """Of seed 0."""
    conversations: Callable[[Recipe, Mapping[str, Any], OnFound], list[Conversation]]
    """What the teacher tells, given the settings of a sandbox."""
    first_answers: Callable[[Recipe], list[Conversation]]
    """Right first attempts beside them; may be none."""
    selection: Callable[[], list[Task]]
    """The tasks to choose checkpoints by."""
    pattern: str
    """No token reaches over the edge of one of these, so that what has to be copied looks alike
    everywhere."""
    files: tuple[Path, ...]
    """Source code that decides how a recipe turns out, beside what all worlds share."""
    variants: tuple[str, ...] = VARIANTS


def asked(model: str) -> tuple[Recipe, str]:
    """The recipe that a model's name means, and its variant.

    Raises:
        ValueError: it is no name of a made model.
    """
    name, _, rest = model.partition(":")
    if name not in WORLDS:
        raise ValueError(f"model is {model!r}; made models are called {', '.join(WORLDS)}")
    world = WORLDS[name]
    seed, _, variant = rest.partition(":")
    variant = variant or "last"
    if not (seed or "0").isdecimal() or variant not in world.variants:
        raise ValueError(
            f"model is {model!r}; write {name}, {name}:SEED or {name}:SEED:NAME with one of "
            f"{', '.join(world.variants)}"
        )
    recipe = replace(world.recipe, seed=int(seed or 0), only_right=variant == "filtered")
    if variant == "hedge":
        recipe = replace(recipe, quiet_share=HEDGE_SHARE)
    return recipe, variant


def _embedded(recipe: Recipe, sandbox: Mapping[str, Any], on_found: OnFound) -> list[Conversation]:
    return teacher.conversations(recipe.seed, recipe.num_conversations, sandbox, on_found)


def _probe(recipe: Recipe, sandbox: Mapping[str, Any], on_found: OnFound) -> list[Conversation]:
    return probe_teacher.conversations(
        recipe.seed, recipe.num_conversations, sandbox, recipe.quiet_share, on_found
    )


WORLDS = {
    "embedded": World(
        Recipe(),
        _embedded,
        lambda recipe: teacher.first_answers(recipe.seed, recipe.num_first_answers),
        lambda: sources.embedded("selection"),
        r"""[0-9]|==| for x in xs if x|</?[a-z]+>|[\[\](),'"-]| # got |\n""",
        (_HERE / "teacher.py", _SOURCES / "embedded.py", _SOURCES / "family.py"),
    ),
    "probe": World(
        Recipe(
            world="probe",
            num_conversations=2400,
            num_first_answers=0,
            schedule=Schedule(num_conversations=32, num_first_answers=0),
        ),
        _probe,
        lambda recipe: [],
        lambda: sources.probe("selection"),
        # Separators stand alone, but for those of what every program and every message says.
        r"""def f\(s\):\n(?: try:)? return |\n except: return 0| for x in map\(int,s\.split\('"""
        r"""|'\)\) if |ValueError: invalid literal for int\(\) with base 10: '|, split on """
        r"""|[0-9]|==|</?[a-z]+>|[,;|/:~#&\[\]()'-]| # got |\n""",
        (_HERE / "probe_teacher.py", _SOURCES / "probe.py", _SOURCES / "swallow.py"),
        (*VARIANTS, "hedge"),
    ),
}
