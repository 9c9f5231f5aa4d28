"""The grammar of the embedded tasks: what a docstring says, and what it leaves open.

A docstring names a filter, a map and an ending, as in "above n, double, sort". Some of these words
leave a detail open (is n itself above n? which way round is sorted?), so a docstring has several
variants, and only a failed test tells which one is meant. That makes the first attempt a guess and
the repair a matter of reading: the point of multi-turn training, at the size of a toy.
"""

from __future__ import annotations

import itertools
import math
from functools import cache
from typing import NamedTuple


class Choice(NamedTuple):
    """One way to read a word."""

    code: str
    prior: float
    detail: str = ""
    """The open detail in one word; "" where the word leaves nothing open."""


FILTERS = {
    "above n": (Choice("x>n", 0.65, "strict"), Choice("x>=n", 0.35, "inclusive")),
    "below n": (Choice("x<n", 0.65, "strict"), Choice("x<=n", 0.35, "inclusive")),
    "even": (Choice("x%2==0", 1.0),),
    "odd": (Choice("x%2==1", 1.0),),
}
MAPS = {
    "double": "x*2",
    "triple": "x*3",
    "square": "x*x",
    "negate": "-x",
    "add n": "x+n",
    "add one": "x+1",
}


def _default(pick: str) -> tuple[Choice, ...]:
    return (
        Choice(f"{pick}({{}},default=0)", 0.5, "zero"),
        Choice(f"{pick}({{}},default=-1)", 0.3, "minus"),
        Choice(f"{pick}({{}},default=None)", 0.2, "none"),
    )


ENDINGS = {
    "sort": (Choice("sorted({})", 0.65, "up"), Choice("sorted({})[::-1]", 0.35, "down")),
    "two": (Choice("{}[:2]", 0.65, "first"), Choice("{}[-2:]", 0.35, "last")),
    "largest": _default("max"),
    "smallest": _default("min"),
    "join": (
        Choice("','.join(map(str,{}))", 0.5, "comma"),
        Choice("'-'.join(map(str,{}))", 0.3, "dash"),
        Choice("' '.join(map(str,{}))", 0.2, "space"),
    ),
    "sum": (Choice("sum({})", 1.0),),
}

DOCSTRINGS = tuple(map(", ".join, itertools.product(FILTERS, MAPS, ENDINGS)))
"""All 4 x 6 x 6 = 144."""


class Variant(NamedTuple):
    """One reading of a docstring.

    Example:
        >>> variant = variants("above n, double, sort")[0]
        >>> print(variant.code)
        def f(xs,n):
         return sorted([x*2 for x in xs if x>n])
        >>> variant.details, round(variant.prior, 4)
        (('strict', 'up'), 0.4225)
    """

    docstring: str
    details: tuple[str, ...]
    """What the docstring leaves open, settled; may be empty."""
    code: str
    prior: float
    """Probability that a task with this docstring means this variant; they sum to 1."""


@cache
def variants(docstring: str) -> tuple[Variant, ...]:
    """All readings of one of `DOCSTRINGS`, the likeliest first."""
    kept, mapped, ended = docstring.split(", ")
    found = []
    for choices in itertools.product(FILTERS[kept], ENDINGS[ended]):
        condition, ending = choices
        values = f"[{MAPS[mapped]} for x in xs if {condition.code}]"
        code = f"def f(xs,n):\n return {ending.code.format(values)}"
        details = tuple(choice.detail for choice in choices if choice.detail)
        prior = math.prod(choice.prior for choice in choices)
        found.append(Variant(docstring, details, code, prior))
    return tuple(sorted(found, key=lambda variant: -variant.prior))


def prompt(docstring: str) -> str:
    """The problem as the model reads it."""
    return f'def f(xs,n):\n """{docstring}"""'
