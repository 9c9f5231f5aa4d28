"""The child process that runs one program: gives up its powers, then answers the fork server.

On descriptor 3: the fork server writes one byte for each step (loading, then each test), the child
answers with a frame, u32 length and JSON. Everything the program prints goes to descriptor 1.
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
from typing import Any

from .confine import HIGH_FD, Confinement, limit_resources
from .program import Program

MAX_FRAME_BYTES = 1 << 20
FRAME_LENGTH = struct.Struct("!I")
_CHANNEL = 3


def main(
    request: dict[str, Any],
    first: int,
    channel: int,
    output: int,
    parent: int,
    scratch: str,
    confinement: Confinement,
) -> None:
    """Load the program and answer for the tests from `first` on; the fork server ends the process.

    Args:
        request: see `Program`; also "limits", and "load": whether any test needs the module.
        first: index of the first test to answer for.
        channel: socket to the fork server.
        output: pipe that takes standard output.
        parent: process id of the fork server.
        scratch: the working directory.
        confinement: what to give up.
    """
    os.setsid()
    confinement.die_with_parent(parent)
    _place_descriptors(channel, output)
    os.chdir(scratch)
    confinement.close_files()
    tests = request["tests"][first:]
    inputs = {index: _input(test["stdin"]) for index, test in enumerate(tests) if "stdin" in test}
    limit_resources(request["limits"], len(tests))
    confinement.drop_powers()
    _start_afresh()
    program = Program(request)
    _await_turn()
    _answer({})  # tells the fork server that all from here on is the program's doing
    if request["load"]:
        _await_turn()
        _answer(program.load())
    for index, test in enumerate(tests):
        _await_turn()
        if index in inputs:
            os.dup2(inputs[index], 0)
            os.close(inputs[index])
            sys.stdin = _text_file(0, "r")
        _answer(program.test(test))
    _await_turn()


def _place_descriptors(channel: int, output: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, HIGH_FD) for fd in (null, output, null, channel)]
    for number, fd in enumerate(high):
        os.dup2(fd, number)


def _input(text: str) -> int:
    """A descriptor that reads `text`; made before seccomp, which refuses such files."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("stdin")
    else:
        fd = os.open("stdin", os.O_RDWR | os.O_CREAT | os.O_EXCL)
        os.unlink("stdin")
    with open(fd, "wb", closefd=False) as file:
        file.write(text.encode("utf-8", "surrogatepass"))
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
    message = FRAME_LENGTH.pack(len(data)) + data
    while message:
        message = message[os.write(_CHANNEL, message) :]
