"""The report in blocks: a summary of what was expected and found, then world by world."""

from benchmarks.compare import budgets, expected, paper_tables, pictures, spread
from benchmarks.compare.analysis import (
    cost,
    difference,
    is_trained,
    mechanism,
    pass_at_1,
    run_mean,
    seconds,
)
from benchmarks.compare.page import Code, Grid, Heading, Paragraph, Picture, Points
from benchmarks.compare.record import ALL
from murphy_agents.show.tables import Table, percent, points
from murphy_agents.show.tables import spread as ends

OTHERS = ("base", "grpo", "tree_without_credit")
"""Arms to which all others are compared."""
COSTS = (
    "generations", "trained tokens", "generation s", "execution s", "update s", "evaluation s"
)  # fmt: skip
_ABOUT = {
    "repair": "Small programs with a detail to be found from feedback; each wrong one tells its "
    "first failed test.",
    "arms": "The tasks of `repair`, with every arm.",
    "probe": "Swallow or crash: a quiet program hides the failure and earns more now, a loud one "
    "reveals what is wrong.",
    "probe_strong": "`probe` with a larger reward for hiding.",
    "probe_blind": "`probe` with the message cut to the exception's name, so that nothing is "
    "revealed.",
    "probe_hedge": "`probe` from starting models that hide in most first attempts.",
}


def report(worlds, expectations):
    """All blocks.

    Args:
        worlds: records, in the order in which they are told of.
        expectations: world -> what was expected.
    """
    found = expected.findings(worlds, expectations)
    yield Heading(1, "Which algorithm is better")
    yield from _opening(worlds)
    yield from _summary(worlds, found, expectations)
    for world in worlds:
        yield from _world(world, found[world.world], expectations)
    yield from _reading()


def subset_of(world):
    """The tasks of the headline: vague ones where there are such."""
    return world.parts[0]


def _opening(worlds):
    if not worlds:
        yield Paragraph("No world has been run: `python -m benchmarks.compare --world NAME`.")
        return
    yield Paragraph(
        "pass@1 at iteration k: a model has had up to k attempts at a task, visible tests steering "
        "and, where the tasks have them, hidden ones deciding. Figures are made from "
        "`benchmarks/compare/results` by `python -m benchmarks.compare --report`; how, is said "
        "at the end."
    )


def _summary(worlds, found, expectations):
    lines = [_verdict(f, with_world=True) for w in worlds for f in found[w.world]]
    if lines:
        yield Heading(2, "Expected and found")
        header = ["world", "difference", "tasks, iteration", "expected", "found, points",
                  "pairs", "p, Holm", "verdict"]  # fmt: skip
        yield Grid(
            Table(header, lines, num_names=3),
            "p is against the nearest end of what was expected, by Holm's adjustment over the "
            f"family. A verdict needs p of at most {expected.ALPHA} and an interval that leaves "
            "that end out; where there is no p, the interval alone. Else it is undecided. Reasons "
            "stand with each world.",
        )
    if missing := [name for name in expectations if name not in {w.world for w in worlds}]:
        yield Paragraph(f"Worlds with expectations that were not run: {', '.join(missing)}.")


def _verdict(found, with_world=False):
    e = found.expectation
    p = (
        "-"
        if found.p_holm is None
        else ("<0.001" if found.p_holm < 1e-3 else f"{found.p_holm:.3f}")
    )
    line = [f"`{e.arm}` - `{e.other}`", f"{e.subset}, {e.iteration}", e.told, _signed(found.found),
            str(found.num_pairs), p, found.verdict]  # fmt: skip
    return [e.world, *line] if with_world else line


