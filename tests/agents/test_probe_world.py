"""Credit decides the outcome where a first attempt can hide what is wrong (see `probe_world`).

The bands are wide: over five seeds the spread is under 2 points, under 8 for shuffled credit.
"""

from dataclasses import replace

import numpy as np
import pytest
from probe_world import World, train

from murphy_agents.algorithms import grpo, murphy_mars, murphy_mers, naive, tree_without_credit
from murphy_agents.credit import child_mean
from murphy_agents.prune import inter_group

FAN = (4, 4)
MARS = murphy_mars(FAN)
LEARNS_TO_PROBE = {
    "mars": MARS,
    "mers .9": murphy_mers(FAN),
    "mers 1": murphy_mers(FAN, gamma=1.0),
    "child mean": replace(MARS, credit=child_mean),
    "naive": naive(10, train_turns="all"),
}
LEARNS_TO_HEDGE = {"grpo": grpo(20), "no credit": tree_without_credit(FAN)}
STAYS = {
    "shuffled": murphy_mars(FAN, shuffle_credit=True),
    # The first attempt is not trained, so its style stays where it began.
    "naive, last turn": naive(10),
}
STRONG_HEDGE = World(quiet=0.75, loud=0.25)

seeds = pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 5))]
)


def test_the_world_starts_indifferent():
    policy = train(MARS, seed=0, steps=0)
    assert policy.loud_share() == pytest.approx(0.5)
    assert policy.solve_rate(1) == pytest.approx(1 / 8)
    # A loud failure is repaired with probability 1/2, a quiet one with 1 / (7 + 1/e).
    repaired = (1 / 2 + 1 / (7 + np.exp(-1))) / 2
    assert policy.solve_rate(2) == pytest.approx(1 / 8 + 7 / 8 * repaired)


@seeds
@pytest.mark.parametrize("name", LEARNS_TO_PROBE)
def test_credit_from_later_turns_teaches_to_fail_loudly(name, seed):
    policy = train(LEARNS_TO_PROBE[name], seed)
    assert policy.loud_share() > 0.85
    assert policy.solve_rate(3) > 0.9


@seeds
@pytest.mark.parametrize("name", LEARNS_TO_HEDGE)
def test_own_reward_teaches_to_hide_errors(name, seed):
    policy = train(LEARNS_TO_HEDGE[name], seed)
    assert policy.loud_share() < 0.15
    assert policy.solve_rate(3) < 0.6


@seeds
@pytest.mark.parametrize("name", STAYS)
def test_without_attribution_the_style_stays(name, seed):
    assert 0.3 < train(STAYS[name], seed).loud_share() < 0.7


@seeds
def test_under_a_strong_hedge_the_best_refinement_outweighs_and_the_mean_does_not(seed):
    assert train(MARS, seed, STRONG_HEDGE).loud_share() > 0.85
    assert train(murphy_mers(FAN, gamma=1.0), seed, STRONG_HEDGE).loud_share() < 0.15


@seeds
def test_credit_is_indifferent_where_a_second_guess_suffices(seed):
    policy = train(MARS, seed, World(k=2))
    assert 0.3 < policy.loud_share() < 0.7
    assert policy.solve_rate(2) > 0.95


@seeds
def test_what_a_dropped_group_pays_decides_too(seed):
    # A loud parent whose refinements all succeed has no spread: its group is dropped, and "zero"
    # takes the credit away that the probe has earned.
    zero = train(murphy_mars(FAN, inter_group(2)), seed)
    as_sampled = train(murphy_mars(FAN, inter_group(2, dropped_pays="as_sampled")), seed)
    assert zero.loud_share() < 0.5
    assert as_sampled.loud_share() > 0.85


def test_a_run_is_a_function_of_its_seed():
    first, second = (train(MARS, seed=3, steps=20).logits for _ in range(2))
    assert np.array_equal(first, second)
