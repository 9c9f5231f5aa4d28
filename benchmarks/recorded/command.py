"""The command line of such a benchmark: measure or read a record, print it, write it."""

import dataclasses
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from benchmarks import report

Record = dict[str, Any]


@dataclass(frozen=True)
class Benchmark:
    """What its command needs."""

    package: ModuleType
    load: Callable[[bool], dict[str, Any]]
    """Whether the run is a quick one -> settings."""
    timed: Sequence[str]
    """Settings that have a number of rounds."""
    measure: Callable[[dict[str, Any], Sequence[str]], Record]
    """Settings, names of parts -> record."""
    analysis: ModuleType
    """Has `ratios(record)` and `goals(record)`."""
    tell: ModuleType
    """Has `lines(record)` and `markdown(record)`."""

    def main(self, arguments=None):
        """Measure, print, write."""
        parser = self._parser()
        options = parser.parse_args(arguments)
        if options.show and options.json:
            parser.error("--show reads a record and writes none; leave --json out")
        try:
            record = self._record(options)
        except ValueError as error:
            parser.error(str(error))
        print(*self.tell.lines(record), sep="\n")
        if options.json:
            options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        if options.markdown:
            options.markdown.write_text(self.tell.markdown(record), encoding="utf-8")

    def _parser(self):
        parser = report.parser(self.package.__doc__.splitlines()[0])
        parser.add_argument("--markdown", type=Path, help="write the tables to this file")
        parser.add_argument("--rounds", type=int, metavar="N", help="counted rounds, default 5")
        parser.add_argument(
            "--parts", type=lambda text: text.split(","), default=[], help="of all; as a,b,c"
        )
        parser.add_argument("--show", type=Path, help="measure nothing, print this record")
        parser.add_argument(
            "--device", choices=("cpu", "cuda"), default="cpu", help="cuda: the part gpu alone"
        )
        parser.prog = f"python -m {self.package.__name__}"
        return parser

    def _record(self, options):
        if options.show:
            try:
                return json.loads(options.show.read_text(encoding="utf-8"))
            except OSError as error:
                raise ValueError(f"--show: {error}; give a file that --json wrote") from error
        settings, parts = self.load(options.quick), options.parts
        if options.device == "cuda":
            if not torch.cuda.is_available():
                raise ValueError("--device is cuda, but torch sees no GPU here; leave --device out")
            parts = ["gpu"]
        if options.rounds is not None:
            if options.rounds < 1:
                raise ValueError(f"--rounds is {options.rounds}; give at least 1")
            for part in self.timed:
                settings[part]["rounds"] = options.rounds
        command = shlex.join(["python", "-m", self.package.__name__, *sys.argv[1:]])
        record = report.about() | {"command": command} | self.measure(settings, parts)
        goals = [
            dataclasses.asdict(goal) | {"met": goal.met} for goal in self.analysis.goals(record)
        ]
        return record | {"ratios": self.analysis.ratios(record), "goals": goals}
