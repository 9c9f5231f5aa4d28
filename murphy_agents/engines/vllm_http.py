"""Asking a server over HTTP, with JSON both ways: one question, or many at once.

Each thread keeps a connection of its own. Nothing is asked twice by itself: a connection that
breaks may mean a server that starts anew with other weights, so it is for the caller to judge.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Hashable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple
from urllib.parse import urlsplit

CONNECT_S = 30.0
KEPT_S = 1.0
"""Seconds for which an idle connection is used again: vLLM closes it after five, unseen."""
BUSY_S = 1.0
"""Between two questions to a server that has too much to do, at first; doubled up to a minute."""
_END_S = 5.0
_LIKE = "give one like 'http://host:8000'"


class UnreachableError(Exception):
    """The server gave no answer."""


class Answer(NamedTuple):
    """What a server said."""

    status: int
    body: Any
    """JSON as Python objects; text as it stands where it is none."""

    @property
    def message(self) -> str:
        """The reason in an answer that is an error."""
        body = self.body
        for key in ("error", "message", "detail"):
            if isinstance(body, dict) and key in body:
                body = body[key]
        return str(body)[:1000]


class Client:
    """Asks one server, from any thread.

    If the environment has VLLM_API_KEY, as vLLM names it, every question carries that key.

    Args:
        url: of its root, such as "http://host:8000".

    Raises:
        ValueError: that is no address.
    """

    def __init__(self, url: str) -> None:
        is_plain, self._address, path = _parts(url)
        self.url = url
        self._root = path.rstrip("/").removesuffix("/v1")
        self._header = {"Content-Type": "application/json"}
        if key := os.environ.get("VLLM_API_KEY", "").strip():
            self._header["Authorization"] = f"Bearer {key}"
        self._kind = http.client.HTTPConnection if is_plain else http.client.HTTPSConnection
        self._kept = threading.local()
        self._idle: set[http.client.HTTPConnection] = set()
        self._busy: set[http.client.HTTPConnection] = set()
        self._lock = threading.Lock()
        self._closed = False

    def ask(self, method: str, path: str, body: Any = None, timeout_s: float = 60.0) -> Answer:
        """What the server answers.

        Raises:
            UnreachableError: it does not, within the time, or `close` was called.
        """
        text = None if body is None else json.dumps(body)
        try:
            with self._connected(timeout_s) as connection:
                connection.request(method, self._root + path, text, self._header)
                response = connection.getresponse()
                said = response.read()
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise UnreachableError(f"{method} {self.url}{path}: {reason}") from error
        return Answer(response.status, _parsed(said))

    def close(self) -> None:
        """Break every connection; who waits for an answer gets `UnreachableError`."""
        with self._lock:
            self._closed = True
            for connection in self._idle:
                connection.close()
            self._idle.clear()
            self._break_busy()

    def break_off(self) -> None:
        """Break the connections on which an answer is waited for; others can be asked for."""
        with self._lock:
            self._break_busy()

    def _break_busy(self) -> None:
        for connection in self._busy:
            # Closed by the thread that reads from it, which this wakes; or is closing it now.
            if (end := connection.sock) is not None:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self._busy.clear()

    @contextlib.contextmanager
    def _connected(self, timeout_s: float) -> Iterator[http.client.HTTPConnection]:
        """This thread's connection; gone if the block raises, for half an answer may be left."""
        connection = self._taken() or self._made(min(timeout_s, CONNECT_S))
        try:
            connection.sock.settimeout(timeout_s)
            yield connection
        except BaseException:
            with self._lock:
                self._busy.discard(connection)
            connection.close()
            raise
        with self._lock:
            # It may have been broken off when its answer was there already.
            is_whole = connection in self._busy
            self._busy.discard(connection)
            # The server may have told that it closes this one.
            if self._closed or not is_whole or connection.sock is None:
                connection.close()
            else:
                self._idle.add(connection)
                self._kept.connection, self._kept.used = connection, time.monotonic()

    def _taken(self) -> http.client.HTTPConnection | None:
        """The one that this thread used last, if it is new enough."""
        kept: http.client.HTTPConnection | None = getattr(self._kept, "connection", None)
        with self._lock:
            if kept is None or kept not in self._idle:
                return None
            self._idle.discard(kept)
            if time.monotonic() - self._kept.used < KEPT_S:
                self._busy.add(kept)
                return kept
        kept.close()
        return None

    def _made(self, within_s: float) -> http.client.HTTPConnection:
        connection = self._kind(*self._address, timeout=within_s)
        connection.connect()
        # A connection that breaks is told of, and not mended unseen.
        connection.auto_open = 0
        _keep_alive(connection.sock)
        with self._lock:
            if self._closed:
                connection.close()
                raise ConnectionAbortedError("closed on this side")
            self._busy.add(connection)
        return connection


