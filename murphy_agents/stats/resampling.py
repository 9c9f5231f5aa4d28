"""The bootstrap over clusters of tasks: tables of values, resampled means, percentiles.

A resample draws as many clusters as there are, with replacement, each with all its tasks. Its mean
is the sum of the values over their number, which varies with the clusters drawn.

B: resamples, C: clusters, R: rows, one for each set of values (seeds, say). numpy only.
"""

# An array's name ends in its dimensions.

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Values = Mapping[str, float]
"""One number for each task id."""
Clusters = Mapping[str, str]
"""The cluster of each task id; more ids than asked for do no harm."""

_BLOCK = 1 << 22
"""Most counts (resamples times clusters) held at a time."""


@dataclass(frozen=True)
class Interval:
    """A mean and the interval around it.

    Example:
        >>> f"{Interval(0.5, 0.25, 0.75):.1%}"
        '50.0% (25.0% to 75.0%)'
    """

    mean: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        return f"{self.mean:{spec}} ({self.low:{spec}} to {self.high:{spec}})"


def resampled_means(
    table_RC: Array, sizes_C: Array, num_resamples: int, rng: np.random.Generator
) -> Array:
    """Means of every row in every resample of clusters; all rows share the resamples."""
    if type(num_resamples) is not int or num_resamples < 1:
        raise ValueError(f"num_resamples is {num_resamples!r}; give a whole number, at least 1")
    num_clusters, blocks = len(sizes_C), []
    rows = max(1, _BLOCK // num_clusters)
    for start in range(0, num_resamples, rows):
        size = min(rows, num_resamples - start)
        drawn_BC = rng.integers(num_clusters, size=(size, num_clusters))
        drawn_BC += num_clusters * np.arange(size)[:, None]
        counted = np.bincount(drawn_BC.ravel(), minlength=size * num_clusters)
        counts_BC = counted.reshape(size, num_clusters).astype(np.float64)
        blocks.append((counts_BC @ table_RC.T) / (counts_BC @ sizes_C)[:, None])
    return np.concatenate(blocks)


def table(rows: Sequence[Values], clusters: Clusters) -> tuple[Array, Array]:
    """Sums of the values by row and cluster, and how many tasks a cluster has."""
    tasks = sorted(rows[0])
    for row in rows:
        check_values(rows[0], row, clusters)
    names = sorted({clusters[task] for task in tasks})
    if len(names) < 2:
        raise ValueError(
            f"all {len(tasks)} tasks are of one cluster, {names[0]!r}, which says nothing of how "
            "clusters differ; give tasks of several, or each a cluster of its own"
        )
    place = {name: index for index, name in enumerate(names)}
    places = np.array([place[clusters[task]] for task in tasks])
    sums = [
        np.bincount(places, weights=[row[task] for task in tasks], minlength=len(names))
        for row in rows
    ]
    return np.array(sums), np.bincount(places).astype(np.float64)


def check_values(first: Values, values: Values, clusters: Clusters) -> None:
    """Raise ValueError unless there is a finite number, and a cluster, for each task of `first`."""
    if not values:
        raise ValueError("there are no values; give one for every task")
    _check_same_tasks(first, values)
    for task, value in values.items():
        if task not in clusters:
            raise ValueError(f"task {task!r} has no cluster; name one for every task")
        if not math.isfinite(value):
            raise ValueError(f"the value of task {task!r} is {value}; give finite numbers")


def _check_same_tasks(a: Values, b: Values) -> None:
    if apart := sorted(a.keys() ^ b.keys()):
        raise ValueError(
            f"{len(apart)} tasks have a value on one side alone, the first {apart[:3]}; compare "
            "evaluations of the same tasks, or leave these out on both sides"
        )


def difference(a: Values, b: Values) -> dict[str, float]:
    """The values b - a of the tasks, which must be the same on both sides."""
    _check_same_tasks(a, b)
    return {task: b[task] - a[task] for task in a}


def percentiles(mean: float, drawn_B: Array, level: float) -> Interval:
    """The interval that leaves out as many of the drawn means below as above."""
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; give a share in (0, 1), such as 0.95")
    low, high = np.quantile(drawn_B, [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high))
