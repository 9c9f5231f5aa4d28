"""One update's loss and gradient in five ways: the same numbers in, the same gradient out.

| way                   | rows                                   | output layer on             |
|-----------------------|----------------------------------------|-----------------------------|
| trl                   | TRL's padding and micro-batches        | every position              |
| padded, compact head  | the same, by TRL too                   | completion tokens           |
| padded, sorted        | the library's padded layout, by length | trained tokens              |
| unpadded              | one sequence at a time                 | trained tokens              |
| trie                  | the library's trie layout              | states that predict trained |

Each way runs forward and backward of all its micro-batches; no optimizer. With `whole` everything
is in one forward and one backward: for memory.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from benchmarks.update import peer, trees
from murphy_agents.tiny import make_model, make_tokenizer
from murphy_agents.update import murphy_loss, trained_logprobs
from murphy_agents.update.layout import micro_batches

UNBOUNDED = 1 << 40
REFERENCE = "unpadded"
"""The way that the others' gradients are compared with."""


class Problem:
    """A problem's samples with old and reference log-probs given as numbers.

    Attributes:
        samples: of the problem.
        old_N, ref_N: of their trained tokens, sample after sample; near the model's own but apart
            from it and from each other, so that ratio, clipping and KL term all have work to do.
    """

    def __init__(self, model, samples, settings, seed=0):
        self.samples = list(samples)
        self._made = {}
        with torch.no_grad():
            logp_N = torch.cat(
                [
                    trained_logprobs(model, [sample], settings["loss"]["temperature"])
                    for sample in self.samples
                ]
            )
        generator = torch.Generator().manual_seed(seed)
        self.old_N, self.ref_N = (
            logp_N + settings["off_policy"] * torch.randn(logp_N.shape, generator=generator)
            for _ in range(2)
        )

    @cached_property
    def _places(self):
        lengths = [len(sample.completion_ids) for sample in self.samples]
        places = torch.arange(sum(lengths)).split(lengths)
        return {id(sample): place for sample, place in zip(self.samples, places, strict=True)}

    def once(self, key, make):
        """What `make` gives, made at the first call with this key."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def of_samples(self, values_N, samples=None):
        """The values of each of these samples; default: of all."""
        return [values_N[self._places[id(s)]] for s in samples or self.samples]


@dataclass
class Contest:
    """What all ways share: a model, a trainer around it, the loss's coefficients, a budget."""

    model: Any
    loss: dict
    micro_batch: int
    token_budget: int

    @classmethod
    def of(cls, kind, settings):
        """The contest of a run's part `time`, with a random model of a kind."""
        wanted = settings["time"]
        return cls(
            tiny_model(kind, settings),
            settings["loss"],
            wanted["micro_batch"],
            round(wanted["scale"] * wanted["token_budget"]),
        )

    @cached_property
    def trainer(self):
        """TRL's, made when a way first asks for it."""
        return peer.make(self.model, self.loss, self.micro_batch)

    def run(self, way, problem, whole=False):
        """The loss, with its gradient left in the model's parameters."""
        self.model.zero_grad(set_to_none=True)
        return WAYS[way](self, problem, whole)

    def gradient(self):
        """All gradients as one vector."""
        return torch.cat([p.grad.flatten() for p in self.model.parameters() if p.grad is not None])

    def distances(self, problem):
        """Norm of each way's difference to `REFERENCE`'s gradient, over the norm of that."""
        self.run(REFERENCE, problem)
        wanted = self.gradient().double()
        found = {}
        for way in WAYS:
            self.run(way, problem)
            found[way] = ((self.gradient().double() - wanted).norm() / wanted.norm()).item()
        return found


def tiny_model(kind, settings):
    """A random model with the settings' sizes, in training mode; norms of keys are Qwen3's alone."""
    sizes = settings["time"]["model"]
    return make_model(
        kind,
        make_tokenizer(["add"]),
        num_layers=sizes["num_hidden_layers"],
        max_position_embeddings=1 << 15,
        **{name: value for name, value in sizes.items() if name != "num_hidden_layers"},
    )


def problem(contest, shape, transcript, settings, seed, scaled_lengths):
    """A random problem of a shape for the contest's model."""
    vocabulary = contest.model.config.vocab_size
    samples = trees.samples(shape, transcript, scaled_lengths, seed, vocabulary)
    return Problem(contest.model, samples, settings, seed)


def _trl(contest, problem, whole):
    rows = len(problem.samples) if whole else contest.micro_batch
    total = 0.0
    for part in problem.once(("trl", rows), lambda: peer.inputs(contest.trainer, problem, rows)):
        loss = contest.trainer._compute_loss(contest.model, part)
        loss.backward()
        total += loss.item()
    return total


def _compact(contest, problem, whole):
    with peer.compact_head():
        return _trl(contest, problem, whole)


def _sorted(contest, problem, whole):
    return _laid_out(contest, problem, whole, "padded")


def _unpadded(contest, problem, whole):
    return _backward(contest, problem, [[sample] for sample in problem.samples], whole)


def _trie(contest, problem, whole):
    return _laid_out(contest, problem, whole, "trie")


def _laid_out(contest, problem, whole, layout):
    budget = UNBOUNDED if whole else contest.token_budget
    return _backward(contest, problem, micro_batches(problem.samples, budget, layout), whole)


def _backward(contest, problem, parts, whole):
    losses = []
    for part in parts:
        loss = _loss(contest, problem, part)
        if not whole:
            loss.backward()
            loss = loss.detach()
        losses.append(loss)
    total = torch.stack(losses).sum()
    if whole:
        total.backward()
    return total.item()


def _loss(contest, problem, part):
    samples = part if isinstance(part, list) else part.samples
    logp_N, _ = trained_logprobs(
        contest.model, part, contest.loss["temperature"], with_entropy=True
    )
    lengths = torch.tensor([len(sample.completion_ids) for sample in samples])
    advantage_N, weight_N = (
        torch.tensor([getattr(s, name) for s in samples]).repeat_interleave(lengths)
        for name in ("advantage", "weight")
    )
    old_N, ref_N = (
        torch.cat(problem.of_samples(values_N, samples))
        for values_N in (problem.old_N, problem.ref_N)
    )
    loss, _ = murphy_loss(
        logp_N, old_N, ref_N, advantage_N, weight_N, contest.loss["epsilon"], contest.loss["beta"]
    )
    return loss


WAYS = {
    "trl": _trl,
    "padded, compact head": _compact,
    "padded, sorted": _sorted,
    "unpadded": _unpadded,
    "trie": _trie,
}
