"""The sampling benchmark: equal work for all, a world that only waits, goals from measurements."""

import copy
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import mean

import pytest
import torch

from benchmarks.sampling import __main__ as command_line
from benchmarks.sampling import agreement, analysis, contenders, gpu, models, run, settings, tell
from benchmarks.sampling import trees as rollouts
from benchmarks.sampling.contenders import GENERATE, OURS, VLLM
from benchmarks.sampling.work import Equal, Limited, Skewed, lengths_of, turns
from benchmarks.sampling.world import NumberCodec, SleepEnv
from murphy_agents.engines.protocol import Request, SamplingParams
from murphy_agents.engines.transformers import TransformersEngine
from murphy_agents.tree import Group, Node, walk

ROOT = Path(__file__).parents[1]
FULL = settings.load()
SIZES = {"prompt": 6, "child_prompt": 10}
ABOUT = {"command": "c", "commit": "1", "changed since": False, "device": "d", "python": "3"}


@pytest.fixture(scope="module")
def tiny():
    """Settings of a run that takes seconds."""
    tiny = settings.load(quick=True)
    tiny["sizes"] = SIZES
    tiny["lengths"] = {
        "equal": {"most": 6},
        "skewed": {"median": 5, "sigma": 0.8, "least": 2, "most": 9},
    }
    tiny["engines"] |= {
        "rounds": 2,
        "works": {"2x2 then 4x2": {"prompts": 2, "samples": 2, "refinements": 2}},
        "rows": {"0.16 M": ["2x2 then 4x2"]},
    }
    tiny["schedules"] |= {
        "rounds": 2,
        "shapes": {"2 trees of 2x2": {"problems": 2, "fanout": [2, 2]}},
        "executions": [
            {"execution_s": 0.002, "workers": 2, "like": "little"},
            {"execution_s": "balanced", "workers": 2, "like": "much"},
        ],
    }
    tiny["agreement"] |= {"shape": {"problems": 2, "fanout": [2, 2]}, "most_s": 0.004}
    tiny["goals"]["generate"]["works"] = ["2x2 then 4x2"]
    tiny["goals"]["vllm"]["rows"] = ["0.16 M, 2x2 then 4x2, equal"]
    tiny["goals"]["balanced"]["rows"] = ["2 trees of 2x2, equal"]
    return tiny


@pytest.fixture(scope="module")
def record(tiny):
    return run.measure(tiny, say=lambda text: None)


@pytest.fixture(scope="module")
def model():
    return models.make(FULL["models"]["0.16 M"])


def test_models_are_as_large_as_they_are_called(model):
    # embeddings 1024 · 64 = 65,536; a layer: q, o 2 · 64 · 64, k, v 2 · 64 · 32, norms of q and k
    # 2 · 32, MLP 3 · 64 · 192, two norms 2 · 64 = 49,344; the last norm 64: 65,536 + 98,688 + 64
    assert sum(p.numel() for p in model.parameters()) == 164_288
    assert models.describe(model) == "0.16 M"
    assert model.generation_config.eos_token_id is None


def test_children_begin_with_their_parents_prompt():
    shape = {"prompts": 3, "samples": 2, "refinements": 4}
    first, second = turns(shape, SIZES, 1024, Equal(5), seed=1)
    assert [len(r.seeds) for r in first] == [2] * 3
    assert [len(r.seeds) for r in second] == [4] * 6
    assert {len(r.prompt_ids) for r in first} == {6}
    assert {len(r.prompt_ids) for r in second} == {10}
    assert [r.prompt_ids[:6] for r in second] == [r.prompt_ids for r in first for _ in "ab"]
    assert len({r.prompt_ids for r in second}) == 6
    seeds = [seed for r in (*first, *second) for seed in r.seeds]
    assert len(set(seeds)) == 6 + 24
    assert turns(shape, SIZES, 1024, Equal(5), seed=1) == (first, second)
    assert turns(shape, SIZES, 1024, Equal(5), seed=2)[0][0].prompt_ids != first[0].prompt_ids


def test_skewed_lengths_belong_to_the_seed_and_keep_their_bounds():
    wanted = FULL["lengths"]["skewed"]
    length_of = lengths_of(wanted)
    drawn = [length_of(seed) for seed in range(4000)]
    assert isinstance(length_of, Skewed)
    assert drawn[:9] == [length_of(seed) for seed in range(9)]
    assert (min(drawn), max(drawn)) == (8, 160)
    # The median is that of the log-normal, 45; the mean 45 · exp(0.8 ** 2 / 2) = 62, but for what
    # is cut at 160.
    assert sorted(drawn)[2000] == pytest.approx(45, abs=2)
    assert mean(drawn) == pytest.approx(58, abs=2)
    assert lengths_of({"most": 64})(3) == 64