def _world(world, found, expectations):
    subset = subset_of(world)
    yield Heading(2, f"World: {world.world}")
    yield Paragraph(_ABOUT.get(world.world, f"Tasks: `{world.settings.get('eval_tasks')}`."))
    yield Points(tuple(_counts(world)))
    if found:
        told = [f"`{f.expectation.arm}` against `{f.expectation.other}`, {f.expectation.told}: "
                f"{f.expectation.why}: {f.verdict}." for f in found]  # fmt: skip
        yield Paragraph("Expected, and why:")
        yield Points(tuple(told))
    yield from _reached(world)
    yield from _differences(world, subset)
    yield from _paper(world, subset)
    yield from _budgets(world, subset)
    yield from _mechanism(world)
    yield from _noise(world, subset, found, expectations)
    yield from _made(world)


def _counts(world):
    trained = [run for run in world.runs if run.seed is not None]
    starts, seeds = {run.start for run in trained}, {run.seed for run in trained}
    yield (
        f"{len(world.tasks)} tasks in {len(set(world.clusters))} clusters (tasks with the same "
        f"prompt), each tried {_times(world.eval_runs)} by every model."
    )
    for name, line in world.subsets.items():
        yield f"{name}: {line.count('1')} of them."
    yield (
        f"{len({run.arm for run in trained})} trained arms, {len(starts)} starting models, "
        f"{len(seeds)} seeds of training for each: {len(trained)} runs."
    )
    if apart := len(world.tasks) - len(world.tasks_of(ALL)):
        yield f"{apart} tasks lack a verdict in some run and are left out of all."
    for name, error in world.failed.items():
        yield f"failed: {name}: {error}"


def _times(number):
    return "once" if number == 1 else f"{number} times"


def _reached(world):
    yield Heading(3, f"{world.world}: what was reached")
    header = ["arm", "runs", *(f"iteration {i + 1}" for i in range(world.iterations))]
    for subset in world.parts:
        lines = [
            [f"`{arm}`", str(len(world.of(arm))), *_by_iteration(world, arm, subset)]
            for arm in world.names
        ]
        title = f"pass@1 in percent, {_named(subset)}: mean and 95 % interval."
        yield Grid(Table(header, lines), title)
    subset = subset_of(world)
    about = f"pass@1 of every arm of {world.world}, {_named(subset)}"
    yield Picture(f"{world.world}-reached", pictures.reached(world, subset), about)


def _by_iteration(world, arm, subset):
    found = [pass_at_1(world, arm, i + 1, subset) for i in range(world.iterations)]
    return [f"{percent(f.mean)} ({ends(f)})" for f in found]


def _differences(world, subset):
    others = [other for other in OTHERS if other in world.names]
    last = world.iterations
    lines = [
        [f"`{arm}`", *(_signed(_against(world, arm, other, subset)) for other in others)]
        for arm in world.names
        if arm != "base"
    ]
    if others and lines:
        yield Heading(3, f"{world.world}: differences")
        yield Grid(
            Table(["arm", *(f"against `{other}`" for other in others)], lines),
            f"Points at iteration {last}, {_named(subset)}, run by run: mean and 95 % interval, "
            "not adjusted for their number.",
        )


def _against(world, arm, other, subset):
    if arm == other or (other != "base" and not is_trained(world, arm)):
        return None
    return difference(world, arm, other, world.iterations, subset)


def _paper(world, subset):
    there = paper_tables.tables(world, subset)
    if there:
        yield Heading(3, f"{world.world}: the paper's tables at this scale")
    for number, table in there.items():
        kept = " Kept: generations per task and step that were not pruned." if number == 3 else ""
        yield Grid(
            table,
            f"Table {number}, {paper_tables.TITLES[number]}, {_named(subset)}.{kept} The paper's "
            f"figures are of {paper_tables.MODEL} at iterations 1 and 3; only their order can be "
            "compared.",
        )
    gone = paper_tables.not_run(world)
    if gone:
        told = "; ".join(f"table {number}: {why}" for number, why in gone.items())
        yield Paragraph(f"Not run: {told}.")
    if rest := paper_tables.rest(world):
        told = ", ".join(f"`{arm}`" for arm in rest)
        yield Paragraph(f"Arms that the paper has no row for: {told}.")


