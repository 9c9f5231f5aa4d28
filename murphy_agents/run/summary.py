"""A run, or one step of it, in a few lines for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from murphy_agents.costs import spent
from murphy_agents.metrics import Metrics

_COUNTED = {
    "num_infra_errors": "generations without a verdict (the sandbox broke); not trained",
    "num_overflows": "prompts without room for a completion; not generated from",
    "num_pruned": "generations pruned",
    "num_masked": "truncated completions left out",
    "num_empty": "completions without a token",
    "num_untold_problems": "problems without a visible test",
}


def summary(history: Sequence[Metrics], folder: Path) -> str:
    """What happened in a run, from the metrics of its steps."""
    if not history:
        return f"No step was taken, so the model is as it was.\nwritten to {folder}"
    first, last = history[0], history[-1]
    total = {name: sum(m.get(name, 0.0) for m in history) for m in history for name in m}
    lines = [
        f"{len(history)} {'step' if len(history) == 1 else 'steps'}, "
        f"{total['num_problems']:.0f} problems, "
        f"{total['num_generations']:.0f} generations, "
        f"{spent(history, 'trained tokens'):.0f} tokens trained",
        f"first step: {_rewards(first)}; last step: {_rewards(last)}",
        *_repairs(history),
        f"{total['num_zero_signal_groups']:.0f} of {total['num_trained_groups']:.0f} groups "
        "had equal credits and so no signal",
        "seconds: " + ", ".join(
            f"{name.removeprefix('seconds/')} {total[name]:.1f}"
            for name in total if name.startswith("seconds/")
        ),
    ]  # fmt: skip
    lines += [f"{total[name]:.0f} {told}" for name, told in _COUNTED.items() if total[name]]
    if not any(metrics["optimizer_steps"] for metrics in history):
        lines.append("Nothing was left to train on, so the model is as it was.")
    elif total["num_zero_signal_groups"] == total["num_trained_groups"]:
        lines.append(
            "No group held both better and worse attempts, so nothing could be learned. A model "
            "with random weights, for one, solves nothing: start from one that does at times."
        )
    return "\n".join([*lines, f"written to {folder}"])


def step_line(metrics: Mapping[str, float]) -> str:
    """One step: what was rewarded, what the update did, what it took."""
    seconds = sum(value for name, value in metrics.items() if name.startswith("seconds/"))
    updated = "nothing to train"
    if "loss" in metrics:
        updated = f"loss {metrics['loss']:+.4f}, grad {metrics['grad_norm']:.3g}"
    drawn = f"{metrics['num_generations']:.0f} generations, {seconds:.1f} s"
    return f"{_rewards(metrics)}; {updated}; {drawn}"


def _rewards(metrics: Mapping[str, float]) -> str:
    """Mean rewards of a step, as far as something was attempted."""
    turns = [name for name in metrics if name.startswith("reward/turn_")]
    if not turns:
        return "nothing attempted"
    by_turn = " ".join(f"{metrics[name]:.3f}" for name in turns)
    return f"reward by turn {by_turn}, best of each problem {metrics['reward/best']:.3f}"


def _repairs(history: Sequence[Metrics]) -> list[str]:
    """How often refinements solved their problem, from the first step that had some to the last."""
    refined = [metrics for metrics in history if "repair_rate" in metrics]
    if not refined:
        return []
    first, last = refined[0], refined[-1]
    told = {"repair_rate": "solved their problem", "repeat_rate": "gave back the same code"}
    shares = [
        f"{first[name]:.3f} -> {last[name]:.3f} {what}"
        for name, what in told.items()
        if name in first and name in last
    ]
    return [f"of the refinements, first -> last step that had some: {', '.join(shares)}"]
