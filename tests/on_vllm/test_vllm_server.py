"""The engine on a vLLM server: what is drawn, how weights reach it, and what its death costs."""

import os
import signal
import time
from dataclasses import replace

import pytest
import torch
from small_policies import (
    CANARY,
    CODEC,
    END,
    LONG,
    SHORT,
    TOKENIZER,
    drained,
    farthest,
    move,
    saved_model,
)

from murphy_agents.canary import SyncError
from murphy_agents.engines import vllm_claim
from murphy_agents.engines.lasting import LastingEngine
from murphy_agents.engines.protocol import EngineDiedError, Request, SamplingParams, Weights
from murphy_agents.engines.vllm_process import ServerStartError, VllmServer, _has_living
from murphy_agents.engines.vllm_server import VllmServerEngine
from murphy_agents.engines.weights import weights_of
from murphy_agents.lease import EnvPool
from murphy_agents.policy import LoraSettings, Policy
from murphy_agents.sampler import Sampler
from murphy_agents.tree import walk
from murphy_agents.update import Sample, trained_logprobs
from murphy_env import CodeFeedbackEnv, Task

SMALL_CACHE = {"VLLM_CPU_KVCACHE_SPACE": "1"}
EXACT = 1e-5


def start(folder, log, **options):
    return VllmServer.start(
        folder, dtype="float32", context_length=1024, log=log, environment=SMALL_CACHE, **options
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of a tied model."""
    path = tmp_path_factory.mktemp("served")
    saved_model(path / "model")
    return path


@pytest.fixture(scope="module")
def engine(folder):
    server = start(folder / "model", folder / "log", max_lora_rank=4)
    # Few at a time: some are back while others wait.
    made = VllmServerEngine(server.url, CODEC, folder / "sync", server=server, max_in_flight=6)
    yield made
    made.close()
    assert not _has_living(server.pid)


@pytest.fixture
def policy(engine, folder):
    """As the server has it when a test begins."""
    made = Policy.load(folder / "model", beta=0.0)
    if engine.version:
        engine.sync(weights_of(made, engine.version + 1))
    assert CANARY.check(engine, made.model) < EXACT
    return made


def files(folder):
    return [path for path in (folder / "sync").rglob("*") if path.is_file()]


@pytest.mark.parametrize("temperature", [0.6, 1.0])
def test_log_probs_are_the_trainers(engine, policy, temperature):
    assert farthest(engine, policy.model, temperature) < EXACT
    assert engine.context_length == 1024


def test_a_sample_is_its_own(engine, policy):
    params = SamplingParams(20, temperature=0.6)
    requests = [Request(LONG, (1, 2, 2**63 - 1), params, "a"), Request(SHORT, (1, 5), params, "b")]
    together = drained(engine, requests)
    for (tag, index), done in together.items():
        request = next(r for r in requests if r.tag == tag)
        alone = drained(engine, [replace(request, seeds=request.seeds[index : index + 1])])
        assert alone[tag, 0].ids == done.ids
    assert len({done.ids for done in together.values()}) == 5


def test_a_prompt_is_read_once_for_its_samples(engine, policy):
    before = replace(engine.stats)
    found = drained(engine, [Request(LONG, tuple(range(8)), SamplingParams(8), "a")])
    asked = engine.stats.prompt_tokens - before.prompt_tokens
    read = engine.stats.prefilled_tokens - before.prefilled_tokens
    # 8 prompts of 100 ids, of which 3 blocks of 32 are kept once they were read.
    assert asked == 800
    assert 8 * 4 <= read <= 100 + 7 * 4 + 3 * 96
    generated = engine.stats.generated_tokens - before.generated_tokens
    assert generated == sum(len(done.ids) for done in found.values())
    assert engine.stats.seconds > before.seconds


def test_ends(engine, policy):
    params = SamplingParams(200, temperature=1.0)
    found = drained(engine, [Request(SHORT, tuple(range(12)), params, "a")])
    reasons = {done.finish_reason for done in found.values()}
    assert "stop" in reasons
    for done in found.values():
        assert (done.ids[-1] == END) == (done.finish_reason == "stop")
        assert END not in done.ids[:-1]
        assert len(done.ids) == len(done.logprobs) <= 200
        assert done.text == CODEC.decode(done.ids)


def test_a_stop_text_is_part_of_the_completion(engine, policy):
    (free,) = drained(engine, [Request(SHORT, (3,), SamplingParams(12), "a")]).values()
    stop = next(t for i in free.ids[2:] if (t := TOKENIZER.decode([i])).isascii() and t.strip())
    params = SamplingParams(12, stop=(stop,))
    (cut,) = drained(engine, [Request(SHORT, (3,), params, "a")]).values()
    assert cut.finish_reason == "stop"
    assert cut.ids == free.ids[: len(cut.ids)]
    assert stop in cut.text
    assert stop not in CODEC.decode(cut.ids[:-1])


def told_by(engine, metric):
    """The sum of a metric of the server's own engine."""
    lines = engine._client.ask("GET", "/metrics").body.splitlines()
    named = [line for line in lines if line.startswith(f"vllm:{metric}{{")]
    assert named
    return sum(float(line.split()[-1]) for line in named)


def test_what_is_given_up_is_drawn_no_further(engine, policy):
    num_ended = told_by(engine, "request_success_total")
    engine.submit(Request(SHORT, tuple(range(30)), SamplingParams(900, temperature=1.0), "a"))
    end = time.monotonic() + 30
    while told_by(engine, "num_requests_running") < 2:
        assert time.monotonic() < end
    engine.abort()
    # Its loop looks up between steps, and writes its metrics down now and then.
    while told_by(engine, "num_requests_running"):
        assert time.monotonic() < end
        time.sleep(0.1)
    # Of the six that it was asked for at once; those broken off are not counted among the ended.
    assert told_by(engine, "request_success_total") < num_ended + 6
    assert engine.poll(0.5) == []
    drained(engine, [Request(SHORT, (1,), SamplingParams(2), "b")])


def test_what_the_server_refuses_harms_nothing_else(engine, policy):
    params = SamplingParams(8)
    engine.submit(Request((3, 99999), (1, 2), params, "bad"))
    engine.submit(Request(SHORT, (1, 2, 3), params, "good"))
    done, refused = [], []
    while engine._asked or engine._faults:
        try:
            done += engine.poll()
        except ValueError as error:
            refused.append(str(error))
    assert sorted(d.index for d in done) == [0, 1, 2]
    assert len(refused) == 1
    assert "'bad'" in refused[0]
    assert "vocabulary" in refused[0]
    assert engine.poll() == []


def test_a_request_that_does_not_fit_is_refused_at_once(engine, policy):
    with pytest.raises(ValueError, match="the context holds 1024"):
        engine.submit(Request(LONG, (1,), SamplingParams(1000), "long"))
    with pytest.raises(ValueError, match="seeds of 63"):
        engine.submit(Request(SHORT, (2**63,), SamplingParams(5), "seed"))


def test_whole_weights_reach_the_server(engine, policy, folder):
    for version in (11, 12):
        move(policy.model.parameters(), seed=version)
        with pytest.raises(SyncError):  # a sync that was forgotten
            CANARY.check(engine, policy.model)
        engine.sync(weights_of(policy, version))
        assert engine.version == version
        assert CANARY.check(engine, policy.model) < EXACT
    assert farthest(engine, policy.model, 0.6) < EXACT
    assert files(folder) == []


def test_the_canary_finds_an_output_layer_that_stayed_as_it_was(engine, policy, folder):
    """What vLLM's own reload does to tied embeddings on a CPU."""
    move(policy.model.parameters(), seed=1)
    weights_of(policy, 1).write(folder / "by_hand")
    order = {"method": "reload_weights", "kwargs": {"weights_path": str(folder / "by_hand")}}
    assert engine._client.ask("POST", "/collective_rpc", order).status == 200
    assert engine._client.ask("POST", "/reset_prefix_cache").body == {"success": True}
    with pytest.raises(SyncError):
        CANARY.check(engine, policy.model)


def test_the_canary_finds_a_cache_that_was_not_emptied(engine, policy, folder):
    CANARY.check(engine, policy.model)
    move(policy.model.parameters(), seed=2)
    weights_of(policy, 1).write(folder / "uncached")
    claim = engine._claim
    args = [str(folder / "uncached"), claim.owner, claim.version]
    order = {"method": "murphy_load", "args": args}
    assert engine._client.ask("POST", "/collective_rpc", order).status == 200
    with pytest.raises(SyncError):
        CANARY.check(engine, policy.model)


def test_weights_that_the_server_does_not_see_change_nothing(engine, policy, folder):
    version = engine.version
    with pytest.raises(ValueError, match=r"sees no weights in .*sync"):
        engine.sync(Weights(99, lambda: (), lambda folder: None))
    assert engine.version == version
    assert CANARY.check(engine, policy.model) < EXACT
    engine.submit(Request(SHORT, (1,), SamplingParams(4), "a"))
    with pytest.raises(ValueError, match="1 requests are in flight"):
        engine.sync(weights_of(policy, 99))
    while engine.poll():
        pass


def test_another_run_is_refused_and_harms_nothing(engine, policy, folder, monkeypatch):
    monkeypatch.setattr(vllm_claim, "LEASE_S", 0.0)  # it looks for ten seconds, not seventy
    with pytest.raises(ValueError, match="held by another run"):
        VllmServerEngine(engine._client.url, CODEC, folder / "sync")
    args = [str(folder / "model"), "another", 5]
    order = {"method": "murphy_load", "args": args}
    (told,) = engine._client.ask("POST", "/collective_rpc", order).body["results"]
    assert told == {"foreign": engine._claim.owner}
    assert CANARY.check(engine, policy.model) < EXACT


def test_adapters_reach_the_server(engine, policy, folder):
    learner = Policy.load(folder / "model", lora=LoraSettings(r=4, alpha=8), beta=0.0)
    for version in (21, 22):
        move(learner.trainable_parameters(), seed=version, size=0.1)
        with pytest.raises(SyncError):
            CANARY.check(engine, learner.model)
        engine.sync(weights_of(learner, version))
        assert CANARY.check(engine, learner.model) < EXACT
    assert farthest(engine, learner.model, 0.6) < EXACT
    # The newest alone is known there, and is on the disk.
    models = engine._client.ask("GET", "/v1/models").body["data"]
    (adapter,) = [model["id"] for model in models if model["parent"] is not None]
    assert adapter.startswith("murphy-22-")
    assert {path.parent.name for path in files(folder)} == {adapter}


def test_adapters_that_the_server_refuses_change_nothing(engine, policy, folder):
    learner = Policy.load(folder / "model", lora=LoraSettings(r=16, alpha=8), beta=0.0)
    with pytest.raises(ValueError, match=r"does not take the adapters .*rank"):
        engine.sync(weights_of(learner, 31))
    assert CANARY.check(engine, policy.model) < EXACT


def test_a_server_that_does_not_start_says_why(tmp_path):
    with pytest.raises(ServerStartError, match=r"did not start.*exit code 1(.|\n)*encodings"):
        VllmServer.start(
            tmp_path,
            dtype="float32",
            log=tmp_path / "log",
            environment={"PYTHONHOME": str(tmp_path / "nothing_here")},
        )


def test_weights_that_are_no_numbers_are_told(folder, tmp_path):
    """On a server of its own, which tells NaN with good weights too from then on."""
    policy = Policy.load(folder / "model", beta=0.0)
    with torch.no_grad():
        next(policy.model.parameters()).fill_(float("nan"))
    server = start(folder / "model", tmp_path / "log")
    engine = VllmServerEngine(server.url, CODEC, tmp_path / "sync", server=server)
    try:
        engine.sync(weights_of(policy, 1))
        engine.submit(Request(SHORT, (1, 2), SamplingParams(4), "a"))
        for _ in range(2):
            with pytest.raises(FloatingPointError, match="of request 'a'"):
                engine.poll()
        assert engine.poll() == []
    finally:
        engine.close()
    assert not (tmp_path / "sync").exists()


TASKS = [Task(f"t{i}", f"Write f, {i}.", ["assert f(1) == 1"]) for i in (1, 2)]
FANOUT = {1: 4, 2: 4}
NUM_NODES = 2 * (4 + 4 * 4)


class Killed:
    """A server engine whose server is killed, once it has given so many completions."""

    def __init__(self, engine, pid, after):
        self._engine, self._pid, self._left = engine, pid, after
        self.asked, self.given = {}, set()
        self.context_length, self.stats = engine.context_length, engine.stats
        self.sync, self.close = engine.sync, engine.close

    @property
    def version(self):
        return self._engine.version

    def kill_after(self, number):
        self._left = number

    def submit(self, request):
        self._engine.submit(request)
        self.asked[request.tag] = request.seeds

    def poll(self, timeout=None):
        done = self._engine.poll(timeout)
        self.given |= {self.asked[d.tag][d.index] for d in done}
        if self._left is not None and (left := self._left - len(done)) <= 0:
            self._left = None
            os.kill(self._pid, signal.SIGKILL)
        elif self._left is not None:
            self._left = left
        return done


@pytest.fixture
def grow():
    with EnvPool(lambda: CodeFeedbackEnv(TASKS, 2, prompts="terse"), 2) as envs:

        def grow(engine, seed):
            sampler = Sampler(engine, CODEC, envs, SamplingParams(24, 0.9))
            return sampler.grow(("t1", "t2"), lambda node, turn: FANOUT.get(turn, 0), seed)

        yield grow


def drawn(rollout):
    return [node.completion_ids for root in rollout.roots for node in walk(root)]


def samples(group):
    """Every node of a tree as the trainer sees it, and the log-probs that the engine told."""
    for node in group.nodes:
        yield Sample(tuple(group.prompt_ids), tuple(node.completion_ids), 0.0, 0.0), node.logprobs
        if node.refinements is not None:
            yield from samples(node.refinements)


def test_a_tree_outlives_its_server(engine, policy, folder, tmp_path, grow):
    """Ends the server of this module, so it is the last test here."""
    move(policy.model.parameters(), seed=41)
    version = engine.version + 1
    servers, lives = [engine._server], [Killed(engine, engine._server.pid, None)]

    def make():
        server = start(folder / "model", tmp_path / "log")
        made = VllmServerEngine(
            server.url, CODEC, tmp_path / "sync", server=server, max_in_flight=6
        )
        servers.append(server)
        lives.append(Killed(made, server.pid, None))
        return lives[-1]

    def restore(life):
        life.sync(weights_of(policy, version))
        assert CANARY.check(life, policy.model) < EXACT
        life.given.clear()
        life.asked.clear()

    first = iter(lives[:1])
    lasting = LastingEngine(lambda: next(first, None) or make(), restore, max_restarts=1)
    lasting.sync(weights_of(policy, version))
    undisturbed = grow(lasting, (0, 1))
    lives[0].given.clear()
    # All 8 first attempts come back, and 4 of their 32 refinements.
    lives[0].kill_after(12)
    grown = grow(lasting, (0, 1))

    assert len(lasting.deaths) == 1
    assert f"(pid {servers[0].pid}) ended with exit code -9 (SIGKILL)" in lasting.deaths[0]
    assert not _has_living(servers[0].pid)
    assert grown.num_generations == undisturbed.num_generations == NUM_NODES
    # What was there was not drawn again, and nothing is missing.
    assert len(lives[0].given) >= 12
    assert not lives[0].given & lives[1].given
    num_lost = NUM_NODES - len(lives[0].given)
    assert sum(map(len, lives[1].asked.values())) == len(lives[1].given) == num_lost
    assert num_lost > 0
    same = [a == b for a, b in zip(drawn(undisturbed), drawn(grown), strict=True)]
    assert sum(same) >= 0.95 * NUM_NODES
    nodes = [pair for root in grown.roots for pair in samples(root)]
    with torch.no_grad():
        trained_N = trained_logprobs(policy.model, [sample for sample, _ in nodes], 0.9)
    told_N = torch.tensor([p for _, logprobs in nodes for p in logprobs])
    assert float((told_N - trained_N).abs().max()) < EXACT

    # One restart was allowed; the next death stops the rollout.
    lives[1].kill_after(3)
    with pytest.raises(EngineDiedError, match=r"more than 1 restarts(.|\n)*SIGKILL") as caught:
        grow(lasting, (0, 2))
    assert str(servers[0].pid) in str(caught.value)
    lasting.close()
    assert len(servers) == 2
    assert not _has_living(servers[1].pid)