def test_a_limited_engine_gives_back_what_was_asked_for(model):
    codec = NumberCodec(SIZES, 1024)
    engine = Limited(TransformersEngine(model, codec), lambda seed: 1 + seed % 3)
    engine.submit(Request((5, 6), (3, 4, 5, 6, 7), SamplingParams(9), "tag"))
    found = []
    while finished := engine.poll():
        found += finished
    # Seeds 3 to 7 have 1, 2, 3, 1, 2 tokens.
    assert sorted((c.tag, c.index, len(c.ids)) for c in found) == [
        ("tag", 0, 1), ("tag", 1, 2), ("tag", 2, 3), ("tag", 3, 1), ("tag", 4, 2),
    ]  # fmt: skip
    assert engine.stats.generated_tokens == 9
    assert engine.context_length == 2048


@pytest.mark.parametrize("name", [GENERATE, OURS])
def test_contenders_draw_what_is_asked_for_and_tell_its_log_probs(model, name):
    length_of = Skewed(5, 0.8, 2, 9)
    shape = {"prompts": 3, "samples": 2, "refinements": 2}
    job = turns(shape, SIZES, 1024, length_of)
    codec = NumberCodec(SIZES, 1024)
    engine = contenders.OfEngine(TransformersEngine(model, codec), length_of)
    contender = engine if name == OURS else contenders.Generate(model, length_of, max_rows=4)
    drawn, prefilled_tokens = contender(job[0])
    # 3 prompts of 6 ids, 2 samples each: read once, or once for every sample.
    assert prefilled_tokens == (18 if name == OURS else 36)
    wanted = sorted(length_of(seed) for r in job[0] for seed in r.seeds)
    assert sorted(len(ids) for ids, _ in drawn) == wanted
    # Contenders give completions in no order: one of the prompts must explain the log-probs.
    for ids, logprobs in drawn:
        assert min(abs(_log_prob(model, r.prompt_ids, ids) - sum(logprobs)) for r in job[0]) < 1e-4


@torch.no_grad()
def _log_prob(model, prompt_ids, ids):
    logits = model(torch.tensor([[*prompt_ids, *ids]])).logits[0, len(prompt_ids) - 1 : -1]
    return logits.log_softmax(-1)[range(len(ids)), list(ids)].sum().item()


def test_unequal_work_stops_the_run():
    job = turns({"prompts": 1, "samples": 2, "refinements": 1}, SIZES, 1024, Equal(5))
    # 2 samples of 5 tokens, then one refinement of each: 20.
    right = contenders.Drawn(samples=4, tokens=20, logprobs=20)
    run._check({"a": right}, job, Equal(5))
    with pytest.raises(RuntimeError, match="b drew 20 tokens with 19 log-probs where 20 were"):
        run._check({"a": right, "b": replace(right, logprobs=19)}, job, Equal(5))


def test_the_world_takes_clock_and_no_processor():
    env = SleepEnv(2, 0.2)
    _, info = env.reset(options={"task_id": "problem 1"})
    started, processor = time.perf_counter(), time.thread_time()
    observation, reward, terminated, truncated, info = env.step("7 8")
    assert time.perf_counter() - started >= 0.2
    assert time.thread_time() - processor < 0.1
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert observation == "problem 1\n\n7 8\n\nIt failed."
    env.reset(options={"snapshot": info["snapshot"]})
    assert env.step("9")[3]


def test_prompts_of_the_world_are_as_long_as_asked():
    codec = NumberCodec(SIZES, 1024)
    task = [{"role": "user", "content": "problem 1"}]
    tried = [*task, {"role": "assistant", "content": "7 8"}]
    assert len(codec.encode(task)) == 6
    assert len(codec.encode(tried)) == 10
    assert codec.encode(tried)[:6] == codec.encode(task)
    other = [*task, {"role": "assistant", "content": "7 9"}]
    assert codec.encode(other)[6:] != codec.encode(tried)[6:]
    assert codec.encode_text(codec.decode((7, 8))) == (7, 8)


def test_a_run_has_every_row_and_equal_work(record, tiny):
    assert [analysis.engine_name(row) for row in record["engines"]] == [
        "0.16 M, 2x2 then 4x2, equal",
        "0.16 M, 2x2 then 4x2, skewed",
    ]
    for row in record["engines"]:
        tokens = {each["tokens"] for each in row["drawn"].values()}
        assert len(tokens) == 1
        # 4 first samples and 8 refinements in each of 2 rounds; prompts 4 · 6 + 8 · 10 ids.
        assert row["drawn"][OURS]["samples"] == 2 * 12
        assert row["drawn"][OURS]["prompt_tokens"] == 2 * 104
        # 2 prompts of 6 are read once, then each as the stem of two that have 4 more ids: 12 + 28.
        assert analysis.hit_rate(row["drawn"][OURS]) == 1 - 40 / 104
        assert analysis.hit_rate(row["drawn"][GENERATE]) == 0
        assert all(len(pairs) == 2 and min(map(min, pairs)) > 0 for pairs in row["rounds"].values())
    assert record["engines"][0]["drawn"][OURS]["tokens"] == 2 * 12 * 6


