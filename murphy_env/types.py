"""The values that an episode is made of: tasks, tests, executions, attempts. Plain frozen data.

Nothing here runs code, samples text or reads files. Every value survives `pickle`, `copy.deepcopy`
and (all but `Task`, which is large) a round trip through JSON.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, get_args

from murphy_env.checks import check_source, check_test, check_text

Kind = Literal["assert", "function", "unittest", "pytest", "stdio"]
Compare = Literal["python", "strict"]
Trust = Literal["strong", "weak"]
Memory = Literal["all", "last"]
Message = dict[str, str]
"""One chat message: `{"role": "system" | "user" | "assistant", "content": text}`."""


class Status(StrEnum):
    """What became of one test."""

    PASSED = "passed"
    FAILED = "failed"
    """A wrong value, or a false assertion."""
    ERROR = "error"
    """An exception, a syntax error, a missing name."""
    TIMEOUT = "timeout"
    MEMORY = "memory"
    KILLED = "killed"
    """The process ended before the test did."""
    NOT_RUN = "not_run"
    """The time of the whole execution was used up before this test began."""
    INFRA_ERROR = "infra_error"
    """The sandbox broke, not the program: never a reward."""


class InfrastructureError(RuntimeError):
    """The sandbox could not give a verdict; that says nothing about the program."""

    env_nums: tuple[int, ...] = ()
    """Of a step of many environments: which of them are without a verdict."""


_MOST_BYTES = (1 << 63) - 1
_MOST_SECONDS = 1_000_000
"""The system's own clocks and limits take no more."""


@dataclass(frozen=True)
class Limits:
    """What one execution may use. A test that passes a time limit is a `timeout`."""

    test_wall_s: float = 10.0
    """Clock seconds of one test; a backstop, since a busy machine slows honest programs."""
    test_cpu_s: float = 4.0
    """Processor seconds of one test, which is what stops a loop."""
    total_wall_s: float = 30.0
    """Clock seconds of the whole execution; tests that it leaves no time for are `not_run`. What a
    machine without a free processor takes away is given back, up to as much again."""
    memory_bytes: int = 1 << 30
    """Address space of the process that runs the program."""
    file_bytes: int = 16 << 20
    """Size of any file that the program writes."""
    stdout_bytes: int = 64 << 10
    """Standard output kept; the rest is thrown away."""

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            whole = name.endswith("_bytes")
            most = _MOST_BYTES if whole else _MOST_SECONDS
            kinds = int if whole else int | float
            if isinstance(value, bool) or not isinstance(value, kinds) or not 0 < value <= most:
                what = "whole number" if whole else "number"
                raise ValueError(
                    f"Limits.{name} is {value!r}; give a {what} above 0, at most {most}"
                )


