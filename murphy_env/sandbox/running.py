"""A child that runs a program, as the trusted side sees it: turns, frames, output, time used.

A child can mask signals, close its channel or write nonsense: none of it counts. What is trusted
is the kernel's word on time used, the fork server's on processes ended, and SIGKILL.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import socket
import struct
import time
from typing import Any, NamedTuple

from murphy_env.sandbox.inside.wire import FORK, FRAME_LENGTH, MAX_FRAME_BYTES

_MOST_BYTES = FRAME_LENGTH.size + MAX_FRAME_BYTES
_PROCESS_CLOCK = 2  # CPUCLOCK_SCHED of another process, as clock_getcpuclockid(3) numbers it
_CREDENTIALS = struct.Struct("iII")
_PASS_CREDENTIALS = getattr(socket, "SO_PASSCRED", None)


class Broken(Exception):  # noqa: N818 - the state that the fork server is in
    """The fork server is gone, late, or could not prepare a child; no program is to blame."""


class End(NamedTuple):
    """What became of a test."""

    how: str
    """"frame", "timeout", "died", "flood" (more came back than is kept) or "not_run"."""
    frame: bytes = b""
    output: bytes = b""
    exit: int | None = None
    """Of "died": the exit code, or minus the signal; None if it lives on without its channel."""
    dropped: int = 0
    """Bytes of output that were thrown away."""


class Running:
    """One child; made by `children.Children.fork`.

    Args:
        link: to the fork server.
        request: what the child is to do.
        stdout_bytes: how much of its output is kept, the last of it.
        timeout_s: for the child to read its request.
        peer: descriptor for it besides.

    Attributes:
        output: descriptor of what it prints.
        exit: its exit code, or minus the signal; None while it runs.

    Raises:
        Broken: the fork server is gone.
    """

    def __init__(
        self,
        link: socket.socket,
        request: dict[str, Any],
        stdout_bytes: int,
        timeout_s: float,
        peer: socket.socket | None = None,
    ) -> None:
        self.exit: int | None = None
        self._stdout_bytes = stdout_bytes
        self._received = bytearray()
        self._printed = bytearray()
        self._dropped = 0
        self._pid = 0
        self._channel, self.output = self._fork(link, request, timeout_s, peer)

    def _fork(
        self,
        link: socket.socket,
        request: dict[str, Any],
        timeout_s: float,
        peer: socket.socket | None,
    ) -> tuple[socket.socket, int]:
        ours, theirs = socket.socketpair()
        output, their_output = os.pipe()
        given = [theirs.fileno(), their_output, *([peer.fileno()] if peer is not None else [])]
        try:
            with theirs:
                socket.send_fds(link, [FORK], given)
        except OSError as error:
            ours.close()
            os.close(output)
            raise Broken(f"the fork server is gone: {error.strerror or error}") from error
        finally:
            os.close(their_output)
        ours.settimeout(timeout_s)
        if _PASS_CREDENTIALS is not None:
            ours.setsockopt(socket.SOL_SOCKET, _PASS_CREDENTIALS, 1)
        data = marshal.dumps(request)
        with contextlib.suppress(OSError):  # its end is reported on the link
            ours.sendall(FRAME_LENGTH.pack(len(data)) + data)
        ours.setblocking(False)
        os.set_blocking(output, False)
        return ours, output

    @property
    def channel(self) -> int:
        """The descriptor that its frames come from."""
        return self._channel.fileno()

    @property
    def has_frame(self) -> bool:
        """Whether a complete frame is at hand."""
        return self._frame_bytes() > 0

    def go(self) -> None:
        """Give it its turn."""
        with contextlib.suppress(OSError):
            self._channel.send(b"g")

    def free(self) -> None:
        """Close what leads to it."""
        self._channel.close()
        os.close(self.output)

    def take_frame(self) -> bytes:
        """The frame that is at hand; empty where none is."""
        length = self._frame_bytes()
        frame = bytes(self._received[FRAME_LENGTH.size : length])
        del self._received[:length]
        return frame

    def take_output(self) -> tuple[bytes, int]:
        """The last bytes printed since the previous call, and how many were dropped before them."""
        self.read_output()
        self._trim()
        printed, dropped = bytes(self._printed), self._dropped
        self._printed.clear()
        self._dropped = 0
        return printed, dropped

    def cpu_s(self) -> float:
        """Processor seconds that it used; 0 where nobody counts them: there the wall decides."""
        if self._pid:
            with contextlib.suppress(OSError):
                return time.clock_gettime((~self._pid << 3) | _PROCESS_CLOCK)
        return 0.0

    def delay_s(self) -> float:
        """Seconds for which its threads were ready to run and no processor was free."""
        waited = 0
        with contextlib.suppress(OSError, ValueError, IndexError):
            for thread in os.listdir(f"/proc/{self._pid}/task"):
                path = f"/proc/{self._pid}/task/{thread}/schedstat"
                with open(path, encoding="ascii") as file:
                    waited += int(file.read().split()[1])
        return waited / 1e9

    def _frame_bytes(self) -> int:
        """Size of the complete frame at hand, its length field included; 0 if there is none."""
        size = self._announced_bytes()
        return size if size <= min(len(self._received), _MOST_BYTES) else 0

    def _announced_bytes(self) -> int:
        if len(self._received) < FRAME_LENGTH.size:
            return 0
        return FRAME_LENGTH.size + int(FRAME_LENGTH.unpack_from(self._received)[0])

    def read(self) -> bool:
        """Take what was answered; whether the channel is at its end or was filled with nonsense."""
        while len(self._received) <= 2 * _MOST_BYTES and self._announced_bytes() <= _MOST_BYTES:
            try:
                data = self._receive()
            except BlockingIOError:
                return False
            except OSError:
                return True
            if not data:
                return True
            self._received += data
        return True

    def _receive(self) -> bytes:
        """The next bytes; with the first ones the kernel says who wrote them, as we number it."""
        if self._pid or _PASS_CREDENTIALS is None:
            return self._channel.recv(1 << 16)
        data, told, _, _ = self._channel.recvmsg(1 << 16, socket.CMSG_SPACE(_CREDENTIALS.size))
        for _, _, credentials in told:
            self._pid = _CREDENTIALS.unpack(credentials)[0]
        self._channel.setsockopt(socket.SOL_SOCKET, _PASS_CREDENTIALS, 0)
        return data

    def read_output(self) -> bool:
        """Take what was printed; whether the program has closed its output."""
        for _ in range(64):  # a flood must not keep us from looking at the clock
            try:
                data = os.read(self.output, 1 << 16)
            except BlockingIOError:
                return False
            if not data:
                return True
            self._printed += data
            if len(self._printed) > 2 * self._stdout_bytes + (1 << 16):
                self._trim()
        return False

    def _trim(self) -> None:
        excess = max(len(self._printed) - self._stdout_bytes, 0)
        del self._printed[:excess]
        self._dropped += excess
