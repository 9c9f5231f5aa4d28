"""How surely does `test_learning` hold? Runs it with other seeds and prints every rise.

python tests/agents/learning_runs.py [NUM_RUNS [NUM_STEPS]]
"""

import statistics
import sys
import tempfile
from pathlib import Path

import torch
from test_learning import LEAST_RISE, NUM_STEPS, learned


def main(num_runs=20, num_steps=NUM_STEPS):
    torch.set_num_threads(1)
    rises = []
    for seed in range(num_runs):
        with tempfile.TemporaryDirectory() as folder:
            (before, repeats), (after, fewer) = learned(Path(folder), seed, num_steps)
        rises.append(after - before)
        print(
            f"RUN seed {seed}: repaired {before:.3f} -> {after:.3f}, "
            f"repeated {repeats:.3f} -> {fewer:.3f}",
            flush=True,
        )
    print(
        f"RUN rise: mean {statistics.fmean(rises):+.3f}, least {min(rises):+.3f}, "
        f"above {LEAST_RISE} in {sum(rise > LEAST_RISE for rise in rises)} of {num_runs}"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
