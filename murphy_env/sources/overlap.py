"""Whether training and evaluation share problems: equal or nearly equal prompts, programs, tests.

A pair of tasks is reported for any of four reasons:

- `prompt`: the same words in the same order, whatever the case, punctuation and layout.
- `words`: at least `threshold` of the evaluation prompt's runs of `n` words stand in the training
  prompt too. Runs that many evaluation prompts share say how a data set asks, not what, and do not
  count; nor do prompts of fewer than `n` words.
- `program`: the references are equal up to names of variables and functions, annotations and
  docstrings, and do something (`pass` is nobody's in particular).
- `tests`: at least half of the evaluation task's assertions (or pairs of input and output), and two
  or more, are tests of the training task, whatever the function is called.

Runs of 13 words are what GPT-3's report compared (arXiv 2005.14165, appendix C), any single one of
them counting; phi-1's found 4 matches for HumanEval so, all of them false (arXiv 2306.11644,
section 5.1). Here runs are shorter, since problems are, and a share of them is asked for. What is
said in other words is found by its program or its tests, or not at all.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from murphy_env.sources.sameness import assertion_keys, program_key, prompt_key, words_of
from murphy_env.types import Task

Reason = Literal["prompt", "words", "program", "tests"]
NGRAM, THRESHOLD = 8, 0.5
_COMMON = 5, 0.02
"""Runs of words in more evaluation prompts than this number and this share are the data set's."""
_LISTED = 10
_MOST_KEPT = 16
_kept: dict[tuple[int, float, str], Overlap] = {}
"""By what was asked: many evaluations of one comparison ask the same."""


@dataclass(frozen=True)
class SharedTask:
    """A training task and an evaluation task that are, or may be, the same problem."""

    training: str
    """Task id."""
    evaluation: str
    """Task id."""
    reasons: tuple[Reason, ...]
    words: float
    """Share of the evaluation prompt's runs of words that stand in the training prompt, 0 to 1."""

    def __str__(self) -> str:
        return f"{self.evaluation}: {self.training} ({', '.join(self.reasons)})"


@dataclass(frozen=True)
class Overlap:
    """What training and evaluation share.

    Example:
        >>> task = Task("a", "Return the sum.", ["assert f(1) == 1"])
        >>> print(overlap([task], [task]).pairs[0])
        a: a (prompt)
    """

    pairs: tuple[SharedTask, ...]
    """In the order of the evaluation tasks, then of the training tasks."""
    num_training: int
    num_evaluation: int
    n: int
    threshold: float

    @property
    def evaluation_ids(self) -> tuple[str, ...]:
        """Evaluation tasks that are in a pair, each once."""
        return tuple(dict.fromkeys(pair.evaluation for pair in self.pairs))

    @property
    def training_ids(self) -> tuple[str, ...]:
        """Training tasks that are in a pair, each once."""
        return tuple(dict.fromkeys(pair.training for pair in self.pairs))

    @property
    def counts(self) -> dict[Reason, int]:
        """Evaluation tasks by reason; one can have several."""
        reasons: tuple[Reason, ...] = ("prompt", "words", "program", "tests")
        return {
            reason: len({pair.evaluation for pair in self.pairs if reason in pair.reasons})
            for reason in reasons
        }

    @property
    def line(self) -> str:
        """All of it in one line."""
        found = len(self.evaluation_ids)
        told = f"{found:,} of {self.num_evaluation:,} evaluation tasks may be among the "
        by = ", ".join(f"{reason} {count:,}" for reason, count in self.counts.items())
        return f"{told}{self.num_training:,} training tasks" + (f": {by}" if found else "")

    def __str__(self) -> str:
        pairs = [f"  {pair}" for pair in self.pairs[:_LISTED]]
        more = len(self.pairs) - len(pairs)
        return "\n".join([self.line, *pairs, *([f"  and {more:,} more pairs"] if more else [])])

    def to_json(self) -> dict[str, Any]:
        """As a dict of plain JSON values."""
        return asdict(self) | {"counts": self.counts}


