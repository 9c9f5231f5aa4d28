"""Scales, peers and the balance of weights."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import specs, tree

from murphy_agents import balance, peers
from murphy_agents.advantage import (
    center,
    leave_one_out,
    standardize,
    standardize_population,
)
from murphy_agents.algorithms import Algorithm, murphy_mars, naive
from murphy_agents.credit import own_reward
from murphy_agents.tree import Group, Node, groups, walk

SCALES = [standardize, standardize_population, center, leave_one_out]


def test_standardize_by_hand():
    # Mean .5, sample std sqrt((.25 + 0 + .25) / 2) = .5.
    assert standardize([1.0, 0.5, 0.0]) == pytest.approx([0.5 / 0.5001, 0, -0.5 / 0.5001])


def test_population_by_hand():
    # Mean .5, population std sqrt(.5 / 3) = .408248.
    expected = 0.5 / (math.sqrt(0.5 / 3) + 1e-4)
    assert standardize_population([1.0, 0.5, 0.0]) == pytest.approx([expected, 0, -expected])


def test_centre_by_hand():
    assert center([1.0, 0.5, 0.0]) == [0.5, 0.0, -0.5]


def test_leave_one_out_by_hand():
    # The others' means are .25, .5 and .75.
    assert leave_one_out([1.0, 0.5, 0.0]) == pytest.approx([0.75, 0.0, -0.75])
    assert leave_one_out([1.0, 0.0]) == [1.0, -1.0]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    "credits",
    [
        [0.7],
        [0.0, 0.0],
        [0.1] * 3,  # 0.1 + 0.1 + 0.1 is .30000000000000004, so the mean is not .1 in floats
        [0.1 * 3] * 7,
        [0.1 * 3, 0.3, 0.1 + 0.2],  # equal but for the last bit
        [1e9 + 0.1, 1e9 + 0.1 + 1e-6],
    ],
)
def test_one_credit_or_equal_ones_are_exactly_zero(scale, credits):
    assert scale(credits) == [0.0] * len(credits)


@pytest.mark.parametrize("scale", SCALES)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_advantages_sum_to_nothing(scale, credits):
    # Each is at most sqrt(n) in size; the rest is rounding, enlarged by at most 1 / 1e-4.
    assert sum(scale(credits)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("scale", SCALES)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.randoms())
def test_order_changes_no_bit(scale, credits, random):
    order = list(range(len(credits)))
    random.shuffle(order)
    straight = scale(credits)
    assert scale([credits[i] for i in order]) == [straight[i] for i in order]


def test_siblings_are_compared_within_their_group_alone():
    # Turn 1: (.5, 1) with MaRS credits 1 and 1; turn 2: 1 and 0.
    root = tree([(0.5, [1.0, 0.0]), 1.0])
    murphy_mars((2, 2)).grade(root)
    high = 0.5 / (math.sqrt(0.5) + 1e-4)
    assert [n.advantage for n in walk(root)] == pytest.approx([0, 0, high, -high])
    assert [n.weight for n in walk(root)] == [0.5] * 4


def test_a_lone_node_keeps_its_weight():
    # Its advantage is 0, its KL term still counts.
    root = tree([0.5, (0.0, [1.0, None])])
    murphy_mars((2, 2)).grade(root)
    lone, failed = root.nodes[1].refinements.nodes
    assert (lone.advantage, lone.weight) == (0.0, 1.0)
    assert (failed.advantage, failed.weight) == (0.0, 0.0)


# Naive: chains (1) solved at once, (.5 -> 1), (.5 -> 0), (0 -> .5).
CHAINS = [1.0, (0.5, [1.0]), (0.5, [0.0]), (0.0, [0.5])]


def test_final_attempts_of_all_chains_are_compared():
    # Last attempts 1 1 0 .5: mean .625, sample std sqrt((2 * .140625 + .390625 + .015625) / 3).
    root = tree(CHAINS)
    naive(4).grade(root)
    std = math.sqrt(0.6875 / 3) + 1e-4
    solved, *parents = root.nodes
    lasts = [solved, *(n.refinements.nodes[0] for n in parents)]
    assert [n.advantage for n in lasts] == pytest.approx(
        [0.375 / std, 0.375 / std, -0.625 / std, -0.125 / std]
    )
    assert [n.weight for n in lasts] == [0.25] * 4
    assert [(n.advantage, n.weight) for n in parents] == [(0.0, 0.0)] * 3


def test_solved_early_can_be_left_out():
    # Compared: 1 0 .5, mean .5, sample std .5.
    root = tree(CHAINS)
    naive(4, solved_early="exclude").grade(root)
    solved, *parents = root.nodes
    lasts = [n.refinements.nodes[0] for n in parents]
    assert (solved.advantage, solved.weight) == (0.0, 0.0)
    assert [n.advantage for n in lasts] == pytest.approx([0.5 / 0.5001, -0.5 / 0.5001, 0])
    assert [n.weight for n in lasts] == [1 / 3] * 3


def test_all_turns_of_a_chain_share_its_advantage():
    last, every = tree(CHAINS), tree(CHAINS)
    naive(4).grade(last)
    naive(4, train_turns="all").grade(every)
    for node, twin in zip(every.nodes[1:], last.nodes[1:], strict=True):
        final = twin.refinements.nodes[0]
        for turn in (node, node.refinements.nodes[0]):
            assert (turn.advantage, turn.weight) == (final.advantage, final.weight)


def test_chains_of_three_turns():
    root = tree([(0.0, [(0.5, [1.0])]), (0.0, [1.0]), (0.0, [(0.0, [0.0])])])
    naive(3, num_turns=3, train_turns="all").grade(root)
    # Last attempts 1 1 0: mean 2/3, sample std sqrt((1/9 + 1/9 + 4/9) / 2) = .57735.
    std = math.sqrt(1 / 3) + 1e-4
    up, down = 1 / 3 / std, -2 / 3 / std
    assert [n.advantage for n in walk(root)] == pytest.approx([up, up, down] * 2 + [up, down])


def test_chains_solved_at_once_are_still_compared():
    root = tree([1.0, 1.0])
    naive(2, solved_early="exclude").grade(root)
    assert [(n.advantage, n.weight) for n in root.nodes] == [(0.0, 0.5)] * 2


def test_chain_without_a_final_verdict_is_left_out():
    # Its first attempt's .5 is not its outcome.
    root = tree([(0.5, [None]), (0.5, [1.0]), (0.5, [0.0]), None])
    naive(4, train_turns="all").grade(root)
    lost, *_ = root.nodes
    assert (lost.credit, lost.advantage, lost.weight) == (0.5, 0.0, 0.0)
    assert root.nodes[1].weight == 1 / 2


def test_final_attempts_refuse_a_tree():
    with pytest.raises(ValueError, match="a node has 2 refinements; final_attempts takes chains"):
        Algorithm((1, 2), own_reward, peers=peers.final_attempts()).grade(tree([(0.5, [1.0, 0.0])]))


def test_unknown_readings_are_named():
    with pytest.raises(ValueError, match="solved_early is 'drop'"):
        peers.final_attempts(solved_early="drop")
    with pytest.raises(ValueError, match="train_turns is 'first'"):
        peers.final_attempts(train_turns="first")


def shuffled(seed, prompt_ids=(1, 2, 3)):
    """A first group of 8 graded with shuffled credit, and its advantages unshuffled."""
    nodes = [
        Node(i / 8, Group([Node(1.0), Node(i / 8)], turn=2), completion_ids=(i, 7))
        for i in range(7)
    ]
    root = Group([*nodes, Node(0.0, completion_ids=(7,))], prompt_ids=prompt_ids)
    murphy_mars((8, 2)).grade(root)
    plain = [(n.advantage, n.weight) for n in walk(root)]
    murphy_mars((8, 2), shuffle_credit=True, shuffle_seed=seed).grade(root)
    return [(n.advantage, n.weight) for n in walk(root)], plain


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_credit_permutes_the_first_turn_alone(seed):
    ours, plain = shuffled(seed)
    assert sorted(ours[:8]) == sorted(plain[:8])
    assert ours[8:] == plain[8:]


def test_shuffled_credit_is_a_function_of_seed_and_tree():
    assert shuffled(0) == shuffled(0)
    # One advantage of eight differs from the rest; over seeds or prompts it sees every place.
    by_seed = {tuple(a for a, _ in shuffled(seed)[0][:8]) for seed in range(30)}
    by_prompt = {tuple(a for a, _ in shuffled(0, (9, i))[0][:8]) for i in range(30)}
    assert len(by_seed) == len(by_prompt) == 8


def test_shuffled_credit_accepts_any_sequence_of_ids():
    # Lists and tuples of the same ids are the same tree.
    assert shuffled(0, prompt_ids=[1, 2, 3]) == shuffled(0, prompt_ids=(1, 2, 3))


def totals(root):
    """Total weight of each group, the root's first."""
    return [sum(n.weight for n in group.nodes) for group in groups(root)]


