"""Runs jobs in long-lived processes, and outlives jobs that kill theirs.

Processes are spawned, so nothing of the caller is in them, and begin with `OMP_NUM_THREADS=1`. They
end when the caller does, however it ends: each holds one end of a pipe whose other end is the
caller's alone.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import TypeVar

J = TypeVar("J")
Do = Callable[[J], str | None]
"""A function that can be imported; it gives what went wrong, None if nothing did."""
OnDone = Callable[[J, str | None], None]
DIED = "its process died; the system may have run out of memory"


def run_all(
    do: Do[J], parts: Sequence[Sequence[J]], num_processes: int, on_done: OnDone[J]
) -> None:
    """Do all jobs, that many at a time; `on_done(job, error)` is called as they finish.

    A part begins when the one before it is done. Where a process dies, the jobs that were running
    are done once more, one by one, to find the one that kills its process; the others are not held
    against it.
    """
    left = deque(deque(part) for part in parts)
    while left:
        for suspect in _drain(do, left, num_processes, on_done):
            if _drain(do, deque([deque([suspect])]), 1, on_done):
                on_done(suspect, DIED)


def _drain(do: Do[J], left: deque[deque[J]], num_processes: int, on_done: OnDone[J]) -> list[J]:
    """Do jobs until none is left or a process dies; the jobs that were running then."""
    running: dict[Future[str | None], J] = {}
    with _processes(num_processes) as pool:
        try:
            while left:
                while left[0] and len(running) < num_processes:
                    future = pool.submit(do, left[0][0])
                    running[future] = left[0].popleft()
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    error = future.result()
                    on_done(running.pop(future), error)
                if not left[0] and not running:
                    left.popleft()
        except BrokenProcessPool:
            return list(running.values())
    return []


@contextlib.contextmanager
def _processes(number: int) -> Iterator[ProcessPoolExecutor]:
    context = multiprocessing.get_context("spawn")
    leash, end = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(number, context, initializer=_begin, initargs=(leash,))
    try:
        yield pool
    except BaseException:
        end.close()  # ends the processes in the middle of their work
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        end.close()
        leash.close()


def _begin(leash: Connection) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    # Ctrl-C reaches every process of a terminal; the caller decides. A handler that does nothing is
    # not inherited by programs that run in the sandbox, as SIG_IGN would be.
    signal.signal(signal.SIGINT, lambda *_: None)
    threading.Thread(target=_end_with, args=(leash,), daemon=True).start()


def _end_with(leash: Connection) -> None:
    """Wait until the other end is closed, and end this process."""
    with contextlib.suppress(EOFError, OSError):
        leash.recv_bytes()
    os._exit(1)
