"""A dry run finds what a run would trip over, counts with the real algorithm, leaves no trace."""

import dataclasses
import io
import json
import shutil
import sys
import time

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from models import tokenizer
from rich.console import Console
from transformers import Lfm2Config, Lfm2ForCausalLM

from murphy_agents import TrainConfig, train
from murphy_agents.algorithms import Algorithm, grpo, murphy_mars, naive
from murphy_agents.cli import main
from murphy_agents.credit import own_reward
from murphy_agents.dry_run import card as cards
from murphy_agents.dry_run import counts, examine, fitting, hub, memory, sizes
from murphy_agents.dry_run.counts import PerProblem, per_problem, whole
from murphy_agents.dry_run.findings import DoesNotFitError, Finding, Findings, NotCheckedError
from murphy_agents.prune import inter_group, intra_group
from murphy_agents.tiny import make_model, make_tokenizer, save_policy
from murphy_env import Task, UnitTest
from murphy_env.sources import to_jsonl

TASKS = [Task(f"t{i}", f"Write f, {i}.", ["assert f(1) == 1"]) for i in range(9)]
UNTOLD = Task("u", "Write g.", [UnitTest("assert g(1) == 1", visible=False)])
NOWHERE = "http://127.0.0.1:9"
"""Nothing listens on the discard port: a connection is refused at once."""


@pytest.fixture
def config(tmp_path):
    to_jsonl([*TASKS, UNTOLD], tmp_path / "tasks.jsonl")
    save_policy(make_model("qwen3", tokenizer()), tokenizer(), tmp_path / "model")
    return TrainConfig(
        model=str(tmp_path / "model"),
        tasks=str(tmp_path / "tasks.jsonl"),
        output_dir=str(tmp_path / "run"),
        num_train_epochs=2,
        per_device_train_batch_size=4,
        max_completion_length=100,
        max_tokens_per_forward=1024,
        max_cache_tokens=4096,
        sandbox_workers=1,
    )


@pytest.fixture
def no_hub(monkeypatch, tmp_path):
    """A hub that cannot be reached, and an empty cache."""
    monkeypatch.setattr(constants, "ENDPOINT", NOWHERE)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def by_name(found):
    return {finding.name: finding for finding in found.listed}


def flags(config, **changed):
    values = {**dataclasses.asdict(config), **changed}
    default = dataclasses.asdict(TrainConfig())
    given = {k: v for k, v in values.items() if v != default[k]}
    return ["train", *(part for k, v in given.items() for part in (f"--{k}", str(v)))]


def test_a_run_that_would_work_is_ok_and_leaves_no_trace(config, tmp_path, capsys):
    before = sorted(tmp_path.rglob("*"))
    assert main([*flags(config), "--dry-run"]) == 0
    told = capsys.readouterr().out
    for part in (
        "ok           tasks        10 tasks, 1 of them without a visible test",
        "Qwen3ForCausalLM",
        "all trained",
        "0 of 10 leave no room for 100 more in a context of 2,048",
        "72 (8 + 64) for a problem that is never solved, 72 of them in the update",
        # ceil(10 / 4) = 3 steps an epoch; 2 * 10 problems * 72 generations * 100 tokens.
        "6 steps, 6 optimizer steps, 20 problems; at most 1,440 generations, 144,000 tokens",
        "free on",
        "a frozen copy, for KL",
        ", 0 failed, 0 not checked; nothing was trained or written",
    ):
        assert part in told, part
    assert sorted(tmp_path.rglob("*")) == before


def test_the_count_of_parameters_is_the_models(config):
    model = make_model("qwen3", tokenizer())
    count = sum(p.numel() for p in model.parameters())
    assert f" {count:,} parameters" in by_name(examine(config))["model"].result
    adapted = dataclasses.replace(config, use_peft=True, lora_r=2, dtype="bfloat16")
    found = by_name(examine(adapted))["model"]
    assert found.state == "ok", "adapters are float32 upon half-precision weights"
    assert "of them trained" in found.result


