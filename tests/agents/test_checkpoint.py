"""Checkpoints that are whole are told from those that are not."""

import json

import pytest

from murphy_agents import checkpoint
from murphy_agents.checkpoint import State


def make(folder, step):
    path = folder / f"checkpoint-{step}"
    checkpoint.write(path, lambda into: (into / "model").write_text("weights"), State(step, 9))
    return path


def test_a_checkpoint_knows_how_far_its_run_had_come(tmp_path):
    path = make(tmp_path, 3)
    state = checkpoint.read_state(path)
    assert (state.step, state.num_steps, state.files) == (3, 9, {"model": 7})
    assert json.loads((path / "trainer_state.json").read_text())["step"] == 3


def test_the_newest_is_found_by_its_number(tmp_path):
    assert checkpoint.newest(tmp_path) == (None, State(), ())
    for step in (9, 10, 2):
        make(tmp_path, step)
    (tmp_path / "checkpoint-11.unfinished").mkdir()
    (tmp_path / "checkpoint-best").mkdir()
    path, state, skipped = checkpoint.newest(tmp_path)
    assert (path, state.step, skipped) == (tmp_path / "checkpoint-10", 10, ())
    assert [checkpoint.number(p) for p in checkpoint.numbered(tmp_path)] == [10, 9, 2]


def spoil(path, how):
    if how == "cut short":
        (path / "model").write_text("weig")
    if how == "missing":
        (path / "model").unlink()
    if how == "no state":
        (path / "trainer_state.json").unlink()
    if how == "half a state":
        (path / "trainer_state.json").write_text('{"step": 4')
    if how == "another state":
        (path / "trainer_state.json").write_text('{"epoch": 4}')


@pytest.mark.parametrize(
    "how", ["cut short", "missing", "no state", "half a state", "another state"]
)
def test_what_is_not_whole_is_passed_over_and_named(how, tmp_path):
    older, newer = make(tmp_path, 2), make(tmp_path, 4)
    spoil(newer, how)
    path, state, skipped = checkpoint.newest(tmp_path)
    assert (path, state.step) == (older, 2)
    assert len(skipped) == 1
    assert "checkpoint-4" in skipped[0]
    spoil(older, how)
    with pytest.raises(ValueError, match=r"no checkpoint in .* is whole.*checkpoint-2"):
        checkpoint.newest(tmp_path)
