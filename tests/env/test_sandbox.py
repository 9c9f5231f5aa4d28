"""What the sandbox says about programs: statuses, reports, kinds of tests, the memo."""

import json
import math
import textwrap
import threading
import time

import pytest

from murphy_env.sandbox import Sandbox
from murphy_env.types import Limits, Status, Task, UnitTest

QUICK = Limits(test_wall_s=1.0, test_cpu_s=0.3, total_wall_s=10.0, memory_bytes=512 << 20)
MEANING = {
    "pass": {"passed"},
    "fail": {"failed"},
    "timeout": {"timeout"},
    "error": {"error", "killed", "memory", "not_run"},
}


def task_of(*tests, **settings):
    return Task("t", "", tests, **{"limits": QUICK, **settings})


def statuses(execution):
    return [str(result.status) for result in execution.results]


def test_every_shared_case_comes_out_as_written(sandbox, shared_data):
    cases = json.loads(shared_data("sandbox_cases.json").read_text())
    pairs = [(task_of(*case["tests"]), case["code"]) for case in cases]
    for case, execution in zip(cases, sandbox.map(pairs), strict=True):
        wanted = [MEANING[status] for status in case["expected_status"]]
        got = statuses(execution)
        assert len(got) == len(wanted)
        assert all(g in w for g, w in zip(got, wanted, strict=True)), (case["id"], got)


def test_reward_counts_scored_tests_and_results_keep_the_order(sandbox):
    tests = [UnitTest("assert f(1) == 2"), UnitTest("assert f(2) == 9", scored=False)]
    execution = sandbox.run(task_of(*tests, "assert f(3) == 0"), "def f(x): return x + 1")
    assert statuses(execution) == ["passed", "failed", "failed"]
    assert (execution.passed, execution.total, execution.reward) == (1, 2, 0.5)
    assert (execution.level, execution.trust) == (sandbox.level, "strong")


def test_a_hang_costs_one_test_and_the_rest_run_in_a_fresh_process(sandbox):
    code = """
        calls = []
        def f(x):
            calls.append(x)
            while x == 2: pass
            return len(calls)
    """
    tests = [f"assert f({x}) == {calls}" for x, calls in ((1, 1), (2, 2), (3, 1), (4, 2))]
    execution = sandbox.run(task_of(*tests), _dedent(code))
    assert statuses(execution) == ["passed", "timeout", "passed", "passed"]


def test_a_death_costs_one_test(sandbox):
    code = (
        "import os, signal\ndef f(x):\n    if x: os.kill(os.getpid(), signal.SIGSEGV)\n    return 0"
    )
    tests = ["assert f(0) == 0", "assert f(1) == 0", "assert f(0) == 0"]
    execution = sandbox.run(task_of(*tests), code)
    assert statuses(execution) == ["passed", "killed", "passed"]
    assert execution.results[1].error == "the process ended before the test did (SIGSEGV)"


@pytest.mark.parametrize("source", ["assert f(1) == 0", "for _ in range(1): assert f(1) == 0"])
def test_a_program_that_gives_up_its_channel_is_put_no_second_time(sandbox, source):
    code = """
        import os, time
        def f(x):
            if x:
                os.closerange(3, 9)
                open("tries", "a").write("x")
                time.sleep(0.5)
            return 0
    """
    start = time.monotonic()
    execution = sandbox.run(task_of("assert f(0) == 0", source), _dedent(code))
    assert time.monotonic() - start < 2.0
    assert statuses(execution) == ["passed", "killed"]
    assert "closed, or filled, the channel" in execution.results[1].error


def test_a_hang_at_top_level_is_paid_once(sandbox):
    tests = [UnitTest(f"assert f({i}) == 1", visible=i % 2 > 0) for i in range(16)]
    task = Task("hang", "", tuple(tests), limits=QUICK)
    execution = sandbox.run(task, "while True: pass")
    assert statuses(execution) == ["timeout"] * 16
    assert execution.wall_s < 0.3 * 8  # would be paid by eight hangs of processor time


