"""Level L4: programs run by a SandboxFusion server, here a small one that speaks its protocol."""

import gc
import json
import random
import shutil
import subprocess
import textwrap
import threading
import time
import zipfile
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import pytest
from attacks.reward import REWARD
from attacks.reward.targets import TARGETS
from fusion_server import FAULTS, FusionServer

from murphy_env import CodeFeedbackEnv
from murphy_env.sandbox import Sandbox, SandboxUnavailableError, shared_sandbox
from murphy_env.sandbox.remote import fusion, parcel, reply
from murphy_env.sandbox.remote import pool as remote_pool
from murphy_env.sandbox.running import End
from murphy_env.types import InfrastructureError, Limits, Task, UnitTest

QUICK = Limits(test_wall_s=2.0, test_cpu_s=0.3, total_wall_s=10.0, memory_bytes=512 << 20)
GOOD = "def f(x): return x + 1\n"
TESTS = ("assert f(1) == 2", "assert f(2) == 3", "assert f(3) == 4")


def task_of(*tests, **settings):
    return Task("t", "", tests or TESTS, **{"limits": QUICK, **settings})


def statuses(execution):
    return [str(result.status) for result in execution.results]


@pytest.fixture(scope="module")
def server():
    with FusionServer() as running:
        yield running


@pytest.fixture(scope="module")
def room(server):
    with Sandbox(workers=2, level="L4", url=server.url) as running:
        yield running


@pytest.fixture(scope="module")
def local():
    with Sandbox(workers=2, level="L1") as running:
        yield running


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(remote_pool, "BACKOFF_S", 0.01)


# What programs get.


def test_right_wrong_and_half_right_programs(room):
    wrong = "def f(x): return x + 1 if x < 3 else None\n"
    executions = room.map([(task_of(), GOOD), (task_of(), wrong), (task_of(), "def f(: pass")])
    assert [execution.reward for execution in executions] == [1.0, 2 / 3, 0.0]
    assert {(e.level, e.trust) for e in executions} == {("L4", "strong")}
    assert (executions[1].results[2].expected, executions[1].results[2].actual) == ("4", "None")
    assert executions[2].results[0].error.endswith("SyntaxError: invalid syntax")


@pytest.mark.slow
def test_every_shared_case_comes_out_as_on_this_machine(room, local, shared_data):
    cases = json.loads(shared_data("sandbox_cases.json").read_text())
    pairs = [(task_of(*case["tests"]), case["code"]) for case in cases]
    for case, there, here in zip(cases, room.map(pairs), local.map(pairs), strict=True):
        assert there.results == here.results, case["id"]
        assert there.trust == here.trust


def test_a_hang_costs_its_test_and_an_exit_too(room):
    code = """
        import os
        def f(x):
            if x == 1: os._exit(0)
            while x == 2: pass
            return x + 1
    """
    execution = room.run(task_of(), textwrap.dedent(code))
    assert statuses(execution) == ["killed", "timeout", "passed"]


def test_time_of_all_tests_together_is_limited(room):
    limits = Limits(test_wall_s=2, test_cpu_s=5, total_wall_s=3)  # far above what loading takes
    code = "import time\ndef f(x): time.sleep(9)"
    execution = room.run(task_of(limits=limits), code)
    assert statuses(execution) == ["timeout", "timeout", "not_run"]


def test_stdio_tests(room):
    code = "n = int(input())\nprint(n * 2)\nif n == 3: raise SystemExit(1)"
    tests = [
        UnitTest("", kind="stdio", stdin=f"{n}\n", stdout=out)
        for n, out in ((1, "2"), (2, "5"), (3, "6"))
    ]
    execution = room.run(task_of(*tests), code)
    assert statuses(execution) == ["passed", "failed", "error"]
    assert (execution.results[1].expected, execution.results[1].actual) == ("5", "4\n")


def test_more_comes_back_than_the_server_keeps_of_standard_output(room):
    text = random.Random(0).randbytes(1_500_000).hex()  # 3 MB that do not pack well
    code = "import random\nprint(random.randbytes(1_500_000).hex())"  # with the same seed
    limits = Limits(stdout_bytes=4 << 20)
    tests = [UnitTest("", kind="stdio", stdin="", stdout=text)]
    execution = room.run(task_of(*tests, limits=limits), code)
    assert statuses(execution) == ["passed"], execution.results[0].error


