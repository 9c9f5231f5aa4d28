"""Whether arms hide or show what is wrong, as the explanation of the probe world needs it.

A bound for the share of loud first attempts of an arm's runs. It is kept to where every run is
beyond it, not kept to where their mean is not, and else undecided: there is no test.
"""

from dataclasses import dataclass
from statistics import fmean

import yaml

from benchmarks.compare import expected
from benchmarks.compare.expected import FAILED, FILE, HELD, INCOMPLETE, UNDECIDED

_KINDS = ("above", "below")


@dataclass(frozen=True)
class Bound:
    """Of one arm."""

    arm: str
    kind: str
    """`above` or `below`."""
    share: float

    @property
    def told(self):
        """In words."""
        return f"{self.kind} {100 * self.share:g} %"

    def is_met(self, share):
        """Whether a share is beyond it."""
        return share > self.share if self.kind == "above" else share < self.share


@dataclass(frozen=True)
class Shares:
    """What was found of a bound."""

    bound: Bound
    verdict: str
    num_runs: int = 0
    mean: float | None = None
    lowest: float | None = None
    """Of the runs."""
    highest: float | None = None


def load(file=FILE):
    """World -> subset and bounds, of the worlds that have some.

    Raises:
        ValueError: a bound is not `above` or `below` and a number of percent; names it.
    """
    told = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {
        world: (family["subset"], [_bound(world, *line) for line in family["loud"].items()])
        for world, family in told.items()
        if "loud" in family
    }


def findings(world, bounds):
    """What the runs of a world's record did, a finding for each of its bounds.

    Args:
        world: the record.
        bounds: as `load` gives them.
    """
    subset, told = bounds.get(world.world, (None, []))
    return [_found(world, subset, bound) for bound in told]


def _found(world, subset, bound):
    runs = world.of(bound.arm)
    told = [run.mechanism.get(subset, {}).get("loud") for run in runs]
    shares = [share for share in told if share is not None]
    if not shares:
        return Shares(bound, expected.why_missing(world, (bound.arm,)))
    met = [bound.is_met(share) for share in shares]
    verdict = FAILED if not bound.is_met(fmean(shares)) else HELD if all(met) else UNDECIDED
    if len(shares) < world.planned.get(bound.arm, len(runs)):
        verdict = INCOMPLETE
    return Shares(bound, verdict, len(shares), fmean(shares), min(shares), max(shares))


def _bound(world, arm, line):
    kind, _, percent = str(line).partition(" ")
    if kind not in _KINDS or not percent.replace(".", "", 1).isdigit():
        raise ValueError(
            f"{world}: loud of {arm!r} is {line!r}; give 'above' or 'below' and a number, such as "
            "'above 80'"
        )
    return Bound(arm, kind, float(percent) / 100)
