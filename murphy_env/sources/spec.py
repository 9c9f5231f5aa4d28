"""A source of tasks as one string: `NAME[:SPLIT][?OPTION=VALUE&...][@FILE]`, taken apart.

What options there are is read off the function that makes the tasks, so that there is one list of
them; this module knows no source.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, get_args, get_type_hints

from murphy_env.sources.rows import unknown

FORM = "NAME[:SPLIT][?OPTION=VALUE&...][@FILE]"
_PATTERN = re.compile(r"(\w+)(?::(\w*))?(?:\?([^@]*))?(?:@(.+))?")
_NOT_OPTIONS = ("path", "split", "bad_rows")


class Spec(NamedTuple):
    """The parts of such a string."""

    name: str
    split: str | None
    options: Mapping[str, str]
    file: str | None


def parsed(spec: str) -> Spec | None:
    """The parts of a string of that form; None for another.

    Raises:
        ValueError: an option without a value, or one that is given twice.

    Example:
        >>> parsed("kodcode?n=2000&seed=1@rows.parquet")
        Spec(name='kodcode', split=None, options={'n': '2000', 'seed': '1'}, file='rows.parquet')
    """
    found = _PATTERN.fullmatch(spec)
    if found is None:
        return None
    options: dict[str, str] = {}
    for pair in filter(None, (found[3] or "").split("&")):
        name, equals, value = pair.partition("=")
        if not equals or name in options:
            fault = "repeated" if equals else "no OPTION=VALUE"
            raise ValueError(f"tasks is {spec!r}: {pair!r} is {fault}; the form is {FORM}")
        options[name] = value
    return Spec(found[1], found[2] or None, options, found[4])


def arguments(spec: Spec, function: Callable[..., Any]) -> dict[str, Any]:
    """What the function is to be called with, by its own names and types.

    Raises:
        ValueError: it takes no such split, option or file, or the value is of another type.
    """
    takes = inspect.signature(function).parameters
    hints = get_type_hints(function)
    given: dict[str, Any] = {}
    for name, value, told in (("split", spec.split, ":"), ("path", spec.file, "@")):
        if value is None:
            continue
        if name not in takes:
            has = "splits" if name == "split" else "file; its tasks are made, not read"
            raise ValueError(f"{spec.name} has no {has}; drop '{told}{value}'")
        given[name] = value
    options = [name for name in takes if name not in _NOT_OPTIONS]
    for name, text in spec.options.items():
        if name not in options:
            raise ValueError(unknown(f"option of {spec.name}", name, options))
        given[name] = _value(spec.name, name, text, hints[name])
    return given


def _value(source: str, name: str, text: str, hint: Any) -> Any:
    kinds = [hint, *get_args(hint)]
    if bool in kinds:
        if text in ("true", "false"):
            return text == "true"
        raise ValueError(f"{source}: {name} is {text!r}; give true or false")
    if int in kinds:
        if re.fullmatch(r"-?\d+", text):
            return int(text)
        raise ValueError(f"{source}: {name} is {text!r}; give a whole number")
    if float in kinds:
        if re.fullmatch(r"\d*\.?\d+", text):
            return float(text)
        raise ValueError(f"{source}: {name} is {text!r}; give a number such as 0.75")
    return text
