"""The child process that runs one program: gives up its powers, then answers the supervisor.

On descriptor 3: the supervisor writes one byte for each step (confinement, loading, each test), the
child answers with a frame, u32 length and JSON. What the program prints goes to descriptor 1.
A `stdio` test has a child to itself and no loading: the script is all that happens in it.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import io
import json
import os
import random
import struct
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from .confine import HIGH_FD, Confinement, limit_resources
from .program import Program

MAX_FRAME_BYTES = 1 << 20
FRAME_LENGTH = struct.Struct("!I")
_CHANNEL = 3
_SEALS = 0xF  # against further seals, shrinking, growing and writing


def main(
    request: dict[str, Any],
    tests: list[dict[str, Any]],
    channel: int,
    output: int,
    parent: int,
    scratch: str,
    confinement: Confinement,
) -> None:
    """Load the program and answer for some tests; the supervisor ends the process.

    Args:
        request: see `Program`; also "limits".
        tests: those of the request's tests to answer for; a `stdio` one stands alone.
        channel: socket to the supervisor.
        output: pipe that takes standard output.
        parent: process id of the supervisor.
        scratch: the working directory.
        confinement: what to give up.
    """
    os.setsid()
    confinement.die_with_parent(parent)
    os.chdir(scratch)
    _place_descriptors(channel, output, _input(tests[0].get("stdin")))
    confinement.close_files()
    confinement.drop_powers()
    _await_turn()
    _send(b"{}")  # tells the supervisor that all from here on is the program's doing
    limit_resources(request["limits"], len(tests))
    _start_afresh()
    program = Program(request)
    if "stdin" in tests[0]:
        _await_turn()
        _answer(program.script())
    else:
        steps: list[Callable[[], dict[str, Any]]] = [program.load]
        for step in steps + [partial(program.test, test) for test in tests]:
            _await_turn()
            _answer(step())
    _await_turn()


def _place_descriptors(channel: int, output: int, stdin: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, HIGH_FD) for fd in (stdin, output, null, channel)]
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


def _start_afresh() -> None:
    sys.modules.pop("__main__", None)
    sys.argv = ["solution.py"]
    sys.stdin = _text_file(0, "r")
    sys.stdout = _text_file(1, "w")
    sys.stderr = _text_file(2, "w")
    vars(sys).update(__stdin__=sys.stdin, __stdout__=sys.stdout, __stderr__=sys.stderr)
    random.seed(0)
    gc.enable()


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
