"""Layouts of a micro-batch: run along a trie or padded, values and gradients are the same."""

import dataclasses
import random

import numpy as np
import pytest
import torch
from definition1 import objective
from models import (
    gradient,
    perturbed,
    random_samples,
    related_tree,
    sliding_model,
    small_model,
    tokenizer,
)

from murphy_agents.policy import LoraSettings, Policy
from murphy_agents.tiny import make_model
from murphy_agents.update import Sample, make_batch, murphy_loss, trained_logprobs
from murphy_agents.update.layout import Packed, Padded, micro_batches

SHAPES = {
    "one turn": {"fanout": (5,)},
    "two turns": {"fanout": (3, 3)},
    "three turns": {"fanout": (3, 2, 2)},
    "pruned": {"fanout": (4, 3, 3), "kept": 2},
}


def model_of(kind):
    return sliding_model(kind.split()[0]) if "sliding" in kind else small_model(kind)


def samples_of(shape="two turns", transcript="requote", seeds=(0, 1)):
    return make_batch([related_tree(**SHAPES[shape], transcript=transcript, seed=s) for s in seeds])


def evaluated(model, parts, temperature=0.7):
    """Log-probs and entropies by sample, and the gradient of a sum with a weight for each token."""
    model.zero_grad()
    found = {}
    for part in parts:
        logp_N, entropy_N = trained_logprobs(model, part, temperature, with_entropy=True)
        lengths = [len(s.completion_ids) for s in part.samples]
        weight_N = torch.cat([weights_of(s).to(logp_N) for s in part.samples])
        (logp_N * weight_N).sum().backward()
        pairs = zip(logp_N.detach().split(lengths), entropy_N.split(lengths), strict=True)
        for sample, pair in zip(part.samples, pairs, strict=True):
            found[id(sample)] = torch.stack(pair)
    return found, gradient(model)


def weights_of(sample):
    generator = random.Random(repr(sample.prompt_ids + sample.completion_ids) + str(sample.weight))
    return torch.tensor([generator.gauss(0, 1) for _ in sample.completion_ids])


def assert_same(one, other, tolerance):
    assert one[0].keys() == other[0].keys()
    for key, values in one[0].items():
        torch.testing.assert_close(values, other[0][key], rtol=0, atol=tolerance)
    torch.testing.assert_close(one[1], other[1], rtol=0, atol=tolerance)


