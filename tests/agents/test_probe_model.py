"""Policies for the probe tasks: their teacher is as it says, and a recipe makes them."""

import dataclasses
import itertools
import random
import re

import pytest
from transformers import AutoTokenizer

from murphy_agents.compare import CompareConfig
from murphy_agents.compare.cells import cells, starts, supervised
from murphy_agents.tiny import probe_teacher
from murphy_agents.tiny.recipe import Recipe
from murphy_agents.tiny.supervised import Schedule
from murphy_agents.tiny.warm_start import digest, digest_of, made
from murphy_agents.tiny.worlds import WORLDS, asked
from murphy_env.sources.probe import docstrings, probe
from murphy_env.sources.swallow import DOCSTRINGS, SEPARATORS, program

WORKERS = {"workers": 2}
SMALL = dataclasses.replace(
    WORLDS["probe"].recipe,
    num_conversations=24,
    num_layers=1,
    schedule=Schedule(num_steps=2, num_warmup_steps=1, num_conversations=4, num_first_answers=0),
    save_steps=2,
)
KNOWN = {
    probe_teacher.completion_of(probe_teacher.Answer(d, s, style)): (d, s, style)
    for d, s, style in itertools.product(DOCSTRINGS, SEPARATORS, ("loud", "quiet"))
}
"""All that the teacher can say, and what it then means."""


@pytest.fixture(scope="module")
def told():
    return probe_teacher.conversations(0, 160, WORKERS)


def asked_of(talk):
    return talk[0].messages[0]["content"]


def pairs(told):
    return [pair for talk in told for pair in itertools.pairwise(talk)]


def test_first_attempts_are_loud_half_of_the_time_and_later_ones_never(told):
    styles = [KNOWN[talk[0].completion][2] for talk in told]
    assert styles.count("loud") / 160 == pytest.approx(0.5, abs=0.16)  # four standard errors
    assert {KNOWN[turn.completion][2] for talk in told for turn in talk[1:]} == {"quiet"}


def test_the_hedge_is_quiet_three_times_in_four():
    hedge = probe_teacher.conversations(0, 60, WORKERS, quiet_share=0.75)
    styles = [KNOWN[talk[0].completion][2] for talk in hedge]
    assert styles.count("quiet") / 60 == pytest.approx(0.75, abs=0.2)


def test_separators_are_guessed_where_the_docstring_is_vague(told):
    vague = [talk for talk in told if "split on" not in asked_of(talk)]
    first = [KNOWN[talk[0].completion][1] for talk in vague]
    # About 120 draws of 8: 15 each, standard error 3.6.
    assert all(3 < first.count(separator) < 30 for separator in SEPARATORS)
    clear = [talk for talk in told if "split on" in asked_of(talk)]
    heeded = [KNOWN[talk[0].completion][1] == asked_of(talk)[-4] for talk in clear]
    # 0.8, and one in eight of the others by chance; about 40 draws.
    assert sum(heeded) / len(heeded) == pytest.approx(0.825, abs=0.24)


def test_later_attempts_repeat_repair_or_guess(told):
    again = [KNOWN[a.completion][:2] == KNOWN[b.completion][:2] for a, b in pairs(told)]
    # 0.3, and about one in eight of the 0.2 that guess anew; some 190 pairs.
    assert sum(again) / len(again) == pytest.approx(0.32, abs=0.14)


def test_a_message_that_names_the_separator_is_used_half_of_the_time(told):
    shown = [pair for pair in pairs(told) if "invalid literal" in pair[1].messages[-1]["content"]]
    named = [
        KNOWN[b.completion][1] == re.search(r"'\d(.)", b.messages[-1]["content"])[1]
        for _, b in shown
    ]
    # 0.5, and one in eight of the 0.2 that guess anew; some 60 pairs.
    assert sum(named) / len(named) == pytest.approx(0.525, abs=0.25)


