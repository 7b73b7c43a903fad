"""The list of all places that rely on undocumented behaviour of other libraries.

Seen on TensorFlow 2.21, Keras 3.15 and TensorBoard 2.20. When one of them is upgraded, read this first;
each entry says why it is there, and when it can be deleted. Nothing is imported until it is called.
"""

import contextlib
import errno
import functools
import importlib.abc
import importlib.machinery
import io
import os
import re
import shutil
import sys
import tempfile
import threading
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Keras imports these where they are installed, for wrappers and pictures: 78 MB of anonymous memory,
# 105 MB resident and a second, for nothing that is used here. Delete when `import keras` leaves them out.
UNUSED_BY_KERAS = ("IPython", "matplotlib", "pandas", "requests", "scipy", "sklearn")


@contextlib.contextmanager
def hidden(*packages: str) -> Iterator[None]:
    """Make imports of packages fail while the block runs, as if they were not installed."""
    absent = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None is what import expects
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


class _LazyModule(types.ModuleType):
    """A module of TensorFlow's API, which imports a name when it is first used.

    Such a module is generated, and consists of lines "from MODULE import NAME [as OTHER]". For a name
    that is in none of them, all of it is executed. To execute modules whole at their first use, as
    `importlib.util.LazyLoader` does, takes as much for the import, but 20 MB more in training.
    """

    _loader: Any = None
    """Executes the whole module, once."""

    _lock = threading.RLock()
    _line = re.compile(r"^from (\S+) import (\w+)(?: as (\w+))?", re.MULTILINE)

    @functools.cached_property
    def _names(self) -> dict[str, tuple[str, str]]:
        """The module that each name comes from, and its name there."""
        lines = self._line.findall(self._loader.get_source(self.__name__))
        return {other or name: (module, name) for module, name, other in lines}

    def __getattr__(self, name: str) -> Any:
        with self._lock:
            if self._loader and name in self._names:
                module, theirs = self._names[name]
                if module == self.__name__:
                    value = importlib.import_module(f"{module}.{theirs}")
                else:
                    value = getattr(importlib.import_module(module), theirs)
                return vars(self).setdefault(name, value)
            if self._loader and not name.startswith("__"):
                loader, self._loader = self._loader, None
                loader.exec_module(self)
        return super().__getattribute__(name)

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *(self._names if self._loader else ())})


