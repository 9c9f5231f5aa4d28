"""Nothing of a hidden test reaches what the policy sees, whatever a program tries."""

import textwrap

import pytest

from attacks.canaries import (
    answers,
    hidden_numbers,
    mixed,
    number_of,
    numbers_in,
    shared,
    told,
)
from attacks.host import HOST
from attacks.reward import REWARD
from attacks.snoops import SNOOPS
from murphy_env import CodeFeedbackEnv
from murphy_env.sandbox import jail
from murphy_env.types import Limits, Task, UnitTest

pytestmark = pytest.mark.slow
LEVELS = ["L1", "L2"]
BEST = ["L2" if jail.why_not() is None else "L1"]
"""One is enough for the whole corpus: which processes run what does not depend on the level."""


@pytest.fixture
def env_of(rooms):
    """Makes environments of one task."""

    def make(level, task, share=0.0):
        room = rooms.at(level)
        return CodeFeedbackEnv(
            [task], max_turns=3, sandbox=room, hidden_share=share, render_mode="ansi"
        )

    return make


def leaks(env, code, turns=2):
    """Numbers of the hidden tests of which anything was told."""
    texts = list(told(env, code, turns))
    hidden = hidden_numbers(env)
    assert hidden
    return hidden & set().union(*map(numbers_in, texts))


@pytest.mark.parametrize("share", [0.0, 0.7])
@pytest.mark.parametrize("name", SNOOPS)
@pytest.mark.parametrize("level", LEVELS)
def test_a_snoop_tells_nothing_of_hidden_tests(env_of, level, name, share):
    task = mixed((True, True, True) if share else (False, True, False))
    assert not leaks(env_of(level, task, share), SNOOPS[name])


@pytest.mark.parametrize("name", SNOOPS)
def test_a_snoop_finds_what_is_not_hidden(env_of, name):
    env = env_of("L1", mixed((True, True, True)))
    list(told(env, SNOOPS[name], turns=1))
    results = env.execution.results
    assert any(numbers_in(answers(result)) - {number_of(result.test)} for result in results)


@pytest.mark.parametrize("share", [0.0, 0.5])
@pytest.mark.parametrize("kind", ["function", "unittest"])
@pytest.mark.parametrize("name", ["arguments", "frames", "modules"])
@pytest.mark.parametrize("level", LEVELS)
def test_a_source_that_tests_share_tells_nothing_of_hidden_ones(env_of, level, name, kind, share):
    env = env_of(level, shared(kind, all_visible=share > 0), share)
    assert not leaks(env, SNOOPS[name])
    visible = [result for result in env.execution.results if result.test.visible]
    assert visible
    assert all(numbers_in(answers(result)) for result in visible), "they were not run"


FIRST = "def solve(*arguments): pass\n"
"""What defines no such function would not be run."""
LAST = "\ndef solve(*arguments):\n    return attack()\n"
LITTLE = Limits(test_wall_s=0.5, test_cpu_s=0.2, total_wall_s=2.0, memory_bytes=256 << 20)


@pytest.mark.parametrize("name", REWARD)
@pytest.mark.parametrize("level", BEST)
def test_an_attack_on_the_reward_tells_nothing_of_hidden_tests(env_of, level, name):
    env = env_of(level, mixed((False, True), LITTLE))
    assert not leaks(env, FIRST + REWARD[name].program, turns=1)


@pytest.mark.parametrize("name", HOST)
@pytest.mark.parametrize("level", BEST)
def test_an_attack_on_the_host_tells_nothing_of_hidden_tests(env_of, world, level, name):
    env = env_of(level, mixed((False, True), LITTLE))
    assert not leaks(env, world.prelude + HOST[name].program + LAST, turns=1)
    world.end_staying()


SPOILERS = {
    "hang": "time.sleep(99)",
    "loop": "while True: pass",
    "exit": "os._exit(3)",
    "large values": "return list(range(99_000))",
    "large output": "print('x' * (1 << 20))",
    "memory": "kept.append(bytearray(100 << 20))",
    "a full folder": "open(f'full{n}', 'wb').write(bytes(15 << 20))",
    "what it was asked": "kept.append(n)",
    "a thread": "threading.Thread(target=lambda: kept.append(n)).start()",
    "another function": "global name\n        name = 'changed'",
    "a patch": "os.listdir = kept.append",
    "the channel": "os.write(3, b'nonsense')",
    "no memory": "resource.setrlimit(resource.RLIMIT_AS, (1 << 20, 1 << 20))",
}
"""What a program may do when a hidden test calls it."""

PROGRAM = """
import os, resource, threading, time
kept, name = [], "name"
def solve(n):
    if n < 100:
        {spoiler}
        return 0
    with open(f"file{{n}}", "w") as file:
        file.write("x" * 10_000)
    print(n, name)
    return n, name, len(kept), sorted(os.listdir())
"""


@pytest.mark.parametrize("name", SPOILERS)
@pytest.mark.parametrize("level", LEVELS)
def test_visible_results_are_the_same_without_hidden_tests(rooms, level, name):
    code = textwrap.dedent(PROGRAM).format(spoiler=SPOILERS[name])
    visible = [UnitTest(f"assert solve({n}) == 0") for n in (100, 101, 102)]
    whole = UnitTest("for n in range(103, 106):\n    assert solve(n) == 0")
    script = UnitTest("", kind="stdio", stdin="", stdout="something\n")
    hidden = [UnitTest(f"assert solve({n}) == 0", visible=False) for n in range(7)]
    parts = hidden[:4], visible[:2], hidden[4:], visible[2:], [whole, script]
    limits = Limits(test_wall_s=0.6, test_cpu_s=0.3, total_wall_s=3.0, memory_bytes=512 << 20)
    both = Task("both", "", tuple(test for part in parts for test in part), limits=limits)
    alone = Task("alone", "", (*visible, whole, script), limits=limits)
    room = rooms.at(level)
    assert room.run(both, code).visible == room.run(alone, code).results
