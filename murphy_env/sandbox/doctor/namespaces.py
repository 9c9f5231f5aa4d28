"""Whether bubblewrap can make a jail: a real start, and why it was refused."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from murphy_env.sandbox import jail

START_S = 20.0
INSTALLERS = {
    "apt-get": "apt install bubblewrap",
    "dnf": "dnf install bubblewrap",
    "zypper": "zypper install bubblewrap",
    "pacman": "pacman -S bubblewrap",
    "apk": "apk add bubblewrap",
}
IN_DOCKER = (
    "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined "
    "--security-opt systempaths=unconfined IMAGE murphy doctor"
)
"""What bubblewrap needs there: github.com/containers/bubblewrap/issues/505; and its own /proc."""
_SWITCHES = {
    "user.max_user_namespaces": ("0", "15000"),
    "kernel.unprivileged_userns_clone": ("0", "1"),
    "kernel.apparmor_restrict_unprivileged_userns": ("1", "0"),
}
"""Settings of the kernel: the value that refuses user namespaces, and one that allows them."""


def examine() -> dict[str, Any]:
    """Whether a jail starts, with which bubblewrap, and else the reason."""
    version = jail.version()
    reason, remedy = jail.why_not(), None
    if reason is not None:
        remedy = _install()
    else:
        said = _start()
        if said is not None:
            reason, remedy = explain(said)
    return {
        "usable": reason is None,
        "bubblewrap": ".".join(map(str, version)) if version else None,
        "reason": reason,
        "remedy": remedy,
    }


def _start() -> str | None:
    """Start a jail like a worker's, with all files in it; what bubblewrap said if it failed."""
    options = [*jail.isolation(), "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    command = [shutil.which("bwrap") or "bwrap", *options, "--", "/bin/sh", "-c", "exit 0"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (done.stderr.strip() or f"status {done.returncode}") if done.returncode else None


def explain(said: str, proc: Path = Path("/proc")) -> tuple[str, str | None]:
    """Why a start failed, in words, and the command that would help, if one is known.

    Args:
        said: what bubblewrap wrote.
        proc: where the kernel tells about itself and this process.
    """
    closed = [name for name, (value, _) in _SWITCHES.items() if _read(proc, name) == value]
    if os.getuid() == 0:  # these two stop other users only
        closed = [name for name in closed if name == "user.max_user_namespaces"]
    if _has_filter(proc) and "user.max_user_namespaces" not in closed:
        return f"a container's seccomp filter, such as Docker's, refuses it: {said}", IN_DOCKER
    if closed:
        name = closed[0]
        value, better = _SWITCHES[name]
        return f"{name} is {value}: {said}", f"{_sudo()}sysctl -w {name}={better}"
    return f"it does not start: {said}", None


def _read(proc: Path, name: str) -> str | None:
    try:
        return proc.joinpath("sys", *name.split(".")).read_text().strip()
    except OSError:
        return None


def _has_filter(proc: Path) -> bool:
    """Whether this process has a seccomp filter, which it was born with."""
    try:
        lines = (proc / "self" / "status").read_text().splitlines()
    except OSError:
        return False
    return "Seccomp:\t2" in lines


def _install() -> str:
    """The command that installs bubblewrap here."""
    for program, command in INSTALLERS.items():
        if shutil.which(program):
            return _sudo() + command
    return "install the package bubblewrap"


def _sudo() -> str:
    return "" if os.getuid() == 0 else "sudo "
