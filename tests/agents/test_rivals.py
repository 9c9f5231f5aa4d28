"""Rivals from the literature on numbers worked out by hand."""

import doctest
import json
import math
from collections import Counter
from types import SimpleNamespace

import pytest
from trees import outcome, tree

from benchmarks.compare import promise, rivals
from benchmarks.compare.promise import Promise
from benchmarks.compare.tabular import paper
from murphy_agents import TrainConfig, train
from murphy_agents.advantage import center, leave_one_out, standardize
from murphy_agents.algorithms import Algorithm, grpo, murphy_mars
from murphy_agents.strategies import algorithm_of
from murphy_agents.tree import Group, Node, walk


@pytest.mark.parametrize("module", [promise, paper])
def test_examples_in_docstrings(module):
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


CHAINS = [1.0, (0.5, [1.0]), (0.5, [0.5]), (0.0, [0.0])]
"""Solved at once; repaired; not repaired; nothing right."""


def settings(**others):
    told = {"num_generations": 4, "num_turns": 2, "fanout": None, "gamma": 0.9, "loss_type": "grpo"}
    return SimpleNamespace(**told | others)


def test_the_scale_is_that_of_the_loss_as_for_the_arms_that_rivals_stand_beside():
    for loss_type, scale in (("grpo", standardize), ("dr_grpo", center), ("rloo", leave_one_out)):
        config = TrainConfig(model="tiny", loss_type=loss_type)
        assert algorithm_of(config).scale is scale
        asked = settings(loss_type=loss_type)
        made = [rivals.discounted_turns, rivals.discounted_turns_held, rivals.child_mean_tree,
                rivals.expand_promising, rivals.expand_promising_paid]  # fmt: skip
        assert {make(asked).scale for make in made} == {scale}
        assert rivals.rlef(asked).scale is rivals.leave_one_out_tree(asked).scale is leave_one_out


def graded(algorithm, spec):
    root = tree(spec)
    algorithm.grade(root)
    return root


def turns(root):
    """(advantage, weight) of the first attempts and of the second ones."""
    seconds = [child for node in root.nodes if node.refinements for child in node.refinements.nodes]
    return [[(n.advantage, n.weight) for n in nodes] for nodes in (root.nodes, seconds)]


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (rivals.rlef, [4, 1, 1, 0]),
        (rivals.discounted_turns, [4, 1, 1, 0]),
        (rivals.discounted_turns_held, [4, 1, 1, 0]),
        (rivals.child_mean_tree, [4, 4, 4, 0]),
        (rivals.leave_one_out_tree, [4, 4, 4, 0]),
        (rivals.expand_promising, [4, 4, 4, 0]),
        (rivals.expand_promising_paid, [4, 4, 4, 0]),
    ],
)
def test_fan_out_follows_the_settings(make, expected):
    algorithm = make(settings(num_turns=3))
    assert [algorithm.fanout(None, turn) for turn in (1, 2, 3, 4)] == expected


def test_a_fan_out_of_its_own_wins():
    algorithm = rivals.leave_one_out_tree(settings(fanout=[6, 2]))
    assert [algorithm.fanout(None, turn) for turn in (1, 2, 3)] == [6, 2, 0]


@pytest.mark.parametrize("make", [rivals.rlef, rivals.discounted_turns])
def test_a_rival_of_chains_refuses_a_tree(make):
    # Laid out as a tree it would have drawn another number of generations than the other arms.
    with pytest.raises(
        ValueError, match=r"fanout is \[4, 4\], but chains do not branch; give num_t"
    ):
        make(settings(fanout=[4, 4], num_generations=8))


def test_real_settings_have_what_is_read():
    config = TrainConfig(algorithm="naive", num_generations=6, num_turns=2)
    assert rivals.rlef(config).fanout(None, 1) == 6
    assert rivals.discounted_turns(config).num_turns == 2


def test_a_terminal_reward_is_binary_and_shared_by_the_chain():
    # R = 1 1 0 0; others' means 1/3 1/3 2/3 2/3; A = 2/3 2/3 -2/3 -2/3, a quarter each.
    root = graded(rivals.rlef(settings()), CHAINS)
    up, down = pytest.approx((2 / 3, 1 / 4)), pytest.approx((-2 / 3, 1 / 4))
    assert turns(root) == [[up, up, down, down], [up, down, down]]


