"""Empties the folder that programs run in, whatever they left there, however deep.

A folder inside the folder is moved up to the top before it is looked into: no path grows longer
than what the kernel takes, and nothing recurses.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time

EMPTY_S = 5.0
"""A folder that takes longer to empty is given up, whatever is in it."""

TRIES = 5
WAIT_S = 0.02


def empty(folder: str, deadline: float | None = None) -> bool:
    """Remove all that a program left in its folder; whether nothing is left, and that in time.

    Never raises.
    """
    deadline = time.monotonic() + EMPTY_S if deadline is None else deadline
    try:
        os.chmod(folder, stat.S_IRWXU)
        with os.scandir(folder) as entries:
            folders = [entry.path for entry in entries if not _unlinked(entry, deadline)]
        number = 0
        while folders:
            found, number = _lifted(folders.pop(), folder, number, deadline)
            folders += found
        return not os.listdir(folder)
    except OSError:
        return False


def remove(folder: str) -> bool:
    """Remove the folder itself as well; whether it is gone. Never raises."""
    deadline = time.monotonic() + EMPTY_S
    for _ in range(TRIES):
        empty(folder, deadline)
        with contextlib.suppress(OSError):
            os.rmdir(folder)
        if not os.path.lexists(folder):
            return True
        time.sleep(WAIT_S)  # a process that is ending may have written meanwhile
    return False


def _lifted(path: str, top: str, number: int, deadline: float) -> tuple[list[str], int]:
    """Remove one folder; the folders that were in it, moved to the top, and the next free name."""
    lifted: list[str] = []
    _check(deadline)
    with contextlib.suppress(OSError):  # most are empty
        os.rmdir(path)
        return lifted, number
    os.chmod(path, stat.S_IRWXU)  # without these rights nothing in it can be moved
    with os.scandir(path) as entries:
        for entry in entries:
            if not _unlinked(entry, deadline):
                os.chmod(entry.path, stat.S_IRWXU)
                while os.path.lexists(target := os.path.join(top, f".lifted-{number}")):
                    number += 1
                    _check(deadline)
                os.rename(entry.path, target)
                lifted.append(target)
    os.rmdir(path)
    return lifted, number


def _unlinked(entry: os.DirEntry[str], deadline: float) -> bool:
    """Whether it was no folder, and so is gone."""
    _check(deadline)
    if entry.is_dir(follow_symlinks=False):
        return False
    os.unlink(entry.path)
    return True


def _check(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError(f"{EMPTY_S:g} s were not enough")  # an OSError
