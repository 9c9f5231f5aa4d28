"""What arms had reached on the way: arithmetic, tables and picture on evaluations made by hand."""

import json
from dataclasses import replace

import pytest
from evaluations import BROKEN, evaluation

from murphy_agents.compare.budgets_picture import figure_of
from murphy_agents.compare.curve import Curve, folder_of, read, steps_at
from murphy_agents.compare.picture import figure_of as training_figure_of
from murphy_agents.compare.results import Run, rows
from murphy_agents.compare.tell import Comparison, markdown, notes, tables, to_json
from murphy_agents.evaluation.config import EvalConfig

BEGIN = evaluation({"a1": 0, "a2": 0, "b1": 1, "c1": 0})
HALF = evaluation({"a1": 0, "a2": 2, "b1": 1, "c1": 0})
END = evaluation({"a1": 2, "a2": 2, "b1": 1, "c1": 0})


def history(steps, generations):
    return [
        {"step": step, "num_generations": generations, "trained_tokens": 10.0,
         "seconds/generation": 1.0, "seconds/execution": 0.5, "seconds/update": 2.0}
        for step in range(1, steps + 1)
    ]  # fmt: skip


def arm(steps, generations=20):
    points = tuple(zip(steps, (HALF, END), strict=True))
    return [Run("warm-0", END, seed, history(steps[-1], generations), points) for seed in (0, 1)]


ARMS = {
    "base": [Run("warm-0", BEGIN, curve=((0, BEGIN),))],
    "grpo": arm((2, 4)),
    "grpo_tokens": arm((3, 6), generations=10),
}


def told(runs=ARMS, arms=None):
    return Comparison(rows(runs), {}, {"arms": arms}, "murphy compare --config it")


def test_points_are_means_over_runs_with_what_was_spent_by_then():
    base, grpo, tokens = rows(ARMS)
    assert base.curve == ()
    assert [point.step for point in grpo.curve] == [0, 2, 4]
    # 2 and 4 steps of 20 generations, 10 tokens and 3.5 seconds.
    assert [dict(point.spent) for point in grpo.curve] == [
        {"generations": 0, "trained tokens": 0, "seconds": 0},
        {"generations": 40, "trained tokens": 20, "seconds": 7},
        {"generations": 80, "trained tokens": 40, "seconds": 14},
    ]
    assert [point.step for point in tokens.curve] == [0, 3, 6]
    # 1, 2 and 3 of 4 tasks by the second attempt.
    assert [point.pass_at_1[1].mean for point in grpo.curve] == [0.25, 0.5, 0.75]
    assert grpo.curve[-1].pass_at_1 == grpo.pass_at_1


def test_runs_of_other_lengths_are_averaged_point_by_point():
    uneven = [*arm((2, 4))[:1], *arm((3, 6))[1:]]
    (_, row) = rows({"base": ARMS["base"], "grpo_seconds": uneven})
    assert [point.step for point in row.curve] == [0, 2.5, 5]
    assert [point.spent["generations"] for point in row.curve] == [0, 50, 100]
    assert row.steps == 5


def test_curves_begin_with_every_starting_model_once():
    other = evaluation({"a1": 1, "a2": 0, "b1": 0, "c1": 1})
    starts = {"warm-0": BEGIN, "warm-1": other}
    more = [replace(run, start="warm-1") for run in arm((2, 4))[:1]]
    arms = {
        "base": [Run(start, found, curve=((0, found),)) for start, found in starts.items()],
        "grpo": [*arm((2, 4)), *more],
    }
    base, grpo = rows(arms)
    # 1 and 2 of 4 tasks; that two runs began with the one and one with the other changes nothing,
    # and no run has varied yet: the interval is that of the models themselves.
    assert [found.mean for found in grpo.curve[0].pass_at_1] == [0.375, 0.375, 0.375]
    assert grpo.curve[0].pass_at_1 == base.pass_at_1
    assert grpo.curve[0].spent == {"generations": 0, "trained tokens": 0, "seconds": 0}


def test_only_tasks_with_a_verdict_everywhere_count_and_curves_have_tasks_of_their_own():
    broken = evaluation({"x1": 1, "y1": BROKEN, "z1": 0})
    whole = evaluation({"x1": 1, "y1": 1, "z1": 0})
    arms = {
        "base": [replace(ARMS["base"][0], curve=((0, whole),))],
        "grpo": [replace(run, curve=((2, broken), (4, whole))) for run in ARMS["grpo"]],
    }
    (_, row) = rows(arms)
    assert [point.pass_at_1[0].mean for point in row.curve] == [0.5, 0.5, 0.5]
    assert row.pass_at_1[0].mean == 0.25
    assert "On the way 1 tasks lack a verdict in some evaluation" in " ".join(notes(told(arms)))
    none = evaluation({"x1": BROKEN, "y1": 1, "z1": BROKEN})
    arms["grpo"] = [replace(run, curve=((2, broken), (4, none))) for run in ARMS["grpo"]]
    assert rows(arms)[1].curve == ()
    # Runs are told all the same, on what they have a verdict of everywhere: x1 and z1, then y1.
    for alone, rates in ((((2, broken), (4, whole)), [0.5, 0.5]), (((2, none),), [1.0])):
        runs = {"grpo": [replace(run, curve=alone) for run in ARMS["grpo"]]}
        assert rows(runs)[0].curve == ()
        points = to_json(told(runs))["rows"][0]["runs"][0]["curve"]
        assert [point["pass_at_1"][0] for point in points] == rates
    points = to_json(told(arms))["rows"][1]["runs"][0]["curve"]
    assert [point["pass_at_1"][0] for point in points] == [None, None]


