"""What engines are asked for: prompts of random ids, and how long each sample is to be.

No sample ends by itself. Its seed tells its length, so that every contender and every schedule
draws the same number of tokens for it.
"""

import math
import random
from dataclasses import dataclass, replace
from statistics import NormalDist

from murphy_agents.engines.protocol import Request, SamplingParams

FIRST_ID = 3
"""Ids below it are never used: the first ones of a tokenizer are its special tokens."""


@dataclass(frozen=True)
class Equal:
    """Every sample has `most` tokens."""

    most: int

    def __call__(self, seed):
        """Tokens of a sample."""
        return self.most


@dataclass(frozen=True)
class Skewed:
    """A log-normal number of tokens, cut to [`least`, `most`]."""

    median: float
    sigma: float
    least: int
    most: int

    def __call__(self, seed):
        """Tokens of a sample."""
        share = random.Random(f"length of {seed}").random() or 0.5
        drawn = self.median * math.exp(self.sigma * NormalDist().inv_cdf(share))
        return max(self.least, min(self.most, round(drawn)))


def lengths_of(wanted):
    """The lengths that a row of the settings describes: `{most: N}` or those of `Skewed`."""
    return Equal(**wanted) if set(wanted) == {"most"} else Skewed(**wanted)


def turns(shape, sizes, vocab_size, length_of, seed=0):
    """Two lists of requests: the prompts, then a longer one for each of the first samples.

    Args:
        shape: `prompts`, `samples` of each, and `refinements` of each sample.
        sizes: `prompt` and `child_prompt`, ids; a child begins with its parent's prompt.
        vocab_size: of the model.
        length_of: tokens of a sample, by its seed.
        seed: of the ids and of all samples; every round has another.
    """
    rng = random.Random(f"work {seed}")

    def ids(count):
        return tuple(rng.randrange(FIRST_ID, vocab_size) for _ in range(count))

    def request(prompt_ids, samples, tag):
        seeds = tuple(rng.getrandbits(62) for _ in range(samples))
        return Request(prompt_ids, seeds, SamplingParams(length_of.most), tag)

    first = [request(ids(sizes["prompt"]), shape["samples"], i) for i in range(shape["prompts"])]
    parents = [parent.prompt_ids for parent in first for _ in parent.seeds]
    more = sizes["child_prompt"] - sizes["prompt"]
    second = [
        request(parent + ids(more), shape["refinements"], tag) for tag, parent in enumerate(parents)
    ]
    return first, second


class Limited:
    """An engine whose samples are as long as `length_of` their seed says.

    A request is passed on in as many parts as its samples have lengths.
    """

    def __init__(self, engine, length_of):
        self._engine = engine
        self._length_of = length_of
        self._origin = {}

    def __getattr__(self, name):
        """All else is the engine's own."""
        return getattr(self._engine, name)

    def submit(self, request):
        """Queue the parts of a request."""
        parts = {}
        for index, seed in enumerate(request.seeds):
            parts.setdefault(self._length_of(seed), []).append(index)
        for length, indices in parts.items():
            tag = (request.tag, indices[0])
            self._origin[tag] = request.tag, indices
            seeds = tuple(request.seeds[i] for i in indices)
            params = replace(request.params, max_tokens=length)
            self._engine.submit(replace(request, seeds=seeds, params=params, tag=tag))

    def poll(self, timeout=None):
        """What has finished, under the tags and indices that were asked for."""
        return [self._restored(completion) for completion in self._engine.poll(timeout)]

    def _restored(self, completion):
        tag, indices = self._origin[completion.tag]
        return replace(completion, tag=tag, index=indices[completion.index])