class _Question(NamedTuple):
    key: Hashable
    path: str
    body: Any
    num_drops: int
    """How often all were dropped before this one."""


class Questions:
    """Many questions to one server at once, each with a key that comes back with its answer.

    A question that is put off (429) was not worked on, and is asked again within its time. Whatever
    goes wrong with one comes back in its place, so that nobody waits for it in vain.

    Args:
        client: who asks; for these alone, since `drop` breaks all its connections.
        max_at_once: connections, with a thread each; more questions wait here.
        timeout_s: seconds that one may take.
    """

    def __init__(self, client: Client, max_at_once: int, timeout_s: float) -> None:
        if max_at_once < 1:
            raise ValueError(f"{max_at_once} questions at once are allowed; give at least 1")
        self.answers: SimpleQueue[tuple[Hashable, Answer | Exception]] = SimpleQueue()
        self._client = client
        self._max_at_once = max_at_once
        self._timeout_s = timeout_s
        self._waiting: SimpleQueue[_Question | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._num_open = self._num_drops = 0
        self._closed = threading.Event()
        self._lock = threading.Lock()

    def ask(self, key: Hashable, path: str, body: Any) -> None:
        """Have `body` posted; the answer comes into `answers`."""
        self._waiting.put(_Question(key, path, body, self._num_drops))
        with self._lock:
            self._num_open += 1
            if len(self._threads) < min(self._num_open, self._max_at_once):
                # A daemon: an answer that never comes must not keep the process alive.
                thread = threading.Thread(target=self._work, name="murphy-http", daemon=True)
                self._threads.append(thread)
                thread.start()

    def drop(self) -> None:
        """Forget what has not been sent yet, and break off the rest: the server may stop then."""
        self._num_drops += 1
        with contextlib.suppress(Empty):
            while True:
                self._waiting.get_nowait()
                with self._lock:
                    self._num_open -= 1
        self._client.break_off()

    def close(self) -> None:
        """Break off what is open, and end the threads."""
        self._closed.set()
        self.drop()
        self._client.close()
        for _ in self._threads:
            self._waiting.put(None)
        end = time.monotonic() + _END_S
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _work(self) -> None:
        while (question := self._waiting.get()) is not None:
            answer: Answer | Exception
            try:
                answer = self._answer(question)
            except Exception as error:
                answer = error
            with self._lock:
                self._num_open -= 1
            self.answers.put((question.key, answer))

    def _answer(self, question: _Question) -> Answer:
        end, pause = time.monotonic() + self._timeout_s, BUSY_S
        while question.num_drops == self._num_drops:
            answer = self._client.ask("POST", question.path, question.body, self._timeout_s)
            if answer.status != 429 or time.monotonic() + pause > end or self._closed.wait(pause):
                return answer
            pause = min(2 * pause, 60.0)
        raise UnreachableError("dropped on this side")


def _parts(url: str) -> tuple[bool, tuple[str, int | None], str]:
    """Whether it is plain HTTP; host and port; path."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError as error:
        raise ValueError(f"{url!r} is no server's address: {error}; {_LIKE}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"{url!r} is no server's address; {_LIKE}")
    if parts.username is not None or parts.query or parts.fragment or not parts.path.isascii():
        raise ValueError(
            f"{url!r} is no server's address: it has more than a host, a port and a plain path; "
            f"{_LIKE}, and a key in the environment as VLLM_API_KEY"
        )
    return parts.scheme == "http", (host, port), parts.path


def _keep_alive(end: socket.socket) -> None:
    """Notice within a minute or so that the machine at the other end is gone."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            end.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _parsed(said: bytes) -> Any:
    try:
        return json.loads(said)
    except (ValueError, RecursionError):
        return said.decode("utf-8", "replace")
