from types import SimpleNamespace

import pytest
from forks import COMMAND, Fork

from lowmem_sentiment.search import processes


@pytest.fixture(scope="module")
def forked_trainings(server):
    """Let the processes of a search be forks of one that has imported TensorFlow."""

    class Process(Fork):
        def __init__(self, command, *, stderr, env, **_):
            super().__init__(server, COMMAND, command[3:], env)
            self._stderr = stderr

        def poll(self):
            if self.returncode is None and super().poll() is not None:
                self._stderr.write(self.communicate()[1].encode())
            return self.returncode

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(processes, "subprocess", SimpleNamespace(Popen=Process, DEVNULL=None))
        yield
