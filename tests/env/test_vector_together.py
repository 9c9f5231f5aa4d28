"""Many environments on one sandbox: programs run beside each other, and faults cost no episode."""

import contextlib
import dataclasses
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from gymnasium.error import ClosedEnvironmentError
from gymnasium.vector import AutoresetMode

from murphy_env import CodeFeedbackEnv, CodeFeedbackVectorEnv, InfrastructureError, Sandbox, Task
from murphy_env.prompts import prompt_set

RIGHT = "<output>\ndef f(x):\n    return x\n</output>"
WRONG = "<output>\ndef f(x):\n    return -x\n</output>"
TASKS = [Task(f"t{i}", f"Write f, {i}.", [f"assert f({i}) == {i}"]) for i in range(1, 4)]
NAMED = {"task_id": ["t1", "t2", "t3"]}
MODES = list(AutoresetMode)


def sleeping(seconds):
    """A right program that takes its time and prints when it began and ended."""
    return (
        "<output>\nimport time\ndef f(x):\n    start = time.monotonic()\n"
        f"    time.sleep({seconds})\n    print(start, time.monotonic())\n    return x\n</output>"
    )


@pytest.fixture
def room():
    """A sandbox of this test alone, whose workers may be killed."""
    with Sandbox(workers=1) as room:
        yield room


@pytest.fixture
def envs(room):
    envs = CodeFeedbackVectorEnv(3, tasks=TASKS, sandbox=room)
    envs.reset(seed=0, options=NAMED)
    return envs


def state(envs):
    return [(env.episode, env.execution, env.np_random.bit_generator.state) for env in envs.envs]


def under_way(room):
    """Wait until a program has been handed to the workers."""
    while not room._running:
        time.sleep(0.01)


def children():
    pid = os.getpid()
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def test_programs_run_beside_each_other():
    with Sandbox(workers=3) as room:
        envs = CodeFeedbackVectorEnv(3, "Disabled", tasks=TASKS, sandbox=room)
        envs.reset(options=NAMED)
        assert envs.step([sleeping(1.5)] * 3)[1].tolist() == [1, 1, 1]
        times = [e.results[0].stdout.split() for e in envs.get_attr("execution")]
        # There was a moment at which all three were at it.
        assert max(float(start) for start, _ in times) < min(float(end) for _, end in times)


def test_one_pool_serves_all():
    before, threads = children(), threading.active_count()
    with Sandbox(workers=2) as room:
        envs = CodeFeedbackVectorEnv(16, tasks=TASKS, sandbox=room)
        envs.reset(seed=0)
        assert envs.step([f"{RIGHT} {i}" for i in range(16)])[1].tolist() == [1] * 16
        assert 1 <= len(children() - before) <= 2
        assert threading.active_count() - threads <= 2
        # The completions differ, the programs do not: one execution for each task that was drawn.
        assert room.stats["executions"] <= len(TASKS)


def test_equal_settings_share_a_pool_with_all_environments_of_this_process():
    settings = {"tasks": TASKS, "sandbox": {"workers": 1}}
    many, one = CodeFeedbackVectorEnv(4, **settings), CodeFeedbackEnv(**settings)
    assert set(many.get_attr("_sandbox")) == {one._sandbox}
    many.close()
    one.reset(seed=0)
    assert one.step(RIGHT)[1] == 1.0  # closing leaves the pool to the others


def test_resets_run_no_program(envs, room):
    envs.step((RIGHT, RIGHT, RIGHT))  # which begins three new episodes
    assert room.stats["executions"] == 3
    envs.reset()
    assert room.stats["executions"] == 3


def broken(room, step):
    """Take a step while workers are killed as fast as they start."""
    stop = threading.Event()

    def kill_all():
        while not stop.is_set():
            for worker in list(room._pool._alive):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(worker._process.pid, signal.SIGKILL)  # a jail is two processes
            time.sleep(0.005)

    killer = threading.Thread(target=kill_all)
    killer.start()
    try:
        with pytest.raises(InfrastructureError) as caught:
            step()
    finally:
        stop.set()
        killer.join()
    return caught.value


