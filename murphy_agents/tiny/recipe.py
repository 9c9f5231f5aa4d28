"""What a small policy is made of."""

from __future__ import annotations

from dataclasses import dataclass, field

from murphy_agents.tiny.supervised import Schedule


@dataclass(frozen=True)
class Recipe:
    """What a made policy is made of; the defaults make the one that runs begin with."""

    seed: int = 0
    """Of tasks, teacher, weights and order."""
    only_right: bool = False
    """Learn the right answers alone."""
    num_conversations: int = 1600
    num_first_answers: int = 4000
    vocab_size: int = 512
    hidden_size: int = 64
    num_layers: int = 3
    initializer_range: float = 0.06
    schedule: Schedule = field(default_factory=Schedule)
    save_steps: int = 100
    world: str = "embedded"
    """Whose tasks it learns: one of `worlds.WORLDS`."""
    quiet_share: float = 0.5
    """Of the first attempts of the probe tasks' teacher."""