def test_a_chain_without_an_end_is_left_out_of_the_terminal_rewards():
    # R = 1 0: A = 1 -1, a half each.
    root = graded(rivals.rlef(settings()), [1.0, (0.5, [None]), (0.5, [0.5])])
    assert turns(root) == [[(1, 0.5), (0, 0), (-1, 0.5)], [(0, 0), (-1, 0.5)]]


def test_chains_that_end_alike_teach_nothing():
    root = graded(rivals.rlef(settings()), [1.0, (0.5, [1.0])])
    assert [node.advantage for node in walk(root)] == [0, 0, 0]


def test_discounted_rewards_of_turns_by_hand():
    root = graded(rivals.discounted_turns(settings()), CHAINS)
    # First attempts: 1, .5 + .9 * 1, .5 + .9 * .5, 0: being repaired beats being right.
    first = [1.0, 1.4, 0.95, 0.0]
    assert [node.credit for node in root.nodes] == pytest.approx(first)
    # Mean .8375; deviations .1625 .5625 .1125 -.8375, squares .0264 .3164 .0127 .7014.
    std = math.sqrt((0.1625**2 + 0.5625**2 + 0.1125**2 + 0.8375**2) / 3) + 1e-4
    expected = [(d / std, 1 / 4) for d in (0.1625, 0.5625, 0.1125, -0.8375)]
    ones, twos = turns(root)
    assert ones == [pytest.approx(pair) for pair in expected]
    # Second attempts 1 .5 0 are compared over three prompts: mean .5, sample std .5.
    expected = [(0.5 / 0.5001, 1 / 3), (0, 1 / 3), (-0.5 / 0.5001, 1 / 3)]
    assert twos == [pytest.approx(pair) for pair in expected]


def test_discounted_rewards_count_every_turn():
    # .25 + .4 * (.5 + .4 * 1) = .61
    algorithm = rivals.discounted_turns(settings(num_turns=3, gamma=0.4))
    root = graded(algorithm, [(0.25, [(0.5, [1.0])])])
    assert root.nodes[0].credit == pytest.approx(0.61)


def test_held_rewards_make_an_early_end_the_best():
    # Of three turns: solved at once 1 + .9 + .81; at the second .5 + .9 * (1 + .9).
    algorithm = rivals.discounted_turns_held(settings(num_turns=3))
    root = graded(algorithm, [1.0, (0.5, [1.0]), (0.5, [(0.5, [1.0])])])
    assert [n.credit for n in root.nodes] == pytest.approx([2.71, 2.21, 0.5 + 0.9 * 1.4])


@pytest.mark.parametrize("make", [rivals.discounted_turns, rivals.discounted_turns_held])
def test_discounted_turns_refuse_a_tree(make):
    with pytest.raises(ValueError, match="a node has 2 refinements; discounted turns take 1"):
        graded(make(settings()), [(0.5, [1.0, 0.0])])


def test_with_one_turn_discounted_turns_are_grpo():
    rewards = [1.0, 0.25, 0.0, None]
    expected = outcome(graded(grpo(4), rewards))
    for make in (rivals.discounted_turns, rivals.discounted_turns_held):
        assert outcome(graded(make(settings(num_turns=1)), rewards)) == expected


def test_child_mean_ignores_the_own_reward_once_refined():
    # First attempts: mean of 1 and 0, mean of 0 and 0, own 1.
    root = graded(rivals.child_mean_tree(settings()), [(0.25, [1.0, 0.0]), (0.75, [0.0, 0.0]), 1.0])
    assert [node.credit for node in root.nodes] == [0.5, 0.0, 1.0]


def test_leave_one_out_within_every_group():
    # Credits 1 .5 0 (MaRS): others' means .25 .5 .75. The refinements 1 and 0: A = 1 and -1.
    root = graded(rivals.leave_one_out_tree(settings()), [(0.0, [1.0, 0.0]), 0.5, 0.0])
    assert turns(root) == [
        [pytest.approx((a, 1 / 3)) for a in (0.75, 0.0, -0.75)],
        [(1, 1 / 2), (-1, 1 / 2)],
    ]


