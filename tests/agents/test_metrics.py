"""Figures of hand-made trees, and of a policy that copies what feedback shows it."""

import re
import time

import pytest
from trees import tree

from murphy_agents.algorithms import murphy_mars
from murphy_agents.codec import CharCodec
from murphy_agents.engines.protocol import SamplingParams
from murphy_agents.engines.scripted import ScriptedEngine
from murphy_agents.lease import EnvPool
from murphy_agents.metrics import idle_shares, rollout_metrics
from murphy_agents.rollout import Rollout
from murphy_agents.sampler import Sampler
from murphy_agents.tree import Group, Node
from murphy_env import CodeFeedbackEnv, sources


def figures(*specs, **counts):
    roots = [spec if isinstance(spec, Group) else tree(spec) for spec in specs]
    for root in roots:
        murphy_mars((9, 9, 9)).grade(root)
    return rollout_metrics(Rollout([f"t{i}" for i in range(len(roots))], roots, **counts))


def test_rewards_and_solved_shares_by_turn():
    found = figures([1.0, (0.5, [1.0, 0.25, None])], [(0.0, [0.5, 1.0]), None])
    # Turn 1: 1, .5, 0 have a verdict; one of three is solved. Turn 2: 1, .25, .5, 1; two of four.
    assert found["reward/turn_1"] == pytest.approx(1.5 / 3)
    assert found["solved/turn_1"] == pytest.approx(1 / 3)
    assert found["reward/turn_2"] == pytest.approx(2.75 / 4)
    assert found["solved/turn_2"] == 0.5
    # Best of the two trees: 1 and 1.
    assert found["reward/best"] == 1.0


def test_best_reward_of_rewards_below_zero():
    assert figures([-1.0, (-2.0, [-0.5])], [None], [-3.0])["reward/best"] == (-0.5 - 3.0) / 2


def test_repair_and_regression_count_refinements_with_a_verdict():
    # Children of .5: 1 (repaired), .25 (worse), .5 (neither), none. Of .25: 0 (worse), 1.
    found = figures([(0.5, [1.0, 0.25, 0.5, None]), (0.25, [0.0, 1.0]), 1.0])
    assert found["repair_rate"] == pytest.approx(2 / 5)
    assert found["regression_rate"] == pytest.approx(2 / 5)


def test_a_repair_is_compared_with_its_own_parent():
    # Three turns: 0 -> .75 -> .5. The second refinement falls behind its parent, not behind turn 1.
    found = figures([(0.0, [(0.75, [0.5])])])
    assert (found["repair_rate"], found["regression_rate"]) == (0.0, 0.5)


def test_the_tests_decide_what_is_solved_where_the_environment_tells():
    # Rewards are gains (best so far minus best before): .5, then .5 more, then none.
    child, worse = Node(0.5, info={"pass_rate": 1.0}), Node(0.0, info={"pass_rate": 0.25})
    parent = Node(0.5, Group([child, worse], turn=2), info={"pass_rate": 0.5})
    found = figures(Group([parent]))
    assert (found["solved/turn_1"], found["solved/turn_2"]) == (0.0, 0.5)
    assert (found["repair_rate"], found["regression_rate"]) == (0.5, 0.5)


def coded(code, *below, reward=0.0):
    group = Group(list(below), turn=2) if below else None
    return Node(reward, group, info={"code": code, "results": []})


def test_repeats_are_refinements_with_the_code_of_their_parent():
    # Of "a": the same, another, none found; of an attempt without code: none again, which repeats
    # nothing. One of four.
    first = coded("a", coded("a"), coded("a "), coded(None))
    second = coded(None, coded(None))
    assert figures(Group([first, second]))["repeat_rate"] == 0.25


def test_what_nothing_was_there_for_is_left_out():
    found = figures([1.0, 1.0])
    for name in ("repair_rate", "regression_rate", "repeat_rate", "reward/turn_2", "solved/turn_2"):
        assert name not in found
    assert "repeat_rate" not in figures([(0.5, [1.0])])  # an environment that tells of no code
    assert "zero_signal_share" not in figures([None])


def test_share_of_groups_without_signal():
    # Root credits 1, 1 under MaRS: none. Children 1, 0: some. Children 0, 0: none. Two of three.
    found = figures([1.0, (0.5, [1.0, 0.0])], [(0.0, [0.0, 0.0]), 1.0])
    assert found["num_trained_groups"] == 4
    # The second root has credits 0, 1 and so a signal.
    assert found["num_zero_signal_groups"] == 2
    assert found["zero_signal_share"] == 0.5