def test_a_run_has_every_rollout_of_both_schedules(record):
    rows = record["schedules"]
    assert [(row["lengths"], row["balanced"]) for row in rows] == [
        ("equal", False), ("equal", True), ("skewed", False), ("skewed", True),
    ]  # fmt: skip
    for row in rows:
        assert row["execution_s"] > 0
        for rounds in row["rounds"].values():
            assert len(rounds) == 2
            # 2 trees of 2 + 2 · 2 programs.
            assert all(told["programs"] == 12 for told in rounds)
            for told in rounds:
                least = told["programs"] * row["execution_s"] / row["workers"]
                assert told["judging_s"] >= least
                assert told["seconds"] >= max(told["judging_s"], told["generation_s"])


def test_both_schedules_grow_the_same_trees_here(record):
    # 2 trees of 2 + 2 · 2 nodes.
    none = {"nodes": 12, "differ": 0, "first": 0}
    assert record["agreement"]["float64"] == none
    assert record["agreement"]["float32"]["nodes"] == 12


def group(ids, children=(), prompt=(1,)):
    nodes = [Node(reward=0.0, completion_ids=(i,)) for i in ids]
    for node, child in zip(nodes, children, strict=False):
        node.refinements = child
    return Group(nodes, prompt_ids=prompt)


def test_nodes_below_one_that_differs_are_told_apart():
    one = group([5, 6], [group([7, 7], prompt=(1, 5)), group([8, 8], prompt=(1, 6))])
    other = group([4, 6], [group([7, 9], prompt=(1, 4)), group([8, 9], prompt=(1, 6))])
    # The first attempt differs, one of its refinements too, and one of the other's by itself.
    assert agreement.compare([one], [other]) == {"nodes": 6, "differ": 3, "first": 2}
    assert agreement.compare([one], [one]) == {"nodes": 6, "differ": 0, "first": 0}


def test_a_fanout_of_other_turns_than_the_worlds_is_refused(model):
    with pytest.raises(ValueError, match=r"fanout is \[2\]; this world has 2 turns"):
        rollouts.grow(None, None, Equal(3), {"problems": 1, "fanout": [2]}, {}, "eager", 0)


def test_every_program_fails_and_branches(model):
    row = {"execution_s": 0.0, "workers": 2}
    codec = NumberCodec(SIZES, 1024)
    engine = TransformersEngine(model, codec)
    shape = {"problems": 2, "fanout": [3, 2]}
    rollout = rollouts.grow(engine, codec, Equal(4), shape, row, "eager", 0)
    # 2 problems of 3 + 3 · 2.
    assert sum(1 for root in rollout.roots for _ in walk(root)) == 18
    assert rollout.num_overflows == rollout.num_infra_errors == 0


def timed(generate_s, vllm_s=None, level_s=2.0):
    """A record with two rounds of one row of engines and one of schedules."""
    rounds = {GENERATE: [[generate_s, generate_s]] * 2, OURS: [[1.0, 1.0], [1.0, 1.0]]}
    if vllm_s is not None:
        rounds[VLLM] = [[vllm_s, vllm_s]] * 2
    counts = {
        "samples": 24, "tokens": 100, "logprobs": 100, "prompt_tokens": 100, "prefilled_tokens": 20,
    }  # fmt: skip
    level = {
        "seconds": level_s, "generation_s": 1.0, "execution_s": 0.5, "judging_s": 1.0,
        "cpu_s": 1.0, "programs": 100,
    }  # fmt: skip
    return {
        "settings": FULL,
        "load": [0.1, 0.2],
        "versions": {"torch": "1"},
        "left out": {"0.16 M": {} if vllm_s else {VLLM: "vllm is not installed here"}},
        "engines": [
            {
                "model": "0.16 M",
                "work": "8x8 then 64x8",
                "lengths": "equal",
                "drawn": dict.fromkeys(rounds, counts),
                "rounds": rounds,
            }
        ],
        "schedules": [
            {
                "shape": "72 chains of 2",
                "lengths": "equal",
                "execution_s": 0.2,
                "workers": 16,
                "like": "execution takes as long as generation",
                "balanced": True,
                "rounds": {"level": [level] * 2, "eager": [level | {"seconds": 1.25}] * 2},
            }
        ],
        "agreement": {"float64": {"nodes": 50, "differ": 1, "first": 1}},
    }


