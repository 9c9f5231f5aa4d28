"""The update benchmark: trees as they are described, equal work in all ways, figures that hold."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from trl.trainer import utils as trl_utils

from benchmarks.update import __main__ as command_line
from benchmarks.update import (
    analysis,
    counts,
    gpu,
    memory,
    peer,
    roofline,
    run,
    settings,
    tell,
    trees,
    variants,
)

ROOT = Path(__file__).parents[1]
FULL = settings.load()
EXACT = {"prompt": 10, "completion": [5, 5], "feedback": [4, 4], "attempt_count": 2}


@pytest.fixture(scope="module")
def tiny():
    """Settings of a run that takes seconds."""
    tiny = settings.load(quick=True)
    tiny["time"] |= {"scale": 0.02, "rounds": 2, "models": {"qwen3": ["S2 IntraP 4"]}}
    tiny["time"]["model"] |= {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 300}
    return tiny


@pytest.fixture(scope="module")
def contest(tiny):
    return variants.Contest.of("qwen3", tiny)


@pytest.fixture(scope="module")
def problem(contest, tiny):
    lengths = settings.scaled(tiny, 0.02)
    shape = tiny["trees"]["S2 IntraP 4"]
    return variants.problem(contest, shape, "requote", tiny, 0, lengths)


def counted(fanout, transcript, **shape):
    samples = trees.samples({"fanout": fanout} | shape, transcript, EXACT, 0, 150_000)
    return counts.count(samples, [30, 1000])


def test_chat_shares_all_that_came_before():
    found = counted([2, 2], "chat")
    # a prompt of 10, two attempts of 5, feedback of 4 to each, two more attempts of 5 after each
    assert found.trie.tokens == 10 + 2 * 5 + 2 * 4 + 4 * 5 == 48
    assert found.trained == 2 * 5 + 4 * 5 == 30
    # sequences of 10 + 5 and of 10 + 5 + 4 + 5; TRL: prompts of at most 19, completions of 5
    assert found.unpadded.tokens == 2 * 15 + 4 * 24 == 126
    assert found.padded == counts.Work(6 * 24, 6 * 24 * 25 // 2)
    # depths 1 to 10, 11 to 15 twice, 16 to 19 twice, 20 to 24 four times
    assert found.trie.pairs == 55 + 2 * 65 + 2 * 70 + 4 * 110 == 765
    assert found.unpadded.pairs == 2 * 15 * 16 // 2 + 4 * 24 * 25 // 2
    # paths of the prompt, both attempts, their feedback, four attempts: one to each end of a run
    assert found.gathered == 10 + 2 * 15 + 2 * 19 + 4 * 24


def test_requoting_repeats_the_attempt_as_other_ids():
    found = counted([2, 2], "requote")
    # after the prompt: two attempts, or a count of 2 ids, then quotes of 5 with feedback of 4
    assert found.trie.tokens == 10 + 2 * 5 + 2 + 2 * 9 + 4 * 5 == 60
    assert found.unpadded.tokens == 2 * 15 + 4 * 26
    assert found.padded.tokens == 6 * 26


def test_where_the_count_stands_decides_what_turn_3_shares():
    # turn 1: 10 + 2 * 5; the count first: 2 + 2 * 9 + 4 * 5, then all anew: 2 + 6 * 9 + 8 * 5
    assert counted([2, 2, 2], "requote").trie.tokens == 20 + 40 + 96
    # the count last: 2 * 9 + 2 * 2 + 4 * 5, then only second quotes are new: 4 * 9 + 4 * 2 + 8 * 5
    assert counted([2, 2, 2], trees.COUNT_LAST).trie.tokens == 20 + 42 + 84


def test_splitting_runs_what_rows_share_once_in_each():
    found = counted([2, 2], "chat")
    # budget 30: each half of the tree is 10 + 5 + 4 + 2 * 5 = 29, so the prompt is run twice
    assert found.split == {30: 58, 1000: 48}
    assert found.overhead(30) == pytest.approx(10 / 48)


def test_pruning_and_failing_shape_the_tree():
    assert counted([8, 8], "chat", prune="intra_group", b=4).sequences == 4 + 4 * 4
    assert counted([8, 8], "chat", prune="inter_group", b=4).sequences == 8 + 4 * 8
    assert counted([8, 8], "chat", fails=0.5).sequences == 8 + 4 * 8
    assert counted([72], "chat").sequences == 72


def test_an_unknown_transcript_is_refused():
    with pytest.raises(ValueError, match="transcript is 'qoute'; choose from"):
        counted([2], "qoute")


@pytest.mark.parametrize(
    ("tree", "transcript", "pad_trie", "unpad_trie", "pad_trained"),
    [
        ("S2 all fail", "chat", 4.14, 3.09, 4.49),
        ("S2 all fail", "requote", 3.76, 2.80, 4.49),
        ("S2 half fail", "requote", 3.69, 2.65, 4.37),
        ("S2 IntraP 4", "requote", 3.17, 2.34, 4.39),
        ("S2 InterP 4", "requote", 3.69, 2.71, 4.38),
        ("S3 IntraP 4", "requote", 4.33, 3.22, 6.48),
        ("GRPO 72", "chat", 2.33, 1.85, 2.35),
    ],
)
def test_ratios_are_near_those_of_an_earlier_count(
    tree, transcript, pad_trie, unpad_trie, pad_trained
):
    wanted = FULL | {"count": {"seeds": 8, "budgets": [16384]}}
    found = counts.over_seeds(FULL["trees"][tree], transcript, wanted)
    assert found.ratio("padded", "trie") == pytest.approx(pad_trie, rel=0.05)
    assert found.ratio("unpadded", "trie") == pytest.approx(unpad_trie, rel=0.05)
    assert found.ratio("padded", "trained") == pytest.approx(pad_trained, rel=0.05)
    assert counts.from_json(json.loads(json.dumps(counts.as_json({"t": {"n": found}})))) == {
        "t": {"n": found}
    }


def test_the_readme_counts_as_the_benchmark_does():
    found = counts.over_seeds(FULL["trees"]["S2 all fail"], "requote", FULL)
    said = " ".join((ROOT / "README.md").read_text().split())
    for number in (found.trie.tokens, found.padded.tokens, found.trained):
        assert f" {number:,.0f}" in said


def test_all_ways_give_one_loss_and_one_gradient(contest, problem, tiny):
    losses = {way: contest.run(way, problem) for way in variants.WAYS}
    whole = {f"{way}, whole": contest.run(way, problem, whole=True) for way in variants.WAYS}
    assert len(losses | whole) == 10
    for way, loss in (losses | whole).items():
        assert loss == pytest.approx(losses["unpadded"], rel=1e-5), way
    distances = contest.distances(problem)
    assert distances.pop("unpadded") == 0
    assert all(0 < far < tiny["gradient_tolerance"] for far in distances.values()), distances


def test_old_and_reference_log_probs_matter_to_trl_as_to_us(contest, problem):
    other = copy.copy(problem)
    other._made = {}
    for name in ("old_N", "ref_N"):
        setattr(other, name, getattr(problem, name) + 0.05)
        losses = [contest.run(way, other) for way in ("trl", "trie")]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)
        assert losses[0] != pytest.approx(contest.run("trl", problem), rel=1e-3)
        other._made = {}


def test_the_compact_head_is_run_on_completion_tokens_alone(contest, problem, monkeypatch):
    rows = []

    class Recorder:
        @staticmethod
        def apply(hidden, *rest):
            rows.append(len(hidden))
            return real.apply(hidden, *rest)

    real = trl_utils._ChunkedLogProbFunction
    monkeypatch.setattr(trl_utils, "_ChunkedLogProbFunction", Recorder)
    contest.run("padded, compact head", problem)
    assert sum(rows) == sum(len(s.completion_ids) for s in problem.samples)
    rows.clear()
    contest.run("trl", problem)
    # All positions but the first ones, which nothing predicts.
    assert sum(rows) == len(problem.samples) * (counts.trl_width(problem.samples) - 1)


def test_trl_gets_its_own_layout(contest, problem):
    first, *_, last = peer.inputs(contest.trainer, problem, rows=8)
    samples = problem.samples
    longest = max(len(s.prompt_ids) for s in samples)
    assert first["prompt_ids"].shape == (8, longest)
    assert last["prompt_ids"].shape == (4, longest)  # 20 sequences in eights
    own = len(samples[0].prompt_ids)
    assert first["prompt_ids"][0, longest - own :].tolist() == list(samples[0].prompt_ids)
    assert first["prompt_mask"].sum(1).tolist() == [len(s.prompt_ids) for s in samples[:8]]
    own = len(samples[0].completion_ids)
    assert first["completion_ids"][0, :own].tolist() == list(samples[0].completion_ids)
    assert first["completion_mask"][0].sum() == own
    # TRL divides by rows and limit: 1 / (G · |o|) is what is left of the factor
    factor = first["tool_mask"][0, 0] / (8 * contest.trainer.max_completion_length)
    assert factor == pytest.approx(1 / (4 * own))


def test_another_gradient_stops_the_run(tiny):
    with pytest.raises(RuntimeError, match="gradients differ by more than 0 of their norm"):
        run.measure(tiny | {"gradient_tolerance": 0}, ["time"], say=lambda text: None)


def test_every_round_is_another_tree(tiny):
    record = run.measure(tiny, ["time"], say=lambda text: None)
    assert set(record["rounds"]) == {"qwen3, S2 IntraP 4, requote"}
    for taken in record["rounds"].values():
        assert set(taken) == set(variants.WAYS)
        assert all(len(pairs) == 2 and min(map(min, pairs)) > 0 for pairs in taken.values())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rounds", "0"], "--rounds is 0; give at least 1"),
        (["--show", "a", "--json", "b"], "--show reads a record and writes none"),
        (["--show", "nowhere.json"], "give a file that --json wrote"),
    ],
)
def test_what_cannot_be_done_is_refused_before_work(words, said, capsys):
    with pytest.raises(SystemExit):
        command_line.main(words)
    assert said in capsys.readouterr().err


def test_parts_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match=r"no parts \['heads'\]; choose from \['counts', "):
        run.measure(FULL, ["head", "heads"])


TOY = roofline.Model(4, 2, 2, 1, 2, 8, 10, True)
WORK = counts.Work(10, 30)


def test_products_of_a_toy_model():
    # q and o 4 · 4, k and v 4 · 2, three matrices of 4 · 8: 144 a layer
    assert (TOY.body, TOY.head, TOY.parameters) == (288, 40, 328)
    assert roofline.Model(4, 2, 2, 1, 2, 8, 10, False).parameters == 368
    # pairs: 4 · 2 layers · 2 heads · 2 = 32 each, 960; states 2880 weights; head 6 · 40 = 240
    assert roofline.forward_flops(TOY, WORK, trained=6) == 2 * 2880 + 960 + 2 * 240 == 7200
    assert roofline.update_flops(TOY, WORK, 6) == 8 * (2880 + 240) + 4.5 * 960 == 29280
    assert roofline.update_flops(TOY, WORK, 6, lora=True) == 6 * 3120 + 4320
    assert roofline.model_flops(TOY, WORK, 6) == 6 * 3120 + 3.5 * 960
    both = counts.Counts(3, 6, WORK, WORK, WORK, 40, {})
    assert roofline.step_flops(TOY, both, "trie") == 29280 + 7200
    assert roofline.step_flops(TOY, both, "padded") == 29280 + 2 * 7200
    # 6e15 · 1000 products at 1e14 a second: 60,000 s
    assert roofline.minutes(6e15, 1000, 100) == pytest.approx(1000)


def test_bytes_of_a_toy_model():
    parts = roofline.memory(TOY, counts.Counts(3, 6, WORK, WORK, WORK, 40, {}), rank=3)
    assert (parts["full"], parts["full, 8-bit moments"], parts["reference"]) == (5904, 3936, 736)
    # 18 and 12 for each of 328; layers 288 · 2, the tied embedding 40 · 4
    # inputs and outputs: 8 + 6 + 6 + 8 + 12 + 12 + 12 = 64; two layers of rank 3: 384 weights
    assert parts["LoRA"] == 656 + 16 * 384
    # a live layer: 10 · (8 · 4 + 4 · 4 + 4 · 2 + 3 · 8) · 2 = 1600; inputs 10 · 2 · 4 · 4 = 320
    assert (parts["states"], parts["bf16 states"]) == (1920, 1760)
    assert parts["every layer's activations"] == 3200
    # 40 positions, keys and values of 2 numbers of 2 bytes
    assert parts["gathered"] == 320
    assert parts["chunked head"] == 4 * (40 + 2 * roofline.MAX_LOGITS_CUDA) + 40 * 2 + 6 * 4 * 2
    assert parts["full logits"] == 10 * 10 * 4


def test_sizes_of_the_large_models():
    sizes = {name: roofline.Model(**config) for name, config in FULL["models"].items()}
    billions = {name: round(model.parameters / 1e9, 2) for name, model in sizes.items()}
    assert billions == {"Qwen3-1.7B": 1.72, "Qwen3-4B": 4.02, "OLMo-2-7B": 7.30}
    # 28 · (2 · 2048 · 2048 + 2 · 2048 · 1024 + 3 · 2048 · 6144) = 28 · 50,331,648
    assert sizes["Qwen3-1.7B"].body == 1_409_286_144


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_peak_is_what_is_held_at_once_beyond_what_was_there():
    # In a process of its own, as the benchmark measures: threads of other tests allocate too.
    code = """
