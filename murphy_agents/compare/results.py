"""The arithmetic of a comparison: runs to rows, with intervals. Knows neither files nor processes.

A row is all runs of one arm, or the evaluations of one kind of model that was not trained
here. Tasks are weighted alike, and only those count whose chains have a verdict in all
evaluations.

What an interval covers:

* rows of two runs or more: tasks (whole clusters are resampled) and runs (Student's t over all of
  them, see `statistics`), for the starting models at hand (`docs/design/0603`);
* other rows: tasks alone, of the mean over warm starts. So are the points at which curves begin.

Ends are cut at what a share, or a difference of shares, can be.

Differences are taken run by run before they are averaged: against the evaluation of the very model
that the run began with, and against the run of the other arm with the same start and seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from murphy_agents.costs import BUDGETS, spent
from murphy_agents.evaluation.result import Evaluation
from murphy_agents.metrics import Metrics
from murphy_agents.stats.resampling import Clusters, Interval, difference
from murphy_agents.stats.statistics import runs_interval

Values = Mapping[str, float]


@dataclass(frozen=True)
class Run:
    """One evaluation, and the training that led to it."""

    start: str
    evaluation: Evaluation
    seed: int | None = None
    """Of training; None: not trained here."""
    history: Sequence[Metrics] = ()
    curve: Sequence[tuple[int, Evaluation]] = ()
    """Steps whose checkpoints were evaluated too, in their order."""

    def cost(self, name: str, steps: int | None = None) -> float:
        """A sum over the steps of training, or over the first ones (see `costs`)."""
        return spent(self.history, name, steps)


@dataclass(frozen=True)
class Point:
    """What an arm had reached on the way, mean over its runs."""

    step: float
    spent: Mapping[str, float]
    """By budget."""
    pass_at_1: tuple[Interval, ...]
    """By iteration."""


@dataclass(frozen=True)
class Row:
    """What is told of one arm, or of one model that was not trained here."""

    name: str
    runs: tuple[Run, ...]
    pass_at_1: tuple[Interval, ...]
    """By iteration."""
    against: Mapping[str, Interval] = field(default_factory=dict)
    """Difference at the last iteration to other rows, by their names, where runs can be paired."""
    curve: tuple[Point, ...] = ()
    """The way there, the starting models first; empty where no checkpoints were evaluated."""

    @property
    def is_trained(self) -> bool:
        """Whether its runs were trained here."""
        return all(run.seed is not None for run in self.runs)

    @property
    def steps(self) -> float | None:
        """Mean over the runs; None where nothing was trained."""
        return fmean(len(run.history) for run in self.runs) if self.is_trained else None

    def cost(self, name: str) -> float | None:
        """Mean over the runs; None where nothing was trained."""
        return fmean(run.cost(name) for run in self.runs) if self.is_trained else None


def rows(arms: Mapping[str, Sequence[Run]]) -> list[Row]:
    """One row per arm that has runs.

    Args:
        arms: runs by name of the row; all evaluated on the same tasks with the same iterations.

    Raises:
        ValueError: no task has a verdict in every evaluation.
    """
    arms = {name: runs for name, runs in arms.items() if runs}
    tasks = shared_tasks(arms)
    if arms and not tasks:
        raise ValueError(
            "no task has a verdict in every evaluation, so nothing can be compared; see their "
            "evaluation.jsonl for what broke"
        )
    curves = curves_of(arms)
    # Taken once: every row is compared with every other.
    last = {
        name: [(run, _values(run.evaluation, run.evaluation.iterations, tasks)) for run in runs]
        for name, runs in arms.items()
    }
    return [
        Row(
            name,
            tuple(runs),
            _means([run.evaluation for run in runs], runs, tasks),
            {
                other: found
                for other in arms
                if other != name
                if (found := _difference(last[other], last[name])) is not None
            },
            curves.get(name, ()),
        )
        for name, runs in arms.items()
    ]


def curves_of(arms: Mapping[str, Sequence[Run]]) -> dict[str, tuple[Point, ...]]:
    """By arm, the points at which all of its runs were evaluated, their starting models first.

    Only tasks count that have a verdict in every evaluation of every curve (`curve_tasks`). An arm
    is left out if one of its runs has no curve, or began with a model that has none.
    """
    tasks, _ = curve_tasks(arms)
    if not tasks:
        return {}
    starts = _starts(arms)
    return {
        name: (_beginning(runs, starts, tasks), *_points(runs, tasks))
        for name, runs in _with_curves(arms, starts).items()
    }


def curve_tasks(arms: Mapping[str, Sequence[Run]]) -> tuple[list[str], int]:
    """The tasks that have a verdict in every evaluation on the way, and how many have not."""
    starts = _starts(arms)
    runs = [run for runs in _with_curves(arms, starts).values() for run in runs]
    told = [found for run in runs for found in (starts[run.start], *(f for _, f in run.curve))]
    tasks = _with_verdict(told)
    return tasks, len(told[0].clusters()) - len(tasks) if told else 0


def _starts(arms: Mapping[str, Sequence[Run]]) -> dict[str, Evaluation]:
    """The evaluations of starting models that curves begin with."""
    return {
        run.start: run.curve[0][1]
        for runs in arms.values()
        for run in runs
        if run.curve and run.curve[0][0] == 0
    }


def _with_curves(
    arms: Mapping[str, Sequence[Run]], starts: Mapping[str, Evaluation]
) -> dict[str, Sequence[Run]]:
    return {
        name: runs
        for name, runs in arms.items()
        if all(run.seed is not None and run.curve and run.start in starts for run in runs)
    }


def _beginning(
    runs: Sequence[Run], starts: Mapping[str, Evaluation], tasks: Sequence[str]
) -> Point:
    """The starting models of the runs, each of which counts once, however many runs it has."""
    began = [Run(start, starts[start]) for start in dict.fromkeys(run.start for run in runs)]
    reached = _means([start.evaluation for start in began], began, tasks)
    return Point(0, dict.fromkeys(BUDGETS, 0.0), reached)


def _points(runs: Sequence[Run], tasks: Sequence[str]) -> list[Point]:
    return [_point(runs, index, tasks) for index in range(len(runs[0].curve))]


def _point(runs: Sequence[Run], index: int, tasks: Sequence[str]) -> Point:
    steps = [run.curve[index][0] for run in runs]
    return Point(
        fmean(steps),
        {
            name: fmean(run.cost(name, step) for run, step in zip(runs, steps, strict=True))
            for name in BUDGETS
        },
        _means([run.curve[index][1] for run in runs], runs, tasks),
    )


def shared_tasks(arms: Mapping[str, Sequence[Run]]) -> list[str]:
    """The tasks that have a verdict in every evaluation."""
    return _with_verdict([run.evaluation for runs in arms.values() for run in runs])


def _with_verdict(evaluations: Sequence[Evaluation]) -> list[str]:
    check_same_tasks(evaluations)
    broken = {task for evaluation in evaluations for task in evaluation.broken_tasks()}
    there = evaluations[0].clusters() if evaluations else {}
    return [task for task in there if task not in broken]


def check_same_tasks(
    evaluations: Iterable[Evaluation], now: Mapping[str, str] | None = None
) -> None:
    """Check that all evaluations are of the same tasks, with the same prompts and tests.

    Args:
        evaluations: of one comparison.
        now: what tells each task's content, for evaluations that are still to come.

    Raises:
        ValueError: they are not; names a task.
    """
    tasks = None if now is None else set(now)
    known = dict(now or {})
    for evaluation in evaluations:
        mine = {chain.task_id: chain.digest for chain in evaluation.chains}
        apart = sorted(set(mine) ^ (set(mine) if tasks is None else tasks))
        apart += [
            task for task, digest in mine.items() if digest and known.get(task, digest) != digest
        ]
        if apart:
            raise ValueError(
                f"the evaluations of this comparison are not of the same tasks: {apart[0]!r} is "
                "not in all of them, or has another prompt or other tests in some; restore the "
                "source of the tasks as it was, or begin anew with overwrite_output_dir"
            )
        tasks = set(mine)
        known |= {task: digest for task, digest in mine.items() if digest}


def _means(
    evaluations: Sequence[Evaluation], runs: Sequence[Run], tasks: Sequence[str]
) -> tuple[Interval, ...]:
    """By iteration, the mean over evaluations of these runs."""
    clusters = evaluations[0].clusters()
    return tuple(
        _mean([_values(found, i + 1, tasks) for found in evaluations], clusters, runs, least=0.0)
        for i in range(evaluations[0].iterations)
    )


def _values(evaluation: Evaluation, iteration: int, tasks: Sequence[str]) -> Values:
    found = evaluation.by_task(iteration)
    return {task: found[task] for task in tasks}


def _difference(
    others: Sequence[tuple[Run, Values]], runs: Sequence[tuple[Run, Values]]
) -> Interval | None:
    """Mean of runs minus their partners; None where none has one.

    A run's partner has its start and seed, or its start and no seed at all.
    """
    partners = {(other.start, other.seed): values for other, values in others}
    pairs = []
    for run, values in runs:
        partner = partners.get((run.start, run.seed), partners.get((run.start, None)))
        if partner is not None:
            pairs.append((run, difference(partner, values)))
    if not pairs:
        return None
    clusters = runs[0][0].evaluation.clusters()
    return _mean([values for _, values in pairs], clusters, [run for run, _ in pairs], least=-1.0)


def _mean(
    values: Sequence[Values], clusters: Clusters, runs: Sequence[Run], least: float
) -> Interval:
    """The mean with its interval, as told above."""
    are_trained = all(run.seed is not None for run in runs)
    return runs_interval(values, clusters, are_trained, least)
