"""The life of workers: arguments, retry, closing, and nothing left behind."""

import gc
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from murphy_env.sandbox import Sandbox, shared_sandbox
from murphy_env.sandbox.inside import folder
from murphy_env.sandbox.pool import TRIES
from murphy_env.sandbox.request import make_request
from murphy_env.types import InfrastructureError, Limits, Status, Task, UnitTest

LIMITS = Limits(test_wall_s=5.0, test_cpu_s=2.0, total_wall_s=20.0)
TASK = Task("t", "", ["assert f(1) == 2", "assert f(2) == 3"], limits=LIMITS)
GOOD = "def f(x): return x + 1\n"
SLOW = "import time\ntime.sleep(0.5)\ndef f(x): return x + 1\n"


def worker_pids(room):
    """Process ids of the fork servers; one in a jail is the child of bubblewrap."""
    pids = [worker._process.pid for worker in list(room._pool._alive)]
    if room.level in ("L0", "L1"):
        return pids
    return [int(child) for pid in pids if is_running(pid) for child in children(pid)]


def children(pid=None):
    pid = pid or os.getpid()
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return set(path.read_text().split())


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"workers": 0}, ValueError, "workers is 0"),
        ({"workers": True}, ValueError, "workers is True"),
        ({"level": "L9"}, ValueError, "level is 'L9'; use one of"),
        ({"level": "L4"}, ValueError, "needs url="),
        ({"level": "L0"}, ValueError, "allow_unsafe=True"),
    ],
)
def test_bad_arguments_are_refused_before_a_process_starts(arguments, error, words):
    before = children()
    with pytest.raises(error, match=words):
        Sandbox(**arguments)
    assert children() == before


@pytest.mark.parametrize("pair", [("task", GOOD), (TASK, None), (TASK, b"x = 1")])
def test_what_is_no_task_or_no_text_is_refused(sandbox, pair):
    with pytest.raises(TypeError, match="give a Task and its program as a str"):
        sandbox.run(*pair)


def test_many_threads_at_once(sandbox):
    rewards = []

    def work(number):
        for index in range(5):
            code = f"def f(x): return x + {index % 2}  # {number} {index}"
            rewards.append((index % 2, sandbox.run(TASK, code).reward))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rewards) == 40
    assert all(reward == wanted for wanted, reward in rewards)


def test_executions_spread_over_the_workers():
    with Sandbox(workers=4) as room:
        start = time.monotonic()
        executions = room.map([(TASK, SLOW + f"# {i}") for i in range(4)])
        assert all(execution.reward == 1.0 for execution in executions)
        assert time.monotonic() - start < 1.9  # one after the other: 4 · 0.5 s


def test_a_killed_worker_is_replaced_and_nothing_is_lost(level):
    with Sandbox(workers=1, level=level) as room:
        future = room.submit(TASK, SLOW)
        time.sleep(0.2)
        os.kill(worker_pids(room)[0], signal.SIGKILL)
        assert future.result().reward == 1.0
        assert room.stats["restarts"] == 1


def test_children_of_a_killed_worker_die_with_it(level):
    with Sandbox(workers=1, level=level) as room:
        future = room.submit(TASK, SLOW)
        time.sleep(0.2)
        (worker,) = worker_pids(room)
        (child,) = children(worker)
        os.kill(worker, signal.SIGKILL)
        future.result()
        assert not is_running(child)


def test_workers_that_keep_breaking_give_no_verdict(level):
    with Sandbox(workers=1, level=level) as room:
        stop = threading.Event()

        def kill_all():
            while not stop.is_set():
                for pid in worker_pids(room):
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.005)

        killer = threading.Thread(target=kill_all)
        killer.start()
        execution = room.run(TASK, "import time\ntime.sleep(3)\n" + GOOD)
        stop.set()
        killer.join()
        assert {result.status for result in execution.results} == {Status.INFRA_ERROR}
        with pytest.raises(InfrastructureError, match=f"tried {TRIES} times"):
            _ = execution.reward
        assert room.stats["infra_errors"] == 1
        assert room.run(TASK, GOOD).reward == 1.0


