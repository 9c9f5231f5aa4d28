"""The whole loop: grow trees, grade them, learn from them, write down what happened.

What the paper does not state and this loop decides: problems per step (8), number of steps (one
pass over the tasks), a learning rate that falls linearly to 0, no warm-up, one optimizer step per
rollout. Weight decay acts at a step without signal too, as long as there is a KL term.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

from murphy_agents import generation, room, wiring
from murphy_agents.algorithms import Algorithm
from murphy_agents.config import TrainConfig, check_kept, steps_of
from murphy_agents.learner import Learner
from murphy_agents.lease import EnvPool, MakeEnv
from murphy_agents.log import RunLog, TrainResult, finished_result
from murphy_agents.run import folder as run_folder
from murphy_agents.strategies import algorithm_of
from murphy_env import Task


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
        ValueError: settings that cannot work together, or not with the run to resume.
        FileExistsError: `output_dir` holds a run already.
    """
    config = dataclasses.replace(config)  # checks once more what may have been changed since
    if config.dry_run:
        raise ValueError("dry_run is set, and this trains; call murphy_agents.dry_run.examine")
    in_place = {"tasks": tasks, "algorithm": algorithm, "make_env": make_env}
    given = [name for name, value in in_place.items() if value is not None]
    algorithm = algorithm or algorithm_of(config)
    wiring.check_installed(config)
    wiring.refuse_nothing_to_train(config)
    run_folder.refuse_used(config, algorithm)
    if run_folder.finished(config):
        return finished_result(Path(config.output_dir))
    make_env = wiring.make_env_of(config, tasks, make_env, algorithm.num_turns)
    # Twice as many environments as programs that run at once: some prepare while others wait.
    with EnvPool(make_env, 2 * config.sandbox_workers) as envs:
        wiring.check_turns(envs, algorithm.num_turns)
        check_kept(config, steps_of(config, len(envs.task_ids)))
        learner = Learner.start(config, wiring.load_policy(config, envs), len(envs.task_ids))
        sampler = wiring.make_sampler(config, learner.policy, envs)
        with closing(sampler.engine):
            sync = generation.make_sync(config, sampler, learner.policy)
            num_long = room.check_room(sampler)
            claimed = run_folder.claimed(config, algorithm, envs.task_ids, given)
            with claimed as run, RunLog(run) as log:
                log.say_long(num_long, len(envs.task_ids))
                learner.load(run.start)
                steps = enumerate(wiring.batches(config, envs.task_ids), 1)
                for step, task_ids in islice(steps, run.state.step, None):
                    synced = sync(step)
                    rollout = sampler.grow(task_ids, algorithm.fanout, seed=(config.seed, step))
                    for root in rollout.roots:
                        algorithm.grade(root)
                    log.step(step, {**synced, **learner.learn(rollout.roots)}, rollout)
                    if run.is_due(step):
                        run.save(step, learner.save, log.to_disk())
                if run.num_steps == 0:
                    run.save(0, learner.save, log.to_disk())
    return log.finish()
