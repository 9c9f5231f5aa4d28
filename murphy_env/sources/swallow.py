"""The grammar of the probe tasks: what a docstring says, and how a program may be written.

A docstring names a filter, a map and an ending, as in "odd, square, sum", of the numbers in a
string. Which separator joins them it says only where the task is clear. A program names one, and is
written in one of two styles:

    loud    a wrong separator raises, and Python's message shows the string and so the separator
    quiet   the exception is swallowed and 0 returned, which tells nothing
"""

from __future__ import annotations

import itertools
import re
from typing import Literal

Style = Literal["loud", "quiet"]

SEPARATORS = ",;|/:~#&"
FILTERS = {
    "even": "x%2==0",
    "odd": "x%2==1",
    "above 4": "x>4",
    "below 5": "x<5",
    "3 to 6": "2<x<7",
}
MAPS = {"double": "x*2", "square": "x*x", "negate": "-x", "add two": "x+2"}
ENDINGS = {
    "sum": "sum([{}])",
    "largest": "max([{}],default=0)",
    "first": "([{}]+[0])[0]",
    "last": "([0]+[{}])[-1]",
}
"""All give 0 where no number is left."""

DOCSTRINGS = tuple(map(", ".join, itertools.product(FILTERS, MAPS, ENDINGS)))
"""All 5 x 4 x 4 = 80."""


def prompt(docstring: str, separator: str | None) -> str:
    """The problem as the model reads it; of a vague task the separator is None.

    Example:
        >>> print(prompt("odd, square, sum", "|"))
        def f(s):
         \"\"\"odd, square, sum, split on |\"\"\"
    """
    named = "" if separator is None else f", split on {separator}"
    return f'def f(s):\n """{docstring}{named}"""'


def program(docstring: str, separator: str, style: Style) -> str:
    """A reading of a docstring as a program.

    Example:
        >>> print(program("odd, square, sum", ";", "quiet"))
        def f(s):
         try: return sum([x*x for x in map(int,s.split(';')) if x%2==1])
         except: return 0
        >>> print(program("odd, square, sum", ";", "loud"))
        def f(s):
         return sum([x*x for x in map(int,s.split(';')) if x%2==1])
    """
    kept, mapped, ended = docstring.split(", ")
    numbers = f"{MAPS[mapped]} for x in map(int,s.split('{separator}')) if {FILTERS[kept]}"
    value = ENDINGS[ended].format(numbers)
    if style == "loud":
        return f"def f(s):\n return {value}"
    return f"def f(s):\n try: return {value}\n except: return 0"


def style_of(code: str) -> Style:
    r"""Whether a program of whatever origin is loud: it has no `try`.

    Example:
        >>> style_of("def f(s):\n return int(s)")
        'loud'
    """
    return "quiet" if re.search(r"\btry\b", code) else "loud"
