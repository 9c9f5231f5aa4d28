"""The whole loop: real environment, sandbox, model and update, in files that can be trusted."""

import filecmp
import json
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from murphy_agents import TrainConfig, train
from murphy_agents.tiny import make_policy
from murphy_env import Task, sources
from murphy_env.prompts import as_text

SMALL = {
    "model": "tiny",
    "max_steps": 2,
    "per_device_train_batch_size": 2,
    "num_generations": 2,
    "max_completion_length": 12,
    "learning_rate": 1e-3,
}


def run(folder, **settings):
    return train(TrainConfig(**{**SMALL, "output_dir": str(folder), **settings}))


def lines(path):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


class Letters(gym.Env):
    """Not a coding task: the reward is the share of letters among the characters written."""

    task_ids = ("one", "two")

    def __init__(self):
        self.observation_space = self.action_space = gym.spaces.Text(10_000)

    def _position(self, snapshot):
        text = f"write {snapshot['task_id']} " + " ".join(snapshot["said"])
        messages = [{"role": "user", "content": text}]
        return as_text(messages), {"messages": messages, "snapshot": snapshot}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = options.get("snapshot") or {"task_id": options["task_id"], "said": []}
        return self._position(self.state)

    def step(self, action):
        self.state = {**self.state, "said": [*self.state["said"], action[:5]]}
        reward = sum(char.isascii() and char.isalpha() for char in action) / max(1, len(action))
        observation, info = self._position(self.state)
        return observation, reward, False, len(self.state["said"]) == 2, info


@pytest.mark.parametrize("algorithm", ["grpo", "murphy_mars", "murphy_mers", "naive"])
def test_the_policy_gets_better(algorithm, tmp_path):
    config = TrainConfig(
        model="tiny",
        algorithm=algorithm,
        output_dir=str(tmp_path / "run"),
        num_generations=6,
        max_steps=20,
        per_device_train_batch_size=2,
        max_completion_length=10,
        learning_rate=2e-2,
        beta=0.0,
    )
    history = train(config, make_env=Letters).history
    # About a quarter of the bytes that random weights draw are letters.
    assert history[0]["reward/turn_1"] < 0.45
    assert history[-1]["reward/turn_1"] > 0.8


@pytest.mark.parametrize(
    ("loss_type", "importance_sampling"),
    [
        ("gspo", "sequence_mask"),
        ("cispo", "token_truncate"),
        ("rloo", "token_mask"),
        ("dr_grpo", "sequence_truncate"),
    ],
)
def test_every_loss_learns_and_the_engines_word_is_nearly_the_policys(
    loss_type, importance_sampling, tmp_path
):
    config = TrainConfig(
        model="tiny",
        algorithm="grpo",
        loss_type=loss_type,
        importance_sampling=importance_sampling,
        output_dir=str(tmp_path / "run"),
        num_generations=6,
        num_iterations=2,
        max_steps=12,
        per_device_train_batch_size=2,
        max_completion_length=10,
        learning_rate=2e-2,
        beta=0.0,
    )
    history = train(config, make_env=Letters).history
    assert history[-1]["reward/turn_1"] > 0.2 + history[0]["reward/turn_1"]
    for step in history:
        assert step["importance_ratio"] == pytest.approx(1.0, abs=1e-3)
        assert step["importance_cut_share"] == 0


def test_files_of_a_run(tmp_path):
    result = run(tmp_path / "run", save_steps=1)
    records = lines(tmp_path / "run" / "rollouts.jsonl")
    history = lines(tmp_path / "run" / "metrics.jsonl")
    assert len(history) == 2
    # Random weights solve nothing, so each of 2 problems has 2 + 2·2 nodes in each of 2 steps.
    assert len(records) == 2 * 2 * 6
    assert sum(m["num_generations"] for m in history) == 24
    first, refined = records[0], records[2]
    assert (first["path"], refined["path"]) == ([0], [0, 0])
    assert refined["turn"] == 2
    assert len(refined["prompt_ids"]) > len(first["prompt_ids"]) > 0
    for name in ("completion", "feedback", "reward", "credit", "advantage", "weight", "pruned"):
        assert name in first
    assert "code" in first["feedback"]
    timeline = lines(tmp_path / "run" / "timeline.jsonl")
    moments = {(m["step"], m["problem"], *m["path"]): m for m in timeline}
    assert moments.keys() == {(r["step"], r["problem"], *r["path"]) for r in records}
    for path, moment in moments.items():
        assert 0 <= moment["asked"] <= moment["drawn"] <= moment["judged"]
        if len(path) == 4:  # a refinement is asked for when its parent is judged
            assert moment["asked"] >= moments[path[:3]]["judged"]
    for metrics in history:
        assert 0 <= metrics["waited/engine"] <= 1
        assert 0 <= metrics["waited/sandbox"] <= 1
        # Two prompts of a turn are read for four completions, and more for their refinements.
        assert 0 < metrics["prefix_hit_rate"] < 1
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert TrainConfig(**config).output_dir == str(tmp_path / "run")
    for folder in (result.model_dir, tmp_path / "run" / "checkpoint-1"):
        AutoTokenizer.from_pretrained(folder)
        AutoModelForCausalLM.from_pretrained(folder)
        assert (folder / "optimizer.pt").exists()
    assert json.loads((tmp_path / "run/checkpoint-1/trainer_state.json").read_text())["step"] == 1
    assert "2 steps, 4 problems, 24 generations" in result.summary
    assert "nothing could be learned" in result.summary


