"""Everything that an evaluation can be told; the counterpart of `config`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from murphy_agents.config import TrainConfig
from murphy_agents.settings import check_types, described


@dataclass
class EvalConfig:
    """Settings of `murphy eval` and of `murphy_agents.evaluate.evaluate`.

    Raises:
        ValueError: a value of the wrong type or an impossible one, named with the remedy.

    Example:
        >>> EvalConfig(iterations=2).tasks
        'embedded:selection'
    """

    model: str = described(
        "embedded",
        "a checkpoint's folder (adapters too), a hub name, or as `murphy train` takes it; or "
        "'script:pkg.mod:NAME', texts to play back (see murphy_agents.engines.scripted.Script)",
    )
    tasks: str = described(
        "embedded:selection",
        "source of tasks, as murphy_env.sources.load takes it; keep test splits for the end",
    )
    bad_rows: Literal["stop", "skip"] = described(
        "stop", "at a malformed row of the source; skipped ones are told with the figures"
    )
    train_tasks: str | None = described(
        None, "source of the tasks that the model was trained on; those that both share are told"
    )
    output_dir: str = described("runs/eval", "folder of evaluation.jsonl and evaluation.json")
    overwrite_output_dir: bool = described(False, "replace an evaluation that the folder holds")
    resume: bool = described(False, "go on with an evaluation that was stopped in that folder")

    iterations: int = described(3, "k, most attempts of a chain; all smaller k come with it")
    num_runs: int = described(1, "chains per task")
    temperature: float = described(0.6, "of sampling; 0 takes the likeliest token")
    top_p: float = described(0.95, "nucleus of sampling")
    max_completion_length: int = described(512, "most tokens of one completion")
    stop: list[str] | None = field(
        default=None,
        metadata={"help": "texts that end a completion, beside the model's end tokens"},
    )
    schedule: Literal["eager", "level"] = described(
        "level", "when attempts are repaired: each at once, or when all of its turn are judged, "
        "which repeats an evaluation bit for bit on a CPU",
    )  # fmt: skip
    seed: int = described(0, "of sampling, and of the weights of a 'tiny' model")

    prompts: str | None = described(
        None, "a set's name, as 'terse', or 'pkg.mod:OBJECT'; the task's own"
    )
    transcript: Literal["requote", "chat"] | None = described(
        None, "how earlier attempts are shown; as the model was made for, else 'requote'"
    )
    memory: Literal["all", "last"] = described(
        "all", "which earlier attempts a prompt tells of; 'last' is Reflexion's"
    )
    reflection: bool = described(
        False, "ask for a reflection on each failed attempt, a generation of its own"
    )
    reflexion_compat: bool = described(
        False, "at iteration 1, count a program that fails a visible test as unsolved"
    )
    hidden_share: float = described(0.0, "share of a task's tests withheld from feedback")
    sandbox_level: str = described("auto", "isolation of programs, as murphy_env.Sandbox takes it")
    sandbox_workers: int = described(2, "programs that run at the same time")

    engine: Literal["transformers", "vllm"] = described(
        "transformers", "what generates: the model as it is loaded, or vLLM in this process; the "
        "model itself then stays on the CPU, to prove vLLM's log-probs",
    )  # fmt: skip
    vllm_gpu_memory_utilization: float = described(0.9, "share of the GPU's memory for vLLM")
    vllm_max_model_length: int | None = described(
        None, "most ids of prompt and completion in vLLM; the model's"
    )
    sync_tolerance: float | None = described(
        None, "mean distance in nats that vLLM's log-probs may have from the model's; 1e-4 in "
        "float32, 0.05 in half precision",
    )  # fmt: skip
    batch: int = described(64, "tasks in flight; finished ones are written down batch by batch")
    dtype: Literal["float32", "bfloat16", "float64"] = described("float32", "of the weights")
    load_in_4bit: bool | None = described(
        None, "hold linear layers in 4 bits; as the adapters were trained, if not given"
    )
    device: str = described("auto", "'cpu', 'cuda', ...; auto takes a GPU where there is one")

    def __post_init__(self) -> None:
        check_types(self)
        self._check_ranges()
        self._check_together()

    def _check_ranges(self) -> None:
        for name in ("iterations", "num_runs", "max_completion_length", "sandbox_workers", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; give at least 1")
        if self.temperature < 0:
            raise ValueError(f"temperature is {self.temperature}; give 0 (greedy) or more")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; give a share in (0, 1]")
        if not 0 <= self.hidden_share < 1:
            raise ValueError(f"hidden_share is {self.hidden_share}; give a share in [0, 1)")

    def _check_together(self) -> None:
        if self.stop is not None and not all(self.stop):
            raise ValueError(f"stop is {self.stop!r}; an empty text would end every completion")
        for name in ("sync_tolerance", "vllm_max_model_length"):
            if self.engine != "vllm" and getattr(self, name) is not None:
                raise ValueError(f"{name} is given but read only with engine 'vllm'; drop it")
        if self.temperature == 0 and self.num_runs > 1:
            raise ValueError(
                f"temperature is 0, so all {self.num_runs} runs would be alike; give num_runs=1"
            )
        if self.resume and self.overwrite_output_dir:
            raise ValueError(
                "resume and overwrite_output_dir are both set; one keeps what the other deletes"
            )
        if self.load_in_4bit and self.engine == "vllm" and self.sync_tolerance is None:
            raise ValueError(
                "engine is 'vllm', which samples from the model in full precision, and layers are "
                "to be held in 4 bits, as is asked for or as the adapters were trained; take "
                "engine 'transformers', set load_in_4bit to false to evaluate upon the model in "
                "full precision, or allow the difference with sync_tolerance"
            )
        if self.load_in_4bit and self.dtype == "float64":
            raise ValueError(
                "load_in_4bit is set and dtype is 'float64', but layers in 4 bits multiply in "
                "bfloat16; drop dtype, or set load_in_4bit to false"
            )

    def for_loading(self) -> TrainConfig:
        """Settings with which `wiring` makes the environment, the model and the sampler.

        How it draws is not among them: training takes no temperature of 0. No reference model is
        kept. A policy in half precision could not be trained and is refused, so such weights come
        in float32 first.
        """
        with_vllm: dict[str, Any] = {}
        if self.engine == "vllm":
            # What decides how far, and at which temperature, vLLM is compared with the model.
            if self.temperature > 0:
                with_vllm["temperature"] = self.temperature
            with_vllm |= {
                "num_turns": self.iterations,
                "max_completion_length": self.max_completion_length,
                "engine": self.engine,
                "vllm_gpu_memory_utilization": self.vllm_gpu_memory_utilization,
                "vllm_dtype": "float32" if self.dtype == "float64" else self.dtype,
                "vllm_max_model_length": self.vllm_max_model_length,
                "sync_tolerance": self.sync_tolerance,
            }
        return TrainConfig(
            **with_vllm,
            model=self.model,
            tasks=self.tasks,
            bad_rows=self.bad_rows,
            output_dir=self.output_dir,
            prompts=self.prompts,
            transcript=self.transcript,
            hidden_share=self.hidden_share,
            sandbox_level=self.sandbox_level,
            sandbox_workers=self.sandbox_workers,
            seed=self.seed,
            stop=self.stop,
            schedule=self.schedule,
            dtype="float32" if self.dtype == "bfloat16" else self.dtype,
            load_in_4bit=bool(self.load_in_4bit),
            device="cpu" if with_vllm else self.device,
            beta=0.0,
            disable_dropout=True,
        )