def test_goals_are_judged_on_measurements():
    found = {goal.name: goal for goal in analysis.goals(timed(1.6, 0.4))}
    expected = {
        "0.16 M, 8x8 then 64x8, equal: transformers.generate / TransformersEngine, cpu": (
            1.6,
            True,
        ),
        # 2.0 / 1.25
        "72 chains of 2, equal, balanced on 16: level / eager, wall": (1.6, True),
        # 1.0 / 0.4, where at most 2 is wanted
        "0.16 M, 8x8 then 64x8, equal: TransformersEngine / VllmEngine, cpu": (2.5, False),
        # 1 / 50 where none may
        "share of 50 nodes that differ, float64": (0.02, False),
    }
    assert {name: (pytest.approx(goal.found), goal.met) for name, goal in found.items()} == expected
    missed = analysis.goals(timed(1.4, level_s=1.5))
    assert [goal.met for goal in missed] == [False, False, None, False]


def test_idle_shares_and_the_best_that_could_be():
    (row,) = timed(1.0)["schedules"]
    # 100 programs of 0.2 s on 16 workers: 1.25 s, longer than generation: 2 / 1.25
    assert analysis.at_best(row) == pytest.approx(1.6)
    # Of 2 s the engine had nothing to draw for 0.5, the sandbox nothing to run for 1.
    assert analysis.idle(row["rounds"]["level"][0]) == (0.25, 0.5)


def test_a_page_says_what_was_missed_and_what_was_left_out():
    page = tell.markdown(timed(1.4) | ABOUT)
    assert "transformers.generate / TransformersEngine, cpu: 1.400 where 1.5 is the goal" in page
    assert (
        "* 0.16 M, 8x8 then 64x8, equal: TransformersEngine / VllmEngine, cpu: unmeasured" in page
    )
    assert "0.16 M: without VllmEngine: vllm is not installed here" in page
    assert "balanced on 16 workers: like execution takes as long as generation" in page
    assert "Other work" not in page
    assert "A look" not in page
    hasty = {"settings": settings.load(quick=True)}
    assert "A look, not a measurement: 2 rounds" in tell.markdown(timed(2.0) | ABOUT | hasty)
    assert "load average up to 3.0" in tell.markdown(timed(2.0) | ABOUT | {"load": [1.0, 3.0]})


def test_what_was_measured_can_be_printed(record):
    text = "\n".join(tell.lines(record))
    assert "2 trees of 2x2, skewed, balanced on 2" in text
    assert json.loads(json.dumps(record)) == record


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_every_row_says_that_it_is_unmeasured():
    found = gpu.measure(FULL)
    assert sum("unmeasured: no GPU" in line for line in tell._gpu(found)) == 3 + 2


@pytest.mark.slow
def test_the_gpu_part_runs_as_far_as_a_processor_goes(tiny):
    wanted = copy.deepcopy(tiny)
    wanted["gpu"] |= {
        "model": FULL["models"]["0.16 M"],
        "sizes": SIZES,
        "lengths": wanted["lengths"]["skewed"],
        "work": {"prompts": 1, "samples": 2, "refinements": 1},
        "rounds": 1,
        "lora_rank": 2,
    }
    found = gpu.measure(wanted, "cpu", say=lambda text: None)
    generate, ours, *_ = found["speed"]
    assert min(*generate["tokens_per_s"], *ours["tokens_per_s"]) > 0
    assert [row["training"] for row in found["sync"]] == ["full", "LoRA"]
    assert len(list(tell._gpu(found))) == 1 + 3 + 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rounds", "0"], "--rounds is 0; give at least 1"),
        (["--show", "a", "--json", "b"], "--show reads a record and writes none"),
        (["--show", "nowhere.json"], "give a file that --json wrote"),
        (["--parts", "engine"], "there are no parts ['engine']; choose from ['engines', "),
    ],
)
def test_what_cannot_be_done_is_refused_before_work(words, said, capsys):
    with pytest.raises(SystemExit):
        command_line.main(words)
    assert said in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(600)  # a minute where nothing else runs
def test_a_quick_run_measures_everything_and_can_be_shown_again(tmp_path):
    file, page = tmp_path / "record.json", tmp_path / "page.md"
    printed = benchmark("--quick", "--json", file, "--markdown", page)
    record = json.loads(file.read_text())
    assert {"engines", "schedules", "agreement", "gpu"} <= set(record)
    assert all(0 < r["min"] <= r["median"] <= r["max"] for r in record["ratios"].values())
    shown = benchmark("--show", file)
    assert shown
    assert printed.endswith(shown)
    assert shown in page.read_text()


def benchmark(*arguments):
    command = [sys.executable, "-m", "benchmarks.sampling", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
