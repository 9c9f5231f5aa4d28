"""Records of a comparison's worlds, and what is counted of them, by hand."""

import dataclasses
import json
import math
from statistics import fmean, stdev, variance

import numpy as np
import pytest
import worlds_by_hand
from evaluations import BROKEN, evaluation
from scipy.stats import nct, t
from test_compare_results import ARMS as BY_HAND
from worlds_by_hand import ARMS, SETTINGS, run, small, world

from benchmarks.compare import (
    budgets,
    collect,
    expected,
    files,
    loud,
    paper_tables,
    record,
    significance,
    spread,
    tell,
    worlds,
)
from benchmarks.compare.analysis import difference, mechanism, pairs_of, pass_at_1, run_differences
from benchmarks.compare.expected import Expectation
from benchmarks.compare.wording import level
from murphy_agents.compare import CompareConfig, cells
from murphy_agents.compare.results import rows
from murphy_agents.evaluation.chain import Chain
from murphy_agents.evaluation.result import Evaluation
from murphy_agents.stats.resampling import Interval
from murphy_agents.stats.significance import seeds_p_value
from murphy_env import sources

# --- records ---


def test_a_record_is_read_as_it_was_written(tmp_path):
    record.save(small(), tmp_path / "repair.jsonl")
    again = record.load(tmp_path / "repair.jsonl")
    assert record.dumps(again) == record.dumps(small())
    assert again.names == ("base", "grpo", "murphy_mars")
    assert again.values(again.runs[1], 3, "all") == {"a1": 0, "a2": 1, "b1": 1, "c1": 0}


def test_shares_are_of_the_evaluations_runs_and_subsets_of_the_tasks():
    found = world([run("base", "warm-0", None, "0123")], eval_runs=4, subsets={"vague": "0011"})
    assert found.parts == ("vague", "all")
    assert found.values(found.runs[0], 1, "vague") == {"b1": 0.5, "c1": 0.75}


def test_tasks_without_a_verdict_somewhere_are_left_out_everywhere():
    found = world([run("base", "warm-0", None, "01-1"), run("grpo", "warm-0", 0, "-111")])
    assert found.tasks_of("all") == [1, 3]
    gone = world([run("base", "warm-0", None, "----")])
    with pytest.raises(ValueError, match="no task of 'all' in world 'repair'"):
        gone.tasks_of("all")
    with pytest.raises(ValueError, match=r"no subset 'vague' .* choose from \('all',\)"):
        gone.tasks_of("vague")


def changed(place, **values):
    def change(lines):
        told = json.loads(lines[place]) | values
        kept = {name: value for name, value in told.items() if value is not ...}
        return [json.dumps(kept) if i == place else line for i, line in enumerate(lines)]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [], "is empty"),
        (lambda lines: ["{", *lines[1:]], "line 1 is no JSON"),
        (lambda lines: [lines[0], "[1]", *lines[2:]], "line 2 is list, not an object"),
        (changed(0, format=0), "line 1: format is 0, 1 is known"),
        (lambda lines: lines[:-1], "num_runs is 10, but 9 runs are there; restore"),
        (changed(0, num_runs=...), "num_runs is None, but 10 runs are there"),
        (changed(0, tasks=...), r"line 1: \['tasks'\] are missing"),
        (changed(0, clusters=[0, 1]), "line 1: clusters has 2 tasks, not 4"),
        (changed(0, subsets={"vague": "01"}), "line 1: vague has 2 tasks, not 4"),
        (changed(0, tasks="a1"), "line 1: tasks is 'a1', not a list"),
        (changed(1, colour="red"), r"line 2: \['colour'\] are no keys"),
        (changed(3, solved=["0101"]), "line 4, grpo of warm-0, seed 0: 1 iterations, .* has 3"),
        (changed(1, solved=["01", "0101", "0101"]), "line 2, base of warm-0: 2 tasks at itera"),
        (changed(1, solved=["0101", "0201", "0101"]), r"\['2'\] at iteration 2, where counts to 1"),
        (changed(1, seed="0"), "seed is '0'"),
        (changed(2, start="warm-0"), "base of warm-0 is there twice"),
    ],
)
def test_a_malformed_record_is_refused(tmp_path, change, message):
    file = tmp_path / "repair.jsonl"
    lines = record.dumps(small()).splitlines()
    file.write_text("\n".join(change(lines)), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        record.load(file)


def test_a_record_of_fewer_runs_does_not_replace_one_of_more(tmp_path):
    file = tmp_path / "repair.jsonl"
    planned = {"base": 2, "grpo": 4, "murphy_mars": 4}
    whole = dataclasses.replace(small(), planned=planned)
    part = dataclasses.replace(whole, runs=whole.runs[:6])
    files.keep(part, file)
    files.keep(whole, file)
    with pytest.raises(ValueError, match=r"holds 10 runs and 6 are finished, of 10 .* --partial"):
        files.keep(part, file)
    assert len(record.load(file).runs) == 10
    files.keep(part, file, partial=True)
    assert len(record.load(file).runs) == 6
    assert [path.name for path in tmp_path.iterdir()] == ["repair.jsonl"]


def test_runs_that_would_be_lost_are_told_before_any_is_made(tmp_path):
    file = tmp_path / "repair.jsonl"
    names = {str(run) for run in small().runs}
    files.check_kept(file, set())  # nothing is there yet
    files.keep(small(), file)
    files.check_kept(file, {*names, "grpo of warm-9, seed 0"})
    lost = "murphy_mars of warm-0, seed 0"
    with pytest.raises(ValueError, match=f"holds 1 runs that are none of these, the first '{lost}"):
        files.check_kept(file, names - {lost})
    files.check_kept(file, names - {lost}, partial=True)
    file.write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=r"line 1 is no JSON.* --partial"):
        files.check_kept(file, names)
    files.check_kept(file, names, partial=True)


