"""`pytest.approx` on trees of values: numbers within a tolerance, in lists, tuples and dicts too.

Tolerances are those of pytest: |actual - expected| at most max(rel * |expected|, abs), with rel
1e-6 and abs 1e-12; given abs alone, rel is 0. Infinities equal themselves alone; nan equals nan
only with `nan_ok`. Whatever is no number is compared as `==` does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from murphy_env.sandbox import compare

_REL, _ABS = 1e-6, 1e-12


def close(actual: Any, expected: Any, options: Mapping[str, float], strict: bool) -> bool:
    """Whether `actual == pytest.approx(expected, **options)`, of two trees (`inside.encode`)."""
    wanted = _number(expected)
    if wanted is not None:
        found = _number(actual)
        return found is not None and _near(found, wanted, options)
    if not isinstance(expected, list) or not isinstance(actual, list):
        return compare.equal(actual, expected, strict)
    tag, members, given = expected[0], expected[1:], actual[1:]
    if tag in ("l", "t"):
        return actual[0] in ("l", "t") and _all_close(given, members, options, strict)
    if tag == "d" and actual[0] == "d":
        held = {compare.key_if_any(k, strict): value for k, value in given}
        keys = [compare.key_if_any(k, strict) for k, _ in members]
        if None in keys or set(keys) != held.keys():
            return False
        return _all_close([held[k] for k in keys], [v for _, v in members], options, strict)
    return compare.equal(actual, expected, strict)


def _all_close(
    actual: list[Any], expected: list[Any], options: Mapping[str, float], strict: bool
) -> bool:
    return len(actual) == len(expected) and all(
        close(a, e, options, strict) for a, e in zip(actual, expected, strict=True)
    )


def _number(tree: Any) -> float | int | complex | None:
    """The number of a tree; None of anything else, bool included."""
    if isinstance(tree, list) and tree and tree[0] in ("i", "f", "c"):
        tree = compare.scalar(tree)
    return tree if isinstance(tree, int | float | complex) and type(tree) is not bool else None


def _near(actual: Any, expected: Any, options: Mapping[str, float]) -> bool:
    if actual == expected:
        return True
    if actual != actual or expected != expected:
        return bool(options.get("nan_ok")) and actual != actual and expected != expected
    absolute = options.get("abs", _ABS)
    relative = options.get("rel", 0.0 if "abs" in options else _REL)
    try:
        size, distance = abs(expected), abs(actual - expected)
        return math.isfinite(size) and bool(distance <= max(relative * size, absolute))
    except OverflowError:
        return False
