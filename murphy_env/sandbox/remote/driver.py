"""What a remote box runs: gets the tests of one request done there, seals what became of them.

It does what `worker` does on the trusted side's own machine, with a fork server that lives for one
request. Beside the standard library (Python 3.10 or later) it needs only what `parcel` sends along.
Where the kernel of the box has no Landlock, children keep their powers and the reply says so.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from murphy_env.sandbox.inside import wire
from murphy_env.sandbox.remote.reply import seal
from murphy_env.sandbox.supervise import execute
from murphy_env.sandbox.surroundings import environment, packages, readable

REQUEST, REPLY = "request.json", "reply"
START_S = 30.0
_SET_DUMPABLE = 4
_BOOT = (
    "import sys; sys.path[0] = sys.argv[1]; from inside import serve; del sys.path[0]; "
    # Two or three children follow, not thousands: each imports what it needs.
    "serve.PRELOADED = ''; serve.main()"
)


def main(code: str) -> None:
    """Answer the request that lies in the working directory.

    Args:
        code: folder or archive that holds `murphy_env`.

    Raises:
        Broken, Closed: the fork server failed; there will be no reply.
    """
    if sys.platform == "linux":  # memory and descriptors are then closed to processes of our user
        ctypes.CDLL(None).prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    with open(REQUEST, encoding="utf-8") as file:
        content = json.load(file)
    os.unlink(REQUEST)  # with it the key is gone, before any program runs
    scratch = os.path.abspath("box")
    ends, unconfined = _executed(code, scratch, content)
    sealed = seal(bytes.fromhex(content["key"]), ends, scratch, unconfined)
    with open(f"{REPLY}.part", "wb") as reply:
        reply.write(sealed)
    os.replace(f"{REPLY}.part", REPLY)


def _executed(code: str, scratch: str, content: dict[str, Any]) -> tuple[Any, str | None]:
    """What became of the tests, and why the children were not confined, if they were not."""
    rules = content["filters"].get(platform.machine()) if sys.platform == "linux" else None
    unconfined = None if rules else f"no rules for {platform.system()} on {platform.machine()}"
    while True:
        with _server(code, scratch) as link:
            wire.send(link, _plan(scratch, rules))
            answer = wire.receive(link, START_S)
            if "unavailable" not in answer:
                return execute(link, content["request"])[0], unconfined
        if rules is None:
            raise OSError(answer["unavailable"])
        # Nothing has run yet: no program can bring this about.
        rules, unconfined = None, str(answer["unavailable"])


@contextlib.contextmanager
def _server(code: str, scratch: str) -> Iterator[socket.socket]:
    """A fork server in a fresh interpreter, which holds nothing of ours; the link to it."""
    os.makedirs(scratch, mode=0o700, exist_ok=True)
    link, theirs = socket.socketpair()
    home = os.path.join(code, "murphy_env", "sandbox")
    with theirs:
        server = subprocess.Popen(
            [sys.executable, "-s", "-S", "-c", _BOOT, home],
            stdin=theirs.fileno(),
            env=environment(scratch),
        )
    try:
        yield link
    finally:
        link.close()
        server.kill()  # its children are at their ends, or end with it
        server.wait()


def _plan(scratch: str, rules: tuple[str, list[int]] | None) -> dict[str, Any]:
    """As `levels.launch` makes it for `L1`, or for `L0`."""
    filter_, pid_at = rules or (None, [])
    return {
        "filter": filter_,
        "pid_at": pid_at,
        "read": readable() if rules else [],
        "write": [scratch, os.devnull] if rules else [],
        "packages": packages(),
        "scratch": scratch,
        "alone": False,
    }
