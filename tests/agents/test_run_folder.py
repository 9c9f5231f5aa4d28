"""A run's folder: whose it is, what may happen to what lies there, and whether a run fits it."""

import dataclasses
from functools import partial

import pytest

from murphy_agents import checkpoint
from murphy_agents.algorithms import Algorithm, murphy_mars, murphy_mers
from murphy_agents.config import TrainConfig
from murphy_agents.run import folder as run_folder
from murphy_agents.run import provenance
from murphy_agents.run.folder import claimed, refuse_used
from murphy_agents.tiny import warm_start

MARS = murphy_mars()
TASKS = ["a", "b", "c"]


@pytest.fixture
def config(tmp_path):
    return TrainConfig(output_dir=str(tmp_path / "run"), max_steps=5)


def fill(folder):
    (folder / "model").write_text("weights")


def begin(config, steps=(), tasks=TASKS, algorithm=MARS):
    """A run that was stopped after the checkpoints of these steps."""
    with claimed(config, algorithm, tasks) as run:
        for step in steps:
            run.save(step, fill, {"metrics.jsonl": step})
        (run.path / "metrics.jsonl").write_text("logged")
    return run.path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("left", ["metrics.jsonl", "rollouts.jsonl", "checkpoint-500", "final"])
def test_what_another_run_left_is_not_deleted(left, tmp_path):
    path = tmp_path / left
    path.write_text("x") if "." in left else path.mkdir()
    config = TrainConfig(output_dir=str(tmp_path))
    with pytest.raises(FileExistsError, match=left):
        refuse_used(config, MARS)
    with pytest.raises(ValueError, match="settings cannot be read"):
        refuse_used(dataclasses.replace(config, resume=True), MARS)
    assert path.exists()
    told = dataclasses.replace(config, overwrite_output_dir=True)
    refuse_used(told, MARS)
    with claimed(told, MARS, TASKS) as run:
        assert not path.exists()
        assert (run.path / "config.json").exists()


@pytest.mark.parametrize("name", ["run/checkpoint-5", "run/../run/checkpoint-5", "link"])
def test_the_model_to_train_is_not_deleted(name, tmp_path):
    (tmp_path / "run" / "checkpoint-5").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "run" / "checkpoint-5")
    config = TrainConfig(
        output_dir=str(tmp_path / "run"), model=str(tmp_path / name), overwrite_output_dir=True
    )
    with pytest.raises(ValueError, match="would be deleted"):
        refuse_used(config, MARS)


