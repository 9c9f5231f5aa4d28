"""The command line: measure or read a record, print it, write it."""

import dataclasses
import json
import shlex
import sys
from pathlib import Path

import torch

from benchmarks import report, sampling
from benchmarks.sampling import analysis, tell
from benchmarks.sampling import settings as settings_file
from benchmarks.sampling.run import measure

TIMED = ("engines", "schedules", "gpu")


def main(arguments=None):
    """Measure, print, write."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.show and options.json:
        parser.error("--show reads a record and writes none; leave --json out")
    try:
        record = _record(options)
    except ValueError as error:
        parser.error(str(error))
    print(*tell.lines(record), sep="\n")
    if options.json:
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(tell.markdown(record), encoding="utf-8")


def _parser():
    parser = report.parser(sampling.__doc__.splitlines()[0])
    parser.add_argument("--markdown", type=Path, help="write the tables to this file")
    parser.add_argument("--rounds", type=int, metavar="N", help="counted rounds, default 5")
    parser.add_argument(
        "--parts", type=lambda text: text.split(","), default=[], help="of all; as a,b,c"
    )
    parser.add_argument("--show", type=Path, help="measure nothing, print this record")
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="cuda: the part gpu alone"
    )
    parser.prog = "python -m benchmarks.sampling"
    return parser


def _record(options):
    if options.show:
        try:
            return json.loads(options.show.read_text(encoding="utf-8"))
        except OSError as error:
            raise ValueError(f"--show: {error}; give a file that --json wrote") from error
    settings = settings_file.load(options.quick)
    parts = options.parts
    if options.device == "cuda":
        if not torch.cuda.is_available():
            raise ValueError("--device is cuda, but torch sees no GPU here; leave --device out")
        parts = ["gpu"]
    if options.rounds is not None:
        if options.rounds < 1:
            raise ValueError(f"--rounds is {options.rounds}; give at least 1")
        for part in TIMED:
            settings[part]["rounds"] = options.rounds
    record = report.about() | {"command": _command(sys.argv[1:])} | measure(settings, parts)
    goals = [dataclasses.asdict(goal) | {"met": goal.met} for goal in analysis.goals(record)]
    return record | {"ratios": analysis.ratios(record), "goals": goals}


def _command(words):
    return shlex.join(["python", "-m", "benchmarks.sampling", *words])


if __name__ == "__main__":
    main()
