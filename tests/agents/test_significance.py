"""p values: by hand, exact where they can be, and uniform where there is nothing to find."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from murphy_agents.stats.significance import (
    holm,
    mcnemar,
    pass_at_k,
    seeds_p_value,
    sign_flip,
)
from murphy_agents.stats.statistics import paired_interval


def numbered(values):
    return {f"t{i}": float(value) for i, value in enumerate(values)}


def zeros(values):
    return dict.fromkeys(values, 0.0)


def test_pass_at_k_counts_the_draws_with_a_solution():
    # Of 5 samples 2 solve: C(3, 2) = 3 of the C(5, 2) = 10 pairs have none.
    assert pass_at_k(5, 2, 2) == 0.7
    assert [pass_at_k(4, 0, 3), pass_at_k(4, 4, 1), pass_at_k(4, 2, 3)] == [0.0, 1.0, 1.0]
    assert pass_at_k(10, 3, 1) == 0.3
    # The mean over all draws, one by one.
    solved = [True, True, True, False, False, False, False]
    draws = [any(draw) for draw in itertools.combinations(solved, 3)]
    assert pass_at_k(7, 3, 3) == pytest.approx(np.mean(draws))
    # 1 in 10,000, where 1 minus a rounded product would lose digits.
    assert pass_at_k(10_000, 1, 1) == 1e-4


@pytest.mark.parametrize(
    ("counts", "named"),
    [
        ((3, 1, 4), "k is 4 with 3 samples; give a k from 1"),
        ((3, 1, 0), "k is 0"),
        ((3, 4, 1), "num_solved is 4"),
        ((3, -1, 1), "num_solved is -1"),
    ],
)
def test_samples_that_cannot_be(counts, named):
    with pytest.raises(ValueError, match=named):
        pass_at_k(*counts)


def test_sign_flips_are_all_looked_at_where_they_are_few():
    # Of the 2^4 patterns of signs of 1, 1, 1, -1/2 (sum 2.5), sums of at least 2.5 in size: +++-
    # (2.5), ++++ (3.5), and both turned round: 4 of 16.
    b = numbered([1, 1, 1, -0.5])
    assert sign_flip(zeros(b), b) == sign_flip(b, zeros(b)) == 4 / 16
    # Five gains: both ends of 2^5.
    assert sign_flip(zeros(numbered([1] * 5)), numbered([1] * 5)) == 2 / 32
    assert sign_flip(zeros(numbered([1])), numbered([1])) == 1.0


def test_tasks_without_a_difference_change_nothing():
    few = numbered([1, 1, 1, -0.5])
    many = few | {f"same {i}": 0.0 for i in range(200)}
    assert sign_flip(zeros(many), many) == 4 / 16
    assert sign_flip(many, many) == 1.0


@pytest.mark.parametrize(
    "thirtieths",
    [
        # A sum of 0 that floats make 1e-16, and sums that terms rounded to 9 digits would part.
        [4, 8, -7, 2, 3, 6, -7, -9],
        [-4, -7, 9, 2, 2, 7],
        [5, 5, -5, -7, -1, 4, -6, 8, -4, 1, -2, 2],
    ],
)
def test_sums_that_differ_by_rounding_alone_are_ties(thirtieths):
    # In whole numbers, pattern by pattern, there is nothing to round.
    patterns = itertools.product([-1, 1], repeat=len(thirtieths))
    sums = [abs(int(np.dot(pattern, thirtieths))) for pattern in patterns]
    exact = np.mean([size >= abs(sum(thirtieths)) for size in sums])
    b = numbered(np.array(thirtieths) / 30)
    assert sign_flip(zeros(b), b) == exact


def test_differences_that_are_rounding_alone_are_none():
    few = numbered([1, 1, 1, -0.5])
    # 0.1 + 0.2 is 0.30000000000000004; with 204 signs to toss nothing would be exact.
    a = zeros(few) | {f"same {i}": 0.3 for i in range(200)}
    b = few | {f"same {i}": 0.1 + 0.2 for i in range(200)}
    assert sign_flip(a, b) == 4 / 16


def test_clusters_are_flipped_whole():
    b = {f"{name}{i}": 1.0 for name in "xyz" for i in range(4)}
    clusters = {task: task[0] for task in b}
    # Three sums of 4: both ends of 2^3. One by one it would be 2 / 2^12.
    assert sign_flip(zeros(b), b, clusters) == 2 / 8
    assert sign_flip(zeros(b), b) == 2 / 2**12
    # A cluster whose differences cancel has no sign.
    even = {"x0": 1.0, "x1": -1.0, "y0": 1.0, "z0": 1.0}
    assert sign_flip(zeros(even), even, clusters) == 2 / 4


def test_drawn_flips_are_near_the_exact_value_and_the_same_again():
    rng = np.random.default_rng(0)
    b = numbered(rng.normal(0.3, 1, 14))
    exact = sign_flip(zeros(b), b)
    drawn = sign_flip(zeros(b), b, num_resamples=10_000)
    # 2^14 patterns are more than 10,000. Monte Carlo error of twice a tail: below 0.01.
    assert 0.02 < exact < 0.9
    assert 0 < abs(drawn - exact) < 0.03
    assert drawn == sign_flip(zeros(b), b, num_resamples=10_000)
    assert drawn != sign_flip(zeros(b), b, num_resamples=10_000, seed=1)
    shuffled = dict(reversed(b.items()))
    assert drawn == sign_flip(zeros(shuffled), shuffled, num_resamples=10_000)


def test_agrees_with_the_t_test_on_plain_noise():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=60), rng.normal(0.35, 1, 60)
    found = sign_flip(numbered(a), numbered(b))
    assert found == pytest.approx(stats.ttest_rel(a, b).pvalue, abs=0.01)


def runs_of(difficulty, num_runs, rng):
    return numbered(rng.binomial(num_runs, difficulty) / num_runs)


def ps_of_one_model(runs_a, runs_b, num_tasks=60, num_sets=300, shape=(0.6, 0.6)):
    """p values where both sides are draws from one model, whose tasks differ in difficulty."""
    for number in range(num_sets):
        rng = np.random.default_rng(number)
        difficulty = rng.beta(*shape, num_tasks)
        a, b = (runs_of(difficulty, runs, rng) for runs in (runs_a, runs_b))
        yield sign_flip(a, b, num_resamples=499, seed=number)


@pytest.mark.parametrize("runs", [(3, 3), (1, 10)])
def test_false_alarms_are_as_rare_as_p_says(runs):
    ps = np.array(list(ps_of_one_model(*runs)))
    for alpha in (0.05, 0.2, 0.5):
        # Three standard errors of a share of 300 sets. Few runs make ties, so p may be too large.
        assert alpha / 3 < np.mean(ps <= alpha) < alpha + 3 * (alpha * (1 - alpha) / 300) ** 0.5


def test_p_is_uniform_where_there_is_nothing_to_find():
    ps = []
    for number in range(300):
        rng = np.random.default_rng(number)
        b = numbered(rng.normal(0, rng.gamma(1, 1, 40)))
        ps.append(sign_flip(zeros(b), b, num_resamples=999, seed=number))
    assert stats.kstest(ps, "uniform").pvalue > 0.01


def shares_found(gain, num_tasks=164, num_runs=3, num_sets=200):
    """How often p <= .05 where a model solves every task more often: by three tests."""
    found = {"sign_flip": 0, "welch of run means": 0, "mcnemar of one run": 0}
    for number in range(num_sets):
        rng = np.random.default_rng(number)
        difficulty = rng.beta(0.6, 0.6, num_tasks)
        better = 1 / (1 + (1 / np.clip(difficulty, 1e-9, 1 - 1e-9) - 1) * math.exp(-gain))
        a, b = (rng.random((num_runs, num_tasks)) < share for share in (difficulty, better))
        p = sign_flip(numbered(a.mean(0)), numbered(b.mean(0)), num_resamples=499, seed=number)
        found["sign_flip"] += p <= 0.05
        welch = stats.ttest_ind(a.mean(1), b.mean(1), equal_var=False).pvalue
        found["welch of run means"] += welch <= 0.05
        found["mcnemar of one run"] += mcnemar(numbered(a[0]), numbered(b[0])) <= 0.05
    return {name: count / num_sets for name, count in found.items()}


# Runs that happen to reach the same share have no spread for Welch's test.
@pytest.mark.filterwarnings("ignore:Precision loss occurred:RuntimeWarning")
def test_pairing_problems_finds_more_than_comparing_runs():
    found = shares_found(gain=0.4)
    assert found["sign_flip"] > 0.5
    assert found["sign_flip"] > 0.15 + found["welch of run means"]
    assert found["sign_flip"] > 0.15 + found["mcnemar of one run"]


def test_flipping_tasks_of_one_cluster_apart_would_raise_false_alarms():
    alarms = {"clusters": 0, "tasks": 0}
    for number in range(200):
        rng = np.random.default_rng(number)
        shifts = np.repeat(rng.normal(size=20), 6)
        b = numbered(shifts + rng.normal(0, 0.5, 120))
        clusters = {task: str(int(task[1:]) // 6) for task in b}
        p = sign_flip(zeros(b), b, clusters, num_resamples=499, seed=number)
        alarms["clusters"] += p <= 0.05
        alarms["tasks"] += sign_flip(zeros(b), b, num_resamples=499, seed=number) <= 0.05
    assert alarms["clusters"] / 200 <= 0.09
    assert alarms["tasks"] / 200 >= 0.25


def test_paired_intervals_agree_with_scipy():
    rng = np.random.default_rng(2)
    difficulty = rng.beta(0.6, 0.6, 80)
    a, b = (rng.binomial(3, p) / 3 for p in (difficulty, np.clip(difficulty + 0.1, 0, 1)))
    found = paired_interval(
        numbered(a), numbered(b), {t: t for t in numbered(a)}, num_resamples=100_000
    )
    theirs = stats.bootstrap(
        (a, b), lambda a, b, axis: (b - a).mean(axis=axis), paired=True, method="percentile",
        n_resamples=100_000, batch=10_000, rng=3,
    ).confidence_interval  # fmt: skip
    assert found.mean == pytest.approx((b - a).mean())
    # Standard error of the mean about .03; a 2.5 % quantile of 100,000 draws: .008 of that, twice.
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.0025)


def test_mcnemar_asks_the_tasks_that_one_alone_solved():
    a = numbered([1, 1, 0, 0, 0, 0, 0, 0, 1])
    b = numbered([1, 0, 1, 1, 1, 1, 1, 0, 1])
    # 5 gained, 1 lost: 2 (C(6,0) + C(6,1)) / 2^6 = 14 / 64.
    assert mcnemar(a, b) == mcnemar(b, a) == pytest.approx(14 / 64)
    assert mcnemar(a, a) == 1.0
    # The flips of ones and minus ones are the same tosses.
    assert sign_flip(a, b) == pytest.approx(14 / 64)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: mcnemar({"a": 1, "b": 1 / 3}, {"a": 1, "b": 1}), "'b' .*0.33.*use sign_flip"),
        (lambda: mcnemar({"a": 1}, {"a": 0.5}), "'a' .*0.5.*use sign_flip"),
        (lambda: mcnemar({"a": 1}, {"b": 1}), "2 tasks have a value on one side alone"),
        (lambda: mcnemar({}, {}), "no values"),
        (lambda: sign_flip({}, {}), "no values"),
        (lambda: sign_flip({"a": 1}, {"b": 1}), "2 tasks have a value on one side alone"),
        (lambda: sign_flip({"a": 1, "b": 0}, {"a": 1, "b": 1}, {"a": "x"}), "'b' has no cluster"),
        (lambda: sign_flip({"a": 1}, {"a": math.nan}), "'a' is nan"),
        (lambda: holm({"x": math.nan}), "'x' is nan"),
        (lambda: holm({"x": 1.5}), "'x' is 1.5"),
    ],
)
def test_what_cannot_be_tested_is_named(call, named):
    with pytest.raises(ValueError, match=named):
        call()


def test_holm_steps_down():
    # In order .005, .01, .03, .04: times 4, 3, 2, 1 is .02, .03, .06, .04; the last may not be
    # below the one before it.
    found = holm({"c": 0.03, "d": 0.04, "a": 0.005, "b": 0.01})
    assert list(found) == ["c", "d", "a", "b"]
    assert found == pytest.approx({"a": 0.02, "b": 0.03, "c": 0.06, "d": 0.06})
    # 2 x .7 is cut at 1, and so is what follows.
    assert holm({"a": 0.7, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    assert holm({"a": 0.2}) == {"a": 0.2}
    assert holm({}) == {}
    assert holm({"a": 0.02, "b": 0.02}) == {"a": 0.04, "b": 0.04}


def test_holm_keeps_false_alarms_of_a_family_rare():
    rng = np.random.default_rng(0)
    families = rng.random((2000, 6))
    alarms = [min(holm(numbered(ps)).values()) <= 0.05 for ps in families]
    # 1 - (1 - .05 / 6)^6 = .049; uncorrected it would be 1 - .95^6 = .265.
    assert 0.035 <= np.mean(alarms) <= 0.065


def test_p_of_differences_between_trainings_is_students():
    # Mean 2, sample variance 1, so t = 2 / sqrt(1/3) with 2 degrees of freedom, whose p is
    # 1 - t / sqrt(t² + 2).
    t = 2 * math.sqrt(3)
    assert seeds_p_value([1, 2, 3]) == pytest.approx(1 - t / math.sqrt(t**2 + 2))
    assert seeds_p_value([-1, -2, -3]) == seeds_p_value([1, 2, 3])
    assert seeds_p_value([1, 2, 3], against=2) == pytest.approx(1)
    assert seeds_p_value([0.31, 0.32, 0.33], against=0.3) == pytest.approx(
        seeds_p_value([0.01, 0.02, 0.03])
    )


def test_differences_without_spread_say_what_their_number_can():
    assert seeds_p_value([0.5] * 5) == 2 / 2**5
    assert seeds_p_value([0.1 + 0.2, 0.3, 0.3], against=0.3) == 1
    assert seeds_p_value([0.0, 0.0]) == 1


@pytest.mark.parametrize("differences", [[], [0.5], [0.5, float("nan")]])
def test_p_of_too_few_trainings_is_refused(differences):
    with pytest.raises(ValueError, match="give two finite ones"):
        seeds_p_value(differences)
