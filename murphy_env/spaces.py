"""The space of text: every Python string, of any length and any script."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import gymnasium as gym
import numpy as np

# Letters, blanks, punctuation, accents, other scripts and a pair beyond the basic plane: a sample
# should meet what a model may write.
_SAMPLED = "abcdefgh XYZ 0123456789 \n\t.,:;()[]{}<>`'\"#=+-*/\\_é∑中Ω😀"


class Unicode(gym.Space[str]):
    r"""All strings.

    `gymnasium.spaces.Text` fixes an alphabet and a greatest length, and its shared memory reads
    blank under `AsyncVectorEnv`. This space is not a `Text`, so that `AsyncVectorEnv` refuses at
    construction and names `shared_memory=False`, with which it works.

    Example:
        >>> "def f():\n    return 'é'" in Unicode(), 3 in Unicode()
        (True, False)
    """

    def __init__(self, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(shape=None, dtype=None, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        """Never: text has no fixed size."""
        return False

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """A short random string; text has nothing to mask or to weigh.

        Raises:
            ValueError: a mask or probability was given.
        """
        if mask is not None or probability is not None:
            raise ValueError("Unicode.sample takes neither mask= nor probability=; leave them out")
        length = int(self.np_random.integers(0, 40))
        return "".join(self.np_random.choice(list(_SAMPLED), size=length))

    def contains(self, x: Any) -> bool:
        """Whether `x` is a string."""
        return isinstance(x, str)

    def to_jsonable(self, sample_n: Iterable[str]) -> list[str]:
        """Strings are JSON already."""
        return list(sample_n)

    def from_jsonable(self, sample_n: list[Any]) -> list[str]:
        """The inverse of `to_jsonable`."""
        return [str(sample) for sample in sample_n]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unicode)

    def __hash__(self) -> int:
        return hash(Unicode)

    def __repr__(self) -> str:
        return "Unicode()"
