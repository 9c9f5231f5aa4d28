"""The tree: order of traversal and what counts."""

from trees import tree

from murphy_agents.tree import counted, credits, groups, walk


def test_groups_come_turn_by_turn():
    root = tree([(0.1, [(0.2, [0.3]), 0.4]), (0.5, [0.6])])
    rewards = [[node.reward for node in group.nodes] for group in groups(root)]
    assert rewards == [[0.1, 0.5], [0.2, 0.4], [0.6], [0.3]]
    assert [group.turn for group in groups(root)] == [1, 2, 2, 3]


def test_walk_visits_every_node_once_before_its_refinements():
    root = tree([(0.1, [(0.2, [0.3]), 0.4]), (0.5, [0.6])])
    assert [node.reward for node in walk(root)] == [0.1, 0.5, 0.2, 0.4, 0.6, 0.3]


def test_a_node_without_credit_does_not_count():
    root = tree([0.5, None, 0.0])
    root.nodes[0].credit = 0.5
    root.nodes[2].credit = 0.0
    assert counted(root) == [root.nodes[0], root.nodes[2]]
    assert credits(walk(root)) == [0.5, 0.0]


def test_nodes_are_compared_by_identity():
    # Equal rewards must not make two generations one.
    root = tree([0.5, 0.5])
    assert root.nodes[0] != root.nodes[1]
