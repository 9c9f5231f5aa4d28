"""Reads the value of a literal expression of a test, on the trusted side, without running it."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

_BUILDERS: dict[str, Callable[..., Any]] = {
    "set": set,
    "frozenset": frozenset,
    "list": list,
    "tuple": tuple,
    "dict": dict,
    "float": float,
}
_SIGNS: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
}
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_MAX_OPERAND = 1 << 64


class NotLiteral(Exception):  # noqa: N818 - an answer, not a fault
    """The expression needs more than literals, or more work than a literal should."""


def value_of(node: ast.expr) -> Any:
    """The value of a display, a signed or computed number, or `set`, `dict`, ... of literals.

    Raises:
        NotLiteral: it is anything else.
    """
    try:
        return _value(node)
    except (TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise NotLiteral(ast.dump(node)[:100]) from error


def is_literal(node: ast.expr) -> bool:
    """Whether `value_of` knows the expression's value."""
    try:
        value_of(node)
    except NotLiteral:
        return False
    return True


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=value) if value is not Ellipsis:
            return value
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_value(item) for item in items)
        case ast.Set(elts=items):
            return {_value(item) for item in items}
        case ast.Dict(keys=keys, values=values) if None not in keys:
            pairs = zip(keys, values, strict=True)
            return {_value(key): _value(value) for key, value in pairs if key is not None}
        case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _SIGNS:
            return _SIGNS[type(sign)](_number(operand))
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _ARITHMETIC:
            return _ARITHMETIC[type(sign)](_number(left), _number(right, isinstance(sign, ast.Pow)))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _BUILDERS:
            return _BUILDERS[name](*[_value(arg) for arg in args])
    raise NotLiteral(type(node).__name__)


def _number(node: ast.expr, exponent: bool = False) -> int | float | complex:
    value = _value(node)
    if not isinstance(value, int | float | complex):
        raise NotLiteral("arithmetic on what is no number")
    if abs(value) > (64 if exponent else _MAX_OPERAND):
        raise NotLiteral("a number too large to compute with")
    return value
