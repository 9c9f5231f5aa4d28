"""Who waits for whom: trees without a barrier, and turn by turn."""

import threading

import pytest

from murphy_agents.codec import CharCodec
from murphy_agents.engines.protocol import SamplingParams
from murphy_agents.engines.scripted import ScriptedEngine
from murphy_agents.lease import EnvPool
from murphy_agents.sampler import Sampler
from murphy_agents.tree import groups
from murphy_env import CodeFeedbackEnv, MessagesWrapper, Task

TASKS = [Task("t", "Write f.", ["assert f(1) == 1"])]
SLOW = "<output>\ndef f(x):\n    return 'slow'\n</output>"
QUICK = "<output>\ndef f(x):\n    return 'quick'\n</output>"
PARAMS = SamplingParams(max_tokens=200)


def two_turns(node, turn):
    return 2 if turn <= 2 else 0


class Told:
    """An engine that keeps what it was asked, and says when a refinement was."""

    def __init__(self, engine):
        self.asked = []
        self.refining = threading.Event()
        self._engine = engine

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def submit(self, request):
        self.asked.append(request)
        if request.turn > 1:
            self.refining.set()
        self._engine.submit(request)


def grown(sandbox, schedule, hold, **engine):
    """A tree of two first attempts, of which `hold(engine)` makes the slow one wait."""
    codec = CharCodec()
    told = Told(ScriptedEngine(lambda request: [SLOW, QUICK], codec, **engine))

    class Held(MessagesWrapper):
        def step(self, action):
            if "slow" in action:
                hold(told)
            return super().step(action)

    def make_env():
        return Held(CodeFeedbackEnv(TASKS, 2, sandbox=sandbox), lambda messages: messages)

    with EnvPool(make_env, 4) as envs:
        rollout = Sampler(told, codec, envs, PARAMS, schedule=schedule).grow(["t"], two_turns, (0,))
    return rollout, told.asked


def test_an_attempt_is_refined_while_its_sibling_is_still_judged(sandbox):
    in_time = []
    rollout, asked = grown(
        sandbox, "eager", lambda engine: in_time.append(engine.refining.wait(timeout=30))
    )
    # The slow first attempt was judged only after a refinement was asked for: the quick one's. Two
    # refinements are slow too, and by then there has been one.
    assert in_time == [True] * 3
    assert [request.turn for request in asked] == [1, 2, 2]
    assert "quick" in CharCodec().decode(asked[1].prompt_ids)
    (root,) = rollout.roots
    # Whatever came first, the tree is in the order of the indices.
    assert [node.completion for node in root.nodes] == [SLOW, QUICK]
    assert "slow" in CharCodec().decode(root.nodes[0].refinements.prompt_ids)


def test_turn_by_turn_nothing_is_refined_before_all_are_judged(sandbox):
    early = []
    _, asked = grown(
        sandbox, "level", lambda engine: early.append(engine.refining.wait(timeout=0.3))
    )
    # Of the first turn's slow attempt; those of the second turn come after the event by nature.
    assert early[0] is False
    # And the refinements are asked for in the order of their parents, not of the verdicts.
    said = [CharCodec().decode(request.prompt_ids) for request in asked]
    assert ["slow" in text for text in said] == [False, True, False]


def test_a_completion_is_judged_while_its_siblings_are_drawn(sandbox):
    """The engine gives one completion a call: the first is judged before the last is drawn."""
    judged = threading.Event()
    codec = CharCodec()

    class Waits(ScriptedEngine):
        def poll(self, timeout=None):
            # The second completion of the first turn comes when the first has been judged.
            if self.polls:
                in_time.append(judged.wait(timeout=30))
            self.polls += 1
            return super().poll(timeout)

    class Says(MessagesWrapper):
        def step(self, action):
            outcome = super().step(action)
            judged.set()
            return outcome

    in_time = []
    for schedule in ("eager", "level"):
        judged.clear()
        engine = Waits(lambda request: [SLOW, QUICK], codec, per_poll=1)
        engine.polls = 0
        make_env = lambda: Says(CodeFeedbackEnv(TASKS, 1, sandbox=sandbox), lambda m: m)  # noqa: E731
        with EnvPool(make_env, 2) as envs:
            sampler = Sampler(engine, codec, envs, PARAMS, schedule=schedule)
            sampler.grow(["t"], lambda node, turn: 2 if turn == 1 else 0, (0,))
    assert all(in_time)
    assert len(in_time) >= 2


