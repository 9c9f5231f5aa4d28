"""A comparison end to end: cells in processes, going on after a kill, faults and their reports."""

import dataclasses
import filecmp
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from evaluations import evaluation

from murphy_agents.cli import main
from murphy_agents.compare import CompareConfig, compare
from murphy_agents.compare.cells import cells, starts, supervised
from murphy_agents.compare.pool import DIED, run_all
from murphy_agents.compare.worker import do
from murphy_agents.config import TrainConfig
from murphy_env import sources

SMALL = {
    "model": "tiny",
    "warm_starts": [0],
    "seeds": [0],
    "algorithms": ["grpo", "murphy_mars"],
    "iterations": 2,
    "generations": 6,
    "max_steps": 2,
    "per_device_train_batch_size": 2,
    "max_completion_length": 8,
    "save_steps": 1,
    "num_processes": 2,
}


@pytest.fixture
def small(tmp_path):
    sources.to_jsonl(sources.embedded("train")[:4], tmp_path / "train.jsonl")
    sources.to_jsonl(sources.embedded("test")[:3], tmp_path / "test.jsonl")
    return {
        **SMALL,
        "tasks": str(tmp_path / "train.jsonl"),
        "eval_tasks": str(tmp_path / "test.jsonl"),
        "output_dir": str(tmp_path / "out"),
    }


def flags(settings):
    def said(value):
        return list(map(str, value)) if isinstance(value, list) else [str(value)]

    return ["compare", *(part for k, v in settings.items() for part in (f"--{k}", *said(v)))]