@pytest.mark.parametrize("way", ["segments", "dense"])
@pytest.mark.parametrize("transcript", ["requote", "chat"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["qwen3", "olmo2", "llama", "olmo3 sliding", "qwen3 sliding"])
def test_a_trie_gives_what_padding_gives(kind, shape, transcript, way):
    model, samples = model_of(kind), samples_of(shape, transcript).samples
    padded = evaluated(model, micro_batches(samples, 10**6, "padded"))
    packed = evaluated(model, micro_batches(samples, 10**6, "trie", way))
    assert_same(packed, padded, 1e-12)


@pytest.mark.parametrize("kind", ["qwen3", "olmo2"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_loss_along_a_trie_is_def_1_loop_by_loop(kind, shape):
    trees = [related_tree(**SHAPES[shape], transcript="chat", seed=seed) for seed in (3, 4)]
    old, policy, reference = (perturbed(small_model(kind), seed=seed) for seed in (1, 2, 3))
    batch = make_batch(trees)
    (part,) = micro_batches(batch.samples, 10**6, "trie")
    with torch.no_grad():
        old_N, ref_N = (trained_logprobs(model, part, 0.6) for model in (old, reference))
    lengths = torch.tensor([len(s.completion_ids) for s in part.samples])
    advantage_N, weight_N = (
        torch.tensor(
            [getattr(s, name) for s in part.samples], dtype=torch.float64
        ).repeat_interleave(lengths)
        for name in ("advantage", "weight")
    )
    logp_N = trained_logprobs(policy, part, 0.6)
    loss, _ = murphy_loss(logp_N, old_N, ref_N, advantage_N, weight_N)
    loss.backward()
    found = gradient(policy)
    policy.zero_grad()
    expected = -objective(trees, policy, old, reference, 0.6, 0.2, 0.04)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-12)
    torch.testing.assert_close(found, gradient(policy), rtol=0, atol=1e-12)


@pytest.mark.parametrize("budget", [1, 9, 20, 33, 50, 80, 200])
def test_any_cut_into_rows_gives_the_same(budget):
    model, samples = small_model(), samples_of("three turns").samples
    whole = evaluated(model, micro_batches(samples, 10**6, "padded"))
    parts = micro_batches(samples, budget, "trie")
    assert budget > 100 or len(parts) > 1
    assert_same(evaluated(model, parts), whole, 1e-12)


def test_the_order_of_samples_changes_nothing():
    model, samples = small_model("olmo2"), list(samples_of("three turns").samples)
    first = evaluated(model, [Packed(samples)])
    shuffled = samples.copy()
    random.Random(0).shuffle(shuffled)
    assert_same(evaluated(model, [Packed(shuffled)]), first, 1e-12)


def test_equal_samples_and_prefixes_of_others_keep_their_own_weights():
    one = Sample((5, 6), (7, 8, 9), advantage=1.0, weight=0.5)
    samples = [
        one,
        dataclasses.replace(one, weight=0.25),
        dataclasses.replace(one, weight=0.125),
        Sample((5, 6), (7, 8), 1.0, 1.0),  # a prefix of the first
        Sample((5, 6, 7), (8, 9), 1.0, 1.0),  # the same nodes, of which two are trained
        Sample((5,), (6, 7, 8, 9, 4), 1.0, 1.0),
    ]
    model = small_model()
    part = Packed(samples)
    assert part.num_positions == 6
    packed = evaluated(model, [part])
    assert_same(packed, evaluated(model, [Padded(samples)]), 1e-12)


@pytest.mark.parametrize("transcript", ["requote", "chat"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["qwen3", "olmo2"])
@pytest.mark.parametrize("with_lora", [False, True])
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft's own use
def test_in_float32_gradients_differ_by_rounding(kind, with_lora, shape, transcript):
    model = make_model(kind, tokenizer(), hidden_size=64, num_layers=3)
    policy = Policy.wrap(model, tokenizer(), lora=LoraSettings(r=4) if with_lora else None)
    for name, parameter in policy.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.02, generator=torch.Generator().manual_seed(2))
    samples = samples_of(shape, transcript).samples
    _, padded = evaluated(policy.model, micro_batches(samples, 10**6, "padded"))
    _, packed = evaluated(policy.model, micro_batches(samples, 10**6, "trie"))
    assert (packed - padded).norm() / padded.norm() < 5e-6


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft's own use
def test_adapters_in_float64_give_the_same_gradient_and_reference():
    policy = Policy.wrap(small_model("olmo2"), tokenizer(), lora=LoraSettings(r=4))
    for name, parameter in policy.model.named_parameters():
        if "lora" in name:
            generator = torch.Generator().manual_seed(len(name))
            parameter.data = torch.randn(parameter.shape, generator=generator).double() / 10
    samples = samples_of().samples
    padded = evaluated(policy.model, micro_batches(samples, 10**6, "padded"))
    assert_same(evaluated(policy.model, micro_batches(samples, 90, "trie")), padded, 1e-12)
    with policy.reference() as base, torch.no_grad():
        found = trained_logprobs(base, Packed(samples), 1.0)
        torch.testing.assert_close(found, trained_logprobs(base, samples, 1.0), rtol=0, atol=1e-12)


@pytest.mark.parametrize("way", ["segments", "dense"])
@pytest.mark.parametrize("kind", ["qwen3", "olmo2", "olmo3 sliding"])
def test_another_word_in_one_branch_leaves_all_others_bit_by_bit(kind, way):
    # Ids without accidental sharing, so that a change moves no branch point.
    prompt, model = tuple(range(10, 20)), model_of(kind)
    completions = [tuple(range(30 * i + 30, 30 * i + 37)) for i in range(4)]
    samples = [Sample(prompt, completion, 1.0, 1.0) for completion in completions]
    child = Sample(prompt + completions[1] + (3, 4), (5, 6, 7), 1.0, 1.0)
    changed = Sample(prompt, (*completions[0][:2], 200, *completions[0][3:]), 1.0, 1.0)
    before = trained_logprobs(model, Packed([*samples, child], way), 1.0)
    after = trained_logprobs(model, Packed([changed, *samples[1:], child], way), 1.0)
    assert before[7:].equal(after[7:])
    assert before[:2].equal(after[:2])
    assert (before[2:7] != after[2:7]).all()


def test_a_head_with_adapters_is_run_as_it_is():
    lora = LoraSettings(r=4, target_modules=("lm_head", "q_proj"))
    policy = Policy.wrap(small_model("llama"), tokenizer(), lora=lora, seed=1)
    for name, parameter in policy.model.named_parameters():
        if "lora" in name:
            parameter.data = torch.randn(parameter.shape, dtype=torch.float64) / 10
    samples = samples_of().samples
    padded = evaluated(policy.model, micro_batches(samples, 10**6, "padded"))
    assert_same(evaluated(policy.model, micro_batches(samples, 10**6, "trie")), padded, 1e-12)


class TestWrongLayoutsAreCaught:
    """Each of these is a mistake that the comparisons above would show."""

    @staticmethod
    def gap(kind, part):
        model, samples = model_of(kind), part.samples
        with torch.no_grad():
            found = trained_logprobs(model, part, 1.0)
            return (found - trained_logprobs(model, samples, 1.0)).abs().max().item()

    @pytest.mark.parametrize("way", ["segments", "dense"])
    @pytest.mark.parametrize("kind", ["qwen3", "olmo2"])
    def test_positions_along_the_row(self, kind, way):
        part = Packed(samples_of().samples, way)
        assert self.gap(kind, part) < 1e-12
        part.trie.depth_N[:] = np.arange(len(part.trie))
        wrong = Packed(part.samples, way)
        wrong.__dict__["trie"] = part.trie
        assert self.gap(kind, wrong) > 1e-3

    @pytest.mark.parametrize("kind", ["qwen3", "olmo2"])
    def test_no_mask_but_the_causal_one(self, kind, monkeypatch):
        part = Packed(samples_of().samples, "dense")
        causal = np.tri(len(part.trie), dtype=np.bool_)
        monkeypatch.setattr(type(part.trie), "sees", lambda self, window=None: causal)
        assert self.gap(kind, part) > 1e-3

    @pytest.mark.parametrize("way", ["segments", "dense"])
    @pytest.mark.parametrize("kind", ["olmo3 sliding", "qwen3 sliding"])
    def test_a_sliding_layer_without_its_window(self, kind, way, monkeypatch):
        from murphy_agents.update import attention

        inner = attention._WAYS[way]
        monkeypatch.setitem(attention._WAYS, way, lambda *args: inner(*args[:-1], None))
        assert self.gap(kind, Packed(samples_of().samples, way)) > 1e-3

    @pytest.mark.parametrize("kind", ["olmo3 sliding", "qwen3 sliding"])
    def test_a_window_along_the_row(self, kind, monkeypatch):
        part = Packed(samples_of().samples, "dense")
        sees = type(part.trie).sees

        def along_the_row(self, window=None):
            number = np.arange(len(self))
            near = True if window is None else number[:, None] - number < window
            return sees(self) & near

        monkeypatch.setattr(type(part.trie), "sees", along_the_row)
        assert self.gap(kind, part) > 1e-3


def test_layers_that_run_again_in_backward_find_the_same_attention():
    samples = samples_of().samples
    plain = small_model()
    expected = evaluated(plain, [Packed(samples)])[1]
    model = small_model()
    model.activation_checkpointing_enable({"use_reentrant": False})
    model.train()
    part = Packed(samples)
    with part.attention(model):
        assert_same(({}, evaluated(model, [part])[1]), ({}, expected), 1e-12)
    model.zero_grad()
    with pytest.raises(RuntimeError):
        evaluated(model, [part])  # outside of it: an error, not another attention


def test_the_models_own_attention_is_back_afterwards():
    model, samples = small_model(), random_samples(3)
    before = model.config._attn_implementation
    trained_logprobs(model, Packed(samples), 1.0)
    assert model.config._attn_implementation == before


def test_a_model_that_hands_no_row_on_is_told_so():
    class Keeping(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, tree=None, **inputs):
            return self.inner(**inputs)

    model = small_model()
    model.model = Keeping(model.model)
    model.get_input_embeddings = lambda: model.model.inner.embed_tokens
    with pytest.raises(ValueError, match=r"Qwen3Attention of layer 0.*got no row.*layout='padded'"):
        trained_logprobs(model, Packed(random_samples(2)), 1.0)


def test_the_layout_that_costs_less_is_taken():
    tree = micro_batches(samples_of("three turns").samples, 10**6)
    assert [type(part) for part in tree] == [Packed]
    # Two samples of one length with nothing in common: 10 nodes in two segments, or 10 positions.
    apart = [Sample((5, 6), (7, 8, 9), 1.0, 1.0), Sample((15, 16), (7, 8, 9), 1.0, 1.0)]
    assert [type(part) for part in micro_batches(apart, 10**6)] == [Padded]
    assert [type(part) for part in micro_batches(apart, 10**6, "trie")] == [Packed]


def test_forwarded_positions_count_what_is_shared_once():
    samples = [Sample((5, 6), (7, 8, 9), 1.0, 1.0), Sample((5, 6), (7, 3), 1.0, 1.0)]
    assert Packed(samples).num_positions == 6  # 5 6 7 8 9 and 3
    assert Padded(samples).num_positions == 10


def test_many_branches_do_not_wear_down_the_gradient_of_what_they_share():
    # Keys and values of the prompt get a gradient from every branch: rounded to bfloat16 each time
    # one is added, they are three times as far off as padded rows.
    draw = random.Random(0)
    prompt = tuple(draw.randrange(3, 250) for _ in range(12))
    samples = [
        Sample(prompt, tuple(draw.randrange(3, 250) for _ in range(4)), 1.0, 1.0)
        for _ in range(400)
    ]
    model = make_model("qwen3", tokenizer(), hidden_size=64, num_layers=1)
    weight_N = torch.randn(1600, generator=torch.Generator().manual_seed(1))

    def shared_gradient(part, autocast):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            logp_N = trained_logprobs(model, part, 1.0)
        (logp_N * weight_N).sum().backward()
        attention = model.model.layers[0].self_attn
        return torch.cat([p.weight.grad.flatten() for p in (attention.k_proj, attention.v_proj)])

    exact = shared_gradient(Padded(samples), autocast=False)
    padded, packed = (
        (shared_gradient(part, autocast=True) - exact).norm() / exact.norm()
        for part in (Padded(samples), Packed(samples))
    )
    assert 1e-4 < padded < 0.05
    assert packed < 1.5 * padded


def test_masks_are_kept_no_longer_than_they_are_used():
    model, samples = sliding_model(), samples_of().samples
    part = Packed(samples)
    with part.attention(model):
        trained_logprobs(model, part, 1.0)
        (row,) = part._rows.values()
        assert any(key[0] == "masks" for key in row.made)
    assert not any(key[0] == "masks" for key in row.made)
    assert "paths" in row.made
