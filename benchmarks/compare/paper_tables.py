"""The paper's six tables at a world's scale: which arm is which row, and the published figures.

An arm is known by its settings, not by its name: it is a row if it differs from what the world's
arms share in what the row names and in nothing else. A row that no arm of the world has is "not
run".
"""

from dataclasses import dataclass

from benchmarks.compare.analysis import cost, is_trained, pass_at_1
from benchmarks.compare.wording import level
from benchmarks.paper import published
from murphy_agents.show.tables import Table

TITLES = {
    1: "algorithms",
    2: "MaRS and MeRS",
    3: "pruning",
    4: "naive multi-turn training, and controls of credit",
    5: "size of the training data",
    6: "three turns",
}
NOT_RUN = "not run"
MODEL = "Qwen3-1.7B"
"""Whose published figures stand beside ours."""
_SHORT = {"HumanEval": "HumanEval", "MBPP": "MBPP", "BigCodeBench-Hard": "BigCodeBench"}
_PLAIN = {"algorithm": "murphy_mars", "gamma": 0.9, "childless": "keep"}
"""Where neither the record of an arm nor the world's settings say it."""
_SHAPE = {"fanout", "num_turns", "num_generations", "max_steps"}
"""Judged apart: by the number of turns and by the budget."""


@dataclass(frozen=True)
class Wanted:
    """A row of a table."""

    label: str
    settings: dict
    """That its arm has; all others are those that the arms share. Empty: the starting model."""
    strategy: str = ""
    """Of the published row; empty where the paper has none."""
    pruning: str = ""
    gamma: str = ""
    turns: int = 2


_MARS, _MERS, _NAIVE = {"algorithm": "murphy_mars"}, {"algorithm": "murphy_mers"}, "naive"
_TREE = {"algorithm": "tree_without_credit"}
_HEAD = (
    Wanted("base", {}, "base"),
    Wanted("GRPO", {"algorithm": "grpo"}, "GRPO", turns=1),
    Wanted("MURPHY-MaRS", _MARS, "MURPHY-MaRS", "none"),
)
ROWS = {
    1: _HEAD,
    2: (
        Wanted("MaRS", _MARS, "MURPHY-MaRS", "none"),
        *(
            Wanted(
                f"MeRS, gamma {gamma:g}, {childless}",
                _MERS | {"gamma": gamma, "childless": childless},
                "MURPHY-MeRS" if childless == "literal" and gamma > 0.5 else "",
                "none",
                f"{gamma:g}",
            )
            for gamma in (0.5, 0.9, 1.0)
            for childless in ("literal", "keep")
        ),
    ),
    3: (
        Wanted("MaRS", _MARS, "MURPHY-MaRS", "none"),
        *(
            Wanted(
                f"MaRS, IntraP keeps {b}" + (", and descendants of the dropped" if kept else ""),
                _MARS | {"prune": "intra_group", "prune_budget": b} | kept,
                "MURPHY-MaRS" if b == 2 and kept else "", "IntraP",
            )
            for b in (2, 3)
            for kept in ({}, {"prune_keep_descendants": True})
        ),
        *(
            Wanted(
                f"MaRS, InterP keeps {b}" + (", dropped pay as sampled" if pays else ""),
                _MARS | {"prune": "inter_group", "prune_budget": b} | pays,
                "MURPHY-MaRS" if b == 2 and not pays else "", "InterP",
            )
            for b in (2, 3)
            for pays in ({}, {"prune_dropped_pays": "as_sampled"})
        ),
    ),
    4: (
        *_HEAD[:2],
        Wanted("naive, last attempt trained", {"algorithm": _NAIVE}, "naive-multi-turn"),
        Wanted("naive, all attempts trained", {"algorithm": _NAIVE, "train_turns": "all"}),
        _HEAD[2],
        Wanted("tree without credit", _TREE),
        Wanted("MaRS, credit shuffled", _MARS | {"shuffle_credit": True}),
    ),
    5: (),
    6: (
        Wanted("GRPO", {"algorithm": "grpo"}, "GRPO", turns=1),
        Wanted("MaRS, InterP keeps 2", _MARS | {"prune": "inter_group", "prune_budget": 2},
               "MURPHY-MaRS", "InterP", turns=3),
        Wanted("MaRS", _MARS, "MURPHY-MaRS", "none", turns=3),
    ),
}  # fmt: skip
_WHY_NOT = {5: "no arm varies the number of training tasks"}


