"""The child process that runs one program: gives up its powers, then answers the trusted side.

On descriptor 3 comes the request, marshalled (JSON's reader touches, and so copies, more memory of
the fork server than all of what is read); the answer to it is an empty frame, once all powers are
given up. Then the trusted side writes one byte for each step (loading, each test), and the child
answers with a frame, u32 length and JSON. What the program prints goes to descriptor 1. A `stdio`
test has a child to itself and no loading: the script is all that happens in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import io
import json
import marshal
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from . import seeds
from .confine import HIGH_FD, Confinement
from .examiner import Examiner
from .program import Program
from .wire import FRAME_LENGTH, MAX_FRAME_BYTES

_CHANNEL, _PEER = 3, 4
_SEALS = 0xF  # against further seals, shrinking, growing and writing


Step = Callable[[], dict[str, Any]]


def main(descriptors: list[int], parent: int, scratch: str, confinement: Confinement) -> None:
    """Read a request, load its program, answer for its tests; the fork server ends the process.

    Args:
        descriptors: a socket to the trusted side, a pipe that takes standard output, and for tests
            in a process of their own, or their program, a socket to the other.
        parent: process id of the fork server.
        scratch: the working directory.
        confinement: what to give up.
    """
    os.setsid()
    confinement.die_with_parent(parent)
    os.chdir(scratch)
    channel, output, *peer = descriptors
    request = _read(channel)
    tests = request["tests"]
    _place_descriptors([_input(tests[0].get("stdin")), output, -1, channel, *peer])
    confinement.close_files(_PEER + len(peer))
    confinement.drop_powers()
    _send(b"{}")  # all from here on is the program's doing
    confinement.limit_resources(request["limits"], len(tests))
    gc.enable()
    for step in _steps(request, tests):
        _await_turn()
        _answer(step())
    _await_turn()


def _steps(request: dict[str, Any], tests: list[dict[str, Any]]) -> Iterator[Step]:
    """What the child does, turn by turn; by its role in the request."""
    if request["role"] == "examine":
        examiner = Examiner(request, _PEER)
        yield examiner.load
        yield from (partial(examiner.test, test) for test in tests)
        return
    program = Program(request)
    if "stdin" in tests[0]:
        yield program.script
        return
    yield program.load
    if request["role"] == "serve":
        _await_turn()
        program.serve(_PEER)
    yield from (partial(program.test, test) for test in tests)


def _read(channel: int) -> dict[str, Any]:
    """The request: as for `Program`, and "limits"; a `stdio` test stands alone in it."""
    (length,) = FRAME_LENGTH.unpack(_exactly(channel, FRAME_LENGTH.size))
    request: dict[str, Any] = marshal.loads(_exactly(channel, length))
    return request


def _exactly(channel: int, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = os.read(channel, size - len(parts))
        if not part:
            os._exit(0)
        parts += part
    return bytes(parts)


def _place_descriptors(wanted: list[int]) -> None:
    """Put descriptors to 0, 1, ... in this order; -1 stands for the null device."""
    null = os.open(os.devnull, os.O_RDWR)
    high = [fcntl.fcntl(null if fd < 0 else fd, fcntl.F_DUPFD, HIGH_FD) for fd in wanted]
    for number, fd in enumerate(high):
        os.dup2(fd, number)


def _input(text: str | None) -> int:
    """A descriptor that reads `text`; made before seccomp, which refuses such files."""
    if text is None:
        return os.open(os.devnull, os.O_RDONLY)
    sealed = hasattr(os, "memfd_create")
    if sealed:
        fd = os.memfd_create("stdin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:
        fd = os.open("stdin", os.O_RDWR | os.O_CREAT | os.O_EXCL)
        os.unlink("stdin")
    with open(fd, "wb", closefd=False) as file:
        file.write(text.encode("utf-8", "surrogatepass"))
    if sealed:  # what is written to it would count against no limit
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def start_afresh() -> None:
    """Make this interpreter look as one that is about to run a script.

    Done once, in the fork server: what a child does itself, it does in every execution. Descriptors
    0-2 are the child's own by the time that a program uses these files.
    """
    sys.modules.pop("__main__", None)
    sys.argv = ["solution.py"]
    sys.stdin = _text_file(0, "r")
    sys.stdout = _text_file(1, "w")
    sys.stderr = _text_file(2, "w")
    vars(sys).update(__stdin__=sys.stdin, __stdout__=sys.stdout, __stderr__=sys.stderr)
    seeds.fix()


def _text_file(fd: int, mode: str) -> io.TextIOWrapper:
    file = open(fd, mode, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    assert isinstance(file, io.TextIOWrapper)
    return file


def _await_turn() -> None:
    if not os.read(_CHANNEL, 1):
        os._exit(0)


def _answer(frame: dict[str, Any]) -> None:
    for file in (sys.stdout, sys.__stdout__):
        with contextlib.suppress(Exception):
            if file is not None:
                file.flush()
    data = json.dumps(frame).encode()
    if len(data) > MAX_FRAME_BYTES:
        data = json.dumps({"value": ["o", "value", "<too large to be compared>", True]}).encode()
    _send(data)


def _send(data: bytes) -> None:
    message = FRAME_LENGTH.pack(len(data)) + data
    while message:
        message = message[os.write(_CHANNEL, message) :]
