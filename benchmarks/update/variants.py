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

from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from benchmarks.update import peer, trees
from murphy_agents.tiny import make_model, make_tokenizer
from murphy_agents.update import murphy_loss, trained_logprobs
from murphy_agents.update.layout import Padded, micro_batches

UNBOUNDED = 1 << 40
REFERENCE = "unpadded"
"""The way that the others' gradients are compared with."""


class Problem:
    """A problem's samples with old and reference log-probs given as numbers.

    Both are of its trained tokens, sample after sample: near the model's own but apart from it and
    from each other, so that ratio, clipping and KL term all have work to do.
    """

    def __init__(self, model, samples, settings, seed=0):
        self.samples = list(samples)
        self._made = {}
        temperature = settings["loss"]["temperature"]
        with torch.no_grad():
            each = [trained_logprobs(model, [sample], temperature) for sample in self.samples]
        logp_N = torch.cat(each).float().cpu()
        generator = torch.Generator().manual_seed(seed)
        self.old_N, self.ref_N = (
            logp_N + settings["off_policy"] * torch.randn(logp_N.shape, generator=generator)
            for _ in range(2)
        )

    @property
    def given(self):
        """Old and reference log-probs."""
        return self.old_N, self.ref_N

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
    """What all ways share: a model in training mode, the loss's coefficients, budgets."""

    model: Any
    loss: dict
    micro_batch: int
    """TRL's sequences at a time."""
    token_budget: int
    """The library's positions at a time."""
    autocast: torch.dtype | None = None
    """Half precision for the products of a float32 model; None: none."""
    attention: str | None = None
    """How attention along a trie is done; None: as the device asks for."""

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
        return peer.make(self.model, self.loss, self.micro_batch, self.autocast is not None)

    def prepare(self, problem, whole=False):
        """Make TRL's inputs of a problem now, as its trainer does before the update."""
        _trl_inputs(self, problem, whole)

    def run(self, way, problem, whole=False):
        """The loss, with its gradient left in the model's parameters."""
        self.model.zero_grad(set_to_none=True)
        return (WAYS | {CHOSEN: _auto})[way](self, problem, whole)

    def distances(self, problem, ways=None):
        """Norm of each way's difference to `REFERENCE`'s gradient, over the norm of that."""
        self.run(REFERENCE, problem)
        wanted = [gradient.clone() for gradient in self._gradients()]
        found = {}
        for way in ways or WAYS:
            self.run(way, problem)
            pairs = zip(self._gradients(), wanted, strict=True)
            found[way] = _norm(own.double() - other for own, other in pairs) / _norm(wanted)
        return found

    def _gradients(self):
        return [p.grad for p in self.model.parameters() if p.grad is not None]


def _norm(tensors):
    return sum(tensor.double().pow(2).sum().item() for tensor in tensors) ** 0.5


def tiny_model(kind, settings):
    """A random model with the settings' sizes, in training mode."""
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
    total = 0.0
    for part in _trl_inputs(contest, problem, whole):
        loss = contest.trainer._compute_loss(contest.model, part)
        loss.backward()
        total += loss.item()
    return total


def _trl_inputs(contest, problem, whole):
    rows = len(problem.samples) if whole else contest.micro_batch
    return problem.once(("trl", rows), lambda: peer.inputs(contest.trainer, problem, rows))


def _compact(contest, problem, whole):
    with peer.compact_head():
        return _trl(contest, problem, whole)


def _sorted(contest, problem, whole):
    return _laid_out(contest, problem, whole, "padded")


def _unpadded(contest, problem, whole):
    return _backward(contest, problem, [Padded([sample]) for sample in problem.samples], whole)


def _trie(contest, problem, whole):
    return _laid_out(contest, problem, whole, "trie")


def _auto(contest, problem, whole):
    return _laid_out(contest, problem, whole, "auto")


def _laid_out(contest, problem, whole, layout):
    budget = UNBOUNDED if whole else contest.token_budget
    parts = micro_batches(problem.samples, budget, layout, contest.attention)
    return _backward(contest, problem, parts, whole)


def _backward(contest, problem, parts, whole):
    losses = []
    for part in parts:
        # Under checkpointing layers run again in backward and must find the same attention.
        with part.attention(contest.model):
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
    device = contest.model.device.type
    with torch.autocast(device, contest.autocast) if contest.autocast else nullcontext():
        logp_N, _ = trained_logprobs(
            contest.model, part, contest.loss["temperature"], with_entropy=True
        )
    lengths = torch.tensor([len(sample.completion_ids) for sample in part.samples])
    columns = [
        *(torch.cat(problem.of_samples(values_N, part.samples)) for values_N in problem.given),
        *(
            torch.tensor([getattr(s, name) for s in part.samples]).repeat_interleave(lengths)
            for name in ("advantage", "weight")
        ),
    ]
    columns = [column_N.to(logp_N) for column_N in columns]
    return murphy_loss(logp_N, *columns, contest.loss["epsilon"], contest.loss["beta"])[0]


CHOSEN = "as chosen"
"""The library's own choice of a layout."""
WAYS = {
    "trl": _trl,
    "padded, compact head": _compact,
    "padded, sorted": _sorted,
    "unpadded": _unpadded,
    "trie": _trie,
}
SMALL_WAYS = ("padded, sorted", "trie", CHOSEN)
"""Those that are compared for small models."""
