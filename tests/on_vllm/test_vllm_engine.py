"""The engine on vLLM in process, with a tied Qwen3: what is drawn, what is counted and refused."""

import random

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from small_policies import (
    CANARY,
    CODEC,
    END,
    LONG,
    SHORT,
    TOKENIZER,
    drained,
    make_engine,
    move,
    saved_model,
)

from murphy_agents.canary import SyncError
from murphy_agents.engines import vllm_common
from murphy_agents.engines.protocol import Request, SamplingParams, Weights
from murphy_agents.engines.transformers import TransformersEngine
from murphy_agents.engines.weights import weights_of
from murphy_agents.policy import Policy
from murphy_agents.rollout import seed_of


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tied")
    made = saved_model(folder)
    made.name_or_path = str(folder)
    return made


@pytest.fixture(scope="module")
def engine(model):
    made = make_engine(model.name_or_path, context_length=512)
    yield made
    made.close()


@pytest.fixture
def synced(engine, model):
    """Both as they were afterwards too, whatever a test does to them."""
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    policy = Policy.wrap(model, None, beta=0.0)
    yield policy
    model.load_state_dict(before)
    engine.sync(weights_of(policy, engine.version + 1))
    assert CANARY.check(engine, model) < 1e-5


MIXED = [
    Request(LONG, (1, 2, 3), SamplingParams(12), "a"),
    Request(SHORT, (4, 5), SamplingParams(20, temperature=0.6), "b"),
    Request(LONG, (1, 2**63 - 1), SamplingParams(16, temperature=0.6, top_p=0.9), "c"),
    Request(SHORT, (8,), SamplingParams(9, temperature=0.0), "d"),
    Request((9,), (9, 10), SamplingParams(1), "e"),
]


def test_every_sample_comes_back_once_with_its_tag_and_index(engine):
    found = drained(engine, MIXED)
    wanted = {(r.tag, i): r for r in MIXED for i in range(len(r.seeds))}
    assert found.keys() == wanted.keys()
    for key, request in wanted.items():
        done = found[key]
        assert 1 <= len(done.ids) <= request.params.max_tokens
        assert len(done.logprobs) == len(done.ids)
        assert done.text == CODEC.decode(done.ids)
        assert done.finish_reason == ("stop" if done.ids[-1] == END else "length")
        assert END not in done.ids[:-1]
        assert done.finish_reason == "stop" or len(done.ids) == request.params.max_tokens
    assert engine.poll() == []


def test_seeds_repeat_and_a_sample_is_the_same_alone(engine):
    together = drained(engine, MIXED)
    again = drained(engine, MIXED)
    assert {key: done.ids for key, done in again.items()} == {
        key: done.ids for key, done in together.items()
    }
    for request in MIXED:
        for index, seed in enumerate(request.seeds):
            lonely = Request(request.prompt_ids, (seed,), request.params, "x")
            alone = drained(engine, [lonely])["x", 0]
            assert alone.ids == together[request.tag, index].ids
            assert alone.logprobs == pytest.approx(together[request.tag, index].logprobs, abs=1e-5)


def test_other_seeds_draw_other_samples(engine):
    seeds = (*range(8), *(seed_of((0, 1), (0,), i) for i in range(64)))
    assert max(seeds) > 2**62
    drawn = drained(engine, [Request(LONG, seeds, SamplingParams(12), "a")])
    assert len({done.ids for done in drawn.values()}) == 72


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.6, 1.0), (1.0, 0.9)])
def test_first_tokens_are_drawn_as_often_as_the_model_says(engine, model, temperature, top_p):
    num = 2000
    params = SamplingParams(1, temperature, top_p)
    drawn = drained(engine, [Request(SHORT, tuple(range(num)), params, "a")]).values()
    counts = np.bincount([done.ids[0] for done in drawn], minlength=len(TOKENIZER))
    expected = nucleus(model, SHORT, temperature, top_p)
    assert counts[expected == 0].sum() == 0
    # tokens with fewer than ten expected draws are taken together
    often = expected * num >= 10
    observed = [*counts[often], counts[~often].sum()]
    wanted = [*(expected[often] * num), expected[~often].sum() * num]
    if wanted[-1] == 0:
        observed, wanted = observed[:-1], wanted[:-1]
    assert len(wanted) > 3
    assert chisquare(observed, wanted).pvalue > 1e-4


@torch.no_grad()
def nucleus(model, prompt, temperature, top_p):
    """Probabilities of the next token, over the fewest tokens that hold `top_p` of the mass."""
    logits = model(torch.tensor([prompt])).logits[0, -1].double()
    p = (logits / temperature).softmax(-1).numpy()
    order = np.argsort(-p, kind="stable")
    kept = order[: int(np.sum(np.cumsum(p[order]) - p[order] < top_p))]
    inside = np.zeros_like(p)
    inside[kept] = p[kept]
    return inside / inside.sum()


