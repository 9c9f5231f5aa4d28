"""`murphy eval` as its users meet it: models from disk, a folder, going on after a kill."""

import dataclasses
import fcntl
import json

import pytest
import torch
from models import small_model, tokenizer

from murphy_agents.cli import main, read_config
from murphy_agents.evaluate import evaluate, sampler_of
from murphy_agents.evaluation import run as eval_run
from murphy_agents.evaluation.config import EvalConfig
from murphy_agents.evaluation.record import Record, claimed
from murphy_agents.evaluation.result import Evaluation
from murphy_agents.policy import LoraSettings, Policy
from murphy_agents.sampler import Sampler
from murphy_env import CodeFeedbackEnv, Task
from murphy_env.sources import to_jsonl

TASKS = [
    Task(f"t{i}", f"Write f, {i // 2}.", ["assert f(1) == 1"], metadata={"prompts": "terse"})
    for i in range(6)
]
PARTIAL = "evaluation.partial.jsonl"


@pytest.fixture
def config(tmp_path):
    """Six tasks in three batches, a model of random weights."""
    to_jsonl(TASKS, tmp_path / "tasks.jsonl")
    return EvalConfig(
        model="tiny",
        tasks=str(tmp_path / "tasks.jsonl"),
        output_dir=str(tmp_path / "out"),
        iterations=2,
        num_runs=2,
        max_completion_length=6,
        batch=2,
    )


def killed(config, monkeypatch, after):
    """Run until that many batches are written down."""
    add, count = Record.add, []

    def dying(self, chains, seconds):
        if len(count) == after:
            raise KeyboardInterrupt
        count.append(None)
        add(self, chains, seconds)

    with monkeypatch.context() as patched:
        patched.setattr(Record, "add", dying)
        with pytest.raises(KeyboardInterrupt):
            eval_run.run(config)


def test_files_of_an_evaluation(config, tmp_path):
    found = eval_run.run(config)
    assert Evaluation.load(tmp_path / "out") == found
    assert [(c.task_id, c.run) for c in found.chains] == [(f"t{i}", r) for i in range(6)
                                                          for r in range(2)]  # fmt: skip
    assert len(set(found.clusters().values())) == 3
    assert EvalConfig(**found.settings) == config
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"evaluation.json", "evaluation.jsonl"}


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_killed_evaluation_goes_on(after, config, tmp_path, monkeypatch, capsys):
    whole = eval_run.run(config)
    part = dataclasses.replace(config, output_dir=str(tmp_path / "part"))
    killed(part, monkeypatch, after)
    if after:
        with pytest.raises(FileExistsError, match="set resume"):
            eval_run.run(part)
    asked, grow = [], Sampler.grow

    def listening(self, task_ids, *rest, **more):
        asked.extend(task_ids)
        return grow(self, task_ids, *rest, **more)

    monkeypatch.setattr(Sampler, "grow", listening)
    capsys.readouterr()
    again = eval_run.run(dataclasses.replace(part, resume=True))
    # Two tasks a batch; in float64 the chains would be the same whatever the batches.
    assert asked == [f"t{i}" for i in range(2 * after, 6)]
    assert again.chains == whole.chains
    assert Evaluation.load(part.output_dir).chains == whole.chains
    assert not (tmp_path / "part" / PARTIAL).exists()
    shown = capsys.readouterr().out
    assert shown.startswith(f"{2 * after}/6 tasks" if after else "2/6 tasks")
    assert ("done before" in shown) == (after > 0)


@pytest.mark.parametrize("torn", [1, 200, None])
def test_a_torn_end_is_dropped(torn, config, tmp_path, monkeypatch):
    whole = eval_run.run(config)
    part = dataclasses.replace(config, output_dir=str(tmp_path / "part"))
    killed(part, monkeypatch, 2)
    path = tmp_path / "part" / PARTIAL
    text = path.read_bytes()
    if torn is None:
        # The last batch without the line that says it is whole, and half a line.
        lines = text.splitlines(keepends=True)
        path.write_bytes(b"".join(lines[:-1]) + b'{"task_id": "t4", "ru')
    else:
        path.write_bytes(text[:-torn])
    again = eval_run.run(dataclasses.replace(part, resume=True))
    assert again.chains == whole.chains
    assert again.seconds > 0