def test_a_run_that_ended_before_its_first_step_blocks_nothing(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("")
    (tmp_path / "checkpoint-1.unfinished").mkdir()
    refuse_used(TrainConfig(output_dir=str(tmp_path)), MARS)


def test_two_runs_do_not_share_a_folder(config):
    told = dataclasses.replace(config, overwrite_output_dir=True)
    first, second = (claimed(told, MARS, TASKS) for _ in range(2))
    with first, pytest.raises(FileExistsError, match="another run"):
        second.__enter__()
    with claimed(told, MARS, TASKS) as run:
        assert str(run.path) == config.output_dir


def test_a_run_goes_on_from_its_newest_checkpoint(config):
    folder = begin(config, steps=(2, 3))
    before = (folder / "config.json").read_text()
    (folder / "checkpoint-4.unfinished").mkdir()
    (folder / "config.json.unfinished").write_text("{")
    with claimed(dataclasses.replace(config, resume=True), MARS, TASKS) as run:
        assert run.start == folder / "checkpoint-3"
        assert (run.state.step, run.state.log_bytes) == (3, {"metrics.jsonl": 3})
    assert not [name for name in names(folder) if "unfinished" in name]
    assert (folder / "config.json").read_text() == before


def test_a_run_without_a_checkpoint_begins_anew(config):
    folder = begin(config)
    with claimed(dataclasses.replace(config, resume=True), MARS, TASKS) as run:
        assert (run.start, run.state.step) == (None, 0)
        assert not (folder / "metrics.jsonl").exists()


def test_what_was_left_of_an_overwritten_run_can_be_resumed(config, monkeypatch):
    folder = begin(config, steps=(2, 3, 5))
    told = dataclasses.replace(config, overwrite_output_dir=True)
    remove = run_folder.files.remove

    def remove_two(path, removed=[]):  # noqa: B006  (it counts)
        if len(removed) == 2:
            raise KeyboardInterrupt
        remove(removed.append(path) or path)

    monkeypatch.setattr(run_folder.files, "remove", remove_two)
    with pytest.raises(KeyboardInterrupt), claimed(told, MARS, TASKS):
        pass
    monkeypatch.undo()
    with claimed(dataclasses.replace(config, resume=True), MARS, TASKS) as run:
        assert run.start == folder / "checkpoint-2"


def test_a_page_of_an_overwritten_run_goes_with_it(config):
    folder = begin(config, steps=(2,))
    (folder / "view.html").write_text("its trees")
    with claimed(dataclasses.replace(config, resume=True), MARS, TASKS):
        assert (folder / "view.html").exists()
    with claimed(dataclasses.replace(config, overwrite_output_dir=True), MARS, TASKS):
        assert not (folder / "view.html").exists()


def test_a_finished_run_is_known(config):
    again = dataclasses.replace(config, resume=True)
    assert run_folder.finished(again) is None
    folder = begin(config, steps=(2,))
    assert run_folder.finished(again) is None
    with claimed(again, MARS, TASKS) as run:
        assert [run.is_due(step) for step in (3, 4, 5)] == [False, False, True]
        run.save(5, fill, {})
    assert run_folder.finished(again) == folder / "final"
    assert run_folder.finished(config) is None
    with pytest.raises(FileExistsError, match="finished by now"), claimed(again, MARS, TASKS):
        pass
    (folder / "final" / "model").write_text("")
    with pytest.raises(ValueError, match="final is not whole"):
        run_folder.finished(again)


def test_a_checkpoint_is_due_every_save_steps(config):
    for every, due in [(2, [2, 4, 5]), (0, [5]), (1, [1, 2, 3, 4, 5]), (50, [5])]:
        run = run_folder.RunFolder(None, dataclasses.replace(config, save_steps=every), 5, "")
        assert [step for step in range(1, 6) if run.is_due(step)] == due


def test_the_newest_checkpoints_are_kept(config):
    folder = begin(dataclasses.replace(config, save_total_limit=2), steps=(1, 2, 3, 4, 5))
    assert [checkpoint.number(path) for path in checkpoint.numbered(folder)] == [4, 3]
    assert (folder / "final").exists()


def test_named_steps_have_checkpoints_that_stay(config):
    keep = {"keep_steps": [1, 3, 5]}
    for every, due in [(2, [1, 2, 3, 4, 5]), (0, [1, 3, 5])]:
        told = dataclasses.replace(config, save_steps=every, **keep)
        run = run_folder.RunFolder(None, told, 5, "")
        assert [step for step in range(1, 6) if run.is_due(step)] == due
    told = dataclasses.replace(config, save_steps=1, save_total_limit=1, **keep)
    folder = begin(told, steps=(1, 2, 3, 4))
    assert [checkpoint.number(path) for path in checkpoint.numbered(folder)] == [4, 3, 1]
    with claimed(dataclasses.replace(told, resume=True, keep_steps=None), MARS, TASKS) as run:
        assert run.state.step == 4, "the settings of what is kept may change"


def test_a_damaged_newer_checkpoint_costs_no_whole_one(config):
    folder = begin(config, steps=(1, 2, 4))
    (folder / "checkpoint-4" / "model").unlink()
    again = dataclasses.replace(config, resume=True, save_total_limit=1)
    with claimed(again, MARS, TASKS) as run:
        assert run.state.step == 2
        assert "checkpoint-4 is not whole" in run.skipped[0]
        run.save(3, fill, {})
        assert [checkpoint.number(path) for path in checkpoint.numbered(folder)] == [4, 3]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"learning_rate": 0.5}, r"learning_rate is 0\.5, but 1e-06 in the run"),
        ({"max_steps": 6}, "max_steps is 6, but 5"),
        ({"fanout": [3, 2]}, r"fanout is \[3, 2\], but None"),
        ({"seed": 1}, "seed is 1, but 0"),
    ],
)
def test_another_setting_is_named_with_both_values(changed, named, config):
    begin(config)
    with pytest.raises(ValueError, match=named):
        refuse_used(dataclasses.replace(config, **changed, resume=True), MARS)


