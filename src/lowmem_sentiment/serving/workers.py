"""Run the application by gunicorn, in several processes that share the model.

Raises Unavailable when it is imported without gunicorn.
"""

import gc
import os
import socket

from ..system.errors import Unavailable
from .application import Application
from .server import FINISH, serve
from .settings import ServingSettings

try:
    from gunicorn.app.base import BaseApplication
    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.base import Worker
except ModuleNotFoundError:
    raise Unavailable(
        "--workers needs gunicorn; expected it installed: pip install 'lowmem-sentiment[workers]'"
    ) from None


def run_in_workers(
    application: Application, listening: socket.socket, settings: ServingSettings, workers: int
) -> None:
    """Answer requests until SIGTERM or Ctrl-C; SIGHUP reloads the run.

    The processes are forked from this one and share its memory. This one replaces the model, and then all
    of them: four that each loaded 100,000 n-grams would take 3.5 times the memory of one.
    """
    address = f"fd://{listening.detach()}"  # gunicorn closes it
    _Parent(_Gunicorn(application, address, settings, workers)).run()


class _Gunicorn(BaseApplication):  # type: ignore[misc]
    def __init__(self, application: Application, address: str, settings: ServingSettings, workers: int):
        self.served, self.settings = application, settings
        self._address, self._workers = address, workers
        super().__init__()

    def load_config(self) -> None:
        chosen = {
            "bind": self._address,
            "workers": self._workers,
            "worker_class": _WaitressWorker,
            "preload_app": True,  # loaded once, before the processes fork
            "graceful_timeout": int(FINISH),
            "proc_name": "lowmem-sentiment",
            "loglevel": "warning",
        }
        for name, value in chosen.items():
            self.cfg.set(name, value)

    def load(self) -> Application:
        gc.freeze()  # or the collector would write to, and so copy, what is shared
        return self.served

    def reload(self) -> None:
        super().reload()
        self.served.model.replace()
        gc.freeze()


class _WaitressWorker(Worker):  # type: ignore[misc]
    """A process that runs `serve` on the socket that it inherits."""

    def run(self) -> None:
        def go_on() -> bool:
            self.notify()
            return bool(self.alive and self.ppid == os.getppid())

        serve(self.app.served, self.sockets[0].sock, self.app.settings, go_on)


class _Parent(Arbiter):  # type: ignore[misc]
    """Replace the workers after the model; look for a new one once a second."""

    def manage_workers(self) -> None:
        if self.app.served.model.has_changed():
            self.reload()
        else:
            super().manage_workers()