def written(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*")) if path.is_file()}


def wait_for(condition, process, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_a_comparison_of_two_algorithms_one_of_which_fails_at_first(small, tmp_path, capsys):
    out = tmp_path / "out"
    blocked = out / "cells/warm-0/grpo/seed-0"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("not a folder")
    assert main(flags(small)) == 1
    shown = capsys.readouterr().out
    assert "warm-0 grpo seed-0  failed: FileExistsError" in shown
    assert "1 failed, so rows have fewer runs" in shown
    assert "3/3  warm-0" in shown
    assert "\x1b" not in shown
    found = json.loads((out / "comparison.json").read_text())
    assert [row["name"] for row in found["rows"]] == ["base", "murphy_mars"]
    assert list(found["failed"]) == ["warm-0 grpo seed-0"]
    assert "FileExistsError" in (out / "comparison.md").read_text()
    before = written(out / "cells/warm-0/murphy_mars") | written(out / "starts")

    blocked.unlink()
    again = ["compare", "--config", f"{out}/compare.yaml", "--output_dir", str(out)]
    assert main(again) == 0
    shown = capsys.readouterr().out
    assert "2 of 3 cells and evaluations are there" in shown
    assert "3/3  warm-0 grpo seed-0  pass@1 0.0 0.0 %; 0:00:00 left" in shown
    assert written(out / "cells/warm-0/murphy_mars") | written(out / "starts") == before
    found = json.loads((out / "comparison.json").read_text())
    assert [row["name"] for row in found["rows"]] == ["base", "grpo", "murphy_mars"]
    assert found["failed"] == {}
    # Two steps of two problems, nothing solved: 6 and 2 + 2·2 generations each.
    assert [row["cost"]["generations"] for row in found["rows"]] == [None, 24, 24]
    assert found["rows"][2]["against"].keys() == {"base", "grpo"}
    assert (out / "comparison.png").read_bytes().startswith(b"\x89PNG")
    told = (out / "comparison.md").read_text()
    for part in ("| murphy_mars |", "3 clusters", "1 starting model, 1 seed", "max_steps: 2",
                 f"murphy compare --config {out}/compare.yaml"):  # fmt: skip
        assert part in told, part
    # Every cell began with the same weights, whatever its seed.
    configs = [json.loads(path.read_text()) for path in out.glob("cells/*/*/*/config.json")]
    assert {config["model"] for config in configs} == {f"{out}/starts/warm-0/model"}

    # More seeds, later.
    before = written(out / "cells") | written(out / "starts")
    assert main([*again, "--seeds", "0", "3"]) == 0
    assert "3 of 5 cells and evaluations are there" in capsys.readouterr().out
    assert before.items() <= (written(out / "cells") | written(out / "starts")).items()
    found = json.loads((out / "comparison.json").read_text())
    assert [[run["seed"] for run in row["runs"]] for row in found["rows"][1:]] == [[0, 3], [0, 3]]
    assert main([*again, "--seeds", "3"]) == 2
    assert "seeds is [3], but the comparison that" in capsys.readouterr().err

    # Another arm, later still.
    before = written(out / "cells") | written(out / "starts")
    settings = yaml.safe_load((out / "compare.yaml").read_text())
    grown = {**settings, "arms": {"half": {"like": "murphy_mars", "max_steps": 1}}}
    (tmp_path / "grown.yaml").write_text(yaml.safe_dump(grown))
    again = ["compare", "--config", f"{tmp_path}/grown.yaml", "--output_dir", str(out)]
    assert main(again) == 0
    assert "5 of 7 cells and evaluations are there" in capsys.readouterr().out
    assert before.items() <= (written(out / "cells") | written(out / "starts")).items()
    found = json.loads((out / "comparison.json").read_text())
    assert [row["name"] for row in found["rows"]] == ["base", "grpo", "murphy_mars", "half"]


def test_an_evaluation_of_another_starting_model_is_not_gone_on_with(small):
    config = CompareConfig(**{**small, "model": "embedded", "iterations": 3})
    (job,) = starts(config)
    evaluation({"t": 0}).save(job.evaluate.output_dir)
    assert job.is_finished
    (job.folder / "model.txt").write_text("0123456789abcdef:last\n")
    with pytest.raises(
        ValueError, match=r"model 'embedded:0' is not the one that the run in .*base"
    ):
        compare(config)


def test_evaluations_of_tasks_that_were_changed_are_refused_before_any_work(small, tmp_path):
    config = CompareConfig(**small)
    (job,) = starts(config)
    tasks = sources.load(small["eval_tasks"])
    done = evaluation({task.task_id: 0 for task in tasks}, iterations=2)
    of_old = (dataclasses.replace(chain, digest="of old tests") for chain in done.chains)
    dataclasses.replace(done, chains=tuple(of_old)).save(job.evaluate.output_dir)
    with pytest.raises(ValueError, match="has another prompt or other tests in some; restore"):
        compare(config)
    assert not (tmp_path / "out/cells").exists()


def test_an_evaluation_that_was_stopped_keeps_its_starting_model(small):
    (job,) = starts(CompareConfig(**{**small, "model": "embedded", "iterations": 3}))
    job.folder.mkdir(parents=True)
    (job.folder / "model.txt").write_text("0123456789abcdef:last\n")
    assert "model 'embedded:0' is not the one" in do(job)
    assert (job.folder / "model.txt").read_text() == "0123456789abcdef:last\n"


@pytest.mark.slow
def test_a_killed_comparison_goes_on_where_it_stopped(small, tmp_path):
    settings = {**small, "max_steps": 15, "seeds": [0, 1], "algorithms": ["grpo"]}
    out, other = tmp_path / "out", tmp_path / "other"
    command = [sys.executable, "-m", "murphy_agents.cli", *flags({**settings, "num_processes": 1})]
    first, second = (out / f"cells/warm-0/grpo/seed-{seed}" for seed in (0, 1))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: (second / "checkpoint-2").exists(), process)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    gone, alive = psutil.wait_procs(children, timeout=20)
    assert gone
    assert not alive, "processes end with the one that they work for"
    assert (first / "evaluation/evaluation.json").exists()
    assert not (second / "final").exists()
    before = written(first)
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "2 of 3 cells and evaluations are there" in done.stdout
    assert "resuming from" in (second / "log.txt").read_text()
    assert written(first) == before
    uninterrupted = CompareConfig(**{**settings, "output_dir": str(other)})
    compare(uninterrupted)
    for seed in (0, 1):
        name = f"cells/warm-0/grpo/seed-{seed}/rollouts.jsonl"
        assert filecmp.cmp(out / name, other / name, shallow=False)


@pytest.mark.slow
def test_ctrl_c_ends_everything(small, tmp_path):
    command = [sys.executable, "-m", "murphy_agents.cli", *flags({**small, "max_steps": 500})]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        # A shell's background jobs ignore Ctrl-C, and what they start would.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    cells = tmp_path / "out" / "cells"
    wait_for(lambda: len(list(cells.glob("*/*/*/metrics.jsonl"))) == 2, process)
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.strip() == "murphy compare: stopped; what was written so far stays"
    assert not psutil.wait_procs(children, timeout=20)[1]


def test_a_cell_that_raises_leaves_its_traceback(small, tmp_path):
    # What is not there is found by the cell, as the name could be one of the hub's.
    told = {**small, "model": str(tmp_path / "none"), "warm_starts": None}
    (job, _) = cells(CompareConfig(**told))
    assert "there is no such folder" in do(job)
    assert not job.is_finished
    log = (tmp_path / "out/cells/start/grpo/seed-0/log.txt").read_text()
    assert "Traceback" in log
    assert "there is no such folder" in log


def leave(job):
    """What a process does in the tests below: dies, fails or does its work."""
    if job == "kills":
        os._exit(9)
    time.sleep(job == "slow")
    return "too bad" if job == "fails" else None


@pytest.mark.slow
@pytest.mark.parametrize("num_processes", [1, 3])
def test_a_job_that_kills_its_process_is_found_and_the_others_are_done(num_processes):
    jobs = ["one", "two", "kills", "fails", "five", "kills", "seven"]
    done = []
    run_all(leave, [jobs], num_processes, lambda job, error: done.append((job, error)))
    assert sorted(job for job, _ in done) == sorted(jobs), "each is told of once"
    assert [error for job, error in done if job == "kills"] == [DIED, DIED]
    assert {(job, error) for job, error in done if job != "kills"} == {
        ("one", None), ("two", None), ("five", None), ("seven", None), ("fails", "too bad")
    }  # fmt: skip


@pytest.mark.slow
def test_a_part_begins_when_the_one_before_it_is_done():
    done = []
    parts = [["slow", "quick"], ["after"], [], ["slow", "quick"]]
    run_all(leave, parts, 3, lambda job, error: done.append(job))
    assert done == ["quick", "slow", "after", "quick", "slow"]


@pytest.mark.slow
def test_what_interrupts_every_process_is_for_the_caller_to_answer():
    code = (
        "from test_compare import leave\n"
        "from murphy_agents.compare.pool import run_all\n"
        "run_all(leave, [['one', 'two', 'slow']], 2, lambda *told: print(told, flush=True))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        cwd=Path(__file__).parent,
    )  # fmt: skip
    told = [process.stdout.readline() for _ in range(2)]
    children = psutil.Process(process.pid).children()
    # One may have done both jobs while the other begins; who has begun has a second thread.
    workers = [child for child in children if any("spawn_main" in p for p in child.cmdline())]
    assert len(workers) == 2
    while any(worker.num_threads() < 2 for worker in workers):
        time.sleep(0.02)
    for child in children:
        child.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=30)
    assert sorted(told) == ["('one', None)\n", "('two', None)\n"]
    assert (out, error) == ("('slow', None)\n", "")