def test_a_second_run_into_the_same_folder_is_refused(tmp_path):
    run(tmp_path / "run", max_steps=1)
    before = (tmp_path / "run" / "rollouts.jsonl").read_bytes()
    with pytest.raises(FileExistsError, match="overwrite_output_dir"):
        run(tmp_path / "run", max_steps=1, seed=1)
    assert (tmp_path / "run" / "rollouts.jsonl").read_bytes() == before
    run(tmp_path / "run", max_steps=1, seed=1, overwrite_output_dir=True)
    assert (tmp_path / "run" / "rollouts.jsonl").read_bytes() != before


def test_progress_reads_well_in_a_pipe(tmp_path, capsys):
    run(tmp_path / "run")
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("step 1/2  reward by turn 0.000 0.000")
    assert shown[1].startswith("step 2/2")
    assert "\x1b" not in "".join(shown)


@pytest.mark.parametrize("settings", [[], ["--use_peft"]])
def test_two_processes_write_the_same_bytes(settings, tmp_path):
    for name in ("one", "two"):
        flags = [f"--{k}={v}" for k, v in {**SMALL, "schedule": "level"}.items()]
        command = [sys.executable, "-m", "murphy_agents.cli", "train", *flags, *settings]
        subprocess.run(
            [*command, "--output_dir", str(tmp_path / name)], check=True, capture_output=True
        )
    weights = "adapter_model.safetensors" if settings else "model.safetensors"
    for file in ("rollouts.jsonl", f"final/{weights}", "final/optimizer.pt"):
        assert filecmp.cmp(tmp_path / "one" / file, tmp_path / "two" / file, shallow=False), file
    assert lines(tmp_path / "one" / "rollouts.jsonl")[0]["completion_ids"]


@pytest.mark.parametrize("kind", ["qwen3", "olmo2"])
@pytest.mark.parametrize("use_peft", [False, True])
def test_sanitized_mbpp_with_models_from_disk(kind, use_peft, tmp_path, shared_data):
    tasks = sources.load(f"mbpp:train@{shared_data('sanitized-mbpp.json')}")
    make_policy(tmp_path / kind, texts=[task.prompt for task in tasks], kind=kind)
    result = run(
        tmp_path / "run",
        model=str(tmp_path / kind),
        tasks=f"mbpp:train@{shared_data('sanitized-mbpp.json')}",
        use_peft=use_peft,
    )
    records = lines(tmp_path / "run" / "rollouts.jsonl")
    assert {record["task_id"].split("/")[0] for record in records} == {"MBPP"}
    assert len(result.history) == 2
    saved = "adapter_model.safetensors" if use_peft else "model.safetensors"
    assert (result.model_dir / saved).exists()


@pytest.mark.parametrize("transcript", ["requote", "chat"])
@pytest.mark.parametrize(
    "settings",
    [
        {"prune": "intra_group", "prune_budget": 2, "num_generations": 3},
        {"prune": "inter_group", "prune_budget": 1, "balance": "turns"},
        {"algorithm": "tree_without_credit", "loss_type": "dr_grpo", "num_iterations": 2},
        {"algorithm": "naive", "num_turns": 3, "scale": "center"},
    ],
)
def test_settings_run(settings, transcript, tmp_path):
    result = run(tmp_path / "run", max_steps=1, transcript=transcript, **settings)
    assert result.history[0]["num_generations"] > 0


def test_tasks_can_be_handed_in(tmp_path):
    task = Task("mine", "Write f.", ["assert f() == 1"], entry_point="f")
    config = TrainConfig(**SMALL, output_dir=str(tmp_path))
    train(config, tasks=[task])
    assert {r["task_id"] for r in lines(tmp_path / "rollouts.jsonl")} == {"mine"}


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"tasks": "embeded"}, "embedded"),
        # 400 tasks in steps of 2.
        ({"max_steps": -1, "keep_steps": [201], "model": "tiny:gpt2"}, "the run has 200 steps"),
        ({"model": "tiny:gpt2"}, "gpt2"),
        ({"env": "nowhere:make"}, "nowhere:make"),
        ({"sandbox_level": "L9"}, "L9"),
        ({"dtype": "bfloat16"}, "float32"),
    ],
)
def test_wrong_settings_leave_no_folder(settings, named, tmp_path):
    with pytest.raises(ValueError, match=named):
        run(tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_global_random_state_is_left_alone(tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    run(tmp_path / "run", max_steps=1)
    assert torch.equal(torch.get_rng_state(), before)
