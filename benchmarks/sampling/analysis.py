"""From a record to ratios and goals; `tell` prints them.

Ratios of engines are contender / our transformers engine, those of schedules level / eager, both
taken round by round; goals are judged on medians. A goal whose figure was not measured is not
listed, but for vLLM's: that one says that it is missing.
"""

from statistics import median

from benchmarks import report
from benchmarks.recorded.goals import Goal, of_ratios
from benchmarks.sampling.contenders import GENERATE, OURS, VLLM


def engine_name(row):
    """What a row of engines is called."""
    return f"{row['model']}, {row['work']}, {row['lengths']}"


def schedule_name(row):
    """What a row of schedules is called."""
    about = "balanced" if row["balanced"] else f"{1000 * row['execution_s']:g} ms"
    return f"{row['shape']}, {row['lengths']}, {about} on {row['workers']}"


def ratios(record):
    """`{name: {"median", "min", "max", "goal"}}`; goals of ratios are least values."""
    return _engine_ratios(record) | _schedule_ratios(record)


def goals(record):
    """Every goal whose figure was measured, or should have been."""
    return of_ratios(ratios(record)) + _vllm_goals(record) + _agreement_goals(record)


def at_best(row):
    """What level / eager could be if eager order had no idle engine, or no idle sandbox.

    Level order's clock over the longer of its generation and its programs' time by workers; an
    order that generates faster, with fuller batches, could pass it.
    """
    return median(
        told["seconds"]
        / max(told["generation_s"], told["programs"] * row["execution_s"] / row["workers"])
        for told in row["rounds"]["level"]
    )


def idle(told):
    """Shares of a rollout's clock in which the engine, and the sandbox, had nothing to do."""
    return told["execution_s"] / told["seconds"], 1 - told["judging_s"] / told["seconds"]


def hit_rate(drawn):
    """Share of the prompts' ids that were not read anew."""
    return 1 - drawn["prefilled_tokens"] / drawn["prompt_tokens"]


def _engine_ratios(record):
    found, wanted = {}, record["settings"]["goals"]["generate"]
    for row in record.get("engines", []):
        for peer in row["rounds"]:
            if peer != OURS:
                judged = peer == GENERATE and row["work"] in wanted["works"]
                pairs = report.ratios(
                    row["rounds"], OURS, peer, {"cpu": wanted["least"]} if judged else {}
                )
                found |= {f"{engine_name(row)}: {pair}": ratio for pair, ratio in pairs.items()}
    return found


def _schedule_ratios(record):
    found, wanted = {}, record["settings"]["goals"]["balanced"]
    for row in record.get("schedules", []):
        level, eager = ([told["seconds"] for told in row["rounds"][s]] for s in ("level", "eager"))
        values = [one / other for one, other in zip(level, eager, strict=True)]
        judged = row["balanced"] and f"{row['shape']}, {row['lengths']}" in wanted["rows"]
        found[f"{schedule_name(row)}: level / eager, wall"] = {
            "median": median(values),
            "min": min(values),
            "max": max(values),
            "goal": wanted["least"] if judged else None,
        }
    return found


def _vllm_goals(record):
    wanted = record["settings"]["goals"]["vllm"]
    rows = [row for row in record.get("engines", []) if engine_name(row) in wanted["rows"]]
    return [
        Goal(
            f"{engine_name(row)}: {OURS} / {VLLM}, cpu",
            _behind(row["rounds"]),
            wanted["most"],
            at_least=False,
        )
        for row in rows
    ]


def _behind(rounds):
    if VLLM not in rounds:
        return None
    return report.ratios(rounds, VLLM, OURS, {})[f"{OURS} / {VLLM}, cpu"]["median"]


def _agreement_goals(record):
    wanted = record["settings"]["goals"]["agreement"]
    return [
        Goal(
            f"share of {counts['nodes']} nodes that differ, {dtype}",
            counts["differ"] / counts["nodes"],
            wanted[dtype],
            at_least=False,
        )
        for dtype, counts in record.get("agreement", {}).items()
    ]