def result(status):
    return {"status": status}


def test_an_attempt_without_code_passes_no_visible_test():
    told = [result("passed"), result("passed"), result("failed"), result("timeout")]
    ran = Node(0.5, info={"code": "c", "results": told, "hidden_pass_rate": 0.5})
    lost = Node(0.0, info={"code": None, "results": [], "hidden_pass_rate": 0.0})
    broken = Node(None, info={"infra_error": "gone"})
    found = figures(Group([ran, lost, broken]))
    # Two attempts with a verdict, with 2 of 4 visible tests, and none; hidden .5 and 0.
    assert (found["reward/visible"], found["reward/hidden"]) == (0.25, 0.25)


def test_a_task_without_visible_tests_has_a_hidden_rate_alone():
    ran = Node(0.5, info={"code": "c", "results": [], "hidden_pass_rate": 0.5})
    lost = Node(0.0, info={"code": None, "results": [], "hidden_pass_rate": 0.0})
    found = figures(Group([ran, lost]))
    assert "reward/visible" not in found
    assert (found["reward/hidden"], found["num_untold_problems"]) == (0.25, 1)


def test_idle_shares():
    rollout = Rollout([], [], seconds=3.125, generation_s=3.0, execution_s=0.125, judging_s=0.5)
    assert idle_shares(rollout, 4.0) == {
        # Of 3.125 seconds of the rollout the engine waited for an eighth of one, and the sandbox
        # for all but a half.
        "waited/engine": 0.04,
        "waited/sandbox": 0.84,
        # Of 4 seconds of the step the engine ran for 3 and the sandbox for a half.
        "idle/engine": 0.25,
        "idle/sandbox": 0.875,
    }
    assert idle_shares(rollout, 2.9)["idle/engine"] == 0.0


class Slow(CodeFeedbackEnv):
    def step(self, action):
        time.sleep(0.1)
        return super().step(action)


def test_judging_counts_the_clock_once(sandbox):
    tasks = sources.embedded("train")[:1]
    codec = CharCodec()
    engine = ScriptedEngine({tasks[0].task_id: "nothing"}, codec)
    with EnvPool(lambda: Slow(tasks, sandbox=sandbox), 4) as envs:
        sampler = Sampler(engine, codec, envs, SamplingParams(max_tokens=20))
        rollouts = [
            sampler.grow([tasks[0].task_id], lambda node, turn: 4 if turn == 1 else 0, (step,))
            for step in range(2)
        ]
    # Four steps of a tenth of a second side by side; the second rollout does not count the first.
    for rollout in rollouts:
        assert 0.1 <= rollout.judging_s < 0.3


SHOWN = re.compile(r"assert f(\(.*\))==.*\n\s+expected: (.*)\n")


def copycat(request):
    """First nothing, then a table of the values that the feedback shows."""
    text = CharCodec().decode(request.prompt_ids)
    table = {str(eval(call)): eval(value) for call, value in SHOWN.findall(text)}
    assert bool(table) == (request.turn == 2)
    answer = f"<output>\ndef f(*given):\n    return {table}.get(str(given), '?')\n</output>"
    return [answer] * len(request.seeds)


@pytest.mark.parametrize("hidden_share", [0.0, 0.5])
def test_copying_the_shown_values_pays_unless_tests_are_hidden(hidden_share, sandbox):
    tasks = sources.embedded("train")[:6]
    codec = CharCodec()

    def make_env():
        return CodeFeedbackEnv(
            tasks, sandbox=sandbox, prompts="standard", hidden_share=hidden_share
        )

    with EnvPool(make_env, 2) as envs:
        engine = ScriptedEngine(copycat, codec)
        sampler = Sampler(engine, codec, envs, SamplingParams(max_tokens=20_000))
        rollout = sampler.grow([task.task_id for task in tasks], lambda node, turn: 2, seed=(0,))
    for root in rollout.roots:
        murphy_mars((2, 2)).grade(root)
    found = rollout_metrics(rollout)
    # 2 first attempts that pass nothing and 4 copies of what was shown, for each problem.
    assert found["reward/turn_1"] == 0.0
    assert found["reward/visible"] == pytest.approx(4 / 6)
    if hidden_share:
        # 4 of 8 tests are shown. MaRS would still pay the first attempt, but half.
        assert found["reward/hidden"] == 0.0
        assert (found["reward/turn_2"], found["repair_rate"]) == (0.5, 0.0)
    else:
        assert "reward/hidden" not in found
        assert (found["reward/turn_2"], found["repair_rate"]) == (1.0, 1.0)
