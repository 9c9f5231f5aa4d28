"""A trie of token ids: every distinct prefix of a set of sequences once.

Made of the ids alone, never of text or of what a tree of attempts should share: quoted attempts,
chat transcripts, prompts of several problems and equal completions all share what they share.
numpy only; no model, no samples.

Nodes are numbered in depth-first order, so that a node's descendants are a range. A segment is a
run of nodes without a branch in between; the segments are a tree too, and far fewer.

Dimensions: N nodes, S segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Trie:
    """The distinct prefixes of some sequences.

    Example:
        Two sequences that share their first two ids:

        >>> trie = build([(5, 6, 7), (5, 6, 8, 9)])
        >>> trie.ids_N.tolist(), trie.depth_N.tolist(), trie.parent_N.tolist()
        ([5, 6, 7, 8, 9], [0, 1, 2, 2, 3], [-1, 0, 1, 1, 3])
        >>> trie.start_S.tolist(), trie.end_S.tolist(), trie.above_S.tolist()
        ([0, 2, 3], [2, 3, 5], [-1, 0, 0])
        >>> [path.tolist() for path in trie.paths]
        [[0, 1, 2], [0, 1, 3, 4]]
    """

    ids_N: Ints
    """Token id of each node."""
    depth_N: Ints
    """Ids before it: its position in every sequence that it is in."""
    parent_N: Ints
    """The node before it; -1 at a root."""
    start_S: Ints
    """First node of each segment; segments follow each other."""
    end_S: Ints
    """One past its last node."""
    above_S: Ints
    """The segment that it branches from; -1 where there is none."""
    paths: tuple[Ints, ...]
    """The nodes of each sequence, in the order of the sequences."""

    def __len__(self) -> int:
        return len(self.ids_N)

    @property
    def last_S(self) -> Ints:
        """One past the last descendant of each segment."""
        last_S = self.end_S.copy()
        for segment in range(len(last_S) - 1, -1, -1):
            above = self.above_S[segment]
            if above >= 0:
                last_S[above] = max(last_S[above], last_S[segment])
        return last_S

    def sees(self, window: int | None = None) -> npt.NDArray[np.bool_]:
        """Which nodes each node sees, (N, N): those on its path, itself, and no others.

        Args:
            window: how many nodes of its path at most, counted back from itself; None: all.
        """
        number_N = np.arange(len(self))
        # Ancestors come first, and their descendants are a range.
        seen_NN = (number_N <= number_N[:, None]) & (number_N[:, None] < self.last_N)
        if window is not None:
            seen_NN &= self.depth_N[:, None] - self.depth_N < window
        return seen_NN

    def segment_paths(self) -> list[Ints]:
        """The nodes from the root to the end of each segment."""
        paths: list[Ints] = []
        for start, end, above in zip(self.start_S, self.end_S, self.above_S, strict=True):
            own = np.arange(start, end)
            paths.append(own if above < 0 else np.concatenate([paths[above], own]))
        return paths

    @property
    def last_N(self) -> Ints:
        """One past the last descendant of each node."""
        return np.repeat(self.last_S, self.end_S - self.start_S)


def build(sequences: Sequence[Sequence[int]]) -> Trie:
    """The trie of sequences, which may be equal, or prefixes of each other.

    Takes time in proportion to the ids, but for sorting the sequences.

    Raises:
        ValueError: there is no sequence, or one without an id.
    """
    arrays = [np.asarray(sequence, dtype=np.int64) for sequence in sequences]
    if not arrays or not all(map(len, arrays)):
        raise ValueError("a trie needs sequences of at least one id each")
    order = sorted_order(arrays)
    paths: list[Ints] = [np.empty(0, np.int64)] * len(arrays)
    fresh: list[Ints] = []
    parents: list[Ints] = []
    splits: set[int] = set()
    before, path, size = np.empty(0, np.int64), np.empty(0, np.int64), 0
    for i in order:
        shared = common_prefix(before, arrays[i])
        added = np.arange(size, size + len(arrays[i]) - shared)
        if len(added):
            fork = int(path[shared - 1]) if shared else -1
            splits |= {size, fork + 1} if shared else {size}
            fresh.append(arrays[i][shared:])
            parents.append(np.concatenate([[fork], added[:-1]]))
        path = np.concatenate([path[:shared], added])
        paths[i], before, size = path, arrays[i], size + len(added)
    ids_N, parent_N = np.concatenate(fresh), np.concatenate(parents)
    depth_N = np.empty(size, np.int64)
    for path in paths:
        depth_N[path] = np.arange(len(path))
    start_S = np.array(sorted(splits), np.int64)
    above_S = np.where(
        parent_N[start_S] >= 0, np.searchsorted(start_S, parent_N[start_S], "right") - 1, -1
    )
    end_S = np.append(start_S[1:], size)
    return Trie(ids_N, depth_N, parent_N, start_S, end_S, above_S, tuple(paths))


def sorted_order(sequences: Sequence[Ints]) -> list[int]:
    """Where each sequence goes when they are sorted by their ids; prefixes first."""
    # Ids of equal width in this byte order sort like the sequences.
    keys = [sequence.astype(">u8").tobytes() for sequence in sequences]
    return sorted(range(len(keys)), key=keys.__getitem__)


def common_prefix(a: Ints, b: Ints) -> int:
    """How many of their first ids two sequences share."""
    size = min(len(a), len(b))
    apart = np.flatnonzero(a[:size] != b[:size])
    return int(apart[0]) if len(apart) else size
