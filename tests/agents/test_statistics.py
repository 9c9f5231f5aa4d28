"""Intervals: by hand, against scipy, and by how often they cover a truth that is known."""

import random
import time

import numpy as np
import pytest
from scipy import stats

from murphy_agents.stats import resampling
from murphy_agents.stats.statistics import (
    interval,
    paired_interval,
    seeds_difference,
    seeds_interval,
)


def alone(values):
    """Each task a cluster of its own."""
    return {task: task for task in values}


def numbered(values):
    return {f"t{i}": float(value) for i, value in enumerate(values)}


def test_clusters_are_drawn_whole():
    # A cluster of one task with value 1, one of three with 0. Two draws: both the first (1/4 of the
    # time, mean 1), one of each (1/2, mean 1/4), both the second (1/4, mean 0).
    values = {"a": 1, "b": 0, "c": 0, "d": 0}
    clusters = {"a": "one", "b": "three", "c": "three", "d": "three"}
    found = interval(values, clusters)
    assert (found.mean, found.low, found.high) == (0.25, 0.0, 1.0)
    inner = interval(values, clusters, level=0.4)  # the middle 40 % lie within the middle half
    assert (inner.low, inner.high) == (0.25, 0.25)


def test_single_clusters_agree_with_scipy():
    drawn = np.random.default_rng(0).normal(size=50)
    found = interval(numbered(drawn), alone(numbered(drawn)), num_resamples=100_000)
    theirs = stats.bootstrap(
        (drawn,), np.mean, method="percentile", n_resamples=100_000, rng=1
    ).confidence_interval
    assert found.mean == pytest.approx(drawn.mean())
    # Both ends have a Monte Carlo error of about 0.0014.
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.006)


def test_copies_of_a_task_say_nothing_new():
    values = numbered(np.random.default_rng(1).random(20))
    copies = {f"{task}/{i}": value for task, value in values.items() for i in range(10)}
    clusters = {name: name.split("/")[0] for name in copies}
    once, tenfold = interval(values, alone(values)), interval(copies, clusters)
    assert (tenfold.low, tenfold.high) == pytest.approx((once.low, once.high))
    careless = interval(copies, alone(copies))
    assert careless.high - careless.low < 0.5 * (once.high - once.low)


def test_order_and_further_clusters_do_not_matter():
    values = numbered(np.random.default_rng(2).random(30))
    clusters = {task: str(int(task[1:]) % 7) for task in values} | {"elsewhere": "x"}
    shuffled = dict(random.Random(0).sample(list(values.items()), 30))
    assert interval(values, clusters) == interval(shuffled, clusters)
    assert interval(values, clusters) != interval(values, clusters, seed=1)


def test_memory_bounds_change_nothing(monkeypatch):
    values = numbered(np.random.default_rng(3).random(30))
    before = interval(values, alone(values))
    monkeypatch.setattr(resampling, "_BLOCK", 1000)
    assert interval(values, alone(values)) == before


def test_paired_differences():
    rng = np.random.default_rng(4)
    a, noise = rng.random(40), 0.1 * rng.random(40)
    before, after = numbered(a), numbered(a + noise)
    found = paired_interval(before, after, alone(before))
    assert found.mean == pytest.approx(noise.mean())
    # What the tasks share is gone: as narrow as the noise.
    assert found == interval({t: after[t] - before[t] for t in before}, alone(before))
    assert found.low > 0
    back = paired_interval(after, before, alone(before))
    assert back.mean == -found.mean


def test_equal_values_have_no_width():
    values = numbered([0.5] * 9)
    found = interval(values, alone(values))
    assert (found.mean, found.low, found.high) == (0.5, 0.5, 0.5)
    found = paired_interval(values, values, alone(values))
    assert (found.mean, found.low, found.high) == (0, 0, 0)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: interval({"a": 1, "b": 0}, {"a": "x", "b": "x"}), "of one cluster, 'x'"),
        (lambda: interval({}, {}), "no values"),
        (lambda: interval({"a": 1, "b": 0}, {"a": "x"}), "'b' has no cluster"),
        (lambda: interval({"a": 1, "b": np.nan}, {"a": "x", "b": "y"}), "'b' is nan"),
        (lambda: interval({"a": 1, "b": 0}, {"a": "x", "b": "y"}, level=95), "level is 95"),
        (lambda: interval({"a": 1, "b": 0}, {"a": "x", "b": "y"}, num_resamples=0), "is 0"),
        (lambda: paired_interval({"a": 1, "c": 1}, {"a": 1, "b": 1}, {}), "2 tasks.*'b', 'c'"),
        (lambda: seeds_interval([{"a": 1}], {"a": "x"}), "1 seeds"),
        (lambda: seeds_interval([{"a": 1}, {"b": 1}], {"a": "x"}), "2 tasks"),
        (lambda: seeds_difference([{"a": 1}] * 2, [{"a": 1}] * 3, {}, paired=True), "arm a has 2"),
        (lambda: seeds_difference([{"a": 1}] * 2, [{"a": 1}], {}), "1 seeds"),
        (
            lambda: seeds_interval([{"a": 1, "b": 1}] * 2, {"a": "x", "b": "y"}, seeds="t"),
            "'student' or 'resample'",
        ),
    ],
)
def test_what_cannot_be_told_is_named(call, named):
    with pytest.raises(ValueError, match=named):
        call()


