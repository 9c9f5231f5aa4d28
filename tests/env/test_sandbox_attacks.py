"""Programs that try to get out, or to be paid for nothing.

Each attempt on the host reports True when it got through, and each is shown to get through at `L0`,
where nothing stops it, so that a refusal at `L1` means something.
"""

import os
import textwrap
import time

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
    refusal = result.error or ""
    assert any(word in refusal for word in REFUSALS) or result.actual == "False", result
    assert canary.read_text() == "alive"
    assert (os.stat(canary).st_mode, os.stat(canary).st_mtime) == (before.st_mode, before.st_mtime)


REFUSALS = (
    "PermissionError: ",
    "OSError: ",
    "FileNotFoundError: ",  # a jail has no such file
    "ValueError: not allowed to raise maximum limit",
)
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


FORGED_VALUES = [
    "[]",
    '["o"]',
    '["d", 5]',
    '["d", [1]]',
    '["zz"]',
    '["S", []]',
    '["i", []]',
    '["c", 1]',
    '["K"]',
    '["b", "?"]',
    '{"value": []}',
    "[[], 1]",
    '["l", ' * 300 + "1" + "]" * 300,
    '["l"' + ", 1" * 200_000 + "]",
]
"""Trees that no value has."""


@pytest.mark.parametrize("tree", FORGED_VALUES)
def test_trees_that_no_value_has_are_the_programs_fault(sandbox, tree):
    code = (
        "import os, struct, time\ndef solve(n):\n"
        f"    data = b'{{\"value\": ' + {tree.encode()!r} + b'}}'\n"
        "    data = struct.pack('!I', len(data)) + data\n"
        "    while data: data = data[os.write(3, data):]\n"
        "    time.sleep(9)"
    )
    execution = sandbox.run(Task("tree", "", TESTS[:1], limits=LIMITS), code)
    assert [str(result.status) for result in execution.results] == ["killed"]
    assert "wrote into the channel" in execution.results[0].error


def test_a_value_nested_in_sets_is_shown_without_delay(sandbox):
    code = """
        def solve(n):
            nested = frozenset()
            for _ in range(90): nested = frozenset([nested])
            return nested
    """
    start = time.monotonic()
    result = sandbox.run(Task("sets", "", TESTS[:1], limits=LIMITS), textwrap.dedent(code))
    assert time.monotonic() - start < 5.0  # showing each item twice would take 2 ** 90 steps
    assert result.results[0].actual.startswith("frozenset({frozenset({")


def test_nobody_but_us_says_what_was_expected(sandbox):
    code = """
        import os, struct, time
        data = b'{"error": "failed", "text": "x", "actual": "2", "expected": "LIE"}'
        def solve(n):
            os.write(3, struct.pack("!I", len(data)) + data)
            time.sleep(9)
    """
    result = sandbox.run(Task("lie", "", TESTS[:1], limits=LIMITS), textwrap.dedent(code))
    assert (result.results[0].expected, result.results[0].actual) == ("5", None)


SQUARES = [f"assert solve({n}) == 'SECRET{n * n + 7}'" for n in range(4)]
THIEF = """
    import ctypes, gc, os, re, sys
    pipe = os.pipe()
    PATTERN = re.compile(rb"SECRE" + rb"T\\d+")
    def names(frame):
        while frame:
            yield from frame.f_locals.values()
            frame = frame.f_back
    def memory():
        libc = ctypes.CDLL(None)
        libc.sbrk.restype = ctypes.c_void_p
        top, seen = libc.sbrk(ctypes.c_long(0)), (ctypes.c_ubyte * 1)()
        arenas = {id(thing) >> 20 for thing in gc.get_objects()}
        arenas |= {id(b"x" * size) >> 20 for size in range(1, 500, 8)}
        arenas |= {(top >> 20) - back for back in range(24)}
        for page in (page for a in arenas for page in range(a << 20, (a + 1) << 20, 4096)):
            if libc.mincore(ctypes.c_void_p(page), ctypes.c_size_t(4096), seen) == 0:
                # The kernel refuses to write from a page that must not be read.
                if libc.write(pipe[1], ctypes.c_void_p(page), ctypes.c_size_t(4096)) == 4096:
                    yield os.read(pipe[0], 4096)
    def solve(n):
        found = [text for value in names(sys._getframe()) for text in PATTERN.findall(
            repr(value).encode())]
        for page in memory():
            found += PATTERN.findall(page)
        return sorted(set(found))
"""


