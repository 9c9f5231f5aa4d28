"""The fork server: waits for requests, forks a child for each, never looks inside a program.

It is started by `exec` in a fresh interpreter, so it holds none of the trainer's memory,
environment or descriptors, and forking it costs the same whatever the trainer weighs.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import os
import shutil
import socket
import sys
from typing import Any

from . import wire
from .confine import HIGH_FD, Confinement
from .supervise import Supervisor, Unconfined

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
            supervisor = _ready(plan, link.fileno())
        except Exception as error:
            wire.send(link, {"unavailable": f"{type(error).__name__}: {error}"})
            return
        wire.send(link, {"ready": True})
        _serve(link, supervisor)
    except wire.Closed:
        shutil.rmtree(plan["scratch"], ignore_errors=True)


def _serve(link: socket.socket, supervisor: Supervisor) -> None:
    while True:
        request, _ = wire.receive(link)
        try:
            reply, blobs = supervisor.execute(request)
        except (Unconfined, OSError) as error:
            wire.send(link, {"broken": f"{type(error).__name__}: {error}"})
            continue
        wire.send(link, reply, blobs)


def _ready(plan: dict[str, Any], link_fd: int) -> Supervisor:
    sys.path += [path for path in plan["packages"] if path not in sys.path]
    confinement = Confinement(plan)
    for name in PRELOADED.split():
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
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
    return Supervisor(link_fd, plan["scratch"], confinement)


def _moved_up(fd: int) -> int:
    import fcntl

    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, HIGH_FD)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, fd)
    os.close(null)
    return moved
