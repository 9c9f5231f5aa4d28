"""The pictures of a world as SVG: what was reached, at which cost, along training, and by what.

Many arms stay apart by colour, marker and line together (Okabe and Ito's colours, told apart by
colour-blind readers); along training each arm has a panel of its own, the others grey behind it.
The same figures give the same bytes.
"""

import io
import math
from itertools import cycle
from statistics import fmean, stdev

from benchmarks.compare.analysis import (
    cost,
    is_trained,
    mechanism,
    pass_at_1,
    run_mean,
    seconds,
)
from murphy_agents.show.curves import COLOURS

BUDGETS = {
    "generations": lambda costs: costs.get("generations", 0.0),
    "trained tokens": lambda costs: costs.get("trained tokens", 0.0),
    "seconds of training": seconds,
}
"""What is paid, of a run's costs."""
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_LINES = ("-", "--", ":", "-.")
_GREY = "#9A9A9A"
_COLUMNS = 4
_PLAIN = {"svg.fonttype": "none", "svg.hashsalt": "murphy", "font.family": "sans-serif"}


def styles(world):
    """Arm -> colour, marker, line; grey for models that were not trained."""
    marks = zip(cycle(COLOURS), (m for m in _MARKERS for _ in COLOURS), strict=False)
    lines = (line for line in cycle(_LINES) for _ in COLOURS)
    greys = cycle(_MARKERS)
    return {
        arm: (*next(marks), next(lines)) if is_trained(world, arm) else (_GREY, next(greys), ":")
        for arm in world.names
    }


def reached(world, subset):
    """One line an arm: pass@1 at the first and the last iteration with their intervals."""
    iterations = sorted({1, world.iterations})
    figure, axes = _sheet(1, 1, (9.0, 1.1 + 0.34 * len(world.names)))
    ax, drawn = axes[0], styles(world)
    for place, arm in enumerate(world.names):
        colour = drawn[arm][0]
        for iteration in iterations:
            found = pass_at_1(world, arm, iteration, subset)
            is_last = iteration == world.iterations
            ax.plot([_pct(found.low), _pct(found.high)], [place, place], color=colour,
                    linewidth=2.4 if is_last else 1.2, alpha=1 if is_last else 0.6)  # fmt: skip
            ax.plot([_pct(found.mean)], [place], "o" if is_last else "|", color=colour,
                    markersize=7 if is_last else 10)  # fmt: skip
    ax.set_yticks(range(len(world.names)), world.names)
    ax.invert_yaxis()
    ax.set_ylim(len(world.names) - 0.4, -0.6)
    ax.set_xlim(-2, 102)
    ax.grid(axis="x", alpha=0.25)
    ax.set_xlabel(
        f"pass@1 in percent, 95 % interval; dot: iteration {world.iterations}, bar: iteration 1"
    )
    return _svg(figure)


def budgets(world, subset):
    """pass@1 at the last iteration over each of the three budgets."""
    trained = [arm for arm in world.names if is_trained(world, arm)]
    figure, axes = _sheet(1, len(BUDGETS), (11.0, 3.4 + 0.22 * math.ceil(len(trained) / 4)))
    drawn, bases = styles(world), [arm for arm in world.names if not is_trained(world, arm)]
    for ax, (name, paid) in zip(axes, BUDGETS.items(), strict=True):
        for arm in trained:
            _spent(ax, world, arm, subset, paid, drawn[arm])
        if "base" in bases:
            level = pass_at_1(world, "base", world.iterations, subset).mean
            ax.axhline(_pct(level), color=_GREY, linestyle=":", linewidth=1.2, label="base")
        ax.set_xlabel(f"{name} of one run")
        ax.set_xlim(left=0)
        ax.set_ylim(-2, 102)
        ax.grid(alpha=0.25)
        ax.xaxis.set_major_locator(_few_ticks())
    axes[0].set_ylabel(f"pass@1 in percent, iteration {world.iterations}")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return _svg(figure)


