"""How prompts are read together: what several of them begin with alike is read once.

Refinements of one problem begin with its task, all tasks with the same system message. Such a
beginning, a stem, is read first; the prompts go on from its part of the cache. Plain Python.

Example:
    >>> chunk, last = chunks({(1, 2, 3, 4, 9), (1, 2, 3, 4, 8), (5, 6, 7, 8, 9)}, max_tokens=100)
    >>> chunk.stems, chunk.prompts, last.prompts
    ([(1, 2, 3, 4)], [(1, 2, 3, 4, 8), (1, 2, 3, 4, 9)], [(5, 6, 7, 8, 9)])
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
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

    @property
    def stems(self) -> list[Ids]:
        """All of them, each once."""
        return [stem for stem in dict.fromkeys(self.stem_of) if stem]

    @property
    def width(self) -> int:
        """Ids that are read of each prompt, padding included."""
        return max(len(p) - len(s) for p, s in zip(self.prompts, self.stem_of, strict=True))

    @property
    def num_ids(self) -> int:
        """Ids that are read in all, padding left out."""
        width = self.width
        return sum(map(len, self.stems)) + sum(min(len(p), width) for p in self.prompts)

    def with_one_more(self, prompt: Ids, stem: Ids) -> Chunk:
        """It and another prompt."""
        return Chunk([*self.prompts, prompt], [*self.stem_of, stem])

    def is_worth_it(self, max_tokens: int) -> bool:
        """Whether its forwards stay within a budget and compute little beyond what is needed."""
        needed = sum(map(len, self.prompts)) - sum(map(len, self.stem_of))
        computed, stems = len(self.prompts) * self.width, self.stems
        by_stems = len(stems) * max(map(len, stems), default=0)
        return max(computed, by_stems) <= max_tokens and computed <= MOST_COMPUTED * needed


def chunks(prompts: Collection[Ids], max_tokens: int) -> Iterator[Chunk]:
    """Distinct prompts in parts of similar length, as large as `max_tokens` allows with padding.

    A prompt or a stem that is longer than that is a part of its own.
    """
    total = sum(map(len, prompts))
    for stem_of in (stems(prompts), dict.fromkeys(prompts, ())):
        parts = list(_parts(stem_of, max_tokens))
        # A budget so small that stems are read again and again is better off without them.
        if sum(part.num_ids for part in parts) <= total:
            break
    yield from parts


def _parts(stem_of: Mapping[Ids, Ids], max_tokens: int) -> Iterator[Chunk]:
    chunk = Chunk()
    for prompt in sorted(stem_of, key=lambda p: (len(p) - len(stem_of[p]), stem_of[p], p)):
        larger = chunk.with_one_more(prompt, stem_of[prompt])
        if chunk.prompts and not larger.is_worth_it(max_tokens):
            yield chunk
            larger = Chunk([prompt], [stem_of[prompt]])
        chunk = larger
    if chunk.prompts:
        yield chunk


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