def test_a_record_keeps_its_machine_where_none_was_noted_of_the_same_runs(tmp_path):
    file = tmp_path / "repair.jsonl"
    unnoted = dataclasses.replace(small(), machine={})
    assert small().machine
    files.keep(small(), file)
    files.keep(unnoted, file)
    assert record.load(file).machine == small().machine
    again = tuple(dataclasses.replace(run, costs={"update s": 9.0}) for run in unnoted.runs)
    files.keep(dataclasses.replace(unnoted, runs=again), file)
    assert record.load(file).machine == {}


def test_a_smaller_comparison_that_is_whole_takes_no_run_away(tmp_path):
    file = tmp_path / "repair.jsonl"
    files.keep(small(), file)
    kept = dataclasses.replace(small(), runs=small().runs[:6], planned={"base": 2, "grpo": 4})
    with pytest.raises(
        ValueError, match="4 would be lost, the first 'murphy_mars of warm-0, seed 0'"
    ):
        files.keep(kept, file)
    assert len(record.load(file).runs) == 10
    files.keep(kept, file, partial=True)
    assert len(record.load(file).runs) == 6


def test_a_file_with_the_name_of_a_world_is_refused(tmp_path):
    file = tmp_path / "repair.yaml"
    file.write_text("seeds: [0]\n")
    with pytest.raises(ValueError, match="'repair' is the name of a world that is here"):
        worlds.file_of(str(file))
    assert worlds.file_of("repair") == worlds.file_of(str(worlds.FOLDER / "repair.yaml"))


def test_tasks_of_one_docstring_are_one_cluster():
    tasks = sources.load("probe:selection?num_tasks=30")
    chains = tuple(Chain(t.task_id, 0, t.prompt, ()) for t in tasks)
    found = collect.clusters_of("probe:selection?num_tasks=30", Evaluation(chains, iterations=1))
    assert len({chain.cluster for chain in chains}) > len(set(found.values())) == 10
    assert found == {t.task_id: t.metadata["docstring"] for t in tasks}


def test_tasks_without_a_docstring_keep_their_prompt_as_cluster(tmp_path):
    file = tmp_path / "mine.jsonl"
    row = {"task_id": "a", "prompt": "p", "entry_point": "f", "tests": ["assert f(1) == 1"]}
    file.write_text(json.dumps(row) + "\n")
    found = collect.clusters_of(str(file), Evaluation((Chain("a", 0, "p", ()),), iterations=1))
    assert found == {"a": "p"}


def test_counts_of_an_evaluation_are_one_digit_a_task():
    found = evaluation({"a1": 1, "a2": 3, "b1": 0, "c1": BROKEN})
    told = [collect.counts(found, i, ("a1", "a2", "b1", "c1"), 1) for i in (1, 2, 3)]
    assert told == ["100-", "100-", "110-"]


def test_a_run_tells_its_commit_and_how_often_it_was_resumed(tmp_path):
    assert collect.origin_of(tmp_path) == ("", 0)
    (tmp_path / "origin.json").write_text('{"commit": "abc", "is_changed": true}')
    told = "resuming from {}/checkpoint-20: 20 of 60 steps done\nstep 21/60 resuming from here\n"
    (tmp_path / "log.txt").write_text("no checkpoint to resume from\n" + told.format(tmp_path) * 2)
    assert collect.origin_of(tmp_path) == ("abc with changes", 2)
    later = '{"commit": "abc", "is_changed": true, "gone_on_with": ["def"]}'
    (tmp_path / "origin.json").write_text(later)
    assert collect.origin_of(tmp_path) == ("abc with changes, then def", 2)


def test_what_failed_is_kept_by_arm():
    config = CompareConfig(
        model="tiny", warm_starts=[0], seeds=[0, 1], algorithms=["grpo", "naive"]
    )
    failed = {"warm-0 grpo seed-0": "a", "warm-0 grpo seed-1": "b", "warm-0 base": "c"}
    jobs = [*cells.starts(config), *cells.cells(config)]
    assert collect.failed_by_arm(jobs, failed) == {
        "grpo": {"warm-0 grpo seed-0": "a", "warm-0 grpo seed-1": "b"},
        "base": {"warm-0 base": "c"},
    }


# --- means and differences ---


def test_figures_are_those_of_a_comparison():
    tasks = ("a1", "a2", "b1", "c1")
    runs = [
        run(name, r.start, r.seed, *(collect.counts(r.evaluation, i, tasks, 1) for i in (1, 2, 3)))
        for name, group in BY_HAND.items()
        for r in group
    ]
    found = world(runs)
    for row in rows(BY_HAND):
        for i, wanted in enumerate(row.pass_at_1):
            assert pass_at_1(found, row.name, i + 1, "all") == wanted
        for other, wanted in row.against.items():
            assert difference(found, row.name, other, 3, "all") == wanted


def test_differences_are_taken_run_by_run():
    found = small()
    assert [(str(a), str(b)) for a, b in pairs_of(found, "murphy_mars", "base")][1:3] == [
        ("base of warm-0", "murphy_mars of warm-0, seed 1"),
        ("base of warm-1", "murphy_mars of warm-1, seed 0"),
    ]
    # Tasks solved: 3 of 4 against 2, 1, 1; 4 against 2.
    assert run_differences(found, "murphy_mars", "grpo", 3, "all") == [0.25, 0.5, 0.5, 0.5]
    assert difference(found, "murphy_mars", "grpo", 3, "all").mean == 0.4375
    assert pairs_of(found, "base", "grpo") == []
    assert difference(found, "base", "grpo", 3, "all") is None


