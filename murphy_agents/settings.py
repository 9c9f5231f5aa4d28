"""Checks a dataclass of settings against its own annotations, for values from files and flags."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import functools
import math
import types
from argparse import Action, ArgumentParser, Namespace
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def described(default: Any, about: str, short: str | None = None) -> Any:
    """A dataclass field with its help text, and another name that it goes by, if there is one."""
    named = {"aliases": [f"--{short}"], "action": _OneValue} if short else {}
    return dataclasses.field(default=default, metadata={"help": about, **named})


class _OneValue(Action):
    """Stores the value of a flag with two names, and refuses two values."""

    def __call__(
        self,
        parser: ArgumentParser,
        namespace: Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        given = vars(namespace).setdefault("_given", {})
        _refuse_another(given, self.dest, option_string or self.dest, values)
        setattr(namespace, self.dest, values)


def short_names(settings: type[Any]) -> dict[str, str]:
    """The fields of a dataclass by the other names that some go by."""
    return {
        name.removeprefix("--"): field.name
        for field in dataclasses.fields(settings)
        for name in field.metadata.get("aliases", ())
    }


def by_field(settings: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by the names of their fields, where some may be given by another name.

    Raises:
        ValueError: a field is given two values, one by each name.
    """
    short, found, given = short_names(settings), dict[str, Any](), dict[str, tuple[str, Any]]()
    for name, value in values.items():
        field = short.get(name, name)
        _refuse_another(given, field, name, value)
        found[field] = value
    return found


def _refuse_another(given: dict[str, tuple[str, Any]], field: str, name: str, value: Any) -> None:
    before, old = given.setdefault(field, (name, value))
    if before != name and old != value:
        raise ValueError(
            f"{before} is {old!r} and {name} is {value!r}, which are one setting; give one of them"
        )


def check_types(settings: Any) -> None:
    """Bring every field to its annotated type, in place, or raise ValueError."""
    kind: Any = type(settings)
    hints = _hints(kind)
    for field in dataclasses.fields(settings):
        value = _typed(field.name, getattr(settings, field.name), hints[field.name])
        setattr(settings, field.name, value)


@functools.cache
def _hints(kind: Hashable) -> dict[str, Any]:
    """The annotations of a class, evaluated once."""
    return get_type_hints(kind)


def check_names(settings: type[Any], names: Iterable[str], command: str) -> None:
    """Raise ValueError for a name that is no field, and say which field of `command` is nearest."""
    known = [*(field.name for field in dataclasses.fields(settings)), *short_names(settings)]
    for name in map(str, names):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise ValueError(f"{name!r} is no setting of {command}; the nearest is {near!r}")


def _typed(name: str, value: Any, hint: Any) -> Any:
    """`value` as the field's type, or a ValueError that says what was expected."""
    options = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    for option in options:
        if get_origin(option) is Literal:
            if value in get_args(option):
                return value
        elif get_origin(option) in (list, dict):
            if _is_collection(value, option):
                return list(value) if get_origin(option) is list else value
        elif option is float and isinstance(value, int | float | str) and type(value) is not bool:
            # YAML reads 1e-6 as a string.
            with contextlib.suppress(ValueError, OverflowError):
                number = float(value)
                if math.isfinite(number):
                    return number
        elif type(value) is option:
            return value
    raise ValueError(f"{name} is {value!r}; expected {_said(hint)}")


def _is_collection(value: Any, hint: Any) -> bool:
    """Whether it is a list of that, or a mapping, whose reader knows what is to be inside."""
    if get_origin(hint) is dict:
        return isinstance(value, dict)
    (kind,) = get_args(hint)
    return isinstance(value, list | tuple) and all(type(item) is kind for item in value)


def _said(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(map(_said, get_args(hint)))
    if get_origin(hint) is Literal:
        near = ", ".join(repr(choice) for choice in get_args(hint))
        return f"one of {near}"
    return str(getattr(hint, "__name__", hint)).replace("NoneType", "None")
