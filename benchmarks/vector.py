"""What does stepping environments together save? Against as many steps one after the other.

`together` is `CodeFeedbackVectorEnv`, `serial` Gymnasium's `SyncVectorEnv` of as many
`CodeFeedbackEnv`; both on one sandbox with a worker per processor, both with programs that nobody
has run before, so that no verdict is known. A round is a reset and a step of all, in which every
second episode ends and begins anew. Besides: what making them takes, in time and memory, and what a
step takes that runs no program.
"""

import time
import tracemalloc
from itertools import count
from statistics import median

import psutil
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from benchmarks import report
from murphy_env import CodeFeedbackEnv, CodeFeedbackVectorEnv, Sandbox, Task

TASK = Task("squares", "Write solve(n).", [f"assert solve({n}) == {n * n + 1}" for n in range(5)])
MODE = AutoresetMode.SAME_STEP


def main():
    """Measure, print, write."""
    parser = report.parser(__doc__)
    parser.add_argument("--num-envs", type=int, help="how many environments; 512, --quick 64")
    options = parser.parse_args()
    num_envs = options.num_envs or (64 if options.quick else 512)
    rounds = 5
    numbers = count()
    with Sandbox(workers=psutil.cpu_count()) as sandbox:
        settings = {"tasks": [TASK], "sandbox": sandbox}
        made = {
            "together": CodeFeedbackVectorEnv(num_envs, MODE, **settings),
            "serial": SyncVectorEnv(
                [lambda: CodeFeedbackEnv(**settings)] * num_envs, autoreset_mode=MODE
            ),
        }

        def run(envs):
            envs.reset(seed=0)
            rewards = envs.step([program(next(numbers)) for _ in range(num_envs)])[1]
            assert rewards.sum() == num_envs // 2

        taken = report.alternate(
            {name: lambda envs=envs: run(envs) for name, envs in made.items()}, rounds
        )
        idle_s = [seconds(made["together"].step, ["no program"] * num_envs) for _ in range(rounds)]
        per_env = size_and_time(num_envs, sandbox)
    for name, times in taken.items():
        wall, cpu = (1000 * median(part) / num_envs for part in zip(*times, strict=True))
        print(f"{name}: {wall:.2f} ms of the clock, {cpu:.2f} ms of a processor a step")
    per_env["step_without_program_us"] = 1e6 * median(idle_s) / num_envs
    print(f"a step without a program: {per_env['step_without_program_us']:.0f} us an environment")
    print(f"making {num_envs}: {per_env['made_s']:.3f} s, {per_env['bytes']:.0f} bytes each")
    settings = {"rounds": rounds, "num_envs": num_envs, "workers": psutil.cpu_count()}
    found = report.ratios(taken, "together", "serial", {})
    report.publish(settings, found, None)
    if options.json:
        report.write(options.json, {"settings": settings, "ratios": found, "environments": per_env})


def program(number):
    """A completion with a program of its own; every second one is right."""
    return f"<output>\ndef solve(n):\n    return n * n + {number % 2}  # {number}\n</output>"


def seconds(call, *arguments):
    """Clock time of a call."""
    start = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - start


def size_and_time(num_envs, sandbox):
    """Memory of one environment more, and the time that all take to be made, tasks loaded once."""

    def make(number):
        return CodeFeedbackVectorEnv(number, MODE, tasks="embedded:train", sandbox=sandbox)

    make(1)  # reads the tasks' texts
    taken_s = seconds(make, num_envs) - seconds(make, 1)
    tracemalloc.start()
    kept = []
    sizes = [0]
    for number in (1, 1 + num_envs):
        kept.append(make(number))
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    one, both = sizes[1], sizes[2]
    return {"made_s": taken_s, "bytes": (both - 2 * one) / num_envs}


if __name__ == "__main__":
    main()