def test_a_mechanism_is_averaged_over_runs_that_tell_it():
    told = [{"all": {"loud": 0.25}}, {"all": {"loud": 0.75}}, {"all": {"loud": None}}, {}]
    runs = [run("grpo", "warm-0", i, "0101", mechanism=m) for i, m in enumerate(told)]
    assert mechanism(world(runs), "grpo", "loud", "all") == 0.5
    assert mechanism(world(runs), "grpo", "repeats", "all") is None


# --- what was expected ---


def many(solved):
    """Arm -> how many of 20 tasks its runs solve, by (start, seed); each task its own cluster."""
    runs = [
        record.Run(arm, f"warm-{i % 2}", i // 2, ("1" * n + "0" * (20 - n),))
        for arm, counts in solved.items()
        for i, n in enumerate(counts)
    ]
    tasks = tuple(map(str, range(20)))
    return record.World("by hand", tasks, tuple(range(20)), 1, 1, tuple(runs))


APART = {"good": [15, 16, 15, 14, 15, 16], "bad": [5, 5, 6, 5, 5, 5]}
DIFFERENCES = [0.5, 0.55, 0.45, 0.45, 0.5, 0.55]


def expectation(kind, points=0, arm="good", other="bad", family="hand"):
    return Expectation("by hand", arm, other, 1, "all", kind, points / 100, "so it is", family)


def findings(made, wanted):
    return expected.findings([made], {"by hand": wanted})["by hand"]


@pytest.mark.parametrize(
    ("wanted", "verdict"),
    [
        (expectation("above"), "held"),
        (expectation("above", 20), "held"),
        # 10 of 20 tasks differ, so another 20 might differ by 60 points.
        (expectation("above", 60), "undecided"),
        (expectation("above", 90), "did not hold"),
        (expectation("below"), "did not hold"),
        (expectation("below", 90), "held"),
        (expectation("below", arm="bad", other="good"), "held"),
        (expectation("within", 90), "held"),
        (expectation("within", 10), "did not hold"),
        (expectation("within", 10, arm="bad", other="good"), "did not hold"),
        (expectation("open"), "told apart"),
        (expectation("above", arm="absent"), "not run"),
    ],
)
def test_verdicts(wanted, verdict):
    (found,) = findings(many(APART), [wanted])
    assert found.verdict == verdict


def found_of(kind, points, low, high):
    told = expectation(kind, points, family=None)
    interval = Interval((low + high) / 2, low, high)
    return told.holds_all_of(interval), told.holds_none_of(interval)


@pytest.mark.parametrize(
    ("kind", "low", "high", "wanted"),
    [
        ("within", -0.09, 0.09, (True, False)),
        # Past the near end, past the far one, past both.
        ("within", -0.05, 0.11, (False, False)),
        ("within", -0.11, 0.06, (False, False)),
        ("within", -0.2, 0.3, (False, False)),
        ("within", 0.11, 0.3, (False, True)),
        ("within", -0.3, -0.11, (False, True)),
        ("above", 0.11, 0.3, (True, False)),
        ("above", 0.0, 0.3, (False, False)),
        ("below", 0.11, 0.3, (False, True)),
        ("below", math.nan, math.nan, (False, False)),
        ("above", math.nan, math.nan, (False, False)),
        ("within", math.nan, math.nan, (False, False)),
    ],
)
def test_an_interval_that_reaches_a_bound_says_nothing(kind, low, high, wanted):
    assert found_of(kind, 10, low, high) == wanted


@pytest.mark.parametrize(("kind", "verdict"), [("within", "undecided"), ("open", "not told apart")])
def test_a_single_cluster_of_tasks_decides_nothing(kind, verdict):
    alone = dataclasses.replace(many(APART), clusters=(0,) * 20)
    for points in (0, 10, 90):
        (found,) = findings(alone, [expectation(kind, points, family=None)])
        assert math.isnan(found.interval.low)
        assert found.verdict == verdict


def test_a_difference_that_may_be_past_the_far_end_is_undecided():
    # Equal on average, and every task differs: the interval reaches beyond both ends.
    runs = [
        record.Run(arm, "warm-0", seed, (("10" if odd else "01") * 10,))
        for arm, odd in (("good", True), ("bad", False))
        for seed in range(4)
    ]
    made = dataclasses.replace(many(APART), runs=tuple(runs))
    (found,) = findings(made, [expectation("within", 30, family=None)])
    assert found.interval.mean == 0
    assert found.interval.low < -0.3 < 0.3 < found.interval.high
    assert found.verdict == "undecided"


def test_fewer_pairs_than_planned_give_no_verdict():
    planned = dataclasses.replace(many(APART), planned={"good": 8, "bad": 8})
    (found,) = findings(planned, [expectation("above")])
    assert (found.num_pairs, found.num_planned, found.verdict) == (6, 8, "incomplete")
    assert planned.num_missing == 4
    more = dataclasses.replace(many(APART), planned={"good": 4, "bad": 4})
    (found,) = findings(more, [expectation("above")])
    assert (found.num_pairs, found.num_planned, found.verdict) == (6, 4, "held")
    numbers = [tell._of_planned(6, planned) for planned in (8, 6, 4, 0)]
    assert numbers == ["6 of 8", "6", "6, 4 planned", "6"]


def test_what_failed_is_told_apart_from_what_was_not_run():
    failed = {"bad": {"warm-0 bad seed-0": "ValueError: so"}}
    alone = dataclasses.replace(
        many({"good": [15, 16]}), planned={"good": 2, "bad": 2}, failed=failed
    )
    told = [expectation("above"), expectation("above", other="absent")]
    assert [f.verdict for f in findings(alone, told)] == ["failed", "not run"]


def test_p_is_against_the_nearest_end_and_adjusted_over_the_whole_family():
    wanted = [expectation("above", 30), expectation("within", 60), expectation("above", arm="no")]
    found = findings(many(APART), wanted)
    assert run_differences(many(APART), "good", "bad", 1, "all") == pytest.approx(DIFFERENCES)
    against = [seeds_p_value(DIFFERENCES, 0.3), seeds_p_value(DIFFERENCES, 0.6)]
    assert [f.p for f in found[:2]] == pytest.approx(against)
    # Three were planned: the smallest is tripled, the next doubled.
    assert found[0].p_holm == pytest.approx(3 * against[0])
    assert found[1].p_holm == pytest.approx(2 * against[1])
    assert (found[2].p, found[2].p_holm, found[2].num_pairs) == (None, None, 0)


def test_equal_arms_are_not_told_apart_and_held_to_be_alike():
    same = {"good": [15, 14, 15, 14], "bad": [15, 14, 15, 14]}
    alike, apart = findings(many(same), [expectation("within", 15), expectation("open")])
    # Four equal differences: p is 2 / 2**4, doubled by Holm, which is too much.
    assert (alike.p, alike.p_holm, alike.verdict) == (0.125, 0.25, "undecided")
    assert (apart.p, apart.verdict) == (1, "not told apart")
    longer = {name: counts * 3 for name, counts in same.items()}
    assert findings(many(longer), [expectation("within", 15)])[0].verdict == "held"


@pytest.mark.parametrize("family", ["hand", None])
def test_a_single_pair_of_runs_decides_nothing(family):
    told = [expectation("above", family=family)]
    found = findings(many({"good": [20], "bad": [0]}), told)[0]
    assert (found.num_pairs, found.p, found.verdict) == (1, None, "undecided")


def test_without_a_family_the_interval_decides_alone():
    same = many({"good": [15, 14, 15, 14], "bad": [15, 14, 15, 14]})
    # As above, where p was too large.
    (alike,) = findings(same, [expectation("within", 15, family=None)])
    assert (alike.p, alike.p_holm, alike.verdict) == (0.125, None, "held")
    wide = findings(many(APART), [expectation("above", 45, family=None)])[0]
    assert wide.interval.low < 0.45 < wide.interval.mean
    assert wide.verdict == "undecided"


def test_a_family_reaches_over_worlds():
    other = dataclasses.replace(many(APART), world="another")
    told = expectation("above", 30)
    wanted = {
        "by hand": [told, expectation("above", 30, family=None)],
        "another": [dataclasses.replace(told, world="another")],
        "not run": [dataclasses.replace(told, world="not run")],
    }
    found = expected.findings([many(APART), other], wanted)
    p = seeds_p_value(DIFFERENCES, 0.3)
    told = [f.p_holm and pytest.approx(f.p_holm) for name in found for f in found[name]]
    # Two with this p and one that was not run: three times, then no less.
    assert told == [3 * p, None, 3 * p]
    assert (expected.size_of("hand", wanted), expected.size_of(None, wanted)) == (3, 1)


def test_every_expectation_can_be_read():
    told = expected.load()
    assert set(told) == {"repair", "probe", "probe_strong", "probe_blind", "probe_hedge"}
    assert {e.subset for w, found in told.items() for e in found if w != "repair"} == {"vague"}
    first = told["probe"][0]
    assert (first.arm, first.told, first.nearest(0.5)) == ("murphy_mars", "above 0", 0)
    assert told["probe"][1].told == "above 30 points"
    assert [e.told for e in told["repair"]] == ["no expectation"] * 2, "it was measured before"
    # H1 and its size, H2, H4, H5 and its size, H7, H8 and H9 of docs/design/0802.
    assert expected.size_of("probe", told) == 9


@pytest.mark.parametrize(
    ("family", "line", "message"),
    [
        ({}, {"arm": "a", "other": "b", "above": 0}, "lacks why"),
        ({}, {"arm": "a", "other": "b", "why": "w", "above": "30"}, "above is '30'"),
        ({"subset": ...}, {"arm": "a", "other": "b", "why": "w", "above": 1}, "lacks subset"),
    ],
)
def test_an_expectation_that_lacks_something_is_refused(tmp_path, family, line, message):
    told = {"family": "f", "subset": "all", "iteration": 3, "expectations": [line]} | family
    told = {name: value for name, value in told.items() if value is not ...}
    file = tmp_path / "expected.yaml"
    file.write_text(json.dumps({"w": told}))  # JSON is YAML
    with pytest.raises(ValueError, match=message):
        expected.load(file)


def test_an_expectation_of_two_kinds_is_refused(tmp_path):
    file = tmp_path / "expected.yaml"
    line = "{arm: a, other: b, above: 0, below: 5, why: because}"
    file.write_text(f"w: {{family: w, subset: all, iteration: 1, expectations: [{line}]}}\n")
    with pytest.raises(ValueError, match=r"w: .* has the kinds \['above', 'below'\]; give one"):
        expected.load(file)


# --- one evaluation for several runs ---


def against_base(num_seeds=4):
    """20 tasks; two starts solve 10 and 4 of them, each run from them 6 to 8 more."""
    solved = {"warm-0": 10, "warm-1": 4}
    runs = [record.Run("base", s, None, ("1" * n + "0" * (20 - n),)) for s, n in solved.items()]
    runs += [
        record.Run("good", s, seed, ("1" * (n + 6 + seed % 3) + "0" * (14 - n - seed % 3),))
        for s, n in solved.items()
        for seed in range(num_seeds)
    ]
    return dataclasses.replace(many(APART), runs=tuple(runs))


def test_runs_that_share_an_evaluation_have_its_luck_in_common():
    where = "good", "base", 1, "all"
    # m (1 - m) is 1/4 and 4/25, .205 on average, of 20 tries; (8 / 2 - 1) / (8 - 1) is 3/7.
    added = 0.205 / 20 * 3 / 7
    assert significance.shared_variance(against_base(), *where) == pytest.approx(added)
    # 6, 7, 8 and 6 of 20 more from each start.
    found = [0.3, 0.35, 0.4, 0.3] * 2
    error = math.sqrt(variance(found) / 8 + added)
    p = 2 * t.sf((fmean(found) - 0.1) / error, 7)
    assert significance.p_value(against_base(), *where, 0.1) == pytest.approx(p)
    assert p > 10 * seeds_p_value(found, 0.1)
    (judged,) = findings(against_base(), [expectation("above", 10, other="base")])
    assert judged.p == pytest.approx(p)


@pytest.mark.parametrize("sizes", [(5, 5), (2,), (7, 2, 1)])
def test_what_the_spread_does_not_tell_of_a_shared_evaluation_is_added(sizes):
    # Runs with a luck of their own, and one that all with the same partner have in common.
    draws, rng = 40_000, np.random.default_rng(0)
    shared = 0.5 * rng.standard_normal((draws, len(sizes)))
    found = rng.standard_normal((draws, sum(sizes))) + np.repeat(shared, sizes, axis=1)
    seen = found.var(axis=1, ddof=1).mean() / sum(sizes)
    whole = seen + 0.25 * significance.share_unseen(sizes)
    assert found.mean(axis=1).var() == pytest.approx(whole, rel=0.03)


def test_runs_with_a_partner_each_share_nothing():
    made, where = many(APART), ("good", "bad", 1, "all")
    assert significance.shared_variance(made, *where) == 0
    assert significance.p_value(made, *where, 0.3) == seeds_p_value(DIFFERENCES, 0.3)
    alone = against_base(num_seeds=1)
    assert significance.shared_variance(alone, "good", "base", 1, "all") == 0


def test_the_luck_of_one_evaluation_never_makes_a_difference_surer():
    # Equal differences: 2 / 2**4 is more than Student's t with the shared variance alone says.
    same = [record.Run("base", "warm-0", None, ("1" + "0" * 19,))]
    same += [record.Run("good", "warm-0", seed, ("1" * 20,)) for seed in range(4)]
    made = dataclasses.replace(many(APART), runs=tuple(same))
    assert significance.p_value(made, "good", "base", 1, "all", 0.0) == 0.125


# --- loud first attempts ---


def loud_runs(*shares):
    runs = [
        run("murphy_mars", "warm-0", seed, "0101", mechanism={"vague": {"loud": share}})
        for seed, share in enumerate(shares)
    ]
    return world(runs, "probe", subsets={"vague": "1111"}, planned={"murphy_mars": len(shares)})


@pytest.mark.parametrize(
    ("shares", "verdict"),
    [
        ((0.9, 0.85), "held"),
        ((0.95, 0.75), "undecided"),
        ((0.95, 0.6), "did not hold"),
        ((0.9, None), "incomplete"),
        ((None, None), "not run"),
    ],
)
def test_loud_shares_are_judged_run_by_run(shares, verdict):
    found, other = loud.findings(loud_runs(*shares), loud.load())
    assert (found.bound.told, found.verdict) == ("above 80 %", verdict)
    if shares[0]:
        known = [share for share in shares if share]
        assert (found.lowest, found.highest) == (min(known), max(known))
        assert found.mean == pytest.approx(fmean(known))
    assert (other.bound.arm, other.bound.told) == ("tree_without_credit", "below 20 %")
    assert other.verdict == "not run"
    assert loud.findings(small(), loud.load()) == []


def test_a_bound_of_loud_shares_that_is_none_is_refused(tmp_path):
    file = tmp_path / "expected.yaml"
    file.write_text("w: {family: w, subset: all, loud: {grpo: about 80}}\n")
    with pytest.raises(ValueError, match="w: loud of 'grpo' is 'about 80'; give 'above'"):
        loud.load(file)


# --- spread and power ---


def test_spread_between_starts_seeds_and_tasks():
    found, where = small(), (3, "all")
    # GRPO solves 2 and 1 of 4 from one start, 1 and 2 from the other: a variance of 1/32 each.
    assert spread.within_starts(found, "grpo", *where) == pytest.approx(math.sqrt(1 / 32))
    assert spread.between_starts(found, "grpo", *where) == 0
    # 1 and 2 of 4.
    assert spread.between_starts(found, "base", *where) == pytest.approx(math.sqrt(1 / 32))
    assert spread.within_starts(found, "base", *where) is None
    # a1 in half of the runs and a2 in none, b1 in all, c1 in none.
    assert spread.between_tasks(found, "grpo", *where) == pytest.approx(stdev([0.25, 1, 0]))
    assert spread.of_pairs(found, "murphy_mars", "grpo", *where) == (4, 0.125)


def test_noise_of_seeds_is_taken_off_the_spread_of_starts():
    runs = [
        run("grpo", start, seed, counts)
        for start, group in {"warm-0": ("0000", "1000"), "warm-1": ("1110", "1111")}.items()
        for seed, counts in enumerate(group)
    ]
    # Means 1/8 and 7/8 with a variance of 9/32; seeds have 1/32, their means of two half of it.
    found = spread.between_starts(world(runs), "grpo", 1, "all")
    assert found == pytest.approx(math.sqrt(9 / 32 - 1 / 64))


def test_spread_of_sampling_needs_several_tries():
    once, twice = (world([run("grpo", "warm-0", 0, "1111")], eval_runs=n) for n in (1, 2))
    assert spread.of_sampling(once, "grpo", 1, "all") is None
    # Each task's share of two tries has a variance of 1/4; the mean of four tasks a fourth of it.
    assert spread.of_sampling(twice, "grpo", 1, "all") == pytest.approx(0.25)


def test_what_could_have_been_seen():
    # Tables of the paired t test: 10 pairs find .996 standard deviations in 80 % of the cases.
    assert spread.detectable(0.1, 10, 0.05) == pytest.approx(0.0996, abs=1e-4)
    assert spread.detectable(0.1, 10, 0.01) > spread.detectable(0.1, 10, 0.05)
    assert spread.detectable(0.1, 2, 0.01) > 1, "two pairs see hardly anything"
    # Ten pairs of one sign have p = 2 / 2**10, four 1/8.
    assert spread.detectable(0.0, 10, 0.05) == 0
    assert spread.detectable(0.0, 4, 0.05) is None
    assert spread.detectable(0.0, 4, 0.05, added=0.01) is None
    # A shared variance counts as much as that of the mean over the pairs.
    both = spread.detectable(0.1, 10, 0.05, added=0.1**2 / 10)
    assert both == pytest.approx(math.sqrt(2) * spread.detectable(0.1, 10, 0.05))
    with pytest.raises(ValueError, match="num_pairs is 1"):
        spread.detectable(0.1, 1, 0.05)


@pytest.mark.parametrize("half_width", [0.0, 0.06, 0.08, 0.2])
def test_what_is_judged_is_told_apart_by_pairs_and_by_the_interval(half_width):
    found = spread.detectable(0.1, 10, 0.05, half_width=half_width)
    drawn = np.random.default_rng(0).normal(found, 0.1, (100_000, 10))
    error = drawn.std(axis=1, ddof=1) / math.sqrt(10)
    is_seen = abs(drawn.mean(axis=1)) > t.ppf(0.975, 9) * error
    is_beyond = abs(drawn.mean(axis=1)) > half_width
    assert (is_seen & is_beyond).mean() == pytest.approx(spread.POWER, abs=0.006)


def test_what_is_judged_by_the_interval_alone():
    # 80 % of normal draws are above -0.8416 deviations.
    alone = spread.detectable(0.1, 10, 1.0, half_width=0.05)
    assert alone == pytest.approx(0.05 + 0.8416 * 0.1 / math.sqrt(10), abs=1e-4)
    assert alone < spread.detectable(0.1, 10, 0.05, half_width=0.05)
    # Where nothing varies, it is the interval, if there are pairs enough.
    assert spread.detectable(0.0, 10, 0.05, half_width=0.05) == 0.05
    assert spread.detectable(0.0, 4, 0.05, half_width=0.05) is None
    assert spread.detectable(0.1, 10, 1.0) == 0


@pytest.mark.parametrize("freedom", [3, 9])
@pytest.mark.parametrize("shift", [0.0, 1.0, 3.0])
def test_power_is_that_of_the_noncentral_t(freedom, shift):
    wanted = nct.sf(2.5, freedom, shift) + nct.cdf(-2.5, freedom, shift)
    assert spread.power(shift, 2.5, freedom) == pytest.approx(wanted, abs=1e-4)


# --- budgets ---


def checkpoint(step, generations, share):
    costs = worlds_by_hand.costs(generations, seconds=generations / 10)
    return {"step": step, "costs": costs if step else {}, "pass_at_1": {"all": [0.0, share]}}


def along_training():
    base = run("base", "warm-0", None, "0000", "0000", curve=[checkpoint(0, 0, 0.1)])
    cheap = [
        run("murphy_mars", "warm-0", seed, "0000", "0000",
            curve=[checkpoint(10, 100, 0.3), checkpoint(20, 200, last)])
        for seed, last in ((0, 0.5), (1, 0.7))
    ]  # fmt: skip
    dear = run("grpo", "warm-0", 0, "0000", "0000", curve=[checkpoint(20, 400, 0.5)])
    return world([base, dear, *cheap])


def test_paths_begin_with_the_starting_model():
    found = along_training()
    grpo = found.of("grpo")[0]
    assert budgets.path(found, grpo, "all", "generations") == ([0, 400], [0.1, 0.5])
    assert budgets.path(found, grpo, "all", "seconds of training") == ([0, 43], [0.1, 0.5])
    assert budgets.arms_with_paths(found, "all") == ["grpo", "murphy_mars"]
    assert budgets.arms_with_paths(found, "vague") == []
    assert budgets.arms_with_paths(small(), "all") == []


def test_equal_budgets_are_read_off_the_paths():
    found = along_training()
    assert budgets.shared(found, ["grpo", "murphy_mars"], "all", "generations") == 200
    # GRPO paid 400 in 20 steps, so 200 are read in the middle of its schedule.
    dear, step = budgets.at(found, "grpo", "all", "generations", 200)
    assert (dear.mean, step) == pytest.approx((0.3, 10))
    half, step = budgets.at(found, "murphy_mars", "all", "generations", 150)
    assert (half.mean, step) == pytest.approx(((0.4 + 0.5) / 2, 15))
    # Student's t with one degree of freedom is 12.7: cut at what a share can be.
    assert (half.low, half.high) == (0, 1)
    assert budgets.at(found, "murphy_mars", "all", "generations", 201) is None
    (_, first), (paid, second), (_, third) = budgets.along(
        found, "murphy_mars", "all", "generations"
    )
    assert (first.mean, paid, second.mean, third.mean) == pytest.approx((0.1, 100, 0.3, 0.6))


def test_checkpoints_are_aligned_by_their_share_of_the_steps():
    # Of 20 and of 10 steps; the second run lacks the one in the middle, a third is of 47.
    ways = {20: {10: 0.2, 20: 0.6}, 10: {10: 0.8}, 47: {24: 0.5, 47: 0.7}}
    runs = [
        dataclasses.replace(
            run("grpo", "warm-0", seed, "0000", "0000",
                curve=[checkpoint(step, 10 * step, share) for step, share in way.items()]),
            costs={"steps": steps},
        )
        for seed, (steps, way) in enumerate(ways.items())
    ]  # fmt: skip
    told = {"max_steps": 20, "curve_steps": [10, 20]}
    ((paid, last),) = budgets.along(world(runs, settings=told), "grpo", "all", "generations")
    assert (paid, last.mean) == pytest.approx(((200 + 100 + 470) / 3, 0.7))
    (_, middle), _ = budgets.along(world(runs[::2], settings=told), "grpo", "all", "generations")
    assert middle.mean == pytest.approx(0.35)


# --- the paper's tables ---


def with_arms(arms, own=None):
    runs = [run("base", "warm-0", None, "0010")]
    runs += [run(arm, "warm-0", 0, "0110") for arm in arms]
    return world(runs, arms=arms, settings={**SETTINGS, "arms": own})


def test_arms_are_known_by_their_settings():
    mars = ARMS["murphy_mars"]
    found = with_arms(
        {
            "odd": mars | {"balance": "turns"},
            "some_name": mars,
            "g": ARMS["grpo"],
            "i2": mars | {"prune": "intra_group", "prune_budget": 2},
            "three": mars | {"fanout": [2, 2, 3]},
            "rival": mars | {"make_algorithm": "benchmarks.compare.rivals:rlef"},
        }
    )
    told = paper_tables.tables(found, "all")
    assert sorted(told) == [1, 3, 6]
    assert [row[1] for row in told[1].rows] == ["`base`", "`g`", "`some_name`"]
    assert [row[:2] for row in told[6].rows] == [
        ["GRPO", "`g`"],
        ["MaRS, InterP keeps 2", "-"],
        ["MaRS", "`three`"],
    ]
    assert paper_tables.rest(found) == ["odd", "rival"]
    assert paper_tables.not_run(found)[5] == "no arm varies the number of training tasks"


def test_published_figures_stand_beside_ours_and_the_rest_is_not_run():
    mars = ARMS["murphy_mars"]
    found = with_arms({"mars": mars, "i2": mars | {"prune": "intra_group", "prune_budget": 2}})
    # 100 generations at 16 problems; nothing was pruned.
    rows = {row[0]: row[1:] for row in paper_tables.tables(found, "all")[3].rows}
    assert rows["MaRS"][:3] == ["`mars`", "6.2", "50.0 (0.0 to 100.0)"]
    assert rows["MaRS"][3:] == ["72", "79.7, 86.6", "44.7, 62.0", "7.0, 20.2"]
    assert rows["MaRS, InterP keeps 2"][:3] == ["-", "not run", "not run"]
    assert "MaRS, InterP keeps 3" not in rows, "neither run nor published"


def test_an_arm_with_a_setting_that_no_row_names_is_no_row():
    mars = ARMS["murphy_mars"]
    arms = {"warm": mars | {"learning_rate": 1e-3}, "long": mars | {"max_steps": 90}}
    assert paper_tables.rest(with_arms(arms)) == ["warm", "long"]


def test_settings_that_arms_share_are_told_by_the_world():
    mers = {"algorithm": "murphy_mers", "fanout": [4, 4], "max_steps": 60}
    runs = [run("base", "warm-0", None, "0010"), run("m", "warm-0", 0, "0110")]
    found = world(runs, arms={"m": mers}, settings={**SETTINGS, "gamma": 0.5})
    (row,) = (r for r in paper_tables.tables(found, "all")[2].rows if r[1] == "`m`")
    assert row[0] == "MeRS, gamma 0.5, keep"


def test_the_published_row_of_intra_keeps_descendants():
    intra = ARMS["murphy_mars"] | {"prune": "intra_group", "prune_budget": 2}
    found = with_arms({"i2": intra, "kept": intra | {"prune_keep_descendants": True}})
    rows = {row[1]: row for row in paper_tables.tables(found, "all")[3].rows}
    assert rows["`i2`"][4] == "-"
    assert (rows["`kept`"][0], rows["`kept`"][4]) == (
        "MaRS, IntraP keeps 2, and descendants of the dropped", "36",
    )  # fmt: skip


def test_arms_with_a_budget_of_their_own_are_no_rows():
    arms = {"tokens": ARMS["grpo"], "wide": ARMS["murphy_mars"]}
    own = {"tokens": {"like": "grpo", "equal": "trained tokens"}, "wide": {"fanout": [2, 9]}}
    found = with_arms(arms, own)
    assert [row[1] for row in paper_tables.tables(found, "all")[1].rows] == ["`base`", "-", "-"]
    assert paper_tables.rest(found) == ["tokens", "wide"]


# --- worlds ---


def test_worlds_are_named_by_name_or_path(tmp_path):
    assert "repair" in worlds.names()
    assert "expected" not in worlds.names()
    assert worlds.file_of("repair").name == "repair.yaml"
    mine = tmp_path / "mine.yaml"
    mine.write_text("model: tiny\n")
    assert worlds.file_of(str(mine)) == mine
    for name in ("expected", "nothing", str(tmp_path / "absent.yaml")):
        with pytest.raises(ValueError, match=r"no settings file; choose from .*'repair'"):
            worlds.file_of(name)
    assert sorted(["other", "probe", "repair"], key=worlds.place) == ["repair", "probe", "other"]


def test_a_quick_world_is_small_whatever_it_is(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("algorithms: [grpo, murphy_mars]\nseeds: [3, 4]\nmax_steps: 60\n")
    whole = worlds.config(file, tmp_path / "out", 2)
    assert (whole.model, whole.seeds, whole.num_processes) == ("embedded", [3, 4], 2)
    quick = worlds.config(file, tmp_path / "out", quick=True)
    assert (quick.model, quick.seeds, quick.warm_starts, quick.max_steps) == (
        "tiny:llama", [3], [0], 2,
    )  # fmt: skip
    assert quick.tasks == "embedded:train?num_tasks=4"
    assert quick.algorithms == whole.algorithms


def test_seeds_that_are_there_stay(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("algorithms: [grpo]\nseeds: [0, 1, 2]\n")
    own = worlds.config(file, tmp_path)
    assert worlds.seeds(own, None) == [0, 1, 2]
    assert worlds.seeds(own, [5]) == [5]
    for told in ("[", "seeds", "seeds: 5", "algorithms: [grpo]", ""):
        (tmp_path / "compare.yaml").write_text(told)
        assert worlds.seeds(own, [5]) == [5]
    (tmp_path / "compare.yaml").write_text("seeds: [5, 1]")
    assert worlds.seeds(own, [5, 6]) == [5, 1, 6]
    assert worlds.seeds(own, None) == [5, 1, 0, 2]
    anew = dataclasses.replace(own, overwrite_output_dir=True)
    assert worlds.seeds(anew, [6]) == [6]


def test_settings_that_do_not_exist_are_named(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("algoritms: [grpo]\n")
    with pytest.raises(ValueError, match="algoritms"):
        worlds.config(file, tmp_path)
    file.write_text("- grpo\n")
    with pytest.raises(ValueError, match="must hold `setting: value` lines"):
        worlds.config(file, tmp_path)


def test_a_tree_of_another_shape_is_no_row_whoever_gave_it():
    mers = {"algorithm": "murphy_mers", "fanout": [2, 9]}
    own = {"wide": {"like": "murphy_mars", "fanout": [2, 9]},
           "wide_mers": {"like": "wide", "algorithm": "murphy_mers"}}  # fmt: skip
    assert paper_tables.rest(with_arms({"wide_mers": mers}, own)) == ["wide_mers"]


def test_a_single_run_has_no_ends_at_equal_budgets():
    found = budgets.over_runs([0.625])
    assert (found.mean, level(found)) == (0.625, "62.5 (- to -)")


# --- what a record is made of ---


def comparison(tmp_path, **others):
    told = {"model": "tiny", "warm_starts": [0], "seeds": [0], "algorithms": ["grpo"]} | others
    return CompareConfig(**told, output_dir=str(tmp_path / "out"))


def finish(config, found, way=()):
    """All evaluations of a comparison without its trainings, and those of its first run's way."""
    for job in (*cells.starts(config), *cells.cells(config)):
        found.save(job.evaluate.output_dir)
        if job.train:
            (job.folder / "config.json").write_text(json.dumps(vars(job.train)))
            (job.folder / "metrics.jsonl").write_text("")
            for step, reached in way:
                reached.save(job.folder / "curve" / f"step-{step}")


def test_the_machine_of_a_record_is_that_of_its_runs(tmp_path, monkeypatch):
    config = comparison(tmp_path, eval_tasks="embedded:test?num_tasks=4")

    def done_on(name, refused=False, work=lambda: None, **others):
        monkeypatch.setattr(collect, "_machine", lambda num: {"processor": name})
        with collect.note_machine(dataclasses.replace(config, **others)):
            work()
            if refused:
                raise FileExistsError("another process compares into it")

    assert collect._machine_of(config) == {}  # nothing was noted
    done_on("first")
    assert collect._machine_of(config) == {"processor": "first"}
    done_on("second")
    assert collect._machine_of(config) == {"processor": "second", "others": 1}
    done_on("first")  # gone on with there
    assert collect._machine_of(config) == {"processor": "first", "others": 1}
    for others in ({}, {"overwrite_output_dir": True}):
        with pytest.raises(FileExistsError):
            done_on("third", refused=True, **others)
    assert collect._machine_of(config) == {"processor": "first", "others": 1}
    with pytest.raises(FileExistsError):  # after all was done
        done_on("fourth", refused=True, work=lambda: finish(config, evaluation({"a": 1})))
    assert collect._machine_of(config) == {"processor": "fourth", "others": 2}
    done_on("reader")  # nothing is left to do
    assert collect._machine_of(config) == {"processor": "fourth", "others": 2}
    done_on("last", overwrite_output_dir=True)
    assert collect._machine_of(config) == {"processor": "last"}


def test_curves_count_tasks_that_every_checkpoint_judged(tmp_path):
    tasks = [task.task_id for task in sources.load("embedded:test?num_tasks=4")]
    config = comparison(
        tmp_path, eval_tasks="embedded:test?num_tasks=4", max_steps=4, curve_steps=[2, 4]
    )
    way = [(2, evaluation(dict.fromkeys(tasks, 1) | {tasks[0]: BROKEN})),
           (4, evaluation(dict.fromkeys(tasks, 1) | {tasks[0]: 0}))]  # fmt: skip
    finish(config, evaluation(dict.fromkeys(tasks, 1)), way)
    found = collect.world_of("mine", config, "command", {})
    assert found.num_broken_on_curves == 1
    more = dataclasses.replace(config, seeds=[0, 1], curve_steps=None)
    assert collect.world_of("mine", config, "command", {}, more).planned == {"base": 1, "grpo": 2}
    (trained,) = found.of("grpo")
    assert [point["pass_at_1"]["all"] for point in trained.curve] == [[1.0] * 3] * 2


def test_shared_settings_that_an_arm_does_not_read_are_none_of_its_own(tmp_path):
    both = ["grpo", "murphy_mers"]
    config = comparison(
        tmp_path, eval_tasks="embedded:test?num_tasks=4", gamma=0.5, algorithms=both
    )
    finish(config, evaluation({"a": 1}))
    found = [json.loads((job.folder / "config.json").read_text()) for job in cells.cells(config)]
    assert [told["gamma"] for told in found] == [0.9, 0.5]
    arms = collect.world_of("mine", config, "command", {}).arms
    assert [arms[arm].get("gamma") for arm in both] == [None, None]  # the world tells it
