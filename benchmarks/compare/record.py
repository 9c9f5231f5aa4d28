"""What is kept of a world's runs: a header and one line per run, small enough to commit.

    {"format": 1, "num_runs": 54, "world": ..., "tasks": [...], "subsets": {...}, ...}
    {"arm": "grpo", "start": "warm-0", "seed": 0, "solved": ["0110", ...], "costs": {...}, ...}

The whole report is made from these lines, so that nobody must train to rebuild it. A file with
fewer lines than its header tells is refused: it was cut short. Nothing here knows models or folders
of runs.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from functools import cached_property

from murphy_agents.files import write_atomically

FORMAT = 1
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
"""Of counts in `Run.solved`; the largest is the most runs that an evaluation can have here."""
NO_VERDICT = "-"
ALL = "all"
"""The subset that every world has."""


@dataclass(frozen=True, eq=False)
class Run:
    """One evaluation, and what its training cost."""

    arm: str
    start: str
    seed: int | None
    """Of training; None: not trained here."""
    solved: tuple[str, ...]
    """By iteration; a digit per task: how many runs of the evaluation solved it by then."""
    costs: dict = field(default_factory=dict)
    """Sums over training: generations, trained tokens, seconds; empty without training."""
    mechanism: dict = field(default_factory=dict)
    """Subset -> share by name: what first and second attempts are like."""
    curve: tuple[dict, ...] = ()
    """Checkpoints: {"step", "costs", "pass_at_1": subset -> shares by iteration}."""
    commit: str = ""
    """That it was trained with; empty where that is not told."""
    num_resumed: int = 0
    """How often its training was gone on with from a checkpoint."""

    def __str__(self):
        return f"{self.arm} of {self.start}" + ("" if self.seed is None else f", seed {self.seed}")


@dataclass(frozen=True, eq=False)
class World:
    """The header, and the runs."""

    world: str
    tasks: tuple[str, ...]
    clusters: tuple[int, ...]
    """By task; equal for tasks with the same docstring, or prompt where they tell none."""
    iterations: int
    eval_runs: int
    runs: tuple[Run, ...]
    subsets: dict = field(default_factory=dict)
    """Name -> a 0 or 1 per task."""
    settings: dict = field(default_factory=dict)
    """Of the comparison."""
    arms: dict = field(default_factory=dict)
    """Arm -> settings in which its training is not as the shared ones are, or `TrainConfig`."""
    planned: dict = field(default_factory=dict)
    """Arm -> runs that the settings ask for; empty where nothing is known of that."""
    failed: dict = field(default_factory=dict)
    """Arm -> what went wrong, by the name of the run."""
    command: str = ""
    commits: tuple[str, ...] = ()
    """That the runs were trained with."""
    changed: bool = False
    """Whether files differed from a commit's."""
    date: str = ""
    machine: dict = field(default_factory=dict)
    """Of the runs; `others`: how many others had a part in them."""
    num_broken_on_curves: int = 0
    """Tasks without a verdict in some evaluation on the way, which count in none of these."""

    @cached_property
    def names(self):
        """The arms, in the order in which they are there."""
        return tuple(dict.fromkeys(run.arm for run in self.runs))

    @cached_property
    def parts(self):
        """The names of the subsets, 'all' last."""
        return (*self.subsets, ALL)

    def of(self, arm):
        """The runs of an arm."""
        return [run for run in self.runs if run.arm == arm]

    def has_failed(self, arm):
        """Whether a run of it went wrong."""
        return bool(self.failed.get(arm))

    @property
    def num_missing(self):
        """Runs that are planned and not there."""
        return sum(max(0, num - len(self.of(arm))) for arm, num in self.planned.items())

    def cluster_of(self):
        """Task -> its cluster."""
        return {task: str(c) for task, c in zip(self.tasks, self.clusters, strict=True)}

    def tasks_of(self, subset):
        """Places of the tasks of a subset that have a verdict in every run.

        Raises:
            ValueError: there is no such subset, or none of its tasks has a verdict everywhere.
        """
        if subset not in self.parts:
            raise ValueError(
                f"there is no subset {subset!r} in world {self.world!r}; choose from {self.parts}"
            )
        found = [i for i in self._judged if subset == ALL or self.subsets[subset][i] == "1"]
        if not found:
            raise ValueError(
                f"no task of {subset!r} in world {self.world!r} has a verdict in every run; see "
                "the runs' evaluation.jsonl for what broke"
            )
        return found

    @cached_property
    def _judged(self):
        lines = [line for run in self.runs for line in run.solved]
        return [i for i in range(len(self.tasks)) if all(line[i] != NO_VERDICT for line in lines)]

    def values(self, run, iteration, subset):
        """Task -> share of the evaluation's runs that solved it by that iteration."""
        counts = run.solved[iteration - 1]
        return {
            self.tasks[i]: DIGITS.index(counts[i]) / self.eval_runs for i in self.tasks_of(subset)
        }


