"""The vector environment: as many single ones, in Gymnasium's three ways of beginning anew."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from murphy_env import CodeFeedbackEnv, CodeFeedbackVectorEnv, Task, Unicode

RIGHT = "<output>\ndef f(x):\n    return x\n</output>"
WRONG = "<output>\ndef f(x):\n    return -x\n</output>"
TASKS = [Task(f"t{i}", f"Write f, {i}.", [f"assert f({i}) == {i}"]) for i in range(1, 5)]
NAMED = {"task_id": ["t1", "t2", "t3"]}


@pytest.fixture
def make(sandbox):
    made = []

    def make(num_envs=3, **settings):
        env = CodeFeedbackVectorEnv(num_envs, tasks=TASKS, sandbox=sandbox, **settings)
        made.append(env)
        return env

    yield make
    for env in made:
        env.close()


def test_made_by_name():
    envs = gym.make_vec(
        "murphy_env:murphy/CodeFeedback-v0",
        num_envs=5,
        vectorization_mode="vector_entry_point",
        tasks="embedded",
    )
    observations, infos = envs.reset(seed=0)
    assert len(observations) == len(infos["task_id"]) == 5
    assert envs.observation_space.contains(observations)
    assert envs.action_space.contains(envs.action_space.sample())
    envs.close()


def test_equals_single_environments(make, sandbox):
    envs = make()
    observations, _ = envs.reset(seed=7)
    single = [CodeFeedbackEnv(TASKS, sandbox=sandbox) for _ in range(3)]
    first = [env.reset(seed=7 + i) for i, env in enumerate(single)]
    assert observations == tuple(o for o, _ in first)
    actions = (WRONG, RIGHT, "no")
    stepped = envs.step(actions)
    for i, env in enumerate(single):
        observation, reward, terminated, truncated, info = env.step(actions[i])
        assert stepped[0][i] == observation
        assert (stepped[1][i], stepped[2][i], stepped[3][i]) == (reward, terminated, truncated)
        assert {name: stepped[4][name][i] for name in info} == info


def test_next_step_spends_a_step_on_the_reset(make):
    envs = make()
    envs.reset(options=NAMED)
    _, rewards, terminated, _, _ = envs.step((RIGHT, WRONG, WRONG))
    assert rewards.tolist() == [1, 0, 0]
    assert terminated.tolist() == [True, False, False]
    _, rewards, terminated, truncated, infos = envs.step((RIGHT, RIGHT, WRONG))
    # The first begins anew whatever its action was; the third has used its two turns.
    assert rewards.tolist() == [0, 1, 0]
    assert (terminated | truncated).tolist() == [False, True, True]
    assert infos["snapshot"][0]["attempts"] == []
    assert infos["_pass_rate"].tolist() == [False, True, True]


def test_same_step_gives_the_final_observation_apart(make):
    envs = make(autoreset_mode=gym.vector.AutoresetMode.SAME_STEP)
    envs.reset(options=NAMED)
    observations, _, terminated, _, infos = envs.step((RIGHT, WRONG, WRONG))
    assert terminated.tolist() == [True, False, False]
    assert infos["_final_obs"].tolist() == [True, False, False]
    assert infos["final_info"]["pass_rate"][0] == 1.0
    assert infos["snapshot"][0]["attempts"] == []
    assert "Write f" in observations[0]
    assert envs.step((WRONG, RIGHT, RIGHT))[1].tolist() == [0, 1, 1]


def test_disabled_asks_for_a_masked_reset(make):
    envs = make(autoreset_mode="Disabled")
    envs.reset(options=NAMED)
    envs.step((RIGHT, WRONG, WRONG))
    with pytest.raises(ResetNeeded, match="finished"):
        envs.step((RIGHT, RIGHT, RIGHT))
    mask = np.array([True, False, False])
    envs.reset(options={"reset_mask": mask, "task_id": ["t4", None, None]})
    assert envs.envs[0].episode.task.task_id == "t4"


def test_a_masked_reset_leaves_the_others_alone(make):
    envs = make(autoreset_mode="Disabled")
    envs.reset(options=NAMED)
    envs.step((WRONG, WRONG, WRONG))
    observations, infos = envs.reset(options={"reset_mask": np.array([False, True, False])})
    assert infos["_task_id"].tolist() == [False, True, False]
    assert len(envs.envs[0].episode.attempts) == 1
    assert "return -x" in observations[0]


def test_snapshots_branch(make):
    envs = make()
    envs.reset(options=NAMED)
    *_, infos = envs.step((WRONG, WRONG, WRONG))
    snapshots = [infos["snapshot"][0]] * 3
    observations, _ = envs.reset(options={"snapshot": snapshots})
    assert len(set(observations)) == 1
    assert envs.step((RIGHT, WRONG, "<output>def f(x): return 1</output>"))[1].tolist() == [1, 0, 1]


def test_episode_statistics_work(make):
    envs = RecordEpisodeStatistics(make())
    envs.reset(options=NAMED)
    *_, infos = envs.step((RIGHT, WRONG, RIGHT))
    assert infos["episode"]["r"][0] == 1.0
    assert infos["_episode"].tolist() == [True, False, True]


def test_async_vector_env_names_the_remedy():
    from gymnasium.vector import AsyncVectorEnv

    make = lambda: CodeFeedbackEnv(TASKS)  # noqa: E731
    with pytest.raises(ValueError, match="shared_memory=False"):
        AsyncVectorEnv([make, make])


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda e: e.step(("x",)), "actions"),
        (lambda e: e.step("xyz"), "actions"),
        (lambda e: e.reset(seed=[1]), "seed"),
        (lambda e: e.reset(options={"task_id": None}), "task_id"),
        (lambda e: e.reset(options={"task_id": "t1"}), "task_id"),
        (lambda e: e.reset(options={"reset_mask": [1, 0]}), "reset_mask"),
        (lambda e: e.reset(options={"reset_mask": np.zeros(3, dtype=bool)}), "reset_mask"),
    ],
)
def test_wrong_shapes_are_named(call, named, make):
    envs = make()
    envs.reset(options=NAMED)
    with pytest.raises(ValueError, match=named):
        call(envs)


def test_a_step_is_taken_by_all_or_by_none(make):
    envs = make()
    envs.reset(options=NAMED)
    with pytest.raises(TypeError, match="action 1 is 3"):
        envs.step((RIGHT, 3, RIGHT))
    assert [len(env.episode.attempts) for env in envs.envs] == [0, 0, 0]


def test_numpy_seeds_are_seeds(make):
    envs = make()
    assert envs.reset(seed=np.int64(5))[0] == envs.reset(seed=5)[0]


def test_no_environments_are_refused():
    with pytest.raises(ValueError, match="num_envs is 0"):
        CodeFeedbackVectorEnv(0)


def test_the_space_of_text():
    space = Unicode(seed=1)
    assert "é😀\n" in space
    assert 3 not in space
    samples = [space.sample() for _ in range(20)]
    assert all(sample in space for sample in samples)
    assert len(set(samples)) > 10
    again = Unicode(seed=1)
    assert [again.sample() for _ in range(20)] == samples
    assert space == Unicode()
    assert space.from_jsonable(space.to_jsonable(samples)) == samples
    with pytest.raises(ValueError, match="mask"):
        space.sample(mask=1)
