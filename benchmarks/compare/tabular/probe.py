"""The probe world: a first attempt can hide or reveal what is wrong.

A string of numbers is joined by one of k separators, unknown to the policy. An attempt guesses the
separator in one of two styles. Wrong and quiet (errors swallowed): reward `quiet`, nothing learnt.
Wrong and loud: reward `loud`, less, but the error message names the separator. Both styles solve
the first turn equally often; only the loud one makes the second turn solvable.

Columns: style * k + separator, loud the second style. Rows: 0 the first prompt, 1..k "the message
named separator d", k + 1..2k "I tried t and learnt nothing".
"""

from __future__ import annotations

import math

import numpy as np

from benchmarks.compare.tabular.world import SOLVED, World


def probe(
    k: int = 8,
    quiet: float = 1 / 2,
    loud: float = 1 / 3,
    blind: bool = False,
    loud_share: float = 1 / 2,
    skill: float = 1 / 2,
) -> World:
    """The world with these numbers.

    Args:
        k: number of separators.
        quiet: what a wrong quiet attempt earns.
        loud: what a wrong loud attempt earns.
        blind: the message names no separator, so that loud attempts learn nothing either.
        loud_share: share of loud first attempts at the start.
        skill: probability, at the start, that a named separator is used; a tried one is repeated
            with weight 1/e.
    """
    logits_RC = np.zeros((1 + 2 * k, 2 * k))
    logits_RC[0, k:] = math.log(loud_share / (1 - loud_share))
    named = math.log(skill / (1 - skill) * (k - 1))
    columns = np.arange(2 * k)
    for d in range(k):
        logits_RC[1 + d, columns % k == d] = named
        logits_RC[1 + k + d, columns % k == d] = -1.0
    right_DC = columns % k == np.arange(k)[:, None]
    is_loud = columns >= k
    tried = 1 + k + columns % k
    named_D1 = 1 + np.arange(k)[:, None]
    next_DC = np.where(is_loud & (not blind), named_D1, tried)
    return World(
        logits_RC,
        np.where(right_DC, 1.0, np.where(is_loud, loud, quiet)),
        np.where(right_DC, SOLVED, next_DC),
        is_loud.astype(float),
    )
