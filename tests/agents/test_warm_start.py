"""The embedded policy is made once, whole, and is found again by what it was made of."""

import dataclasses
import json
import multiprocessing
import os
import platform
import signal
import time
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

import murphy_env
from murphy_agents import wiring
from murphy_agents.config import TrainConfig
from murphy_agents.tiny import choosing, teacher, warm_start
from murphy_agents.tiny.recipe import Recipe
from murphy_agents.tiny.supervised import Schedule
from murphy_agents.tiny.warm_start import digest, folder_of, made
from murphy_env import sources

SMALL = Recipe(
    num_conversations=12,
    num_first_answers=12,
    num_layers=1,
    schedule=Schedule(num_steps=4, num_warmup_steps=1, num_conversations=2, num_first_answers=2),
    save_steps=2,
)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MURPHY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MURPHY_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield made(SMALL)


def test_checkpoints_hold_model_and_tokenizer(folder):
    assert sorted(path.name for path in folder.glob("step-*")) == ["step-2", "step-4"]
    for step in folder.glob("step-*"):
        model = AutoModelForCausalLM.from_pretrained(step)
        assert AutoTokenizer.from_pretrained(step).chat_template
        assert model.config.vocab_size == len(AutoTokenizer.from_pretrained(step))
    assert json.loads((folder / "recipe.json").read_text())["num_conversations"] == 12


def test_what_was_made_is_not_made_again(cache, monkeypatch):
    first = made(SMALL)
    monkeypatch.setattr(teacher, "conversations", lambda *args, **kwargs: pytest.fail("made again"))
    assert made(SMALL) == first


def test_everything_that_it_is_made_of_names_it(monkeypatch):
    names = {digest(SMALL)}
    for field, value in (("seed", 1), ("only_right", True), ("schedule", Schedule(num_steps=5))):
        names.add(digest(dataclasses.replace(SMALL, **{field: value})))
    monkeypatch.setattr(warm_start, "_source", lambda world: "another source")
    names.add(digest(SMALL))
    assert len(names) == 5


def test_what_the_pupil_reads_names_it():
    source = warm_start._source("probe")
    assert platform.python_version() in source.splitlines()
    sandbox = Path(murphy_env.__file__).parent / "sandbox"
    for name in ("inside/report.py", "judge.py"):  # they word errors, and what was got
        assert (sandbox / name).read_text() in source


def _make():
    made(dataclasses.replace(SMALL, num_conversations=60))


def test_a_maker_that_is_killed_leaves_nothing_that_looks_whole(cache):
    process = multiprocessing.get_context("fork").Process(target=_make)
    process.start()
    deadline = time.monotonic() + 60
    while not list(cache.glob("*.unfinished")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert list(cache.glob("*.unfinished"))
    assert not [path for path in cache.glob("embedded-*") if path.is_dir() and not path.suffix]
    _make()
    assert len([path for path in cache.glob("embedded-*") if path.is_dir()]) == 1


@pytest.mark.parametrize("name", ["x", "0:worst", "-1", "0:last:1"])
def test_other_names_are_refused(name, cache):
    with pytest.raises(ValueError, match=f"model is 'embedded:{name}'; write embedded"):
        folder_of(f"embedded:{name}")
    assert not cache.exists()


def test_the_best_checkpoint_is_the_first_of_the_highest(tmp_path):
    curve = {"step-2": [0.5, 0.5, 0.6], "step-4": [0.1, 0.2, 0.7], "step-6": [0.9, 0.9, 0.7]}
    (tmp_path / choosing.CURVE_FILE).write_text(json.dumps(curve))
    assert choosing.best(tmp_path, []) == "step-4"


@pytest.mark.slow
def test_checkpoints_are_chosen_on_the_selection_tasks(folder):
    best = choosing.best(folder, sources.embedded("selection"))
    curve = json.loads((folder / choosing.CURVE_FILE).read_text())
    assert list(curve) == ["step-2", "step-4"]
    assert best in curve
    assert all(len(rates) == choosing.ITERATIONS for rates in curve.values())
    found = choosing.on_selection(folder / "step-2")
    assert {chain.task_id.split("/")[1] for chain in found.chains} == {"selection-0"}


def test_a_model_says_which_transcript_it_knows(folder):
    asked = TrainConfig(model=str(folder / "step-4"))
    assert wiring.transcript_of(asked) == "chat"
    assert wiring.transcript_of(dataclasses.replace(asked, transcript="requote")) == "requote"
    assert wiring.transcript_of(TrainConfig(model="embedded:3")) == "chat"
    assert wiring.transcript_of(TrainConfig(model="tiny")) == "requote"
