"""Makes what a program says about itself fit for a report: short, clean, the same in every run."""

from __future__ import annotations

import re
import sys
import sysconfig
from collections.abc import Iterable
from typing import Any

from murphy_env.sandbox.compare import scalar

MAX_VALUE = 300
MAX_ERROR = 3000
MAX_STDOUT = 2000
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{4,}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_MAX_SHOWN_BITS = 4096


def shorten(text: str, length: int = MAX_VALUE) -> str:
    """The start of a text, with a mark where something is missing."""
    return text if len(text) <= length else text[: length - 1] + "…"


def clean(text: str, scratch: str = "") -> str:
    """Without control characters, object addresses, and the folders of this machine."""
    for folder in (scratch, *_FOLDERS):
        if folder:
            text = text.replace(folder + "/", "").replace(folder, ".")
    text = _ADDRESS.sub("at 0x…", text)
    return _CONTROL.sub("", text)


def tail(output: bytes, scratch: str = "") -> str:
    """The end of what was printed."""
    text = clean(output[-4 * MAX_STDOUT :].decode("utf-8", "replace"), scratch)
    return text if len(text) <= MAX_STDOUT else "…" + text[1 - MAX_STDOUT :]


def show(tree: Any) -> str:
    """The start of the repr of the value that a tree stands for; sets in sorted order.

    Args:
        tree: one that `compare.validate` let pass.
    """
    return shorten(clean(_show(tree)))


def _show(tree: Any) -> str:
    """Each item is shown once, and its text cut, so the work grows with the tree and no faster."""
    if not isinstance(tree, list):
        return repr(tree)
    tag, items = tree[0], tree[1:]
    if tag == "o":
        return str(items[1])
    if tag in ("K", "M"):
        return str(items[0])
    if tag == "d":
        return "{" + _joined(f"{_show(key)}: {_show(value)}" for key, value in items) + "}"
    if tag not in _BRACKETS:
        return _show_scalar(scalar(tree))
    opening, closing = _BRACKETS[tag]
    if tag not in ("S", "F"):
        comma = "," if tag == "t" and len(items) == 1 else ""
        return opening + _joined(map(_show, items)) + comma + closing
    if not items:
        return "set()" if tag == "S" else "frozenset()"
    shown = sorted((isinstance(item, str), _show(item)) for item in items)
    return opening + _joined(text for _, text in shown) + closing


_BRACKETS = {"l": "[]", "t": "()", "S": "{}", "F": ("frozenset({", "})")}


def _joined(texts: Iterable[str]) -> str:
    """Texts with commas, as many as there is room for."""
    parts: list[str] = []
    room = MAX_VALUE
    for text in texts:
        if room <= 0:
            parts.append("…")
            break
        parts.append(shorten(text, MAX_VALUE + 1))
        room -= len(parts[-1]) + 2
    return ", ".join(parts)


def _show_scalar(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > _MAX_SHOWN_BITS:
        return f"<int of {value.bit_length()} bits>"
    return repr(value)


def _folders() -> list[str]:
    paths = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    paths |= {path for path in sys.path if path.endswith(("site-packages", "dist-packages"))}
    return sorted((path.rstrip("/") for path in paths if path), key=len, reverse=True)


_FOLDERS = _folders()