def test_a_program_that_cannot_be_loaded_can_still_be_a_script(sandbox):
    asserts = [UnitTest("assert f(1) == 1", visible=seen) for seen in (True, False)]
    script = {"kind": "stdio", "stdin": "x", "stdout": "x"}
    scripts = [UnitTest("", visible=seen, **script) for seen in (True, False)]
    task = Task("both", "", (*asserts, *scripts))
    execution = sandbox.run(task, "import os\ntry: print(input())\nexcept EOFError: os._exit(3)")
    assert statuses(execution) == ["killed"] * 2 + ["passed"] * 2


def test_time_of_all_tests_together_is_limited(sandbox):
    limits = Limits(test_wall_s=2, test_cpu_s=5, total_wall_s=3)  # far above what loading takes
    tests = [f"assert f({i}) == 1" for i in range(4)]
    execution = sandbox.run(task_of(*tests, limits=limits), "import time\ndef f(x): time.sleep(9)")
    assert statuses(execution) == ["timeout", "timeout", "not_run", "not_run"]


def test_no_program_can_mask_its_limits(sandbox):
    code = """
        import signal
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))
        def f():
            while True:
                try:
                    while True: pass
                except BaseException: pass
    """
    code = _dedent(code)
    assert statuses(sandbox.run(task_of("assert f() == 1"), code)) == ["timeout"]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("def f(): return bytearray(1 << 32)", "memory"),
        ("import sys\nsys.exit(0)", "error"),
        ("import sys\ndef f(): sys.setrecursionlimit(5); return 1", "error"),
        ("def f(): raise KeyboardInterrupt", "error"),
        ("def f(): return (yield)", "failed"),
        ("assert False", "failed"),
        ("raise MemoryError", "memory"),
        ("import os\ndef f(): os._exit(0)", "killed"),
        ("import os\ndef f(): os.close(3); return 1", "killed"),
    ],
)
def test_ends_of_a_program(sandbox, code, status):
    assert statuses(sandbox.run(task_of("assert f() == 1"), code)) == [status]


def test_an_error_shows_the_last_frames_of_the_program_with_its_lines(sandbox):
    code = "def g(x):\n    return 1 / x  # here\n\ndef f(x):\n    return g(x)\n"
    result = sandbox.run(task_of("assert f(0) == 1", prelude="import math"), code).results[0]
    assert result.error == (
        "Traceback (most recent call last):\n"
        '  File "solution.py", line 5, in f\n    return g(x)\n'
        '  File "solution.py", line 2, in g\n    return 1 / x  # here\n'
        "ZeroDivisionError: division by zero"
    )
    assert (result.expected, result.actual) == ("1", None)


def test_a_syntax_error_has_its_caret(sandbox):
    result = sandbox.run(task_of("assert f(0) == 1"), "x = 1\nx = = 2\n").results[0]
    assert result.error.splitlines() == [
        '  File "solution.py", line 2',
        "    x = = 2",
        "        ^",
        "SyntaxError: invalid syntax",
    ]


def test_reports_name_no_folder_of_this_machine_and_no_address(sandbox):
    code = """
        import os, collections
        def f(kind):
            if kind == 0: raise ValueError(os.getcwd() + "/x")
            if kind == 1: raise ValueError(collections.__file__)
            if kind == 2: return object()
            print(os.getcwd(), object())
    """
    results = sandbox.run(
        task_of(*[f"assert f({i}) == 1" for i in range(4)]), _dedent(code)
    ).results
    assert results[0].error.endswith("ValueError: x")
    assert results[1].error.endswith("ValueError: collections/__init__.py")
    assert results[2].actual == "<object object at 0x…>"
    assert results[3].stdout == ". <object object at 0x…>\n"


