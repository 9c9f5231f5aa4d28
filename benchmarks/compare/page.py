"""A report as blocks, and the two forms that it takes: Markdown, and one HTML file.

Text in backticks is code in both. The HTML holds its style and pictures itself and asks for
nothing from elsewhere.
"""

import base64
import html
import re
from dataclasses import dataclass

from murphy_agents.show.tables import Table
from murphy_agents.show.text import fenced

PICTURES = "pictures"
"""Folder of the pictures, beside the Markdown file."""


@dataclass(frozen=True)
class Heading:
    """A title; level 1 is the page's own."""

    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True)
class Points:
    """A list."""

    texts: tuple


@dataclass(frozen=True)
class Code:
    """Shown as it is."""

    text: str


@dataclass(frozen=True)
class Grid:
    """A table; a note above it says what its figures are."""

    table: Table
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """An SVG with a name of its own, and what is to be seen."""

    name: str
    svg: str
    about: str

    @property
    def file(self):
        """Where the Markdown looks for it."""
        return f"{PICTURES}/{self.name}.svg"


def markdown(blocks):
    """All blocks as Markdown; pictures are to lie in `PICTURES`."""
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def _markdown(block):
    match block:
        case Heading(level, text):
            return f"{'#' * level} {text}"
        case Paragraph(text):
            return text
        case Points(texts):
            return "\n".join(f"- {text}" for text in texts)
        case Code(text):
            return fenced(text)
        case Grid(table, note):
            return (f"{note}\n\n" if note else "") + table.markdown()
        case Picture(_, _, about):
            return f"![{about}]({block.file})"


def page(blocks):
    """All blocks as one HTML file."""
    title = next(block.text for block in blocks if isinstance(block, Heading))
    sections = [block for block in blocks if isinstance(block, Heading) and block.level == 2]
    links = "".join(f'<a href="#{_anchor(s.text)}">{_inline(s.text)}</a>' for s in sections)
    body = "\n".join(_html(block) for block in blocks)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<nav>{links}</nav>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _html(block):
    match block:
        case Heading(level, text):
            return f'<h{level} id="{_anchor(text)}">{_inline(text)}</h{level}>'
        case Paragraph(text):
            return f"<p>{_inline(text)}</p>"
        case Points(texts):
            return f"<ul>{''.join(f'<li>{_inline(text)}</li>' for text in texts)}</ul>"
        case Code(text):
            return f"<pre>{html.escape(text)}</pre>"
        case Grid(table, note):
            above = f'<p class="note">{_inline(note)}</p>' if note else ""
            return above + _table(table)
        case Picture(_, svg, about):
            data = base64.b64encode(svg.encode()).decode()
            source = f"data:image/svg+xml;base64,{data}"
            return f'<img alt="{html.escape(about)}" src="{source}">'


def _table(table):
    head = "".join(_cell("th", i, cell, table) for i, cell in enumerate(table.header))
    rows = (
        f"<tr>{''.join(_cell('td', i, cell, table) for i, cell in enumerate(row))}</tr>"
        for row in table.rows
    )
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(tag, index, text, table):
    kind = ' class="name"' if index < table.num_names else _MARKS.get(text, "")
    told = _inline(text)
    # An interval stands smaller below its mean.
    told = re.sub(r" (\([^()]* to [^()]*\))$", r"<br><small>\1</small>", told)
    return f"<{tag}{kind}>{told}</{tag}>"


def _inline(text):
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))


def _anchor(text):
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


_MARKS = {
    "held": ' class="held"', "did not hold": ' class="not"', "undecided": ' class="open"',
    "incomplete": ' class="open"', "failed": ' class="not"',
}  # fmt: skip
_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; }
nav { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem;
  padding: .5rem 1.5rem; background: #f4f4f2; border-bottom: 1px solid #ccc; font-size: .9rem; }
nav a { color: #0072b2; text-decoration: none; }
main { max-width: 70rem; margin: 0 auto; padding: 1rem 1.5rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; }
h2 { margin-top: 3rem; padding-top: .5rem; border-top: 2px solid #1a1a1a; scroll-margin: 3rem; }
h3 { margin: 2rem 0 .5rem; }
p, ul { max-width: 48rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .5rem 0; font-size: .88rem; }
th, td { padding: .3rem .7rem; text-align: right; vertical-align: top;
  white-space: nowrap;
  font-variant-numeric: tabular-nums; border-bottom: 1px solid #e2e2e0; }
thead th { border-bottom: 2px solid #888; vertical-align: bottom; white-space: normal; }
.name { text-align: left; }
.held { color: #00664a; font-weight: 600; }
.not { color: #a33c00; font-weight: 600; }
.open { color: #555; font-style: italic; }
tbody tr:hover { background: #f4f4f2; }
td small { color: #555; }
code { font: .92em ui-monospace, monospace; white-space: nowrap; }
pre { overflow-x: auto; padding: .8rem 1rem; background: #f4f4f2; font-size: .85rem; }
.note { margin: 1.2rem 0 0; font-size: .88rem; color: #444; }
img { display: block; max-width: 100%; height: auto; margin: 1rem 0; }
"""
