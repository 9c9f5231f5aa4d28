"""The arithmetic of a comparison on evaluations made by hand."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from evaluations import BROKEN, evaluation, of_runs

from murphy_agents.compare.picture import figure_of
from murphy_agents.compare.results import Run, rows
from murphy_agents.compare.tell import Comparison, markdown, notes, tables, text, to_json
from murphy_agents.stats.resampling import Interval, difference
from murphy_agents.stats.statistics import interval, paired_interval, seeds_interval

STARTS = {
    "warm-0": evaluation({"a1": 0, "a2": 0, "b1": 1, "c1": 0}),
    "warm-1": evaluation({"a1": 0, "a2": 2, "b1": 1, "c1": 0}),
}
FILTERED = {
    "warm-0": evaluation({"a1": 1, "a2": 0, "b1": 1, "c1": 0}),
    "warm-1": evaluation({"a1": 0, "a2": 2, "b1": 1, "c1": 3}),
}
GRPO = {
    ("warm-0", 0): evaluation({"a1": 1, "a2": 0, "b1": 1, "c1": 0}),
    ("warm-1", 0): evaluation({"a1": 0, "a2": 0, "b1": 1, "c1": 0}),
}
MARS = {
    ("warm-0", 0): evaluation({"a1": 2, "a2": 2, "b1": 1, "c1": 0}),
    ("warm-1", 0): evaluation({"a1": 2, "a2": 2, "b1": 2, "c1": 3}),
}


def history(generations, seconds):
    return [
        {"step": step, "num_generations": generations, "trained_tokens": 10.0, "solved/turn_1": 0.5,
         "seconds/generation": seconds, "seconds/execution": 0.5, "seconds/update": 2.0}
        for step in (1, 2)
    ]  # fmt: skip


def trained(found, generations=20):
    return [
        Run(start, evaluation, seed, history(generations + i, 1.0))
        for i, ((start, seed), evaluation) in enumerate(found.items())
    ]


def untrained(found):
    return [Run(start, evaluation) for start, evaluation in found.items()]


ARMS = {
    "base": untrained(STARTS),
    "supervised-filtered": untrained(FILTERED),
    "grpo": trained(GRPO),
    "murphy_mars": trained(MARS),
}
CLUSTERS = STARTS["warm-0"].clusters()


def found(name, arms=None):
    return next(row for row in rows(arms or ARMS) if row.name == name)


def test_means_over_runs_and_tasks():
    assert [[i.mean for i in row.pass_at_1] for row in rows(ARMS)] == [
        # 1 and 1 of 4, then 1 and 2 of 4.
        [0.25, 0.375, 0.375],
        [0.375, 0.5, 0.625],
        [0.375, 0.375, 0.375],
        # 1 and 0 of 4, then 3 and 3 of 4, then 3 and 4 of 4.
        [0.125, 0.75, 0.875],
    ]


def cut(found, least):
    return Interval(found.mean, max(least, found.low), min(1.0, found.high))


def test_trained_rows_have_intervals_over_runs_and_clusters():
    # A third run with a seed of its own, for ends that lie within what is possible.
    arm = {**MARS, ("warm-1", 1): MARS["warm-1", 0]}
    values = [evaluation.by_task(3) for evaluation in arm.values()]
    row = found("murphy_mars", {**ARMS, "murphy_mars": trained(arm)})
    whole = seeds_interval(values, CLUSTERS)
    assert 0 < whole.low < whole.mean < 1 < whole.high
    assert row.pass_at_1[2] == Interval(whole.mean, whole.low, 1.0)


def share_covered(sd_starts, sd_runs=0.02, num_starts=2, num_seeds=3, num_sets=2000):
    """How often the interval holds the mean of these starts, and that of all there could be."""
    rng = np.random.default_rng(0)
    of_these, of_all = [], []
    for _ in range(num_sets):
        starts = rng.normal(0, sd_starts, num_starts)
        runs = [rng.normal(start, sd_runs) for start in starts for _ in range(num_seeds)]
        values = [{"a": run, "b": run} for run in runs]  # tasks that say all the same
        found = seeds_interval(values, {"a": "a", "b": "b"}, num_resamples=2000)
        of_these.append(found.low <= starts.mean() <= found.high)
        of_all.append(found.low <= 0 <= found.high)
    return np.mean(of_these), np.mean(of_all)


def test_intervals_speak_of_the_starts_at_hand():
    # 97.0 and 81.8 % of 20,000 sets, where starts differ as much as runs.
    of_these, of_all = share_covered(sd_starts=0.02)
    assert of_these > 0.955
    assert of_all < 0.85


def test_rows_that_were_not_trained_have_intervals_over_clusters_alone():
    mean = {"a1": 0.5, "a2": 0.5, "b1": 1.0, "c1": 0.5}
    assert found("supervised-filtered").pass_at_1[2] == interval(mean, CLUSTERS)


def test_differences_pair_runs_with_their_own_start_and_seed():
    row = found("murphy_mars")
    by_start = {key: STARTS[key[0]] for key in MARS}
    for other, partners in (("base", by_start), ("grpo", GRPO)):
        values = [difference(partners[key].by_task(3), MARS[key].by_task(3)) for key in MARS]
        assert row.against[other] == cut(seeds_interval(values, CLUSTERS), -1.0), other
    # 7 of 8 solved, 3 of 8 before: by either of them.
    assert row.against["base"].mean == row.against["grpo"].mean == 0.5
    # Order says nothing: runs are known by their start and seed.
    turned = {**ARMS, "base": ARMS["base"][::-1], "grpo": ARMS["grpo"][::-1]}
    assert found("murphy_mars", turned).against == row.against


def test_models_that_were_not_trained_are_paired_by_start():
    row = found("supervised-filtered")
    # By task: a1 gains in one of two starts, c1 in the other.
    gains = {"a1": 0.5, "a2": 0.0, "b1": 0.0, "c1": 0.5}
    assert row.against["base"] == paired_interval(dict.fromkeys(gains, 0.0), gains, CLUSTERS)
    assert "grpo" not in row.against, "there is no seed that both have"


def test_a_row_is_not_compared_with_itself():
    assert found("base").against.keys() == {"supervised-filtered"}
    assert found("grpo").against.keys() == {"base", "supervised-filtered", "murphy_mars"}


def test_a_missing_cell_leaves_the_pairs_that_are_there():
    row = found("murphy_mars", {**ARMS, "grpo": ARMS["grpo"][:1]})
    # warm-0 alone: 3 of 4 against 2 of 4.
    assert row.against["grpo"].mean == 0.25
    one = difference(GRPO["warm-0", 0].by_task(3), MARS["warm-0", 0].by_task(3))
    assert row.against["grpo"] == interval(one, CLUSTERS)
    assert [row.name for row in rows({**ARMS, "grpo": []})] == [
        "base", "supervised-filtered", "murphy_mars"
    ]  # fmt: skip


def test_a_task_without_a_verdict_is_left_out_everywhere():
    broken = evaluation({"a1": 1, "a2": BROKEN, "b1": 1, "c1": 0})
    arms = {**ARMS, "grpo": [Run("warm-0", broken, 0, history(1, 1.0))]}
    # Of a1, b1 and c1: one, in both starts.
    assert found("base", arms).pass_at_1[2].mean == pytest.approx(1 / 3)
    assert any(line.startswith("1 tasks lack a verdict") for line in notes(told(arms)))
    # Runs are told on the tasks of their rows: those of MaRS solve two, three and three of them.
    assert list(tables(told(arms)).values())[-1].rows[-1][3:] == ["0.0", "66.7", "100.0"]
    listed = to_json(told(arms))["rows"][-1]["runs"][-1]["pass_at_1"]
    assert listed == pytest.approx([0, 2 / 3, 1])
    nothing = evaluation({"a1": BROKEN, "a2": BROKEN, "b1": BROKEN, "c1": BROKEN})
    with pytest.raises(ValueError, match="no task has a verdict in every evaluation"):
        rows({"base": [Run("warm-0", nothing)]})


def test_one_cluster_has_means_and_no_ends():
    single = evaluation({"a1": 1, "a2": 0})
    (row,) = rows({"grpo": [Run("s", single, 0), Run("s", single, 1)]})
    assert row.pass_at_1[0].mean == 0.5
    assert math.isnan(row.pass_at_1[0].low)
    assert to_json(told({"grpo": list(row.runs)}))["rows"][0]["pass_at_1"][0] == {
        "mean": 0.5, "low": None, "high": None
    }  # fmt: skip


def test_costs_are_means_of_sums():
    row = found("grpo")
    # Two steps of 20, and two of 21.
    assert row.cost("generations") == 41
    assert row.cost("trained tokens") == 20
    assert (row.cost("generation s"), row.cost("execution s"), row.cost("update s")) == (2, 1, 4)
    assert found("base").cost("generations") is None


def told(arms=ARMS, failed=()):
    return Comparison(rows(arms), dict(failed), {"seeds": [0]}, "murphy compare --config it")


def test_tables():
    by_title = tables(told())
    passed, differ, costs, runs = by_title.values()
    assert passed.header == ["", "runs", "iteration 1", "iteration 2", "iteration 3"]
    assert passed.rows[3][:2] == ["murphy_mars", "2"]
    assert passed.rows[3][2].startswith("12.5 (")
    assert list(by_title)[1] == "Difference at iteration 3 in points, mean and 95 % interval"
    assert differ.header == ["", "against base", "against grpo"]
    assert [row[0] for row in differ.rows] == ["supervised-filtered", "grpo", "murphy_mars"]
    assert differ.rows[2][2].startswith("+50.0 (")
    assert differ.rows[0][2] == "-"
    assert costs.header[1:5] == ["steps", "generations", "trained tokens", "seconds"]
    # 20 and 21 generations in each of 2 steps; seconds: 2 + 1 + 4.
    assert costs.rows[0] == ["grpo", "2", "41.0", "20.0", "7.0", "2.0", "1.0", "4.0"]
    assert runs.rows[-1] == ["murphy_mars", "warm-1", "0", "0.0", "75.0", "100.0"]
    assert runs.rows[0] == ["base", "warm-0", "-", "25.0", "25.0", "25.0"]


def test_the_supervised_curve_stands_at_its_last_iteration():
    curve = {"step-100": [0.1, 0.2], "step-200": [0.3, 0.425]}
    title, table = list(tables(replace(told(), supervised={"warm-0": curve})).items())[-1]
    assert title == "Supervised training, pass@1 in percent at iteration 2 on the selection tasks"
    assert table.header == ["", "step-100", "step-200"]
    assert table.rows == [["warm-0", "20.0", "42.5"]]
    assert not any("Supervised" in title for title in tables(told()))


def test_what_is_said():
    comparison = told(failed={"warm-9 grpo seed-3": "ValueError: too bad"})
    for said in (text(comparison), markdown(comparison, "it.png")):
        assert "4 tasks in 3 clusters" in said
        assert "2 starting models, 1 seed of training" in said
        assert "1 failed" in said
        assert "warm-9 grpo seed-3: ValueError: too bad" in said
        assert "murphy compare --config it" in said
        assert "41.0" in said
    assert "![curves](it.png)" in markdown(comparison, "it.png")
    assert "seeds:\n- 0" in markdown(comparison, "it.png")
    assert max(map(len, text(comparison).splitlines())) <= 100
    content = json.loads(json.dumps(to_json(comparison), allow_nan=False))
    assert content["rows"][3]["against"]["grpo"]["mean"] == 0.5
    assert content["rows"][3]["runs"][1]["pass_at_1"] == [0.0, 0.75, 1.0]


def test_the_picture_has_a_band_over_runs():
    first, _, _, reached = figure_of(rows(ARMS)).axes
    assert [line.get_label() for line in first.lines] == ["grpo", "murphy_mars"]
    assert len(first.collections) == 2
    assert first.lines[0].get_xydata().tolist() == [[1, 0.5], [2, 0.5]]
    assert len(reached.containers) == 4
    # A curve goes on to where its shortest run ended, though another has nothing to tell there.
    quiet = [{"step": step, "solved/turn_1": 0.0} for step in (1, 2, 3, 4)]
    del quiet[2]["solved/turn_1"], quiet[3]["solved/turn_1"]
    told_to_3 = [{"step": step, "solved/turn_1": 1.0} for step in (1, 2, 3)]
    both = [
        Run("warm-0", GRPO["warm-0", 0], 0, quiet),
        Run("warm-0", GRPO["warm-0", 0], 1, told_to_3),
    ]
    line = figure_of(rows({"grpo": both})).axes[0].lines[0]
    assert line.get_xydata().tolist() == [[1, 0.5], [2, 0.5], [3, 1.0]]
    figure_of([])  # all failed


def with_digests(found, **digests):
    chains = (replace(chain, digest=digests.get(chain.task_id, "")) for chain in found.chains)
    return replace(found, chains=tuple(chains))


def test_evaluations_of_other_tests_are_not_compared():
    first, second = STARTS.values()
    arms = {"base": [Run("warm-0", with_digests(first, a1="old")),
                     Run("warm-1", with_digests(second, a1="new"))]}  # fmt: skip
    with pytest.raises(
        ValueError, match="'a1' is not in all of them, or has another prompt or other tests"
    ):
        rows(arms)
    arms["base"][1] = Run("warm-1", second)  # of an older version, which told no digests
    assert len(rows(arms)) == 1


def test_evaluations_of_other_tasks_are_not_compared():
    fewer = evaluation({"a1": 0, "a2": 0, "b1": 1})
    with pytest.raises(ValueError, match="'c1' is not in all of them"):
        rows({"base": [Run("warm-0", STARTS["warm-0"]), Run("warm-1", fewer)]})


def test_a_task_counts_where_all_of_its_chains_have_a_verdict():
    both = of_runs("m", {"a1": 1, "b1": 0, "c1": 1}, {"a1": 1, "b1": BROKEN, "c1": 0})
    (row,) = rows({"base": [Run("start", both)]})
    assert [found.mean for found in row.pass_at_1] == [0.75] * 3  # of a1 and c1
