"""The sampler over real environments and a scripted engine: shape, order, seeds, broken nodes."""

import random
import time

import pytest
import torch

from murphy_agents.codec import CharCodec, ChatCodec
from murphy_agents.engines.protocol import SamplingParams
from murphy_agents.engines.scripted import ScriptedEngine
from murphy_agents.engines.transformers import TransformersEngine
from murphy_agents.lease import EnvPool
from murphy_agents.sampler import Sampler
from murphy_agents.tiny import make_policy
from murphy_agents.tree import groups, walk
from murphy_env import (
    CodeFeedbackEnv,
    InfrastructureError,
    MessagesWrapper,
    Task,
)

RIGHT = "<output>\ndef f(x):\n    return x\n</output>"
HALF = "<output>\ndef f(x):\n    return 1\n</output>"
WRONG = "<output>\ndef f(x):\n    return None\n</output>"
TASKS = [Task(f"t{i}", f"Write f, {i}.", ["assert f(1) == 1", "assert f(2) == 2"]) for i in (1, 2)]
PARAMS = SamplingParams(max_tokens=200)


def plays(*turns):
    """One tuple of texts for each turn, the same for every prompt."""
    return lambda request: [turns[request.turn - 1][i] for i in range(len(request.seeds))]


def fanout(*counts):
    return lambda node, turn: counts[turn - 1] if turn <= len(counts) else 0


@pytest.fixture
def grow(sandbox):
    def grow(
        script,
        counts=(2, 2),
        task_ids=("t1",),
        wrap=lambda env: env,
        seed=(0, 1),
        transcript="requote",
        max_turns=2,
        **engine,
    ):
        def make_env():
            return wrap(CodeFeedbackEnv(TASKS, max_turns, sandbox=sandbox, transcript=transcript))

        codec = CharCodec()
        with EnvPool(make_env, 3) as envs:
            sampler = Sampler(
                ScriptedEngine(script, codec, **engine), codec, envs, PARAMS, transcript
            )
            return sampler.grow(task_ids, counts if callable(counts) else fanout(*counts), seed)

    return grow


def rewards(group):
    """A tree as nested lists: [reward, refinements or None]."""
    return [[node.reward, node.refinements and rewards(node.refinements)] for node in group.nodes]


def test_failed_attempts_branch_and_solved_ones_do_not(grow):
    rollout = grow(plays((RIGHT, HALF), (WRONG, RIGHT)))
    # t1: one solved first attempt, one with reward 1/2 and two refinements.
    assert rewards(rollout.roots[0]) == [[1.0, None], [0.5, [[0.0, None], [1.0, None]]]]
    assert rollout.num_generations == 4


def test_problems_grow_together_and_one_may_come_twice(grow):
    rollout = grow(plays((HALF, WRONG), (WRONG, RIGHT)), task_ids=("t1", "t2", "t1"))
    assert rewards(rollout.roots[0]) == rewards(rollout.roots[1]) == rewards(rollout.roots[2])
    assert "Write f, 2." in CharCodec().decode(rollout.roots[1].prompt_ids)
    # 3 problems, each 2 + 2·2 generations.
    assert rollout.num_generations == 18


def test_three_turns(grow):
    rollout = grow(plays((WRONG,), (WRONG, HALF), (RIGHT,)), counts=(1, 2, 1), max_turns=3)
    assert rewards(rollout.roots[0]) == [[0.0, [[0.0, [[1.0, None]]], [0.5, [[1.0, None]]]]]]
    assert [group.turn for group in groups(rollout.roots[0])] == [1, 2, 3, 3]


def test_expand_may_refuse_a_parent(grow):
    counts = lambda node, turn: 2 if node is None or (turn == 2 and node.reward > 0) else 0  # noqa: E731
    rollout = grow(plays((WRONG, HALF), (RIGHT, WRONG)), counts=counts)
    assert rewards(rollout.roots[0]) == [[0.0, None], [0.5, [[1.0, None], [0.0, None]]]]


