"""Whole runs of `train` and `eval` that generate with vLLM, from a model on the disk."""

import json
import os
import signal

import gymnasium as gym
import pytest
import torch
from small_policies import saved_model

from murphy_agents import TrainConfig, train
from murphy_agents.engines.vllm_process import VllmServer
from murphy_agents.engines.vllm_server import VllmServerEngine
from murphy_agents.evaluation import run as eval_run
from murphy_agents.evaluation.config import EvalConfig
from murphy_env import CodeFeedbackEnv, Task
from murphy_env.sources import to_jsonl

TASKS = [Task(f"t{i}", f"Write f, {i}.", ["assert f(1) == 1"]) for i in range(4)]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    saved_model(folder, tie_word_embeddings=True)
    return str(folder)


class Letters(gym.Wrapper):
    """A reward that random weights can earn: the share of letters."""

    def step(self, action):
        observation, _, terminated, truncated, info = self.env.step(action)
        share = sum("a" <= c <= "z" for c in action.lower()) / max(1, len(action))
        return observation, share, terminated, truncated, info


@pytest.fixture
def make_env(sandbox):
    return lambda: Letters(CodeFeedbackEnv(TASKS, 2, sandbox=sandbox))


@pytest.fixture(autouse=True)
def small_cache(monkeypatch):
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")


@pytest.mark.parametrize(("use_peft", "max_steps"), [(False, 12), (True, 40)])
def test_a_policy_gets_better_by_what_vllm_draws(model, make_env, use_peft, max_steps, tmp_path):
    config = TrainConfig(
        model=model,
        engine="vllm",
        vllm_max_model_length=2048,
        algorithm="grpo",
        output_dir=str(tmp_path / "run"),
        num_generations=6,
        max_steps=max_steps,
        per_device_train_batch_size=2,
        max_completion_length=10,
        learning_rate=2e-2,
        beta=0.0,
        use_peft=use_peft,
    )
    history = train(config, make_env=make_env).history
    assert history[-1]["reward/turn_1"] > 0.2 + history[0]["reward/turn_1"]
    for step in history:
        # vLLM was at the trainer's weights before each rollout, and in what was drawn there.
        assert 0 <= step["sync_gap"] < 1e-5
        assert step["sampler_gap"] < 1e-5
        assert step["seconds/sync"] > 0
    # Six attempts share their prompt's whole blocks.
    assert history[-1]["prefix_hit_rate"] > 0.3


def test_a_run_outlives_its_server(model, make_env, monkeypatch, tmp_path, caplog):
    """`kill -9` in the middle of the second step's trees."""
    servers, asked = [], []
    start, submit = VllmServer.start, VllmServerEngine.submit

    def started(*args, **settings):
        servers.append(start(*args, **settings))
        return servers[-1]

    def submitted(engine, request):
        submit(engine, request)
        asked.append((engine.version, request))
        if engine.version == 2 and request.turn == 2 and len(servers) == 1:
            os.kill(servers[0].pid, signal.SIGKILL)

    monkeypatch.setattr(VllmServer, "start", started)
    monkeypatch.setattr(VllmServerEngine, "submit", submitted)
    config = TrainConfig(
        model=model,
        engine="vllm_server",
        vllm_server_devices="0" if torch.cuda.is_available() else None,
        schedule="level",  # when a refinement is asked for, every first attempt is there
        vllm_max_model_length=2048,
        output_dir=str(tmp_path / "run"),
        num_generations=2,
        max_steps=3,
        per_device_train_batch_size=2,
        max_completion_length=12,
        learning_rate=1e-2,
        beta=0.0,
    )
    history = train(config, make_env=make_env).history
    assert len(servers) == 2
    assert "the engine died" in caplog.text
    # Whole trees were trained: of 2 problems 2 + 2·2 nodes in each of 3 steps.
    assert [step["num_generations"] for step in history] == [12, 12, 12]
    assert all(step["trained_tokens"] > 0 for step in history)
    # The new server was at the weights of its step before anything was drawn, and later.
    assert all(step["sampler_gap"] < 1e-5 for step in history)
    # First attempts of the second step had been drawn before, and were not asked for again; what
    # was in flight was, with the same seeds.
    second = [r for version, r in asked if version == 2 and r.params.max_tokens == 12]
    first, refined = ([s for r in second if r.turn == turn for s in r.seeds] for turn in (1, 2))
    assert len(first) == len(set(first)) == 4
    assert len(refined) > len(set(refined)) == 8
    records = [json.loads(line) for line in (tmp_path / "run/rollouts.jsonl").open()]
    assert len(records) == 36


def test_evaluation_with_vllm_is_that_of_the_model(model, tmp_path):
    to_jsonl(TASKS, tmp_path / "tasks.jsonl")
    said = {}
    for engine in ("transformers", "vllm"):
        config = EvalConfig(
            model=model,
            tasks=str(tmp_path / "tasks.jsonl"),
            engine=engine,
            output_dir=str(tmp_path / engine),
            temperature=0.0,
            iterations=2,
            max_completion_length=16,
        )
        found = eval_run.run(config)
        said[engine] = [[a.completion for a in chain.attempts] for chain in found.chains]
    assert said["vllm"] == said["transformers"]
    assert [len(chain) for chain in said["vllm"]] == [2] * 4
