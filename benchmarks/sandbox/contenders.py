"""What is compared: our sandbox at a level, and the bare control. For others see `peers`."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from benchmarks.sandbox.work import Work
from murphy_env.sandbox import Sandbox, SandboxUnavailableError
from murphy_env.types import Limits, Task

LEVELS = ("L0", "L1", "L2")
CONTROL = "bare fork"
PASSED = "passed"


class Absent(Exception):  # noqa: N818 - the state that the contender is in
    """A contender cannot be had here; says why, and what helps."""


@dataclass(frozen=True)
class Contender:
    """Something that runs programs against tests."""

    name: str
    judge: Callable[[Work, str], str]
    """`PASSED` if a program passes all tests, else what is wrong with it."""
    judge_all: Callable[[Work, list[str]], list[str]] | None = None
    """The same of many programs, run by all workers; None where nobody would use it so."""
    close: Callable[[], None] = lambda: None
    loops: bool = True
    """Whether it runs tests that cannot be split."""


def sandbox(level, workers):
    """Our sandbox.

    Raises:
        Absent: the level does not hold here.
    """
    try:
        room = Sandbox(workers=workers, level=level, allow_unsafe=level == "L0")
    except (SandboxUnavailableError, ValueError) as error:
        raise Absent(str(error)) from error

    def judge(work, program):
        return _verdict(room.run(_task(work), program))

    def judge_all(work, programs):
        return list(map(_verdict, room.map([(_task(work), program) for program in programs])))

    def close():
        room.close()
        if room.stats["memo_hits"]:
            raise RuntimeError(f"{level}: the memo answered, so nothing was measured: {room.stats}")

    return Contender(level, judge, judge_all, close)


def _verdict(execution):
    wrong = [f"{r.status}: {r.error or r.actual}" for r in execution.results if not r.passed]
    return "; ".join(wrong) or PASSED


@lru_cache
def _task(work):
    limits = Limits(work.limit_s, work.limit_s, 10 * work.limit_s + 10)
    tests = [f"{work.check}\ncheck(solve)"] if work.loop else work.asserts
    return Task(work.name, "", tests, limits=limits)


def control(_workers):
    """The least that a time limit costs: fork, sleep, kill, wait."""
    return Contender(CONTROL, _overruns)


def _overruns(work, program):
    pid = os.fork()
    if pid == 0:
        try:
            names = {}
            exec(program, names)
            names["solve"](0)
        finally:
            os._exit(0)
    time.sleep(work.limit_s)
    os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return PASSED if status == 0 else f"exit status {status}"
