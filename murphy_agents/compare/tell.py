"""A comparison in words: the same tables as text, as Markdown and as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import yaml

from murphy_agents.compare.results import Point, Row, Run, curve_tasks, shared_tasks
from murphy_agents.costs import BUDGETS, COSTS
from murphy_agents.evaluation.result import Evaluation
from murphy_agents.show.tables import Table, percent, points, spread
from murphy_agents.show.text import fenced, wrapped
from murphy_agents.stats.resampling import Interval

COLUMNS = ("base", "grpo", "tree_without_credit")
"""Rows that the table of differences has columns for; the JSON file has all pairs."""
_SPENT = (
    "steps",
    "generations",
    "trained tokens",
    "seconds",
    *(name for name in COSTS if name.endswith(" s")),
)
"""Columns of the table of costs: the budgets, and where the seconds went."""


@dataclass(frozen=True)
class Comparison:
    """What came of it."""

    rows: Sequence[Row]
    failed: Mapping[str, str]
    """What went wrong, by the name of the cell."""
    settings: Mapping[str, Any]
    command: str
    """Makes all of it again."""
    supervised: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    """pass@1 by iteration on the selection tasks, by checkpoint, of each supervised training."""


def markdown(comparison: Comparison, picture: str, budgets: str | None = None) -> str:
    """The whole of it; `picture` and that of `budgets` are the files' names."""
    parts = ["# Comparison"]
    for title, told in tables(comparison).items():
        parts += [f"## {title}", told.markdown()]
    parts += failures(comparison)
    parts += ["## What the intervals cover", *notes(comparison), f"![curves]({picture})"]
    parts += [f"![budgets]({budgets})"] if budgets else []
    settings = yaml.safe_dump(dict(comparison.settings), sort_keys=False)
    parts += ["## Remake it", fenced(comparison.command), "with the settings", fenced(settings)]
    return "\n\n".join(parts) + "\n"


def text(comparison: Comparison) -> str:
    """What is printed at the end."""
    parts = [f"{title}\n{told.text()}" for title, told in tables(comparison).items()]
    parts += failures(comparison)
    parts += map(wrapped, notes(comparison))
    return "\n\n".join([*parts, f"remake: {comparison.command}"])


def to_json(comparison: Comparison) -> dict[str, Any]:
    """Plain JSON values; null stands for what cannot be told."""
    runs = {row.name: row.runs for row in comparison.rows}
    tasks, tasks_on_the_way = shared_tasks(runs), curve_tasks(runs)[0]
    return {
        "rows": [_row_json(row, tasks, tasks_on_the_way) for row in comparison.rows],
        "failed": dict(comparison.failed),
        "notes": notes(comparison),
        "settings": dict(comparison.settings),
        "command": comparison.command,
        "supervised": {name: dict(curve) for name, curve in comparison.supervised.items()},
    }


def tables(comparison: Comparison) -> dict[str, Table]:
    """The tables by their titles."""
    rows = comparison.rows
    if not rows:
        return {}
    iterations = len(rows[0].pass_at_1)
    by_iteration = [f"iteration {i + 1}" for i in range(iterations)]
    others = _columns(comparison)
    trained = [row for row in rows if row.is_trained]
    compared = [row for row in rows if row.name != COLUMNS[0] and row.against.keys() & set(others)]
    found = {
        "pass@1 in percent, mean and 95 % interval": Table(
            ["", "runs", *by_iteration],
            [[r.name, str(len(r.runs)), *map(_with_ends, r.pass_at_1)] for r in rows],
        ),
        f"Difference at iteration {iterations} in points, mean and 95 % interval": Table(
            ["", *(f"against {other}" for other in others)],
            [[r.name, *(_signed(r.against.get(other)) for other in others)] for r in compared],
        ),
        "Cost of one run, mean": Table(
            ["", *_SPENT],
            [[r.name, f"{r.steps:g}", *(_count(r.cost(n)) for n in _SPENT[1:])] for r in trained],
        ),
        **_on_the_way(comparison, iterations),
        "pass@1 in percent of every run": Table(["", "start", "seed", *by_iteration], _runs(rows)),
        **_curves(comparison.supervised),
    }
    return {title: table for title, table in found.items() if len(table.header) > 1 and table.rows}


