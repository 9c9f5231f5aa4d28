"""The command line: run worlds, keep their results, make the report."""

import shlex
import sys
from pathlib import Path

from benchmarks import compare as package
from benchmarks import report
from benchmarks.compare import expected, files, worlds

RUNS = Path("runs/benchmark")


def main(arguments=None):
    """Run what is left to do, write results and report; 1 where a run failed."""
    parser = _parser()
    options = parser.parse_args(arguments)
    of_runs = (options.world, options.quick, options.partial, options.processes, options.seeds)
    if options.report and any(of_runs):
        parser.error("--report trains nothing; give it without what is for runs")
    if options.quick and options.seeds:
        parser.error("--quick has one seed; leave --seeds out")
    home = RUNS / "quick" if options.quick else files.HOME
    try:
        failed = {} if options.report else _run(options, home)
        there = files.write_report(home)
        if options.json:
            files.write_figures(options.json, report.about(), there, expected.load())
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(f"written: {home / 'report.html'}, {home / 'report.md'}")
    return 1 if failed else 0


def _run(options, home):
    """Do the worlds' comparisons and write their results; what failed."""
    from benchmarks.compare.collect import names_of, note_machine, world_of
    from murphy_agents.compare.run import compare

    failed = {}
    chosen = [worlds.file_of(name) for name in options.world or [worlds.DEFAULT]]
    runs = RUNS / "quick" if options.quick else RUNS
    configs = []
    for file in chosen:
        told = file, runs / file.stem, options.processes, options.quick
        own = worlds.config(*told)
        configs.append((own, worlds.config(*told, worlds.seeds(own, options.seeds))))
    for file, (own, config) in zip(chosen, configs, strict=True):
        print(f"world {file.stem}")
        kept = files.results_file(home, file.stem)
        try:
            files.check_kept(kept, names_of(config), options.partial)
            with note_machine(config):
                went_wrong = dict(compare(config).failed)
            failed |= went_wrong
            command = _command(file, options.quick, own, config)
            files.keep(world_of(file.stem, config, command, went_wrong, own), kept, options.partial)
        except (ValueError, OSError) as error:  # the other worlds go on
            print(f"world {file.stem}: {error}", file=sys.stderr)
            failed[file.stem] = str(error)
            continue
        if (size := kept.stat().st_size) > files.MOST_BYTES:
            print(f"{kept} has {size:,} bytes, more than {files.MOST_BYTES:,}; evaluate less")
    return failed


def _command(file, is_quick, own, config):
    world = file.stem if file.parent == worlds.FOLDER else str(file)
    words = ["python", "-m", package.__name__, "--world", world]
    seeds = ["--seeds", *map(str, config.seeds)] if set(config.seeds) != set(own.seeds) else []
    return shlex.join([*words, *(["--quick"] if is_quick else []), *seeds])


def _parser():
    parser = report.parser(package.__doc__.splitlines()[0])
    parser.prog = f"python -m {package.__name__}"
    parser.add_argument(
        "--world", nargs="+", metavar="W", help=f"of {worlds.names()}, or a .yaml; default "
        f"{worlds.DEFAULT}",
    )  # fmt: skip
    parser.add_argument(
        "--seeds", nargs="+", type=int, metavar="S",
        help="of training; default the world's own; those that are there stay, and a verdict "
        "takes as many runs as the world's own seeds make",
    )  # fmt: skip
    parser.add_argument(
        "--report", action="store_true", help="train nothing, make the report of what is there"
    )
    parser.add_argument(
        "--partial", action="store_true", help="also where results that are kept would be lost"
    )
    parser.add_argument("--processes", type=int, metavar="N", help="runs at the same time")
    return parser


if __name__ == "__main__":
    sys.exit(main())