from benchmarks.update import memory
held = b"\\1" * (30 << 20)
def work():
    for size in (40 << 20, 20 << 20):
        block = b"\\1" * size
        del block
print(memory.peak_mb(work))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert float(done.stdout) == pytest.approx((40 << 20) / 1e6, abs=3)


@pytest.mark.slow
def test_the_output_layer_of_the_library_holds_less(tiny):
    sizes = {"vocab_size": 60_000, "hidden_size": 64, "rows": 1024}
    job = {"what": "head", "settings": tiny | {"head": sizes}}
    full, apart, library = (
        memory.in_a_process(job | {"way": way})
        for way in ("full logits", "full logits, entropy apart", "library")
    )
    # One copy of the logits is 1024 · 60,000 · 4 bytes = 246 MB.
    assert full > apart > 2 * 246 > 246 > library


def test_heads_give_the_same_numbers():
    torch.manual_seed(0)
    layer, states = torch.nn.Linear(8, 50, bias=False), torch.randn(20, 8)
    ids = torch.randint(50, (20,))
    wanted = memory.HEADS["full logits"](layer, states, ids, 0.6)
    for head in memory.HEADS.values():
        for found, right in zip(head(layer, states, ids, 0.6), wanted, strict=True):
            torch.testing.assert_close(found, right)


