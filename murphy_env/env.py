"""The environment: a prompt goes out, a completion comes in, tests give reward and feedback.

An episode is one task and at most `max_turns` attempts at it. It lives in a frozen `Episode`, so a
branch is nothing special: `reset(options={"snapshot": info["snapshot"]})` continues from there.
This module knows neither models nor token ids.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import gymnasium as gym
from gymnasium.error import ResetNeeded

from murphy_env import prompts as prompting
from murphy_env import sources
from murphy_env.extraction import extract_code
from murphy_env.hidden import withhold
from murphy_env.rendering import episode_text
from murphy_env.sandbox import Sandbox, shared_sandbox
from murphy_env.spaces import Unicode
from murphy_env.types import Attempt, Episode, Execution, Memory, Task

Reward = Literal["pass_rate", "gain"]


class Asked(NamedTuple):
    """A completion whose program was handed to the sandbox."""

    episode: Episode
    completion: str
    code: str | None
    verdict: Future[Execution] | None
    """None where there is nothing to run."""


class Move(NamedTuple):
    """Where a reset or a step leads, before the environment goes there."""

    episode: Episode
    execution: Execution | None
    observation: str
    info: dict[str, Any]
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False


class CodeFeedbackEnv(gym.Env[str, str]):
    """Write a program, read what the tests said, write it again.

    Args:
        tasks: the name of a source ("embedded", "mbpp:test"; see `murphy_env.sources.load`), the
            path of a `.jsonl` file, or `Task` objects.
        max_turns: attempts per episode.
        sandbox: settings of the pool as `murphy_env.sandbox.Sandbox` takes them (environments with
            equal settings share one pool per process), or a running `Sandbox`.
        prompts: "standard", "terse", "pkg.mod:OBJECT" or a `Prompts`; None takes what the task
            prefers (`metadata["prompts"]`), else "standard".
        reward: "pass_rate", the share of scored tests passed (the paper's; summed over turns it
            favours dawdling), or "gain", by how much the best share so far has risen (then the
            return of an episode is its best share).
        hidden_share: share of each task's visible tests to withhold from feedback, in [0, 1).
            They stay scored. One test always remains visible.
        transcript: "requote" puts earlier attempts as text into one user message, "chat" lets
            `info["messages"]` grow as a conversation.
        memory: which earlier attempts a prompt tells of: "all", or the "last" alone (Reflexion's).
        reflection: whether the model is asked, after a failed attempt, why it failed. Its answer is
            a step of its own, with reward 0 and nothing run; the next prompt quotes it.
        render_mode: "ansi" or None.

    `reset(options=...)` takes `task_id` and `snapshot`; without either a task is drawn. `info` has
    `task_id`, `messages`, `snapshot` and `sandbox_level`; after a step also `code`, `pass_rate`,
    `results` (visible tests, as JSON), `feedback` (the same as the model reads it) and, where
    scored tests are invisible, `hidden_pass_rate`, the share of those that passed; after a
    reflection `reflection` instead of all these. The observation is
    `prompts.as_text(info["messages"])`.

    Example:
        >>> task = Task("add", "Write add(a, b).", ["assert add(1, 2) == 3"], entry_point="add")
        >>> env = CodeFeedbackEnv(tasks=[task])
        >>> obs, info = env.reset(seed=0)
        >>> obs, reward, terminated, truncated, info = env.step(
        ...     "<output>def add(a, b): return a - b</output>")
        >>> reward, terminated, info["results"][0]["actual"]
        (0.0, False, '-1')
        >>> env.step("<output>def add(a, b): return a + b</output>")[1:4]
        (1.0, True, False)
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012  (as Env)

    def __init__(
        self,
        tasks: str | Path | Sequence[Task] = "embedded",
        max_turns: int = 2,
        sandbox: Mapping[str, Any] | Sandbox | None = None,
        prompts: str | prompting.Prompts | None = None,
        reward: Reward = "pass_rate",
        hidden_share: float = 0.0,
        transcript: prompting.Transcript = "requote",
        render_mode: str | None = None,
        memory: Memory = "all",
        reflection: bool = False,
    ) -> None:
        _check_settings(max_turns, reward, hidden_share, transcript, render_mode)
        _check_memory(memory, reflection, transcript)
        _check_parts(sandbox, prompts)
        loaded = _load(tasks)
        self._tasks = _by_id([withhold(task, hidden_share) for task in loaded])
        self.task_ids = tuple(self._tasks)
        """Ids of all tasks, in the order of their source."""
        self.task_digests = {task.task_id: task.digest[:16] for task in loaded}
        """By task id: changes with anything in a task, prompt, tests and limits included."""
        self.untold_ids = frozenset(
            name for name, t in self._tasks.items() if not any(test.visible for test in t.tests)
        )
        """Ids of tasks without a visible test, at which nothing steers."""
        self.max_turns = max_turns
        self._prompts = prompting.prompt_set(prompts) if isinstance(prompts, str) else prompts
        for preferred in {_preferred(task) for task in self._tasks.values()}:
            prompting.prompt_set(preferred)
        self._reward = reward
        self.transcript = transcript
        self._memory: Memory = memory
        self.reflection = reflection
        self._sandbox = sandbox if isinstance(sandbox, Sandbox) else shared_sandbox(sandbox or {})
        self.render_mode = render_mode
        self.observation_space = Unicode()
        self.action_space = Unicode()
        self.episode: Episode | None = None
        """The episode as it stands; None before the first reset."""
        self.execution: Execution | None = None
        """All results of the last step, hidden tests included; None where no code was found."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Begin an episode, drawn or named by `options`, or continue a snapshot.

        Raises:
            ValueError: an unknown option, task id or snapshot, or a snapshot of a finished episode.
        """
        self.draw_from(seed)
        move = self.start(self.choose(options or {}))
        self.go(move)
        return move.observation, move.info

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Judge one completion: the raw text of the model, code not yet taken out.

        Raises:
            TypeError: the completion is not a string.
            ResetNeeded: there is no episode, or it is finished.
            InfrastructureError: the sandbox gave no verdict; the episode stands as it was.
        """
        move = self.judge(self.ask(action))
        self.go(move)
        return move.observation, move.reward, move.terminated, move.truncated, move.info

    def render(self) -> str | None:
        """The episode as text (`render_mode="ansi"`)."""
        if self.render_mode is None or self.episode is None:
            return None
        return episode_text(self.episode)

    # A reset is choose, start, go; a step is ask, judge, go. Nothing but `go` changes the episode,
    # so that many environments can wait for their programs together and then go on, or all stay.

    @property
    def finished(self) -> bool:
        """Whether there is an episode, and it takes no further step."""
        return self.episode is not None and (self.episode.solved or self.episode.out_of_turns)

    def draw_from(self, seed: int | None) -> None:
        """Draw tasks from a new seed from now on; None changes nothing."""
        super().reset(seed=seed)

    def choose(self, options: Mapping[str, Any]) -> Episode:
        """The episode that the options of a reset name; one that is drawn, where they name none."""
        for name in options:
            if name not in ("task_id", "snapshot"):
                raise ValueError(f"reset option {name!r} is unknown; use 'task_id' or 'snapshot'")
        snapshot = options.get("snapshot")
        task_id = options.get("task_id")
        if snapshot is not None:
            return self._restored(snapshot, task_id)
        if task_id is None:
            task_id = self.task_ids[int(self.np_random.integers(len(self.task_ids)))]
        return Episode(self._task(task_id), (), self.max_turns, self.reflection)

    def start(self, episode: Episode) -> Move:
        """Where a reset to this episode leads."""
        return Move(episode, None, *self._observe(episode, {}))

    def ask(self, action: str) -> Asked:
        """Hand the program of a completion to the sandbox, which runs it meanwhile.

        Raises:
            TypeError: the completion is not a string.
            ResetNeeded: there is no episode, or it is finished.
        """
        if not isinstance(action, str):
            raise TypeError(
                f"the completion is {action!r} of type {type(action).__name__}; step() takes the "
                "model's text as a str (decode token ids first)"
            )
        episode = self._open_episode()
        if episode.awaits_reflection:
            return Asked(episode, action, None, None)
        code = extract_code(action, episode.task.entry_point)
        verdict = None if code is None else self._sandbox.submit(episode.task, code)
        return Asked(episode, action, code, verdict)

    def judge(self, asked: Asked) -> Move:
        """Where a step with this completion leads; waits for its program.

        Raises:
            InfrastructureError: the sandbox gave no verdict.
        """
        episode, completion, code, verdict = asked
        if episode.awaits_reflection:
            return self._reflect(episode, completion)
        execution = verdict.result() if verdict else None
        attempt = Attempt(
            completion=completion,
            code=code,
            results=execution.visible if execution else (),
            pass_rate=execution.reward if execution else 0.0,
        )
        after = episode.after(attempt)
        told = {
            "code": code,
            "pass_rate": attempt.pass_rate,
            **_hidden_rate(episode.task, execution),
            "results": [result.to_json() for result in attempt.results],
            "feedback": self._prompts_of(after).feedback(after),
        }
        truncated = after.out_of_turns and not after.solved
        seen = self._observe(after, told)
        return Move(after, execution, *seen, self._reward_of(after), after.solved, truncated)

    def go(self, move: Move) -> None:
        """Take a move of this environment's own."""
        self.episode, self.execution = move.episode, move.execution

    def _reflect(self, episode: Episode, reflection: str) -> Move:
        after = episode.reflected(reflection)
        return Move(after, self.execution, *self._observe(after, {"reflection": reflection}))

    def _task(self, task_id: Any) -> Task:
        if task_id not in self._tasks:
            near = difflib.get_close_matches(str(task_id), self.task_ids, n=1, cutoff=0.0)
            raise ValueError(
                f"task_id {task_id!r} is not among the {len(self.task_ids)} tasks of this "
                f"environment; the nearest is {near[0]!r}"
            )
        return self._tasks[task_id]

    def _restored(self, snapshot: Any, task_id: Any) -> Episode:
        try:
            found = snapshot["task_id"]
            attempts = tuple(Attempt.from_json(attempt) for attempt in snapshot["attempts"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"the snapshot {str(snapshot)[:80]!r} cannot be read ({error!r}); "
                "pass on info['snapshot'] as it came"
            ) from error
        if task_id not in (None, found):
            raise ValueError(f"task_id is {task_id!r} but the snapshot is of {found!r}; give one")
        task = self._task(found)
        visible = tuple(test for test in task.tests if test.visible)
        for attempt in attempts:
            if attempt.results and tuple(r.test for r in attempt.results) != visible:
                raise ValueError(
                    f"the snapshot of {found!r} has results of other tests than this environment's "
                    "task; take snapshots from an environment with the same tasks and hidden_share"
                )
        episode = Episode(task, attempts, self.max_turns, self.reflection)
        if episode.solved or episode.out_of_turns:
            raise ValueError(
                f"the snapshot of {found!r} is of a finished episode ({len(attempts)} of "
                f"{self.max_turns} attempts made); branch from an earlier one"
            )
        return episode

    def _open_episode(self) -> Episode:
        if self.episode is None:
            raise ResetNeeded("there is no episode yet; call reset() before step()")
        if self.finished:
            raise ResetNeeded("this episode is finished; call reset() before the next step()")
        return self.episode

    def _observe(self, episode: Episode, more: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        told = episode.remembering(self._memory)
        messages = prompting.messages(self._prompts_of(episode), told, self.transcript)
        info = {
            "task_id": episode.task.task_id,
            "messages": messages,
            "snapshot": episode.snapshot(),
            "sandbox_level": self._sandbox.level,
        }
        return prompting.as_text(messages), info | more

    def _prompts_of(self, episode: Episode) -> prompting.Prompts:
        return self._prompts or prompting.prompt_set(_preferred(episode.task))

    def _reward_of(self, episode: Episode) -> float:
        *before, last = [attempt.pass_rate for attempt in episode.attempts]
        if self._reward == "pass_rate":
            return last
        return max(0.0, last - max(before, default=0.0))


def _hidden_rate(task: Task, execution: Execution | None) -> dict[str, float]:
    hidden = sum(test.scored and not test.visible for test in task.tests)
    if not hidden:
        return {}
    passed = [r for r in execution.scored if r.passed and not r.test.visible] if execution else []
    return {"hidden_pass_rate": len(passed) / hidden}


def _preferred(task: Task) -> str:
    return str(task.metadata.get("prompts", "standard"))


def _load(tasks: Any) -> Sequence[Task]:
    if isinstance(tasks, str):
        return sources.load(tasks)
    if isinstance(tasks, Path):
        return sources.load(str(tasks))
    if isinstance(tasks, Task) or not isinstance(tasks, Sequence):
        raise TypeError(f"tasks is {tasks!r}; give a list of Task, a path or a source name")
    for task in tasks:
        if not isinstance(task, Task):
            raise TypeError(f"tasks holds {task!r}; give murphy_env.Task objects or a source name")
    return list(tasks)


def _by_id(tasks: Sequence[Task]) -> dict[str, Task]:
    if not tasks:
        raise ValueError("tasks is empty; give at least one Task, or a source such as 'embedded'")
    by_id = {task.task_id: task for task in tasks}
    if len(by_id) < len(tasks):
        seen = [task.task_id for task in tasks]
        twice = next(task_id for task_id in by_id if seen.count(task_id) > 1)
        raise ValueError(f"task_id {twice!r} stands twice in tasks; ids must be unique")
    return by_id


def _check_settings(
    max_turns: int, reward: str, hidden_share: float, transcript: str, render_mode: str | None
) -> None:
    if type(max_turns) is not int or max_turns < 1:
        raise ValueError(f"max_turns is {max_turns}; give a whole number, at least 1")
    if reward not in get_args(Reward):
        raise ValueError(f"reward is {reward!r}; choose one of {get_args(Reward)}")
    if not isinstance(hidden_share, int | float) or not 0 <= hidden_share < 1:
        raise ValueError(f"hidden_share is {hidden_share}; give a share in [0, 1)")
    if transcript not in get_args(prompting.Transcript):
        raise ValueError(
            f"transcript is {transcript!r}; choose one of {get_args(prompting.Transcript)}"
        )
    if render_mode not in (None, "ansi"):
        raise ValueError(f"render_mode is {render_mode!r}; use 'ansi' or None")


def _check_memory(memory: str, reflection: bool, transcript: str) -> None:
    if memory not in get_args(Memory):
        raise ValueError(f"memory is {memory!r}; choose one of {get_args(Memory)}")
    if memory == "last" and transcript == "chat":
        raise ValueError(
            "memory is 'last', but transcript 'chat' goes on with one conversation, which keeps "
            "all attempts; use transcript='requote', or memory='all'"
        )
    if not isinstance(reflection, bool):
        raise ValueError(f"reflection is {reflection!r}; give True or False")


def _check_parts(sandbox: Any, prompts: Any) -> None:
    if not isinstance(sandbox, Mapping | Sandbox | None):
        raise TypeError(f"sandbox is {sandbox!r}; give its settings as a dict, or a Sandbox")
    if not isinstance(prompts, str | prompting.Prompts | None):
        raise TypeError(f"prompts is {prompts!r}; give a name, or a murphy_env.prompts.Prompts")
