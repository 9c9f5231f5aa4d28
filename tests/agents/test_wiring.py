"""Every setting reaches the part that it is for."""

import dataclasses
import itertools
import random
from pathlib import Path

import pytest
import torch
from trees import tree

from murphy_agents import metrics
from murphy_agents.algorithms import murphy_mars
from murphy_agents.config import TrainConfig
from murphy_agents.engines.decoding import DecodingBatch
from murphy_agents.learner import Learner, update_settings
from murphy_agents.lease import EnvPool
from murphy_agents.policy import Policy
from murphy_agents.rollout import Rollout
from murphy_agents.room import check_room
from murphy_agents.tree import Group, Node
from murphy_agents.update.surrogate import by_product
from murphy_agents.variants import VARIANTS
from murphy_agents.wiring import (
    batches,
    check_turns,
    load_policy,
    make_env_of,
    make_sampler,
    transcript_of,
)
from murphy_env import CodeFeedbackEnv, Task

TASKS = [Task(f"t{i}", "Write f.", [f"assert f({j}) == {j}" for j in range(8)]) for i in range(5)]


@pytest.fixture
def pool(sandbox):
    with EnvPool(lambda: CodeFeedbackEnv(TASKS, sandbox=sandbox), 2) as envs:
        yield envs


def tiny(**settings):
    return TrainConfig(**{"model": "tiny", **settings})


def policy_of(envs, **settings):
    return load_policy(tiny(**settings), envs)


def test_settings_of_the_environment():
    config = TrainConfig(
        hidden_share=0.5,
        prompts="terse",
        reward="gain",
        transcript="chat",
        algorithm="grpo",
        sandbox_workers=3,
    )
    env = make_env_of(config, TASKS, None, 4)()
    assert (env.max_turns, env.transcript) == (4, "chat")
    env.reset(options={"task_id": "t0"})
    gains = [env.step(f"<output>def f(x): return {c}</output>")[1] for c in ("0", "x if x else 9")]
    # One of eight tests passes with 0; then seven: the best share rises by 6/8.
    assert gains == [0.125, 0.75]
    assert sum(test.visible for test in env.episode.task.tests) == 4
    messages = env.reset(options={"task_id": "t0"})[1]["messages"]
    assert [message["content"] for message in messages] == ["Write f."]
    assert env._sandbox is make_env_of(config, TASKS, None, 4)()._sandbox


def test_tasks_and_environments_can_come_from_one_place_only():
    config = TrainConfig(env="wiring_case:make")
    for given in [(config, TASKS, None), (config, None, object), (TrainConfig(), TASKS, object)]:
        with pytest.raises(ValueError, match="are both given"):
            make_env_of(*given, 2)


def test_episodes_must_last_as_long_as_the_algorithm(pool):
    check_turns(pool, 2)
    with pytest.raises(ValueError, match="max_turns=3"):
        check_turns(pool, 3)


def test_settings_of_the_sampler(pool):
    config = tiny(max_completion_length=7, temperature=0.5, top_p=0.9, transcript="chat")
    sampler = make_sampler(config, policy_of(pool), pool)
    params = sampler.params
    assert (params.max_tokens, params.temperature, params.top_p) == (7, 0.5, 0.9)
    assert sampler.transcript == "chat"


@pytest.mark.parametrize("lora", [False, True])
def test_what_is_saved_says_which_transcript_it_learned_from(lora, pool, tmp_path):
    config = tiny(transcript="chat", use_peft=lora, output_dir=str(tmp_path))
    policy = load_policy(config, pool)
    make_sampler(config, policy, pool)
    policy.save(tmp_path / "saved")
    again = TrainConfig(model=str(tmp_path / "saved"))
    assert transcript_of(again) == "chat"
    with pytest.warns(UserWarning, match="writes 'requote' transcripts.* was made for 'chat'"):
        assert make_sampler(again, policy, pool).transcript == "requote"


