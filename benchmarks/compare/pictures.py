"""The pictures of a world as SVG: what was reached, at which cost, along training, and by what.

Arms stay apart by colour and marker together (Okabe and Ito's colours, told apart by colour-blind
readers). More than `FEW` of them are not drawn as lines over each other: each has a panel of its
own, with the reach of all in grey behind it. The same figures give the same bytes.
"""

import io
import math
from itertools import cycle
from statistics import fmean

import numpy as np

from benchmarks.compare import budgets as paying
from benchmarks.compare.analysis import cost, difference, is_trained, mechanism, pass_at_1, run_mean
from murphy_agents.show.curves import COLOURS

FEW = 8
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_GREY = "#8C8C8C"
_COLUMNS = 4
_PLAIN = {"svg.fonttype": "none", "svg.hashsalt": "murphy", "font.family": "sans-serif"}
_ENDS = (-2, 102)


def styles(world):
    """Arm -> colour and marker; grey for models that were not trained."""
    marks = zip(cycle(COLOURS), (m for m in cycle(_MARKERS) for _ in COLOURS), strict=False)
    greys = cycle(_MARKERS)
    return {
        arm: next(marks) if is_trained(world, arm) else (_GREY, next(greys)) for arm in world.names
    }


def reached(world, subset):
    """One line an arm: pass@1 at the first and the last iteration, and its gain over the start."""
    has_base = "base" in world.names
    figure, axes = _sheet(1, 1 + has_base, (11.0, 1.2 + 0.32 * len(world.names)), share="y")
    drawn, last = styles(world), world.iterations
    for place, arm in enumerate(world.names):
        colour, marker = drawn[arm]
        if last > 1:
            _bar(axes[0], place, pass_at_1(world, arm, 1, subset), colour, "|", thick=False)
        _bar(axes[0], place, pass_at_1(world, arm, last, subset), colour, marker)
        if has_base and arm != "base":
            gain = difference(world, arm, "base", last, subset)
            if gain is not None:
                _bar(axes[1], place, gain, colour, marker)
    axes[0].set_yticks(range(len(world.names)), world.names)
    axes[0].set_ylim(len(world.names) - 0.4, -0.6)
    axes[0].set_xlim(_ENDS)
    axes[0].set_xlabel(f"pass@1, percent (thick: iteration {last}, thin: iteration 1)")
    if has_base:
        axes[1].axvline(0, color=_GREY, linewidth=1)
        axes[1].set_xlabel(f"gain over base at iteration {last}, points")
    for ax in axes:
        ax.grid(axis="x", alpha=0.25)
    return _svg(figure)


def _bar(ax, place, found, colour, marker, thick=True):
    width, alpha, size = (2.4, 1.0, 6) if thick else (1.2, 0.6, 9)
    ends = [_pct(found.low), _pct(found.high)]
    ax.plot(ends, [place, place], color=colour, linewidth=width, alpha=alpha)
    ax.plot([_pct(found.mean)], [place], marker, color=colour, markersize=size)


def budgets(world, subset):
    """pass@1 at the last iteration over each of the three budgets: the ends, the way to them."""
    trained = [arm for arm in world.names if is_trained(world, arm)]
    with_paths = paying.arms_with_paths(world, subset) if len(trained) <= FEW else []
    size = (11.0, 3.4 + 0.22 * math.ceil(len(trained) / _COLUMNS))
    figure, axes = _sheet(1, len(paying.BUDGETS), size, share="y")
    drawn = styles(world)
    for ax, (name, paid) in zip(axes, paying.BUDGETS.items(), strict=True):
        if "base" in world.names:
            level = pass_at_1(world, "base", world.iterations, subset).mean
            ax.axhline(_pct(level), color=_GREY, linestyle=":", linewidth=1.2, label="base")
        for arm in trained:
            if arm in with_paths:
                _way(ax, paying.along(world, arm, subset, name), *drawn[arm])
            _end(ax, world, arm, subset, paid, drawn[arm])
        ax.set_xlabel(f"{name} of one run")
        ax.set_xlim(left=0)
        ax.set_ylim(_ENDS)
        ax.grid(alpha=0.25)
        _few_ticks(ax.xaxis)
    axes[0].set_ylabel(f"pass@1 in percent, iteration {world.iterations}")
    handles, labels = axes[0].get_legend_handles_labels()
    place = {"loc": "outside lower center", "ncols": _COLUMNS}
    figure.legend(handles, labels, **place, frameon=False, fontsize=9)
    return _svg(figure)


def _end(ax, world, arm, subset, paid, style):
    """What an arm's runs paid and reached in the end, with the interval."""
    colour, marker = style
    found = pass_at_1(world, arm, world.iterations, subset)
    spent = fmean(paid(run.costs) for run in world.of(arm))
    ends = [[_pct(found.mean - found.low)], [_pct(found.high - found.mean)]]
    ax.errorbar([spent], [_pct(found.mean)], yerr=ends, fmt=marker, color=colour, ecolor=colour,
                elinewidth=0.9, capsize=2, markersize=6, label=arm)  # fmt: skip


