"""Chooses among the checkpoints of a made policy, by the selection tasks of its world alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from murphy_agents import files
from murphy_agents.codec import ChatCodec
from murphy_agents.engines.protocol import SamplingParams
from murphy_agents.engines.transformers import TransformersEngine
from murphy_agents.evaluation.reflexion import evaluate_with
from murphy_agents.evaluation.result import Evaluation
from murphy_agents.lease import EnvPool
from murphy_agents.policy import Policy
from murphy_agents.sampler import Sampler
from murphy_env import CodeFeedbackEnv, Task, sources
from murphy_env.types import InfrastructureError

ITERATIONS = 3
MAX_TOKENS = 64
CURVE_FILE = "selection.json"


def best(folder: Path, tasks: Sequence[Task]) -> str:
    """Name of the checkpoint with the highest pass@1 after three attempts; the earliest of equals.

    The curve, pass@1 by iteration of every checkpoint, is kept in `selection.json`.
    """
    path = folder / CURVE_FILE
    with files.alone(path):
        if not path.exists():
            files.write_atomically(path, json.dumps(_curve(folder, tasks), indent=2))
    curve = curve_of(folder)
    return max(curve, key=lambda name: curve[name][-1])


def curve_of(folder: Path) -> dict[str, list[float]]:
    """The curve that `best` chose by; empty if it did not choose yet."""
    path = folder / CURVE_FILE
    if not path.exists():
        return {}
    curve: dict[str, list[float]] = json.loads(path.read_text(encoding="utf-8"))
    return curve


def _curve(folder: Path, tasks: Sequence[Task]) -> dict[str, list[float]]:
    steps = sorted(folder.glob("step-*"), key=lambda path: int(path.name.partition("-")[2]))
    found = {step.name: on_tasks(step, tasks) for step in steps}
    return {
        name: [evaluation.pass_at_1(i + 1) for i in range(ITERATIONS)]
        for name, evaluation in found.items()
    }


def on_selection(model: Path, seed: int = 0) -> Evaluation:
    """How a model that speaks in `chat` transcripts fares on the embedded selection tasks."""
    return on_tasks(model, sources.embedded("selection"), seed)


def on_tasks(model: Path, tasks: Sequence[Task], seed: int = 0) -> Evaluation:
    """The same on any tasks."""
    policy = Policy.load(model, beta=0.0)
    codec = ChatCodec(policy.tokenizer)

    def make_env() -> CodeFeedbackEnv:
        return CodeFeedbackEnv(tasks=tasks, max_turns=ITERATIONS, transcript="chat")

    with EnvPool(make_env, 4) as envs:
        params = SamplingParams(MAX_TOKENS, temperature=0.6, top_p=0.95)
        engine = TransformersEngine(policy.model, codec)
        sampler = Sampler(engine, codec, envs, params, "chat")
        found = evaluate_with(sampler, iterations=ITERATIONS, seed=seed, batch=len(tasks))
    if found.num_infra_errors:
        raise InfrastructureError(
            f"the sandbox gave no verdict on {found.num_infra_errors} of {len(tasks)} selection "
            "tasks, so checkpoints cannot be compared; try again"
        )
    return found
