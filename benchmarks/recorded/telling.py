"""A record as a reader sees it: what all of them tell, and the page that is committed."""

from statistics import median

ROUNDS = 5
"""Fewest rounds of which a median is called one."""
QUIET = 1.5
"""Most load of a run that had the machine to itself; it is 1 by its own thread."""


def head(record, goals):
    """Versions and load, then every goal with what was found."""
    load = " to ".join(f"{value:.1f}" for value in record["load"])
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    yield f"{versions}; one thread; load average {load}"
    if goals:
        states = [goal.met for goal in goals]
        counts = (("met", True), ("missed", False), ("unmeasured", None))
        told = (f"{states.count(state)} {name}" for name, state in counts if state in states)
        yield f"\ngoals: {', '.join(told)}"
        yield from table([_goal(goal) for goal in goals])


def page(record, lines, goals, rounds, looked_at, note=()):
    """`results.md`: how it was made, what was missed, and all of `lines`.

    Args:
        record: of the run, with what `report.about` says and its command.
        lines: all that is told of it.
        goals: of the record.
        rounds: counted ones.
        looked_at: what a run of few rounds has less of.
        note: more lines on what the figures are.
    """
    missed = [goal for goal in goals if not goal.met]
    state = " with changes" if record["changed since"] else ""
    return "\n".join(
        [
            "# What was measured",
            "",
            f"    {record['command']}",
            "",
            f"Commit {record['commit']}{state};",
            f"{record['device']};",
            f"Python {record['python']}.",
            "",
            "All settings are in `settings.yaml`, all figures in `results.json`. Medians with the",
            "least and the most; ratios are taken within each round.",
            *note,
            "",
            *_caution(max(record["load"]), rounds, looked_at),
            *(["All goals are met."] if not missed else ["Missed:", *map(_missed, missed)]),
            "",
            "```",
            *lines,
            "```",
            "",
        ]
    )


def table(rows):
    """Rows of cells, columns as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield f"  {'   '.join(cells)}".rstrip()


def spread(values, digits=3):
    """The median, with the least and the most."""
    least, middle, most = (f"{f(values):.{digits}f}" for f in (min, median, max))
    return f"{middle} ({least} to {most})"


def ratio_range(ratio):
    """The same of a ratio."""
    return f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})"


def _caution(load, rounds, looked_at):
    if rounds < ROUNDS:
        yield f"A look, not a measurement: {rounds} rounds{looked_at}"
        yield ""
    if load > QUIET:
        yield f"Other work ran beside it (load average up to {load:.1f}): times, those of the"
        yield "clock above all, are noisier than on a machine with nothing else to do."
        yield ""


def _missed(goal):
    found = "unmeasured" if goal.found is None else f"{goal.found:.3f}"
    return f"* {goal.name}: {found} where {goal.bound:g} is the goal"


def _goal(goal):
    wanted = f"{'at least' if goal.at_least else 'at most'} {goal.bound:g}"
    if goal.found is None:
        return [goal.name, "unmeasured", wanted]
    return [goal.name, f"{goal.found:.3f}", f"{wanted}: {'met' if goal.met else 'NOT MET'}"]
