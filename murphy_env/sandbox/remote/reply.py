"""What became of the tests, as it travels: sealed in the box, opened on the trusted side.

The seal is a keyed hash. The key is drawn for each try and leaves the box's disk before any
program runs, so what a program writes in place of the reply is taken for nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from murphy_env.sandbox.inside.wire import MAX_FRAME_BYTES
from murphy_env.sandbox.running import End

MAX_BYTES = 256 << 20
"""Of a reply when it is unpacked; `supervise` keeps less."""
_SEAL_BYTES = 32
_HOWS = ("frame", "timeout", "died", "flood", "not_run")


class Reply(NamedTuple):
    """What a box says."""

    ends: list[End]
    scratch: str
    """Folder that programs ran in."""
    unconfined: str | None
    """Why children kept their powers; None where Landlock and seccomp took them."""
    python: str
    """Version of the interpreter."""


def seal(key: bytes, ends: Sequence[End], scratch: str, unconfined: str | None) -> bytes:
    """The reply as bytes."""
    content = {
        "ends": [[how, _text(frame), _text(out), *rest] for how, frame, out, *rest in ends],
        "scratch": scratch,
        "unconfined": unconfined,
        "python": python_version(),
    }
    data = zlib.compress(json.dumps(content).encode(), 1)
    return hmac.digest(key, data, "sha256") + data


def unseal(key: bytes, data: bytes, num_tests: int) -> Reply:
    """Read a reply.

    Raises:
        ValueError: it was sealed with another key, or is not as agreed.
    """
    seal, packed = data[:_SEAL_BYTES], data[_SEAL_BYTES:]
    if not hmac.compare_digest(seal, hmac.new(key, packed, hashlib.sha256).digest()):
        raise ValueError("the reply does not bear our seal")
    unpacker = zlib.decompressobj()
    try:
        content = json.loads(unpacker.decompress(packed, MAX_BYTES))
        ends = [_end(*end) for end in content["ends"]]
        told = [content[name] for name in ("scratch", "unconfined", "python")]
    except (zlib.error, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"the reply is not as agreed: {error!r:.200}") from error
    if len(ends) != num_tests or not all(isinstance(part, str | None) for part in told):
        raise ValueError(f"the reply is not as agreed: {len(ends)} ends of {num_tests} tests")
    return Reply(ends, *told)


def python_version() -> str:
    """Major and minor number of this interpreter's version."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _end(how: Any, frame: Any, output: Any, code: Any, dropped: Any) -> End:
    whole = [number for number in (code, dropped) if number is not None]
    if how not in _HOWS or not all(type(number) is int for number in whole) or dropped is None:
        raise ValueError(f"no end of a test: {how!r}, {code!r}, {dropped!r}")
    end = End(how, base64.b64decode(frame), base64.b64decode(output), code, dropped)
    if len(end.frame) > MAX_FRAME_BYTES:
        raise ValueError(f"a frame of {len(end.frame)} bytes")
    return end


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
