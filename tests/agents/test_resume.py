"""A run that was stopped, however, goes on to the very files of one that was not."""

import contextlib
import filecmp
import json
import multiprocessing
import os
import random
import shutil
import signal
import time

import gymnasium as gym
import numpy as np
import psutil
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from murphy_agents import TrainConfig, checkpoint, files, train
from murphy_agents.learner import Learner
from murphy_agents.lease import EnvPool
from murphy_agents.run import restore
from murphy_agents.wiring import load_policy
from murphy_env import CodeFeedbackEnv, sources

TASKS = sources.embedded("train")[:12]
SMALL = {
    "model": "tiny",
    "max_steps": 6,
    "per_device_train_batch_size": 2,
    "num_generations": 2,
    "max_completion_length": 8,
    "learning_rate": 1e-2,
    "beta": 0.1,
    "warmup_steps": 2,
    "sandbox_workers": 1,
    "schedule": "level",
}


class Letters(gym.Wrapper):
    """The embedded tasks with a reward that random weights can earn: the share of letters."""

    def step(self, action):
        observation, _, *rest = self.env.step(action)
        return observation, sum(map(str.isalpha, action)) / max(1, len(action)), *rest


def make_env():
    return Letters(CodeFeedbackEnv(TASKS, sandbox={"workers": 1}))


def run(folder, **settings):
    config = TrainConfig(**{**SMALL, "output_dir": str(folder), **settings})
    return train(config, make_env=make_env)


class Stopped(BaseException):
    pass


@contextlib.contextmanager
def stopped_after(steps, monkeypatch):
    """Within it, a run raises after so many steps."""
    learn, taken = Learner.learn, []

    def learn_or_stop(self, roots):
        if len(taken) == steps:
            raise Stopped
        taken.append(roots)
        return learn(self, roots)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "learn", learn_or_stop)
        with pytest.raises(Stopped):
            yield


def draw():
    """From each global source of random numbers."""
    return random.random(), np.random.random(), float(np.random.normal()), torch.rand(2).tolist()


def seed_all(seed):
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def without_clock(folder):
    """The metrics of a run but for what a clock says."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    clocks = ("seconds/", "idle/", "waited/")
    return [{k: v for k, v in line.items() if not k.startswith(clocks)} for line in lines]


def nodes_in_time(folder):
    """Which nodes the time line of a run tells of, in the order of the steps."""
    lines = [json.loads(line) for line in (folder / "timeline.jsonl").read_text().splitlines()]
    return sorted((line["step"], line["problem"], *line["path"]) for line in lines)


# They hold the length of metrics.jsonl, so that of its clock times; the folder of the run; the
# global random states of the process, which nobody seeded.
DIFFER = ("trainer_state.json", "adapter_config.json", "README.md", "random.pt")


def assert_same_run(one, other):
    """All that two runs wrote is equal, bit for bit, but for clock times and the folder's name."""
    assert sorted(files.sizes(one / "final")) == sorted(files.sizes(other / "final"))
    for path in sorted((one / "final").rglob("*")):
        twin = other / path.relative_to(one)
        if path.name not in DIFFER:
            assert filecmp.cmp(path, twin, shallow=False), path
    assert filecmp.cmp(one / "rollouts.jsonl", other / "rollouts.jsonl", shallow=False)
    assert without_clock(one) == without_clock(other)
    assert nodes_in_time(one) == nodes_in_time(other)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"model": "tiny"},
        {"model": "tiny:olmo2", "num_iterations": 2, "lr_scheduler_type": "cosine"},
        {"use_peft": True},
        {"dtype": "bfloat16", "use_peft": True, "algorithm": "grpo"},
        {"model": "tiny:olmo2", "bf16": True, "num_iterations": 2},
    ],
    ids=["full-tied", "full-untied", "lora", "lora-half", "half-reference"],
)
def test_a_stopped_run_goes_on_to_the_same_bits(settings, tmp_path, monkeypatch, capsys):
    settings = {**settings, "save_steps": 3}
    whole = run(tmp_path / "whole", **settings)
    seed_all(1)
    with stopped_after(4, monkeypatch):
        run(tmp_path / "parts", **settings)
    drawn = draw()
    # Four steps are logged and three belong to the checkpoint.
    assert len(without_clock(tmp_path / "parts")) == 4
    capsys.readouterr()
    resumed = run(tmp_path / "parts", **settings, resume=True)
    assert "resuming from" in capsys.readouterr().out.splitlines()[0]
    assert draw() == drawn
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    assert [line["step"] for line in resumed.history] == [1, 2, 3, 4, 5, 6]
    assert resumed.summary.splitlines()[:3] == whole.summary.splitlines()[:3]
    # What was learned was worth keeping, and KL was measured from where the run had begun.
    assert whole.history[-1]["grad_norm"] > 0
    assert whole.history[-1]["kl"] > 1e-4


def test_resuming_needs_nothing_to_resume(tmp_path, capsys):
    one = run(tmp_path / "one", max_steps=1, resume=True)
    assert "no checkpoint to resume from" in capsys.readouterr().out
    settings = (tmp_path / "one" / "config.json").read_bytes()
    files_before = files.sizes(tmp_path / "one")
    again = run(tmp_path / "one", max_steps=1, resume=True)
    assert "is finished: nothing to do" in capsys.readouterr().out
    assert again == one
    assert files.sizes(tmp_path / "one") == files_before
    assert (tmp_path / "one" / "config.json").read_bytes() == settings


