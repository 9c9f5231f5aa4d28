"""Reads the finished runs of a comparison into a record."""

import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
import re
from collections import Counter
from dataclasses import asdict, fields, replace
from pathlib import Path

import psutil

from benchmarks.compare import record
from benchmarks.compare.starts import loud_share
from murphy_agents.compare import cells
from murphy_agents.compare.arms import FOR_SOME
from murphy_agents.compare.results import check_same_tasks
from murphy_agents.config import TrainConfig
from murphy_agents.costs import COSTS, spent
from murphy_agents.evaluation.result import SUMMARY_FILE, Evaluation
from murphy_agents.files import write_atomically
from murphy_agents.log import read_history
from murphy_agents.run import origin
from murphy_agents.variants import VARIANTS
from murphy_env import sources

COUNTS = {"problems": "num_problems", "pruned": "num_pruned"}
"""Told of whole runs beside their costs: sums over the steps, and the metrics that they are of."""
OF_RUNS = {
    "model", "seed", "output_dir", "overwrite_output_dir", "resume", "dry_run", "card_gb",
    "eval_iterations", "sandbox_workers", "save_steps", "save_total_limit", "keep_steps",
    "report_to",
}  # fmt: skip
"""Settings of a training that are no property of an arm."""
ALWAYS_TOLD = ("algorithm", "max_steps")
"""Of an arm, also where they are the shared ones."""
_MACHINES = "machines.jsonl"
_VERSIONS = ("torch", "transformers", "numpy", "scipy", "gymnasium")
_OF_THE_PLACE = ("output_dir", "overwrite_output_dir", "num_processes")
_CHANGED = " with changes"
_RESUMED = re.compile(r"^resuming from .* steps done", re.MULTILINE)
"""A line of a run's log."""


def world_of(name, config, command, failed, as_planned=None):
    """The record of a comparison, as far as it is done.

    Args:
        name: of the world.
        config: of the comparison.
        command: that makes it.
        failed: what went wrong, by the name of the run.
        as_planned: its settings as they were planned, which decide how many runs are enough for a
            verdict; None: `config`.

    Raises:
        ValueError: nothing is finished, or an evaluation has more runs than can be written.
    """
    jobs = cells.jobs(config)
    done = [job for job in jobs if job.is_finished]
    if not done:
        raise ValueError(f"no run of world {name!r} is finished: {failed or 'none was begun'}")
    if config.eval_runs >= len(record.DIGITS):
        raise ValueError(f"eval_runs is {config.eval_runs}; give at most {len(record.DIGITS) - 1}")
    found = [Evaluation.load(job.evaluate.output_dir) for job in done]
    check_same_tasks(found)
    clusters = clusters_of(config.eval_tasks, found[0])
    numbers = {cluster: i for i, cluster in enumerate(dict.fromkeys(clusters.values()))}
    kinds = _subsets(config.eval_tasks)
    ways = [_on_the_way(job.folder / "curve") for job in done]
    told_on_ways = [evaluation for way in ways for _, evaluation in way]
    broken = set().union(*(evaluation.broken_tasks() for evaluation in told_on_ways))
    on_curves = _subsets(config.curve_tasks) if config.curve_tasks else kinds
    if told_on_ways:
        check_same_tasks(told_on_ways)
        on_curves = on_curves | {record.ALL: set(told_on_ways[0].clusters())}
        on_curves = {kind: chosen - broken for kind, chosen in on_curves.items()}
    programs = {name for job in done if job.train for name in origin.read(job.folder).programs}
    return record.World(
        world=name,
        tasks=tuple(clusters),
        clusters=tuple(numbers[cluster] for cluster in clusters.values()),
        iterations=config.iterations,
        eval_runs=config.eval_runs,
        runs=tuple(
            _run(job, config, evaluation, way, tuple(clusters), kinds, on_curves)
            for job, evaluation, way in zip(done, found, ways, strict=True)
        ),
        subsets={
            kind: "".join(str(int(task in chosen)) for task in clusters)
            for kind, chosen in kinds.items()
        },
        settings={k: v for k, v in asdict(config).items() if k not in _OF_THE_PLACE},
        arms={job.row: _settings(job, config) for job in reversed(done) if job.train},
        planned=dict(Counter(job.row for job in cells.jobs(as_planned or config))),
        failed=failed_by_arm(jobs, failed),
        command=command,
        commits=tuple(sorted({name.removesuffix(_CHANGED) for name in programs})),
        changed=any(name.endswith(_CHANGED) for name in programs),
        date=_date(done),
        machine=_machine_of(config),
        num_broken_on_curves=len(broken),
    )


