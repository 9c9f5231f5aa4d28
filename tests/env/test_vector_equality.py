"""The vector environment gives what Gymnasium's own give for equal seeds and actions."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st

from murphy_env import CodeFeedbackEnv, CodeFeedbackVectorEnv, MessagesWrapper, Task, UnitTest

ID = "murphy_env:murphy/CodeFeedback-v0"
NUM_ENVS = 3
HIDDEN = UnitTest("assert f(9) == 9", visible=False)
TASKS = [
    Task("plain", "Write f.", ["assert f(1) == 1", "assert f(2) == 2"]),
    # Only these two have `hidden_pass_rate` in their info, so entries of it are often missing.
    Task("hidden", "Write f, hidden.", ["assert f(3) == 3", HIDDEN]),
    Task("harder", "Write f, harder.", ["assert f(4) == 4", "assert f(-4) == 4", HIDDEN]),
]
COMPLETIONS = [
    "<output>def f(x): return x</output>",
    "<output>def f(x): return abs(x)</output>",
    "<output>def f(x): return 3</output>",
    "<output>def f(x): return 1 / 0</output>",
    "<output>def f(x: return</output>",
    "I do not know.",
    "",
]


def same(ours, theirs):
    """Two infos are equal, where ours keeps snapshots whole and Gymnasium's takes them apart."""
    assert set(ours) == set(theirs)
    for name, expected in theirs.items():
        if name == "snapshot":
            apart(ours[name], ours["_snapshot"], expected)
        elif isinstance(expected, dict):
            same(ours[name], expected)
        else:
            assert ours[name].dtype == expected.dtype, name
            assert ours[name].tolist() == expected.tolist(), name


def apart(snapshots, present, expected):
    assert snapshots.dtype == object
    gymnasiums = VectorEnv()
    gymnasiums.num_envs = NUM_ENVS
    found = {}
    for i, snapshot in enumerate(snapshots):
        assert (snapshot is not None) == present[i]
        if snapshot is not None:
            found = gymnasiums._add_info(found, snapshot, i)
    same(found, expected)


def same_outcome(ours, theirs):
    *plain, infos = ours
    *expected, their_infos = theirs
    for one, other in zip(plain, expected, strict=True):
        if isinstance(other, np.ndarray):
            assert (one.dtype, one.tolist()) == (other.dtype, other.tolist())
        else:
            assert one == other
    same(infos, their_infos)


MODES = list(AutoresetMode)
ACTIONS = st.tuples(*[st.sampled_from(COMPLETIONS)] * NUM_ENVS)
MASKS = st.tuples(*[st.booleans()] * NUM_ENVS).filter(any)
SEEDS = st.none() | st.integers(0, 9) | st.tuples(*[st.none() | st.integers(0, 9)] * NUM_ENVS)
MOVES = st.lists(
    st.one_of(
        *[ACTIONS.map(lambda actions: ("step", actions))] * 4,
        st.tuples(MASKS, SEEDS).map(lambda both: ("reset", both)),
    ),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=60, deadline=None)
@given(
    moves=MOVES,
    seed=st.integers(0, 99),
    max_turns=st.integers(1, 3),
    reflection=st.booleans(),
    reward=st.sampled_from(["pass_rate", "gain"]),
)
def test_equals_gymnasiums_serial_one(mode, sandbox, moves, seed, **more):
    kwargs = {"tasks": TASKS, "sandbox": sandbox, "render_mode": "ansi", **more}
    ours = CodeFeedbackVectorEnv(NUM_ENVS, mode, **kwargs)
    theirs = SyncVectorEnv([lambda: CodeFeedbackEnv(**kwargs)] * NUM_ENVS, autoreset_mode=mode)
    same_outcome(ours.reset(seed=seed), theirs.reset(seed=seed))
    for kind, what in moves:
        if kind == "reset":
            masked_resets(ours, theirs, *what)
            continue
        outcome = ours.step(what)
        same_outcome(outcome, theirs.step(what))
        assert ours.render() == theirs.render()
        ended = outcome[2] | outcome[3]
        if mode is AutoresetMode.DISABLED and ended.any():
            masked_resets(ours, theirs, ended, None)
    assert ours.np_random_seed == theirs.np_random_seed
    ours.close()
    theirs.close()


def masked_resets(ours, theirs, mask, seed):
    options = [{"reset_mask": np.array(mask)} for _ in range(2)]  # Gymnasium's takes the mask out
    seed = list(seed) if isinstance(seed, tuple) else seed
    same_outcome(
        ours.reset(seed=seed, options=options[0]), theirs.reset(seed=seed, options=options[1])
    )