def test_a_finished_run_is_not_worked_on(tmp_path, monkeypatch):
    one = run(tmp_path / "one", max_steps=1)
    monkeypatch.setattr(EnvPool, "__init__", None)
    assert run(tmp_path / "one", max_steps=1, resume=True).summary == one.summary
    with pytest.raises(ValueError, match=r"beta is 0\.5, but 0\.1"):
        run(tmp_path / "one", max_steps=1, resume=True, beta=0.5)


def test_a_log_that_lost_lines_is_named(tmp_path, monkeypatch):
    with stopped_after(2, monkeypatch):
        run(tmp_path, save_steps=1)
    log = tmp_path / "rollouts.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole[:10])
    with pytest.raises(ValueError, match=r"rollouts.jsonl has 10 bytes, but \d+ when"):
        run(tmp_path, save_steps=1, resume=True)
    log.write_bytes(whole)
    run(tmp_path, save_steps=1, resume=True)


def test_random_states_come_back():
    before = restore.random_states()
    first = draw()
    assert draw() != first
    restore.set_random_states(before)
    assert draw() == first


@pytest.mark.parametrize("use_peft", [False, True])
def test_weights_of_another_model_are_refused(use_peft, tmp_path):
    def policy(kind, **settings):
        settings = {"model": f"tiny:{kind}", "use_peft": use_peft, **settings}
        config = TrainConfig(output_dir=str(tmp_path / kind), **settings)
        with EnvPool(make_env, 1) as envs:
            return load_policy(config, envs)

    policy("olmo2").save(tmp_path / "saved")
    other = policy("llama", **({"lora_target_modules": "q_proj,k_proj"} if use_peft else {}))
    with pytest.raises(ValueError, match="does not hold weights of this model"):
        restore.load_weights(tmp_path / "saved", other)


KILLS, SEED = 20, 20


def killable(folder):
    """A run in a process of its own; goes on where an earlier one was killed."""
    with open(os.devnull, "w") as silence:
        os.dup2(silence.fileno(), 1)
    torch.set_num_threads(1)
    disable_progress_bar()  # it makes semaphores, which would outlive a process that is killed
    run(folder, save_steps=1, save_total_limit=2, resume=True)


def kill(process, folder, moments, longest):
    """Kill it at a random moment, or a moment after it began to write a checkpoint.

    Returns:
        How many processes it had started; None if it had come to its end.
    """
    if moments.random() < 0.5:
        process.join(moments.uniform(0, longest))
    else:
        after = moments.randrange(1, 7)
        seen = set()
        while process.is_alive() and len(seen) < after:
            seen |= {path.name for path in folder.glob("*.unfinished") if path.is_dir()}
            time.sleep(0.001)
        process.join(moments.uniform(0, 0.02))
    try:
        os.kill(process.pid, signal.SIGSTOP)  # so that its workers can be counted at leisure
    except ProcessLookupError:
        return None
    workers = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    deadline = time.monotonic() + 10
    while not all(map(has_ended, workers)):
        assert time.monotonic() < deadline, "workers outlive their run"
        time.sleep(0.01)
    return len(workers)


def has_ended(process):
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def assert_whole(folder):
    """Everything that bears a final name can be read."""
    if (folder / "config.json").exists():
        TrainConfig(**json.loads((folder / "config.json").read_text()))
        assert (folder / "algorithm.txt").read_text().endswith("\n")
    for path in [*checkpoint.numbered(folder), *folder.glob("final")]:
        state = checkpoint.read_state(path)
        AutoTokenizer.from_pretrained(path)
        AutoModelForCausalLM.from_pretrained(path)
        for name in ("optimizer.pt", "scheduler.pt", "random.pt"):
            torch.load(path / name, weights_only=True)
        for name, size in state.log_bytes.items():
            lines = (folder / name).read_bytes()[:size].decode().splitlines(keepends=True)
            steps = [json.loads(line)["step"] for line in lines]
            assert (steps[-1], lines[-1][-1]) == (state.step, "\n")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_killed_at_any_moment_a_run_goes_on_to_the_same_bits(tmp_path):
    """Twenty kills, some while a checkpoint is written; the seed of the moments is printed."""
    print(f"moments are drawn from seed {SEED}")
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(["murphy_agents.training", "transformers", "pytest", "psutil"])

    def start(folder):
        process = forks.Process(target=killable, args=(folder,))
        process.start()
        return process

    start(tmp_path / "first").join()  # the server imports all that the runs need
    began = time.monotonic()
    whole = start(tmp_path / "whole")
    whole.join()
    longest = time.monotonic() - began
    assert whole.exitcode == 0

    moments, while_saving, workers, chain = random.Random(SEED), 0, [], 0
    while len(workers) < KILLS:
        folder = tmp_path / f"chain-{chain}"
        while len(workers) < KILLS:
            if (killed := kill(start(folder), folder, moments, longest)) is None:
                break
            workers.append(killed)
            while_saving += any(path.is_dir() for path in folder.glob("*.unfinished"))
            assert_whole(folder)
        last = start(folder)
        last.join()
        assert last.exitcode == 0
        assert not list(folder.glob("*.unfinished"))
        assert_same_run(tmp_path / "whole", folder)
        shutil.rmtree(folder)
        chain += 1
    print(f"{KILLS} kills, {while_saving} within a save; a whole run takes {longest:.1f} s")
    assert while_saving >= 1
    assert max(workers) > 0
