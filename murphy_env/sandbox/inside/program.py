"""The candidate program as a module, and the ways in which a test can be put to it.

Names that a test binds stay its own: it runs in a copy of the program's names. Only `unittest`
tests share the names of the program's module, as the data sets that use them expect.
"""

from __future__ import annotations

import sys
import unittest
import warnings
from types import CodeType, ModuleType
from typing import Any

from .encode import encode
from .instrument import compile_test
from .report import SOLUTION, TEST, describe, remember

_RECURSION_LIMIT = sys.getrecursionlimit()


class Program:
    """One program in this process; `load` first, then tests in order.

    Args:
        request: "prelude", "code" and "setup" are sources; "tests" a list of dicts with "kind" and
            what that kind needs: "setup" and "expression" (value), "source" (assert), "source" and
            "name" (function, unittest), nothing (stdio).
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
        if test["kind"] == "stdio":
            return self._guarded(self._as_script)
        if self._failure is not None:
            return self._failure
        return self._guarded(getattr(self, f"_{test['kind']}"), test)

    def _guarded(self, action: Any, *arguments: Any) -> dict[str, Any]:
        self._lines = set()
        try:
            frame: dict[str, Any] = action(*arguments)
        except BaseException as error:
            sys.setrecursionlimit(_RECURSION_LIMIT)  # the program may have left too little for us
            return describe(error, self._lines)
        return frame

    def _load(self) -> dict[str, Any]:
        module = ModuleType("solution")
        module.__file__ = SOLUTION
        sys.modules["solution"] = module
        request = self._request
        exec(_compiled(request["prelude"], "prelude.py"), module.__dict__)
        exec(_compiled(request["code"], SOLUTION), module.__dict__)
        self._names = dict(module.__dict__)
        exec(_compiled(request["setup"], "setup.py"), self._names)
        return {}

    def _value(self, test: dict[str, Any]) -> dict[str, Any]:
        names = dict(self._names)
        exec(_compiled(test["setup"], "<test>"), names)
        value = eval(_compiled(test["expression"], "<test>", "eval"), names)
        sys.setrecursionlimit(_RECURSION_LIMIT)
        return {"value": encode(value)}

    def _assert(self, test: dict[str, Any]) -> dict[str, Any]:
        self._run_test_source(test["source"], dict(self._names))
        return {"ok": True}

    def _function(self, test: dict[str, Any]) -> dict[str, Any]:
        names = self._module_of(test["source"], dict(self._names))
        names[test["name"]]()
        return {"ok": True}

    def _unittest(self, test: dict[str, Any]) -> dict[str, Any]:
        names = self._module_of(test["source"], sys.modules["solution"].__dict__)
        case, _, method = test["name"].partition(".")
        result = _Result()
        unittest.TestSuite([names[case](method)]).run(result)
        if result.raised is not None:
            raise result.raised
        if result.testsRun != 1 or result.skipped:
            raise RuntimeError("the test was skipped")
        return {"ok": True}

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

    def _as_script(self) -> dict[str, Any]:
        """The program from its first line, as Python would start it."""
        script = ModuleType("__main__")
        script.__file__ = SOLUTION
        sys.modules["__main__"] = script
        try:
            exec(_compiled(self._request["prelude"], "prelude.py"), script.__dict__)
            exec(_compiled(self._request["code"], SOLUTION), script.__dict__)
        except SystemExit as error:
            if error.code not in (None, 0):
                raise
        return {"ok": True}


class _Result(unittest.TestResult):
    """Keeps the first exception itself, where unittest keeps its text."""

    raised: BaseException | None = None

    def _keep(self, error: Any) -> None:
        if self.raised is None and error is not None:
            self.raised = error[1]

    def addError(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        self._keep(err)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        self._keep(err)

    def addSubTest(  # noqa: N802
        self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any
    ) -> None:
        self._keep(err)

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        self._keep((None, AssertionError("unexpected success"), None))


def _compiled(source: str, name: str, mode: str = "exec") -> CodeType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code: CodeType = compile(source, name, mode, dont_inherit=True)
    return code
