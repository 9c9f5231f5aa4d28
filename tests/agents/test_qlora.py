"""The base of adapters in 4 bits: what is refused, what it takes, that it trains what it should."""

import dataclasses
import importlib.metadata
import importlib.util
import json
import re
import shutil

import gymnasium as gym
import pytest
import torch
from models import random_samples, random_tree, tokenizer
from transformers import GPT2Config, GPT2LMHeadModel, MixtralConfig, MixtralForCausalLM

from murphy_agents import TrainConfig, quantised, saved_adapters, train, wiring
from murphy_agents.adapters import LoraSettings
from murphy_agents.algorithms import murphy_mars
from murphy_agents.codec import ChatCodec
from murphy_agents.dry_run import examine, packed, sizes
from murphy_agents.dry_run import model as models
from murphy_agents.dry_run.checks import Prompts
from murphy_agents.dry_run.counts import per_problem
from murphy_agents.engines.protocol import Request, SamplingParams
from murphy_agents.engines.transformers import TransformersEngine
from murphy_agents.evaluation import run as evaluate
from murphy_agents.evaluation.config import EvalConfig
from murphy_agents.evaluation.result import Evaluation
from murphy_agents.policy import Policy, make_optimizer
from murphy_agents.report.write import write_report
from murphy_agents.tiny import make_model, save_policy
from murphy_agents.update import (
    UpdateSettings,
    make_batch,
    settled_layout,
    trained_logprobs,
    update,
)
from murphy_env import CodeFeedbackEnv, Task
from murphy_env.sources import to_jsonl

has_bitsandbytes = importlib.util.find_spec("bitsandbytes") is not None
needs_bitsandbytes = pytest.mark.skipif(not has_bitsandbytes, reason="needs bitsandbytes")
# peft asks transformers for it by its older name
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
TASKS = [Task(f"t{i}", f"Write f, {i}.", ["assert f(1) == 1"]) for i in range(6)]
QLORA = {"model": "tiny", "use_peft": True, "lora_r": 2, "load_in_4bit": True}


def stock_model(kind="qwen3"):
    return make_model(kind, tokenizer(), hidden_size=64)


@pytest.fixture(params=["qwen3", "olmo2"])
def folder(request, tmp_path):
    """A model on disk; OLMo 2's output layer is not tied to its embeddings."""
    save_policy(stock_model(request.param), tokenizer(), tmp_path / "model")
    return tmp_path / "model"


def without_bitsandbytes(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "bitsandbytes" else find(name)
    )


def test_it_is_refused_before_any_work_where_the_library_is_missing(monkeypatch, tmp_path):
    without_bitsandbytes(monkeypatch)
    config = TrainConfig(**QLORA, output_dir=str(tmp_path / "run"))
    said = "load_in_4bit is set, and bitsandbytes is not installed here; pip install bitsandbytes"
    with pytest.raises(ValueError, match=said):
        train(config)
    assert not (tmp_path / "run").exists()
    findings = {found.name: found for found in examine(config).listed}
    assert findings["settings"].state == "failed"
    assert said in findings["settings"].result


def test_an_old_library_is_refused_with_its_version(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.45.5")
    with pytest.raises(ValueError, match=r"bitsandbytes is 0\.45\.5, older than 0\.50"):
        quantised.check_installed()


def test_a_frozen_model_without_adapters_is_refused(tmp_path):
    config = TrainConfig(load_in_4bit=True)
    with pytest.raises(ValueError, match=r"load_in_4bit is set without use_peft.*--lora"):
        wiring.refuse_nothing_to_train(config)
    # Adapters that are there already can be gone on with.
    (tmp_path / "adapter_config.json").write_text("{}")
    wiring.refuse_nothing_to_train(dataclasses.replace(config, model=str(tmp_path)))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"dtype": "float64"}, "read only with dtype 'float32' or 'bfloat16'"),
        ({"engine": "vllm"}, "read only by engine 'transformers', or with the sync_tolerance"),
    ],
)
def test_settings_that_do_not_go_with_it_are_refused(settings, said):
    with pytest.raises(ValueError, match=f"load_in_4bit is given but {said}"):
        TrainConfig(**QLORA, **settings)
    if "dtype" in settings:
        with pytest.raises(ValueError, match="multiply in bfloat16"):
            EvalConfig(load_in_4bit=True, **settings)
    else:
        assert TrainConfig(**QLORA, **settings, sync_tolerance=0.5).load_in_4bit


