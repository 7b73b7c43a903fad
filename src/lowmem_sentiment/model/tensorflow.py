"""TensorFlow and Keras, imported quickly and with less memory; import both from here.

Importing this module, as `train`, `batches`, `build_model` and `compile_model` do, changes the process:

- glibc's malloc gets three heaps instead of eight per core (`limit_heaps`).
- Keras does not see `UNUSED_BY_KERAS` (pandas, requests, ...) unless the process has imported them:
  its wrappers and adapters for them are then unavailable. The packages themselves can be imported later.
- TensorFlow's API modules (`tf.nn`, `tf.compat.v1.io`, ...) import a name when it is first used.
- Objects made so far are left out of garbage collection (`gc.freeze`), and later ones are looked at less
  often: after 50,000 instead of 700.
- TF_CPP_MIN_LOG_LEVEL is set to 3, unless it is set, and what TensorFlow writes to standard error during
  its import is dropped.

If TensorFlow and Keras are imported already, only the heaps change. `set_threads` changes threads.
"""

import contextlib
import gc
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..system.errors import Unavailable
from ..system.memory import limit_heaps, require_addresses, require_threads
from ..system.signals import Interrupts
from ..system.workarounds import UNUSED_BY_KERAS, hidden, import_tensorflow

# Up to here one thread was as fast as two, or faster, on two cores, one of them used by the pipeline.
_SMALL_STEP = 1 << 27


def set_threads(multiplications: int) -> None:
    """Set the number of threads that TensorFlow uses for a step, before its first operation.

    `multiplications` is their number in the step's forward pass over the batch's own words. The
    operations of Dense layers run one after the other: a second thread only adds hand-overs, 0.1 ms per
    step. Splitting them does not pay in a small step either: on two cores an epoch of the default run
    takes 1.6 s on one thread and 2.6 on two, in batches of 128 reviews (35 million multiplications) 0.9
    and 1.3, of 512 (260 million) 1.2 and 1.0. No result was seen to depend on it: 1 to 8 threads gave the
    same bits.

    Does nothing if the caller or TensorFlow's environment variables chose, with a GPU, or after the first
    operation.
    """
    threads = tf.config.threading
    if tf.config.list_physical_devices("GPU"):
        return
    with contextlib.suppress(RuntimeError):  # "cannot be modified after initialization"
        if _is_free("TF_NUM_INTEROP_THREADS", threads.get_inter_op_parallelism_threads()):
            threads.set_inter_op_parallelism_threads(1)
        small = multiplications <= _SMALL_STEP
        if small and _is_free("TF_NUM_INTRAOP_THREADS", threads.get_intra_op_parallelism_threads()):
            threads.set_intra_op_parallelism_threads(1)


def _is_free(variable: str, chosen: int) -> bool:
    return variable not in os.environ and chosen == 0


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Drop all output to standard error, unless the block fails with an error.

    TensorFlow 2.21 writes six lines about oneDNN and GPUs while it is imported, before it looks
    at TF_CPP_MIN_LOG_LEVEL.
    """
    if os.environ["TF_CPP_MIN_LOG_LEVEL"] < "3":  # the user wants to see them
        yield
        return
    kept = os.dup(2)
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            yield
        except Exception:
            os.dup2(kept, 2)
            written.seek(0)
            os.write(2, written.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _require_avx() -> None:
    """Raise Unavailable on x86 without AVX, where TensorFlow would die of "Illegal instruction"."""
    cpuinfo = Path("/proc/cpuinfo")
    if platform.machine() == "x86_64" and cpuinfo.exists():
        flags = re.search(r"^flags.*", cpuinfo.read_text(), re.MULTILINE)
        if flags and "avx" not in flags[0].split():
            raise Unavailable(
                "this processor has no AVX, which TensorFlow's packages need; predict works "
                "without TensorFlow, training needs a different machine"
            )


@contextlib.contextmanager
def _lean_import() -> Iterator[None]:
    """Import as the module's docstring says.

    TensorFlow's modules are half a million objects that stay alive; the collector would scan them again
    and again: a quarter of the import's time.
    """
    if sys.modules.keys() >= {"tensorflow", "keras"}:
        yield
        return
    enabled = gc.isenabled()
    gc.disable()
    try:
        with Interrupts(), _quiet_stderr(), hidden(*UNUSED_BY_KERAS):
            import_tensorflow()
            yield
    finally:
        gc.freeze()
        gc.set_threshold(max(50_000, gc.get_threshold()[0]))  # tracing takes a tenth less
        if enabled:
            gc.enable()


_OF_TENSORFLOW = 1_500 << 20  # bytes of addresses, on 2 cores: threads' stacks and heaps, mostly

_require_avx()
require_addresses(_OF_TENSORFLOW)
require_threads(11 + 2 * (os.cpu_count() or 1))
# One heap each of glibc's malloc for the step, the pipeline and the main thread. Threads that share a
# heap wait for each other at each of a step's hundred temporaries: with one heap for all an epoch of the
# default run takes 1.8 s instead of 1.55. Each heap keeps some of the memory freed in it: three cost 4 MB
# more than one. One heap per thread costs 6 MB and is not faster.
limit_heaps(3)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # real errors arrive as exceptions
try:
    with _lean_import():
        import keras
        import tensorflow as tf
except ImportError as error:
    raise Unavailable(f"TensorFlow cannot be imported: {error}") from error

__all__ = ["keras", "set_threads", "tf"]
