"""The command line: measure or read a record, print it, write it."""

from benchmarks import sampling
from benchmarks.recorded.command import Benchmark
from benchmarks.sampling import analysis, tell
from benchmarks.sampling.run import measure
from benchmarks.sampling.settings import load

main = Benchmark(sampling, load, ("engines", "schedules", "gpu"), measure, analysis, tell).main

if __name__ == "__main__":
    main()
