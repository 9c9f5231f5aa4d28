"""AdamW with states in 8 bits: what it keeps in how many bits, that it trains, that it resumes."""

import importlib.util
import sys

import pytest
import torch
from models import random_tree, tokenizer

from murphy_agents import TrainConfig, optimizer, train
from murphy_agents.dry_run import examine
from murphy_agents.policy import LoraSettings, Policy, make_optimizer
from murphy_agents.run import restore
from murphy_agents.tiny import make_model
from murphy_agents.update import make_batch, update

has_bitsandbytes = importlib.util.find_spec("bitsandbytes") is not None
needs_bitsandbytes = pytest.mark.skipif(not has_bitsandbytes, reason="needs bitsandbytes")


def policy_of(kind="qwen3", **settings):
    return Policy.wrap(make_model(kind, tokenizer(), hidden_size=128), tokenizer(), **settings)


def step(policy, optim, seed=1):
    update(policy, make_batch([random_tree((3,), seed=seed)]), optim)


def bits(policy, optim):
    """Bits of each trained weight's states, by the name of the weight."""
    kept = {id(p): state["state1"].element_size() * 8 for p, state in optim.state.items()}
    return {name: kept[id(p)] for name, p in policy.model.named_parameters() if id(p) in kept}


def test_an_optimizer_that_is_not_installed_is_refused_before_any_work(monkeypatch, tmp_path):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "bitsandbytes" else find(name)
    )
    config = TrainConfig(model="tiny", output_dir=str(tmp_path / "run"), optim="adamw_8bit")
    said = "not installed here; pip install bitsandbytes, or set optim to 'adamw_torch'"
    with pytest.raises(ValueError, match=said):
        train(config)
    with pytest.raises(ValueError, match=said):
        make_optimizer(policy_of(), num_steps=1, optim="adamw_8bit")
    settings = examine(config).listed[0]
    assert (settings.name, settings.state) == ("settings", "failed")
    assert "pip install bitsandbytes" in settings.result
    assert not (tmp_path / "run").exists()
    optimizer.check_installed("adamw_torch")


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="optim is 'adam'; choose"):
        make_optimizer(policy_of(), num_steps=1, optim="adam")
    with pytest.raises(ValueError, match="optim"):
        TrainConfig(optim="adam")


@pytest.mark.parametrize("other", [{"bf16": True}, {"optim": "adamw_8bit"}])
def test_float64_weights_have_neither_half_precision_nor_8_bits(other):
    with pytest.raises(ValueError, match=f"{next(iter(other))} is .*'float64'"):
        TrainConfig(dtype="float64", **other)


def test_the_bytes_of_the_states_are_those_counted_by_hand():
    # Qwen3, hidden 128, 8 heads of 16, 4 of keys; feed-forward 384; 259 to 264 tokens, tied.
    policy = policy_of()
    vocab = policy.model.config.vocab_size
    # A layer: q and o 128 * 128, k and v 64 * 128, three of 384 * 128.
    layer = 2 * 16384 + 2 * 8192 + 3 * 49152
    # 196,608 numbers; blocks of 256 fit: 768, two scales of 4 bytes each.
    assert layer == 196_608
    eight = 2 * (2 * layer + 2 * 4 * 768)
    # Norms: two of 128 and two of 16 a layer, one of 128 at the end.
    full = 8 * (vocab * 128 + 2 * (2 * 128 + 2 * 16) + 128)
    assert optimizer.state_bytes("adamw_8bit", policy.model) == eight + full
    count = sum(p.numel() for p in policy.model.parameters())
    assert optimizer.state_bytes("adamw_torch", policy.model) == 2 * 4 * count


@needs_bitsandbytes
@pytest.mark.parametrize("kind", ["qwen3", "llama"])
def test_the_bytes_are_those_that_the_library_holds(kind):
    policy = policy_of(kind)
    optim, _ = make_optimizer(policy, num_steps=1, optim="adamw_8bit")
    step(policy, optim)
    names = ("state1", "state2", "absmax1", "absmax2")
    held = sum(
        s[n].untyped_storage().nbytes() for s in optim.state.values() for n in names if n in s
    )
    assert held == optimizer.state_bytes("adamw_8bit", policy.model)


@needs_bitsandbytes
@pytest.mark.parametrize(("kind", "head"), [("qwen3", None), ("llama", 8)])
def test_embeddings_norms_and_small_tensors_keep_32_bits(kind, head):
    policy = policy_of(kind)
    optim, _ = make_optimizer(policy, num_steps=1, optim="adamw_8bit")
    step(policy, optim)
    found = bits(policy, optim)
    assert found["model.embed_tokens.weight"] == 32
    assert found.get("lm_head.weight") == head, "tied in Qwen3: an embedding"
    assert {n for n, b in found.items() if b == 8 and "proj" not in n} <= {"lm_head.weight"}
    assert {b for n, b in found.items() if "proj" in n} == {8}
    assert {b for n, b in found.items() if "norm" in n} == {32}


