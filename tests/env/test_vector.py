"""The vector environment: how it is made, Gymnasium's three ways of beginning anew, and resets."""

import json
import signal
import time
import tracemalloc

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import Error, ResetNeeded
from gymnasium.vector import AutoresetMode

from murphy_env import CodeFeedbackEnv, CodeFeedbackVectorEnv, Task, Unicode

ID = "murphy_env:murphy/CodeFeedback-v0"
RIGHT = "<output>\ndef f(x):\n    return x\n</output>"
WRONG = "<output>\ndef f(x):\n    return -x\n</output>"
TASKS = [Task(f"t{i}", f"Write f, {i}.", [f"assert f({i}) == {i}"]) for i in range(1, 5)]
NAMED = {"task_id": ["t1", "t2", "t3"]}
MODES = list(AutoresetMode)


@pytest.fixture
def make(sandbox):
    made = []

    def make(num_envs=3, mode=AutoresetMode.SAME_STEP, **settings):
        env = CodeFeedbackVectorEnv(num_envs, mode, tasks=TASKS, sandbox=sandbox, **settings)
        made.append(env)
        return env

    yield make
    for env in made:
        env.close()


def drawn(envs):
    """What each environment reads, as the number of its task."""
    return [env.episode.task.task_id for env in envs.envs]


def test_made_by_name():
    envs = gym.make_vec(ID, num_envs=5, vectorization_mode="vector_entry_point", tasks="embedded")
    assert isinstance(envs.unwrapped, CodeFeedbackVectorEnv)
    observations, infos = envs.reset(seed=0)
    assert len(observations) == len(infos["task_id"]) == 5
    assert envs.observation_space.contains(observations)
    assert envs.action_space.contains(envs.action_space.sample())
    assert envs.single_observation_space == Unicode() == envs.single_action_space
    envs.close()


def test_the_entry_point_is_what_make_vec_takes_of_itself():
    envs = gym.make_vec(ID, num_envs=2)
    assert isinstance(envs, CodeFeedbackVectorEnv)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    envs.close()


@pytest.mark.parametrize("mode", MODES)
def test_the_mode_is_a_plain_argument_of_make_vec(mode):
    for given in (mode, mode.value):
        envs = gym.make_vec(ID, num_envs=2, autoreset_mode=given)
        assert envs.metadata["autoreset_mode"] is mode
        assert envs.autoreset_mode is mode
        envs.close()
    # The class's own metadata are not written to.
    assert "autoreset_mode" not in CodeFeedbackEnv.metadata


def test_vector_kwargs_are_for_gymnasiums_own():
    with pytest.raises(Error, match="only through kwargs"):
        gym.make_vec(ID, num_envs=2, vector_kwargs={"autoreset_mode": "Disabled"})


def test_the_spec_makes_it_again():
    envs = gym.make_vec(ID, num_envs=2, max_turns=3, autoreset_mode="Disabled")
    kwargs = json.loads(envs.spec.to_json())["kwargs"]
    assert (kwargs["num_envs"], kwargs["max_turns"], kwargs["autoreset_mode"]) == (2, 3, "Disabled")
    again = gym.make_vec(envs.spec)
    assert repr(again) == repr(envs) == "CodeFeedbackVectorEnv(murphy/CodeFeedback-v0, num_envs=2)"
    assert again.envs[0].max_turns == 3
    assert again.reset(seed=1)[0] == envs.reset(seed=1)[0]
    for made in (envs, again):
        made.close()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"num_envs": 0}, "num_envs is 0"),
        ({"num_envs": True}, "num_envs is True"),
        ({"autoreset_mode": "SAME_STEP"}, r"autoreset_mode is 'SAME_STEP'; .*'SameStep'"),
        ({"num_envs": 2, "max_turns": 0}, "max_turns is 0"),
    ],
)
def test_wrong_settings_are_named(settings, named):
    with pytest.raises(ValueError, match=named):
        CodeFeedbackVectorEnv(**settings)


@pytest.mark.parametrize("num_envs", [1, 64, 512])
def test_any_number_of_environments(num_envs, make):
    envs = make(num_envs)
    observations, infos = envs.reset(seed=0)
    assert len(observations) == num_envs
    assert infos["_task_id"].sum() == num_envs
    actions = [RIGHT if i % 3 else WRONG for i in range(num_envs)]
    _, rewards, terminated, truncated, infos = envs.step(actions)
    assert rewards.tolist() == [float(i % 3 > 0) for i in range(num_envs)]
    assert (terminated == rewards.astype(bool)).all()
    assert not truncated.any()
    assert (infos["_final_info"] == terminated).all() if num_envs > 1 else not terminated.any()


