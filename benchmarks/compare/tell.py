"""The report in blocks: a summary of what was expected and found, then world by world."""

from benchmarks.compare import expected, tell_costs, tell_world
from benchmarks.compare.page import Grid, Heading, Paragraph, Points
from benchmarks.compare.record import ALL
from benchmarks.compare.wording import signed, subset_of
from murphy_agents.show.tables import Table

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
    line = [f"`{e.arm}` - `{e.other}`", f"{e.subset}, {e.iteration}", e.told, signed(found.found),
            str(found.num_pairs), p, found.verdict]  # fmt: skip
    return [e.world, *line] if with_world else line


def _world(world, found, expectations):
    subset = subset_of(world)
    yield Heading(2, f"World: {world.world}")
    yield Paragraph(_ABOUT.get(world.world, f"Tasks: `{world.settings.get('eval_tasks')}`."))
    yield Points(tuple(_counts(world)))
    if found:
        told = [
            f"`{f.expectation.arm}` - `{f.expectation.other}`: {f.expectation.told} "
            f"({f.expectation.why}). Found: {f.verdict}."
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
        f"prompt), each tried {_times(world.eval_runs)} by every model."
    )
    for name, line in world.subsets.items():
        yield f"{name}: {line.count('1')} of them."
    yield (
        f"{len({run.arm for run in trained})} trained arms, "
        f"{len(starts)} starting model{'s' * (len(starts) != 1)}, "
        f"{len(seeds)} seeds of training for each: {len(trained)} runs."
    )
    if apart := len(world.tasks) - len(world.tasks_of(ALL)):
        yield f"{apart} tasks lack a verdict in some run and are left out of all."
    for name, error in world.failed.items():
        yield f"failed: {name}: {error}"


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