class _LazyApi(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of TensorFlow's API, and makes a `_LazyModule` of each."""

    def find_spec(
        self, name: str, path: Any, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not name.startswith("tensorflow._api."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec and spec.loader:
            spec.loader_state, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _LazyModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        spec = module.__spec__
        assert spec and isinstance(module, _LazyModule)
        spec.loader = module.__loader__ = module._loader = spec.loader_state


def import_tensorflow() -> None:
    """Import TensorFlow, and let the modules of its API import their names when these are first used.

    There are 700 such modules, one for each namespace and version (`tf.compat.v1.image`). Importing the
    names that are never used takes a third of the import's time, 40 MB of anonymous memory and 65 MB of
    resident. Delete when `import tensorflow` leaves them out.
    """
    sys.meta_path.insert(0, _LazyApi())
    import tensorflow

    for name in ("distribute", "lite"):
        # A module of the same name, which is imported later, would take the place of the API's.
        if module := vars(tensorflow).get(name):
            with contextlib.suppress(ModuleNotFoundError):  # another version may have none
                importlib.import_module(f"tensorflow.{name}")
            setattr(tensorflow, name, module)


def adam_slots(optimizer: Any, variable: Any) -> tuple[Any, Any] | None:
    """Return the two moments that a `keras.optimizers.Adam` keeps for a variable.

    If Keras' private names for them are gone, warns, and finds a `keras.Variable`'s moments by their
    public paths; returns None for a `tf.Variable`. Delete when Keras' Adam has a fused step on the CPU.
    """
    try:
        index = optimizer._get_variable_index(variable)
        return optimizer._momentums[index], optimizer._velocities[index]
    except AttributeError:
        _warn("Adam's moments", "training is slower")
    if not hasattr(variable, "path"):
        return None
    name = variable.path.replace("/", "_")
    by_name = {each.path.split("/")[-1]: each for each in optimizer.variables}
    return by_name[f"{name}_momentum"], by_name[f"{name}_velocity"]


def _warn(what: str, effect: str, library: str = "Keras") -> None:
    """Warn, once per text, that a private name of a library is gone."""
    warnings.warn(
        f"this version of {library} has a different name for {what}: {effect}",
        RuntimeWarning,
        stacklevel=3,
    )


def save_model(model: Any, path: Path) -> None:
    """Write a ``.keras`` file that opens without this package.

    Other optimizers than this package's are saved unchanged.
    """
    with (
        _as_plain_adam(model.optimizer),
        _weights_on_disk(path.parent),
        refused_writes_as_os_errors(RuntimeError),
    ):
        model.save(path)


@contextlib.contextmanager
def _as_plain_adam(optimizer: Any) -> Iterator[None]:
    """Turn one of this package's subclasses of Adam into Keras' own while the block runs.

    They compute a step differently but hold the same variables; a separate Adam for saving would cost
    twice the weights when memory is at its peak. Delete when training uses Keras' optimizer.
    """
    kind = type(optimizer)
    if not kind.__module__.startswith(f"{__package__.split('.')[0]}."):
        yield
        return
    from keras.optimizers import Adam

    object.__setattr__(optimizer, "__class__", Adam)
    try:
        yield
    finally:
        object.__setattr__(optimizer, "__class__", kind)


class _DeferredErrors(io.FileIO):
    """An unnamed file that keeps the first refused write as `refused` instead of raising it.

    HDF5 crashes (SIGSEGV) after most writes that the system refuses. Delete when it does not.
    """

    refused: OSError | None = None

    def __init__(self, folder: Path):
        with tempfile.TemporaryFile(dir=folder) as file:
            super().__init__(os.dup(file.fileno()), "w+")

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Keep an OSError from the block."""
        try:
            yield
        except OSError as error:
            self.refused = self.refused or error

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        with self.deferred():
            while view and not self.refused:
                view = view[super().write(view) :]
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        with self.deferred():
            super().truncate(size)
        return size or 0


@contextlib.contextmanager
def refused_writes_as_os_errors(*kinds: type[Exception]) -> Iterator[None]:
    """Raise OSError where a library raises one of `kinds` because the system refused to write.

    h5py, which Keras writes with, raises a RuntimeError that ends in the system's message, and TensorFlow
    an OpError. Delete when both raise OSError.
    """
    try:
        yield
    except kinds as error:
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO):
            if os.strerror(number) in str(error):
                raise OSError(number, os.strerror(number)) from error
        raise


def _to_array(convert: Callable[[Any], Any], value: Any) -> Any:
    """Return a variable's value without a copy where that is possible, otherwise as `convert` does."""
    import numpy as np
    import tensorflow as tf

    if isinstance(value, np.ndarray):
        return value
    if getattr(value, "dtype", None) == "float32":
        return np.asarray(memoryview(tf.convert_to_tensor(value)))
    return convert(value)


@contextlib.contextmanager
def _weights_on_disk(folder: Path) -> Iterator[None]:
    """Let Keras write the weights of a ``.keras`` file one by one into `folder` while the block runs.

    If the machine (Keras does not look at the container) has enough memory, Keras collects them in
    memory: three times the weights with Adam's moments, 53 MB at 88,584 words. It also copies what it has
    just read: 76 MB at 400,000 n-grams. Delete when Keras has a parameter for the first, and does not do
    the second.
    """
    try:
        from keras.src.saving import saving_lib

        names = "is_memory_sufficient", "H5IOStore"
        before = {name: getattr(saving_lib, name) for name in names}
        convert, h5py = saving_lib.backend.convert_to_numpy, saving_lib.h5py
    except (ImportError, AttributeError):
        _warn("where weights are collected", "saving may take three times the weights in memory")
        yield
        return

    class Store(saving_lib.H5IOStore):  # type: ignore[misc]
        """Keras' store of weights in memory, with a file instead."""

        def _get_h5_file(self, path_or_io: Any, mode: str | None = None) -> Any:
            self.io_file = file
            return h5py.File(file, "w")

        def close(self) -> None:
            self.h5_file.close()
            file.seek(0)
            with file.deferred():
                if self.archive and not file.refused:
                    with self.archive.open(self.path_or_io.name, "w", force_zip64=True) as member:
                        shutil.copyfileobj(file, member)

    with _DeferredErrors(folder) as file:
        saving_lib.is_memory_sufficient, saving_lib.H5IOStore = lambda model: True, Store
        saving_lib.backend.convert_to_numpy = functools.partial(_to_array, convert)
        try:
            yield
        finally:
            vars(saving_lib).update(before)
            saving_lib.backend.convert_to_numpy = convert
            if file.refused:
                raise file.refused


def ignore_global_seed(tensor: Any) -> None:
    """Keep `tf.random.set_seed` out of the graph of a tensor, while it is traced.

    `Dataset.shuffle` mixes the global seed into its own, so a seed set elsewhere would change the order
    of training. Delete when `shuffle` has a stateless form.
    """
    tensor.graph.seed = None


def without_tensorflow() -> None:
    """Let TensorBoard's modules, imported from now on, use their own stub of TensorFlow.

    TensorBoard imports TensorFlow if it can, and then takes 586 MB. It does not if there is a module
    `tensorboard.compat.notf`, which only its build makes: with an empty one it takes 85 MB, and shows the
    same. Delete when TensorBoard has an option for it.
    """
    sys.modules["tensorboard.compat.notf"] = types.ModuleType("tensorboard.compat.notf")


def board_with_run_names(name_of: Callable[[str], str | None]) -> type:
    """Return TensorBoard's class, with `name_of` mapping a directory of event files to the run's name.

    Those that it maps to None are left out.

    TensorBoard names runs by their directories. Delete when its command line has an option for it.
    """
    from tensorboard import program

    try:
        from tensorboard.backend.event_processing.data_ingester import LocalDataIngester

        _ = program.TensorBoard._make_data_ingester, LocalDataIngester.deprecated_multiplexer
    except (ImportError, AttributeError):
        _warn("how runs are loaded", "they are named by their folders", "TensorBoard")
        return program.TensorBoard  # type: ignore[no-any-return]

    class Board(program.TensorBoard):  # type: ignore[misc]
        """TensorBoard with other names for runs."""

        def _make_data_ingester(self) -> Any:
            ingester = LocalDataIngester(self.flags)
            runs = ingester.deprecated_multiplexer
            add = runs.AddRun

            def add_run(path: str, name: str | None = None) -> Any:
                name = name_of(path)
                return add(path, name) if name else runs

            runs.AddRun = add_run
            ingester.start()
            return ingester

    return Board


def without_pictures() -> None:
    """Let TensorBoard's text tab show no pictures: a text in the data could link to any address.

    Delete when TensorBoard does not allow the tag `img` in Markdown.
    """
    from tensorboard import plugin_util

    allowed = getattr(plugin_util, "_ALLOWED_TAGS", None)
    if allowed is None:
        _warn("the tags of Markdown", "texts of the data may show pictures", "TensorBoard")
        return
    plugin_util._ALLOWED_TAGS = [tag for tag in allowed if tag != "img"]


def show_what_varies() -> None:
    """Let the HParams tab show a column for each setting that varies, and for each run's metrics.

    TensorBoard uses one run's columns for all runs. Delete when it does not.
    """
    from tensorboard.plugins.hparams import backend_context, metadata

    try:
        original = backend_context.Context.experiment_from_metadata
        _ = backend_context.Context._compute_hparam_infos
    except AttributeError:
        _warn("its columns of hyperparameters", "all are shown", "TensorBoard")
        return

    def experiment_from_metadata(  # type: ignore[no-untyped-def]
        self, ctx, experiment_id, include_metrics, contents, *rest, **options
    ):
        experiment = original(self, ctx, experiment_id, include_metrics, contents, *rest, **options)
        varied = [info for info in self._compute_hparam_infos(contents) if info.differs]
        if varied:
            order = {info.name: nth for nth, info in enumerate(experiment.hparam_infos)}
            experiment.ClearField("hparam_infos")
            experiment.hparam_infos.extend(
                sorted(varied, key=lambda info: order.get(info.name, len(order)))
            )
        metrics: dict[tuple[str, str], Any] = {}
        for tags in contents.values():
            if include_metrics and (content := tags.get(metadata.EXPERIMENT_TAG)) is not None:
                for info in metadata.parse_experiment_plugin_data(content).metric_infos:
                    metrics.setdefault((info.name.group, info.name.tag), info)
        if metrics:
            experiment.ClearField("metric_infos")
            experiment.metric_infos.extend(metrics.values())
        return experiment

    backend_context.Context.experiment_from_metadata = experiment_from_metadata