def test_environments_are_cheap_and_share_their_tasks(make, sandbox):
    make(2)
    start = time.thread_time()
    tracemalloc.start()
    envs = make(512)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    # 2.6 KiB each (times of a process that traces its memory are several times too long).
    assert used / 512 < 4096
    assert time.thread_time() - start < 10
    assert {id(tasks) for tasks in envs.get_attr("_tasks")} == {id(envs.envs[0]._tasks)}
    assert set(envs.get_attr("_sandbox")) == {sandbox}


def test_same_step_gives_the_final_observation_apart(make):
    envs = make()
    envs.reset(options=NAMED)
    observations, _, terminated, _, infos = envs.step((RIGHT, WRONG, WRONG))
    assert terminated.tolist() == [True, False, False]
    assert infos["_final_obs"].tolist() == infos["_final_info"].tolist() == [True, False, False]
    assert infos["final_info"]["pass_rate"][0] == 1.0
    assert infos["final_info"]["snapshot"][0]["attempts"][0]["completion"] == RIGHT
    assert infos["snapshot"][0]["attempts"] == []
    # A new episode has been given no verdict.
    assert infos["_pass_rate"].tolist() == [False, True, True]
    assert "Write f" in observations[0]
    assert "return x\n" in infos["final_obs"][0]
    assert envs.step((WRONG, RIGHT, RIGHT))[1].tolist() == [0, 1, 1]


def test_next_step_spends_a_step_on_the_reset(make):
    envs = make(mode=AutoresetMode.NEXT_STEP)
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


def test_disabled_asks_for_a_masked_reset(make):
    envs = make(mode="Disabled")
    envs.reset(options=NAMED)
    envs.step((RIGHT, WRONG, WRONG))
    with pytest.raises(ResetNeeded, match=r"environments \[0\] are finished.*reset_mask"):
        envs.step((RIGHT, RIGHT, RIGHT))
    assert [len(env.episode.attempts) for env in envs.envs] == [1, 1, 1]
    mask = np.array([True, False, False])
    envs.reset(options={"reset_mask": mask, "task_id": ["t4", None, None]})
    assert drawn(envs) == ["t4", "t2", "t3"]
    assert envs.step((RIGHT, RIGHT, RIGHT))[1].tolist() == [1, 1, 1]


@pytest.mark.parametrize("mode", MODES)
def test_a_step_without_an_episode_is_refused(mode, make):
    envs = make(mode=mode)
    with pytest.raises(ResetNeeded, match=r"environments \[0, 1, 2\] have no episode yet"):
        envs.step((RIGHT, RIGHT, RIGHT))
    envs.reset(options={"reset_mask": np.array([True, False, True])})
    with pytest.raises(ResetNeeded, match=r"environments \[1\] have no episode yet"):
        envs.step((RIGHT, RIGHT, RIGHT))


@pytest.mark.parametrize("mode", MODES)
def test_a_masked_reset_leaves_the_others_alone(mode, make):
    envs = make(mode=mode)
    envs.reset(options=NAMED)
    told, *_ = envs.step((WRONG, WRONG, WRONG))
    options = {"reset_mask": np.array([False, True, False]), "task_id": [None, "t4", "unknown"]}
    observations, infos = envs.reset(options=options)
    assert infos["_task_id"].tolist() == [False, True, False]
    assert [observations[0], observations[2]] == [told[0], told[2]]
    assert [len(env.episode.attempts) for env in envs.envs] == [1, 0, 1]
    assert drawn(envs) == ["t1", "t4", "t3"]
    # The caller's options are as they were.
    assert set(options) == {"reset_mask", "task_id"}


def test_a_masked_reset_takes_a_finished_one_out_of_the_next_step(make):
    envs = make(mode=AutoresetMode.NEXT_STEP)
    envs.reset(options=NAMED)
    envs.step((RIGHT, WRONG, RIGHT))
    envs.reset(options={"reset_mask": np.array([True, False, False])})
    # The first is judged; the third, which nobody reset, spends its step on that.
    assert envs.step((RIGHT, RIGHT, RIGHT))[1].tolist() == [1, 1, 0]


