"""Shapes of equal budget: how each algorithm lays out the same number of generations per problem.

    grpo     G generations
    naive    chains of S attempts, generations / S of them
    trees    fan-outs f_1, ..., f_S with f_1 + f_1 f_2 + ... = generations; all f alike by default

The number is nominal: attempts that solve their problem are not refined, so trees and chains draw
fewer; what was drawn in fact is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import mul
from typing import Any


def shape(
    algorithm: str, generations: int, num_turns: int, fanout: Sequence[int] | None = None
) -> dict[str, Any]:
    """Settings of `TrainConfig` with which an algorithm draws that many generations.

    Raises:
        ValueError: it has no such shape; names numbers that would do.

    Example:
        >>> shape("murphy_mars", 20, 2), shape("naive", 20, 2), shape("grpo", 20, 2)
        ({'fanout': [4, 4]}, {'num_generations': 10, 'num_turns': 2}, {'num_generations': 20})
    """
    if num_turns < 1:
        raise ValueError(f"num_turns is {num_turns}; give a count of turns, 1 or more")
    if algorithm == "grpo":
        return {"num_generations": generations}
    if algorithm == "naive":
        if generations % num_turns:
            raise ValueError(
                f"generations is {generations}, which chains of num_turns={num_turns} attempts "
                f"(naive) do not divide; give a multiple of {num_turns}"
            )
        return {"num_generations": generations // num_turns, "num_turns": num_turns}
    return {"fanout": _fanout(algorithm, generations, num_turns, fanout)}


def size_of(fanout: Sequence[int]) -> int:
    """Nodes of a full tree: 4 + 4·4 for [4, 4]."""
    return sum(accumulate(fanout, mul))


def _fanout(
    algorithm: str, generations: int, num_turns: int, fanout: Sequence[int] | None
) -> list[int]:
    if fanout is not None:
        if size_of(fanout) != generations or len(fanout) != num_turns:
            raise ValueError(
                f"fanout is {list(fanout)}, a tree of {len(fanout)} turns and {size_of(fanout)} "
                f"generations, but num_turns is {num_turns} and generations {generations}; make "
                "them agree"
            )
        return list(fanout)
    equal = 2
    while size_of([equal] * num_turns) < generations:
        equal += 1
    found = size_of([equal] * num_turns)
    if found != generations:
        below = [equal - 1] * num_turns
        near = [size_of(below), found] if equal > 2 else [found]
        raise ValueError(
            f"generations is {generations}, which no tree of num_turns={num_turns} turns with "
            f"equal fan-outs has ({algorithm}); give {' or '.join(map(str, near))}, or a fanout of "
            "that many"
        )
    return [equal] * num_turns
