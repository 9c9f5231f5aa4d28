"""The picture of a comparison: training curves and what was reached, one line a row.

A row has a colour of its own; past the seventh that is trained, colours begin anew with another
kind of line. The pictures of equal budgets (`budgets_picture`) are the ones for many rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from murphy_agents.compare.results import Row
from murphy_agents.show import curves

_CURVES = {
    "share of first attempts that are right, in training": "solved/turn_1",
    "share of refinements that are right, in training": "repair_rate",
    "share of refinements that repeat the program": "repeat_rate",
}
_GREYS = ("#4D4D4D", "#8C8C8C", "#BDBDBD")
_STYLES = ("-", "--", ":", "-.", (0, (6, 1)), (0, (1, 3)))
_UNTRAINED = (0, (6, 2, 1, 2, 1, 2))
_APART = 0.03
"""How far error bars of neighbouring rows are drawn from each other, in iterations, at most."""
_WIDTH = 0.4
"""How far those of all rows are drawn apart."""
_COLUMNS = 4
_LINE_INCHES = 0.22


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write it as a PNG."""
    curves.save(figure_of(rows), path)


def figure_of(rows: Sequence[Row]) -> Any:
    """Lines are means over runs; bands reach from the lowest to the highest."""
    looks = dict(zip((row.name for row in rows), _looks(rows), strict=True))
    figure, axes = curves.sheet(len(_CURVES) + 1)
    for ax, (title, metric) in zip(axes, _CURVES.items(), strict=False):
        shown = [_curve(ax, row, metric, *looks[row.name]) for row in rows]
        curves.finish(ax, title, is_share=True, has_data=any(shown))
    reached = axes[-1]
    apart = min(_APART, _WIDTH / max(1, len(rows)))
    for index, row in enumerate(rows):
        _reached(reached, row, *looks[row.name], apart * (index - len(rows) / 2))
    curves.finish(reached, "pass@1 after training, 95 % interval", False, bool(rows), "iteration")
    for ax in axes:
        if ax.get_legend():
            ax.get_legend().remove()
    # What is reached is told of every row, so its legend serves for all.
    figure.legend(*reached.get_legend_handles_labels(), loc="outside lower center", ncols=_COLUMNS)
    more_lines = -(-len(rows) // _COLUMNS) - 2
    figure.set_figheight(figure.get_figheight() + max(0, more_lines) * _LINE_INCHES)
    return figure


def _curve(ax: Any, row: Row, metric: str, colour: str, style: Any) -> bool:
    """Whether there was something to draw."""
    smoothed = [
        dict(curves.smooth(points))
        for run in row.runs
        if (points := curves.series(run.history, metric))
    ]
    # To the end of the shortest run, where it has the metric or not: beyond, runs are fewer.
    end = min((run.history[-1]["step"] for run in row.runs if run.history), default=0)
    steps = sorted({step for line in smoothed for step in line if step <= end})
    if not steps:
        return False
    values = [[line[step] for line in smoothed if step in line] for step in steps]
    lowest, highest = list(map(min, values)), list(map(max, values))
    means = [fmean(at) for at in values]
    ax.plot(steps, means, linestyle=style, color=colour, linewidth=1.8, label=row.name)
    ax.fill_between(steps, lowest, highest, color=colour, alpha=0.15, linewidth=0)
    return True


def _reached(ax: Any, row: Row, colour: str, style: Any, shift: float) -> None:
    means = [found.mean for found in row.pass_at_1]
    ends = [
        [found.mean - found.low for found in row.pass_at_1],
        [found.high - found.mean for found in row.pass_at_1],
    ]
    ax.errorbar(
        [shift + i + 1 for i in range(len(means))],
        means,
        yerr=ends,
        marker="o",
        linestyle=style,
        color=colour,
        label=row.name,
        capsize=3,
        markersize=4,
        linewidth=1.5,
    )


def _looks(rows: Sequence[Row]) -> Iterator[tuple[str, Any]]:
    """Colours and kinds of line; grey for what was not trained here."""
    greys = trained = 0
    for row in rows:
        if row.is_trained:
            again, colour = divmod(trained, len(curves.COLOURS))
            yield curves.COLOURS[colour], _STYLES[again % len(_STYLES)]
            trained += 1
        else:
            yield _GREYS[greys % len(_GREYS)], _UNTRAINED
            greys += 1
