"""The command that starts a fork server in a jail of its own: bubblewrap, once per worker.

In the jail there are Python, its packages and the libraries of the system, read-only; a folder for
programs, in memory and of limited size; and processes, network, users and shared memory of its own.
What each child gives up besides is the same as without a jail.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache

SCRATCH = "/murphy/scratch"
"""It is cut from all that is shown, so no honest value should hold it."""
SERVER = "/murphy/inside"
"""Where `inside` lies in the jail."""
MAX_SCRATCH_BYTES = 64 << 20
"""Of all files in the folder together; they count as memory of the machine."""
_LOCKED = (0, 8)
"""First version that can forbid namespaces within the jail."""


def why_not() -> str | None:
    """Why there can be no jail here, as far as can be said without starting one."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed (Debian, Ubuntu: apt install bubblewrap)"
    if version() is None:
        return "`bwrap --version` tells no version"
    return None


def command(python: str, inside: str, readable: Sequence[str]) -> list[str]:
    """Bubblewrap's command line, up to the interpreter's own arguments.

    Args:
        python: path of the interpreter, no link.
        inside: folder of the fork server's code.
        readable: files and folders that are seen in the jail, under the same names.
    """
    options = [*isolation(), "--hostname", "box", "--dev", "/dev", "--proc", "/proc"]
    for path in dict.fromkeys([python, *readable]):
        if os.path.exists(path) and not path.startswith("/dev/"):
            options += ["--ro-bind", path, path]
    options += ["--ro-bind", inside, SERVER]
    options += ["--size", str(MAX_SCRATCH_BYTES), "--tmpfs", SCRATCH, "--chdir", SCRATCH]
    options += ["--remount-ro", "/dev", "--remount-ro", "/"]
    return [shutil.which("bwrap") or "bwrap", *options, "--", python]


def isolation() -> list[str]:
    """Bubblewrap's options that take away; a worker's jail and the trial of `doctor` share them."""
    # `--new-session` is the worker's own doing; `--die-with-parent` would mean the thread.
    options = ["--unshare-all", "--unshare-user", "--cap-drop", "ALL", "--as-pid-1"]
    return [*options, "--disable-userns"] if (version() or _LOCKED) >= _LOCKED else options


@cache
def version() -> tuple[int, ...] | None:
    """Of bubblewrap, as in (0, 8); None where it is not installed, or does not tell."""
    program = shutil.which("bwrap")
    if program is None:
        return None
    try:
        told = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"(\d+)\.(\d+)", told.stdout)
    return tuple(map(int, found.groups())) if found else None
