"""Whether two models differ on the same tasks: p values of scipy's tests, and pass@k of few runs.

Which test when: `sign_flip` wherever runs were sampled, `mcnemar` for one greedy run of each model.
Both condition on these tasks and ask whether the two models could be one. `seeds_p_value` is for
algorithms, each with several trainings: it asks whether more trainings would differ so. scipy has
no correction of Holm's; `holm` is ours.

scipy is imported when a test is asked for: it takes longer to load than all else here.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from murphy_agents.stats.resampling import Array, Clusters, Values, check_values, difference

Name = TypeVar("Name", bound=Hashable)

_MOST_FLIPPED = 1000
"""Resamples held at a time."""
_DECIMALS = 9
"""Sums that are equal but for the order of their terms are ties; rounding them, and never their
terms, makes them so."""


def pass_at_k(num_samples: int, num_solved: int, k: int) -> float:
    """Chance that one of k samples of a task solves it, without bias from n >= k samples.

    1 - C(n - c, k) / C(n, k), where c of n samples solve it (Chen et al., arXiv 2107.03374,
    section 2.1). Computed in whole numbers, so that nothing overflows or cancels.

    Raises:
        ValueError: k is below 1 or above n, or c is not in 0 to n.

    Example:
        >>> pass_at_k(3, 1, 1), pass_at_k(3, 1, 2), pass_at_k(3, 1, 3)
        (0.3333333333333333, 0.6666666666666666, 1.0)
    """
    if not 1 <= k <= num_samples:
        raise ValueError(
            f"k is {k} with {num_samples} samples; give a k from 1 to their number, or draw more"
        )
    if not 0 <= num_solved <= num_samples:
        raise ValueError(f"num_solved is {num_solved}; give 0 to num_samples, {num_samples}")
    ways = math.comb(num_samples, k)
    return (ways - math.comb(num_samples - num_solved, k)) / ways


def sign_flip(
    a: Values,
    b: Values,
    clusters: Clusters | None = None,
    num_resamples: int = 99_999,
    seed: int = 0,
) -> float:
    """Two-sided p value of the mean difference between two models on the same tasks.

    If both were one model, the sign of every difference b - a would be a toss of a coin. Tasks of
    one cluster are alike and are tossed together, by the sum of their differences. The test is
    `scipy.stats.permutation_test` with `permutation_type="samples"`: exact where all sign patterns
    are no more than `num_resamples`, else with that many drawn ones.

    Values of few runs tie, which makes p rather too large; with unequal numbers of runs the toss is
    fair only nearly, but false alarms are as rare (`docs/design/0606`). Where nothing differs it is
    1. Few clusters bound it: n that differ give 2 / 2**n at least.

    Args:
        a: one value for each task, say the share of its runs that are solved.
        b: the same of the other model.
        clusters: of the tasks; without them, each is a cluster of its own.
        num_resamples: most sign patterns that are looked at.
        seed: of the drawn ones.

    Raises:
        ValueError: the two have different tasks, or none; a task without a cluster; a value that
            is not finite.
    """
    sums_C = _sums(difference(a, b), clusters)
    # A zero has no sign to toss, and without it more cases can be exact.
    sums_C = sums_C[sums_C.round(_DECIMALS) != 0]
    if len(sums_C) < 2:
        return 1.0  # a single difference is as far from 0 with either sign
    from scipy.stats import permutation_test

    found = permutation_test(
        (sums_C,),
        lambda flipped, axis: flipped.sum(axis=axis).round(_DECIMALS),
        permutation_type="samples",
        vectorized=True,
        n_resamples=num_resamples,
        batch=_MOST_FLIPPED,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def mcnemar(a: Values, b: Values) -> float:
    """Two-sided exact p value of two models with one run each: McNemar's test.

    Of the tasks that one model alone solved, either should have half if both were equally good:
    `scipy.stats.binomtest`. No such task gives 1. It knows no clusters.

    Raises:
        ValueError: a value is neither 0 nor 1, or the two have different tasks, or none.
    """
    differences = difference(a, b)
    check_values(differences, differences, {task: task for task in differences})
    for task in differences:
        for value in (a[task], b[task]):
            if value not in (0, 1):
                raise ValueError(
                    f"task {task!r} has the value {value}, so more than one run; McNemar's test is "
                    "for single runs, whose values are 0 or 1: use sign_flip"
                )
    gained, lost = (sum(sign * d > 0 for d in differences.values()) for sign in (1, -1))
    if not gained + lost:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(gained, gained + lost, 0.5).pvalue)


def seeds_p_value(differences: Sequence[float], against: float = 0.0) -> float:
    """Two-sided p value of a mean difference between two algorithms over pairs of trainings.

    Student's t with one degree of freedom less than there are pairs: the part that trainings have
    in `statistics.seeds_interval`, for the tasks at hand. Where all differences are equal there is
    no spread to go by, and p is what n pairs of one sign can say at least, 2 / 2**n; it is 1 where
    they are equal to `against`.

    Args:
        differences: for each pair of trainings (same start and seed) the difference of their means.
        against: the difference that is asked about.

    Raises:
        ValueError: fewer than two differences, or one that is not finite.

    Example:
        >>> round(seeds_p_value([0.1, 0.2, 0.3]), 4)
        0.0742
    """
    if len(differences) < 2 or not all(map(math.isfinite, differences)):
        raise ValueError(
            f"the differences are {list(differences)}; give two finite ones at least, as their "
            "spread cannot be told from one"
        )
    shifted = np.array(differences) - against
    if np.ptp(shifted.round(_DECIMALS)) == 0:
        return 1.0 if shifted[0].round(_DECIMALS) == 0 else 2 / 2 ** len(shifted)
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(shifted, 0.0).pvalue)


def holm(ps: Mapping[Name, float]) -> dict[Name, float]:
    """Adjust p values for their number, by the names of their tests: Holm's step down.

    In rising order the i-th of m is multiplied by m - i + 1; none is below the one before it or
    above 1. Rejecting all that are at most alpha keeps the chance of a single false alarm at alpha,
    however the tests depend on each other.

    Raises:
        ValueError: a value is not in 0 to 1.

    Example:
        >>> holm({"a": 0.04, "b": 0.01, "c": 0.03})
        {'a': 0.06, 'b': 0.03, 'c': 0.06}
    """
    for name, p in ps.items():
        if not 0 <= p <= 1:
            raise ValueError(f"the p value of {name!r} is {p}; give numbers in 0 to 1")
    adjusted, highest = {}, 0.0
    for rank, name in enumerate(sorted(ps, key=lambda name: ps[name])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[name]))
        adjusted[name] = highest
    return {name: adjusted[name] for name in ps}


def _sums(differences: Values, clusters: Clusters | None) -> Array:
    """Sum of the differences of every cluster, in the order of their names."""
    clusters = {task: task for task in differences} if clusters is None else clusters
    check_values(differences, differences, clusters)
    sums = {clusters[task]: 0.0 for task in sorted(differences)}
    for task in sorted(differences):
        sums[clusters[task]] += differences[task]
    return np.array([sums[name] for name in sorted(sums)])
