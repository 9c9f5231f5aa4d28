"""Log-probs of the engine are the trainer's, before and after syncs, whatever the architecture."""

import pytest
import torch
from small_policies import CANARY, farthest, make_engine, move, saved_model, told_and_trained

from murphy_agents.canary import SyncError
from murphy_agents.engines.weights import weights_of
from murphy_agents.policy import Policy
from murphy_agents.tiny import make_tokenizer

KINDS = {
    "tied": {"kind": "qwen3", "tie_word_embeddings": True},
    "untied": {"kind": "qwen3", "tie_word_embeddings": False},
    "llama": {"kind": "llama"},
    # vLLM 0.32 runs it by the class of transformers, which is the trainer's too.
    "olmo2": {"kind": "olmo2"},
}


@pytest.fixture(scope="module", params=KINDS)
def beside(request, tmp_path_factory):
    """A model in training and an engine that was made from it."""
    folder = tmp_path_factory.mktemp(request.param)
    model = saved_model(folder, **KINDS[request.param])
    engine = make_engine(folder)
    yield model, engine
    engine.close()


@pytest.mark.parametrize("temperature", [0.6, 1.0])
def test_log_probs_are_the_trainers(beside, temperature):
    model, engine = beside
    told_N, trained_N = told_and_trained(engine, model, temperature)
    assert len(told_N) > 100
    assert float((told_N - trained_N).abs().max()) < 1e-5
    # the importance ratio of a policy to itself
    ratio_N = (trained_N - told_N).exp()
    assert ratio_N == pytest.approx(1, abs=1e-5)


def test_after_each_sync_they_are_those_of_the_changed_weights(beside):
    model, engine = beside
    policy = Policy.wrap(model, make_tokenizer(["a"]), beta=0.0)
    for version in (1, 2):
        move(model.parameters(), version)
        with pytest.raises(SyncError, match="nats from the trainer's"):
            CANARY.check(engine, model)
        engine.sync(weights_of(policy, version))
        assert engine.version == version
        assert CANARY.check(engine, model) < 1e-5
        assert farthest(engine, model, 0.6) < 1e-5
        assert farthest(engine, model, 1.0) < 1e-5


def test_the_model_in_training_and_new_ones_of_its_class_work_on(beside):
    model, _ = beside
    ids = torch.tensor([[5, 6, 7]])
    seen = []
    hook = model.base_model.register_forward_hook(lambda *_: seen.append(1))
    loss = model(ids, labels=ids).loss
    loss.backward()
    hook.remove()
    assert torch.isfinite(loss)
    assert seen == [1]
    twin = type(model)(model.config)
    twin.load_state_dict(model.state_dict())
    assert float(twin.eval()(ids, labels=ids).loss) == pytest.approx(float(loss), abs=1e-6)
    model.zero_grad()