def test_packages_of_the_box_can_be_imported(room):
    code = "import numpy as np\ndef f(x): return int(np.arange(x + 1).max()) + 1"
    execution = room.run(task_of(limits=Limits()), code)
    assert execution.reward == 1.0, execution.results[0].error


def test_floods_are_cut(room):
    code = "def f(x):\n    for i in range(300_000): print(i)\n    return x + 1"
    execution = room.run(task_of("assert f(1) == 2", limits=Limits()), code)
    assert execution.reward == 1.0
    assert execution.results[0].stdout.endswith("299998\n299999\n")
    values = "def f(x): return ['y' * 900_000] if x < 30 else x"
    tests = [f"assert f({i}) == 1" for i in range(20)]
    flooded = room.run(task_of(*tests, limits=Limits()), values)
    assert statuses(flooded) == ["failed"] * 18 + ["killed"] * 2  # 16 MiB of 20 times 0.86 MiB
    assert "more than is kept" in flooded.results[-1].error


@pytest.mark.parametrize(("one_process", "trust"), [(False, "strong"), (True, "weak")])
def test_whole_tests_run_there_as_here(room, one_process, trust):
    test = UnitTest("for i in (1, 2):\n    assert f(i) == i + 1", one_process=one_process)
    executions = room.map([(task_of(test), GOOD), (task_of(test), "def f(x): return 2")])
    assert [execution.reward for execution in executions] == [1.0, 0.0]
    assert {execution.trust for execution in executions} == {trust}
    assert executions[1].results[0].actual == "2"


def test_equal_programs_are_sent_once_and_counted(server, room):
    before, asked = room.stats, len(server.asked)
    assert [room.run(task_of(), GOOD + "# memo").reward for _ in range(3)] == [1.0] * 3
    after = room.stats
    assert len(server.asked) == asked + 1
    assert after["executions"] == before["executions"] + 1
    assert after["memo_hits"] == before["memo_hits"] + 2


def test_as_many_requests_are_under_way_as_there_are_workers(server):
    code = "import time\ntime.sleep(1)\n" + GOOD
    with Sandbox(workers=4, level="L4", url=server.url) as wide:
        start = time.monotonic()
        done = wide.map([(task_of(limits=Limits()), f"{code}# {i}") for i in range(4)])
        assert [execution.reward for execution in done] == [1.0] * 4
        assert time.monotonic() - start < 3.5  # one after the other: 4 · 1 s of sleep


def test_the_environment_takes_it_by_its_settings(server):
    settings = {"level": "L4", "url": server.url, "workers": 1}
    env = CodeFeedbackEnv(tasks=[task_of()], sandbox=settings)
    env.reset(seed=0)
    _, reward, _, _, info = env.step(f"```python\n{GOOD}```")
    assert (reward, info["sandbox_level"]) == (1.0, "L4")
    assert shared_sandbox(settings) is shared_sandbox(dict(settings))
    shared_sandbox(settings).close()


def test_a_box_with_the_python_of_sandbox_fusion(caplog):
    with FusionServer(python_310()) as old, Sandbox(level="L4", url=old.url) as room:
        code = "import sys\ndef f(x): return x + sys.version_info[1] - 9"
        assert room.run(task_of(), code).reward == 1.0
    assert "run with Python 3.10" in caplog.text


def python_310():
    for path in (
        shutil.which("python3.10"),
        *Path.home().glob(".pyenv/versions/3.10.*/bin/python"),
    ):
        if path and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0:
            return str(path)
    pytest.skip("there is no Python 3.10 here, which the boxes of SandboxFusion have")


# Arguments.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"level": "L4"}, "level='L4' needs url="),
        ({"url": "http://localhost:1"}, "url is 'http://localhost:1' and level 'auto'"),
        ({"level": "L1", "url": "http://localhost:1"}, "level 'L1'; only level='L4'"),
        ({"level": "L4", "url": "localhost:8080"}, "url is 'localhost:8080'; give the address"),
        ({"level": "L4", "url": "http://"}, "url is 'http://'; give"),
        ({"level": "L4", "url": "http://h:port"}, "give the address"),
        ({"level": "L4", "url": "ftp://host"}, "as in 'http://localhost:8080'"),
        ({"level": "L4", "url": "http://me:word@host"}, "with no user name"),
        ({"level": "L4", "url": "http://host?a=1"}, "query"),
        ({"level": "L4", "url": 8080}, "url is 8080; give"),
    ],
)
def test_bad_arguments_are_refused_before_any_work(arguments, words):
    before = threading.active_count()
    with pytest.raises(ValueError, match=words.replace("?", r"\?")):
        Sandbox(**arguments)
    assert threading.active_count() == before


