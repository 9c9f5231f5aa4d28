"""The sandbox as its users see it: futures, and a memo of what was executed already."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from functools import partial
from types import TracebackType
from typing import Any, Self

from murphy_env.sandbox.crew import Crew
from murphy_env.sandbox.executor import Executor
from murphy_env.sandbox.judge import infra_error, judge
from murphy_env.sandbox.levels import SandboxUnavailableError, check_level
from murphy_env.sandbox.pool import PoolClosed
from murphy_env.sandbox.probe import open_pool
from murphy_env.sandbox.remote import open_remote
from murphy_env.sandbox.request import make_request
from murphy_env.sandbox.running import End
from murphy_env.sandbox.worker import WorkerBroken
from murphy_env.types import Execution, Status, Task

MEMO_SIZE = 4096
_NOT_REPEATABLE = {
    Status.TIMEOUT,
    Status.KILLED,
    Status.MEMORY,
    Status.INFRA_ERROR,
    Status.NOT_RUN,
}


class Sandbox:
    """Runs programs against the tests of tasks. Any number of threads may use it.

    Equal (task, code) pairs are executed once, unless the outcome hung on time or memory.

    Args:
        workers: how many programs run at a time; each costs one processor, where it runs.
        level: `auto` takes the strongest level that holds here and refuses less than `L1`.
        allow_unsafe: accept `L0`, where programs can do whatever this process can.
        url: for `L4`, the address of the SandboxFusion server that runs the programs.

    Raises:
        ValueError: an argument that cannot be met.
        SandboxUnavailableError: the level does not hold on this machine, or no server answers.

    Example:
        >>> from murphy_env.types import Task
        >>> with Sandbox(workers=1, allow_unsafe=True) as sandbox:
        ...     execution = sandbox.run(Task("inc", "", ["assert f(1) == 2"]), "f = abs")
        >>> execution.results[0].status.value, execution.results[0].actual
        ('failed', '1')
    """

    def __init__(
        self,
        workers: int = 2,
        level: str = "auto",
        allow_unsafe: bool = False,
        url: str | None = None,
    ) -> None:
        if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
            raise ValueError(f"workers is {workers!r}; give a number of processes, at least 1")
        check_level(level, allow_unsafe, url)
        self._pool: Executor = (
            open_pool(level, workers, allow_unsafe) if url is None else open_remote(url)
        )
        self._crew = Crew(workers, "murphy-sandbox")
        self._finalizer = weakref.finalize(self, _close, self._pool, self._crew)
        self._lock = threading.Lock()
        self._memo: OrderedDict[tuple[str, str], Execution] = OrderedDict()
        self._running: dict[tuple[str, str], Future[Execution]] = {}
        self._counts = {"executions": 0, "memo_hits": 0, "infra_errors": 0}

    @property
    def level(self) -> str:
        """The isolation that holds: "L0" to "L4"."""
        return self._pool.level

    @property
    def closed(self) -> bool:
        """Whether it can run nothing any more (or not in this process, a fork of its own)."""
        return not self._pool.usable

    @property
    def stats(self) -> dict[str, int]:
        """Counts since the start: executions, memo_hits, restarts, infra_errors."""
        with self._lock:
            return {**self._counts, "restarts": self._pool.restarts}

    def run(self, task: Task, code: str) -> Execution:
        """Run one program and wait for the verdict. For errors see `submit`."""
        return self.submit(task, code).result()

    def map(self, pairs: Iterable[tuple[Task, str]]) -> list[Execution]:
        """Run many programs at once; verdicts in the order of the pairs."""
        futures = [self.submit(task, code) for task, code in pairs]
        return [future.result() for future in futures]

    def submit(self, task: Task, code: str) -> Future[Execution]:
        """Run one program; the future of its verdict, which cannot be cancelled.

        Raises:
            TypeError: `task` is no Task or `code` no str.
            ValueError: the task itself cannot be run; see `request.make_request`.
            RuntimeError: the sandbox is closed, or belongs to the process this one was forked from.
        """
        if not isinstance(task, Task) or not isinstance(code, str):
            raise TypeError(
                f"give a Task and its program as a str, not {type(task).__name__} and "
                f"{type(code).__name__}"
            )
        key = task.digest, code
        with self._lock:
            known = self._known(key)
        if known is not None:
            return known
        request = make_request(task, code)
        with self._lock:
            known = self._known(key)  # another thread may have been faster
            if known is not None:
                return known
            future: Future[Execution] = Future()
            future.set_running_or_notify_cancel()  # it may be shared; nobody may cancel it
            self._crew.submit(partial(self._fulfil, key, task, request, future))
            self._running[key] = future
        return future

    def close(self) -> None:
        """End the workers. Executions under way or queued fail with RuntimeError."""
        self._finalizer()
        if self._pool.mine:  # a fork has none of the threads
            self._crew.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _known(self, key: tuple[str, str]) -> Future[Execution] | None:
        self._check_open()
        if key in self._memo:
            self._memo.move_to_end(key)
            done: Future[Execution] = Future()
            done.set_result(self._memo[key])
        elif key in self._running:
            done = self._running[key]
        else:
            return None
        self._counts["memo_hits"] += 1
        return done

    def _check_open(self) -> None:
        if self.closed:
            raise RuntimeError(
                "this Sandbox is closed, or was made before this process was forked; make a new one"
            )

    def _fulfil(
        self,
        key: tuple[str, str],
        task: Task,
        request: dict[str, Any],
        future: Future[Execution],
    ) -> None:
        try:
            execution = self._execute(task, request)
        except PoolClosed:
            self._settle(key, None)
            future.set_exception(RuntimeError("the Sandbox was closed before the verdict"))
        except BaseException as error:
            self._settle(key, None)
            future.set_exception(error)
        else:
            self._settle(key, execution)
            future.set_result(execution)

    def _execute(self, task: Task, request: dict[str, Any]) -> Execution:
        start = time.monotonic()

        def read(ends: list[End], scratch: str) -> Execution:
            verdict = judge(task, self.level, ends, scratch)
            return dataclasses.replace(verdict, wall_s=time.monotonic() - start)

        try:
            return self._pool.run(request, read)
        except (WorkerBroken, SandboxUnavailableError) as error:
            return infra_error(task, self.level, str(error))

    def _settle(self, key: tuple[str, str], execution: Execution | None) -> None:
        with self._lock:
            del self._running[key]
            if execution is None:
                return
            self._counts["executions"] += 1
            self._counts["infra_errors"] += execution.infra_error
            if _NOT_REPEATABLE.isdisjoint(result.status for result in execution.results):
                self._memo[key] = execution
                if len(self._memo) > MEMO_SIZE:
                    self._memo.popitem(last=False)


def _close(pool: Executor, crew: Crew) -> None:
    pool.close()
    if pool.mine:  # a fork has none of the threads, and may have got a lock of theirs
        crew.end()


_shared: dict[tuple[int, str], Sandbox] = {}
_sharing = threading.Lock()
_DEFAULTS = {"workers": 2, "level": "auto", "allow_unsafe": False, "url": None}


def shared_sandbox(spec: Mapping[str, Any]) -> Sandbox:
    """The sandbox of this process with these settings, made when first asked for, closed at exit.

    Args:
        spec: arguments of `Sandbox`, as JSON values.

    Raises:
        ValueError: an unknown setting, or one that `Sandbox` refuses.
    """
    unknown = sorted(set(spec) - set(_DEFAULTS))
    if unknown:
        raise ValueError(f"unknown sandbox settings {unknown}; there are {sorted(_DEFAULTS)}")
    settings = {**_DEFAULTS, **spec}
    key = os.getpid(), json.dumps(settings, sort_keys=True)
    with _sharing:
        if key not in _shared or _shared[key].closed:
            _shared[key] = Sandbox(**settings)
        return _shared[key]