def _budgets(world, subset):
    if not pictures.has_costs(world):
        return
    yield Heading(3, f"{world.world}: three budgets")
    trained = [arm for arm in world.names if is_trained(world, arm)]
    lines = [
        [f"`{arm}`", *(_count(cost(world, arm, name)) for name in COSTS[:-1]), _total(world, arm),
         _count(cost(world, arm, COSTS[-1]))]
        for arm in trained
    ]  # fmt: skip
    yield Grid(
        Table(["arm", *COSTS[:-1], "training s", COSTS[-1]], lines),
        "Of one run, mean. Training is generation, execution and update; seconds are of "
        f"{world.machine.get('processor', 'one machine')}, one thread a run, "
        f"{world.machine.get('cores', '?')} cores.",
    )
    about = f"pass@1 over generations, trained tokens and seconds, {world.world}"
    yield Picture(f"{world.world}-budgets", pictures.budgets(world, subset), about)
    for budget in budgets.BUDGETS:
        if drawn := pictures.panels(world, subset, budget):
            about = (
                f"pass@1 along {budget}, {world.world}; grey: from the lowest arm to the highest"
            )
            yield Picture(f"{world.world}-{budget.replace(' ', '-')}", drawn, about)
    yield from _equal(world, subset)


def _equal(world, subset):
    """What was reached by the most that all arms paid, along the curves."""
    arms = budgets.arms_with_paths(world, subset)
    if len(arms) < 2:
        return
    amounts = {name: budgets.shared(world, arms, subset, name) for name in budgets.BUDGETS}
    lines = [
        [f"`{arm}`"]
        + [_run_interval(budgets.at(world, arm, subset, *at)) for at in amounts.items()]
        for arm in arms
    ]
    tasks = world.settings.get("curve_tasks") or world.settings.get("eval_tasks")
    yield Grid(
        Table(["arm", *(f"{_count(paid)} {name}" for name, paid in amounts.items())], lines),
        f"At equal budgets: pass@1 in percent at iteration {world.iterations}, {_named(subset)} of "
        f"`{tasks}`, when every run had paid as much as the cheapest; straight lines between "
        "checkpoints, 95 % intervals over runs.",
    )


def _run_interval(found):
    return "-" if found is None else f"{percent(found.mean)} ({ends(found)})"


def _total(world, arm):
    runs = world.of(arm)
    return _count(sum(seconds(run.costs) for run in runs) / len(runs))


def _mechanism(world):
    subset = subset_of(world)
    is_probe = bool(world.subsets)
    names = {"loud": "loud first attempts"} if is_probe else {}
    names |= {"repeats": "second attempts that repeat", "repairs": "second attempts that are right"}
    lines = [
        [f"`{arm}`", *(percent(mechanism(world, arm, name, subset)) for name in names),
         percent(pass_at_1(world, arm, world.iterations, subset).mean)]
        for arm in world.names
    ]  # fmt: skip
    yield Heading(3, f"{world.world}: how it is done")
    note = " Loud: without `try`, so that an error is seen." if is_probe else ""
    yield Grid(
        Table(["arm", *names.values(), f"pass@1 at {world.iterations}"], lines),
        f"Percent, {_named(subset)}, at the temperature of the evaluation.{note}",
    )
    drawn = pictures.probing(world, subset) if is_probe else None
    if drawn:
        about = f"share of loud first attempts and pass@1 of every run, {world.world}"
        yield Picture(f"{world.world}-probing", drawn, about)


