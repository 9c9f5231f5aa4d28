"""Which expressions of a test may be sent so that the verdict still falls outside: a list of forms.

What is sent must give the program's own value, never an opinion on it. So it is a call of the
program's function with data, `Class(data).method(data)`, an attribute or an item of those, or a
built-in such as `len` or `sorted` around them; names may stand for such parts where the set-up
assigned them. A call of anything that the test brings along, an import or a function of its own,
could decide about the value in there, where the program can deceive it, and is no such form.
"""

from __future__ import annotations

import ast
import builtins
from dataclasses import dataclass, field
from enum import Enum

from murphy_env.sandbox.literal import is_literal

_WRAPPERS = {"list", "sorted", "tuple", "set", "frozenset", "dict", "len", "str", "int", "float"}
_WRAPPERS |= {"round", "sum", "min", "max", "abs", "repr", "next", "iter"}
_BUILDERS = _WRAPPERS | {"range", "bytes", "bytearray", "complex", "enumerate", "zip", "reversed"}
_BUILDERS |= {"chr", "ord", "map", "object", "bool"}
_INWARD = {"solution", "sys", "importlib", "builtins", "__main__", "inspect", "gc", "operator"}
"""Modules by which a set-up could get hold of the program, or judge without a comparison."""
_DECIDING = (ast.Compare, ast.Assert, ast.Raise, ast.Lambda, ast.NamedExpr, ast.Await, ast.Yield)
_QUIET = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.Expr, ast.Pass)


class Kind(Enum):
    """What an expression of a test is made of."""

    DATA = "data"
    """Only what the test brings: nothing of the program has a part in it."""
    OBJECT = "object"
    """An object of one of the program's classes, told by the capital letter."""
    VALUE = "value"
    """A value that the program gave."""
    FOREIGN = "foreign"
    """Something that the test imports: data, unless it is called with values of the program."""


