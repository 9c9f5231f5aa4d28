"""What a run spends: sums over its steps, and the three budgets that runs can be equal in."""

from __future__ import annotations

from collections.abc import Sequence

from murphy_agents.metrics import Metrics

COSTS = {
    "generations": "num_generations",
    "trained tokens": "trained_tokens",
    "generation s": "seconds/generation",
    "execution s": "seconds/execution",
    "update s": "seconds/update",
}
"""Sums over a run's steps, and the metrics that they are sums of."""
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
    return sum(metrics.get(COSTS[part], 0.0) for metrics in counted for part in parts)
