"""Credit functions on numbers worked out by hand."""

import math
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from murphy_agents.credit import child_mean, max_reward, mean_reward, own_reward

share = st.floats(0, 1)


def test_own_reward_looks_at_nothing_else():
    assert own_reward(0.25, [1.0, 1.0], 1) == 0.25


def test_max_reward_takes_the_best_refinement():
    assert max_reward(0.25, [0.0, 0.75, 0.5], 1) == 0.75


def test_max_reward_never_falls_when_feedback_does_not_help():
    assert max_reward(0.5, [0.25, 0.0], 1) == 0.5


def test_max_reward_of_a_leaf_is_its_own():
    assert max_reward(0.25, [], 1) == 0.25


def test_mean_reward_by_hand():
    # S = 3, s = 1: (0.5 + 0.9 * (1 + 0 + 0.5) / 3) / 3 = (0.5 + 0.45) / 3
    assert mean_reward(0.9)(0.5, [1.0, 0.0, 0.5], 2) == pytest.approx(0.95 / 3, abs=1e-15)
    # S = 2, s = 1, gamma 1: (0.5 + 1) / 2
    assert mean_reward(1.0)(0.5, [1.0, 1.0], 1) == 0.75


def test_mean_reward_of_a_solved_first_attempt_in_either_reading():
    # Literal: 1 / (2 - 1 + 1) = 0.5, less than the 0.7 of failing first and repairing for certain.
    literal = mean_reward(0.9, childless="literal")
    assert literal(1.0, [], 1) == 0.5
    assert literal(0.5, [1.0, 1.0], 1) == pytest.approx(0.7, abs=1e-15)
    assert mean_reward(0.9)(1.0, [], 1) == 1.0


def test_readings_of_a_leaf_agree_at_the_last_turn():
    assert mean_reward(0.9, childless="literal")(0.25, [], 0) == 0.25
    assert mean_reward(0.9, childless="keep")(0.25, [], 0) == 0.25


def test_refinements_of_credit_zero_are_not_the_same_as_none():
    assert mean_reward(0.9)(0.5, [0.0], 1) == 0.25
    assert mean_reward(0.9)(0.5, [], 1) == 0.5


def test_child_mean_ignores_its_own_reward_once_refined():
    assert child_mean(0.75, [1.0, 0.0], 1) == 0.5
    assert child_mean(0.75, [], 1) == 0.75


@pytest.mark.parametrize("gamma", [-0.1, 1.1, math.nan])
def test_gamma_outside_a_share_is_refused(gamma):
    with pytest.raises(ValueError, match="gamma is"):
        mean_reward(gamma)


def test_unknown_reading_of_a_leaf_is_refused():
    with pytest.raises(ValueError, match="childless is 'zero'"):
        mean_reward(0.9, childless="zero")


@given(share, st.lists(share, max_size=6), st.integers(1, 4), share)
def test_shares_stay_shares(reward, children, turns_left, gamma):
    for credit in (
        own_reward,
        max_reward,
        child_mean,
        mean_reward(gamma),
        mean_reward(gamma, childless="literal"),
    ):
        assert 0 <= credit(reward, children, turns_left) <= 1


@given(share, st.lists(share, max_size=6))
def test_max_reward_is_never_below_the_own_one_and_idempotent(reward, children):
    credit = max_reward(reward, children, 1)
    assert credit >= reward
    assert max_reward(credit, children, 1) == credit


def test_order_of_refinements_changes_no_bit():
    # 0.1 + 0.2 + 0.3 != 0.3 + 0.2 + 0.1 in floats.
    for credit in (mean_reward(0.9), child_mean):
        assert len({credit(0.5, list(c), 1) for c in permutations([0.1, 0.2, 0.3])}) == 1
