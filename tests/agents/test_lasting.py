"""An engine that outlives its generator: what is asked again, what is not, and when it gives up."""

import logging
from dataclasses import dataclass, replace

import pytest
from models import small_model, tokenizer

from murphy_agents.codec import CharCodec, ChatCodec
from murphy_agents.engines.lasting import LastingEngine
from murphy_agents.engines.protocol import EngineDiedError, Request, SamplingParams, Weights
from murphy_agents.engines.scripted import ScriptedEngine
from murphy_agents.engines.transformers import TransformersEngine
from murphy_agents.lease import EnvPool
from murphy_agents.sampler import Sampler
from murphy_agents.tree import walk
from murphy_env import CodeFeedbackEnv, Task

PARAMS = SamplingParams(max_tokens=20)
WEIGHTS = Weights(7, lambda: (), lambda folder: None)


class Mortal:
    """An engine that dies at its n-th call of a kind; from then on every call says so."""

    def __init__(self, engine, **dies_at):
        self._engine = engine
        self._dies_at = dies_at
        self._dead = False
        self.asked = []
        self.given = set()
        self.calls = {"submit": 0, "poll": 0, "sync": 0}
        self.closed = 0
        self.context_length, self.stats = engine.context_length, engine.stats

    @property
    def version(self):
        return self._engine.version

    def _call(self, name):
        self.calls[name] += 1
        self._dead = self._dead or self.calls[name] == self._dies_at.get(name)
        if self._dead:
            raise EngineDiedError(f"died at {name} {self.calls[name]}")

    def abort(self):
        self._engine.abort()

    def submit(self, request):
        self._call("submit")
        self.asked.append((request.tag, request.seeds))
        self._engine.submit(request)

    def poll(self, timeout=None):
        self._call("poll")
        done = self._engine.poll(timeout)
        seeds = dict(self.asked)
        self.given |= {(d.tag, seeds[d.tag][d.index]) for d in done}
        return done

    def sync(self, weights):
        self._call("sync")
        self._engine.sync(weights)

    def close(self):
        self.closed += 1
        self._engine.close()


@dataclass
class Line:
    """A line of engines, made as they are needed; each death is planned."""

    make: object
    deaths: list
    restore: object = lambda engine: None

    def __post_init__(self):
        self.lives = []
        self.restored = []

    def lasting(self, max_restarts=3):
        return LastingEngine(self._next, self._restore, max_restarts)

    def _next(self):
        plan = self.deaths[len(self.lives)] if len(self.lives) < len(self.deaths) else {}
        self.lives.append(Mortal(self.make(), **plan))
        return self.lives[-1]

    def _restore(self, engine):
        self.restored.append(engine)
        self.restore(engine)


def scripted():
    """Says the seed, one completion a poll: what comes back shows which sample it was."""
    codec = CharCodec()
    return ScriptedEngine(lambda request: [f"seed {s}" for s in request.seeds], codec, 500, None, 1)


def drain(engine):
    done = []
    while arrived := engine.poll():
        done += arrived
    return done


def told(completions):
    return sorted((done.tag, done.index, done.text) for done in completions)


REQUESTS = [Request((1, 2), (10, 11, 12), PARAMS, "a"), Request((3,), (20, 21), PARAMS, "b")]
EVERYTHING = [("a", 0, "seed 10"), ("a", 1, "seed 11"), ("a", 2, "seed 12"),
              ("b", 0, "seed 20"), ("b", 1, "seed 21")]  # fmt: skip


def test_only_what_was_lost_is_asked_again():
    line = Line(scripted, [{"poll": 3}])
    engine = line.lasting()
    for request in REQUESTS:
        engine.submit(request)
    # Two polls gave a's first two; the third died.
    assert told(drain(engine)) == EVERYTHING
    assert line.lives[0].asked == [("a", (10, 11, 12)), ("b", (20, 21))]
    assert line.lives[1].asked == [("a", (12,)), ("b", (20, 21))]
    assert line.restored == line.lives[1:]
    assert (line.lives[0].closed, line.lives[1].closed) == (1, 0)
    assert engine.deaths == ["died at poll 3"]