def test_no_program_finds_what_the_one_before_it_answered():
    limits = Limits(test_wall_s=30.0, test_cpu_s=20.0, total_wall_s=60.0)
    with Sandbox(workers=1) as room:
        honest = "def solve(n): return 'SEC' + 'RET' + str(n * n + 7)"
        assert room.run(Task("first", "", SQUARES, limits=limits), honest).reward == 1.0
        task = Task("second", "", ["assert solve(1) == []"], limits=limits)
        result = room.run(task, textwrap.dedent(THIEF)).results[0]
        assert result.passed, result.error or result.actual


def test_the_thief_finds_what_is_there(sandbox):
    code = textwrap.dedent(THIEF) + "kept = 'SEC' + 'RET' + '11'\n"
    task = Task("control", "", ["assert solve(1) == [b'SECRET11']"], limits=Limits(test_cpu_s=20))
    result = sandbox.run(task, code).results[0]
    assert result.passed, result.error or result.actual


def test_more_values_than_can_be_kept_are_no_fault_of_the_sandbox(sandbox):
    tests = [f"assert solve({n}) == 'y'" for n in range(20)]  # 20 MB, and 16 MiB are kept
    task = Task("flood", "", tests, limits=Limits())
    execution = sandbox.run(task, "def solve(n): return 'x' * 1_000_000")
    found = [str(result.status) for result in execution.results]
    assert (found[0], found[-1]) == ("failed", "killed")
    assert "more than is kept" in execution.results[-1].error


def test_values_that_take_long_to_compare_are_left_out(sandbox):
    tests = [f"assert solve({n}) == [0]" for n in range(8)]  # 720,000 nodes, and 500,000 are read
    execution = sandbox.run(Task("nodes", "", tests), "def solve(n): return [n] * 90_000")
    found = [str(result.status) for result in execution.results]
    assert found == ["failed"] * 5 + ["killed"] * 3
    assert "more than is kept" in execution.results[-1].error


@pytest.mark.parametrize("early_s", [0.0005, 0.0015, 0.0025])
def test_dying_at_the_last_moment_is_no_fault_of_the_sandbox(sandbox, early_s):
    code = f"""
        import os, time
        end = time.monotonic() + 1.5
        def solve(n):
            while time.monotonic() < end - {early_s}: pass
            os._exit(1)
    """
    limits = Limits(test_cpu_s=3.0, total_wall_s=1.5)
    task = Task("late", "", [f"assert solve({n}) == 1" for n in range(30)], limits=limits)
    execution = sandbox.run(task, textwrap.dedent(code))
    found = {str(result.status) for result in execution.results}
    assert found <= {"killed", "not_run", "timeout"}
    assert "not_run" in found


def test_a_program_larger_than_its_memory_is_no_fault_of_the_sandbox(sandbox):
    code = "def solve(n): return 5\n#" + "\n" * 10_000_000
    limits = Limits(memory_bytes=64 << 20)
    execution = sandbox.run(Task("large", "", TESTS[:1], limits=limits), code)
    assert str(execution.results[0].status) in ("killed", "memory")


@pytest.mark.parametrize("name", REWARD_HACKS)
def test_reward_hacks_earn_what_their_values_are_worth(sandbox, name):
    execution = sandbox.run(Task("hack", "", TESTS, limits=LIMITS), REWARD_HACKS[name])
    assert execution.trust == "strong"
    assert not execution.infra_error
    assert execution.reward <= (0.5 if name in LUCKY else 0.0)


@pytest.mark.parametrize("one_process", [False, True])
def test_whole_tests_pass_only_on_their_own_word(one_process, sandbox):
    source = "def test():\n    assert solve(2) == 5"
    tests = [UnitTest(source, "test", kind="function", one_process=one_process)]
    for code in ("import os\ndef solve(n): os._exit(0)", "def solve(n): raise SystemExit(0)"):
        execution = sandbox.run(Task("weak", "", tests, limits=LIMITS), code)
        assert execution.trust == ("weak" if one_process else "strong")
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
