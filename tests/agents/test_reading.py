"""What prompts begin with alike is read once, and what comes of it is as if it were not."""

import random

import pytest
import torch

from murphy_agents.codec import ChatCodec
from murphy_agents.engines import decoding
from murphy_agents.engines.protocol import Request, SamplingParams
from murphy_agents.engines.reading import Chunk, chunks, stems
from murphy_agents.engines.transformers import TransformersEngine
from murphy_agents.tiny import make_model, make_tokenizer

TOKENIZER = make_tokenizer(["def add(a, b):\n    return a + b\n"])
CODEC = ChatCodec(TOKENIZER)


def read(stem_of):
    """Ids that are read if each prompt goes on from its stem."""
    return sum(map(len, set(stem_of.values()))) + sum(len(p) - len(s) for p, s in stem_of.items())


def best(prompts):
    """The fewest ids, over every way to give some sets of prompts their longest common stem."""
    if not prompts:
        return 0
    first, rest = prompts[0], prompts[1:]
    found = len(first) + best(rest)
    for mask in range(1, 2 ** len(rest)):
        group = [first, *(p for i, p in enumerate(rest) if mask >> i & 1)]
        others = [p for i, p in enumerate(rest) if not mask >> i & 1]
        length = min(map(len, group)) - 1
        while any(p[:length] != first[:length] for p in group):
            length -= 1
        found = min(found, length + sum(len(p) - length for p in group) + best(others))
    return found


def test_refinements_of_a_problem_share_its_beginning():
    # Two problems of ten ids, three refinements each of two ids more, and one prompt of its own.
    one, two = tuple(range(10)), tuple(range(50, 60))
    prompts = {(*task, i, i) for task in (one, two) for i in (90, 91, 92)} | {(7, 7, 7)}
    found = stems(prompts)
    assert {found[p] for p in prompts if p[0] == 0} == {one}
    assert {found[p] for p in prompts if p[0] == 50} == {two}
    assert found[7, 7, 7] == ()
    # 2·10 of stems, 6·2 of rests, 3 of the last
    assert read(found) == 35
    (chunk,) = chunks(prompts, max_tokens=1000)
    # They are read to the width of the longest rest, 3: one id of a stem more for each of six.
    assert (chunk.width, chunk.num_ids) == (3, 2 * 10 + 6 * 3 + 3)


def test_what_is_hardly_alike_is_left_alone():
    prompts = {(1, *range(20)), (1, *range(30, 50))}
    assert set(stems(prompts).values()) == {()}
    assert stems(set()) == {}
    assert list(chunks(set(), 10)) == []


def test_the_last_id_of_a_prompt_is_always_read():
    prompts = {(1, 2, 3), (1, 2, 3, 4), (1, 2, 3, 4, 5)}
    assert all(len(stem) < len(prompt) for prompt, stem in stems(prompts).items())


@pytest.mark.parametrize("seed", range(30))
def test_as_few_ids_are_read_as_can_be(seed):
    chance = random.Random(seed)
    prompts = {tuple(chance.randint(0, 1) for _ in range(chance.randint(2, 9))) for _ in range(6)}
    total, fewest = sum(map(len, prompts)), best(sorted(prompts))
    found = read(stems(prompts))
    assert found == (fewest if total - fewest >= 0.1 * total else total)


@pytest.mark.parametrize("max_tokens", [1, 8, 30, 1000])
@pytest.mark.parametrize("seed", range(5))
def test_every_prompt_is_in_one_chunk_within_the_budget(seed, max_tokens):
    chance = random.Random(seed)
    heads = [tuple(chance.randint(1, 9) for _ in range(12)) for _ in range(3)]
    prompts = {
        (*chance.choice(heads)[: chance.randint(0, 12)], *chance.choices(range(9), k=4))
        for _ in range(20)
    }
    found = list(chunks(prompts, max_tokens))
    assert sorted(p for chunk in found for p in chunk.prompts) == sorted(prompts)
    for chunk in found:
        for prompt, stem in zip(chunk.prompts, chunk.stem_of, strict=True):
            assert prompt[: len(stem)] == stem
        if len(chunk.prompts) > 1:
            assert len(chunk.prompts) * chunk.width <= max_tokens
        if len(chunk.stems) > 1:
            assert len(chunk.stems) * max(map(len, chunk.stems)) <= max_tokens


