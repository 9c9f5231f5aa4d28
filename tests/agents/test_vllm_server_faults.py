"""What the engine on a vLLM server makes of faults, told by a stand-in: a real one has them not.

`tests/on_vllm/test_vllm_server.py` tests the rest with vLLM itself.
"""

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
import torch

from murphy_agents import generation
from murphy_agents.codec import CharCodec
from murphy_agents.config import TrainConfig
from murphy_agents.engines import vllm_claim, vllm_http, vllm_server, vllm_server_weights
from murphy_agents.engines.protocol import EngineDiedError, Request, SamplingParams, Weights
from murphy_agents.engines.vllm_process import VllmServer
from murphy_agents.engines.vllm_server import VllmServerEngine
from murphy_agents.engines.vllm_worker import SyncExtension

CODEC = CharCodec()
MODELS = {"data": [{"id": "base", "parent": None, "max_model_len": 100}]}


def sampled(ids=(5, 6), logprobs=(-1.0, -2.0), reason="length", cached=None):
    details = None if cached is None else {"cached_tokens": cached}
    choice = {
        "finish_reason": reason,
        "token_ids": list(ids),
        "logprobs": {"token_logprobs": list(logprobs)},
    }
    return 200, {"choices": [choice], "usage": {"prompt_tokens_details": details}}


class Worker(SyncExtension):
    """What the extension asks of vLLM's worker; the rest is the extension itself."""

    def __init__(self):
        self.model_runner, self.loaded = self, []

    def reload_weights(self, weights_path):
        self.loaded.append(weights_path)

    def get_model(self):
        return torch.nn.Linear(1, 1, device="meta")


def rpc(*workers):
    """As vLLM's server answers `/collective_rpc`."""

    def answer(order):
        told = [getattr(worker, order["method"])(*order["args"]) for worker in workers]
        return 200, {"results": told}

    return answer


