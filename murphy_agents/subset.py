"""Which b of n values to keep so that they differ most. Plain numbers, no tree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate


def max_variance(values: Sequence[float], b: int) -> set[int]:
    """Indices of the b values of largest variance: one sort, then prefix sums for every split."""
    n, mean = len(values), math.fsum(values) / len(values)
    high = sorted(range(n), key=lambda i: (-values[i], i))
    moments = [[0.0, *accumulate((values[i] - mean) ** p for i in high)] for p in (1, 2)]

    def variance(k: int) -> float:
        """Of the k highest and the b - k lowest."""
        first, second = ((m[k] + m[n] - m[n - b + k]) / b for m in moments)
        return round(second - first * first, 12)

    k = max(range(b + 1), key=lambda k: (variance(k), k))
    low = sorted(high[k:], key=lambda i: (values[i], i))
    return {*high[:k], *low[: b - k]}


def contribution(values: Sequence[float], b: int) -> set[int]:
    """Indices of the highest and the lowest value, then of those farthest from the mean."""
    mean = math.fsum(values) / len(values)
    far = sorted(enumerate(values), key=lambda iv: (-round((iv[1] - mean) ** 2, 12), -iv[1], iv[0]))
    ends = (values.index(max(values)), values.index(min(values)))
    return set(list(dict.fromkeys([*ends, *(index for index, _ in far)]))[:b])