def _way(ax, points, colour, marker):
    paid, found = zip(*points, strict=True)
    ax.plot(paid, [_pct(f.mean) for f in found], color=colour, linewidth=1.5, marker=marker,
            markersize=3)  # fmt: skip
    low, high = [_pct(f.low) for f in found], [_pct(f.high) for f in found]
    ax.fill_between(paid, low, high, color=colour, alpha=0.15, linewidth=0)


def panels(world, subset, budget):
    """pass@1 along a budget, a panel an arm; None without checkpoints or for few arms."""
    arms = paying.arms_with_paths(world, subset)
    if len(arms) <= FEW:
        return None
    ways = {arm: paying.along(world, arm, subset, budget) for arm in arms}
    grid, low, high = _reach(ways.values())
    rows = math.ceil(len(arms) / _COLUMNS)
    figure, axes = _sheet(rows, _COLUMNS, (11.0, 1.75 * rows + 0.5), share=True)
    drawn, ends = styles(world), _around(ways.values())
    for ax, arm in zip(axes, arms, strict=False):
        ax.fill_between(grid, low, high, color=_GREY, alpha=0.2, linewidth=0)
        _way(ax, ways[arm], drawn[arm][0], "")
        ax.set_title(arm, fontsize=9, loc="left")
        ax.set_ylim(ends)
        ax.grid(alpha=0.25)
        _few_ticks(ax.xaxis)
    for ax in axes[len(arms) :]:
        ax.remove()
    for ax in axes[max(0, len(arms) - _COLUMNS) : len(arms)]:
        ax.tick_params(labelbottom=True)
    figure.supxlabel(f"{budget} of one run", fontsize=10)
    figure.supylabel(f"pass@1 in percent, iteration {world.iterations}", fontsize=10)
    return _svg(figure)


def _around(ways):
    """Tens that all means and intervals lie between, in percent."""
    found = [end for way in ways for _, f in way for end in (f.mean, f.low, f.high)]
    low, high = _pct(np.nanmin(found)), _pct(np.nanmax(found))
    return max(0, 10 * math.floor(low / 10)), min(100, 10 * math.ceil(high / 10))


def _reach(ways):
    """From the lowest arm to the highest, where there are any."""
    ways = [tuple(zip(*((paid, f.mean) for paid, f in way), strict=True)) for way in ways]
    first, last = min(paid[0] for paid, _ in ways), max(paid[-1] for paid, _ in ways)
    grid = np.linspace(first, last, 50)
    nowhere = {"left": np.nan, "right": np.nan}
    means = np.array([np.interp(grid, paid, values, **nowhere) for paid, values in ways])
    known = ~np.isnan(means).all(axis=0)
    low, high = np.nanmin(means[:, known], axis=0), np.nanmax(means[:, known], axis=0)
    return grid[known], 100 * low, 100 * high


def probing(world, subset):
    """One mark a run: share of loud first attempts and pass@1; None where it is not told."""
    if all(mechanism(world, arm, "loud", subset) is None for arm in world.names):
        return None
    figure, axes = _sheet(1, 1, (8.4, 4.4))
    ax, drawn = axes[0], styles(world)
    for arm in world.names:
        shares = {run: run.mechanism.get(subset, {}).get("loud") for run in world.of(arm)}
        marks = [
            (_pct(share), _pct(run_mean(world, run, world.iterations, subset)))
            for run, share in shares.items()
            if share is not None
        ]
        if marks:
            colour, marker = drawn[arm]
            ax.plot(*zip(*marks, strict=True), marker, color=colour, alpha=0.75, markersize=7,
                    linestyle="", label=arm)  # fmt: skip
    ax.set_xlabel("first attempts that are loud, percent")
    ax.set_ylabel(f"pass@1 in percent, iteration {world.iterations}")
    ax.set_xlim(_ENDS)
    ax.set_ylim(_ENDS)
    ax.grid(alpha=0.25)
    figure.legend(loc="outside right center", frameon=False, fontsize=9)
    return _svg(figure)


def has_costs(world):
    """Whether there is anything to draw over budgets."""
    return any(cost(world, arm, "generations") for arm in world.names)


def _pct(share):
    return 100 * share


def _few_ticks(axis):
    """Such as 50k and 100k."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(4))
    axis.set_major_formatter(EngFormatter(sep=""))


def _sheet(rows, columns, size, share=False):
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    shared = {"sharex": share is True, "sharey": bool(share)}
    axes = figure.subplots(rows, columns, squeeze=False, **shared)
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=9)
    return figure, list(axes.flat)


def _svg(figure):
    from matplotlib import rc_context

    written = io.StringIO()
    with rc_context(_PLAIN):
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines()) + "\n"
