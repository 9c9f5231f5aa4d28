"""Gymnasium's wrappers for vector environments: those that suit text work, the others refuse it."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import vector as wrappers

from murphy_env import CodeFeedbackVectorEnv, Task, Unicode

RIGHT = "<output>\ndef f(x):\n    return x\n</output>"
WRONG = "<output>\ndef f(x):\n    return -x\n</output>"
TASKS = [Task(f"t{i}", f"Write f, {i}.", [f"assert f({i}) == {i}"]) for i in range(1, 4)]
NAMED = {"task_id": ["t1", "t2", "t3"]}
MODES = list(AutoresetMode)
FROM_1_4 = tuple(map(int, gym.__version__.split(".")[:2])) >= (1, 4)


@pytest.fixture(params=MODES)
def envs(request, sandbox):
    envs = CodeFeedbackVectorEnv(3, request.param, tasks=TASKS, sandbox=sandbox)
    yield envs
    envs.close()


def test_episode_statistics(envs):
    """Returns and lengths over several episodes, the steps that a mode spends left out."""
    mode = envs.autoreset_mode
    if mode is AutoresetMode.SAME_STEP and not FROM_1_4:
        pytest.skip("Gymnasium before 1.4 leaves out the first step of an episode in SAME_STEP")
    envs = wrappers.RecordEpisodeStatistics(envs)
    envs.reset(options=NAMED)
    told = []
    for actions in [(RIGHT, WRONG, WRONG), (WRONG, RIGHT, WRONG), (RIGHT, RIGHT, RIGHT)]:
        *_, terminated, truncated, infos = envs.step(actions)
        ended = terminated | truncated
        assert infos["_episode"].tolist() == ended.tolist()
        told += [
            (i, infos["episode"]["r"][i], infos["episode"]["l"][i]) for i in np.flatnonzero(ended)
        ]
        if mode is AutoresetMode.DISABLED and ended.any():
            envs.reset(options={"reset_mask": ended})
    # Environment 0 is right at once; 1 and 2 use two turns, 1 with success. The third step begins
    # new episodes under NEXT_STEP: for 0 it is the first attempt after a step that was spent.
    first = [(0, 1, 1), (1, 1, 2), (2, 0, 2)]
    spent = mode is AutoresetMode.NEXT_STEP
    assert told == first + ([(0, 1, 1)] if spent else [(0, 1, 2), (1, 1, 1), (2, 1, 1)])
    assert envs.episode_count == len(told)


def test_infos_as_a_list_of_dicts(envs):
    mode = envs.autoreset_mode
    envs = wrappers.DictInfoToList(envs)
    infos = envs.reset(options=NAMED)[1]
    assert [info["task_id"] for info in infos] == ["t1", "t2", "t3"]
    infos = envs.step((RIGHT, WRONG, "no"))[-1]
    # A snapshot goes back into a reset as it comes.
    snapshots = [info["snapshot"] for info in infos]
    ended = infos[0]["final_info"] if mode is AutoresetMode.SAME_STEP else infos[0]
    assert ended["pass_rate"] == 1.0
    assert ("final_info" in infos[0]) == (mode is AutoresetMode.SAME_STEP)
    envs.reset(options={"snapshot": [None, *snapshots[1:]]})
    assert envs.step((RIGHT, RIGHT, RIGHT))[1].tolist() == [1, 1, 1]


REWARDS = {
    "TransformReward": lambda envs: wrappers.TransformReward(envs, lambda rewards: rewards * 2 - 1),
    "VectorizeTransformReward": lambda envs: wrappers.VectorizeTransformReward(
        envs, gym.wrappers.TransformReward, func=lambda reward: reward * 2 - 1
    ),
}


@pytest.mark.parametrize("name", REWARDS)
def test_rewards_of_ones_own(name, envs):
    envs = REWARDS[name](envs)
    envs.reset(options=NAMED)
    assert envs.step((RIGHT, WRONG, "no"))[1].tolist() == [1, -1, -1]


def test_clipped_and_normalized_rewards(envs):
    clipped = wrappers.ClipReward(envs, min_reward=0.25, max_reward=0.5)
    clipped.reset(options=NAMED)
    assert clipped.step((RIGHT, WRONG, WRONG))[1].tolist() == [0.5, 0.25, 0.25]
    normalized = wrappers.NormalizeReward(envs)
    normalized.reset(options=NAMED)
    rewards = normalized.step((RIGHT, WRONG, WRONG))[1]
    assert rewards[0] > rewards[1] == 0


ACTIONS = {
    "TransformAction": lambda envs: wrappers.TransformAction(
        envs, lambda actions: tuple(f"<output>{action}</output>" for action in actions)
    ),
    "VectorizeTransformAction": lambda envs: wrappers.VectorizeTransformAction(
        envs,
        gym.wrappers.TransformAction,
        func=lambda action: f"<output>{action}</output>",
        action_space=Unicode(),
    ),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_actions_of_ones_own(name, envs):
    envs = ACTIONS[name](envs)
    envs.reset(options=NAMED)
    actions = ("def f(x): return x", "def f(x): return -x", "def f(x): return 3")
    assert envs.step(actions)[1].tolist() == [1, 0, 1]


OBSERVATIONS = {
    "TransformObservation": lambda envs: wrappers.TransformObservation(
        envs, lambda observations: tuple(text.upper() for text in observations)
    ),
    "VectorizeTransformObservation": lambda envs: wrappers.VectorizeTransformObservation(
        envs, gym.wrappers.TransformObservation, func=str.upper, observation_space=Unicode()
    ),
}


@pytest.mark.parametrize("name", OBSERVATIONS)
def test_observations_of_ones_own(name, envs):
    """Gymnasium refuses them in SAME_STEP, where last observations would stay as they are."""
    if envs.autoreset_mode is AutoresetMode.SAME_STEP:
        with pytest.raises((ValueError, AssertionError)):
            OBSERVATIONS[name](envs)
        return
    envs = OBSERVATIONS[name](envs)
    observations, _ = envs.reset(options=NAMED)
    assert all("WRITE F" in text for text in observations)
    assert all("WRITE F" in text for text in envs.step((WRONG, WRONG, WRONG))[0])


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("NormalizeObservation", ()),
        ("FilterObservation", ([0],)),
        ("FlattenObservation", ()),
        ("GrayscaleObservation", ()),
        ("ResizeObservation", ((2, 2),)),
        ("ReshapeObservation", ((2, 2),)),
        ("RescaleObservation", (0.0, 1.0)),
        ("DtypeObservation", (np.float32,)),
        ("ClipAction", ()),
        ("RescaleAction", (0.0, 1.0)),
        ("HumanRendering", ()),
        pytest.param(
            "RecordVideo", ("videos",), marks=pytest.mark.skipif(not FROM_1_4, reason="new")
        ),
    ],
)
def test_wrappers_for_numbers_and_pictures_refuse_text(name, arguments, sandbox):
    envs = CodeFeedbackVectorEnv(
        2, AutoresetMode.NEXT_STEP, tasks=TASKS, sandbox=sandbox, render_mode="ansi"
    )
    with pytest.raises((TypeError, ValueError, AssertionError, NotImplementedError)):
        getattr(wrappers, name)(envs, *arguments).reset(seed=0)
    envs.close()
