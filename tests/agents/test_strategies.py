"""Every word of the settings reaches the strategy that it names."""

from dataclasses import replace

import pytest
from trees import tree

from murphy_agents import advantage, balance
from murphy_agents.algorithms import murphy_mars, murphy_mers, naive, tree_without_credit
from murphy_agents.config import TrainConfig
from murphy_agents.prune import inter_group, intra_group
from murphy_agents.strategies import algorithm_of
from murphy_agents.tree import walk

# Rewards as (own, refinements): two failed attempts with unlike repairs, one solved at once, one
# that stays as it was.
FORKED = [
    (0.5, [1.0, 0.25, 0.0]),
    (0.25, [0.75, 0.5, 0.5]),
    1.0,
    (0.0, [0.0, 0.25, 1.0]),
    (0.75, [0.75, 0.75, 0.75]),
]
CHAINS = [(0.5, [1.0]), 1.0, (0.25, [0.0]), (0.0, [0.5])]


def graded(algorithm, shape):
    root = tree(shape)
    for number, node in enumerate(walk(root)):
        node.completion_ids = (number,)
    algorithm.grade(root)
    return [(n.credit, n.pruned, n.advantage, n.weight) for n in walk(root)]


def same(settings, by_hand, shape=FORKED):
    """The settings give what was made by hand, and something else than the defaults give."""
    fanout = {} if settings.get("algorithm") == "naive" else {"fanout": [5, 3]}
    found = graded(algorithm_of(TrainConfig(**fanout, **settings)), shape)
    assert found == graded(by_hand, shape)
    return found


MARS = murphy_mars((5, 3))
PLAIN = graded(MARS, FORKED)


@pytest.mark.parametrize(
    ("settings", "by_hand"),
    [
        ({"algorithm": "tree_without_credit"}, tree_without_credit((5, 3))),
        ({"algorithm": "murphy_mers"}, murphy_mers((5, 3), 0.9)),
        ({"algorithm": "murphy_mers", "gamma": 0.5}, murphy_mers((5, 3), 0.5)),
        (
            {"algorithm": "murphy_mers", "childless": "literal"},
            murphy_mers((5, 3), 0.9, "literal"),
        ),
        ({"scale": "population"}, replace(MARS, scale=advantage.standardize_population)),
        ({"scale": "center"}, replace(MARS, scale=advantage.center)),
        ({"scale": "leave_one_out"}, replace(MARS, scale=advantage.leave_one_out)),
        ({"loss_type": "dr_grpo"}, replace(MARS, scale=advantage.center)),
        ({"loss_type": "rloo"}, replace(MARS, scale=advantage.leave_one_out)),
        (
            {"loss_type": "rloo", "scale": "population"},
            replace(MARS, scale=advantage.standardize_population),
        ),
        ({"balance": "turns"}, replace(MARS, balance=balance.mean_of_turns)),
        ({"balance": "groups"}, replace(MARS, balance=balance.mean_of_groups)),
        (
            {"shuffle_credit": True, "seed": 3},
            murphy_mars((5, 3), shuffle_credit=True, shuffle_seed=3),
        ),
    ],
)
def test_credit_scale_and_balance(settings, by_hand):
    assert same(settings, by_hand) != PLAIN


@pytest.mark.parametrize(
    ("settings", "pruned"),
    [
        ({"prune": "intra_group"}, intra_group(2)),
        ({"prune": "intra_group", "prune_rule": "contribution"}, intra_group(2, "contribution")),
        (
            {"prune": "intra_group", "prune_keep_descendants": True},
            intra_group(2, keep_descendants=True),
        ),
        ({"prune": "inter_group"}, inter_group(2)),
        ({"prune": "inter_group", "prune_alpha1": 5.0}, inter_group(2, alpha1=5.0)),
        (
            {"prune": "inter_group", "prune_alpha1": 1.0, "prune_alpha2": -3.0},
            inter_group(2, alpha1=1.0, alpha2=-3.0),
        ),
        (
            {"prune": "inter_group", "prune_dropped_pays": "as_sampled"},
            inter_group(2, dropped_pays="as_sampled"),
        ),
    ],
)
@pytest.mark.parametrize("algorithm", ["murphy_mars", "murphy_mers", "tree_without_credit"])
def test_pruning(settings, pruned, algorithm):
    by_hand = {
        "murphy_mars": murphy_mars((5, 3), pruned),
        "murphy_mers": murphy_mers((5, 3), prune=pruned),
        "tree_without_credit": tree_without_credit((5, 3), pruned),
    }
    found = same({"algorithm": algorithm, "prune_budget": 2, **settings}, by_hand[algorithm])
    assert any(node[1] for node in found)