def test_below_a_top_p_of_one_log_probs_are_of_the_nucleus(engine, model):
    found = drained(engine, [Request(SHORT, (1, 2, 3), SamplingParams(8, 0.6, 0.9), "a")])
    for done in found.values():
        for place, (token, told) in enumerate(zip(done.ids, done.logprobs, strict=True)):
            p = nucleus(model, SHORT + done.ids[:place], 0.6, 0.9)
            assert told == pytest.approx(float(np.log(p[token])), abs=1e-5)


def test_greedy_is_as_in_the_engine_on_transformers(engine, model):
    # beside samples at other temperatures, which vLLM divides by in the same batch
    requests = [*MIXED, Request(LONG, (0,), SamplingParams(12, temperature=0.0), "g")]
    found = drained(engine, requests)
    alone = drained(TransformersEngine(model, CODEC), requests)
    for key in [("d", 0), ("g", 0)]:
        assert found[key].ids == alone[key].ids
        assert found[key].logprobs == pytest.approx(alone[key].logprobs, abs=1e-5)


def test_whole_blocks_of_a_prompt_are_read_once(engine, synced):
    engine.sync(weights_of(synced, engine.version + 1))  # empties the cache
    before = engine.stats.prompt_tokens, engine.stats.prefilled_tokens
    found = drained(engine, [Request(LONG, tuple(range(8)), SamplingParams(8), "a")])
    asked, read = engine.stats.prompt_tokens - before[0], engine.stats.prefilled_tokens - before[1]
    # 100 ids are 3 blocks of 32 and 4 more: 100 read once, then 4 for each of the 7 others
    assert (asked, read) == (800, 100 + 7 * 4)
    # 100 ids, a completion of at most 8, 20 more: three whole blocks are those of the parent
    longer = found["a", 0]
    child = LONG + longer.ids + tuple(range(130, 150))
    before = engine.stats.prefilled_tokens
    drained(engine, [Request(child, (1,), SamplingParams(4), "b")])
    assert engine.stats.prefilled_tokens - before == len(child) - 96


def test_work_is_counted(engine):
    before = engine.stats.generated_tokens, engine.stats.seconds
    found = drained(engine, MIXED)
    assert engine.stats.generated_tokens - before[0] == sum(len(c.ids) for c in found.values())
    assert engine.stats.seconds > before[1]


def test_a_stop_text_ends_a_completion_and_is_part_of_it(engine):
    prompt = CODEC.encode([{"role": "user", "content": "def add(a, b):"}])
    request = Request(prompt, tuple(range(20)), SamplingParams(40), "a")
    free = drained(engine, [request])
    letter = next(char for char in free["a", 0].text if char.isalnum())
    stopped = Request(prompt, request.seeds, SamplingParams(40, stop=(letter, "zzz")), "a")
    for key, done in drained(engine, [stopped]).items():
        whole = free[key]
        assert done.ids == whole.ids[: len(done.ids)]
        assert done.text == CODEC.decode(done.ids)
        assert done.logprobs == pytest.approx(whole.logprobs[: len(done.ids)], abs=1e-5)
        if letter in whole.text:
            assert done.finish_reason == "stop"
            assert letter in done.text
            assert letter not in CODEC.decode(done.ids[:-1])
        else:
            assert done.ids == whole.ids
    assert len(drained(engine, [stopped])["a", 0].ids) < 40


def test_a_completion_ends_at_an_end_token_of_the_generation_config(model, engine, monkeypatch):
    request = Request(LONG, (3,), SamplingParams(12), "a")
    third = drained(engine, [request])["a", 0].ids[2]
    ends = vllm_common.end_ids(CODEC, {"eos_token_id": [END, third]})
    assert ends == {END, third}
    monkeypatch.setattr(engine, "_eos_ids", ends)
    done = drained(engine, [request])["a", 0]
    assert done.ids[-1] == third
    assert done.finish_reason == "stop"
    assert len(done.ids) <= 3


def test_completions_come_back_while_others_are_in_flight(engine):
    engine.submit(Request(LONG, (1,), SamplingParams(200, temperature=0.0), "long"))
    engine.submit(Request(LONG, (1,), SamplingParams(2, temperature=0.0), "short"))
    assert [done.tag for done in engine.poll()] == ["short"]
    # time is up at once: one step is worked, and nothing has finished
    assert engine.poll(0) == []
    engine.submit(Request(SHORT, (1,), SamplingParams(1), "late"))
    assert [done.tag for done in engine.poll()] == ["late"]
    assert [done.tag for done in engine.poll()] == ["long"]
    assert engine.poll() == []