@pytest.mark.parametrize("end", ["/", "/run_code", "/run_code/"])
def test_an_address_may_end_in_what_others_write(server, end):
    assert fusion.Fusion(server.url + end).url == server.url


# No answer is never a wrong answer.


REASONS = {
    "hang up": "no answer: Remote end closed connection without response",
    "cut short": "the answer is no JSON: '{",
    "http 500": 'HTTP status 500 Internal Server Error: \'{"detail": "overloaded"}\'',
    "http 404": "HTTP status 404 Not Found",
    "redirect": "HTTP status 307 Temporary Redirect: ''",
    "garbage": "the answer is no JSON: '<html>proxy</html>'",
    "no object": "the answer is no object: '[]'",
    "deep": "the answer is no JSON: '[[[",
    "sandbox error": "the server reports SandboxError: 'no box left'",
    "no file": "nothing came of it: the answer tells of no run",
    "no files": "nothing came of it",
    "no base64": "what came of it is no base64",
    "time limit": "nothing came of it: TimeLimitExceeded, exit code None, ''",
    "forged": "the reply does not bear our seal",
    "replayed": "the reply does not bear our seal",
}


@pytest.mark.parametrize("kind", sorted(FAULTS.keys() - {"silence"}))
def test_a_fault_is_tried_again(server, kind):
    with Sandbox(workers=1, level="L4", url=server.url) as room:
        asked = len(server.asked)
        server.faults[:] = [kind, kind]
        assert room.run(task_of(), f"{GOOD}# {kind}").reward == 1.0
        assert room.stats["restarts"] == 2
        assert len(server.asked) == asked + 3
        server.faults[:] = [kind] * 4
        broken = room.run(task_of(), f"{GOOD}# {kind} again")
        assert statuses(broken) == ["infra_error"] * 3
        assert broken.results[0].error.startswith(f"{server.url}: {REASONS[kind]}")
        assert broken.results[0].error.endswith(" (tried 4 times)")
        with pytest.raises(InfrastructureError):
            _ = broken.reward
        assert room.run(task_of(), f"{GOOD}# {kind} again").reward == 1.0  # not remembered
        assert room.stats["infra_errors"] == 1


@pytest.mark.slow
def test_an_answer_that_does_not_come_is_a_fault_too(server, monkeypatch):
    monkeypatch.setattr(remote_pool, "TRIES", 2)
    with Sandbox(workers=1, level="L4", url=server.url) as room:
        run_s = 2 * QUICK.total_wall_s + remote_pool.BOOT_S
        monkeypatch.setattr(remote_pool, "QUEUE_S", 4 - run_s)
        server.faults[:] = ["silence"]
        assert room.run(task_of(), GOOD).reward == 1.0
        server.faults[:] = ["silence", "silence"]
        broken = room.run(task_of(), f"{GOOD}# again")
        assert "no answer within 4 s (tried 2 times)" in broken.results[0].error


def test_each_try_has_a_key_of_its_own(server, room):
    asked = len(server.asked)
    server.faults[:] = ["http 500"]
    room.run(task_of(), GOOD + "# keys")
    keys = [
        json.loads(file_of(question, "request.json"))["key"] for question in server.asked[asked:]
    ]
    assert len(set(keys)) == len(keys) == 2


def test_a_server_that_goes_away_is_no_verdict():
    with FusionServer() as leaving:
        room = Sandbox(workers=1, level="L4", url=leaving.url)
    with room:
        execution = room.run(task_of(), GOOD)
        assert statuses(execution) == ["infra_error"] * 3
        assert "no connection" in execution.results[0].error


def test_a_server_that_is_down_is_named_with_a_remedy():
    with FusionServer() as gone:
        url = gone.url
    with pytest.raises(SandboxUnavailableError, match=f"{url}: no connection.*docs/remote-sandbox"):
        Sandbox(level="L4", url=url)


def test_a_server_of_another_kind_is_named(server):
    with pytest.raises(SandboxUnavailableError, match=r"HTTP status 404"):
        Sandbox(level="L4", url=server.url + "/somewhere")


