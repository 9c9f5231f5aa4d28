"""A clock that runs while at least one of several threads is at work."""

from __future__ import annotations

import threading
import time


class BusyClock:
    """A context manager that threads enter for the time of their work; overlaps count once.

    Example:
        >>> clock = BusyClock()
        >>> with clock, clock:
        ...     time.sleep(0.01)
        >>> 0.01 <= clock.take() < 1.0, clock.take()
        (True, 0.0)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._since = 0.0
        self._seconds = 0.0

    def __enter__(self) -> None:
        with self._lock:
            self._turn_over()
            self._running += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._turn_over()
            self._running -= 1

    def take(self) -> float:
        """Seconds since the last call in which somebody was at work."""
        with self._lock:
            self._turn_over()
            seconds, self._seconds = self._seconds, 0.0
            return seconds

    def _turn_over(self) -> None:
        now = time.perf_counter()
        if self._running:
            self._seconds += now - self._since
        self._since = now