def test_what_cannot_be_served_is_refused_and_leaves_no_trace(engine):
    fine = Request(SHORT, (1,), SamplingParams(4), "fine")
    engine.submit(fine)
    for request, words in [
        (Request(LONG, (1,), SamplingParams(413), "x"), "needs 513 ids"),
        (Request((), (1,), SamplingParams(4), "x"), "empty prompt"),
        (Request(SHORT, (1,), SamplingParams(4), "fine"), "is in flight"),
        (Request((5, 276), (1,), SamplingParams(4), "x"), "ids from 5 to 276"),
        (Request((-1, 5), (1,), SamplingParams(4), "x"), "ids from -1 to 5"),
        (Request(SHORT, (-1,), SamplingParams(4), "x"), "0 or more"),
        (Request(SHORT, (2**63,), SamplingParams(4), "x"), "63 bits"),
        (Request(SHORT, (1,), SamplingParams(4, temperature=0.001), "x"), "raises to 0.01"),
    ]:
        with pytest.raises(ValueError, match=words):
            engine.submit(request)
    with pytest.raises(ValueError, match="1 requests are in flight, such as 'fine'"):
        engine.sync(Weights(9, lambda: [], lambda _: None))
    assert [done.tag for done in engine.poll()] == ["fine"]
    assert engine.poll() == []
    # as much as there is room for
    assert len(drained(engine, [Request(LONG, (1,), SamplingParams(412), "x")])) == 1


def test_what_vllm_itself_refuses_leaves_no_sample_behind(engine, monkeypatch):
    engine.submit(Request(SHORT, (1,), SamplingParams(4), "fine"))
    fields = vllm_common.drawing_fields

    def second_is_bad(request, index, eos_ids):
        return fields(request, index, eos_ids) | ({"min_p": 2.0} if index else {})

    with monkeypatch.context() as patched:
        patched.setattr(vllm_common, "drawing_fields", second_is_bad)
        with pytest.raises(ValueError, match="vLLM refuses request 'bad': min_p"):
            engine.submit(Request(SHORT, (1, 2), SamplingParams(4), "bad"))
    engine.submit(Request(SHORT, (1, 2), SamplingParams(4), "bad"))
    found = {}
    while finished := engine.poll():
        found |= {(c.tag, c.index): c for c in finished}
    assert found.keys() == {("fine", 0), ("bad", 0), ("bad", 1)}


def test_a_sample_that_vllm_drops_is_told_and_others_go_on(engine):
    requests = [Request(SHORT, (1,), SamplingParams(30, temperature=0.0), tag) for tag in "ab"]
    for request in requests:
        engine.submit(request)
    dropped = next(name for name, (r, _) in engine._samples.items() if r.tag == "a")
    engine._engine.abort_request([dropped])
    assert [done.tag for done in engine.poll()] == ["b"]
    with pytest.raises(RuntimeError, match="gave up completion 0 of request 'a'"):
        engine.poll()
    assert engine.poll() == []
    assert drained(engine, requests).keys() == {("a", 0), ("b", 0)}


def test_numbers_that_are_not_finite_are_an_error(engine, synced):
    with torch.no_grad():
        synced.model.model.norm.weight.fill_(float("nan"))
    engine.sync(weights_of(synced, engine.version + 1))
    engine.submit(Request(SHORT, (1,), SamplingParams(4), "a"))
    with pytest.raises(FloatingPointError, match="completion 0 of request 'a'"):
        engine.poll()
    assert engine.poll() == []


def test_random_numbers_and_threads_of_the_process_are_left_alone(engine):
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    drained(engine, MIXED)
    drawn = random.random(), np.random.random(), torch.rand(()).item()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    assert drawn == (random.random(), np.random.random(), torch.rand(()).item())
    torch.set_num_threads(2)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)


def test_a_sync_that_was_skipped_is_seen(engine, synced):
    move(synced.model.parameters(), 1)
    with pytest.raises(SyncError, match="nats from the trainer's"):
        CANARY.check(engine, synced.model)


def test_an_output_layer_that_kept_its_old_copy_is_seen(engine, synced, monkeypatch):
    move(synced.model.parameters(), 1)
    monkeypatch.setattr(vllm_common, "repack_output_layers", lambda model: None)
    engine.sync(weights_of(synced, engine.version + 1))
    with pytest.raises(SyncError, match="nats from the trainer's"):
        CANARY.check(engine, synced.model)


def test_a_cache_of_older_weights_is_seen(engine, synced, monkeypatch):
    CANARY.check(engine, synced.model)  # fills the cache
    move(synced.model.parameters(), 1)
    monkeypatch.setattr(engine._engine, "reset_prefix_cache", lambda: True)
    engine.sync(weights_of(synced, engine.version + 1))
    with pytest.raises(SyncError, match="nats from the trainer's"):
        CANARY.check(engine, synced.model)


def test_weights_that_sleep_threw_away_are_seen(engine, synced):
    # what sleep of level 2 leaves behind on a GPU where nothing is reloaded
    @torch.no_grad()
    def throw_away(module):
        for parameter in module.parameters():
            parameter.zero_()

    engine._engine.apply_model(throw_away)
    with pytest.raises(SyncError, match="nats from the trainer's"):
        CANARY.check(engine, synced.model)


def test_half_of_the_weights_are_seen(engine, synced):
    # vLLM takes what it gets and warns in its log; the others keep whatever is in their memory
    move(synced.model.parameters(), 1)
    named = list(weights_of(synced, 0).named())[::2]
    engine.sync(Weights(engine.version + 1, lambda: named, lambda _: None))
    with pytest.raises(SyncError, match=r"nats from the trainer's|no finite log-probs"):
        CANARY.check(engine, synced.model)
