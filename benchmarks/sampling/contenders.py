"""Ways to draw the same samples: `transformers.generate`, and the library's engines.

Each takes a list of requests, whose samples are as long as `length_of` their seed says, and gives
the completions' ids and log-probs. Work is handed over turn by turn, as level order does.

Both engines give every sample a seed of its own, which makes a tree repeatable; vLLM without seeds
is not measured. `generate` has one random state for the batch.
"""

import importlib.util
from dataclasses import dataclass

import torch

from benchmarks.sampling import models
from benchmarks.sampling.work import Limited
from murphy_agents.engines.transformers import MAX_BATCH_ROWS, TransformersEngine

GENERATE, OURS, VLLM = "transformers.generate", "TransformersEngine", "VllmEngine"


@dataclass
class Drawn:
    """What a contender gave, counted."""

    samples: int = 0
    tokens: int = 0
    logprobs: int = 0
    prompt_tokens: int = 0
    """Ids of the prompts, counted for every sample."""
    prefilled_tokens: int = 0
    """Those that the model read."""

    def take(self, requests, completions):
        """Add the completions, (ids, log-probs), of some requests."""
        self.samples += len(completions)
        self.tokens += sum(len(ids) for ids, _ in completions)
        self.logprobs += sum(len(logprobs) for _, logprobs in completions)
        self.prompt_tokens += sum(len(r.prompt_ids) * len(r.seeds) for r in requests)


class Generate:
    """`transformers.generate`, as many rows at a time as our engine holds.

    A batch is drawn until its longest sample is done; what others have too much is cut off.
    """

    def __init__(self, model, length_of, max_rows=MAX_BATCH_ROWS):
        self._model = model
        self._length_of = length_of
        self._max_rows = max_rows

    def __call__(self, requests):
        """Completions, (ids, log-probs), and how many prompt ids were read."""
        samples = len(requests[0].seeds)
        at_once = max(1, self._max_rows // samples)
        drawn = []
        for first in range(0, len(requests), at_once):
            drawn += self._batch(requests[first : first + at_once], samples)
        # It repeats a prompt for each of its samples before it reads it.
        return drawn, sum(len(r.prompt_ids) * len(r.seeds) for r in requests)

    def _batch(self, requests, samples):
        ids = torch.tensor([r.prompt_ids for r in requests], device=self._model.device)
        limits = [self._length_of(seed) for r in requests for seed in r.seeds]
        params = requests[0].params
        with torch.no_grad():
            made = self._model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=True,
                top_k=0,
                top_p=params.top_p,
                temperature=params.temperature,
                max_new_tokens=max(limits),
                num_return_sequences=samples,
                return_dict_in_generate=True,
                output_scores=True,
            )
        new_ids = made.sequences[:, ids.shape[1] :]
        # The cheapest way to their log-probs: nothing is stacked but the numbers wanted.
        logprobs = torch.stack(
            [
                scores.log_softmax(-1).gather(1, chosen[:, None]).squeeze(1)
                for scores, chosen in zip(made.scores, new_ids.T, strict=True)
            ],
            dim=1,
        )
        rows = zip(new_ids.tolist(), logprobs.tolist(), limits, strict=True)
        return [(row[:limit], logs[:limit]) for row, logs, limit in rows]


class OfEngine:
    """One of the library's engines, driven as the sampler does."""

    def __init__(self, engine, length_of):
        self._engine = Limited(engine, length_of)

    def __call__(self, requests):
        """Completions, (ids, log-probs), and how many prompt ids were read."""
        before = self._engine.stats.prefilled_tokens
        for request in requests:
            self._engine.submit(request)
        drawn = []
        while finished := self._engine.poll():
            drawn += [(completion.ids, completion.logprobs) for completion in finished]
        return drawn, self._engine.stats.prefilled_tokens - before


class Contest:
    """All contenders that can run here, around one model; a context manager, since engines close.

    Attributes:
        names: contenders that run.
        left_out: `{contender: why}` of those that cannot.
    """

    def __init__(self, model, codec):
        self.names = [GENERATE, OURS]
        self.left_out = {}
        self._model = model
        self._engines = {OURS: TransformersEngine(model, codec)}
        try:
            self._engines[VLLM] = vllm_engine(model, codec)
            self.names.append(VLLM)
        except ValueError as error:  # it says what is missing, or what it cannot serve
            self.left_out[VLLM] = str(error)

    def draw(self, name, turns, length_of):
        """Have a contender draw all turns, one after the other; what it gave."""
        if name == GENERATE:
            contender = Generate(self._model, length_of)
        else:
            contender = OfEngine(self._engines[name], length_of)
        drawn = Drawn()
        for requests in turns:
            completions, prefilled_tokens = contender(requests)
            drawn.take(requests, completions)
            drawn.prefilled_tokens += prefilled_tokens
        return drawn

    def __enter__(self):
        """Engines are there already."""
        return self

    def __exit__(self, *_):
        """Free what they hold: of vLLM's, one at a time may be alive."""
        for engine in self._engines.values():
            engine.close()


def vllm_engine(model, codec, dtype="float32", **options):
    """Our engine on vLLM with the weights of `model`.

    Raises:
        ValueError: vLLM is not installed, or cannot serve the model.
    """
    if importlib.util.find_spec("vllm") is None:
        raise ValueError("vllm is not installed here")
    from murphy_agents.engines.vllm import VllmEngine

    context_length = model.config.max_position_embeddings
    with models.saved(model) as folder:
        try:
            return VllmEngine(folder, codec, dtype=dtype, context_length=context_length, **options)
        except ValueError as error:
            # Where the folder lay is of no interest.
            raise ValueError(str(error).replace(f" {folder}", "")) from error
