"""The command line: measure or read a record, print it, write it."""

from benchmarks import update
from benchmarks.recorded.command import Benchmark
from benchmarks.update import analysis, tell
from benchmarks.update.run import measure
from benchmarks.update.settings import load

main = Benchmark(update, load, ("time",), measure, analysis, tell).main

if __name__ == "__main__":
    main()
