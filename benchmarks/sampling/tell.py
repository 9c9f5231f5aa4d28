"""The record as a reader sees it: goals first, then what they rest on."""

from statistics import median

from benchmarks.recorded import telling
from benchmarks.recorded.telling import ratio_range, spread, table
from benchmarks.sampling import analysis
from benchmarks.sampling.contenders import OURS
from benchmarks.sampling.run import SCHEDULES


def lines(record):
    """All that was measured."""
    yield from telling.head(record, analysis.goals(record))
    yield from _left_out(record.get("left out", {}))
    yield from _engines(record)
    yield from _schedules(record)
    yield from _agreement(record.get("agreement", {}))
    if "gpu" in record:
        yield from _gpu(record["gpu"])


def markdown(record):
    """`results.md`: how it was made, what was missed, and all of `lines`."""
    rounds = record["settings"]["engines"]["rounds"]
    looked_at = " of less work. A full run has more."
    return telling.page(record, lines(record), analysis.goals(record), rounds, looked_at)


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
                ratio_range(found[f"{name}: {contender} / {OURS}, {kind}"])
                if contender != OURS
                else "times ours"
                for kind in ("cpu", "wall")
            ]
            rows.append(
                [
                    contender,
                    *(spread([pair[kind] for pair in pairs], 2) for kind in (1, 0)),
                    f"{counts['samples'] / wall:.0f}",
                    f"{counts['tokens'] / wall:.0f}",
                    f"{100 * analysis.hit_rate(counts):.1f} %",
                    *ratios,
                ]
            )
        yield from table(rows)


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
    idle = [f"{what} idle, {schedule}" for what in ("engine", "sandbox") for schedule in SCHEDULES]
    yield from table([[*head, *idle], *(_schedule(row, found) for row in rows)])
    yield ""
    for row in {_stands_for(row): row for row in rows}.values():
        yield f"  {_stands_for(row)}: like {row['like']}"


def _schedule(row, found):
    name, rounds = analysis.schedule_name(row), row["rounds"]
    programs = rounds["level"][0]["programs"]
    shares = {each: list(zip(*map(analysis.idle, rounds[each]), strict=True)) for each in SCHEDULES}
    return [
        name,
        f"{median(told['generation_s'] for told in rounds['level']):.2f}",
        f"{programs * row['execution_s'] / row['workers']:.2f}",
        *(spread([told["seconds"] for told in rounds[each]], 2) for each in SCHEDULES),
        ratio_range(found[f"{name}: level / eager, wall"]),
        f"{analysis.at_best(row):.2f}",
        *(f"{100 * median(shares[each][what]):.0f} %" for what in (0, 1) for each in SCHEDULES),
    ]


def _stands_for(row):
    time = "balanced" if row["balanced"] else f"{1000 * row['execution_s']:g} ms"
    return f"{time} on {row['workers']} workers"


def _agreement(found):
    if found:
        yield "\nnodes that eager order drew differently from level order"
        rows = [["", "nodes", "differ", "of them where prompts were the same"]]
        rows += [[dtype, *map(str, counts.values())] for dtype, counts in found.items()]
        yield from table(rows)


def _gpu(found):
    yield f"\non a GPU: {found['device'] or 'none here'}"
    yield from table([[row["contender"], _speed(row)] for row in found["speed"]])
    yield from table([[f"sync, {row['training']}", _seconds(row)] for row in found["sync"]])


def _speed(row):
    return _missing(row) or f"{spread(row['tokens_per_s'], 0)} tokens/s"


def _seconds(row):
    return _missing(row) or f"{spread(row['seconds'])} s"


def _missing(row):
    return next((f"{key}: {row[key]}" for key in ("unmeasured", "fails") if key in row), None)
