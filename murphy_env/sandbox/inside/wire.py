"""Messages of the trusted side, the fork server and its children, and the names of their parts.

The first message to the fork server and its answer are JSON after its length, u32.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Any

MAX_MESSAGE_BYTES = 256 << 20
MAX_FRAME_BYTES = 1 << 20
FRAME_LENGTH = struct.Struct("!I")
"""Before each frame of a child, which is JSON."""
FORK, KILL = b"F", b"K"
"""Orders to the fork server; descriptors come with the first."""
GONE = 77
"""Exit code of tests in a process of their own when the program's process is at its end."""
REPORT = struct.Struct("!ii")
"""Of the fork server: number of a child and its exit code, or DONE and whether all is clean."""
DONE = -1
_LENGTH = struct.Struct("!I")


class Closed(Exception):  # noqa: N818 - the ordinary end of a conversation, not always an error
    """The other side is gone, or did not answer in time, or does not speak this format."""


def send(link: socket.socket, message: dict[str, Any]) -> None:
    """Write one message.

    Raises:
        Closed: the other side is gone.
    """
    data = json.dumps(message).encode()
    try:
        link.sendall(_LENGTH.pack(len(data)) + data)
    except OSError as error:
        raise Closed(f"could not write: {error.strerror or error}") from error


def receive(link: socket.socket, timeout_s: float | None = None) -> dict[str, Any]:
    """Read one message, waiting `timeout_s` seconds for the whole of it.

    Raises:
        Closed: the other side is gone, or was late, or wrote what is no message.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    (length,) = _LENGTH.unpack(_exactly(link, _LENGTH.size, deadline))
    try:
        message = json.loads(_exactly(link, length, deadline))
    except (ValueError, RecursionError) as error:
        raise Closed("the message is not as agreed") from error
    if not isinstance(message, dict):
        raise Closed("the message is not as agreed")
    return message


def _exactly(link: socket.socket, size: int, deadline: float | None) -> bytes:
    if size > MAX_MESSAGE_BYTES:
        raise Closed(f"the message is larger than {MAX_MESSAGE_BYTES} bytes")
    parts = bytearray()
    while len(parts) < size:
        try:
            link.settimeout(None if deadline is None else max(deadline - time.monotonic(), 0.001))
            part = link.recv(min(size - len(parts), 1 << 20))
        except OSError as error:
            raise Closed(f"no answer: {error.strerror or error}") from error
        if not part:
            raise Closed("the other side closed the connection")
        parts += part
    return bytes(parts)
