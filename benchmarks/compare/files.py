"""Where results and report lie, and how the second is made of the first."""

import dataclasses
import json
from pathlib import Path

from benchmarks.compare import expected, loud, page, record, tell, worlds
from benchmarks.compare.analysis import difference, pass_at_1
from benchmarks.compare.wording import subset_of
from murphy_agents.files import write_atomically

HOME = Path(__file__).parent
MOST_BYTES = 1_000_000
"""Of a world's results, so that they can be committed."""
MADE = ("command", "commits", "changed", "date", "machine", "planned", "failed")
"""Of a record: what its runs were made with, and which are there."""


def results_file(folder, world):
    """Of a world, in a folder such as `HOME`."""
    return folder / "results" / f"{world}.jsonl"


def load(folder):
    """The records of a folder, in the order of the report.

    Raises:
        ValueError: a file is malformed.
    """
    found = sorted((folder / "results").glob("*.jsonl"), key=lambda f: worlds.place(f.stem))
    return [record.load(file) for file in found]


def keep(world, file, partial=False):
    """Write a world's record, in place of one all of whose runs it has too.

    Where no machine was noted and the runs are those of the file, they keep the one it names.

    Raises:
        ValueError: the file has runs that are not in this one, and `partial` does not allow that.
    """
    there = _kept(file, partial)
    if not partial and (lost := sorted(_names(there) - _names(world))):
        raise ValueError(
            f"{file} holds {len(there.runs)} runs and {len(world.runs)} are finished, of "
            f"{len(world.runs) + world.num_missing} that are planned; {len(lost)} would be "
            f"lost, the first {lost[0]!r}; finish them, or give --partial to replace them"
        )
    if there and not world.machine and set(record.lines(world)) <= set(record.lines(there)):
        world = dataclasses.replace(world, machine=there.machine)
    record.save(world, file)


def check_kept(file, planned, partial=False):
    """Refuse, before anything is run, to replace runs that will not be made again.

    Args:
        file: with a world's record, or nothing yet.
        planned: names of the runs to be there in the end.
        partial: whether they may be lost.

    Raises:
        ValueError: the file has other runs, or cannot be read.
    """
    lost = sorted(_names(_kept(file, partial)) - planned)
    if lost and not partial:
        raise ValueError(
            f"{file} holds {len(lost)} runs that are none of these, the first {lost[0]!r}, and "
            "would be replaced; ask for their seeds too, or give --partial"
        )


def _kept(file, partial):
    """The record in a file; None of no file, and of one that cannot be read but may be lost."""
    if not file.exists():
        return None
    try:
        return record.load(file)
    except ValueError as error:
        if partial:
            return None
        raise ValueError(f"{error}; or give --partial to replace it") from error


def _names(world):
    return {str(run) for run in world.runs} if world else set()


def write_report(folder, expectations=None):
    """Make report.md, report.html and pictures of the results in a folder; their records."""
    there = load(folder)
    blocks = list(tell.report(there, expected.load() if expectations is None else expectations))
    drawn = [block for block in blocks if isinstance(block, page.Picture)]
    pictures = folder / page.PICTURES
    pictures.mkdir(parents=True, exist_ok=True)
    for old in pictures.glob("*.svg"):
        if old.stem not in {picture.name for picture in drawn}:
            old.unlink()
    for picture in drawn:
        (folder / picture.file).write_text(picture.svg, encoding="utf-8")
    write_atomically(folder / "report.md", page.markdown(blocks))
    write_atomically(folder / "report.html", page.page(blocks))
    return there


def write_figures(file, about, there, expectations):
    """The report's main figures as JSON, and what the runs behind them were made with."""
    found, bounds = expected.findings(there, expectations), loud.load()
    told = about | {
        "settings": {world.world: world.settings for world in there},
        "worlds": {world.world: _figures(world, found[world.world], bounds) for world in there},
    }
    file.write_text(json.dumps(told, indent=1, default=str) + "\n", encoding="utf-8")


def _figures(world, found, bounds):
    subset, last = subset_of(world), world.iterations
    return {
        "made": {name: getattr(world, name) for name in MADE},
        "runs": [
            {"run": str(run), "commit": run.commit, "resumed": run.num_resumed}
            for run in world.runs
            if run.seed is not None
        ],
        "subset": subset,
        "pass_at_1": {
            arm: [_listed(pass_at_1(world, arm, i + 1, subset)) for i in range(last)]
            for arm in world.names
        },
        "against base": {
            arm: _listed(difference(world, arm, "base", last, subset))
            for arm in world.names
            if arm != "base" and "base" in world.names
        },
        "expected": [
            {"difference": f.expectation.pair, "expected": f.expectation.told,
             "found": _listed(f.interval), "pairs": [f.num_pairs, f.num_planned], "p": f.p,
             "p_holm": f.p_holm, "verdict": f.verdict, "after": f.expectation.after}
            for f in found
        ],
        "loud": [
            {"arm": f.bound.arm, "expected": f.bound.told, "mean": f.mean, "lowest": f.lowest,
             "highest": f.highest, "verdict": f.verdict}
            for f in loud.findings(world, bounds)
        ],
    }  # fmt: skip


def _listed(found):
    """Mean and ends; null where one cannot be told."""
    if found is None:
        return None
    return [None if value != value else value for value in (found.mean, found.low, found.high)]
