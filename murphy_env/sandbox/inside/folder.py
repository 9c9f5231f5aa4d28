"""Empties the folder that programs run in, whatever they left there."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable
from typing import Any


def empty(folder: str) -> bool:
    """Remove all that a program left in its folder; whether nothing is left."""

    def insist(remove: Callable[..., Any], path: str, _: Any) -> None:
        with contextlib.suppress(OSError):
            os.chmod(os.path.dirname(path), stat.S_IRWXU)
            remove(path)

    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, onerror=insist)
            else:
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)
    return not os.listdir(folder)
