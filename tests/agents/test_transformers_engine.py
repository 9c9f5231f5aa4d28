import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from scipy.stats import chisquare
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from murphy_agents.codec import ChatCodec
from murphy_agents.engines.drawing import Rule, draw, uniforms
from murphy_agents.engines.ending import Ending
from murphy_agents.engines.kv_cache import Part, merge, new_cache
from murphy_agents.engines.protocol import Request, SamplingParams, Weights
from murphy_agents.engines.transformers import TransformersEngine
from murphy_agents.tiny import make_model, make_tokenizer

TOKENIZER = make_tokenizer(["def add(a, b):\n    return a + b\n"])
CODEC = ChatCodec(TOKENIZER)
END = CODEC.end_of_turn
SHORT, MIDDLE, LONG = (5, 6), tuple(range(10, 23)), tuple(range(30, 71))
MIXED = [
    Request(MIDDLE, (1, 2, 3), SamplingParams(12), "a"),
    Request(SHORT, (4, 5), SamplingParams(20, temperature=0.6), "b"),
    Request(LONG, (6,), SamplingParams(5, top_p=0.9), "c"),
    Request(MIDDLE, (1, 7), SamplingParams(16, temperature=0.6, top_p=0.95), "d"),
    Request(SHORT, (8,), SamplingParams(9, temperature=0.0), "e"),
    Request((9,), (9, 10), SamplingParams(1), "f"),
]
"""Three lengths, one prompt twice, every kind of drawing, limits from 1 to 20."""


def sharp_model(kind="qwen3", dtype=torch.float64, **settings):
    """Random weights large enough for a distribution that is far from even."""
    torch.set_num_threads(1)
    return make_model(kind, TOKENIZER, initializer_range=0.2, **settings).to(dtype)


def drained(engine, requests):
    """Completions by (tag, index), submitted together."""
    for request in requests:
        engine.submit(request)
    found = {}
    while finished := engine.poll():
        found |= {(c.tag, c.index): c for c in finished}
    return found


@torch.no_grad()
def log_probs(model, ids, temperature=1.0):
    """Log-probabilities (ids, vocabulary) of what follows each id, by one plain forward."""
    logits = model.eval()(torch.tensor([ids])).logits[0].double()
    return (logits / temperature).log_softmax(-1)


def naive(model, request, index):
    """One sample the slow way: no cache, no batch, no padding, its own inverse of the CDF."""
    params, ids, kept_log = request.params, [], []
    numbers = uniforms(request.seeds[index], params.max_tokens)
    while len(ids) < params.max_tokens and not (ids and ids[-1] == END):
        log_p = log_probs(model, (*request.prompt_ids, *ids), params.temperature or 1.0)[-1]
        p = log_p.exp().numpy()
        if params.temperature == 0:
            chosen, mass = int(np.argmax(p)), 1.0
        else:
            order = np.argsort(-p, kind="stable")
            num_kept = int(np.sum(np.cumsum(p[order]) - p[order] < params.top_p))
            p[order[num_kept:]] = 0
            mass = p.sum()
            chosen = int(np.searchsorted(np.cumsum(p), numbers[len(ids)] * mass, side="right"))
        ids.append(chosen)
        kept_log.append(float(log_p[chosen]) - math.log(mass))
    return tuple(ids), kept_log


def agrees_with_naive(model, found, requests):
    for request in requests:
        for index in range(len(request.seeds)):
            ids, logs = naive(model, request, index)
            completion = found[request.tag, index]
            assert completion.ids == ids
            assert completion.logprobs == pytest.approx(logs, abs=1e-5)
            assert completion.finish_reason == ("stop" if ids[-1] == END else "length")


@pytest.mark.parametrize("max_batch_rows", [512, 3])
@pytest.mark.parametrize("kind", ["qwen3", "olmo2"])
def test_batches_say_what_single_samples_without_cache_say(kind, max_batch_rows):
    model = sharp_model(kind)
    engine = TransformersEngine(model, CODEC, max_batch_rows=max_batch_rows)
    found = drained(engine, MIXED)
    assert len(found) == 3 + 2 + 1 + 2 + 1 + 2
    agrees_with_naive(model, found, MIXED)


