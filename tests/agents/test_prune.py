"""Pruning: which nodes stay, exactly, and what a dropped group pays."""

from itertools import combinations, product
from statistics import pvariance

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import outcome, specs, tree, updates

from murphy_agents.algorithms import murphy_mars, murphy_mers
from murphy_agents.prune import inter_group, intra_group, keep_all
from murphy_agents.tree import walk


def kept(rewards, prune):
    """Indices that stay of one group."""
    root = tree(rewards)
    murphy_mars((len(rewards),), prune).grade(root)
    return [index for index, node in enumerate(root.nodes) if not node.pruned]


def full_tree():
    """8 failed first attempts with 8 refinements each."""
    return tree([(0.5, [j / 8 + i / 100 for j in range(8)]) for i in range(8)])


def brute_force(rewards, b):
    """Every subset: largest variance, then more of the higher credit, then the lower indices."""
    return list(
        max(
            combinations(range(len(rewards)), b),
            key=lambda chosen: (
                round(pvariance([rewards[i] for i in chosen]), 12),
                sorted((rewards[i] for i in chosen), reverse=True),
                [-i for i in chosen],
            ),
        )
    )


@pytest.mark.parametrize("b", [2, 3, 4])
def test_max_variance_is_that_of_all_subsets(b):
    for size in (b, b + 1, 6):
        for rewards in product([0.0, 0.5, 1.0], repeat=size):
            assert kept(rewards, intra_group(b)) == brute_force(rewards, b)


@given(st.lists(st.integers(0, 7).map(lambda n: n / 7), min_size=2, max_size=9), st.integers(2, 9))
def test_max_variance_is_that_of_all_subsets_on_sevenths(rewards, b):
    # Sevenths are not exact in binary: equal variances differ by noise.
    assert kept(rewards, intra_group(b)) == brute_force(rewards, min(b, len(rewards)))


def test_ties_go_to_more_of_the_higher_credit():
    # {1, 1, 0} and {1, 0, 0} both have variance 2/9.
    assert kept([0.0, 1.0, 0.0, 1.0], intra_group(3)) == [0, 1, 3]


def test_ties_go_to_the_lower_index():
    assert kept([0.5, 0.5, 0.5, 0.5], intra_group(2)) == [0, 1]
    assert kept([0.5, 0.5, 0.5, 0.5], intra_group(3, rule="contribution")) == [0, 1, 2]
    assert kept([0.0, 0.0, 1.0, 0.0], intra_group(2)) == [0, 2]


def test_the_two_rules_differ():
    rewards = [0.2, 0.2, 0.7, 0.0, 1.0]
    # Largest variance: {0, .2, 1} has .1867, {0, .7, 1} has .1756.
    assert kept(rewards, intra_group(3)) == [0, 3, 4]
    # Contribution: mean .42, squared distances .0484 .0484 .0784 .1764 .3364.
    assert kept(rewards, intra_group(3, rule="contribution")) == [2, 3, 4]


def test_contribution_takes_both_extremes_first():
    # Mean .4, squared distances .16 .16 .16 .36 .36: both ones are farther off than any zero.
    assert kept([0.0, 0.0, 0.0, 1.0, 1.0], intra_group(2, rule="contribution")) == [0, 3]


def test_contribution_ties_go_to_the_higher_credit():
    # Mean .5: .25 and .75 are equally far.
    assert kept([0.0, 0.25, 0.75, 1.0], intra_group(3, rule="contribution")) == [0, 2, 3]


def test_a_small_group_stays_whole():
    assert kept([0.5, 0.5, 0.5], intra_group(3)) == [0, 1, 2]
    assert kept([0.5], intra_group(2)) == [0]


def test_node_without_verdict_takes_no_place():
    root = tree([None, 0.0, 0.5, 1.0])
    murphy_mars((4,), intra_group(2)).grade(root)
    assert [n.pruned for n in root.nodes] == [False, False, True, False]
    assert [n.weight for n in root.nodes] == [0, 0.5, 0, 0.5]


def test_update_counts_of_the_paper():
    for prune, count in [
        (keep_all, 72),  # 8 + 64
        (intra_group(4), 20),  # 4 + 4 * 4, as section 4.1 reads
        (intra_group(4, keep_descendants=True), 36),  # 4 + 8 * 4, as Table 3 counts
        (inter_group(4), 40),  # 8 + 4 * 8, Table 3
        (inter_group(4, dropped_pays="as_sampled"), 40),
    ]:
        root = full_tree()
        murphy_mars(prune=prune).grade(root)
        assert updates(root) == count