def _columns(comparison: Comparison) -> list[str]:
    """What rows are compared with in the table: the usual ones, and whose budget others get."""
    arms = comparison.settings.get("arms") or {}
    wanted = dict.fromkeys([*COLUMNS, *(arm["to"] for arm in arms.values() if arm.get("to"))])
    found = [other for other in wanted if any(other in row.against for row in comparison.rows)]
    if any(other != COLUMNS[0] for other in found):
        return found
    # None of them was run; the first that was trained serves.
    return [*found, *[row.name for row in comparison.rows if row.is_trained][:1]]


def _on_the_way(comparison: Comparison, iterations: int) -> dict[str, Table]:
    """What was reached by which budget, where checkpoints were evaluated."""
    header = ["", "steps", *BUDGETS, "pass@1"]
    lines = [
        [row.name, f"{p.step:g}", *(_count(p.spent[name]) for name in BUDGETS),
         _with_ends(p.pass_at_1[-1])]
        for row in comparison.rows
        for p in row.curve
    ]  # fmt: skip
    where = f", on {tasks}" if (tasks := comparison.settings.get("curve_tasks")) else ""
    title = f"pass@1 in percent at iteration {iterations}, on the way{where}"
    return {title: Table(header, lines)}


def _curves(supervised: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, Table]:
    """How supervised training went on, at the last iteration that was evaluated."""
    if not supervised:
        return {}
    first = next(iter(supervised.values()))
    iterations = max(map(len, first.values()))
    title = f"Supervised training, pass@1 in percent at iteration {iterations}"
    rows = [[name, *(percent(v[-1]) for v in curve.values())] for name, curve in supervised.items()]
    return {f"{title} on the selection tasks": Table(["", *first], rows)}


def notes(comparison: Comparison) -> list[str]:
    """What the figures are, and what the intervals cover."""
    if not comparison.rows:
        return ["Nothing could be evaluated."]
    rows = comparison.rows
    evaluation = rows[0].runs[0].evaluation
    tasks = shared_tasks({row.name: row.runs for row in rows})
    clusters = {cluster for task, cluster in evaluation.clusters().items() if task in tasks}
    runs = [run for row in rows for run in row.runs]
    starts, seeds = {run.start for run in runs}, {run.seed for run in runs} - {None}
    lines = [
        f"{len(tasks)} tasks in {len(clusters)} clusters (tasks with the same prompt), "
        f"{len(starts)} starting model{'s' * (len(starts) > 1)}, "
        f"{len(seeds)} seed{'s' * (len(seeds) != 1)} of training for each.",
        "base: the model that runs began with (of an embedded one, the last checkpoint of its "
        "supervised training; supervised-best was chosen on the selection split, "
        "supervised-filtered learned from right answers alone).",
        "Intervals of trained rows cover which clusters of tasks there are and how runs differ "
        "(Student's t over all runs); where there is one run, and in rows that were not trained "
        "here, clusters alone. They speak of these starting models, not of all that could be made.",
        "Differences are taken run by run: to the model that the run began with, and to the run "
        "with the same start and seed.",
    ]
    lines += _equal_notes(comparison)
    if (apart := len(evaluation.clusters()) - len(tasks)) > 0:
        lines.append(f"{apart} tasks lack a verdict in some evaluation and are left out of all.")
    return lines + _curve_notes(comparison)


def _equal_notes(comparison: Comparison) -> list[str]:
    """How arms of equal budget came to their steps."""
    arms = comparison.settings.get("arms") or {}
    told = {name: arm for name, arm in arms.items() if arm.get("equal")}
    lines = [
        f"{name}: as {arm['like']}, with the steps that spend the {arm['equal']} of {arm['to']}; "
        "run by run from runs of the same start and seed, so that what was spent in fact differs "
        "a little (see costs)."
        for name, arm in told.items()
    ]
    if any(arm["equal"] == "seconds" for arm in told.values()):
        lines.append(
            "Seconds are those of this machine and of what else it did: arms equal in seconds do "
            "not repeat bit for bit."
        )
    return lines