def seen(algorithm, parent, children, times=1):
    """Rollouts in which a parent with this reward was refined to these."""
    for _ in range(times):
        algorithm.fanout(None, 1)
        node = Node(parent, completion_ids=(1,))
        if algorithm.fanout(node, 2):
            node.refinements = Group([Node(reward) for reward in children], turn=2)
        algorithm.grade(Group([node]))
    algorithm.fanout(None, 1)


def refusing(**others):
    promise = Promise((4, 4), **{"least": 4, "window": 8, "explore": 0.0} | others)
    return Algorithm(promise.expand, promise.credit, turns=2)


def test_a_kind_is_refused_once_enough_of_it_has_not_differed():
    algorithm = refusing()
    seen(algorithm, 0.5, [1.0, 1.0], times=3)
    assert algorithm.fanout(Node(0.5), 2) == 4
    seen(algorithm, 0.5, [0.0, 0.0])
    assert algorithm.fanout(Node(0.5), 2) == 0
    # Another reward is another kind; turn 1 is always drawn.
    assert algorithm.fanout(Node(0.25), 2) == 4
    assert algorithm.fanout(None, 1) == 4


def test_a_kind_that_differs_often_enough_is_grown():
    # 1 of 8 is above a tenth, 1 of 12 below, 1 of 8 remembered of more again above.
    algorithm = refusing(window=12)
    seen(algorithm, 0.5, [1.0, 0.0])
    seen(algorithm, 0.5, [1.0, 1.0], times=7)
    assert algorithm.fanout(Node(0.5), 2) == 4
    seen(algorithm, 0.5, [1.0, 1.0], times=4)
    assert algorithm.fanout(Node(0.5), 2) == 0


def test_what_lies_far_back_is_forgotten():
    algorithm = refusing(window=4)
    seen(algorithm, 0.5, [1.0, 0.0])
    seen(algorithm, 0.5, [1.0, 1.0], times=3)
    assert algorithm.fanout(Node(0.5), 2) == 4
    seen(algorithm, 0.5, [1.0, 1.0])
    assert algorithm.fanout(Node(0.5), 2) == 0


def test_within_a_rollout_nothing_changes():
    # The refinements of the first parents are known before the last ones are asked about.
    algorithm = refusing()
    algorithm.fanout(None, 1)
    for _ in range(9):
        node = Node(0.5)
        assert algorithm.fanout(node, 2) == 4
        node.refinements = Group([Node(1.0), Node(1.0)], turn=2)
        algorithm.grade(Group([node]))
    algorithm.fanout(None, 1)
    assert algorithm.fanout(Node(0.5), 2) == 0


def test_whole_rollouts_are_forgotten():
    # Five groups in one rollout, one of them with a spread, are all kept by a window of four; after
    # four more they are all gone.
    algorithm = refusing(window=4)
    algorithm.fanout(None, 1)
    for rewards in [(1.0, 0.0), *[(1.0, 1.0)] * 4]:
        node = Node(0.5)
        algorithm.fanout(node, 2)
        node.refinements = Group([Node(reward) for reward in rewards], turn=2)
        algorithm.grade(Group([node]))
    algorithm.fanout(None, 1)
    assert algorithm.fanout(Node(0.5), 2) == 4
    seen(algorithm, 0.5, [1.0, 1.0], times=4)
    assert algorithm.fanout(Node(0.5), 2) == 0


def test_order_and_trees_of_a_rollout_decide_nothing():
    def after(rewards):
        algorithm = refusing()
        for _ in range(2):
            algorithm.fanout(None, 1)
        nodes = [Node(reward) for reward in rewards]
        for node in nodes:
            algorithm.fanout(node, 2)
            node.refinements = Group([Node(1.0), Node(node.reward)], turn=2)
        algorithm.grade(Group(nodes))
        algorithm.fanout(None, 1)
        return [algorithm.fanout(Node(reward), 2) for reward in (0.5, 1.0)]

    assert after([0.5, 1.0] * 5) == after([1.0] * 5 + [0.5] * 5) == [4, 0]