def test_sliding_windows_keep_their_meaning():
    model = sharp_model(
        use_sliding_window=True,
        sliding_window=6,
        layer_types=["sliding_attention", "full_attention"],
    )
    agrees_with_naive(model, drained(TransformersEngine(model, CODEC), MIXED), MIXED)


def test_eager_attention_says_the_same():
    model = sharp_model(dtype=torch.float32, attn_implementation="eager")
    assert model.config._attn_implementation == "eager"
    agrees_with_naive(model, drained(TransformersEngine(model, CODEC), MIXED), MIXED)


def test_eager_attention_in_float64_is_refused():
    model = sharp_model(attn_implementation="eager")
    with pytest.raises(ValueError, match="attn_implementation='sdpa'"):
        TransformersEngine(model, CODEC)


def test_samples_that_join_later_say_the_same():
    model = sharp_model()
    engine = TransformersEngine(model, CODEC)
    for request in MIXED[:3]:
        engine.submit(request)
    found = {(c.tag, c.index): c for c in engine.poll()}
    assert len(found) < 6, "something must still be in flight"
    found |= drained(engine, MIXED[3:])
    agrees_with_naive(model, found, MIXED)


def test_a_sample_is_the_same_alone():
    model = sharp_model()
    together = drained(TransformersEngine(model, CODEC), MIXED)
    alone = drained(
        TransformersEngine(model, CODEC), [Request(MIDDLE, (2,), SamplingParams(12), "x")]
    )
    assert alone["x", 0].ids == together["a", 1].ids
    assert alone["x", 0].logprobs == pytest.approx(together["a", 1].logprobs, abs=1e-9)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
@pytest.mark.parametrize("kind", ["qwen3", "olmo2", "llama"])
def test_log_probs_are_those_of_a_fresh_forward_at_the_temperature(kind, temperature):
    model = sharp_model(kind, torch.float32)
    params = SamplingParams(30, temperature=temperature)
    requests = [Request(p, (1, 2, 3), params, len(p)) for p in (SHORT, MIDDLE, LONG)]
    for (length, _), completion in drained(TransformersEngine(model, CODEC), requests).items():
        prompt = {2: SHORT, 13: MIDDLE, 41: LONG}[length]
        fresh = log_probs(model, (*prompt, *completion.ids), temperature)[length - 1 : -1]
        expected = fresh.gather(1, torch.tensor(completion.ids)[:, None]).squeeze(1)
        assert completion.logprobs == pytest.approx(expected.tolist(), abs=1e-5)


def test_each_distinct_prompt_is_read_once():
    engine = TransformersEngine(sharp_model(), CODEC)
    found = drained(engine, MIXED)
    # read: 13 (twice asked), 2 (twice asked), 41, 1; asked: 13*(3+2) + 2*(2+1) + 41 + 1*2
    assert engine.stats.prefilled_tokens == 13 + 2 + 41 + 1
    assert engine.stats.prompt_tokens == 65 + 6 + 41 + 2
    assert engine.stats.generated_tokens == sum(len(c.ids) for c in found.values())
    assert engine.stats.seconds > 0


def test_completions_end_at_the_first_end_token_and_keep_it():
    requests = [Request(MIDDLE, tuple(range(60)), SamplingParams(40), "a")]
    found = drained(TransformersEngine(sharp_model(), CODEC), requests).values()
    stopped = [c for c in found if c.finish_reason == "stop"]
    assert 0 < len(stopped) < 60
    assert all(c.ids.index(END) == len(c.ids) - 1 for c in stopped)
    assert all(END not in c.ids and len(c.ids) == 40 for c in found if c not in stopped)
    assert all(c.text == CODEC.decode(c.ids) for c in found)


