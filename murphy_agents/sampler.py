"""Grows the rollout trees of many problems at once, from an engine and environments.

Turn by turn ("level" order): all generations of a turn are drawn, each is judged as soon as it is
there, and every attempt that did not end its episode becomes the prompt of the next group. Random
numbers belong to the node (its problem, its path, its index), not to the order of the work.

Departures from the paper: a node whose execution broke has reward None and no refinements; a prompt
that leaves no room for a completion is not refined and is counted as overflow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal

from murphy_agents.codec import Codec
from murphy_agents.engines.protocol import Completion, Engine, Request, SamplingParams
from murphy_agents.lease import EnvPool, Outcome, Position
from murphy_agents.rollout import Branch, Rollout, node_of, seed_of
from murphy_agents.tree import Group, Node

Fanout = Callable[[Node | None, int], int]
"""(attempt to refine, or None at the root; turn to come) -> number of generations."""
Transcript = Literal["requote", "chat"]


@dataclass
class Sampler:
    """Engine, codec and environments, ready to grow trees."""

    engine: Engine
    codec: Codec
    envs: EnvPool
    params: SamplingParams
    transcript: Transcript = "requote"
    """How a refinement's prompt is made of ids: the whole conversation encoded anew, or the sampled
    ids kept and the feedback appended."""

    def grow(self, task_ids: Sequence[str], fanout: Fanout, seed: tuple[int, ...]) -> Rollout:
        """One tree per task id (an id may come twice); `seed` tells this rollout from others."""
        rollout = Rollout(list(task_ids), [])
        frontier = []
        for problem, task_id in enumerate(task_ids):
            position = self.envs.start(task_id)
            group = Group([], self.codec.encode(position.messages), turn=1)
            rollout.roots.append(group)
            branch = Branch(group, position, task_id, (problem,))
            frontier += self._fitting(branch, fanout(None, 1), rollout)
        while frontier:
            self._play_turn(frontier, seed, rollout)
            frontier = [b for parent in frontier for b in self._refine(parent, fanout, rollout)]
        return rollout

    def _play_turn(
        self, frontier: Sequence[Branch], seed: tuple[int, ...], rollout: Rollout
    ) -> None:
        """Draw and judge the generations of every branch, filling its group."""
        started = time.perf_counter()
        for tag, branch in enumerate(frontier):
            seeds = tuple(seed_of(seed, branch.path, i) for i in range(branch.num_generations))
            prompt, turn = tuple(branch.group.prompt_ids), branch.group.turn
            self.engine.submit(Request(prompt, seeds, self.params, tag, branch.task_id, turn))
        judged: dict[tuple[int, int], tuple[Completion, Future[Outcome]]] = {}
        while finished := self.engine.poll():
            for completion in finished:
                position = frontier[int(completion.tag)].position  # type: ignore[call-overload]
                verdict = self.envs.judge(position, completion.text)
                judged[completion.tag, completion.index] = completion, verdict  # type: ignore[index]
        drawn = time.perf_counter()
        for tag, branch in enumerate(frontier):
            for i in range(branch.num_generations):
                completion, verdict = judged[tag, i]
                outcome = verdict.result()
                branch.group.nodes.append(node_of(completion, outcome))
                branch.after.append(outcome.next)
                rollout.num_infra_errors += outcome.reward is None
        rollout.num_generations += len(judged)
        rollout.generation_s += drawn - started
        rollout.execution_s += time.perf_counter() - drawn

    def _refine(self, parent: Branch, fanout: Fanout, rollout: Rollout) -> list[Branch]:
        """The branches that lead on from the attempts of a played one."""
        turn, children = parent.group.turn + 1, []
        for i, (node, position) in enumerate(zip(parent.group.nodes, parent.after, strict=True)):
            if position is not None and (count := fanout(node, turn)) > 0:
                group = Group([], self._prompt_ids(parent.group, node, position), turn)
                branch = Branch(group, position, parent.task_id, (*parent.path, i))
                fitting = self._fitting(branch, count, rollout)
                node.refinements = group if fitting else None
                children += fitting
        return children

    def _prompt_ids(self, group: Group, node: Node, position: Position) -> tuple[int, ...]:
        if self.transcript == "requote":
            return self.codec.encode(position.messages)
        return self.codec.extend(group.prompt_ids, node.completion_ids, position.messages[-1:])

    def _fitting(self, branch: Branch, count: int, rollout: Rollout) -> list[Branch]:
        branch.num_generations = count
        needed = len(branch.group.prompt_ids) + self.params.max_tokens
        if needed <= self.engine.context_length:
            return [branch] if count > 0 else []
        rollout.num_overflows += 1
        return []
