"""The server: real connections, signals, processes."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.parse
from pathlib import Path

import pytest
from helpers import PATIENCE, write_run

import lowmem_sentiment
from lowmem_sentiment.evaluation.predict import predict
from lowmem_sentiment.monitoring.server import listen
from lowmem_sentiment.serving import create_app
from lowmem_sentiment.serving.server import serve
from lowmem_sentiment.serving.settings import ServingSettings
from lowmem_sentiment.system.errors import Unavailable

BODY = json.dumps({"instances": ["a great film"]})


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run").path


def ask(port: int, path: str = "/v1/models/reviews:predict", body: str | None = BODY):
    """Return the code and the JSON of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST" if body else "GET", path, body)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, json.loads(content)


class Serving:
    """A server in a thread of this process, until the block ends."""

    def __init__(self, application, **settings):
        self.listening = listen("127.0.0.1", 0)
        self.port = self.listening.getsockname()[1]
        self.stop = threading.Event()
        arguments = application, self.listening, ServingSettings(**settings)
        self.thread = threading.Thread(target=serve, args=(*arguments, lambda: not self.stop.is_set()))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(60)
        assert not self.thread.is_alive()


def test_a_request_under_way_is_finished_and_no_new_one_begins(run, monkeypatch):
    application = create_app(run, name="reviews")
    entered, leave, answers = threading.Event(), threading.Event(), []
    real = application.model.loaded.predictor.predict

    def wait(*arguments, **options):
        entered.set()
        assert leave.wait(60)
        return real(*arguments, **options)

    monkeypatch.setattr(application.model.loaded.predictor, "predict", wait)
    with Serving(application) as server:
        thread = threading.Thread(target=lambda: answers.append(ask(server.port)))
        thread.start()
        assert entered.wait(60)
        server.stop.set()
        while server.listening.fileno() != -1:  # closed when it has seen that it stops
            server.thread.join(0.01)
        with pytest.raises(ConnectionError):
            ask(server.port)
        leave.set()
        thread.join(60)
    assert [code for code, _ in answers] == [200]


def test_clients_that_are_silent_hold_nobody_up_and_are_sent_away(run):
    with Serving(create_app(run, name="reviews"), read_timeout=1) as server:
        silent = [socket.create_connection(("127.0.0.1", server.port), 60) for _ in range(100)]
        for nth, connection in enumerate(silent):
            with contextlib.suppress(ConnectionError):  # on a busy machine it is sent away already
                connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n"[: nth % 40])
        assert ask(server.port)[0] == 200
        for connection in silent:
            with connection, contextlib.suppress(ConnectionError):
                assert connection.recv(1_000) == b""


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n" * 50,
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ],
)
def test_what_is_not_http_ends_a_connection_and_not_the_server(run, sent):
    with Serving(create_app(run, name="reviews"), read_timeout=1) as server:
        connection = socket.create_connection(("127.0.0.1", server.port), 60)
        with connection, contextlib.suppress(ConnectionError):  # closed before all of it was read
            connection.sendall(sent)
            while connection.recv(1_000):
                pass
        assert ask(server.port)[0] == 200


def test_a_port_that_is_taken_is_named(run):
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(Unavailable, match=f"127.0.0.1:{port}.*--port"):
            listen("127.0.0.1", port)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_the_command_serves_replaces_on_a_signal_and_ends_with_0(tmp_path, run, workers):
    if workers > 1:
        pytest.importorskip("gunicorn", reason="gunicorn is an extra")
    other = write_run(tmp_path / "other", seed=2).path
    live = tmp_path / "live"
    live.symlink_to(run)
    options = ["--name", "reviews", "--port", "0", "--workers", str(workers)]
    command = [sys.executable, "-m", "lowmem_sentiment", "serve", str(live), *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        port = int(process.stderr.readline().split("127.0.0.1:")[1].split("/")[0])
        code, answer = ask(port)
        assert (code, answer["predictions"][0]["label"]) == (200, predict(run, ["a great film"])[0].label)
        os.symlink(other, tmp_path / "new")
        os.replace(tmp_path / "new", live)
        if workers == 1:
            process.send_signal(signal.SIGHUP)  # the others look at the link once a second
        event = json.loads(process.stderr.readline())
        assert (event["loaded"], event["run"]) == (True, str(other))
        expected = predict(other, ["a great film"])[0].probability
        while ask(port)[1]["predictions"][0]["probability"] != pytest.approx(expected, abs=1e-6):
            assert process.poll() is None
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="needs Chromium")
def test_the_page_shows_label_and_words_and_runs_nothing_that_a_text_holds(tmp_path, run):
    text = "a great film <img src=x onerror=alert(1)> <b>dull</b>"
    script = Path(__file__).parents[2] / "scripts" / "screenshot.sh"
    with Serving(create_app(run, name="reviews")) as server:
        address = f"http://127.0.0.1:{server.port}/#{urllib.parse.quote(text)}"
        subprocess.run([script, address, tmp_path / "page.html"], check=True, timeout=PATIENCE)
    page = (tmp_path / "page.html").read_text()
    (expected,) = predict(run, [text], explain=True)
    assert f'<span id="label">{expected.label}</span>' in page
    assert f'<span id="probability">{expected.probability:.4f}</span>' in page
    assert "<img" not in page
    assert "&lt;" in page.partition('id="words"')[2]
    for effect in expected.effects[:1] + expected.effects[-1:]:  # the strongest
        assert re.search(rf'<span class="(for|against) s\d"[^>]*>{effect.word}</span>', page)


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_the_guides_requests_are_answered(run):
    guide = Path(lowmem_sentiment.__file__).parent / "guides" / "serving.md"
    blocks = re.findall(r"```bash\n(.*?)```", guide.read_text(), re.DOTALL)
    with Serving(create_app(run, name="reviews")) as server:
        parts = [part for block in blocks for part in re.split(r"\n(?=curl|printf)", block)]
        requests = [part for part in parts if "curl" in part]
        assert len(requests) == 9
        for request in requests:
            command = request.replace("curl ", "curl -sS --fail ").replace(":8080", f":{server.port}")
            answer = subprocess.run(command, shell=True, check=True, capture_output=True, timeout=60)
            assert answer.stdout, request