@pytest.mark.parametrize("max_batch_rows", [512, 2])
def test_completions_end_with_the_first_of_their_stop_texts(max_batch_rows):
    model = sharp_model()
    free = Request(SHORT, tuple(range(12)), SamplingParams(40), "free")
    texts = [c.text for c in drained(TransformersEngine(model, CODEC), [free]).values()]
    # Texts that really come: two letters out of the middle of some completions.
    stops = tuple(text[5:7] for text in texts[:3] if len(text) > 8)
    assert len(stops) > 1
    stopped = Request(SHORT, free.seeds, SamplingParams(40, stop=stops), "stopped")
    engine = TransformersEngine(model, CODEC, max_batch_rows=max_batch_rows)
    found = drained(engine, [stopped, free])
    num_stopped = 0
    for index in range(12):
        short, whole = found["stopped", index], found["free", index]
        assert short.ids == whole.ids[: len(short.ids)]
        # Without its last id it held none of them.
        assert not any(stop in CODEC.decode(short.ids[:-1]) for stop in stops)
        if any(stop in whole.text for stop in stops):
            num_stopped += 1
            assert any(stop in short.text for stop in stops)
            assert short.finish_reason == "stop"
        else:
            assert short == dataclasses.replace(whole, tag="stopped")
    assert num_stopped >= 3


def test_stop_texts_of_one_sample_do_not_stop_another():
    model = sharp_model()
    every = tuple("abcdefghijklmnopqrstuvwxyz ")
    requests = [
        Request(SHORT, (1,), SamplingParams(20, stop=every), "stopped"),
        Request(SHORT, (1,), SamplingParams(20), "free"),
    ]
    found = drained(TransformersEngine(model, CODEC), requests)
    alone = drained(TransformersEngine(model, CODEC), requests[1:])
    assert found["free", 0] == alone["free", 0]
    assert len(found["stopped", 0].ids) < len(found["free", 0].ids)


def test_a_stop_text_with_special_ids_within_is_found():
    special = [i for i in sorted(CODEC.eos_ids | {END}) if CODEC.decode((i,)) == ""]
    letters = CODEC.encode_text("xab")
    ids = [letters[0], letters[1], special[0], special[0], letters[2]]
    ending = Ending(frozenset(), CODEC.decode, torch.device("cpu"))
    assert CODEC.decode(ids) == "xab"
    for num, found in [(4, False), (5, True)]:
        told = ending.at_stop_text(
            [("ab",)], torch.tensor([ids]), torch.tensor([num]), torch.tensor([True])
        )
        assert told.tolist() == [found]


def metaspace_tokenizer():
    """Pieces as SentencePiece makes them: blanks are marks, what is unknown comes as bytes."""
    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *"\u2581abx\n"]
    made = Tokenizer(models.BPE({p: i for i, p in enumerate(pieces)}, [], byte_fallback=True))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
         decoders.Strip(" ", 1, 0)]
    )  # fmt: skip
    return PreTrainedTokenizerFast(tokenizer_object=made)


@pytest.mark.parametrize("tokenizer", [TOKENIZER, metaspace_tokenizer()], ids=["bytes", "pieces"])
def test_stop_texts_are_found_where_the_whole_text_has_them(tokenizer):
    def decode(ids):
        return tokenizer.decode(
            list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
        )

    stops = (" ", "a b", "b\n", "\u00e9", "x\u4e16", "\n\n")
    draw = np.random.default_rng(0)
    words = ["a", "b", " ", "x", "\n", "\u00e9", "\u4e16", "\U0001f600"]
    ending, num_found = Ending(frozenset(), decode, torch.device("cpu")), 0
    for _ in range(100):
        text = "".join(draw.choice(words, 12))
        ids = torch.tensor([tokenizer(text, add_special_tokens=False).input_ids])
        asked = [(str(draw.choice(stops)),)]
        for num in range(1, ids.shape[1] + 1):
            is_there = asked[0][0] in decode(ids[0, :num].tolist())
            num_R, open_R = torch.tensor([num]), torch.tensor([True])
            assert ending.at_stop_text(asked, ids, num_R, open_R).tolist() == [is_there]
            if is_there:
                num_found += 1
                break
    assert 20 < num_found < 100


