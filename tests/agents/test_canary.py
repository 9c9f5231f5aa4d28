"""After a sync an engine must speak with the trainer's weights, or the run must stop."""

import copy
import dataclasses
import re
from contextlib import nullcontext

import pytest
import torch
from peft import LoraConfig, get_peft_model

from murphy_agents import TrainConfig
from murphy_agents.canary import HALF_TOLERANCE, Canary, SyncError, tolerance_of
from murphy_agents.codec import ChatCodec
from murphy_agents.engines.protocol import SamplingParams
from murphy_agents.engines.transformers import TransformersEngine
from murphy_agents.engines.weights import weights_of
from murphy_agents.generation import Sync, make_sync
from murphy_agents.lease import EnvPool
from murphy_agents.policy import LoraSettings, Policy
from murphy_agents.sampler import Sampler
from murphy_agents.tiny import make_model, make_tokenizer
from murphy_env import CodeFeedbackEnv, Task

TOKENIZER = make_tokenizer(["def add(a, b):\n    return a + b\n"])
CODEC = ChatCodec(TOKENIZER)
TASKS = [Task(f"t{i}", f"Write f, {i}.", ["assert f(1) == 1"]) for i in range(2)]
PROMPTS = [(5, 6), tuple(range(10, 23)), tuple(range(30, 71))]


class Apart(TransformersEngine):
    """An engine with a copy of the model, which it brings up to date when it is told to."""

    def __init__(self, model):
        super().__init__(copy.deepcopy(model), CODEC)

    def sync(self, weights):
        super().sync(weights)
        known = dict(self._model.named_parameters())
        for name, tensor in weights.named():
            known[name].data.copy_(tensor)


class Deaf(Apart):
    """It says that it has taken the weights over, and has not."""

    def sync(self, weights):
        self.version = weights.version


class MissesOne(Apart):
    """One layer keeps its old weights."""

    def sync(self, weights):
        old = self._model.get_output_embeddings().weight.clone()
        super().sync(weights)
        self._model.get_output_embeddings().weight.data.copy_(old)


def policy_of(dtype=torch.float32, **settings):
    model = make_model("qwen3", TOKENIZER, initializer_range=0.1, **settings).to(dtype)
    return Policy.wrap(model, TOKENIZER, beta=0)


