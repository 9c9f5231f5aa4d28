"""Turns values into plain JSON that crosses from one process to another, and back.

Data are copied, by their exact types; subclasses of containers and of numpy's numbers travel as
what they hold. What is no data stays where it is: the other side gets a stand-in (`peer`), or,
where none is offered, an `Opaque` that equals nothing. Reading runs nothing of the other side's.

    None True 3 2.5 "text"             as themselves
    ["i", "0x..."] ["f", "nan"]        what JSON lacks: large ints, floats that are not finite
    ["c", re, im] ["s", b64]           complex, text with surrogates
    ["b", b64] ["y", b64]              bytes, bytearray
    ["l" "t" "S" "F" "q", ...]         list, tuple, set, frozenset, deque
    ["d" "O" "C", [key, value], ...]   dict, OrderedDict, Counter
    ["r", start, stop, step]           range
    ["n", kind, text]                  Decimal, Fraction, date, datetime, time
    ["T", days, seconds, micros]       timedelta
    ["o", type, repr]                  anything else
    ["h", ...]                         a stand-in: see `peer`
"""

from __future__ import annotations

import base64
import math
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from .encode import EXACT_INT, MAX_DEPTH, MAX_ITEMS, safe_repr, type_name

Offer = Callable[[Any], Any]
"""A stand-in's tree for what is no data; None where there is none."""
Take = Callable[[list[Any]], Any]
"""The stand-in of such a tree."""


class Garbled(Exception):  # noqa: N818 - the state that the tree is in
    """The tree is none that `pack` makes."""


class Opaque:
    """Stands for a value that does not travel; equals nothing, and can do nothing."""

    __hash__ = object.__hash__

    def __init__(self, name: str, text: str) -> None:
        self._name, self._text = str(name), str(text)

    def __repr__(self) -> str:
        return self._text

    def __eq__(self, other: object) -> bool:
        return False


class Packer:
    """Packs the values of one message."""

    def __init__(self, offer: Offer) -> None:
        self._offer = offer
        self._left = MAX_ITEMS

    def pack(self, value: Any, depth: int = MAX_DEPTH) -> Any:
        """The tree of a value; an "o" stands for what is too deep, one too many or no data."""
        self._left -= 1
        if self._left < 0 or depth < 0:
            return ["o", type_name(value), f"<{type_name(value)}, too large or too deep to travel>"]
        if value is None or value is True or value is False:
            return value
        if (scalar := _SCALARS.get(type(value))) is not None:
            return scalar(value)
        return self._pack_container(value, depth - 1)

    def _pack_container(self, value: Any, depth: int) -> Any:
        ancestry = type.mro(type(value))
        for base, tag in _SEQUENCES:
            if base in ancestry:
                return [tag, *[self.pack(item, depth) for item in base.__iter__(value)]]
        for base, tag in _MAPPINGS:
            if base in ancestry:
                pairs = dict.items(value)
                return [tag, *[[self.pack(k, depth), self.pack(v, depth)] for k, v in pairs]]
        if type(value) in _VIEWS:
            return ["l", *[self.pack(item, depth) for item in value]]
        if any(base.__name__ == "generic" and base.__module__ == "numpy" for base in ancestry):
            return self.pack(value.item(), depth)
        tree = self._offer(value)
        return tree if tree is not None else ["o", type_name(value), safe_repr(value)]


def unpack(tree: Any, take: Take) -> Any:
    """The value of a tree.

    Raises:
        Garbled: it is no tree.
    """
    if tree is None or isinstance(tree, str | bool | int | float):
        return tree
    try:
        tag, *items = tree
        if tag == "h":
            return take(items)
        if tag in _PAIRS:
            return _PAIRS[tag]((unpack(k, take), unpack(v, take)) for k, v in items)
        if tag in _ITEMS:
            return _ITEMS[tag](unpack(item, take) for item in items)
        return _READERS[tag](*items)
    except (TypeError, ValueError, KeyError, ArithmeticError, RecursionError) as error:
        raise Garbled(f"what came back is no value: {error}") from error


def _text(value: str) -> Any:
    if value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value):
        return value
    return ["s", base64.b64encode(value.encode("utf-8", "surrogatepass")).decode()]


def _float(value: float) -> Any:
    return value if math.isfinite(value) else ["f", repr(value)]


_SCALARS: dict[type, Callable[[Any], Any]] = {
    int: lambda value: value if -EXACT_INT <= value <= EXACT_INT else ["i", hex(value)],
    float: _float,
    str: _text,
    bytes: lambda value: ["b", base64.b64encode(value).decode()],
    bytearray: lambda value: ["y", base64.b64encode(value).decode()],
    complex: lambda value: ["c", _float(value.real), _float(value.imag)],
    range: lambda value: ["r", *[_SCALARS[int](n) for n in (value.start, value.stop, value.step)]],
    Decimal: lambda value: ["n", "Decimal", str(value)],
    Fraction: lambda value: ["n", "Fraction", str(value)],
    date: lambda value: ["n", "date", value.isoformat()],
    datetime: lambda value: ["n", "datetime", value.isoformat()],
    time: lambda value: ["n", "time", value.isoformat()],
    timedelta: lambda value: ["T", value.days, value.seconds, value.microseconds],
}
_SEQUENCES: tuple[tuple[Any, str], ...] = (
    (list, "l"),
    (tuple, "t"),
    (set, "S"),
    (frozenset, "F"),
    (deque, "q"),
)
_MAPPINGS: tuple[tuple[Any, str], ...] = ((Counter, "C"), (OrderedDict, "O"), (dict, "d"))
_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.items()), type({}.values()))
_ITEMS: dict[str, Callable[[Any], Any]] = {tag: make for make, tag in _SEQUENCES}
_PAIRS: dict[str, Callable[[Any], Any]] = {
    "C": lambda pairs: Counter(dict(pairs)),
    "O": OrderedDict,
    "d": dict,
}
_NAMED: dict[str, Callable[[str], Any]] = {
    "Decimal": Decimal,
    "Fraction": Fraction,
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
    "time": time.fromisoformat,
}


def _number(tree: Any) -> Any:
    return unpack(tree, _no_stand_in)


def _no_stand_in(items: list[Any]) -> Any:
    raise Garbled("a stand-in where a number has to be")


_READERS: dict[str, Callable[..., Any]] = {
    "i": lambda text: int(text, 16),
    "f": float,
    "s": lambda text: base64.b64decode(text, validate=True).decode("utf-8", "surrogatepass"),
    "b": lambda text: base64.b64decode(text, validate=True),
    "y": lambda text: bytearray(base64.b64decode(text, validate=True)),
    "c": lambda real, imag: complex(_number(real), _number(imag)),
    "r": lambda *ends: range(*map(_number, ends)),
    "n": lambda kind, text: _NAMED[kind](text),
    "T": lambda days, seconds, micros: timedelta(days, seconds, micros),
    "o": Opaque,
}