def test_a_request_that_is_whole_is_not_asked_again():
    line = Line(scripted, [{"poll": 5}])
    engine = line.lasting()
    for request in REQUESTS:
        engine.submit(request)
    # Four polls: a's three and b's first.
    assert told(drain(engine)) == EVERYTHING
    assert line.lives[1].asked == [("b", (21,))]


def test_indices_are_right_after_several_deaths():
    # The second life gives one more and dies, the third dies before it gives any.
    line = Line(scripted, [{"poll": 2}, {"poll": 2}, {"poll": 1}])
    engine = line.lasting()
    engine.submit(REQUESTS[0])
    engine.submit(REQUESTS[1])
    assert told(drain(engine)) == EVERYTHING
    assert [life.asked[0] for life in line.lives] == [
        ("a", (10, 11, 12)), ("a", (11, 12)), ("a", (12,)), ("a", (12,))
    ]  # fmt: skip
    assert len(engine.deaths) == 3


def test_death_while_submitting():
    line = Line(scripted, [{"submit": 2}])
    engine = line.lasting()
    for request in REQUESTS:
        engine.submit(request)
    assert line.lives[1].asked == [("a", (10, 11, 12)), ("b", (20, 21))]
    assert told(drain(engine)) == EVERYTHING


def test_death_while_asking_again():
    line = Line(scripted, [{"poll": 1}, {"submit": 2}])
    engine = line.lasting()
    for request in REQUESTS:
        engine.submit(request)
    assert told(drain(engine)) == EVERYTHING
    assert len(line.lives) == 3
    assert line.lives[1].closed == 1


def test_death_while_syncing_ends_with_the_new_weights():
    line = Line(scripted, [{"sync": 1}])
    engine = line.lasting()
    engine.sync(WEIGHTS)
    assert engine.version == line.lives[1].version == 7
    assert line.restored == line.lives[1:]


def test_a_bad_request_is_refused_and_nothing_dies_of_it():
    line = Line(scripted, [])
    engine = line.lasting()
    engine.submit(REQUESTS[0])
    with pytest.raises(ValueError, match="in flight"):
        engine.submit(REQUESTS[0])
    with pytest.raises(ValueError, match="the context holds 500"):
        engine.submit(replace(REQUESTS[1], params=SamplingParams(max_tokens=500)))
    with pytest.raises(ValueError, match="in flight"):
        engine.sync(WEIGHTS)
    assert told(drain(engine)) == EVERYTHING[:3]
    assert engine.deaths == []


def test_nothing_is_restored_where_nothing_dies():
    line = Line(scripted, [])
    engine = line.lasting(0)
    engine.submit(REQUESTS[0])
    drain(engine)
    engine.close()
    assert line.restored == []
    assert line.lives[0].closed == 1


def test_the_limit_of_restarts_stops_with_every_cause():
    line = Line(scripted, [{"poll": 1}] * 5)
    engine = line.lasting(max_restarts=2)
    engine.submit(REQUESTS[0])
    with pytest.raises(EngineDiedError, match=r"more than 2 restarts.*died 3 times.*\(3\) died"):
        engine.poll()
    assert len(line.lives) == 3
    assert [life.closed for life in line.lives] == [1, 1, 1]
    for call in (engine.poll, lambda: engine.submit(REQUESTS[1]), lambda: engine.sync(WEIGHTS)):
        with pytest.raises(EngineDiedError, match="more than 2 restarts"):
            call()