def _noise(world, subset, found, expectations):
    yield Heading(3, f"{world.world}: spread, and what could have been seen")
    where = world.iterations, subset
    parts = {
        "between starts": spread.between_starts,
        "between seeds of training": spread.between_seeds,
        "between clusters of tasks": spread.between_tasks,
        "between evaluations": spread.of_sampling,
    }
    lines = [
        [f"`{arm}`", *(percent(part(world, arm, *where)) for part in parts.values())]
        for arm in world.names
    ]
    yield Grid(
        Table(["arm", *parts], lines),
        f"Standard deviation in points at iteration {world.iterations}, {_named(subset)}. "
        "Starts: noise of seeds taken off. Evaluations: of one run's mean, where every task is "
        "tried more than once.",
    )
    sizes = {f: expected.size_of(f.expectation.family, expectations) for f in found}
    lines = [_power(world, f.expectation, sizes[f]) for f in found if f.found is not None]
    if lines:
        header = ["difference", "pairs", "sd of pairs", "seen at 0.05", "seen, Holm's first step"]
        yield Grid(
            Table(header, lines),
            f"The smallest true difference, in points, that {100 * spread.POWER:g} % of such "
            "comparisons would have told from a bound, by Student's t over the pairs of runs, "
            "given the spread that was seen; for these tasks and starting models.",
        )


def _power(world, expectation, family):
    e = expectation
    pairs, sd = spread.of_pairs(world, e.arm, e.other, e.iteration, e.subset)
    line = [f"`{e.arm}` - `{e.other}`", str(pairs), percent(sd)]
    if sd is None:
        return [*line, "-", "-"]
    levels = expected.ALPHA, expected.ALPHA / family
    return [*line, *(percent(spread.detectable(sd, pairs, level)) for level in levels)]


def _made(world):
    yield Heading(3, f"{world.world}: how it was made")
    yield Code(world.command)
    versions = ", ".join(f"{n} {v}" for n, v in world.machine.get("versions", {}).items())
    commits = ", ".join(world.commits) or "unknown"
    state = " with changes" if world.changed else ""
    yield Points(
        (
            f"Commit of the runs: {commits}{state}; last run finished {world.date or '?'}.",
            f"Machine: {world.machine.get('processor', '?')}, "
            f"{world.machine.get('cores', '?')} cores, {world.machine.get('memory GB', '?')} GB; "
            f"{versions}.",
            f"Settings: `benchmarks/compare/{world.world}.yaml`, and in the first line of "
            f"`benchmarks/compare/results/{world.world}.jsonl`.",
        )
    )
    yield from _every_run(world)


def _every_run(world):
    subset, last = subset_of(world), world.iterations
    found = {(r.arm, r.start, r.seed): run_mean(world, r, last, subset) for r in world.runs}
    seeds = sorted({run.seed for run in world.runs if run.seed is not None})
    rows = dict.fromkeys((run.arm, run.start) for run in world.runs)
    lines = [
        [f"`{arm}`", start, *(percent(found.get((arm, start, seed))) for seed in (None, *seeds))]
        for arm, start in rows
    ]
    yield Grid(
        Table(["arm", "start", "as it was", *(f"seed {seed}" for seed in seeds)], lines, 2),
        f"Every run: pass@1 in percent at iteration {last}, {_named(subset)}.",
    )


def _reading():
    yield Heading(2, "How to read it")
    yield Points(
        (
            "base: the model that runs began with. supervised-best, supervised-filtered: its "
            "supervised training, by the checkpoint that did best on the selection tasks; of right "
            "answers alone. Neither was trained by an algorithm here.",
            "Tasks are weighted alike. Intervals of trained arms cover which clusters of tasks "
            "there are and how runs differ (Student's t over all runs); of models as they were, "
            "clusters alone. They speak of these starting models (docs/design/0603).",
            "Differences are taken run by run: to the run with the same start and seed, and to the "
            "model that the run began with, whose one evaluation all runs of a start share.",
            "p values are Student's t over the pairs of runs, for the tasks at hand, by Holm's "
            "adjustment over a family of expectations. Intervals are not adjusted. What was "
            "expected, in which family: `benchmarks/compare/expected.yaml`.",
            "Seeds of the starting model, of training and of evaluation are set apart: all models "
            "are evaluated with the same random numbers.",
        )
    )


def _named(subset):
    return "all tasks" if subset == ALL else f"{subset} tasks"


def _signed(found):
    return "-" if found is None else f"{points(found.mean)} ({ends(found, signed=True)})"


def _count(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
