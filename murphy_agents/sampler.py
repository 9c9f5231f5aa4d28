"""Grows the rollout trees of many problems at once, from an engine and environments.

Turn by turn ("level" order): all generations of a turn are drawn, each is judged as soon as it is
there, and every attempt that did not end its episode becomes the prompt of the next group. Random
numbers belong to the node (its problem, its path, its index), not to the order of the work.

Departures from the paper: an attempt is refined unless it passed all *visible* tests; one whose
execution broke has reward None and no refinements; a prompt that leaves no room for a completion is
not generated from and is counted as overflow.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from murphy_agents.codec import Codec
from murphy_agents.engines.protocol import Completion, Engine, Request, SamplingParams
from murphy_agents.lease import EnvPool, Outcome, Position
from murphy_agents.rollout import Branch, Fanout, Rollout, Seed, Transcript, check_appended, seed_of
from murphy_agents.tree import Group, Node


@dataclass
class Sampler:
    """Engine, codec and environments, ready to grow trees."""

    engine: Engine
    codec: Codec
    envs: EnvPool
    params: SamplingParams
    transcript: Transcript = "requote"
    """A refinement's ids: the conversation encoded anew, or the sampled ids and the feedback's."""

    def grow(
        self, task_ids: Sequence[str], fanout: Fanout, seed: Seed, keys: Sequence[int] = ()
    ) -> Rollout:
        """One tree per task id (may come twice); `seed` and its key (or place) fix its draws."""
        rollout, frontier = Rollout(list(task_ids), [], seed), []
        for key, task_id in zip(keys or range(len(task_ids)), task_ids, strict=True):
            position = self.envs.start(task_id, seed_of(seed, (key,)))
            rollout.roots.append(Group([], self.codec.encode(position.messages)))
            branch = Branch(rollout.roots[-1], position, task_id, (key,))
            frontier += self._opened(branch, fanout(None, 1), rollout)
        while frontier:
            self._play_turn(frontier, rollout)
            frontier = [child for b in frontier for child in self._refinements(b, fanout, rollout)]
        rollout.check_verdicts()
        return rollout

    def _play_turn(self, frontier: Sequence[Branch], rollout: Rollout) -> None:
        """Draw and judge the generations of every branch, filling its group."""
        started = time.perf_counter()
        by_tag: dict[Hashable, Branch] = dict(enumerate(frontier))
        for tag, branch in by_tag.items():
            prompt, turn = tuple(branch.group.prompt_ids), branch.group.turn
            asked = Request(prompt, branch.seeds, self.params, tag, branch.task_id, turn)
            self.engine.submit(asked)
        judged: dict[tuple[Hashable, int], tuple[Completion, Future[Outcome]]] = {}
        while finished := self.engine.poll():
            for done in finished:
                branch = by_tag[done.tag]
                verdict = self.envs.judge(branch.position, done.text, branch.seeds[done.index])
                judged[done.tag, done.index] = done, verdict
        drawn = time.perf_counter()
        for tag, branch in by_tag.items():
            for index in range(len(branch.seeds)):
                completion, verdict = judged[tag, index]
                branch.add(completion, verdict.result())
            rollout.num_infra_errors += sum(node.reward is None for node in branch.group.nodes)
        rollout.num_generations += len(judged)
        rollout.generation_s += drawn - started
        rollout.execution_s += time.perf_counter() - drawn
        rollout.judging_s += self.envs.busy.take()

    def _refinements(self, parent: Branch, fanout: Fanout, rollout: Rollout) -> list[Branch]:
        """The branches that lead on from the attempts of a played one."""
        turn, children = parent.group.turn + 1, []
        for i, (node, position) in enumerate(zip(parent.group.nodes, parent.after, strict=True)):
            if position is not None and (count := fanout(node, turn)) > 0:
                group = Group([], self._prompt_ids(parent, node, position), turn)
                branch = Branch(group, position, parent.task_id, (*parent.path, i))
                opened = self._opened(branch, count, rollout)
                node.refinements = group if opened else None
                children += opened
        return children

    def _prompt_ids(self, parent: Branch, node: Node, position: Position) -> tuple[int, ...]:
        if self.transcript == "requote":
            return self.codec.encode(position.messages)
        check_appended(parent.position.messages, position.messages)
        return self.codec.extend(
            parent.group.prompt_ids, node.completion_ids, position.messages[-1:]
        )

    def _opened(self, branch: Branch, count: int, rollout: Rollout) -> list[Branch]:
        """The branch with its seeds, or nothing where its prompt leaves no room to answer."""
        branch.seeds = tuple(seed_of(rollout.seed, branch.path, i) for i in range(count))
        room = self.engine.context_length - len(branch.group.prompt_ids)
        rollout.num_overflows += room < self.params.max_tokens
        return [branch] if count > 0 and room >= self.params.max_tokens else []
