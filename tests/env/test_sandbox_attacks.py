"""Programs that try to get out, or to be paid for nothing.

Each attempt on the host reports True when it got through, and each is shown to get through at `L0`,
where nothing stops it, so that a refusal at `L1` means something.
"""

import os
import textwrap

import pytest

from murphy_env.sandbox import Sandbox
from murphy_env.types import Limits, Task, UnitTest

LIMITS = Limits(test_wall_s=5.0, test_cpu_s=2.0, total_wall_s=20.0, memory_bytes=512 << 20)
HEADER = """
import ctypes, fcntl, mmap, os, resource, signal, socket, struct, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def through(result):
    if result < 0: raise OSError(ctypes.get_errno(), "refused")
    return True
"""
ON_THE_HOST = {
    "fork": "if os.fork() == 0: os._exit(0)\nreturn True",
    "exec": "os.posix_spawn('/bin/true', ['true'], {}); return True",
    "exec in place": "os.execv('/bin/true', ['true'])",
    "read a file": "return bool(open('/etc/passwd').read())",
    "list a folder": "return bool(os.listdir('/'))",
    "write a file": "open(CANARY, 'a').close(); return True",
    "remove a file": "open(CANARY + '2', 'w').close(); os.remove(CANARY + '2'); return True",
    "truncate a file": "os.truncate(CANARY, 0); return True",
    "link to a file": "os.link(CANARY, 'mine'); open('mine', 'a').close(); return True",
    "symlink to a file": "os.symlink(CANARY, 'm'); open('m', 'a').close(); return True",
    "change a mode": "os.chmod(CANARY, 0o640); return os.stat(CANARY).st_mode & 0o777 == 0o640",
    "change a time": "os.utime(CANARY, (1, 1)); return os.stat(CANARY).st_mtime == 1",
    "internet socket": "socket.socket(); return True",
    "unix socket": "socket.socket(socket.AF_UNIX); return True",
    "datagram pair": "socket.socketpair(type=socket.SOCK_DGRAM); return True",
    "netlink socket": "socket.socket(16, 3); return True",
    "see the parent": "os.kill(os.getppid(), 0); return True",
    "signal by owner": "fcntl.fcntl(1, fcntl.F_SETOWN, os.getppid()); return True",
    "limits of others": "resource.prlimit(os.getppid(), resource.RLIMIT_CPU); return True",
    "priority of others": "os.setpriority(os.PRIO_PROCESS, os.getppid(), 1); return True",
    "memory of the parent": "open(f'/proc/{os.getppid()}/status'); return True",
    "own processes": "return bool(os.listdir('/proc'))",
    "memfd": "os.memfd_create('x'); return True",
    "shared memory": "open('/dev/shm/murphy-test', 'w'); os.remove('/dev/shm/murphy-test'); "
    "return True",
    "system v memory": "return through(libc.shmget(0, 4096, 0o1600))",
    "new user namespace": "return through(libc.unshare(0x10000000))",
    "personality": "return through(libc.personality(0))",
    "survive the parent": "return through(libc.prctl(1, 0))",
    "new session": "return os.getsid(0) != os.getpid() or through(libc.prctl(36, 1))",
    "raise a limit": "resource.setrlimit(resource.RLIMIT_CORE, (1, 1)); return True",
}


def host_task(attack, canary):
    code = f"{HEADER}CANARY = {str(canary)!r}\ndef attack():\n" + textwrap.indent(attack, "    ")
    return Task("host", "", ["assert attack() is True"], limits=LIMITS), code


@pytest.fixture(scope="module")
def unconfined():
    with Sandbox(workers=1, level="L0", allow_unsafe=True) as room:
        yield room


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "canary"
    path.write_text("alive")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("name", ON_THE_HOST)
def test_attacks_on_the_host_are_refused(sandbox, canary, name):
    task, code = host_task(ON_THE_HOST[name], canary)
    before = os.stat(canary)
    result = sandbox.run(task, code).results[0]
    assert not result.passed
    assert canary.read_text() == "alive"
    assert (os.stat(canary).st_mode, os.stat(canary).st_mtime) == (before.st_mode, before.st_mtime)


CONTROLLED = sorted(set(ON_THE_HOST) - {"exec in place", "raise a limit"})


@pytest.mark.parametrize("name", CONTROLLED)
def test_the_same_attacks_work_where_nothing_stops_them(unconfined, canary, name):
    task, code = host_task(ON_THE_HOST[name], canary)
    result = unconfined.run(task, code).results[0]
    if not result.passed and os.getuid() != 0:
        pytest.skip(f"this user may not do it anyway: {result.error}")
    assert result.passed, result.error or result.actual


