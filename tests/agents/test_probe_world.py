"""Credit decides the outcome where a first attempt can hide what is wrong, or learn what is asked.

The worlds are in `benchmarks.compare.tabular`. The bands are wide: over five seeds the standard
deviation is under 3 points where a policy probes, under 8 for shuffled credit and for GRPO in the
sorting world. Where MeRS ends in the sorting world is a matter of luck, so it is not asked here.
"""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.compare.tabular.arms import ARMS, WORLDS
from benchmarks.compare.tabular.probe import probe
from benchmarks.compare.tabular.sorting import sorting
from benchmarks.compare.tabular.world import train
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
STRONG_HEDGE = WORLDS["probe, strong"]

seeds = pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 5))]
)


def test_the_probe_world_starts_indifferent():
    policy = train(probe(), MARS, seed=0, steps=0)
    assert policy.probing_share() == pytest.approx(0.5)
    assert policy.solve_rate(1) == pytest.approx(1 / 8)
    # A loud failure is repaired with probability 1/2, a quiet one with 1 / (7 + 1/e).
    repaired = (1 / 2 + 1 / (7 + np.exp(-1))) / 2
    assert policy.solve_rate(2) == pytest.approx(1 / 8 + 7 / 8 * repaired)


def test_what_a_probe_world_starts_with_can_be_set():
    policy = train(probe(loud_share=0.1, skill=0.2), MARS, seed=0, steps=0)
    assert policy.probing_share() == pytest.approx(0.1)
    repaired = 0.1 * 0.2 + 0.9 / (7 + np.exp(-1))
    assert policy.solve_rate(2) == pytest.approx(1 / 8 + 7 / 8 * repaired)


@seeds
@pytest.mark.parametrize("name", LEARNS_TO_PROBE)
def test_credit_from_later_turns_teaches_to_fail_loudly(name, seed):
    policy = train(probe(), LEARNS_TO_PROBE[name], seed)
    assert policy.probing_share() > 0.85
    assert policy.solve_rate(3) > 0.9


@seeds
@pytest.mark.parametrize("name", LEARNS_TO_HEDGE)
def test_own_reward_teaches_to_hide_errors(name, seed):
    policy = train(probe(), LEARNS_TO_HEDGE[name], seed)
    assert policy.probing_share() < 0.15
    assert policy.solve_rate(3) < 0.6


@seeds
@pytest.mark.parametrize("name", STAYS)
def test_without_attribution_the_style_stays(name, seed):
    assert 0.3 < train(probe(), STAYS[name], seed).probing_share() < 0.7


@seeds
def test_under_a_strong_hedge_the_best_refinement_outweighs_and_the_mean_does_not(seed):
    assert train(STRONG_HEDGE, MARS, seed).probing_share() > 0.85
    assert train(STRONG_HEDGE, murphy_mers(FAN, gamma=1.0), seed).probing_share() < 0.15


@seeds
def test_credit_is_indifferent_where_a_second_guess_suffices(seed):
    policy = train(probe(k=2), MARS, seed)
    assert 0.3 < policy.probing_share() < 0.7
    assert policy.solve_rate(2) > 0.95


@seeds
def test_where_the_message_says_nothing_nobody_gains(seed):
    # 1/8 + 7/8 * 1/7 is all that a second guess can do.
    for algorithm in (MARS, tree_without_credit(FAN)):
        assert train(probe(blind=True), algorithm, seed).solve_rate(2) < 0.26


@seeds
def test_what_a_dropped_group_pays_decides_too(seed):
    # A loud parent whose refinements all succeed has no spread: its group is dropped, and "zero"
    # takes the credit away that the probe has earned.
    zero = train(probe(), murphy_mars(FAN, inter_group(2)), seed)
    as_sampled = train(probe(), murphy_mars(FAN, inter_group(2, dropped_pays="as_sampled")), seed)
    assert zero.probing_share() < 0.5
    assert as_sampled.probing_share() > 0.85


@seeds
def test_a_terminal_reward_does_not_mind_the_hedge(seed):
    assert train(probe(), ARMS["rlef"](), seed).probing_share() > 0.85
    assert train(STRONG_HEDGE, ARMS["rlef"](), seed).probing_share() > 0.85


@seeds
def test_discounted_turns_follow_the_hedge_as_the_mean_does(seed):
    discounted = ARMS["discounted turns .9"]
    assert train(probe(), discounted(), seed).probing_share() > 0.85
    assert train(STRONG_HEDGE, discounted(), seed).probing_share() < 0.15
    # Kevin's gamma counts too little of the second turn for either.
    assert train(probe(), ARMS["discounted turns .4"](), seed).probing_share() < 0.4


@seeds
def test_refusing_parents_saves_generations(seed):
    mars = train(probe(), MARS, seed)
    refusing = train(probe(), ARMS["mars, promising"](), seed)
    paid = train(probe(), ARMS["mars, promising, paid"](), seed)
    # Of these five seeds .83 to .90 of the generations of MaRS.
    assert paid.num_generations < 0.93 * mars.num_generations
    assert refusing.num_generations < 0.93 * mars.num_generations
    assert refusing.probing_share() < paid.probing_share()


def test_the_sorting_world_starts_indifferent():
    policy = train(sorting(), MARS, seed=0, steps=0)
    assert policy.probing_share() == pytest.approx(0.5)
    # Half of the tasks by the half that sorts alphabetically, 1/12 of them by each reading.
    assert policy.solve_rate(1) == pytest.approx(1 / 4 + 1 / 24)
    # Alphabetically and wrong, 1/4: "by length", a reading with probability 1 / (6 + 1/e).
    # By length and wrong, 1/2 - 1/24: what is asked for was named, used with probability 1/2.
    second = 1 / 4 / (6 + np.exp(-1)) + (1 / 2 - 1 / 24) / 2
    assert policy.solve_rate(2) == pytest.approx(1 / 4 + 1 / 24 + second)


@seeds
@pytest.mark.parametrize("name", ["mars", "child mean", "naive, all turns", "rlef"])
def test_credit_gives_up_the_first_attempt_for_the_second(name, seed):
    policy = train(sorting(), ARMS[name](), seed)
    assert policy.probing_share() > 0.9
    assert policy.solve_rate(1) < 0.15
    assert policy.solve_rate(2) > 0.9


@seeds
def test_own_reward_keeps_the_first_attempt_and_loses_the_second(seed):
    policy = train(sorting(), ARMS["grpo"](), seed)
    assert policy.probing_share() < 0.2
    assert policy.solve_rate(1) > 0.4
    assert policy.solve_rate(2) < 0.7


@seeds
def test_a_tree_without_credit_gets_part_of_the_second_attempt_by_luck(seed):
    # Scaled by each task's own spread, an order wrong in ties alone beats the likely one wherever
    # that is wrong, in half of the tasks: of ten seeds (0 to 9) two end with more than half probes.
    # Among these five the highest reaches 75 % at the second attempt.
    assert train(sorting(), ARMS["tree without credit"](), seed).solve_rate(2) < 0.85


@seeds
def test_with_a_turn_to_spare_credit_is_not_needed(seed):
    # The second attempt is a probe of itself.
    assert train(sorting(), ARMS["tree without credit"](), seed).solve_rate(3) > 0.9


@pytest.mark.parametrize("name", ["mars", "mars, promising, paid"])
def test_a_run_is_a_function_of_its_seed(name):
    first, second = (train(probe(), ARMS[name](), seed=3, steps=40).logits_RC for _ in range(2))
    assert np.array_equal(first, second)