def test_a_refinement_reads_its_own_parents_feedback(grow):
    rollout = grow(plays((WRONG, HALF), (RIGHT, WRONG)))
    decode = CharCodec().decode
    first, second = (decode(n.refinements.prompt_ids) for n in rollout.roots[0].nodes)
    assert "return None" in first
    assert "return 1" not in first
    assert "return 1" in second


def test_chat_keeps_the_sampled_ids(grow):
    rollout = grow(plays((WRONG, HALF), (RIGHT, WRONG)), transcript="chat")
    for node in rollout.roots[0].nodes:
        prefix = (*rollout.roots[0].prompt_ids, *node.completion_ids)
        assert node.refinements.prompt_ids[: len(prefix)] == prefix
        assert len(node.refinements.prompt_ids) > len(prefix)


def test_seeds_belong_to_the_node(grow):
    def seeds(task_ids, seed, counts=(2, 2)):
        drawn = {}

        def script(request):
            drawn[len(drawn)] = request.seeds
            return [WRONG] * len(request.seeds)

        grow(script, counts, task_ids, seed=seed)
        return drawn

    alone, both = seeds(("t1",), (0, 1)), seeds(("t1", "t2"), (0, 1))
    # Level order: roots first. The first problem draws the same with or without a second.
    assert (alone[0], alone[1], alone[2]) == (both[0], both[2], both[3])
    assert len({seed for drawn in both.values() for seed in drawn}) == 2 + 2 + 4 + 4
    assert seeds(("t1",), (0, 2))[0] != alone[0]
    # A wider group only adds seeds.
    assert seeds(("t1",), (0, 1), (3, 2))[0][:2] == alone[0]


def test_the_order_in_which_completions_finish_does_not_matter(grow):
    script = plays((WRONG, HALF), (RIGHT, WRONG))
    one = grow(script, task_ids=("t1", "t2"))
    other = grow(script, task_ids=("t1", "t2"), shuffle_seed=3)
    assert [rewards(root) for root in one.roots] == [rewards(root) for root in other.roots]


class Flaky(MessagesWrapper):
    """An environment whose sandbox breaks on every program that returns 1."""

    def __init__(self, env):
        super().__init__(env, lambda messages: messages)

    def step(self, action):
        if "return 1" in action:
            raise InfrastructureError("the sandbox is gone")
        return super().step(action)


def test_a_node_without_verdict_has_no_reward_and_no_refinements(grow):
    rollout = grow(plays((WRONG, HALF), (RIGHT, WRONG)), wrap=Flaky)
    assert rewards(rollout.roots[0]) == [[0.0, [[1.0, None], [0.0, None]]], [None, None]]
    assert rollout.num_infra_errors == 1
    assert "gone" in rollout.roots[0].nodes[1].info["infra_error"]


class Lost(MessagesWrapper):
    """A wrapper with a mistake in it, not a broken sandbox."""

    def __init__(self, env):
        super().__init__(env, lambda messages: messages)

    def step(self, action):
        raise KeyError("typo")


def test_a_mistake_in_a_users_environment_is_not_swallowed(grow):
    with pytest.raises(KeyError, match="typo"):
        grow(plays((WRONG, HALF), (RIGHT, WRONG)), wrap=Lost)


class OnlyText(MessagesWrapper):
    """Changes the observation and forgets the messages."""

    def __init__(self, env):
        super().__init__(env, lambda messages: messages)

    def reset(self, **arguments):
        observation, info = super().reset(**arguments)
        return observation + " Be brief.", info


def test_observation_and_messages_must_agree(grow):
    with pytest.raises(ValueError, match="MessagesWrapper"):
        grow(plays((WRONG, HALF), (RIGHT, WRONG)), wrap=OnlyText)


def test_a_users_wrapper_counts(grow):
    def hint(messages):
        return [*messages[:-1], messages[-1] | {"content": messages[-1]["content"] + " Be brief."}]

    rollout = grow(
        plays((WRONG, HALF), (RIGHT, WRONG)), wrap=lambda env: MessagesWrapper(env, hint)
    )
    for group in groups(rollout.roots[0]):
        assert "Be brief." in CharCodec().decode(group.prompt_ids)


