"""What an attention class hands to transformers' attention interface, read from its source.

A function registered in transformers' `AttentionInterface` gets queries, keys and values and what
the class passes besides. Whatever the class does to the scores without passing it is lost. The
source says both, for models without weights too.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import dataclass, field
from functools import cache
from typing import Any

_LOOKUP = "get_interface"
"""`ALL_ATTENTION_FUNCTIONS.get_interface(name, default)` gives the registered function."""
_MASK = "attention_mask"
_MASK_PLACE = 4
"""The mask's place among (module, query, key, value, mask)."""


@dataclass(frozen=True)
class AttentionCall:
    """How a class calls the attention function that it looked up.

    Example:
        Of Mistral's attention: dropout, scaling and window are named, the mask goes on as it came.

        >>> AttentionCall(frozenset({"dropout", "scaling", "sliding_window"})).changes_mask
        False
    """

    named: frozenset[str] = field(default_factory=frozenset)
    """Names of what is passed besides queries, keys, values and mask."""
    passes_rest: bool = True
    """Whether keywords that the class does not know go on to the function (`**kwargs`)."""
    changes_mask: bool = False
    """Whether the mask is not the one that the class was given."""
    counts_positions: bool = False
    """Whether the class counts positions itself (`arange`), which are not those of a trie."""


def attention_call(cls: type) -> AttentionCall | None:
    """How instances of `cls` call the attention interface; None if they do not, as far as is known.

    Source that cannot be read counts as such a class.
    """
    key: Any = cls  # mypy doubts that classes can be hashed
    return _read_call(key)


@cache
def _read_call(cls: Any) -> AttentionCall | None:
    tree = forward_source(cls)
    if tree is None:
        return None
    found = [name for node in ast.walk(tree) if (name := _looked_up(node))]
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _is_of(node, found)]
    if not calls:
        return None
    return AttentionCall(
        frozenset(
            keyword.arg
            for call in calls
            for keyword in call.keywords
            if keyword.arg not in (None, _MASK)
        ),
        passes_rest=all(_has_rest(call) for call in calls),
        changes_mask=_remakes(tree, _MASK) or not all(_passes_mask(call) for call in calls),
        counts_positions=any(_attribute(node) == "arange" for node in ast.walk(tree)),
    )


def forward_source(cls: type) -> ast.FunctionDef | None:
    """The parsed `forward` of a class; None if its source cannot be read."""
    forward: Any = getattr(cls, "forward", None)
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(forward))))
    except (OSError, TypeError, SyntaxError):
        return None
    return next((node for node in tree.body if isinstance(node, ast.FunctionDef)), None)


def hands_keywords_on(cls: type) -> bool:
    """Whether `forward` takes keywords that it does not know and gives them to what it calls."""
    tree = forward_source(cls)
    if tree is None or tree.args.kwarg is None:
        return False
    return any(isinstance(node, ast.Call) and _has_rest(node) for node in ast.walk(tree))


def first_arguments(tree: ast.FunctionDef, attribute: str) -> list[str]:
    """Names of the first argument wherever `self.<attribute>(...)` is called in `tree`."""
    return [
        ast.unparse(node.args[0]) if node.args else ""
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _attribute(node.func) == attribute
    ]


def _looked_up(node: ast.AST) -> str | None:
    """The variable that a looked-up attention function is assigned to."""
    target: ast.expr | None = None
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
    elif isinstance(node, ast.AnnAssign):
        target = node.target
    if not isinstance(target, ast.Name) or not isinstance(node, ast.Assign | ast.AnnAssign):
        return None
    value = node.value
    is_lookup = isinstance(value, ast.Call) and _attribute(value.func) == _LOOKUP
    return target.id if is_lookup else None


def _is_of(call: ast.Call, names: list[str]) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id in names


def _has_rest(call: ast.Call) -> bool:
    return any(keyword.arg is None for keyword in call.keywords)


def _passes_mask(call: ast.Call) -> bool:
    by_name = [keyword.value for keyword in call.keywords if keyword.arg == _MASK]
    given = by_name or call.args[_MASK_PLACE : _MASK_PLACE + 1]
    return any(isinstance(value, ast.Name) and value.id == _MASK for value in given)


def _remakes(tree: ast.FunctionDef, name: str) -> bool:
    """Whether a variable is computed anew; to take over another one's value is not to compute."""
    stored = sum(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
        for node in ast.walk(tree)
    )
    taken_over = sum(
        isinstance(node, ast.Assign)
        and [ast.unparse(target) for target in node.targets] == [name]
        and isinstance(node.value, ast.Name)
        for node in ast.walk(tree)
    )
    return stored > taken_over


def _attribute(node: ast.AST) -> str | None:
    return node.attr if isinstance(node, ast.Attribute) else None