def test_deaths_are_counted_anew_with_new_weights():
    later = replace(WEIGHTS, version=8)
    in_use = [WEIGHTS]
    line = Line(
        scripted, [{"poll": 1}, {"poll": 2}, {"poll": 1}], lambda engine: engine.sync(in_use[0])
    )
    engine = line.lasting(max_restarts=1)
    engine.sync(WEIGHTS)
    engine.submit(REQUESTS[0])
    assert engine.poll()  # one death
    engine.abort()
    in_use[0] = later
    engine.sync(later)
    engine.submit(REQUESTS[0])
    # With version 8 the first death is survived, and the second is not.
    with pytest.raises(
        EngineDiedError,
        match=r"more than 1 .*died 2 times, and 1 times before\. \(1\) died at poll 2",
    ):
        engine.poll()
    assert engine.deaths == ["died at poll 1", "died at poll 2", "died at poll 1"]


def test_a_death_in_a_sync_counts_with_its_weights_which_are_given_once():
    later = replace(WEIGHTS, version=8)
    line = Line(scripted, [{"sync": 2}, {"poll": 1}], lambda engine: engine.sync(later))
    engine = line.lasting(max_restarts=1)
    engine.sync(WEIGHTS)
    engine.sync(later)
    assert engine.version == 8
    # What restored the second had given it these weights already.
    assert line.lives[1].calls["sync"] == 1
    engine.submit(REQUESTS[0])
    with pytest.raises(EngineDiedError, match=r"died 2 times\. \(1\) died at sync 2"):
        engine.poll()


def test_weights_of_the_same_version_bring_no_more_restarts():
    line = Line(scripted, [{"poll": 1}, {"poll": 2}], lambda engine: engine.sync(WEIGHTS))
    engine = line.lasting(max_restarts=1)
    engine.sync(WEIGHTS)
    engine.submit(REQUESTS[0])
    assert len(engine.poll()) == 1
    with pytest.raises(EngineDiedError, match="more than 1 restarts"):
        drain(engine)


def test_without_restarts_the_first_death_is_the_end():
    line = Line(scripted, [{"poll": 2}])
    engine = line.lasting(max_restarts=0)
    engine.submit(REQUESTS[0])
    engine.poll()
    with pytest.raises(EngineDiedError, match=r"more than 0 restarts .*died at poll 2"):
        engine.poll()
    assert len(line.lives) == 1


def test_a_restoring_that_fails_is_the_end():
    def disprove(engine):
        raise ArithmeticError("log-probs differ by 3 nats")

    line = Line(scripted, [{"poll": 1}], disprove)
    engine = line.lasting()
    engine.submit(REQUESTS[0])
    with pytest.raises(EngineDiedError, match=r"differ by 3 nats.*\(1\) died at poll 1") as caught:
        engine.poll()
    assert isinstance(caught.value.__cause__, ArithmeticError)
    # The one that failed was never asked for anything, and is closed.
    assert line.lives[1].asked == []
    assert line.lives[1].closed == 1


def test_a_death_while_restoring_counts_as_one_more():
    line = Line(scripted, [{"poll": 1}, {"sync": 1}], lambda engine: engine.sync(WEIGHTS))
    engine = line.lasting(max_restarts=2)
    engine.submit(REQUESTS[0])
    assert told(drain(engine)) == EVERYTHING[:3]
    assert engine.deaths == ["died at poll 1", "died at sync 1"]
    assert line.lives[1].closed == 1


def test_a_maker_that_fails_is_the_end():
    line = Line(scripted, [{"poll": 1}])
    made = []

    def make():
        if made:
            raise OSError("no such device")
        made.append(line._next())
        return made[0]

    engine = LastingEngine(make, lambda engine: None)
    engine.submit(REQUESTS[0])
    with pytest.raises(EngineDiedError, match="no such device"):
        engine.poll()


def test_an_engine_left_with_older_weights_is_refused():
    line = Line(scripted, [{"poll": 1}])
    engine = line.lasting()
    engine.sync(WEIGHTS)
    engine.submit(REQUESTS[0])
    with pytest.raises(EngineDiedError, match="left with version 0 of the weights, 7 is in use"):
        engine.poll()