def test_a_completion_that_its_stop_text_ends_at_the_limit_has_stopped():
    model = sharp_model()
    free = Request(SHORT, (1,), SamplingParams(6), "free")
    (whole,) = drained(TransformersEngine(model, CODEC), [free]).values()
    assert whole.finish_reason == "length"
    stop = (CODEC.decode(whole.ids[-1:]),)
    assert stop[0]
    assert stop[0] not in CODEC.decode(whole.ids[:-1])
    stopped = Request(SHORT, (1,), SamplingParams(6, stop=stop), "stopped")
    (done,) = drained(TransformersEngine(model, CODEC), [stopped]).values()
    assert (done.ids, done.finish_reason) == (whole.ids, "stop")


def test_what_is_aborted_does_not_come_and_leaves_nothing_behind():
    model = sharp_model()
    engine = TransformersEngine(model, CODEC, max_batch_rows=2)
    for request in MIXED:
        engine.submit(request)
    engine.poll(timeout=0.0)
    engine.abort()
    assert engine.poll() == []
    fresh = TransformersEngine(model, CODEC, max_batch_rows=2)
    assert drained(engine, MIXED) == drained(fresh, MIXED)


@pytest.mark.parametrize("stop", ["end", ("",), ("a", "")])
def test_stop_texts_that_cannot_be_are_refused(stop):
    with pytest.raises(ValueError, match="stop is"):
        SamplingParams(4, stop=stop)


def test_poll_comes_back_when_its_time_is_up():
    engine = TransformersEngine(sharp_model(), CODEC)
    engine.submit(Request(LONG, (1,), SamplingParams(60), "a"))
    steps = 0
    while not (done := engine.poll(timeout=0.0)):
        steps += 1
    # One step a call: the prompt with its first token, then a token each.
    assert steps == len(done[0].ids) - 1
    assert engine.poll(timeout=0.0) == []


def test_weights_do_not_change_under_a_sample():
    engine = TransformersEngine(sharp_model(), CODEC)
    weights = Weights(3, named=lambda: [], write=lambda folder: None)
    engine.submit(Request(SHORT, (1,), SamplingParams(3), "a"))
    with pytest.raises(ValueError, match="in flight, such as 'a'"):
        engine.sync(weights)
    while engine.poll():
        pass
    engine.sync(weights)
    assert engine.version == 3


def test_end_tokens_of_the_generation_config_count():
    model = sharp_model()
    request = Request(MIDDLE, (1,), SamplingParams(12), "a")
    third = drained(TransformersEngine(model, CODEC), [request])["a", 0].ids[2]
    model.generation_config.eos_token_id = [END, third]
    completion = drained(TransformersEngine(model, CODEC), [request])["a", 0]
    assert completion.ids[-1] == third
    assert completion.finish_reason == "stop"
    assert len(completion.ids) <= 3


def test_completions_come_back_while_others_are_in_flight():
    engine = TransformersEngine(sharp_model(), CODEC)
    engine.submit(Request(MIDDLE, (1,), SamplingParams(30, temperature=0.0), "long"))
    engine.submit(Request(MIDDLE, (1,), SamplingParams(2, temperature=0.0), "short"))
    assert [c.tag for c in engine.poll()] == ["short"]
    assert [c.tag for c in engine.poll()] == ["long"]
    assert engine.poll() == []


def rule(rows, temperature=1.0, top_p=1.0):
    full = torch.full((rows,), 1.0, dtype=torch.float64)
    return Rule(full * temperature, full * top_p, temperature == 0, top_p < 1)


THREE = torch.tensor([0.5, 0.2, 0.3]).log()[None]


def test_a_draw_inverts_the_distribution_function():
    # the function steps at .5, .7 and 1: numbers below .5 give token 0, below .7 token 1
    numbers = torch.tensor([0.0, 0.49, 0.51, 0.69, 0.71, 1 - 2**-53], dtype=torch.float64)
    ids, logs = draw(THREE.expand(6, 3), numbers, rule(6))
    assert ids.tolist() == [0, 0, 1, 1, 2, 2]
    assert logs.exp().tolist() == pytest.approx([0.5, 0.5, 0.2, 0.2, 0.3, 0.3])


