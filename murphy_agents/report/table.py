"""What training changed: figures before and after, and their difference with its interval."""

from __future__ import annotations

import math

from murphy_agents.card import source_shown
from murphy_agents.evaluation.result import Evaluation
from murphy_agents.report.before_after import BeforeAfter
from murphy_agents.show.tables import Table, percent, points, spread
from murphy_agents.stats.statistics import Interval, paired_interval


def table(both: BeforeAfter) -> Table:
    """Rows base, trained, difference and its interval; in percent, differences in points."""
    base, trained = both.base, both.trained
    iterations = range(1, base.iterations + 1)
    found = [difference(both, iteration) for iteration in iterations]
    means = [interval.mean if interval else None for interval in found]
    changes = [b - a for a, b in zip(_rates(base), _rates(trained), strict=True)]
    header = ["", *(f"iteration {i}" for i in iterations), "repair rate", "repeat rate"]
    rows = [
        [name, *(percent(e.pass_at_1(i)) for i in iterations), *map(percent, _rates(e))]
        for name, e in (("base", base), ("trained", trained))
    ]
    rows.append(["difference", *map(points, means), *map(points, changes)])
    rows.append(["95 % interval", *(spread(i, signed=True) for i in found), *[""] * len(changes)])
    return Table(header[: len(rows[0])], rows)


def difference(both: BeforeAfter, iteration: int) -> Interval | None:
    """How much more is solved by that iteration, over the tasks that count for both models.

    None where no task does. With a single cluster of tasks the interval has no ends (nan).
    """
    base, trained = (e.by_task(iteration) for e in (both.base, both.trained))
    shared = [task for task in base if task in trained]
    if not shared:
        return None
    a, b = ({task: values[task] for task in shared} for values in (base, trained))
    clusters = both.base.clusters()
    if len({clusters[task] for task in shared}) < 2:
        mean = sum(b[task] - a[task] for task in shared) / len(shared)
        return Interval(mean, math.nan, math.nan)
    return paired_interval(a, b, clusters)


def notes(both: BeforeAfter) -> list[str]:
    """What the figures are and what the interval covers."""
    base, trained = both.base, both.trained
    clusters = base.clusters()
    told = (base.by_task(1), trained.by_task(1))
    apart = len(told[0].keys() ^ told[1].keys())
    lines = [
        f"pass@1 in percent on the {len(clusters)} tasks of {base.settings.get('tasks')}: share "
        "solved by that iteration, so after as many attempts. Visible tests steer, scored tests "
        "decide.",
        "The interval is a paired bootstrap over the "
        f"{len(set(clusters.values()))} clusters of tasks with the same prompt. It speaks of these "
        "two models: another seed of training would give another trained one.",
    ]
    if base.iterations > 1:
        lines.append(
            "Repair rate: second attempts that are right; all follow a failed visible test. Repeat "
            "rate: second attempts that are the same program once more. Each model repairs "
            "failures of its own, so these differences have no paired interval."
        )
    if trained.overlap:
        lines.append(f"{trained.overlap['line']}.")
    if apart:
        lines.append(f"{apart} tasks without a verdict on one side are left out of the difference.")
    return lines


def for_card(both: BeforeAfter) -> list[str]:
    """Table and notes in Markdown, with the tasks named as a card may name them."""
    spec = str(both.base.settings.get("tasks"))
    settings = both.base.settings
    drawn = (
        f"Chains per task: {settings.get('num_runs')}; temperature {settings.get('temperature')}, "
        f"top-p {settings.get('top_p')}; at most {settings.get('max_completion_length')} tokens an "
        f"attempt{', linear layers in 4 bits' if settings.get('load_in_4bit') else ''}. `base`: "
        "the model that training began with; `trained`: the one after its last step."
    )
    shown = [note.replace(spec, source_shown(spec)) for note in notes(both)]
    return [table(both).markdown(), *shown, drawn]


def _rates(evaluation: Evaluation) -> list[float]:
    """Repair and repeat rate of second attempts, where such are made."""
    is_repaired = evaluation.iterations > 1
    return [evaluation.repair_rate(), evaluation.repeat_rate()] if is_repaired else []
