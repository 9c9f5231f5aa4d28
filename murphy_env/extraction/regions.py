"""Where in a completion the answer may stand: after the thought, between `<output>` tags."""

from __future__ import annotations

import re
from collections.abc import Iterator

THINK, THINK_END = "<think>", "</think>"
OUTPUT_LINE = re.compile(r"^[ \t]*<output>[ \t]*", re.MULTILINE)

MAX_REGIONS = 8
"""`<output>` regions looked at, from the last."""


def without_thought(text: str) -> str:
    """The text without what was thought aloud: rule 2."""
    kept, position = [], 0
    while (start := text.find(THINK, position)) >= 0:
        end = text.find(THINK_END, start)
        if end < 0:
            break
        kept.append(text[position:start])
        position = end + len(THINK_END)
    text = ("".join(kept) + text[position:]).rpartition(THINK_END)[2]
    start = text.find(THINK)
    if start < 0:
        return text
    answer = OUTPUT_LINE.search(text, start)
    return text[:start] + (text[answer.start() :] if answer else "")


def places(text: str, entry_point: str | None) -> Iterator[tuple[str, bool]]:
    """Where to look, best first, and whether the place is marked as the answer: rule 3."""
    regions = list(_output_regions(text))[: -MAX_REGIONS - 1 : -1]
    named = [r for r in regions if entry_point is None or _mentions(r, entry_point)]
    for region in named:
        yield region, True
    yield text, False
    for region in regions:
        if region not in named:
            yield region, True


def _output_regions(text: str) -> Iterator[str]:
    """What stands between each `<output>` line and its end, the next such line or the text's end.

    The next line ends it because some models close with the opening tag.
    """
    starts = list(OUTPUT_LINE.finditer(text))
    bounds = [start.start() for start in starts] + [len(text)]
    for start, end in zip(starts, bounds[1:], strict=True):
        yield text[start.end() : end].partition("</output>")[0]


def _mentions(text: str, name: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", text) is not None