def test_a_model_that_is_stored_quantised_is_refused_by_a_dry_run_too(tmp_path):
    save_policy(stock_model(), tokenizer(), tmp_path)
    file = tmp_path / "config.json"
    stored = {"quant_method": "gptq", "bits": 4}
    file.write_text(json.dumps(json.loads(file.read_text()) | {"quantization_config": stored}))
    config = TrainConfig(**QLORA | {"model": str(tmp_path)}, tasks="embedded")
    found = {finding.name: finding for finding in examine(config).listed}["model"]
    assert found.state == "failed"
    assert "is stored quantised already (gptq); name the model in full precision" in found.result


def mixture(tmp_path):
    """A model whose four experts are one stack of matrices, in no linear layer."""
    tokens = tokenizer()
    config = MixtralConfig(
        vocab_size=len(tokens), hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=4, num_key_value_heads=2, num_local_experts=4,
        eos_token_id=tokens.eos_token_id, pad_token_id=tokens.pad_token_id, bos_token_id=None,
    )  # fmt: skip
    save_policy(MixtralForCausalLM(config), tokens, tmp_path / "mixture")
    return tmp_path / "mixture"


# peft means the names that experts had in older checkpoints too
@pytest.mark.filterwarnings("ignore:The following (rank|alpha)_pattern keys:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:MixtralForCausalLM is a mixture of experts:UserWarning")
def test_experts_that_would_stay_whole_are_refused_with_their_share(tmp_path):
    config = TrainConfig(**QLORA | {"model": str(mixture(tmp_path))}, tasks="embedded")
    found = {finding.name: finding for finding in examine(config).listed}["model"]
    assert found.state == "failed"
    # Attention: q and o 32x32, k and v 32x16, all packed: 3,072. Experts: 4 x (2 x 64 x 32 + 32 x
    # 64) = 24,576, router 4 x 32 if it is no linear layer: 24,704 of 27,776 are 89 %.
    assert re.search(
        r"89% of the weights would stay whole \(24,\d+ numbers, such as .*experts.*gate_up_proj\): "
        "bitsandbytes quantises linear layers alone; drop it and set dtype bfloat16",
        found.result,
    )


@needs_bitsandbytes
def test_experts_are_refused_when_they_are_read(tmp_path):
    with pytest.raises(ValueError, match="89% of the weights would stay whole"):
        Policy.load(mixture(tmp_path), lora=LoraSettings(r=2), load_in_4bit=True)


def test_linear_layers_of_another_make_are_packed_too(tmp_path):
    """Without adapters on them; GPT-2's are `Conv1D`, which bitsandbytes quantises."""
    tokens = tokenizer()
    config = GPT2Config(
        vocab_size=len(tokens), n_embd=32, n_layer=1, n_head=2, n_positions=512,
        bos_token_id=tokens.eos_token_id, eos_token_id=tokens.eos_token_id,
    )  # fmt: skip
    model = GPT2LMHeadModel(config).requires_grad_(False)
    packed.pack(model)
    quantised.refuse_whole_matrices(model, "gpt2")
    # c_attn 32x96, c_proj 32x32, c_fc 32x128, c_proj 128x32.
    assert packed.num_numbers(model, [layer.weight for layer in packed.layers(model)]) == 12288


