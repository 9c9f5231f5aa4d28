"""Judges a program from another process: tests run here, what they ask of the program runs there.

The task's own sources (prelude, set-up, tests) are run here; of the program there are stand-ins
(`judging`). A name of the prelude stays the task's own, whatever the program defines under it, but
for the function that the task asks for; a name of Python's own stays Python's.
"""

from __future__ import annotations

import builtins
import os
import sys
from types import ModuleType
from typing import Any

from . import names
from .bench import Bench
from .judging import Judging
from .peer import Gone
from .report import describe, own_recursion_limit
from .wire import GONE


class Examiner:
    """Tests of one program.

    Args:
        request: "prelude", "setup", "tests", "entry_point"; see `program.Program`.
        fd: descriptor of the socket to the program's process.
    """

    def __init__(self, request: dict[str, Any], fd: int) -> None:
        self._request = request
        self._peer = Judging(fd)
        self._bench = Bench({}, {})
        self._failure: dict[str, Any] | None = None

    def load(self) -> dict[str, Any]:
        """Meet the program and run the set-up; a failure is kept and reported by every test."""
        frame = self._guarded(self._load)
        self._failure = frame if "error" in frame else None
        return {}

    def test(self, test: dict[str, Any]) -> dict[str, Any]:
        """Put one test; the frame that reports it."""
        return self._failure if self._failure is not None else self._guarded(self._put, test)

    def _guarded(self, action: Any, *arguments: Any) -> dict[str, Any]:
        try:
            frame: dict[str, Any] = action(*arguments)
        except Gone:
            os._exit(GONE)
        except BaseException as error:
            with own_recursion_limit():
                return describe(error, self._bench.lines)
        return frame

    def _load(self) -> dict[str, Any]:
        request = self._request
        module = ModuleType("solution")
        exec(compile(request["prelude"], "prelude.py", "exec", dont_inherit=True), module.__dict__)
        wanted = self._wanted(module.__dict__)
        exported = self._peer.exported(wanted)
        if "failed" in exported:
            return dict(exported["failed"])
        vars(module).update(exported["names"])
        sys.modules["solution"] = sys.modules["__main__"] = module
        known = module.__dict__
        if request["setup"].strip():
            known = dict(known)
            exec(compile(request["setup"], "setup.py", "exec", dont_inherit=True), known)
        self._bench = Bench(known, module.__dict__)
        return {}

    def _put(self, test: dict[str, Any]) -> dict[str, Any]:
        self._bench.run(test)
        self._peer.request("ping")  # a program that has ended passes nothing
        return {"ok": True}

    def _wanted(self, own: dict[str, Any]) -> list[str]:
        """Names that the tests mention and that can only be the program's."""
        request = self._request
        entry = request["entry_point"]
        mentioned = {entry} if entry else set()
        for source in (request["setup"], *(test["source"] for test in request["tests"])):
            mentioned |= names.read(source) | names.imported(source)
        return sorted(
            name
            for name in mentioned
            if name == entry or not (hasattr(builtins, name) or name in own)
        )
