"""A Gymnasium environment in which programs are written, tested and repaired.

Importing it registers `murphy/CodeFeedback-v0`. It needs gymnasium and numpy; `datasets` is
imported by loaders that read from a hub, and no deep-learning library is imported at all.
"""

import gymnasium as _gym

from murphy_env import sources
from murphy_env.env import CodeFeedbackEnv
from murphy_env.extraction import extract_code
from murphy_env.sandbox import Sandbox
from murphy_env.spaces import Unicode
from murphy_env.types import (
    Attempt,
    Episode,
    Execution,
    InfrastructureError,
    Limits,
    Status,
    Task,
    UnitResult,
    UnitTest,
)
from murphy_env.vector import CodeFeedbackVectorEnv
from murphy_env.wrappers import MessagesWrapper, check_branching

__all__ = [
    "Attempt",
    "CodeFeedbackEnv",
    "CodeFeedbackVectorEnv",
    "Episode",
    "Execution",
    "InfrastructureError",
    "Limits",
    "MessagesWrapper",
    "Sandbox",
    "Status",
    "Task",
    "Unicode",
    "UnitResult",
    "UnitTest",
    "check_branching",
    "extract_code",
    "sources",
]

# No max_episode_steps: the turn limit belongs to the environment, whose snapshots know of it.
_gym.register(
    id="murphy/CodeFeedback-v0",
    entry_point="murphy_env.env:CodeFeedbackEnv",
    vector_entry_point="murphy_env.vector:CodeFeedbackVectorEnv",
)