@dataclass(frozen=True)
class UnitTest:
    """One test of a task.

    Example:
        >>> UnitTest("assert add(1, 2) == 3")
        UnitTest(source='assert add(1, 2) == 3', name=None, visible=True, scored=True, \
kind='assert', stdin=None, stdout=None, one_process=False)
    """

    source: str
    """Python: for `assert` statements ending in an assert; for `function` a `def test_...()`; for
    `unittest` a TestCase class; for `pytest` a test module, run by pytest, which has to be
    installed; for `stdio` unused."""
    name: str | None = None
    """What runs: the function of a `function` test, the `Class.method` of a `unittest` one, the
    function or `Class::method` of a `pytest` one, all parameter sets of it. What follows in
    brackets (`test_mean[xs0-1.5]`) is a label of what the source gives the function."""
    visible: bool = True
    """Its result is shown as feedback and it has a say in ending the loop."""
    scored: bool = True
    """It counts in the reward and in pass@1."""
    kind: Kind = "assert"
    stdin: str | None = None
    stdout: str | None = None
    """Of a `stdio` test: what the program reads and what it must print."""
    one_process: bool = False
    """Run a test that is not split in the process of the program, which can then deceive it; for
    tests that patch the program, or exchange more with it than data, functions and its objects."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"UnitTest.kind is {self.kind!r}; choose one of {get_args(Kind)}")
        if self.kind == "stdio" and self.stdout is None:
            raise ValueError("a stdio UnitTest needs stdout=, the text that the program must print")
        if self.kind in ("function", "unittest", "pytest") and not self.name:
            raise ValueError(f"a {self.kind} UnitTest needs name=, what to run of its source")
        if not isinstance(self.source, str):
            raise ValueError(f"UnitTest.source is {self.source!r}; give Python source as a str")
        for name in ("source", "name", "stdin", "stdout"):
            check_text(f"UnitTest.{name}", getattr(self, name))
        if self.kind != "stdio":
            check_test(self.kind, self.source, self.name)
        if not (self.visible or self.scored):
            raise ValueError(f"the test {self.source!r} is neither visible nor scored; drop it")


@dataclass(frozen=True)
class UnitResult:
    """What one test said about one program. All texts are capped by the sandbox."""

    test: UnitTest
    status: Status
    expected: str | None = None
    """Repr of the value that the test compares with, where it compares with one."""
    actual: str | None = None
    """Repr of the value that the program gave."""
    error: str | None = None
    """Exception type, message and the last frames in the program's own source."""
    stdout: str = ""
    """The end of what the program printed during this test."""

    @property
    def passed(self) -> bool:
        """Whether the test passed."""
        return self.status is Status.PASSED

    def to_json(self) -> dict[str, Any]:
        """As a dict of plain JSON values."""
        # Not by `dataclasses.asdict`, which takes ten times as long and is called at every step.
        return {**vars(self), "test": {**vars(self.test)}, "status": str(self.status)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> UnitResult:
        """The inverse of `to_json`."""
        return cls(
            **{**data, "test": UnitTest(**data["test"]), "status": Status(data["status"])},
        )


@dataclass(frozen=True)
class Execution:
    """The verdict of a sandbox on one program, test by test, hidden tests included."""

    results: tuple[UnitResult, ...]
    """One per test of the task, in the task's order."""
    level: str
    """Which isolation held: see `murphy_env.sandbox`."""
    trust: Trust = "strong"
    """`weak` where a test shared a process with the program, or took the word of a function of the
    program that the task does not ask for, and so could be deceived."""
    wall_s: float = field(default=0.0, compare=False)
    """Clock seconds that the execution took; for time lines only, never for verdicts."""

    @property
    def scored(self) -> tuple[UnitResult, ...]:
        """Results of the tests that count."""
        return tuple(result for result in self.results if result.test.scored)

    @property
    def visible(self) -> tuple[UnitResult, ...]:
        """Results of the tests that give feedback."""
        return tuple(result for result in self.results if result.test.visible)

    @property
    def passed(self) -> int:
        """Number of scored tests that passed."""
        return sum(result.passed for result in self.scored)

    @property
    def total(self) -> int:
        """Number of scored tests."""
        return len(self.scored)

    @property
    def infra_error(self) -> bool:
        """Whether any test is without a verdict because the sandbox broke."""
        return any(result.status is Status.INFRA_ERROR for result in self.results)

    @property
    def reward(self) -> float:
        """Share of scored tests that passed, in [0, 1].

        Raises:
            InfrastructureError: the sandbox broke; there is nothing to reward or to punish.
        """
        if self.infra_error:
            reasons = {r.error for r in self.results if r.status is Status.INFRA_ERROR}
            raise InfrastructureError(f"no verdict: {'; '.join(sorted(map(str, reasons)))}")
        return self.passed / self.total


@dataclass(frozen=True)
class Task:
    """A problem, its tests and their limits. Equal and hashed by content.

    Example:
        >>> task = Task("add", "Write add(a, b).", ["assert add(1, 2) == 3"], entry_point="add")
        >>> task.tests[0].visible, task.tests[0].scored
        (True, True)
    """

    task_id: str
    prompt: str
    """The problem as the model reads it."""
    tests: tuple[UnitTest, ...]
    """Tests; a plain string stands for `UnitTest(string)`."""
    entry_point: str | None = None
    """The name that the program must define; also steers code extraction."""
    prelude: str = ""
    """Code that runs before the program (imports and helpers that the prompt promises)."""
    setup: str = ""
    """Code that runs after the program and before the tests."""
    reference: str | None = None
    """A program that passes every test, if one is known."""
    limits: Limits = Limits()
    compare: Compare = "strict"
    """How values are compared: `python` as `==` (True == 1), `strict` with types kept apart. Of the
    output of a `stdio` test: `strict` as text, `python` numbers by their values ("1.0" is "1")."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else the source knew (difficulty, licence, prompt set); JSON values, read-only.
    `metadata["prompts"]` names the prompt set that the task prefers."""

    def __post_init__(self) -> None:
        tests = tuple(UnitTest(t) if isinstance(t, str) else t for t in _listed(self.tests))
        object.__setattr__(self, "tests", tests)
        object.__setattr__(self, "metadata", _ReadOnly(json.loads(_json(self.metadata))))
        if not self.task_id or not isinstance(self.task_id, str):
            raise ValueError(f"Task.task_id is {self.task_id!r}; give a non-empty string")
        check_text("Task.task_id", self.task_id)
        if not isinstance(self.limits, Limits):
            raise ValueError(f"Task.limits is {self.limits!r}; give a murphy_env.Limits")
        _check_texts(self)
        if self.compare not in get_args(Compare):
            raise ValueError(f"Task.compare is {self.compare!r}; use one of {get_args(Compare)}")
        if not any(test.scored for test in tests):
            raise ValueError(
                f"task {self.task_id!r} has no scored test, so nothing could be rewarded; "
                "give tests=[...] with at least one UnitTest(scored=True)"
            )
        content = _json([getattr(self, f.name) for f in dataclasses.fields(self)])
        object.__setattr__(self, "_digest", hashlib.sha256(content.encode()).hexdigest())

    @property
    def digest(self) -> str:
        """Hex SHA-256 of everything in the task."""
        return self.__dict__["_digest"]  # type: ignore[no-any-return]

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Task) and self.digest == other.digest

    def __reduce__(self) -> tuple[Any, ...]:
        values = [getattr(self, f.name) for f in dataclasses.fields(self)]
        return Task, (*values[:-1], dict(self.metadata))