def _run(job, config, found, way, tasks, kinds, on_curves):
    history = read_history(job.folder) if job.train else []
    clock = {"evaluation s": found.seconds, "steps": len(history)} if job.train else {}
    return record.Run(
        job.row,
        job.start,
        job.seed,
        tuple(counts(found, i + 1, tasks, config.eval_runs) for i in range(config.iterations)),
        _counts(history) | _costs(history) | {n: round(value, 1) for n, value in clock.items()},
        {kind: _mechanism(_part(found, chosen)) for kind, chosen in _with_all(kinds, tasks)},
        tuple(_curve(way, history, on_curves)),
        *(origin_of(job.folder) if job.train else ()),
    )


def _with_all(kinds, tasks):
    return [*kinds.items(), (record.ALL, set(tasks))]


def counts(evaluation, iteration, tasks, num_runs):
    """A digit per task: how many chains solved it; a task with a chain without verdict has none."""
    solved, judged = dict.fromkeys(tasks, 0), dict.fromkeys(tasks, 0)
    for chain in evaluation.chains:
        if chain.infra_error is None:
            judged[chain.task_id] += 1
            solved[chain.task_id] += evaluation.solved(chain, iteration)
    whole = {task: judged[task] == num_runs for task in tasks}
    return "".join(record.DIGITS[solved[t]] if whole[t] else record.NO_VERDICT for t in tasks)


def clusters_of(source, evaluation):
    """Task -> its cluster: the docstring that its metadata tells, or else its first prompt.

    Clear tasks of one docstring in the probe world have prompts that differ in a separator alone.
    """
    told = {task.task_id: task.metadata.get("docstring") for task in sources.load(source)}
    return {task: told.get(task) or cluster for task, cluster in evaluation.clusters().items()}


def _costs(history):
    return {name: round(spent(history, name), 1) for name in COSTS} if history else {}


def _counts(history):
    return {name: sum(m.get(key, 0.0) for m in history) for name, key in COUNTS.items() if history}


def _part(evaluation, chosen):
    """The same evaluation of some tasks alone."""
    kept = tuple(chain for chain in evaluation.chains if chain.task_id in chosen)
    return replace(evaluation, chains=kept)


def _mechanism(evaluation):
    """Shares of first attempts that are loud, of second ones that repeat, that are right."""
    found = {"loud": _known(loud_share(evaluation))}
    if evaluation.iterations > 1:
        found["repeats"] = _known(evaluation.repeat_rate(2))
        found["repairs"] = _known(evaluation.repair_rate(2))
    return {name: value and round(value, 4) for name, value in found.items()}


def _known(value):
    return None if value != value else value


def _on_the_way(folder):
    """(step, evaluation) of the checkpoints that were evaluated, first step first."""
    steps = [
        (int(found[1]), path)
        for path in folder.glob("step-*")
        if (found := re.fullmatch(r"step-(\d+)", path.name)) and (path / SUMMARY_FILE).exists()
    ]
    return [(step, Evaluation.load(path)) for step, path in sorted(steps)]


def _curve(way, history, kinds):
    """What was paid and reached by each of these checkpoints, on tasks that all of them judged."""
    for step, found in way:
        parts = {kind: _part(found, chosen) for kind, chosen in kinds.items()}
        yield {
            "step": step,
            "costs": _costs([m for m in history if m["step"] <= step]),
            "pass_at_1": {
                kind: [round(part.pass_at_1(i + 1), 4) for i in range(part.iterations)]
                for kind, part in parts.items()
                if part.chains
            },
        }


