"""The whole loop: grow trees, grade them, learn from them, write down what happened.

What the paper does not state and this loop decides: problems per step (8), number of steps (one
pass over the tasks), a learning rate that falls linearly to 0, no warm-up, one optimizer step per
rollout. Weight decay acts at a step without signal too, as long as there is a KL term.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from murphy_agents import checkpoint, wiring
from murphy_agents.algorithms import Algorithm
from murphy_agents.config import TrainConfig
from murphy_agents.learner import Learner
from murphy_agents.lease import EnvPool, MakeEnv
from murphy_agents.log import RunLog
from murphy_agents.metrics import Metrics
from murphy_agents.strategies import algorithm_of
from murphy_env import Task


@dataclass(frozen=True)
class TrainResult:
    """What a run leaves behind: the final model's folder, the lines of its metrics, a summary."""

    model_dir: Path
    history: list[Metrics]
    summary: str


def train(
    config: TrainConfig,
    tasks: Sequence[Task] | None = None,
    algorithm: Algorithm | None = None,
    make_env: MakeEnv | None = None,
) -> TrainResult:
    """Train a policy to write programs and to repair them.

    Tasks, the algorithm or the environment can be given in place of what `config` says of them;
    `make_env` is called several times, and its environments bring their tasks (see `lease`).

    Raises:
        ValueError: settings that cannot work together.
        FileExistsError: `output_dir` holds a run already.
    """
    config = dataclasses.replace(config)  # checks once more what may have been changed since
    checkpoint.refuse_used(config)
    algorithm = algorithm or algorithm_of(config)
    make_env = wiring.make_env_of(config, tasks, make_env, algorithm.num_turns)
    # Twice as many environments as programs that run at once: some prepare while others wait.
    with EnvPool(make_env, 2 * config.sandbox_workers) as envs:
        wiring.check_turns(envs, algorithm.num_turns)
        learner = Learner.start(config, wiring.load_policy(config, envs), len(envs.task_ids))
        sampler = wiring.make_sampler(config, learner.policy, envs)
        num_long = wiring.check_room(sampler)
        with checkpoint.claimed(config, algorithm) as out, RunLog(out, learner.num_steps) as log:
            log.say_long(num_long, len(envs.task_ids))
            for step, task_ids in enumerate(wiring.batches(config, envs.task_ids), 1):
                rollout = sampler.grow(task_ids, algorithm.fanout, seed=(config.seed, step))
                for root in rollout.roots:
                    algorithm.grade(root)
                log.step(step, learner.learn(rollout.roots), rollout)
                if config.save_steps and step % config.save_steps == 0 and step < learner.num_steps:
                    learner.save(out / f"checkpoint-{step}", step)
            learner.save(out / "final", learner.num_steps)
    return TrainResult(out / "final", log.history, log.finish())