def test_arms_without_points_are_named():
    elsewhere = [replace(run, start="warm-9") for run in ARMS["grpo"]]
    comparison = told(ARMS | {"late": elsewhere})
    assert [len(row.curve) for row in comparison.rows] == [0, 3, 3, 0]
    said = " ".join(notes(comparison))
    assert "No points on the way: late; a run, or the model that it began with" in said
    assert "on the way" not in " ".join(notes(told())).lower()


def test_other_tasks_on_the_way_are_named():
    comparison = replace(told(), settings={"curve_tasks": "embedded:selection"})
    title = "pass@1 in percent at iteration 3, on the way, on embedded:selection"
    assert title in tables(comparison)
    figure = figure_of(comparison.rows, "embedded:selection")
    assert figure.get_suptitle() == "on embedded:selection"
    assert figure_of(comparison.rows).get_suptitle() == ""


def test_without_evaluated_checkpoints_there_is_no_curve():
    arms = {name: [replace(run, curve=()) for run in runs] for name, runs in ARMS.items()}
    assert not any(row.curve for row in rows(arms))
    assert not any("on the way" in title for title in tables(told(arms)))
    with pytest.raises(ValueError, match="no arm has evaluated checkpoints"):
        figure_of(rows(arms))


def test_what_is_said():
    equal = {"like": "grpo", "equal": "seconds", "to": "grpo"}
    comparison = told(arms={"grpo_tokens": equal})
    table = tables(comparison)["pass@1 in percent at iteration 3, on the way"]
    assert table.header == ["", "steps", "generations", "trained tokens", "seconds", "pass@1"]
    assert table.rows[2][:5] == ["grpo", "4", "80.0", "40.0", "14.0"]
    assert table.rows[2][5].startswith("75.0 (")
    said = " ".join(notes(comparison))
    assert "grpo_tokens: as grpo, with the steps that spend the seconds of grpo" in said
    assert "do not repeat bit for bit" in said
    assert "repeat bit for bit" not in " ".join(notes(told()))
    assert "![budgets](b.png)" in markdown(comparison, "c.png", "b.png")
    content = json.loads(json.dumps(to_json(comparison), allow_nan=False))
    row = content["rows"][1]
    assert row["steps"] == 4
    assert row["cost"]["seconds"] == 14
    assert [point["step"] for point in row["curve"]] == [0, 2, 4]
    assert row["curve"][2]["cost"] == {"generations": 80, "trained tokens": 40, "seconds": 14}
    point = row["runs"][1]["curve"][0]
    assert (point["step"], point["pass_at_1"]) == (2, [0.25, 0.5, 0.5])
    assert point["cost"]["update s"] == 4


def test_whose_budget_others_get_is_a_column_of_the_differences():
    arms = ARMS | {"mine": ARMS["grpo"]}
    title = "Difference at iteration 3 in points, mean and 95 % interval"
    assert tables(told(arms))[title].header == ["", "against base", "against grpo"]
    equal = {"grpo_tokens": {"like": "grpo", "equal": "seconds", "to": "mine"}}
    header = tables(told(arms, arms=equal))[title].header
    assert header == ["", "against base", "against grpo", "against mine"]
    others = {"base": ARMS["base"], "mine": ARMS["grpo"], "other": ARMS["grpo"]}
    assert tables(told(others))[title].header == ["", "against base", "against mine"]


def test_the_picture_has_a_panel_for_each_budget_and_rows_for_many_arms():
    axes = figure_of(rows(ARMS)).axes
    assert [ax.get_xlabel() for ax in axes] == ["generations", "trained tokens", "seconds"]
    assert [line.get_label() for line in axes[0].lines] == ["grpo", "grpo_tokens"]
    assert axes[1].lines[0].get_xydata().tolist() == [[0, 0.25], [20, 0.5], [40, 0.75]]
    assert len(axes[0].collections) == 2
    grpo = rows(ARMS)[1]
    axes = figure_of([replace(grpo, name=f"arm_{i:02}") for i in range(16)]).axes
    assert len(axes) == 3 * 3  # the first arm in all rows, then 6, 6 and 3
    shown = [[line.get_label() for line in ax.lines] for ax in axes[::3]]
    assert [len(names) for names in shown] == [7, 7, 4]
    assert {names[0] for names in shown} == {"arm_00"}
    for ax in axes:
        assert len({line.get_color() for line in ax.lines}) == len(ax.lines)


def test_rows_are_told_apart_in_the_picture_of_training_too():
    base, grpo, _ = rows(ARMS)
    many = [base, *(replace(grpo, name=f"arm_{i:02}") for i in range(40))]
    reached = training_figure_of(many).axes[-1]
    lines = [container.lines[0] for container in reached.containers]
    assert len({(line.get_color(), str(line._dash_pattern)) for line in lines}) == 41
    # All stand around their iteration.
    assert max(abs(x - round(x)) for line in lines for x in line.get_xdata()) < 0.21


def test_shares_become_steps():
    # 20, 40 and 60 of 60 in runs of 60, 45 and 1 steps.
    shares = [1 / 3, 2 / 3, 1]
    assert [steps_at(shares, n) for n in (60, 45, 1)] == [[20, 40, 60], [15, 30, 45], [1, 1, 1]]


def test_a_missing_evaluation_on_the_way_is_named(tmp_path):
    curve = Curve((0.5, 1.0), EvalConfig())
    END.save(folder_of(tmp_path, 4))
    remedy = f"curve/step-2 is missing; restore it, or delete {tmp_path} and compare again"
    with pytest.raises(FileNotFoundError, match=remedy):
        read(tmp_path, curve, 4)
    HALF.save(folder_of(tmp_path, 2))
    assert read(tmp_path, curve, 4) == [(2, HALF), (4, END)]
