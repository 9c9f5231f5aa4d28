"""The three budgets of a run, and pass@1 along them: what was reached when they were equal.

A run's path begins with its starting model, at no cost, where that was evaluated on the tasks of
the curves, and goes through its checkpoints. Between them it is taken to be straight. Intervals
here are Student's over the runs, for the tasks at hand.
"""

import math
from statistics import fmean, stdev

import numpy as np

from benchmarks.compare.analysis import is_trained, seconds
from murphy_agents.stats.resampling import Interval

BUDGETS = {
    "generations": lambda costs: costs.get("generations", 0.0),
    "trained tokens": lambda costs: costs.get("trained tokens", 0.0),
    "seconds of training": seconds,
}
"""What is paid, of a run's costs; seconds are those of generation, execution and update."""


def arms_with_paths(world, subset):
    """The trained arms all of whose runs have checkpoints that were evaluated."""
    return [
        arm
        for arm in world.names
        if is_trained(world, arm)
        and all(len(path(world, run, subset, "generations")[0]) > 1 for run in world.of(arm))
    ]


def path(world, run, subset, budget):
    """What was paid, and pass@1 at the last iteration: two lists, least paid first."""
    points = _points(world, run, subset)
    paid = [BUDGETS[budget](point["costs"]) for point in points]
    return paid, [point["pass_at_1"][subset][-1] for point in points]


def shared(world, arms, subset, budget):
    """The most that every run of these arms paid."""
    return min(path(world, run, subset, budget)[0][-1] for arm in arms for run in world.of(arm))


def at(world, arm, subset, budget, amount):
    """pass@1 of an arm when its runs had paid that much, and the mean step at which they had.

    None where a path begins later or ends before.
    """
    found, steps = [], []
    for run in world.of(arm):
        paid, values = path(world, run, subset, budget)
        at_steps = [point["step"] for point in _points(world, run, subset)]
        if not paid[0] <= amount <= paid[-1]:
            return None
        found.append(float(np.interp(amount, paid, values)))
        steps.append(float(np.interp(amount, paid, at_steps)))
    return over_runs(found), fmean(steps)


def over_runs(values):
    """Mean and 95 % interval; of a single run nobody knows the ends, which are nan."""
    mean = fmean(values)
    if len(values) < 2:
        return Interval(mean, math.nan, math.nan)
    from scipy.stats import t

    half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return Interval(mean, max(0.0, mean - half), min(1.0, mean + half))


def along(world, arm, subset, budget):
    """(mean paid, interval of pass@1) of an arm's checkpoints, one by one.

    Checkpoints belong together that lie at the same share of their runs' steps; those that some
    run lacks are left out.
    """
    ways = [
        dict(zip(_shares(world, run, subset), zip(*path(world, run, subset, budget), strict=True),
                 strict=True))
        for run in world.of(arm)
    ]  # fmt: skip
    everywhere = [share for share in ways[0] if all(share in way for way in ways)]
    return [
        (fmean(way[share][0] for way in ways), over_runs([way[share][1] for way in ways]))
        for share in everywhere
    ]


def _points(world, run, subset):
    """The starting model where it was evaluated so, and the checkpoints, in their order."""
    before = [r for r in world.of("base") if r.start == run.start]
    return [point for r in (*before, run) for point in r.curve if subset in point["pass_at_1"]]


def _shares(world, run, subset):
    """At which share of the run's steps its points lie: the planned one that is nearest."""
    points = _points(world, run, subset)
    num_steps = run.costs.get("steps") or points[-1]["step"]
    whole = world.settings.get("max_steps")
    planned = [0.0, *(step / whole for step in world.settings.get("curve_steps") or ())]
    shares = [point["step"] / num_steps for point in points]
    if len(planned) == 1:
        return [round(share, 2) for share in shares]
    return [min(planned, key=lambda near: abs(near - share)) for share in shares]