def test_the_nucleus_is_the_fewest_tokens_that_hold_the_mass():
    # .7 is not reached by .5 alone, so tokens 0 and 2 stay, of mass .8: 5/8 and 3/8
    numbers = torch.tensor([0.62, 0.63, 0.999], dtype=torch.float64)
    ids, logs = draw(THREE.expand(3, 3), numbers, rule(3, top_p=0.7))
    assert ids.tolist() == [0, 2, 2]
    assert logs.exp().tolist() == pytest.approx([5 / 8, 3 / 8, 3 / 8])


def test_a_nucleus_always_holds_the_likeliest_token():
    ids, logs = draw(THREE, torch.tensor([0.99], dtype=torch.float64), rule(1, top_p=1e-9))
    assert (ids.item(), logs.item()) == (0, pytest.approx(0))


def test_rows_of_a_draw_do_not_depend_on_each_others_rule():
    number = torch.tensor([0.55, 0.55], dtype=torch.float64)
    both = Rule(number * 0 + 1, torch.tensor([1.0, 0.7], dtype=torch.float64), False, True)
    assert draw(THREE.expand(2, 3), number, both)[0].tolist() == [1, 0]


def test_temperature_sharpens():
    # p at T = .5 is proportional to p^2: .25 : .04 : .09
    _, logs = draw(THREE, torch.tensor([0.1], dtype=torch.float64), rule(1, temperature=0.5))
    assert logs.exp().item() == pytest.approx(0.25 / 0.38)


def test_greedy_takes_the_first_largest_and_tells_its_probability_at_temperature_one():
    logits = torch.tensor([[0.0, 1.0, 1.0]])
    number = torch.tensor([0.999], dtype=torch.float64)
    ids, logs = draw(logits, number, rule(1, temperature=0.0, top_p=0.1))
    assert ids.item() == 1
    assert logs.exp().item() == pytest.approx(math.e / (1 + 2 * math.e))


def test_impossible_tokens_are_never_drawn():
    logits = torch.tensor([[-math.inf, 0.0, -math.inf]])
    for number in (0.0, 1 - 2**-53):
        ids, logs = draw(logits, torch.tensor([number], dtype=torch.float64), rule(1))
        assert (ids.item(), logs.item()) == (1, 0)


def test_frequencies_follow_the_distribution_over_seeds():
    probabilities = torch.tensor([0.4, 0.3, 0.2, 0.08, 0.02])
    numbers = torch.tensor([uniforms(seed, 3)[2] for seed in range(20_000)])
    ids, _ = draw(probabilities.log().expand(20_000, 5), numbers, rule(20_000))
    counts = ids.bincount(minlength=5).numpy()
    assert chisquare(counts, 20_000 * probabilities.double().numpy(), sum_check=False).pvalue > 0.01


def test_numbers_of_a_sample_do_not_depend_on_how_many_are_taken():
    assert uniforms(7, 100)[:3].tolist() == uniforms(7, 3).tolist()
    assert uniforms(7, 3).tolist() != uniforms(8, 3).tolist()


def test_different_seeds_give_different_samples():
    requests = [Request(MIDDLE, tuple(range(20)), SamplingParams(12), "a")]
    found = drained(TransformersEngine(sharp_model(), CODEC), requests)
    assert len({c.ids for c in found.values()}) == 20


def test_adapters_speak():
    model = sharp_model(dtype=torch.float32)
    base = drained(TransformersEngine(model, CODEC), MIXED)
    adapted = get_peft_model(model, LoraConfig(target_modules=["q_proj", "down_proj"], r=4))
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.linspace(-0.5, 0.5, weight.numel()).view_as(weight))
    adapted.double()
    found = drained(TransformersEngine(adapted, CODEC), MIXED)
    agrees_with_naive(adapted, found, MIXED)
    assert found["a", 0].ids != base["a", 0].ids


