"""The card of a model: what the files of its run say, for the hub to read, and nothing else."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from murphy_agents import TrainConfig, card, checkpoint, train
from murphy_agents.algorithms import grpo, naive
from murphy_agents.card import names, training
from murphy_agents.card.write import TAGS
from murphy_agents.export import export
from murphy_agents.report.write import write_report
from murphy_agents.run import origin
from murphy_agents.tiny import make_policy
from murphy_env import Task
from murphy_env.sources import to_jsonl

# peft asks transformers for it by its older name
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
TASKS = [Task(f"t{i}", f"Write f, {i}.", ["assert f(1) == 1"]) for i in range(4)]


def config_of(tmp_path, **settings):
    to_jsonl(TASKS, tmp_path / "my_tasks.jsonl")
    small = {
        "model": "tiny", "tasks": str(tmp_path / "my_tasks.jsonl"), "max_steps": 2,
        "per_device_train_batch_size": 2, "num_generations": 2, "max_completion_length": 6,
        "sandbox_workers": 1, "output_dir": str(tmp_path / "run"), "save_steps": 1,
    }  # fmt: skip
    return TrainConfig(**small | settings)


def text_of(folder):
    return (folder / "README.md").read_text()


def assert_says_nothing_of_here(text, tmp_path):
    for secret in (str(tmp_path), tmp_path.name, str(Path.home()), "/tmp"):
        assert secret not in text, secret
    assert not re.search(r"(?<![:/\w])/\w+/", text)


def test_the_hub_reads_a_runs_card_and_learns_nothing_of_this_machine(tmp_path):
    eval_tasks = {"eval_tasks": str(tmp_path / "my_tasks.jsonl"), "eval_iterations": 2}
    config = config_of(tmp_path, use_peft=True, lora_r=4, **eval_tasks)
    train(config)
    final = tmp_path / "run" / "final"
    before = ModelCard.load(final / "README.md")
    write_report(config)
    checkpoint.read_state(final)  # whole as it was
    read = ModelCard.load(final / "README.md")
    assert read.data.to_dict() == before.data.to_dict()
    assert read.data.library_name == "peft"
    assert read.data.pipeline_tag == "text-generation"
    assert read.data.tags == ["murphy", "reinforcement-learning", "code"] == list(TAGS)
    # The model is murphy's own, and the licence is for the user to choose.
    assert {"base_model", "license"}.isdisjoint(read.data.to_dict())
    for part in (
        "# murphy_mars on murphy's own model `tiny`",
        "LoRA adapters for murphy's own model `tiny`, trained to write programs",
        "4 tasks, from a file.",
        "credit: murphy_agents.credit.max_reward",
        "lora_r: 4",
        "eval_tasks: a file",
        "| base | 0.0 | 0.0 |",
        "on the 4 tasks of a file: share solved",
        "95 % interval",
        "from peft import AutoPeftModelForCausalLM",
        "## Licence",
    ):
        assert part in read.text, part
    assert "## Evaluation" not in before.text
    for path in (tmp_path / "run").glob("*/README.md"):
        assert_says_nothing_of_here(path.read_text(), tmp_path)
    # Only the final model has been evaluated.
    for name, is_told in (("final", True), ("checkpoint-1", False)):
        out = export(tmp_path / "run" / name, tmp_path / "out" / name)
        assert ("| trained | 0.0 | 0.0 |" in text_of(out)) == is_told
        assert_says_nothing_of_here(text_of(out), tmp_path)
    merged = export(tmp_path / "run", tmp_path / "merged", merge=True)
    assert "before they were merged." in text_of(merged)
    assert "before they were merged." not in text_of(tmp_path / "out" / "final")
    # A checkpoint has the figures of the steps behind it.
    assert "1 step: 2 problems" in text_of(tmp_path / "run" / "checkpoint-1")
    assert "2 steps: 4 problems" in read.text


def test_a_model_with_all_weights_trained_is_loaded_with_transformers(tmp_path):
    make_policy(tmp_path / "start", texts=["Write f."], seed=3)
    train(config_of(tmp_path, model=str(tmp_path / "start"), max_steps=-1, num_train_epochs=0))
    read = ModelCard.load(tmp_path / "run" / "final" / "README.md")
    assert read.data.library_name == "transformers"
    assert "base_model" not in read.data.to_dict()
    assert "All weights of a model of a local folder, trained" in read.text
    assert "No step was taken: the weights are those that it began with." in read.text
    assert_says_nothing_of_here(read.text, tmp_path)


def files_of_a_run(tmp_path, given=(), history=(), **settings):
    """The files of a run, without the run."""
    config = TrainConfig(output_dir=str(tmp_path), **settings)
    (tmp_path / "config.json").write_text(json.dumps(vars(config)))
    (tmp_path / "algorithm.txt").write_text("credit: mine.half_gain\n")
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(m) + "\n" for m in history))
    origin.write(tmp_path, config, 1000, given)
    (tmp_path / "final").mkdir(exist_ok=True)


def written(tmp_path, step=0, form=None):
    card.write(tmp_path / "final", tmp_path, step, form or card.Form(has_adapters=False))
    return ModelCard.load(tmp_path / "final" / "README.md")


def test_a_hub_model_is_the_base_model_of_whatever_was_made_of_it(tmp_path):
    files_of_a_run(tmp_path, model="Qwen/Qwen3-1.7B", tasks="kodcode?n=1000")
    whole = written(tmp_path)
    assert whole.data.base_model == "Qwen/Qwen3-1.7B"
    assert whole.data.to_dict()["base_model_relation"] == "finetune"
    assert "# murphy_mars on Qwen/Qwen3-1.7B" in whole.text
    assert "1,000 tasks of kodcode?n=1000; licence of the data: CC BY-NC 4.0." in whole.text
    adapters = written(tmp_path, form=card.Form(True, "Qwen/Qwen3-1.7B", was_in_4bit=True))
    assert adapters.data.to_dict()["base_model_relation"] == "adapter"
    assert "the base was held in 4 bits" in adapters.text
    assert "4 bits" not in whole.text


def test_a_folder_that_is_named_like_a_hub_model_is_not_taken_for_one(tmp_path, monkeypatch):
    (tmp_path / "someone" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    files_of_a_run(tmp_path, model="someone/model")
    monkeypatch.chdir(tmp_path.parent)  # where there is no such folder
    read = written(tmp_path)
    assert "base_model" not in read.data.to_dict()
    assert "someone" not in read.text


@pytest.mark.parametrize(
    ("given", "settings", "said"),
    [
        ((), {}, "1,000 tasks of embedded; licence of the data: made by murphy."),
        ((), {"tasks": "mbpp:train@/home/me/mbpp.jsonl"}, "of mbpp:train (a file); licence of the"),
        ((), {"tasks": "/home/me/my.jsonl"}, "1,000 tasks, from a file."),
        (("tasks",), {}, "1,000 tasks, given by the program that trained it."),
        (("make_env",), {}, "1,000 tasks, brought by an environment of its own."),
        ((), {"env": "mine:make_env"}, "1,000 tasks, brought by an environment of its own."),
    ],
)
def test_tasks_are_told_as_far_as_they_are_known(given, settings, said, tmp_path):
    files_of_a_run(tmp_path, given, **settings)
    read = written(tmp_path)
    assert said in read.text
    assert "/home" not in read.text
    assert ("licence of the data" in read.text) == ("licence" in said)


def test_an_algorithm_of_ones_own_is_not_called_by_the_settings_name(tmp_path):
    files_of_a_run(tmp_path, ["algorithm"], algorithm="murphy_mers")
    read = written(tmp_path)
    assert "Algorithm: one of its program's own. Its parts:" in read.text
    assert "mine.half_gain" in read.text
    assert "murphy_mers" not in read.text


def chains(config):
    return naive(config.num_generations, 2)


def test_an_algorithm_that_settings_name_is_called_by_its_function(tmp_path):
    files_of_a_run(tmp_path, make_algorithm=f"{__name__}:chains")
    read = written(tmp_path)
    assert f"Algorithm: {__name__}:chains. Its parts:" in read.text
    assert "murphy_mars" not in read.text


def test_what_train_was_given_is_written_down(tmp_path):
    train(config_of(tmp_path, max_steps=1, tasks="embedded"), TASKS, grpo(2))
    told = origin.read(tmp_path / "run")
    assert (told.num_tasks, list(told.given)) == (4, ["tasks", "algorithm"])
    assert not told.model_is_local
    assert {"python", "murphy-rl", "torch", "transformers"} <= told.versions.keys()
    assert re.fullmatch("[0-9a-f]{40}", told.commit or "0" * 40)
    text = text_of(tmp_path / "run" / "final")
    assert f"torch {told.versions['torch']}" in text
    assert "embedded" not in text


def test_figures_are_means_over_the_first_and_the_last_tenth(tmp_path):
    history = [
        {
            "step": n + 1, "num_problems": 2, "num_generations": 6, "trained_tokens": 1000,
            "reward/turn_1": n / 20, **({"repair_rate": 0.5} if n == 19 else {}),
        }
        for n in range(20)
    ]  # fmt: skip
    # A tenth of 20 is 2: (0 + 0.05) / 2 and (0.9 + 0.95) / 2; the last two have one repair rate.
    assert training.figures(history).splitlines() == [
        "20 steps: 40 problems, 120 generations, 20,000 trained tokens.",
        "",
        "| means, on what was drawn in training | first 2 steps | last 2 steps |",
        "| --- | --- | --- |",
        "| reward, attempt 1 | 0.025 | 0.925 |",
        "| share of refinements that are solved |  | 0.500 |",
    ]
    files_of_a_run(tmp_path, history=history)
    # A run that was killed while it wrote the line of a step.
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 21, "num_pro')
    assert "| reward, attempt 1 | 0.000 | 0.450 |" in written(tmp_path, step=10).text


def test_adapters_that_were_there_already_are_told_of(tmp_path):
    files_of_a_run(tmp_path, model="some/base", use_peft=True)
    said, form = "went on from adapters that were there already", card.Form(True, "some/base")
    assert said not in written(tmp_path, form=form).text
    files_of_a_run(tmp_path, model=str(tmp_path))
    assert said in written(tmp_path, form=form).text


def test_what_no_run_is_known_of_says_less(tmp_path):
    card.write(tmp_path, None, 0, card.Form(True, "some/base"))
    read = ModelCard.load(tmp_path / "README.md")
    assert read.data.base_model == "some/base"
    assert "## Training" not in read.text
    assert "## Use" in read.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see /home/me/x.jsonl, or ~/x", "see (local path), or (local path)"),
        ("mbpp@/data/x.json and ../me/x", "mbpp@(local path) and (local path)"),
        ("'/home/me/My Documents/x' and \"~/my x\"", "'(local path)' and \"(local path)\""),
        ("file:/home/me/x, file:///home/me", "(local path), (local path)"),
        (
            "at:~/data, ~me/x, --/home/x, </srv/a>",
            "at:(local path), (local path), --(local path), <(local path)",
        ),
        (r"C:\Users\me\x, D:/x, \\srv\share", "(local path), (local path), (local path)"),
        ("https://arxiv.org/abs/1 and a/b and </s> and 1 / 2", None),
    ],
)
def test_paths_are_left_out_and_addresses_are_not(text, expected):
    assert names.without_paths(text) == (expected or text)


def test_the_licences_are_those_of_the_page_on_data():
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
    for line in page.splitlines():
        if match := re.match(r"\| `(\w+)[^`]*` \|.*\| ([^|]+) \|$", line):
            name, licence = match.groups()
            if name in names.LICENCES:
                assert names.LICENCES[name] == licence.replace("ours", "made by murphy")
    assert all(f"| `{name}" in page for name in names.LICENCES)


def test_the_commit_is_asked_for_once_by_a_process(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(origin.shutil, "which", lambda name: asked.append(name))
    origin._git.cache_clear()
    for _ in range(2):
        origin.write(tmp_path, TrainConfig(model="tiny"), 1)
    assert asked in ([], ["git"]), "not at all where there is no repository"
    assert origin.read(tmp_path).commit is None
    origin._git.cache_clear()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize(
    ("file", "changed"),
    [("murphy_agents/a.py", True), ("benchmarks/compare/b.py", True), ("benchmarks/r.md", False),
     ("README.md", False)],
)  # fmt: skip
def test_changes_are_those_of_the_program(file, changed, tmp_path, monkeypatch, request):
    for name in ("murphy_agents/a.py", "benchmarks/compare/b.py", "benchmarks/r.md", "README.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1\n")
    own = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run([*own, *words], check=True)
    (tmp_path / file).write_text("2\n")
    monkeypatch.setattr(origin, "__file__", str(tmp_path / "murphy_agents/run/origin.py"))
    request.addfinalizer(origin._git.cache_clear)
    origin._git.cache_clear()
    origin.write(tmp_path, TrainConfig(model="tiny"), 1)
    made = origin.read(tmp_path)
    assert (len(made.commit), made.is_changed) == (40, changed)
    origin.go_on(tmp_path)  # with the very same
    assert origin.read(tmp_path) == made
    subprocess.run([*own, "commit", "-qam", "second"], check=True)
    origin._git.cache_clear()
    for _ in range(2):
        origin.go_on(tmp_path)
    later = origin.read(tmp_path)
    assert later.programs == (made.programs[0], *later.gone_on_with)
    assert [len(program) for program in later.gone_on_with] == [40]
    origin._git.cache_clear()