def test_saved_adapters_are_looked_at_too(config, tmp_path):
    steps = {"num_train_epochs": 0, "use_peft": True, "lora_r": 2}
    train(dataclasses.replace(config, **steps))
    again = dataclasses.replace(config, model=str(tmp_path / "run/final"), output_dir="runs/x")
    found = by_name(examine(again))
    assert (found["model"].state, found["memory"].state) == ("ok", "ok")
    assert "hub" not in found
    twice = dataclasses.replace(again, use_peft=True)
    assert "adapters already" in by_name(examine(twice))["model"].result


@pytest.mark.parametrize(
    ("changed", "name", "said"),
    [
        ({"tasks": "nowhere.jsonl"}, "tasks", "nowhere.jsonl"),
        ({"model": "/no/such/folder"}, "model", "no such folder"),
        ({"dtype": "bfloat16"}, "model", "train adapters"),
        ({"max_completion_length": 5000}, "prompts", "no task's prompt fits"),
        ({"output_dir": "README.md"}, "output_dir", "give a folder"),
        ({"device": "cudaa"}, "device", "cannot be used here"),
        ({"eval_tasks": "nowhere.jsonl"}, "eval_tasks", "nowhere.jsonl"),
        ({"max_tokens_per_forward": 1 << 40}, "room", "needed at most"),
        ({"env": "os:sep"}, "environment", "give a function"),
    ],
)
def test_each_fault_is_found_and_hides_no_other_check(changed, name, said, config):
    if "env" in changed:
        changed = {**changed, "tasks": TrainConfig().tasks}
    found = by_name(examine(dataclasses.replace(config, **changed)))
    assert found[name].state == "failed"
    assert said in found[name].result
    assert sum(finding.state == "failed" for finding in found.values()) == 1
    assert found["rollouts"].state == "ok"


def test_where_weights_and_states_take_most_8_bits_are_advised(config):
    found = by_name(examine(dataclasses.replace(config, max_tokens_per_forward=1 << 40)))
    assert "adamw_8bit" in found["room"].result


@pytest.mark.parametrize(
    ("is_set", "advised"),
    [
        ({}, "use_peft, dtype bfloat16), or set optim adamw_8bit"),
        (
            {"eight_bit": True},
            "train adapters on half-precision weights (use_peft, dtype bfloat16)",
        ),
        ({"trained_bytes": 1}, "; set dtype bfloat16, or set load_in_4bit"),
        ({"trained_bytes": 1, "number_bytes": 2}, "; set load_in_4bit"),
        ({"trained_bytes": 1, "number_bytes": 2, "unpacked_bytes": 9}, "; take a smaller model"),
    ],
)
def test_no_setting_is_advised_that_is_set(is_set, advised):
    work = memory.Work(
        weight_bytes=10, trained_bytes=10, number_bytes=4, optimizer_bytes=0, step_bytes=0,
        reference_bytes=0, rows=1, row_tokens=1, cache_tokens=1, forward_tokens=1, most_logits=1,
    )  # fmt: skip
    work = dataclasses.replace(work, **is_set)
    always = (memory.Part("weights", 3e18, ""),)
    needed = sizes.Demand(None, work, memory.Estimate(always, {"update": ()}), None)
    with pytest.raises(DoesNotFitError) as raised:
        fitting.compared(needed, cards.elsewhere(24))
    assert str(raised.value).endswith(advised)
    update = (memory.Part("activations", 9e18, ""),)
    needed = sizes.Demand(None, work, memory.Estimate(always, {"update": update}), None)
    with pytest.raises(DoesNotFitError) as raised:
        fitting.compared(needed, cards.elsewhere(24))
    assert ("bf16, or lower" in str(raised.value)) == (work.number_bytes == 4)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_elsewhere_is_no_fault(config):
    found = by_name(examine(dataclasses.replace(config, device="cuda:1")))
    assert found["device"].state == "not checked"
    assert (found["memory"].state, found["room"].state) == ("ok", "not checked")
    assert "card_gb says its memory" in found["room"].result


def test_a_card_that_is_elsewhere_is_compared_with(config):
    told = dataclasses.replace(config, dry_run=True, card_gb=24, max_tokens_per_forward=1024)
    found = by_name(examine(told))
    assert (found["device"].state, found["room"].state) == ("not checked", "ok")
    # 24 * 10^9 bytes are 22.4 GiB; 1 GiB and 5 % of 22.4 are 2.1.
    assert "22.4 GiB free on a GPU of 24 GB, 2.1 of them held back" in found["room"].result
    wide = dataclasses.replace(told, max_tokens_per_forward=1 << 40)
    assert by_name(examine(wide))["room"].state == "failed"


