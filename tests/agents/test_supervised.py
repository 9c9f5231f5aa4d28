"""Supervised training learns the answers and nothing else, and always in the same way."""

import math

import pytest
import torch
from torch.nn import functional as F

from murphy_agents.codec import ChatCodec
from murphy_agents.tiny import make_model, make_tokenizer
from murphy_agents.tiny.conversation import Turn
from murphy_agents.tiny.models import SHORT_TEMPLATE
from murphy_agents.tiny.supervised import IGNORED, Sample, Schedule, _summed_loss, fit, sample_of


def said(*contents):
    roles = ["user", "assistant"] * len(contents)
    return tuple({"role": r, "content": c} for r, c in zip(roles, contents, strict=False))


TALK = (Turn(said("ask"), "wrong", False), Turn(said("ask", "wrong", "no"), "right", True))
TOKENIZER = make_tokenizer(["ask wrong no right"] * 9, 300, SHORT_TEMPLATE)
CODEC = ChatCodec(TOKENIZER)
END = CODEC.end_of_turn


def model(seed=0):
    return make_model("llama", TOKENIZER, seed, hidden_size=32, num_layers=1)


def test_a_conversation_is_one_sequence_whose_answers_are_learned():
    sample = sample_of(CODEC, TALK)
    assert sample.ids == (*CODEC.encode(TALK[1].messages), *CODEC.encode_text("right"), END)
    learned = [label for label in sample.labels if label != IGNORED]
    assert learned == [*CODEC.encode_text("wrong"), END, *CODEC.encode_text("right"), END]
    assert all(a == b for a, b in zip(sample.ids, sample.labels, strict=True) if b != IGNORED)


def test_wrong_answers_can_be_left_out():
    sample = sample_of(CODEC, TALK, only_right=True)
    assert sample.ids == sample_of(CODEC, TALK).ids
    learned = [label for label in sample.labels if label != IGNORED]
    assert learned == [*CODEC.encode_text("right"), END]


def test_the_loss_is_that_of_the_whole_matrix_whatever_the_padding():
    short, long = sample_of(CODEC, TALK[:1]), sample_of(CODEC, TALK)
    net = model().double()
    wanted = sum(
        F.cross_entropy(
            net(input_ids=torch.tensor([sample.ids])).logits[0, :-1],
            torch.tensor(sample.labels[1:]),
            ignore_index=IGNORED,
            reduction="sum",
        ).item()
        for sample in (short, long)
    )
    assert _summed_loss(net, [short, long]).item() == pytest.approx(wanted, rel=1e-12)


def trained(seed=0):
    net, losses = model(), []
    schedule = Schedule(
        num_steps=12,
        num_warmup_steps=2,
        learning_rate=2e-2,
        num_conversations=3,
        num_first_answers=1,
    )
    samples = [sample_of(CODEC, TALK), sample_of(CODEC, TALK[:1])]
    fit(net, samples, [sample_of(CODEC, TALK[1:])], schedule, seed, lambda _, x: losses.append(x))
    return net, losses


def test_the_loss_falls_from_that_of_a_guess():
    _, losses = trained()
    assert losses[0] == pytest.approx(math.log(len(TOKENIZER)), rel=0.05)
    assert losses[-1] < 0.5 * losses[0]
    assert len(losses) == 12


def test_the_same_seed_gives_the_same_weights_and_another_gives_others():
    first, again, other = trained()[0], trained()[0], trained(seed=1)[0]
    pairs = zip(first.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    pairs = zip(first.parameters(), other.parameters(), strict=True)
    assert not all(torch.equal(a, b) for a, b in pairs)


def test_every_conversation_is_seen_before_any_is_seen_again():
    from random import Random

    from murphy_agents.tiny.supervised import _batches

    pool = [Sample((i,), (i,)) for i in range(7)]
    schedule = Schedule(num_conversations=2, num_first_answers=0)
    batches = _batches(pool, [Sample((9,), (9,))], schedule, Random(0))
    seen = [sample.ids[0] for _ in range(14) for sample in next(batches)]
    for start in range(0, 28, 7):  # rounds, which no batch of 2 divides
        assert sorted(seen[start : start + 7]) == list(range(7))


def test_the_number_of_threads_comes_back():
    before = torch.get_num_threads()
    trained()
    assert torch.get_num_threads() == before
