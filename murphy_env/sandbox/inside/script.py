"""Runs a program as Python runs a script, to the end that the interpreter makes of it."""

from __future__ import annotations

import atexit
import contextlib
import sys
import threading
from collections.abc import Iterable
from types import CodeType, ModuleType


def run_script(codes: Iterable[CodeType], file_name: str) -> None:
    """Run codes one after the other as `__main__`; then wait for threads, and call exit handlers.

    `sys.exit()` ends a script well; with any other code it is raised.
    """
    script = ModuleType("__main__")
    script.__file__ = file_name
    sys.modules["__main__"] = script
    try:
        for code in codes:
            exec(code, script.__dict__)
    except SystemExit as error:
        if error.code not in (None, 0):
            raise
    # What `Py_FinalizeEx` does first, and what `multiprocessing` does in its forks.
    threading._shutdown()  # type: ignore[attr-defined]
    with contextlib.suppress(Exception):
        atexit._run_exitfuncs()
