"""The report in blocks: a summary of what was expected and found, then world by world."""

from benchmarks.compare import expected, loud, tell_costs, tell_world
from benchmarks.compare.page import Grid, Heading, Paragraph, Points
from benchmarks.compare.record import ALL
from benchmarks.compare.wording import signed, subset_of
from murphy_agents.show.tables import Table, percent

_ABOUT = {
    "repair": "Small programs with a detail to be found from feedback; each wrong one tells its "
    "first failed test. A repetition: these tasks, both starting models and three of the five "
    "seeds were measured before, so nothing here is a prediction.",
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
            "Held: the whole interval is where it was expected; did not hold: it is wholly "
            "elsewhere; undecided: it reaches the bound, so nothing is shown. The first two need a "
            f"p of at most {expected.ALPHA} besides, against the nearest bound, by Holm's "
            "adjustment over the whole family, run or not; what is judged by its interval alone "
            "has no adjusted p, and a single pair of runs decides nothing. Incomplete: pairs are "
            "missing. Reasons stand with each world.",
        )
    yield from _loud_shares(worlds)
    if missing := [name for name in expectations if name not in {w.world for w in worlds}]:
        yield Paragraph(f"Worlds with expectations that were not run: {', '.join(missing)}.")


def _loud_shares(worlds):
    """What the explanation needs, beside the differences."""
    bounds = loud.load()
    found = [(world, shares) for world in worlds for shares in loud.findings(world, bounds)]
    lines = [
        [world.world, f"`{f.bound.arm}`", f.bound.told, percent(f.mean), percent(f.lowest),
         percent(f.highest), _of_planned(f.num_runs, world.planned.get(f.bound.arm, 0)), f.verdict]
        for world, f in found
    ]  # fmt: skip
    if lines:
        header = ["world", "arm", "loud, expected", "mean", "lowest run", "highest run", "runs",
                  "verdict"]  # fmt: skip
        yield Grid(
            Table(header, lines, num_names=3),
            "Share of loud first attempts, percent. Held: in every run; did not hold: not in their "
            "mean; else undecided. Where it does not hold, the explanation is wrong, whatever the "
            "differences are.",
        )


def _of_planned(num, planned):
    """How many, and where that is another number, how many were planned; 0: it is not known."""
    if num < planned:
        return f"{num} of {planned}"
    return f"{num}, {planned} planned" if num > planned > 0 else str(num)


def _verdict(found, with_world=False):
    e = found.expectation
    p = (
        "-"
        if found.p_holm is None
        else ("<0.001" if found.p_holm < 1e-3 else f"{found.p_holm:.3f}")
    )
    line = [f"`{e.arm}` - `{e.other}`", f"{e.subset}, {e.iteration}", e.told,
            signed(found.interval), _of_planned(found.num_pairs, found.num_planned), p,
            found.verdict]  # fmt: skip
    return [e.world, *line] if with_world else line


def _world(world, found, expectations):
    subset = subset_of(world)
    yield Heading(2, f"World: {world.world}")
    yield Paragraph(_ABOUT.get(world.world, f"Tasks: `{world.settings.get('eval_tasks')}`."))
    yield Points(tuple(_counts(world)))
    if found:
        told = [
            f"`{f.expectation.arm}` - `{f.expectation.other}`: {f.expectation.told} "
            f"({f.expectation.why}). Found: {f.verdict}.{_after(f.expectation)}"
            for f in found
        ]
        yield Paragraph("Expected, and why:")
        yield Points(tuple(told))
    yield from tell_world.reached(world)
    yield from tell_world.differences(world, subset)
    yield from tell_world.paper(world, subset)
    yield from tell_costs.paid(world, subset)
    yield from tell_world.how(world)
    yield from tell_costs.noise(world, subset, found, expectations)
    yield from tell_world.made(world)


def _counts(world):
    trained = [run for run in world.runs if run.seed is not None]
    starts, seeds = {run.start for run in trained}, {run.seed for run in trained}
    yield (
        f"{len(world.tasks)} tasks in {len(set(world.clusters))} clusters (tasks with the same "
        "docstring, or prompt where they tell none), each tried "
        f"{_times(world.eval_runs)} by every model."
    )
    for name, line in world.subsets.items():
        yield f"{name}: {line.count('1')} of them."
    yield (
        f"{len({run.arm for run in trained})} trained arms, "
        f"{len(starts)} starting model{'s' * (len(starts) != 1)}, "
        f"{len(seeds)} seed{'s' * (len(seeds) != 1)} of training for each: {len(trained)} runs."
    )
    if apart := len(world.tasks) - len(world.tasks_of(ALL)):
        yield f"{apart} tasks lack a verdict in some run and are left out of all."
    failed = {name: error for found in world.failed.values() for name, error in found.items()}
    if (left := world.num_missing - len(failed)) > 0:
        yield f"{left} runs of {sum(world.planned.values())} that are planned were not run."
    for name, error in failed.items():
        yield f"failed: {name}: {error}"


def _after(expectation):
    return f" Afterwards: {expectation.after}." if expectation.after else ""


def _times(number):
    return "once" if number == 1 else f"{number} times"


def _reading():
    yield Heading(2, "How to read it")
    yield Points(
        (
            "base: the model that runs began with. supervised-best, supervised-filtered: its "
            "supervised training, by the checkpoint that did best on the selection tasks; of right "
            "answers alone. Neither was trained by an algorithm here.",
            "Tasks are weighted alike. Intervals of trained arms cover which clusters of tasks "
            "(of one docstring) there are and how runs differ (Student's t over all runs); of "
            "models as they were, clusters alone: with 20 of them 91.7 % of such intervals hold "
            "the truth, with 36 93.7 % (docs/design/0601). They speak of these starting models "
            "(docs/design/0603).",
            "Differences are taken run by run: to the run with the same start and seed, and to the "
            "model that the run began with, whose one evaluation all runs of a start share.",
            "p values are Student's t over the pairs of runs, for the tasks, starting models and "
            "random numbers of evaluation at hand, by Holm's adjustment over a family of "
            "expectations. Where several runs share the one evaluation of a model as it was, the "
            "most that its luck can add to the variance is added "
            "(`benchmarks/compare/significance.py`). Intervals are not adjusted. What was "
            "expected, in which family: `benchmarks/compare/expected.yaml`.",
            "Starting model, training and evaluation are each told a seed of their own, for "
            "streams of their own; the numbers may coincide. All models are evaluated with the "
            "same random numbers.",
        )
    )
