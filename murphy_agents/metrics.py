"""Graded trees as figures and as records: what is logged of them, and nothing of how."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Any

from murphy_agents.rollout import Rollout
from murphy_agents.tree import Group, Node, groups, walk

Metrics = dict[str, float]


def records(step: int, rollout: Rollout) -> Iterator[dict[str, Any]]:
    """One JSON object per node of the rollout, problem by problem, parents first."""
    for problem, (task_id, root) in enumerate(zip(rollout.task_ids, rollout.roots, strict=True)):
        for group, path in _paths(root, ()):
            for i, node in enumerate(group.nodes):
                yield {
                    "step": step,
                    "problem": problem,
                    "task_id": task_id,
                    "turn": group.turn,
                    "path": [*path, i],
                    "prompt_ids": list(group.prompt_ids),
                    **_record(node),
                }


def rollout_metrics(rollout: Rollout) -> Metrics:
    """Figures of graded trees: counts, mean rewards by turn, and how much signal they hold."""
    nodes = [node for root in rollout.roots for node in walk(root)]
    trees = [[node for node in walk(root) if node.reward is not None] for root in rollout.roots]
    all_groups = [group for root in rollout.roots for group in groups(root) if group.nodes]
    by_turn: dict[int, list[float]] = {}
    for group in all_groups:
        rewards = [node.reward for node in group.nodes if node.reward is not None]
        by_turn.setdefault(group.turn, []).extend(rewards)
    lengths = [len(node.completion_ids) for node in nodes]
    return {
        "num_problems": len(rollout.roots),
        "num_generations": rollout.num_generations,
        "num_groups": len(all_groups),
        "num_trained_groups": sum(_trained(group) for group in all_groups),
        "num_zero_signal_groups": sum(_trained(g) and _no_signal(g) for g in all_groups),
        "num_pruned": sum(node.pruned for node in nodes),
        "num_untold_problems": sum(map(_untold, rollout.roots)),
        "num_overflows": rollout.num_overflows,
        "num_infra_errors": rollout.num_infra_errors,
        **{f"reward/turn_{turn}": mean(told) for turn, told in sorted(by_turn.items()) if told},
        "reward/best": mean([max(node.reward or 0.0 for node in t) for t in trees if t]),
        **_rates("reward/visible", [_visible_rate(node) for node in nodes]),
        **_rates("reward/hidden", [node.info.get("hidden_pass_rate") for node in nodes]),
        "completions/mean_length": mean(lengths),
        "completions/clipped_ratio": mean([node.finish_reason == "length" for node in nodes]),
        "seconds/generation": rollout.generation_s,
        "seconds/execution": rollout.execution_s,
    }


def mean(values: Sequence[float]) -> float:
    """The mean; 0 of nothing."""
    return fmean(values) if values else 0.0


def _trained(group: Group) -> bool:
    return any(node.weight > 0 for node in group.nodes)


def _no_signal(group: Group) -> bool:
    return all(node.advantage == 0 for node in group.nodes)


def _untold(root: Group) -> bool:
    """Whether programs ran but no test was visible, so that nothing could be told."""
    ran = [node for node in root.nodes if node.info.get("code") is not None]
    return bool(ran) and not any(node.info["results"] for node in ran)


def _visible_rate(node: Node) -> float | None:
    results = node.info.get("results")
    return mean([result["status"] == "passed" for result in results]) if results else None


def _rates(name: str, rates: Sequence[float | None]) -> Metrics:
    told = [rate for rate in rates if rate is not None]
    return {name: mean(told)} if told else {}


def _paths(group: Group, path: tuple[int, ...]) -> Iterator[tuple[Group, tuple[int, ...]]]:
    yield group, path
    for i, node in enumerate(group.nodes):
        if node.refinements is not None:
            yield from _paths(node.refinements, (*path, i))


def _record(node: Node) -> dict[str, Any]:
    return {
        "completion_ids": list(node.completion_ids),
        "completion": node.completion,
        "finish_reason": node.finish_reason,
        "code": node.info.get("code"),
        "pass_rate": node.info.get("pass_rate"),
        "feedback": node.info.get("feedback", node.info.get("infra_error")),
        "reward": node.reward,
        "credit": node.credit,
        "advantage": node.advantage,
        "weight": node.weight,
        "pruned": node.pruned,
    }
