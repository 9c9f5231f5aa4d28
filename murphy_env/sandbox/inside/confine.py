"""Takes power away from the calling process: Landlock, seccomp, rlimits, capabilities.

What to take is decided on the trusted side and comes as a plan of plain data; here it is only
applied. A step that fails raises, and the child then ends before it has seen any program.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import math
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable
from typing import Any

MAX_THREADS = 512
"""Of a jail; elsewhere the limit would count all that the user runs. It does not bind root."""

_SAME_FOR_ALL = ("CORE", 0), ("NOFILE", 256), ("MEMLOCK", 0), ("MSGQUEUE", 0)
"""Set in the fork server already; its children inherit them."""

HIGH_FD = 64
"""Descriptors of the fork server lie from here on, so that a child's own 0-4 never clobber them."""

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_SET_PDEATHSIG, _SET_DUMPABLE, _SET_SECCOMP, _NO_NEW_PRIVS = 1, 4, 22, 38
_READ = 1 << 2 | 1 << 3  # READ_FILE, READ_DIR
_OF_A_FILE = 1 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15  # rights that a rule on a file may grant
_CAPABILITY_VERSION_3 = 0x20080522


class Confinement:
    """A plan made ready in the fork server, so that a child pays for the last calls only.

    The plan: `{"filter": hex or None, "pid_at": [offset...], "read": [path...], "write":
    [path...], "alone": bool}`; without a filter there is neither seccomp nor Landlock; alone is
    who has a jail.
    """

    def __init__(self, plan: dict[str, Any]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._filter = bytearray.fromhex(plan["filter"]) if plan["filter"] else None
        self._pid_at = plan["pid_at"]
        self._ruleset = -1
        for name, value in _SAME_FOR_ALL:
            _limit(name, value)
        self._own = {"NPROC": MAX_THREADS} if plan["alone"] else {}
        self._hard = {name: _hard(name) for name in ("AS", "FSIZE", "CPU", *self._own)}
        if sys.platform == "linux":
            self._call("prctl", _NO_NEW_PRIVS, 1, 0, 0, 0)
            self._call("prctl", _SET_DUMPABLE, 0, 0, 0, 0)
            self._die = _prepared("prctl", _SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if self._filter is not None:
            self._ruleset = self._landlock(plan["read"], plan["write"])
            self._prepare(self._filter)

    def _prepare(self, code: bytearray) -> None:
        """Make the arguments of a child's calls, so that it need not."""
        self._code = (ctypes.c_char * len(code)).from_buffer(code)
        program = struct.pack("@HP", len(code) // 8, ctypes.addressof(self._code))
        header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
        self._restrict = _prepared("syscall", _RESTRICT_SELF, self._ruleset, 0)
        self._drop = _prepared("capset", header, bytes(24))
        self._install = _prepared("prctl", _SET_SECCOMP, 2, program, 0, 0)

    def die_with_parent(self, parent: int) -> None:
        """Make the kernel end this process when its parent ends, however it ends.

        In a jail the first process takes all others with it.
        """
        if sys.platform == "linux" and parent != 1:
            self._die()
        if os.getppid() != parent:
            os._exit(1)

    def close_files(self, first: int) -> None:
        """Landlock from here on; every descriptor from the first is closed."""
        if self._ruleset >= 0:
            self._restrict()
        os.closerange(first, 1 << 16)

    def drop_powers(self) -> None:
        """No capabilities, and seccomp. Nothing after this can be undone."""
        if self._filter is None:
            return
        self._drop()
        for offset in self._pid_at:
            struct.pack_into("=I", self._filter, offset, os.getpid())
        self._install()

    def limit_resources(self, limits: dict[str, Any], num_tests: int) -> None:
        """Hard rlimits; the processor limit is a backstop behind the trusted side's own clock."""
        wanted = {
            "AS": limits["memory_bytes"],
            "FSIZE": limits["file_bytes"],
            "CPU": math.ceil(limits["test_cpu_s"] * (num_tests + 1)) + 5,
            **self._own,
        }
        for name, value in wanted.items():
            _limit(name, value, self._hard[name])

    def _landlock(self, read: list[str], write: list[str]) -> int:
        abi = self._libc.syscall(_CREATE_RULESET, None, 0, 1)
        if abi < 1:
            raise OSError("the kernel has no Landlock, or it is not enabled (needs Linux 5.13)")
        handled = (1 << (13 + (abi >= 2) + (abi >= 3))) - 1 | (1 << 15 if abi >= 5 else 0)
        net = 0b11 if abi >= 4 else 0
        scope = 0b11 if abi >= 6 else 0  # abstract sockets, signals
        attributes = struct.pack("=QQQ", handled, net, scope)[: 8 + 8 * ((abi >= 4) + (abi >= 6))]
        opened = self._syscall(_CREATE_RULESET, attributes, len(attributes), 0)
        ruleset: int = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, HIGH_FD)
        os.close(opened)
        for paths, rights in ((read, _READ), (write, handled & ~1)):  # never EXECUTE
            for path in paths:
                with contextlib.suppress(FileNotFoundError):
                    self._grant(ruleset, path, rights)
        return ruleset

    def _grant(self, ruleset: int, path: str, rights: int) -> None:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)  # type: ignore[attr-defined,unused-ignore]
        try:
            allowed = rights if os.path.isdir(path) else rights & _OF_A_FILE
            self._syscall(_ADD_RULE, ruleset, 1, struct.pack("=Qi", allowed, fd), 0)
        finally:
            os.close(fd)

    def _syscall(self, number: int, *arguments: Any) -> int:
        return self._call("syscall", ctypes.c_long(number), *arguments)

    def _call(self, name: str, *arguments: Any) -> int:
        wide = (ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments)
        result: int = getattr(self._libc, name)(*wide)
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{name}: {os.strerror(number)}")
        return result


def _prepared(name: str, *arguments: int | bytes) -> Callable[[], None]:
    """A call of the C library with its arguments made; it raises OSError where it fails."""
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    function.argtypes = [
        ctypes.c_long if isinstance(a, int) else ctypes.c_char_p for a in arguments
    ]
    made = [ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in arguments]

    def call() -> None:
        if function(*made) < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{name}: {os.strerror(number)}")

    return call


def _limit(name: str, value: int, hard: int | None = None) -> None:
    """Set a hard rlimit, where this system has it, as low as it is already or lower."""
    kind = getattr(resource, f"RLIMIT_{name}", None)
    if kind is not None:
        hard = _hard(name) if hard is None else hard
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def _hard(name: str) -> int:
    kind = getattr(resource, f"RLIMIT_{name}", None)
    return resource.RLIM_INFINITY if kind is None else resource.getrlimit(kind)[1]