def test_settings_of_the_update():
    config = TrainConfig(
        temperature=0.5,
        epsilon=0.3,
        epsilon_high=0.4,
        loss_type="rloo",
        importance_sampling="token_mask",
        importance_sampling_cap=5.0,
        beta=0.7,
        max_grad_norm=0.9,
        num_iterations=3,
        max_tokens_per_forward=99,
        layout="trie",
        tree_attention="dense",
        bf16=True,
    )
    assert dataclasses.asdict(update_settings(config)) == {
        "temperature": 0.5,
        "epsilon": 0.3,
        "beta": 0.7,
        "max_grad_norm": 0.9,
        "num_iterations": 3,
        "token_budget": 99,
        "layout": "trie",
        "tree_attention": "dense",
        "autocast_dtype": torch.bfloat16,
        "epsilon_high": 0.4,
        "surrogate": by_product,
        "correction": {"mode": "token_mask", "cap": 5.0},
    }


def test_the_memory_of_generation_is_bounded(pool, monkeypatch):
    rows = []
    step = DecodingBatch.step
    monkeypatch.setattr(DecodingBatch, "step", lambda s: rows.append(len(s.samples)) or step(s))
    for bound, most in ((1 << 18, 6), (1, 1)):
        rows.clear()
        config = tiny(max_completion_length=4, max_cache_tokens=bound)
        sampler = make_sampler(config, load_policy(config, pool), pool)
        sampler.grow(["t0", "t1"], lambda node, turn: 3 if turn == 1 else 0, seed=(0,))
        assert max(rows) == most  # 2 tasks * 3 generations; a single one passes any bound


def test_settings_of_the_optimizer(pool):
    config = tiny(
        learning_rate=0.25,
        weight_decay=0.5,
        warmup_steps=2,
        num_iterations=2,
        num_train_epochs=4,
        per_device_train_batch_size=2,
        lr_scheduler_type="constant_with_warmup",
    )
    learner = Learner.start(config, load_policy(config, pool), num_tasks=5)
    # 5 tasks in batches of 2 are 3 steps an epoch.
    assert learner.num_steps == 12
    assert [group["weight_decay"] for group in learner.optimizer.param_groups] == [0.5, 0.0]
    rates = []
    for _ in range(6):
        rates += learner.scheduler.get_last_lr()[:1]
        learner.optimizer.step()
        learner.scheduler.step()
    # Two steps of two iterations each: the rate rises over four, then stays.
    assert rates == [0.0, 0.0625, 0.125, 0.1875, 0.25, 0.25]


def tiny_tree():
    nodes = [
        Node(1.0, completion_ids=(5, 6), finish_reason="length"),
        Node(0.0, completion_ids=(7, 8, 9, 10)),
    ]
    root = Group(nodes, prompt_ids=(4, 5))
    murphy_mars((2,)).grade(root)
    return root


@pytest.mark.parametrize("loss_type", VARIANTS)
@pytest.mark.parametrize("mask", [False, True])
def test_settings_of_the_batch(loss_type, mask, pool, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "murphy_agents.learner.update", lambda _, batch, *rest: seen.append(batch) or {}
    )
    config = tiny(loss_type=loss_type, mask_truncated_completions=mask, max_completion_length=16)
    learner = Learner.start(config, load_policy(config, pool), 1)
    figures = learner.learn([tiny_tree()])
    assert figures["num_masked"] == mask
    weights = {len(s.completion_ids): s.weight for s in seen[0].samples}
    # 1/G = 1/2 over the length; 1/tokens of the batch; 1/2 over the limit of 16.
    tokens = 4 if mask else 6
    both = {
        "grpo": {2: 1 / 4, 4: 1 / 8},
        "bnpo": {2: 1 / tokens, 4: 1 / tokens},
        "dapo": {2: 1 / tokens, 4: 1 / tokens},
        "dr_grpo": {2: 1 / 32, 4: 1 / 32},
        "gspo": {2: 1 / 4, 4: 1 / 8},
        "cispo": {2: 1 / tokens, 4: 1 / tokens},
        "rloo": {2: 1 / 4, 4: 1 / 8},
    }[loss_type]
    assert weights == ({4: both[4]} if mask else both)


