"""Processes that have TensorFlow from the start: forks of one that has taken 3 seconds to import it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from helpers import PATIENCE, wait_for

_SERVER = """
import gc, json, os, sys
import lowmem_sentiment.distributed.rendezvous, lowmem_sentiment.training.train
gc.freeze()  # no collection in a fork copies the pages of all that was imported
for line in sys.stdin:
    order = json.loads(line)
    if "pid" in order:
        ended, status = os.waitpid(order["pid"], os.WNOHANG)
        print(json.dumps(os.waitstatus_to_exitcode(status) if ended else None), flush=True)
    elif child := os.fork():
        print(child, flush=True)
    else:
        for descriptor, (name, flags) in enumerate(order["files"]):
            os.dup2(os.open(name, flags), descriptor)
        os.environ.clear()
        os.environ.update(order["env"])
        sys.argv[1:] = order["arguments"]
        exec(order["code"], {"__name__": "__main__"})
        break
"""


COMMAND = "import sys; from lowmem_sentiment.cli import main; sys.exit(main(sys.argv[1:]))"


class Fork:
    """A process like those of `subprocess`, with its output in files."""

    def __init__(self, server: subprocess.Popen, code: str, arguments: Sequence[str], env: Mapping):
        self._server, self._folder, self.returncode = server, tempfile.TemporaryDirectory(), None
        self._written = [f"{self._folder.name}/{name}" for name in ("output", "errors")]
        files = [(os.devnull, os.O_RDONLY), *((each, os.O_WRONLY | os.O_CREAT) for each in self._written)]
        self.pid = self._ask(code=code, arguments=list(arguments), env=dict(env), files=files)

    def _ask(self, **order: object) -> int | None:
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._ask(pid=self.pid)
        return self.returncode

    def wait(self) -> None:
        wait_for(lambda: self.poll() is not None)

    def communicate(self) -> tuple[str, str]:
        self.wait()
        return tuple(Path(file).read_text() for file in self._written)

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


@contextlib.contextmanager
def fork_server() -> Iterator[subprocess.Popen]:
    """Start the process whose forks `Fork` makes."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", _SERVER], text=True, **pipes) as server:
        yield server
        server.stdin.close()
        server.wait(PATIENCE)
