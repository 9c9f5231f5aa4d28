"""Tasks made on the spot, small enough for a policy of a hundred thousand parameters.

`family` is their grammar. Here docstrings are shared out among the splits and tests are drawn:
four in each of two halves, and each half tells the meant variant from every other one.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

from murphy_env.sources.family import DOCSTRINGS, Variant, prompt, variants
from murphy_env.sources.rows import unknown
from murphy_env.types import Task, UnitTest

SPLITS = {"train": (84, 400), "selection": (24, 200), "test": (36, 400)}
"""Docstrings and default number of tasks of each split; no docstring is in two."""
HALF = 4
MAX_DRAWS = 10_000

Input = tuple[list[int], int]


def embedded(
    split: str = "train",
    seed: int = 0,
    num_tasks: int | None = None,
    hidden: bool | None = None,
) -> list[Task]:
    """Draw tasks of one split.

    The same split and seed give the same tasks, of which a smaller `num_tasks` takes the first.
    Seeds change variants and tests, never which docstrings a split has.

    Args:
        split: "train", "selection" (to choose settings and checkpoints by) or "test".
        seed: of the draw.
        num_tasks: how many; by default 400, 200 and 400.
        hidden: whether the first half of the tests only steers and the second, unseen, decides:
            visible and not scored against scored and not visible. Otherwise all eight tests are
            both. By default as the paper has it: not in training, but in the other splits.

    Raises:
        ValueError: the split is unknown or `num_tasks` is below 1.
    """
    names = docstrings(split)
    if num_tasks is None:
        num_tasks = SPLITS[split][1]
    if num_tasks < 1:
        raise ValueError(f"num_tasks is {num_tasks}; give at least 1, or None for the default")
    if hidden is None:
        hidden = split != "train"
    order = random.Random(f"{split} {seed}").sample(names, len(names))
    return [
        _task(order[index % len(order)], f"embedded/{split}-{seed}/{index}", hidden)
        for index in range(num_tasks)
    ]


def docstrings(split: str) -> tuple[str, ...]:
    """The docstrings of one split."""
    if split not in SPLITS:
        raise ValueError(unknown("split of the embedded tasks", split, SPLITS))
    shuffled = random.Random("docstrings").sample(DOCSTRINGS, len(DOCSTRINGS))
    start = 0
    for name, (count, _) in SPLITS.items():
        if name == split:
            break
        start += count
    return tuple(shuffled[start : start + SPLITS[split][0]])


def halves(meant: Variant, rng: random.Random) -> tuple[list[Input], list[Input]]:
    """Inputs of two sets of tests, all different, either of which only the meant variant passes."""
    rivals = [variant for variant in variants(meant.docstring) if variant != meant]
    first = _half(rng, meant, rivals, taken=[])
    return first, _half(rng, meant, rivals, taken=first)


@lru_cache(maxsize=2048)
def _task(docstring: str, task_id: str, hidden: bool) -> Task:
    rng = random.Random(task_id)
    choices = variants(docstring)
    (meant,) = rng.choices(choices, [variant.prior for variant in choices])
    steering, deciding = halves(meant, rng)
    return Task(
        task_id=task_id,
        prompt=prompt(docstring),
        tests=(
            *[UnitTest(_assertion(meant, drawn), scored=not hidden) for drawn in steering],
            *[UnitTest(_assertion(meant, drawn), visible=not hidden) for drawn in deciding],
        ),
        entry_point="f",
        reference=meant.code,
        metadata={
            "prompts": "terse",
            "docstring": docstring,
            "details": list(meant.details),
            "likeliest": meant == choices[0],
        },
    )


def _half(
    rng: random.Random, meant: Variant, rivals: list[Variant], taken: list[Input]
) -> list[Input]:
    """Inputs on which no rival always agrees, with two results at least: no constant will do."""
    for _ in range(MAX_DRAWS):
        drawn: list[Input] = []
        while len(drawn) < HALF:
            fresh = _input(rng)
            if fresh not in taken and fresh not in drawn:
                drawn.append(fresh)
        wanted = _results(meant, drawn)
        constant = all(value == wanted[0] for value in wanted)
        if not constant and all(_results(rival, drawn) != wanted for rival in rivals):
            return drawn
    raise RuntimeError(f"no {HALF} tests tell {meant} from the other variants; change the family")


def _input(rng: random.Random) -> Input:
    """Digits, drawn so that n itself, empty results and one-sided lists are common."""
    n = rng.randint(1, 8)
    pool = rng.choice([range(10), range(n), range(n + 1, 10), range(0, 10, 2), range(1, 10, 2)])
    xs = [rng.choice(pool) for _ in range(rng.randint(1, 5))]
    if rng.random() < 0.5:
        xs[rng.randrange(len(xs))] = n
    return xs, n


def _results(variant: Variant, inputs: list[Input]) -> list[Any]:
    function = _compiled(variant.code)
    return [function(xs, n) for xs, n in inputs]


@cache
def _compiled(code: str) -> Callable[[list[int], int], Any]:
    namespace: dict[str, Any] = {}
    exec(code, namespace)  # the family's own templates, no text from outside
    return namespace["f"]  # type: ignore[no-any-return]


def _assertion(variant: Variant, drawn: Input) -> str:
    xs, n = drawn
    (value,) = _results(variant, [drawn])
    return f"assert f({_literal(xs)},{n})=={_literal(value)}"


def _literal(value: Any) -> str:
    return f"[{','.join(map(repr, value))}]" if isinstance(value, list) else repr(value)