def test_printed_text_belongs_to_its_test_and_only_its_end_is_kept(sandbox):
    code = "print('loading')\ndef f(x):\n    print('line', x, '\\x1b' * x)\n    return 1"
    results = sandbox.run(task_of("assert f(1) == 1", "assert f(2) == 1"), code).results
    assert [result.stdout for result in results] == ["loading\nline 1 \n", "line 2 \n"]
    flood = "def f(x):\n    for i in range(200_000): print(i)\n    return 1"
    result = sandbox.run(task_of("assert f(1) == 1"), flood).results[0]
    assert result.passed
    assert result.stdout.endswith("199998\n199999\n")
    assert len(result.stdout) == 2000


def test_reports_are_equal_in_every_run_and_worker(sandbox):
    code = """
        import os, random, time
        time.sleep(0.1)
        def worker():
            return os.path.basename(os.getcwd())
        def f(kind):
            if kind == 0: return random.random()
            if kind == 1: return str({"a", "b", "c", "d", "e"})
            if kind == 2: return hash("text")
            raise KeyError(object())
    """
    task = task_of(*[f"assert f({i}) == 1" for i in range(4)])
    runs = sandbox.map([(task, _dedent(code) + f"# {i}") for i in range(6)])
    texts = {repr([(r.actual, r.error) for r in run.results]) for run in runs}
    assert len(texts) == 1
    if sandbox.level == "L2":  # where the folders of all workers have one name
        return
    where = task_of("assert worker() == ''")
    pairs = [(where, _dedent(code) + f"# {i}") for i in range(6)]
    assert len({run.results[0].actual for run in sandbox.map(pairs)}) == 2  # both took part


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("test_cpu_s", math.inf),
        ("test_wall_s", math.nan),
        ("total_wall_s", 1e300),
        ("total_wall_s", "9"),
        ("memory_bytes", 1 << 64),
        ("memory_bytes", 1e9),
        ("file_bytes", True),
        ("stdout_bytes", 0),
    ],
)
def test_limits_that_the_system_cannot_keep_are_refused(name, value):
    with pytest.raises(ValueError, match=rf"Limits\.{name} is .*; give a (whole )?number above 0"):
        Limits(**{name: value})


def test_the_largest_limits_can_be_kept(sandbox):
    limits = Limits(1_000_000, 1_000_000, 1_000_000, (1 << 63) - 1, (1 << 63) - 1, (1 << 63) - 1)
    execution = sandbox.run(task_of("assert f() == 1", limits=limits), "def f(): return 1")
    assert execution.reward == 1.0, execution.results[0].error


def test_equality_made_up_by_the_program_does_not_count(sandbox):
    code = """
        class Any(int):
            def __eq__(self, other): return True
            def __bool__(self): return True
            __hash__ = int.__hash__
        def f(): return Any()
        def g(): return [Any()]
    """
    execution = sandbox.run(task_of("assert f() == 5", "assert g() == [5]"), _dedent(code))
    assert statuses(execution) == ["failed", "failed"]


@pytest.mark.parametrize(("compare", "reward"), [("python", 1.0), ("strict", 0.0)])
def test_the_task_chooses_the_comparison(sandbox, compare, reward):
    task = task_of("assert f() == 1", compare=compare)
    assert sandbox.run(task, "def f(): return True").reward == reward


def test_prelude_setup_and_names_of_tests(sandbox):
    task = task_of(
        "x = 100\nassert twice(x) == 200",
        "assert twice(2) == 4",
        prelude="import math\nfactor = 2",
        setup="twice = double",
    )
    code = "x = 1\ndef double(n):\n    return math.ceil(n * factor) * x"
    assert sandbox.run(task, code).reward == 1.0


