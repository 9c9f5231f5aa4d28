"""Grows the rollout trees of many problems at once, from an engine and environments.

All problems are in flight together. Every attempt is judged as soon as it is there, and one that
did not end its episode becomes the prompt of the next group: at once ("eager"), or when the whole
turn is judged ("level"); `flow` knows when. Random numbers belong to the node (its problem, its
path, its index), not to the order of the work.

Departures from the paper: an attempt is refined unless it passed all *visible* tests; one whose
execution broke has reward None and no refinements; a prompt that leaves no room for a completion is
not generated from and is counted as overflow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from murphy_agents.codec import Codec
from murphy_agents.engines.protocol import Engine, SamplingParams
from murphy_agents.flow import Flow, Schedule
from murphy_agents.lease import EnvPool, Position
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
    schedule: Schedule = "eager"

    def grow(
        self, task_ids: Sequence[str], fanout: Fanout, seed: Seed, keys: Sequence[int] = ()
    ) -> Rollout:
        """One tree per task id (may come twice); `seed` and its key (or place) fix its draws."""
        keys = keys or range(len(task_ids))
        if len(set(keys)) < len(keys):
            raise ValueError(f"keys are {list(keys)}; give each problem one of its own")
        rollout = Rollout(list(task_ids), [], seed)
        with Flow(self.engine, self.envs, self.params, self.schedule) as flow:
            for key, task_id in zip(keys, task_ids, strict=True):
                position = self.envs.start(task_id, seed_of(seed, (key,)))
                rollout.roots.append(Group([], self.codec.encode(position.messages)))
                branch = Branch(rollout.roots[-1], position, task_id, (key,))
                if self._opened(branch, fanout(None, 1), rollout):
                    flow.ask(branch)
            while judged := flow.judged():
                for parent, i in judged:
                    rollout.count(parent, i)
                    if (child := self._refinement(parent, i, fanout, rollout)) is not None:
                        flow.ask(child)
            flow.tell(rollout)
        rollout.check_verdicts()
        return rollout

    def _refinement(
        self, parent: Branch, i: int, fanout: Fanout, rollout: Rollout
    ) -> Branch | None:
        """The branch that leads on from the parent's i-th attempt, if one does."""
        node, position, turn = parent.nodes[i], parent.after[i], parent.group.turn + 1
        if position is None or (count := fanout(node, turn)) < 1:
            return None
        group = Group([], self._prompt_ids(parent, node, position), turn)
        branch = Branch(group, position, parent.task_id, (*parent.path, i))
        if not self._opened(branch, count, rollout):
            node.info["overflow"] = True
            return None
        node.refinements = group
        return branch

    def _prompt_ids(self, parent: Branch, node: Node, position: Position) -> tuple[int, ...]:
        if self.transcript == "requote":
            return self.codec.encode(position.messages)
        check_appended(parent.position.messages, position.messages)
        return self.codec.extend(
            parent.group.prompt_ids, node.completion_ids, position.messages[-1:]
        )

    def _opened(self, branch: Branch, count: int, rollout: Rollout) -> bool:
        """Give the branch its seeds; whether its prompt leaves room to answer."""
        if count < 1:
            raise ValueError(f"the fan-out of first attempts is {count}; give at least 1")
        branch.seeds = tuple(seed_of(rollout.seed, branch.path, i) for i in range(count))
        room = self.engine.context_length - len(branch.group.prompt_ids)
        rollout.num_overflows += room < self.params.max_tokens
        return room >= self.params.max_tokens
