"""What a world's arms cost and by how much figures vary: budgets, spread, power."""

from benchmarks.compare import budgets, expected, pictures, spread
from benchmarks.compare.analysis import cost, is_trained, seconds
from benchmarks.compare.page import Grid, Heading, Picture
from benchmarks.compare.significance import shared_variance
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
        f"{world.machine.get('cores', '?')} cores, {world.machine.get('runs at a time', '?')} runs "
        f"at a time{_others(world)}.",
    )
    about = f"pass@1 over generations, trained tokens and seconds, {world.world}{_apart(world)}"
    yield Picture(f"{world.world}-budgets", pictures.budgets(world, subset), about)
    for budget in budgets.BUDGETS:
        if drawn := pictures.panels(world, subset, budget):
            about = (
                f"pass@1 along {budget}, {world.world}; grey: from the lowest arm to the highest"
            )
            yield Picture(f"{world.world}-{budget.replace(' ', '-')}", drawn, about)
    yield from _equal(world, subset)


def _apart(world):
    """That lines and marks are of other tasks, where they are."""
    curves, ends = (world.settings.get(name) for name in ("curve_tasks", "eval_tasks"))
    if curves in (None, ends):
        return ""
    return f"; lines are of {curves}, marks and base of {ends}"


def _others(world):
    num = world.machine.get("others", 0)
    return f", and of {num} more machines, numbers of runs or versions" if num else ""


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
        [f"`{arm}`", *(cell for at in amounts.items() for cell in _read(world, arm, subset, *at))]
        for arm in arms
    ]
    header = [cell for name, paid in amounts.items() for cell in (f"{count(paid)} {name}", "step")]
    tasks = world.settings.get("curve_tasks") or world.settings.get("eval_tasks")
    yield Grid(
        Table(["arm", *header], lines),
        f"At equal budgets: pass@1 in percent at iteration {world.iterations}, {named(subset)} of "
        f"`{tasks}`, when every run had paid as much as the cheapest, and the mean step at which "
        "that was; straight lines between checkpoints, 95 % intervals over runs"
        f"{_left_out(world)}. A run that is "
        "read before its end still has learning rate left, which falls to its last step, so arms "
        "that spent less in all, and are read later in their schedule, are favoured "
        "(docs/design/0608).",
    )


def _left_out(world):
    num = world.num_broken_on_curves
    return f"; {num} tasks without a verdict at some checkpoint are left out" if num else ""


def _read(world, arm, subset, budget, amount):
    """What an arm had reached, and at which step; dashes where its path is elsewhere."""
    found = budgets.at(world, arm, subset, budget, amount)
    return ("-", "-") if found is None else (level(found[0]), count(found[1]))


def noise(world, subset, found, expectations):
    """By how much figures vary, and which differences could have been seen."""
    yield Heading(3, f"{world.world}: spread, and what could have been seen")
    where = world.iterations, subset
    parts = {
        "starts": spread.between_starts,
        "runs of one start: training and evaluation": spread.within_starts,
        "clusters of tasks": spread.between_tasks,
        "evaluations of one run": spread.of_sampling,
    }
    told = {
        name: [percent(part(world, arm, *where)) for arm in world.names]
        for name, part in parts.items()
    }
    told = {name: column for name, column in told.items() if set(column) != {"-"}}
    named_arms = [f"`{arm}`" for arm in world.names]
    yield Grid(
        Table(["arm", *told], list(zip(named_arms, *told.values(), strict=True))),
        f"Standard deviation in points at iteration {world.iterations}, {named(subset)}. "
        "Starts: noise of their runs taken off. Runs of one start differ in the seed of training, "
        "and in the luck of their one evaluation.",
    )
    families = {f.expectation.family for f in found}
    sizes = {family: expected.size_of(family, expectations) for family in families}
    lines = [_power(world, f, sizes[f.expectation.family]) for f in found if f.interval is not None]
    if lines:
        header = ["difference", "pairs", "half width", "sd of pairs", "seen at 0.05",
                  "seen, Holm's first step", "judged"]  # fmt: skip
        yield Grid(
            Table(header, lines),
            "Half width: of the interval, which covers tasks too. Seen: the smallest true "
            f"difference, in points, that {100 * spread.POWER:g} % of such "
            "comparisons would have told from a bound, by Student's t over the pairs of runs, "
            "given the spread that was seen; for these tasks and starting models. Judged: what "
            "verdicts ask, at Holm's first step with the interval beyond the bound too, or by the "
            "interval alone where it alone decides. They are '-' where nothing varies and there "
            "are too few pairs to tell.",
        )


def _power(world, found, family):
    e, interval = found.expectation, found.interval
    where = world, e.arm, e.other, e.iteration, e.subset
    pairs, sd = spread.of_pairs(*where)
    half_width = (interval.high - interval.low) / 2
    line = [f"`{e.arm}` - `{e.other}`", str(pairs), percent(half_width)]
    if sd is None:
        return [*line, "-", "-", "-", "-"]
    first_step, added = expected.ALPHA / family, shared_variance(*where)
    told = (
        spread.detectable(sd, pairs, expected.ALPHA, added),
        spread.detectable(sd, pairs, first_step, added),
        spread.detectable(sd, pairs, first_step if e.family else 1.0, added, half_width),
    )
    return [*line, percent(sd), *map(percent, told)]