def test_what_does_not_touch_the_result_may_change(config, tmp_path):
    folder = begin(config, steps=(2,))
    folder.rename(tmp_path / "moved")
    changed = dataclasses.replace(
        config,
        resume=True,
        output_dir=str(tmp_path / "moved"),
        save_steps=1,
        save_total_limit=3,
        report_to="tensorboard",
        sandbox_workers=7,
    )
    with claimed(changed, MARS, TASKS) as run:
        assert run.state.step == 2


def test_settings_of_another_version_are_compared_with_defaults(config):
    folder = begin(config)
    again = dataclasses.replace(config, resume=True)
    path = folder / "config.json"
    written = path.read_text()
    path.write_text(written.replace('"epsilon": 0.2,', ""))
    refuse_used(again, MARS)
    path.write_text(written.replace('"epsilon": 0.2,', '"epsilon": 0.2, "clip_twice": true,'))
    with pytest.raises(ValueError, match="clip_twice is None, but True"):
        refuse_used(again, MARS)


def test_another_algorithm_is_named(config):
    folder = begin(config, algorithm=murphy_mers(gamma=0.5))
    again = dataclasses.replace(config, resume=True)
    refuse_used(again, murphy_mers(gamma=0.5))
    with pytest.raises(ValueError, match=r"gamma=0\.5.* became .*gamma=0\.6"):
        refuse_used(again, murphy_mers(gamma=0.6))
    assert (folder / "algorithm.txt").read_text().startswith("expand: (8, 8)")


@pytest.mark.parametrize("tasks", [["a", "b"], ["b", "a", "c"]])
def test_other_tasks_are_refused(tasks, config):
    begin(config, steps=(2,))
    again = dataclasses.replace(config, resume=True)
    with pytest.raises(ValueError, match="the tasks are not those"), claimed(again, MARS, tasks):
        pass


def test_an_algorithm_is_written_down_with_what_it_was_given():
    told = provenance.describe(Algorithm((2, 3), lambda reward, *_: reward))
    assert "expand: (2, 3)" in told
    assert "murphy_agents.advantage.siblings" in told
    assert "gamma=0.5" in provenance.describe(murphy_mers(gamma=0.5))


def test_where_an_object_lies_in_memory_is_not_part_of_an_algorithm():
    def credit_by(table):
        return lambda reward, children, turns_left: reward + len(str(table))

    one, two = (provenance.describe(Algorithm((2,), credit_by(object()))) for _ in range(2))
    assert one == two
    assert "table" in one


class HalfOf:
    def __init__(self, names):
        self.names = names

    def __call__(self, reward, children, turns_left):
        return reward / 2


def add(reward, children, turns_left, bonus):
    return reward + bonus


def under(credit):
    return lambda *given: credit(*given)


def test_whatever_can_be_called_is_described_by_what_it_was_given():
    def told(credit):
        return provenance.describe(Algorithm((2,), credit))

    assert "test_run_folder.add (args=(), bonus=0.5)" in told(partial(add, bonus=0.5))
    assert told(partial(add, bonus=0.5)) != told(partial(add, bonus=0.25))
    assert "HalfOf (names={'a', 'b', 'c'})" in told(HalfOf({"c", "a", "b"}))
    # A function within a function is part of what was given.
    assert told(under(add)) != told(under(HalfOf))


def test_a_model_that_is_made_otherwise_by_now_is_refused(config, monkeypatch):
    config = dataclasses.replace(config, model="embedded:3")
    begin(config)
    again = dataclasses.replace(config, resume=True)
    refuse_used(again, MARS)
    monkeypatch.setattr(warm_start, "digest_of", lambda variant: "another")
    with pytest.raises(ValueError, match="'embedded:3' is not the one"):
        refuse_used(again, MARS)
