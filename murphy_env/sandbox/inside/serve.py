"""The fork server: waits for requests and forks a supervisor for each, which forks the children.

It is started by `exec` in a fresh interpreter, so it holds none of the trainer's memory,
environment or descriptors, and forking it costs the same whatever the trainer weighs. It never
reads a request itself: what a supervisor learns of one program (its source, its results) ends with
the supervisor, and no later program finds it in the memory that it was forked with.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import os
import site
import socket
import sys
from typing import Any, NoReturn

from . import folder, wire
from .confine import HIGH_FD, Confinement
from .supervise import Supervisor

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
    try:
        plan, _ = wire.receive(link)
        try:
            confinement = _ready(plan)
        except Exception as error:
            wire.send(link, {"unavailable": f"{type(error).__name__}: {error}"})
            return
        wire.send(link, {"ready": True})
        _serve(link, Supervisor(link.fileno(), plan["scratch"], confinement), confinement)
    finally:
        folder.remove(plan["scratch"])


def _serve(link: socket.socket, supervisor: Supervisor, confinement: Confinement) -> None:
    """Fork for every request, until the trusted side is gone or a supervisor ends badly."""
    link.settimeout(None)
    status = 0
    while status == 0 and _is_asked(link):
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _serve_one(link, supervisor, confinement, parent)
        status = os.waitpid(pid, 0)[1]


def _is_asked(link: socket.socket) -> bool:
    """Wait for a request, without reading it; False if there will be none."""
    try:
        return bool(link.recv(1, socket.MSG_PEEK))
    except OSError:
        return False


def _serve_one(
    link: socket.socket, supervisor: Supervisor, confinement: Confinement, parent: int
) -> NoReturn:
    """Answer one request and end; exit status 1 says that the link cannot be used any more."""
    status = 1
    try:
        confinement.die_with_parent(parent)
        request, _ = wire.receive(link)
        answer: tuple[dict[str, Any], list[bytes]]
        try:
            answer = supervisor.execute(request)
        except wire.Closed:
            raise
        except Exception as error:
            answer = {"broken": f"{type(error).__name__}: {error}"}, []
        wire.send(link, *answer)
        status = 0
    finally:
        os._exit(status)


def _ready(plan: dict[str, Any]) -> Confinement:
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
    gc.collect()
    gc.disable()  # a collection would touch, and so copy, the pages shared with the children
    gc.freeze()
    return confinement


def _moved_up(fd: int) -> int:
    import fcntl

    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, HIGH_FD)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, fd)
    os.close(null)
    return moved
