"""The candidate program as a module, and the ways in which a test can be put to it.

For a value that it is to give; for a whole test beside it; for a conversation with tests in another
process; as a script.
"""

from __future__ import annotations

import sys
import warnings
from types import CodeType, ModuleType
from typing import Any

from .answering import Answering
from .bench import Bench
from .encode import encode
from .report import SOLUTION, describe, own_recursion_limit, remember
from .script import run_script


class Program:
    """One program in this process: `load` first, then tests in order; or `script` alone.

    Args:
        request: "prelude", "code" and "setup" are sources; "tests" a list of dicts with "kind" and
            what that kind needs: "setup" and "expression" (value), "source" (assert), "source" and
            "name" (function, unittest), "stdin" (stdio), nothing (serve). "binds" says of a test
            whether it binds a name.
    """

    def __init__(self, request: dict[str, Any]) -> None:
        self._request = request
        self._bench = Bench({}, {})
        self._failure: dict[str, Any] | None = None
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
        return self._guarded(self._value if test["kind"] == "value" else self._whole, test)

    def serve(self, fd: int) -> None:
        """Answer to tests in another process until it ends; see `answering`."""
        Answering(fd, self._bench.names, self._failure).serve()

    def script(self) -> dict[str, Any]:
        """Run the program as a script; the frame that says how it ended."""
        return self._guarded(self._script)

    def _guarded(self, action: Any, *arguments: Any) -> dict[str, Any]:
        try:
            frame: dict[str, Any] = action(*arguments)
        except BaseException as error:
            with own_recursion_limit():
                return describe(error, self._bench.lines)
        return frame

    def _load(self) -> dict[str, Any]:
        module = ModuleType("solution")
        module.__file__ = SOLUTION
        sys.modules["solution"] = sys.modules["__main__"] = module
        request = self._request
        if request["prelude"]:
            exec(_compiled(request["prelude"], "prelude.py"), module.__dict__)
        exec(_compiled(request["code"], SOLUTION), module.__dict__)
        names = module.__dict__
        if request["setup"].strip():
            names = dict(names)
            exec(_compiled(request["setup"], "setup.py"), names)
        self._bench = Bench(names, module.__dict__)
        return {}

    def _value(self, test: dict[str, Any]) -> dict[str, Any]:
        names = self._bench.scope(test)
        if test["setup"]:
            exec(_compiled(test["setup"], "<test>"), names)
        value = eval(_compiled(test["expression"], "<test>", "eval"), names)
        with own_recursion_limit():
            return {"value": encode(value)}

    def _whole(self, test: dict[str, Any]) -> dict[str, Any]:
        self._bench.run(test)
        return {"ok": True}

    def _script(self) -> dict[str, Any]:
        sources = ((self._request["prelude"], "prelude.py"), (self._request["code"], SOLUTION))
        run_script((_compiled(source, name) for source, name in sources), SOLUTION)
        return {"ok": True}


def _compiled(source: str, name: str, mode: str = "exec") -> CodeType:
    """Compiled, whatever a program made of warnings; nobody sees where they are printed to."""
    try:
        code: CodeType = compile(source, name, mode, dont_inherit=True)
    except Exception:  # most raise nothing, and pay for no filter
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = compile(source, name, mode, dont_inherit=True)
    return code