def overlap(
    training: Iterable[Task],
    evaluation: Iterable[Task],
    n: int = NGRAM,
    threshold: float = THRESHOLD,
) -> Overlap:
    """The pairs of tasks that are, or may be, the same problem.

    Costs as much as reading both lists: pairs are looked up, not tried.

    Args:
        training: tasks to be trained on.
        evaluation: tasks to be measured on.
        n: length of runs of words.
        threshold: share of them that makes a pair, above 0 and up to 1.

    Raises:
        ValueError: `n` or `threshold` is out of range.
    """
    if isinstance(n, bool) or n < 1:
        raise ValueError(f"n is {n!r}; give a number of words from 1")
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold is {threshold!r}; give a share above 0, at most 1")
    training, evaluation = list(training), list(evaluation)
    asked = n, threshold, _digest_of(training, evaluation)
    found = _kept.get(asked)
    if found is None:
        found = _overlap(training, evaluation, n, threshold)
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        _kept[asked] = found
    return found


def _digest_of(training: Sequence[Task], evaluation: Sequence[Task]) -> str:
    digests = [*(task.digest for task in training), "", *(task.digest for task in evaluation)]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _overlap(
    training: Sequence[Task], evaluation: Sequence[Task], n: int, threshold: float
) -> Overlap:
    runs = _Runs(evaluation, n)
    finders: dict[Reason, Callable[[Task], Iterable[int]]] = {
        "prompt": _Equal(evaluation, prompt_key),
        "words": lambda task: (at for at, share in runs.shares(task).items() if share >= threshold),
        "program": _Equal(evaluation, program_key),
        "tests": _SameTests(evaluation),
    }
    found: dict[tuple[int, int], SharedTask] = {}
    for number, task in enumerate(training):
        reasons: dict[int, list[Reason]] = {}
        for reason, places in finders.items():
            for place in places(task):
                reasons.setdefault(place, []).append(reason)
        shares = runs.shares(task) if reasons else {}
        for place, why in reasons.items():
            other = evaluation[place].task_id
            share = shares.get(place, 0.0)
            found[place, number] = SharedTask(task.task_id, other, tuple(why), share)
    pairs = tuple(found[key] for key in sorted(found))
    return Overlap(pairs, len(training), len(evaluation), n, threshold)


class _Equal:
    """Finds evaluation tasks by something that a task has or has not."""

    def __init__(self, tasks: Iterable[Task], key: Callable[[Task], str | None]) -> None:
        self._key = key
        self._places: dict[str, list[int]] = {}
        for place, task in enumerate(tasks):
            if (value := key(task)) is not None:
                self._places.setdefault(value, []).append(place)

    def __call__(self, task: Task) -> list[int]:
        """Numbers of the evaluation tasks that are equal in this."""
        value = self._key(task)
        return [] if value is None else self._places.get(value, [])


class _Runs:
    """Finds evaluation tasks by runs of words."""

    def __init__(self, tasks: Sequence[Task], n: int) -> None:
        self._n = n
        prompts = [self._of(task) for task in tasks]
        counts = Counter(run for runs in prompts for run in runs)
        most = max(_COMMON[0], _COMMON[1] * len(tasks))
        telling = [{run for run in runs if counts[run] <= most} for runs in prompts]
        self._sizes = [len(runs) for runs in telling]
        self._places: dict[int, list[int]] = {}
        for place, runs in enumerate(telling):
            for run in runs:
                self._places.setdefault(run, []).append(place)

    def shares(self, task: Task) -> dict[int, float]:
        """Share of its runs, for each evaluation task that has any in common."""
        found = Counter(place for run in self._of(task) for place in self._places.get(run, ()))
        return {place: count / self._sizes[place] for place, count in found.items()}

    def _of(self, task: Task) -> set[int]:
        words = words_of(task.prompt)
        return {hash(tuple(words[at : at + self._n])) for at in range(len(words) - self._n + 1)}


class _SameTests:
    """Finds evaluation tasks by their tests."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        keys = [assertion_keys(task) for task in tasks]
        self._least = [max(2.0, len(own) / 2) for own in keys]
        self._places: dict[str, list[int]] = {}
        for place, own in enumerate(keys):
            for key in own:
                self._places.setdefault(key, []).append(place)

    def __call__(self, task: Task) -> list[int]:
        """Numbers of the evaluation tasks of whose tests this one has enough."""
        found = Counter(
            place for key in assertion_keys(task) for place in self._places.get(key, ())
        )
        return [place for place, count in found.items() if count >= self._least[place]]