@pytest.mark.parametrize("mode", MODES)
def test_without_one_verdict_no_episode_advances(mode, room):
    envs = CodeFeedbackVectorEnv(3, mode, tasks=TASKS, sandbox=room)
    envs.reset(seed=0, options=NAMED)
    room.run(TASKS[0], "def f(x):\n    return x")  # its verdict is known
    actions = (RIGHT, sleeping(0.5), "no program")
    before = state(envs)
    error = broken(room, lambda: envs.step(actions))
    assert error.env_nums == (1,)
    assert "environments [1] of 3: no verdict" in str(error)
    assert "No episode has advanced" in str(error)
    assert state(envs) == before
    # The same once more: what was known is not run again.
    executions = room.stats["executions"]
    assert envs.step(actions)[1].tolist() == [1, 1, 0]
    assert room.stats["executions"] == executions + 1


def test_those_without_a_verdict_can_be_left_out(envs, room):
    for task, sign in ((TASKS[0], ""), (TASKS[2], "-")):
        room.run(task, f"def f(x):\n    return {sign}x")  # their verdicts are known
    error = broken(room, lambda: envs.step((RIGHT, sleeping(0.5), WRONG)))
    mask = np.isin(np.arange(3), error.env_nums)
    assert mask.tolist() == [False, True, False]
    envs.reset(options={"reset_mask": mask})
    _, rewards, terminated, *_ = envs.step((RIGHT, "a new episode", WRONG))
    assert rewards.tolist() == [1, 0, 0]
    assert terminated.tolist() == [True, False, False]
    assert len(envs.envs[2].episode.attempts) == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_prompt_that_cannot_be_written_leaves_all_as_they_are(mode, room):
    """Words of one's own that fail for the second environment, after the first was judged."""
    terse = prompt_set("terse")

    def feedback(episode):
        if episode.task.task_id == "t2":
            raise LookupError("no words")
        return terse.feedback(episode)

    words = dataclasses.replace(terse, feedback=feedback)
    envs = CodeFeedbackVectorEnv(3, mode, tasks=TASKS, sandbox=room, prompts=words)
    envs.reset(seed=0, options=NAMED)
    before = state(envs)
    with pytest.raises(LookupError, match="no words") as caught:
        envs.step((RIGHT, WRONG, RIGHT))
    assert caught.value.__notes__ == ["in environment 1 of a vector environment"]
    assert state(envs) == before


def test_a_completion_that_is_no_text_runs_nothing(envs, room):
    before = state(envs)
    with pytest.raises(TypeError, match="action 1 is 3"):
        envs.step((RIGHT, 3, RIGHT))
    assert state(envs) == before
    assert room.stats["executions"] == 0


def test_ctrl_c_leaves_all_as_they_are(envs, room):
    before = state(envs)

    def interrupt():
        under_way(room)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    other = threading.Thread(target=interrupt)
    other.start()
    with pytest.raises(KeyboardInterrupt):
        envs.step((sleeping(2.0), "", ""))
    other.join()
    assert state(envs) == before
    assert envs.step((RIGHT, RIGHT, WRONG))[1].tolist() == [1, 1, 0]


def test_closing_ends_a_step_that_is_under_way(envs, room):
    before = state(envs)
    start = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        step = pool.submit(envs.step, (sleeping(9.0), RIGHT, WRONG))
        under_way(room)
        envs.close()
        with pytest.raises(ClosedEnvironmentError):
            step.result()
    assert time.monotonic() - start < 8.0  # it waited for no program
    assert state(envs) == before


def test_a_closed_sandbox_is_named_and_costs_no_episode(envs, room):
    before = state(envs)
    with ThreadPoolExecutor(1) as pool:
        step = pool.submit(envs.step, (sleeping(9.0), RIGHT, WRONG))
        under_way(room)
        room.close()
        with pytest.raises(RuntimeError, match="closed before the verdict"):
            step.result()
    with pytest.raises(RuntimeError, match="Sandbox is closed"):
        envs.step((RIGHT, RIGHT, RIGHT))
    assert state(envs) == before


def test_closed_environments_say_so(envs):
    envs.close()
    envs.close()
    assert envs.closed
    with pytest.raises(ClosedEnvironmentError, match="closed; make new ones"):
        envs.step((RIGHT, RIGHT, RIGHT))
    with pytest.raises(ClosedEnvironmentError, match="closed; make new ones"):
        envs.reset()


def test_closing_from_many_threads_closes_once(room):
    for _ in range(20):
        envs = CodeFeedbackVectorEnv(1, tasks=TASKS, sandbox=room)
        with ThreadPoolExecutor(4) as pool:
            for closing in [pool.submit(envs.close) for _ in range(4)]:
                closing.result()
        assert envs.closed
