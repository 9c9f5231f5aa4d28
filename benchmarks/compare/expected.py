"""What was expected of worlds, and what was found: a test each, in families.

Every expectation names a bound that the difference of two arms should be beyond (or, `within`,
should stay inside of). It held where the whole interval, which covers tasks too, is beyond the
bound, did not hold where it is wholly on the other side, and is undecided where it reaches the
bound: not shown. With a family it also takes a p of at most `ALPHA`: Student's t over the pairs of
runs against the nearest bound, two-sided, with Holm's adjustment over the family, which may reach
over several worlds. Fewer pairs than planned give no verdict.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from benchmarks.compare.analysis import difference, run_differences
from benchmarks.compare.significance import p_value
from murphy_agents.stats.resampling import Interval
from murphy_agents.stats.significance import holm

FILE = Path(__file__).with_name("expected.yaml")
ALPHA = 0.05
HELD, FAILED, UNDECIDED = "held", "did not hold", "undecided"
APART, NOT_APART = "told apart", "not told apart"
MISSING, BROKEN, INCOMPLETE = "not run", "failed", "incomplete"
_KINDS = ("above", "below", "within", "open")


@dataclass(frozen=True)
class Expectation:
    """A difference, arm minus other, at an iteration on a subset of the tasks."""

    world: str
    arm: str
    other: str
    iteration: int
    subset: str
    kind: str
    bound: float
    """A share; 0 where nothing was expected."""
    why: str
    family: str | None = None
    """Over which p is adjusted; None: judged by the interval."""
    after: str = ""
    """What is to be said of the reason, written when the figures were there."""

    @property
    def pair(self):
        """Who is compared."""
        return f"{self.arm} - {self.other}"

    @property
    def told(self):
        """In words."""
        points = f"{100 * self.bound:g} points"
        if self.kind == "open":
            return "no expectation"
        if self.kind == "within":
            return f"less than {points} apart"
        return f"{self.kind} {points if self.bound else '0'}"

    def nearest(self, mean):
        """The bound that a mean is nearest to."""
        return -self.bound if self.kind == "within" and mean < 0 else self.bound

    def holds_all_of(self, interval):
        """Whether an interval lies wholly where it was expected; not if an end is nan."""
        if self.kind == "within":
            return -self.bound < interval.low and interval.high < self.bound
        return interval.high < self.bound if self.kind == "below" else interval.low > self.bound

    def holds_none_of(self, interval):
        """Whether it lies wholly elsewhere; not if an end is nan."""
        if self.kind == "within":
            return interval.low > self.bound or interval.high < -self.bound
        return interval.low > self.bound if self.kind == "below" else interval.high < self.bound


@dataclass(frozen=True)
class Finding:
    """An expectation with what was found."""

    expectation: Expectation
    verdict: str
    interval: Interval | None = None
    """Of the difference; None where no pair of runs is there."""
    num_pairs: int = 0
    num_planned: int = 0
    """Pairs that the settings ask for; those at hand where the record does not tell."""
    p: float | None = None
    """Against the nearest bound; None for fewer than two pairs."""
    p_holm: float | None = None
    """None without a family too."""


def load(file=FILE):
    """World -> its expectations.

    Raises:
        ValueError: an expectation that has no kind, or two, or lacks a key; names it.
    """
    told = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {
        world: [_expectation(world, family, line) for line in family["expectations"]]
        for world, family in told.items()
    }


def _expectation(world, family, line):
    kinds = [kind for kind in _KINDS if kind in line]
    if len(kinds) != 1:
        raise ValueError(f"{world}: {line} has the kinds {kinds}; give one of {_KINDS}")
    (kind,) = kinds
    missing = [key for key in ("arm", "other", "why") if key not in line]
    missing += [key for key in ("family", "subset", "iteration") if key not in family]
    if missing:
        raise ValueError(f"{world}: {line} lacks {', '.join(missing)}")
    if kind != "open" and not isinstance(line[kind], int | float):
        raise ValueError(f"{world}: {kind} is {line[kind]!r} in {line}; give points")
    bound = 0.0 if kind == "open" else line[kind] / 100
    own = None if line.get("judged") == "interval" else family["family"]
    where = family["iteration"], family["subset"]
    told = line["why"], own, line.get("after", "")
    return Expectation(world, line["arm"], line["other"], *where, kind, bound, *told)


def findings(worlds, expectations):
    """World -> a finding for each of its expectations.

    Holm's adjustment is over the whole family: what was not run counts as a test with p = 1, so
    that no world's verdict is easier for another one's being missing.

    Args:
        worlds: the records of those that were run.
        expectations: world -> what was expected.
    """
    there = {world.world: world for world in worlds}
    told = [e for found in expectations.values() for e in found]
    found = [_found(there[e.world], e) if e.world in there else Finding(e, MISSING) for e in told]
    adjusted = {}
    for family in {e.family for e in told} - {None}:
        ps = {i: f.p for i, f in enumerate(found) if f.expectation.family == family}
        adjusted |= holm({i: 1.0 if p is None else p for i, p in ps.items()})
    judged = [_judged(f, adjusted.get(i)) for i, f in enumerate(found)]
    return {w.world: [f for f in judged if f.expectation.world == w.world] for w in worlds}


def size_of(family, expectations):
    """Expectations of a family, run or not; 1 where it is None."""
    told = [e for found in expectations.values() for e in found]
    return sum(e.family == family for e in told) if family else 1


def why_missing(world, arms):
    """`failed` where a run of these arms went wrong, else `not run`."""
    return BROKEN if any(world.has_failed(arm) for arm in arms) else MISSING


def _found(world, expected):
    where = expected.arm, expected.other, expected.iteration, expected.subset
    planned = world.planned.get(expected.arm, 0)
    is_there = expected.iteration <= world.iterations and expected.subset in world.parts
    differences = run_differences(world, *where) if is_there else []
    if not differences:
        missing = why_missing(world, (expected.arm, expected.other))
        return Finding(expected, missing, num_planned=planned)
    interval, num = difference(world, *where), len(differences)
    p = p_value(world, *where, expected.nearest(interval.mean))
    return Finding(expected, UNDECIDED, interval, num, planned or num, p)


def _judged(found, p_holm):
    if found.interval is None:
        return found
    if found.p is None:
        p_holm = None
    return replace(found, p_holm=p_holm, verdict=_verdict(found, p_holm))


def _verdict(found, p_holm):
    expected = found.expectation
    if found.num_pairs < found.num_planned:
        return INCOMPLETE
    if expected.family is None:
        is_told = found.p is not None
    else:
        is_told = p_holm is not None and p_holm <= ALPHA
    if expected.kind == "open":
        is_apart = is_told and (found.interval.low > 0 or found.interval.high < 0)
        return APART if is_apart else NOT_APART
    if is_told and expected.holds_all_of(found.interval):
        return HELD
    return FAILED if is_told and expected.holds_none_of(found.interval) else UNDECIDED