def test_embedded_models_have_supervised_rivals():
    config = CompareConfig(warm_starts=[3])
    assert [job.evaluate.model for job in starts(config)] == ["embedded:3"]
    assert [(job.row, job.evaluate.model) for job in supervised(config)] == [
        ("supervised-best", "embedded:3:best"),
        ("supervised-filtered", "embedded:3:filtered"),
    ]
    assert {job.train.model for job in cells(config)} == {"embedded:3"}
    assert len(cells(config)) == 5 * 3
    assert not supervised(CompareConfig(supervised=False))
    assert not supervised(CompareConfig(model="tiny"))


def test_all_are_evaluated_alike():
    jobs = [job for part in (starts, supervised, cells) for job in part(CompareConfig())]
    told = [vars(job.evaluate).copy() for job in jobs]
    for settings in told:
        del settings["model"], settings["output_dir"]
    assert all(settings == told[0] for settings in told)
    assert (told[0]["tasks"], told[0]["iterations"], told[0]["seed"]) == ("embedded:test", 3, 0)
    assert len({job.folder for job in jobs}) == len(jobs) == 2 + 4 + 30


def test_other_settings_in_the_same_folder_are_refused(small, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    told = dataclasses.asdict(CompareConfig(**small))

    def refused(old, **more):
        (out / "compare.yaml").write_text(yaml.safe_dump(old))
        assert main(flags({**small, **more})) == 2
        return capsys.readouterr().err

    said = refused({**told, "learning_rate": 0.5})
    assert "learning_rate is 0.0005, but 0.5 in the comparison" in said
    # A setting that an older version did not know had its default.
    del told["curve_steps"]
    assert "curve_steps is [1], but None in the comparison" in refused(told, curve_steps=[1])
    del told["seeds"]
    said = refused(told)
    assert "seeds is [0], but the comparison that" in said
    assert "has [1, 2] too; there may be new ones" in said
    said = refused({**told, "seeds": [0], "new": 1})
    assert "new is None, but 1 in the comparison" in said
    said = refused({**told, "seeds": [0], "algorithms": ["grpo", "naive"]})
    assert "algorithms is ['grpo', 'murphy_mars'], but the comparison that" in said
    assert "has ['naive'] too" in said
    for now in (None, {"mine": {"like": "grpo", "temperature": 1.0}}):
        old = {**told, "seeds": [0], "arms": {"mine": {"like": "grpo"}}}
        (out / "compare.yaml").write_text(yaml.safe_dump(old))
        with pytest.raises(ValueError, match=r"has \{'mine': \{'like': 'grpo'\}\} too"):
            compare(CompareConfig(**small, arms=now))
    assert [path.name for path in out.iterdir()] == ["compare.lock", "compare.yaml"]
    (out / "compare.yaml").write_text("[")
    assert main(flags(small)) == 2
    assert "compare.yaml cannot be read" in capsys.readouterr().err


def test_two_comparisons_do_not_share_a_folder(small, tmp_path):
    import fcntl

    out = tmp_path / "out"
    out.mkdir()
    with (out / "compare.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(FileExistsError, match="another process compares into"):
            compare(CompareConfig(**small))


def test_tasks_are_looked_for_before_any_work(small, tmp_path):
    with pytest.raises(FileNotFoundError):
        compare(CompareConfig(**{**small, "eval_tasks": str(tmp_path / "none.jsonl")}))
    assert not (tmp_path / "out").exists()


def test_what_all_runs_are_told():
    config = CompareConfig(gamma=0.5, learning_rate=1e-3, warm_starts=[4])
    told = {name: config.train(name, "m", 2, "out") for name in config.algorithms}
    assert {t.learning_rate for t in told.values()} == {1e-3}
    assert {t.seed for t in told.values()} == {2}
    assert told["murphy_mers"].gamma == 0.5
    assert told["murphy_mars"].gamma == TrainConfig().gamma
    assert told["grpo"].num_generations == 20
    assert told["murphy_mars"].fanout == told["tree_without_credit"].fanout == [4, 4]
    assert (told["naive"].num_generations, told["naive"].num_turns) == (10, 2)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"algorithms": ["murphy"]}, "algorithms names 'murphy'; choose among grpo"),
        ({"algorithms": []}, r"algorithms is \[\]; give one or more"),
        ({"algorithms": "grpo"}, "algorithms is 'grpo'; expected list"),
        ({"seeds": [1, 1]}, r"seeds is \[1, 1\]; give one or more, each once"),
        ({"seeds": ["1"]}, "seeds is .* expected list"),
        ({"model": "some/model", "warm_starts": [0]}, "'some/model' is one model; leave"),
        ({"generations": 21}, "generations is 21, which chains|generations is 21, which no tree"),
        ({"generations": 21, "algorithms": ["murphy_mars"]}, "give 20 or 30, or a fanout"),
        ({"generations": 21, "algorithms": ["naive"]}, "give a multiple of 2"),
        ({"fanout": [4, 3]}, r"fanout is \[4, 3\], a tree of 2 turns and 16 generations"),
        ({"fanout": [20], "algorithms": ["grpo"]}, "no algorithm named grows trees"),
        ({"gamma": 0.5, "algorithms": ["murphy_mars"]}, "gamma is given but read only by"),
        ({"num_processes": 0}, "num_processes is 0"),
        ({"iterations": 0}, "iterations is 0"),
        ({"eval_top_p": 2.0}, "eval_top_p is 2.0"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0"),
    ],
)
def test_wrong_settings_name_the_remedy(values, named):
    with pytest.raises(ValueError, match=named):
        CompareConfig(**values)


def test_examples_can_be_read():
    for path in Path(__file__).parents[2].glob("examples/compare*.yaml"):
        CompareConfig(**yaml.safe_load(path.read_text()))


def test_the_interpreter_that_asks_for_help_loads_no_torch():
    code = "import sys, murphy_agents.compare; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "False"
