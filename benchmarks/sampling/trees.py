"""Rollouts through the library's own sampler, in a world whose programs only take time."""

import time

from benchmarks.sampling.work import Limited, lengths_of
from benchmarks.sampling.world import TURNS, SleepEnv
from murphy_agents.engines.protocol import SamplingParams
from murphy_agents.engines.transformers import TransformersEngine
from murphy_agents.lease import EnvPool
from murphy_agents.sampler import Sampler


class World:
    """A model that speaks, and what the settings say of shapes and lengths."""

    def __init__(self, model, codec, settings):
        self._model = model
        self._codec = codec
        self._shapes = settings["schedules"]["shapes"]
        self._lengths = settings["lengths"]

    def grow(self, row, schedule, seed, problems=None):
        """One rollout, and the processor seconds that it took.

        Args:
            row: `shape`, `lengths`, `execution_s`, `workers`.
            schedule: "level" or "eager".
            seed: of all draws; every round has another.
            problems: how many of the shape's; None: all.
        """
        shape = self._shapes[row["shape"]]
        shape = shape | {"problems": problems or shape["problems"]}
        length_of = lengths_of(self._lengths[row["lengths"]])
        engine = TransformersEngine(self._model, self._codec)
        started = time.process_time()
        rollout = grow(engine, self._codec, length_of, shape, row, schedule, seed)
        return rollout, time.process_time() - started


def grow(engine, codec, length_of, shape, row, schedule, seed):
    """The trees of one rollout: every attempt fails, so every one that may branch does."""
    fanout = shape["fanout"]
    if len(fanout) != TURNS:
        raise ValueError(f"fanout is {fanout}; this world has {TURNS} turns, give as many numbers")

    def make_env():
        return SleepEnv(shape["problems"], row["execution_s"])

    with EnvPool(make_env, row["workers"]) as envs:
        params = SamplingParams(length_of.most)
        sampler = Sampler(Limited(engine, length_of), codec, envs, params, schedule=schedule)
        return sampler.grow(envs.task_ids, lambda _, turn: fanout[turn - 1], (seed,))


def told(grown):
    """What a rollout took, by name; see `murphy_agents.rollout.Rollout`."""
    rollout, cpu_s = grown
    return {
        "seconds": round(rollout.seconds, 6),
        "generation_s": round(rollout.generation_s, 6),
        "execution_s": round(rollout.execution_s, 6),
        "judging_s": round(rollout.judging_s, 6),
        "cpu_s": round(cpu_s, 6),
        "programs": rollout.num_generations,
    }