@pytest.mark.parametrize("seed", range(5))
def test_a_script_grows_the_same_tree_in_both_schedules(sandbox, seed):
    found = []
    for schedule in ("eager", "level"):
        rollout, _ = grown(
            sandbox, schedule, lambda engine: None, shuffle_seed=seed, per_poll=1 + seed % 2
        )
        found.append(
            [
                (group.prompt_ids, [(n.completion_ids, n.reward, n.info) for n in group.nodes])
                for group in groups(rollout.roots[0])
            ]
        )
    assert found[0] == found[1]


def test_the_clock_of_a_rollout(sandbox):
    rollout, _ = grown(sandbox, "level", lambda engine: engine.refining.wait(timeout=0.3))
    # A script draws at once, so nearly all of the time is waiting for verdicts.
    assert rollout.execution_s > 0.25 > rollout.generation_s
    assert rollout.generation_s + rollout.execution_s <= rollout.seconds
    assert 0.29 < rollout.judging_s <= rollout.seconds
    assert [path for path, _ in rollout.timeline] == [
        (0, 0), (0, 1), (0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1),
    ]  # fmt: skip
    when = dict(rollout.timeline)
    assert when[0, 0].judged > when[0, 0].drawn + 0.29
    assert when[0, 1, 0].asked >= when[0, 0].judged  # the barrier
    assert rollout.prompt_tokens > 0


def test_what_an_environment_raises_comes_out(sandbox):
    class MistakeError(Exception):
        pass

    def hold(engine):
        raise MistakeError

    for schedule in ("eager", "level"):
        with pytest.raises(MistakeError):
            grown(sandbox, schedule, hold)


def test_an_engine_is_free_for_the_next_rollout_when_one_was_broken_off(sandbox):
    codec, broken = CharCodec(), [True]
    engine = ScriptedEngine(lambda request: [SLOW, QUICK], codec, per_poll=1)

    class MistakeError(Exception):
        pass

    class Breaks(MessagesWrapper):
        def step(self, action):
            if broken.pop() if broken else False:
                raise MistakeError
            return super().step(action)

    make_env = lambda: Breaks(CodeFeedbackEnv(TASKS, 2, sandbox=sandbox), lambda m: m)  # noqa: E731
    with EnvPool(make_env, 2) as envs:
        sampler = Sampler(engine, codec, envs, PARAMS)
        with pytest.raises(MistakeError):
            sampler.grow(["t", "t", "t"], two_turns, (0,))
        rollout = sampler.grow(["t"], two_turns, (0,))
    assert rollout.num_generations == 6


def test_turn_by_turn_a_mistake_comes_out_before_the_turn_is_drawn(sandbox):
    """One completion a call: the second is not drawn any more."""
    codec, polls = CharCodec(), []
    failed = threading.Event()

    class Counts(ScriptedEngine):
        def poll(self, timeout=None):
            polls.append(failed.wait(timeout=30 if polls else 0))
            return super().poll(timeout)

    class Breaks(MessagesWrapper):
        def step(self, action):
            failed.set()
            raise RuntimeError("a mistake")

    engine = Counts(lambda request: [SLOW] * 50, codec, per_poll=1)
    make_env = lambda: Breaks(CodeFeedbackEnv(TASKS, 1, sandbox=sandbox), lambda m: m)  # noqa: E731
    with EnvPool(make_env, 1) as envs, pytest.raises(RuntimeError, match="a mistake"):
        Sampler(engine, codec, envs, PARAMS, schedule="level").grow(
            ["t"], lambda node, turn: 50 if turn == 1 else 0, (0,)
        )
    assert len(polls) < 50


def test_impossible_shapes_are_refused(sandbox):
    codec = CharCodec()
    engine = ScriptedEngine(lambda request: [SLOW, QUICK], codec)
    make_env = lambda: CodeFeedbackEnv(TASKS, 2, sandbox=sandbox)  # noqa: E731
    with EnvPool(make_env, 1) as envs:
        sampler = Sampler(engine, codec, envs, PARAMS)
        with pytest.raises(ValueError, match="fan-out of first attempts is 0"):
            sampler.grow(["t"], lambda node, turn: 0, (0,))
        with pytest.raises(ValueError, match=r"keys are \[3, 3\]"):
            sampler.grow(["t", "t"], two_turns, (0,), keys=[3, 3])
        assert sampler.grow([], two_turns, (0,)).roots == []
