"""Proof that an engine samples with the weights in training: a few prompts, both ways.

An engine that missed a sync still writes good text, and a run that learns from it is wrong without
a sign. So after every sync it completes a few fixed prompts; the trainer gives its own log-probs of
the very tokens, and both must agree. The prompts are the same every time, so that a cache which
older weights left would be met.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch

from murphy_agents.engines.protocol import Completion, Engine, EngineError, Request, SamplingParams
from murphy_agents.evaluation_mode import evaluating
from murphy_agents.update import Sample, trained_logprobs
from murphy_agents.update.requirements import Model

NUM_TOKENS = 16
"""Tokens of each completion, at most."""
TOLERANCES = {torch.float64: 1e-6, torch.float32: 1e-4}
"""Mean distance of log-probs, in nats, that rounding explains where both have such weights."""
HALF_TOLERANCE = 0.05
"""The same where one of them is in half precision, which moves log-probs by hundredths."""


class SyncError(EngineError):
    """After a sync, engine and trainer do not give the same log-probs."""


@dataclass(frozen=True)
class Canary:
    """What is asked after a sync, and how far apart the answers may be.

    Attributes:
        prompts: token ids; a few, at least one.
        temperature: at which log-probs are compared, above 0.
        tolerance: largest mean distance of the log-probs of all tokens, in nats.
    """

    prompts: Sequence[tuple[int, ...]]
    temperature: float
    tolerance: float

    def check(self, engine: Engine, model: Model) -> float:
        """Compare an idle engine with a model; the mean distance of their log-probs, in nats.

        Raises:
            SyncError: it is above the tolerance, or no number.
            EngineDiedError: the engine cannot go on.
        """
        drawn = self._drawn(engine)
        pairs = zip(self.prompts, drawn, strict=True)
        samples = [Sample(prompt, done.ids, 0.0, 0.0) for prompt, done in pairs]
        with evaluating(model), torch.no_grad():
            wanted_N = trained_logprobs(model, samples, self.temperature).double().cpu()
        told_N = torch.tensor([p for done in drawn for p in done.logprobs], dtype=torch.float64)
        gap = float((told_N - wanted_N).abs().mean())
        if not gap <= self.tolerance:
            raise SyncError(
                f"after the sync to version {engine.version} of the weights, the engine's "
                f"log-probs of {len(told_N)} tokens are {gap:.3g} nats from the trainer's in the "
                f"mean, {float((told_N - wanted_N).abs().max()):.3g} at most; the tolerance is "
                f"{self.tolerance:g}. The engine does not sample with the weights in training, so "
                "nothing that it draws may be learned from. If the engine is known to compute in "
                "a lower precision, raise sync_tolerance"
            )
        return gap

    def _drawn(self, engine: Engine) -> list[Completion]:
        """A completion of each prompt, in order; the tags are the prompts' places."""
        params = SamplingParams(NUM_TOKENS, self.temperature)
        for place, prompt in enumerate(self.prompts):
            seeds = (place + (engine.version << 8),)
            engine.submit(Request(prompt, seeds, params, tag=place))
        drawn: dict[Hashable, Completion] = {}
        while len(drawn) < len(self.prompts):
            if not (finished := engine.poll()):
                raise SyncError("the engine has lost prompts that it was asked to complete")
            drawn |= {done.tag: done for done in finished}
        return [drawn[place] for place in range(len(self.prompts))]


def tolerance_of(*dtypes: torch.dtype) -> float:
    """The distance that rounding explains between weights of these types, in nats."""
    return max(TOLERANCES.get(dtype, HALF_TOLERANCE) for dtype in dtypes)
