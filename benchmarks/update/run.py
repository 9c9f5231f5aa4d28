"""Measures: the parts of a record, one after the other.

* `counts`: see `counts`
* `distances`: `{"qwen3, S2 all fail, chat": {way: distance of its gradient to the reference's}}`
* `rounds`: `{the same names: {way: [[wall_s, cpu_s], ...]}}`; round n is the tree of seed n
* `memory`, `head`: peaks in MB, each in a process of its own; see `memory`
* `gpu`: see `gpu`
* `small distances`, `small rounds`: as `distances` and `rounds`, of a model and trees so small that
  a trie hardly pays
"""

import random
from functools import partial

from benchmarks import report
from benchmarks.recorded import measuring
from benchmarks.update import counts, gpu, memory
from benchmarks.update.settings import scaled
from benchmarks.update.variants import SMALL_WAYS, WAYS, Contest, problem


def measure(settings, only=(), say=print):
    """The record of a run of all parts, or of some.

    Args:
        settings: see `settings.yaml`.
        only: names of parts; none means all.
        say: hears what is going on.

    Raises:
        ValueError: there is no such part.
        RuntimeError: a way's gradient is another one.
    """
    return measuring.measure(settings, _PARTS, _LIBRARIES, only, say)


def _counts(settings, say):
    return {"counts": counts.as_json(counts.tables(settings))}


def _time(settings, say):
    distances, rounds = {}, {}
    for kind, wanted in settings["time"]["models"].items():
        contest = Contest.of(kind, settings)
        for tree in settings["trees"] if wanted == "all" else wanted:
            shape = settings["trees"][tree]
            for transcript in _transcripts(settings["time"], shape):
                name = f"{kind}, {tree}, {transcript}"
                say(f"  {name}")
                found = _alternate(contest, shape, transcript, settings)
                distances[name], rounds[name] = found
    return {"distances": distances, "rounds": rounds}


def _transcripts(wanted, shape):
    # With one turn there is nothing to quote.
    return wanted["transcripts"] if len(shape["fanout"]) > 1 else wanted["transcripts"][:1]


def _small(settings, say):
    wanted = settings["small"]
    # The same measurement with other lengths and another model.
    settings = settings | {"lengths": wanted["lengths"], "time": wanted}
    contest = Contest.of("qwen3", settings)
    distances, rounds = {}, {}
    for tree, shape in wanted["trees"].items():
        say(f"  {tree}")
        found = _alternate(contest, shape, "requote", settings, SMALL_WAYS)
        distances[tree], rounds[tree] = found
    return {"small distances": distances, "small rounds": rounds}


def _alternate(contest, shape, transcript, settings, ways=tuple(WAYS)):
    """Distances of gradients on the first round's tree; times of every round."""
    wanted = settings["time"]
    lengths = scaled(settings, wanted["scale"])
    problems = [
        problem(contest, shape, transcript, settings, seed, lengths)
        for seed in range(wanted["rounds"])
    ]
    if "trl" in ways:
        for each in problems:
            contest.prepare(each)
    distances = contest.distances(problems[0], ways)
    most = settings["gradient_tolerance"]
    if wrong := {way: far for way, far in distances.items() if not far <= most}:
        raise RuntimeError(f"gradients differ by more than {most} of their norm: {wrong}")
    # The first round is not counted.
    turns = {way: iter([problems[0], *problems]) for way in ways}
    runs = {way: partial(lambda way: contest.run(way, next(turns[way])), way) for way in ways}
    taken = report.alternate(runs, wanted["rounds"])
    return distances, {way: [[*map(_rounded, pair)] for pair in taken[way]] for way in ways}


def _memory(settings, say):
    wanted = settings["memory"]
    jobs = [
        {"what": "update", "way": way, "transcript": transcript, "whole": whole}
        for transcript in wanted["transcripts"]
        for way in wanted["ways"]
        for whole in wanted["wholes"]
    ]
    return {"memory": _peaks(settings, jobs, wanted["repeats"], say)}


def _head(settings, say):
    jobs = [{"what": "head", "way": way} for way in settings["head"]["ways"]]
    return {"head": _peaks(settings, jobs, settings["head"]["repeats"], say)}


def _peaks(settings, jobs, repeats, say):
    """Each job's peaks; jobs take turns in an order that changes."""
    peaks = [job | {"mb": []} for job in jobs]
    for repeat in range(repeats):
        for job in random.Random(repeat).sample(peaks, len(peaks)):
            asked = {name: value for name, value in job.items() if name != "mb"}
            job["mb"].append(_rounded(memory.in_a_process(asked | {"settings": settings})))
            say(f"  {' '.join(map(str, asked.values()))}: {job['mb'][-1]:.0f} MB")
    return peaks


def _gpu(settings, say):
    return {"gpu": gpu.measure(settings, say=say)}


def _rounded(number):
    return round(number, 6)


_LIBRARIES = ("torch", "transformers", "trl")
_PARTS = {
    "counts": _counts,
    "time": _time,
    "small": _small,
    "memory": _memory,
    "head": _head,
    "gpu": _gpu,
}
