"""What the engines on vLLM ask for and take back, without vLLM."""

import importlib.util
import math

import pytest

from murphy_agents.codec import CharCodec
from murphy_agents.engines import vllm_common, vllm_start
from murphy_agents.engines.protocol import Request, SamplingParams

CODEC = CharCodec()
PARAMS = SamplingParams(9, temperature=0.6, top_p=0.95, stop=("</output>",))
REQUEST = Request((5, 6), (7, 2**63 - 1), PARAMS, tag="t")


def test_a_sample_is_asked_for_with_its_own_seed_and_our_ends_alone():
    assert vllm_common.drawing_fields(REQUEST, 1, {4, 1}) == {
        "n": 1,
        "max_tokens": 9,
        "temperature": 0.6,
        "top_p": 0.95,
        "seed": 2**63 - 1,
        "stop": ["</output>"],
        "stop_token_ids": [1, 4],
        "ignore_eos": True,
        "logprobs": 0,
    }


def test_ends_are_the_codecs_and_the_generation_configs():
    assert vllm_common.end_ids(CODEC, None) == {1}
    assert vllm_common.end_ids(CODEC, {"temperature": 0.6}) == {1}
    assert vllm_common.end_ids(CODEC, {"eos_token_id": 8}) == {1, 8}
    assert vllm_common.end_ids(CODEC, {"eos_token_id": [8, 9]}) == {1, 8, 9}


@pytest.mark.parametrize("temperature", [0.0, 0.01, 1.0])
def test_what_vllm_draws_as_asked_passes(temperature):
    vllm_common.check_drawable(Request((5,), (0,), SamplingParams(1, temperature), "t"))


def test_what_vllm_would_draw_otherwise_is_refused():
    with pytest.raises(ValueError, match=r"temperature 0.009, which vLLM raises to 0.01"):
        vllm_common.check_drawable(Request((5,), (0,), SamplingParams(1, 0.009), "t"))
    with pytest.raises(ValueError, match=r"below 2\*\*63"):
        vllm_common.check_drawable(Request((5,), (1, 2**63), SamplingParams(1), "t"))


def test_a_finished_sample_becomes_a_completion():
    ids = (*CODEC.encode_text("ok"), 1)
    done = vllm_common.completion_of(REQUEST, 1, ids, [-0.5, -1.0, 0.0], "stop", CODEC)
    assert (done.tag, done.index, done.ids, done.logprobs) == ("t", 1, ids, (-0.5, -1.0, 0.0))
    assert (done.text, done.finish_reason) == ("ok", "stop")
    assert vllm_common.completion_of(REQUEST, 0, [9], [0.0], "length", CODEC).finish_reason == (
        "length"
    )


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_a_log_prob_that_is_no_number_is_an_error(value):
    with pytest.raises(FloatingPointError, match="completion 1 of request 't'"):
        vllm_common.completion_of(REQUEST, 1, [5, 6], [-0.5, value], "stop", CODEC)


@pytest.mark.parametrize(
    ("ids", "logprobs", "reason"),
    [([5], [0.0], "abort"), ([], [], "stop"), ([5, 6], [0.0], "length"), ([5], [0.0], None)],
)
def test_a_sample_that_vllm_did_not_finish_is_an_error(ids, logprobs, reason):
    with pytest.raises(RuntimeError, match="vLLM ended completion 0 of request 't'"):
        vllm_common.completion_of(REQUEST, 0, ids, logprobs, reason, CODEC)


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed")
def test_without_vllm_the_command_that_installs_it_is_named(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"pip install 'murphy-rl\[vllm\]'"):
        vllm_start.check_installed()
    # a folder that only bears the name does not pass for it
    (tmp_path / "vllm").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=r"pip install 'murphy-rl\[vllm\]'"):
        vllm_start.start("folder", None, {})
