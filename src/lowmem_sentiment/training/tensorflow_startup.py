"""What has to be in place before TensorFlow is imported, and before its first operation."""

import contextlib
import ctypes
import gc
import os
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..system.errors import Unavailable
from ..system.signals import interruptible
from ..system.workarounds import UNUSED_BY_KERAS, hidden

_M_ARENA_MAX = -8  # mallopt(3)

# Up to here one thread was as fast as two or faster on two cores, of which the pipeline needs one.
_SMALL_STEP = 1 << 27


def start() -> None:
    """Make ready for `import tensorflow`, and import it; Unavailable if it cannot run here."""
    _require_avx()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # real errors arrive as exceptions
    _limit_arenas()
    try:
        with interruptible(), _quiet_stderr(), _no_garbage_collection(), hidden(*UNUSED_BY_KERAS):
            import tensorflow  # noqa: F401
    except ImportError as error:
        raise Unavailable(f"TensorFlow cannot be imported: {error}") from error


def set_threads(multiplications: int) -> None:
    """Set the threads that TensorFlow takes for a step, before its first operation.

    `multiplications` are those of its forward pass, over the batch's own words. The operations of Dense
    layers follow one another: a second thread only means that they are handed from one to the other,
    0.1 ms a step. Nor does it pay to split them in a small step: on two cores an epoch of the default
    run takes 1.6 s on one thread, 2.6 on two, in batches of 128 reviews (35 million multiplications) 0.9
    and 1.3, of 512 (260 million) 1.2 and 1.0. No result was seen to depend on it: 1 to 8 threads gave
    the same bits. TensorFlow's own environment variables win. With a GPU, which has threads of its own,
    or after the first operation, nothing is set.
    """
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return
    with contextlib.suppress(RuntimeError):  # "cannot be modified after initialization"
        if "TF_NUM_INTEROP_THREADS" not in os.environ:
            tf.config.threading.set_inter_op_parallelism_threads(1)
        if multiplications <= _SMALL_STEP and "TF_NUM_INTRAOP_THREADS" not in os.environ:
            tf.config.threading.set_intra_op_parallelism_threads(1)


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Drop what is written to standard error, unless the block fails other than by Ctrl-C.

    TensorFlow 2.21 writes six lines about oneDNN and GPUs while it is imported, before it looks
    at TF_CPP_MIN_LOG_LEVEL.
    """
    if os.environ["TF_CPP_MIN_LOG_LEVEL"] < "3":  # someone wants to see them
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


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Do not look for garbage while the block runs, nor later in what it made.

    TensorFlow's modules are half a million objects that live on; the collector goes through them
    again and again while they are made: a quarter of the time of the import.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _require_avx() -> None:
    """Raise Unavailable where TensorFlow would die of "Illegal instruction": on x86 without AVX."""
    cpuinfo = Path("/proc/cpuinfo")
    if platform.machine() == "x86_64" and cpuinfo.exists():
        flags = next((s for s in cpuinfo.read_text().splitlines() if s.startswith("flags")), "avx")
        if "avx" not in flags.split(":")[-1].split() and flags != "avx":
            raise Unavailable(
                "this processor has no AVX, which TensorFlow's packages need; predict works "
                "without TensorFlow, training needs another machine"
            )


def _limit_arenas() -> None:
    """Let the step, the pipeline and the main thread have a heap of glibc's malloc each, and no more.

    A heap that two threads share makes them wait for each other at each of a step's hundred temporaries:
    with one heap for all an epoch of the default run takes 1.8 s, not 1.55. Each keeps some of what was
    freed in it: three cost 4 MB more than one. One for each thread costs 6, and is not faster.
    """
    try:
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 3)
    except (OSError, AttributeError):  # another C library
        return
