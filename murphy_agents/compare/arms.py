"""Arms: what is compared under a name of its own, and how it differs from what all runs share.

    arms:
      grpo: {}                                       # an algorithm's name is that algorithm
      mars_center: {algorithm: murphy_mars, scale: center}
      mars_gspo: {like: mars_center, loss_type: gspo}         # its fields first
      grpo_tokens: {like: grpo, equal: trained tokens, to: mars_center}
      own: {make_algorithm: "my.module:make", num_turns: 2, num_generations: 10}

Keys are fields of `TrainConfig`, which win over the shared settings, and `like`, `equal`, `to` and
`generations`. Fan-out or number of generations follow from `generations` and `num_turns` (`budget`)
unless the arm says them. Nothing here trains or reads files.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from murphy_agents.compare.budget import shape
from murphy_agents.config import TrainConfig
from murphy_agents.costs import BUDGETS
from murphy_agents.settings import by_field, short_names

ALGORITHMS = ("grpo", "murphy_mars", "murphy_mers", "naive", "tree_without_credit")
BASE = "base"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]{0,63}")
_OF_ALL = (
    "model", "seed", "bad_rows", "output_dir", "overwrite_output_dir", "resume", "dry_run",
    "card_gb", "sandbox_workers", "save_steps", "save_total_limit", "keep_steps", "eval_tasks",
    "eval_iterations", "eval_runs", "eval_temperature", "eval_top_p",
)  # fmt: skip
"""Fields that no arm can have for itself: what is crossed, and how all are evaluated and kept."""
_CHOICES = ("algorithm", "make_algorithm")
_REPLACES = {
    "algorithm": ("make_algorithm",),
    "make_algorithm": ("algorithm",),
    "fanout": ("generations", "num_generations", "num_turns"),
    "generations": ("fanout", "num_generations"),
    "num_generations": ("fanout", "generations"),
    "num_turns": ("fanout",),
}
"""What an arm's own field puts out of force of the arm that it is like."""
_TREE = "murphy_mars"
"""The algorithm that an unknown one is laid out like."""
_LEAST = {"generations": 2, "num_generations": 2, "num_turns": 1}
"""Counts in an arm, none of them below this."""
FOR_SOME = ("gamma", "childless")
"""Settings that not every arm reads, see `Arm.reads`."""
_REFERENCES = ("like", "equal", "to")


@dataclass(frozen=True)
class Arm:
    """One row of a comparison before it is run.

    Example:
        >>> Arm("mars_center", {"algorithm": "murphy_mars", "scale": "center"}).shape(20, 2, None)
        {'fanout': [4, 4]}
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `TrainConfig`, an algorithm or what makes one among them."""
    generations: int | None = None
    """Nominal generations per problem; None: those of the comparison."""
    equal: str | None = None
    """The budget that decides the number of steps; None: the settings do."""
    like: str | None = None
    """Whose run is measured to know what a step costs; with `equal` alone."""
    to: str | None = None
    """Whose run says how much may be spent; with `equal` alone."""

    @property
    def algorithm(self) -> str | None:
        """Of the five by name; None where a function makes one."""
        return self.settings.get("algorithm")

    @property
    def is_tree(self) -> bool:
        """Whether it is laid out as a tree, as far as its name tells."""
        return self.algorithm not in ("grpo", "naive")

    def reads(self, name: str) -> bool:
        """Whether it reads `gamma` or `childless`, which are for some alone."""
        if name == "gamma" and self.algorithm is None:
            return True
        return self.algorithm == "murphy_mers"

    def shape(
        self, generations: int, num_turns: int, fanout: Sequence[int] | None
    ) -> dict[str, Any]:
        """Fan-out, or number of generations and turns, by its own settings or by the shared ones.

        Raises:
            ValueError: there is no such shape; names numbers that would do.
        """
        own = {name: self.settings.get(name) for name in ("fanout", "num_generations", "num_turns")}
        turns = own["num_turns"] or len(own["fanout"] or ()) or num_turns
        if own["fanout"] is not None and self.generations is None:
            return {}
        if own["num_generations"] is not None:
            if self.generations is not None:
                raise ValueError(
                    f"generations is {self.generations} and num_generations "
                    f"{own['num_generations']}; give one of them"
                )
            return {} if self.algorithm == "grpo" else {"num_turns": turns}
        if own["num_turns"] is None and self.generations is None:
            own["fanout"] = fanout  # of all
        nominal = generations if self.generations is None else self.generations
        return shape(self.algorithm or _TREE, nominal, turns, own["fanout"])


def resolved(algorithms: Sequence[str], arms: Mapping[str, Mapping[str, Any]]) -> dict[str, Arm]:
    """All arms by name: the algorithms that are named, and those with settings of their own.

    Raises:
        ValueError: a name, a key, or a reference to another arm is wrong.
    """
    for name, told in arms.items():
        _check_name(name, algorithms)
        _check_keys(name, told)
    told_all = {**{name: {} for name in algorithms}, **arms}
    return {name: _arm(name, told_all) for name in told_all}


def _arm(name: str, told_all: Mapping[str, Mapping[str, Any]]) -> Arm:
    told = told_all[name]
    _check_budget(name, told)
    _check_partner(name, told_all)
    fields = _fields_of(name, told_all, ())
    _check_shape(name, fields)
    generations = fields.pop("generations", None)
    if not any(fields.get(choice) for choice in _CHOICES):
        raise ValueError(
            f"arm {name!r} names no algorithm; give it algorithm, make_algorithm, or like, or call "
            f"it one of {', '.join(ALGORITHMS)}"
        )
    if name in ALGORITHMS and fields.get("algorithm") != name:
        runs = fields.get("algorithm") or fields["make_algorithm"]
        raise ValueError(f"arm {name!r} runs {runs!r}; an arm with an algorithm's name runs that")
    if not told.get("equal"):
        return Arm(name, fields, generations)
    return Arm(name, fields, generations, told["equal"], told["like"], told["to"])


