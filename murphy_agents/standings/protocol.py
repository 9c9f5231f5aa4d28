"""Whether evaluations of one benchmark may stand in one column: same tasks, same protocol."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from murphy_agents.evaluation.config import EvalConfig
from murphy_agents.standings.entries import Entry

MAY_DIFFER = {
    "model", "tasks", "train_tasks", "bad_rows", "output_dir", "overwrite_output_dir", "resume",
    "iterations", "num_runs", "seed", "sandbox_level", "sandbox_workers", "batch", "dtype",
    "load_in_4bit", "device",
}  # fmt: skip
"""Settings that do not change what is measured: who, where, how often, how fast.

`tasks` is compared by the tasks themselves. Every other setting is part of the protocol, those that
this version does not know included."""


def check_same(entries: Sequence[Entry], allowed: Sequence[str] = ()) -> list[str]:
    """Check that the rows of every benchmark may be compared.

    A setting that an evaluation does not tell of had its default: it was not there yet.

    Args:
        entries: the evaluations.
        allowed: settings of the protocol that may differ.

    Returns:
        A sentence for each setting that differs and is allowed to.

    Raises:
        ValueError: task sets differ, or settings that are not allowed to; or there is no such
            setting to allow.
    """
    _check_names(entries, allowed)
    told = []
    for benchmark, group in groupby(_by_benchmark(entries), key=lambda entry: entry.benchmark):
        first, *others = group
        for other in others:
            _check_tasks(first, other)
            apart = dict(_differences(first, other))
            refused = [name for name in apart if name not in allowed]
            if refused:
                raise ValueError(
                    f"{first.folder!r} and {other.folder!r} evaluate {benchmark!r} in different "
                    f"ways, so their numbers do not compare: {_said(apart, refused)}; evaluate one "
                    f"of them again, or add --allow_different {' '.join(refused)}"
                )
            if apart:
                told.append(f"{other.model} on {benchmark}: {_said(apart, list(apart))}.")
    return told


def _differences(first: Entry, other: Entry) -> Iterator[tuple[str, tuple[Any, Any]]]:
    defaults = {field.name: field.default for field in dataclasses.fields(EvalConfig)}
    settings = [entry.evaluation.settings for entry in (first, other)]
    for name in sorted({*settings[0], *settings[1]} - MAY_DIFFER):
        a, b = (told.get(name, defaults.get(name)) for told in settings)
        if a != b:
            yield name, (a, b)


def _said(apart: Mapping[str, tuple[Any, Any]], names: Sequence[str]) -> str:
    return ", ".join(f"{name} {apart[name][0]!r} and {apart[name][1]!r}" for name in names)


def _check_tasks(first: Entry, other: Entry) -> None:
    a, b = (entry.evaluation.clusters().keys() for entry in (first, other))
    if apart := sorted(a ^ b):
        raise ValueError(
            f"{first.folder!r} and {other.folder!r} evaluate {first.benchmark!r}, but on other "
            f"tasks: {len(a)} and {len(b)}, of which {len(apart)} are on one side alone, the first "
            f"{apart[0]!r}; evaluate both on the same tasks"
        )
    one, two = _digests(first), _digests(other)
    changed = [
        task
        for task, digest in one.items()
        if "" not in (pair := {digest, two[task]}) and len(pair) > 1
    ]
    if changed:
        raise ValueError(
            f"{first.folder!r} and {other.folder!r} evaluate {first.benchmark!r}, but "
            f"{len(changed)} tasks have other prompts or tests, the first {changed[0]!r}; evaluate "
            "both on the same tasks"
        )


def _digests(entry: Entry) -> dict[str, str]:
    """What tells each task's content; empty where an evaluation has not told it."""
    return {chain.task_id: chain.digest for chain in entry.evaluation.chains}


def _check_names(entries: Sequence[Entry], allowed: Sequence[str]) -> None:
    known = {field.name for field in dataclasses.fields(EvalConfig)}
    known = known.union(*(entry.evaluation.settings for entry in entries)) - MAY_DIFFER
    for name in allowed:
        if name in MAY_DIFFER:
            raise ValueError(f"allow_different has {name!r}, which may differ as it is; drop it")
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.0)[0]
            raise ValueError(f"allow_different has {name!r}, no setting; the nearest is {near!r}")


def _by_benchmark(entries: Sequence[Entry]) -> list[Entry]:
    """Those of one benchmark together, each in the order given."""
    order = list(dict.fromkeys(entry.benchmark for entry in entries))
    return sorted(entries, key=lambda entry: order.index(entry.benchmark))
