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


def moments(step: int, rollout: Rollout) -> Iterator[dict[str, Any]]:
    """One JSON object per node: in which second of the rollout it was asked for, drawn, judged."""
    for path, when in rollout.timeline:
        times = {name: round(second, 4) for name, second in when._asdict().items()}
        yield {"step": step, "problem": path[0], "path": list(path[1:]), **times}


def rollout_metrics(rollout: Rollout) -> Metrics:
    """Figures of graded trees: counts, means and shares. What nothing was there for is left out.

    An attempt without a verdict counts nowhere but in `num_*` and `completions/*`. Its score is the
    share of scored tests that it passed, or its reward where the environment does not tell that
    (`info["pass_rate"]`); solved: a score of 1.

    * `reward/turn_s`: mean reward of the attempts of turn s.
    * `reward/best`: mean over problems of the best reward in the tree.
    * `reward/visible`, `reward/hidden`: mean share of an attempt's visible, or of its scored and
      invisible, tests that passed; an attempt without code passes none.
    * `solved/turn_s`: share of the attempts of turn s that are solved.
    * `repair_rate`: share of the refinements that are solved; their parents are not, as a rule.
    * `regression_rate`: share of the refinements whose score is below their parent's.
    * `repeat_rate`: share of the refinements whose code is their parent's, letter by letter.
    * `zero_signal_share`: share of the trained groups in which every advantage is 0.
    * `completions/clipped_ratio`: share of the completions that were cut at the token limit.
    * `prefix_hit_rate`: share of the prompts' ids that the engine did not read anew.
    """
    nodes = [node for root in rollout.roots for node in walk(root)]
    all_groups = [group for root in rollout.roots for group in groups(root) if group.nodes]
    trained = [group for group in all_groups if any(node.weight > 0 for node in group.nodes)]
    silent = [all(node.advantage == 0 for node in group.nodes) for group in trained]
    return {
        "num_problems": len(rollout.roots),
        "num_generations": rollout.num_generations,
        "num_groups": len(all_groups),
        "num_trained_groups": len(trained),
        "num_zero_signal_groups": sum(silent),
        "num_pruned": sum(node.pruned for node in nodes),
        "num_untold_problems": sum(map(_untold, rollout.roots)),
        "num_overflows": rollout.num_overflows,
        "num_infra_errors": rollout.num_infra_errors,
        **_rewards(rollout.roots, all_groups),
        **_refinement_rates(nodes),
        **_mean("zero_signal_share", silent),
        "completions/mean_length": mean([len(node.completion_ids) for node in nodes]),
        "completions/clipped_ratio": mean([node.finish_reason == "length" for node in nodes]),
        **_mean("prefix_hit_rate", _hit_rate(rollout)),
        "seconds/generation": rollout.generation_s,
        "seconds/execution": rollout.execution_s,
    }


def idle_shares(rollout: Rollout, clock_s: float) -> Metrics:
    """Shares of a step's `clock_s` seconds in which a part of the machinery had nothing to do.

    * `idle/engine`: nothing was generated.
    * `idle/sandbox`: no program was being judged.

    And of the seconds of the rollout alone: who waited for whom.

    * `waited/engine`: nothing was left to generate until a verdict came in.
    * `waited/sandbox`: nothing was left to judge until a completion ended.
    """
    rollout_s = rollout.seconds or clock_s
    return {
        "waited/engine": min(1.0, rollout.execution_s / rollout_s),
        "waited/sandbox": max(0.0, 1 - rollout.judging_s / rollout_s),
        "idle/engine": max(0.0, 1 - rollout.generation_s / clock_s),
        "idle/sandbox": max(0.0, 1 - rollout.judging_s / clock_s),
    }


def mean(values: Sequence[float]) -> float:
    """The mean; 0 of nothing."""
    return fmean(values) if values else 0.0


def _hit_rate(rollout: Rollout) -> list[float]:
    total = rollout.prompt_tokens
    return [1 - rollout.prefilled_tokens / total] if total else []


def _rewards(roots: Sequence[Group], all_groups: Sequence[Group]) -> Metrics:
    by_turn: dict[int, list[Node]] = {}
    for group in all_groups:
        by_turn.setdefault(group.turn, []).extend(filter(_judged, group.nodes))
    trees = [[node.reward for node in walk(root) if node.reward is not None] for root in roots]
    told = [node for root in roots if not _untold(root) for node in walk(root) if _judged(node)]
    judged = [node for nodes in by_turn.values() for node in nodes]
    rewards, solved = Metrics(), Metrics()
    for turn, nodes in sorted(by_turn.items()):
        rewards |= _mean(f"reward/turn_{turn}", [node.reward for node in nodes])
        solved |= _mean(f"solved/turn_{turn}", [_score(node) >= 1 for node in nodes])
    return {
        **rewards,
        "reward/best": mean([max(tree) for tree in trees if tree]),
        **solved,
        **_mean("reward/visible", [_visible_rate(node) for node in told]),
        **_mean("reward/hidden", [node.info.get("hidden_pass_rate") for node in judged]),
    }


def _refinement_rates(nodes: Sequence[Node]) -> Metrics:
    refined = [
        (parent, child)
        for parent in filter(_judged, nodes)
        for child in (parent.refinements.nodes if parent.refinements else [])
        if _judged(child)
    ]
    with_code = [(p.info.get("code"), c.info["code"]) for p, c in refined if "code" in c.info]
    return {
        **_mean("repair_rate", [_score(child) >= 1 for _, child in refined]),
        **_mean("regression_rate", [_score(child) < _score(parent) for parent, child in refined]),
        **_mean("repeat_rate", [new is not None and new == old for old, new in with_code]),
    }


def _judged(node: Node) -> bool:
    return node.reward is not None


def _score(node: Node) -> float:
    score: Any = node.info.get("pass_rate", node.reward)
    return float(score)


def _untold(root: Group) -> bool:
    """Whether programs ran but no test was visible, so that nothing could be told."""
    ran = [n.info for n in root.nodes if n.info.get("code") is not None and "results" in n.info]
    return bool(ran) and not any(info["results"] for info in ran)


def _visible_rate(node: Node) -> float | None:
    results = node.info.get("results")
    if results is not None and node.info.get("code") is None:
        return 0.0
    return mean([result["status"] == "passed" for result in results]) if results else None


def _mean(name: str, values: Sequence[float | None]) -> Metrics:
    told = [value for value in values if value is not None]
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
        "overflow": node.info.get("overflow", False),
    }
