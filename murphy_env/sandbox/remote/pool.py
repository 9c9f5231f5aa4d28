"""The executor of level `L4`: asks a server, tries again, and says when there is no answer."""

from __future__ import annotations

import logging
import os
import random
import threading
from typing import Any

from murphy_env.sandbox.judge import judge
from murphy_env.sandbox.levels import SandboxUnavailableError
from murphy_env.sandbox.pool import PoolClosed, Reader, Result
from murphy_env.sandbox.probe import PROBE, PROBE_TASK
from murphy_env.sandbox.remote.driver import REPLY
from murphy_env.sandbox.remote.fusion import Fault, Fusion
from murphy_env.sandbox.remote.parcel import STARTER, pack
from murphy_env.sandbox.remote.reply import Reply, python_version, unseal
from murphy_env.sandbox.request import make_request
from murphy_env.sandbox.worker import WorkerBroken
from murphy_env.types import Task

TRIES = 4
BACKOFF_S = 0.5
"""Before the second try; twice as long before each further one, give or take a half."""
BOOT_S = 30.0
"""For what runs in a box before and after the tests."""
QUEUE_S = 60.0
"""For what an answer takes besides: waiting for a box, making one, the way there and back."""
_HELLO = Task("hello", "", ["assert f(20) == 21"], limits=PROBE_TASK.limits)  # type: ignore[arg-type]


class RemotePool:
    """A service that makes a box for each request.

    Args:
        url: address of a SandboxFusion server.

    Raises:
        ValueError: it is no such address.
    """

    def __init__(self, url: str) -> None:
        self.level = "L4"
        self.restarts = 0
        self._fusion = Fusion(url)
        self._closed = threading.Event()
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._random = random.Random()  # the trainer's own draws stay as they are

    @property
    def url(self) -> str:
        """Address of the server."""
        return self._fusion.url

    @property
    def usable(self) -> bool:
        """Whether it is open, and belongs to this process rather than to one it was forked from."""
        return not self._closed.is_set() and self.mine

    @property
    def mine(self) -> bool:
        """Whether it belongs to this process."""
        return self._owner == os.getpid()

    def run(self, request: dict[str, Any], read: Reader[Result]) -> Result:
        """Have a request executed in a box of its own; see `Executor`. Raises as `reply_to`."""
        reply = self.reply_to(request)
        return read(reply.ends, reply.scratch)

    def reply_to(self, request: dict[str, Any]) -> Reply:
        """Ask until there is a reply.

        Raises:
            WorkerBroken: there was none in `TRIES` tries.
            PoolClosed: `close` was called meanwhile.
        """
        for number in range(TRIES):
            if number:
                with self._lock:
                    self.restarts += 1
                pause = BACKOFF_S * 2 ** (number - 1) * self._random.uniform(0.5, 1.5)
                self._closed.wait(pause)
            if self._closed.is_set():
                raise PoolClosed
            try:
                return self._ask(request)
            except Fault as error:
                fault = error
        if self._closed.is_set():
            raise PoolClosed
        raise WorkerBroken(f"{self.url}: {fault} (tried {TRIES} times)") from fault

    def close(self) -> None:
        """Let go of all requests, also those under way; boxes end by themselves."""
        if self.usable:
            self._closed.set()
            self._fusion.abort()

    def _ask(self, request: dict[str, Any]) -> Reply:
        parcel = pack(request)
        run_s = 2 * request["limits"]["total_wall_s"] + BOOT_S  # it may be given back, once
        data = self._fusion.run(STARTER, parcel.files, REPLY, run_s, run_s + QUEUE_S)
        try:
            return unseal(parcel.key, data, len(request["tests"]))
        except ValueError as error:
            raise Fault(str(error)) from error


def open_remote(url: str) -> RemotePool:
    """A server that has run a program; where it confines programs, the proof was tried on it.

    Raises:
        ValueError: `url` is no address.
        SandboxUnavailableError: no program can be run there.
    """
    pool = RemotePool(url)
    try:
        reply = _try(pool, _HELLO, "def f(x): return x + 1")
        if reply.unconfined is None:
            _try(pool, PROBE_TASK, PROBE)
    except BaseException:
        pool.close()
        raise
    _say_what_differs(pool.url, reply)
    return pool


def _try(pool: RemotePool, task: Task, program: str) -> Reply:
    remedy = (
        f"See that a SandboxFusion server runs at {pool.url} (docs/remote-sandbox.md), or use "
        "level='auto' to run programs on this machine"
    )
    try:
        reply = pool.reply_to(make_request(task, program))
    except WorkerBroken as error:
        raise SandboxUnavailableError(f"no programs can be run at {error}. {remedy}") from error
    result = judge(task, pool.level, reply.ends, reply.scratch).results[0]
    if not result.passed:
        found = result.actual or result.error
        raise SandboxUnavailableError(
            f"programs do not run as they should at {pool.url}: of {result.expected}, the "
            f"{task.task_id} found {found}. {remedy}"
        )
    return reply


def _say_what_differs(url: str, reply: Reply) -> None:
    log = logging.getLogger("murphy_env")
    if reply.unconfined is not None:
        log.warning(
            "programs at %s keep their powers within the box that the server gives them: %s",
            url,
            reply.unconfined,
        )
    ours = python_version()
    if reply.python != ours:
        log.warning("programs at %s run with Python %s, here is %s", url, reply.python, ours)