def moved(policy, by=0.02):
    """The same policy after a step of training, so to say."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in policy.trainable_parameters():
            parameter += by * torch.randn_like(parameter)
    return policy


@pytest.mark.parametrize("temperature", [0.6, 1.0])
@pytest.mark.parametrize("tied", [True, False])
def test_an_engine_that_follows_agrees(temperature, tied):
    policy = policy_of(tie_word_embeddings=tied)
    sync = Sync(Apart(policy.model), policy, Canary(PROMPTS, temperature, tolerance=1e-5))
    for version in (1, 2):
        told = sync(version)
        assert 0 <= told["sync_gap"] < 1e-5
        assert told["seconds/sync"] > 0
        assert sync.engine.version == version
        moved(policy)


@pytest.mark.parametrize("engine", [Deaf, MissesOne])
def test_an_engine_that_missed_a_sync_is_found_out(engine):
    policy = policy_of(tie_word_embeddings=False)
    sync = Sync(engine(policy.model), policy, Canary(PROMPTS, 1.0, tolerance_of(torch.float32)))
    sync(1)  # it was made with these very weights
    moved(policy)
    with pytest.raises(SyncError, match="sync to version 2") as told:
        sync(2)
    gap = float(re.search(r"are (\S+) nats", str(told.value))[1])
    assert gap > 100 * tolerance_of(torch.float32)
    assert "sync_tolerance" in str(told.value)


def test_a_single_step_at_the_papers_learning_rate_is_found_out():
    policy = policy_of(torch.float64)
    sync = Sync(Deaf(policy.model), policy, Canary(PROMPTS, 1.0, tolerance_of(torch.float64)))
    sync(1)
    # AdamW moves every weight by about the learning rate.
    with torch.no_grad():
        for parameter in policy.trainable_parameters():
            parameter += 1e-6 * torch.sign(torch.randn_like(parameter))
    with pytest.raises(SyncError):
        sync(2)


def test_adapters_are_given_alone_and_agree():
    model = make_model("qwen3", TOKENIZER, initializer_range=0.1)
    policy = Policy.wrap(model, TOKENIZER, lora=LoraSettings(r=4), beta=0)
    moved(policy, by=0.05)
    weights = weights_of(policy, 3)
    named = dict(weights.named())
    assert weights.is_adapter
    assert named
    assert all("lora_" in name for name in named)
    size = sum(tensor.numel() for tensor in named.values())
    assert size == sum(p.numel() for p in policy.trainable_parameters())
    engine = TransformersEngine(policy.model, CODEC)
    assert Canary(PROMPTS, 0.6, 1e-5).check(engine, policy.model) < 1e-5
    # With the adapters off the same engine is another one.
    with policy.model.disable_adapter():
        bare = [c.ids for c in Canary(PROMPTS, 0.6, 1e-5)._drawn(engine)]
    assert bare != [c.ids for c in Canary(PROMPTS, 0.6, 1e-5)._drawn(engine)]


def test_weights_are_written_as_they_are_named(tmp_path):
    from safetensors.torch import load_file

    policy = policy_of()
    weights_of(policy, 1).write(tmp_path / "full")
    written = load_file(tmp_path / "full" / "model.safetensors")
    named = dict(weights_of(policy, 1).named())
    assert written.keys() == named.keys()
    assert all(torch.equal(written[name], named[name]) for name in named)
    adapted = Policy.wrap(
        get_peft_model(policy.model, LoraConfig(r=2, target_modules=["q_proj"])), TOKENIZER, beta=0
    )
    weights_of(adapted, 1).write(tmp_path / "adapters")
    written = load_file(tmp_path / "adapters" / "adapter_model.safetensors")
    assert written.keys() == dict(weights_of(adapted, 1).named()).keys()


def test_log_probs_that_are_no_numbers_do_not_pass():
    class Silent(TransformersEngine):
        def _completion(self, finished):
            done = super()._completion(finished)
            return done.__class__(**{**vars(done), "logprobs": (float("nan"),) * len(done.ids)})

    policy = policy_of()
    with pytest.raises(SyncError, match="nan"):
        Canary(PROMPTS, 1.0, 1e9).check(Silent(policy.model, CODEC), policy.model)


def test_weights_that_are_no_numbers_are_found_out():
    policy = policy_of(tie_word_embeddings=False)
    engine = Apart(policy.model)
    engine._model.get_output_embeddings().weight.data[0] = float("nan")
    canary = Canary(PROMPTS, 1.0, 1e-4)
    with pytest.raises(SyncError, match="no finite log-probs"):
        canary.check(engine, policy.model)
    engine.sync(weights_of(policy, 1))
    assert canary.check(engine, policy.model) < 1e-4  # nothing of the first try is left in flight


def test_the_wider_of_two_tolerances_counts():
    assert tolerance_of(torch.float32, torch.float32) == 1e-4
    assert tolerance_of(torch.float64, torch.float32) == 1e-4
    assert tolerance_of(torch.float32, torch.bfloat16) == HALF_TOLERANCE


def test_an_engine_that_is_wrong_far_from_the_beginning_is_found_out():
    """What is asked reaches as far as refinements do."""

    class Forgets(Apart):
        """It reads a prompt's last 300 ids alone, as a window would that is too short."""

        def submit(self, request):
            short = request.prompt_ids[-300:]
            super().submit(dataclasses.replace(request, prompt_ids=short))

    make_env = lambda: CodeFeedbackEnv(TASKS, 2)  # noqa: E731
    policy = policy_of()
    config = TrainConfig(model="tiny", engine="vllm", max_completion_length=100)
    with EnvPool(make_env, 1) as envs:
        for engine, message in [(Apart, None), (Forgets, "nats from")]:
            sampler = Sampler(
                engine(policy.model), CODEC, envs, SamplingParams(config.max_completion_length)
            )
            sync = make_sync(config, sampler, policy)
            lengths = [len(prompt) for prompt in sync.canary.prompts]
            # Two tasks, and one prompt of twice the longest and all attempts.
            assert len(lengths) == 3
            assert lengths[-1] == 2 * max(lengths[:2]) + 2 * 100
            with pytest.raises(SyncError, match=message) if message else nullcontext():
                sync(1)


def test_an_engine_that_loses_a_prompt_is_found_out():
    class Loses(TransformersEngine):
        def poll(self, timeout=None):
            return super().poll(timeout)[1:]

    policy = policy_of()
    with pytest.raises(SyncError, match="lost prompts"):
        Canary(PROMPTS, 1.0, 1e-4).check(Loses(policy.model, CODEC), policy.model)