def dumps(world):
    """As text: the header's line and the runs' lines."""
    head = {"format": FORMAT, "num_runs": len(world.runs)} | {
        known.name: getattr(world, known.name)
        for known in dataclasses.fields(world)
        if known.name != "runs"
    }
    return "".join(f"{line}\n" for line in (_line(head), *lines(world)))


def lines(world):
    """Of the runs."""
    return [_line(dataclasses.asdict(run)) for run in world.runs]


def _line(values):
    return json.dumps(values, separators=(",", ":"))


def save(world, file):
    """Write it whole, or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, dumps(world))


def load(file):
    """Read what `save` wrote.

    Raises:
        ValueError: a line is no JSON object of the right kind, or lines are missing; names file,
            line and fault.
    """
    lines = file.read_text(encoding="utf-8").splitlines()
    if not lines:
        raise ValueError(f"{file} is empty; run the world again, or restore the file")
    head = _object(file, 1, lines[0])
    if (found := head.pop("format", None)) != FORMAT:
        raise ValueError(f"{file}, line 1: format is {found!r}, {FORMAT} is known; run it again")
    if (told := head.pop("num_runs", None)) != len(lines) - 1:
        raise ValueError(
            f"{file}, line 1: num_runs is {told!r}, but {len(lines) - 1} runs are there; restore "
            "the file, or run the world again"
        )
    runs = []
    for number, line in enumerate(lines[1:], 2):
        runs.append(_made(file, number, Run, _object(file, number, line)))
    world = _made(file, 1, World, head | {"runs": runs})
    for number, run in enumerate(world.runs, 2):
        if fault := _fault(world, run):
            raise ValueError(f"{file}, line {number}, {run}: {fault}")
    _check_once(file, world)
    return world


def _object(file, number, line):
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{file}, line {number} is no JSON: {error}; restore it") from error
    if not isinstance(found, dict):
        raise ValueError(f"{file}, line {number} is {type(found).__name__}, not an object")
    return found


def _made(file, number, kind, values):
    known = {f.name: f for f in dataclasses.fields(kind)}
    if unknown := sorted(set(values) - set(known)):
        raise ValueError(f"{file}, line {number}: {unknown} are no keys of it; see record.py")
    has_default = (dataclasses.MISSING, dataclasses.MISSING)
    needed = [n for n, f in known.items() if (f.default, f.default_factory) == has_default]
    if missing := [name for name in needed if name not in values]:
        raise ValueError(f"{file}, line {number}: {missing} are missing; run the world again")
    for name, f in known.items():
        if name in values and "tuple" in str(f.type) and not isinstance(values[name], list):
            raise ValueError(f"{file}, line {number}: {name} is {values[name]!r}, not a list")
    listed = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    return kind(**listed)


def _fault(world, run):
    """What is wrong with a run's line; None if nothing is."""
    if len(run.solved) != world.iterations:
        return f"{len(run.solved)} iterations, where the header has {world.iterations}"
    allowed = set(DIGITS[: world.eval_runs + 1] + NO_VERDICT)
    for iteration, counts in enumerate(run.solved, 1):
        if len(counts) != len(world.tasks):
            return f"{len(counts)} tasks at iteration {iteration}, not {len(world.tasks)}"
        if odd := sorted(set(counts) - allowed):
            return f"{odd} at iteration {iteration}, where counts to {world.eval_runs} belong"
    if run.seed is not None and not isinstance(run.seed, int):
        return f"seed is {run.seed!r}; give a whole number, or null for a model as it was"
    return None


def _check_once(file, world):
    lengths = {"clusters": len(world.clusters)} | {n: len(s) for n, s in world.subsets.items()}
    for name, length in lengths.items():
        if length != len(world.tasks):
            raise ValueError(f"{file}, line 1: {name} has {length} tasks, not {len(world.tasks)}")
    seen = set()
    for run in world.runs:
        if (key := (run.arm, run.start, run.seed)) in seen:
            raise ValueError(f"{file}: {run} is there twice; remove one")
        seen.add(key)