def test_a_process_that_fails_says_how():
    job = {"what": "head", "way": "no such way", "settings": FULL | {"head": {}}}
    with pytest.raises(RuntimeError, match="measuring 'no such way' failed"):
        memory.in_a_process(job)


def record_of(cpu):
    """A record with two rounds of two ways; TRL's takes `cpu` times as much."""
    peaks = [
        {"what": "update", "way": way, "transcript": "chat", "whole": True, "mb": mb}
        for way, mb in (("trl", [290.0, 310.0]), ("trie", [100.0, 100.0]))
    ]
    return {
        "settings": FULL,
        "load": [0.1, 0.2],
        "versions": {"trl": "1"},
        "rounds": {
            "qwen3, S2 all fail, chat": {
                "trl": [[4.0, cpu], [9.0, 2 * cpu]],
                "trie": [[1.0, 1.0], [1.0, 2.0]],
            }
        },
        "distances": {"qwen3, S2 all fail, chat": {"trl": 1e-6, "trie": 2e-6}},
        "memory": peaks,
    }


@pytest.mark.parametrize(("cpu", "met"), [(3.5, "met"), (2.5, "NOT MET")])
def test_goals_are_judged_on_ratios_of_rounds(cpu, met):
    record = record_of(cpu)
    found = analysis.ratios(record)
    assert found["qwen3, S2 all fail, chat: trl / trie, cpu"] == {
        "median": cpu,
        "min": cpu,
        "max": cpu,
        "goal": 3.0,
    }
    assert found["qwen3, S2 all fail, chat: trl / trie, wall"]["median"] == 6.5
    assert found["chat, whole problem: trl / trie, memory"]["median"] == pytest.approx(3.0)
    text = [" ".join(line.split()) for line in tell.lines(record)]
    assert f"qwen3, S2 all fail, chat: trl / trie, cpu {cpu:.3f} at least 3: {met}" in text
    about = {"command": "c", "commit": "1", "changed since": False, "device": "d", "python": "3"}
    page = tell.markdown(record | about)
    assert "Other work" not in page
    assert "A look" not in page
    hasty = {"settings": settings.load(quick=True)}
    assert "A look, not a measurement: 2 rounds" in tell.markdown(record | about | hasty)
    assert "load average up to 3.0" in tell.markdown(record | about | {"load": [1.0, 3.0]})
    assert ("All goals are met." in page) == (met == "met")
    assert ("* qwen3, S2 all fail, chat: trl / trie, cpu: 2.500 where 3 is" in page) == (cpu == 2.5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_the_gpu_part_runs_as_far_as_a_processor_goes(tiny):
    wanted = copy.deepcopy(tiny)
    sizes = wanted["time"]["model"]
    wanted["models"] = {name: sizes for name in ("Qwen3-1.7B", "OLMo-2-7B")}
    wanted["gpu"] |= {
        "scale": 0.01,
        "rounds": 1,
        "attentions": ["segments", "flex"],
        "fits": list(wanted["models"]),
        "lora_rank": 4,
    }
    found = gpu.measure(wanted, "cpu", say=lambda text: None)
    rows = found["speed"] + found["fits"]
    # FlexAttention has no backward on processors; a way that fails says why.
    failed = [row for row in rows if "fails" in row]
    assert failed == [row for row in rows if row["attention"] == "flex"]
    assert all("backward on CPU" in row["fails"] for row in failed)
    assert {row["way"] for row in found["speed"]} == {"trl", "padded, sorted", "trie"}
    assert (len(found["speed"]), len(found["fits"])) == (2 * 4, 2 * 2 * 2)
    for row in found["speed"]:
        assert row in failed or (row["trained_per_s"] > 0 and 0 < row["utilisation"] < 1)
    text = list(tell._gpu(found))
    assert sum("memory not seen" in line for line in text) == len(rows) - len(failed)
    assert sum("backward on CPU" in line for line in text) == len(failed)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_every_row_says_that_it_is_unmeasured():
    found = gpu.measure(FULL)
    text = list(tell._gpu(found))
    assert len(found["speed"] + found["fits"]) == 8 + 12
    assert sum("unmeasured: no GPU" in line for line in text) == 20


@pytest.mark.slow
@pytest.mark.timeout(600)  # a minute where nothing else runs
def test_a_quick_run_measures_everything_and_can_be_shown_again(tmp_path):
    file, page = tmp_path / "record.json", tmp_path / "page.md"
    printed = benchmark("--quick", "--json", file, "--markdown", page)
    record = json.loads(file.read_text())
    assert {"counts", "rounds", "small rounds", "memory", "head", "gpu"} <= set(record)
    assert all(0 < r["min"] <= r["median"] <= r["max"] for r in record["ratios"].values())
    assert (
        record["command"] == f"python -m benchmarks.update --quick --json {file} --markdown {page}"
    )
    shown = benchmark("--show", file)
    assert shown
    assert printed.endswith(shown)
    assert shown in page.read_text()


def benchmark(*arguments):
    command = [sys.executable, "-m", "benchmarks.update", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
