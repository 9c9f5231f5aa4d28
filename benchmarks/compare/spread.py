"""By how much starts, trainings, tasks and samples differ, and what could have been seen.

Standard deviations of pass@1, each of one source with the others averaged out or taken off. Where
a part that is taken off is the larger one, 0 is left: nothing was seen of it.
"""

import math
from statistics import fmean, stdev, variance

import numpy as np

from benchmarks.compare.analysis import run_differences, run_mean

POWER = 0.8
_QUANTILES = 2000


def within_starts(world, arm, iteration, subset):
    """Of runs of one start, training and evaluation, pooled over starts; None of single runs."""
    groups = [found for found in _by_start(world, arm, iteration, subset) if len(found) > 1]
    if not groups:
        return None
    squares = sum((len(group) - 1) * variance(group) for group in groups)
    return math.sqrt(squares / sum(len(group) - 1 for group in groups))


def between_starts(world, arm, iteration, subset):
    """Of starts, the noise that runs leave in their means taken off; None of one start."""
    groups = _by_start(world, arm, iteration, subset)
    if len(groups) < 2:
        return None
    seeds = within_starts(world, arm, iteration, subset) or 0.0
    noise = fmean(seeds**2 / len(group) for group in groups)
    return math.sqrt(max(0.0, variance(map(fmean, groups)) - noise))


def between_tasks(world, arm, iteration, subset):
    """Of clusters of tasks, runs averaged; None of one cluster."""
    clusters = world.cluster_of()
    rows = [world.values(run, iteration, subset) for run in world.of(arm)]
    means = {}
    for task in rows[0]:
        means.setdefault(clusters[task], []).append(fmean(row[task] for row in rows))
    return stdev(map(fmean, means.values())) if len(means) > 1 else None


def of_sampling(world, arm, iteration, subset):
    """Of one run's mean between evaluations; None where a task is tried once."""
    n = world.eval_runs
    if n < 2:
        return None
    squares = [
        sum(share * (1 - share) / (n - 1) for share in values.values()) / len(values) ** 2
        for values in (world.values(run, iteration, subset) for run in world.of(arm))
    ]
    return math.sqrt(fmean(squares))


def of_pairs(world, arm, other, iteration, subset):
    """Number of pairs of runs, and the standard deviation of their differences."""
    found = run_differences(world, arm, other, iteration, subset)
    return len(found), stdev(found) if len(found) > 1 else None


def detectable(sd, num_pairs, alpha, added=0.0, half_width=0.0):
    """The smallest true difference from a bound that `POWER` of such comparisons would find.

    Found: Student's t over the pairs, two-sided at level alpha, and a mean further than half_width
    from the bound, so that an interval of that half width, which covers tasks too, lies wholly
    beyond it. Differences are taken as normal with that standard deviation; `added` is the variance
    that pairs share (`significance.shared_variance`), and the interval's width is taken as it is.
    alpha 1: by the interval alone. Where nothing varies, any difference beyond half_width is found
    if so many pairs of one sign can reach alpha at all (2 / 2^n); else none is, and it is None.

    Raises:
        ValueError: fewer than two pairs.
    """
    if num_pairs < 2:
        raise ValueError(f"num_pairs is {num_pairs}; their spread cannot be told from one")
    is_reached = 2 / 2**num_pairs <= alpha
    if sd == 0 and not (added and is_reached):
        return half_width if is_reached else None
    from scipy.optimize import brentq
    from scipy.stats import t

    error = math.sqrt(sd**2 / num_pairs + added)
    limit, least = float(t.ppf(1 - alpha / 2, num_pairs - 1)), half_width / error

    def too_little(shift):
        return power(shift, limit, num_pairs - 1, least) - POWER

    if too_little(0.0) >= 0:
        return 0.0
    return float(brentq(too_little, 0.0, 3 * limit + least + 10)) * error


def power(shift, limit, freedom, least=0.0):
    """P(|T| > limit and |its numerator| > least), T noncentral t, by its chi-square's quantiles.

    `scipy.stats.nct` gives nan in its far tail.
    """
    from scipy.stats import chi2, norm

    evenly = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    limits = np.maximum(limit * np.sqrt(chi2.ppf(evenly, freedom) / freedom), least)
    return float((norm.sf(limits - shift) + norm.cdf(-limits - shift)).mean())


def _by_start(world, arm, iteration, subset):
    groups = {}
    for run in world.of(arm):
        groups.setdefault(run.start, []).append(run_mean(world, run, iteration, subset))
    return list(groups.values())
