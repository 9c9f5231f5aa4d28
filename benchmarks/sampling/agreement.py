"""How many nodes the two schedules draw differently.

The same seeds, the same model, programs whose time varies with what they say, so that prompts meet
other prompts in a batch under every schedule: `{dtype: {"nodes", "differ", "first"}}`. A node
differs if its ids are others; `first` counts those whose prompts are still the same, which is where
rounding chose another token. All that grows from such a node is another tree.
"""

import random

import torch

from benchmarks.sampling import models, trees
from benchmarks.sampling.work import lengths_of
from benchmarks.sampling.world import NumberCodec
from murphy_agents.engines.transformers import TransformersEngine
from murphy_agents.tree import groups


def measure(settings, say=print):
    """Counts for every dtype of the settings."""
    found = {}
    for dtype in settings["agreement"]["dtypes"]:
        level, eager = (_rollout(settings, dtype, schedule) for schedule in ("level", "eager"))
        found[dtype] = compare(level.roots, eager.roots)
        say(f"  {dtype}: {found[dtype]}")
    return found


def compare(roots, others):
    """Nodes of trees of one shape that have other ids than those at their place in the others."""
    pairs = [
        (group, other)
        for root, another in zip(roots, others, strict=True)
        for group, other in zip(groups(root), groups(another), strict=True)
    ]
    nodes = differ = first = 0
    for group, other in pairs:
        apart = [
            one.completion_ids != two.completion_ids
            for one, two in zip(group.nodes, other.nodes, strict=True)
        ]
        nodes += len(apart)
        differ += sum(apart)
        first += sum(apart) * (group.prompt_ids == other.prompt_ids)
    return {"nodes": nodes, "differ": differ, "first": first}


def _rollout(settings, dtype, schedule):
    wanted = settings["agreement"]
    model = models.make(settings["models"][wanted["model"]], getattr(torch, dtype))
    codec = NumberCodec(settings["sizes"], model.config.vocab_size)
    length_of = lengths_of(settings["lengths"][wanted["lengths"]])

    def execution_s(text):
        return random.Random(text).uniform(0, wanted["most_s"])

    row = {"execution_s": execution_s, "workers": wanted["workers"]}
    engine = TransformersEngine(model, codec)
    return trees.grow(engine, codec, length_of, wanted["shape"], row, schedule, seed=0)
