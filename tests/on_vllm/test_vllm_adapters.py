"""LoRA adapters on the engine on vLLM: each version is exact, and old ones in disguise are seen."""

import shutil

import pytest
import torch
from small_policies import CANARY, LONG, drained, farthest, make_engine, move, saved_model

from murphy_agents.canary import SyncError
from murphy_agents.engines.protocol import Request, SamplingParams, Weights
from murphy_agents.engines.weights import weights_of
from murphy_agents.policy import LoraSettings, Policy


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("base")


@pytest.fixture(scope="module")
def policy(folder):
    model = saved_model(folder)
    model.name_or_path = str(folder)
    return Policy.wrap(model, None, lora=LoraSettings(r=4, alpha=8))


@pytest.fixture(scope="module")
def engine(folder, policy):
    made = make_engine(folder, max_lora_rank=4)
    yield made
    made.close()


def adapter_of(policy, seed):
    """Other adapters in the policy: seed 0 makes those that change nothing."""
    with torch.no_grad():
        for name, parameter in policy.model.named_parameters():
            if "lora_B" in name:
                parameter.zero_()
    if seed:
        move(policy.trainable_parameters(), seed, size=0.1)


def test_before_any_sync_it_samples_as_the_base_model(engine, policy):
    adapter_of(policy, 0)
    assert engine.version == 0
    with policy.reference() as base:
        assert farthest(engine, base) < 1e-5


def test_versions_in_a_row_are_exact_with_the_base_in_between(engine, policy):
    for version, seed in [(1, 5), (2, 6), (3, 0), (4, 7), (5, 5)]:
        adapter_of(policy, seed)
        with pytest.raises(SyncError, match="nats from the trainer's"):
            CANARY.check(engine, policy.model)
        engine.sync(weights_of(policy, version))
        assert engine.version == version
        assert CANARY.check(engine, policy.model) < 1e-5
        assert farthest(engine, policy.model, 0.6) < 1e-5
        with policy.reference() as base:
            # what KL is measured from: far from the adapted model, the same as the bare one
            assert (farthest(engine, base) < 1e-5) == (seed == 0)


def test_only_the_newest_adapter_is_kept(engine, policy):
    for version in (10, 11, 12):
        engine.sync(weights_of(policy, version))
    (folder,) = engine._slot.folder.iterdir()
    assert str(folder) == engine._slot.request.lora_path
    assert engine._engine.list_loras() == {engine._slot.request.lora_int_id}


def test_a_version_may_come_twice(engine, policy):
    adapter_of(policy, 8)
    engine.sync(weights_of(policy, 20))
    adapter_of(policy, 9)
    engine.sync(weights_of(policy, 20))
    assert CANARY.check(engine, policy.model) < 1e-5


@pytest.fixture
def restored(engine, policy):
    yield
    adapter_of(policy, 1)
    engine.sync(weights_of(policy, engine.version + 1))
    assert CANARY.check(engine, policy.model) < 1e-5


@pytest.mark.parametrize("in_place", [False, True])
def test_a_name_that_comes_again_is_seen(engine, policy, restored, monkeypatch, in_place):
    from vllm.lora.request import LoRARequest

    path = engine._slot.folder / "policy"

    def take(vllm, folder, version):
        shutil.rmtree(path, ignore_errors=True)
        folder.rename(path)
        engine._slot.request = LoRARequest("policy", 999, str(path), load_inplace=in_place)
        vllm.add_lora(engine._slot.request)

    monkeypatch.setattr(engine._slot, "take", take)
    if in_place:  # the adapter is new, and the cache is still that of the older one
        monkeypatch.setattr(engine._engine, "reset_prefix_cache", lambda: True)
    adapter_of(policy, 11)
    engine.sync(weights_of(policy, 30))
    assert CANARY.check(engine, policy.model) < 1e-5
    adapter_of(policy, 12)
    engine.sync(weights_of(policy, 31))
    with pytest.raises(SyncError, match="nats from the trainer's"):
        CANARY.check(engine, policy.model)


def test_weights_of_another_kind_or_rank_are_refused_and_nothing_changes(engine, policy):
    adapter_of(policy, 3)
    engine.sync(weights_of(policy, 40))
    with pytest.raises(ValueError, match="made for adapters; make it without max_lora_rank"):
        engine.sync(Weights(41, lambda: [], lambda _: None))
    high = Policy.wrap(
        saved_model(policy.model.get_base_model().name_or_path), None, lora=LoraSettings(r=8)
    )
    with pytest.raises(ValueError, match=r"rank 8.*max_lora_rank=4"):
        engine.sync(weights_of(high, 41))
    assert engine.version == 40
    assert CANARY.check(engine, policy.model) < 1e-5


def test_samples_of_one_prompt_share_its_blocks_under_an_adapter(engine, policy):
    engine.sync(weights_of(policy, engine.version + 1))
    before = engine.stats.prefilled_tokens
    drained(engine, [Request(LONG, (1, 2, 3), SamplingParams(2), "a")])
    # 100 read once, then the 4 ids after three blocks of 32 for each of the 2 others
    assert engine.stats.prefilled_tokens - before == 100 + 2 * 4