@pytest.mark.parametrize("one_process", [False, True])
def test_a_test_that_ran_whole_tells_both_sides(one_process, sandbox):
    sources = "assert f(2) == sum([1, 2])", "for i in (1, 2):\n    assert f(i) == i * 2"
    task = task_of(*[UnitTest(source, one_process=one_process) for source in sources])
    execution = sandbox.run(task, "def f(x): return x * 2")
    assert execution.trust == ("weak" if one_process else "strong")
    assert statuses(execution) == ["failed", "passed"]
    assert (execution.results[0].actual, execution.results[0].expected) == ("4", "3")
    assert 'File "test.py", line 1' in execution.results[0].error


@pytest.mark.parametrize("one_process", [False, True])
def test_function_tests(one_process, sandbox):
    source = """
        from solution import f
        seen = []
        def test_good():
            seen.append(1)
            assert f(1) == 2
            assert 3 == f(2)
        def test_bad():
            assert len(seen) == 1
            assert f(1) == 2
            assert 5 == f(3), "message"
        def test_raises():
            f(None)
        def test_gone(): pass
        del test_gone
    """
    names = ["test_good", "test_bad", "test_raises", "test_gone"]
    tests = [
        UnitTest(_dedent(source), name, kind="function", one_process=one_process) for name in names
    ]
    execution = sandbox.run(task_of(*tests), "def f(x):\n    return x + 1")
    assert statuses(execution) == ["passed", "failed", "error", "error"]
    assert (execution.results[1].actual, execution.results[1].expected) == ("4", "5")
    assert 'File "solution.py", line 2, in f\n    return x + 1' in execution.results[2].error
    assert execution.trust == ("weak" if one_process else "strong")


def test_unittest_tests(sandbox):
    source = """
        import unittest
        class Cases(unittest.TestCase):
            def setUp(self): self.one = 1
            def test_good(self): self.assertEqual(f(self.one), 2)
            def test_bad(self): self.assertEqual(f(self.one), 3)
            def test_raises(self):
                with self.assertRaises(TypeError): f(None)
            def test_error(self): f(None)
            def test_parts(self):
                for i in range(3):
                    with self.subTest(i=i): self.assertLess(f(i), 3)
            def test_skipped(self): self.skipTest("no")
    """
    names = ["good", "bad", "raises", "error", "parts", "skipped"]
    tests = [UnitTest(_dedent(source), f"Cases.test_{n}", kind="unittest") for n in names]
    execution = sandbox.run(task_of(*tests), "def f(x): return x + 1")
    assert statuses(execution) == ["passed", "failed", "passed", "error", "failed", "error"]
    assert execution.results[1].error.endswith("AssertionError: 2 != 3")


def test_stdio_tests_run_the_program_as_a_script(sandbox):
    code = """
        import sys
        from dataclasses import dataclass
        @dataclass
        class N:
            value: "int"
        if __name__ == "__main__":
            n = N(int(input()))
            for line in sys.stdin: n.value += int(line)
            print(n.value, " ")
            if n.value == 6: sys.exit(0)
            if n.value == 7: sys.exit(1)
    """
    tests = [
        UnitTest("", kind="stdio", stdin=stdin, stdout=stdout)
        for stdin, stdout in [("1\n2\n", "3\n\n"), ("6", "6"), ("7", "7"), ("1", "2"), ("x", "1")]
    ]
    execution = sandbox.run(task_of(*tests), _dedent(code))
    assert statuses(execution) == ["passed", "passed", "error", "failed", "error"]
    assert (execution.results[3].expected, execution.results[3].actual) == ("2", "1  \n")
    assert execution.trust == "strong"


def test_a_stdio_program_that_prints_too_much_fails(sandbox):
    tests = [UnitTest("", kind="stdio", stdin="", stdout="y\n")]
    execution = sandbox.run(task_of(*tests), "print('x\\n' * 100_000 + 'y')")
    assert statuses(execution) == ["failed"]
    assert "too many were printed" in execution.results[0].error


