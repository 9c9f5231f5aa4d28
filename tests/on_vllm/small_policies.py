"""What tests of the engines on vLLM share: small policies in folders, and how far two are apart.

Heads are 32 wide, the least that vLLM knows on a CPU. Weights are large enough for distributions
that are far from even, so that other weights show in every token.
"""

import torch

from murphy_agents.canary import Canary
from murphy_agents.codec import ChatCodec
from murphy_agents.engines.protocol import Request, SamplingParams
from murphy_agents.engines.vllm import VllmEngine
from murphy_agents.tiny import make_model, make_tokenizer
from murphy_agents.tiny.models import save_policy
from murphy_agents.update import Sample, trained_logprobs

TOKENIZER = make_tokenizer(["def add(a, b):\n    return a + b\n"])
CODEC = ChatCodec(TOKENIZER)
END = CODEC.end_of_turn
SHORT, LONG = (5, 6), tuple(range(10, 110))
CANARY = Canary([SHORT, LONG], 0.6, 1e-4)
"""One prompt of three full blocks, which a stale cache would answer for, and one of none."""


def saved_model(folder, kind="qwen3", **settings):
    """A random model, which is in `folder` too, with its tokenizer."""
    model = make_model(kind, TOKENIZER, initializer_range=0.1, head_dim=32, **settings).eval()
    save_policy(model, TOKENIZER, folder)
    return model


def make_engine(folder, dtype="float32", **options):
    """An engine with a cache of 64 MiB."""
    return VllmEngine(folder, CODEC, dtype=dtype, kv_cache_memory_bytes=1 << 26, **options)


def drained(engine, requests):
    """Completions by (tag, index), submitted together."""
    for request in requests:
        engine.submit(request)
    found = {}
    while finished := engine.poll():
        found |= {(c.tag, c.index): c for c in finished}
    return found


def told_and_trained(engine, model, temperature, prompts=(SHORT, LONG), num_samples=8):
    """Log-probs of the same sampled tokens: the engine's and the trainer's."""
    params = SamplingParams(16, temperature)
    requests = [Request(p, tuple(range(num_samples)), params, len(p)) for p in prompts]
    found = drained(engine, requests)
    samples, told = [], []
    for request in requests:
        for index in range(num_samples):
            done = found[request.tag, index]
            samples.append(Sample(request.prompt_ids, done.ids, 0.0, 0.0))
            told += done.logprobs
    with torch.no_grad():
        return torch.tensor(told), trained_logprobs(model, samples, temperature)


def farthest(engine, model, temperature=1.0, **more):
    """Largest distance of the log-probs of a token, in nats."""
    told_N, trained_N = told_and_trained(engine, model, temperature, **more)
    return float((told_N - trained_N).abs().max())


@torch.no_grad()
def move(parameters, seed, size=0.02):
    """Change weights at random, as a large step of training would."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.add_(size * torch.randn(parameter.shape, generator=generator))