def test_closing_leaves_no_process_no_folder_no_descriptor(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    Sandbox(workers=1).close()  # warms what Python itself keeps open
    before = children(), os.listdir("/proc/self/fd")
    with Sandbox(workers=2) as room:
        room.map([(TASK, GOOD + f"# {i}") for i in range(6)])
        assert len(children()) > len(before[0])
        assert os.listdir(tmp_path)
    gc.collect()
    assert children() == before[0]
    assert len(os.listdir("/proc/self/fd")) == len(before[1])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("depth", [900, 3000])
def test_folders_of_any_depth_are_removed(depth, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    deep = f"import os\nfor _ in range({depth}):\n    os.mkdir('d')\n    os.chdir('d')\n"
    closed = "os.mkdir('closed')\nopen('closed/file', 'w').close()\n"
    with Sandbox(workers=1) as room:
        assert room.run(TASK, deep + closed + GOOD).reward == 1.0
        assert room.run(TASK, "import os\nassert os.listdir() == []\n" + GOOD).reward == 1.0
        assert room.stats["restarts"] == 0
        future = room.submit(TASK, deep + "import time\ntime.sleep(3)\n" + GOOD)
        time.sleep(1.0)
    with pytest.raises(RuntimeError, match="closed before the verdict"):
        future.result()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("what", ["empty", "full/empty"])
def test_a_folder_that_takes_too_long_is_given_up(what, tmp_path, monkeypatch):
    (tmp_path / what).mkdir(parents=True)
    (tmp_path / "file").touch()
    monkeypatch.setattr(folder, "EMPTY_S", -1.0)
    assert not folder.empty(str(tmp_path))
    assert not folder.remove(str(tmp_path))
    assert len(os.listdir(tmp_path)) == 2
    monkeypatch.undo()
    assert folder.empty(str(tmp_path))


def test_many_empty_folders_are_removed_in_time(tmp_path):
    for number in range(5000):
        (tmp_path / str(number)).mkdir()
    assert not folder.empty(str(tmp_path), time.monotonic() + 0.01)
    assert len(os.listdir(tmp_path)) > 1000
    assert folder.empty(str(tmp_path), time.monotonic() + 60)


def test_the_room_for_output_does_not_tell_how_long_the_expected_one_is():
    rooms = [
        make_request(Task("t", "", [UnitTest("", kind="stdio", stdin="", stdout="x" * n)]), "")
        for n in (1 << 20, (1 << 21) - 1)
    ]
    kept = [room["tests"][0]["stdout_bytes"] for room in rooms]
    assert kept[0] == kept[1] >= 1 << 21


def test_the_room_for_output_of_one_test_tells_nothing_of_another():
    task = Task("t", "", [UnitTest("", kind="stdio", stdout="x" * n) for n in (9, 1 << 20)])
    assert make_request(task, "")["tests"][0]["stdout_bytes"] == task.limits.stdout_bytes


def run_script(script, **settings):
    head = (
        "import os, signal, sys, time\nfrom murphy_env.sandbox import Sandbox\n"
        # A shell's background jobs ignore Ctrl-C, and what they start would.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from murphy_env.types import Task\nroom = Sandbox(workers=1)\n"
        "pids = [w._process.pid for w in room._pool._alive]\n"
        "code = 'import time; time.sleep(1)\\ndef f(x): return x\\n#'\n"
        "task = Task('t', '', ['assert f(1) == 1'])\n"
        "futures = [room.submit(task, code + str(i)) for i in range(8)]\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", head + script], stdout=subprocess.PIPE, text=True, **settings
    )


def test_an_exit_waits_for_no_queue():
    with run_script("print(time.time(), flush=True)") as process:
        printed = float(process.stdout.read())
        assert time.time() - printed < 2.0  # the queue would take 8 s
    assert process.returncode == 0


def test_ctrl_c_waits_for_no_queue():
    script = "print('go', flush=True)\nfutures[-1].result()"
    with run_script(script, stderr=subprocess.DEVNULL) as process:
        process.stdout.readline()
        time.sleep(0.2)  # Python itself overlooks a signal at the very moment a wait begins
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        process.wait()
        assert time.monotonic() - start < 2.0
    assert process.returncode != 0


def test_workers_end_with_their_parent_while_a_fork_of_it_lives():
    script = (
        "if os.fork() == 0:\n    time.sleep(20)\n    os._exit(0)\n"
        "print(*pids, flush=True)\nos.kill(os.getpid(), 9)"
    )
    with run_script(script) as process:
        pid = process.stdout.readline().strip()
        process.wait()
        deadline = time.monotonic() + 5
        while is_running(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not is_running(pid)


def test_closing_ends_what_is_under_way():
    room = Sandbox(workers=1)
    futures = [room.submit(TASK, SLOW + f"# {i}") for i in range(3)]
    time.sleep(0.1)
    start = time.monotonic()
    room.close()
    assert time.monotonic() - start < 1.0
    for future in futures:
        with pytest.raises(RuntimeError, match="closed before the verdict"):
            future.result(timeout=1)
    with pytest.raises(RuntimeError, match="make a new one"):
        room.run(TASK, GOOD)
    room.close()


def test_many_executions_leak_no_descriptors_in_the_worker():
    with Sandbox(workers=1) as room:
        (pid,) = worker_pids(room)
        room.run(TASK, GOOD)
        before = len(os.listdir(f"/proc/{pid}/fd"))
        for index in range(40):
            room.run(
                TASK, f"open('left', 'w')\nimport os\nif {index % 4 == 0}: os._exit(0)\n{GOOD}"
            )
        assert len(os.listdir(f"/proc/{pid}/fd")) == before
        assert worker_pids(room) == [pid]


def test_an_abandoned_sandbox_is_closed():
    before = children()
    room = Sandbox(workers=1)
    room.run(TASK, GOOD)
    del room
    gc.collect()
    assert children() == before


def test_workers_end_with_their_parent():
    script = (
        "import os, sys\nfrom murphy_env.sandbox import Sandbox\nroom = Sandbox(workers=1)\n"
        "print(*[w._process.pid for w in room._pool._alive], flush=True)\nos._exit(0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    deadline = time.monotonic() + 5
    while is_running(done.stdout.strip()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(done.stdout.strip())


def test_equal_settings_share_one_sandbox():
    room = shared_sandbox({"workers": 1})
    assert shared_sandbox({"level": "auto", "workers": 1}) is room
    room.close()
    again = shared_sandbox({"workers": 1})
    assert again is not room
    assert again.run(TASK, GOOD).reward == 1.0
    again.close()


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match=r"unknown sandbox settings \['wokers'\]"):
        shared_sandbox({"wokers": 1})


def test_a_forked_process_cannot_use_or_end_the_workers_of_its_parent():
    with Sandbox(workers=1) as room:
        assert room.run(TASK, GOOD).reward == 1.0
        pid = os.fork()
        if pid == 0:
            refused = False
            try:
                room.run(TASK, GOOD)
            except RuntimeError:
                refused = True
            room._finalizer()
            os._exit(0 if refused else 1)
        assert os.waitpid(pid, 0)[1] == 0
        assert room.run(TASK, GOOD + "# again").reward == 1.0
        assert room.stats["restarts"] == 0
