import hashlib
import http.server
import socketserver
import threading

import pytest

from lowmem_sentiment.sources import download as module
from lowmem_sentiment.sources.download import download
from lowmem_sentiment.system.errors import OutputError, Unavailable

CONTENT = bytes(range(256)) * 2_000
DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT, from the byte that is asked for; "/short" ends early, "/slow" never answers."""

    def do_GET(self):
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/slow":
            self.server.release.wait()
            return
        first = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.server.ranges.append(first)
        if first >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(CONTENT) - first))
        self.end_headers()
        self.wfile.write(CONTENT[first : first + 100_000 if self.path == "/short" else None])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.ranges, server.release = [], threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield server
        server.release.set()
        server.shutdown()


def test_a_file_is_fetched_with_progress_and_checked(server, tmp_path):
    seen = []
    path = download(
        f"{server.url}/file", tmp_path / "a" / "file", DIGEST, lambda *what: seen.append(what)
    )
    assert path.read_bytes() == CONTENT
    assert seen[-1] == ("download", len(CONTENT), len(CONTENT))
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["file"]


def test_an_interrupted_download_goes_on_where_it_stopped(server, tmp_path):
    with pytest.raises(Unavailable, match="cannot fetch"):
        download(f"{server.url}/short", tmp_path / "file", DIGEST)
    assert not (tmp_path / "file").exists()
    download(f"{server.url}/file", tmp_path / "file", DIGEST)
    assert server.ranges == [0, 100_000]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_download_that_was_whole_but_not_renamed_is_taken(server, tmp_path):
    (tmp_path / "file.unfinished").write_bytes(CONTENT)
    download(f"{server.url}/file", tmp_path / "file", DIGEST)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_another_file_than_the_published_one_is_refused_and_forgotten(server, tmp_path):
    with pytest.raises(Unavailable, match="is not the published file: its sha256 differs"):
        download(f"{server.url}/file", tmp_path / "file", "sha256:" + "0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_silence_ends_in_a_time_out(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    with pytest.raises(Unavailable, match="timed out"):
        download(f"{server.url}/slow", tmp_path / "file", DIGEST)


def test_a_file_that_is_not_there_is_told(server, tmp_path):
    with pytest.raises(Unavailable, match="Not Found"):
        download(f"{server.url}/missing", tmp_path / "file", DIGEST)


def test_a_folder_that_cannot_be_written_is_told(server, tmp_path):
    (tmp_path / "file").write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="cannot write"):
        download(f"{server.url}/file", tmp_path / "file" / "file", DIGEST)
