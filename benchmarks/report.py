"""What every benchmark shares: rounds that alternate, ratios with their spread, a JSON file."""

import argparse
import json
import platform
import subprocess
from pathlib import Path
from statistics import median

import psutil

from benchmarks.processor import Meter


def arguments(about):
    """Parse `--quick` and `--json FILE`."""
    return parser(about).parse_args()


def parser(about):
    """A parser that knows `--quick` and `--json FILE`."""
    made = argparse.ArgumentParser(description=about)
    made.add_argument("--quick", action="store_true", help="a minute's run")
    made.add_argument("--json", type=Path, help="write the figures to this file")
    return made


def alternate(contenders, rounds):
    """Run all contenders once a round, after one round that is not counted.

    Gives name -> list of (clock seconds, processor seconds, children included).
    """
    taken = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, run in contenders.items():
            with Meter() as meter:
                run()
            if number:
                taken[name].append((meter.wall_s, meter.cpu_s))
    return taken


def ratios(taken, ours, peer, goals):
    """Peer / ours, round by round: how many times less we take."""
    found = {}
    for kind, index in (("wall", 0), ("cpu", 1)):
        pairs = zip(taken[peer], taken[ours], strict=True)
        values = [p[index] / o[index] for p, o in pairs]
        name = f"{peer} / {ours}, {kind}"
        found[name] = {
            "median": median(values),
            "min": min(values),
            "max": max(values),
            "goal": goals.get(kind),
        }
    return found


def publish(settings, found, file):
    """Print the ratios and write them, with what is needed to judge them, to `file`."""
    for name, ratio in found.items():
        goal = f"  (goal {ratio['goal']})" if ratio["goal"] else ""
        spread = f"{ratio['min']:.2f} to {ratio['max']:.2f}"
        print(f"{name}: {ratio['median']:.2f} times, {spread}{goal}")
    if file:
        write(file, {"settings": settings, "ratios": found})


def write(file, content):
    """Write figures to `file`, with the machine and the commit that they hold for."""
    file.write_text(json.dumps(about() | content, indent=2) + "\n")


def about():
    """The machine and the commit that figures hold for."""
    return {
        "device": f"{platform.platform()}, {psutil.cpu_count()} processors",
        "python": platform.python_version(),
        "commit": _git("rev-parse", "HEAD"),
        "changed since": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


def _git(*words):
    command = ["git", "--no-optional-locks", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
