"""Reads facts off Python source that may be broken or hostile, without running it."""

from __future__ import annotations

import ast
import builtins
import threading
import warnings
from collections.abc import Iterable
from typing import NamedTuple

BUILTINS = frozenset(dir(builtins))
_lock = threading.Lock()


class Facts(NamedTuple):
    """What a program defines and uses."""

    defines: frozenset[str]
    """Names that its top level binds."""
    methods: frozenset[str]
    """Names that the bodies of its top-level classes bind."""
    uses: frozenset[str]
    """Names that it reads and that are neither its own nor built in."""
    does_something: bool
    """Whether a statement is more than names and constants, as the words of prose may be."""

    def answers(self, entry_point: str | None) -> bool:
        """Whether the name is defined, as a method too; without a name, whether anything is."""
        if entry_point is None:
            return bool(self.defines)
        return entry_point in self.defines or entry_point in self.methods


class Broken(NamedTuple):
    """Source that does not parse."""

    line: int
    """Where the parser stumbled, from 1; 0 where it does not say."""


def parse(code: str) -> ast.Module:
    """`ast.parse` without warnings, whatever the filters say.

    Under `-W error` an odd escape would otherwise make a program unparsable. Filters are global to
    the process, and two threads that restore them in the wrong order would leave them changed:
    hence the lock.
    """
    with _lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(code)


def read(code: str) -> Facts | Broken:
    r"""The facts of a source text, or where it is broken.

    Example:
        >>> read("def f(x): return g(x)").uses
        frozenset({'g'})
        >>> read("x = 1\nIt works.")
        Broken(line=2)
    """
    try:
        module = parse(code)
    except SyntaxError as error:
        return Broken(error.lineno or 0)
    except (ValueError, RecursionError, MemoryError):
        # Null bytes and lone surrogates; expressions nested too deep for the parser.
        return Broken(0)
    loads: set[str] = set()
    stores: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Name):
            (loads if isinstance(node.ctx, ast.Load) else stores).add(node.id)
        elif isinstance(node, ast.arg):
            stores.add(node.arg)
    defines = _bound(module.body)
    classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
    return Facts(
        defines=defines,
        methods=_bound(statement for node in classes for statement in node.body),
        uses=frozenset(loads - stores - defines - BUILTINS),
        does_something=any(map(_active, module.body)),
    )


def _bound(body: Iterable[ast.stmt]) -> frozenset[str]:
    """Names that statements bind, those of inner blocks included, of inner functions left out."""
    names: set[str] = set()
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif not isinstance(node, ast.Lambda) and not _only_annotates(node):
            waiting += ast.iter_child_nodes(node)
    return frozenset(names)


def _only_annotates(node: ast.AST) -> bool:
    """`Answer: none` is prose to a reader and an annotation without a value to the parser."""
    return isinstance(node, ast.AnnAssign) and node.value is None


def _active(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr):
        active = (ast.Call, ast.Await, ast.Yield, ast.NamedExpr)
        return any(isinstance(node, active) for node in ast.walk(statement.value))
    return not isinstance(statement, ast.Pass) and not _only_annotates(statement)
