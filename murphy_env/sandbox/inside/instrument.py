"""Lets a failed `assert a == b` of a test say what a and b were, without evaluating them twice.

`assert a == b` becomes `assert (ACTUAL := a) == (EXPECTED := b)`: same order, same effects, same
line numbers, two more local names. Asserts of any other form stay as they are.
"""

from __future__ import annotations

import ast
from types import CodeType

ACTUAL, EXPECTED = "_murphy_actual_", "_murphy_expected_"
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_DISPLAYS = (ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict)


def compile_test(source: str, file_name: str) -> tuple[CodeType, set[int]]:
    """The code of a test, and the lines on which a comparison is kept."""
    keeper = _Keeper()
    tree = keeper.visit(ast.parse(source, file_name))
    return compile(tree, file_name, "exec", dont_inherit=True), keeper.lines


class _Keeper(ast.NodeTransformer):
    def __init__(self) -> None:
        self.lines: set[int] = set()

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        """Leave a class body alone: names in it are attributes, of an Enum even members."""
        node.body = [
            self.visit(part) if isinstance(part, _DEFINITIONS) else part for part in node.body
        ]
        return node

    def visit_Assert(self, node: ast.Assert) -> ast.Assert:
        """Give names to the two sides; a literal on the left is the expected one."""
        test = node.test
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            names = (EXPECTED, ACTUAL) if isinstance(test.left, _DISPLAYS) else (ACTUAL, EXPECTED)
            test.left = _named(names[0], test.left)
            test.comparators = [_named(names[1], test.comparators[0])]
            self.lines.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        return node


def _named(name: str, value: ast.expr) -> ast.expr:
    target = ast.copy_location(ast.Name(name, ast.Store()), value)
    return ast.copy_location(ast.NamedExpr(target, value), value)