def _spent(ax, world, arm, subset, paid, style):
    """The end of an arm's runs with its interval, and the way to it where there is one."""
    colour, marker, line = style
    found = pass_at_1(world, arm, world.iterations, subset)
    at = fmean(paid(run.costs) for run in world.of(arm))
    ends = [[_pct(found.mean - found.low)], [_pct(found.high - found.mean)]]
    ax.errorbar([at], [_pct(found.mean)], yerr=ends, fmt=marker, color=colour, capsize=2,
                markersize=6, linewidth=1.2, label=arm)  # fmt: skip
    points = along(world, arm, subset)
    if points:
        costs = [fmean(paid(p["costs"]) for p in at_step) for _, at_step, _, _ in points]
        ax.plot(costs, [_pct(mean) for _, _, mean, _ in points], line, color=colour, linewidth=1.2)


def along(world, arm, subset):
    """(step, the runs' points, mean, half width) of the checkpoints that every run has.

    The half width is Student's over the runs, at the tasks at hand: 0 of a single run.
    """
    runs = [{point["step"]: point for point in run.curve} for run in world.of(arm)]
    steps = sorted(set.intersection(*map(set, runs))) if runs else []
    found = []
    for step in steps:
        points = [run[step] for run in runs]
        if all(subset in point["pass_at_1"] for point in points):
            values = [point["pass_at_1"][subset][-1] for point in points]
            found.append((step, points, fmean(values), _half(values)))
    return found


def curves(world, subset):
    """pass@1 at the last iteration along training, a panel an arm; None without checkpoints."""
    lines = {arm: along(world, arm, subset) for arm in world.names if is_trained(world, arm)}
    lines = {arm: points for arm, points in lines.items() if points}
    if not lines:
        return None
    columns = min(_COLUMNS, len(lines))
    rows = math.ceil(len(lines) / columns)
    figure, axes = _sheet(rows, columns, (2.75 * columns, 2.1 * rows + 0.5), share=True)
    drawn = styles(world)
    for ax, arm in zip(axes, lines, strict=False):
        for other, points in lines.items():
            if other != arm:
                _line(ax, points, _GREY, 0.7, 0.5)
        _line(ax, lines[arm], drawn[arm][0], 2.0, 1.0)
        steps = [step for step, *_ in lines[arm]]
        low = [_pct(max(0, mean - half)) for *_, mean, half in lines[arm]]
        high = [_pct(min(1, mean + half)) for *_, mean, half in lines[arm]]
        ax.fill_between(steps, low, high, color=drawn[arm][0], alpha=0.2, linewidth=0)
        ax.set_title(arm, fontsize=9, loc="left")
        ax.set_ylim(-2, 102)
        ax.grid(alpha=0.25)
    for ax in axes[len(lines) :]:
        ax.remove()
    figure.supxlabel("step", fontsize=10)
    figure.supylabel(f"pass@1 in percent, iteration {world.iterations}", fontsize=10)
    return _svg(figure)


def probing(world, subset):
    """One mark a run: share of loud first attempts and pass@1; None where it is not told."""
    if all(mechanism(world, arm, "loud", subset) is None for arm in world.names):
        return None
    figure, axes = _sheet(1, 1, (8.4, 4.6))
    ax, drawn = axes[0], styles(world)
    for arm in world.names:
        colour, marker, _ = drawn[arm]
        told = [
            run for run in world.of(arm) if run.mechanism.get(subset, {}).get("loud") is not None
        ]
        ax.plot([_pct(run.mechanism[subset]["loud"]) for run in told],
                [_pct(run_mean(world, run, world.iterations, subset)) for run in told],
                marker, color=colour, alpha=0.75, markersize=7, label=arm)  # fmt: skip
    ax.set_xlabel("first attempts that are loud, percent")
    ax.set_ylabel(f"pass@1 in percent, iteration {world.iterations}")
    ax.set_xlim(-2, 102)
    ax.set_ylim(-2, 102)
    ax.grid(alpha=0.25)
    figure.legend(loc="outside right center", frameon=False, fontsize=9)
    return _svg(figure)


def has_costs(world):
    """Whether there is anything to draw over budgets."""
    return any(cost(world, arm, "generations") for arm in world.names)


def _line(ax, points, colour, width, alpha):
    steps, means = [p[0] for p in points], [_pct(p[2]) for p in points]
    ax.plot(steps, means, color=colour, linewidth=width, alpha=alpha)


def _half(values):
    if len(values) < 2:
        return 0.0
    from scipy.stats import t

    return float(t.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))


def _pct(share):
    return 100 * share


def _few_ticks():
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(4)


def _sheet(rows, columns, size, share=False):
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=share, sharey=share)
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
