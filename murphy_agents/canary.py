"""Proof that an engine samples with the weights in training: a few prompts, both ways.

An engine that missed a sync still writes good text, and a run that learns from it is wrong without
a sign. So after every sync it completes a few fixed prompts; the trainer gives its own log-probs of
the very tokens, and both must agree. The prompts are the same every time, so that a cache which
older weights left would be met.
"""

from __future__ import annotations

import math
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
        tolerance: largest mean distance of the log-probs of any prompt's completion, in nats.
    """

    prompts: Sequence[tuple[int, ...]]
    temperature: float
    tolerance: float

    def check(self, engine: Engine, model: Model) -> float:
        """Compare an idle engine with a model.

        Returns:
            The mean distance of their log-probs over the completion where it is largest, in nats.

        Raises:
            SyncError: it is above the tolerance, or no number; or the engine draws none.
            EngineDiedError: the engine cannot go on.
        """
        drawn = self._drawn(engine)
        # One by one: the longest would pad the others, and a fault that only it shows be thinned.
        gaps = [
            _gap(model, prompt, done, self.temperature)
            for prompt, done in zip(self.prompts, drawn, strict=True)
        ]
        worst = max(gaps, key=lambda gap: math.inf if math.isnan(gap) else gap)
        if not worst <= self.tolerance:
            prompt = self.prompts[gaps.index(worst)]
            raise SyncError(
                f"after the sync to version {engine.version} of the weights, the engine's "
                f"log-probs of what it drew after a prompt of {len(prompt)} ids are {worst:.3g} "
                f"nats from the trainer's in the mean; the tolerance is {self.tolerance:g}. The "
                "engine does not sample with the weights in training, so nothing that it draws "
                "may be learned from. If the engine is known to compute in a lower precision, "
                "raise sync_tolerance"
            )
        return worst

    def _drawn(self, engine: Engine) -> list[Completion]:
        """A completion of each prompt, in order; the tags are the prompts' places."""
        params = SamplingParams(NUM_TOKENS, self.temperature)
        for place, prompt in enumerate(self.prompts):
            seeds = (place + (engine.version << 8),)
            engine.submit(Request(prompt, seeds, params, tag=place))
        drawn: dict[Hashable, Completion] = {}
        while len(drawn) < len(self.prompts):
            try:
                finished = engine.poll()
            except FloatingPointError as error:
                engine.abort()
                raise SyncError(
                    f"after the sync to version {engine.version} of the weights, the engine "
                    "computes no finite log-probs: it holds weights that were never loaded, or "
                    f"those in training are not finite themselves ({error}). See whether the "
                    "gradients of the last steps were; if they were, start the engine anew and "
                    "resume from the last checkpoint"
                ) from error
            if not finished:
                engine.abort()
                raise SyncError(
                    f"after the sync to version {engine.version} of the weights, the engine has "
                    "lost prompts that it was asked to complete; start it anew and resume from "
                    "the last checkpoint"
                )
            drawn |= {done.tag: done for done in finished}
        return [drawn[place] for place in range(len(self.prompts))]


def _gap(model: Model, prompt: tuple[int, ...], done: Completion, temperature: float) -> float:
    """Mean distance of an engine's log-probs of a completion from the model's own, in nats."""
    with evaluating(model), torch.no_grad():
        wanted_N = trained_logprobs(model, [Sample(prompt, done.ids, 0.0, 0.0)], temperature)
    told_N = torch.tensor(done.logprobs, dtype=torch.float64)
    return float((told_N - wanted_N.double().cpu()).abs().mean())


def tolerance_of(*dtypes: torch.dtype) -> float:
    """The distance that rounding explains between weights of these types, in nats."""
    return max(TOLERANCES.get(dtype, HALF_TOLERANCE) for dtype in dtypes)