def test_update_count_over_three_turns():
    root = tree([(0.0, [(0.1 * i, [0.1 * j for j in range(8)]) for i in range(8)])] * 8)
    murphy_mars((8, 8, 8), intra_group(4)).grade(root)
    assert updates(root) == 84  # 4 + 4 * 4 + 4 * 4 * 4


def test_weight_counts_the_kept():
    root = full_tree()
    murphy_mars(prune=intra_group(4)).grade(root)
    assert {n.weight for n in walk(root)} == {0.0, 1 / 4}


def test_pruned_nodes_carry_nothing():
    root = full_tree()
    murphy_mars(prune=intra_group(4)).grade(root)
    for node in walk(root):
        if node.pruned:
            assert (node.credit, node.advantage, node.weight) == (None, 0.0, 0.0)


def test_descendants_go_with_their_ancestor_or_stay():
    spec = [(0.0, [1.0, 0.0]), (0.5, [0.5, 0.75]), (0.25, [0.0, 0.25])]
    # MaRS credits 1, .75, .25; b = 2 keeps 1 and .25.
    root = tree(spec)
    murphy_mars((3, 2), intra_group(2)).grade(root)
    nodes = list(walk(root))
    assert [node for node in nodes if node.pruned] == [nodes[1], nodes[5], nodes[6]]
    root = tree(spec)
    murphy_mars((3, 2), intra_group(2, keep_descendants=True)).grade(root)
    assert [node for node in walk(root) if node.pruned] == [root.nodes[1]]


def test_each_turn_is_pruned_before_the_turn_above_is_credited():
    # MeRS(1): of 0 .5 .5 1 with b = 2 stay 0 and 1; of 0 0 0 1 stay 0 and 1.
    # Kept: (.5 + .5) / 2 and (.5 + .5) / 2 = .5; unpruned the second would be (.5 + .25) / 2.
    root = tree([(0.5, [0.0, 0.5, 0.5, 1.0]), (0.5, [0.0, 0.0, 0.0, 1.0])])
    murphy_mers((2, 4), gamma=1.0, prune=intra_group(2)).grade(root)
    assert [n.credit for n in root.nodes] == [0.5, 0.5]
    murphy_mers((2, 4), gamma=1.0).grade(root)
    assert [n.credit for n in root.nodes] == [0.5, 0.375]


@given(specs(3), st.integers(2, 4))
def test_max_variance_leaves_the_best_refinement_to_mars(spec, b):
    pruned, whole = tree(spec), tree(spec)
    murphy_mars((5, 5, 5), intra_group(b)).grade(pruned)
    murphy_mars((5, 5, 5)).grade(whole)
    for ours, theirs in zip(walk(pruned), walk(whole), strict=True):
        assert ours.pruned or ours.credit == theirs.credit


WORKED = [(0.5, [1, 1, 1, 1]), (0.5, [1, 1, 0, 0]), (0.5, [1, 0, 0, 0]), (0.5, [0, 0, 0, 0])]


def test_dropped_group_pays_zero():
    # Population std: 0, .5, .433, 0; the middle two stay. Credits .5 1 1 .5, mean .75,
    # sample std sqrt(4 * .0625 / 3) = .288675; the always repaired gets -.25 / .288775 = -.8657.
    root = tree(WORKED)
    murphy_mars((4, 4), inter_group(2)).grade(root)
    assert [n.credit for n in root.nodes] == [0.5, 1.0, 1.0, 0.5]
    assert root.nodes[0].advantage == pytest.approx(-0.8657, abs=1e-4)


def test_dropped_group_pays_as_sampled():
    # Credits 1 1 1 .5, mean .875, sample std .25: .125 / .2501 = +.4998, as without pruning.
    root = tree(WORKED)
    murphy_mars((4, 4), inter_group(2, dropped_pays="as_sampled")).grade(root)
    assert [n.credit for n in root.nodes] == [1.0, 1.0, 1.0, 0.5]
    assert root.nodes[0].advantage == pytest.approx(0.4998, abs=1e-4)
    assert updates(root) == 4 + 2 * 4


def test_dropped_group_pays_zero_to_the_mean():
    # MeRS, S = 2: a dropped group leaves r / 2 = .25; kept 1100: (.5 + .9 * .5) / 2 = .475.
    root = tree(WORKED)
    murphy_mers((4, 4), gamma=0.9, prune=inter_group(2)).grade(root)
    assert [n.credit for n in root.nodes] == pytest.approx([0.25, 0.475, 0.3625, 0.25])


def test_a_dropped_group_is_not_a_leaf():
    # A leaf keeps .5 under "keep"; the parent of a dropped group gets .5 / 2.
    root = tree([0.5, (0.5, [0.0, 0.0]), (0.5, [1.0, 0.0])])
    murphy_mers((3, 2), gamma=0.9, prune=inter_group(1)).grade(root)
    assert [n.credit for n in root.nodes[:2]] == [0.5, 0.25]