def test_what_was_torn_does_not_end_up_in_the_record(config, tmp_path, monkeypatch):
    """Killed, torn, gone on with, killed again: still whole batches alone."""
    whole = eval_run.run(config)
    part = dataclasses.replace(config, output_dir=str(tmp_path / "part"), resume=True)
    killed(part, monkeypatch, 1)
    path = tmp_path / "part" / PARTIAL
    path.write_bytes(path.read_bytes() + b'{"task_id": "t2", "ru')
    killed(part, monkeypatch, 1)
    assert [json.loads(line) for line in path.read_text().splitlines()]
    assert eval_run.run(part).chains == whole.chains


def test_a_finished_evaluation_is_shown_and_never_lost(config, tmp_path, monkeypatch, capsys):
    found = eval_run.run(config)
    before = (tmp_path / "out" / "evaluation.jsonl").read_bytes()
    with pytest.raises(FileExistsError, match="overwrite_output_dir"):
        eval_run.run(dataclasses.replace(config, seed=1))
    assert (tmp_path / "out" / "evaluation.jsonl").read_bytes() == before
    table = capsys.readouterr().out.split("iteration")[1]
    with monkeypatch.context() as patched:
        patched.setattr(eval_run, "evaluate_with", None)
        assert eval_run.run(dataclasses.replace(config, resume=True)) == found
    assert capsys.readouterr().out.split("iteration")[1] == table
    other = dataclasses.replace(config, seed=1, overwrite_output_dir=True)
    assert eval_run.run(other).chains != found.chains


@pytest.mark.parametrize("finished", [True, False])
def test_going_on_with_other_settings_is_refused(finished, config, monkeypatch):
    eval_run.run(config) if finished else killed(config, monkeypatch, 1)
    with pytest.raises(ValueError, match=r"temperature is 0.7, but .* made with 0.6"):
        eval_run.run(dataclasses.replace(config, temperature=0.7, resume=True))
    # How the work is done may change.
    eval_run.run(dataclasses.replace(config, batch=6, sandbox_workers=1, resume=True))


def test_two_evaluations_do_not_share_a_folder(config, tmp_path):
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / PARTIAL).open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(FileExistsError, match="another evaluation"):
            eval_run.run(config)


def test_the_folder_is_looked_at_once_more_when_it_is_ones_own(config):
    """Another evaluation may have finished while this one loaded its model."""
    found = eval_run.run(config)
    with pytest.raises(FileExistsError, match="holds an evaluation"), claimed(config):
        pass
    assert Evaluation.load(config.output_dir) == found


@pytest.mark.parametrize("adapters", [False, True])
def test_a_saved_checkpoint_speaks_as_it_did(adapters, config, tmp_path):
    model = small_model().float()
    if adapters:
        model.save_pretrained(tmp_path / "base")
        model.name_or_path = str(tmp_path / "base")
    policy = Policy.wrap(model, tokenizer(), beta=0, lora=LoraSettings(4) if adapters else None)
    generator = torch.Generator().manual_seed(0)
    for parameter in policy.trainable_parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape, generator=generator)
    policy.save(tmp_path / "checkpoint")
    assert (tmp_path / "checkpoint" / "adapter_config.json").exists() == adapters
    said = {}
    for name, where in {"tiny": "tiny", "saved": str(tmp_path / "checkpoint")}.items():
        asked = dataclasses.replace(config, model=where, output_dir=str(tmp_path / name))
        said[name] = [
            [attempt.completion for attempt in chain.attempts]
            for chain in eval_run.run(asked).chains
        ]
    in_memory = Policy.load(tmp_path / "checkpoint", beta=0)
    found = evaluate(in_memory, lambda: CodeFeedbackEnv(TASKS, 2), config)
    assert said["saved"] == [[a.completion for a in chain.attempts] for chain in found.chains]
    assert said["saved"] != said["tiny"]


