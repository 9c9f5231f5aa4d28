"""Intervals for means over tasks that come in clusters, and for those over seeds of training too.

A mean gives every task the same weight. What varies from one benchmark of the kind to another is
which tasks are in it, and tasks of one cluster (one problem text) are alike, so whole clusters are
resampled with replacement: a percentile bootstrap (see `resampling`). Runs of a task are averaged
before; their noise is within what varies between clusters.

Departures from the plain bootstrap: few seeds cannot be resampled to an honest 95 % interval (three
give at most 75 %: that often the extremes of three draws lie on both sides of the median), so by
default the part of the seeds is drawn from Student's t. `docs/design/0602` has the figures.

B: resamples, C: clusters, R: seeds. Nothing here knows models, or where the values come from.
"""

# An array's name ends in its dimensions.

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Literal, NamedTuple

import numpy as np

from murphy_agents.stats.resampling import (
    Array,
    Clusters,
    Interval,
    Values,
    difference,
    percentiles,
    resampled_means,
    table,
)

__all__ = ["Interval", "interval", "paired_interval", "seeds_difference", "seeds_interval"]

Seeds = Literal["student", "resample"]
"""What stands for the noise between seeds of training. "student": the mean over seeds is moved by
its standard error times a Student variate. "resample": seeds are drawn with replacement as clusters
are, crossed with them (Owen, arXiv 0712.1111)."""


