"""Where the machine has no processor to spare: slow programs get a second chance, hangs none."""

import contextlib
import os
import subprocess
import sys
import time

import pytest

from murphy_env.sandbox import Sandbox
from murphy_env.types import Limits, Task

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "MURPHY_BUSY" not in os.environ,
        reason="measures time on a machine that has no other work; set MURPHY_BUSY=1 there",
    ),
    pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux"),
]

WALL_S = 2.0
LIMITS = Limits(test_wall_s=WALL_S, test_cpu_s=4.0, total_wall_s=60.0)
RIVALS = 12
"""With so many at work a program gets less than a tenth of a processor."""

WORK = """
import time
def work():
    end = time.process_time() + 0.3
    while time.process_time() < end: pass
"""
IN_A_TEST = WORK + "def f():\n    work()\n    return 1\n"
WHILE_LOADING = WORK + "work()\ndef f(): return 1\n"
IN_A_THREAD = (
    WORK
    + """
import threading
def f():
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return 1
"""
)
SLEEP = "import time\ndef f(): time.sleep(60)\n"
WAIT = "import threading\ndef f(): threading.Event().wait(60)\n"
LOOP = "def f():\n    while True: pass\n"

RIVAL = """
import sys, time
print(flush=True)
sys.stdin.readline()
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end: pass
"""


@pytest.fixture(scope="module")
def room(level):
    """A sandbox whose one worker, and all its programs, run on one processor."""
    with _on_one_processor():
        room = Sandbox(workers=1, level=level)
    with room:
        yield room


@contextlib.contextmanager
def _on_one_processor():
    usual = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(usual)})
    yield
    os.sched_setaffinity(0, usual)


@contextlib.contextmanager
def rivals(seconds):
    """Processes that compete for that processor from now on, each for so many seconds."""
    command = [sys.executable, "-S", "-c", RIVAL, str(seconds)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with _on_one_processor():
        # A session each: the kernel shares processors out among sessions first.
        started = [
            subprocess.Popen(command, start_new_session=True, **pipes) for _ in range(RIVALS)
        ]
    for process in started:
        process.stdout.readline()
    for process in started:
        process.stdin.write(b"\n")
        process.stdin.flush()
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.communicate()


def timed(room, code, *tests):
    """Statuses of the tests, and the seconds it took."""
    start = time.monotonic()
    execution = room.run(Task("t", "", tests or ("assert f() == 1",), limits=LIMITS), code)
    return [str(result.status) for result in execution.results], time.monotonic() - start


@pytest.mark.parametrize(
    "code",
    [
        IN_A_TEST,
        WHILE_LOADING,
        IN_A_THREAD,
    ],
    ids=["in a test", "while loading", "in a thread"],
)
def test_who_got_no_processor_is_put_once_more(room, code):
    tests = ("assert f() == 1", "assert f() != 2")
    with rivals(WALL_S):
        statuses, took_s = timed(room, code, *tests)
    assert statuses == ["passed", "passed"]
    assert took_s > WALL_S, "the rivals left it enough: the test shows nothing"


def test_time_that_the_machine_took_away_is_given_back(room):
    limits = Limits(test_wall_s=WALL_S, test_cpu_s=4.0, total_wall_s=WALL_S + 0.2)
    task = Task("t", "", ("assert f() == 1", "assert f() != 2"), limits=limits)
    with rivals(WALL_S):
        execution = room.run(task, IN_A_TEST)
    assert [str(result.status) for result in execution.results] == ["passed", "passed"]


@pytest.mark.parametrize("code", [IN_A_TEST, LOOP], ids=["slow", "endless"])
def test_nobody_is_put_more_than_once_more(room, code):
    with rivals(60.0):
        statuses, took_s = timed(room, code)
    assert statuses == ["timeout"]
    assert 2 * WALL_S < took_s < 2.7 * WALL_S


@pytest.mark.parametrize("code", [SLEEP, WAIT], ids=["sleep", "wait"])
@pytest.mark.parametrize("load_s", [0.0, 60.0], ids=["idle", "loaded"])
def test_who_only_waits_is_not_put_again(room, code, load_s):
    with rivals(load_s):
        statuses, took_s = timed(room, code)
    assert statuses == ["timeout"]
    assert WALL_S < took_s < 1.7 * WALL_S


TIRED = """
import time
def f(kind):
    print(time.monotonic(), flush=True)
    if kind == "wait":
        time.sleep(60)
    end = time.process_time() + 0.1
    while time.process_time() < end: pass
    print(time.monotonic(), flush=True)
    return 1
"""


def test_an_earlier_lack_of_processors_is_no_excuse(room):
    tests = ("assert f(1) == 1", "assert f(2) == 1", "assert f(3) == 1", "assert f('wait') == 1")
    with rivals(60.0):
        results = room.run(Task("t", "", tests, limits=LIMITS), TIRED).results
    assert [str(result.status) for result in results] == ["passed"] * 3 + ["timeout"]
    ended, began = (float(results[index].stdout.split()[-1]) for index in (2, 3))
    assert began - ended < WALL_S / 2, "the last test was put twice"


def test_a_loop_ends_by_the_processor_time_it_used(room):
    limits = Limits(test_wall_s=30.0, test_cpu_s=0.5, total_wall_s=60.0)
    task = Task("t", "", ("assert f() == 1",), limits=limits)
    start = time.monotonic()
    with rivals(2.0):
        execution = room.run(task, LOOP)
    assert [str(result.status) for result in execution.results] == ["timeout"]
    assert time.monotonic() - start < 12.0  # a second time would change nothing, and is not tried
