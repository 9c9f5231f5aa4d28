"""Log-probs of trained tokens: what padding, chunks and adapters must not change."""

import copy
import math

import pytest
import torch
from definition1 import sequence_logprobs
from models import gradient, random_samples, small_model, tokenizer

from murphy_agents.policy import LoraSettings, Policy
from murphy_agents.tiny import make_model
from murphy_agents.update import head, trained_logprobs
from murphy_agents.update.layout import Padded


def one_by_one(model, samples, temperature):
    return torch.stack(
        [
            logp
            for s in samples
            for logp in sequence_logprobs(model, s.prompt_ids, s.completion_ids, temperature)
        ]
    )


@pytest.mark.parametrize("kind", ["qwen3", "olmo2", "llama"])
def test_padded_rows_give_what_each_sequence_gives_alone(kind):
    model, samples = small_model(kind), random_samples(7)
    found = trained_logprobs(model, samples, temperature=0.6)
    torch.testing.assert_close(found, one_by_one(model, samples, 0.6), rtol=0, atol=1e-12)


def test_padded_rows_give_what_each_sequence_gives_alone_with_stock_float32_norms():
    model = make_model("qwen3", tokenizer(), hidden_size=32).double()
    samples = random_samples(7)
    found = trained_logprobs(model, samples, temperature=0.6)
    torch.testing.assert_close(found, one_by_one(model, samples, 0.6), rtol=0, atol=1e-6)


def test_the_flat_order_is_sample_after_sample():
    model, samples = small_model(), random_samples(5)
    found = trained_logprobs(model, samples, temperature=1.0)
    backwards = trained_logprobs(model, samples[::-1], temperature=1.0)
    lengths = [len(s.completion_ids) for s in samples]
    turned = torch.cat(backwards.split(lengths[::-1])[::-1])
    torch.testing.assert_close(found, turned, rtol=0, atol=1e-12)


def test_a_model_that_knows_nothing_is_uniform_at_every_temperature():
    model, samples = small_model("llama"), random_samples(3)
    torch.nn.init.zeros_(model.lm_head.weight)
    vocabulary = model.config.vocab_size
    logp_N, entropy_N = trained_logprobs(model, samples, temperature=0.3, with_entropy=True)
    torch.testing.assert_close(logp_N, torch.full_like(logp_N, -math.log(vocabulary)))
    torch.testing.assert_close(entropy_N, torch.full_like(logp_N, math.log(vocabulary)))


def test_entropy_is_that_of_the_distribution_at_the_sampling_temperature():
    model, samples = small_model(), random_samples(1)
    sample = samples[0]
    _, entropy_N = trained_logprobs(model, samples, temperature=0.7, with_entropy=True)
    ids = torch.tensor([[*sample.prompt_ids, *sample.completion_ids]])
    logits = model(ids).logits[0, len(sample.prompt_ids) - 1 : -1]
    expected = torch.distributions.Categorical(logits=logits / 0.7).entropy()
    torch.testing.assert_close(entropy_N, expected, rtol=0, atol=1e-12)
    assert not entropy_N.requires_grad


def test_chunks_of_the_head_change_neither_value_nor_gradient(monkeypatch):
    samples = random_samples(6)
    results = []
    for max_logits in (1 << 26, 5 * 264):
        monkeypatch.setattr(head, "MAX_LOGITS", max_logits)
        model = small_model("olmo2")
        logp_N, entropy_N = trained_logprobs(model, samples, 0.6, with_entropy=True)
        (logp_N * torch.arange(len(logp_N))).sum().backward()
        results.append((logp_N.detach(), entropy_N, gradient(model)))
    assert len(results[0][0]) > 2 * 5  # more than two chunks
    for whole, chunked in zip(*results, strict=True):
        torch.testing.assert_close(whole, chunked, rtol=0, atol=1e-11)


def test_chunks_keep_few_logits_for_backward(monkeypatch):
    samples, vocabulary = random_samples(6), 264
    model = small_model()
    kept = []
    for max_logits in (1 << 26, 5 * vocabulary):
        monkeypatch.setattr(head, "MAX_LOGITS", max_logits)
        rows = []

        def pack(tensor, rows=rows):
            if tensor.shape[-1:] == (vocabulary,):
                rows.append(tensor.shape[0])
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            trained_logprobs(model, samples, 0.6)
        kept.append(sum(rows))
    assert kept[0] >= sum(len(s.completion_ids) for s in samples)
    assert kept[1] == 0


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft's own use
def test_adapters_count_as_if_merged_into_the_weights():
    policy = Policy.wrap(small_model(), tokenizer(), lora=LoraSettings(r=4), seed=1)
    for name, parameter in policy.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3, generator=torch.Generator().manual_seed(2))
    samples = random_samples(4)
    found = trained_logprobs(policy.model, samples, 1.0)
    merged = copy.deepcopy(policy.model).merge_and_unload()
    torch.testing.assert_close(found, trained_logprobs(merged, samples, 1.0), rtol=0, atol=1e-5)
    with policy.reference() as base:
        assert (found - trained_logprobs(base, samples, 1.0)).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [(torch.bfloat16, torch.float32), (torch.float32, torch.float32)],
)
def test_log_probs_are_at_least_float32(dtype, expected):
    model = make_model("qwen3", tokenizer(), hidden_size=32).to(dtype)
    assert trained_logprobs(model, random_samples(2), 1.0).dtype == expected


def test_forwarded_tokens_count_padding():
    samples = random_samples(5)
    longest = max(len(s.prompt_ids) + len(s.completion_ids) for s in samples)
    assert Padded(samples).num_positions == 5 * longest


def test_a_temperature_of_zero_is_refused():
    with pytest.raises(ValueError, match="temperature is 0"):
        trained_logprobs(small_model(), random_samples(1), 0)