def test_work_of_all_lives_is_counted():
    line = Line(scripted, [{"poll": 3}])
    engine = line.lasting()
    stats = engine.stats
    engine.submit(REQUESTS[0])
    drain(engine)
    # Three completions of 7 letters and the end token; the script counts prompts as they are
    # asked: 3 of 2 ids, and 1 again.
    assert stats is engine.stats
    assert stats.generated_tokens == 3 * 8
    assert stats.prompt_tokens == 3 * 2 + 2


def test_deaths_are_logged(caplog):
    line = Line(scripted, [{"poll": 1}])
    engine = line.lasting()
    engine.submit(REQUESTS[0])
    with caplog.at_level(logging.WARNING, "murphy_agents"):
        drain(engine)
    assert "died at poll 1" in caplog.text


def test_a_dead_engine_that_cannot_be_closed_is_told_of(caplog):
    line = Line(scripted, [{"poll": 1}])
    engine = line.lasting()
    engine.submit(REQUESTS[0])

    def fail():
        raise OSError("the pipe is broken")

    line.lives[0].close = fail
    assert told(drain(engine)) == EVERYTHING[:3]
    assert "could not be closed" in caplog.text
    assert "the pipe is broken" in caplog.text


TASKS = [Task(f"t{i}", f"Write f, {i}.", ["assert f(1) == 1"]) for i in (1, 2)]


@pytest.fixture
def grow(sandbox):
    def grow(engine, codec, schedule="eager", max_tokens=9):
        def make_env():
            return CodeFeedbackEnv(TASKS, 2, sandbox=sandbox)

        with EnvPool(make_env, 3) as envs:
            sampler = Sampler(engine, codec, envs, SamplingParams(max_tokens), schedule=schedule)
            counts = {1: 3, 2: 2}
            return sampler.grow(("t1", "t2"), lambda node, turn: counts.get(turn, 0), (0, 1))

    return grow


def drawn(rollout):
    """Every node's draw, verdict and place."""
    return [
        [(node.completion_ids, node.logprobs, node.reward, node.info) for node in walk(root)]
        for root in rollout.roots
    ]


@pytest.mark.parametrize("schedule", ["eager", "level"])
def test_a_tree_grown_through_deaths_is_the_tree(grow, schedule):
    codec = ChatCodec(tokenizer())
    model = small_model()

    def make():
        # Few rows at a time: half of a group is back when the other half is lost.
        return TransformersEngine(model, codec, max_batch_rows=4)

    plain = Line(make, [])
    wanted = grow(plain.lasting(), codec, schedule)
    line = Line(make, [{"poll": 2}, {"poll": 2}, {"submit": 3}])
    engine = line.lasting()
    grown = grow(engine, codec, schedule)
    assert len(engine.deaths) == 3
    for number, life in enumerate(line.lives):
        asked = {(tag, seed) for tag, seeds in life.asked for seed in seeds}
        assert not asked & {sample for earlier in line.lives[:number] for sample in earlier.given}
    # 2 problems of 3 attempts, each refined twice: nothing is lost and nothing comes twice.
    assert grown.num_generations == 2 * (3 + 3 * 2)
    assert [[ids for ids, *_ in tree] for tree in drawn(grown)] == [
        [ids for ids, *_ in tree] for tree in drawn(wanted)
    ]
    for tree, other in zip(drawn(grown), drawn(wanted), strict=True):
        for (_, logprobs, reward, _), (_, wanted_logprobs, wanted_reward, _) in zip(
            tree, other, strict=True
        ):
            assert logprobs == pytest.approx(wanted_logprobs, abs=1e-9)
            assert reward == wanted_reward


def test_a_rollout_stops_where_restarts_are_spent(grow):
    codec = ChatCodec(tokenizer())
    model = small_model()
    line = Line(lambda: TransformersEngine(model, codec), [{"poll": 2}])
    with pytest.raises(EngineDiedError, match="died at poll 2"):
        grow(line.lasting(max_restarts=0), codec)