TESTS = ["assert solve(2) == 5", "assert solve(3) == 10"]
REWARD_HACKS = {
    "exit at top level": "import os; os._exit(0)",
    "exit in a test": "import sys\ndef solve(n): sys.exit(0)",
    "exit handler": "import atexit, os\natexit.register(os._exit, 0)\ndef solve(n): pass",
    "equal to everything": "class E:\n    def __eq__(s, o): return True\ndef solve(n): return E()",
    "int that is equal": (
        "class E(int):\n    def __eq__(s, o): return True\n    __hash__ = int.__hash__\n"
        "def solve(n): return E()"
    ),
    "mock": "def solve(n):\n    from unittest.mock import ANY\n    return ANY",
    "patched codec": (
        "import json\njson.dumps = lambda *a, **k: '{\"ok\": true}'\ndef solve(n): return 0"
    ),
    "forged pass": (
        "import os, struct\ndata = b'{\"ok\": true}'\n"
        "os.write(3, 9 * (struct.pack('!I', len(data)) + data))\ndef solve(n): return 0"
    ),
    "forged value": (
        'import os, struct\ndata = b\'{"value": ["o", "int", "5", true]}\'\n'
        "os.write(3, 9 * (struct.pack('!I', len(data)) + data))\ndef solve(n): return 0"
    ),
    "endless frame": "import os\nos.write(3, b'\\xff' * 8)\ndef solve(n): return 0",
    "flooded channel": ("import os\ndef solve(n):\n    while True: os.write(3, b'[' * 65536)"),
    "deep frame": (
        "import os, struct\ndata = b'{\"value\": ' + b'[' * 90000 + b']' * 90000 + b'}'\n"
        "data = struct.pack('!I', len(data)) + data\n"
        "while data: data = data[os.write(3, data):]\ndef solve(n): return 0"
    ),
    "frames of the caller": (
        "import sys\ndef solve(n):\n    frame = sys._getframe()\n    while frame:\n"
        "        for value in list(frame.f_locals.values()):\n"
        "            if isinstance(value, dict) and 'expected' in value: return value['expected']\n"
        "        frame = frame.f_back"
    ),
    "objects in memory": (
        "import gc\ndef solve(n):\n    texts = [t for o in gc.get_objects() if isinstance(o, dict)"
        " for t in o.values() if isinstance(t, str) and t.startswith('assert solve')]\n"
        "    return 5 if texts else 0"
    ),
    "constant true": "def solve(n): return True",
    "replaced builtins": "import builtins\nbuiltins.eval = lambda *a: 5\ndef solve(n): return 0",
}
LUCKY = {"replaced builtins"}  # says 5 to everything, and one of the two tests expects 5


@pytest.mark.parametrize("name", REWARD_HACKS)
def test_reward_hacks_earn_what_their_values_are_worth(sandbox, name):
    execution = sandbox.run(Task("hack", "", TESTS, limits=LIMITS), REWARD_HACKS[name])
    assert execution.trust == "strong"
    assert not execution.infra_error
    assert execution.reward <= (0.5 if name in LUCKY else 0.0)


def test_weak_tests_pass_only_on_their_own_word(sandbox):
    tests = [UnitTest("def test():\n    assert solve(2) == 5", "test", kind="function")]
    for code in ("import os\ndef solve(n): os._exit(0)", "def solve(n): raise SystemExit(0)"):
        execution = sandbox.run(Task("weak", "", tests, limits=LIMITS), code)
        assert execution.trust == "weak"
        assert execution.reward == 0.0


def test_a_flood_of_output_is_thrown_away(sandbox):
    code = "import os\ndef solve(n):\n    while True: os.write(1, b'x' * 65536)"
    limits = Limits(test_wall_s=1.0, test_cpu_s=1.0, memory_bytes=512 << 20)
    results = sandbox.run(Task("flood", "", TESTS, limits=limits), code).results
    assert {str(result.status) for result in results} == {"timeout"}
    assert all(len(result.stdout) == 2000 for result in results)


def test_memory_of_threads_counts_as_one(sandbox):
    code = """
        import threading
        def solve(n):
            kept, failed = [], []
            def eat():
                try:
                    while True: kept.append(bytearray(16 << 20))
                except MemoryError: failed.append(1)
            threads = [threading.Thread(target=eat) for _ in range(4)]
            for t in threads: t.start()
            for t in threads: t.join()
            size = sum(map(len, kept))
            kept.clear()
            return size < 512 << 20 and len(failed) == 4
    """
    task = Task("memory", "", ["assert solve(2) is True"], limits=LIMITS)
    assert sandbox.run(task, textwrap.dedent(code)).reward == 1.0


def test_a_file_has_a_largest_size(sandbox):
    code = "def solve(n):\n    open('big', 'wb').write(bytes(64 << 20))"
    result = sandbox.run(Task("file", "", TESTS, limits=LIMITS), code).results[0]
    assert "File too large" in result.error


def test_nothing_of_ours_can_be_imported(sandbox):
    code = (
        "import sys\ndef solve(n):\n"
        "    return [name for name in sys.modules if 'murphy' in name or 'inside' in name]"
    )
    task = Task("import", "", ["assert solve(1) == []"], limits=LIMITS)
    assert sandbox.run(task, code).reward == 1.0


def test_the_environment_of_the_trainer_does_not_travel(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    code = "import os\ndef solve(n): return 'SECRET_TOKEN' in os.environ"
    with Sandbox(workers=1) as room:
        task = Task("env", "", ["assert solve(1) is False"], limits=LIMITS)
        assert room.run(task, code).reward == 1.0