def test_half_precision_is_for_evaluation_alone(config, monkeypatch):
    seen = []

    def looking(policy, *rest, **more):
        seen.append({parameter.dtype for parameter in policy.model.parameters()})
        # In bfloat16 angles of far positions would be wrong.
        assert policy.model.model.rotary_emb.inv_freq.dtype == torch.float32
        return sampler_of(policy, *rest, **more)

    monkeypatch.setattr(eval_run, "sampler_of", looking)
    found = eval_run.run(dataclasses.replace(config, dtype="bfloat16"))
    assert seen == [{torch.bfloat16}]
    assert len(found.chains) == 12


def test_progress_and_table_read_well_in_a_pipe(config, capsys):
    eval_run.run(config)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    lines = shown.splitlines()
    assert lines[0].startswith("2/6 tasks  pass@1 0.0 0.0 %; ")
    assert lines[2].startswith("6/6 tasks")
    assert lines[3].split() == [
        *("iteration", "pass@1", "%", "95", "%", "interval"),
        *("repair", "rate", "%", "repeat", "rate", "%"),
    ]
    assert lines[4].split() == ["1", "0.0", "0.0", "to", "0.0"]
    assert lines[5].split()[:6] == ["2", "0.0", "0.0", "to", "0.0", "0.0"]
    assert "12 chains of 6 tasks in 3 clusters" in shown
    assert "cut at max_completion_length" in shown
    assert lines[-1].startswith("written to ")


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"iterations": 0}, "iterations is 0; give at least 1"),
        ({"batch": 0}, "batch is 0"),
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"temperature": 0, "num_runs": 2}, "2 runs would be alike"),
        ({"top_p": 0}, "top_p is 0.0"),
        ({"dtype": "float16"}, "dtype is 'float16'"),
        ({"resume": True, "overwrite_output_dir": True}, "both set"),
    ],
)
def test_impossible_values_are_named(values, named):
    with pytest.raises(ValueError, match=named):
        EvalConfig(**values)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--num_run", "2"], "no setting of murphy eval; the nearest is 'num_runs'"),
        (["--iterations", "0"], "murphy eval: iterations is 0"),
        (["--model", "./nowhere"], "no such folder"),
        (["--tasks", "embeded"], "embedded"),
        (["--sandbox_level", "L9"], "L9"),
        (["--output_dir", "tasks.jsonl"], "give a folder"),
        (["--model", "tiny", "--max_completion_length", "9999"], "no task's prompt fits"),
    ],
)
def test_the_command_answers_mistakes_in_one_line(
    flags, told, config, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["eval", "--tasks", "tasks.jsonl", "--output_dir", "new", *flags]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not list(tmp_path.glob("new/*"))


def test_the_command(config, tmp_path, capsys):
    file = tmp_path / "eval.yaml"
    settings = dataclasses.asdict(config)
    file.write_text("".join(f"{k}: {json.dumps(v)}\n" for k, v in settings.items()))
    assert read_config(["--config", str(file)], EvalConfig, "murphy eval") == config
    assert main(["eval", "--config", str(file), "--iterations", "1"]) == 0
    found = Evaluation.load(config.output_dir)
    assert (found.iterations, len(found.chains)) == (1, 12)
    assert "12 chains" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["eval", "--help"])
    shown = capsys.readouterr().out
    assert "murphy eval [--config FILE.yaml]" in shown
    assert all(f"--{field.name}" in shown for field in dataclasses.fields(EvalConfig))


def test_vllm_does_not_evaluate_upon_a_base_in_4_bits_unless_the_difference_is_allowed(tmp_path):
    settings = {"engine": "vllm", "tasks": "embedded", "output_dir": str(tmp_path / "told")}
    with pytest.raises(ValueError, match=r"set load_in_4bit to false .* sync_tolerance"):
        EvalConfig(**settings, load_in_4bit=True)
    assert EvalConfig(**settings, load_in_4bit=True, sync_tolerance=0.1).load_in_4bit
    assert EvalConfig(**settings, load_in_4bit=False).engine == "vllm"