def test_snapshots_branch(make):
    envs = make(mode="Disabled")
    envs.reset(options=NAMED)
    *_, infos = envs.step((WRONG, WRONG, WRONG))
    snapshots = json.loads(json.dumps([infos["snapshot"][0]] * 3))
    observations, _ = envs.reset(options={"snapshot": snapshots})
    assert len(set(observations)) == 1
    assert envs.step((RIGHT, WRONG, "<output>def f(x): return 1</output>"))[1].tolist() == [1, 0, 1]


def test_snapshots_and_tasks_are_named_for_some(make):
    envs = make()
    envs.reset(options=NAMED)
    *_, infos = envs.step((WRONG, WRONG, WRONG))
    options = {"snapshot": [infos["snapshot"][2], None, None], "task_id": [None, "t4", None]}
    envs.reset(seed=3, options=options)
    lengths = [len(env.episode.attempts) for env in envs.envs]
    assert (drawn(envs)[:2], lengths) == (["t3", "t4"], [1, 0, 0])
    # Who is left free draws as it would with this seed alone: seed + 2 for the third.
    assert drawn(envs)[2] == make(1).reset(seed=5)[1]["task_id"][0]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"task_id": ["t1", "t2", "nope"]}, "environment 2: task_id 'nope'.*nearest"),
        ({"snapshot": [None, {"task_id": "t1"}, None]}, "environment 1: the snapshot"),
        ({"tasks": ["t1", "t2", "t3"]}, "'tasks' is unknown; use 'task_id', 'snapshot' or"),
        ({"task_id": ["t4", 5, None]}, "environment 1: task_id 5"),
    ],
)
def test_a_reset_that_is_refused_changes_nothing(options, named, make):
    envs = make()
    envs.reset(seed=0, options=NAMED)
    envs.step((WRONG, WRONG, WRONG))
    draws = [random.bit_generator.state for random in envs.np_random]
    with pytest.raises(ValueError, match=named):
        envs.reset(seed=1, options=options)
    assert drawn(envs) == ["t1", "t2", "t3"]
    assert [len(env.episode.attempts) for env in envs.envs] == [1, 1, 1]
    assert [random.bit_generator.state for random in envs.np_random] == draws


@pytest.mark.parametrize(
    "seed", [5, np.int64(5), [5, 6, 7], (5, 6, 7), np.array([5, 6, 7]), np.arange(5, 8, dtype="u1")]
)
def test_seeds_are_numbered_from_one_or_given_each(seed, make):
    envs = make()
    envs.reset(seed=seed)
    single = [CodeFeedbackEnv(TASKS, sandbox=envs.envs[0]._sandbox) for _ in range(3)]
    expected = [env.reset(seed=5 + i)[1]["task_id"] for i, env in enumerate(single)]
    assert drawn(envs) == expected
    assert envs.np_random_seed == (5, 6, 7)
    # Later draws, those of finished episodes among them, go on where each has come to.
    for _ in range(4):
        envs.step((RIGHT, RIGHT, RIGHT))
        assert drawn(envs) == [env.reset()[1]["task_id"] for env in single]


def test_no_seed_leaves_random_numbers_as_they_are(make):
    one, other = make(), make()
    one.reset(seed=0)
    other.reset(seed=0)
    one.reset(seed=[None, 8, None])
    other.reset()
    assert (drawn(one)[0], drawn(one)[2]) == (drawn(other)[0], drawn(other)[2])
    assert one.np_random_seed == (0, 8, 2)


def test_environments_draw_apart(make):
    envs = make()
    envs.reset(seed=[4, 4, 5])
    streams = [[random.integers(100) for _ in range(9)] for random in envs.np_random]
    assert streams[0] == streams[1] != streams[2]
    assert len(set(map(id, envs.np_random))) == 3


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda e: e.step(("x",)), "actions"),
        (lambda e: e.step("xyz"), "actions"),
        (lambda e: e.step(None), "actions"),
        (lambda e: e.reset(seed=[1]), "seed is"),
        (lambda e: e.reset(seed=[1, 2, -3]), "seed of environment 2 is -3"),
        (lambda e: e.reset(seed=[1, 0.5, 3]), "seed of environment 1 is 0.5"),
        (lambda e: e.reset(seed=-1), "seed of environment 0 is -1"),
        (lambda e: e.reset(options={"task_id": None}), "task_id"),
        (lambda e: e.reset(options={"task_id": "t1"}), "task_id"),
        (lambda e: e.reset(options={"reset_mask": [1, 0]}), "reset_mask"),
        (lambda e: e.reset(options={"reset_mask": np.ones(3)}), "reset_mask"),
        (lambda e: e.reset(options={"reset_mask": np.zeros(3, dtype=bool)}), "reset_mask"),
        (lambda e: e.set_attr("max_turns", [1, 2]), "max_turns"),
    ],
)
def test_wrong_shapes_are_named(call, named, make):
    envs = make()
    envs.reset(options=NAMED)
    with pytest.raises(ValueError, match=named):
        call(envs)
    assert drawn(envs) == ["t1", "t2", "t3"]


