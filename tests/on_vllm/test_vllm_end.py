"""How an engine on vLLM begins and how it ends: settings refused, half a sync, a crash, closing."""

import gc
import random
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_policies import CANARY, CODEC, LONG, SHORT, TOKENIZER, drained, make_engine, saved_model

from murphy_agents.canary import SyncError, tolerance_of
from murphy_agents.engines.protocol import EngineDiedError, Request, SamplingParams, Weights
from murphy_agents.engines.vllm import VllmEngine
from murphy_agents.tiny import make_model
from murphy_agents.tiny.models import save_policy

ONE = Request(SHORT, (1,), SamplingParams(4), "one")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tied")


@pytest.fixture(scope="module")
def model(folder):
    return saved_model(folder)


@pytest.fixture
def start(folder, model):
    """Makes engines, one after the other, and closes what is left open."""
    made = []

    def start(**options):
        made.append(make_engine(folder, **options))
        return made[-1]

    yield start
    for engine in made:
        engine.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"logprobs_mode": "raw_logprobs"}, "logprobs_mode is set by the engine itself"),
        ({"enable_lora": True}, "enable_lora is set by the engine itself"),
        ({"tensor_parallel_size": 2}, "tensor_parallel_size is 2, which takes processes"),
        ({"max_lora_rank": 0}, "ranks from 1 to 512"),
        ({"max_lora_rank": 513}, "ranks from 1 to 512"),
    ],
)
def test_options_that_contradict_the_engine_are_refused(folder, options, words):
    with pytest.raises(ValueError, match=words):
        make_engine(folder, **options)


def test_vllm_in_another_process_is_refused(folder, monkeypatch):
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    with pytest.raises(ValueError, match="VLLM_ENABLE_V1_MULTIPROCESSING is '1'"):
        make_engine(folder)


def test_heads_that_vllm_does_not_know_on_a_cpu_are_refused_before_it_starts(tmp_path):
    save_policy(make_model("qwen3", TOKENIZER), TOKENIZER, tmp_path)
    with pytest.raises(ValueError, match="heads of width 16; on a CPU, vLLM knows the widths 32"):
        VllmEngine(tmp_path, CODEC, dtype="float32")


def test_starting_and_closing_leave_the_process_as_it_was(start):
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    set_num_threads = torch.set_num_threads
    engine = start(seed=5)
    drawn = random.random(), np.random.random(), torch.rand(()).item()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    assert drawn == (random.random(), np.random.random(), torch.rand(()).item())
    assert torch.set_num_threads is set_num_threads
    inside = []
    engine._engine.apply_model(lambda module: inside.append(weakref.ref(module)))
    assert drained(engine, [ONE]).keys() == {("one", 0)}
    engine.close()
    engine.close()
    gc.collect()
    assert inside[0]() is None
    for call in (lambda: engine.submit(ONE), engine.poll):
        with pytest.raises(EngineDiedError, match="it was closed; make a new one"):
            call()


def test_half_a_sync_is_the_end_of_an_engine(start, model):
    engine = start()

    def breaks():
        yield from list(model.named_parameters())[:5]
        raise OSError("no space left")

    with pytest.raises(EngineDiedError, match="sync to version 1 failed: no space left"):
        engine.sync(Weights(1, breaks, lambda _: None))
    assert engine.version == 0
    whole = Weights(2, model.named_parameters, lambda _: None)
    for call in (lambda: engine.submit(ONE), engine.poll, lambda: engine.sync(whole)):
        with pytest.raises(EngineDiedError, match="no space left; make a new one"):
            call()
    engine.close()
    # a new one is as good as the first
    assert CANARY.check(start(), model) < 1e-5


def test_weights_of_another_model_are_the_end_of_an_engine(start):
    engine = start()
    strange = [("model.layers.7.mlp.up_proj.weight", torch.zeros(192, 64))]
    with pytest.raises(EngineDiedError, match="sync to version 1 failed"):
        engine.sync(Weights(1, lambda: strange, lambda _: None))
    with pytest.raises(EngineDiedError, match="make a new one"):
        engine.submit(ONE)


def test_a_crash_of_vllm_is_told_with_its_cause(start):
    # a seeded sample whose prompt is read in pieces breaks vLLM on a CPU
    engine = start(context_length=512, enable_chunked_prefill=True, max_num_batched_tokens=64)
    engine.submit(Request(LONG, (1, 2), SamplingParams(4), "a"))
    with pytest.raises(EngineDiedError, match="while it was sampling: CPU Generator does not use"):
        engine.poll()
    with pytest.raises(EngineDiedError, match="make a new one"):
        engine.poll()


def test_in_half_precision_rounding_passes_and_a_missed_sync_does_not(start, folder, model):
    engine = start(dtype="bfloat16")
    canary = replace(CANARY, tolerance=tolerance_of(torch.float32, torch.bfloat16))
    assert 1e-4 < canary.check(engine, model) < 0.05
    other = saved_model(folder.with_name("other"), seed=1)
    engine.sync(Weights(1, other.named_parameters, lambda _: None))
    assert 1e-4 < canary.check(engine, other) < 0.05
    with pytest.raises(SyncError, match=r"tolerance is 0\.05"):
        canary.check(engine, model)


def test_many_long_prompts_with_seeds_do_not_break_it(start, model):
    # together more ids than are read in one step: some wait, none is read in pieces
    engine = start(context_length=512, max_num_batched_tokens=512)
    prompts = [tuple((7 * i + j) % 250 + 3 for j in range(400)) for i in range(4)]
    requests = [Request(p, (1, 2), SamplingParams(4), i) for i, p in enumerate(prompts)]
    assert len(drained(engine, requests)) == 8
