"""What the engine on a vLLM server makes of faults, told by a stand-in: a real one has them not.

`tests/on_vllm/test_vllm_server.py` tests the rest with vLLM itself.
"""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from murphy_agents.codec import CharCodec
from murphy_agents.engines import vllm_server, vllm_server_weights
from murphy_agents.engines.protocol import EngineDiedError, Request, SamplingParams, Weights
from murphy_agents.engines.vllm_server import VllmServerEngine

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
        said = json.dumps(answer[1]).encode()
        self.send_response(answer[0])
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.asked = []
    made.handle_error = lambda *args: None  # an engine that is closed breaks off
    made.says = {
        "/health": (200, ""),
        "/v1/models": (200, MODELS),
        "/v1/completions": sampled(),
        "/reset_prefix_cache": (200, {"success": True}),
        "/v1/unload_lora_adapter": (200, "done"),
    }
    thread = threading.Thread(target=made.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


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


def weights(version=1, is_adapter=False):
    return Weights(
        version, lambda: (), lambda folder: (folder / "file").write_text("w"), is_adapter
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
        ((404, {"detail": "Not Found"}), "VLLM_SERVER_DEV_MODE=1"),
        ((500, {"error": {"message": "no attribute 'murphy_load'"}}), "--worker-extension-cls"),
        (results({"missing": "x"}, {"missing": "x"}), "sees no weights in .*same path"),
    ],
)
def test_a_server_that_cannot_take_weights_keeps_its_own(server, connect, tmp_path, says, match):
    engine = connect()
    server.says["/collective_rpc"] = says
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
        (results({"loaded": "x"}, {"missing": "x"}), "1 of its 2 workers see weights"),
    ],
)
def test_weights_taken_in_part_are_the_end(server, connect, tmp_path, says, match):
    engine = connect()
    server.says["/collective_rpc"] = says
    with pytest.raises(EngineDiedError, match=match):
        engine.sync(weights())
    assert list((tmp_path / "sync").iterdir()) == []
    with pytest.raises(EngineDiedError, match=match):
        ask(engine)


def test_a_cache_that_stays_is_the_end(server, connect, monkeypatch):
    monkeypatch.setattr(vllm_server_weights, "_RESET_S", 0.0)
    engine = connect()
    server.says["/collective_rpc"] = results({"loaded": "x"})
    server.says["/reset_prefix_cache"] = (200, {"success": False})
    with pytest.raises(EngineDiedError, match="does not empty its prefix cache"):
        engine.sync(weights())


def test_each_sync_has_a_folder_of_its_own(server, connect, tmp_path):
    engine = connect()
    server.says["/collective_rpc"] = results({"loaded": "x"})
    for version in (3, 3):
        engine.sync(weights(version))
    folders = [body["args"][0] for path, body in server.asked if path == "/collective_rpc"]
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
        names.append(server.asked[-1][1]["model"])
        assert [path.name for path in (tmp_path / "sync").iterdir()] == names[-1:]
    assert names[0].startswith("murphy-1-")
    assert names[1].startswith("murphy-2-")
    assert ("/v1/unload_lora_adapter", {"lora_name": names[0]}) in server.asked
    engine.close()
    assert ("/v1/unload_lora_adapter", {"lora_name": names[1]}) in server.asked
    assert list((tmp_path / "sync").iterdir()) == []


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
    assert server.asked[-1][1]["model"].startswith("murphy-1-")
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
