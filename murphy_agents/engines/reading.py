"""How prompts are read together: what several of them begin with alike is read once.

Refinements of one problem begin with its task, all tasks with the same system message. Such a
beginning, a stem, is read first; the prompts go on from its part of the cache. Plain Python.

Example:
    >>> chunk, last = chunks({(1, 2, 3, 4, 9), (1, 2, 3, 4, 8), (5, 6, 7, 8, 9)}, max_tokens=100)
    >>> chunk.stems, chunk.prompts, last.prompts
    ([(1, 2, 3, 4)], [(1, 2, 3, 4, 8), (1, 2, 3, 4, 9)], [(5, 6, 7, 8, 9)])
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

Ids = tuple[int, ...]
MOST_COMPUTED = 1.5
"""How much a forward may compute, padding included, of what it has to read."""
DEEPEST = 50
"""Beginnings within beginnings that are looked at."""
SPARED_SHARE = 0.1
"""Share of the prompts' ids that stems have to spare: they cost a forward and a copy."""


@dataclass
class Chunk:
    """Prompts that are read in one forward, after one for their stems where they have any."""

    prompts: list[Ids] = field(default_factory=list)
    stem_of: list[Ids] = field(default_factory=list)
    """What each prompt begins with that others begin with too; () for nothing."""
    stems: list[Ids] = field(default_factory=list)
    """All of them, each once."""
    width: int = 0
    """Ids that are read of each prompt, padding included."""
    needed: int = 0
    """Ids of the prompts beyond their stems."""

    @property
    def num_ids(self) -> int:
        """Ids that are read in all, padding left out."""
        return sum(map(len, self.stems)) + sum(min(len(p), self.width) for p in self.prompts)

    @property
    def num_computed(self) -> int:
        """Ids that forwards compute in all, padding included."""
        longest = max(map(len, self.stems), default=0)
        return len(self.prompts) * self.width + len(self.stems) * longest

    def takes(self, prompts: Sequence[Ids], stem: Ids, max_tokens: int) -> bool:
        """Take in prompts with this stem, if that is worth it; else nothing changes.

        It is where forwards stay within the budget and compute little beyond what is needed.
        """
        rests = [len(prompt) - len(stem) for prompt in prompts]
        width, needed = max(self.width, *rests), self.needed + sum(rests)
        stems = self.stems if stem in ((), *self.stems[-1:]) else [*self.stems, stem]
        computed = (len(self.prompts) + len(prompts)) * width
        by_stems = len(stems) * max(map(len, stems)) if len(stems) > 1 else 0
        is_too_much = max(computed, by_stems) > max_tokens or computed > MOST_COMPUTED * needed
        if is_too_much and len(self.prompts) + len(prompts) > 1:
            return False
        self.prompts += prompts
        self.stem_of += [stem] * len(prompts)
        self.stems, self.width, self.needed = stems, width, needed
        return True


def chunks(prompts: Collection[Ids], max_tokens: int) -> list[Chunk]:
    """Distinct prompts in parts of similar length, as large as `max_tokens` allows with padding.

    Prompts with one stem stay together as far as that goes. A prompt, or a stem, that is longer
    than `max_tokens` is read all the same.
    """
    plain = _parts({prompt: () for prompt in prompts}, max_tokens)
    shared = _parts(stems(prompts), max_tokens)
    least, most = (sum(part.num_computed for part in parts) for parts in (shared, plain))
    # A budget so small that stems are read again and again is better off without them.
    return shared if least < most else plain


def _parts(stem_of: Mapping[Ids, Ids], max_tokens: int) -> list[Chunk]:
    groups: dict[tuple[Ids, Ids], list[Ids]] = {}
    for prompt in sorted(stem_of, key=lambda p: (len(p), p)):
        stem = stem_of[prompt]
        # Those that share nothing are a group each.
        groups.setdefault((stem, () if stem else prompt), []).append(prompt)
    by_width = sorted(groups.items(), key=lambda kv: (len(kv[1][-1]) - len(kv[0][0]), kv[0]))
    parts = [Chunk()]
    for (stem, _), group in by_width:
        if parts[-1].takes(group, stem, max_tokens):
            continue
        parts.append(Chunk())
        if not parts[-1].takes(group, stem, max_tokens):
            for prompt in group:
                if not parts[-1].takes([prompt], stem, max_tokens):
                    parts.append(Chunk())
                    parts[-1].takes([prompt], stem, max_tokens)
    return [part for part in parts if part.prompts]


def stems(prompts: Collection[Ids]) -> dict[Ids, Ids]:
    """The stem of each prompt, such that as few ids as can be are read, or () for all.

    A stem is shorter than its prompts, since the last id of a prompt is always read.
    """
    ordered = sorted(prompts)
    shared = _shared(ordered)

    @cache
    def best(start: int, end: int, stem: int, depth: int) -> tuple[int, tuple[int, ...]]:
        """Ids spared at most, and lengths of stems, where these may go on from one that is read."""
        if end - start == 1 or depth == DEEPEST:
            return stem * (end - start), (stem,) * (end - start)
        common = min(shared[start : end - 1])
        cuts = [i + 1 for i in range(start, end - 1) if shared[i] == common]
        parts = list(pairwise([start, *cuts, end]))

        def together(stem: int) -> tuple[int, tuple[int, ...]]:
            found = [best(*part, stem, depth + 1) for part in parts]
            lengths = tuple(length for _, lengths in found for length in lengths)
            return sum(spared for spared, _ in found), lengths

        as_it_is, (spared, lengths) = together(stem), together(common)
        return max(as_it_is, (spared - common, lengths), key=lambda found: found[0])

    spared, lengths = best(0, len(ordered), 0, 0) if ordered else (0, ())
    if spared < SPARED_SHARE * sum(map(len, ordered)):
        lengths = (0,) * len(ordered)
    return {prompt: prompt[:length] for prompt, length in zip(ordered, lengths, strict=True)}


def _shared(ordered: list[Ids]) -> list[int]:
    """How many ids each prompt has in common with the next one, the last id of either left out."""
    counts = []
    for one, other in pairwise(ordered):
        most = min(len(one), len(other)) - 1
        counts.append(next((i for i in range(most) if one[i] != other[i]), most))
    return counts