def test_a_card_is_named_for_a_dry_run_on_a_gpu_alone():
    for wrong in ({}, {"dry_run": True, "device": "cpu"}):
        with pytest.raises(ValueError, match="card_gb is given but read only by a dry_run whose"):
            TrainConfig(card_gb=24, **wrong)
    with pytest.raises(ValueError, match="card_gb is 0"):
        TrainConfig(card_gb=0, dry_run=True)


def test_vllm_on_the_card_of_the_training_is_estimated(config):
    vllm = {"engine": "vllm", "max_cache_tokens": TrainConfig().max_cache_tokens}
    told = dataclasses.replace(config, dry_run=True, card_gb=24, **vllm)
    console = Console(record=True, file=io.StringIO(), width=300)
    listed = examine(told, console)
    found = by_name(listed)
    assert (found["vllm"].state, found["room"].state) == ("ok", "ok"), listed.lines()
    assert "0.3 of a GPU of 24 GB is 6.7 GiB: " in found["vllm"].result
    shown = console.export_text()
    assert "  generation" not in shown, "no phase of it"
    assert "vLLM           libraries       1.5  assumed: CUDA graphs, workspaces" in shown
    small = by_name(examine(dataclasses.replace(told, vllm_gpu_memory_utilization=0.01)))
    assert (small["vllm"].state, small["room"].state) == ("failed", "ok")
    most = by_name(examine(dataclasses.replace(told, vllm_gpu_memory_utilization=0.99)))
    assert (most["vllm"].state, most["room"].state) == ("ok", "failed")
    here = by_name(examine(dataclasses.replace(told, card_gb=None, device="cpu")))
    assert (here["vllm"].state, here["room"].state) == ("not checked", "ok")


def test_a_vllm_server_takes_nothing_of_the_card(config):
    server = {"engine": "vllm_server", "max_cache_tokens": TrainConfig().max_cache_tokens}
    told = dataclasses.replace(config, dry_run=True, card_gb=24, **server)
    found = by_name(examine(told))
    assert "vllm" not in found
    assert found["room"].state == "ok"
    assert found["memory"].result.endswith("the vLLM server has devices of its own")
    assert "generation" not in found["memory"].result


def test_a_model_that_cannot_be_trained_is_refused(config, tmp_path):
    path = tmp_path / "model" / "config.json"
    written = json.loads(path.read_text())
    path.write_text(json.dumps({**written, "attention_dropout": 0.1}))
    assert "attention_dropout" in by_name(examine(config))["model"].result
    told = dataclasses.replace(config, disable_dropout=True)
    assert by_name(examine(told))["model"].state == "ok"
    path.write_text(json.dumps({**written, "model_type": "nothing_known"}))
    assert by_name(examine(config))["model"].state == "failed"


def test_a_model_that_no_trie_is_exact_for_is_told(config, tmp_path):
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": len(tokenizer())}
    layers = {"layer_types": ["conv", "full_attention"]}
    model = Lfm2ForCausalLM(Lfm2Config(**sizes, **heads, **layers))
    save_policy(model, tokenizer(), tmp_path / "model")
    said = "model.layers.0 (Lfm2DecoderLayer): config.layer_types[0] is 'conv'"
    auto = by_name(examine(config))["model"]
    assert (auto.state, f"completions would be padded: {said}" in auto.result) == ("ok", True)
    trie = by_name(examine(dataclasses.replace(config, layout="trie")))["model"]
    assert (trie.state, f"layout is 'trie', but {said}" in trie.result) == ("failed", True)
    padded = by_name(examine(dataclasses.replace(config, layout="padded")))["model"]
    assert (padded.state, "padded" in padded.result) == ("ok", False)