def _subsets(source):
    """Vague and clear tasks of the probe world, by their ids; no subsets elsewhere."""
    tasks = [t for t in sources.load(source) if t.metadata.get("world") == "probe"]
    found = {
        "vague": {task.task_id for task in tasks if task.metadata["vague"]},
        "clear": {task.task_id for task in tasks if not task.metadata["vague"]},
    }
    return {name: chosen for name, chosen in found.items() if chosen}


def _settings(job, config):
    """In which the training of an arm is not as the shared settings have it, or `TrainConfig`."""
    told = json.loads((job.folder / "config.json").read_text(encoding="utf-8"))
    shared = asdict(TrainConfig()) | _passed(config)
    return {
        name: value
        for name, value in told.items()
        if name not in OF_RUNS and (name in ALWAYS_TOLD or value != shared.get(name))
        if name not in FOR_SOME or config.all_arms[job.row].reads(name)
    }


def _passed(config):
    """What a comparison tells all of its runs; shapes are an arm's own affair."""
    names = {known.name for known in fields(TrainConfig)} - {"num_turns", "fanout"}
    told = {name: value for name, value in asdict(config).items() if name in names}
    return told | {"scale": config.scale or VARIANTS[config.loss_type].scale}


def origin_of(folder):
    """Commit of a training, several where it was gone on with by another, and how often it was."""
    log = folder / "log.txt"
    told = log.read_text(encoding="utf-8") if log.exists() else ""
    return ", then ".join(origin.read(folder).programs), len(_RESUMED.findall(told))


def failed_by_arm(jobs, failed):
    """Arm -> what went wrong, by the name of the run."""
    rows = {str(job): job.row for job in jobs}
    found = {}
    for name, error in failed.items():
        found.setdefault(rows.get(name, ""), {})[name] = error
    return found


def _date(done):
    last = max(Path(job.evaluate.output_dir, SUMMARY_FILE).stat().st_mtime for job in done)
    return datetime.datetime.fromtimestamp(last, datetime.UTC).strftime("%Y-%m-%d")


@contextlib.contextmanager
def note_machine(config):
    """Write down where what is left of a comparison is done within, for the record of it.

    The note is taken back where nothing was done: the comparison was refused.
    """
    file, here = Path(config.output_dir, _MACHINES), _machine(config.num_processes)
    there, anew = _noted(file), config.overwrite_output_dir
    done = _finished(config)
    if anew or len(done) < len(cells.jobs(config)):
        _note(file, [*(each for each in there if each != here and not anew), here])
    try:
        yield
    except (ValueError, OSError):
        if _finished(config) == done:
            _note(file, there)
        raise


def _finished(config):
    return {str(job) for job in cells.jobs(config) if job.is_finished}


def names_of(config):
    """Of all runs of a comparison, as their records have them."""
    return {str(record.Run(job.row, job.start, job.seed, ())) for job in cells.jobs(config)}


def _note(file, machines):
    if machines:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, "".join(json.dumps(each) + "\n" for each in machines))
    else:
        file.unlink(missing_ok=True)


def _noted(file):
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def _machine_of(config):
    """The machine of the runs, the last of several; nothing where none was noted."""
    noted = _noted(Path(config.output_dir, _MACHINES))
    if not noted:
        return {}
    return noted[-1] | ({"others": len(noted) - 1} if len(noted) > 1 else {})


def _machine(num_processes):
    cores = len(os.sched_getaffinity(0))
    return {
        "processor": _processor(),
        "cores": cores,
        "runs at a time": num_processes or cores,
        "memory GB": round(psutil.virtual_memory().total / 1e9),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in _VERSIONS},
    }


def _processor():
    known = Path("/proc/cpuinfo")
    lines = known.read_text(encoding="utf-8").splitlines() if known.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown")