def test_a_run_that_is_refused_leaves_the_base_of_earlier_adapters(pool, tmp_path):
    """Another seed makes another model, which is put beside the first one and not in its place."""
    first, same, other = (
        policy_of(pool, use_peft=True, seed=seed, output_dir=str(tmp_path)) for seed in (0, 0, 1)
    )
    bases = [Path(p.model.active_peft_config.base_model_name_or_path) for p in (first, same, other)]
    assert bases[0] == bases[1] != bases[2]
    assert sorted(tmp_path.glob("base-????????")) == sorted(set(bases))
    first.save(tmp_path / "saved")
    loaded = Policy.load(tmp_path / "saved")
    for mine, read in zip(first.model.parameters(), loaded.model.parameters(), strict=True):
        assert torch.equal(mine, read)


def test_adapters_of_a_tiny_model_load_again(pool, tmp_path):
    from peft import AutoPeftModelForCausalLM

    policy = policy_of(
        pool,
        use_peft=True,
        lora_r=4,
        lora_alpha=8,
        lora_target_modules="q_proj,v_proj",
        output_dir=str(tmp_path),
    )
    adapter = policy.model.peft_config["default"]
    assert (adapter.r, adapter.lora_alpha) == (4, 8)
    assert adapter.target_modules == {"q_proj", "v_proj"}
    policy.save(tmp_path / "final")
    again = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "final")
    for (name, one), other in zip(
        policy.model.state_dict().items(), again.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name


def test_device_and_dtype(pool):
    assert policy_of(pool, dtype="float64").model.dtype == torch.float64
    with pytest.raises(ValueError, match="'cpux'"):
        policy_of(pool, device="cpux")


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("", "no such folder"),
        ("./nowhere", "no such folder"),
        ("a/b/c", "no such folder"),
        ("bare", "has no tokenizer"),
        ("bare/config.json", "is a file"),
    ],
)
def test_a_model_that_cannot_be_there_is_named_at_once(name, named, pool, tmp_path, monkeypatch):
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=named):
        policy_of(pool, model=name)


def test_gradient_checkpointing(pool):
    def checkpointing(**settings):
        modules = policy_of(pool, **settings).model.modules()
        return {getattr(module, "gradient_checkpointing", False) for module in modules}

    assert True in checkpointing(gradient_checkpointing=True)
    assert checkpointing() == {False}


def test_every_epoch_visits_every_task_in_a_new_order():
    ids = [task.task_id for task in TASKS]
    config = TrainConfig(per_device_train_batch_size=2, num_train_epochs=2)
    found = list(batches(config, ids))
    assert [len(batch) for batch in found] == [2, 2, 1, 2, 2, 1]
    first, second = ([*itertools.chain(*found[i : i + 3])] for i in (0, 3))
    assert sorted(first) == sorted(second) == ids
    assert first != second
    assert found == list(batches(config, ids))
    assert found != list(batches(dataclasses.replace(config, seed=1), ids))
    assert len(list(batches(dataclasses.replace(config, max_steps=7), ids))) == 7


class Dice(CodeFeedbackEnv):
    """An environment whose reward is luck."""

    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, float(self.np_random.random()), *rest


def test_luck_of_an_environment_belongs_to_the_seed(sandbox):
    def rewards(order):
        with EnvPool(lambda: Dice(TASKS, sandbox=sandbox), 3) as envs:
            start = envs.start("t0")
            verdicts = {seed: envs.judge(start, "none", seed) for seed in order}
            return {seed: verdict.result().reward for seed, verdict in verdicts.items()}

    seeds = list(range(12))
    found = rewards(seeds)
    assert len(set(found.values())) == 12
    assert rewards(random.Random(0).sample(seeds, 12)) == found


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ({"task_ids": ()}, "no task_ids"),
        ({"info": {"messages": []}}, "no 'snapshot'"),
        ({"info": {"snapshot": {}}}, "no 'messages'"),
    ],
)
def test_what_an_environment_lacks_is_named(broken, named, sandbox):
    class Bare(CodeFeedbackEnv):
        closed = 0

        def __init__(self):
            super().__init__(TASKS, sandbox=sandbox)
            self.task_ids = broken.get("task_ids", self.task_ids)

        def reset(self, **arguments):
            observation, info = super().reset(**arguments)
            return observation, broken.get("info", info)

        def close(self):
            Bare.closed += 1

    def use():
        with EnvPool(Bare, 2) as envs:
            envs.start("t0")

    with pytest.raises(ValueError, match=named):
        use()
    assert Bare.closed == 2


