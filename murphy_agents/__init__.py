"""Trainers that learn from trees of attempts: see `murphy_agents.algorithms` and `train`.

`TrainConfig` and `train` are imported when they are asked for, so that the parts without torch
(trees, algorithms, the sampler, the scripted engine) stay free of it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from murphy_agents.config import TrainConfig
    from murphy_agents.log import TrainResult
    from murphy_agents.training import train

__all__ = ["TrainConfig", "TrainResult", "train"]

_HOMES = {
    "TrainConfig": "murphy_agents.config",
    "TrainResult": "murphy_agents.log",
    "train": "murphy_agents.training",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
