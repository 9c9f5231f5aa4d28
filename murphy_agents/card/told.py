"""What the files of a run tell of it, up to one of its steps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from murphy_agents.card import names
from murphy_agents.run import origin
from murphy_agents.run.origin import Origin


@dataclass(frozen=True)
class Told:
    """Of one run."""

    settings: Mapping[str, Any]
    algorithm: str
    """Its parts, one a line."""
    history: Sequence[Mapping[str, float]]
    """Metrics of the steps that the model has behind it."""
    origin: Origin
    """Empty where the run began without one."""

    @classmethod
    def of(cls, run: Path, step: int) -> Told | None:
        """Up to a step of a run; None for a folder that holds no run."""
        config, algorithm, metrics = (
            run / name for name in ("config.json", "algorithm.txt", "metrics.jsonl")
        )
        if not config.is_file() or not algorithm.is_file():
            return None
        log = metrics.read_bytes() if metrics.is_file() else b""
        # The last line of a run that was killed may be cut short; no model has it behind it.
        history = [json.loads(line) for line in log[: log.rfind(b"\n") + 1].splitlines()]
        return cls(
            settings=json.loads(config.read_text(encoding="utf-8")),
            algorithm=algorithm.read_text(encoding="utf-8").strip(),
            history=[metrics for metrics in history if metrics["step"] <= step],
            origin=origin.read(run),
        )

    @property
    def model(self) -> str:
        """What the run was told to train."""
        return str(self.settings["model"])

    def was_given(self, name: str) -> bool:
        """Whether an argument of `train` stood in place of settings."""
        return name in self.origin.given

    def is_folder(self, name: str) -> bool:
        """Whether a name is that of the run's model, and was a folder's."""
        is_local = self.origin.model_is_local and not names.is_made(self.model)
        return is_local and name == self.model
