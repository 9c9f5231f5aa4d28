"""Splits a test into what goes to the program and what stays here: `assert EXPRESSION == LITERAL`.

Only the set-up lines and the expression are sent; operator, expected value and message stay, so no
program can read, patch or forge its way to a pass. A test is split where that claim holds:

* the last statement is an assert with a literal on either side of `==`, `!=`, `is`, `in`, `<`, ...,
  or `math.isclose(EXPRESSION, LITERAL)`, `abs(EXPRESSION - LITERAL) < LITERAL`, or
  the truth of one call;
* nothing that is sent compares: a comparison inside would take an expected value with it. For the
  same reason a test for truth, True or False is split only if it is a call of a function that is
  no built-in, and neither its arguments nor the set-up call anything: `assert not is_prime(4)`.

Every other test runs whole, beside the program, and its result is marked `trust="weak"`.
"""

from __future__ import annotations

import ast
import builtins
import threading
import warnings
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from murphy_env.sandbox.inside.encode import encode
from murphy_env.sandbox.literal import NotLiteral, is_literal, value_of
from murphy_env.types import UnitTest

_SYMBOLS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "in": "has", "not in": "has not"}
_PARSING = threading.Lock()  # `warnings.catch_warnings` changes a global


@dataclass(frozen=True)
class Split:
    """A test in two halves.

    Example:
        >>> split(UnitTest("a = [3]; assert f(a) == 5"))
        Split(setup='a = [3]', expression='f(a)', operator='==', expected=5, shown='5', options={})
    """

    setup: str
    expression: str
    operator: str
    """A comparison, "has" (`LITERAL in EXPRESSION`), "true", "false", "isclose" or "near"."""
    expected: Any = None
    """The literal as a tree of `inside.encode`."""
    shown: str = ""
    """The literal as a text."""
    options: dict[str, float] = field(default_factory=dict, hash=False)
    """Tolerances of "isclose" and "near"."""


@lru_cache(maxsize=8192)
def split(test: UnitTest) -> Split | None:
    """The halves of an assert test, or None if it has to run whole.

    Raises:
        ValueError: the test's source is no Python.
    """
    statements = parse(test.source).body
    if test.kind != "assert" or not statements or not isinstance(statements[-1], ast.Assert):
        return None
    setup = ast.Module(statements[:-1], [])
    nodes = list(ast.walk(setup))
    if any(_judges(node) for node in nodes):
        return None
    try:
        found = _split_test(ast.unparse(setup), statements[-1].test)
    except NotLiteral:
        return None
    by_truth = found is not None and (found.operator in _BY_TRUTH or found.expected in _TRUTHS)
    return None if by_truth and any(isinstance(node, ast.Call) for node in nodes) else found


_BY_TRUTH = ("true", "false")
_TRUTHS = (True, False)


def _judges(node: ast.AST) -> bool:
    """Whether a part of the set-up may hold an expected value and decide something by it."""
    name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")
    return isinstance(node, ast.Compare | ast.Assert | ast.Raise) or name.startswith("assert")


def parse(source: str) -> ast.Module:
    """Parse a test, silently as to warnings.

    Raises:
        ValueError: the source is no Python.
    """
    with _PARSING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError) as error:
            raise ValueError(
                f"this test is no Python ({error}); repair or drop it: {source[:200]!r}"
            ) from error


def _split_test(setup: str, test: ast.expr) -> Split | None:
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=call) if _is_plain_call(call):
            return Split(setup, ast.unparse(call), "false", shown="a false value")
        case ast.Call(func=ast.Name(id="isclose") | ast.Attribute(attr="isclose")):
            return _split_isclose(setup, test)
        case ast.Call() if _is_plain_call(test):
            return Split(setup, ast.unparse(test), "true", shown="a true value")
        case ast.Compare(left=left, ops=[symbol], comparators=[right]):
            return _split_compare(setup, left, _SYMBOLS[type(symbol)], right)
    return None


def _split_compare(setup: str, left: ast.expr, symbol: str, right: ast.expr) -> Split | None:
    if is_literal(left):
        left, symbol, right = right, _MIRRORED.get(symbol, symbol), left
    if symbol in ("<", "<=") and (near := _split_near(setup, left, symbol, right)):
        return near
    expected = value_of(right)
    if not _is_sendable(left) or (isinstance(expected, bool) and not _is_plain_call(left)):
        return None
    return _with_literal(setup, left, symbol, right)


def _split_near(setup: str, left: ast.expr, symbol: str, bound: ast.expr) -> Split | None:
    """`abs(EXPRESSION - LITERAL) < LITERAL`, either way round inside."""
    match left:
        case ast.Call(
            func=ast.Name(id="abs"),
            args=[ast.BinOp(left=first, op=ast.Sub(), right=second)],
            keywords=[],
        ):
            pass
        case _:
            return None
    if is_literal(first):
        first, second = second, first
    options = {"bound": _real(bound), "closed": float(symbol == "<=")}
    return _with_literal(setup, first, "near", second, options) if _is_sendable(first) else None


def _split_isclose(setup: str, call: ast.Call) -> Split | None:
    if len(call.args) != 2 or ast.unparse(call.func) not in ("math.isclose", "isclose"):
        return None
    first, second = call.args
    if is_literal(first):
        first, second = second, first
    options = {word.arg: _real(word.value) for word in call.keywords if word.arg}
    if len(options) < len(call.keywords) or not options.keys() <= {"rel_tol", "abs_tol"}:
        return None
    return _with_literal(setup, first, "isclose", second, options) if _is_sendable(first) else None


def _with_literal(
    setup: str, sent: ast.expr, symbol: str, kept: ast.expr, options: dict[str, float] | None = None
) -> Split:
    expected = encode(value_of(kept))
    if isinstance(expected, list) and expected[0] == "o":
        raise NotLiteral("a value that would not travel")
    return Split(setup, ast.unparse(sent), symbol, expected, ast.unparse(kept), options or {})


def _real(node: ast.expr) -> float:
    value = value_of(node)
    if not isinstance(value, int | float):
        raise NotLiteral("a tolerance that is no number")
    return float(value)


def _is_sendable(node: ast.expr) -> bool:
    """Whether it is for the program to compute, and takes no expected value along."""
    return not is_literal(node) and not any(isinstance(n, ast.Compare) for n in ast.walk(node))


def _is_plain_call(node: ast.expr) -> bool:
    """Whether it is a call of a function of the program with arguments that call nothing."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return False
    if hasattr(builtins, node.func.id):
        return False
    given = [*node.args, *(word.value for word in node.keywords)]
    inner = [n for arg in given for n in ast.walk(arg)]
    return not any(isinstance(n, ast.Call | ast.Compare) for n in inner)
