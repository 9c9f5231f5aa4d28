"""`Algorithm.grade` against a literal transcription of section 4, and its invariances."""

from dataclasses import FrozenInstanceError, replace
from itertools import combinations_with_replacement, product
from statistics import mean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import outcome, specs, tree

from murphy_agents.algorithms import (
    Algorithm,
    grpo,
    murphy_mars,
    murphy_mers,
    naive,
    tree_without_credit,
)
from murphy_agents.credit import child_mean, own_reward
from murphy_agents.prune import inter_group, intra_group
from murphy_agents.tree import Group, Node, groups, walk

WIDE = (9, 9, 9)
MURPHY = {
    "mars": murphy_mars(WIDE),
    "mers": murphy_mers(WIDE, gamma=0.9),
    "literal": murphy_mers(WIDE, gamma=0.9, childless="literal"),
    "own": tree_without_credit(WIDE),
}


def reference(kind, entry, left):
    """Section 4 written out on (reward, refinements or None) pairs; None: no credit."""
    reward, below = entry if isinstance(entry, tuple) else (entry, None)
    if reward is None:
        return None
    children = [c for c in (reference(kind, e, left - 1) for e in below or []) if c is not None]
    if kind == "own":
        return reward
    if kind == "mars":
        return max([reward, *children])
    if kind == "mers" and not children:
        return reward
    return (reward + 0.9 * (mean(children) if children else 0.0)) / (left + 1)


def expected(kind, spec, turns):
    """Credits, advantages and weights of the first turn."""
    found = [reference(kind, entry, turns - 1) for entry in spec]
    known = [c for c in found if c is not None]
    spread = stdev(known) if len(known) > 1 else 0.0
    rows = []
    for credit in found:
        if credit is None:
            rows.append((None, 0.0, 0.0))
        else:
            centred = credit - mean(known) if len(set(known)) > 1 else 0.0
            rows.append((credit, centred / (spread + 1e-4), 1 / len(known)))
    return rows


def check(spec, turns):
    for kind, algorithm in MURPHY.items():
        root = tree(spec)
        replace(algorithm, expand=WIDE[:turns]).grade(root)
        for node, (credit, advantage, weight) in zip(
            root.nodes, expected(kind, spec, turns), strict=True
        ):
            assert node.credit == (None if credit is None else pytest.approx(credit, abs=1e-14))
            assert node.advantage == pytest.approx(advantage, abs=1e-9)
            assert node.weight == weight


def ordered(nodes, size):
    return product(nodes, repeat=size)


def entries(turns, rewards, sizes, choose=ordered):
    """Every node of at most so many turns: a leaf, or failed with any group of refinements."""
    leaves = list(rewards)
    if turns == 1:
        return leaves
    below = [
        list(group)
        for size in sizes
        for group in choose(entries(turns - 1, rewards, sizes, choose), size)
    ]
    return leaves + [(r, group) for r in rewards if r is not None and r < 1 for group in below]


def test_all_small_trees_of_two_turns():
    # Leaves None, 0, .5, 1; groups of one or two below: 4 + 2 * (4 + 16) = 44 nodes, 44^2 roots.
    nodes = entries(2, (None, 0.0, 0.5, 1.0), (1, 2))
    assert len(nodes) == 44
    for spec in product(nodes, repeat=2):
        check(list(spec), turns=2)


def test_all_trees_of_two_turns_with_groups_of_three():
    # Order is a separate property, so groups are multisets: 3 + 2 * 10 = 23 nodes.
    nodes = entries(2, (0.0, 0.5, 1.0), (3,), combinations_with_replacement)
    assert len(nodes) == 23
    for spec in combinations_with_replacement(nodes, 3):
        check(list(spec), turns=2)


def test_all_small_nodes_of_three_turns():
    # Turn 2: 3 + 2 * (3 + 9) = 27 nodes; turn 1: 3 + 2 * (27 + 729) = 1515.
    nodes = entries(3, (0.0, 0.5, 1.0), (1, 2))
    assert len(nodes) == 1515
    for entry in nodes:
        check([entry, 0.5], turns=3)


@given(specs(3))
def test_random_trees_match_at_the_first_turn(spec):
    check(spec, turns=3)