def test_ten_thousand_resamples_take_no_time():
    values = [numbered(np.random.default_rng(i).random(400)) for i in range(10)]
    started = time.thread_time()
    seeds_difference(values[:5], values[5:], alone(values[0]))
    assert time.thread_time() - started < 5


def arm(means, num_tasks=5):
    """Seeds in which every task has the same value, so that nothing hangs on the tasks."""
    return [numbered([mean] * num_tasks) for mean in means]


def test_seeds_alone_give_students_interval():
    means = [0.2, 0.4, 0.9]
    found = seeds_interval(arm(means), alone(arm(means)[0]), num_resamples=200_000)
    # 0.5 and 4.303 times the standard error, 0.361 / sqrt(3) = 0.208
    reach = stats.t.ppf(0.975, 2) * np.std(means, ddof=1) / 3**0.5
    assert found.mean == pytest.approx(0.5)
    assert (found.low, found.high) == pytest.approx((0.5 - reach, 0.5 + reach), abs=0.03)


def test_seeds_of_two_arms_give_welchs_interval_or_the_paired_one():
    a, b = [0.2, 0.4, 0.9, 0.3], [0.5, 0.6, 0.7, 0.5]
    clusters = alone(arm(a)[0])
    found = seeds_difference(arm(a), arm(b), clusters, num_resamples=200_000)
    welch = stats.ttest_ind(b, a, equal_var=False).confidence_interval()
    assert found.mean == pytest.approx(0.575 - 0.45)
    assert (found.low, found.high) == pytest.approx((welch.low, welch.high), abs=0.02)
    found = seeds_difference(arm(a), arm(b), clusters, num_resamples=200_000, paired=True)
    paired = stats.ttest_rel(b, a).confidence_interval()
    assert (found.low, found.high) == pytest.approx((paired.low, paired.high), abs=0.02)
    assert seeds_difference(arm(a), arm(a), clusters, paired=True).high == 0
    # Arms may have different numbers of seeds.
    assert seeds_difference(arm(a), arm(b[:2]), clusters).mean == pytest.approx(0.55 - 0.45)


def test_seeds_can_be_resampled_as_clusters_are():
    # Two seeds with means 0 and 1. Two draws: 0 (1/4 of the time), 1/2 (1/2), 1 (1/4).
    seeds = arm([0.0, 1.0])
    found = seeds_interval(seeds, alone(seeds[0]), seeds="resample")
    assert (found.mean, found.low, found.high) == (0.5, 0.0, 1.0)
    inner = seeds_interval(seeds, alone(seeds[0]), level=0.4, seeds="resample")
    assert (inner.low, inner.high) == (0.5, 0.5)


@pytest.mark.parametrize("seeds", ["student", "resample"])
def test_both_arms_share_the_tasks(seeds):
    # Tasks differ wildly, arms and seeds hardly: a difference on shared tasks knows nothing of it.
    rng = np.random.default_rng(5)
    tasks = 100 * rng.random(20)
    a, b = ([numbered(tasks + rng.random() + shift) for _ in range(3)] for shift in (0, 1))
    found = seeds_difference(a, b, alone(a[0]), seeds=seeds)
    assert found.high - found.low < 10
    wide = seeds_interval(a, alone(a[0]), seeds=seeds)
    assert wide.high - wide.low > 20


def covered(found, truth):
    return found.low <= truth <= found.high


def test_intervals_cover_the_truth_as_often_as_they_say():
    """Clusters of 1 to 8 tasks around means of their own."""
    hits = 0
    for number in range(400):
        rng = np.random.default_rng(number)
        clusters, values = {}, {}
        for cluster in range(30):
            middle = rng.normal(0, 0.3)
            for task in range(rng.integers(1, 9)):
                values[f"{cluster}/{task}"] = middle + rng.normal(0, 0.3)
                clusters[f"{cluster}/{task}"] = str(cluster)
        hits += covered(interval(values, clusters, num_resamples=1000, seed=number), 0.0)
    assert 0.90 <= hits / 400 <= 0.99


def share_covered(seeds, num_seeds, of_seeds, of_tasks, noise):
    """How often the interval of two arms' difference, which is 0, covers it."""
    hits = 0
    for number in range(400):
        rng = np.random.default_rng(number)
        tasks = rng.normal(0, 0.3, 30)
        arms = []
        for effect in (np.zeros(30), rng.normal(0, of_tasks, 30)):
            shifts = rng.normal(0, of_seeds, num_seeds)
            arms.append([numbered(tasks + effect + s + rng.normal(0, noise, 30)) for s in shifts])
        found = seeds_difference(
            *arms, alone(arms[0][0]), num_resamples=1000, seed=number, seeds=seeds
        )
        hits += covered(found, 0.0)
    return hits / 400


def test_seeds_and_tasks_together_cover_the_truth():
    for num_seeds in (3, 5):
        for noises in ((0.1, 0.05, 0.05), (0.05, 0.1, 0.2)):
            assert 0.93 <= share_covered("student", num_seeds, *noises) <= 1.0
    # Why it is the default: three seeds, resampled, miss the truth far too often.
    assert share_covered("resample", 3, 0.1, 0.05, 0.05) < 0.88
