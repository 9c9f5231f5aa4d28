"""What many environments are given at once, checked: a value per environment, and who is meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode

Bools = npt.NDArray[np.bool_]


def listed(name: str, values: Any, num_envs: int) -> Sequence[Any]:
    """`values`, one per environment.

    Raises:
        ValueError: not a sequence of this length; a text is none.
    """
    sized = hasattr(values, "__len__") and not isinstance(values, str)
    if not sized or len(values) != num_envs:
        raise ValueError(
            f"{name} is {values!r}; give a sequence of {num_envs}, one per environment"
        )
    return values  # type: ignore[no-any-return]


def seeds(given: Any, num_envs: int) -> list[int | None]:
    """A seed per environment: `given` and the whole numbers after it, or a list as it is.

    Raises:
        ValueError: a list of another length, a seed that is no whole number from 0.
    """
    if given is None:
        return [None] * num_envs
    if isinstance(given, int | np.integer):
        given = [int(given) + number for number in range(num_envs)]
    values = listed("seed", given, num_envs)
    for number, seed in enumerate(values):
        if seed is not None and not (isinstance(seed, int | np.integer) and seed >= 0):
            raise ValueError(
                f"the seed of environment {number} is {seed!r}; give a whole number from 0, or None"
            )
    return [None if seed is None else int(seed) for seed in values]


def mask(given: Any, num_envs: int) -> Bools:
    """Who is to be reset; None means all.

    Raises:
        ValueError: not a boolean array of this length with a True.
    """
    if given is None:
        return np.ones(num_envs, dtype=np.bool_)
    found: Bools = np.asarray(given)
    if found.shape != (num_envs,) or found.dtype != np.bool_ or not found.any():
        raise ValueError(
            f"reset_mask is {given!r}; give a boolean array of shape ({num_envs},) "
            "with at least one True"
        )
    return found


def texts(actions: Any, num_envs: int) -> Sequence[str]:
    """One completion per environment.

    Raises:
        ValueError: not one per environment.
        TypeError: one of them is no text.
    """
    for number, action in enumerate(listed("actions", actions, num_envs)):
        if not isinstance(action, str):
            raise TypeError(f"action {number} is {action!r}; give one text per environment")
    return actions  # type: ignore[no-any-return]


def autoreset(given: AutoresetMode | str) -> AutoresetMode:
    """Gymnasium's mode, given as such or as its value.

    Raises:
        ValueError: there is no such mode.
    """
    try:
        return AutoresetMode(given)
    except ValueError as error:
        values = [mode.value for mode in AutoresetMode]
        raise ValueError(
            f"autoreset_mode is {given!r}; give a gymnasium.vector.AutoresetMode or one of {values}"
        ) from error