@given(specs(3))
def test_every_group_is_graded_as_a_tree_of_its_own(spec):
    # MaRS knows no depth, so a group of refinements is graded as if it were the root.
    root = tree(spec)
    murphy_mars(WIDE).grade(root)
    for entry, node in zip(spec, root.nodes, strict=True):
        if node.refinements is not None:
            alone = tree(entry[1])
            murphy_mars(WIDE).grade(alone)
            assert outcome(alone) == outcome(node.refinements)


def test_one_tree_through_every_algorithm():
    spec = [(0.5, [1.0, 0.0]), 1.0]
    for algorithm, credits in [
        (murphy_mars((2, 2)), [1.0, 1.0]),
        (murphy_mers((2, 2)), [0.475, 1.0]),  # (.5 + .9 * .5) / 2
        (murphy_mers((2, 2), gamma=1.0), [0.5, 1.0]),
        (murphy_mers((2, 2), childless="literal"), [0.475, 0.5]),
        (tree_without_credit((2, 2)), [0.5, 1.0]),
        (replace(murphy_mars((2, 2)), credit=child_mean), [0.5, 1.0]),
    ]:
        root = tree(spec)
        algorithm.grade(root)
        assert [n.credit for n in root.nodes] == pytest.approx(credits)


def test_mers_recurses_with_the_turns_left():
    # Turn 2: (.5 + .9 * 1) / 2 = .7; turn 1: (.25 + .9 * .7) / 3 = .88 / 3.
    root = tree([(0.25, [(0.5, [1.0])])])
    murphy_mers((1, 1, 1)).grade(root)
    assert root.nodes[0].credit == pytest.approx(0.88 / 3)


def test_turns_left_count_from_the_algorithm_not_from_the_tree():
    # The tree ends at turn 1; S = 3 makes the literal leaf .9 / 3.
    root = tree([0.9, 0.0])
    murphy_mers((2, 2, 2), childless="literal").grade(root)
    assert root.nodes[0].credit == pytest.approx(0.3)


@given(st.lists(st.sampled_from([None, 0.0, 0.3, 0.5, 1.0]), min_size=1, max_size=8))
def test_with_one_turn_all_algorithms_are_grpo(rewards):
    root = tree(rewards)
    grpo(8).grade(root)
    single = [murphy_mars((8,)), murphy_mers((8,)), murphy_mers((8,), childless="literal")]
    for algorithm in [*single, tree_without_credit((8,)), naive(8, num_turns=1)]:
        other = tree(rewards)
        algorithm.grade(other)
        assert outcome(other) == outcome(root)


@given(specs(3), st.randoms())
def test_order_of_siblings_changes_no_bit(spec, random):
    def reorder(root):
        for group in groups(root):
            random.shuffle(group.nodes)

    for algorithm in MURPHY.values():
        root = tree(spec)
        algorithm.grade(root)
        before = {node: (node.credit, node.advantage, node.weight) for node in walk(root)}
        reorder(root)
        algorithm.grade(root)
        assert {node: (node.credit, node.advantage, node.weight) for node in walk(root)} == before


@given(specs(3))
def test_grading_twice_is_grading_once(spec):
    for prune in (intra_group(2), inter_group(1)):
        root = tree(spec)
        murphy_mars(WIDE, prune).grade(root)
        once = outcome(root)
        murphy_mars(WIDE, prune).grade(root)
        assert outcome(root) == once


@given(specs(3))
def test_another_algorithm_leaves_no_trace(spec):
    root, fresh = tree(spec), tree(spec)
    murphy_mars(WIDE, intra_group(2)).grade(root)
    murphy_mers(WIDE).grade(root)
    murphy_mers(WIDE).grade(fresh)
    assert outcome(root) == outcome(fresh)


@given(specs(3))
def test_nodes_without_verdict_count_as_never_sampled(spec):
    def without(entries):
        rows = [(e[0], without(e[1])) if isinstance(e, tuple) else e for e in entries]
        return [e for e in rows if (e[0] if isinstance(e, tuple) else e) is not None]

    for algorithm in (*MURPHY.values(), murphy_mars(WIDE, intra_group(2))):
        root, bare = tree(spec), tree(without(spec))
        algorithm.grade(root)
        algorithm.grade(bare)
        verdicts = [n for n in walk(root) if n.reward is not None]
        found = [(n.credit, n.pruned, n.advantage, n.weight) for n in verdicts]
        assert found == outcome(bare)
        for node in walk(root):
            if node.reward is None:
                graded = (node.credit, node.pruned, node.advantage, node.weight)
                assert graded == (None, False, 0.0, 0.0)