def test_a_share_of_the_refused_is_grown_all_the_same():
    algorithm = refusing(explore=0.25)
    seen(algorithm, 0.5, [1.0, 1.0], times=4)
    nodes = [Node(0.5, completion_ids=(i,)) for i in range(400)]
    counts = [algorithm.fanout(node, 2) for node in nodes]
    # Binomial(400, 1/4): mean 100, deviation 8.7.
    assert 65 < counts.count(4) < 135
    assert counts.count(4) + counts.count(0) == 400


def test_refused_parents_keep_their_own_reward_or_are_paid():
    algorithm = refusing()
    seen(algorithm, 0.5, [1.0, 1.0], times=3)
    seen(algorithm, 0.5, [0.25, 0.25])
    # Credits 1 1 1 .5, their mean .875; a kind that is not refused, or was refined: MaRS.
    root = graded(algorithm, [0.5, 0.0, (0.5, [0.75, 0.0])])
    assert [node.credit for node in root.nodes] == [0.875, 0.0, 0.75]
    again = outcome(root)
    algorithm.grade(root)
    assert outcome(root) == again
    unpaid = rivals.expand_promising(settings())
    seen(unpaid, 0.5, [1.0, 1.0], times=40)
    assert graded(unpaid, [0.5]).nodes[0].credit == 0.5


def test_without_memory_it_is_mars():
    spec = [(0.5, [1.0, 0.0]), 1.0, (0.0, [0.0, 0.5])]
    expected = outcome(graded(murphy_mars((4, 4)), spec))
    for make in (rivals.expand_promising, rivals.expand_promising_paid):
        assert outcome(graded(make(settings()), spec)) == expected


def test_groups_without_two_verdicts_and_without_room_are_not_remembered():
    algorithm = refusing()
    seen(algorithm, 0.5, [1.0, None], times=8)
    algorithm.fanout(Node(0.5), 2)  # no refinements came of it
    algorithm.fanout(None, 1)
    assert algorithm.fanout(Node(0.5), 2) == 4


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"threshold": 1.5}, "threshold 1.5"),
        ({"explore": -0.1}, "explore -0.1"),
        ({"least": 0}, "least is 0"),
        ({"least": 9, "window": 8}, "least is 9, window 8"),
    ],
)
def test_impossible_numbers_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Promise((4, 4), **wrong)


@pytest.mark.parametrize(
    "make",
    [
        rivals.rlef,
        rivals.discounted_turns,
        rivals.discounted_turns_held,
        rivals.child_mean_tree,
        rivals.leave_one_out_tree,
        rivals.expand_promising,
        rivals.expand_promising_paid,
    ],
)
def test_a_tree_without_any_verdict_trains_nothing(make):
    assert outcome(graded(make(settings()), [None, None])) == [(None, False, 0.0, 0.0)] * 2


def rollouts(folder, make):
    """Two problems a step, four generations a group, of a model that knows nothing."""
    config = TrainConfig(
        model="tiny",
        output_dir=str(folder),
        max_steps=4,
        per_device_train_batch_size=2,
        num_generations=4,
        max_completion_length=8,
    )
    train(config, algorithm=make(config))
    return [json.loads(line) for line in (folder / "rollouts.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("make", [rivals.rlef, rivals.discounted_turns])
def test_chains_are_trained_for_real(make, tmp_path):
    found = rollouts(tmp_path, make)
    # Four steps of two problems, four chains of two attempts, none of which can be right.
    assert Counter(node["turn"] for node in found) == {1: 32, 2: 32}
    assert {node["weight"] for node in found} == {1 / 4}


@pytest.mark.slow
def test_a_real_run_stops_to_refine_what_never_differs(tmp_path):
    found = rollouts(tmp_path, rivals.expand_promising)
    seconds = Counter(node["step"] for node in found if node["turn"] == 2)
    # Eight parents a step, all worth 0; after two steps 16 groups without spread are remembered.
    assert seconds[1] == seconds[2] == 2 * 4 * 4
    assert seconds[3] + seconds[4] < 2 * 4 * 4
