"""The command line: measure or read a record, print it, write it."""

from benchmarks import update
from benchmarks.recorded.command import Benchmark
from benchmarks.update import analysis, tell
from benchmarks.update.run import measure
from benchmarks.update.settings import load

BENCHMARK = Benchmark(
    name="update",
    about=update.__doc__.splitlines()[0],
    load=load,
    timed=("time",),
    measure=measure,
    ratios=analysis.ratios,
    goals=analysis.goals,
    lines=tell.lines,
    markdown=tell.markdown,
)
main = BENCHMARK.main

if __name__ == "__main__":
    main()
