"""p values of a difference over pairs of runs, also where several runs share a partner.

Runs of one start are compared with one evaluation of the model that they began with. What luck that
evaluation had moves all of their differences alike, so Student's t over the pairs takes it for
less than it is. With n pairs over k evaluations the mean difference varies by

    s^2 / n + sigma_B^2 * (n / k - 1) / (n - 1)

where s^2 / n is what Student's t knows: runs of one start share their partner's luck, so s^2 holds
less than a whole sigma_B^2. (Where starts have unequal numbers n_i of runs, 1 / k is the sum of
n_i^2 / n^2.) sigma_B^2, of one evaluation's mean, is not seen, as each is there once; it is at most
m (1 - m) / N with mean m of N tries, as if all tasks were equally hard, and that is taken, so what
is added is rather too much. Pairs of trained arms have no evaluation in common: k = n.

All evaluations draw with the same random numbers. What runs of an arm have in common by that is not
in their spread, and so not in p: it is for these numbers, as for these tasks and starting models.
"""

import math
from statistics import fmean, variance

from benchmarks.compare.analysis import pairs_of, run_differences, run_mean
from murphy_agents.stats.significance import seeds_p_value


def p_value(world, arm, other, iteration, subset, against):
    """Two-sided, of a mean difference between two arms and a bound; None for fewer than two pairs.

    Never below what Student's t over the pairs says alone (`seeds_p_value`).
    """
    where = iteration, subset
    found = run_differences(world, arm, other, *where)
    if len(found) < 2:
        return None
    alone = seeds_p_value(found, against)
    added = shared_variance(world, arm, other, *where)
    if not added:
        return alone
    from scipy.stats import t

    error = math.sqrt(variance(found) / len(found) + added)
    return max(alone, float(2 * t.sf(abs(fmean(found) - against) / error, len(found) - 1)))


def shared_variance(world, arm, other, iteration, subset):
    """sigma_B^2 (n / k - 1) / (n - 1), at most; 0 where no two runs share a partner."""
    partners = [partner for partner, _ in pairs_of(world, arm, other)]
    once = list(dict.fromkeys(partners))
    if len(once) == len(partners):
        return 0.0
    means = [run_mean(world, run, iteration, subset) for run in once]
    tries = len(world.tasks_of(subset)) * world.eval_runs
    of_one = fmean(mean * (1 - mean) for mean in means) / tries
    return of_one * share_unseen([partners.count(run) for run in once])


def share_unseen(sizes):
    """Of the variance of one partner's luck, what a mean over pairs has and s^2 / n does not tell.

    Args:
        sizes: how many pairs each partner has, two pairs or more in all.
    """
    n = sum(sizes)
    held = sum(size * size for size in sizes) / n  # n / k where all have as many
    return (held - 1) / (n - 1)
