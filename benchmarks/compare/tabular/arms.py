"""The runs of the tables: arms by name, made anew for every seed, and the worlds they are in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from benchmarks.compare import rivals
from benchmarks.compare.tabular.probe import probe
from benchmarks.compare.tabular.sorting import sorting
from benchmarks.compare.tabular.world import World
from murphy_agents import advantage, balance
from murphy_agents.algorithms import (
    Algorithm,
    grpo,
    murphy_mars,
    murphy_mers,
    naive,
    tree_without_credit,
)
from murphy_agents.prune import inter_group, intra_group

if TYPE_CHECKING:
    from murphy_agents.config import TrainConfig

FAN = (4, 4)
CHAINS = 10
"""4 + 4 * 4 = 20 generations of a tree at most, 10 * 2 of chains, 20 of GRPO."""

WORLDS: dict[str, World] = {
    "probe": probe(),
    "probe, strong": probe(quiet=2 / 3, loud=1 / 6),
    "probe, blind": probe(blind=True),
    "probe, mostly quiet at the start": probe(loud_share=1 / 10),
    "probe, two separators": probe(k=2),
    "sorting": sorting(),
}
ARMS: dict[str, Callable[[], Algorithm]] = {
    "grpo": lambda: grpo(20),
    "tree without credit": lambda: tree_without_credit(FAN),
    "mars": lambda: murphy_mars(FAN),
    "mars, shuffled": lambda: murphy_mars(FAN, shuffle_credit=True),
    "mers .9": lambda: murphy_mers(FAN),
    "mers .9 literal": lambda: murphy_mers(FAN, childless="literal"),
    "mers 1": lambda: murphy_mers(FAN, 1.0),
    "mers 1 literal": lambda: murphy_mers(FAN, 1.0, "literal"),
    "child mean": lambda: rivals.child_mean_tree(_tree()),
    "naive, all turns": lambda: naive(CHAINS, train_turns="all"),
    "naive, last turn": lambda: naive(CHAINS),
    "rlef": lambda: rivals.rlef(_chains()),
    "discounted turns .9": lambda: rivals.discounted_turns(_chains()),
    "discounted turns .4": lambda: rivals.discounted_turns(_chains(0.4)),
    "discounted turns .9, held": lambda: rivals.discounted_turns_held(_chains()),
    "mars, leave one out": lambda: rivals.leave_one_out_tree(_tree()),
    "mars, promising": lambda: rivals.expand_promising(_tree()),
    "mars, promising, paid": lambda: rivals.expand_promising_paid(_tree()),
    "mars, population": lambda: replace(murphy_mars(FAN), scale=advantage.standardize_population),
    "mars, centered": lambda: replace(murphy_mars(FAN), scale=advantage.center),
    "mars, mean of groups": lambda: replace(murphy_mars(FAN), balance=balance.mean_of_groups),
    "mars, mean of turns": lambda: replace(murphy_mars(FAN), balance=balance.mean_of_turns),
    "mars, IntraP 2": lambda: murphy_mars(FAN, intra_group(2)),
    "mars, IntraP 2, keep": lambda: murphy_mars(FAN, intra_group(2, keep_descendants=True)),
    "mars, InterP 2, zero": lambda: murphy_mars(FAN, inter_group(2)),
    "mars, InterP 2, as_sampled": lambda: murphy_mars(
        FAN, inter_group(2, dropped_pays="as_sampled")
    ),
}
FEWER = (
    "grpo",
    "tree without credit",
    "mars",
    "mars, shuffled",
    "mers .9",
    "mers 1",
    "mers 1 literal",
    "child mean",
    "naive, all turns",
    "naive, last turn",
    "rlef",
    "discounted turns .9",
    "discounted turns .9, held",
    "mars, promising",
    "mars, promising, paid",
)
"""What runs in every world; in `probe` all arms do."""


def runs() -> list[tuple[str, str]]:
    """All (world, arm) of the tables."""
    return [(world, arm) for world in WORLDS for arm in (ARMS if world == "probe" else FEWER)]


def _tree() -> TrainConfig:
    """What a rival that grows trees reads of the settings, without the checks of a run."""
    return cast("TrainConfig", SimpleNamespace(fanout=list(FAN), num_turns=None, loss_type="grpo"))


def _chains(gamma: float = 0.9) -> TrainConfig:
    """The same of one with chains."""
    told = {"num_generations": CHAINS, "num_turns": 2, "fanout": None, "loss_type": "grpo"}
    settings = SimpleNamespace(**told, gamma=gamma)
    return cast("TrainConfig", settings)
