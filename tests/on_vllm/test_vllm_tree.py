"""Trees grown by the engine on vLLM over a real environment, and training steps between them."""

import gymnasium as gym
import pytest
from small_policies import CANARY, CODEC, TOKENIZER, make_engine, saved_model

from murphy_agents.algorithms import murphy_mars
from murphy_agents.config import TrainConfig
from murphy_agents.engines.protocol import SamplingParams
from murphy_agents.engines.weights import weights_of
from murphy_agents.learner import Learner
from murphy_agents.lease import EnvPool
from murphy_agents.policy import LoraSettings, Policy
from murphy_agents.sampler import Sampler
from murphy_agents.tree import groups, walk
from murphy_env import CodeFeedbackEnv, Task

TASKS = [Task(f"t{i}", f"Write f, {i}.", ["assert f(1) == 1"]) for i in range(3)]
PARAMS = SamplingParams(max_tokens=16)
ALGORITHM = murphy_mars(fanout=(4, 4))


class Graded(gym.Wrapper):
    """Pays by the number of letters, since no random model writes a program."""

    def step(self, action):
        prompt, _, terminated, truncated, info = super().step(action)
        return prompt, sum(map(str.isalpha, action)) % 4 / 4, terminated, truncated, info


@pytest.fixture(scope="module")
def envs(sandbox):
    def make_env():
        return Graded(CodeFeedbackEnv(TASKS, 2, sandbox=sandbox, prompts="terse"))

    with EnvPool(make_env, 3) as pool:
        yield pool


@pytest.fixture(scope="module", params=["whole", "adapters"])
def beside(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    model = saved_model(folder)
    model.name_or_path = str(folder)
    lora = LoraSettings(r=4, alpha=8) if request.param == "adapters" else None
    policy = Policy.wrap(model, TOKENIZER, lora=lora, beta=0.0)
    engine = make_engine(folder, max_lora_rank=lora and lora.r)
    yield policy, engine
    engine.close()


def ids_of(rollout):
    return [[n.completion_ids for n in walk(root)] for root in rollout.roots]


def test_trees_are_whole_and_their_prompts_are_shared(beside, envs):
    _, engine = beside
    sampler = Sampler(engine, CODEC, envs, PARAMS, schedule="eager")
    rollout = sampler.grow([t.task_id for t in TASKS], ALGORITHM.fanout, seed=(0, 1))
    # 3 problems of 4 attempts, none solved, each with 4 refinements: 3·(4 + 16)
    assert rollout.num_generations == 60
    assert sum(1 for root in rollout.roots for _ in groups(root)) == 3 * 5
    # of four samples of a prompt, three find its whole blocks
    assert rollout.prefilled_tokens < 0.5 * rollout.prompt_tokens


def test_level_trees_repeat(beside, envs):
    _, engine = beside
    sampler = Sampler(engine, CODEC, envs, PARAMS, schedule="level")
    twice = [sampler.grow(["t0", "t1"], ALGORITHM.fanout, seed=(0, 2)) for _ in range(2)]
    assert ids_of(twice[0]) == ids_of(twice[1])


def test_steps_of_training_are_on_policy(beside, envs, tmp_path):
    policy, engine = beside
    sampler = Sampler(engine, CODEC, envs, PARAMS, schedule="eager")
    config = TrainConfig(
        model="tiny", output_dir=str(tmp_path), beta=0.0, learning_rate=1e-2, temperature=1.0
    )
    learner = Learner.start(config, policy, num_tasks=100)
    for step in (1, 2, 3):
        rollout = sampler.grow([t.task_id for t in TASKS], ALGORITHM.fanout, seed=(0, step))
        for root in rollout.roots:
            ALGORITHM.grade(root)
        figures = learner.learn(rollout.roots)
        assert figures["grad_norm"] > 0
        # mean distance of the engine's log-probs from the trainer's own
        assert figures["sampler_gap"] < 1e-5
        with pytest.raises(Exception, match="nats from the trainer's"):
            CANARY.check(engine, policy.model)
        engine.sync(weights_of(policy, engine.version + 1))
        assert CANARY.check(engine, policy.model) < 1e-5