def test_an_output_layer_with_adapters_is_not_packed(tmp_path):
    save_policy(stock_model("olmo2"), tokenizer(), tmp_path / "model")
    config = TrainConfig(
        **QLORA | {"model": str(tmp_path / "model"), "lora_target_modules": "q_proj,lm_head"}
    )
    policy, _ = models.model_of(config, None)
    assert policy.model.get_output_embeddings().weight.is_floating_point()
    # Seven linear layers in each of two decoder layers.
    assert len(list(packed.layers(policy.model))) == 14


def test_a_dry_run_counts_4_bits(folder, tmp_path):
    config = TrainConfig(**QLORA | {"model": str(folder)}, output_dir=str(tmp_path / "run"))
    found = {finding.name: finding for finding in examine(config).listed}
    assert "weights are not read; linear layers in 4 bits" in found["model"].result
    assert found["memory"].state == "ok"
    counted = []
    for in_4_bits in (True, False):
        config = dataclasses.replace(config, load_in_4bit=in_4_bits)
        policy, _ = models.model_of(config, None)
        work = sizes.work(config, policy, Prompts(10, 100), per_problem(murphy_mars()))
        counted.append(work.weight_bytes)
    # Of its layers 2 * (4096 + 2048 + 2048 + 4096 + 3 * 12288) = 98,304 numbers, of 4 bytes in
    # float32; of half a byte in 4 bits, with a byte for 64 and 4 bytes for 16,384 of each layer.
    assert counted[1] - counted[0] == 98304 * 4 - (98304 // 2 + 98304 // 64 + 4 * 14)


def load(folder, **settings):
    return Policy.load(folder, lora=LoraSettings(r=4), load_in_4bit=True, **settings)


def logps(model):
    with torch.no_grad():
        return trained_logprobs(model, random_samples(4), 1.0)


def gradient(policy, **settings):
    optimizer = torch.optim.SGD(policy.trainable_parameters(), lr=0.0)
    update(policy, make_batch([random_tree((3, 2), seed=4)]), optimizer, UpdateSettings(**settings))
    return torch.cat([p.grad.flatten() for p in policy.trainable_parameters()])


def moved(policy):
    """The policy with adapters that change something."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in policy.trainable_parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return policy


def quantised_layers(model):
    return {n: m for n, m in model.named_modules() if type(m).__module__.startswith("bitsandbytes")}


@needs_bitsandbytes
def test_linear_layers_are_nf4_with_quantised_scales_and_the_rest_is_float32(folder):
    policy = load(folder)
    layers = quantised_layers(policy.model)
    assert len(layers) == 2 * 7
    for layer in layers.values():
        assert layer.weight.quant_type == "nf4"
        assert layer.weight.quant_state.nested
        assert layer.compute_dtype == torch.bfloat16
    others = {id(layer.weight) for layer in layers.values()}
    rest = [p for p in policy.model.parameters() if id(p) not in others]
    assert {p.dtype for p in rest} == {torch.float32}
    assert all("lora_" in n for n, p in policy.model.named_parameters() if p.requires_grad)


@needs_bitsandbytes
def test_they_take_the_bytes_that_a_dry_run_counts(folder):
    config = TrainConfig(**QLORA | {"model": str(folder), "lora_r": 4})
    shaped, _ = models.model_of(config, None)
    policy = load(folder)
    held = sum(p.numel() * p.element_size() for p in policy.model.parameters())
    for layer in quantised_layers(policy.model).values():
        state = layer.weight.quant_state
        held += state.absmax.nbytes + state.state2.absmax.nbytes
    counted = sum(p.numel() * p.element_size() for p in shaped.model.parameters())
    assert counted + packed.scale_bytes(shaped.model) == held


@needs_bitsandbytes
def test_in_half_precision_all_but_the_adapters_is(folder):
    policy = moved(load(folder, dtype=torch.bfloat16))
    types = {p.dtype for p in policy.model.parameters() if not p.requires_grad}
    assert types == {torch.uint8, torch.bfloat16}
    assert {p.dtype for p in policy.trainable_parameters()} == {torch.float32}
    expected = gradient(moved(load(folder)))
    # Activations have 8 bits, and there are two layers of them.
    assert (gradient(policy) - expected).norm() < 0.1 * expected.norm()


@needs_bitsandbytes
def test_a_step_changes_adapters_alone_and_the_reference_is_the_base_in_4_bits(folder):
    policy = load(folder)
    base = Policy.load(folder, load_in_4bit=True, beta=0)
    with policy.reference() as reference:
        before = logps(reference)
    assert torch.equal(before, logps(base.model))
    full = logps(Policy.load(folder, beta=0).model)
    # NF4 has 16 values: what is rounded so is not the model, and not far from it.
    assert 1e-4 < (before - full).abs().max() < 0.2
    frozen = {n: p.clone() for n, p in policy.model.named_parameters() if not p.requires_grad}
    optimizer, _ = make_optimizer(policy, learning_rate=1e-2, num_steps=3)
    for _ in range(3):
        metrics = update(policy, make_batch([random_tree((3,), seed=1)]), optimizer)
    assert metrics["grad_norm"] > 0
    assert metrics["kl"] > 0
    for name, parameter in policy.model.named_parameters():
        assert parameter.requires_grad or torch.equal(parameter, frozen[name]), name
    with policy.reference() as reference:
        assert torch.equal(logps(reference), before)
    assert (logps(policy.model) - before).abs().max() > 1e-3


@needs_bitsandbytes
def test_the_gradient_is_that_of_adapters_on_the_rounded_weights(folder):
    from bitsandbytes.functional import dequantize_4bit

    policy = moved(load(folder))
    plain = moved(Policy.load(folder, lora=LoraSettings(r=4)))
    for name, layer in quantised_layers(policy.model).items():
        weight = dequantize_4bit(layer.weight.data, layer.weight.quant_state)
        plain.model.get_submodule(name).weight.data.copy_(weight)
    one, other = gradient(policy), gradient(plain)
    # Products in bfloat16 have 8 bits.
    assert (one - other).norm() < 0.03 * other.norm()


@needs_bitsandbytes
def test_generating_leaves_the_base_and_the_gradient_as_they_are(folder):
    # bitsandbytes would lay the weights out anew for evaluation, where the processor has
    # AVX512-BF16, and no gradient would come through.
    fresh, used = moved(load(folder)), moved(load(folder))
    engine = TransformersEngine(used.model, ChatCodec(used.tokenizer))
    engine.submit(Request((5, 6, 7), (1, 2), SamplingParams(8), tag="a"))
    while not engine.poll():
        pass
    logps(used.model)
    for name, layer in quantised_layers(used.model).items():
        there = fresh.model.get_submodule(name)
        assert torch.equal(layer.weight, there.weight), name
        assert torch.equal(layer.weight.quant_state.absmax, there.weight.quant_state.absmax)
    assert torch.equal(gradient(fresh), gradient(used))


@needs_bitsandbytes
@pytest.mark.parametrize(
    ("settings", "update_settings", "near"),
    [
        ({"gradient_checkpointing": True}, {}, 1e-6),
        ({}, {"layout": "padded"}, 0.03),
        ({}, {"autocast_dtype": torch.bfloat16}, 0.03),
    ],
    ids=["recomputed", "padded", "autocast"],
)
def test_other_ways_of_an_update_give_the_same_gradient(settings, update_settings, near, folder):
    expected = gradient(moved(load(folder)))
    found = gradient(moved(load(folder, **settings)), **update_settings)
    assert (found - expected).norm() <= near * expected.norm()


@needs_bitsandbytes
def test_samples_go_along_a_trie(folder):
    # Products are rounded to 8 bits, other ones than along a row of padding.
    assert settled_layout(moved(load(folder)).model, "trie") == "trie"


@needs_bitsandbytes
def test_adapters_come_back_on_such_a_base_and_say_that_it_was_one(folder, tmp_path):
    policy = moved(load(folder))
    policy.save(tmp_path / "adapters")
    assert saved_adapters.were_on_4bit(tmp_path / "adapters")
    again = Policy.load(tmp_path / "adapters", load_in_4bit=True)
    assert torch.equal(logps(again.model), logps(policy.model))
    assert len(again.trainable_parameters()) == len(policy.trainable_parameters())
    Policy.load(tmp_path / "adapters").save(tmp_path / "plain")
    assert not saved_adapters.were_on_4bit(tmp_path / "plain")


@needs_bitsandbytes
def test_a_base_without_adapters_is_drawn_from_and_not_trained(folder):
    with pytest.raises(ValueError, match=r"in 4 bits and has no adapters.*train adapters upon it"):
        Policy.load(folder, load_in_4bit=True)
    policy = Policy.load(folder, load_in_4bit=True, beta=0)
    with pytest.raises(ValueError, match="in 4 bits and has no adapters"):
        make_optimizer(policy, num_steps=1)


@needs_bitsandbytes
def test_double_precision_is_refused(folder):
    with pytest.raises(ValueError, match=r"dtype is torch\.float64, but layers in 4 bits multiply"):
        load(folder, dtype=torch.float64)


@needs_bitsandbytes
def test_a_device_on_which_it_does_not_work_is_refused(folder):
    with pytest.raises(ValueError, match="bitsandbytes does not work on 'meta' here"):
        load(folder, device="meta")


@needs_bitsandbytes
def test_a_model_with_nothing_to_quantise_is_refused(folder):
    with pytest.raises(ValueError, match="has no linear layer that bitsandbytes quantises"):
        quantised.refuse_without_layers(stock_model(), folder)


class Letters(gym.Wrapper):
    """A reward that random weights can earn: the share of letters."""

    def step(self, action):
        observation, _, *rest = self.env.step(action)
        return observation, sum(map(str.isalpha, action)) / max(1, len(action)), *rest


def make_env():
    return Letters(CodeFeedbackEnv(TASKS, sandbox={"workers": 1}))


@needs_bitsandbytes
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_the_gradient_is_that_of_the_processor(folder):
    one, other = (gradient(moved(load(folder, device=device))) for device in ("cpu", "cuda"))
    assert (one - other.cpu()).norm() < 0.03 * one.norm()


@needs_bitsandbytes
@pytest.mark.slow
def test_a_run_is_resumed_and_evaluated_on_4_bits_before_and_after(tmp_path):
    to_jsonl(TASKS, tmp_path / "tasks.jsonl")
    config = TrainConfig(
        **QLORA, output_dir=str(tmp_path / "run"), max_steps=3, save_steps=2, num_generations=2,
        per_device_train_batch_size=2, max_completion_length=8, learning_rate=1e-2,
        sandbox_workers=1, schedule="level", eval_tasks=str(tmp_path / "tasks.jsonl"),
        eval_iterations=1,
    )  # fmt: skip
    result = train(config, make_env=make_env)
    assert result.history[-1]["kl"] > 0
    final = tmp_path / "run" / "final"
    weights = (final / "adapter_model.safetensors").read_bytes()
    write_report(config)
    for name in ("base", "trained"):
        told = Evaluation.load(tmp_path / "run" / "evaluation" / name)
        assert told.settings["load_in_4bit"] is True
    # Without being told, as the adapters were trained.
    evaluated = evaluate.run(
        EvalConfig(
            model=str(final),
            tasks=config.eval_tasks,
            iterations=1,
            max_completion_length=8,
            output_dir=str(tmp_path / "eval"),
            sandbox_workers=1,
        )
    )
    assert evaluated.settings["load_in_4bit"] is True
    shutil.rmtree(final)
    train(dataclasses.replace(config, resume=True), make_env=make_env)
    assert (final / "adapter_model.safetensors").read_bytes() == weights