def test_alpha1_prefers_the_better_group():
    # Means 1 and .5: alpha1 = 1, alpha2 = 0 keeps the solved one, the default the mixed one.
    spec = [(0.0, [1.0, 1.0]), (0.0, [1.0, 0.0])]
    for prune, expected in [(inter_group(1), 1), (inter_group(1, 1.0, 0.0), 0)]:
        root = tree(spec)
        murphy_mars((2, 2), prune).grade(root)
        stays = [not n.refinements.nodes[0].pruned for n in root.nodes]
        assert stays.index(True) == expected
        assert sum(stays) == 1


def test_score_takes_the_population_std():
    # Population .45 against .5; sample would be .636 against .577.
    root = tree([(0.0, [0.9, 0.0]), (0.0, [1.0, 1.0, 0.0, 0.0])])
    murphy_mars((2, 4), inter_group(1)).grade(root)
    assert [n.refinements.nodes[0].pruned for n in root.nodes] == [True, False]


def test_equal_scores_keep_the_earlier_group():
    # (.1 .2 .3) and (.3 .2 .1) have the same std but for float noise.
    root = tree([(0.0, [0.3, 0.2, 0.1]), (0.0, [0.1, 0.2, 0.3]), (0.0, [0.2, 0.3, 0.4])])
    murphy_mars((3, 3), inter_group(1)).grade(root)
    assert [n.refinements.nodes[0].pruned for n in root.nodes] == [False, True, True]


def test_the_first_turn_is_never_dropped():
    root = tree([0.5, 0.5])
    murphy_mars((2,), inter_group(1)).grade(root)
    assert updates(root) == 2


def test_groups_without_verdict_do_not_compete():
    # b = 1: the group of Nones takes no place, and its parent stays a leaf.
    root = tree([(0.5, [None, None]), (0.5, [0.0, 0.0])])
    murphy_mers((2, 2), gamma=0.9, prune=inter_group(1)).grade(root)
    assert [n.credit for n in root.nodes] == [0.5, 0.25]
    assert not any(n.pruned for n in walk(root))


def test_three_turns_drop_everything_below():
    # Turn 3: std .5 and 0, so the second is dropped and pays 0. Turn 2 credits: (1, 0) and
    # (.5, .5); the first group has the larger std, the second goes with all below it.
    root = tree([(0.0, [(0.0, [1.0, 0.0]), 0.0]), (0.0, [(0.5, [1.0, 1.0]), 0.5])])
    murphy_mars((2, 2, 2), inter_group(1)).grade(root)
    by_turn = [[1.0, 0.0], [1.0, 0.0, None, None], [1.0, 0.0, None, None]]
    assert [n.credit for n in walk(root)] == [credit for turn in by_turn for credit in turn]


def test_what_turn_3_kept_goes_with_a_group_of_turn_2():
    # Turn 3: std .05 stays, 0 goes and pays 0. Turn 2 credits (.6, .6) and (0, 1): the first goes,
    # and with it the group that turn 3 had kept.
    root = tree([(0.0, [(0.5, [0.6, 0.5]), 0.6]), (0.0, [(0.0, [0.3, 0.3]), 1.0])])
    murphy_mars((2, 2, 2), inter_group(1)).grade(root)
    by_turn = [[0.0, 1.0], [None, None, 0.0, 1.0], [None] * 4]
    assert [n.credit for n in walk(root)] == [credit for turn in by_turn for credit in turn]


@given(specs(3), st.integers(1, 3))
def test_as_sampled_changes_no_credit(spec, b):
    pruned, whole = tree(spec), tree(spec)
    murphy_mers((5, 5, 5), prune=inter_group(b, dropped_pays="as_sampled")).grade(pruned)
    murphy_mers((5, 5, 5)).grade(whole)
    for ours, theirs in zip(walk(pruned), walk(whole), strict=True):
        assert ours.pruned or ours.credit == theirs.credit


@given(specs(2))
def test_a_large_budget_prunes_nothing(spec):
    whole = tree(spec)
    murphy_mars((5, 5)).grade(whole)
    for prune in (intra_group(5), inter_group(5)):
        root = tree(spec)
        murphy_mars((5, 5), prune).grade(root)
        assert outcome(root) == outcome(whole)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: intra_group(1), "b is 1; keep at least 2"),
        (lambda: intra_group(4, rule="half"), "rule is 'half'"),
        (lambda: inter_group(0), "b is 0; keep at least 1"),
        (lambda: inter_group(2, dropped_pays="mean"), "dropped_pays is 'mean'"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