def test_threads_asyncio_and_files_work(sandbox):
    code = """
        import asyncio, pathlib, shutil, tempfile, threading
        from concurrent.futures import ThreadPoolExecutor
        async def later(x):
            await asyncio.sleep(0)
            return x
        def f():
            with ThreadPoolExecutor(2) as pool: total = sum(pool.map(abs, [-1, -2]))
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder, "a")
                path.write_text("text")
                shutil.copy(path, "b")
            return total, asyncio.run(later(3)), pathlib.Path("b").read_text()
    """
    task = task_of("assert f() == (3, 3, 'text')", limits=Limits())
    execution = sandbox.run(task, _dedent(code))
    assert execution.reward == 1.0, execution.results[0].error


def test_touch_makes_a_file_and_times_are_not_set(sandbox):
    code = """
        import os, pathlib
        def f():
            for _ in range(2): pathlib.Path("a").touch()
            os.utime("a", (1, 1))
            try: os.utime("a")
            except PermissionError: return os.path.isfile("a"), os.path.getmtime("a") > 1
    """
    execution = sandbox.run(task_of("assert f() == (True, True)"), _dedent(code))
    assert execution.reward == 1.0, execution.results[0]


def test_the_name_of_the_scratch_folder_has_no_hyphen(sandbox):
    code = "import os\ndef f(): return '-' in os.path.basename(os.getcwd())"
    assert sandbox.run(task_of("assert f() == False"), code).reward == 1.0


def test_packages_that_are_installed_can_be_imported(sandbox):
    task = task_of("assert f() == 6", limits=Limits())
    code = "import numpy as np\ndef f(): return int(np.arange(4).sum())"
    result = sandbox.run(task, code).results[0]
    assert result.passed, result.error


def test_one_execution_leaves_nothing_to_the_next(sandbox):
    task = task_of("assert f() == []")
    code = "import os, sys\nfound = os.listdir('.') + [n for n in dir(sys) if n == 'left']\n" + (
        "sys.left = 1\nos.makedirs('d/e', mode=0o000)\nopen('file', 'w').close()\n"
        "def f(): return found\n"
    )
    assert [sandbox.run(task, code + f"# {i}").reward for i in range(6)] == [1.0] * 6


def test_a_fresh_process_starts_in_an_empty_folder(sandbox):
    code = """
        import os
        found = os.listdir(".")
        open("left", "w").close()
        def f(x):
            if x == 1: os._exit(1)
            return found
    """
    execution = sandbox.run(task_of("assert f(1) == []", "assert f(2) == []"), _dedent(code))
    assert statuses(execution) == ["killed", "passed"]


def test_equal_pairs_are_executed_once():
    with Sandbox(workers=2) as room:
        task, other = task_of("assert f() == 1"), task_of("assert f() == 2")
        code = "import time\ntime.sleep(0.2)\ndef f(): return 1"
        results = []
        threads = [
            threading.Thread(target=lambda: results.append(room.run(task, code))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({id(result) for result in results}) == 1
        room.run(other, code)
        assert room.run(task, code) is results[0]
        assert room.stats == {"executions": 2, "memo_hits": 8, "restarts": 0, "infra_errors": 0}


def test_what_hung_on_time_is_executed_again():
    with Sandbox(workers=1) as room:
        task = task_of("assert f() == 1")
        code = "def f():\n    while True: pass"
        room.run(task, code)
        assert room.run(task, code).results[0].status is Status.TIMEOUT
        assert room.stats["executions"] == 2


def _dedent(source):
    return textwrap.dedent(source)


def test_large_values_are_judged_where_they_are_expected(sandbox):
    tests = [f"assert f({n}) == {list(range(30_000 + n))!r}" for n in range(20)]
    task = Task("t", "", tests, entry_point="f")
    assert sandbox.run(task, "def f(n): return list(range(30_000 + n))").reward == 1
    # Nobody asked for as much here.
    small = Task("t", "", [f"assert f({n}) == {n}" for n in range(20)], entry_point="f")
    execution = sandbox.run(small, "def f(n): return list(range(60_000))")
    assert {result.status for result in execution.results} == {"failed", "killed"}
