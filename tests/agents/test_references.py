"""Every reference program of every source scores 1, through engine, sampler and environment."""

import pytest

from murphy_agents.codec import CharCodec
from murphy_agents.engines.protocol import SamplingParams
from murphy_agents.engines.scripted import ScriptedEngine, reference_script
from murphy_agents.lease import EnvPool
from murphy_agents.sampler import Sampler
from murphy_env import CodeFeedbackEnv, sources


def scores(tasks, sandbox):
    codec = CharCodec()
    engine = ScriptedEngine(reference_script(tasks), codec)
    with EnvPool(lambda: CodeFeedbackEnv(tasks, sandbox=sandbox), 4) as envs:
        sampler = Sampler(engine, codec, envs, SamplingParams(max_tokens=20_000))
        ids = [task.task_id for task in tasks]
        rollout = sampler.grow(ids, lambda node, turn: 1 if turn == 1 else 0, seed=(0,))
    return {
        task_id: root.nodes[0].reward
        for task_id, root in zip(rollout.task_ids, rollout.roots, strict=True)
    }


@pytest.mark.parametrize(("split", "count"), [("train", 400), ("selection", 200), ("test", 400)])
def test_embedded(split, count, sandbox):
    found = scores(sources.embedded(split), sandbox)
    assert len(found) == count
    assert set(found.values()) == {1.0}


@pytest.mark.slow
def test_sanitized_mbpp(sandbox, shared_data):
    tasks = sources.mbpp(shared_data("sanitized-mbpp.json"), split="all")
    assert all(task.reference for task in tasks)
    found = scores(tasks, sandbox)
    assert len(found) == 427
    assert {task_id: reward for task_id, reward in found.items() if reward != 1.0} == {}
