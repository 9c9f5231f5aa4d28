"""Compares the value that a program gave with the one a test expects; both are trees, not objects.

A tree (`inside.encode`) is reduced to a text that is equal for equal values, so nothing that a
program made is ever hashed, ordered or called here, and no choice of values makes it slow.

`python`: as `==` on plain data: True == 1 == 1.0, {1} == frozenset({1}), but [1] != (1,).
`strict`: types apart, at every depth: True, 1, 1.0 differ, and so do a set and a frozenset.
In both, nan and whatever is no plain data equal nothing, not even themselves.
"""

from __future__ import annotations

import base64
import math
import operator
from collections.abc import Callable
from typing import Any

from murphy_env.sandbox.forms import Split
from murphy_env.sandbox.inside.encode import MAX_DEPTH, MAX_ITEMS
from murphy_env.types import Compare

_CONTAINERS = ("l", "t", "S", "F", "K", "M")
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Malformed(ValueError):  # noqa: N818 - the state that the tree is in
    """The tree is none that `inside.encode` makes: somebody else wrote into the channel."""


class Incomparable(TypeError):  # noqa: N818 - the relation of two values
    """Python itself would refuse this comparison."""


class _Unequal(Exception):  # noqa: N818 - an answer, not a fault
    """Holds a value that equals nothing."""


def validate(tree: Any) -> int:
    """Make sure that a tree is one that `inside.encode` could have made; else nothing may use it.

    Returns:
        The number of its nodes, which is what comparing it costs.

    Raises:
        Malformed: it is not; or it is deeper or larger than `encode` lets a value be.
    """
    left, room = [(tree, MAX_DEPTH)], MAX_ITEMS
    while left:
        node, depth = left.pop()
        room -= 1
        if room < 0 or depth < 0:
            raise Malformed("deeper or larger than any value that is sent")
        if node is None or isinstance(node, str | bool | int | float):
            continue
        tag, items = _parts(node)
        if tag in _SCALARS:
            scalar(node)
        elif tag == "d":
            left += [(part, depth - 1) for pair in items for part in pair]
        elif tag != "o":
            left += [(item, depth - 1) for item in _members(tag, items)]
    return MAX_ITEMS - room


def holds(test: Split, actual: Any, compare: Compare) -> bool:
    """Whether the assertion of a split test holds for a value.

    Raises:
        Malformed: `actual` is no tree.
        Incomparable: the operator is not defined for these values, as in `None < 3`.
    """
    strict = compare == "strict"
    negated = {"!=": "==", "is not": "is", "not in": "in", "has not": "has", "false": "true"}
    if test.operator in negated:
        return not _holds(negated[test.operator], test, actual, strict)
    return _holds(test.operator, test, actual, strict)


def _holds(symbol: str, test: Split, actual: Any, strict: bool) -> bool:
    if symbol == "true":
        return truth(actual)
    if symbol in ("==", "is"):
        return equal(actual, test.expected, strict or symbol == "is")
    if symbol == "in":
        return _contains(test.expected, actual, strict)
    if symbol == "has":
        return _contains(actual, test.expected, strict)
    if symbol == "approx":
        from murphy_env.sandbox.approx import close

        return close(actual, test.expected, test.options, strict)
    first, second = plain(actual, strict), plain(test.expected, strict)
    try:
        if symbol == "isclose":
            return math.isclose(first, second, **test.options)
        if symbol == "near":
            distance, bound = abs(first - second), test.options["bound"]
            return bool(distance <= bound if test.options["closed"] else distance < bound)
        return bool(_ORDER[symbol](first, second))
    except (TypeError, ValueError, OverflowError) as error:
        raise Incomparable(str(error)) from error


def equal(left: Any, right: Any, strict: bool) -> bool:
    """Whether two trees stand for equal values."""
    wanted = key_if_any(left, strict)
    return wanted is not None and wanted == key_if_any(right, strict)


def key_if_any(tree: Any, strict: bool) -> str | None:
    """The key of a tree; None if it holds a value that equals nothing."""
    try:
        return key(tree, strict)
    except _Unequal:
        return None


def key(tree: Any, strict: bool) -> str:
    """A text that two trees share if and only if their values are equal.

    Raises:
        Malformed: it is no tree.
    """
    if tree is None:
        return "N"
    if isinstance(tree, str):
        return f"s{len(tree)}:{tree}"
    if isinstance(tree, bool | int | float):
        return _number_key(tree, strict)
    tag, items = _parts(tree)
    if tag in ("l", "t"):
        return f"{tag}[{','.join([key(item, strict) for item in items])}]"
    if tag in ("S", "F") or (tag == "K" and not strict):
        keys = sorted({key(item, strict) for item in _members(tag, items)})
        return f"{tag if strict else 'S'}[{','.join(keys)}]"
    if tag == "d":
        pairs = sorted({key(k, strict): key(v, strict) for k, v in items}.items())
        return "d[" + ",".join(f"{k}={v}" for k, v in pairs) + "]"
    if tag in ("o", "K", "M"):
        raise _Unequal
    return _scalar_key(scalar(tree), strict)