@dataclass(frozen=True)
class Attempt:
    """One turn: what the model wrote and what the visible tests said."""

    completion: str
    code: str | None
    """The program found in the completion; None where there was none."""
    results: tuple[UnitResult, ...]
    """Results of the visible tests; empty where no code was found."""
    pass_rate: float
    """Share of scored tests passed, in [0, 1]."""
    reflection: str | None = None
    """What the model wrote when it was asked why this failed; None where it was not asked."""

    @property
    def solved(self) -> bool:
        """Whether every visible test passed; never true without a visible test."""
        return bool(self.results) and all(result.passed for result in self.results)

    def to_json(self) -> dict[str, Any]:
        """As a dict of plain JSON values."""
        return {**vars(self), "results": [result.to_json() for result in self.results]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Attempt:
        """The inverse of `to_json`."""
        results = tuple(UnitResult.from_json(result) for result in data["results"])
        return cls(**{**data, "results": results})


@dataclass(frozen=True)
class Episode:
    """A task and the attempts made so far: everything that the next prompt depends on."""

    task: Task
    attempts: tuple[Attempt, ...] = ()
    max_turns: int = 2
    reflects: bool = False
    """Whether a failed attempt is reflected on, a step of its own, before the next one."""
    forgotten: int = 0
    """Attempts made before `attempts`, of which the prompt is to say nothing."""

    @property
    def turn(self) -> int:
        """Number of the attempt to come, from 1."""
        return self.forgotten + len(self.attempts) + 1

    @property
    def solved(self) -> bool:
        """Whether the last attempt passed every visible test."""
        return bool(self.attempts) and self.attempts[-1].solved

    @property
    def out_of_turns(self) -> bool:
        """Whether no attempt is left."""
        return self.turn > self.max_turns

    @property
    def awaits_reflection(self) -> bool:
        """Whether the next step is a reflection on the last attempt, not a further attempt."""
        if not (self.reflects and self.attempts) or self.solved or self.out_of_turns:
            return False
        return self.attempts[-1].reflection is None

    def after(self, attempt: Attempt) -> Episode:
        """The episode one attempt later."""
        return dataclasses.replace(self, attempts=(*self.attempts, attempt))

    def reflected(self, reflection: str) -> Episode:
        """The episode with a reflection on its last attempt."""
        last = dataclasses.replace(self.attempts[-1], reflection=reflection)
        return dataclasses.replace(self, attempts=(*self.attempts[:-1], last))

    def remembering(self, memory: Memory) -> Episode:
        """The episode as a prompt may tell of it: with all attempts, or with the last alone."""
        if memory == "all" or not self.attempts:
            return self
        forgotten = self.forgotten + len(self.attempts) - 1
        return dataclasses.replace(self, attempts=self.attempts[-1:], forgotten=forgotten)

    def snapshot(self) -> dict[str, Any]:
        """Task id and attempts as plain JSON: all that is needed to branch from here."""
        return {
            "task_id": self.task.task_id,
            "attempts": [attempt.to_json() for attempt in self.attempts],
        }


class _ReadOnly(Mapping[str, Any]):
    """A dict of JSON values that cannot be changed; lists and dicts in it are given as copies."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def __getitem__(self, key: str) -> Any:
        value = self._values[key]
        return copy.deepcopy(value) if isinstance(value, list | dict) else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)

    def __deepcopy__(self, memo: Any) -> Any:
        # `copy.deepcopy` of a Task goes through `Task.__reduce__`; who comes here takes it apart.
        raise TypeError(
            "a Task cannot be written as a part of a JSON environment spec; make the environment "
            "with tasks= the name of a source or the path of a .jsonl file instead"
        )


def _check_texts(task: Task) -> None:
    for name in ("prompt", "prelude", "setup", "entry_point", "reference"):
        text = getattr(task, name)
        if text is None and name in ("entry_point", "reference"):
            continue
        if not isinstance(text, str):
            raise ValueError(f"task {task.task_id!r}: {name} is {text!r}; give a str")
        check_text(f"task {task.task_id!r}: {name}", text)
    if task.entry_point is not None and not task.entry_point.isidentifier():
        raise ValueError(
            f"task {task.task_id!r}: entry_point is {task.entry_point!r}; give the bare name"
        )
    for name in ("prelude", "setup"):
        check_source(f"{name} of task {task.task_id!r}", getattr(task, name))


def _listed(tests: Any) -> Sequence[Any]:
    if isinstance(tests, str | UnitTest) or not isinstance(tests, Sequence):
        raise ValueError(f"Task.tests is {tests!r}; give a list of UnitTest or assert strings")
    for test in tests:
        if not isinstance(test, str | UnitTest):
            raise ValueError(f"Task.tests holds {test!r}; give UnitTest or assert strings")
    return tests


def _json(value: Any) -> str:
    def plain(item: Any) -> Any:
        if isinstance(item, Mapping):
            return dict(item)
        if isinstance(item, UnitTest | Limits):
            return vars(item)
        if dataclasses.is_dataclass(item) and not isinstance(item, type):
            return dataclasses.asdict(item)
        raise ValueError(f"Task.metadata holds {item!r}; only JSON values can travel with a task")

    return json.dumps(value, default=plain, sort_keys=True)
