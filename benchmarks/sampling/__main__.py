"""The command line: measure or read a record, print it, write it."""

from benchmarks import sampling
from benchmarks.recorded.command import Benchmark
from benchmarks.sampling import analysis, tell
from benchmarks.sampling.run import measure
from benchmarks.sampling.settings import load

BENCHMARK = Benchmark(
    name="sampling",
    about=sampling.__doc__.splitlines()[0],
    load=load,
    timed=("engines", "schedules", "gpu"),
    measure=measure,
    ratios=analysis.ratios,
    goals=analysis.goals,
    lines=tell.lines,
    markdown=tell.markdown,
)
main = BENCHMARK.main

if __name__ == "__main__":
    main()
