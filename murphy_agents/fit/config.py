"""Everything that `murphy fit` can be told: models, cards, and the sizes of a run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from murphy_agents.config import TrainConfig
from murphy_agents.fit.shapes import KNOWN
from murphy_agents.fit.ways import Way
from murphy_agents.settings import check_types, described


def _passed(name: str, default: Any = dataclasses.MISSING) -> Any:
    """A field that every run is told, described as in `murphy train`, whose default it has."""
    there = TrainConfig.__dataclass_fields__[name]
    chosen = there.default if default is dataclasses.MISSING else default
    return described(chosen, there.metadata["help"])


@dataclass
class FitConfig:
    """Settings of `murphy fit`; by default a run of the shape of the paper's.

    Raises:
        ValueError: a value of the wrong type or an impossible one, named with the remedy.

    Example:
        >>> FitConfig(cards=[24]).max_completion_length
        2048
    """

    models: list[str] = field(
        default_factory=lambda: list(KNOWN),
        metadata={"help": f"folders, hub names, or models known here: {', '.join(KNOWN)}"},
    )
    cards: list[int] = field(
        default_factory=lambda: [24, 40, 80],
        metadata={"help": "GB (10^9 bytes) of memory of a GPU, each a column"},
    )
    markdown: bool = described(False, "print the table as Markdown and nothing else")

    # What every run is told
    prompt_tokens: int = described(1000, "ids of the longest first prompt")
    fanout: list[int] = field(
        default_factory=lambda: [8, 8], metadata={"help": "generations per prompt turn by turn"}
    )
    per_device_train_batch_size: int = _passed("per_device_train_batch_size")
    max_completion_length: int = _passed("max_completion_length", 2048)
    max_tokens_per_forward: int = _passed("max_tokens_per_forward", 8192)
    temperature: float = _passed("temperature", 0.6)
    top_p: float = _passed("top_p", 0.95)
    beta: float = _passed("beta")
    gradient_checkpointing: bool = _passed("gradient_checkpointing", True)
    lora_r: int = _passed("lora_r")
    lora_target_modules: str = _passed("lora_target_modules")
    vllm_dtype: Literal["float32", "bfloat16", "float16"] = _passed("vllm_dtype", "bfloat16")

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("models", "cards"):
            if not getattr(self, name):
                raise ValueError(f"{name} is empty; give at least one")
        for name, value in (("cards", min(self.cards)), ("prompt_tokens", self.prompt_tokens)):
            if value < 1:
                raise ValueError(f"{name} has {value}; give at least 1")
        self.train(Way("", {"use_peft": True}), "vllm", row_tokens=2)

    def train(self, way: Way, engine: str, row_tokens: int | None = None) -> TrainConfig:
        """Settings of a run.

        Args:
            way: of training.
            engine: what generates.
            row_tokens: most ids of a completion with its prompt, and all that vLLM allows it.
        """
        passed = {name: getattr(self, name) for name in _PASSED}
        if not way.settings.get("use_peft"):
            passed = {name: v for name, v in passed.items() if not name.startswith("lora_")}
        if engine == "vllm":
            passed["vllm_dtype"] = self.vllm_dtype
            passed["vllm_max_model_length"] = row_tokens
            # vLLM holds what training has in 4 bits unpacked; how far they are apart is not ours.
            passed["sync_tolerance"] = 1.0 if way.settings.get("load_in_4bit") else None
        return TrainConfig(
            **passed,
            **way.settings,
            engine=engine,  # type: ignore[arg-type]  # TrainConfig checks it
            device="cuda",
        )


_PASSED = tuple(
    known.name
    for known in dataclasses.fields(FitConfig)
    if known.name in TrainConfig.__dataclass_fields__ and not known.name.startswith("vllm_")
)
"""Fields that go to every run as they are."""
