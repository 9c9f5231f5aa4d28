"""Ways of training a model, as settings of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Way:
    """A way of training."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    """Of `TrainConfig`."""


WAYS = (
    Way("full, float32"),
    Way("full, bf16", {"bf16": True}),
    Way("full, bf16, 8-bit AdamW", {"bf16": True, "optim": "adamw_8bit"}),
    Way("LoRA, bfloat16", {"use_peft": True, "dtype": "bfloat16"}),
    Way("QLoRA", {"use_peft": True, "dtype": "bfloat16", "load_in_4bit": True}),
)
