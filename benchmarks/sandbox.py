"""What does an execution cost? Five asserts in our sandbox against a fresh interpreter."""

import os
import subprocess
import sys

from benchmarks import report
from murphy_env import Sandbox, Task

PROGRAM = "def solve(n):\n    return n * n + 1\n"
TASK = Task("squares", "", [f"assert solve({n}) == {n * n + 1}" for n in range(5)])
SCRIPT = "\n".join([PROGRAM, *(test.source for test in TASK.tests)])


def main():
    """Measure, print, write."""
    options = report.arguments(__doc__)
    rounds, executions = (5, 20) if options.quick else (9, 100)
    with Sandbox(workers=1) as sandbox:

        def ours():
            for i in range(executions):
                # A comment of its own keeps the memo out of the measurement.
                execution = sandbox.run(TASK, f"{PROGRAM}# {os.urandom(8).hex()} {i}\n")
                assert execution.reward == 1.0

        def interpreter():
            for _ in range(executions):
                subprocess.run([sys.executable, "-c", SCRIPT], check=True)

        name = f"sandbox {sandbox.level}"
        taken = report.alternate({name: ours, "python -c": interpreter}, rounds)
    for contender, times in taken.items():
        wall, cpu = (1000 * report.median(t[i] for t in times) / executions for i in (0, 1))
        print(f"{contender}: {wall:.2f} ms wall, {cpu:.2f} ms processor per execution (medians)")
    settings = {"rounds": rounds, "executions": executions, "asserts": len(TASK.tests)}
    report.publish(settings, report.ratios(taken, name, "python -c", {}), options.json)


if __name__ == "__main__":
    main()