def _scalar_key(value: Any, strict: bool) -> str:
    if isinstance(value, int | float):
        return _number_key(value, strict)
    if isinstance(value, complex):
        if not strict and value.imag == 0:
            return _number_key(value.real, strict)
        return f"c({_number_key(value.real, strict)},{_number_key(value.imag, strict)})"
    return f"s{len(value)}:{value}" if isinstance(value, str) else f"b{value.hex()}"


def _number_key(value: bool | int | float, strict: bool) -> str:
    if value != value:
        raise _Unequal
    if strict and isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and (strict or not value.is_integer()):
        return "f" + (value + 0.0).hex()  # + 0.0: -0.0 equals 0.0
    return f"i{int(value):x}"


def truth(tree: Any) -> bool:
    """The truth value; of what is no plain data, the one the program reports."""
    if not isinstance(tree, list):
        return bool(tree)
    tag, items = _parts(tree)
    if tag == "o":
        return items[2] is True
    return bool(scalar(tree)) if tag in _SCALARS else bool(_members(tag, items))


def plain(tree: Any, strict: bool) -> Any:
    """A number, a text, or a list or tuple of such, as the object that `<` can be asked of.

    Raises:
        Incomparable: it holds anything else; in strict mode also a bool, which is no number there.
    """
    if isinstance(tree, bool) and strict:
        raise Incomparable("a bool is no number where types are kept apart")
    if not isinstance(tree, list):
        return tree
    tag, items = _parts(tree)
    if tag in ("l", "t"):
        values = [plain(item, strict) for item in items]
        return values if tag == "l" else tuple(values)
    if tag in _SCALARS:
        return scalar(tree)
    raise Incomparable("only numbers, texts, lists and tuples are ordered here")


def _contains(container: Any, item: Any, strict: bool) -> bool:
    if isinstance(container, str):
        return isinstance(item, str) and item in container
    tag, items = _parts(container) if isinstance(container, list) else ("", [])
    if tag == "b":
        return _contains_bytes(scalar(container), plain(item, strict))
    if tag == "d":
        items = [pair[0] for pair in items]
    elif tag not in _CONTAINERS:
        what = f"{items[1]} cannot be looked into" if tag == "o" else "the value is no container"
        raise Incomparable(what)
    wanted = key_if_any(item, strict)
    if wanted is None:
        return False
    return any(key_if_any(other, strict) == wanted for other in _members(tag, items))


def _contains_bytes(container: bytes, item: Any) -> bool:
    if not isinstance(item, bytes | int):
        raise Incomparable(f"a bytes-like object is required, not {type(item).__name__!r}")
    if isinstance(item, int):
        return item in list(container)
    return item in container


def _members(tag: str, items: list[Any]) -> list[Any]:
    return items[1:] if tag in ("K", "M") else items


def _parts(tree: Any) -> tuple[str, list[Any]]:
    """Tag and items of a tagged tree, with as many items of such types as its tag asks for."""
    if not isinstance(tree, list) or not tree or not isinstance(tree[0], str):
        raise Malformed("neither a scalar nor a tagged list")
    tag, items = tree[0], tree[1:]
    if tag == "d" and not all(isinstance(pair, list) and len(pair) == 2 for pair in items):
        raise Malformed("a dict of what are no pairs")
    if tag == "o" and [type(item) for item in items] != [str, str, bool]:
        raise Malformed("an opaque value that is not as agreed")
    if tag in ("K", "M") and not (items and isinstance(items[0], str)):
        raise Malformed("a view without a text")
    if tag not in _CONTAINERS and tag not in ("d", "o", *_SCALARS):
        raise Malformed(f"unknown tag {tag[:20]!r}")
    return tag, items


def _component(tree: Any) -> float:
    value = scalar(tree) if isinstance(tree, list) else tree
    if not isinstance(value, float):
        raise Malformed("a complex number of what are no floats")
    return value


_SCALARS: dict[str, Callable[..., Any]] = {
    "i": lambda text: int(text, 16),
    "f": float,
    "c": lambda real, imaginary: complex(_component(real), _component(imaginary)),
    "s": lambda text: base64.b64decode(text, validate=True).decode("utf-8", "surrogatepass"),
    "b": lambda text: base64.b64decode(text, validate=True),
}


def scalar(tree: list[Any]) -> Any:
    """The value of a tagged scalar.

    Raises:
        Malformed: it cannot be read.
    """
    try:
        return _SCALARS[tree[0]](*tree[1:])
    except (TypeError, ValueError, RecursionError) as error:
        raise Malformed(f"a scalar that cannot be read: {error}") from error