def test_actions_may_be_any_sequence_of_texts(make):
    envs = make()
    for actions in ([RIGHT] * 3, np.array([RIGHT] * 3), np.array([RIGHT] * 3, dtype=object)):
        envs.reset(options=NAMED)
        assert envs.step(actions)[1].tolist() == [1, 1, 1]


def test_attributes_are_reached_as_in_gymnasiums_own(make):
    envs = make(render_mode="ansi")
    envs.reset(options=NAMED)
    envs.step((WRONG, WRONG, WRONG))
    assert [execution.reward for execution in envs.get_attr("execution")] == [0, 0, 0]
    envs.set_attr("max_turns", 3)
    envs.set_attr("max_turns", [3, 4, 5])
    assert envs.get_attr("max_turns") == (3, 4, 5)
    assert envs.call("render") == envs.render()
    assert all("return -x" in text for text in envs.render())
    assert make().render() == (None, None, None)


def test_what_it_gives_is_the_callers_own(make):
    envs = make(mode="Disabled")
    envs.reset(options=NAMED)
    _, rewards, terminated, truncated, infos = envs.step((WRONG, WRONG, WRONG))
    for given in (rewards, terminated, truncated, infos["_snapshot"]):
        given[:] = 1
    infos["snapshot"][0]["attempts"].clear()
    infos["messages"][0].clear()
    assert envs.step((RIGHT, WRONG, WRONG))[1].tolist() == [1, 0, 0]


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


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("where", ["go", "_add_info", "_batched"])
def test_an_interrupt_leaves_every_episode_where_it_was(where, mode, make, monkeypatch):
    """Ctrl-C as the second of three episodes has gone on, or while the result is put together."""
    envs = make(mode=mode)
    envs.reset(options=NAMED)
    envs.step([RIGHT, WRONG, WRONG])  # the first has ended; under NEXT_STEP it waits for a reset
    if mode is AutoresetMode.DISABLED:
        envs.reset(options={"reset_mask": np.array([True, False, False])})
    before = [(env.episode, env.execution) for env in envs.envs]
    told, restart = list(envs._observations), envs._restart.tolist()
    owner = CodeFeedbackEnv if where == "go" else CodeFeedbackVectorEnv
    whole, calls = getattr(owner, where), []

    def broken(*given):
        found = whole(*given)
        calls.append(given)
        if len(calls) == (1 if where == "_batched" else 2):
            signal.raise_signal(signal.SIGINT)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(owner, where, broken)
        with pytest.raises(KeyboardInterrupt):
            envs.step([WRONG, RIGHT, RIGHT])
    for env, (episode, execution) in zip(envs.envs, before, strict=True):
        assert env.episode is episode
        assert env.execution is execution
    assert (list(envs._observations), envs._restart.tolist()) == (told, restart)
    # The same actions may be given again.
    rewards = envs.step([WRONG, RIGHT, RIGHT])[1]
    assert rewards.tolist() == [0.0, 1.0, 1.0]


def test_an_interrupted_reset_begins_no_episode(make, monkeypatch):
    envs = make()
    envs.reset(options=NAMED)
    before = [env.episode for env in envs.envs]
    whole, gone = CodeFeedbackEnv.go, []

    def broken(env, move):
        whole(env, move)
        gone.append(move)
        if len(gone) == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(CodeFeedbackEnv, "go", broken)
    with pytest.raises(KeyboardInterrupt):
        envs.reset(options={"task_id": ["t4", "t4", "t4"]})
    assert all(env.episode is one for env, one in zip(envs.envs, before, strict=True))
    assert len(gone) == 2