def test_modes_and_global_random_state_are_left_as_they_were():
    model = sharp_model().train()
    model.model.layers[0].eval()
    modes = [module.training for module in model.modules()]
    before = torch.get_rng_state()
    drained(TransformersEngine(model, CODEC), MIXED)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), before)
    loss = model(torch.tensor([MIDDLE]), labels=torch.tensor([MIDDLE])).loss
    loss.backward()
    assert loss.isfinite()


@pytest.mark.parametrize("budget", [{"max_batch_tokens": 1}, {"max_prefill_tokens": 1}])
def test_budgets_below_one_sample_still_let_one_through(budget):
    model = sharp_model()
    agrees_with_naive(model, drained(TransformersEngine(model, CODEC, **budget), MIXED), MIXED)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request(LONG, (1,), SamplingParams(10), "t"), r"needs 51 ids \(41 of prompt"),
        (Request((), (1,), SamplingParams(1), "t"), "empty prompt"),
        (Request((9999,), (1,), SamplingParams(1), "t"), "the model's own tokenizer"),
        (Request((-1,), (1,), SamplingParams(1), "t"), "the model's own tokenizer"),
    ],
)
def test_requests_that_cannot_be_served_are_refused(request_, message):
    engine = TransformersEngine(sharp_model(max_position_embeddings=50), CODEC)
    assert engine.context_length == 50
    with pytest.raises(ValueError, match=message):
        engine.submit(request_)
    assert engine.poll() == []


def test_a_tag_in_flight_is_refused_and_free_afterwards():
    engine = TransformersEngine(sharp_model(), CODEC)
    engine.submit(MIXED[0])
    with pytest.raises(ValueError, match="'a' is in flight"):
        engine.submit(MIXED[0])
    drained(engine, [])
    engine.submit(MIXED[0])


def test_models_without_a_column_for_each_id_are_refused():
    model = sharp_model()
    model.config.layer_types = ["linear_attention", "full_attention"]
    with pytest.raises(ValueError, match=r"\['linear_attention'\].*vLLM"):
        TransformersEngine(model, CODEC)


def test_weights_that_are_not_numbers_are_reported():
    model = sharp_model()
    torch.nn.init.constant_(model.model.norm.weight, math.nan)
    with pytest.raises(FloatingPointError, match="not finite in completion 0 of request 'a'"):
        drained(TransformersEngine(model, CODEC), MIXED[:1])


def column_cache(rows, columns, value):
    """A cache of one layer, one head, width 1, that holds value + column."""
    cache = new_cache()
    states = (value + torch.arange(columns, dtype=torch.float64)).expand(rows, 1, columns)
    cache.update(states[..., None], -states[..., None], 0)
    return cache


def test_merged_rows_are_aligned_to_the_right_and_grow_there():
    first = Part(column_cache(2, 4, 10), torch.tensor([1, 1]), skip=1)
    second = Part(column_cache(1, 2, 20), torch.tensor([0]), skip=0)
    cache = merge([first, second])
    ones = torch.ones(3, 1, 1, 1, dtype=torch.float64)
    keys, values = cache.update(ones, -ones, 0)
    assert keys.squeeze().tolist() == [[11, 12, 13, 1], [11, 12, 13, 1], [0, 20, 21, 1]]
    assert torch.equal(values, -keys)
    for _ in range(100):
        keys, _ = cache.update(ones, -ones, 0)
    assert keys[2].flatten().tolist() == [0, 20, 21] + [1] * 101


@pytest.mark.slow
def test_another_process_gives_the_same_bits():
    code = (
        "import sys; sys.path[:0] = [{folder!r}]\n"
        "from test_transformers_engine import *\n"
        "found = drained(TransformersEngine(sharp_model(dtype=torch.float32), CODEC), MIXED)\n"
        "print(sorted((k, c.ids, [p.hex() for p in c.logprobs]) for k, c in found.items()))"
    ).format(folder=str(__import__("pathlib").Path(__file__).parent))
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert runs[0].stdout == runs[1].stdout
    assert "0x1" in runs[0].stdout
