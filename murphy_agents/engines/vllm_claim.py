"""One engine's hold on a vLLM server: who may change its weights, and whose weights it draws from.

The workers keep the owner's token (`SyncExtension`). A server that was replaced knows no owner, and
one that another run has taken knows another, so asking them finds both out. Whoever was heard by
the server cannot lose it for `LEASE_S`: what is drawn within that time needs no further question.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
import time
import uuid
from typing import Any

from murphy_agents.engines.protocol import EngineDiedError
from murphy_agents.engines.vllm_common import LOGPROBS_MODE
from murphy_agents.engines.vllm_http import Answer, Client, UnreachableError
from murphy_agents.engines.vllm_process import EXTENSION
from murphy_agents.engines.vllm_worker import LEASE_S

START = (
    "VLLM_SERVER_DEV_MODE=1 python -m vllm.entrypoints.openai.api_server --model MODEL --host HOST "
    f"--dtype DTYPE --logprobs-mode {LOGPROBS_MODE} --generation-config vllm "
    f"--enable-prompt-tokens-details --worker-extension-cls {EXTENSION}, with this version of "
    "murphy installed there"
)
PROVE_S = 300.0
"""Seconds that the server may take to say who holds it; a long step of its engine comes first."""
_LOOK_S = 1.0
_BEATS = 3
"""An owner heard from so often is alive; one that was just closed may be heard of once or twice."""
_PROCESS = uuid.uuid4().hex[:8]
"""Tells this process from an earlier one with its number."""
_TOKEN = re.compile(r"(?P<host>.+)\.(?P<pid>\d+)\.(?P<process>[0-9a-f]{8})\.[0-9a-f]{8}")


class Claim:
    """Takes a server, and proves that it is still held.

    Args:
        client: asks the server.

    Raises:
        ValueError: another run holds the server, or it has not what a claim needs.
        EngineDiedError: it does not answer as it should.
        UnreachableError: it does not answer.

    Attributes:
        owner: token of this engine.
        version: of the whole weights that the server was given in this engine's name.
        is_as_started: whether it had the whole weights that it was started with when it was taken.
        lock: held by whoever keeps the server's workers busy for long.
    """

    def __init__(self, client: Client) -> None:
        self.owner = f"{_host()}.{os.getpid()}.{_PROCESS}.{uuid.uuid4().hex[:8]}"
        self.version = 0
        self.is_as_started = True
        self.lock = threading.Lock()
        self._client = client
        self._heard = 0.0
        self._take()

    def is_fresh(self) -> bool:
        """Whether nobody else can have taken the server yet."""
        return _now() - self._heard < LEASE_S / 2

    def prove(self) -> None:
        """Prove that the server is held, with the weights that it was given last.

        Raises:
            EngineDiedError: it is not.
            UnreachableError: it does not answer.
        """
        with self.lock:
            self._prove()

    def prove_if_idle(self) -> None:
        """As `prove`; nothing where the workers are busy with what was asked of them."""
        if self.lock.acquire(blocking=False):
            try:
                self._prove()
            finally:
                self.lock.release()

    def release(self, timeout_s: float) -> None:
        """Leave the server to others; where it does not answer, they wait for `LEASE_S`."""
        with contextlib.suppress(UnreachableError):
            self._ask("murphy_release", timeout_s)

    def _prove(self) -> None:
        asked = _now()
        for state in results_of(self._ask("murphy_state", PROVE_S)):
            self._check(state)
        self._heard = asked

    def _check(self, state: dict[str, Any]) -> None:
        owner, version = state.get("owner"), state.get("version")
        if owner == "":
            raise EngineDiedError("it began anew with the weights that it was started with")
        if owner != self.owner:
            raise EngineDiedError(f"another run, {owner}, has taken it; one server serves one run")
        if version != self.version:
            raise EngineDiedError(f"it has version {version} of the weights, not {self.version}")

    def _take(self) -> None:
        end, beats, silent_s = _now() + LEASE_S + 10 * _LOOK_S, 0, 0.0
        while True:
            asked = _now()
            answer = self._ask("murphy_claim", PROVE_S)
            refuse_unfit(self._client.url, "murphy_claim", answer)
            others = [told for told in results_of(answer) if told.get("owner") != self.owner]
            if not others:
                self.is_as_started = not any(told.get("changed") for told in results_of(answer))
                self._heard = asked
                return
            last, silent_s = silent_s, float(others[0].get("silent_s") or 0.0)
            beats += silent_s < last
            if beats >= _BEATS or asked > end:
                # Some of its workers may have been free.
                self.release(PROVE_S)
                raise ValueError(
                    f"the vLLM server at {self._client.url} is held by another run, "
                    f"{others[0].get('owner')}, heard from {silent_s:.0f} s ago; one server serves "
                    "one run: end that one, or give this one a server of its own"
                )
            time.sleep(_LOOK_S)

    def _ask(self, method: str, timeout_s: float) -> Answer:
        order = {"method": method, "args": [self.owner]}
        return self._client.ask("POST", "/collective_rpc", order, timeout_s)


def refuse_unfit(url: str, method: str, answer: Answer) -> None:
    """Raise ValueError where the server was started without what this method needs."""
    if answer.status in (401, 403, 404) or f"no attribute '{method}'" in answer.message:
        raise ValueError(
            f"the vLLM server at {url} cannot be given weights: {answer.status} {answer.message}; "
            f"start it with {START}"
        )


def results_of(answer: Answer) -> list[dict[str, Any]]:
    """What each worker returned; EngineDiedError where the answer has no such thing."""
    results: Any = answer.body.get("results") if isinstance(answer.body, dict) else None
    if answer.status == 200 and isinstance(results, list) and results:
        told = [result for result in results if isinstance(result, dict)]
        if len(told) == len(results):
            return told
    raise EngineDiedError(f"its workers answer with {answer.status} {answer.message}")


def is_of_the_dead(token: str) -> bool:
    """Whether the process that made this owner's token ran on this host and is gone."""
    found = _TOKEN.fullmatch(token)
    if found is None or found["host"] != _host():
        return False
    if int(found["pid"]) == os.getpid():
        return found["process"] != _PROCESS
    try:
        os.kill(int(found["pid"]), 0)
    except ProcessLookupError:
        return True
    except OSError:  # somebody else's
        return False
    return False


def _now() -> float:
    """Seconds of a clock that goes on while the machine sleeps, where there is one."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


def _host() -> str:
    """Where a number means one process: containers may share a name, but not their processes."""
    name = socket.gethostname() or "host"
    with contextlib.suppress(OSError):
        name += "-" + os.readlink("/proc/self/ns/pid")
    return re.sub(r"[^\w-]", "_", name)
