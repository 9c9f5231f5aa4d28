"""Reads rows from files and hubs, each with the place it came from; knows no data set."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
Placed = tuple[str, Row]
"""Where a row stands ("tasks.jsonl:3"), for errors; and the row."""


def unknown(what: str, value: object, known: Iterable[str]) -> str:
    """The words of an error: what is unknown, what exists, and what may have been meant."""
    names = list(known)
    near = difflib.get_close_matches(str(value), names, n=1)
    meant = f" (did you mean {near[0]!r}?)" if near else ""
    return f"unknown {what} {value!r}{meant}; choose one of: {', '.join(names)}"


def read_lines(path: str | Path) -> Iterator[Placed]:
    """The objects of a JSON Lines file; blank lines are skipped.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line is not a JSON object, or the text is not UTF-8.
    """
    for number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            where = f"{path}:{number}"
            yield where, _object(_json(line, where), where)


def read_rows(path: str | Path) -> Iterator[Placed]:
    """The objects of a JSON list or of a JSON Lines file, whichever it is."""
    text = _text(path)
    if not text.lstrip().startswith("["):
        yield from read_lines(path)
        return
    for index, row in enumerate(_json(text, str(path))):
        where = f"{path}[{index}]"
        yield where, _object(row, where)


def fetch_rows(name: str, config: str) -> Iterator[Placed]:
    """The rows of all splits of a data set of the Hugging Face hub.

    Raises:
        OSError: it could not be fetched.
    """
    import datasets

    try:
        splits = datasets.load_dataset(name, config)
    except OSError as error:
        raise OSError(
            f"the data set {name!r} ({config}) could not be fetched ({error}); "
            "connect to the hub, or pass path= with a file of it"
        ) from error
    for split, rows in splits.items():
        for index, row in enumerate(rows):
            yield f"{name}/{config}/{split}[{index}]", row


def _text(path: str | Path) -> str:
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {str(path)!r}; give the path of a JSON file")
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error}); save it as UTF-8") from error


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: not JSON ({error}); give one JSON object a line") from error


def _object(row: Any, where: str) -> Row:
    if not isinstance(row, Mapping):
        raise ValueError(f"{where}: {str(row)[:60]!r} is not a JSON object; give one per row")
    return row
