"""The policy update: graded trees to a weighted batch, to log-probs, to a loss, to a step."""

from murphy_agents.update.batch import Batch, Sample, count, make_batch
from murphy_agents.update.correction import Correction, correction_named
from murphy_agents.update.layout import MicroBatch, micro_batches
from murphy_agents.update.logprob import trained_logprobs
from murphy_agents.update.loss import murphy_loss
from murphy_agents.update.normaliser import Totals, normaliser_named
from murphy_agents.update.packable import packing_obstacle, settled_layout
from murphy_agents.update.step import UpdateSettings, update
from murphy_agents.update.surrogate import surrogate_named

__all__ = [
    "Batch",
    "Correction",
    "MicroBatch",
    "Sample",
    "Totals",
    "UpdateSettings",
    "correction_named",
    "count",
    "make_batch",
    "micro_batches",
    "murphy_loss",
    "normaliser_named",
    "packing_obstacle",
    "settled_layout",
    "surrogate_named",
    "trained_logprobs",
    "update",
]
