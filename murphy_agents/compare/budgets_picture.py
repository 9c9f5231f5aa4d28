"""The picture of equal budgets: what was reached, over generations, trained tokens and seconds.

One line per arm with the band of its interval. More than seven lines cannot be told apart by
colour, so there are as many rows of panels as it takes, all with the same axes, and the first arm
is in each of them, in grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from murphy_agents.compare.results import Row
from murphy_agents.costs import BUDGETS
from murphy_agents.show import curves

_MOST = len(curves.COLOURS) - 1
"""Arms of one row of panels, besides the first of all."""
_GREY = curves.COLOURS[-1]
_MARKERS = "osD^vP"


def draw(rows: Sequence[Row], path: Path, tasks: str | None = None) -> None:
    """Write it as a PNG."""
    curves.save(figure_of(rows, tasks), path)


def figure_of(rows: Sequence[Row], tasks: str | None = None) -> Any:
    """Rows of three panels, one for each budget; arms without evaluated checkpoints are left out.

    Args:
        rows: of the comparison.
        tasks: on which checkpoints were evaluated, where these are others than the comparison's.

    Raises:
        ValueError: no arm has any.
    """
    from matplotlib.figure import Figure

    shown = [row for row in rows if row.curve]
    if not shown:
        raise ValueError("no arm has evaluated checkpoints; compare with curve_steps")
    first, others = shown[0], shown[1:]
    shared = [others[i : i + _MOST] for i in range(0, len(others), _MOST)] or [[]]
    figure = Figure(figsize=(13.0, 3.4 * len(shared)), layout="constrained")
    if tasks is not None:
        figure.suptitle(f"on {tasks}", fontsize=11, parse_math=False)
    grid = figure.subplots(len(shared), len(BUDGETS), squeeze=False, sharex="col", sharey=True)
    iterations = len(first.curve[0].pass_at_1)
    for axes, arms in zip(grid, shared, strict=True):
        for ax, budget in zip(axes, BUDGETS, strict=True):
            _line(ax, first, budget, _GREY, "--", "x")
            for arm, colour, marker in zip(arms, curves.COLOURS, _MARKERS, strict=False):
                _line(ax, arm, budget, colour, "-", marker)
            ax.set_xlabel(budget)
            ax.tick_params(labelbottom=True)
            ax.grid(alpha=0.25, linewidth=0.6)
            ax.spines[["top", "right"]].set_visible(False)
        axes[0].set_ylabel(f"pass@1 at iteration {iterations}")
        axes[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
    return figure


def _line(ax: Any, row: Row, budget: str, colour: str, style: str, marker: str) -> None:
    spent = [point.spent[budget] for point in row.curve]
    reached = [point.pass_at_1[-1] for point in row.curve]
    ax.plot(
        spent, [found.mean for found in reached], style, color=colour, marker=marker,
        markersize=4, linewidth=1.6, label=row.name,
    )  # fmt: skip
    lows, highs = [found.low for found in reached], [found.high for found in reached]
    ax.fill_between(spent, lows, highs, color=colour, alpha=0.1, linewidth=0)