def tables(world, subset):
    """Number -> `Table`, of the tables in which an arm stands that table 1 does not have."""
    found = {number: _arms_of(world, rows) for number, rows in ROWS.items()}
    first = set(found[1].values())
    return {
        number: _table(world, subset, number, arms)
        for number, arms in found.items()
        if arms and (number == 1 or set(arms.values()) - first)
    }


def not_run(world):
    """Number -> why a table is not there."""
    there = tables(world, "all")
    why = "no arm of this world is a row of its own there"
    return {number: _WHY_NOT.get(number, why) for number in ROWS if number not in there}


def rest(world):
    """The trained arms that are in no table."""
    shown = {arm for rows in ROWS.values() for arm in _arms_of(world, rows).values()}
    return [arm for arm in world.names if is_trained(world, arm) and arm not in shown]


def _arms_of(world, rows):
    """Place of a row -> its arm."""
    found = {i: _arm(world, wanted) for i, wanted in enumerate(rows)}
    return {i: arm for i, arm in found.items() if arm}


def _arm(world, wanted):
    """The first arm with the settings of a row; None where there is none."""
    if not wanted.settings:
        return "base" if "base" in world.names else None
    told = {arm: world.arms[arm] for arm in world.names if arm in world.arms}
    return next(
        (a for a, t in told.items() if _is(world, t, wanted) and not _is_odd(world, a, t)), None
    )


def _is(world, told, wanted):
    if turns_of(told) != wanted.turns:
        return False
    own = set(told) - _SHAPE - {"algorithm"}
    whole = _PLAIN | world.settings | told
    return own <= set(wanted.settings) and all(
        whole.get(name) == value for name, value in wanted.settings.items()
    )


def _is_odd(world, arm, told):
    """Whether its budget is of its own, or its tree of another shape than the world's."""
    own = _own_keys(world.settings.get("arms") or {}, arm)
    steps = world.settings.get("max_steps")
    if "equal" in own or told.get("max_steps", steps) != steps:
        return True
    shapes = {"generations", "num_generations", "fanout"}
    return turns_of(told) < 3 and bool(shapes & own)


def _own_keys(arms, arm):
    """What an arm sets, itself or by the arms that it is `like`."""
    keys = set()
    while arm in arms:
        keys |= set(arms[arm])
        arm = arms[arm].get("like")
    return keys


def turns_of(told):
    """Attempts per episode in the training of an arm."""
    if told.get("algorithm") == "grpo":
        return 1
    return len(told["fanout"]) if told.get("fanout") else told.get("num_turns", 2)


def _table(world, subset, number, arms):
    iterations = range(1, world.iterations + 1)
    header = ["", "arm", *(["kept per task"] if number == 3 else [])]
    header += [f"iteration {i}" for i in iterations]
    header += ["paper: updates"] if number == 3 else []
    header += [f"paper: {_SHORT[benchmark]}" for benchmark in published.BENCHMARKS]
    lines = []
    for place, wanted in enumerate(ROWS[number]):
        arm, theirs = arms.get(place), _published(number, wanted)
        if arm or theirs:
            kept = [_kept(world, arm)] if number == 3 else []
            ours = [level(pass_at_1(world, arm, i, subset)) if arm else NOT_RUN for i in iterations]
            unknown = ["-"] * (len(header) - len(ours) - len(kept) - 2)
            lines.append([wanted.label, f"`{arm}`" if arm else "-", *kept, *ours]
                         + (theirs or unknown))  # fmt: skip
    return Table(header, lines, num_names=2)


def _kept(world, arm):
    """Generations per task and step that were not pruned: what the paper counts as updates."""
    if arm is None:
        return NOT_RUN
    problems, drawn = cost(world, arm, "problems"), cost(world, arm, "generations")
    if not problems:
        return "-"
    return f"{(drawn - (cost(world, arm, 'pruned') or 0.0)) / problems:.1f}"


def _published(number, wanted):
    """Iterations 1 and 3 by benchmark, in table 3 after updates; None without such a row."""
    row = next((r for r in published.rows() if _same(r, number, wanted)), None)
    if row is None:
        return None
    figures = [f"{row.cells[b, 1][0]:.1f}, {row.cells[b, 3][0]:.1f}" for b in published.BENCHMARKS]
    return ([row.updates] if number == 3 else []) + figures


def _same(row, number, wanted):
    if (row.table, row.model, row.strategy) != (number, MODEL, wanted.strategy):
        return False
    return (row.pruning or "none") == (wanted.pruning or "none") and row.gamma == wanted.gamma
