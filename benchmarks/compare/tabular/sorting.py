"""The sorting world: what is asked for stands in expected values alone.

"Sort the words": alphabetically with probability 1/2, else by length with one of six readings of
ties, equally likely. In the probe world a program could read the separator out of its input, if it
knew how; here no program can, since the input is the same whatever is asked for.

Sorting alphabetically is right most often. Its first failing test has words of distinct lengths, on
which all readings agree: it says "by length" and no more. A program that sorts by length is seldom
right, but its first failing test names what is asked for. So probing costs the first attempt, and
is worth it at the second.

Columns: 0 alphabetically, 1..6 by length. Rows: 0 the first prompt, 1 "by length", 2..8 "this is
asked for", in the order of the columns. Wrong alphabetically earns 1/4; wrong by length 1/2 where
only ties are wrong, else 1/4.
"""

from __future__ import annotations

import math

import numpy as np

from benchmarks.compare.tabular.world import SOLVED, World

READINGS = 6


def sorting(mode_share: float = 1 / 2, skill: float = 1 / 2) -> World:
    """The world with these numbers.

    Args:
        mode_share: share of first attempts that sort alphabetically at the start.
        skill: probability, at the start, that what was named is used; after "by length" an attempt
            sorts alphabetically again with weight 1/e.
    """
    columns = np.arange(1 + READINGS)
    logits_RC = np.zeros((2 + len(columns), len(columns)))
    logits_RC[0, 0] = math.log(mode_share / (1 - mode_share) * READINGS)
    logits_RC[1, 0] = -1.0
    logits_RC[2 + columns, columns] = math.log(skill / (1 - skill) * READINGS)
    # Alphabetical order is half of all tasks: as many copies of it as there are readings.
    truths_D1 = np.array([0] * READINGS + list(range(1, 1 + READINGS)))[:, None]
    right_DC = columns == truths_D1
    ties_DC = (columns > 0) & (truths_D1 > 0)
    return World(
        logits_RC,
        np.where(right_DC, 1.0, np.where(ties_DC, 1 / 2, 1 / 4)),
        np.where(right_DC, SOLVED, np.where(columns == 0, 1, 2 + truths_D1)),
        (columns > 0).astype(float),
    )
