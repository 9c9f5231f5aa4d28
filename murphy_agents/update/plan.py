"""Which sequences share a row: as much of what they have in common as a token budget allows.

A row is a trie of its own, run in one forward. What sequences of different rows share is run once
in each, so sequences are kept together by what they share: a whole problem, else the subtrees of
its trie, as large as fit, then as many of these in a row as fit beside each other. Nothing is
dropped: a sequence longer than the budget has a row to itself.

Positions of the sequences sorted by their ids are used throughout: sorted, a subtree is a range,
and what two sequences share is the least that neighbours between them share.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter

import numpy as np

from murphy_agents.update.trie import Ints, common_prefix, sorted_order

_NEWEST = 32
"""Rows that are looked through for room; all of them would take time as the square of the batch."""


@dataclass
class _Row:
    units: list[range] = field(default_factory=list)
    size: int = 0


def rows(sequences: Sequence[Sequence[int]], budget: int) -> list[list[int]]:
    """The indices of the sequences, row by row, each row's in the order of its trie.

    Args:
        sequences: ids; at least one sequence.
        budget: most nodes of a row's trie.

    Raises:
        ValueError: the budget is below 1, or there is no sequence.
    """
    if budget < 1:
        raise ValueError(f"the token budget is {budget}; give at least 1")
    if not sequences:
        raise ValueError("there is no sequence to lay out")
    plan = _Plan(sequences)
    units = sorted(plan.units(budget), key=lambda unit: unit.start)
    # Neighbours first keeps siblings together, the largest first leaves less room over.
    ways = (units, sorted(units, key=plan.size, reverse=True))
    packed = min((_packed(plan, way, budget) for way in ways), key=_cost)
    listed = [sorted(i for unit in row.units for i in unit) for row in packed]
    return [[plan.order[i] for i in row] for row in listed]


def _packed(plan: _Plan, units: Sequence[range], budget: int) -> list[_Row]:
    """Each unit in the row to which it adds the least, of those in which it fits."""
    packed: list[_Row] = []
    placed: list[tuple[int, _Row]] = []
    for unit in units:
        at = bisect_left(placed, unit.start, key=itemgetter(0))
        # A unit shares most with those beside it; where these have no room, the newest rows may.
        beside = [row for _, row in placed[max(0, at - 1) : at + 1]]
        sizes = [(plan.with_unit(row, unit), row) for row in (*beside, *packed[-_NEWEST:])]
        fitting = [(size - row.size, n) for n, (size, row) in enumerate(sizes) if size <= budget]
        if fitting:
            size, row = sizes[min(fitting)[1]]
            row.size = size
        else:
            row = _Row(size=plan.size(unit))
            packed.append(row)
        row.units.append(unit)
        placed.insert(at, (unit.start, row))
    return packed


def _cost(packed: Sequence[_Row]) -> tuple[int, int]:
    return sum(row.size for row in packed), len(packed)


class _Plan:
    """Sorted sequences, their lengths and what neighbours share."""

    def __init__(self, sequences: Sequence[Sequence[int]]) -> None:
        arrays = [np.asarray(sequence, dtype=np.int64) for sequence in sequences]
        self.order = sorted_order(arrays)
        ordered = [arrays[i] for i in self.order]
        self._lengths = [len(array) for array in ordered]
        pairs = pairwise(ordered)
        self._shared: Ints = np.array([common_prefix(*pair) for pair in pairs], np.int64)

    def size(self, unit: range) -> int:
        """Nodes of the trie of neighbours."""
        inside = self._shared[unit.start : unit.stop - 1]
        return sum(self._lengths[unit.start : unit.stop]) - int(inside.sum())

    def shared(self, one: range, other: range) -> int:
        """Nodes that two ranges have in common."""
        first, last = sorted((one, other), key=lambda unit: unit.start)
        return int(self._shared[first.stop - 1 : last.start].min())

    def with_unit(self, row: _Row, unit: range) -> int:
        """Nodes of a row's trie if a range joined it."""
        known = max((self.shared(own, unit) for own in row.units), default=0)
        return row.size + self.size(unit) - known

    def units(self, budget: int) -> list[range]:
        """The largest subtrees that fit; sequences that do not fit, one by one."""
        found, left = [], [range(len(self.order))]
        while left:
            unit = left.pop()
            if len(unit) == 1 or self.size(unit) <= budget:
                found.append(unit)
                continue
            inside = self._shared[unit.start : unit.stop - 1]
            cuts = unit.start + 1 + np.flatnonzero(inside == inside.min())
            ends = [unit.start, *cuts.tolist(), unit.stop]
            left += [range(*pair) for pair in pairwise(ends)]
        return found