def test_what_hangs_on_a_node_without_verdict_counts_nowhere():
    root = tree([(None, [1.0, 0.0]), 0.5])
    murphy_mars((2, 2)).grade(root)
    assert outcome(root.nodes[0].refinements) == [(None, False, 0.0, 0.0)] * 2
    assert root.nodes[1].weight == 1.0


@pytest.mark.parametrize(
    "algorithm",
    [
        grpo(2),
        murphy_mars((2, 2), intra_group(2)),
        murphy_mars((2, 2), inter_group(1)),
        murphy_mars((2, 2), shuffle_credit=True),
        naive(2),
    ],
)
def test_a_tree_without_any_verdict_trains_nothing(algorithm):
    root = tree([None, None])
    algorithm.grade(root)
    assert outcome(root) == [(None, False, 0.0, 0.0)] * 2


def test_rewards_are_never_overwritten():
    root = tree([(0.5, [1.0, 0.0]), None])
    murphy_mers((2, 2)).grade(root)
    assert [n.reward for n in walk(root)] == [0.5, None, 1.0, 0.0]


def test_defaults_are_the_budget_of_the_paper():
    # 8 + 8 * 8 = 72 generations for MURPHY and GRPO, 72 * 2 = 144 for chains.
    for algorithm, most in [
        (grpo(), 72),
        (murphy_mars(), 72),
        (murphy_mers(), 72),
        (naive(), 144),
        (tree_without_credit(), 72),
    ]:
        level, total = 1, 0
        for turn in range(1, algorithm.num_turns + 1):
            level *= algorithm.fanout(None, turn)
            total += level
        assert total == most


def test_fanout_of_a_tuple_ends_with_it():
    algorithm = murphy_mars((4, 2))
    assert [algorithm.fanout(None, turn) for turn in (1, 2, 3)] == [4, 2, 0]
    assert algorithm.num_turns == 2


def test_fanout_can_refuse_a_parent():
    def promising(node, turn):
        return 4 if node is None or node.reward > 0 else 0

    algorithm = Algorithm(promising, own_reward, turns=2)
    assert algorithm.fanout(None, 1) == 4
    assert algorithm.fanout(Node(0.5), 2) == 4
    assert algorithm.fanout(Node(0.0), 2) == 0
    assert algorithm.fanout(Node(0.5), 3) == 0


def test_fanout_accepts_a_list_from_a_file():
    assert murphy_mars([4, 2]).expand == (4, 2)


def test_parts_can_be_swapped_and_none_changed_in_place():
    algorithm = replace(murphy_mars(), expand=(4, 4, 4))
    assert algorithm.num_turns == 3
    with pytest.raises(FrozenInstanceError):
        algorithm.expand = (2,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: murphy_mars(()), r"expand \(\)"),
        (lambda: murphy_mars((4, 0)), r"expand \(4, 0\)"),
        (lambda: naive(0), r"expand \(0, 1\)"),
        (lambda: Algorithm(lambda node, turn: 4, own_reward), "turns 0; each turn needs"),
        (lambda: Algorithm((4, 4), own_reward, turns=3), "turns is 3 but expand"),
        (lambda: grpo(2).grade(tree([(0.5, [1.0])])), "depth 2 has turns .2.; .* at most 1"),
        (lambda: murphy_mars().grade(Group([Node(0.5)], turn=2)), "depth 1 has turns .2."),
        (lambda: grpo(2).grade(tree([float("nan")])), "a reward is nan"),
    ],
)
def test_mistakes_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("count", [-1, 1.5, None, "2"])
def test_a_fan_out_that_is_no_count_is_named(count):
    algorithm = Algorithm(lambda node, turn: count, own_reward, turns=2)
    with pytest.raises(ValueError, match=r"expand gave .* at turn 2"):
        algorithm.fanout(Node(0.0), 2)


def test_turn_one_needs_a_generation():
    with pytest.raises(ValueError, match="expand gave 0 at turn 1"):
        Algorithm(lambda node, turn: 0, own_reward, turns=2).fanout(None, 1)


@pytest.mark.parametrize("worth", [None, float("nan"), "1"])
def test_a_credit_that_is_no_number_is_named(worth):
    algorithm = Algorithm((2,), lambda reward, children, left: worth)
    with pytest.raises(ValueError, match="credit gave"):
        algorithm.grade(tree([0.0, 1.0]))
