"""The fork server: forks a child where it is told to, ends it, empties the folder.

It is started by `exec` in a fresh interpreter, so it holds none of the trainer's memory,
environment or descriptors, and forking it costs the same whatever the trainer weighs. It reads no
request: a child gets its own from the trusted side, on a socket of its own, and what is known of
one program never enters the memory that the next one is forked from.

On the link, after the plan and its answer (`wire`):

    to the server    b"F" with descriptors of a child (channel, output, perhaps a peer): fork it
                     b"K": end what runs, empty the folder
    from the server  REPORT of each child that has ended: its number, its exit code
                     REPORT of a K that is done: DONE, whether the folder is empty
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import importlib.util
import os
import select
import signal
import site
import socket
import sys
from typing import Any

from . import child, folder, wire
from .confine import HIGH_FD, Confinement
from .wire import DONE, FORK, KILL, REPORT

MAX_DESCRIPTORS = 3

PRELOADED = """
    abc array ast base64 bisect calendar cmath collections.abc contextlib copy csv dataclasses
    datetime decimal difflib enum fractions functools hashlib heapq inspect io itertools json
    logging math numbers operator pathlib pprint queue random re secrets statistics string struct
    tempfile textwrap threading time traceback types typing unittest warnings
"""
"""What programs import most. Each module makes every fork dearer; asyncio, unittest.mock and a few
that come with them are left out, they would add a tenth."""


def main() -> None:
    """Serve the socket on descriptor 0 until the trusted side closes it."""
    link = socket.socket(fileno=_moved_up(0))
    plan = wire.receive(link)
    try:
        try:
            confinement = _ready(plan)
        except Exception as error:
            wire.send(link, {"unavailable": f"{type(error).__name__}: {error}"})
            return
        wire.send(link, {"ready": True})
        link.settimeout(None)
        with contextlib.suppress(OSError):  # the trusted side is gone
            _Server(link, plan["scratch"], confinement, plan["alone"]).serve()
    finally:
        folder.remove(plan["scratch"])


_fork = ctypes.PyDLL(None, use_errno=True).fork
"""The C library's. Python's own calls what modules registered for forks of programs with threads,
and new seeds for `random`: a tenth of what an execution costs. The fork server has one thread, and
its children seed anew."""


class _Server:
    """Holds the children of the request that is being answered."""

    def __init__(
        self, link: socket.socket, scratch: str, confinement: Confinement, alone: bool
    ) -> None:
        self._link = link
        self._scratch = scratch
        self._confinement = confinement
        self._alone = alone
        self._running: dict[int, tuple[int, int]] = {}  # pidfd (or minus pid) -> pid, number
        self._num_children = 0
        self._poll = select.poll()
        self._poll.register(link.fileno(), select.POLLIN)

    def serve(self) -> None:
        """Do as told until the link is at its end."""
        while True:
            ready = {fd for fd, _ in self._poll.poll()}
            for handle in ready & self._running.keys():
                self._report_end(handle)
            if self._link.fileno() in ready and not self._obey():
                break
        self._end_all()

    def _obey(self) -> bool:
        order, descriptors, _, _ = socket.recv_fds(self._link, 1, MAX_DESCRIPTORS)
        if order == FORK:
            self._fork(descriptors)
        elif order == KILL:
            self._end_all()
            self._num_children = 0
            self._link.sendall(REPORT.pack(DONE, folder.empty(self._scratch)))
        return order in (FORK, KILL)

    def _fork(self, descriptors: list[int]) -> None:
        parent = os.getpid()
        pid: int = _fork()
        if pid < 0:
            self._link.sendall(REPORT.pack(self._num_children, ctypes.get_errno()))
        if pid == 0:
            with contextlib.suppress(BaseException):
                child.main(descriptors, parent, self._scratch, self._confinement)
            os._exit(1)
        for fd in descriptors:
            os.close(fd)
        self._num_children += 1
        if pid < 0:
            return
        handle = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else -pid
        if handle >= 0:
            self._poll.register(handle, select.POLLIN)
        self._running[handle] = pid, self._num_children - 1

    def _report_end(self, handle: int) -> None:
        pid, number = self._running.pop(handle)
        status = os.waitpid(pid, 0)[1]
        if handle >= 0:
            self._poll.unregister(handle)
            os.close(handle)
        self._link.sendall(REPORT.pack(number, os.waitstatus_to_exitcode(status)))

    def _end_all(self) -> None:
        """End every child and, where nothing else lives here, whatever a child may have left."""
        for pid, _ in self._running.values():
            for kill in (os.killpg, os.kill):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    kill(pid, signal.SIGKILL)
        for handle in list(self._running):
            self._report_end(handle)
        if self._alone:
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                while True:
                    os.waitpid(-1, 0)


def _ready(plan: dict[str, Any]) -> Confinement:
    if plan["alone"]:
        _check_jail()
    sys.path += [path for path in plan["packages"] if path not in sys.path]
    confinement = Confinement(plan)
    for name in PRELOADED.split():
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    site.setquit()  # `exit` and `quit`, which `-S` leaves out
    site.sethelper()
    importlib.util.find_spec("no_module_of_this_name")  # lists the folders of packages once
    for name in [name for name in sys.modules if name.partition(".")[0] == "inside"]:
        del sys.modules[name]  # ours stay alive through `main`; a program finds none of them
    null = os.open(os.devnull, os.O_RDWR)
    for number in (1, 2):
        os.dup2(null, number)
    if null > 2:
        os.close(null)
    child.start_afresh()
    gc.collect()
    gc.disable()  # a collection would touch, and so copy, the pages shared with the children
    gc.freeze()
    return confinement


def _check_jail() -> None:
    """Raise OSError unless this process is alone, without a network, on a root it cannot write."""
    others = [name for name in os.listdir("/proc") if name.isdecimal() and name != "1"]
    networks = [name for _, name in socket.if_nameindex() if name != "lo"]
    writable = not os.statvfs("/").f_flag & os.ST_RDONLY
    if os.getpid() != 1 or others or networks or writable:
        raise OSError(
            f"no jail: this is process {os.getpid()} beside {len(others)} others, with networks "
            f"{networks}, and / is {'writable' if writable else 'read-only'}"
        )


def _moved_up(fd: int) -> int:
    import fcntl

    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, HIGH_FD)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, fd)
    os.close(null)
    return moved
