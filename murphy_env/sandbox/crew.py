"""Threads that wait for programs, and that neither an exit nor Ctrl-C has to wait for.

`concurrent.futures` joins its threads when the interpreter ends, after all that is queued is done;
a training run that is stopped would sit through every program that it had asked for.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

Job = Callable[[], Any]


class Crew:
    """A fixed number of daemon threads, each started when it is first needed.

    Args:
        size: number of threads.
        name: what their names start with.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._ended = False

    def submit(self, job: Job) -> None:
        """Have a job done; it must not raise.

        Raises:
            RuntimeError: `end` was called.
        """
        with self._lock:
            if self._ended:
                raise RuntimeError("closed: no further job is taken")
            self._jobs.put(job)
            if len(self._threads) < self._size:
                name = f"{self._name}-{len(self._threads)}"
                thread = threading.Thread(target=_work, args=(self._jobs,), name=name, daemon=True)
                self._threads.append(thread)
                thread.start()

    def end(self) -> None:
        """Let the threads end when what is queued is done; waits for nothing."""
        with self._lock:
            self._ended = True
            self._jobs.put(None)

    def join(self) -> None:
        """Wait until the threads have ended; `end` first."""
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()


def _work(jobs: queue.SimpleQueue[Job | None]) -> None:
    while (job := jobs.get()) is not None:
        job()
        del job  # else it would live, and all it holds, until the next one comes
    jobs.put(None)  # for the next thread
