"""What a run spends: sums over its steps, and the three budgets that runs can be equal in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

Metrics = Mapping[str, float]
"""Of one step."""


def _metric(*names: str) -> Callable[[Metrics], float]:
    return lambda metrics: sum(metrics.get(name, 0.0) for name in names)


def _trained_tokens(metrics: Metrics) -> float:
    # Tokens are counted in one pass over them; `num_iterations` passes are made.
    return metrics.get("trained_tokens", 0.0) * metrics.get("optimizer_steps", 1.0)


COSTS: dict[str, Callable[[Metrics], float]] = {
    "generations": _metric("num_generations"),
    "trained tokens": _trained_tokens,
    "generation s": _metric("seconds/generation"),
    "execution s": _metric("seconds/execution"),
    "update s": _metric("seconds/update", "seconds/sync"),
}
"""Sums over a run's steps, and what they are of one step. Bringing weights to an engine that has
its own is a part of the update."""
BUDGETS = {
    "generations": ("generations",),
    "trained tokens": ("trained tokens",),
    "seconds": ("generation s", "execution s", "update s"),
}
"""What can be equal between runs, and the costs that it is made of.

Seconds are those of the machine that a run was made on, and of what else it did: nothing that hangs
on them repeats bit for bit.
"""


def spent(history: Sequence[Metrics], name: str, steps: int | None = None) -> float:
    """A cost or a budget, over all steps or over the first ones.

    Args:
        history: the lines of a run's metrics.
        name: a key of `COSTS` or `BUDGETS`.
        steps: how many steps count; None: all.

    Example:
        >>> history = [{"step": 1, "num_generations": 20.0}, {"step": 2, "num_generations": 14.0}]
        >>> spent(history, "generations"), spent(history, "generations", steps=1)
        (34.0, 20.0)
    """
    parts = BUDGETS.get(name, (name,))
    counted = [metrics for metrics in history if steps is None or metrics["step"] <= steps]
    return sum(COSTS[part](metrics) for metrics in counted for part in parts)
