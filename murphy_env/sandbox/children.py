"""The children of one fork server that run together, from the first fork to the end of all."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import time
from types import TracebackType
from typing import Any, Self

from murphy_env.sandbox.inside.wire import DONE, GONE, KILL, REPORT
from murphy_env.sandbox.running import Broken, End, Running

LEAST_WAIT_S, MOST_WAIT_S = 0.002, 1.0
CONFINE_S = 20.0
"""Within this a child gives up its powers; no program runs yet, so no limit of a task applies."""
MOST_DELAY = 0.25
"""Share of a step's time for which its processes may wait for a processor."""
HEAD_S = 0.05
"""Of a step's time, in which nobody looks who waits for a processor."""
EXIT_S = 0.25
"""For word of the end of a child whose channel has ended; one that lives on has given up."""
END_S = 10.0
"""Within this the fork server ends its children and empties their folder."""


class Children:
    """A context manager; leaving it ends them all.

    Args:
        link: to the fork server.
        limits: `murphy_env.types.Limits` as a dict; time counts for all children together.

    Raises:
        Broken: the link was closed.
    """

    def __init__(self, link: socket.socket, limits: dict[str, Any]) -> None:
        self.clean: bool | None = None
        """After the end, whether the scratch folder could be emptied."""
        self.starved_s = 0.0
        """What the last step took, where it ended in a timeout that is the machine's fault."""
        self._link = link
        self._limits = limits
        self._running: list[Running] = []
        self._ending = False
        if link.fileno() < 0:
            raise Broken("the worker was closed")
        self._poll = select.poll()
        self._poll.register(link.fileno(), select.POLLIN)

    def fork(
        self,
        request: dict[str, Any],
        peer: socket.socket | None = None,
        stdout_bytes: int | None = None,
    ) -> Running:
        """A new child, which has given up its powers.

        Args:
            request: what it is to do.
            peer: its end of a conversation with another one.
            stdout_bytes: how much of its output is kept, if not what the limits say.

        Raises:
            Broken: it could not be prepared, or the fork server is gone.
        """
        kept = self._limits["stdout_bytes"] if stdout_bytes is None else stdout_bytes
        child = Running(self._link, request, kept, CONFINE_S, peer)
        self._running.append(child)
        self._poll.register(child.output, select.POLLIN)
        how = self._wait(child, time.monotonic() + CONFINE_S, self._cpu_s() + CONFINE_S)
        if how != "frame" or child.take_frame() != b"{}":
            raise Broken(f"a child was not confined ({how}, exit code {child.exit})")
        return child

    def step(self, child: Running, deadline: float) -> str:
        """Let a child take its next step, within the limits of one test.

        Returns:
            How that ended: "frame", "timeout" or "died".

        Raises:
            Broken: the fork server is gone.
        """
        child.go()
        start = time.monotonic()
        wall_end = min(start + self._limits["test_wall_s"], deadline)
        cpu_end = self._cpu_s() + self._limits["test_cpu_s"]
        how = self._wait(child, start + min(HEAD_S, (wall_end - start) / 8), cpu_end)
        if how == "timeout":  # most steps are done by now, and pay for no look at `_delay_s`
            since, delayed = time.monotonic(), self._delay_s()
            how = self._wait(child, wall_end, cpu_end)
            most = MOST_DELAY * (time.monotonic() - since)
            if how == "timeout" and self._cpu_s() < cpu_end and self._delay_s() - delayed > most:
                self.starved_s = time.monotonic() - start
        return how

    def end_of(self, child: Running, how: str) -> End:
        """What is to be told of a child's step that ended so; where it died, all are ended."""
        frame = child.take_frame() if how == "frame" else b""
        if how == "died":
            self._await_exit(child)
            self._end()
        told = [each.take_output() for each in self._running]
        output, dropped = b"".join(part[0] for part in told), sum(part[1] for part in told)
        return End(how, frame, output, child.exit if how == "died" else None, dropped)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._end()
        finally:
            for child in self._running:
                child.free()

    def _wait(self, child: Running, wall_end: float, cpu_end: float) -> str:
        self._poll.register(child.channel, select.POLLIN)
        try:
            return self._awaited(child, wall_end, cpu_end)
        finally:  # what others write there is for nobody, and would wake us without end
            self._poll.unregister(child.channel)

    def _awaited(self, child: Running, wall_end: float, cpu_end: float) -> str:
        while True:
            left = min(wall_end - time.monotonic(), cpu_end - self._cpu_s())
            # Looking again after half of what is left bounds what several threads can overdraw.
            wait = min(max(left / 2, LEAST_WAIT_S), MOST_WAIT_S) if left > 0 else 0.0
            ready = {fd for fd, _ in self._poll.poll(1000 * wait)}
            if self._link.fileno() in ready:
                self._take_report()
            ended = child.read() or child.exit is not None
            for each in self._running:
                if each.read_output():  # closed: polling it further would spin
                    with contextlib.suppress(KeyError):
                        self._poll.unregister(each.output)
            if child.has_frame:
                return "frame"
            if ended:
                return "died"
            if left <= 0:  # asked before the look: being late ourselves costs the child nothing
                return "timeout"

    def _await_exit(self, child: Running) -> None:
        """Wait for the exit code of a child, and for those that made it end, if they did."""
        end = time.monotonic() + EXIT_S
        link = self._link.fileno()
        if link < 0:
            raise Broken("the worker was closed")
        poll = select.poll()
        poll.register(link, select.POLLIN)
        while child.exit is None or (child.exit == GONE and self._any_runs()):
            if not poll.poll(1000 * max(end - time.monotonic(), 0.0)):
                break
            self._take_report()

    def _any_runs(self) -> bool:
        return any(child.exit is None for child in self._running)

    def _end(self) -> None:
        """Have all children ended, their groups with them, and the folder emptied."""
        if self.clean is not None:
            return
        self._ending = True
        try:
            self._link.sendall(KILL)
        except OSError as error:
            raise Broken(f"the fork server is gone: {error.strerror or error}") from error
        while self.clean is None:
            self._take_report()

    def _take_report(self) -> None:
        report = b""
        try:
            while len(report) < REPORT.size:
                self._link.settimeout(END_S)
                part = self._link.recv(REPORT.size - len(report))
                if not part:
                    raise Broken("the fork server is gone")
                report += part
        except OSError as error:
            raise Broken(f"no word from the fork server: {error.strerror or error}") from error
        number, value = REPORT.unpack(report)
        if number == DONE:
            self.clean = bool(value)
        elif not (self._ending and value == -signal.SIGKILL):  # then it is our doing
            self._running[number].exit = value

    def _cpu_s(self) -> float:
        return sum(child.cpu_s() for child in self._running)

    def _delay_s(self) -> float:
        return sum(child.delay_s() for child in self._running)