def balanced(balance, spec, turns=3):
    root = tree(spec)
    Algorithm((9,) * turns, own_reward, balance=balance).grade(root)
    return root


TWO_FAILED = [(0.0, [0.5, 1.0]), (0.5, [0.0, 0.0, 1.0]), 1.0]


def test_sum_of_groups_is_definition_1():
    root = balanced(balance.sum_of_groups, TWO_FAILED)
    assert totals(root) == pytest.approx([1, 1, 1])


def test_mean_of_groups_weighs_the_problem_one():
    root = balanced(balance.mean_of_groups, TWO_FAILED)
    assert totals(root) == pytest.approx([1 / 3, 1 / 3, 1 / 3])


def test_mean_of_turns_weighs_the_turns_alike():
    root = balanced(balance.mean_of_turns, TWO_FAILED)
    assert totals(root) == pytest.approx([1 / 2, 1 / 4, 1 / 4])
    # Within a group alike: 1/4 over three nodes.
    assert [n.weight for n in root.nodes[1].refinements.nodes] == pytest.approx([1 / 12] * 3)


def test_mean_of_turns_counts_the_turns_reached():
    root = balanced(balance.mean_of_turns, [1.0, 0.0], turns=3)
    assert totals(root) == [1.0]


def test_mean_of_turns_shares_between_the_turns_of_chains():
    # Last attempts alone: turn 1 trains 1 of 4, turn 2 trains 3 of 4; then 1/2 each.
    root = tree(CHAINS)
    Algorithm(
        (4, 1),
        own_reward,
        peers=peers.final_attempts(),
        balance=balance.mean_of_turns,
    ).grade(root)
    assert [n.weight for n in walk(root)] == pytest.approx([1 / 2, 0, 0, 0] + [1 / 6] * 3)


@pytest.mark.parametrize("balance", [balance.mean_of_groups, balance.mean_of_turns])
@given(specs(3))
def test_balanced_problems_weigh_one_or_nothing(balance, spec):
    total = sum(n.weight for n in walk(balanced(balance, spec)))
    assert total == pytest.approx(1) or (total == 0 and all(entry is None for entry in spec))
