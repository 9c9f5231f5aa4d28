"""Finds the program in what a model wrote.

The rules, in order:

1. CR LF and CR become LF.
2. Thought is dropped: `<think>...</think>`, all before a `</think>` without a beginning (the prompt
   opened it), all after a `<think>` without an end, up to an `<output>` line if one follows. Code
   in thought is never the answer.
3. The answer is looked for in the last `<output>` region that mentions the entry point, then in
   the whole text, then in the other regions from the last to the first.
4. There, of the fenced Python blocks the last one that defines the entry point is taken; earlier
   blocks come before it where they define names that it uses.
5. Without a fence the whole region is taken if it parses and does something, else the longest run
   of lines that parses and defines the entry point.
6. Code that was marked as code, by a fence or by `<output>`, is taken even if it does not parse:
   the model should read its own SyntaxError.
7. Otherwise there is no code.

A program whose text holds `<think>` or `<output>` tags of its own is beyond these rules. All work
is linear in the length of the text, or counted against a budget.
"""

from __future__ import annotations

import re
import textwrap
from typing import NamedTuple

from murphy_env.extraction.facts import Broken, Facts, read
from murphy_env.extraction.regions import places, without_thought

# Possessive: otherwise a long line of tildes would cost the cube of its length.
FENCE = re.compile(r"([ \t]*+)(`{3,}+|~{3,}+)[ \t]*+([^`\s]*+)[^`]*+")
LEADING_BLANKS = re.compile(r"\A(?:[ \t]*+\n)+")
PYTHON = {"", "py", "py3", "python", "python3", "ipython", "ipython3", "none"}
CODE_START = re.compile(
    r"(?:async\s+)?def\s+\w+\s*[(\[]|class\s+\w+|import\s+\w|from\s+[\w.]+\s+import\b|@\w|\w+\s*=[^=]"
)

SPAN_BUDGET = 400_000
"""Characters that the search for the longest run of lines may parse, all tries together."""


class Block(NamedTuple):
    """A fenced block of Python."""

    code: str
    tagged: bool
    """Whether the fence names the language."""
    facts: Facts | Broken


def extract_code(completion: str, entry_point: str | None = None) -> str | None:
    r"""The program in a completion, or None where there is none.

    Args:
        completion: the model's text as it came.
        entry_point: the name that the program must define; without it any definition will do.

    Example:
        >>> extract_code("<think>easy</think>\n<output>\ndef one():\n    return 1\n</output>")
        'def one():\n    return 1'
        >>> extract_code("I would rather not.") is None
        True
    """
    text = without_thought(completion.replace("\r\n", "\n").replace("\r", "\n"))
    for region, marked in places(text, entry_point):
        code = _in_region(region, entry_point, marked)
        if code is not None:
            return code
    return None


def _in_region(region: str, entry_point: str | None, marked: bool) -> str | None:
    blocks, outside = _fenced(region)
    if blocks:
        return _from_blocks(blocks, entry_point)
    code = _clean(outside)
    facts = read(code)
    if isinstance(facts, Facts):
        return code if facts.does_something else None
    span = _longest_span(code, entry_point)
    if span is None and marked and _looks_defining(code, entry_point):
        return code
    return span


def _fenced(region: str) -> tuple[list[Block], str]:
    """All blocks of Python, the last perhaps without its closing fence; the text outside fences."""
    blocks: list[Block] = []
    outside: list[str] = []
    inner: list[str] = []
    opener: re.Match[str] | None = None
    for line in region.split("\n"):
        if opener is None:
            opener, inner = FENCE.fullmatch(line), []
            if opener is None:
                outside.append(line)
        elif _closes(line, opener):
            blocks += _python(opener, inner)
            opener = None
        else:
            inner.append(line)
    if opener is not None:
        blocks += _python(opener, inner)
    return blocks, "\n".join(outside)


def _closes(line: str, opener: re.Match[str]) -> bool:
    """Whether a line is a fence of the opener's mark, as long, and not indented more."""
    mark = line.strip()
    indent = len(line) - len(line.lstrip())
    long_enough = len(mark) >= len(opener[2]) and indent <= len(opener[1])
    return long_enough and set(mark) == {opener[2][0]}


def _python(opener: re.Match[str], inner: list[str]) -> list[Block]:
    language, code = opener[3].lower(), _clean("\n".join(inner))
    if language in PYTHON and code:
        return [Block(code, bool(language), read(code))]
    return []


def _from_blocks(blocks: list[Block], entry_point: str | None) -> str:
    def rank(index: int) -> tuple[int, int]:
        """Of equals the last; a block that only shows a printed result is the last resort."""
        block = blocks[index]
        if entry_point is not None and _defines(block, entry_point):
            return 3, index
        if isinstance(block.facts, Facts) and block.facts.defines:
            return 2, index
        return int(block.tagged), index

    chosen = max(range(len(blocks)), key=rank)
    return _with_helpers(blocks[chosen], blocks[:chosen])


def _with_helpers(block: Block, earlier: list[Block]) -> str:
    """The block, after those of the earlier blocks that define names it uses."""
    parts = [block.code]
    needed = block.facts.uses if isinstance(block.facts, Facts) else frozenset()
    for helper in reversed(earlier):
        if isinstance(helper.facts, Facts) and helper.facts.defines & needed:
            parts.insert(0, helper.code)
            needed = (needed - helper.facts.defines) | helper.facts.uses
    return "\n\n\n".join(parts)


def _defines(block: Block, name: str) -> bool:
    if isinstance(block.facts, Facts):
        return block.facts.answers(name)
    return _looks_defining(block.code, name)


def _looks_defining(code: str, name: str | None) -> bool:
    """Whether code that does not parse seems to define the name (without one: anything)."""
    word = re.escape(name) if name else r"\w+"
    pattern = rf"^[ \t]*(?:(?:async )?def|class) +{word}\b|^{word} *=(?!=)"
    return re.search(pattern, code, re.MULTILINE) is not None


def _longest_span(code: str, entry_point: str | None) -> str | None:
    """The longest run of lines that begins like code, parses, and defines the entry point."""
    lines = code.split("\n")
    best, budget, start = "", SPAN_BUDGET, 0
    while start < len(lines) and budget > 0:
        end = start
        if CODE_START.match(lines[start]):
            end, facts, spent = _longest_from(lines, start, budget)
            budget -= spent
            span = _clean("\n".join(lines[start:end]))
            if facts is not None and facts.answers(entry_point) and len(span) > len(best):
                best = span
        start = max(start + 1, end)
    return best or None


def _longest_from(lines: list[str], start: int, budget: int) -> tuple[int, Facts | None, int]:
    """End of the longest run that parses, its facts, and the characters parsed to find it.

    While the run does not parse, it is cut before the line that the parser stumbled over.
    """
    end, spent = len(lines), 0
    while end > start and spent < budget:
        tried = "\n".join(lines[start:end])
        spent += len(tried) + 1
        facts = read(tried)
        if isinstance(facts, Facts):
            return end, facts, spent
        end = min(end, start + facts.line) - 1
    return start, None, spent


def _clean(code: str) -> str:
    """Without blank lines around it and without an indentation that all lines share."""
    code = LEADING_BLANKS.sub("", code).rstrip()
    return textwrap.dedent(code) if code[:1] in (" ", "\t") else code
