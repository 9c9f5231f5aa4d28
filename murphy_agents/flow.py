"""What is between asking and verdict: completions being drawn, programs being judged.

Two schedules. "eager": there is no barrier; a completion is judged the moment it ends, and its
verdict is handed on the moment it is there, while its siblings are still being drawn. "level":
verdicts are handed on when nothing is in flight any more, in the order of their paths.
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import Literal, NamedTuple

from murphy_agents.engines.protocol import Completion, Engine, Request, SamplingParams
from murphy_agents.lease import EnvPool, Outcome
from murphy_agents.rollout import Branch, Moments, Rollout

Schedule = Literal["eager", "level"]
PATIENCE_S = 0.01
"""Seconds that an engine is given before verdicts are looked for again."""


class _Verdict(NamedTuple):
    branch: Branch
    completion: Completion
    moments: Moments
    outcome: Future[Outcome]


class Flow:
    """Carries branches through an engine and environments, and keeps the clock of a rollout.

    A context manager: an exception within it leaves the engine with nothing in flight.
    """

    def __init__(
        self, engine: Engine, envs: EnvPool, params: SamplingParams, schedule: Schedule
    ) -> None:
        self._engine = engine
        self._envs = envs
        self._params = params
        self._schedule = schedule
        self._started = time.perf_counter()
        self._asked: dict[Hashable, tuple[Branch, float]] = {}
        self._num_asked = 0
        self._num_drawing = 0
        self._num_judging = 0
        self._verdicts: SimpleQueue[_Verdict] = SimpleQueue()
        self._drawing_s = self._waiting_s = 0.0
        envs.busy.take()
        self._before = engine.stats.prompt_tokens, engine.stats.prefilled_tokens

    def ask(self, branch: Branch) -> None:
        """Have a branch's generations drawn, and each of them judged."""
        tag, prompt = self._num_asked, tuple(branch.group.prompt_ids)
        self._engine.submit(
            Request(prompt, branch.seeds, self._params, tag, branch.task_id, branch.group.turn)
        )
        self._asked[tag] = branch, self._now()
        self._num_asked += 1
        self._num_drawing += len(branch.seeds)

    def judged(self) -> list[tuple[Branch, int]]:
        """Generations with a verdict, put into their branches; [] when all have been given.

        Raises:
            EngineDiedError: the engine cannot go on.
        """
        arrived: list[_Verdict] = []
        while self._num_drawing or self._num_judging:
            if self._num_drawing:
                self._draw()
            arrived += self._arrived(wait=not self._num_drawing)
            if arrived and self._schedule == "eager":
                break
        arrived.sort(key=lambda verdict: (*verdict.branch.path, verdict.completion.index))
        for branch, completion, moments, outcome in arrived:
            branch.add(completion, outcome.result(), moments)
        return [(verdict.branch, verdict.completion.index) for verdict in arrived]

    def __enter__(self) -> Flow:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Leave nothing in flight behind where the rollout was broken off."""
        if kind is not None:
            self._engine.abort()

    def tell(self, rollout: Rollout) -> None:
        """Write down what the rollout took."""
        rollout.generation_s = self._drawing_s
        rollout.execution_s = self._waiting_s
        rollout.judging_s = self._envs.busy.take()
        rollout.seconds = self._now()
        stats, (prompt_tokens, prefilled_tokens) = self._engine.stats, self._before
        rollout.prompt_tokens = stats.prompt_tokens - prompt_tokens
        rollout.prefilled_tokens = stats.prefilled_tokens - prefilled_tokens

    def _draw(self) -> None:
        started = self._now()
        finished = self._engine.poll(PATIENCE_S)
        drawn = self._now()
        self._drawing_s += drawn - started
        for done in finished:
            branch, asked = self._asked[done.tag]
            moments = Moments(asked, drawn)
            self._num_drawing -= 1
            self._num_judging += 1
            verdict = self._envs.judge(branch.position, done.text, branch.seeds[done.index])
            verdict.add_done_callback(partial(self._put, branch, done, moments))

    def _put(
        self, branch: Branch, done: Completion, moments: Moments, outcome: Future[Outcome]
    ) -> None:
        """Called by the thread that judged."""
        judged = moments._replace(judged=self._now())
        self._verdicts.put(_Verdict(branch, done, judged, outcome))

    def _arrived(self, wait: bool) -> list[_Verdict]:
        arrived: list[_Verdict] = []
        started = self._now()
        try:
            while self._num_judging:
                arrived.append(self._verdicts.get(block=wait and not arrived))
                self._num_judging -= 1
                arrived[-1].outcome.result()  # what an environment raised comes out at once
        except Empty:
            pass
        if wait:
            self._waiting_s += self._now() - started
        return arrived

    def _now(self) -> float:
        """Seconds since the rollout began."""
        return time.perf_counter() - self._started
