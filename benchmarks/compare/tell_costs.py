"""What a world's arms cost and by how much figures vary: budgets, spread, power."""

from benchmarks.compare import budgets, expected, pictures, spread
from benchmarks.compare.analysis import cost, is_trained, seconds
from benchmarks.compare.page import Grid, Heading, Picture
from benchmarks.compare.wording import count, level, named
from murphy_agents.show.tables import Table, percent

COSTS = (
    "generations", "trained tokens", "generation s", "execution s", "update s", "evaluation s"
)  # fmt: skip


def paid(world, subset):
    """The three budgets: what a run of each arm cost, what was reached on the way."""
    if not pictures.has_costs(world):
        return
    yield Heading(3, f"{world.world}: three budgets")
    trained = [arm for arm in world.names if is_trained(world, arm)]
    lines = [
        [f"`{arm}`", *(count(cost(world, arm, name)) for name in COSTS[:-1]), _total(world, arm),
         count(cost(world, arm, COSTS[-1]))]
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


def _total(world, arm):
    runs = world.of(arm)
    return count(sum(seconds(run.costs) for run in runs) / len(runs))


def _equal(world, subset):
    """What was reached by the most that all arms paid, along the curves."""
    arms = budgets.arms_with_paths(world, subset)
    if len(arms) < 2:
        return
    amounts = {name: budgets.shared(world, arms, subset, name) for name in budgets.BUDGETS}
    lines = [
        [f"`{arm}`"] + [level(budgets.at(world, arm, subset, *at)) for at in amounts.items()]
        for arm in arms
    ]
    tasks = world.settings.get("curve_tasks") or world.settings.get("eval_tasks")
    yield Grid(
        Table(["arm", *(f"{count(paid)} {name}" for name, paid in amounts.items())], lines),
        f"At equal budgets: pass@1 in percent at iteration {world.iterations}, {named(subset)} of "
        f"`{tasks}`, when every run had paid as much as the cheapest; straight lines between "
        "checkpoints, 95 % intervals over runs.",
    )


def noise(world, subset, found, expectations):
    """By how much figures vary, and which differences could have been seen."""
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
        f"Standard deviation in points at iteration {world.iterations}, {named(subset)}. "
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