def by_itself(prompt):
    chunk = Chunk()
    assert chunk.takes([prompt], (), 1)
    return chunk


def test_a_stem_is_read_once_where_that_fits():
    """Eighteen problems of a thousand ids, eight refinements each of 150 to 450 ids more."""
    chance = random.Random(0)
    tasks = [tuple(chance.choices(range(999), k=1000)) for _ in range(18)]
    prompts = {
        (*task, *chance.choices(range(999), k=chance.randint(150, 450)))
        for task in tasks
        for _ in range(8)
    }
    found = list(chunks(prompts, 8192))
    fewest = 18 * 1000 + sum(map(len, prompts)) - 18 * 8 * 1000
    assert sum(chunk.num_ids for chunk in found) < 1.5 * fewest
    # Without stems it would be more than twice as much.
    assert sum(map(len, prompts)) > 3 * fewest


def test_a_stem_longer_than_the_budget_is_shared_too():
    stem = tuple(range(9000))
    prompts = {(*stem, i, i, i) for i in range(16)}
    (chunk,) = chunks(prompts, 8192)
    assert chunk.num_ids == 9000 + 16 * 3


def requests():
    """Prompts with beginnings in common, of many lengths, and some without."""
    chance = random.Random(3)
    heads = [tuple(chance.choices(range(4, 60), k=n)) for n in (70, 40, 9)]
    prompts = [(*heads[i % 3], *chance.choices(range(4, 60), k=1 + 5 * (i % 4))) for i in range(12)]
    prompts += [heads[0], heads[0][:30], (5,), tuple(range(4, 50))]
    return [
        Request(prompt, (tag, tag + 100), SamplingParams(8, 0.7), tag)
        for tag, prompt in enumerate(prompts)
    ]


def drawn(model, **settings):
    engine = TransformersEngine(model, CODEC, **settings)
    for request in requests():
        engine.submit(request)
    found = {}
    while finished := engine.poll():
        found |= {(c.tag, c.index): c for c in finished}
    return found, engine.stats


@pytest.mark.parametrize("max_prefill_tokens", [16, 200, 1 << 13])
@pytest.mark.parametrize("kind", ["qwen3", "olmo2", "llama", "sliding"])
def test_what_is_drawn_does_not_depend_on_it(kind, max_prefill_tokens, monkeypatch):
    settings = {"initializer_range": 0.2}
    if kind == "sliding":
        kind = "qwen3"
        settings |= {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1}
    model = make_model(kind, TOKENIZER, **settings).to(torch.float64)
    shared, stats = drawn(model, max_prefill_tokens=max_prefill_tokens)
    with monkeypatch.context() as patch:
        patch.setattr(
            decoding,
            "chunks",
            lambda prompts, most: [by_itself(prompt) for prompt in sorted(prompts)],
        )
        alone, stats_alone = drawn(model)
    assert shared.keys() == alone.keys()
    for key, completion in shared.items():
        assert completion.ids == alone[key].ids
        assert completion.logprobs == pytest.approx(alone[key].logprobs, abs=1e-9)
    assert stats.prompt_tokens == stats_alone.prompt_tokens
    assert stats.prefilled_tokens <= stats_alone.prefilled_tokens
    if max_prefill_tokens > 1000:
        assert stats.prefilled_tokens < 0.8 * stats_alone.prefilled_tokens
        assert stats.prefix_hit_rate > stats_alone.prefix_hit_rate
