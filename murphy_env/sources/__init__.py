"""Where tasks come from: one file a data set, each a function that returns a list of `Task`.

    embedded         made on the spot
    probe            the same, where an attempt can hide what is wrong or show it
    humaneval        HumanEval, visible tests from a file or from the docstrings
    mbpp             MBPP, full or sanitized, split by id
    kodcode          KodCode, drawn at random; its pytest files taken apart, its references run
    livecodebench    LiveCodeBench, by version, difficulty and date
    bigcodebench     BigCodeBench, all of it or Hard
    jsonl            tasks of your own

A source reads what it is given: the path of a file (JSON Lines or a JSON list, gzipped or not, or
Parquet), the name of a data set on the hub, a `datasets.Dataset`, or any list of dicts; without,
what its authors have published on the hub.

A row that makes no task (a missing column, a test that is no Python, an id that stands twice, ...)
is an error that names file and line. With `bad_rows="skip"` it is left out instead; the list that
comes back has it in `.skipped`, with the reason, and a warning says so.

`overlap` tells which tasks of an evaluation are, or may be, among those that are trained on.

`load` takes the same as one string, `NAME[:SPLIT][?OPTION=VALUE&...][@FILE]` or the path of a
`.jsonl` file; the options are those of the function:

    embedded                        tasks made on the spot, training split
    probe:test?variant=strong       others, where hiding what is wrong pays more
    mbpp:test                       MBPP from the hub
    mbpp:test@sanitized-mbpp.json   MBPP from a file
    kodcode?n=2000&seed=1           2,000 problems of KodCode
    livecodebench?difficulty=easy,medium&since=2025-02-01
    humaneval?visible=shown.jsonl@HumanEval.jsonl.gz
    bigcodebench:hard?prompt=instruct@hard.jsonl
    my/tasks.jsonl                  tasks of your own

Here these names are functions; what else their modules hold is imported from there
(`from murphy_env.sources.embedded import docstrings`).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from murphy_env.sources.bigcodebench import bigcodebench
from murphy_env.sources.collect import BadRows, SkippedRow, SkippedRows, Tasks, check_policy
from murphy_env.sources.embedded import embedded
from murphy_env.sources.humaneval import humaneval
from murphy_env.sources.jsonl import jsonl, to_jsonl
from murphy_env.sources.kodcode import kodcode
from murphy_env.sources.livecodebench import livecodebench
from murphy_env.sources.mbpp import mbpp
from murphy_env.sources.overlap import overlap
from murphy_env.sources.probe import probe
from murphy_env.sources.rows import unknown
from murphy_env.sources.spec import FORM, arguments, parsed
from murphy_env.types import Task

__all__ = [
    "BadRows",
    "SkippedRow",
    "SkippedRows",
    "Tasks",
    "bigcodebench",
    "embedded",
    "humaneval",
    "jsonl",
    "kodcode",
    "livecodebench",
    "load",
    "mbpp",
    "overlap",
    "probe",
    "to_jsonl",
]

_SOURCES: dict[str, Callable[..., list[Task]]] = {
    "embedded": embedded,
    "probe": probe,
    "humaneval": humaneval,
    "mbpp": mbpp,
    "kodcode": kodcode,
    "livecodebench": livecodebench,
    "bigcodebench": bigcodebench,
}

MADE = ("embedded", "probe")
"""Sources whose tasks are made on the spot. A small policy can be made for each, of its name."""


def load(spec: str, bad_rows: BadRows = "stop") -> Tasks:
    """The tasks that a string names; without a split, those that the source gives by itself.

    A string that begins with the name of a source is always read as that source: write
    `./mbpp:x.jsonl` for a file of such a name.

    Raises:
        ValueError: the string names no source, no split or option of it, or a row is malformed.
        FileNotFoundError: the file is missing.
        OSError: the hub could not be reached.

    Example:
        >>> load("embedded:test")[0].task_id
        'embedded/test-0/0'
    """
    check_policy(bad_rows)
    found = parsed(spec)
    if found and found.name in _SOURCES:
        function = _SOURCES[found.name]
        given = arguments(found, function)
        if found.name in MADE:
            return Tasks(function(**given))
        tasks = function(**given, bad_rows=bad_rows)
        return tasks if isinstance(tasks, Tasks) else Tasks(tasks)
    if spec.endswith((".jsonl", ".jsonl.gz")):
        return jsonl(spec, bad_rows)
    name = re.split("[:@?]", spec)[0]
    if name in _SOURCES:
        raise ValueError(f"tasks is {spec!r}, which is not of the form {FORM}")
    raise ValueError(
        f"tasks is {spec!r}: {unknown('source', name, _SOURCES)}; "
        f"or give the path of a .jsonl file. The form is {FORM}"
    )