def _curve_notes(comparison: Comparison) -> list[str]:
    """What is left out of the points on the way."""
    tasks, apart = curve_tasks({row.name: row.runs for row in comparison.rows})
    if apart and not tasks:
        return ["No task has a verdict in every evaluation on the way, so no points are told."]
    lines = []
    if apart:
        lines.append(
            f"On the way {apart} tasks lack a verdict in some evaluation and are left out of all."
        )
    without = [row.name for row in comparison.rows if row.is_trained and not row.curve]
    if without and any(run.curve for row in comparison.rows for run in row.runs):
        lines.append(
            f"No points on the way: {', '.join(without)}; a run, or the model that it began with, "
            "was not evaluated there."
        )
    return lines


def failures(comparison: Comparison) -> list[str]:
    """What went wrong, if something did."""
    if not comparison.failed:
        return []
    told = [f"  {name}: {error}" for name, error in comparison.failed.items()]
    return ["\n".join([f"{len(told)} failed, so rows have fewer runs:", *told])]


def _runs(rows: Sequence[Row]) -> list[list[str]]:
    tasks = shared_tasks({row.name: row.runs for row in rows})
    return [
        [
            row.name,
            run.start,
            "-" if run.seed is None else str(run.seed),
            *map(percent, _rates(run.evaluation, tasks)),
        ]
        for row in rows
        for run in row.runs
    ]


def _rates(found: Evaluation, tasks: Sequence[str]) -> list[float]:
    """pass@1 by iteration on the tasks that rows count, so that runs have their row's mean."""
    by_iteration = (found.by_task(i + 1) for i in range(found.iterations))
    return [fmean(solved[task] for task in tasks) for solved in by_iteration]


def _with_ends(found: Interval) -> str:
    return f"{percent(found.mean)} ({spread(found)})"


def _signed(found: Interval | None) -> str:
    return "-" if found is None else f"{points(found.mean)} ({spread(found, signed=True)})"


def _count(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}"


def _row_json(row: Row, tasks: Sequence[str], on_the_way: Sequence[str]) -> dict[str, Any]:
    return {
        "name": row.name,
        "pass_at_1": [_interval_json(found) for found in row.pass_at_1],
        "against": {other: _interval_json(found) for other, found in row.against.items()},
        "steps": row.steps,
        "cost": {name: row.cost(name) for name in _SPENT[1:]},
        "curve": [_point_json(point) for point in row.curve],
        "runs": [
            {
                "start": run.start,
                "seed": run.seed,
                "pass_at_1": _rates(run.evaluation, tasks),
                "steps": len(run.history),
                "cost": {name: run.cost(name) for name in _SPENT[1:]},
                "curve": _run_curve_json(run, on_the_way),
                "evaluation_s": run.evaluation.seconds,
            }
            for run in row.runs
        ],
    }


def _point_json(point: Point) -> dict[str, Any]:
    return {
        "step": point.step,
        "cost": dict(point.spent),
        "pass_at_1": [_interval_json(found) for found in point.pass_at_1],
    }


def _run_curve_json(run: Run, tasks: Sequence[str]) -> list[dict[str, Any]]:
    """On the tasks of the rows' curves, as far as all evaluations of this run have a verdict."""
    # A run that is no part of a curve may lack some; without a whole curve, none is shared.
    judged = [found.by_task(1).keys() for _, found in run.curve]
    own = [
        task for task in tasks or (judged[0] if judged else ()) if all(task in j for j in judged)
    ]
    return [
        {
            "step": step,
            "cost": {name: run.cost(name, step) for name in _SPENT[1:]},
            "pass_at_1": _rates(found, own) if own else [None] * found.iterations,
        }
        for step, found in run.curve
    ]


def _interval_json(found: Interval) -> dict[str, float | None]:
    return {name: _known(getattr(found, name)) for name in ("mean", "low", "high")}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
