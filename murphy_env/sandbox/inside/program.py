"""The candidate program as a module, and the ways in which a test can be put to it.

Names that a test binds stay its own: a test that binds any runs in a copy of the program's names,
one that binds none in the names themselves, and sees what the program does to them. `unittest`
tests share the names of the program's module, as the data sets that use them expect.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from types import CodeType, ModuleType
from typing import Any

from .encode import encode
from .instrument import compile_test
from .report import SOLUTION, TEST, describe, remember
from .script import run_script
from .testing import call, run_method

_RECURSION_LIMIT = sys.getrecursionlimit()


class Program:
    """One program in this process: `load` first, then tests in order; or `script` alone.

    Args:
        request: "prelude", "code" and "setup" are sources; "tests" a list of dicts with "kind" and
            what that kind needs: "setup" and "expression" (value), "source" (assert), "source" and
            "name" (function, unittest), nothing (stdio). "binds" says of a value or assert test
            whether it binds a name.
    """

    def __init__(self, request: dict[str, Any]) -> None:
        self._request = request
        self._names: dict[str, Any] = {}
        self._failure: dict[str, Any] | None = None
        self._loaded_tests: dict[str, tuple[dict[str, Any], set[int]]] = {}
        self._lines: set[int] = set()
        remember(SOLUTION, request["code"])

    def load(self) -> dict[str, Any]:
        """Run the program's top level; a failure is kept and reported by every test."""
        frame = self._guarded(self._load)
        self._failure = frame if "error" in frame else None
        return {}

    def test(self, test: dict[str, Any]) -> dict[str, Any]:
        """Put one test; the frame that reports it."""
        if self._failure is not None:
            return self._failure
        return self._guarded(getattr(self, f"_{test['kind']}"), test)

    def script(self) -> dict[str, Any]:
        """Run the program as a script; the frame that says how it ended."""
        return self._guarded(self._script)

    def _guarded(self, action: Any, *arguments: Any) -> dict[str, Any]:
        self._lines = set()
        try:
            frame: dict[str, Any] = action(*arguments)
        except BaseException as error:
            with _own_recursion_limit():
                return describe(error, self._lines)
        return frame

    def _load(self) -> dict[str, Any]:
        module = ModuleType("solution")
        module.__file__ = SOLUTION
        sys.modules["solution"] = sys.modules["__main__"] = module
        request = self._request
        exec(_compiled(request["prelude"], "prelude.py"), module.__dict__)
        exec(_compiled(request["code"], SOLUTION), module.__dict__)
        self._names = module.__dict__
        if request["setup"].strip():
            self._names = dict(self._names)
            exec(_compiled(request["setup"], "setup.py"), self._names)
        return {}

    def _value(self, test: dict[str, Any]) -> dict[str, Any]:
        names = self._scope(test)
        exec(_compiled(test["setup"], "<test>"), names)
        value = eval(_compiled(test["expression"], "<test>", "eval"), names)
        with _own_recursion_limit():
            return {"value": encode(value)}

    def _assert(self, test: dict[str, Any]) -> dict[str, Any]:
        self._run_test_source(test["source"], self._scope(test))
        return {"ok": True}

    def _function(self, test: dict[str, Any]) -> dict[str, Any]:
        names = self._module_of(test["source"], dict(self._names))
        call(names[test["name"]])
        return {"ok": True}

    def _unittest(self, test: dict[str, Any]) -> dict[str, Any]:
        names = self._module_of(test["source"], sys.modules["solution"].__dict__)
        case, _, method = test["name"].partition(".")
        run_method(names[case], method)
        return {"ok": True}

    def _script(self) -> dict[str, Any]:
        sources = ((self._request["prelude"], "prelude.py"), (self._request["code"], SOLUTION))
        run_script((_compiled(source, name) for source, name in sources), SOLUTION)
        return {"ok": True}

    def _scope(self, test: dict[str, Any]) -> dict[str, Any]:
        return dict(self._names) if test["binds"] else self._names

    def _module_of(self, source: str, names: dict[str, Any]) -> dict[str, Any]:
        """Names after running a test's source: once for all tests that share the source."""
        if source not in self._loaded_tests:
            self._run_test_source(source, names)
            self._loaded_tests[source] = names, self._lines
        names, self._lines = self._loaded_tests[source]
        remember(TEST, source)
        return names

    def _run_test_source(self, source: str, names: dict[str, Any]) -> None:
        remember(TEST, source)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code, self._lines = compile_test(source, TEST)
        exec(code, names)


@contextlib.contextmanager
def _own_recursion_limit() -> Iterator[None]:
    """Python's own limit while our code runs: the program's may be too low for us, or too high."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(_RECURSION_LIMIT)
    try:
        yield
    finally:
        with contextlib.suppress(RecursionError):  # too low for where we stand
            sys.setrecursionlimit(limit)


def _compiled(source: str, name: str, mode: str = "exec") -> CodeType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code: CodeType = compile(source, name, mode, dont_inherit=True)
    return code