def test_the_prunings_of_the_test_above_differ():
    found = [
        graded(murphy_mars((5, 3), pruned), FORKED)
        for pruned in (
            intra_group(2),
            intra_group(2, keep_descendants=True),
            inter_group(2),
            inter_group(2, alpha1=5.0),
            inter_group(2, dropped_pays="as_sampled"),
        )
    ]
    assert all(found.count(one) == 1 for one in found)


def test_chains():
    plain = same({"algorithm": "naive", "num_generations": 4}, naive(4, 2), CHAINS)
    for settings, by_hand in [
        ({"train_turns": "all"}, naive(4, 2, train_turns="all")),
        ({"solved_early": "exclude"}, naive(4, 2, solved_early="exclude")),
    ]:
        settings = {"algorithm": "naive", "num_generations": 4, **settings}
        assert same(settings, by_hand, CHAINS) != plain


def test_shapes():
    shapes = {
        "grpo": (6,), "murphy_mars": (6, 6, 6), "murphy_mers": (6, 6, 6), "naive": (6, 1, 1),
        "tree_without_credit": (6, 6, 6),
    }  # fmt: skip
    for name, shape in shapes.items():
        config = TrainConfig(algorithm=name, num_generations=6, num_turns=3)
        assert algorithm_of(config).expand == shape


def halved(config):
    """An algorithm of the tests' own."""
    part = replace(murphy_mars(tuple(config.fanout)), scale=advantage.center)
    return replace(part, credit=lambda reward, children, left: config.gamma * reward)


NOT_CALLED = murphy_mars()
HERE = f"{__name__}:"


def test_a_function_of_the_settings_makes_the_algorithm_as_it_is():
    config = TrainConfig(make_algorithm=HERE + "halved", fanout=[2, 3], gamma=0.5)
    assert (config.algorithm_name, config.scale) == (HERE + "halved", None)
    algorithm = algorithm_of(config)
    assert algorithm.expand == (2, 3)
    assert algorithm.credit(0.5, [1.0], 1) == 0.25
    # Its own scale, which is not the one of the settings' default.
    assert algorithm.scale is advantage.center
    assert replace(config).scale is None


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"make_algorithm": "halved"}, "'halved' cannot be imported .* 'package.module:NAME'"),
        ({"make_algorithm": "./halved.py:halved"}, "'./halved.py:halved' cannot be imported"),
        ({"make_algorithm": HERE + "none"}, "test_strategies:none' cannot be imported"),
        ({"make_algorithm": HERE + "NOT_CALLED"}, "NOT_CALLED', which is Algorithm.*a function"),
        ({"make_algorithm": "builtins:repr"}, "'builtins:repr', which gave .* returns a murphy_"),
        ({"make_algorithm": HERE + "halved", "algorithm": "grpo"}, "algorithm is given but read"),
        ({"make_algorithm": HERE + "halved", "balance": "turns"}, "without make_algorithm"),
        ({"make_algorithm": HERE + "halved", "scale": "center"}, "without make_algorithm"),
        ({"make_algorithm": HERE + "halved", "shuffle_credit": True}, "read only by murphy_mars"),
        ({"make_algorithm": HERE + "halved", "train_turns": "all"}, "read only by naive"),
        (
            {"make_algorithm": HERE + "halved", "prune": "intra_group", "prune_budget": 2},
            "prune is given but read only by the algorithms",
        ),
    ],
)
def test_a_function_that_makes_none_is_named(settings, named):
    with pytest.raises(ValueError, match=named):
        TrainConfig(**{"fanout": [2, 2], **settings})
