"""Many episodes at once: one call steps them all, and the sandbox's workers share the work."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from murphy_env.env import CodeFeedbackEnv

Bools = npt.NDArray[np.bool_]
Observations = tuple[str, ...]


class CodeFeedbackVectorEnv(VectorEnv[Observations, Sequence[str], Any]):
    """`num_envs` copies of `CodeFeedbackEnv` behind Gymnasium's vector interface.

    Observations and actions are tuples of `num_envs` strings. An entry of `infos` is an array with
    one element per environment (floats, or objects as `CodeFeedbackEnv` gives them) and a boolean
    `_entry` that says who set it. `reset(options=...)` takes `task_id` and `snapshot` as sequences
    of `num_envs` (None leaves one free) and `reset_mask`, a boolean array: who is to be reset.

    Args:
        num_envs: how many.
        autoreset_mode: as Gymnasium's; with SAME_STEP no generation is spent on a step whose action
            is ignored.
        **settings: those of `CodeFeedbackEnv`.
    """

    def __init__(
        self,
        num_envs: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        **settings: Any,
    ) -> None:
        if type(num_envs) is not int or num_envs < 1:
            raise ValueError(f"num_envs is {num_envs}; give at least 1")
        first = CodeFeedbackEnv(**settings)
        # Copies share the tasks and the sandbox; episode and random numbers are each one's own.
        self.envs = [first, *(copy.copy(first) for _ in range(num_envs - 1))]
        self.num_envs = num_envs
        self.render_mode = first.render_mode
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**first.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = first.observation_space
        self.single_action_space = first.action_space
        self.observation_space = batch_space(first.observation_space, num_envs)
        self.action_space = batch_space(first.action_space, num_envs)
        self._observations = [""] * num_envs
        self._done: Bools = np.ones(num_envs, dtype=np.bool_)
        self._threads = ThreadPoolExecutor(num_envs if num_envs < 32 else 32)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, Any]]:
        """Begin new episodes in all environments, or in those that `options["reset_mask"]` names.

        Raises:
            ValueError: a list of another length than `num_envs`, a mask of another shape or type.
        """
        options = dict(options or {})
        mask = self._mask(options.pop("reset_mask", None))
        if isinstance(seed, np.integer):
            seed = int(seed)
        seeds = [seed + i for i in range(self.num_envs)] if isinstance(seed, int) else seed
        per_env: dict[str, Sequence[Any]] = {
            name: self._listed(name, values) for name, values in options.items()
        }
        seeds = list(self._listed("seed", seeds if seeds is not None else [None] * self.num_envs))
        infos: dict[str, Any] = {}
        for i in np.flatnonzero(mask).tolist():
            own = {name: values[i] for name, values in per_env.items() if values[i] is not None}
            self._observations[i], info = self.envs[i].reset(seed=seeds[i], options=own)
            infos = self._add_info(infos, info, i)
        self._done[mask] = False
        return tuple(self._observations), infos

    def step(
        self, actions: Sequence[str]
    ) -> tuple[Observations, npt.NDArray[np.float64], Bools, Bools, dict[str, Any]]:
        """Judge one completion per environment; finished episodes are reset by `autoreset_mode`.

        Raises:
            ValueError: not one completion per environment.
            ResetNeeded: under `AutoresetMode.DISABLED`, an episode is finished.
            InfrastructureError: the sandbox gave no verdict for one of them.
        """
        self._listed("actions", actions)
        for i, action in enumerate(actions):
            # Before any is judged: a step is taken by all or by none.
            if not isinstance(action, str):
                raise TypeError(f"action {i} is {action!r}; give one text per environment")
        restart = self._done & (self.autoreset_mode == AutoresetMode.NEXT_STEP)
        outcomes = list(self._threads.map(self._step_one, range(self.num_envs), actions, restart))
        rewards = np.zeros(self.num_envs)
        terminations, truncations = (np.zeros(self.num_envs, dtype=np.bool_) for _ in range(2))
        infos: dict[str, Any] = {}
        for i, (observation, reward, terminated, truncated, info) in enumerate(outcomes):
            rewards[i], terminations[i], truncations[i] = reward, terminated, truncated
            if (terminated or truncated) and self.autoreset_mode == AutoresetMode.SAME_STEP:
                final = {"final_obs": observation, "final_info": info}
                infos = self._add_info(infos, final, i)
                observation, info = self.envs[i].reset()
            self._observations[i] = observation
            infos = self._add_info(infos, info, i)
        self._done = terminations | truncations
        if self.autoreset_mode == AutoresetMode.SAME_STEP:
            self._done = np.zeros(self.num_envs, dtype=np.bool_)
        return tuple(self._observations), rewards, terminations, truncations, infos

    def render(self) -> Any:
        """Each episode as text."""
        return tuple(env.render() for env in self.envs)

    def close_extras(self, **kwargs: Any) -> None:
        """End the threads; the sandbox is shared and stays."""
        self._threads.shutdown()

    def _step_one(
        self, i: int, action: str, restart: bool
    ) -> tuple[str, float, bool, bool, dict[str, Any]]:
        if restart:
            observation, info = self.envs[i].reset()
            return observation, 0.0, False, False, info
        return self.envs[i].step(action)

    def _listed(self, name: str, values: Any) -> Sequence[Any]:
        sized = hasattr(values, "__len__") and not isinstance(values, str)
        if not sized or len(values) != self.num_envs:
            raise ValueError(
                f"{name} is {values!r}; give a sequence of {self.num_envs}, one per environment"
            )
        return values  # type: ignore[no-any-return]

    def _mask(self, given: Any) -> Bools:
        if given is None:
            return np.ones(self.num_envs, dtype=np.bool_)
        mask: Bools = np.asarray(given)
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise ValueError(
                f"reset_mask is {mask!r}; give a boolean array of shape ({self.num_envs},) "
                "with at least one True"
            )
        return mask

    def _add_info(
        self, vector_infos: dict[str, Any], env_info: dict[str, Any], env_num: int
    ) -> Any:
        # Gymnasium's own would take snapshots apart into arrays of their parts.
        for name, value in env_info.items():
            if name == "final_info":
                vector_infos[name] = self._add_info(vector_infos.get(name, {}), value, env_num)
            else:
                kind, empty = (float, 0.0) if isinstance(value, float) else (object, None)
                if name not in vector_infos:
                    vector_infos[name] = np.full(self.num_envs, empty, dtype=kind)
                vector_infos[name][env_num] = value
            mask = vector_infos.setdefault(f"_{name}", np.zeros(self.num_envs, dtype=np.bool_))
            mask[env_num] = True
        return vector_infos