def test_environments_must_be_new_ones(sandbox):
    one = CodeFeedbackEnv(TASKS, sandbox=sandbox)
    with pytest.raises(ValueError, match="same environment twice"):
        EnvPool(lambda: one, 2)
    with pytest.raises(ValueError, match="make_env gave None"):
        EnvPool(lambda: None, 2)


def test_prompts_without_room_are_counted_or_refused(pool):
    long_one = Task("long", "Write f. " * 2000, ["assert f(1) == 1"], metadata={"prompts": "terse"})
    config = tiny(max_completion_length=2000)
    policy = policy_of(pool)
    with pytest.raises(ValueError, match="max_completion_length is 2000"):
        check_room(make_sampler(config, policy, pool))
    config = tiny(max_completion_length=32)
    with EnvPool(lambda: CodeFeedbackEnv([*TASKS, long_one]), 1) as envs:
        assert check_room(make_sampler(config, policy, envs)) == 1


def test_closing_drops_what_is_queued(sandbox):
    class Slow(CodeFeedbackEnv):
        steps = 0

        def step(self, action):
            Slow.steps += 1
            raise KeyError("broken")

    with EnvPool(lambda: Slow(TASKS, sandbox=sandbox), 1) as envs:
        start = envs.start("t0")
        verdicts = [envs.judge(start, "x") for _ in range(500)]
        with pytest.raises(KeyError):
            verdicts[0].result()
    assert Slow.steps < 500


def judged(reward, **info):
    return Node(reward, completion_ids=(1, 2), info={"code": "c", "results": [], **info})


def test_figures_of_trees():
    told = [{"status": "passed"}, {"status": "failed"}]
    first = Group([judged(0.5, results=told, hidden_pass_rate=0.25), judged(1.0)], (1,))
    first.nodes[0].refinements = Group([judged(1.0), judged(None)], (1,), turn=2)
    second = Group([judged(0.0), judged(0.0)], (1,))
    empty = Group([], (1,))
    roots = [first, second, empty]
    for root in roots:
        murphy_mars((2, 2)).grade(root)
    found = metrics.rollout_metrics(Rollout(["a", "b", "c"], roots, num_generations=6))
    # First attempts .5, 1, 0, 0; refinements with a verdict: 1. Best per tree: 1 and 0.
    assert found["reward/turn_1"] == pytest.approx(1.5 / 4)
    assert found["reward/turn_2"] == 1.0
    assert found["reward/best"] == 0.5
    assert (found["reward/visible"], found["reward/hidden"]) == (0.5, 0.25)
    assert (found["num_problems"], found["num_groups"], found["num_trained_groups"]) == (3, 3, 3)
    # Credits 1, 1 in the first, one alone in the second, 0, 0 in the third.
    assert found["num_zero_signal_groups"] == 3
    # Only the second problem's programs ran without any visible result.
    assert found["num_untold_problems"] == 1


def test_pruned_groups_are_not_groups_without_signal():
    from murphy_agents.prune import inter_group

    root = tree([(0.0, [1.0, 0.0]), (0.25, [0.5, 0.0]), (0.5, [1.0, 0.5])])
    murphy_mars((3, 2), inter_group(1, dropped_pays="as_sampled")).grade(root)
    found = metrics.rollout_metrics(Rollout(["a"], [root]))
    assert (found["num_groups"], found["num_trained_groups"]) == (4, 2)
    assert found["num_zero_signal_groups"] == 0
    assert found["num_pruned"] == 4


def test_a_nucleus_beside_a_correction_is_warned_of(pool):
    config = tiny(top_p=0.9, importance_sampling="token_truncate")
    with pytest.warns(UserWarning, match=r"about 0.9 at every token"):
        make_sampler(config, policy_of(pool), pool)


def test_stop_texts_and_schedule_reach_the_sampler(pool):
    sampler = make_sampler(tiny(stop=["</output>"], schedule="level"), policy_of(pool), pool)
    assert sampler.params.stop == ("</output>",)
    assert sampler.schedule == "level"
