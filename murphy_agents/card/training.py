"""What a card says of training: tasks, algorithm, settings, and figures of the run's steps."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from murphy_agents.card import names
from murphy_agents.card.told import Told
from murphy_agents.config import TrainConfig
from murphy_agents.costs import spent

_TOLD_ELSEWHERE = {
    "model", "tasks", "algorithm", "make_algorithm", "output_dir", "overwrite_output_dir",
    "resume", "dry_run", "report_to", "save_steps", "save_total_limit", "keep_steps",
    "sandbox_workers", "device", "vllm_server_base_url", "vllm_sync_folder",
}  # fmt: skip
"""Settings that the card names in words, or that say where a run was done and how it was kept."""
_FIGURES = {
    "reward/turn_": "reward, attempt ",
    "solved/turn_": "share solved, attempt ",
    "reward/best": "best reward of a problem",
    "repair_rate": "share of refinements that are solved",
    "repeat_rate": "share of refinements that are the same program",
    "kl": "KL to the reference, nats a token",
}
"""Metrics that are shown, by the beginnings of their names, in this order."""


def parts(told: Told) -> Iterator[str]:
    """Paragraphs in Markdown."""
    yield _tasks(told)
    yield f"Algorithm: {algorithm(told)}. Its parts:"
    yield f"```\n{told.algorithm}\n```"
    if listed := _settings(told):
        yield "Settings that differ from the defaults:"
        yield f"```yaml\n{listed}\n```"
    yield figures(told.history)


def algorithm(told: Told) -> str:
    """Its name."""
    if told.was_given("algorithm"):
        return "one of its program's own"
    return str(told.settings.get("make_algorithm") or told.settings["algorithm"])


def figures(history: Sequence[Mapping[str, float]]) -> str:
    """Sums over a run's steps, and means over the first and the last tenth of them."""
    if not history:
        return "No step was taken: the weights are those that it began with."
    problems = sum(metrics.get("num_problems", 0.0) for metrics in history)
    generations, tokens = (spent(history, name) for name in ("generations", "trained tokens"))
    width = max(1, len(history) // 10)
    ends = {_counted("first", width): history[:width], _counted("last", width): history[-width:]}
    there = sorted({name for metrics in history for name in metrics})
    named = {
        name: said + name.removeprefix(start)
        for start, said in _FIGURES.items()
        for name in there
        if name.startswith(start)
    }
    rows = [["means, on what was drawn in training", *ends], ["---"] * (1 + len(ends))]
    rows += [[said, *(_mean(name, m) for m in ends.values())] for name, said in named.items()]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return (
        f"{_counted('', len(history))}: {problems:,.0f} problems, {generations:,.0f} generations, "
        f"{tokens:,.0f} trained tokens.\n\n{table}"
    )


def _tasks(told: Told) -> str:
    count = f"{told.origin.num_tasks:,} tasks" if told.origin.num_tasks else "Tasks"
    if told.settings.get("env") is not None or told.was_given("make_env"):
        return f"{count}, brought by an environment of its own."
    if told.was_given("tasks"):
        return f"{count}, given by the program that trained it."
    spec = str(told.settings["tasks"])
    if (source := names.source_of(spec)) is None:
        return f"{count}, from a file."
    licence = names.LICENCES[source]
    return f"{count} of {names.source_shown(spec)}; licence of the data: {licence}."


def _settings(told: Told) -> str:
    """One line per setting that is not at its default; paths are left out."""
    defaults = dataclasses.asdict(TrainConfig())
    lines = [
        f"{name}: {_shown(name, value)}"
        for name, value in told.settings.items()
        if name not in _TOLD_ELSEWHERE
        and (name not in defaults or value not in ("", defaults[name]))
    ]
    return "\n".join(lines)


def _shown(name: str, value: object) -> str:
    if name == "eval_tasks":
        return names.source_shown(str(value))
    return names.without_paths(json.dumps(value))


def _counted(which: str, count: int) -> str:
    said = which if which and count == 1 else f"{which} {count:,}".strip()
    return f"{said} {'step' if count == 1 else 'steps'}"


def _mean(name: str, history: Sequence[Mapping[str, float]]) -> str:
    values = [metrics[name] for metrics in history if name in metrics]
    return f"{fmean(values):.3f}" if values else ""
