"""A model that is made for a world of tasks is given no others, wherever settings name both."""

import pytest

from murphy_agents import TrainConfig, train
from murphy_agents.cli import main
from murphy_agents.compare import CompareConfig
from murphy_agents.dry_run import examine
from murphy_agents.own_world import refuse_other


@pytest.mark.parametrize(
    ("model", "tasks", "named"),
    [
        ("probe", "embedded", r"set tasks to 'probe' \(--tasks probe\), or model to 'embedded'"),
        ("probe::hedge", "embedded:test", r"set tasks to 'probe:test' \(--tasks probe:test\)"),
        ("embedded:1:best", "probe:train?variant=strong", "'embedded:train'.*model to 'probe'"),
    ],
)
def test_another_worlds_tasks_are_refused(model, tasks, named):
    with pytest.raises(ValueError, match=named):
        refuse_other(model, tasks=tasks)


@pytest.mark.parametrize(
    ("model", "tasks"),
    [
        ("probe:3", "probe:test?variant=blind"),
        ("embedded", "embedded"),
        ("probe", "mbpp:test@rows.json"),
        ("probe", "./embedded/tasks.jsonl"),
        ("tiny:llama", "probe"),
        ("runs/probe/final", "embedded"),
        ("probe", None),
    ],
)
def test_others_pass(model, tasks):
    refuse_other(model, tasks=tasks)


def test_training_says_so_before_any_work(tmp_path, capsys):
    run = tmp_path / "run"
    told = ["train", "--model", "probe", "--output_dir", str(run)]
    assert main(told) == 2
    assert "model is 'probe' and tasks 'embedded'" in capsys.readouterr().err
    assert main([*told, "--tasks", "probe", "--eval_tasks", "embedded:test"]) == 2
    assert "set eval_tasks to 'probe:test'" in capsys.readouterr().err
    assert not run.exists()
    found = {line.name: line for line in examine(TrainConfig(model="probe:4", dry_run=True)).listed}
    assert found["tasks"].state == "failed"
    assert "set tasks to 'probe'" in found["tasks"].result


def test_an_environment_of_ones_own_brings_its_tasks(tmp_path):
    # The name of the tasks is read by nobody then; what is wrong is told after it.
    with pytest.raises(ValueError, match="'nowhere:make' cannot be imported"):
        train(TrainConfig(model="probe", env="nowhere:make", output_dir=str(tmp_path)))


def test_evaluation_says_so_before_any_work(tmp_path, capsys):
    assert main(["eval", "--model", "probe:0:best", "--output_dir", str(tmp_path / "out")]) == 2
    assert "set tasks to 'probe:selection'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({}, "tasks 'embedded:train'.*set tasks to 'probe:train'"),
        ({"tasks": "probe"}, "set eval_tasks to 'probe:test'"),
        (
            {"tasks": "probe", "eval_tasks": "probe:test", "curve_steps": [1],
             "curve_tasks": "embedded:selection"},
            "set curve_tasks to 'probe:selection'",
        ),
        (
            {"tasks": "probe", "eval_tasks": "probe:test",
             "arms": {"own": {"algorithm": "grpo", "tasks": "embedded"}}},
            "arm 'own': model is 'probe' and tasks 'embedded'",
        ),
    ],
)  # fmt: skip
def test_a_comparison_says_so_of_all_its_tasks(values, named):
    with pytest.raises(ValueError, match=named):
        CompareConfig(model="probe", **values)
