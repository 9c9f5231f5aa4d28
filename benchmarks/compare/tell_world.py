"""What a world's arms reached, and how: tables and pictures."""

from collections import Counter

from benchmarks.compare import paper_tables, pictures
from benchmarks.compare.analysis import difference, is_trained, mechanism, pass_at_1, run_mean
from benchmarks.compare.page import Code, Grid, Heading, Paragraph, Picture, Points
from benchmarks.compare.wording import level, named, signed, subset_of
from murphy_agents.show.tables import Table, percent

OTHERS = ("base", "grpo", "tree_without_credit")
"""Arms to which all others are compared."""
OF_MANY = "murphy_mars"
"""One more where there are many arms, most of which are like it but for a setting."""


def reached(world):
    """pass@1 of every arm by iteration, subset by subset."""
    yield Heading(3, f"{world.world}: what was reached")
    header = ["arm", "runs", *(f"iteration {i + 1}" for i in range(world.iterations))]
    for subset in world.parts:
        lines = [
            [f"`{arm}`", str(len(world.of(arm))), *_by_iteration(world, arm, subset)]
            for arm in world.names
        ]
        title = f"pass@1 in percent, {named(subset)}: mean and 95 % interval."
        yield Grid(Table(header, lines), title)
    subset = subset_of(world)
    about = f"pass@1 of every arm of {world.world}, {named(subset)}"
    yield Picture(f"{world.world}-reached", pictures.reached(world, subset), about)


def _by_iteration(world, arm, subset):
    found = [pass_at_1(world, arm, i + 1, subset) for i in range(world.iterations)]
    return list(map(level, found))


def differences(world, subset):
    """Gains over the arms that all others are compared to, at the last and at the first attempt."""
    arms = [arm for arm in world.names if arm != "base"]
    many = sum(is_trained(world, arm) for arm in arms) > pictures.FEW
    wanted = (*OTHERS, OF_MANY) if many else OTHERS
    others = [other for other in wanted if other in world.names]
    if not others or not arms:
        return
    yield Heading(3, f"{world.world}: differences")
    header = ["arm", *(f"against `{other}`" for other in others)]
    like = _like(world) if many else {}
    if like:
        header += ["like", "against that one"]
    for iteration in dict.fromkeys((world.iterations, 1)):
        lines = [
            [
                f"`{arm}`",
                *(signed(_against(world, arm, other, iteration, subset)) for other in others),
                *(_beside_its_like(world, arm, like, iteration, subset) if like else ()),
            ]
            for arm in arms
        ]
        yield Grid(
            Table(header, lines),
            f"Points at iteration {iteration}, {named(subset)}, run by run: mean and 95 % "
            "interval, not adjusted for their number.",
        )


def _like(world):
    """Arm -> the arm whose settings it has but for its own, where both are there."""
    told = {arm: own.get("like") for arm, own in (world.settings.get("arms") or {}).items()}
    return {arm: like for arm, like in told.items() if {arm, like} <= set(world.names)}


def _beside_its_like(world, arm, like, iteration, subset):
    if arm not in like:
        return "-", "-"
    return f"`{like[arm]}`", signed(_against(world, arm, like[arm], iteration, subset))


def _against(world, arm, other, iteration, subset):
    if arm == other or (other != "base" and not is_trained(world, arm)):
        return None
    return difference(world, arm, other, iteration, subset)


def paper(world, subset):
    """The paper's tables that this world's arms fill."""
    there = paper_tables.tables(world, subset)
    if there:
        yield Heading(3, f"{world.world}: the paper's tables at this scale")
    for number, table in there.items():
        kept = " Kept: generations per task and step that were not pruned." if number == 3 else ""
        yield Grid(
            table,
            f"Table {number}, {paper_tables.TITLES[number]}, {named(subset)}.{kept} The paper's "
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


def how(world):
    """What first and second attempts are like."""
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
        f"Percent, {named(subset)}, at the temperature of the evaluation.{note}",
    )
    drawn = pictures.probing(world, subset) if is_probe else None
    if drawn:
        about = f"share of loud first attempts and pass@1 of every run, {world.world}"
        yield Picture(f"{world.world}-probing", drawn, about)


def made(world):
    """Command, commit, machine, and every run."""
    yield Heading(3, f"{world.world}: how it was made")
    yield Code(world.command)
    commits = ", ".join(world.commits) or "unknown"
    state = " with changes" if world.changed else ""
    yield Points(
        (
            f"Commit of the runs: {commits}{state}; last run finished {world.date or '?'}.",
            f"Machine: {_machine(world.machine)}.",
            "Settings: in the file that the command names, and in the first line of "
            f"`benchmarks/compare/results/{world.world}.jsonl`.",
        )
    )
    yield from _every_run(world)


def _machine(known):
    if not known:
        return "not noted"
    versions = ", ".join(f"{name} {v}" for name, v in known.get("versions", {}).items())
    return (
        f"{known.get('processor', '?')}, {known.get('cores', '?')} cores, "
        f"{known.get('memory GB', '?')} GB, {known.get('runs at a time', '?')} runs at a time; "
        f"{versions}"
    )


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
        f"Every run: pass@1 in percent at iteration {last}, {named(subset)}.",
    )
    resumed = [run for run in world.runs if run.num_resumed]
    commits = Counter(run.commit for run in world.runs if run.seed is not None)
    if len(commits) > 1:
        told = "; ".join(f"{commit or 'unknown'}: {num} runs" for commit, num in commits.items())
        yield Paragraph(f"By commit: {told}.")
    if resumed:
        told = "; ".join(f"{run}: {run.num_resumed} times" for run in resumed)
        yield Paragraph(f"Gone on with from a checkpoint: {told}.")