def test_a_repair_tries_what_was_not_tried_unless_the_separator_is_known():
    task = next(task for task in probe("train") if task.metadata["vague"])
    meant = task.metadata["separator"]
    wrong = [separator for separator in SEPARATORS if separator != meant]
    docstring = task.metadata["docstring"]
    tried = [probe_teacher.Answer(docstring, separator, "quiet") for separator in wrong[:4]]

    def repairs(known):
        """Separators of the repairs, half of 400 draws; the others repeat or guess."""
        found = []
        for seed in range(400):
            chance = random.Random(seed).random()
            if probe_teacher.REPEAT <= chance < probe_teacher.REPEAT + probe_teacher.REPAIR:
                answer = probe_teacher._next(task, random.Random(seed), tried, known)
                assert (answer.docstring, answer.style) == (docstring, "quiet")
                found.append(answer.separator)
        return found

    unknown = repairs(known=False)
    # Three wrong ones and the right one are left, each in a quarter of the cases, and no other.
    assert set(unknown) == {meant, *wrong[4:]}
    assert all(0.1 < unknown.count(separator) / len(unknown) < 0.4 for separator in set(unknown))
    assert set(repairs(known=True)) == {meant}


def test_a_right_answer_ends_a_conversation(told):
    for talk in told:
        assert not any(turn.right for turn in talk[:-1])
        assert talk[-1].right or len(talk) == 3


def test_only_training_docstrings_are_taught(told):
    taught = {KNOWN[turn.completion][0] for talk in told for turn in talk}
    assert taught <= set(docstrings("train"))


def test_a_seed_gives_the_same_conversations(told):
    assert probe_teacher.conversations(0, 30, WORKERS) == told[:30]
    assert probe_teacher.conversations(1, 30, WORKERS) != told[:30]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MURPHY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield made(SMALL)


def test_digits_and_separators_are_tokens_of_their_own(folder):
    assert folder.name.startswith("probe-")
    tokenizer = AutoTokenizer.from_pretrained(folder / "step-2")

    def pieces(text):
        return [tokenizer.decode([token]) for token in tokenizer.encode(text)]

    for separator in SEPARATORS:
        row = f"7{separator}40{separator}1"
        message = f"Passed 2/6\nf(row[1])==6 # ValueError: invalid literal: '{row}'"
        named = pieces(message)
        at = named.index("7")
        assert named[at : at + 6] == ["7", separator, "4", "0", separator, "1"]
        assert separator in pieces(f"<think>quiet {separator}</think>")
        assert separator in pieces(program("odd, square, sum", separator, "loud"))
        assert separator in pieces(f'def f(s):\n """odd, square, sum, split on {separator}"""')


def test_names_of_probe_models():
    base = WORLDS["probe"].recipe
    assert asked("probe") == asked("probe:0:last") == (base, "last")
    assert asked("probe:3:filtered")[0] == dataclasses.replace(base, seed=3, only_right=True)
    assert asked("probe:3:hedge")[0] == dataclasses.replace(base, seed=3, quiet_share=0.75)
    assert asked("embedded") == (Recipe(), "last")
    named = ["probe", "probe::best", "probe::filtered", "probe::hedge", "probe:1", "embedded"]
    assert len(set(map(digest_of, named))) == 6
    assert digest(base) != digest(dataclasses.replace(base, world="embedded"))


@pytest.mark.parametrize("name", ["probe:x", "probe:0:worst", "embedded:0:hedge"])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match=f"model is '{name}'; write .* with one of last, best"):
        asked(name)


def test_a_comparison_makes_one_for_every_warm_start():
    told = {"tasks": "probe:train", "eval_tasks": "probe:test", "algorithms": ["grpo"]}
    plain = CompareConfig(model="probe", warm_starts=[3, 4], seeds=[0], **told)
    assert [job.evaluate.model for job in starts(plain)] == ["probe:3", "probe:4"]
    assert [job.train.model for job in cells(plain)] == ["probe:3", "probe:4"]
    assert [job.evaluate.model for job in supervised(plain)][:2] == [
        "probe:3:best",
        "probe:3:filtered",
    ]
    hedge = CompareConfig(model="probe::hedge", **told)
    assert hedge.warm_starts == [0, 1]
    assert [job.evaluate.model for job in starts(hedge)] == ["probe:0:hedge", "probe:1:hedge"]
    assert supervised(hedge) == []
    assert not CompareConfig(model="probe:0:hedge", **told).is_made