def test_a_server_that_cannot_run_our_code_is_named(tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no python here >&2\nexit 127\n")
    python.chmod(0o755)
    with (
        FusionServer(str(python)) as bare,
        pytest.raises(SandboxUnavailableError, match="exit code 127, 'no python here"),
    ):
        Sandbox(level="L4", url=bare.url)


def test_a_confinement_that_does_not_hold_is_named(server, monkeypatch):
    monkeypatch.setattr(remote_pool, "PROBE", "def confined(): return [True] * 7 + [False]")
    with pytest.raises(SandboxUnavailableError, match="do not run as they should"):
        Sandbox(level="L4", url=server.url)


@pytest.mark.parametrize("when", ["waiting", "pausing"])
def test_closing_ends_what_is_under_way(server, when, monkeypatch):
    room = Sandbox(workers=1, level="L4", url=server.url)
    monkeypatch.setattr(remote_pool, "BACKOFF_S", 60.0)
    server.silent.clear()
    server.faults[:] = ["silence"] if when == "waiting" else ["hang up"]
    asked = len(server.asked)
    future = room.submit(task_of(), GOOD)
    if when == "waiting":
        assert server.silent.wait(10)
    while len(server.asked) == asked:
        time.sleep(0.01)
    time.sleep(0.1)
    start = time.monotonic()
    room.close()
    assert time.monotonic() - start < 2
    with pytest.raises(RuntimeError, match="closed before the verdict"):
        future.result(0)
    assert room.closed
    with pytest.raises(RuntimeError, match="this Sandbox is closed"):
        room.run(task_of(), GOOD)


def test_a_room_that_is_let_go_ends_its_threads(server):
    before = threading.active_count()
    room = Sandbox(workers=1, level="L4", url=server.url)
    room.run(task_of(), GOOD)
    del room
    gc.collect()
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert threading.active_count() <= before


# Trust.


def file_of(question, name):
    return b64decode(question["files"][name])


def test_expected_values_never_leave(server, room):
    task = task_of(
        "assert f(1) == 'canary one'",
        "assert f(2) in ['canary two']",
        "assert f(3) == 5, 'canary three'",
        UnitTest("", kind="stdio", stdin="", stdout="canary four"),
        reference="def f(x): return 'canary five'",
        metadata={"note": "canary six"},
    )
    asked = len(server.asked)
    room.run(task, "def f(x): return 'mine'")
    (question,) = server.asked[asked:]
    packed = zipfile.ZipFile(BytesIO(file_of(question, "murphy.zip")))
    sent = [file_of(question, "request.json"), question["code"].encode()]
    sent += [packed.read(name) for name in packed.namelist()]
    assert b"mine" in sent[0]
    assert not [part for part in sent if b"canary" in part]


HACKS = {
    "exit": "import os; os._exit(0)",
    "exit in a test": "import sys\ndef f(x): sys.exit(0)",
    "equal to everything": "class E:\n    def __eq__(s, o): return True\ndef f(x): return E()",
    "patched codec": "import json\njson.dumps = lambda *a, **k: '{}'\ndef f(x): return 0",
    "frame of its own": (
        "import os\ndef f(x):\n    data = b'{\"ok\": true}'\n"
        "    os.write(3, len(data).to_bytes(4, 'big') + data)"
    ),
    "reply of its own": (
        "import os, sys\nfor path in ('reply', '../reply', '../reply.part'):\n"
        "    try: open(path, 'wb').write(bytes(99))\n    except OSError: pass\ndef f(x): return 0"
    ),
    "printed reply": 'print(\'{"status": "Success", "ok": true}\')\ndef f(x): pass',
}


@pytest.mark.parametrize("name", HACKS)
def test_reward_hacks_score_nothing(room, name):
    execution = room.run(task_of(), HACKS[name])
    assert execution.passed == 0
    assert not execution.infra_error


@pytest.mark.slow
@pytest.mark.parametrize("name", REWARD)
def test_no_attack_on_the_reward_earns_more_there_than_here(room, local, name):
    for task, honest in (TARGETS[target] for target in REWARD[name].targets):
        here, there = (where.run(task, REWARD[name].program) for where in (local, room))
        assert not there.infra_error
        assert there.reward <= max(here.reward, honest)
        assert there.trust == here.trust


LOOK_AROUND = """
import os
def attempt(action):
    try:
        action()
    except OSError:
        return False
    return True
def driver():  # whose child the fork server is
    with open(f"/proc/{os.getppid()}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])
def f(x):
    return [
        attempt(lambda: open("../reply", "wb").close()),
        attempt(lambda: os.listdir("..")),
        attempt(lambda: open("../tmpprogram.py").close()),
        attempt(driver),
    ]
"""


def test_a_program_reaches_nothing_of_the_box_around_it(room):
    result = room.run(task_of("assert f(0) == [False, False, False, False]"), LOOK_AROUND).results[
        0
    ]
    assert result.actual == "[False, False, False, False]"


@pytest.fixture(params=["no rules", "refused rules"])
def unconfined(request, server, monkeypatch, caplog):
    """A box whose kernel takes no powers away."""
    rules = {} if request.param == "no rules" else {"x86_64": ("zz", []), "aarch64": ("zz", [])}
    monkeypatch.setattr(parcel, "_filters", lambda: rules)
    with Sandbox(workers=1, level="L4", url=server.url) as running:
        assert "keep their powers" in caplog.text
        yield running


def test_where_nothing_is_taken_away_it_runs_and_is_said(unconfined):
    assert unconfined.run(task_of(), GOOD).reward == 1.0
    around = unconfined.run(
        task_of("assert f(0) == [True, True, True, True]"), LOOK_AROUND
    ).results[0]
    assert around.actual == "[True, True, True, True]"  # so that the refusals above mean something


def test_the_key_is_gone_before_a_program_runs(unconfined):
    code = "import os\nfound = sorted(os.listdir('..'))\ndef f(x): return found"
    result = unconfined.run(task_of("assert f(0) == 1"), code).results[0]
    assert result.actual == "['box', 'murphy.zip', 'tmpprogram.py']"


def test_whoever_takes_over_an_unconfined_box_has_no_seal(unconfined):
    code = LOOK_AROUND + textwrap.dedent(
        """
        import json, signal, zlib
        content = {"ends": [["frame", "eyJvayI6IHRydWV9", "", None, 0]], "scratch": "",
                   "unconfined": None, "python": "3.11"}
        os.kill(driver(), signal.SIGSTOP)
        with open("../reply", "wb") as file:
            file.write(bytes(32) + zlib.compress(json.dumps(content).encode()))
        os.kill(driver(), signal.SIGKILL)
        """
    )
    execution = unconfined.run(task_of("for i in (1,):\n    assert f(i) == 2"), code)
    assert statuses(execution) == ["infra_error"]
    assert "does not bear our seal" in execution.results[0].error


def test_a_kernel_that_refuses_the_rules_late_runs_nothing(server, monkeypatch):
    rules = ("00" * 8, [])  # no program that seccomp takes
    monkeypatch.setattr(parcel, "_filters", lambda: dict.fromkeys(("x86_64", "aarch64"), rules))
    with pytest.raises(SandboxUnavailableError, match="a child was not confined"):
        Sandbox(level="L4", url=server.url)


KEY = bytes(32)
ENDS = [End("frame", b"{}", b"out"), End("died", b"", b"", -9), End("flood", dropped=7)]


def test_a_reply_travels_whole():
    told = reply.unseal(KEY, reply.seal(KEY, ENDS, "/box", None), 3)
    assert (told.ends, told.scratch, told.unconfined) == (ENDS, "/box", None)


def test_a_reply_that_is_not_as_agreed_is_refused(monkeypatch):
    sealed = reply.seal(KEY, ENDS, "/box", None)
    for key, data, num_tests in [
        (bytes(31) + b"1", sealed, 3),
        (KEY, sealed[:-1], 3),
        (KEY, sealed[:40] + b"x" + sealed[41:], 3),
        (KEY, b"", 3),
        (KEY, sealed, 4),
        (KEY, reply.seal(KEY, [End("passed", b"{}")], "", None), 1),
        (KEY, reply.seal(KEY, [End("frame", b"x" * (1 << 20) + b"x")], "", None), 1),
        (KEY, reply.seal(KEY, [End("died", exit="0")], "", None), 1),
        (KEY, reply.seal(KEY, [End("died", dropped=None)], "", None), 1),
        (KEY, reply.seal(KEY, [End("died")], 3, None), 1),
    ]:
        with pytest.raises(ValueError, match="the reply"):
            reply.unseal(key, data, num_tests)
    monkeypatch.setattr(reply, "MAX_BYTES", 10)
    with pytest.raises(ValueError, match="not as agreed"):
        reply.unseal(KEY, sealed, 3)


def test_what_is_sent_needs_nothing_but_itself():
    names = zipfile.ZipFile(BytesIO(parcel.archive())).namelist()
    assert "murphy_env/sandbox/judge.py" not in names  # what judges stays here
    assert "murphy_env/types.py" not in names
    assert "murphy_env/sandbox/inside/serve.py" in names
