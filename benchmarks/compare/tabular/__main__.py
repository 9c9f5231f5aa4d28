"""The command line: trains every arm in `probe`, most in the others; prints a table a world."""

import argparse
from pathlib import Path

import numpy as np

from benchmarks import report
from benchmarks.compare import tabular
from benchmarks.compare.tabular.arms import ARMS, WORLDS, runs
from benchmarks.compare.tabular.world import STEPS, TASKS, train

COLUMNS = ("probing", "iteration 1", "iteration 2", "iteration 3", "generations")


def measure(world, arm, seeds):
    """What a run ends with, seed by seed: shares, and generations per task and step."""
    rows = []
    for seed in range(seeds):
        policy = train(WORLDS[world], ARMS[arm](), seed)
        shares = [policy.probing_share(), *(policy.solve_rate(turns) for turns in (1, 2, 3))]
        rows.append([*shares, policy.num_generations / (STEPS * TASKS)])
    return dict(zip(COLUMNS, np.array(rows).T.tolist(), strict=True))


def row_of(arm, found):
    """A line of a Markdown table."""
    cells = []
    for name, values in found.items():
        factor = 1 if name == "generations" else 100
        told = f"{factor * np.mean(values):.1f}"
        if len(values) > 1:
            told += f" ± {factor * np.std(values, ddof=1):.1f}"
        cells.append(told)
    return f"| {arm} | " + " | ".join(cells) + " |"


def main():
    """Measure and tell."""
    parser = argparse.ArgumentParser("python -m benchmarks.compare.tabular")
    parser.description = tabular.__doc__.splitlines()[0]
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write every seed's figures to this file")
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error(f"--seeds is {options.seeds}; give 1 or more")
    results, told = {}, None
    print(
        f"`{parser.prog} --seeds {options.seeds}`: percent, exact in the trained tables, and "
        "generations per task and step.\nMean ± standard deviation over seeds of training "
        "(n - 1 in its denominator; none of a single seed). "
        "{device}, commit {commit}.".format(**report.about())
    )
    for world, arm in runs():
        if world != told:
            print(f"\n**{world}**\n\n| arm | " + " | ".join(COLUMNS) + " |")
            print("|" + "---|" * (1 + len(COLUMNS)))
            told = world
        found = measure(world, arm, options.seeds)
        results.setdefault(world, {})[arm] = found
        print(row_of(arm, found), flush=True)
    if options.json:
        settings = {"seeds": options.seeds, "steps": STEPS, "tasks": TASKS}
        report.write(options.json, {"settings": settings, "found": results})


if __name__ == "__main__":
    main()
