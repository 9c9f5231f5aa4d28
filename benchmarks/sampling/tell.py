"""The record as a reader sees it: goals first, then what they rest on."""

from statistics import median

from benchmarks.sampling import analysis
from benchmarks.sampling.contenders import OURS

ROUNDS = 5
"""Fewest rounds of which a median is called one."""
QUIET = 1.5
"""Most load of a run that had the machine to itself; it is 1 by its own thread."""


def lines(record):
    """All that was measured."""
    load = " to ".join(f"{value:.1f}" for value in record["load"])
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    yield f"{versions}; one thread; load average {load}"
    yield from _goals(analysis.goals(record))
    yield from _left_out(record.get("left out", {}))
    yield from _engines(record)
    yield from _schedules(record)
    yield from _agreement(record.get("agreement", {}))
    if "gpu" in record:
        yield from _gpu(record["gpu"])


def markdown(record):
    """`results.md`: how it was made, what was missed, and all of `lines`."""
    missed = [goal for goal in analysis.goals(record) if not goal.met]
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
            "",
            *_caution(record),
            *(["All goals are met."] if not missed else ["Missed:", *map(_missed, missed)]),
            "",
            "```",
            *lines(record),
            "```",
            "",
        ]
    )


def _caution(record):
    rounds = record["settings"]["engines"]["rounds"]
    if rounds < ROUNDS:
        yield f"A look, not a measurement: {rounds} rounds of less work. A full run has more."
        yield ""
    if max(record["load"]) > QUIET:
        yield f"Other work ran beside it (load average up to {max(record['load']):.1f}): times,"
        yield "those of the clock above all, are noisier than on a machine with nothing else to do."
        yield ""


def _missed(goal):
    found = "unmeasured" if goal.found is None else f"{goal.found:.3f}"
    return f"* {goal.name}: {found} where {goal.bound:g} is the goal"


def _goals(found):
    if found:
        states = [goal.met for goal in found]
        counts = (("met", True), ("missed", False), ("unmeasured", None))
        told = ", ".join(f"{states.count(state)} {name}" for name, state in counts)
        yield f"\ngoals: {told}"
        yield from _table([_goal(goal) for goal in found])


def _goal(goal):
    wanted = f"{'at least' if goal.at_least else 'at most'} {goal.bound:g}"
    if goal.found is None:
        return [goal.name, "unmeasured", wanted]
    return [goal.name, f"{goal.found:.3f}", f"{wanted}: {'met' if goal.met else 'NOT MET'}"]


def _left_out(found):
    for model, contenders in found.items():
        for contender, why in contenders.items():
            yield f"\n{model}: without {contender}: {why}"


def _engines(record):
    found = analysis.ratios({"settings": record["settings"], "engines": record.get("engines", [])})
    for row in record.get("engines", []):
        name, rounds = analysis.engine_name(row), row["rounds"]
        drawn, count = row["drawn"][OURS], len(row["rounds"][OURS])
        samples, tokens = drawn["samples"] // count, drawn["tokens"] // count
        yield f"\n{name}: {samples} samples, {tokens} tokens a round, {count} rounds; seconds"
        rows = [["", "cpu", "wall", "samples/s", "tokens/s", "not read anew", "cpu", "wall"]]
        for contender, pairs in rounds.items():
            wall = sum(pair[0] for pair in pairs)
            counts = row["drawn"][contender]
            ratios = [
                _range(found[f"{name}: {contender} / {OURS}, {kind}"])
                if contender != OURS
                else "times ours"
                for kind in ("cpu", "wall")
            ]
            rows.append(
                [
                    contender,
                    *(_spread([pair[kind] for pair in pairs], 2) for kind in (1, 0)),
                    f"{counts['samples'] / wall:.0f}",
                    f"{counts['tokens'] / wall:.0f}",
                    f"{100 * analysis.hit_rate(counts):.1f} %",
                    *ratios,
                ]
            )
        yield from _table(rows)


def _schedules(record):
    rows = record.get("schedules", [])
    if not rows:
        return
    found = analysis.ratios({"settings": record["settings"], "schedules": rows})
    yield "\nschedules: clock seconds of a rollout; a program's time is slept in a worker's thread."
    yield "In all: the time of all programs, by workers. At best: level / the longer of generation"
    yield "and that, which no order passes unless it generates faster. Idle: share of the clock in"
    yield "which the engine had nothing to draw, or the sandbox nothing to run."
    yield ""
    head = ["", "generation", "in all", "level", "eager", "level / eager", "at best"]
    idle = [f"{what} idle, {schedule}" for what in ("engine", "sandbox") for schedule in _SCHEDULES]
    yield from _table([[*head, *idle], *(_schedule(row, found) for row in rows)])
    yield ""
    for row in {_stands_for(row): row for row in rows}.values():
        yield f"  {_stands_for(row)}: like {row['like']}"


def _schedule(row, found):
    name, rounds = analysis.schedule_name(row), row["rounds"]
    programs = rounds["level"][0]["programs"]
    shares = {
        each: list(zip(*map(analysis.idle, rounds[each]), strict=True)) for each in _SCHEDULES
    }
    return [
        name,
        f"{median(told['generation_s'] for told in rounds['level']):.2f}",
        f"{programs * row['execution_s'] / row['workers']:.2f}",
        *(_spread([told["seconds"] for told in rounds[each]], 2) for each in _SCHEDULES),
        _range(found[f"{name}: level / eager, wall"]),
        f"{analysis.at_best(row):.2f}",
        *(f"{100 * median(shares[each][what]):.0f} %" for what in (0, 1) for each in _SCHEDULES),
    ]


def _stands_for(row):
    time = "balanced" if row["balanced"] else f"{1000 * row['execution_s']:g} ms"
    return f"{time} on {row['workers']} workers"


def _agreement(found):
    if found:
        yield "\nnodes that eager order drew differently from level order"
        rows = [["", "nodes", "differ", "of them where prompts were the same"]]
        rows += [[dtype, *map(str, counts.values())] for dtype, counts in found.items()]
        yield from _table(rows)


def _gpu(found):
    yield f"\non a GPU: {found['device'] or 'none here'}"
    yield from _table([[row["contender"], _speed(row)] for row in found["speed"]])
    yield from _table([[f"sync, {row['training']}", _seconds(row)] for row in found["sync"]])


def _speed(row):
    return _missing(row) or f"{_spread(row['tokens_per_s'], 0)} tokens/s"


def _seconds(row):
    return _missing(row) or f"{_spread(row['seconds'])} s"


def _missing(row):
    return next((f"{key}: {row[key]}" for key in ("unmeasured", "fails") if key in row), None)


def _table(rows):
    """Rows of cells, columns as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield f"  {'   '.join(cells)}".rstrip()


def _spread(values, digits=3):
    least, middle, most = (f"{f(values):.{digits}f}" for f in (min, median, max))
    return f"{middle} ({least} to {most})"


def _range(ratio):
    return f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})"


_SCHEDULES = ("level", "eager")