@pytest.mark.parametrize("mode", MODES)
def test_equals_single_environments(mode, sandbox):
    """The same without Gymnasium's vector environments: three loops, one after the other."""
    played = [(c, COMPLETIONS[-1 - i], COMPLETIONS[1]) for i, c in enumerate(COMPLETIONS)]
    singles = [single_run(sandbox, mode, i, [step[i] for step in played]) for i in range(NUM_ENVS)]
    envs = CodeFeedbackVectorEnv(NUM_ENVS, mode, tasks=TASKS, sandbox=sandbox)
    observations, _ = envs.reset(seed=5)
    for number, actions in enumerate(played):
        for i in range(NUM_ENVS):
            assert (observations[i], actions[i]) == singles[i][number][:2]
        observations, rewards, terminated, truncated, _ = envs.step(actions)
        for i in range(NUM_ENVS):
            assert (rewards[i], terminated[i] or truncated[i]) == singles[i][number][2:]
        ended = terminated | truncated
        if mode is AutoresetMode.DISABLED and ended.any():
            observations, _ = envs.reset(options={"reset_mask": ended})
    envs.close()


def single_run(sandbox, mode, i, completions):
    """Of each step: what was read, what was said, its reward, whether the episode ended."""
    env = CodeFeedbackEnv(TASKS, sandbox=sandbox)
    observation, _ = env.reset(seed=5 + i)
    told, over = [], False
    for completion in completions:
        if over and mode is AutoresetMode.NEXT_STEP:
            told.append((observation, completion, 0.0, False))
            observation, _ = env.reset()
            over = False
            continue
        after, reward, terminated, truncated, _ = env.step(completion)
        over = terminated or truncated
        told.append((observation, completion, reward, over))
        observation = after
        if over and mode is not AutoresetMode.NEXT_STEP:
            observation, _ = env.reset()
    return told


@pytest.mark.slow
@pytest.mark.parametrize("context", ["spawn", "fork"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_equals_gymnasiums_parallel_one(context, mode, level):
    """Each of its processes has a sandbox of its own."""
    kwargs = {"tasks": TASKS, "sandbox": {"workers": 1, "level": level}}
    makers = [lambda: CodeFeedbackEnv(**kwargs)] * NUM_ENVS
    theirs = AsyncVectorEnv(makers, shared_memory=False, context=context, autoreset_mode=mode)
    ours = CodeFeedbackVectorEnv(NUM_ENVS, mode, **kwargs)
    try:
        same_outcome(ours.reset(seed=3), theirs.reset(seed=3))
        for number in range(8):
            actions = tuple(np.roll(COMPLETIONS, number)[:NUM_ENVS].tolist())
            outcome = ours.step(actions)
            same_outcome(outcome, theirs.step(actions))
            ended = outcome[2] | outcome[3]
            if mode is AutoresetMode.DISABLED and ended.any():
                masked_resets(ours, theirs, ended, None)
    finally:
        theirs.close()
        ours.close()


def test_gymnasiums_serial_one_made_by_name_shares_a_sandbox(level):
    envs = gym.make_vec(
        ID,
        num_envs=2,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": "SameStep"},
        sandbox={"workers": 1, "level": level},
    )
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    one, other = envs.get_attr("unwrapped")
    assert one._sandbox is other._sandbox
    observations, _ = envs.reset(seed=0)
    assert envs.observation_space.contains(observations)
    # It gives the same options to all, so tasks and snapshots are the same for all.
    first = envs.reset(options={"task_id": one.task_ids[0]})[1]
    assert set(first["task_id"]) == {one.task_ids[0]}
    envs.close()


def hinted(env):
    def hint(messages):
        *rest, last = messages
        return [*rest, {**last, "content": f"{last['content']}\nMind the empty list."}]

    return MessagesWrapper(env, hint)


def test_wrappers_of_single_environments_go_into_gymnasiums_own(level):
    kwargs = {"num_envs": 2, "wrappers": [hinted], "sandbox": {"workers": 1, "level": level}}
    envs = gym.make_vec(ID, vectorization_mode="sync", **kwargs)
    assert all(text.endswith("Mind the empty list.") for text in envs.reset(seed=0)[0])
    envs.close()
    with pytest.raises(gym.error.Error, match="vector_entry_point"):
        gym.make_vec(ID, **kwargs)


def test_gymnasiums_parallel_one_names_what_it_needs():
    make = lambda: CodeFeedbackEnv(TASKS)  # noqa: E731
    with pytest.raises(ValueError, match="shared_memory=False"):
        AsyncVectorEnv([make, make])


def test_gymnasiums_serial_one_takes_half_of_a_step_that_fails(sandbox):
    """What `CodeFeedbackVectorEnv` does not."""
    theirs = SyncVectorEnv([lambda: CodeFeedbackEnv(TASKS, sandbox=sandbox)] * 2)
    theirs.reset(seed=0)
    with pytest.raises(TypeError, match="completion is 3"):
        theirs.step(("", 3))
    assert [len(env.episode.attempts) for env in theirs.envs] == [1, 0]
    theirs.close()
