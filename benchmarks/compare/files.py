"""Where results and report lie, and how the second is made of the first."""

import json
from pathlib import Path

from benchmarks.compare import expected, page, record, tell, worlds
from benchmarks.compare.analysis import difference, pass_at_1
from benchmarks.compare.wording import subset_of

HOME = Path(__file__).parent
MOST_BYTES = 300_000
"""Of a world's results, so that they can be committed."""


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
    (folder / "report.md").write_text(page.markdown(blocks), encoding="utf-8")
    (folder / "report.html").write_text(page.page(blocks), encoding="utf-8")
    return there


def write_figures(file, about, there, expectations):
    """The report's main figures as JSON."""
    found = expected.findings(there, expectations)
    told = about | {
        "settings": {world.world: world.settings for world in there},
        "worlds": {world.world: _figures(world, found[world.world]) for world in there},
    }
    file.write_text(json.dumps(told, indent=1, default=str) + "\n", encoding="utf-8")


def _figures(world, found):
    subset, last = subset_of(world), world.iterations
    return {
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
             "found": _listed(f.found), "p": f.p, "p_holm": f.p_holm, "verdict": f.verdict}
            for f in found
        ],
    }  # fmt: skip


def _listed(found):
    """Mean and ends; null where one cannot be told."""
    if found is None:
        return None
    return [None if value != value else value for value in (found.mean, found.low, found.high)]