def test_a_tokenizer_without_chat_template_and_missing_weights_are_found(config, tmp_path):
    (tmp_path / "model" / "model.safetensors").unlink()
    assert "has no weights" in by_name(examine(config))["model"].result
    shutil.rmtree(tmp_path / "model")
    bare = make_tokenizer(["Write f."])
    bare.chat_template = None
    save_policy(make_model("qwen3", bare), bare, tmp_path / "model")
    assert "no chat template" in by_name(examine(config))["prompts"].result


def test_a_run_that_is_there_is_told_of(config):
    train(dataclasses.replace(config, num_train_epochs=0))
    assert by_name(examine(config))["output_dir"].state == "failed"
    resumed = dataclasses.replace(config, num_train_epochs=0, resume=True)
    assert "finished: nothing" in by_name(examine(resumed))["output_dir"].result
    other = dataclasses.replace(config, resume=True)
    assert "num_train_epochs is 2, but 0" in by_name(examine(other))["output_dir"].result
    replaced = dataclasses.replace(config, overwrite_output_dir=True)
    assert "would be replaced" in by_name(examine(replaced))["output_dir"].result


@pytest.mark.filterwarnings("ignore::murphy_env.sources.SkippedRows")
def test_rows_that_make_no_task_stop_it_or_are_told_of(config, tmp_path):
    with (tmp_path / "tasks.jsonl").open("a") as file:
        file.write('{"task_id": "torn"}\n')
    assert by_name(examine(config))["tasks"].state == "failed"
    skipping = dataclasses.replace(config, bad_rows="skip")
    assert by_name(examine(skipping))["tasks"].result.endswith("; 1 rows skipped")


def test_dry_run_is_no_setting_of_a_run(config, tmp_path):
    dry = dataclasses.replace(config, dry_run=True)
    with pytest.raises(ValueError, match="dry_run is set, and this trains"):
        train(dry)
    assert not (tmp_path / "run").exists()
    train(dataclasses.replace(config, num_train_epochs=0))
    resumed = dataclasses.replace(dry, num_train_epochs=0, resume=True)
    assert by_name(examine(resumed))["output_dir"].state == "ok"


def test_models_that_are_made_on_the_spot(config, tmp_path, monkeypatch):
    tiny = dataclasses.replace(config, model="tiny:olmo2", use_peft=True)
    assert by_name(examine(tiny))["model"].result.startswith("Olmo2ForCausalLM")
    assert not (tmp_path / "run").exists()
    monkeypatch.setenv("MURPHY_CACHE", str(tmp_path / "cache"))
    found = by_name(examine(dataclasses.replace(config, model="embedded:7")))
    assert found["model"].state == "not checked"
    assert found["memory"].state == "not checked"
    assert not list(tmp_path.glob("cache/*"))
    wrong = by_name(examine(dataclasses.replace(config, model="embedded:7:worst")))
    assert wrong["model"].state == "failed"


def test_without_a_hub_it_fails_within_seconds_and_checks_the_rest(config, no_hub, capsys):
    started = time.perf_counter()
    names = {"model": "some/model", "tasks": "mbpp:test", "output_dir": "runs/none"}
    assert main([*flags(config, **names), "--dry_run"]) == 1
    # Each file alone would take the libraries 23 seconds of trying again.
    assert time.perf_counter() - started < 15
    told = {line.split()[1]: line for line in capsys.readouterr().out.splitlines()[:12]}
    assert f"failed       hub          {NOWHERE} cannot be reached" in told["hub"]
    assert told["model"].startswith("failed       model        some/model: ")
    assert "google-research-datasets/mbpp" in told["tasks"]
    assert told["rollouts"].startswith("ok")
    assert told["device"].startswith("ok")
    assert constants.HF_HUB_OFFLINE is False, "as it was"
    assert sys.modules["datasets"].config.HF_HUB_OFFLINE is False


