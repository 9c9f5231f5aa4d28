"""The policy update: graded trees to a weighted batch, to log-probs, to a loss, to a step."""

from murphy_agents.update.batch import Batch, Sample, count, make_batch
from murphy_agents.update.logprob import trained_logprobs
from murphy_agents.update.loss import murphy_loss
from murphy_agents.update.normaliser import Totals, normaliser_named
from murphy_agents.update.step import UpdateSettings, update

__all__ = [
    "Batch",
    "Sample",
    "Totals",
    "UpdateSettings",
    "count",
    "make_batch",
    "murphy_loss",
    "normaliser_named",
    "trained_logprobs",
    "update",
]
