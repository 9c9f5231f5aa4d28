"""From a record to ratios and goals; `tell` prints them.

Ratios are peer / ours, the trie layout or the library's output layer, taken round by round; goals
are judged on their medians, and a goal that was not measured is not listed.
"""

from statistics import median

from benchmarks import report
from benchmarks.recorded.goals import Goal, of_ratios
from benchmarks.update import counts
from benchmarks.update.variants import CHOSEN

OURS = "trie"
HEAD = "library"


def ratios(record):
    """`{name: {"median", "min", "max", "goal"}}` of times and of peaks."""
    wanted = record["settings"]["goals"]
    return (
        _time_ratios(record.get("rounds", {}), wanted["processor time"])
        | _small_ratios(record.get("small rounds", {}), wanted["small"])
        | _peak_ratios(record.get("memory", []), OURS, wanted["memory"])
        | _peak_ratios(record.get("head", []), HEAD, wanted["head"])
    )


def goals(record):
    """Every goal whose figure was measured."""
    return of_ratios(ratios(record)) + _count_goals(record)


def _time_ratios(rounds, wanted):
    found = {}
    for name, taken in rounds.items():
        _, tree, _ = name.split(", ")
        for peer in taken:
            if peer != OURS:
                goal = wanted.get(peer, {"trees": ()})
                cpu = {"cpu": goal["least"]} if tree in goal["trees"] else {}
                pairs = report.ratios(taken, OURS, peer, cpu)
                found |= {f"{name}: {pair}": ratio for pair, ratio in pairs.items()}
    return found


def _small_ratios(rounds, least):
    found = {}
    for tree, taken in rounds.items():
        for peer in taken:
            if peer != CHOSEN:
                goal = {"cpu": least} if peer == "padded, sorted" else {}
                pairs = report.ratios(taken, CHOSEN, peer, goal)
                found |= {f"small, {tree}: {pair}": ratio for pair, ratio in pairs.items()}
    return found


def _peak_ratios(peaks, ours, wanted):
    found = {}
    own = {job_name(job): job for job in peaks if job["way"] == ours}
    for job in peaks:
        base = own.get(job_name(job, ours))
        if job["way"] != ours and base is not None:
            values = [p / o for p, o in zip(job["mb"], base["mb"], strict=True)]
            judged = job.get("whole", True)
            found[f"{job_name(job)} / {ours}, memory"] = {
                "median": median(values),
                "min": min(values),
                "max": max(values),
                "goal": wanted.get(job["way"]) if judged else None,
            }
    return found


def job_name(job, way=None):
    """What a peak is of; of another way where one is given."""
    if job["what"] == "head":
        return f"output layer: {way or job['way']}"
    rows = "whole problem" if job["whole"] else "micro-batches"
    return f"{job['transcript']}, {rows}: {way or job['way']}"


def _count_goals(record):
    if "counts" not in record:
        return []
    tables = counts.from_json(record["counts"])
    wanted = record["settings"]["goals"]
    shares, splitting = wanted["forwarded per trained"], wanted["splitting"]
    tree, budget = shares["tree"], splitting["budget"]
    run = [name for name in tables if name in shares]
    found = [
        Goal(
            f"forwarded per trained token, {tree}, {transcript}",
            tables[transcript][tree].ratio("trie", "trained"),
            shares[transcript],
            at_least=False,
        )
        for transcript in run
    ]
    return found + [
        Goal(
            f"share added by splitting at {budget}, {name}, {transcript}",
            tables[transcript][name].overhead(budget),
            splitting["most"],
            at_least=False,
        )
        for transcript in run
        for name in splitting["trees"]
    ]