def interval(
    values: Values,
    clusters: Clusters,
    level: float = 0.95,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Mean of `values` and its percentile bootstrap interval over clusters.

    Equal values give an interval without width: nothing was seen to vary.

    Raises:
        ValueError: a single cluster, of which nothing can be learned about others; no values; a
            task without a cluster; a value that is not finite; an impossible level or count.
    """
    table_RC, sizes_C = table([values], clusters)
    means_BR = resampled_means(table_RC, sizes_C, num_resamples, np.random.default_rng(seed))
    return percentiles(float(table_RC.sum() / sizes_C.sum()), means_BR[:, 0], level)


def paired_interval(
    a: Values,
    b: Values,
    clusters: Clusters,
    level: float = 0.95,
    num_resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Mean difference b - a over the same tasks, with its interval; errors as for `interval`.

    Raises:
        ValueError: the two have different tasks.
    """
    return interval(difference(a, b), clusters, level, num_resamples, seed)


def seeds_interval(
    values: Sequence[Values],
    clusters: Clusters,
    level: float = 0.95,
    num_resamples: int = 10_000,
    seed: int = 0,
    seeds: Seeds = "student",
) -> Interval:
    """Mean over seeds of training and tasks, both of which would differ another time.

    Args:
        values: for each seed the values of the same tasks.
        clusters: of the tasks; resampled alike for all seeds.
        level: of confidence.
        num_resamples: size of the bootstrap.
        seed: of the bootstrap.
        seeds: what stands for the noise between seeds.

    Raises:
        ValueError: as for `interval`; fewer than two seeds; seeds with different tasks.
    """
    return _arms_interval([values], clusters, level, num_resamples, seed, seeds)


def runs_interval(
    values: Sequence[Values], clusters: Clusters, are_trained: bool, least: float
) -> Interval:
    """Mean over the runs of one arm, with the interval that comparisons tell.

    Trained runs, two or more: clusters and seeds (`seeds_interval`); else clusters alone. Ends are
    nan where there is a single cluster.

    Args:
        values: for each run the values of the same tasks.
        clusters: of the tasks.
        are_trained: whether every run has a seed of training.
        least: what such a mean is at least, and 1 at most; the ends are cut there.
    """
    averaged = {task: fmean(row[task] for row in values) for task in values[0]}
    if len({clusters[task] for task in averaged}) < 2:
        return Interval(fmean(averaged.values()), math.nan, math.nan)
    if len(values) < 2 or not are_trained:
        return interval(averaged, clusters)
    found = seeds_interval(values, clusters)
    return Interval(found.mean, max(least, found.low), min(1.0, found.high))


def seeds_difference(
    a: Sequence[Values],
    b: Sequence[Values],
    clusters: Clusters,
    level: float = 0.95,
    num_resamples: int = 10_000,
    seed: int = 0,
    seeds: Seeds = "student",
    paired: bool = False,
) -> Interval:
    """Mean of arm b minus mean of arm a, each over seeds of its own and the same tasks.

    Tasks are always paired. With `paired` the i-th seeds of both arms belong together (the same
    start and order of problems) and their differences are taken first; otherwise the arms may have
    different numbers of seeds, which vary independently. Errors as for `seeds_interval`.

    Raises:
        ValueError: `paired` with different numbers of seeds.
    """
    if not paired:
        return _arms_interval([a, b], clusters, level, num_resamples, seed, seeds)
    if len(a) != len(b):
        raise ValueError(
            f"paired seeds, but arm a has {len(a)} and arm b {len(b)}; give pairs, or paired=False"
        )
    differences = [difference(*pair) for pair in zip(a, b, strict=True)]
    return _arms_interval([differences], clusters, level, num_resamples, seed, seeds)


class _Arm(NamedTuple):
    """The seeds of one arm of a comparison."""

    sign: int
    means_R: Array
    """Mean over tasks of every seed."""
    means_BR: Array
    """The same in every resample of clusters."""


def _arms_interval(
    arms: Sequence[Sequence[Values]],
    clusters: Clusters,
    level: float,
    num_resamples: int,
    seed: int,
    seeds: Seeds,
) -> Interval:
    """Mean of the last arm, minus that of the first where there are two."""
    for values in arms:
        if len(values) < 2:
            raise ValueError(
                f"there are {len(values)} seeds, from which their noise cannot be told; give two "
                "at least, or use interval or paired_interval, which speak of one trained model"
            )
    if seeds not in ("student", "resample"):
        raise ValueError(f"seeds is {seeds!r}; choose 'student' or 'resample'")
    table_RC, sizes_C = table([values for arm in arms for values in arm], clusters)
    rng = np.random.default_rng(seed)
    means_BR = resampled_means(table_RC, sizes_C, num_resamples, rng)
    means_R = table_RC.sum(1) / sizes_C.sum()
    ends = np.cumsum([len(values) for values in arms])[:-1]
    signs = [-1] * (len(arms) - 1) + [1]
    split = list(map(_Arm, signs, np.split(means_R, ends), np.split(means_BR, ends, axis=1)))
    drawn_B = _by_student(split, rng) if seeds == "student" else _by_resampling(split, rng)
    return percentiles(float(sum(a.sign * a.means_R.mean() for a in split)), drawn_B, level)


def _by_student(arms: Sequence[_Arm], rng: np.random.Generator) -> Array:
    """Means over all seeds, moved by their standard error times a Student variate.

    Its degrees of freedom are Welch's: R - 1 of one arm, up to twice as many of two.
    """
    means_B = sum(arm.sign * arm.means_BR.mean(1) for arm in arms)
    squares = [arm.means_R.var(ddof=1) / len(arm.means_R) for arm in arms]
    if not (total := sum(squares)):
        return np.asarray(means_B)
    terms = [s**2 / (len(arm.means_R) - 1) for s, arm in zip(squares, arms, strict=True)]
    moves_B = rng.standard_t(total**2 / sum(terms), len(arms[0].means_BR))
    return np.asarray(means_B + math.sqrt(total) * moves_B)


def _by_resampling(arms: Sequence[_Arm], rng: np.random.Generator) -> Array:
    """Means over seeds drawn with replacement, anew in every resample of clusters."""
    drawn = [rng.integers(len(arm.means_R), size=arm.means_BR.shape) for arm in arms]
    return np.asarray(
        sum(
            arm.sign * np.take_along_axis(arm.means_BR, drawn_BR, axis=1).mean(1)
            for arm, drawn_BR in zip(arms, drawn, strict=True)
        )
    )
