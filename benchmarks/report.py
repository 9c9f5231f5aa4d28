"""What every benchmark shares: rounds that alternate, ratios with their spread, a JSON file."""

import argparse
import contextlib
import json
import platform
import subprocess
import time
from pathlib import Path
from statistics import median

import psutil


def arguments(about):
    """Parse `--quick` and `--json FILE`."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--quick", action="store_true", help="a minute's run")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    return parser.parse_args()


def alternate(contenders, rounds):
    """Run all contenders once a round, after one round that is not counted.

    Gives name -> list of (clock seconds, processor seconds, children included).
    """
    taken = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, run in contenders.items():
            clock, processor = time.perf_counter(), _processor_s()
            run()
            if number:
                taken[name].append((time.perf_counter() - clock, _processor_s() - processor))
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
    git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if file:
        content = {
            "device": f"{platform.platform()}, {psutil.cpu_count()} processors",
            "commit": git.stdout.strip(),
            "settings": settings,
            "ratios": found,
        }
        file.write_text(json.dumps(content, indent=2) + "\n")


def _processor_s():
    """Processor seconds of this process, its descendants, and theirs that have ended."""
    me = psutil.Process()
    while True:
        # One that ends while we look is in its parent's account the next time.
        with contextlib.suppress(psutil.NoSuchProcess):
            everyone = [me, *me.children(recursive=True)]
            return sum(sum(process.cpu_times()[:4]) for process in everyone)
