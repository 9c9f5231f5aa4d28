"""What was expected of worlds, and what was found: a test each, in families.

Every expectation names a bound that the difference of two arms should be beyond (or, `within`,
should stay inside of). The test is Student's t over the pairs of runs against the nearest bound,
two-sided, with Holm's adjustment over the family, which may reach over several worlds. A verdict
needs an adjusted p of at most `ALPHA` and an interval, which covers tasks too, that leaves the
bound out. An expectation without a family is judged by its interval alone.
"""

from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.compare.analysis import difference, run_differences
from murphy_agents.stats.significance import holm, seeds_p_value

FILE = Path(__file__).with_name("expected.yaml")
ALPHA = 0.05
HELD, FAILED, UNDECIDED, MISSING = "held", "did not hold", "undecided", "not run"
DIFFERENT, ALIKE = "told apart", "not told apart"
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

    def is_met(self, mean):
        """Whether a mean is on the side that was expected."""
        if self.kind == "within":
            return abs(mean) < self.bound
        return mean < self.bound if self.kind == "below" else mean > self.bound


@dataclass(frozen=True)
class Finding:
    """An expectation with what was found."""

    expectation: Expectation
    found: object = None
    """`Interval` of the difference; None where an arm was not run."""
    num_pairs: int = 0
    p: float | None = None
    """Against the nearest bound; None for fewer than two pairs."""
    p_holm: float | None = None
    """None without a family too."""
    verdict: str = MISSING


def load(file=FILE):
    """World -> its expectations.

    Raises:
        ValueError: an expectation that has no kind, or two; names it.
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
    bound = 0.0 if kind == "open" else line[kind] / 100
    own = None if line.get("judged") == "interval" else family["family"]
    where = family["iteration"], family["subset"]
    return Expectation(world, line["arm"], line["other"], *where, kind, bound, line["why"], own)


def findings(worlds, expectations):
    """World -> a finding for each of its expectations.

    Args:
        worlds: the records of those that were run.
        expectations: world -> what was expected.
    """
    found = [_found(w, e) for w in worlds for e in expectations.get(w.world, [])]
    adjusted = {}
    for family in {f.expectation.family for f in found} - {None}:
        ps = {i: f.p for i, f in enumerate(found) if f.expectation.family == family}
        adjusted |= holm({i: p for i, p in ps.items() if p is not None})
    judged = [_judged(f, adjusted.get(i)) for i, f in enumerate(found)]
    return {w.world: [f for f in judged if f.expectation.world == w.world] for w in worlds}


def size_of(family, expectations):
    """Expectations of a family, run or not; 1 where it is None."""
    told = [e for found in expectations.values() for e in found]
    return sum(e.family == family for e in told) if family else 1


def _found(world, expected):
    is_there = {expected.arm, expected.other} <= set(world.names)
    if not is_there or expected.iteration > world.iterations or expected.subset not in world.parts:
        return Finding(expected)
    where = expected.arm, expected.other, expected.iteration, expected.subset
    differences = run_differences(world, *where)
    if not differences:
        return Finding(expected)
    interval = difference(world, *where)
    p = None
    if len(differences) > 1:
        p = seeds_p_value(differences, expected.nearest(interval.mean))
    return Finding(expected, interval, len(differences), p)


def _judged(found, p_holm):
    if found.found is None:
        return found
    expected, interval = found.expectation, found.found
    bound = expected.nearest(interval.mean)
    is_clear = found.p is not None and not interval.low <= bound <= interval.high
    if expected.family is not None:
        is_clear = is_clear and p_holm is not None and p_holm <= ALPHA
    return Finding(
        expected, interval, found.num_pairs, found.p, p_holm, _verdict(expected, interval, is_clear)
    )


def _verdict(expected, interval, is_clear):
    if expected.kind == "open":
        return DIFFERENT if is_clear else ALIKE
    if not is_clear:
        return UNDECIDED
    return HELD if expected.is_met(interval.mean) else FAILED
