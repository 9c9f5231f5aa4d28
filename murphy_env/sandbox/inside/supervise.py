"""Gets the tests of one request done, in as few child processes as their ends allow.

The tests share one child, in order. A test that hangs or ends the process costs itself: the next
one starts in a fresh child, where the program is loaded again. Loading that hangs or ends the
process is charged to every test that is left and not tried again.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import Any

from . import child
from .confine import Confinement
from .folder import empty
from .running import Running


class Unconfined(Exception):  # noqa: N818 - the state that the child is in
    """A child could not be prepared; no program is to blame."""


class Supervisor:
    """Executes requests one at a time.

    Args:
        link_fd: descriptor of the trusted side; when it closes, the child and this process end.
        scratch: working directory of the children.
        confinement: what a child gives up.
    """

    def __init__(self, link_fd: int, scratch: str, confinement: Confinement) -> None:
        self._link_fd = link_fd
        self._scratch = scratch
        self._confinement = confinement

    def execute(self, request: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
        """The reply, and two byte strings (frame, standard output) for each test.

        Returns:
            `{"outcomes": [...], "clean": bool}`: an outcome for each test, and whether the scratch
            folder could be emptied; if not, it would carry news from one program to the next. An
            outcome's "end" is "frame", "timeout", "died" (with "exit", its code or minus its
            signal) or "not_run"; "dropped" counts bytes of output that were thrown away.

        Raises:
            Unconfined: a child could not be prepared.
            OSError: no child could be forked.
            wire.Closed: the trusted side is gone.
        """
        deadline = time.monotonic() + request["limits"]["total_wall_s"]
        total, clean = len(request["tests"]), True
        ends: list[tuple[dict[str, Any], bytes, bytes]] = []
        while len(ends) < total and time.monotonic() < deadline:
            ends += self._one_child(request, len(ends), deadline)
            clean = empty(self._scratch) and clean
        ends += [({"end": "not_run"}, b"", b"")] * (total - len(ends))
        reply = {"outcomes": [end[0] for end in ends], "clean": clean}
        return reply, [blob for end in ends for blob in end[1:]]

    def _one_child(
        self, request: dict[str, Any], first: int, deadline: float
    ) -> list[tuple[dict[str, Any], bytes, bytes]]:
        """Ends of the tests that one child got through, the one that ended it included."""
        running = self._fork(request, first)
        ends = []
        try:
            if running.step(deadline)["end"] != "frame":
                raise Unconfined("a child ended before it was confined")
            running.take_frame()
            if request["load"]:
                loaded = running.step(deadline)
                if loaded["end"] != "frame":
                    output = running.take_output()[0]
                    return [(loaded, b"", output)] * (len(request["tests"]) - first)
                running.take_frame()
            for _ in request["tests"][first:]:
                if time.monotonic() >= deadline:
                    break
                end = running.step(deadline)
                frame = running.take_frame() if end["end"] == "frame" else b""
                output, end["dropped"] = running.take_output()
                ends.append((end, frame, output))
                if end["end"] != "frame":
                    break
        finally:
            running.end()
        return ends

    def _fork(self, request: dict[str, Any], first: int) -> Running:
        ours, theirs = socket.socketpair()
        output, their_output = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                child.main(
                    request,
                    first,
                    theirs.fileno(),
                    their_output,
                    parent,
                    self._scratch,
                    self._confinement,
                )
            os._exit(1)
        theirs.close()
        os.close(their_output)
        return Running(pid, ours, output, self._link_fd, request["limits"])
