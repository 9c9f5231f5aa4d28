"""Questions over HTTP, asked of a small server in a thread that answers as it is told."""

import http.client
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from murphy_agents.engines import vllm_http
from murphy_agents.engines.vllm_http import Answer, Client, Questions, UnreachableError


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.server.num_connections += 1

    def do_GET(self):
        self.do_POST()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/broken":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf")
            self.close_connection = True
            return
        if self.path == "/slow":
            self.server.release.wait(20)
        said = b'{"error": {"message": "too long", "code": 400}}' if "bad" in self.path else body
        self.send_response(400 if "bad" in self.path else 200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.num_connections, made.release = 0, threading.Event()
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.release.set()
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def client(server):
    made = Client(f"http://127.0.0.1:{server.server_port}")
    yield made
    made.close()


def test_json_both_ways_over_one_connection(client, server):
    for number in range(3):
        assert client.ask("POST", "/echo", {"n": number}) == Answer(200, {"n": number})
    assert server.num_connections == 1


def test_an_old_connection_is_not_used_again(client, server, monkeypatch):
    client.ask("POST", "/echo", {})
    monkeypatch.setattr(vllm_http, "KEPT_S", 0.0)
    client.ask("POST", "/echo", {})
    assert server.num_connections == 2


def test_an_error_is_an_answer(client):
    answer = client.ask("POST", "/bad", {})
    assert (answer.status, answer.message) == (400, "too long")
    assert client.ask("GET", "/plain").body == ""


@pytest.mark.parametrize(
    ("body", "message"), [({"detail": "Not Found"}, "Not Found"), ("<html>", "<html>")]
)
def test_messages_of_other_shapes(body, message):
    assert Answer(404, body).message == message


def test_half_an_answer_is_none(client):
    with pytest.raises(UnreachableError, match=r"POST http://.*/broken"):
        client.ask("POST", "/broken", {})
    assert client.ask("POST", "/echo", [1]).body == [1]


def test_no_answer_in_time(client):
    with pytest.raises(UnreachableError, match="timed out"):
        client.ask("POST", "/slow", {}, timeout_s=0.1)


def test_nobody_there(server):
    free = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    free.server_close()
    with pytest.raises(UnreachableError, match="refused"):
        Client(f"http://127.0.0.1:{free.server_port}").ask("GET", "/health")


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "ftp://host",
        "http://",
        "http://a..b:8000",
        "http://host:80000",
        "http://[::1",
        "http://user:key@host:8000",
        "http://host:8000/\u00e4",
    ],
)
def test_what_is_no_address(url):
    with pytest.raises(ValueError, match="is no server's address"):
        Client(url)


@pytest.mark.parametrize("end", ["", "/", "/v1", "/v1/"])
def test_the_root_may_be_written_as_for_openai(server, end):
    client = Client(f"http://127.0.0.1:{server.server_port}{end}")
    assert client.ask("POST", "/bad", {}).status == 400
    assert client.ask("POST", "/echo", 1).body == 1
    client.close()


def test_closing_wakes_who_waits(client):
    questions = Questions(client, 4, 60.0)
    for key in range(4):
        questions.ask(key, "/slow", {})
    time.sleep(0.2)
    started = time.perf_counter()
    client.close()
    questions.close()
    told = [questions.answers.get(timeout=5) for _ in range(4)]
    assert {key for key, _ in told} == set(range(4))
    assert all(isinstance(answer, UnreachableError) for _, answer in told)
    assert time.perf_counter() - started < 5
    with pytest.raises(UnreachableError, match="closed on this side"):
        Client.ask(client, "GET", "/echo")


def test_closing_while_a_connection_breaks(client):
    broken = http.client.HTTPConnection("127.0.0.1")
    assert broken.sock is None  # as a thread leaves it that is about to tell of it
    client._busy.add(broken)
    client.close()


def test_many_questions_share_few_connections(client, server):
    questions = Questions(client, 3, 60.0)
    for key in range(30):
        questions.ask(key, "/echo", {"k": key})
    told = dict(questions.answers.get(timeout=10) for _ in range(30))
    assert {key: answer.body["k"] for key, answer in told.items()} == {k: k for k in range(30)}
    assert server.num_connections <= 3
    questions.close()


def test_dropped_questions_are_not_asked(client, server):
    questions = Questions(client, 1, 60.0)
    for key in ("first", "second"):
        questions.ask(key, "/slow", {})
    time.sleep(0.2)
    questions.drop()
    server.release.set()
    assert questions.answers.get(timeout=5)[0] == "first"
    questions.close()
    assert questions.answers.empty()


def test_no_questions_at_once_is_refused(client):
    with pytest.raises(ValueError, match="give at least 1"):
        Questions(client, 0, 1.0)