def loading(says, worker):
    """A server whose workers say this of a load, and the truth of anything else."""
    return lambda order: says if order["method"] == "murphy_load" else rpc(worker)(order)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.do_POST()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = json.loads(body) if body else None
        self.server.asked.append((self.path, request))
        answer = self.server.says.get(self.path, (404, {"detail": "Not Found"}))
        if callable(answer):
            answer = answer(request)
        if answer is None:
            self.close_connection = True
            return
        said = answer[1] if isinstance(answer[1], bytes) else json.dumps(answer[1]).encode()
        self.server.headers.append(dict(self.headers))
        self.send_response(answer[0])
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.asked, made.headers, made.worker = [], [], Worker()
    made.handle_error = lambda *args: None  # an engine that is closed breaks off
    made.says = {
        "/health": (200, ""),
        "/v1/models": (200, MODELS),
        "/v1/completions": sampled(),
        "/reset_prefix_cache": (200, {"success": True}),
        "/v1/unload_lora_adapter": (200, "done"),
        "/collective_rpc": rpc(made.worker),
    }
    thread = threading.Thread(target=made.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def policy_of_a_name():
    """What is read of a policy to start a server for it: where its model lies."""
    return SimpleNamespace(has_adapters=False, model=SimpleNamespace(name_or_path="there"))


@pytest.fixture
def connect(server, tmp_path):
    engines = []

    def connect(**options):
        url = f"http://127.0.0.1:{server.server_port}"
        options = {"connect_within_s": 0.0, **options}
        engines.append(VllmServerEngine(url, CODEC, tmp_path / "sync", **options))
        return engines[-1]

    yield connect
    for engine in engines:
        engine.close()


def ask(engine, tag="a", seeds=(1,)):
    engine.submit(Request((1, 2, 3), seeds, SamplingParams(9, 0.5), tag))


def last_drawn(server):
    return [body for path, body in server.asked if path == "/v1/completions"][-1]


def weights(version=1, is_adapter=False):
    return Weights(
        version,
        lambda: (),
        lambda folder: (folder / "model.safetensors").write_text("w"),
        is_adapter,
    )


def test_what_is_asked_and_counted(server, connect):
    engine = connect()
    server.says["/v1/completions"] = sampled(cached=2)
    ask(engine, seeds=(7,))
    (done,) = engine.poll()
    assert (done.tag, done.index, done.ids, done.logprobs) == ("a", 0, (5, 6), (-1.0, -2.0))
    _, body = next(pair for pair in server.asked if pair[0] == "/v1/completions")
    assert body["prompt"] == [1, 2, 3]
    assert (body["seed"], body["temperature"], body["max_tokens"], body["n"]) == (7, 0.5, 9, 1)
    # Whatever the model's generation config says, nothing but ours shapes the distribution.
    assert (body["top_k"], body["min_p"], body["repetition_penalty"]) == (0, 0.0, 1.0)
    assert engine.context_length == 100
    assert (engine.stats.prompt_tokens, engine.stats.prefilled_tokens) == (3, 1)
    assert engine.poll() == []


@pytest.mark.parametrize(
    ("says", "match"),
    [
        ((500, {"error": {"message": "EngineCore gave up"}}), "500 EngineCore gave up"),
        ((502, b"<html>Bad Gateway"), "502 <html>Bad Gateway"),
        ((302, b""), "answers with 302"),
        ((200, b"<html>log in"), "completion . of request 'a' is none of vLLM's answers: .*log in"),
        ((200, {"choices": []}), "none of vLLM's answers: IndexError"),
        ((200, {"choices": [{"logprobs": None}]}), "none of vLLM's answers: KeyError: 'usage'"),
        ((200, b"[" * 100_000), r"none of vLLM's answers: .*\[\[\["),
        ((503, "away"), "503 away"),
        ((404, {"error": {"message": "no model"}}), "knows 'base' no longer: no model"),
        (sampled(reason="abort"), "ended a completion with 'abort'"),
        (lambda request: None, "/v1/completions: "),
    ],
)
def test_a_dead_server_is_told_and_stays_dead(server, connect, says, match):
    engine = connect()
    server.says["/v1/completions"] = says
    ask(engine, seeds=(1, 2))
    with pytest.raises(EngineDiedError, match=match):
        engine.poll()
    # It may come back, but with other weights.
    server.says["/v1/completions"] = sampled()
    for call in (engine.poll, lambda: ask(engine, "b"), lambda: engine.sync(weights())):
        with pytest.raises(EngineDiedError, match=match):
            call()


def test_what_was_drawn_before_the_death_is_given(server, connect):
    engine = connect(max_in_flight=1)
    server.says["/v1/completions"] = lambda r: sampled() if r["seed"] < 3 else (500, "dead")
    ask(engine, seeds=(1, 2, 3, 4))
    given = []
    while len(given) < 2:
        given += [done.index for done in engine.poll()]
    assert given == [0, 1]
    with pytest.raises(EngineDiedError, match="500 dead"):
        engine.poll()


def test_a_refusal_names_the_request_and_harms_no_other(server, connect):
    engine = connect()
    refusal = (400, {"error": {"message": "unknown id"}})
    server.says["/v1/completions"] = lambda r: refusal if r["seed"] > 5 else sampled()
    ask(engine, "bad", (6, 7))
    ask(engine, "good", (1, 2))
    given, refused = [], []
    while engine._asked or engine._faults:
        try:
            given += [(done.tag, done.index) for done in engine.poll()]
        except ValueError as error:
            refused.append(str(error))
    assert sorted(given) == [("good", 0), ("good", 1)]
    assert refused == ["the vLLM server refuses request 'bad': 400 unknown id"]
    ask(engine, "bad", (1,))
    assert len(engine.poll()) == 1


@pytest.mark.parametrize(
    ("says", "error"),
    [
        (sampled(logprobs=(-1.0, -9999.0)), FloatingPointError),  # so a server writes -inf
        (sampled(logprobs=(-1.0, None)), FloatingPointError),
        (sampled(logprobs=(-1.0, float("nan"))), FloatingPointError),
        (
            (400, {"error": {"message": "Out of range float values are not JSON compliant: nan"}}),
            FloatingPointError,
        ),
        (sampled(logprobs=(-1.0,)), RuntimeError),
        (sampled(ids=()), RuntimeError),
    ],
)
def test_a_sample_that_cannot_be_used(server, connect, says, error):
    engine = connect()
    server.says["/v1/completions"] = says
    ask(engine)
    with pytest.raises(error, match="completion 0 of request 'a'"):
        engine.poll()
    assert engine.poll() == []


def test_poll_waits_no_longer_than_told(server, connect):
    engine = connect()
    release = threading.Event()
    server.says["/v1/completions"] = lambda request: release.wait(20) and sampled()
    ask(engine)
    assert engine.poll(0.05) == []
    assert engine.poll(0) == []
    release.set()
    assert len(engine.poll()) == 1


def test_a_server_that_falls_ill_while_nothing_is_asked(server, connect, monkeypatch):
    monkeypatch.setattr(vllm_server, "HEALTH_EVERY_S", 0.02)
    engine = connect()
    server.says["/health"] = (503, "")
    end = time.monotonic() + 20
    while engine._questions.answers.empty():
        assert time.monotonic() < end
        time.sleep(0.02)
    with pytest.raises(EngineDiedError, match="is not healthy: 503"):
        ask(engine)


def test_a_sample_that_never_comes(server, connect):
    release = threading.Event()
    server.says["/v1/completions"] = lambda request: release.wait(20) and sampled()
    engine = connect(answer_within_s=0.1)
    ask(engine)
    with pytest.raises(EngineDiedError, match="timed out"):
        engine.poll()
    release.set()


def test_nothing_there_or_something_else(server, connect):
    server.says["/v1/models"] = (200, {"models": []})
    with pytest.raises(ValueError, match="does not answer as vLLM does"):
        connect()
    server.says["/health"] = (503, "starting")
    with pytest.raises(
        EngineDiedError, match=r"no healthy server .*503 starting.*worker-extension"
    ):
        connect()


def results(*told):
    return 200, {"results": list(told)}


@pytest.mark.parametrize(
    ("says", "match"),
    [
        ((500, {"error": {"message": "no attribute 'murphy_load'"}}), "--worker-extension-cls"),
        (results({"missing": "x"}, {"missing": "x"}), "sees no weights in .*same path"),
    ],
)
def test_a_server_that_cannot_take_weights_keeps_its_own(server, connect, tmp_path, says, match):
    engine = connect()
    server.says["/collective_rpc"] = loading(says, server.worker)
    with pytest.raises(ValueError, match=match):
        engine.sync(weights())
    assert engine.version == 0
    assert list((tmp_path / "sync").iterdir()) == []
    ask(engine)
    assert len(engine.poll()) == 1


@pytest.mark.parametrize(
    ("says", "match"),
    [
        ((500, {"error": {"message": "shapes differ"}}), "took weights in part: shapes differ"),
        (results({"loaded": "x"}, {"missing": "x"}), "in part: 1 of its 2 workers see"),
        (results({"loaded": "x"}, {"foreign": "y"}), "in part: 1 of its 2 workers see"),
        (results({"foreign": "y"}, {"missing": "x"}), "another run has taken it"),
        (results("loaded"), "its workers answer with 200"),
        ((200, b"<html>"), "its workers answer with 200 <html>"),
    ],
)
def test_weights_taken_in_part_are_the_end(server, connect, tmp_path, says, match):
    engine = connect()
    server.says["/collective_rpc"] = loading(says, server.worker)
    with pytest.raises(EngineDiedError, match=match):
        engine.sync(weights())
    assert list((tmp_path / "sync").iterdir()) == []
    with pytest.raises(EngineDiedError, match=match):
        ask(engine)


def test_a_cache_that_stays_is_the_end(server, connect, monkeypatch):
    monkeypatch.setattr(vllm_server_weights, "_RESET_S", 0.0)
    engine = connect()
    server.says["/reset_prefix_cache"] = (200, {"success": False})
    with pytest.raises(EngineDiedError, match="does not empty its prefix cache"):
        engine.sync(weights())


def test_each_sync_has_a_folder_of_its_own(server, connect, tmp_path):
    engine = connect()
    for version in (3, 3):
        engine.sync(weights(version))
    folders = server.worker.loaded
    assert len(set(folders)) == 2
    assert all(folder.startswith(str(tmp_path / "sync/murphy-3-")) for folder in folders)
    assert engine.version == 3


def test_adapters_are_asked_for_by_a_new_name_each_time(server, connect, tmp_path):
    engine = connect()
    server.says["/v1/load_lora_adapter"] = (200, "done")
    names = []
    for version in (1, 2):
        engine.sync(weights(version, is_adapter=True))
        ask(engine)
        engine.poll()
        names.append(last_drawn(server)["model"])
        assert [path.name for path in (tmp_path / "sync").iterdir()] == names[-1:]
    assert names[0].startswith("murphy-1-")
    assert names[1].startswith("murphy-2-")
    assert ("/v1/unload_lora_adapter", {"lora_name": names[0]}) in server.asked
    engine.close()
    assert ("/v1/unload_lora_adapter", {"lora_name": names[1]}) in server.asked
    assert not (tmp_path / "sync").exists()


def test_adapters_that_are_refused_leave_the_older_ones(server, connect, tmp_path):
    engine = connect()
    server.says["/v1/load_lora_adapter"] = (200, "done")
    engine.sync(weights(1, is_adapter=True))
    server.says["/v1/load_lora_adapter"] = (500, {"error": {"message": "rank 64 is too high"}})
    with pytest.raises(ValueError, match=r"rank 64 is too high.*--enable-lora"):
        engine.sync(weights(2, is_adapter=True))
    assert engine.version == 1
    ask(engine)
    engine.poll()
    assert last_drawn(server)["model"].startswith("murphy-1-")
    server.says["/health"] = (503, "")
    with pytest.raises(EngineDiedError, match="died while it took adapters"):
        engine.sync(weights(3, is_adapter=True))
    assert [path.name[:9] for path in (tmp_path / "sync").iterdir()] == ["murphy-1-"]


def test_a_closed_engine_says_so(server, connect):
    engine = connect()
    ask(engine)
    engine.close()
    engine.close()
    for call in (engine.poll, lambda: ask(engine, "b"), lambda: engine.sync(weights())):
        with pytest.raises(EngineDiedError, match="was closed"):
            call()


def test_a_server_that_cannot_be_claimed_is_refused_at_once(server, connect):
    for says, match in [
        ((404, {"detail": "Not Found"}), "VLLM_SERVER_DEV_MODE=1"),
        ((500, {"error": {"message": "no attribute 'murphy_claim'"}}), "--worker-extension-cls"),
    ]:
        server.says["/collective_rpc"] = says
        with pytest.raises(ValueError, match=match):
            connect()
    server.says["/collective_rpc"] = results()
    with pytest.raises(EngineDiedError, match="its workers answer with 200"):
        connect()


def test_one_server_serves_one_run(server, connect, monkeypatch):
    monkeypatch.setattr(vllm_server, "HEALTH_EVERY_S", 0.02)
    monkeypatch.setattr(vllm_claim, "_LOOK_S", 0.05)
    first = connect()
    first.sync(weights(3))
    # It is heard from every 0.02 s.
    with pytest.raises(ValueError, match=r"held by another run, .*one server serves one run"):
        connect()
    ask(first)
    assert len(first.poll()) == 1
    first.close()
    connect().sync(weights(4))
    assert server.worker._murphy_version == 4


def test_who_is_silent_loses_the_server_and_finds_it_out(server, connect, monkeypatch):
    first = connect()
    first.sync(weights(3))
    server.worker._murphy_heard -= 61.0  # a lease is 60 s
    second = connect()
    for call in (lambda: ask(first), lambda: first.sync(weights(4))):
        with pytest.raises(EngineDiedError, match=r"another run, .*, has taken it"):
            call()
    first.close()
    ask(second)
    assert len(second.poll()) == 1


def test_weights_of_others_are_refused_by_the_worker_itself():
    worker = Worker()
    free = {"silent_s": 0.0, "changed": False}
    assert worker.murphy_claim("a") == {"owner": "a", **free}
    assert worker.murphy_claim("b")["owner"] == "a"
    assert worker.murphy_load("folder", "b", 5) == {"foreign": "a"}
    assert worker.murphy_release("b") == worker.murphy_state("b") == {"owner": "a", "version": 0}
    assert worker.murphy_release("a")["owner"] == ""
    assert worker.murphy_claim("b") == {"owner": "b", **free}
    assert worker.loaded == []


def test_adapters_are_refused_upon_weights_that_another_run_has_left(server, connect):
    adapters = weights(is_adapter=True)
    server.says["/v1/load_lora_adapter"] = (200, "done")
    first = connect()
    first.sync(adapters)  # upon what the server was started with
    first.close()
    second = connect()
    second.sync(weights(3))
    second.close()
    third = connect()
    with pytest.raises(ValueError, match=r"an earlier run has loaded.*start it anew"):
        third.sync(adapters)


def test_a_dead_engine_leaves_a_living_server_to_its_successor(server, connect):
    first = connect()
    server.says["/v1/completions"] = (500, {"error": {"message": "once"}})
    ask(first)
    with pytest.raises(EngineDiedError, match="once"):
        first.poll()
    first.close()
    assert server.worker._murphy_owner == ""
    assert connect()._claim.owner == server.worker._murphy_owner


def test_a_server_that_was_replaced_in_a_pause_is_found_out(server, connect):
    engine = connect()
    engine.sync(weights(3))
    ask(engine)
    engine.poll()
    server.says["/collective_rpc"] = rpc(Worker())
    num_asked = len(server.asked)
    with pytest.raises(EngineDiedError, match="began anew with the weights that it was started"):
        ask(engine, "b")
    assert "/v1/completions" not in [path for path, _ in server.asked[num_asked:]]


def test_a_server_that_changes_under_requests_is_found_out(server, connect):
    engine = connect()
    engine.sync(weights(3))
    ask(engine)
    server.worker._murphy_version = 2
    with pytest.raises(EngineDiedError, match="has version 2 of the weights, not 3"):
        engine.poll()
    with pytest.raises(EngineDiedError, match="has version 2"):
        engine.poll()


def test_a_server_that_changes_while_nobody_asks_is_found_out(server, connect, monkeypatch):
    monkeypatch.setattr(vllm_server, "HEALTH_EVERY_S", 0.02)
    engine = connect()
    server.says["/collective_rpc"] = rpc(Worker())
    end = time.monotonic() + 20
    while engine._questions.answers.empty():
        assert time.monotonic() < end
        time.sleep(0.02)
    with pytest.raises(EngineDiedError, match="began anew"):
        engine.poll() or engine.sync(weights())


def test_what_no_lease_covers_is_proven_before_it_is_given(server, connect, monkeypatch):
    engine = connect(max_in_flight=1)
    release = threading.Event()
    server.says["/v1/completions"] = lambda r: (r["seed"] < 2 or release.wait(20)) and sampled()
    ask(engine, seeds=(1, 2))
    server.worker._murphy_owner = "x"
    engine._claim._heard -= 31.0  # half a lease is 30 s
    with pytest.raises(EngineDiedError, match="another run, x, has taken it"):
        engine.poll()
    release.set()


def test_closing_waits_for_no_server(server, connect, monkeypatch):
    monkeypatch.setattr(vllm_server, "CLOSE_S", 0.1)
    engine = connect()
    server.says["/v1/load_lora_adapter"] = (200, "done")
    engine.sync(weights(is_adapter=True))
    release = threading.Event()
    server.says["/v1/unload_lora_adapter"] = lambda request: release.wait(20) and (200, "")
    started = time.perf_counter()
    engine.close()
    assert time.perf_counter() - started < 15
    release.set()


def test_what_goes_wrong_on_this_side_is_handed_over(server, connect, monkeypatch):
    engine = connect()

    def fail(*args):
        raise MemoryError("too much")

    monkeypatch.setattr(vllm_http, "_parsed", fail)
    monkeypatch.setattr(engine._claim, "prove", lambda: None)
    ask(engine)
    with pytest.raises(EngineDiedError, match="MemoryError: too much"):
        engine.poll(20)


def test_what_is_given_up_is_broken_off(server, connect):
    release, began = threading.Event(), threading.Event()

    def draw(request):
        if request["seed"] != 1:
            return sampled()
        began.set()
        release.wait(20)
        return None

    server.says["/v1/completions"] = draw
    engine = connect(max_in_flight=1)
    ask(engine, seeds=(1, 1, 1))
    assert began.wait(20)
    engine.abort()
    busy_s = engine.stats.seconds
    assert busy_s > 0
    # The only connection that it may have is free although its question was never answered.
    ask(engine, seeds=(2,))
    assert len(engine.poll(20)) == 1
    assert not release.is_set()
    assert [body["seed"] for path, body in server.asked if path == "/v1/completions"] == [1, 2]
    release.set()
    assert engine.poll(0.1) == []


def test_idle_time_after_giving_up_is_not_counted(server, connect):
    engine = connect()
    ask(engine)
    engine.abort()
    busy_s = engine.stats.seconds
    time.sleep(0.2)
    engine.poll(0)
    assert engine.stats.seconds == busy_s


def test_a_connection_broken_off_with_its_answer_there_is_not_used_again(server):
    client = vllm_http.Client(f"http://127.0.0.1:{server.server_port}")
    with client._connected(5.0) as connection:
        connection.request("GET", "/version")
        connection.getresponse().read()
        client.break_off()
    assert client.ask("GET", "/nothing").status == 404
    client.close()


def test_a_question_that_is_put_off_is_given_up_too(server, connect, monkeypatch):
    monkeypatch.setattr(vllm_http, "BUSY_S", 0.05)
    server.says["/v1/completions"] = (429, "later")
    engine = connect()
    ask(engine)
    end = time.monotonic() + 20
    while sum(path == "/v1/completions" for path, _ in server.asked) < 2:
        assert time.monotonic() < end
        time.sleep(0.01)
    engine.abort()
    server.says["/v1/completions"] = sampled()
    time.sleep(0.3)
    server.asked.clear()
    ask(engine, "b")
    assert [done.tag for done in engine.poll(20)] == ["b"]
    assert sum(path == "/v1/completions" for path, _ in server.asked) == 1


def test_a_question_that_is_put_off_is_asked_again(server, connect, monkeypatch):
    monkeypatch.setattr(vllm_http, "BUSY_S", 0.01)
    answers = iter([(429, "later"), (429, "later"), sampled()])
    server.says["/v1/completions"] = lambda request: next(answers)
    engine = connect()
    ask(engine)
    assert len(engine.poll()) == 1


def test_a_server_that_puts_off_for_ever_is_dead(server, connect):
    server.says["/v1/completions"] = (429, "later")
    engine = connect(answer_within_s=0.5)
    ask(engine)
    with pytest.raises(EngineDiedError, match="429 later"):
        engine.poll()


def test_the_key_is_sent(server, connect, monkeypatch):
    connect()
    assert "Authorization" not in server.headers[-1]
    server.worker._murphy_owner = ""
    monkeypatch.setenv("VLLM_API_KEY", "abc")
    connect()
    assert server.headers[-1]["Authorization"] == "Bearer abc"
    server.says["/v1/models"] = (401, {"error": "Unauthorized"})
    with pytest.raises(ValueError, match="401 Unauthorized; set VLLM_API_KEY"):
        connect()


@pytest.mark.parametrize(("asked", "got"), [(None, 100), (50, 50), (200, 100)])
def test_the_context_is_the_smaller_of_both(server, connect, asked, got):
    assert connect(context_length=asked).context_length == got


def test_settings_bound_the_context_of_a_server(server, tmp_path):
    config = TrainConfig(
        engine="vllm_server",
        vllm_server_base_url=f"http://127.0.0.1:{server.server_port}",
        vllm_max_model_length=50,
        output_dir=str(tmp_path),
    )
    engine = generation._served(config, None, CODEC)
    assert engine.context_length == 50
    engine.close()


def test_a_server_is_spread_over_its_devices(policy_of_a_name, tmp_path, monkeypatch):
    class StartedError(Exception):
        pass

    def start(model, **settings):
        raise StartedError(settings["num_devices"], settings["environment"])

    monkeypatch.setattr(VllmServer, "start", start)
    for devices, found in [
        ("1,2", (2, {"CUDA_VISIBLE_DEVICES": "1,2"})),
        ("3", (1, {"CUDA_VISIBLE_DEVICES": "3"})),
        (None, (1, {})),
    ]:
        config = TrainConfig(
            engine="vllm_server",
            vllm_server_devices=devices,
            output_dir=str(tmp_path),
            model="org/model",
        )
        with pytest.raises(StartedError) as caught:
            generation._served(config, policy_of_a_name, CODEC)
        assert caught.value.args == found


def test_a_server_on_the_gpu_that_trains_is_refused():
    config = TrainConfig(engine="vllm_server", device="cuda")
    with pytest.raises(ValueError, match=r"on the GPU that trains.*vllm_server_devices"):
        generation.check_installed(config)
    # One that runs elsewhere needs nothing here.
    there = {"vllm_server_base_url": "http://host:8000"}
    generation.check_installed(TrainConfig(engine="vllm_server", device="cuda", **there))


def test_what_the_killed_have_left_is_removed(server, connect, tmp_path):
    host = vllm_claim._host()
    folder = tmp_path / "sync"
    ours = connect()._claim.owner
    # No process has a number above 2^22; this one, under another start, is gone too.
    dead = [f"{host}.4194399.0badcafe.00000000", f"{host}.{os.getpid()}.0badcafe.00000000"]
    kept = [ours, f"{host}.1.0badcafe.00000000", "elsewhere.4194399.0badcafe.00000000"]
    for token in dead + kept:
        (folder / f"murphy-3-{token}-0").mkdir(parents=True)
    (folder / "murphy-mine").mkdir()
    server.worker._murphy_owner = ""
    connect()
    left = {path.name for path in folder.iterdir()}
    assert left == {"murphy-mine", *(f"murphy-3-{token}-0" for token in kept)}
