"""Calls test functions and `unittest` methods, and insists that they ran: no call, no pass."""

from __future__ import annotations

import inspect
import unittest
from collections.abc import Callable
from typing import Any

_LAZY = (inspect.isgeneratorfunction, inspect.isasyncgenfunction)


def call(function: Callable[[], Any]) -> None:
    """Call a test function; a coroutine is run to its end.

    Raises:
        TypeError: it gave a generator, whose body nothing has run.
    """
    result = function()
    if inspect.iscoroutine(result):
        import asyncio

        asyncio.run(result)
    elif inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise TypeError("the test is a generator, and nothing runs its body; do not yield in it")


def run_method(case: type[unittest.TestCase], method: str) -> None:
    """Run one method of a test case, with its fixtures.

    Raises:
        TypeError: calling the method would not run its body.
        RuntimeError: the test was skipped.
        BaseException: what the test raised.
    """
    function = inspect.unwrap(getattr(case, method))
    lazy = any(is_lazy(function) for is_lazy in _LAZY)
    if lazy or (inspect.iscoroutinefunction(function) and not _runs_coroutines(case)):
        raise TypeError(
            f"calling {method} does not run its body; an async test needs IsolatedAsyncioTestCase"
        )
    result = _Result()
    unittest.TestSuite([case(method)]).run(result)
    if result.raised is not None:
        raise result.raised
    if result.testsRun != 1 or result.skipped:
        raise RuntimeError("the test was skipped")


def _runs_coroutines(case: type[unittest.TestCase]) -> bool:
    return issubclass(case, unittest.IsolatedAsyncioTestCase)


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
