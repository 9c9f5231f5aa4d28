"""Everything that a comparison can be told: what is crossed, the budget, what all runs share."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from murphy_agents.compare.arms import ALGORITHMS, FOR_SOME, Arm, resolved
from murphy_agents.compare.curve import steps_at
from murphy_agents.config import TrainConfig
from murphy_agents.own_world import refuse_other
from murphy_agents.settings import check_types, described
from murphy_env.sources import MADE


def _passed(name: str, default: Any = dataclasses.MISSING) -> Any:
    """A field that every run is told, described as in `murphy train`, whose default it has."""
    there = TrainConfig.__dataclass_fields__[name]
    chosen = there.default if default is dataclasses.MISSING else default
    (short,) = there.metadata.get("aliases", [None])
    return described(chosen, there.metadata["help"], short and short.removeprefix("--"))


@dataclass
class CompareConfig:
    """Settings of `murphy compare`.

    Raises:
        ValueError: a value of the wrong type or an impossible one, named with the remedy.

    Example:
        >>> config = CompareConfig(algorithms=["grpo", "murphy_mars"], seeds=[0], generations=6)
        >>> config.train("murphy_mars", "embedded:0", seed=0, folder="runs/x").fanout
        [2, 2]
    """

    # What is crossed
    model: str = described(
        "embedded",
        "as `murphy train` takes it; 'embedded', 'probe', 'probe::hedge' and 'tiny' are made anew "
        "for every warm start",
    )
    warm_starts: list[int] | None = field(
        default=None, metadata={"help": "seeds of such a model; by default 0 and 1"}
    )
    seeds: list[int] = field(
        default_factory=lambda: [0, 1, 2],
        metadata={"help": "of training: order of the tasks and sampling"},
    )
    algorithms: list[str] | None = field(
        default=None,
        metadata={
            "help": f"any of {', '.join(ALGORITHMS)}; by default all, none where arms are given"
        },
    )
    arms: dict[str, dict[str, Any]] | None = field(
        default=None,
        metadata={"help": "rows with settings of their own, by name; in a YAML file, see "
                  "docs/compare.md"},
    )  # fmt: skip
    supervised: bool = described(
        True,
        "evaluate rivals of 'embedded' or 'probe' too: best checkpoint, good turns only; variants "
        "such as 'probe::hedge' have none",
    )

    # Tasks and evaluation
    tasks: str = described("embedded:train", "source of the tasks to train on")
    eval_tasks: str = described(
        "embedded:test",
        "source of the tasks to compare on; name another split while settings are being chosen",
    )
    iterations: int = described(3, "k, most attempts at such a task; all smaller k come with it")
    curve_steps: list[int] | None = field(
        default=None,
        metadata={"help": "steps of max_steps whose checkpoints are evaluated too; runs with "
                  "another number of steps at the same shares of it"},
    )  # fmt: skip
    curve_tasks: str | None = described(None, "source of the tasks for these; as eval_tasks")
    eval_runs: int = _passed("eval_runs")
    eval_temperature: float = _passed("eval_temperature")
    eval_top_p: float = _passed("eval_top_p")

    # Budget
    generations: int = described(20, "nominal generations per problem and step, of all alike")
    num_turns: int = described(2, "S, attempts per episode in training (grpo: 1)")
    fanout: list[int] | None = field(
        default=None,
        metadata={"help": "of the trees, turn by turn; by default equal, with that many nodes"},
    )

    # What every run is told
    prompts: str | None = _passed("prompts")
    transcript: str | None = _passed("transcript")
    hidden_share: float = _passed("hidden_share")
    sandbox_level: str = _passed("sandbox_level")
    schedule: str = _passed("schedule", "level")  # repeats bit for bit on a CPU
    max_completion_length: int = _passed("max_completion_length", 64)
    temperature: float = _passed("temperature", 0.6)
    max_steps: int = _passed("max_steps", 60)
    per_device_train_batch_size: int = _passed("per_device_train_batch_size")
    learning_rate: float = _passed("learning_rate", 5e-4)
    lr_scheduler_type: str = _passed("lr_scheduler_type")
    warmup_steps: int = _passed("warmup_steps", 5)
    weight_decay: float = _passed("weight_decay")
    adam_beta1: float = _passed("adam_beta1")
    adam_beta2: float = _passed("adam_beta2", 0.95)
    beta: float = _passed("beta")
    epsilon: float = _passed("epsilon")
    epsilon_high: float | None = _passed("epsilon_high")
    num_iterations: int = _passed("num_iterations")
    loss_type: str = _passed("loss_type")
    scale: str | None = _passed("scale")
    balance: str = _passed("balance")
    gamma: float = _passed("gamma")
    childless: str = _passed("childless")
    use_peft: bool = _passed("use_peft")
    lora_r: int = _passed("lora_r")
    lora_alpha: int = _passed("lora_alpha")
    dtype: str = _passed("dtype")
    device: str = _passed("device")
    save_steps: int = _passed("save_steps", 20)

    # This run of it
    output_dir: str = described("runs/compare", "folder of everything; goes on with what is there")
    overwrite_output_dir: bool = described(False, "begin anew in a folder that holds a comparison")
    num_processes: int | None = described(None, "runs at the same time; by default one per core")

    def __post_init__(self) -> None:
        check_types(self)
        if self.algorithms is None:
            self.algorithms = [] if self.arms else list(ALGORITHMS)
        if self.is_made and self.warm_starts is None:
            self.warm_starts = [0, 1]
        if not self.is_made and self.warm_starts is not None:
            raise ValueError(
                f"warm_starts is {self.warm_starts}, but model {self.model!r} is one model; leave "
                "warm_starts out, or compare on model 'embedded', 'probe' or 'tiny'"
            )
        self._check_crossed()
        for name in ("iterations", "generations", "num_turns"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give at least 1")
        if self.num_processes is not None and self.num_processes < 1:
            raise ValueError(f"num_processes is {self.num_processes}; give at least 1, or none")
        self._check_curve()
        self._check_arms()

    @property
    def is_made(self) -> bool:
        """Whether the model is made on the spot, from a seed."""
        return self.is_taught or self.model.split(":")[0] == "tiny"

    @property
    def is_taught(self) -> bool:
        """Whether it is so by a teacher: 'WORLD' or 'WORLD::VARIANT'."""
        world, _, rest = self.model.partition(":")
        return world in MADE and rest[:1] in ("", ":")

    @property
    def all_arms(self) -> dict[str, Arm]:
        """What is compared, by name: the algorithms, then the arms."""
        return self._arms

    def train(self, arm: str, model: str, seed: int, folder: str) -> TrainConfig:
        """Settings of one run of an arm.

        An arm of equal budget is told the steps of the arm that it is like; see `equal_budget`.
        """
        arms = self.all_arms
        told, passed = arms[arm], {name: getattr(self, name) for name in _PASSED}
        for name in FOR_SOME:
            # Kept where no arm reads it, so that it is refused.
            if not told.reads(name) and any(other.reads(name) for other in arms.values()):
                del passed[name]
        own = {**told.shape(self.generations, self.num_turns, self.fanout), **told.settings}
        train = TrainConfig(
            **(passed | own),
            model=model,
            seed=seed,
            output_dir=folder,
            eval_iterations=self.iterations,
            sandbox_workers=1,
            save_total_limit=1 if self.save_steps else None,
            resume=True,
        )
        if self.curve_steps:
            if train.max_steps < 1:
                raise ValueError(
                    f"max_steps is {train.max_steps}, but there are curve_steps; give the number "
                    "of steps"
                )
            train.keep_steps = steps_at(self.curve_shares, train.max_steps)
        return train

    def shared(self, model: str, folder: str) -> TrainConfig:
        """What all evaluations are told, whatever an arm trains with."""
        passed = {name: getattr(self, name) for name in _OF_EVALUATION}
        return TrainConfig(
            **passed,
            model=model,
            output_dir=folder,
            eval_iterations=self.iterations,
            sandbox_workers=1,
        )

    @property
    def curve_shares(self) -> tuple[float, ...]:
        """The shares of its steps at which a run is evaluated.

        Example:
            >>> CompareConfig(max_steps=60, curve_steps=[15, 60]).curve_shares
            (0.25, 1.0)
        """
        return tuple(step / self.max_steps for step in self.curve_steps or ())

    def _check_crossed(self) -> None:
        for name in ("warm_starts", "seeds"):
            _check_each_once(name, getattr(self, name))
        if self.algorithms or not self.arms:
            _check_each_once("algorithms", self.algorithms)
        for algorithm in self.algorithms or []:
            if algorithm not in ALGORITHMS:
                raise ValueError(
                    f"algorithms names {algorithm!r}; choose among {', '.join(ALGORITHMS)}"
                )
        self._arms = resolved(self.algorithms or [], self.arms or {})
        if self.fanout is not None and not any(arm.is_tree for arm in self._arms.values()):
            raise ValueError(
                f"fanout is {self.fanout}, but no algorithm named grows trees; drop it"
            )

    def _check_curve(self) -> None:
        if self.curve_steps is None:
            if self.curve_tasks is not None:
                raise ValueError(
                    f"curve_tasks is {self.curve_tasks!r} but read only with curve_steps; drop it"
                )
            return
        _check_each_once("curve_steps", self.curve_steps)
        if self.max_steps < 1:
            raise ValueError(
                f"curve_steps is {self.curve_steps} but max_steps {self.max_steps}; give the "
                "number of steps"
            )
        self.curve_steps.sort()
        if self.curve_steps[0] < 1 or self.curve_steps[-1] > self.max_steps:
            raise ValueError(
                f"curve_steps is {self.curve_steps}; give steps from 1 to max_steps "
                f"{self.max_steps}"
            )

    def _check_arms(self) -> None:
        refuse_other(self.model, tasks=self.tasks, eval_tasks=self.eval_tasks)
        refuse_other(self.model, curve_tasks=self.curve_tasks)
        self.shared(self.model, self.output_dir)
        for name in self.all_arms:
            try:
                train = self.train(name, self.model, seed=0, folder=self.output_dir)
                refuse_other(self.model, tasks=train.tasks if train.env is None else None)
            except ValueError as error:
                if name in (self.algorithms or []):
                    raise
                raise ValueError(f"arm {name!r}: {error}") from error


def _check_each_once(name: str, values: list[Any] | None) -> None:
    if values is not None and (not values or len(set(values)) < len(values)):
        raise ValueError(f"{name} is {values}; give one or more, each once")


_PASSED = tuple(
    known.name
    for known in dataclasses.fields(CompareConfig)
    if known.name in TrainConfig.__dataclass_fields__
    and known.name not in ("model", "output_dir", "overwrite_output_dir", "num_turns", "fanout")
)
"""Fields that go to every run as they are."""
_OF_EVALUATION = (
    "tasks", "eval_tasks", "eval_runs", "eval_temperature", "eval_top_p", "prompts", "transcript",
    "hidden_share", "sandbox_level", "max_completion_length", "dtype", "device",
)  # fmt: skip
"""Those of them that evaluations read."""
