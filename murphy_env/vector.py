"""Many episodes at once: one call steps them all, and the sandbox's workers share the work.

A step hands every program to the sandbox, waits for all verdicts, puts its result together, and
only then lets the episodes go on. What goes wrong until then changes no episode, and an interrupt
(Ctrl-C) while they go on takes all of them back. One that comes after that, when the result is
about to be returned, loses the result: all episodes have gone on, as `envs[i].episode` shows. A
second one while they are taken back may leave some of them gone on. Random numbers are not taken
back.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, InvalidStateError, wait
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from murphy_env import per_env
from murphy_env.env import Asked, CodeFeedbackEnv, Move
from murphy_env.per_env import Bools
from murphy_env.types import Episode, InfrastructureError

Observations = tuple[str, ...]
Moves = dict[int, Move]
"""By number of the environment."""


class CodeFeedbackVectorEnv(VectorEnv[Observations, Sequence[str], Any]):
    """`num_envs` copies of `CodeFeedbackEnv` behind Gymnasium's vector interface.

    They share tasks and sandbox; episode and random numbers are each one's own. Observations and
    actions are tuples of `num_envs` strings. An entry of `infos` is an array with one element per
    environment (floats, or objects as `CodeFeedbackEnv` gives them, snapshots included) and a
    boolean `_entry` that says who set it. Equal seeds and actions give what
    `gymnasium.vector.SyncVectorEnv` gives, but for the snapshots, which that one takes apart.

    Args:
        num_envs: how many.
        autoreset_mode: Gymnasium's, or its value as text. With SAME_STEP a finished episode is
            followed by a new one at once; its own last observation and info are
            `infos["final_obs"]` and `infos["final_info"]`. NEXT_STEP, Gymnasium's default, spends a
            step on that, and with it a completion that nobody reads. DISABLED leaves it to
            `reset(options={"reset_mask": ...})`.
        **settings: those of `CodeFeedbackEnv`.

    Attributes:
        envs: the environments; each one's `episode` and `execution` may be read.

    Example:
        >>> from murphy_env.types import Task
        >>> task = Task("inc", "Write inc(x).", ["assert inc(1) == 2"], entry_point="inc")
        >>> envs = CodeFeedbackVectorEnv(2, tasks=[task])
        >>> prompts, infos = envs.reset(seed=0)
        >>> right, wrong = (f"<output>def inc(x): return x {op} 1</output>" for op in "+-")
        >>> prompts, rewards, *_, infos = envs.step((right, wrong))
        >>> rewards.tolist(), infos["_final_info"].tolist()
        ([1.0, 0.0], [True, False])
        >>> len(infos["snapshot"][1]["attempts"])  # that of 0 is of a new episode
        1
        >>> envs.close()
    """

    def __init__(
        self,
        num_envs: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        **settings: Any,
    ) -> None:
        self._closing: Future[None] = Future()
        if type(num_envs) is not int or num_envs < 1:
            raise ValueError(f"num_envs is {num_envs!r}; give a whole number, at least 1")
        self.autoreset_mode = per_env.autoreset(autoreset_mode)
        first = CodeFeedbackEnv(**settings)
        self.envs = [first, *(copy.copy(first) for _ in range(num_envs - 1))]
        self.num_envs = num_envs
        self.render_mode = first.render_mode
        self.metadata = {**first.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = first.observation_space
        self.single_action_space = first.action_space
        self.observation_space = batch_space(first.observation_space, num_envs)
        self.action_space = batch_space(first.action_space, num_envs)
        self._observations = [""] * num_envs
        self._restart: Bools = np.zeros(num_envs, dtype=np.bool_)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Observations, dict[str, Any]]:
        """Begin new episodes in all environments, or in some. Those that are not meant go on.

        Args:
            seed: as Gymnasium's vector environments take it: `seed + i` for environment i, or one
                each (None leaves its random numbers as they are).
            options: `task_id` and `snapshot`, sequences with one entry per environment (None leaves
                one free), and `reset_mask`, a boolean array: who is meant.

        Raises:
            ValueError: a sequence of another length than `num_envs`, a mask of another shape or
                type, what `CodeFeedbackEnv.reset` refuses. No episode has changed.
            ClosedEnvironmentError: `close` was called.
        """
        self._check_open()
        options = dict(options or {})
        chosen = np.flatnonzero(per_env.mask(options.pop("reset_mask", None), self.num_envs))
        seeds = per_env.seeds(seed, self.num_envs)
        named = self._named(chosen.tolist(), options)
        moves: Moves = {}
        for i in chosen.tolist():
            if seeds[i] is not None:
                self.envs[i].draw_from(seeds[i])
            moves[i] = self._fresh(i, named.get(i))
        infos: dict[str, Any] = {}
        for i, move in moves.items():
            infos = self._add_info(infos, move.info, i)
        restart = self._restart.copy()
        restart[chosen] = False
        return self._go(moves, restart), infos

    def step(
        self, actions: Sequence[str]
    ) -> tuple[Observations, npt.NDArray[np.float64], Bools, Bools, dict[str, Any]]:
        """Judge one completion per environment; finished episodes are reset by `autoreset_mode`.

        Raises:
            ValueError: not one completion per environment.
            TypeError: a completion is not a string.
            ResetNeeded: an environment has no episode, or under DISABLED a finished one.
            InfrastructureError: the sandbox gave no verdict for those in its `env_nums`. No episode
                has advanced, and the same actions may be given again: verdicts that are known need
                no second execution.
            ClosedEnvironmentError: `close` was called, before or meanwhile.
        """
        self._check_open()
        per_env.texts(actions, self.num_envs)
        playing = np.flatnonzero(~self._restart).tolist()
        self._check_playing(playing)
        moves = self._judged({i: self._ask(i, actions[i]) for i in playing})
        moves |= {i: self._fresh(i) for i in np.flatnonzero(self._restart).tolist()}
        ends = [i for i in playing if moves[i].terminated or moves[i].truncated]
        same_step = self.autoreset_mode is AutoresetMode.SAME_STEP
        after = {i: self._fresh(i) for i in ends} if same_step else {}
        restart: Bools = np.zeros(self.num_envs, dtype=np.bool_)
        if self.autoreset_mode is AutoresetMode.NEXT_STEP:
            restart[ends] = True
        batch = self._batched([moves[i] for i in range(self.num_envs)], after)
        return self._go(moves | after, restart), *batch

    def render(self) -> Any:
        """Each episode as text (`render_mode="ansi"`)."""
        return tuple(env.render() for env in self.envs)

    def close_extras(self, **kwargs: Any) -> None:
        """End a step that is under way in another thread; the sandbox is shared and stays."""
        with contextlib.suppress(InvalidStateError):  # closed by two at a time
            self._closing.set_result(None)

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """What each environment's method of that name gives, or its attribute."""
        found = [env.get_wrapper_attr(name) for env in self.envs]
        return tuple(one(*args, **kwargs) if callable(one) else one for one in found)

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """Each environment's attribute of that name."""
        return self.call(name)

    def set_attr(self, name: str, values: Any) -> None:
        """Set an attribute: a list or tuple holds one value per environment, else all get `values`.

        Raises:
            ValueError: a list or tuple of another length.
        """
        if not isinstance(values, list | tuple):
            values = [values] * self.num_envs
        values = per_env.listed(name, values, self.num_envs)
        for env, value in zip(self.envs, values, strict=True):
            env.set_wrapper_attr(name, value)

    @property  # type: ignore[misc]  # as SyncVectorEnv: many, and none to set
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """Each environment's random numbers."""
        return tuple(env.np_random for env in self.envs)

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """Each environment's seed; -1 where it is not known."""
        return tuple(env.np_random_seed for env in self.envs)

    def _named(self, chosen: Sequence[int], options: Mapping[str, Any]) -> dict[int, Episode]:
        """Episodes that were asked for, so that one which cannot be had leaves all as they are."""
        for name in options:
            if name not in ("task_id", "snapshot"):
                raise ValueError(
                    f"reset option {name!r} is unknown; use 'task_id', 'snapshot' or 'reset_mask'"
                )
        values = {name: per_env.listed(name, options[name], self.num_envs) for name in options}
        named: dict[int, Episode] = {}
        for i in chosen:
            own = {name: given[i] for name, given in values.items() if given[i] is not None}
            if own:
                try:
                    named[i] = self.envs[i].choose(own)
                except ValueError as error:
                    raise ValueError(f"environment {i}: {error}") from error
        return named

    def _fresh(self, i: int, episode: Episode | None = None) -> Move:
        with _noting(i):
            return self.envs[i].start(episode or self.envs[i].choose({}))

    def _ask(self, i: int, action: str) -> Asked:
        with _noting(i):
            return self.envs[i].ask(action)

    def _judged(self, asked: Mapping[int, Asked]) -> Moves:
        moves: Moves = {}
        faults: dict[int, InfrastructureError] = {}
        for i, each in asked.items():
            if each.verdict is not None and not each.verdict.done():
                either: list[Future[Any]] = [each.verdict, self._closing]
                wait(either, return_when=FIRST_COMPLETED)
            self._check_open()
            try:
                with _noting(i):
                    moves[i] = self.envs[i].judge(each)
            except InfrastructureError as fault:
                faults[i] = fault
        if faults:
            raise self._without_verdict(faults) from next(iter(faults.values()))
        return moves

    def _without_verdict(self, faults: Mapping[int, InfrastructureError]) -> InfrastructureError:
        reasons = "; ".join(sorted({str(fault) for fault in faults.values()}))
        error = InfrastructureError(
            f"environments {list(faults)} of {self.num_envs}: {reasons}. No episode has advanced: "
            "step again with the same actions, or first reset these (env_nums of this error)"
        )
        error.env_nums = tuple(faults)
        return error

    def _go(self, moves: Moves, restart: Bools) -> Observations:
        """Take all moves, or none if anything comes between; gives the observations."""
        observations = list(self._observations)
        for i, move in moves.items():
            observations[i] = move.observation
        told = tuple(observations)
        before = (self._observations, self._restart)
        stood = [(env, env.episode, env.execution) for env in map(self.envs.__getitem__, moves)]
        try:
            for i, move in moves.items():
                self.envs[i].go(move)
            self._observations, self._restart = observations, restart
        except BaseException:
            for env, episode, execution in stood:
                env.episode, env.execution = episode, execution
            self._observations, self._restart = before
            raise
        return told

    def _batched(
        self, moves: Sequence[Move], after: Moves
    ) -> tuple[npt.NDArray[np.float64], Bools, Bools, dict[str, Any]]:
        infos: dict[str, Any] = {}
        for i, move in enumerate(moves):
            if i in after:
                final = {"final_obs": move.observation, "final_info": move.info}
                infos = self._add_info(infos, final, i)
            infos = self._add_info(infos, after.get(i, move).info, i)
        return (
            np.array([move.reward for move in moves], dtype=np.float64),
            np.array([move.terminated for move in moves], dtype=np.bool_),
            np.array([move.truncated for move in moves], dtype=np.bool_),
            infos,
        )

    def _check_open(self) -> None:
        if self._closing.done():
            raise ClosedEnvironmentError("these environments are closed; make new ones")

    def _check_playing(self, playing: Sequence[int]) -> None:
        new = [i for i in playing if self.envs[i].episode is None]
        over = [i for i in playing if i not in new and self.envs[i].finished]
        if new:
            raise ResetNeeded(f"environments {new} have no episode yet; call reset() before step()")
        if over:
            raise ResetNeeded(
                f"the episodes of environments {over} are finished; call "
                "reset(options={'reset_mask': ...}) before the next step()"
            )

    def _add_info(
        self, vector_infos: dict[str, Any], env_info: dict[str, Any], env_num: int
    ) -> dict[str, Any]:
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


@contextlib.contextmanager
def _noting(i: int) -> Iterator[None]:
    """Says in an error that passes which environment it is of."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in environment {i} of a vector environment")
        raise