def _fields_of(
    name: str, told_all: Mapping[str, Mapping[str, Any]], above: tuple[str, ...]
) -> dict[str, Any]:
    """What an arm is told, upon what the arm that it is like is told."""
    if name in above:
        chain = " -> ".join((*above, name))
        raise ValueError(f"arm {above[0]!r} is like itself: {chain}; let one of them say all")
    told = dict(told_all[name])
    like = told.get("like")
    if like is None:
        is_chosen = any(told.get(choice) for choice in _CHOICES)
        found = {"algorithm": name} if name in ALGORITHMS and not is_chosen else {}
    else:
        _check_there(name, "like", like, told_all)
        _check_own_steps(name, "like", like, told_all)
        found = _fields_of(like, told_all, (*above, name))
    own = by_field(TrainConfig, {n: v for n, v in told.items() if n not in _REFERENCES})
    _forget_replaced(found, own)
    return found | own


def _forget_replaced(found: dict[str, Any], own: Mapping[str, Any]) -> None:
    """Take from what an arm is like that which its own fields say in another way."""
    for given, replaced in _REPLACES.items():
        if own.get(given) is not None:
            for name in replaced:
                found.pop(name, None)


def _check_name(name: Any, algorithms: Sequence[str]) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"arms names {name!r}, which is to be a folder's name; give letters, digits and "
            "._+=- (at most 64, the first a letter or a digit)"
        )
    if name == BASE or name.startswith("supervised"):
        raise ValueError(f"arms names {name!r}, a row for models as they are; give another name")
    if name in algorithms:
        raise ValueError(f"{name!r} is named by algorithms and by arms; name it once")


def _check_keys(name: str, told: Any) -> None:
    if not isinstance(told, dict):
        raise ValueError(
            f"arm {name!r} is {told!r}; give its settings as a mapping, {{}} if there are none"
        )
    fields = [known.name for known in dataclasses.fields(TrainConfig)]
    allowed = [*_REFERENCES, "generations", *(known for known in fields if known not in _OF_ALL)]
    for key in map(str, told):
        if key in _OF_ALL:
            raise ValueError(
                f"arm {name!r}: {key} is the same for all arms; set it for the whole comparison, "
                "if it is a setting there"
            )
        if key not in (*allowed, *short_names(TrainConfig)):
            near = difflib.get_close_matches(key, allowed, n=1, cutoff=0.0)[0]
            raise ValueError(f"arm {name!r}: {key!r} is no setting; the nearest is {near!r}")
    for key in _REFERENCES:
        if not isinstance(told.get(key), str | None):
            raise ValueError(f"arm {name!r}: {key} is {told[key]!r}; give one name")


def _check_shape(name: str, fields: Mapping[str, Any]) -> None:
    """Before the numbers are counted with: they come from a file as they stand there."""
    for count, least in _LEAST.items():
        given = fields.get(count)
        if given is not None and (type(given) is not int or given < least):
            raise ValueError(f"arm {name!r}: {count} is {given!r}; give a count, {least} or more")
    fanout = fields.get("fanout")
    if fanout is None:
        return
    if not isinstance(fanout, list | tuple) or not all(type(each) is int for each in fanout):
        raise ValueError(
            f"arm {name!r}: fanout is {fanout!r}; give a list, a count for every turn, as [4, 4]"
        )


def _check_budget(name: str, told: Mapping[str, Any]) -> None:
    """Of an arm of equal budget, whether it says all that it has to and nothing else."""
    equal, to, like = (told.get(key) for key in ("equal", "to", "like"))
    if equal is None and to is None:
        return
    if equal not in BUDGETS:
        raise ValueError(f"arm {name!r}: equal is {equal!r}; give one of {', '.join(BUDGETS)}")
    if to is None or like is None:
        raise ValueError(
            f"arm {name!r}: equal is {equal!r}; name with `like` the arm that it is but for its "
            "number of steps, and with `to` the arm whose budget it gets"
        )
    if more := sorted(set(told) - set(_REFERENCES)):
        raise ValueError(
            f"arm {name!r}: {more[0]} is given, but an arm of equal budget is the arm of `like` "
            "with another number of steps; make an arm with it, and name that one with `like`"
        )


def _check_partner(name: str, told_all: Mapping[str, Mapping[str, Any]]) -> None:
    """Whether the arm whose budget an arm gets can be waited for."""
    to, like = (told_all[name].get(key) for key in ("to", "like"))
    if to is None:
        return
    if to == name:
        raise ValueError(f"arm {name!r}: to names the arm itself; name another one")
    _check_there(name, "to", to, told_all)
    _check_own_steps(name, "to", to, told_all)
    if like == to:
        raise ValueError(f"arm {name!r}: like and to are both {to!r}; name two arms")


def _check_own_steps(
    name: str, key: str, other: str, told_all: Mapping[str, Mapping[str, Any]]
) -> None:
    if told_all[other].get("equal"):
        raise ValueError(
            f"arm {name!r}: {key} names {other!r}, whose number of steps is found from other runs; "
            f"name an arm whose settings say it, {told_all[other].get(key)!r} say"
        )


def _check_there(name: str, key: str, other: Any, found: Mapping[str, Any]) -> None:
    if other not in found:
        raise ValueError(
            f"arm {name!r}: {key} names {other!r}, which is no arm; there is {', '.join(found)}"
        )