@dataclass
class Scope:
    """What the names of a test stand for."""

    entry_point: str | None = None
    kinds: dict[str, Kind] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    """Other names of what the program defines, as in `candidate = add`."""
    origins: dict[str, str] = field(default_factory=dict)
    """Imported names with their full names."""
    calls: set[str] = field(default_factory=set)
    """Functions and methods of the program that are called."""
    only_data: bool = True
    """Whether every argument of those calls is data."""

    def is_free(self, name: str) -> bool:
        """Whether a name can only be the program's."""
        return name not in self.kinds and (name == self.entry_point or not hasattr(builtins, name))

    def read(self, module: ast.Module) -> bool:
        """Take in a set-up, in order; False where it does more than prepare."""
        if any(isinstance(node, _DECIDING) for node in ast.walk(module)):
            return False
        return all(isinstance(line, _QUIET) and self._read_line(line) for line in module.body)

    def _read_line(self, line: ast.stmt) -> bool:
        match line:
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                module = getattr(line, "module", None)
                found = [str(module or name.name).partition(".")[0] for name in names]
                bound = [name.asname or name.name.partition(".")[0] for name in names]
                self.kinds.update(dict.fromkeys(bound, Kind.FOREIGN))
                self.origins.update(
                    (new, f"{module}.{name.name}" if module else name.name)
                    for new, name in zip(bound, names, strict=True)
                )
                return not _INWARD.intersection(found) and "*" not in bound
            case ast.Assign(targets=[target], value=value):
                return self._bind(target, value)
            case ast.AnnAssign(target=ast.Name() as target, value=ast.expr() as value):
                return self._bind(target, value)
            case ast.Expr(value=value):
                return isinstance(value, ast.Name) or self.kind_of(value) is not None
        return isinstance(line, ast.Pass)

    def _bind(self, target: ast.expr, value: ast.expr) -> bool:
        names = target.elts if isinstance(target, ast.Tuple) else [target]
        if isinstance(target, ast.Name) and isinstance(value, ast.Name) and self.is_free(value.id):
            self.aliases[target.id] = self.aliases.get(value.id, value.id)
            return True
        kind = self.kind_of(value)
        for name in names:
            if kind is None or not isinstance(name, ast.Name):
                return False
            self.kinds[name.id] = kind
            self.aliases.pop(name.id, None)
        return True

    def origin(self, function: ast.expr) -> str:
        """Full name of what a name or attribute was imported as; as it stands if it was not."""
        first, _, rest = ast.unparse(function).partition(".")
        return ".".join(filter(None, (self.origins.get(first, first), rest)))

    def kind_of(self, node: ast.expr) -> Kind | None:
        """The kind of an expression; None if it is of no form that may be sent."""
        if self._is_data(node):
            return Kind.DATA
        match node:
            case ast.Name(id=name):
                return self.kinds.get(name, Kind.VALUE if self.is_free(name) else None)
            case ast.Call(func=ast.Name(id=name)) if self.is_free(name):
                return self._call(self.aliases.get(name, name), node)
            case ast.Call(func=ast.Name(id=name), args=[first, *rest]) if name in _WRAPPERS:
                return (
                    self._wrap(first, [*rest, *_values(node)]) if self._is_builtin(name) else None
                )
            case ast.Call(func=ast.Attribute(value=owner, attr=method)):
                return self._call(method, node) if self._is_object(owner) else None
            case ast.Attribute(value=owner):
                return Kind.VALUE if self._is_program(owner) else None
            case ast.Subscript(value=owner, slice=index):
                return Kind.VALUE if self._is_program(owner) and self._is_data(index) else None
        return None

    def _call(self, name: str, call: ast.Call) -> Kind | None:
        """A call of the program's, with data, its objects, or nothing but one value of its own."""
        given = [*call.args, *_values(call)]
        rest = [arg for arg in given if not self._is_data(arg)]
        if any(not self._is_argument(name, arg, len(given) == 1) for arg in rest):
            return None
        self.only_data = self.only_data and not rest
        self.calls.add(name)
        return Kind.OBJECT if name[:1].isupper() else Kind.VALUE

    def _is_argument(self, called: str, arg: ast.expr, alone: bool) -> bool:
        if isinstance(arg, ast.Name) and self.is_free(arg.id):
            # Of two functions of the program, one may be a judge of the other.
            return called == self.entry_point != self.aliases.get(arg.id, arg.id)
        kind = self.kind_of(arg)
        if kind is Kind.OBJECT:
            return True
        return kind is Kind.VALUE and (alone or called == self.entry_point)

    def _wrap(self, inner: ast.expr, rest: list[ast.expr]) -> Kind | None:
        return Kind.VALUE if self._is_program(inner) and all(map(is_literal, rest)) else None

    def _is_program(self, node: ast.expr) -> bool:
        return self.kind_of(node) in (Kind.VALUE, Kind.OBJECT)

    def _is_object(self, node: ast.expr) -> bool:
        """Whether its methods are the program's: an object of its class, or the class itself."""
        if isinstance(node, ast.Name) and self.is_free(node.id):
            return node.id[:1].isupper()
        return self.kind_of(node) is Kind.OBJECT

    def _is_builtin(self, name: str) -> bool:
        known = {*self.kinds, *self.aliases, self.entry_point}
        return hasattr(builtins, name) and name not in known

    def _is_data(self, node: ast.expr) -> bool:
        """Whether nothing of the program takes part in it: every name is the test's own."""
        parts = list(ast.walk(node))
        if any(isinstance(part, (*_DECIDING, ast.JoinedStr)) for part in parts):
            return False
        targets = {
            part.id for part in parts if isinstance(part, ast.Name) and _is_stored(part)
        }  # of comprehensions
        return all(
            part.id in targets or self._is_data_name(part.id)
            for part in parts
            if isinstance(part, ast.Name)
        )

    def _is_data_name(self, name: str) -> bool:
        kind = self.kinds.get(name)
        return kind in (Kind.DATA, Kind.FOREIGN) or (name in _BUILDERS and self._is_builtin(name))


def _values(call: ast.Call) -> list[ast.expr]:
    return [word.value for word in call.keywords]


def _is_stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)