def test_a_prompt_without_room_is_a_leaf_and_counted(grow):
    long_prompt = len(grow(plays((WRONG,)), counts=(1,)).roots[0].prompt_ids)
    rollout = grow(
        plays((WRONG, HALF), (RIGHT, WRONG)), context_length=long_prompt + PARAMS.max_tokens
    )
    assert rewards(rollout.roots[0]) == [[0.0, None], [0.5, None]]
    assert rollout.num_overflows == 2


def test_a_first_prompt_without_room_gives_an_empty_tree(grow):
    rollout = grow(plays((WRONG, HALF)), context_length=PARAMS.max_tokens)
    assert rollout.roots[0].nodes == []
    assert (rollout.num_overflows, rollout.num_generations) == (1, 0)


def test_many_random_trees_have_the_right_shape(grow):
    chance = random.Random(0)
    rollout = grow(
        lambda r: [chance.choice((RIGHT, HALF, WRONG)) for _ in r.seeds],
        counts=(4, 3, 2),
        task_ids=("t1", "t2") * 3,
        max_turns=3,
    )
    sizes = {1: 4, 2: 3, 3: 2}
    for root in rollout.roots:
        for group in groups(root):
            assert len(group.nodes) == sizes[group.turn]
        for node in walk(root):
            assert node.completion_ids[-1] in CharCodec().eos_ids
    assert rollout.num_generations == sum(1 for root in rollout.roots for _ in walk(root))


def test_keys_stand_for_places(sandbox):
    codec, drawn = CharCodec(), []

    def script(request):
        drawn.append((request.task_id, request.seeds))
        return [WRONG] * len(request.seeds)

    def seeds(task_ids, keys):
        drawn.clear()
        with EnvPool(lambda: CodeFeedbackEnv(TASKS, 2, sandbox=sandbox), 2) as envs:
            Sampler(ScriptedEngine(script, codec), codec, envs, PARAMS).grow(
                task_ids, fanout(2, 1), (0,), keys
            )
        return sorted(drawn)

    assert seeds(("t1", "t2"), (7, 9)) == seeds(("t2", "t1"), (9, 7))
    assert seeds(("t1", "t2"), (0, 1)) == seeds(("t1", "t2"), ())
    assert seeds(("t1",), (7,)) != seeds(("t1",), (0,))
    with pytest.raises(ValueError, match="zip"):
        seeds(("t1", "t2"), (7,))


class Uneven(MessagesWrapper):
    """Programs take from nothing to 20 ms, by what they say."""

    def __init__(self, env):
        super().__init__(env, lambda messages: messages)

    def step(self, action):
        time.sleep(random.Random(action).uniform(0, 0.02))
        return super().step(action)


def test_a_model_in_float64_grows_the_same_trees_in_both_schedules(sandbox):
    torch.set_num_threads(1)
    model, tokenizer = make_policy(
        texts=["def f(x): return x"], hidden_size=32, initializer_range=0.2
    )
    codec = ChatCodec(tokenizer)
    model.double()

    def grown(schedule):
        # Fewer rows than refinements: samples of both problems meet in a batch, and wait for room.
        engine = TransformersEngine(model, codec, max_batch_rows=12)
        with EnvPool(lambda: Uneven(CodeFeedbackEnv(TASKS, 2, sandbox=sandbox)), 3) as envs:
            sampler = Sampler(engine, codec, envs, SamplingParams(16), schedule=schedule)
            rollout = sampler.grow(("t1", "t2"), fanout(4, 4), (0, 1))
        nodes = [
            (group.prompt_ids, node.completion_ids, node.reward, node.info)
            for root in rollout.roots
            for group in groups(root)
            for node in group.nodes
        ]
        return nodes, [path for path, _ in rollout.timeline]

    (level, in_turn), (eager, at_once) = grown("level"), grown("eager")
    # 2 problems of 4 + 4 · 4; nothing that random weights say passes a test.
    assert len(level) == 40
    assert eager == level
    # Not for want of another order.
    assert sorted(at_once) == sorted(in_turn)
    assert at_once != in_turn