@needs_bitsandbytes
def test_another_optimizer_does_not_inherit_what_one_was_told():
    from bitsandbytes.optim import GlobalOptimManager

    make_optimizer(policy_of(), num_steps=1, optim="adamw_8bit")
    assert not GlobalOptimManager.get_instance().pid2config


@needs_bitsandbytes
def test_wide_norms_keep_32_bits_though_they_are_large_enough():
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.LayerNorm(4096))
    optim = optimizer.make_adamw(
        "adamw_8bit", model, learning_rate=1.0, weight_decay=0.0, betas=(0.9, 0.999)
    )
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optim.step()
    assert optim.state[model[0].weight]["state1"].dtype == torch.uint8
    assert optim.state[model[1].weight]["state1"].dtype == torch.float32


@needs_bitsandbytes
def test_its_first_steps_are_torchs_within_what_8_bits_tell():
    moved = {}
    for optim_name in ("adamw_torch", "adamw_8bit"):
        policy = policy_of()
        start = [p.detach().clone() for p in policy.trainable_parameters()]
        optim, _ = make_optimizer(
            policy, learning_rate=1e-3, num_steps=100, optim=optim_name, weight_decay=0.1
        )
        for seed in range(3):
            step(policy, optim, seed)
        ends = zip(policy.trainable_parameters(), start, strict=True)
        moved[optim_name] = torch.cat([(p.detach() - s).flatten() for p, s in ends])
    torch_moved, eight_moved = moved.values()
    assert torch_moved.norm() > 0.1
    # A byte tells a number to a few percent; beyond rounding the steps are the same.
    assert (torch_moved - eight_moved).norm() < 0.1 * torch_moved.norm()
    assert (torch_moved - eight_moved).norm() > 0


@needs_bitsandbytes
def test_decay_without_gradient_changes_nothing():
    policy = policy_of()
    optim, _ = make_optimizer(policy, learning_rate=1.0, num_steps=2, optim="adamw_8bit")
    before = [p.detach().clone() for p in policy.trainable_parameters()]
    optim.step()
    assert all(map(torch.equal, before, policy.trainable_parameters()))


@needs_bitsandbytes
@pytest.mark.parametrize("lora", [None, LoraSettings(r=64)])
def test_it_goes_on_from_a_checkpoint_to_the_same_bits(lora, tmp_path):
    def begin():
        policy = policy_of(lora=lora)
        optim, scheduler = make_optimizer(
            policy, learning_rate=1e-3, num_steps=6, optim="adamw_8bit"
        )
        return policy, {"optimizer": optim, "scheduler": scheduler}

    def go_on(policy, parts, seeds):
        for seed in seeds:
            batch = make_batch([random_tree((3,), seed=seed)])
            update(policy, batch, parts["optimizer"], scheduler=parts["scheduler"])

    policy, parts = begin()
    go_on(policy, parts, (1, 2))
    assert 8 in bits(policy, parts["optimizer"]).values()
    restore.save(tmp_path, policy, **parts)
    go_on(policy, parts, (3, 4))
    again, restored = begin()
    restore.load(tmp_path, again, **restored)
    go_on(again, restored, (3, 4))
    pairs = zip(policy.trainable_parameters(), again.trainable_parameters(), strict=True)
    for one, other in pairs:
        assert torch.equal(one, other)
        state, same = parts["optimizer"].state[one], restored["optimizer"].state[other]
        assert state.keys() == same.keys()
        for name, value in state.items():
            kept = same[name]
            assert torch.equal(value, kept) if torch.is_tensor(value) else value == kept


@needs_bitsandbytes
def test_a_run_with_it_is_told_and_trains(tmp_path):
    config = TrainConfig(
        model="tiny", output_dir=str(tmp_path / "run"), optim="adamw_8bit", max_steps=1,
        per_device_train_batch_size=1, num_generations=2, max_completion_length=4,
        sandbox_workers=1, tasks="embedded",
    )  # fmt: skip
    train(config)
    saved = torch.load(tmp_path / "run" / "final" / "optimizer.pt", weights_only=True)
    assert len(saved["param_groups"]) == 2


@needs_bitsandbytes
def test_half_precision_weights_are_refused():
    model = torch.nn.Linear(64, 64).to(torch.float64)
    with pytest.raises(ValueError, match=r"a trained weight is torch\.float64; load"):
        optimizer.make_adamw(
            "adamw_8bit", model, learning_rate=1.0, weight_decay=0.0, betas=(0.9, 0.999)
        )


def test_the_library_is_not_imported_without_need():
    if "bitsandbytes" not in sys.modules:
        make_optimizer(policy_of(), num_steps=1)
        assert "bitsandbytes" not in sys.modules
