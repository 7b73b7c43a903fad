import signal
import sys
import time
import weakref

import pytest

from lowmem_sentiment.system.signals import Interrupts


def test_ctrl_c_that_a_weak_reference_callback_swallows_comes_again(capfd):
    class Module:
        pass

    module, before = Module(), sys.unraisablehook
    held = weakref.ref(module, lambda _: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt), Interrupts():
        del module  # as importlib has for each module, where a Ctrl-C would be lost
        time.sleep(60)
        pytest.fail("it did not come again")
    assert held() is None and sys.unraisablehook is before
    assert capfd.readouterr().err == ""