def test_what_lies_in_the_cache_is_found_without_a_hub(config, no_hub, tmp_path):
    commit = "a" * 40
    repository = tmp_path / "cache" / "models--some--model"
    shutil.copytree(tmp_path / "model", repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    found = by_name(examine(dataclasses.replace(config, model="some/model")))
    assert [found[name].state for name in ("hub", "model", "prompts")] == ["failed", "ok", "ok"]


def test_adapters_of_a_model_on_the_hub_need_the_hub(config, no_hub, tmp_path):
    train(dataclasses.replace(config, num_train_epochs=0, use_peft=True, lora_r=2))
    path = tmp_path / "run/final/adapter_config.json"
    told = {**json.loads(path.read_text()), "base_model_name_or_path": "some/model"}
    path.write_text(json.dumps(told))
    again = dataclasses.replace(config, model=str(path.parent), output_dir="runs/none")
    found = by_name(examine(again))
    assert (found["hub"].state, found["model"].state) == ("failed", "failed")


def test_a_hub_that_is_not_needed_is_not_asked(config, monkeypatch):
    monkeypatch.setattr(hub, "trouble", lambda: pytest.fail("asked"))
    assert "hub" not in by_name(examine(config))


def test_a_hub_that_is_switched_off_is_no_fault(config, no_hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    found = by_name(examine(dataclasses.replace(config, tasks="mbpp:test")))
    assert found["hub"].state == "ok"
    assert huggingface_hub.is_offline_mode()


@pytest.mark.parametrize(
    ("algorithm", "by_turn", "updates"),
    [
        (grpo(72), (72,), 72),
        (murphy_mars((8, 8)), (8, 64), 72),
        # 4 + 4 * 4 with the descendants of the dropped, 4 + 8 * 4 without.
        (murphy_mars((8, 8), intra_group(4)), (8, 64), 20),
        (murphy_mars((8, 8), intra_group(4, keep_descendants=True)), (8, 64), 36),
        (murphy_mars((8, 8), inter_group(4)), (8, 64), 40),  # 8 + 4 * 8
        (naive(72, 2), (72, 72), 72),  # the last attempts alone
        (naive(72, 2, train_turns="all"), (72, 72), 144),
        (murphy_mars((8, 8, 8)), (8, 64, 512), 584),
    ],
)
def test_counts_of_one_problem(algorithm, by_turn, updates):
    assert per_problem(algorithm) == PerProblem(by_turn, updates)


def test_an_algorithm_that_refines_only_what_earned_something_is_counted_too():
    def promising(node, turn):
        return 5 if node is None or node.reward > 0 else 0

    # Of the rewards 0, .7, .4, .1, .8 four are above 0: 4 * 5 refinements.
    counted = per_problem(Algorithm(promising, own_reward, turns=2))
    assert counted == PerProblem((5, 20), 25)
    assert counted.rollouts == 25


def test_rewards_of_the_trees_solve_nothing():
    drawn = counts._varying()
    values = [next(drawn) for _ in range(10)]
    assert sorted(values) == [i / 10 for i in range(10)]


def test_counts_of_a_run():
    config = TrainConfig(
        max_steps=2, per_device_train_batch_size=4, num_iterations=3, max_completion_length=7
    )
    ids = [f"t{i}" for i in range(6)]
    # The epoch's second batch is smaller: 4 + 2 problems.
    counted = whole(config, ids, PerProblem((8, 64), 40))
    assert dataclasses.astuple(counted) == (2, 6, 6, 432, 3024)  # 6 * 72, * 7
    none = whole(TrainConfig(num_train_epochs=0), ids, PerProblem((8, 64), 40))
    assert dataclasses.astuple(none) == (0, 0, 0, 0, 0)
    late = TrainConfig(per_device_train_batch_size=4, keep_steps=[3])
    with pytest.raises(ValueError, match=r"keep_steps is \[3\], but the run has 2 steps"):
        whole(late, ids, PerProblem((8, 64), 40))


def test_findings():
    found = Findings()
    assert found.tried("a", lambda: (3, "three")) == 3

    def raises(error):
        raise error

    assert found.tried("b", lambda: raises(KeyError("x"))) is None
    assert found.tried("c", lambda: raises(NotCheckedError("too early"))) is None
    found.tried("d", lambda: raises(ValueError("a\nb " + "c" * 999)))
    assert found.num_failed == 2
    assert found.listed[1] == Finding("b", "KeyError: 'x'", "failed")
    assert found.listed[2] == Finding("c", "too early", "not checked")
    assert "\n" not in found.listed[3].result
    assert len(found.listed[3].result) == 400
    assert found.lines()[-1].startswith("dry run: 1 ok, 2 failed, 1 not checked")
